"""Exceptions of a plugin that were raised in its own process."""

from __future__ import annotations

from textwrap import indent
from typing import Any, Final, NoReturn

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.residents import Resident
from flask_pluginkit.text import clean

from .messages import (
    Answer,
    Failure,
    Result,
)

JUST_IN_TIME: Final = "its deadline"
"""The point at which answers are counted that came late, and not too late."""


class PluginFault(PluginError):  # noqa: N818 - the word for it everywhere
    """An exception of an isolated plugin, told in its words."""

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback
        """As its process formatted it; untrusted text without control characters."""
        if traceback:
            self.add_note(quoted(traceback))


def count_late(resident: Resident, seconds: float) -> None:
    """Count an answer that came just before the deadline as a fault of the plugin.

    The page gets it. But whoever answers so again and again keeps threads of the host waiting,
    and misses no deadline that would end it.
    """
    meter = resident.meter(JUST_IN_TIME)
    meter.errors += 1
    resident.last_fault = f"it answered after {seconds:.2f} s, just before the deadline\n"
    if resident.breaker.fault(resident.calls):
        resident.home.trip(resident, meter.point)


def quoted(traceback: str) -> str:
    """Return a traceback in a plugin's words as others may log it: no line looks like theirs."""
    return indent(clean(traceback, 20_000, multiline=True), "| ", lambda _line: True)


def raised(failure: Failure, plugin: str, point: str) -> NoReturn:
    """Raise what a plugin raised."""
    raise PluginFault(
        f"plugin {plugin!r} at {clean(point, 100)}: {clean(failure.error, 500)}",
        clean(failure.traceback, 20_000, multiline=True),
    )


def value_of(result: Result, plugin: str, point: str) -> Any:
    """Return the plain value of a result. Raises PluginFault for a plugin's exception."""
    if isinstance(result, Failure):
        raised(result, plugin, point)
    if isinstance(result, Answer):
        raise PluginFault(f"plugin {plugin!r}: {point} answered with a response, expected a value")
    return result.value
