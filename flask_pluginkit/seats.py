"""The lock of a worker: as long as it is held, its process lives.

A lock that is free belongs to a worker that is gone: numbers of processes tell nothing, as they
are counted anew in each container and used again. The locks are POSIX record locks, which a
forked child doesn't inherit. They have one trap: closing *any* descriptor of a file drops what
its process holds on it, so a process never opens a lock of its own.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from .durable import Ownership, create
from .reports import Report


class Seat:
    """The files of one member, without the member, so that they can be removed after it."""

    __slots__ = ("descriptor", "folder", "id", "is_vacated", "latest", "owner_pid", "started")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = token_hex(16)
        self.started = time.time()
        self.latest: Report | None = None
        self.descriptor: int | None = None
        self.is_vacated = False
        # some servers fork without telling Python, so that no hook of a fork runs
        self.owner_pid = os.getpid()
        _SEATS[self.id] = self

    def is_mine(self) -> bool:
        """Tell whether this process took the seat and has it still."""
        return not self.is_vacated and self.owner_pid == os.getpid()

    def take(self, owner: Ownership) -> None:
        """Make and lock the lock file; once more, under a new id, if somebody removed it."""
        if self.descriptor is not None:
            if self._is_in_place(self.descriptor):
                return
            self.release()
            self._move()
        import fcntl  # not there on Windows

        lock = self.folder / f"{self.id}.lock"
        unfinished = lock.with_name(f"{lock.name}.tmp")
        descriptor = create(unfinished, owner)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # it gets the name that others look at when it is held
            unfinished.rename(lock)
        except OSError:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        self.descriptor = descriptor

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            found = (self.folder / f"{self.id}.lock").lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(descriptor))

    def _move(self) -> None:
        """Give up the id: who has opened the old lock file would find it free now."""
        old, self.id = self.id, token_hex(16)
        _SEATS[self.id] = self
        _SEATS.pop(old, None)
        remove_files(self.folder, old)

    def release(self) -> None:
        """Give up the lock. (The number goes first: after closing it may be another file's.)"""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def vacate(self) -> None:
        """Remove the files and release the lock, if they are this process's."""
        if not self.is_mine():
            return
        self.is_vacated = True
        if self.descriptor is not None:
            remove_files(self.folder, self.id)
            self.release()
        _SEATS.pop(self.id, None)


_SEATS: Final[dict[str, Seat]] = {}
"""The seats of this process by id: their lock files must not be opened again."""


def seats_of_this_process() -> dict[str, Seat]:
    """Return the seats that this process took, in whatever folder, by id."""
    return {seat.id: seat for seat in list(_SEATS.values()) if seat.is_mine()}


def _forget_parent() -> None:
    """In a forked child: let go of the parent's descriptors, which hold nothing here."""
    for seat in list(_SEATS.values()):
        seat.is_vacated = True
        seat.release()
    _SEATS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def is_held(lock: Path) -> bool:
    """Tell whether a process holds the lock file of a worker; True if that can't be found out.

    Asking takes a shared lock, so that those who ask at once don't take each other for it.
    """
    import fcntl

    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ELOOP)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_files(folder: Path, worker: str) -> None:
    """Remove the files of a worker; the lock last, as by it they are found."""
    for name in (f"{worker}.json", f"{worker}.json.tmp", f"{worker}.lock"):
        with suppress(OSError):
            (folder / name).unlink()
