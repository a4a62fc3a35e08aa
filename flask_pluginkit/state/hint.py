"""The hint: two numbers that all processes of a host share, and read in nanoseconds.

A request compares the first with what it saw last, to learn without a system call that the
state has changed. It is a hint, as the truth is in ``state.json``: who finds another number
than before reads that, and once a second somebody makes sure that the hint isn't behind it.

The file is created full-sized and in one step, written in place and never renamed or
truncated: who has mapped it would otherwise go on reading the old file, or be killed by SIGBUS.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from flask_pluginkit.durable import Ownership, create

NAME: Final = "generation"
SIZE: Final = 16
_WORD: Final = struct.Struct("=Q")

_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_NOT_OFFERED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How file systems say that they can't reserve room."""


class Hint:
    """The two numbers in the file at `path`, zeros until it is there.

    Where a file can't be mapped, they are as they were at the last `refresh`.
    """

    __slots__ = ("_inode", "_map", "_path", "left", "words")

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._inode: tuple[int, int] | None = None
        """Which file `words` shows: its device and number."""
        self._map: mmap.mmap | None = None
        self.left = 0
        """The generation in the file that lay at the path before another came there."""
        self.words = _still(0, 0)
        """The generation and the number of announcements: the file itself, if it is mapped."""

    def refresh(self) -> bool:
        """Show the file that lies at the path now; False if it can't be used as it is.

        A file that is missing, or too short to be mapped, isn't shown; the numbers stay.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | _FLAGS)
        except OSError:
            return False
        try:
            return self._show(descriptor)
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def _show(self, descriptor: int) -> bool:
        found = os.fstat(descriptor)
        inode = found.st_dev, found.st_ino
        if found.st_size < SIZE:
            if inode == self._inode:  # reading what is gone would end the process
                self._inode, self._map, self.words = None, None, _still(0, 0)
            return False
        if inode == self._inode and self._map is not None:
            return True
        if self._map is not None and self._map.size() >= SIZE:
            self.left = self.words[0]
        self._inode = inode
        try:
            self._map = mmap.mmap(descriptor, SIZE, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # some network and user space file systems can't
            self._map = None
            self.words = _read(descriptor)
        else:
            self.words = memoryview(self._map).cast("Q")
        return True

    def ensure(self, owner: Ownership, generation: int) -> None:
        """Show the file, made or repaired where that is needed. The caller holds the lock.

        A new one begins with `generation`. Raises `OSError` where none can be made.
        """
        if self.refresh():
            return
        try:
            self._make(owner, generation)
        except FileExistsError:
            self._lengthen(generation)
        self.refresh()

    def _make(self, owner: Ownership, generation: int) -> None:
        temporary = Path(f"{self._path}.tmp")
        temporary.unlink(missing_ok=True)
        descriptor = create(temporary, owner)
        try:
            _fill(descriptor, generation)
            try:
                os.link(temporary, self._path)
            except FileExistsError:
                raise
            except (AttributeError, NotImplementedError, OSError):
                # no second names here; the lock is held, so nobody has made the file meanwhile
                if Path(self._path).exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
                temporary.rename(self._path)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)

    def _lengthen(self, generation: int) -> None:
        """Repair a file that was truncated in its place: for who has it mapped, it is back."""
        descriptor = os.open(self._path, os.O_RDWR | _FLAGS)
        try:
            _fill(descriptor, generation)
        finally:
            os.close(descriptor)

    def show(self, generation: int) -> None:
        """Let all processes see `generation`. The caller holds the lock. Raises `OSError`."""
        self._write(0, generation)

    def announce(self) -> int:
        """Raise the number of announcements and return it. As `show`."""
        number = self.words[1] + 1
        self._write(1, number)
        return number

    def _write(self, index: int, number: int) -> None:
        descriptor = os.open(self._path, os.O_RDWR | _FLAGS)
        try:
            _put(descriptor, index * _WORD.size, _WORD.pack(number))
            self._show(descriptor)
        finally:
            os.close(descriptor)


def _still(generation: int, announced: int) -> memoryview[int]:
    """Return the two numbers as no file shows them."""
    return memoryview(_WORD.pack(generation) + _WORD.pack(announced)).cast("Q")


def _read(descriptor: int) -> memoryview[int]:
    """Return the two numbers as the file shows them now."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return memoryview(os.read(descriptor, SIZE)).cast("Q")


def _put(descriptor: int, offset: int, data: bytes) -> None:
    """Write `data` in its place; the pages that others have mapped show it at once."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    os.write(descriptor, data)


def _fill(descriptor: int, generation: int) -> None:
    """Give a file its full size, with room on the disk: a page without would be a SIGBUS."""
    try:
        os.posix_fallocate(descriptor, 0, SIZE)
    except AttributeError:
        pass
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
    _put(descriptor, 0, _WORD.pack(generation) + _WORD.pack(0))
    with suppress(OSError):
        os.fsync(descriptor)
