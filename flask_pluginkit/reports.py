"""The values that workers exchange, and their form as JSON.

Whoever may write to the control folder may have written a file there: what doesn't have the
expected shape is no report, and all text is made printable before anybody sees it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from .frozen import Frozen, names_of
from .text import clean

FORMAT: Final = 1

LONGEST: Final = 4 * 1024 * 1024
"""Bytes that are read of a file; a thousand plugins that all failed need a tenth of it."""

T = TypeVar("T")


class Report(Frozen):
    """How one worker is, by its own account."""

    id: str
    """Random, made when the worker joined."""
    pid: int
    """The number of the process where it runs: in a container another than outside."""
    host: str
    """The name of the machine or container."""
    started: float
    """When it joined, in seconds since the epoch."""
    written: float
    """When it wrote this, in seconds since the epoch."""
    generation: int = 0
    """The state that its requests see."""
    plugins: Mapping[str, str]
    """The status of each plugin by name."""
    errors: Mapping[str, int]
    """How many faults each plugin had; those without any may be left out."""
    loaded: tuple[str, ...] = ()
    """The plugins whose code it has, active or not."""
    announcement: int = 0
    """The last announcement that it is done with, 0 for none."""
    failures: Mapping[str, str]
    """Why plugins of that announcement can't be prepared, by name."""


class Announcement(Frozen):
    """What all workers are to prepare before it is enabled."""

    number: int
    names: tuple[str, ...]
    """The plugins that are to be enabled."""
    wanted: Mapping[str, str]
    """The whole wanted state to prepare: ``enabled`` or ``disabled`` by plugin."""
    by: str = ""
    """Who announces it."""
    deadline_seconds: float = 0.0
    """How long an answer is waited for."""


TOLD: Final = ("generation", "plugins", "errors", "loaded", "announcement", "failures")
"""What a worker tells of itself; the rest of a report is added for it."""


def report_text(
    told: Mapping[str, Any], *, pid: int, host: str, started: float
) -> tuple[bytes, Report]:
    """Return a report as the content of a file, and as who reads that will see it (without id).

    Raises `ValueError` or `TypeError` if it couldn't be read again.
    """
    if unknown := told.keys() - set(TOLD):
        raise ValueError(f"a report has no {sorted(unknown)}, only {', '.join(TOLD)}")
    row: dict[str, Any] = {"format": FORMAT, "pid": pid, "host": host, "started": started}
    row["written"] = time.time()
    row.update(told)
    content = json.dumps(row).encode()
    try:
        return content, _report("", row)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("a report of this shape can't be read again") from error


def read_report(worker: str, content: bytes) -> Report | None:
    """Return what the file of the worker with this id says, None if it is no report."""
    return _read(content, lambda row: _report(worker, row))


def _report(worker: str, row: Mapping[str, Any]) -> Report:
    return Report(
        id=worker,
        pid=_integer(row["pid"]),
        host=_text(row["host"]),
        started=_seconds(row["started"]),
        written=_seconds(row["written"]),
        generation=_integer(row.get("generation", 0)),
        plugins=_by_name(row.get("plugins", {}), _text),
        errors=_by_name(row.get("errors", {}), _integer),
        loaded=_names(row.get("loaded", [])),
        announcement=_integer(row.get("announcement", 0)),
        failures=_by_name(row.get("failures", {}), _text),
    )


def announcement_text(entry: Mapping[str, Any]) -> bytes:
    """Return an announcement as the content of a file.

    Raises `ValueError` or `TypeError` if it couldn't be read again.
    """
    known = names_of(Announcement)
    if unknown := entry.keys() - set(known):
        raise ValueError(f"an announcement has no {sorted(unknown)}, only {', '.join(known)}")
    row = {"format": FORMAT, **entry, "names": list(entry["names"])}
    content = json.dumps(row).encode()
    if read_announcement(content) is None:
        raise ValueError("an announcement of this shape can't be read again")
    return content


def read_announcement(content: bytes) -> Announcement | None:
    """Return what the file of the announcement says, None if it is none."""
    return _read(
        content,
        lambda row: Announcement(
            number=_integer(row["number"]),
            names=_names(row["names"]),
            wanted=_by_name(row["wanted"], _text),
            by=_text(row.get("by", "")),
            deadline_seconds=_seconds(row.get("deadline_seconds", 0.0)),
        ),
    )


def _read(content: bytes, read: Callable[[dict[str, Any]], T]) -> T | None:
    try:
        row = json.loads(content)
        if not isinstance(row, dict) or row.get("format") != FORMAT:
            return None
        return read(row)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(value)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return clean(value)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    return tuple(_text(name) for name in value)


def _by_name(value: Any, read: Callable[[Any], T]) -> dict[str, T]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return {clean(name): read(each) for name, each in value.items()}
