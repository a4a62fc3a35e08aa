"""What the workers of one host tell each other, through files in their control folder.

Each worker has a report, ``workers/<id>.json``, and a seat, whose lock tells that it lives.
Where the system has no such locks, a roster knows only its own process.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from .durable import Ownership, create, make_folder
from .exceptions import StateError
from .frozen import replace
from .reports import (
    LONGEST,
    Announcement,
    Report,
    announcement_text,
    read_announcement,
    read_report,
    report_text,
)
from .seats import Seat, is_held, remove_files, seats_of_this_process

WORKERS: Final = "workers"
ANNOUNCEMENT: Final = "announce.json"

STALE: Final = 3600.0
"""Seconds after which an unfinished lock file was left by a process that was killed."""

LONGEST_WRITE: Final = 1.0
"""Seconds for which the end of a process waits for a report that is being written."""

_LOCK: Final = re.compile(r"([0-9a-f]{32})\.lock")
_UNFINISHED: Final = re.compile(r"[0-9a-f]{32}\.lock\.tmp")
_LOGGER: Final = logging.getLogger("flask_pluginkit")


class Roster:
    """The workers that share one control folder.

    Args:
        control: the folder. Its owner, group and mode go for all that is made in it.
        logger: where a report that can't be written is told of; default: the package's.

    """

    def __init__(self, control: Path, *, logger: logging.Logger = _LOGGER) -> None:
        self.control = control
        self.folder = control / WORKERS
        self.logger = logger

    def join(self, report: Mapping[str, Any]) -> Member:
        """Enter this process with its first report, and return its membership.

        Raises nothing: where nothing can be written, only this process knows of it, and each
        later report tries again.
        """
        member = Member(self)
        member.report(report)
        return member

    def live(self) -> tuple[Report, ...]:
        """Return the reports of all workers that are alive, the oldest worker first.

        The files of those that are gone are removed. What isn't a report is passed over.
        """
        listed = self._listed()  # first: a member of another thread is known before its file is
        found: dict[str, Report] = {}
        mine = seats_of_this_process()
        for seat in mine.values():
            if seat.latest is not None and (seat.folder == self.folder or seat.id in listed):
                found[seat.id] = seat.latest
        for worker in listed:
            if worker not in mine and (report := self._ask(worker)) is not None:
                found[worker] = report
        return tuple(sorted(found.values(), key=lambda report: (report.started, report.id)))

    def _listed(self) -> list[str]:
        """Return the ids of all workers that have a lock file."""
        if os.name != "posix":
            return []
        try:
            names = os.listdir(self.folder)  # noqa: PTH208 - names are all that is needed
        except OSError:
            return []
        for name in filter(_UNFINISHED.fullmatch, names):
            _remove_stale(self.folder / name)
        return [match[1] for name in names if (match := _LOCK.fullmatch(name))]

    def _ask(self, worker: str) -> Report | None:
        """Return what another process reported; None if it is gone or says nothing."""
        if not is_held(self.folder / f"{worker}.lock"):
            remove_files(self.folder, worker)
            return None
        content = _read(self.folder / f"{worker}.json")
        return None if content is None else read_report(worker, content)

    # --- announcements ------------------------------------------------------------------

    def announce(self, entry: Mapping[str, Any]) -> None:
        """Tell all workers what they are to prepare; replaces what was announced before.

        The caller holds the lock of the state, so there is one who announces at a time.

        Args:
            entry: the fields of `Announcement`.

        Raises:
            StateError: the control folder can't be written.
            ValueError: `entry` can't be an announcement.

        """
        content = announcement_text(entry)
        try:
            _swap_in(self.control / ANNOUNCEMENT, content, self.ownership())
        except OSError as error:
            raise StateError(
                f"what is to be enabled can't be announced: {error.filename or self.control}: "
                f"{error.strerror}; let the option state_dir name a folder that this process "
                "may write to"
            ) from error

    def withdraw(self) -> None:
        """End the announcement, if there is one."""
        with suppress(OSError):
            (self.control / ANNOUNCEMENT).unlink()

    def current(self) -> Announcement | None:
        """Return what is announced, None if nothing is (or nothing that can be read)."""
        content = _read(self.control / ANNOUNCEMENT)
        return None if content is None else read_announcement(content)

    def ownership(self) -> Ownership:
        """Make the control folder if need be, and return whose the files in it are to be."""
        make_folder(self.control)
        return Ownership.of_folder(self.control.stat())


class Member:
    """This process in a roster; it stays until `leave`, and at most as long as this object.

    A forked child that finds its parent's membership can do nothing with it: it joins itself.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._seat = Seat(roster.folder)
        self._guard = threading.Lock()
        self._was_told = False
        self._vacate = weakref.finalize(self, _vacate, self._seat, self._guard)

    @property
    def id(self) -> str:
        """The name of the worker's files; another one if somebody removed them meanwhile."""
        return self._seat.id

    @property
    def is_mine(self) -> bool:
        """Tell whether this is a membership of this process that hasn't ended."""
        return self._seat.is_mine()

    def report(self, told: Mapping[str, Any]) -> bool:
        """Tell the others how this worker is; True if they can see it.

        Raises nothing. What can't be told is logged, once until it can again. In a forked
        child, and after `leave`, this does nothing.

        Args:
            told: any of ``generation``, ``plugins``, ``errors``, ``loaded``,
                ``announcement`` and ``failures``, as in `Report`.

        """
        if not self._seat.is_mine():
            return False  # a fork may have copied the lock below held
        with self._guard:
            if not self._seat.is_mine():
                return False
            try:
                self._tell(told)
            except (OSError, TypeError, ValueError) as error:
                self._complain(error)
                return False
            self._was_told = False
            return self._seat.descriptor is not None

    def leave(self) -> None:
        """Remove this worker's files; nothing where this isn't (or no longer) a member."""
        self._vacate()

    def _tell(self, told: Mapping[str, Any]) -> None:
        seat = self._seat
        content, report = report_text(
            told, pid=os.getpid(), host=socket.gethostname(), started=seat.started
        )
        seat.latest = replace(report, id=seat.id)
        if os.name != "posix":
            return
        owner = self._roster.ownership()
        make_folder(seat.folder, lambda _: owner)
        seat.take(owner)
        seat.latest = replace(report, id=seat.id)  # taking it anew changes the id
        _swap_in(seat.folder / f"{seat.id}.json", content, owner)

    def _complain(self, error: Exception) -> None:
        if not self._was_told:
            self._was_told = True
            self._roster.logger.warning(
                "this worker can't report to the others in %s: %s", self._roster.folder, error
            )


def _vacate(seat: Seat, guard: threading.Lock) -> None:
    """Remove the files of a member, not while its helper thread writes one of them anew.

    That thread takes milliseconds; should it be held up, a file too many is no harm.
    """
    if seat.is_mine():  # a fork may have copied the lock held
        has_waited = guard.acquire(timeout=LONGEST_WRITE)
        try:
            seat.vacate()
        finally:
            if has_waited:
                guard.release()


def _read(path: Path) -> bytes | None:
    """Return the content of a file up to the longest one, None for what is no plain file.

    Never waits: a pipe that somebody put there has no writer.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return None
    with suppress(OSError), os.fdopen(descriptor, "rb") as file:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return file.read(LONGEST)
    return None


def _swap_in(path: Path, content: bytes, owner: Ownership) -> None:
    """Give `path` new content in one step; nobody else writes it at the same time.

    Unlike `durable.replace` this doesn't wait for the disk: after a power cut no worker is
    left that the content could tell of.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(create(temporary, owner), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _remove_stale(unfinished: Path) -> None:
    with suppress(OSError):
        if time.time() - unfinished.stat().st_mtime > STALE:
            unfinished.unlink()
