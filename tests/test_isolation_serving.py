"""Serving a plugin's socket: exchanges, limits, and whatever anybody sends."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from flask_pluginkit.isolation.inside import serving
from flask_pluginkit.isolation.messages import (
    Batch,
    Call,
    Chunk,
    FromPlugin,
    Greeting,
    Head,
    Page,
    Results,
    Value,
    Visit,
)
from flask_pluginkit.isolation.wire import (
    FROM_PLUGIN,
    REQUEST_LIMIT,
    TO_PLUGIN,
    Buffer,
    ClosedError,
    WireError,
    encode,
    receive,
    send,
)

GREETING = encode(Greeting(), REQUEST_LIMIT)


class FakeInner:
    """Answers in place of a plugin; `slow` exchanges wait for `let_go`."""

    def __init__(self) -> None:
        self.greeted = 0
        self.running = 0
        self.let_go = threading.Event()
        self.closed = threading.Event()

    def greet(self, greeting: Greeting) -> None:
        self.greeted += 1

    def visit(self, visit: Visit) -> Iterator[FromPlugin]:
        try:
            yield Head(id=visit.id, status=200, body=b"first", more=True)
            for _ in range(1 << 20 if visit.page.path == "/endless" else 2):
                yield Chunk(id=visit.id, data=visit.body or b"x" * 60_000)
            yield Chunk(id=visit.id, last=True)
        finally:
            self.closed.set()

    def batch(self, batch: Batch) -> Results:
        if batch.page.path == "/slow":
            self.running += 1
            self.let_go.wait(20)
        return Results(id=batch.id, results=[Value(value=call.args) for call in batch.calls])


class Listener(socket.socket):
    """A listening socket for which there may be no descriptors left."""

    is_full = False
    asked = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.is_full:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


class Served:
    """A server with its plugin, and the connections to it."""

    def __init__(self, threads: int) -> None:
        self.inner = FakeInner()
        self.path = f"\0pluginkit-test-{os.getpid()}-{id(self)}"
        self.listener = Listener(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.server = serving.Server(self.listener, self.inner, threads)  # type: ignore[arg-type]
        self.server.start()
        self.opened: list[socket.socket] = []
        self.is_ended = False

    def connect(self, *, greets: bool = True) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(self.path)
        made.setblocking(False)
        self.opened.append(made)
        if greets:
            say(made, GREETING)
        return made

    def end(self) -> None:
        self.inner.let_go.set()
        assert self.is_ended or self.server.stop(10)
        self.listener.close()
        for made in self.opened:
            made.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Give the function that starts a server; ended with the test."""
    made: list[Served] = []

    def start(threads: int = 2) -> Served:
        made.append(Served(threads))
        return made[-1]

    yield start
    for one in made:
        one.end()


def say(connection: socket.socket, data: bytes) -> None:
    send(connection, data, time.monotonic() + 10)


def hear(connection: socket.socket) -> Any:
    return receive(connection, FROM_PLUGIN, time.monotonic() + 10)


def request(number: int, path: str = "/", *args: Any) -> bytes:
    batch = Batch(id=number, page=Page(path=path), calls=[Call(reference=0, args=list(args))])
    return encode(batch, REQUEST_LIMIT)


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes the connection; what it says before is lost."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while poll.poll(10_000):
        try:
            if not connection.recv(1 << 16):
                return True
        except ConnectionResetError:
            return True
    return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# ---- exchanges ------------------------------------------------------------------------------


def test_one_exchange_follows_the_other(serve: Callable[..., Served]) -> None:
    """On one connection, whose greeting isn't answered."""
    served = serve()
    connection = served.connect()
    for number in range(50):
        say(connection, request(number, "/", "text"))
        assert hear(connection) == Results(id=number, results=[Value(value=["text"])])
    assert served.inner.greeted == 1


def test_a_frame_may_come_byte_by_byte(serve: Callable[..., Served]) -> None:
    """And the greeting together with the request."""
    connection = serve().connect(greets=False)
    for byte in GREETING + request(1):
        say(connection, bytes([byte]))
    assert hear(connection).id == 1


def test_a_large_body_comes_and_goes(serve: Callable[..., Served]) -> None:
    """In as many parts as the kernel makes of it."""
    served = serve()
    connection = served.connect()
    body = os.urandom(1 << 20) * 4
    say(connection, encode(Visit(id=1, page=Page(), body=body), REQUEST_LIMIT))
    assert hear(connection).more
    chunks = [hear(connection) for _ in range(3)]
    assert [chunk.last for chunk in chunks] == [False, False, True]
    assert chunks[0].data == body


