"""What the operator asked for, and the seam to whatever stores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from flask_pluginkit.frozen import NO_ENTRIES, Frozen, names_of


class WantedState(StrEnum):
    """What the operator asked for; what became of it in a process is the plugin's status."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class Quarantine(Frozen):
    """Why a plugin that is wanted isn't called any more, in any worker."""

    since: float
    """Seconds since the epoch."""
    reason: str
    traceback: str
    by: str
    """Who did it: a worker, or the name of a person."""
    guards: bool = False
    """Whether it has a hook that may protect pages of others, which are shut meanwhile."""


class State(Frozen):
    """All that is stored about plugins at one moment. Nobody changes it or its mappings."""

    generation: int = 0
    """A number that is never used for a second state; 0 is the state before the first."""
    wanted: Mapping[str, WantedState] = NO_ENTRIES
    """By name of plugin. Who isn't in it is as its ``__state__`` says."""
    quarantined: Mapping[str, Quarantine] = NO_ENTRIES
    """By name of plugin."""
    scan: int = 0
    """How often everybody was asked to look for plugins anew."""
    isolation: Mapping[str, str] = NO_ENTRIES
    """By name of plugin: where it runs, if an operator said so (`isolation.levels.Isolation`)."""
    settings: Mapping[str, Mapping[str, Any]] = NO_ENTRIES
    """By name of plugin and field, what an operator has set: some are secrets. Lists are tuples."""

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in names_of(State) if name != "settings"}
        told = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"State({told}, settings of {sorted(self.settings)})"


class StateStore(Protocol):
    """Where the state is kept: files today, something shared by a cluster tomorrow.

    One instance serves all threads of a process and the processes that are forked from it.
    """

    def know(self, folders: Mapping[str, Path]) -> None:
        """Tell where the plugins lie, by name; a store may keep something beside their code."""

    def open(self) -> bool:
        """Get ready to follow others, in a process that serves; False if that can't write.

        Never raises: what is wrong is said by `load`, `swap` and `notice`.
        """

    def load(self) -> State:
        """Return the state. It takes microseconds, since requests do this when the hint changed.

        Raises `StateError` with what to do if it can't be read. Creates nothing.
        """

    def swap(self, expected: int, new: State, confirm: Callable[[], None] = lambda: None) -> State:
        """Store `new` if the stored generation is `expected`, and return it with its own.

        The generation in `new` doesn't matter. It is stored for good when this returns.
        `confirm` is called before anything has changed; what it raises ends it.
        Raises `StateConflictError` if the generation is another one, and `StateError` if the
        new state can't be stored; then nothing has changed.
        """

    def exclusive(self, timeout: float | None = None) -> AbstractContextManager[None]:
        """Keep others on this host from writing; within, only this thread may do so.

        `timeout`: for how many seconds others are waited for; by default the store decides.
        Helper threads wait for nobody: who is within may be waiting for their answer.
        A thread that is within may enter again. Raises `StateError` on entry if others stay
        too long in it, or if the state can't be written at all.
        """

    def notice(self) -> bool:
        """Look for what others did without the hint; True if `load` gives something new by it.

        Such as markers made by hand, a restored backup, a writer that was killed or that runs
        on another host. Called once a second, off the request path. Raises `StateError` where
        `load` would.
        """

    @property
    def hint(self) -> int:
        """What changes with every new state, in nanoseconds; 0 where that isn't to be had.

        To be read before `load`, and compared by ``!=``: a restored backup makes it smaller.
        """

    @property
    def announced(self) -> int:
        """The number of announcements made: what a worker compares to learn of a new one."""

    def announce_number(self) -> int:
        """Raise the number of announcements by one and return it."""
