"""How the workers of a host are, and asking their server for new ones."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .exceptions import PluginError, RunError, StateError
from .following import Follower
from .reports import Report
from .snapshot import Status
from .state.base import WantedState
from .text import describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The workers of this host, by their own account; its text is for people."""

    generation: int
    """The number of the state that is stored."""
    reports: tuple[Report, ...]
    """One for each worker that is alive, the oldest first."""

    @property
    def current(self) -> int:
        """How many workers are on that generation."""
        return sum(report.generation == self.generation for report in self.reports)

    def __str__(self) -> str:
        count = len(self.reports)
        noun = "worker" if count == 1 else "workers"
        return f"{self.current} of {count} {noun} on generation {self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a readiness probe wants to know of this process."""

    is_ready: bool
    """Whether it serves the application's pages, with the state that is stored."""
    generation: int
    """The state that its requests see."""
    problems: tuple[str, ...]
    """What is wrong, in words. A plugin that can't run doesn't make the process unready."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "ready": self.is_ready,
            "generation": self.generation,
            "problems": list(self.problems),
        }


def workers(follower: Follower) -> Workers:
    """Return the workers that follow the same state as this application."""
    return Workers(generation=follower.site.store.load().generation, reports=follower.roster.live())


def health(follower: Follower) -> Health:
    """Return how this process is. Raises nothing."""
    site = follower.site
    snapshot = site.current
    hindrances = []
    try:
        stored = site.store.load()
    except StateError as error:
        hindrances.append(str(error))
    else:
        if follower.is_live and stored.generation != snapshot.generation:
            hindrances.append(
                f"this worker is on generation {snapshot.generation}, "
                f"the state is at {stored.generation}"
            )
    if snapshot.closed:
        hindrances.append(snapshot.closed)
    problems = [
        f"plugin {row.name!r} is {row.status.value}: {row.reason}"
        for row in snapshot.plugins
        if row.wanted is WantedState.ENABLED and row.status is not Status.ACTIVE
    ]
    return Health(
        is_ready=not hindrances,
        generation=snapshot.generation,
        problems=(*hindrances, *problems),
    )


# ---- new workers -----------------------------------------------------------------------------

SETTING: Final = "PLUGINKIT_RELOAD"

_EXPECTED: Final = (
    f"{SETTING} to be 'gunicorn:' and the path of its pid file, or 'uwsgi:' and the path of its "
    "master FIFO"
)


def reload_workers(config: Mapping[str, Any]) -> None:
    """Ask the server for new workers, which load the code of plugins as it is on the disk now.

    The old ones finish their requests. When this returns the server has been asked.

    Raises:
        PluginError: the application isn't configured for it.
        RunError: the server can't be asked.

    """
    setting = config.get(SETTING)
    if not setting:
        raise PluginError(
            f"workers can't be reloaded: expected {_EXPECTED}; else restart the server itself"
        )
    server, _, place = str(setting).partition(":")
    if server not in _SERVERS or not place:
        raise PluginError(f"Invalid {SETTING}: found {describe(setting)}, expected {_EXPECTED}")
    try:
        _SERVERS[server](Path(place))
    except (OSError, ValueError) as error:
        raise RunError(f"{server} can't be asked to reload its workers: {error}") from error


def _reload_gunicorn(pid_file: Path) -> None:
    number = int(pid_file.read_text(encoding="ascii"))
    if number <= 1:
        raise ValueError(f"{pid_file} holds {number}, which is no server")
    os.kill(number, signal.SIGHUP)


def _reload_uwsgi(fifo: Path) -> None:
    # without a reader this fails, where an ordinary open would wait for one
    descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise ValueError(f"{fifo} is no FIFO")
        os.write(descriptor, b"r")
    finally:
        os.close(descriptor)


_SERVERS: Final = {"gunicorn": _reload_gunicorn, "uwsgi": _reload_uwsgi}