def test_connections_that_are_busy_dont_hold_up_others(serve: Callable[..., Served]) -> None:
    """As long as there are threads; more connections than threads are no problem."""
    served = serve(threads=3)
    slow = [served.connect() for _ in range(2)]
    for connection in slow:
        say(connection, request(1, "/slow"))
    until(lambda: served.inner.running == 2)
    others = [served.connect() for _ in range(30)]
    for round_ in range(3):
        for connection in others:
            say(connection, request(round_))
        assert [hear(connection).id for connection in others] == [round_] * 30
    served.inner.let_go.set()
    assert [hear(connection).id for connection in slow] == [1, 1]


def test_threads_are_started_when_they_are_needed(serve: Callable[..., Served]) -> None:
    """An idle plugin has a few, and none has more than it may."""
    served = serve(threads=8)
    for number in range(10):
        connection = served.connect()
        say(connection, request(number))
        hear(connection)
    assert served.server._threads < 8
    for number in range(10):
        say(served.connect(), request(number, "/slow"))
    until(lambda: served.inner.running == 8)
    assert served.server._threads == 8


# ---- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        request(1),
        GREETING + GREETING,
        GREETING + request(1) + request(2),
        GREETING + request(1) + b"\0",
        GREETING + b"\xff\xff\xff\xff",
        GREETING + b"\0\0\0\0",
        GREETING + b"\0\0\0\1\xc0",
        GREETING + encode({"type": "head", "id": 1, "status": 200}, REQUEST_LIMIT),
        GREETING + (1 << 20).to_bytes(4, "big") + b"\x91" * (1 << 20),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_breaks_the_protocol_is_closed(serve: Callable[..., Served], data: bytes) -> None:
    """And others are served."""
    served = serve()
    connection = served.connect(greets=False)
    with suppress(ClosedError):
        say(connection, data)
    assert is_closed(connection)
    fine = served.connect()
    say(fine, request(1))
    assert hear(fine).id == 1


