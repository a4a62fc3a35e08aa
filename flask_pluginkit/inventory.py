"""The inventory: what the last running application knew of its plugins, for when none runs.

It is written by workers, off the request path, and read where plugins can't be asked: in safe
mode, which must know which of them guard the site.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from .durable import Ownership, read_regular, replace
from .exceptions import StateError
from .frozen import Frozen
from .snapshot import Plugin, Status
from .state.base import WantedState

INVENTORY: Final = "inventory.json"
FORMAT: Final = 1
LARGEST: Final = 64 * 1024 * 1024
"""Bytes that are read: of ten thousand plugins with the longest reasons."""
_ACTIVE: Final = Status.ACTIVE


class Inventory(Frozen):
    """What was written down."""

    plugins: Mapping[str, Mapping[str, Any]]
    """By name; whoever may write to the folder may have written anything."""
    seen: float
    """When a worker last found it to be so, in seconds since the epoch."""


class Lockable(Protocol):
    """What of a store is needed to write beside its state."""

    def exclusive(self, timeout: float | None = None) -> Any:
        """Return the lock of the state, as a context manager."""


def write_inventory(store: Lockable, control: Path, rows: Sequence[Plugin]) -> bool:
    """Write down what is known of `rows`, unless that stands there already. Raises nothing.

    Nobody is waited for: who holds the lock may be waiting for this worker. Returns whether
    it stands there now.
    """
    known = read_inventory(control)
    plugins = {row.name: _entry(row, known.get(row.name, {})) for row in rows}
    if known == plugins:
        with suppress(OSError, NotImplementedError):  # this is how old it is
            os.utime(control / INVENTORY, follow_symlinks=False)
        return True
    content = {"format": FORMAT, "written": time.time(), "plugins": plugins}
    with suppress(OSError, StateError):
        if control.is_dir():
            with store.exclusive(0):
                owner = Ownership.of_folder(control.stat())
                replace(control / INVENTORY, json.dumps(content).encode(), owner)
                return True
    return False


def _entry(row: Plugin, known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": row.version,
        "status": row.status.value,
        "reason": row.reason,
        "wanted": row.wanted.value,
        "origin": row.candidate.origin.value,
        "isolation": row.isolation,
        "folder": str(row.candidate.folder),
        "guards": _guards(row, known),
    }


def _guards(row: Plugin, known: Mapping[str, Any]) -> bool | None:
    """Tell whether a plugin may protect pages of others, None of one that never ran anywhere."""
    if row.guards or row.manifest.optional or row.status is Status.ACTIVE:
        return row.guards
    found = known.get("guards")
    return found if isinstance(found, bool) else None


def read_inventory(control: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return what was written down, by plugin; nothing where there is nothing to be read."""
    found = load_inventory(control)
    return found.plugins if found else {}


def load_inventory(control: Path) -> Inventory | None:
    """Return what was written down and how old it is, None where there is nothing to be read."""
    place = control / INVENTORY
    try:
        plugins = json.loads(read_regular(place, LARGEST))["plugins"]
        seen = place.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(plugins, dict):
        return None
    entries = {name: entry for name, entry in plugins.items() if isinstance(entry, dict)}
    return Inventory(plugins=entries, seen=seen)


def why_closed(rows: Sequence[Plugin], control: Path, *, is_safe_mode: bool) -> str:
    """Tell why the application's own pages are shut: because a plugin that guards them is out.

    Args:
        rows: all plugins.
        control: the control folder.
        is_safe_mode: whether no plugin runs.

    """
    # each switch asks this of all plugins, and nearly always there is nobody to be asked about
    idle = [row for row in rows if row.status is not _ACTIVE]
    if is_safe_mode:
        known = read_inventory(control)
        out = [
            row.name
            for row in idle
            if row.wanted is WantedState.ENABLED
            and row.status is not Status.MISSING
            # one that nobody knows may be a guard
            and known.get(row.name, {}).get("guards") is not False
            and not row.manifest.optional
        ]
        why = "safe mode is on"
    elif out := [row.name for row in idle if row.status is Status.QUARANTINED and row.guards]:
        why = "it failed too often and is quarantined"
    else:
        out = _failed_guards(idle, control)
        why = "it can't be loaded; mend it, or disable it"
    if not out:
        return ""
    return f"This page is protected by {', '.join(out)}, which can't run now: {why}."


def _failed_guards(rows: Iterable[Plugin], control: Path) -> list[str]:
    """Return the plugins that are wanted, are broken, and guarded the site when they ran last."""
    failed = [
        row
        for row in rows
        if row.status in {Status.FAILED, Status.INCOMPATIBLE}
        and row.is_broken
        and row.wanted is WantedState.ENABLED
        and not row.manifest.optional
    ]
    if not failed:
        return []
    known = read_inventory(control)
    return [row.name for row in failed if known.get(row.name, {}).get("guards") is True]
