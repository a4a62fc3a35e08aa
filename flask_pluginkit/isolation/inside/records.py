"""Log records of the plugin: those made during an exchange travel with its reply.

All others go to standard error, which is a pipe to the supervisor.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Final

from flask_pluginkit.isolation.messages import (
    Record,
)
from flask_pluginkit.text import shorten

COUNT: Final = 100
"""Records that one reply takes along."""
SIZE: Final = 64 << 10
"""Characters of their texts together."""
LONGEST_TEXT: Final = 16 << 10
LONGEST_NAME: Final = 200


class Collected:
    """The records of one exchange that haven't been sent yet."""

    __slots__ = ("_count", "_dropped", "_records", "_size")

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._count = self._size = self._dropped = 0

    def add(self, level: int, name: str, text: str) -> None:
        """Take a record, unless there are too many."""
        text = shorten(text, LONGEST_TEXT)
        if self._count >= COUNT or self._size + len(text) > SIZE:
            self._dropped += 1
            return
        self._count += 1
        self._size += len(text)
        self._records.append(
            Record(level=level, name=sendable(shorten(name, LONGEST_NAME)), text=sendable(text))
        )

    def take(self) -> list[Record]:
        """Return what wasn't taken before, for the next part of the reply."""
        records, self._records = self._records, []
        if self._dropped:
            text = f"{self._dropped} more records were left out"
            records.append(Record(level=logging.WARNING, name=__name__, text=text))
            self._dropped = 0
        return records


_COLLECTED: ContextVar[Collected | None] = ContextVar("records of this exchange", default=None)


@contextmanager
def collecting() -> Iterator[Collected]:
    """Collect what this thread logs inside of the block, and what it calls in other threads."""
    collected = Collected()
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


class Handler(logging.Handler):
    """Gives records to the exchange that they were made in, or to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        try:
            text = self.format(record)
            if (collected := _COLLECTED.get()) is not None:
                collected.add(record.levelno, record.name, text)
            elif sys.stderr is not None:
                line = f"{record.levelname} {record.name}: {shorten(text, LONGEST_TEXT)}\n"
                sys.stderr.write(sendable(line))
                sys.stderr.flush()
        except Exception:  # noqa: BLE001 - what is logged is the plugin's, and may fail
            self.handleError(record)


def install(undo: ExitStack, *, debug: bool) -> None:
    """Be the handler of all logging in this process."""
    root, handler = logging.getLogger(), Handler()
    level = root.level
    root.addHandler(handler)
    # what is worth a record is decided by the host's configuration
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    undo.callback(root.removeHandler, handler)
    undo.callback(root.setLevel, level)


def sendable(text: str) -> str:
    """Return a text that can be encoded, with halves of characters written out."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