def test_a_frame_that_takes_too_long_is_not_waited_for(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However steadily its bytes come; those who say nothing may stay."""
    monkeypatch.setattr(serving, "SLOW", 0.3)
    served = serve()
    quiet, slow = served.connect(), served.connect()
    frame = request(1, "/", "x" * 100_000)
    poll = select.poll()
    poll.register(slow, select.POLLIN)
    sent = 0
    while not poll.poll(20):
        assert sent < len(frame) - 1
        slow.send(frame[sent : sent + 1])
        sent += 1
    assert is_closed(slow)
    say(quiet, request(2))
    assert hear(quiet).id == 2


def test_who_doesnt_read_is_not_waited_for(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin's response is closed, and its thread is free."""
    monkeypatch.setattr(serving, "SLOW", 0.2)
    served = serve(threads=1)
    connection = served.connect()
    say(connection, encode(Visit(id=1, page=Page(path="/endless")), REQUEST_LIMIT))
    assert served.inner.closed.wait(10)
    fine = served.connect()
    say(fine, request(2))
    assert hear(fine).id == 2


def test_who_is_gone_ends_the_response(serve: Callable[..., Served]) -> None:
    """At the next part of it."""
    served = serve()
    connection = served.connect()
    say(connection, encode(Visit(id=1, page=Page(path="/endless")), REQUEST_LIMIT))
    assert hear(connection).more
    connection.close()
    assert served.inner.closed.wait(10)


def test_an_idle_connection_gives_way_to_a_new_one(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was idle for longest, when there are as many as there may be."""
    monkeypatch.setattr(serving, "SETTLED", 0.0)
    served = serve()
    served.server.limit = 3
    first = served.connect()
    say(first, request(1))
    hear(first)
    for number in range(6):
        connection = served.connect()
        say(connection, request(number))
        assert hear(connection).id == number
    assert is_closed(first)
    assert len(served.server._connections) <= 3


def test_new_connections_wait_while_all_are_in_use(serve: Callable[..., Served]) -> None:
    """They are taken when one ends its exchange."""
    served = serve(threads=3)
    served.server.limit = 2
    busy = [served.connect() for _ in range(2)]
    for connection in busy:
        say(connection, request(1, "/slow"))
    until(lambda: served.inner.running == 2)
    waiting = served.connect()
    say(waiting, request(2))
    served.inner.let_go.set()
    assert [hear(connection).id for connection in busy] == [1, 1]
    assert hear(waiting).id == 2


def test_descriptors_that_are_used_up_are_waited_for(
    serve: Callable[..., Served],
) -> None:
    """Without running in circles: the listener is looked at again a while later."""
    served = serve()
    first = served.connect()
    say(first, request(1))
    hear(first)
    served.listener.is_full = True
    second = served.connect()
    until(lambda: served.server._is_paused)
    before = served.listener.asked
    time.sleep(0.1)
    assert served.listener.asked <= before + 2
    served.listener.is_full = False
    say(second, request(2))
    assert hear(second).id == 2


# ---- the end --------------------------------------------------------------------------------


def test_what_was_asked_is_finished(serve: Callable[..., Served]) -> None:
    """Those who wait to ask something are let go at once, all others with their answers."""
    served = serve(threads=1)
    busy, idle, waiting = served.connect(), served.connect(), served.connect()
    say(idle, request(0))
    assert hear(idle).id == 0
    say(busy, request(1, "/slow"))
    until(lambda: served.inner.running == 1)
    say(waiting, request(2))
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(served.server.stop(10)))
    thread.start()
    assert is_closed(idle)
    assert done == []
    served.inner.let_go.set()
    assert [hear(busy).id, hear(waiting).id] == [1, 2]
    thread.join(10)
    assert done == [True]
    assert is_closed(busy)
    assert is_closed(waiting)
    served.is_ended = True


def test_serving_ends_when_it_is_told_to() -> None:
    """The function returns, and says whether everything was finished."""
    served_by = FakeInner()
    stop = threading.Event()
    stop.set()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0pluginkit-test-{os.getpid()}-stop")
        listener.listen()
        inner: Any = served_by
        assert serving.serve(listener, inner, stop=stop, threads=2)


def test_an_exchange_that_never_ends_is_not_waited_for() -> None:
    """It ends with the process."""
    served = Served(2)
    say(served.connect(), request(1, "/slow"))
    until(lambda: served.inner.running == 1)
    assert served.server.stop(0.1) is False
    served.inner.let_go.set()
    until(lambda: served.server._threads == 0)
    served.listener.close()
    for made in served.opened:
        made.close()
    served.server._epoll.close()
    os.close(served.server._wake)


# ---- whatever anybody sends -----------------------------------------------------------------

FRAMES = st.sampled_from(
    [GREETING, request(1), request(2, "/", 1), encode(Visit(id=3, page=Page()), REQUEST_LIMIT)]
)
PARTS = st.lists(
    st.one_of(
        FRAMES,
        st.binary(max_size=40),
        st.binary(max_size=60).map(lambda data: len(data).to_bytes(4, "big") + data),
        st.tuples(FRAMES, st.integers(0, 200), st.binary(min_size=1, max_size=2)).map(
            lambda row: row[0][: row[1]] + row[2] + row[0][row[1] + len(row[2]) :]
        ),
    ),
    max_size=5,
)


def test_any_bytes_are_answered_or_closed() -> None:
    """Never a hang, and the server goes on: asked after each example on another connection."""
    served = Served(2)

    @given(PARTS)
    @example_settings(max_examples=150)
    def check(parts: list[bytes]) -> None:
        connection = served.connect(greets=False)
        with suppress(ClosedError, OSError):
            for part in parts:
                say(connection, part)
            connection.shutdown(socket.SHUT_WR)
        assert is_closed(connection)
        connection.close()
        served.opened.remove(connection)

    check()
    fine = served.connect()
    say(fine, request(9))
    assert hear(fine).id == 9
    until(lambda: len(served.server._connections) == 1)
    assert not served.server._partial
    served.end()


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 30))
def test_a_buffer_takes_any_bytes_in_any_pieces(parts: list[bytes], size: int) -> None:
    """It gives the same messages however they are cut, or raises WireError."""
    stream = b"".join(parts)

    def read(pieces: list[bytes]) -> tuple[list[Any], bool]:
        buffer, found = Buffer(TO_PLUGIN), []
        try:
            for piece in pieces:
                found += buffer.feed(piece)
        except WireError:
            return found, False
        assert len(buffer._data) <= max(len(stream), 4)
        return found, True

    cut = [stream[start : start + size] for start in range(0, len(stream), size)]
    whole, sliced = read([stream]), read(cut)
    assert whole[1] == sliced[1]
    assert not whole[1] or whole == sliced


@given(st.lists(FRAMES, max_size=6), st.integers(1, 200))
def test_a_buffer_gives_every_message(frames: list[bytes], size: int) -> None:
    """In their order, and keeps nothing of them."""
    stream = b"".join(frames)
    buffer = Buffer(TO_PLUGIN)
    found: list[Any] = []
    for start in range(0, len(stream), size):
        found += buffer.feed(stream[start : start + size])
    assert found == [TO_PLUGIN.decode(frame[4:]) for frame in frames]
    assert buffer.is_empty
