"""When a plugin's faults are too many: a share of its calls, never a bare count.

The window slides: what counts is how many of the calls of the last minute failed. Calls are
counted elsewhere; this is asked only when one failed, so that the others cost nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from .exceptions import PluginError
from .frozen import Frozen, names_of, replace
from .text import describe, nearest

_GRAIN: Final = 64
"""Into how many parts of a window faults are sorted: the window is exact to one of them."""


class Limits(Frozen):
    """From when on a plugin is taken out, and until when."""

    faults: int = 10
    """At least so many calls must have failed within the window."""
    window: float = 60.0
    """How far back is looked, in seconds."""
    rate: float = 0.5
    """At least this share of the calls within the window must have failed: 1.0 is all."""
    retry_after: float | None = 300.0
    """Seconds after which a plugin is tried again; None leaves that to the operator."""
    budget: float | None = 1.0
    """Seconds that one call of a hook or tep may take before it is reported; None for any."""

    @classmethod
    def read(cls, config: object) -> Limits:
        """Return the limits that `PLUGINKIT_BREAKER` asks for, the rest as they are by default.

        Args:
            config: a mapping of the names above; None is an empty one.

        Raises:
            PluginError: names everything in it that can't be used.

        """
        if config is None:
            return cls()
        if not isinstance(config, Mapping):
            raise PluginError(
                f"Invalid PLUGINKIT_BREAKER: found {describe(config)}, expected a mapping such as "
                "{'faults': 10, 'window': 60, 'rate': 0.5}"
            )
        if problems := [text for key in config if (text := _problem(key, config[key]))]:
            raise PluginError("Invalid PLUGINKIT_BREAKER: " + "; ".join(problems))
        return cls(**config)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_duration(value: Any) -> bool:
    return _is_number(value) and value > 0


_EXPECTED: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "faults": (lambda value: type(value) is int and value > 0, "a whole number from 1"),
    "window": (_is_duration, "a number of seconds such as 60"),
    "rate": (
        lambda value: _is_number(value) and 0 < value <= 1,
        "a share above 0 and up to 1, such as 0.5",
    ),
    "retry_after": (
        lambda value: value is None or _is_duration(value),
        "a number of seconds such as 300, or None",
    ),
    "budget": (
        lambda value: value is None or _is_duration(value),
        "a number of seconds such as 1.0, or None",
    ),
}


def _problem(key: object, value: object) -> str:
    known = names_of(Limits)
    if not isinstance(key, str) or key not in known:
        guess = nearest(key, known) if isinstance(key, str) else None
        hint = f"did you mean {guess!r}?" if guess else f"known are {', '.join(known)}"
        return f"unknown key {describe(key)}; {hint}"
    is_right, expected = _EXPECTED[key]
    return "" if is_right(value) else f"{key}: found {describe(value)}, expected {expected}"


class _Mark(Frozen, kw_only=False):
    """What was counted at one moment."""

    time: float
    calls: int
    faults: int


class Breaker:
    """Watches the faults of one plugin in one process.

    Args:
        limits: when it trips.
        clock: seconds that never go backwards.

    """

    __slots__ = ("_clock", "_guard", "_is_tripped", "_latest", "_marks", "limits")

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._guard = threading.Lock()
        self._is_tripped = False
        self._start(0)

    @property
    def is_tripped(self) -> bool:
        """Tell whether the faults were too many since the last `reset`."""
        return self._is_tripped

    def fault(self, calls_so_far: int) -> bool:
        """Note a call that failed; True if there are too many now, told once until `reset`.

        Args:
            calls_so_far: how many calls there were in all, the failed ones included; the last
                ones may be missing.

        """
        with self._guard:
            now = self._look(calls_so_far)
            self._latest = latest = replace(now, faults=now.faults + 1)
            if self._is_tripped or not self._are_too_many(latest):
                return False
            self._is_tripped = True
            return True

    def observe(self, calls_so_far: int) -> None:
        """Note how many calls there were so far, where somebody looks now and then.

        Without it, those since the last fault are taken to have come evenly.
        """
        with self._guard:
            self._latest = self._look(calls_so_far)

    def reset(self, calls_so_far: int | None = None) -> None:
        """Begin anew; with `calls_so_far` where those are counted anew too."""
        with self._guard:
            self._start(self._latest.calls if calls_so_far is None else calls_so_far)

    def _start(self, calls: int) -> None:
        self._is_tripped = False
        self._latest = _Mark(self._clock(), calls, 0)
        self._marks = [self._latest]

    def _look(self, calls_so_far: int) -> _Mark:
        """Return what is counted now, without what happens now, and keep what is worth it.

        The marks are so close together that it doesn't matter when between two of them a
        fault was; where they are further apart, there was none.
        """
        latest = self._latest
        # a clock that another than ours may be, and threads that count at once
        now = _Mark(max(self._clock(), latest.time), max(calls_so_far, latest.calls), latest.faults)
        grain = self.limits.window / _GRAIN
        if now.time - self._marks[-1].time >= grain:
            if now.time - latest.time >= grain:
                self._marks.append(latest)
            self._marks.append(now)
        while len(self._marks) > 1 and self._marks[1].time <= now.time - self.limits.window:
            del self._marks[0]
        return now

    def _are_too_many(self, now: _Mark) -> bool:
        before = self._at(now.time - self.limits.window)
        faults = now.faults - before.faults
        calls = max(now.calls - before.calls, faults)
        return faults >= self.limits.faults and faults >= self.limits.rate * calls

    def _at(self, start: float) -> _Mark:
        """Return what had been counted at `start`, as far as that is known."""
        first = self._marks[0]
        if start <= first.time or len(self._marks) == 1:
            return first
        then = self._marks[1]
        share = (start - first.time) / (then.time - first.time)
        calls = first.calls + int((then.calls - first.calls) * share)
        return _Mark(start, calls, then.faults)
