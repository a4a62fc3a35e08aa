"""Frames on a Unix stream: four bytes of length, then one msgpack value of a known type.

A length is looked at before anything of the frame is read or stored, and a value is checked
against its type while it is decoded. ONE deadline holds for a whole frame, however slowly its
bytes come.
"""

from __future__ import annotations

import datetime as dt
import decimal
import select
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.text import describe

from . import messages, supervision
from .scanning import SHORT, require_modest

MIB: Final = 1 << 20
REQUEST_LIMIT: Final = 17 * MIB
"""Bytes of a frame to a plugin: a body of 16 MiB and what goes with it."""
REPLY_LIMIT: Final = 9 * MIB
"""Bytes of a frame from a plugin; longer bodies are streamed."""
CONTROL_LIMIT: Final = 4 * MIB
"""Bytes of a frame from or to the supervisor."""
DEPTH: Final = 32
"""How deep lists and dicts of a plain value may be nested."""

T = TypeVar("T")

_HEADER: Final = 4
_WHOLE: Final = 1 << 18


class WireError(PluginError):
    """The other side can't be talked to: it is gone, too slow, or says what it must not."""


class ClosedError(WireError):
    """The other side closed the connection."""


class DeadlineError(WireError):
    """The deadline passed."""


class NotPlainError(PluginError):
    """A value that can't cross to another process."""


# ---- plain values ----------------------------------------------------------------------------

_DATETIME: Final = 1
_DATE: Final = 2
_DECIMAL: Final = 3
_UUID: Final = 4

MOST_EXPONENT: Final = 1000
"""Of decimals: one of 1E999999999 would fill the memory of whoever makes an int of it."""


def _is_unsafe(value: decimal.Decimal) -> bool:
    return value.is_snan() or (value.is_finite() and abs(value.adjusted()) > MOST_EXPONENT)


def _read_decimal(text: str) -> decimal.Decimal:
    found = decimal.Decimal(text)
    if _is_unsafe(found):
        raise ValueError("a number that no arithmetic is safe with")
    return found


_READERS: Final[dict[int, Callable[[str], Any]]] = {
    _DATETIME: dt.datetime.fromisoformat,
    _DATE: dt.date.fromisoformat,
    _DECIMAL: _read_decimal,
    _UUID: uuid.UUID,
}


def plain(value: Any, depth: int = DEPTH) -> Any:
    """Return a value as what can cross: copied, and of exact types.

    None, truth values, numbers of 64 bits, text, bytes, lists (tuples become lists), dicts
    with text as keys, dates, times, decimals and UUIDs.

    Raises:
        NotPlainError: naming what it holds that isn't one of these.

    """
    kind = type(value)
    if value is None or kind in (bool, float, str, bytes):
        return value
    if kind is int:
        if -(1 << 63) <= value < 1 << 64:
            return value
        raise NotPlainError(f"the number {describe(value)} doesn't fit into 64 bits")
    if depth <= 0:
        raise NotPlainError(f"it is nested more than {DEPTH} levels deep")
    if isinstance(value, str):  # Markup, enums: what escapes is decided by who receives it
        return str.__str__(value)
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise NotPlainError(f"a dict has the key {describe(odd[0])}, expected text")
        return {str.__str__(key): plain(item, depth - 1) for key, item in value.items()}
    return _extended(value)


def _extended(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return msgspec.msgpack.Ext(_DATETIME, value.isoformat().encode())
    if isinstance(value, dt.date):
        return msgspec.msgpack.Ext(_DATE, value.isoformat().encode())
    if isinstance(value, decimal.Decimal):
        if _is_unsafe(value):
            raise NotPlainError(f"a decimal is beyond 1E{MOST_EXPONENT}, or a signal")
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, uuid.UUID):
        return msgspec.msgpack.Ext(_UUID, str(value).encode())
    raise NotPlainError(
        f"{describe(value)} can't cross to another process: expected text, numbers, lists, "
        "dicts, dates"
    )


def _read_extended(code: int, data: memoryview) -> Any:
    read = _READERS.get(code)
    if read is None or len(data) > 100:
        raise ValueError(f"unknown extension {code}")
    try:
        return read(str(data, "ascii"))
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"unusable extension {code}") from error


# ---- encoding --------------------------------------------------------------------------------

