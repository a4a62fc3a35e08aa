"""Storages in files of this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any

from flask_pluginkit.exceptions import ParamError
from flask_pluginkit.text import describe

from . import document
from .base import BaseStorage
from .document import Entry
from .places import file_of
from .values import as_key, decode, encode


class LocalStorage(BaseStorage):
    """A few values in a JSON file, for all threads and processes of this machine.

    Each change reads the file, changes one thing and replaces the file, under a lock: none is
    lost, and a process that is killed leaves the file as it was before or after. Values are
    what JSON can hold; tuples come back as lists and the keys of dicts as text. Every value
    read is a copy of the caller's own.

    `path` is the file. Without it the file goes by `index`: a path, or a name that stands for
    ``<index>.json`` in ``pluginkit`` in the instance folder of the current application. A
    storage that is used outside of application contexts too should be given a path, as there
    the name means a file of the user's.

    Raises `ParamError` for a key or value that can't be kept, and `RunError` for a file that
    can't be read or written; a shelve file of 3.x is such a file, and stays as it is.
    """

    LOCK_TIMEOUT: float = 30.0
    """Seconds to wait for other writers."""

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        if path:
            # also one without a folder is a path here, as in 3.x
            self.COVERED_INDEX = str(Path(fsdecode(path)).absolute())

    @property
    def list(self) -> dict[str, Any]:
        """All keys and values, as a dict of the caller's own."""
        return {key: entry.value for key, entry in self._entries(self._file()).items()}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default` if there is none."""
        return self.list.get(as_key(key), default)

    def set(self, key: str, value: Any) -> None:
        """Keep `value` under `key`."""
        self._keep({as_key(key): value})

    def setmany(self, /, **mapping: Any) -> None:
        """Keep all of these values, or, if one of them can't be kept, none."""
        self._keep(mapping)

    def remove(self, key: str) -> None:
        """Forget `key`; raise KeyError if it isn't there."""
        with self._changing() as entries:
            del entries[as_key(key)]

    def __len__(self) -> int:
        return len(self._entries(self._file()))

    def _file(self) -> Path:
        return file_of(self.index)

    def _entries(self, file: Path) -> dict[str, Entry]:
        now = time.time()
        return {key: entry for key, entry in document.read(file).items() if entry.counts(now)}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Entry]]:
        """Hand out the entries under the lock and write them, unless an exception passes."""
        file = self._file()
        with document.lock(file, self.LOCK_TIMEOUT):
            entries = self._entries(file)
            yield entries
            document.write(file, entries)

    def _keep(self, values: dict[str, Any], expires: float | None = None) -> None:
        # what can't be kept is refused before anything is touched; what can is copied
        kept = {key: decode(encode(key, value)) for key, value in values.items()}
        if kept:
            with self._changing() as entries:
                entries |= {key: Entry(value=kept[key], expires=expires) for key in kept}


class ExpiredLocalStorage(LocalStorage):
    """A `LocalStorage` whose values may expire.

    An expired value is gone for all readers at once; the file forgets it at the next change.
    Both classes read the same files.
    """

    def set(self, key: str, value: Any, ttl: float = 0) -> None:
        """Keep `value` under `key` for `ttl` seconds, by default for ever.

        Raises `ParamError` for an empty key, and if `ttl` is negative or no finite number.
        """
        key = as_key(key)
        if not key:
            raise ParamError("a key that expires can't be empty")
        if not _is_duration(ttl):
            raise ParamError(f"ttl {describe(ttl)}: expected seconds, 0 or more")
        self._keep({key: value}, time.time() + ttl if ttl else None)

    def remove(self, key: str) -> None:
        """Forget `key`, if it is there."""
        with self._changing() as entries:
            entries.pop(as_key(key), None)


def _is_duration(ttl: object) -> bool:
    try:
        return isinstance(ttl, int | float) and math.isfinite(ttl) and ttl >= 0
    except OverflowError:  # an int beyond all floats
        return False
