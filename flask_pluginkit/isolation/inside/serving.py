"""Serving the plugin's socket: one exchange at a time on each connection, in a few threads.

Each thread waits for the next connection that has something to say, reads it, runs the exchange
and sends the reply: no other thread is woken on the way, and an idle plugin costs nothing. The
kernel gives each event to one thread, as connections are armed for one event at a time. Threads
are started when all others are busy.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Final, Protocol

from flask_pluginkit.isolation.messages import (
    Batch,
    Configured,
    Greeting,
    ToPlugin,
    Visit,
)
from flask_pluginkit.isolation.wire import TO_PLUGIN, Buffer, WireError, send

from .configuring import Given, seen
from .frames import frame_of
from .plugin import Inner

STACK: Final = 512 << 10
"""Bytes of a thread's stack."""
SLOW: Final = 30.0
"""Seconds that a frame may take to come, or a part of a reply to be taken."""
SPARE: Final = 32
"""Descriptors that are left to the plugin."""
MOST: Final = 256
"""Connections, if the descriptors allow for so many."""
SETTLED: Final = 1.0
"""Seconds without a request after which a connection may be closed in favour of a new one."""
PATIENCE: Final = 1.0
"""Seconds between two looks at what no event tells of."""
DRAIN: Final = 5.0
"""Seconds that running exchanges have to end."""

_PART: Final = 1 << 16
_TURN: Final = 1 << 20

_log = logging.getLogger(__name__)


class Stop(Protocol):
    """Tells when to end; a `threading.Event` is one."""

    def wait(self) -> object:
        """Return when it is time to end."""
        ...


class Connection:
    """One web worker's thread, as it is seen from here."""

    __slots__ = ("buffer", "descriptor", "given", "is_busy", "is_greeted", "since", "socket")

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self.descriptor = made.fileno()
        self.buffer: Buffer[ToPlugin] = Buffer(TO_PLUGIN)
        self.is_busy = self.is_greeted = False
        self.given: Given | None = None
        """The values of settings that its exchanges see."""
        self.since = time.monotonic()
        """When it last began to wait: for a request, or for the rest of a frame."""


