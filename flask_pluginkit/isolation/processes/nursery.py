"""The supervisor's side of the zygote: starts it, has workers forked, hears of their ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from flask_pluginkit.isolation.wire import WireError, encode
from flask_pluginkit.sandbox.canaries import Canaries
from flask_pluginkit.sandbox.identity import Identity
from flask_pluginkit.sandbox.limits import environment

from . import launch
from .logs import LogFile, Output
from .loop import READ, Loop, Timer
from .orders import (
    FROM_ZYGOTE,
    ORDER_LIMIT,
    Exited,
    Preparation,
    Prepared,
    Spawn,
    Spawned,
    receive_with,
    send_with,
)
from .settings import Settings

HEADER: Final = 4
PATIENCE: Final = 60.0
"""Seconds that a zygote may take to import what workers share."""
KILLED: Final = -int(signal.SIGKILL)

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Birth:
    """A worker that is asked for, and what is to be told about it."""

    number: int
    descriptors: list[int]
    born: Callable[[int, int], object]
    """Called with its process id and its handle, which is the receiver's to close."""
    ended: Callable[[int, str], object]
    """Called with its exit code, as `os.waitstatus_to_exitcode` has it, and why if it is known."""


class Nursery:
    """One zygote at a time; when it dies its workers die with it, and there will be another."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        canaries: Canaries,
        user: Identity | None,
        file: LogFile,
    ) -> None:
        self._loop = loop
        self._file = file
        self._settings = settings
        self._preparation = Preparation(
            canaries=canaries,
            namespaces=settings.namespaces,
            identity=user,
            inside=settings.inside,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._output: Output | None = None
        self._waiting: deque[Birth] = deque()
        self._alive: dict[int, Birth] = {}
        self._hurry: Timer | None = None
        self.prepared: Prepared | None = None
        """What the zygote found out; None until it did."""

    @property
    def pid(self) -> int:
        """The zygote's process id, 0 if there is none."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the zygote. Raises OSError, RunError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
                launch.command("zygote", self._settings),
                stdin=theirs.fileno(),
                stdout=writing,
                stderr=writing,
                cwd="/",
                env=environment(),
                close_fds=True,
            )
        except OSError:
            os.close(reading)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(writing)
        self._output = Output(self._loop, reading, "zygote", self._file, self._settings.log_rate)
        self._connection = ours
        self._send(encode(self._preparation, ORDER_LIMIT), [])
        self._loop.watch(ours.fileno(), READ, self._hear)
        self._hurry = self._loop.later(PATIENCE, self._process.kill)

    def bear(self, birth: Birth) -> None:
        """Have a worker forked, as soon as there is a zygote; its descriptors are closed.

        Raises OSError, RunError if there can't be one.
        """
        try:
            if self._connection is None:
                self.start()
        except BaseException:
            _close(birth.descriptors)
            raise
        self._waiting.append(birth)
        self._flush()

    def close(self) -> None:
        """End the zygote, and with it every worker."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._loop.forget(connection.fileno())
            connection.close()
        if self._output is not None:
            self._output.close()
        if self._hurry is not None:
            self._hurry.cancel()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for birth in self._waiting:
            _close(birth.descriptors)
        self._waiting.clear()

    def _flush(self) -> None:
        while self.prepared is not None and self._connection is not None and self._waiting:
            birth = self._waiting.popleft()
            self._alive[birth.number] = birth
            self._send(encode(Spawn(number=birth.number), ORDER_LIMIT), birth.descriptors)
            _close(birth.descriptors)

    def _send(self, frame: bytes, descriptors: list[int]) -> None:
        if self._connection is not None:
            with suppress(OSError):  # that it is gone is heard in a moment
                send_with(self._connection, frame, descriptors)

    def _hear(self) -> None:
        if self._connection is None:
            return
        try:
            data, descriptors = receive_with(self._connection, ORDER_LIMIT + HEADER)
            if not data:
                self._lost()
                return
            message = FROM_ZYGOTE.decode(data[HEADER:])
        except (OSError, WireError):
            self._lost()
            return
        if isinstance(message, Prepared):
            self.prepared = message
            if self._hurry is not None:
                self._hurry.cancel()
            self._flush()
        elif isinstance(message, Spawned):
            self._alive[message.number].born(message.pid, descriptors[0])
        elif isinstance(message, Exited):
            self._alive.pop(message.number).ended(message.code, "")

    def _lost(self) -> None:
        """The zygote died: so did its workers; those that it hadn't begun wait for the next."""
        waiting, self._waiting = self._waiting, deque()
        self.close()
        said = "; ".join(self._output.tail) if self._output is not None else ""
        reason = f"what forks the workers ended: {said or 'it was killed'}"
        _log.error("%s", reason)
        self.prepared = None
        lost, self._alive = self._alive, {}
        for birth in waiting:
            _close(birth.descriptors)
        for birth in (*lost.values(), *waiting):
            birth.ended(KILLED, reason)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
