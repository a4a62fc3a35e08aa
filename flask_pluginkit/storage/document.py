"""The file of a local storage: a JSON document that is read and replaced as a whole."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.durable import Ownership, make_folder, replace, take_lock
from flask_pluginkit.exceptions import RunError
from flask_pluginkit.text import describe

from .values import decode

FORMAT: Final = "flask_pluginkit_storage"
"""The key that tells our documents from other JSON; its value is the version of the format."""

FORMAT_VERSION: Final = 1

ADVICE: Final = "give the storage the path of a file that this process may read and write"

_OTHERS: Final = (
    (1, b"\x9a\x57\x13", "a shelve file of Flask-PluginKit 3.x (GNU dbm)"),
    (12, b"\x61\x15\x06\x00", "a shelve file of Flask-PluginKit 3.x (ndbm)"),
    (0, b"SQLite format 3\0", "a database of SQLite, maybe a shelve file"),
    (0, b"\x80", "a pickle"),
)
"""Offset and first bytes of what 3.x left in that place, depending on how Python was built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value, and until when it counts."""

    value: Any
    expires: float | None = None
    """Seconds since the epoch; None for never."""

    def counts(self, now: float) -> bool:
        """Tell whether the entry still counts at `now`, in seconds since the epoch."""
        return self.expires is None or now < self.expires


def lock(path: Path, timeout: float) -> AbstractContextManager[object]:
    """Return the lock of the document `path`, held; its folder is made where it is missing.

    Raises `RunError` if there can't be one within `timeout` seconds.
    """
    file = path.with_name(f"{path.name}.lock")
    try:
        make_folder(path.parent)
        return take_lock(file, timeout=timeout, owner=_ownership(path))
    except TimeoutError as error:
        raise RunError(
            f"the storage {path}: another process held the lock {file} for {timeout:g} seconds"
        ) from error
    except OSError as error:
        raise _failure(path, "written", error) from error


def read(path: Path) -> dict[str, Entry]:
    """Return the entries of the document `path`, none if there is no such file or it is empty.

    Raises `RunError` if it isn't such a document; nothing in this module writes over one then.
    """
    try:
        # a device would be replaced by a file, and reading a pipe would wait for ever
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise RunError(f"the storage {path} is no regular file: give it another path")
        content = path.read_bytes()
    except FileNotFoundError:
        _expect_no_shelve_beside(path)
        return {}
    except OSError as error:
        raise _failure(path, "read", error) from error
    if not content:  # made in advance, by `tempfile` for example
        return {}
    try:
        return _entries(decode(content))
    except ValueError as error:
        raise RunError(
            f"the storage {path} can't be read: {_foreign(content) or error}; nothing was "
            "changed: move the file away to start anew, or give the storage another path"
        ) from error


def write(path: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the document `path`; the caller holds its lock. Raises `RunError`."""
    document = {
        FORMAT: FORMAT_VERSION,
        "entries": {
            key: {"value": entry.value}
            if entry.expires is None
            else {"value": entry.value, "expires": entry.expires}
            for key, entry in entries.items()
        },
    }
    try:
        replace(path, json.dumps(document).encode("ascii"), _ownership(path))
    except OSError as error:
        raise _failure(path, "written", error) from error


def _entries(document: Any) -> dict[str, Entry]:
    match document:
        case {"flask_pluginkit_storage": 1, "entries": dict(entries)}:
            return {key: _entry(key, entry) for key, entry in entries.items()}
        case {"flask_pluginkit_storage": version}:
            raise ValueError(f"its format is {version!r}, and this version knows {FORMAT_VERSION}")
    raise ValueError("it is JSON, but not of a storage")


def _entry(key: str, entry: Any) -> Entry:
    match entry:
        case {"value": value, "expires": int() | float() | None as expires}:
            return Entry(value=value, expires=expires)
        case {"value": value, **others} if not others:
            return Entry(value=value)
    raise ValueError(f"its entry {describe(key)} is no value with or without a time")


def _ownership(path: Path) -> Ownership:
    """Return whom the files are given to: as the document now, or else the folder's owner."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return Ownership.private(path.parent.stat())
    mode = stat.S_IMODE(found.st_mode) & 0o666 | 0o600
    return Ownership(user=found.st_uid, group=found.st_gid, file_mode=mode)


def _expect_no_shelve_beside(path: Path) -> None:
    """Raise if the data of 3.x is here under the endings that some builds of Python append."""
    database, index, *data = (
        path.with_name(f"{path.name}{ending}") for ending in (".db", ".dir", ".dat", ".pag")
    )
    try:
        found = database if database.is_file() and _foreign(_start(database)) else index
        if found == index and not (index.is_file() and any(file.is_file() for file in data)):
            return
    except OSError as error:
        raise _failure(path, "read", error) from error
    raise RunError(
        f"the storage {path} would take the place of {found}, a shelve file of Flask-PluginKit "
        "3.x, which isn't read because pickles can run code: move that away to start anew, or "
        "give the storage another path"
    )


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(16)


def _foreign(content: bytes) -> str | None:
    """Return what `content` is, where it is something that 3.x may have left."""
    for offset, magic, what in _OTHERS:
        if content[offset:].startswith(magic):
            return f"it is {what}, which isn't read because pickles can run code"
    return None


def _failure(path: Path, verb: str, error: OSError) -> RunError:
    return RunError(
        f"the storage {path} can't be {verb}: {error.filename or path}: {error.strerror}; {ADVICE}"
    )
