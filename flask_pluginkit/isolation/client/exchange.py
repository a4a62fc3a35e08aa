"""One connection to a plugin's worker, on which one exchange runs at a time."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from flask_pluginkit.isolation.messages import (
    Aborted,
    Batch,
    Broken,
    Chunk,
    FromPlugin,
    Head,
    Results,
    Visit,
)
from flask_pluginkit.isolation.wire import (
    FROM_PLUGIN,
    REQUEST_LIMIT,
    ClosedError,
    DeadlineError,
    WireError,
    encode,
)

Message = Visit | Batch
Reply = Head | Aborted | Broken | Results

HEADER: Final = 4
ENOUGH: Final = 1 << 16
"""Most replies are smaller: they take one call to receive."""

LATE: Final = "no complete reply within the deadline"


class UnreachableError(ClosedError):
    """Nobody serves the socket, or the worker was gone before it got a message: try another."""


class Connection:
    """A connected socket, what is still to be sent, and the bytes of the frame that comes in."""

    __slots__ = ("_data", "_message", "_poll", "_settings", "_socket", "_unsent", "is_usable")

    def __init__(self, path: str, greeting: bytes, deadline: float) -> None:
        """Connect, and send the frame of the greeting. Raises WireError."""
        self._data = bytearray()
        self._unsent: bytes | memoryview = greeting
        self._message: Message | None = None
        self._settings = b""
        """The frame with the settings that the other side has seen last."""
        self._poll = select.poll()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.is_usable = True
        """Whether the other side may be asked something: no reply is outstanding."""
        try:
            self._connect(path, deadline)
        except BlockingIOError:
            self._socket.close()
            raise DeadlineError("the plugin's worker accepts no connection") from None
        except OSError as error:
            self._socket.close()
            raise UnreachableError(f"the plugin's worker can't be reached: {error}") from None

    def _connect(self, path: str, deadline: float) -> None:
        # Where the worker's queue is full only a blocking connect waits, so the kernel is told
        # for how long.
        left = max(deadline - time.monotonic(), 0.001)
        limit = struct.pack("@ll", int(left), int(left % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._socket.connect(path)
        self._socket.setblocking(False)
        self._poll.register(self._socket, select.POLLIN)

    def fileno(self) -> int:
        """The descriptor, for those who wait for several connections."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it; whatever the worker is doing for it is told so."""
        self.is_usable = False
        self._socket.close()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came while nothing was asked, not even the end."""
        return self.is_usable and not self._data and not self._poll.poll(0)

    # ---- without waiting -------------------------------------------------------------------

    def ask(self, message: Message, settings: bytes = b"") -> None:
        """Begin to send a message. Raises WireError, UnreachableError if it can't have come.

        `settings`: the frame with the values that count for it, if the plugin has settings.
        """
        frame = encode(message, REQUEST_LIMIT)
        if settings and settings != self._settings:
            self._settings, frame = settings, settings + frame
        self.is_usable = False
        self._message = message
        self._unsent = b"".join((self._unsent, frame)) if self._unsent else frame
        try:
            self.push()
        except ClosedError as error:
            raise UnreachableError(str(error)) from None

    @property
    def is_sending(self) -> bool:
        """Whether a part of the message waits for room in the socket."""
        return bool(self._unsent)

    def push(self) -> None:
        """Send what the socket has room for. Raises ClosedError."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                raise ClosedError(f"the plugin's worker is gone: {error}") from None
            done = sent == len(self._unsent)
            self._unsent = b"" if done else memoryview(self._unsent)[sent:]

    def pull(self) -> Reply | None:
        """Read what there is, and return the reply if it is complete. Raises WireError."""
        frame = self._frame(self._receive())
        return None if frame is None else self._checked(frame)

    # ---- with a deadline -------------------------------------------------------------------

    def answer(self, deadline: float) -> Reply:
        """Return the reply to the message that was sent. Raises WireError.

        If it is a `Head` with more to come, that is read by `chunks`.
        """
        while self._unsent:
            self._wait(select.POLLIN | select.POLLOUT, deadline)
            self.push()
        while True:
            self._wait(select.POLLIN, deadline)
            if (frame := self._frame(self._receive())) is not None:
                return self._checked(frame)

    def chunks(self, number: int, pause: float, seconds: float) -> Iterator[Chunk]:
        """Return the rest of a reply, chunk by chunk, the last one included. Raises WireError.

        Only time in which the worker is waited for counts: a visitor may read slowly.

        Args:
            number: the id of the message.
            pause: how many seconds one chunk may take.
            seconds: how many all of them may take.

        """
        busy = time.thread_time()
        while True:
            begun = time.monotonic()
            if time.thread_time() - busy > pause:  # a flood of tiny chunks lets nobody wait
                raise DeadlineError("its chunks keep the host busy")
            while (frame := self._frame(b"")) is None:
                self._wait(select.POLLIN, begun + min(pause, seconds))
                self._data += self._receive(is_answered=True)
            seconds -= time.monotonic() - begun
            chunk = _decoded(frame, number)
            if not isinstance(chunk, Chunk):
                raise WireError(f"{type(chunk).__name__} in the middle of a body")
            if not (chunk.data or chunk.records or chunk.last):
                raise WireError("a chunk of nothing")
            if chunk.last:
                self._finish()
                yield chunk
                return
            yield chunk

    # ---- frames ----------------------------------------------------------------------------

    def _checked(self, frame: memoryview | bytearray) -> Reply:
        message = self._message
        if message is None:
            raise WireError("a reply that nobody asked for")
        if self._unsent:
            raise WireError("a reply to a message that wasn't complete")
        reply = _decoded(frame, message.id)
        if isinstance(reply, Chunk) or isinstance(reply, Results) != isinstance(message, Batch):
            raise WireError(f"{type(reply).__name__} in reply to {type(message).__name__}")
        if isinstance(reply, Results) and isinstance(message, Batch):
            found, asked = len(reply.results), len(message.calls)
            if found != asked:
                raise WireError(f"{found} results of {asked} calls")
        if not (isinstance(reply, Head) and reply.more):
            self._finish()
        return reply

    def _finish(self) -> None:
        if self._data:
            raise WireError("more than one reply to one message")
        self._message = None
        self.is_usable = True

    def _frame(self, part: bytes) -> memoryview | bytearray | None:
        """Return the next frame's body if it is complete with what was just read."""
        if not self._data and len(part) > HEADER:
            end = HEADER + FROM_PLUGIN.length(part[:HEADER])
            if len(part) == end:  # as nearly always
                return memoryview(part)[HEADER:]
        self._data += part
        if len(self._data) < HEADER:
            return None
        end = HEADER + FROM_PLUGIN.length(bytes(self._data[:HEADER]))
        if len(self._data) < end:
            return None
        body = self._data[HEADER:end]
        del self._data[:end]
        return body

    def _wait(self, events: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        poll = self._poll
        if events != select.POLLIN:
            poll = select.poll()
            poll.register(self._socket, events)
        if left <= 0 or not poll.poll(left * 1000):
            raise DeadlineError(LATE)

    def _receive(self, *, is_answered: bool = False) -> bytes:
        try:
            part = self._socket.recv(ENOUGH)
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            # the kernel says so, and not that it is the end, if something sent was never read
            if is_answered or self._data:
                raise ClosedError("the plugin's worker ended in the middle of its answer") from None
            raise UnreachableError("the plugin's worker ended before it read the message") from None
        except OSError as error:
            raise ClosedError(f"the connection is closed: {error}") from None
        if not part:
            raise ClosedError("the plugin's worker ended before it had answered")
        return part


def _decoded(frame: memoryview | bytearray, number: int) -> FromPlugin:
    reply = FROM_PLUGIN.decode(frame)
    if reply.id != number:
        raise WireError(f"a reply to message {reply.id}, expected one to {number}")
    return reply
