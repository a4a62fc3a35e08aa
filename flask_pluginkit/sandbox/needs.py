"""What an ordinary plugin relies on, tried after the confinement.

Another C library, a security module or the filter of a container may forbid more than this
package does. Plugins would then fail at their first request, with errors that nobody relates to
the sandbox.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .policy import Report

LATE: Final = "colorsys"
"""A small module of the standard library that nothing else imports."""

DEADLINE: Final = 5.0
"""How long a thread may take to answer, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that must work; any exception is why it doesn't."""

    name: str
    attempt: Callable[[Report], object]
    own_folder: bool = False
    """Whether it is only tried where the process was granted a folder of its own."""


def unmet(need: Need, report: Report) -> str | None:
    """Try it and return what went wrong, None if it works or isn't granted."""
    if need.own_folder and report.policy.data is None:
        return None
    try:
        need.attempt(report)
    except Exception as error:  # noqa: BLE001 - whatever it is, plugins would meet it too
        return f"{type(error).__name__}: {error}"
    return None


def _thread(_report: Report) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.set, daemon=True)
    thread.start()
    if not done.wait(DEADLINE):
        raise TimeoutError(f"a thread didn't run within {DEADLINE} s")
    thread.join(DEADLINE)


def _late_import(_report: Report) -> None:
    spec = importlib.util.find_spec(LATE)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {LATE!r}")
    # without an entry in sys.modules: the plugin's own import is to find nothing of ours
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _own_code(report: Report) -> None:
    next(Path(report.policy.code).iterdir(), None)


def _temporary_file(_report: Report) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "one"), Path(folder, "other")
        one.write_bytes(b"x")
        one.rename(other)


def _database_in_memory(_report: Report) -> None:
    _use_database(":memory:")


def _database_in_file(_report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _use_database(str(Path(folder, "probe.sqlite")))


def _use_database(name: str) -> None:
    connection = sqlite3.connect(name)
    try:
        connection.execute("pragma synchronous = off")  # waiting for the disk proves nothing
        with connection:
            connection.execute("create table probe (value integer)")
            connection.execute("insert into probe values (1)")
        if connection.execute("select value from probe").fetchall() != [(1,)]:
            raise sqlite3.DatabaseError("what was written can't be read")
    finally:
        connection.close()


def _event_loop(_report: Report) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


def _randomness(_report: Report) -> None:
    if len(os.urandom(8)) != 8:
        raise OSError("too little of it")
    Path("/dev/urandom").open("rb", buffering=0).close()


NEEDFUL: Final = (
    Need(name="read the plugin's own folder", attempt=_own_code),
    Need(name="start a thread", attempt=_thread),
    Need(name="import from the standard library", attempt=_late_import),
    Need(name="a temporary file in the own folder", attempt=_temporary_file, own_folder=True),
    Need(name="a database in memory", attempt=_database_in_memory),
    Need(name="a database in the own folder", attempt=_database_in_file, own_folder=True),
    Need(name="an asyncio event loop", attempt=_event_loop),
    Need(name="random bytes", attempt=_randomness),
)
"""What must work before any code of a plugin is imported."""
