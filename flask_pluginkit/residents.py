"""Whose code is running: plugins as the owners of calls, and what is counted of them.

`OWNER` is the plugin whose code runs in this context. The barrier sets it around every call into a
plugin; template names, log records and what is registered or pushed at run time go by it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper
from inspect import iscoroutinefunction
from operator import length_hint
from pathlib import Path
from typing import Any, Final, Protocol, final
from weakref import ref

from .breaker import Breaker


class Meter:
    """Calls, faults and times (seconds) of one plugin at one point."""

    __slots__ = ("errors", "own", "point", "resident", "slowest", "total")

    def __init__(self, point: str, resident: Resident | None = None) -> None:
        self.point = point
        self.resident = resident
        self.own = 0
        """Calls that no tally counts."""
        self.errors = 0
        self.total = 0.0
        self.slowest = 0.0

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum([tally.calls_of(self) for tally in _tallies()], self.own)

    def add(self, seconds: float) -> None:
        """Count one call."""
        self.own += 1
        self.took(seconds)

    def took(self, seconds: float) -> None:
        """Note how long a call took that is counted elsewhere."""
        self.total += seconds
        if seconds > self.slowest:
            self.note_slowest(seconds)

    def note_slowest(self, seconds: float) -> None:
        """Note the slowest call so far, and tell of it where it delays the pages of others."""
        self.slowest = seconds
        resident = self.resident
        if resident is None or self.point.startswith(_MAY_TAKE_TIME):
            return
        budget = resident.breaker.limits.budget
        if budget is not None and seconds > budget:
            resident.home.logger.warning(
                "plugin %r: %s took %.2f s, and its budget is %g s",
                resident.name,
                self.point,
                seconds,
                budget,
                extra={"plugin": resident.name},
            )


class Tally:
    """How often a loop has called all of its functions: counted as one, for each of its meters.

    To count each call by itself would take as long as many a call takes. Each switch makes new
    ones: so meters aren't told of them, but ask those that there are.
    """

    __slots__ = ("__weakref__", "_counts", "least", "rows", "runs")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.runs = 0
        self.least = 0.0
        """No meter's slowest call was faster than this; so others needn't be looked at."""
        self._counts: Mapping[Meter, int] | None = None
        """How many functions of each meter there are, once somebody has asked."""
        _TALLIES[id(self)] = ref(self)

    def calls_of(self, meter: Meter) -> int:
        """Return how many calls are counted here that belong to `meter`."""
        if self._counts is None:
            self._counts = Counter([meter for _function, meter in self.rows])
        return self.runs * self._counts.get(meter, 0)

    def count(self, rows: Rows, left: int) -> None:
        """Count a run that called all but the last `left` functions."""
        if left:
            for _function, meter in rows[:-left]:
                meter.own += 1
            return
        self.runs += 1
        if not self.runs % _RUNS_PER_LOOK:
            self.least = min([meter.slowest for _function, meter in rows], default=0.0)

    def give(self) -> None:
        """Give the meters what was counted here, as the loop is no longer in use."""
        _TALLIES.pop(id(self), None)
        if self.runs:
            for _function, meter in self.rows:
                meter.own += self.runs


_TALLIES: Final[dict[int, ref[Tally]]] = {}
"""Those of all loops that are in use, in all applications of the process, which they hold."""


def _tallies() -> Iterator[Tally]:
    # copied in one step, as a switch in another thread adds some
    found = (there() for there in list(_TALLIES.values()))
    return (tally for tally in found if tally is not None and tally.runs)


_RUNS_PER_LOOK: Final = 256

Rows = tuple[tuple[Callable[..., Any], Meter], ...]
"""What a loop calls: functions of plugins, and where each is counted."""

_MAY_TAKE_TIME: Final = ("view ", "command ")
"""Points that nobody waits for but who has asked for them."""


class Home(Protocol):
    """What the barrier asks of the application that a plugin lives in."""

    logger: logging.Logger

    def is_strict(self) -> bool:
        """Tell whether faults are to be raised where they could be contained."""

    def claims_error(self, error: Exception, broad: bool) -> bool:
        """Tell whether an error handler is registered for this error.

        Handlers for every exception (`Exception`, 500) count only if `broad`.
        """

    def new_breaker(self) -> Breaker:
        """Return what decides when the faults of one plugin are too many."""

    def trip(self, resident: Resident, point: str) -> None:
        """Take out a plugin whose faults are too many, the last one at `point`."""


class Resident:
    """One plugin in one application of this process, as the owner of running code."""

    __slots__ = (
        "breaker", "folder", "home", "last_fault", "meters", "module", "name", "optional",
        "settings",
    )  # fmt: skip

    def __init__(self, home: Home, name: str, folder: Path, optional: bool = False) -> None:
        self.home = home
        self.breaker = home.new_breaker()
        self.name = name
        self.folder = folder
        self.optional = optional
        self.module = ""
        self.meters: dict[str, Meter] = {}
        self.last_fault = ""
        self.settings: Any = None
        """The settings that it had last (`settings.resolving.Resolved`), for while it is loaded."""

    def meter(self, point: str) -> Meter:
        """Return the meter of `point`, always the same one."""
        if (meter := self.meters.get(point)) is None:
            meter = self.meters.setdefault(point, Meter(point, self))
        return meter

    @property
    def calls(self) -> int:
        """How many calls into the plugin there were."""
        meters = list(self.meters.values())
        calls = sum([meter.own for meter in meters])
        return sum([sum(map(tally.calls_of, meters)) for tally in _tallies()], calls)

    @property
    def errors(self) -> int:
        """How many of them failed."""
        return sum([meter.errors for meter in list(self.meters.values())])

    def owns(self, function: object) -> bool:
        """Tell whether a function or object comes from the plugin's own modules."""
        module = getattr(function, "__module__", None) or ""
        return module == self.module or module.startswith(f"{self.module}.")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this plugin the owner of what runs inside the block."""
        token = OWNER.set(self)
        try:
            yield
        finally:
            OWNER.reset(token)


@final
class Running:
    """Stands in `OWNER` for the plugins of a loop: how far that has come tells whose code runs.

    A context variable takes longer to set than most hooks take. The price: what a hook starts
    in a copy of its context, and leaves running, has no owner once the loop is over.
    """

    __slots__ = ("rows", "turn")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.turn = iter(rows)
        """What the loop goes through."""

    def resident(self) -> Resident | None:
        """Return the plugin whose function was called last."""
        place = len(self.rows) - length_hint(self.turn)
        return self.rows[place - 1][1].resident if place > 0 else None

    def end(self, tally: Tally) -> None:
        """Count what was called, as the loop is over; what it has left running has no owner."""
        tally.count(self.rows, length_hint(self.turn))
        self.rows = ()


class _Owner:
    """A context variable for a `Resident`, which loops set once for many of them."""

    def __init__(self) -> None:
        self._var: ContextVar[Resident | Running | None]
        self._var = ContextVar("flask_pluginkit.owner", default=None)
        self.set = self._var.set
        self.reset = self._var.reset

    def get(self) -> Resident | None:
        """Return the plugin whose code is running."""
        found = self._var.get()
        if type(found) is Running:
            return found.resident()
        return found


OWNER: Final = _Owner()
"""The plugin whose code is running, None while the application's own code runs."""


def run_as_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of the application so that it runs as such wherever it is called.

    Coroutine functions stay as they are, as do those of Jinja and Flask, which ask for no
    template by its name.
    """
    module = getattr(function, "__module__", None) or ""
    if module.partition(".")[0] in _NEUTRAL or iscoroutinefunction(function):
        return function
    return run_as(None, function)


def run_as(owner: Resident | None, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it runs as `owner` wherever it is called."""

    def as_owner(*args: Any, **kwargs: Any) -> Any:
        token = OWNER.set(owner)
        try:
            return function(*args, **kwargs)
        finally:
            OWNER.reset(token)

    return update_wrapper(as_owner, function)


_NEUTRAL: Final = frozenset({"jinja2", "flask", "markupsafe", "builtins"})
