"""One end of a conversation, served by the loop: frames come in and go out without waiting."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from flask_pluginkit.isolation.wire import CONTROL_LIMIT, Buffer, Reader, WireError, encode

from .loop import READ, WRITE, Loop
from .orders import send_with

T = TypeVar("T")

PART: Final = 1 << 16
"""Bytes that one conversation gets before the others have their turn."""
BACKLOG: Final = 3 * CONTROL_LIMIT
"""Bytes that wait for the other side to read them, at most."""


class Peer(Generic[T]):
    """A connected socket in the loop; `received` gets each message, `ended` why it is over."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        reader: Reader[T],
        *,
        received: Callable[[T], object],
        ended: Callable[[str], object],
    ) -> None:
        connection.setblocking(False)
        self._loop = loop
        self._socket = connection
        self._buffer = Buffer(reader)
        self._received = received
        self._ended: Callable[[str], object] | None = ended
        self._queue: deque[tuple[memoryview, list[int]]] = deque()
        self._waiting = 0
        self._is_paused = False
        self.is_open = True
        self._events = READ
        loop.watch(connection.fileno(), READ, self._ready)

    def send(self, message: Any, descriptor: int | None = None, limit: int = CONTROL_LIMIT) -> None:
        """Send a message as soon as there is room; a descriptor is closed afterwards.

        Raises WireError if it can't be encoded.
        """
        descriptors = [] if descriptor is None else [descriptor]
        try:
            frame = encode(message, limit)
        except WireError:
            _close(descriptors)
            raise
        if not self.is_open:
            _close(descriptors)
            return
        self._queue.append((memoryview(frame), descriptors))
        self._waiting += len(frame)
        self._flush()
        if self._waiting > BACKLOG:
            self._end("it doesn't read what it is sent")

    def pause(self) -> None:
        """Read nothing more until `resume`."""
        self._is_paused = True
        self._interest()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        self._interest()

    def read_rest(self) -> None:
        """Take what the other side said before it ended."""
        self._is_paused = False
        for _ in range(BACKLOG // PART):
            if not self.is_open:
                break
            self._ready()

    def close(self) -> None:
        """Close the connection without calling back."""
        if not self.is_open:
            return
        self.is_open = False
        self._ended = None
        for _, descriptors in self._queue:
            _close(descriptors)
        self._queue.clear()
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _end(self, reason: str) -> None:
        ended = self._ended
        self.close()
        if ended is not None:
            ended(reason)

    def _ready(self) -> None:
        self._flush()
        if not self.is_open or self._is_paused:
            return
        try:
            data = self._socket.recv(PART)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error))
            return
        if not data:
            self._end("")
            return
        try:
            messages = self._buffer.feed(data)
        except WireError as error:
            self._end(str(error))
            return
        for message in messages:
            if self.is_open:
                self._received(message)

    def _flush(self) -> None:
        while self._queue and self.is_open:
            frame, descriptors = self._queue[0]
            try:
                sent = send_with(self._socket, frame, descriptors)
            except BlockingIOError:
                break
            except OSError as error:
                self._end(str(error))
                return
            _close(descriptors)
            self._waiting -= sent
            if sent == len(frame):
                self._queue.popleft()
            else:
                self._queue[0] = frame[sent:], []
        self._interest()

    def _interest(self) -> None:
        if not self.is_open:
            return
        events = (0 if self._is_paused else READ) | (WRITE if self._queue else 0)
        if events == self._events:
            return
        descriptor = self._socket.fileno()
        # without any event an end would still be reported, again and again
        if not events:
            self._loop.forget(descriptor)
        elif not self._events:
            self._loop.watch(descriptor, events, self._ready)
        else:
            self._loop.change(descriptor, events)
        self._events = events


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
