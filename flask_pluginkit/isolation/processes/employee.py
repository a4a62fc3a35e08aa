"""One worker of a plugin, from its socket to its end, as the supervisor sees it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from flask_pluginkit.isolation.messages import (
    Description,
    Spec,
)
from flask_pluginkit.isolation.supervision import (
    Ask,
    Enclosed,
    Ready,
    Stop,
    ToSupervisor,
    Unfit,
    WorkerInfo,
)
from flask_pluginkit.isolation.wire import CONTROL_LIMIT, TO_SUPERVISOR

from .asking import Desk
from .logs import Output
from .loop import Loop
from .orders import Assignment
from .peer import Peer

BACKLOG: Final = 128
"""Connections that may wait for a worker to take them."""


class Employer(Protocol):
    """Whoever is told what becomes of a worker."""

    def born(self, employee: Employee) -> None:
        """It was forked."""
        ...

    def ready(self, employee: Employee) -> None:
        """It serves its socket."""
        ...

    def gone(self, employee: Employee) -> None:
        """It has ended; `fate` says why."""
        ...


class Employee:
    """One worker. Its number is never given again."""

    def __init__(self, loop: Loop, number: int, spec: Spec, employer: Employer, path: Path) -> None:
        self.number = number
        self.spec = spec
        self.path = path
        self.description: Description | None = None
        self.enclosed: Enclosed | None = None
        self.unfit: Unfit | None = None
        self.fate = ""
        """Why it was killed, or ended."""
        self.is_draining = False
        self.is_over = False
        self.since = time.monotonic()
        self.pid = 0
        self.home: str | None = None
        """The plugin's own folder, if it was granted one."""
        self._loop = loop
        self._employer = employer
        self._handle: int | None = None
        self._peer: Peer[ToSupervisor] | None = None
        self._output: Output | None = None
        self._desk: Desk | None = None
        self._assign: Callable[[], Assignment] | None = None

    # ---- its beginning ---------------------------------------------------------------------

    def furnish(
        self, assign: Callable[[], Assignment], desk: Desk, output: Callable[[int], Output]
    ) -> list[int]:
        """Make its socket, its channel and its log; return the descriptors that it gets.

        `assign` is asked for its assignment when it is there. Raises OSError.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self.path))
            self.path.chmod(0o600)
            listener.listen(BACKLOG)
            ours, theirs = socket.socketpair()
            reading, writing = os.pipe()
            self._output = output(reading)
            self._desk = desk
            self._peer = Peer(
                self._loop, ours, TO_SUPERVISOR, received=self._received, ended=self._hung_up
            )
            descriptors = [os.dup(listener.fileno()), theirs.detach(), writing]
        self._assign = assign
        return descriptors

    def born(self, pid: int, handle: int) -> None:
        """It was forked."""
        self.pid, self._handle = pid, handle
        if self.fate:
            self.kill(self.fate)
        elif self._peer is not None and self._assign is not None:
            self._peer.send(self._assign(), limit=2 * CONTROL_LIMIT)
            self._employer.born(self)

    # ---- its end ---------------------------------------------------------------------------

    def drain(self, seconds: float) -> None:
        """Let it finish what runs, and end."""
        self.is_draining = True
        self.since = time.monotonic()
        self._hide()
        if self._peer is not None and self._peer.is_open:
            self._peer.send(Stop(seconds=seconds))

    def kill(self, reason: str) -> None:
        """End it at once; `reason` is what others will read of it."""
        self.fate = self.fate or reason
        self._hide()
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def ended(self, code: int, why: str = "") -> None:
        """It has ended with this exit code; `why` if that is known better."""
        if self.is_over:
            return
        self.is_over = True
        self._hide()
        if self._peer is not None:
            self._peer.read_rest()
            self._peer.close()
        if self._output is not None:
            self._output.close()
        if self._desk is not None:
            self._desk.leave(self)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self.fate = self.fate or why or _how(code)
        self._employer.gone(self)

    def _hide(self) -> None:
        # whoever wants to connect is refused from now on
        with suppress(FileNotFoundError):
            self.path.unlink()

    # ---- what it says ----------------------------------------------------------------------

    def _received(self, message: ToSupervisor) -> None:
        if isinstance(message, Ask):
            if self._desk is not None and self._peer is not None and self.enclosed is not None:
                self._desk.take(self, message, self._peer)
        elif isinstance(message, Enclosed) and self.enclosed is None:
            self.enclosed = message
        elif isinstance(message, Ready) and self.description is None and self.enclosed is not None:
            self.description = message.description
            self.since = time.monotonic()
            self._employer.ready(self)
        elif isinstance(message, Unfit) and self.description is None and self.unfit is None:
            self.unfit = message
        else:
            self.kill(f"it said {type(message).__name__} at the wrong time")

    def _hung_up(self, reason: str) -> None:
        # the end of the process follows at once, if it isn't the plugin's doing
        def insist() -> None:
            if not self.is_over:
                self.kill(f"it broke off the connection to its supervisor {reason}".rstrip())

        self._loop.later(1.0 if not reason else 0.0, insist)

    # ---- what others see -------------------------------------------------------------------

    @property
    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self._output.tail) if self._output is not None else ""

    def info(self, state: str, restarts: int, reason: str) -> WorkerInfo:
        """Return what a survey tells of it."""
        return WorkerInfo(
            plugin=self.spec.plugin,
            level=self.spec.level,
            digest=self.spec.digest,
            incarnation=self.number,
            pid=self.pid,
            uid=_user(self.pid),
            state="draining" if self.is_draining else state,
            since=time.monotonic() - self.since,
            restarts=restarts,
            reason=reason,
            layers=() if self.enclosed is None else self.enclosed.layers,
            memory=_memory(self.pid),
        )


def _how(code: int) -> str:
    if code >= 0:
        return f"it ended by itself with exit status {code}"
    name = signal.Signals(-code).name
    why = {
        "SIGKILL": ": the system was short of memory, or somebody killed it",
        "SIGSYS": ": a system call that no isolated plugin may make",
    }
    return f"it was ended by {name}{why.get(name, '')}"


def _user(pid: int) -> int:
    """Return the user that a process runs as; -1 if it is gone."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return next((int(line.split()[2]) for line in lines if line.startswith("Uid:")), -1)
    return -1


def _memory(pid: int) -> int:
    """Return the bytes of memory that only this process has; 0 if that can't be known."""
    if not pid:
        return 0
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024
    with suppress(OSError):  # confined processes of one's own user can't be looked into
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return 0
