"""The values that a plugin remembers, kept by the supervisor in one file a plugin.

Keys and values are texts here: a value is JSON that the plugin's own process wrote and reads,
so nothing of it is looked into. A change replaces the file as a whole and is on the disk when
it is answered. What a plugin may store is bounded, in bytes and in numbers.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.storage import document
from flask_pluginkit.storage.document import Entry
from flask_pluginkit.text import describe

MOST_BYTES: Final = 1 << 20
"""Of all keys and values of a plugin, in UTF-8."""

MOST_KEYS: Final = 10_000
LONGEST_KEY: Final = 1024
"""Bytes of a key, and of the name of a storage."""

LONGEST_VALUE: Final = 256 << 10
"""Bytes of a value."""

MOST_INDEXES: Final = 100
"""Storages of one plugin."""

LONGEST_TIME: Final = 100 * 365 * 86400
"""Seconds until a value expires, at most."""

_LOCK_SECONDS: Final = 10.0
_SEPARATOR: Final = "\0"
"""Stands in the document between the name of a storage and a key; in neither of them."""


class Storage:
    """The storages of one plugin; safe for threads and processes."""

    def __init__(self, home: Path, plugin: str, *, now: Callable[[], float] = time.time) -> None:
        """Keep them in a file of the plugin's below `home`; `now` tells seconds since the epoch."""
        # names of plugins may differ in case alone, and some file systems ignore that
        name = hashlib.sha256(plugin.encode()).hexdigest()[:32]
        self.path = home / f"{name}.json"
        self._now = now
        self._lock = threading.Lock()
        self._known: tuple[tuple[int, int, int], dict[str, Entry]] | None = None

    def get(self, index: str, key: str) -> str | None:
        """Return the JSON under `key`, None if there is none."""
        found = self._read().get(_full(index, key))
        return None if found is None else str(found.value)

    def list(self, index: str) -> dict[str, str]:
        """Return all keys of a storage with their JSON."""
        top = _full(index, "")
        return {
            key[len(top) :]: entry.value
            for key, entry in self._read().items()
            if key.startswith(top)
        }

    def count(self, index: str) -> int:
        """Return how many keys a storage has."""
        return len(self.list(index))

    def set(self, index: str, values: Mapping[str, str], seconds: float | None) -> None:
        """Keep all of `values`, or none; for `seconds` or, with None, for ever.

        Raises OSError: EDQUOT where there is no room, ENAMETOOLONG and EFBIG for one that is
        too long.
        """
        _check(values, seconds)
        expires = None if seconds is None else self._now() + seconds
        full = {_full(index, key): Entry(value=v, expires=expires) for key, v in values.items()}
        if full:
            self._change(lambda entries: entries.update(full))

    def remove(self, index: str, key: str) -> bool:
        """Forget `key`, and tell whether it was there."""
        full = _full(index, key)
        if full not in self._read():
            return False
        found: list[Entry] = []

        def drop(entries: dict[str, Entry]) -> None:
            if (entry := entries.pop(full, None)) is not None:
                found.append(entry)

        self._change(drop)
        return bool(found)

    def _read(self) -> dict[str, Entry]:
        now = self._now()
        return {key: entry for key, entry in self._stored().items() if entry.counts(now)}

    def _stored(self) -> dict[str, Entry]:
        """Return what is in the file, read once for each file that takes its place."""
        signature = self._signature()
        known = self._known
        if known is not None and known[0] == signature:
            return known[1]
        try:
            entries = document.read(self.path)
        except PluginError as error:
            raise OSError(errno.EIO, f"the storage can't be read: {_told(error)}") from error
        if signature is not None and signature == self._signature():
            self._known = signature, entries
        return entries

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:  # it isn't there yet, or reading it will tell
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _change(self, change: Callable[[dict[str, Entry]], None]) -> None:
        try:
            with self._lock, document.lock(self.path, _LOCK_SECONDS):
                entries = self._read()
                before = _size(entries)
                change(entries)
                _check_room(entries, before)
                document.write(self.path, entries)
        except PluginError as error:
            raise OSError(errno.EIO, f"the storage can't be written: {_told(error)}") from error


def _told(error: PluginError) -> str:
    """Return why, without the path: where the host keeps things is not the plugin's concern."""
    cause = error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else None) or "its file is damaged"


def _full(index: str, key: str) -> str:
    for text, what in ((index, "index"), (key, "key")):
        if _SEPARATOR in text:
            raise OSError(errno.EINVAL, f"{what} {describe(text)}: expected text without NUL")
        if _length(text) > LONGEST_KEY:
            raise OSError(
                errno.ENAMETOOLONG, f"{what} {describe(text)}: expected at most {LONGEST_KEY} bytes"
            )
    return f"{index}{_SEPARATOR}{key}"


def _check(values: Mapping[str, str], seconds: float | None) -> None:
    if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_TIME):
        raise OSError(errno.EINVAL, f"{describe(seconds)}: expected seconds until it expires")
    for key, value in values.items():
        if _length(value) > LONGEST_VALUE:
            raise OSError(
                errno.EFBIG,
                f"the value of {describe(key)} has {_length(value)} bytes, expected at most "
                f"{LONGEST_VALUE}",
            )


def _check_room(entries: Mapping[str, Entry], before: int) -> None:
    """Raise OSError if it is more than may be, and more than it was."""
    used = _size(entries)
    indexes = {key.partition(_SEPARATOR)[0] for key in entries}
    if len(entries) > MOST_KEYS or len(indexes) > MOST_INDEXES:
        fault = f"{len(entries)} keys, expected at most {MOST_KEYS} in {MOST_INDEXES} storages"
    elif used > MOST_BYTES:
        fault = f"{used} bytes, expected at most {MOST_BYTES}"
    else:
        return
    if used > before:
        raise OSError(errno.EDQUOT, f"{os.strerror(errno.EDQUOT)}: the plugin would keep {fault}")


def _size(entries: Mapping[str, Entry]) -> int:
    return sum(_length(key) + _length(entry.value) for key, entry in entries.items())


def _length(text: Any) -> int:
    # a surrogate, which UTF-8 hasn't, is escaped in the file
    return len(str(text).encode("utf-8", "backslashreplace"))
