"""Which plugin requires which, in both directions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flask_pluginkit.manifest import Requirement
    from flask_pluginkit.snapshot import Plugin


class Need(NamedTuple):
    """One plugin that another requires, or that requires it."""

    name: str
    versions: str
    """The range of versions that is required, of the one that is required."""
    state: str
    """Version and status of that plugin, or that there is none."""


def needs_of(row: Plugin, rows: Iterable[Plugin]) -> list[Need]:
    """Return what a plugin requires."""
    by_name = {each.name: each for each in reversed(tuple(rows))}
    return [
        Need(required.plugin, _range(required), _state(by_name, required.plugin))
        for required in row.manifest.requires
    ]


def needed_by(row: Plugin, rows: Iterable[Plugin]) -> list[Need]:
    """Return the plugins that require one."""
    return [
        Need(other.name, _range(required), _words(other))
        for other in rows
        for required in other.manifest.requires
        if required.plugin == row.name and other is not row
    ]


def _range(required: Requirement) -> str:
    found = str(required.versions)
    return "any version" if found in {"", "*"} else found


def _state(by_name: dict[str, Plugin], name: str) -> str:
    return _words(by_name[name]) if name in by_name else "not found"


def _words(row: Plugin) -> str:
    return f"{row.version} is {row.status.value}" if row.version else row.status.value
