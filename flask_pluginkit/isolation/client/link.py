"""One connection to the supervisor, on which any number of threads ask at the same time."""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.isolation.supervision import (
    FromControl,
    Hello,
    ToControl,
    Welcome,
)
from flask_pluginkit.isolation.wire import (
    CONTROL_LIMIT,
    FROM_CONTROL,
    Buffer,
    ClosedError,
    DeadlineError,
    WireError,
    encode,
    receive,
    send,
)
from flask_pluginkit.version import __version__

PART: Final = 1 << 16


class Link:
    """A connection that said hello. One of the threads that wait reads for all of them."""

    def __init__(self, path: Path, deadline: float) -> None:
        """Connect, and exchange versions. Raises OSError, WireError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._condition = threading.Condition()
        self._numbers = itertools.count(1)
        self._replies: dict[int, FromControl | None] = {}
        self._buffer = Buffer(FROM_CONTROL)
        self._is_read = False
        self.failure: WireError | None = None
        """Why it can't be used any more."""
        try:
            self._socket.connect(str(path))
            self._socket.setblocking(False)
            hello = encode(Hello(version=__version__, pid=os.getpid()), CONTROL_LIMIT)
            send(self._socket, hello, deadline)
            welcome = receive(self._socket, FROM_CONTROL, deadline)
        except BaseException:
            self._socket.close()
            raise
        if not isinstance(welcome, Welcome):
            self._socket.close()
            raise WireError(f"the supervisor said {type(welcome).__name__} to hello")
        self.version = welcome.version
        self.pid = welcome.pid

    def close(self) -> None:
        """Close it."""
        self.failure = self.failure or ClosedError("the connection to the supervisor was closed")
        self._socket.close()

    def has_ended(self, seconds: float) -> bool:
        """Tell whether the supervisor has ended, waiting for the news up to so many seconds."""
        poll = select.poll()
        try:
            poll.register(self._socket, 0)  # its end is told in any case
        except ValueError:
            return True
        return self.failure is not None or bool(poll.poll(seconds * 1000))

    def tell(self, make: Callable[[int], ToControl], deadline: float) -> None:
        """Send a message, made with an id, whose reply nobody waits for. Raises WireError."""
        with self._condition:
            self._send(make(next(self._numbers)), deadline)

    def _send(self, message: ToControl, deadline: float) -> None:
        frame = encode(message, CONTROL_LIMIT)
        if self.failure is not None:
            raise self.failure
        try:
            send(self._socket, frame, deadline)
        except WireError as error:  # a part of it may have gone
            self._fail(error)
            raise

    def ask(self, make: Callable[[int], ToControl], deadline: float) -> Any:
        """Send a message and return its reply. Raises WireError.

        After a DeadlineError others can still use the connection.
        """
        with self._condition:
            number = next(self._numbers)
            self._replies[number] = None
        try:
            with self._condition:
                self._send(make(number), deadline)
            while True:
                with self._condition:
                    if (reply := self._replies[number]) is not None:
                        return reply
                    if self.failure is not None:
                        raise self.failure
                    if (left := deadline - time.monotonic()) <= 0:
                        raise DeadlineError("the supervisor didn't answer in time")
                    if self._is_read:
                        self._condition.wait(left)
                        continue
                    self._is_read = True
                self._read(deadline)
        finally:
            with self._condition:
                del self._replies[number]

    def _read(self, deadline: float) -> None:
        """Read what comes next, for whomever it is."""
        found: list[FromControl] = []
        failure: WireError | None = None
        try:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            left = deadline - time.monotonic()
            is_ready = left > 0 and bool(poll.poll(left * 1000))
            data = self._socket.recv(PART) if is_ready else b""
            found = self._buffer.feed(data)
            if is_ready and not data:
                failure = ClosedError("the supervisor has ended")
        except BlockingIOError:
            pass
        except WireError as error:
            failure = error
        except (OSError, ValueError) as error:
            failure = ClosedError(f"the connection to the supervisor is closed: {error}")
        finally:
            with self._condition:
                self._is_read = False
                for message in found:
                    number = getattr(message, "id", 0)
                    if number in self._replies:  # else nobody waits for it any more
                        self._replies[number] = message
                if failure is not None:
                    self._fail(failure)
                self._condition.notify_all()

    def _fail(self, error: WireError) -> None:
        self.failure = self.failure or error
        self._socket.close()
