"""What code for 3.x asks a manager: its plugins as records, and lists of what is live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .attribution import Attribution
from .exceptions import PluginError
from .kinds import EMPTY, HOOKS
from .loading import load
from .snapshot import Plugin, Snapshot
from .text import clean, nearest

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


class FormerLists:
    """The part of `PluginManager` that is as it was in 3.x."""

    if TYPE_CHECKING:  # what it shows; the manager has these

        @property
        def plugins(self) -> tuple[Plugin, ...]:
            """Every plugin that was found."""

        @property
        def snapshot(self) -> Snapshot:
            """Everything that is live."""

    @property
    def get_all_plugins(self) -> list[Attribution]:
        """Every plugin as a 3.x record."""
        return [record(plugin) for plugin in self.plugins]

    @property
    def get_enabled_plugins(self) -> list[Attribution]:
        """Every active plugin as a 3.x record."""
        return [record(plugin) for plugin in self.snapshot.active.values()]

    def get_plugin_info(self, plugin_name: str) -> Attribution:
        """Return the 3.x record of one plugin, or raise `PluginError`."""
        return record(self._plugin(plugin_name))

    def _plugin(self, plugin_name: str) -> Plugin:
        return row_named(plugin_name, self.plugins)

    def _shapes(self, kind: str) -> list[Any]:
        return [plugin.shapes[kind] for plugin in self.snapshot.active.values()]

    @property
    def get_enabled_teps(self) -> dict[str, dict[str, list[str]]]:
        """``{slot: {"fil": [...], "cod": [...]}}`` of the active plugins."""
        return merged_teps(self._shapes("tep"))

    @property
    def get_enabled_heps(self) -> dict[str, list[Any]]:
        """``{hook: [function]}`` of the active plugins."""
        return merged_heps(self._shapes("hep"))

    @property
    def get_enabled_beps(self) -> list[dict[str, Any]]:
        """The blueprints of the active plugins."""
        return [bep for bep in self._shapes("bep") if bep]

    @property
    def get_enabled_veps(self) -> list[tuple[Any, ...]]:
        """``[(rule, view_func, endpoint, options, _blueprint)]`` of the active plugins."""
        return [row for rows in self._shapes("vep") for row in rows]

    @property
    def get_enabled_cveps(self) -> list[tuple[Any, ...]]:
        """``[(view_class, options)]`` of the active plugins."""
        return [row for rows in self._shapes("cvep") for row in rows]

    @property
    def get_enabled_filters(self) -> list[tuple[str, Any]]:
        """``[(name, function)]`` of the active plugins."""
        return [row for rows in self._shapes("filter") for row in rows]

    @property
    def get_enabled_errhandlers(self) -> list[tuple[Any, Any]]:
        """``[(code or class, function)]`` of the active plugins."""
        return [row for rows in self._shapes("errhandler") for row in rows]

    @property
    def get_enabled_tcps(self) -> list[dict[str, Any]]:
        """``[{name: value}]`` of the active plugins."""
        return [{name: value} for tcp in self._shapes("tcp") for name, value in tcp.items()]


def row_named(name: str, rows: Iterable[Plugin]) -> Plugin:
    """Return the plugin with this name, the first if there are several, or raise `unknown`."""
    by_name = {row.name: row for row in reversed(tuple(rows))}
    if name not in by_name:
        raise unknown(name, by_name)
    return by_name[name]


def unknown(name: str, rows: Iterable[str]) -> PluginError:
    """Return what to tell of a plugin that isn't there; it begins as in 3.x."""
    guess = nearest(name, tuple(row for row in rows if row != name))
    hint = f"; did you mean {guess!r}?" if guess else ""
    return PluginError(f"No plugin named {clean(name, 100)} was found{hint}")
