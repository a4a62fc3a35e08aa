"""Changing the settings of a plugin while it runs: ``flask plugins set``, in every worker."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from .application import Site
from .configured import sources
from .exceptions import PluginError, SettingError, StateError
from .frozen import Frozen, replace
from .loadings import Loading
from .records import unknown
from .rewriting import rewrite
from .settings.fields import HIDDEN, Declaration
from .settings.resolving import Setting, explain, resolve, together
from .settings.values import from_given
from .snapshot import Snapshot
from .state.base import State, WantedState
from .switching import Change, Switchboard
from .text import UnusableText, clean, nearest

OTHERS_READ: Final = 0o004
OTHERS_ENTER: Final = 0o001


class Wish(Frozen):
    """What somebody wants to have changed."""

    plugin: str
    values: Mapping[str, Any]
    """By field; text is read where the field is no text."""
    reset: tuple[str, ...]
    """The fields whose stored values are to go."""
    by: str
    source: str


def configure(board: Switchboard, wish: Wish) -> Change:
    """Store settings of a plugin, for every worker from its next request on, or change nothing.

    Raises:
        SettingError: a value can't be used, or the plugin is active and couldn't be with it.
        StateError: the state or the audit can't be written, or others could read a secret in it.
        PluginError: there is no such plugin, or its settings can't be known.

    """
    site = board.site
    entry: dict[str, Any] = {
        "action": "configure",
        "plugins": [wish.plugin],
        "by": wish.by,
        "from": wish.source,
    }

    def rehearse(state: State) -> tuple[State, Snapshot]:
        before = _row(site, state, wish.plugin)
        if before is None and wish.plugin not in state.settings:
            raise unknown(wish.plugin, (each.name for each in site.startup.loadings))
        was_active = before is not None and before.is_active
        new, told = _changed(site, state, wish)
        entry.update(told)
        rows = site.prepare(new, _say_nothing)
        _require_active(wish, rows, was_active=was_active)
        _require_wanted(site, new, wish)
        return new, site.draft(rows, new)

    return rewrite(board, entry, rehearse)


def _say_nothing(_loading: Loading) -> None:
    """What comes of the change is told to whoever asked for it."""


def _row(site: Site, state: State, plugin: str) -> Loading | None:
    rows = {row.name: row for row in site.prepare(state, _say_nothing)}
    return rows.get(plugin)


def _changed(site: Site, state: State, wish: Wish) -> tuple[State, dict[str, Any]]:
    """Return the state that is wanted, and what the audit tells of it. Raises PluginError."""
    stored = dict(state.settings.get(wish.plugin, {}))
    told: dict[str, Any] = {}
    if wish.reset:
        told["reset"] = list(wish.reset)
    declaration = None
    if wish.values or not stored.keys() >= set(wish.reset):
        declaration = _learn(site, state, wish.plugin)
        _refuse_unknown(wish, declaration, stored)
    for name in wish.reset:
        stored.pop(name, None)
    if declaration is not None and wish.values:
        given = _read(wish, declaration)
        secrets = {field.name for field in declaration.fields if field.is_secret}
        if not secrets.isdisjoint(given):
            require_private(site.control)
        told["values"] = {name: HIDDEN if name in secrets else v for name, v in given.items()}
        stored |= given
    settings = {**state.settings, wish.plugin: stored}
    if not stored:
        del settings[wish.plugin]
    return replace(state, settings=settings), told


def _learn(site: Site, state: State, plugin: str) -> Declaration:
    """Return what a plugin declares; one that is disabled is loaded, and stays disabled.

    So is one that is quarantined: a wrong value may be why, which has to be mended first.
    """
    row = _row(site, state, plugin)
    if row is None:
        names = [loading.name for loading in site.startup.loadings]
        raise unknown(plugin, names)
    if not row.is_registered:
        wanted = {**state.wanted, plugin: WantedState.ENABLED}
        held = {name: why for name, why in state.quarantined.items() if name != plugin}
        row = _row(site, replace(state, wanted=wanted, quarantined=held), plugin) or row
    return declaration_of(row)


def declaration_of(row: Loading) -> Declaration:
    """Return what a plugin declares, or raise PluginError with why that isn't known."""
    if row.configurable is not None:
        return row.configurable.declaration
    if row.is_registered and not row.shapes["settings"]:
        raise PluginError(f"plugin {row.name!r} has no settings")
    why = f"it is {row.status.value}" + (f" ({row.reason})" if row.reason else "")
    raise PluginError(f"the settings of plugin {row.name!r} aren't known: {why}")


