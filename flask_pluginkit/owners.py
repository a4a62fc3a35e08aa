"""Who provides what: asked by operators, and by whoever looks for the source of a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from .exceptions import PluginError
from .live.dcp import DcpManager
from .snapshot import TABLE_KINDS, Snapshot


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