_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(message: Any, limit: int) -> bytes:
    """Return the frame of a message. Raises WireError if it is longer than `limit` bytes."""
    try:
        body = _ENCODER.encode(message)
        if len(body) > SHORT:
            require_modest(body)  # as the other side does
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"{type(message).__name__} can't be sent: {error}") from error
    if len(body) > limit:
        raise WireError(f"{type(message).__name__} has {len(body)} bytes, expected at most {limit}")
    return len(body).to_bytes(_HEADER, "big") + body


class Reader(Generic[T]):
    """Decodes the frames of one conversation, all of the same union of types."""

    def __init__(self, kind: Any, limit: int) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind, strict=True, ext_hook=_read_extended)
        self.limit = limit

    def length(self, header: bytes) -> int:
        """Return the length of the frame that begins with `header`; WireError if too long."""
        length = int.from_bytes(header, "big")
        if not 0 < length <= self.limit:
            raise WireError(f"a frame of {length} bytes, expected 1 to {self.limit}")
        return length

    def decode(self, body: bytes | bytearray | memoryview) -> T:
        """Return the message in a frame without its header. Raises WireError."""
        try:
            if len(body) > SHORT:
                require_modest(body)
            found: T = self._decoder.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
            raise WireError(f"a frame that can't be understood: {describe(str(error))}") from None
        return found


FROM_PLUGIN: Final[Reader[messages.FromPlugin]] = Reader(messages.FromPlugin, REPLY_LIMIT)
TO_PLUGIN: Final[Reader[messages.ToPlugin]] = Reader(messages.ToPlugin, REQUEST_LIMIT)
TO_SUPERVISOR: Final[Reader[supervision.ToSupervisor]] = Reader(
    supervision.ToSupervisor, CONTROL_LIMIT
)
FROM_SUPERVISOR: Final[Reader[supervision.FromSupervisor]] = Reader(
    supervision.FromSupervisor, CONTROL_LIMIT
)
TO_CONTROL: Final[Reader[supervision.ToControl]] = Reader(supervision.ToControl, CONTROL_LIMIT)
FROM_CONTROL: Final[Reader[supervision.FromControl]] = Reader(
    supervision.FromControl, CONTROL_LIMIT
)


class Buffer(Generic[T]):
    """Puts frames together from whatever comes, for those that serve many connections."""

    def __init__(self, reader: Reader[T]) -> None:
        self.reader = reader
        self._data = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """Return the messages that are complete now. Raises WireError for what isn't one."""
        self._data += data
        found = []
        while len(self._data) >= _HEADER:
            end = _HEADER + self.reader.length(bytes(self._data[:_HEADER]))
            if len(self._data) < end:
                break
            found.append(self.reader.decode(bytes(self._data[_HEADER:end])))
            del self._data[:end]
        return found

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame waits for the rest."""
        return not self._data


# ---- sockets that somebody waits for ---------------------------------------------------------


def send(connection: socket.socket, frame: bytes, deadline: float) -> None:
    """Send a whole frame by `deadline` (`time.monotonic`); the socket is non-blocking.

    Raises DeadlineError or ClosedError; then nothing can be sent on this connection any more.
    """
    rest = memoryview(frame)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
        except BlockingIOError:
            _wait(connection, select.POLLOUT, deadline)
        except OSError as error:
            raise ClosedError(f"the connection is closed: {error}") from None


def receive(connection: socket.socket, reader: Reader[T], deadline: float) -> T:
    """Return the next message by `deadline` (`time.monotonic`); the socket is non-blocking.

    Raises DeadlineError, ClosedError or WireError; the connection is of no use then.
    """
    length = reader.length(bytes(_exactly(connection, _HEADER, deadline)))
    return reader.decode(_exactly(connection, length, deadline))


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytearray:
    # memory as the bytes come: a length is only what the other side says
    data = bytearray()
    while len(data) < size:
        try:
            part = connection.recv(min(size - len(data), _WHOLE))
        except BlockingIOError:
            _wait(connection, select.POLLIN, deadline)
            continue
        except OSError as error:
            raise ClosedError(f"the connection is closed: {error}") from None
        if not part:
            raise ClosedError("the connection was closed in the middle of a reply")
        data += part
        if len(data) < size and time.monotonic() > deadline:
            raise DeadlineError("no complete reply within the deadline")
    return data


def _wait(connection: socket.socket, event: int, deadline: float) -> None:
    left = deadline - time.monotonic()
    poll = select.poll()
    poll.register(connection, event)
    if left <= 0 or not poll.poll(left * 1000):
        raise DeadlineError("no complete reply within the deadline")
