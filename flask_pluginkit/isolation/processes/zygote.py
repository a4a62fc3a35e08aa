"""The process that forks workers: everything that they share is in its memory, and no secret.

A fresh interpreter with a clean environment and one thread, never a fork of a web worker. The
`forkserver` of the standard library's multiprocessing is such a process too, but it keeps the
host's environment, starts a resource tracker, unpickles what it is to run, imports the host's
main module in each child, and hands out no handle to kill a child with.

It ends when the supervisor does, and its workers end with it.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from flask_pluginkit.exceptions import SandboxUnavailable
from flask_pluginkit.isolation.wire import ClosedError, encode
from flask_pluginkit.sandbox import confine, identity, places, verification
from flask_pluginkit.sandbox.policy import Policy

from . import worker
from .orders import (
    ORDER_LIMIT,
    PREPARATION,
    SPAWN,
    Exited,
    FromZygote,
    Prepared,
    Spawned,
    receive_with,
    send_with,
)

SHARED: Final = (confine, verification)
"""Named so that they are seen to be imported for the sake of what they import."""

HEADER: Final = 4
SUPERVISOR: Final = 0
"""The descriptor of the connection to the supervisor when this program starts."""


def main() -> None:
    """Serve the supervisor, which is at the other end of standard input."""
    connection = socket.socket(fileno=os.dup(SUPERVISOR))
    os.set_inheritable(connection.fileno(), False)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, SUPERVISOR)
    os.close(null)
    # The supervisor's group may get a SIGTERM; this process ends when the supervisor does.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    identity.end_with(os.getppid())
    with suppress(ClosedError, OSError):
        Zygote(connection).serve()


class Zygote:
    """One connection to the supervisor, and the workers that were forked on its behalf."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._workers: dict[int, tuple[int, int]] = {}
        """Number and process id by handle."""
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def serve(self) -> None:
        """Fork and reap until the supervisor is gone."""
        self._prepare()
        own = self._connection.fileno()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == own:
                    self._obey()
                else:
                    self._reap(descriptor)

    def _prepare(self) -> None:
        body, _ = self._received()
        wanted = PREPARATION.decode(body)
        worker.preload(wanted.inside)
        permitted = False
        # where nothing can be isolated each worker that is to be says why
        with suppress(SandboxUnavailable):
            confine.prepare()
            if wanted.namespaces:
                permitted = confine.namespaces_permitted(
                    Policy(
                        plugin="",
                        code=places.PACKAGE,
                        parent=os.getpid(),
                        canaries=wanted.canaries,
                        identity=wanted.identity,
                    )
                )
        faulthandler.enable()
        gc.collect()
        gc.freeze()
        self._tell(Prepared(namespaces=permitted))

    def _obey(self) -> None:
        body, descriptors = self._received()
        number = SPAWN.decode(body).number
        listener, channel, log = descriptors
        pid = os.fork()
        if not pid:
            self._become(listener, channel, log)
        for descriptor in descriptors:
            os.close(descriptor)
        handle = os.pidfd_open(pid)
        self._workers[handle] = number, pid
        self._poll.register(handle, select.POLLIN)
        self._tell(Spawned(number=number, pid=pid), [handle])

    def _become(self, listener: int, channel: int, log: int) -> None:
        """Be the worker, in the fork, and never return."""
        try:
            self._connection.close()
            for handle in self._workers:
                os.close(handle)
            worker.main(listener, channel, log)
        except BaseException:  # noqa: BLE001 - nothing of this process may go on in a fork
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(70)

    def _reap(self, handle: int) -> None:
        number, pid = self._workers.pop(handle)
        self._poll.unregister(handle)
        os.close(handle)
        # What an unconfined plugin started is in its group; until it is waited for its number
        # is nobody else's.
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        self._tell(Exited(number=number, code=os.waitstatus_to_exitcode(status)))

    def _tell(self, message: FromZygote, descriptors: list[int] | None = None) -> None:
        frame = encode(message, ORDER_LIMIT)
        if send_with(self._connection, frame, descriptors or []) != len(frame):
            raise ClosedError("the supervisor doesn't read")

    def _received(self) -> tuple[bytes, list[int]]:
        # one packet is one order
        data, descriptors = receive_with(self._connection, ORDER_LIMIT + HEADER)
        if not data:
            raise ClosedError("the supervisor is gone")
        return data[HEADER:], descriptors


def packets() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection between a supervisor and a zygote."""
    family: Any = socket.AF_UNIX
    return socket.socketpair(family, socket.SOCK_SEQPACKET)
