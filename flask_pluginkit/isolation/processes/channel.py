"""The worker's end of the channel to the supervisor: what a plugin asks of its host.

Any thread may ask; one thread reads. `sendmsg` is denied to a confined process and `recvmsg`
isn't: connections come in, and none goes out.
"""

from __future__ import annotations

import builtins
import itertools
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from flask_pluginkit.isolation.supervision import (
    Ask,
    Stop,
    Told,
    ToSupervisor,
)
from flask_pluginkit.isolation.wire import (
    CONTROL_LIMIT,
    FROM_SUPERVISOR,
    Buffer,
    WireError,
    encode,
    plain,
    send,
)

from .orders import receive_with

CONNECT: Final = "connect"
SOCKET: Final = "socket"
"""The kind of a `Told` that a descriptor comes with."""
PATIENCE: Final = 30.0
"""Seconds after which the host is taken for one that doesn't answer."""

_PART: Final = 1 << 16


def _end() -> None:
    """End this process, as nobody is left whom it works for."""
    os._exit(0)


class Channel:
    """Implements `inside.services.Services` over the inherited connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.setblocking(False)
        self._numbers = itertools.count(1)
        self._sending = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._descriptors: deque[int] = deque()
        self._stopped: Callable[[float], None] | None = None
        self._gone = _end

    # ---- what the plugin does --------------------------------------------------------------

    def ask(self, what: str, *args: Any) -> Any:
        """Have an operation done by the host, and return its result. Raises OSError."""
        value, descriptor = self._told(what, list(args), PATIENCE)
        if descriptor is not None:
            os.close(descriptor)
            raise OSError(f"{what}: a connection came where a value was expected")
        return value

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """Return a connection that the host made. Raises PermissionError, OSError."""
        wanted = PATIENCE if timeout is None else timeout
        _, descriptor = self._told(CONNECT, [host, port, timeout], wanted + 1.0)
        if descriptor is None:
            raise OSError(f"no connection to {host}:{port} came")
        connection = socket.socket(fileno=descriptor)
        # a flag of the open socket, which the supervisor's end had set for itself
        connection.settimeout(timeout)
        return connection

    def fileno(self) -> int:
        """The descriptor of the connection."""
        return self._connection.fileno()

    # ---- what the worker does --------------------------------------------------------------

    def tell(self, message: ToSupervisor, seconds: float = 10.0) -> None:
        """Send a message to the supervisor. Raises WireError."""
        frame = encode(message, CONTROL_LIMIT)
        with self._sending:
            send(self._connection, frame, time.monotonic() + seconds)

    def listen(self, stopped: Callable[[float], None], gone: Callable[[], None] = _end) -> None:
        """Read in a thread of its own.

        Args:
            stopped: called with the seconds of a `Stop`.
            gone: called when the supervisor is gone; by default this process ends.

        """
        self._stopped, self._gone = stopped, gone
        threading.Thread(target=self._read, name="pluginkit-channel", daemon=True).start()

    def _told(self, what: str, args: list[Any], seconds: float) -> tuple[Any, int | None]:
        number = next(self._numbers)
        waiting = self._waiting[number] = _Waiting(what)
        try:
            try:
                self.tell(Ask(id=number, what=what, args=[plain(item) for item in args]))
            except WireError as error:
                raise OSError(f"{what}: {error}") from None
            if not waiting.done.wait(seconds):
                raise TimeoutError(f"{what}: the host didn't answer within {seconds:g} s")
        finally:
            self._waiting.pop(number, None)
        reply = waiting.reply
        assert reply is not None
        if reply.error is not None:
            raise _exception(reply)
        return reply.value, waiting.descriptor

    def _read(self) -> None:
        buffer = Buffer(FROM_SUPERVISOR)
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        try:
            while True:
                poll.poll()
                try:
                    data, descriptors = receive_with(self._connection, _PART)
                except BlockingIOError:
                    continue
                self._descriptors.extend(descriptors)
                if not data:
                    break
                for message in buffer.feed(data):
                    self._handle(message)
        except (OSError, WireError):
            pass
        finally:
            self._gone()

    def _handle(self, message: Told | Stop) -> None:
        if isinstance(message, Stop):
            if self._stopped is not None:
                self._stopped(message.seconds)
            return
        waiting = self._waiting.get(message.id)
        descriptor = None
        # every connection that is told of came with its message, also if nobody waits any more
        if message.kind == SOCKET:
            descriptor = self._descriptors.popleft()
        if waiting is None:
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)
            return
        waiting.reply, waiting.descriptor = message, descriptor
        waiting.done.set()


class _Waiting:
    """A thread that waits for a reply."""

    __slots__ = ("descriptor", "done", "reply", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.done = threading.Event()
        self.reply: Told | None = None
        self.descriptor: int | None = None


def _exception(told: Told) -> Exception:
    """Return what the host raised, as an OSError of the same kind or a plain one."""
    kind = getattr(builtins, told.kind, OSError)
    text = told.error or ""
    if isinstance(kind, type) and issubclass(kind, OSError):
        return kind(told.number, text) if told.number else kind(text)
    return OSError(text)
