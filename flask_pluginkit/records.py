"""Plugins as the records of 3.x, and who provides what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from .attribution import Attribution
from .exceptions import PluginError
from .kinds import EMPTY, HOOKS
from .live.dcp import DcpManager
from .loading import load
from .snapshot import TABLE_KINDS, Plugin, Snapshot
from .text import nearest

KINDS_OF_3X: Final = (
    "tep", "hep", "bep", "vep", "cvep", "filter", "errhandler", "tcp", "p3",
)  # fmt: skip


class Record(Attribution):
    """A 3.x record; its ``__proxy__`` is the module, imported when it is asked for."""

    __slots__ = ("_plugin",)

    def __init__(self, plugin: Plugin, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._plugin = plugin

    def __missing__(self, key: str) -> Any:
        if key != "__proxy__":
            raise KeyError(key)
        module = self._plugin.module or load(self._plugin.candidate)
        self[key] = module
        return module

    def get(self, key: str, default: Any = None) -> Any:
        """As for dict."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return key == "__proxy__" or super().__contains__(key)


def record(plugin: Plugin) -> Record:
    """Return `plugin` as the record that code for 3.x reads."""
    manifest, folder = plugin.manifest, plugin.candidate.folder
    values: dict[str, Any] = {
        "plugin_name": manifest.name,
        "plugin_package_name": plugin.candidate.package,
        "plugin_package_abspath": str(folder),
        "plugin_description": manifest.description or None,
        "plugin_version": manifest.version,
        "plugin_author": manifest.author,
        "plugin_url": manifest.url or None,
        "plugin_license": manifest.license or None,
        "plugin_license_file": manifest.license_file or None,
        "plugin_readme_file": manifest.readme_file or None,
        "plugin_state": plugin.wanted.value,
        "plugin_tpl_path": str(folder / "templates"),
        "plugin_ats_path": str(folder / "static"),
        "__load_time__": plugin.loaded_at,
    }
    for kind in KINDS_OF_3X:
        values[f"plugin_{kind}"] = plugin.shapes.get(kind) or EMPTY[kind]()
    return Record(plugin, values)


def merged_teps(
    shapes: Iterable[Mapping[str, Mapping[str, str]]],
) -> dict[str, dict[str, list[str]]]:
    """Return the parts of each slot, files and code apart."""
    merged: dict[str, dict[str, list[str]]] = {}
    for teps in shapes:
        for slot, part in teps.items():
            lists = merged.setdefault(slot, {"fil": [], "cod": []})
            for kind, text in part.items():
                lists[kind].append(text)
    return merged


def merged_heps(shapes: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the functions of each hook."""
    rows = list(shapes)
    return {hook: [heps[hook] for heps in rows if hook in heps] for hook in HOOKS}


def owner_of(app: Flask, snapshot: Snapshot, kind: str, name: str) -> str | None:
    """Return the plugin that provides `name`, None if no plugin does."""
    if kind in TABLE_KINDS:
        return snapshot.owners.get((kind, name))
    if kind == "route":
        return _owner_of_route(app, snapshot, name)
    if kind == "template":
        return _owner_of_template(app, name)
    raise PluginError(
        f"owner_of: unknown kind {kind!r}, expected one of route, template, "
        + ", ".join(TABLE_KINDS)
    )


def _owner_of_route(app: Flask, snapshot: Snapshot, name: str) -> str | None:
    for route in snapshot.routes:
        if route.rule.rule == name:
            return route.owner
    for adapter in _adapters(app, snapshot):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            try:
                rule, _values = adapter.match(name, method=method, return_rule=True)
            except (HTTPException, RequestRedirect):
                continue
            return next((route.owner for route in snapshot.routes if route.rule is rule), None)
    return None


def _adapters(app: Flask, snapshot: Snapshot) -> Iterator[MapAdapter]:
    """Yield the map bound to each host or subdomain that a route can be on."""
    rules = [route.rule for route in snapshot.routes]
    if app.url_map.host_matching:
        for host in dict.fromkeys(rule.host or "" for rule in rules):
            yield app.url_map.bind(host)
    else:
        default = app.url_map.default_subdomain
        for subdomain in dict.fromkeys((default, *(rule.subdomain for rule in rules))):
            yield app.url_map.bind("localhost", subdomain=subdomain)


def _owner_of_template(app: Flask, name: str) -> str | None:
    library = app.jinja_env.library  # type: ignore[attr-defined]
    if (found := library.split(name)) is not None:
        return str(found[0].name) if library.has(app.jinja_env, name) else None
    if library.has(app.jinja_env, name):
        return None
    full = library.only_offer(app.jinja_env, name)
    return full.partition(":")[0] if full else None


def owners_of(dcp: DcpManager, snapshot: Snapshot, kind: str, name: object) -> tuple[str, ...]:
    """Return the plugins that take part in `name`."""
    match kind:
        case "tep":
            slot = snapshot.slots.get(str(name))
            return tuple(part.owner for part in slot.all) if slot else ()
        case "dcp":
            return tuple(owner for owner in dcp.owners(str(name)) if owner in snapshot.active)
        case "hep" | "errhandler":
            active = snapshot.active.values()
            return tuple(p.name for p in active if name in _names(p.shapes[kind]))
    raise PluginError(f"owners_of: unknown kind {kind!r}, expected tep, hep, errhandler or dcp")


def _names(shape: Any) -> list[Any]:
    return list(shape) if isinstance(shape, dict) else [row[0] for row in shape]


def unknown(name: str, rows: Iterable[str]) -> PluginError:
    """Return what to tell of a plugin that isn't there."""
    guess = nearest(name, tuple(row for row in rows if row != name))
    hint = f"; did you mean {guess!r}?" if guess else ""
    return PluginError(f"No plugin named {name} was found{hint}")