def _refuse_unknown(wish: Wish, declaration: Declaration, stored: Mapping[str, Any]) -> None:
    errors = []
    for name in dict.fromkeys((*wish.values, *wish.reset)):
        if declaration.field(name) is None and (name in wish.values or name not in stored):
            guess = nearest(name, declaration.names)
            errors.append(
                SettingError(
                    wish.plugin,
                    clean(name, 100),
                    "a setting that it doesn't have",
                    "one of " + ", ".join(declaration.names),
                    f"did you mean {guess!r}?" if guess else "",
                )
            )
        elif name in wish.values and name in wish.reset:
            errors.append(SettingError(wish.plugin, name, "a value, and that it goes", "either"))
    if errors:
        raise together(errors)


def _read(wish: Wish, declaration: Declaration) -> dict[str, Any]:
    """Return what is to be stored; raise SettingError with all that can't be."""
    values, errors = {}, []
    for name, given in wish.values.items():
        field = declaration.field(name)
        assert field is not None
        try:
            values[name] = from_given(field, given)
        except UnusableText as error:
            errors.append(SettingError(wish.plugin, name, error.found, error.expected))
    if errors:
        raise together(errors)
    return values


def _require_active(wish: Wish, rows: Iterable[Loading], *, was_active: bool) -> None:
    """Raise if the change takes the plugin out, or if it doesn't want these values."""
    row = next((row for row in rows if row.name == wish.plugin), None)
    if row is not None and was_active and not row.is_active:
        raise row.error or PluginError(row.reason)


def _require_wanted(site: Site, new: State, wish: Wish) -> None:
    """Raise if the plugin, active or not, doesn't want the values as they are together now."""
    row = next((row for row in site.startup.loadings if row.name == wish.plugin), None)
    if row is None or row.configurable is None or row.resident is None or not wish.values:
        return
    found = sources(row, new, site.app, site.startup.loadings)
    try:
        values, _origins = resolve(wish.plugin, row.configurable.declaration, found)
    except SettingError:
        return  # others are to be set first
    with row.resident.running():
        row.configurable.make(wish.plugin, values)
    row.configurable.check(wish.plugin, values)


def require_private(control: Path) -> None:
    """Raise StateError where every user of the machine could read what is stored."""
    if os.name != "posix":
        return
    folder = control.absolute()
    with suppress(OSError):
        if folder.stat().st_mode & OTHERS_READ and can_others_enter(folder):
            raise StateError(
                f"the secret isn't stored, as every user of this machine could read it in "
                f"{folder}: take that from them (chmod o-rwx {folder}), or set it in the "
                "environment"
            )


def can_others_enter(folder: Path) -> bool:
    """Tell whether every user of the machine gets to what is in a folder. Raises OSError."""
    return all(each.stat().st_mode & OTHERS_ENTER for each in (folder, *folder.parents))


def settings_of(site: Site, plugin: str) -> tuple[Setting, ...]:
    """Return a row for each setting of a plugin. Raises PluginError if they aren't known."""
    site.pin()
    rows = {row.name: row for row in site.startup.loadings}
    if plugin not in rows:
        raise unknown(plugin, rows)
    declaration = declaration_of(rows[plugin])
    found = sources(rows[plugin], site.state, site.app, rows.values())
    return tuple(explain(plugin, declaration, found))
