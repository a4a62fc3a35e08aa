"""The connections of this process to one worker of a plugin, and the calls that run on them."""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Self

from flask_pluginkit.exceptions import PluginError, SupervisorError
from flask_pluginkit.isolation.messages import (
    Chunk,
    Greeting,
    Head,
)
from flask_pluginkit.isolation.supervision import (
    Placed,
)
from flask_pluginkit.isolation.wire import (
    REQUEST_LIMIT,
    ClosedError,
    DeadlineError,
    WireError,
    encode,
)

from .exchange import LATE, Connection, Message, Reply, UnreachableError
from .forks import remember

__all__ = ["NUMBERS", "Blamed", "BusyError", "Pool", "Streamed", "UnreachableError", "gather"]

NUMBERS: Final = itertools.count(1)
"""Ids for messages: ``Visit(id=next(NUMBERS), ...)``."""

IDLE: Final = 8
"""Connections that are kept for the next call."""

PATIENCE: Final = 1.0
"""Seconds after which a running call is taken for one that hangs."""

Blamed = Callable[[str], None]
"""Called with what the worker did wrong, at most once for each pool."""


class BusyError(PluginError):
    """The plugin isn't asked, because it doesn't answer those who ask already."""


class Pool:
    """The connections to one worker of a plugin; safe for threads, and empty after a fork.

    A pool belongs to one `Placed`. When the worker ends, calls raise `UnreachableError` (it
    never got the message) or `ClosedError` (it may have); then `Control.want` tells who
    follows, and that one gets a pool of its own.
    """

    def __init__(
        self,
        placed: Placed,
        greeting: Greeting,
        *,
        blamed: Blamed,
        orphaned: Callable[[], bool] = lambda: False,
        limit: int = 16,
        patience: float = PATIENCE,
    ) -> None:
        """Make a pool without a connection.

        Args:
            placed: who answers, as the supervisor said.
            greeting: what each connection begins with.
            blamed: called when the worker misses a deadline or breaks the protocol, in the
                thread that found it out.
            orphaned: tells whether the supervisor, whose end the worker doesn't outlive, is
                gone.
            limit: how many calls may run at the same time.
            patience: seconds; from then on the oldest call counts as one that hangs, and while
                two or more run, no other is begun.

        """
        self.placed = placed
        self.limit = limit
        self.patience = patience
        self._blamed: Blamed | None = blamed
        self._orphaned = orphaned
        self._greeting = encode(greeting, REQUEST_LIMIT)
        self._is_closed = False
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._running: dict[Connection, float] = {}
        self._starting: dict[object, float] = {}
        remember(self)

    # ---- calls -----------------------------------------------------------------------------

    def call(self, message: Message, deadline: float) -> Reply:
        """Send a message and return its whole reply by `deadline` (`time.monotonic`).

        For a `Batch` that is `Results`; for a `Visit` `Aborted`, `Broken` or a `Head`, which
        must be all of it: those who take more than that call `stream`.

        Raises:
            BusyError: it wasn't asked, as others wait for it.
            UnreachableError: it wasn't asked, as it is gone.
            WireError: it was asked; DeadlineError, ClosedError, or what it said is unusable.

        """
        with self.stream(message, deadline) as streamed:
            if streamed.has_more:
                raise WireError("a reply in parts, where one was expected")
            return streamed.reply

    def stream(self, message: Message, deadline: float, settings: bytes = b"") -> Streamed:
        """Send a message and return the beginning of its reply; raises as `call` does.

        If the result `has_more`, the rest is read by iterating over it. It must be closed.
        """
        connection = self.begin(message, deadline, settings)
        try:
            reply = connection.answer(deadline)
        except BaseException as error:
            self.fail(connection, error)
            raise
        return self.finish(connection, reply, deadline)

    def begin(self, message: Message, deadline: float, settings: bytes = b"") -> Connection:
        """Begin to send a message; `finish` or `fail` must follow. Raises as `call` does.

        `settings`: the frame with the values that count for it, if the plugin has settings.
        """
        while True:
            connection, is_fresh = self._checkout(deadline)
            try:
                connection.ask(message, settings)
            except UnreachableError as error:
                self.fail(connection, error)
                if is_fresh:
                    raise
            except BaseException as error:
                self.fail(connection, error)
                raise
            else:
                return connection

    def finish(self, connection: Connection, reply: Reply, deadline: float) -> Streamed:
        """Return what came on a connection of `begin`, which others may use if that was all."""
        if isinstance(reply, Head) and reply.more:
            return Streamed(reply, self, connection, deadline)
        self.put_back(connection)
        return Streamed(reply, deadline=deadline)

    def fail(self, connection: Connection, error: BaseException | None = None) -> None:
        """Close a connection of `begin`, and blame the worker if `error` is its fault."""
        with self._lock:
            self._running.pop(connection, None)
        connection.close()
        if isinstance(error, WireError) and not isinstance(error, ClosedError):
            self._blame(error)

    def told(self, error: PluginError) -> PluginError:
        """Return what to raise of an exchange that failed: it may be no fault of the plugin."""
        if isinstance(error, ClosedError) and self._orphaned():
            return SupervisorError(f"the supervisor has ended, and so did its workers: {error}")
        return error

    def put_back(self, connection: Connection) -> None:
        """Keep a connection of `begin` for the next call, as its reply is complete."""
        with self._lock:
            self._running.pop(connection, None)
            if len(self._idle) < IDLE and not self._is_closed and connection.is_usable:
                self._idle.append(connection)
                return
        connection.close()

    # ---- the pool itself -------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether no call can begin."""
        return self._is_closed

    def close(self) -> None:
        """Close what is idle, and what runs as soon as it is done; no call can begin."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        for connection in self._idle:  # nobody else knows of them
            connection.close()

    def forget(self) -> None:
        """Begin anew in a forked process, whose copies of the sockets are closed."""
        for connection in (*self._idle, *self._running):
            connection.close()
        self._lock = threading.Lock()
        self._idle, self._running, self._starting = [], {}, {}

    @property
    def running(self) -> int:
        """How many calls run."""
        return len(self._running) + len(self._starting)

    def _checkout(self, deadline: float) -> tuple[Connection, bool]:
        """Return a connection of nobody else's, and whether it is a new one."""
        now = time.monotonic()
        with self._lock:
            self._require_room(now)
            while self._idle:
                connection = self._idle.pop()
                if connection.is_quiet:
                    self._running[connection] = now
                    return connection, False
                connection.close()  # its worker has ended, or speaks without being asked
            self._starting[token := object()] = now
        try:
            connection = Connection(self.placed.socket, self._greeting, deadline)
            with self._lock:
                self._running[connection] = now
        except DeadlineError as error:
            self._blame(error)
            raise
        finally:
            with self._lock:
                self._starting.pop(token, None)
        return connection, True

    def _require_room(self, now: float) -> None:
        running = self.running
        if self._is_closed:
            raise UnreachableError("this worker of the plugin is no longer asked")
        if running < 2:
            return
        if running >= self.limit:
            raise BusyError(f"{running} calls of the plugin run already, as many as may")
        oldest = now - min((*self._running.values(), *self._starting.values()))
        if oldest > self.patience:
            raise BusyError(f"{running} calls of the plugin run, the oldest for {oldest:.1f} s")

    def _blame(self, error: WireError) -> None:
        with self._lock:
            blamed, self._blamed = self._blamed, None
        if blamed is not None:
            blamed(str(error))


