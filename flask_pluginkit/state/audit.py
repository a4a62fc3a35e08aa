"""The audit: who changed what, as one line of JSON each."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.durable import Ownership, aside, create, open_regular, sync_folder
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.text import clean

from .control import refusal

NAME: Final = "audit.jsonl"

LONGEST_TEXT: Final = 2000
"""Characters of a text; a longer one is cut."""
DEEPEST: Final = 5
"""Levels of lists and objects in each other; what is deeper is shown as a text."""
MOST: Final = 1000
"""Members of a list or object; further ones are left out."""

_FLAGS: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

TIME: Final = "time"


class Audit:
    """The files ``audit.jsonl``, ``audit.jsonl.1`` and so on, the higher the older."""

    def __init__(
        self, folder: Path, *, max_bytes: int = 1_000_000, keep: int = 5, strict: bool = False
    ) -> None:
        """Write into `folder`; begin a new file after `max_bytes`, and keep `keep` old ones.

        `strict`: refuse to make a file that can't be handed to the owner of the folder.
        """
        self._folder = folder
        self._strict = strict
        self._path = folder / NAME
        self._max_bytes = max_bytes
        self._keep = keep

    def write(self, entry: Mapping[str, object], *, durable: bool = True) -> None:
        """Add `entry` and the time; `durable` means that a power cut after this keeps it.

        The caller is within the store's `exclusive`. Texts are cleaned of what isn't printable.
        Raises `StateError` if the line can't be written; then none of it is.
        """
        descriptor, is_new = self._add(entry)
        if durable:
            self._sync(descriptor, is_new=is_new)
        else:
            os.close(descriptor)

    def begin(self, entry: Mapping[str, object]) -> Callable[[], None]:
        """Do as `write`, and return what waits until a power cut keeps the line, as that."""
        descriptor, is_new = self._add(entry)
        return aside(lambda: self._sync(descriptor, is_new=is_new))

    def _add(self, entry: Mapping[str, object]) -> tuple[int, bool]:
        """Add `entry`, and return the open descriptor and whether the file is a new one."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        plain = {**_plain_members(entry, DEEPEST), TIME: now}
        line = json.dumps(plain, ensure_ascii=False).encode() + b"\n"
        try:
            return self._append(line)
        except OSError as error:
            raise refusal(self._path, error) from error

    def _sync(self, descriptor: int, *, is_new: bool) -> None:
        """Wait until the file is on the disk, and close it."""
        try:
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                sync_folder(self._folder)
        except OSError as error:
            raise refusal(self._path, error) from error

    def read(self, limit: int) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` entries, the newest first, passing over lines that are torn.

        Raises `StateError` if a file can't be read.
        """
        left = limit
        for content in self._contents():
            for line in reversed(content.split(b"\n")):
                if left <= 0:
                    return
                if (entry := _parsed(line)) is not None:
                    yield entry
                    left -= 1

    def _append(self, line: bytes) -> tuple[int, bool]:
        descriptor, is_new = self._open()
        try:
            size = os.fstat(descriptor).st_size
            if size and size + len(line) > self._max_bytes:
                os.close(descriptor)
                descriptor = -1
                self._rotate()
                descriptor, is_new = self._open()
                size = 0
            _write_whole(descriptor, size, line)
        except OSError:
            if descriptor >= 0:
                os.close(descriptor)
            raise
        return descriptor, is_new

    def _open(self) -> tuple[int, bool]:
        """Return the descriptor of the newest file, and whether it had to be made."""
        try:
            return os.open(self._path, _FLAGS), False
        except FileNotFoundError:
            owner = Ownership.of_folder(self._folder.stat(), strict=self._strict)
            os.close(create(self._path, owner))
            return os.open(self._path, _FLAGS), True

    def _rotate(self) -> None:
        """Give each file the next higher number; from the highest on, so that none is missed."""
        for number in range(self._keep, 0, -1):
            with suppress(FileNotFoundError):
                self._numbered(number - 1).replace(self._numbered(number))
        if self._keep == 0:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{NAME}.{number}") if number else self._path

    def _contents(self) -> Iterator[bytes]:
        """Yield what is in the files, the newest first, each once though others rename them."""
        met = set()
        for number in range(self._keep + 1):
            try:
                with open_regular(self._numbered(number)) as file:
                    found = os.fstat(file.fileno())
                    if (found.st_dev, found.st_ino) in met:
                        continue
                    met.add((found.st_dev, found.st_ino))
                    content = file.read()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StateError(
                    f"the audit can't be read: {self._numbered(number)}: {error.strerror}; "
                    "let this process read it"
                ) from error
            yield content


def _write_whole(descriptor: int, size: int, line: bytes) -> None:
    """Append `line` to a file of `size` bytes, or leave nothing of it."""
    if size and _byte_at(descriptor, size - 1) != b"\n":
        line = b"\n" + line  # after what a killed writer left
    try:
        written = os.write(descriptor, line)
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _byte_at(descriptor: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, 1)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if type(entry) is dict else None


def _plain(value: object, depth: int) -> object:
    """Return `value` as JSON can tell it, texts cleaned."""
    if value is None or type(value) in {bool, int}:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if depth > 0 and isinstance(value, Mapping):
        return _plain_members(value, depth)
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        return [_plain(member, depth - 1) for member in list(value)[:MOST]]
    return clean(value, LONGEST_TEXT)


def _plain_members(members: Mapping[Any, object], depth: int) -> dict[str, object]:
    return {
        clean(key, LONGEST_TEXT): _plain(value, depth - 1)
        for key, value in list(members.items())[:MOST]
    }