class Server:
    """Serves one listening socket with at most so many threads."""

    def __init__(self, listener: socket.socket, inner: Inner, threads: int) -> None:
        self.inner = inner
        self.limit = _most()
        self._listener = listener
        self._most_threads = max(threads, 1)
        self._lock = threading.Lock()
        self._connections: dict[int, Connection] = {}
        self._partial: set[Connection] = set()
        self._idle = self._threads = 0
        self._running = 0
        self._is_paused = self._is_stopping = False
        self._done = threading.Condition(self._lock)
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        listener.setblocking(False)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._epoll.register(listener, select.EPOLLIN | select.EPOLLONESHOT)

    def start(self) -> None:
        """Begin to serve."""
        with self._lock:
            self._start_thread()

    def stop(self, seconds: float = DRAIN) -> bool:
        """Finish what was asked, and close everything; False if some still runs.

        Connections that wait for a request are closed at once: whoever has them can see that
        before asking the next thing.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            self._is_stopping = True
            for connection in list(self._connections.values()):
                if not connection.is_busy and not _has_data(connection):
                    self._forget(connection)
            os.eventfd_write(self._wake, 1)  # stays readable: every thread sees it
            while self._threads and (left := deadline - time.monotonic()) > 0:
                self._done.wait(left)
            is_done = not self._threads
            for connection in list(self._connections.values()):
                self._forget(connection)
            if is_done:
                self._epoll.close()
                os.close(self._wake)
        return is_done

    # ---- threads ----------------------------------------------------------------------------

    def _start_thread(self) -> None:
        """Start a thread that waits; the lock is held."""
        before = threading.stack_size(STACK)
        try:
            thread = threading.Thread(target=self._work, name="pluginkit-exchange", daemon=True)
            thread.start()
        except RuntimeError:  # the limit of tasks: those that run go on
            if not self._threads:
                raise
            return
        finally:
            threading.stack_size(before)
        self._threads += 1
        self._idle += 1

    def _work(self) -> None:
        try:
            while not self._is_stopping:
                self._next()
            while self._finish():
                pass
        finally:
            with self._lock:
                self._threads -= 1
                self._idle -= 1
                self._done.notify_all()

    def _finish(self) -> bool:
        """Run what was asked before the end came; False if there is nothing more."""
        events = self._epoll.poll(0, self.limit)
        asked = [d for d, _event in events if d not in {self._wake, self._listener.fileno()}]
        for descriptor in asked:
            self._handle(descriptor)
        return bool(asked)

    def _next(self) -> None:
        """Wait for one event and do what it wants."""
        has_to_look = self._partial or self._is_paused
        events = self._epoll.poll(PATIENCE if has_to_look else None, 1)
        for descriptor, _event in events:
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor != self._wake:
                self._handle(descriptor)
        if self._partial:
            self._drop_slow()
        if self._is_paused and not events:
            with self._lock:
                self._listen()  # others may have given descriptors back

    # ---- connections ------------------------------------------------------------------------

    def _accept(self) -> None:
        """Take one connection, in place of an idle one if there are too many."""
        made, is_full = None, False
        try:
            made, _address = self._listener.accept()
        except OSError as error:  # also that nobody is there any more
            is_full = error.errno in {errno.EMFILE, errno.ENFILE}
        with self._lock:
            if made is not None:
                made.setblocking(False)
                self._connections[made.fileno()] = Connection(made)
                self._epoll.register(made, select.EPOLLIN | select.EPOLLONESHOT)
            if (is_full or len(self._connections) >= self.limit) and not self._make_room():
                self._is_paused = True  # until a connection is closed
            else:
                self._listen()

    def _listen(self) -> None:
        self._is_paused = False
        if not self._is_stopping:
            self._epoll.modify(self._listener, select.EPOLLIN | select.EPOLLONESHOT)

    def _make_room(self) -> bool:
        """Close the connection that is idle for longest; False if all are in use."""
        latest = time.monotonic() - SETTLED
        idle = [c for c in self._connections.values() if not c.is_busy and c.since < latest]
        if not idle:
            return False
        self._forget(min(idle, key=lambda connection: connection.since))
        return True

    def _forget(self, connection: Connection) -> None:
        """Close a connection; the lock is held."""
        if self._connections.get(connection.descriptor) is connection:
            del self._connections[connection.descriptor]
            connection.socket.close()
        self._partial.discard(connection)

    def _close(self, connection: Connection) -> None:
        with self._lock:
            self._forget(connection)
            if self._is_paused:
                self._listen()

    def _drop_slow(self) -> None:
        """Close connections whose frames take too long to come."""
        latest = time.monotonic() - SLOW
        with self._lock:
            for connection in [c for c in self._partial if c.since < latest]:
                self._forget(connection)

    # ---- exchanges --------------------------------------------------------------------------

    def _handle(self, descriptor: int) -> None:
        """Read from a connection and run the exchange that it asks for, if it is complete."""
        with self._lock:
            connection = self._connections.get(descriptor)
            if connection is None or connection.is_busy:
                return  # closed meanwhile, and its number is another's now
            connection.is_busy = True
        keep = False
        try:
            keep = self._advance(connection)
        except (WireError, OSError) as error:
            _log.debug("a connection was closed: %s", error)
        finally:
            if not keep:
                self._close(connection)
        if keep:
            self._arm(connection)

    def _arm(self, connection: Connection) -> None:
        with self._lock:
            if connection.buffer.is_empty:
                connection.since = time.monotonic()
                self._partial.discard(connection)
            elif connection not in self._partial:
                connection.since = time.monotonic()  # ONE deadline for a whole frame
                self._partial.add(connection)
            connection.is_busy = False
            if self._is_stopping and not _has_data(connection):
                self._forget(connection)
            if self._is_paused and connection.buffer.is_empty:
                self._forget(connection)  # somebody waits for its place
                self._listen()
            if self._connections.get(connection.descriptor) is connection:
                self._epoll.modify(connection.descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def _advance(self, connection: Connection) -> bool:
        """Read what there is; False at the end. Raises WireError for what must not come."""
        size = 0
        while size < _TURN:
            try:
                data = connection.socket.recv(_PART)
            except BlockingIOError:
                break
            if not data:
                return False
            size += len(data)
            request = self._understood(connection, connection.buffer.feed(data))
            if request is not None:
                self._run(connection, request)
                break
            if len(data) < _PART:
                break
        return True

    def _understood(self, connection: Connection, messages: list[ToPlugin]) -> Visit | Batch | None:
        """Greet the plugin, and return the request that came. Raises WireError."""
        request: Visit | Batch | None = None
        for message in messages:
            if isinstance(message, Greeting) == connection.is_greeted:
                raise WireError("a greeting is the first frame of a connection, and no other")
            if isinstance(message, Greeting):
                connection.is_greeted = True
                self.inner.greet(message)
            elif request is not None:
                raise WireError("a second request while one runs")
            elif isinstance(message, Configured):
                connection.given = self.inner.configure(message)
            else:
                request = message
        if request is not None and not connection.buffer.is_empty:
            raise WireError("more than one request")
        return request

    def _run(self, connection: Connection, request: Visit | Batch) -> None:
        """Run one exchange. Raises WireError if the reply can't be sent."""
        with self._lock:
            self._idle -= 1
            if self._idle == 0 and self._threads < self._most_threads:
                self._start_thread()
        try:
            with seen(connection.given):
                self._reply(connection, request)
        finally:
            with self._lock:
                self._idle += 1

    def _reply(self, connection: Connection, request: Visit | Batch) -> None:
        if isinstance(request, Batch):
            self._send(connection, frame_of(self.inner.batch(request)))
            return
        replies = self.inner.visit(request)
        try:
            for reply in replies:
                self._send(connection, frame_of(reply))
        finally:
            with suppress(Exception):
                replies.close()  # type: ignore[attr-defined]

    def _send(self, connection: Connection, frame: bytes) -> None:
        send(connection.socket, frame, time.monotonic() + SLOW)


def serve(
    listener: socket.socket,
    inner: Inner,
    *,
    stop: Stop,
    threads: int,
    seconds: float = DRAIN,
) -> bool:
    """Serve until `stop`, then let end what runs; False if something runs for longer.

    The calling thread only waits. Exchanges that still run after `seconds` end with the process.
    """
    server = Server(listener, inner, threads)
    server.start()
    stop.wait()
    return server.stop(seconds)


def _has_data(connection: Connection) -> bool:
    try:
        return bool(connection.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False


def _most() -> int:
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(8, min(MOST, soft - SPARE))