class Streamed:
    """A reply that may have more: iterate once for its chunks, and close it in any case.

    While it `has_more` it holds a connection; closing it earlier closes that too, which tells
    the worker. How long it may take is said by `allow`.
    """

    __slots__ = ("_connection", "_pause", "_pool", "_seconds", "left", "reply")

    def __init__(
        self,
        reply: Reply,
        pool: Pool | None = None,
        connection: Connection | None = None,
        deadline: float = 0.0,
    ) -> None:
        self.reply = reply
        self._pool = pool
        self._connection = connection
        self.left = max(deadline - time.monotonic(), 0.0)
        """How many seconds were left until the deadline when it came."""
        self._pause = self._seconds = self.left

    def allow(self, pause: float, seconds: float) -> None:
        """Let each chunk take so long, and all of them so long (seconds).

        Without, what was left of the call's deadline holds for all of it.
        """
        self._pause, self._seconds = pause, seconds

    @property
    def has_more(self) -> bool:
        """Whether chunks are to come."""
        return self._connection is not None

    def __iter__(self) -> Iterator[Chunk]:
        """Return the chunks, the last one included. Raises WireError."""
        connection, pool = self._connection, self._pool
        if connection is None or pool is None:
            return
        try:
            for chunk in connection.chunks(self.reply.id, self._pause, self._seconds):
                if chunk.last:
                    self._connection = None
                    pool.put_back(connection)
                yield chunk
        except WireError as error:
            self._connection = None
            pool.fail(connection, error)
            raise pool.told(error) from error

    def close(self) -> None:
        """Wait for no more of it."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pool is not None:
            self._pool.fail(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def gather(
    calls: Sequence[tuple[Pool, Message]], deadline: float, settings: Sequence[bytes] = ()
) -> list[Streamed | PluginError]:
    """Ask several plugins at the same time; return what came of each call, in their order.

    `settings` are frames as for `Pool.begin`, one for each call or none at all.

    An error is returned in its place, as what `Pool.call` would have raised.
    """
    results: list[Streamed | PluginError | None] = [None] * len(calls)
    waiting: dict[int, tuple[int, Connection]] = {}
    poll = select.poll()
    for place, (pool, message) in enumerate(calls):
        try:
            connection = pool.begin(message, deadline, settings[place] if settings else b"")
        except PluginError as error:
            results[place] = error
            continue
        waiting[connection.fileno()] = place, connection
        poll.register(connection, _events(connection))
    try:
        _collect(calls, waiting, poll, results, deadline)
    finally:
        for place, connection in waiting.values():
            late = DeadlineError(LATE)
            results[place] = late
            calls[place][0].fail(connection, late if time.monotonic() >= deadline else None)
    return [DeadlineError(LATE) if result is None else result for result in results]


def _collect(
    calls: Sequence[tuple[Pool, Message]],
    waiting: dict[int, tuple[int, Connection]],
    poll: select.poll,
    results: list[Streamed | PluginError | None],
    deadline: float,
) -> None:
    """Fill `results` with what comes by the deadline, and take that out of `waiting`."""
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, event in poll.poll(left * 1000):
            place, connection = waiting[descriptor]
            pool = calls[place][0]
            try:
                connection.push()
                reply = connection.pull() if event & ~select.POLLOUT else None
            except PluginError as error:
                results[place] = error
                pool.fail(connection, error)
            else:
                if reply is None:
                    poll.modify(connection, _events(connection))
                    continue
                results[place] = pool.finish(connection, reply, deadline)
            poll.unregister(descriptor)
            del waiting[descriptor]


def _events(connection: Connection) -> int:
    return select.POLLIN | (select.POLLOUT if connection.is_sending else 0)
