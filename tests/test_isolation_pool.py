"""Connections to a plugin's worker: what is believed of what it says, and when it isn't asked."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from isolation_parts import batch, eventually, pool_of, worker

from flask_pluginkit.isolation.client.exchange import Connection
from flask_pluginkit.isolation.client.pool import (
    NUMBERS,
    BusyError,
    Pool,
    Streamed,
    UnreachableError,
    gather,
)
from flask_pluginkit.isolation.messages import (
    Chunk,
    FromPlugin,
    Greeting,
    Head,
    Page,
    Results,
    Value,
    Visit,
)
from flask_pluginkit.isolation.supervision import (
    Placed,
)
from flask_pluginkit.isolation.wire import (
    REPLY_LIMIT,
    TO_PLUGIN,
    ClosedError,
    DeadlineError,
    WireError,
    encode,
    receive,
    send,
)

Script = Callable[[socket.socket], None]


def soon(seconds: float = 5.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def read(connection: socket.socket) -> Any:
    """The next message."""
    return receive(connection, TO_PLUGIN, soon(60))


def tell(connection: socket.socket, message: FromPlugin) -> None:
    """Send a message."""
    send(connection, encode(message, REPLY_LIMIT), soon())


def results(number: int, *values: Any) -> Results:
    """A reply with these values."""
    return Results(id=number, results=[Value(value=value) for value in values])


def echo(connection: socket.socket) -> None:
    """Answer each call with its arguments, until the end."""
    assert isinstance(read(connection), Greeting)
    while True:
        message = read(connection)
        tell(connection, results(message.id, *(call.args for call in message.calls)))


def once(reply: Callable[[int], FromPlugin | bytes]) -> Script:
    """Answer one message, and read on to the end."""

    def script(connection: socket.socket) -> None:
        read(connection)
        number = read(connection).id
        said = reply(number)
        if isinstance(said, bytes):
            connection.send(said)
        else:
            tell(connection, said)
        read(connection)

    return script


def silent(connection: socket.socket) -> None:
    """Answer nothing."""
    while True:
        read(connection)


def test_a_call_returns_the_reply_to_it() -> None:
    """And the connection serves the next one."""
    with worker(echo) as placed:
        pool = pool_of(placed)
        assert pool.call(batch(1), soon()) == results(next(NUMBERS) - 1, [1])
        assert isinstance(pool.call(batch(2), soon()), Results)
        assert pool.running == 0
        pool.close()


def test_a_message_larger_than_the_socket_s_room_is_sent_in_parts() -> None:
    """And a reply like that is read in parts."""
    with worker(echo) as placed:
        pool = pool_of(placed)
        reply = pool.call(batch("x" * 3_000_000), soon())
        assert isinstance(reply, Results)
        assert reply.results == [Value(value=["x" * 3_000_000])]
        pool.close()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda number: results(number + 1, 1), "a reply to message"),
        (results, "0 results of 1 calls"),
        (lambda number: results(number, 1, 2), "2 results of 1 calls"),
        (lambda number: Head(id=number, status=200), "Head in reply to Batch"),
        (lambda number: Chunk(id=number), "Chunk in reply to Batch"),
        (lambda _: b"\0\0\0\x02\xc1\xc1", "can't be understood"),
        (lambda _: b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (lambda _: b"\0\0\0\0\0\0", "a frame of 0 bytes"),
        (lambda number: encode(results(number, 1), 999) * 2, "more than one reply"),
    ],
)
def test_what_must_not_be_said_is_blamed_and_closes_the_connection(
    reply: Callable[[int], Any], said: str
) -> None:
    """Once for each pool, with the reason."""
    blamed: list[str] = []
    with worker(once(reply), once(reply)) as placed:
        pool = pool_of(placed, blamed=blamed.append)
        for _ in range(2):
            with pytest.raises(WireError, match=said):
                pool.call(batch(1), soon())
        assert pool.running == 0
    assert len(blamed) == 1
    assert said in blamed[0]


def test_a_missed_deadline_is_blamed() -> None:
    """The connection isn't used again."""
    blamed: list[str] = []
    with worker(silent, echo) as placed:
        pool = pool_of(placed, blamed=blamed.append)
        with pytest.raises(DeadlineError):
            pool.call(batch(1), soon(0.05))
        assert isinstance(pool.call(batch(1), soon()), Results)
        pool.close()
    assert blamed == ["no complete reply within the deadline"]


def test_a_reply_that_drips_misses_the_deadline_too() -> None:
    """However often something comes."""

    def drip(connection: socket.socket) -> None:
        read(connection)
        frame = encode(results(read(connection).id, "x" * 1000), REPLY_LIMIT)
        for byte in frame:
            connection.send(bytes([byte]))
            time.sleep(0.01)

    with worker(drip) as placed:
        pool = pool_of(placed)
        start = time.monotonic()
        with pytest.raises(DeadlineError):
            pool.call(batch(1), soon(0.2))
        assert time.monotonic() - start < 2


def test_the_end_of_a_worker_is_no_reason_to_blame_it() -> None:
    """Its supervisor knows; whether it got the message isn't known."""

    def leave(connection: socket.socket) -> None:
        read(connection)
        read(connection)

    blamed: list[str] = []
    with worker(leave) as placed:
        pool = pool_of(placed, blamed=blamed.append)
        with pytest.raises(ClosedError) as caught:
            pool.call(batch(1), soon())
    assert not isinstance(caught.value, UnreachableError)
    assert blamed == []


def test_a_socket_that_nobody_serves_is_told_apart() -> None:
    """The message can't have come, so another worker may be asked."""
    with worker() as placed:
        gone = placed.socket
    pool = pool_of(placed)
    with pytest.raises(UnreachableError, match="can't be reached"):
        pool.call(batch(1), soon())
    assert gone == placed.socket
    assert pool.running == 0


def test_a_connection_that_speaks_unasked_is_thrown_away() -> None:
    """The next request must not get what a plugin prepared for it."""

    def poison(connection: socket.socket) -> None:
        read(connection)
        number = read(connection).id
        tell(connection, results(number, "mine"))
        time.sleep(0.2)  # so that it isn't read with the first, which would be noticed at once
        tell(connection, results(number + 1, "poison"))
        read(connection)

    with worker(poison, echo) as placed:
        pool = pool_of(placed)
        pool.call(batch(1), soon())
        (idle,) = pool._idle
        assert eventually(lambda: idle.is_quiet, False) is False
        reply = pool.call(batch("clean"), soon())
        assert isinstance(reply, Results)
        assert reply.results == [Value(value=["clean"])]
        pool.close()


def test_an_idle_connection_that_was_closed_is_replaced_unnoticed() -> None:
    """As after an idle time-out of the worker."""

    def one_answer(connection: socket.socket) -> None:
        read(connection)
        tell(connection, results(read(connection).id, 1))

    with worker(one_answer, echo) as placed:
        pool = pool_of(placed)
        pool.call(batch(1), soon())
        (idle,) = pool._idle
        eventually(lambda: idle.is_quiet, False)
        assert isinstance(pool.call(batch(1), soon()), Results)
        pool.close()


# ---- how many at once ------------------------------------------------------------------------


def running(pool: Pool, count: int, seconds: float) -> list[threading.Thread]:
    """Threads in which calls run."""

    def call() -> None:
        with pytest.raises(WireError):
            pool.call(batch(1), soon(seconds))

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: pool.running, count) == count
    return threads


def test_a_hanging_plugin_takes_two_threads_and_no_more() -> None:
    """Once its oldest call is older than the patience, others are refused at once."""
    with worker(silent, silent) as placed:
        pool = pool_of(placed, patience=0.1)
        threads = running(pool, 2, 0.8)
        time.sleep(0.15)
        with pytest.raises(BusyError, match="2 calls of the plugin run, the oldest for"):
            pool.call(batch(1), soon())
        for thread in threads:
            thread.join()


def test_one_slow_call_leaves_room_for_others() -> None:
    """A single one may be slow with reason."""
    with worker(silent, echo) as placed:
        pool = pool_of(placed, patience=0.05)
        threads = running(pool, 1, 0.5)
        time.sleep(0.1)
        assert isinstance(pool.call(batch(1), soon()), Results)
        pool.close()
        for thread in threads:
            thread.join()


def test_no_more_calls_than_the_limit_run() -> None:
    """However young they are."""
    with worker(silent, silent) as placed:
        pool = pool_of(placed, limit=2)
        threads = running(pool, 2, 0.3)
        with pytest.raises(BusyError, match="as many as may"):
            pool.call(batch(1), soon())
        for thread in threads:
            thread.join()


def test_a_closed_pool_is_asked_nothing() -> None:
    """What runs is finished first."""
    with worker(echo) as placed:
        pool = pool_of(placed)
        connection = pool.begin(batch(1), soon())
        pool.close()
        with pytest.raises(UnreachableError):
            pool.call(batch(1), soon())
        connection.answer(soon())
        pool.put_back(connection)
        assert pool._idle == []


# ---- replies in parts ------------------------------------------------------------------------


def visit() -> Visit:
    """A request for a view."""
    return Visit(id=next(NUMBERS), page=Page())


def parts(*chunks: Chunk | None) -> Script:
    """Answer with a head and these chunks; None is the number of the message."""

    def script(connection: socket.socket) -> None:
        read(connection)
        number = read(connection).id
        tell(connection, Head(id=number, status=200, body=b"0", more=True))
        for place, chunk in enumerate(chunks, 1):
            last = place == len(chunks)
            tell(connection, chunk or Chunk(id=number, data=b"%d" % place, last=last))
        read(connection)

    return script


def test_a_reply_in_parts_is_read_to_its_end() -> None:
    """Then the connection is free for others."""
    with worker(parts(None, None, None)) as placed:
        pool = pool_of(placed)
        with pool.stream(visit(), soon()) as streamed:
            assert streamed.has_more
            assert pool.running == 1
            assert b"".join(chunk.data for chunk in streamed) == b"123"
        assert (pool.running, len(pool._idle)) == (0, 1)
        pool.close()


@pytest.mark.parametrize("read_first", [False, True])
def test_a_reply_that_is_closed_early_closes_its_connection(read_first: bool) -> None:
    """Whether its parts were begun to be read or not."""
    with worker(parts(None, None)) as placed:
        pool = pool_of(placed)
        streamed = pool.stream(visit(), soon())
        if read_first:
            assert next(iter(streamed)).data == b"1"
        streamed.close()
        assert (pool.running, pool._idle) == (0, [])


def test_a_reply_that_is_forgotten_closes_its_connection() -> None:
    """As when a request ends before its response is read."""
    with worker(parts(None, None)) as placed:
        pool = pool_of(placed)
        streamed = pool.stream(visit(), soon())
        del streamed
        assert pool.running == 0


@pytest.mark.parametrize(
    ("chunk", "said"),
    [(Chunk(id=0), "a reply to message 0"), (Chunk(id=10**9, last=True), "a reply to message")],
)
def test_a_part_of_another_reply_is_blamed(chunk: Chunk, said: str) -> None:
    """As anything else that must not come."""
    blamed: list[str] = []
    with worker(parts(chunk)) as placed:
        pool = pool_of(placed, blamed=blamed.append)
        with pool.stream(visit(), soon()) as streamed, pytest.raises(WireError, match=said):
            list(streamed)
        assert pool.running == 0
    assert len(blamed) == 1


def test_parts_without_an_end_miss_the_deadline() -> None:
    """However fast they come."""

    def endless(connection: socket.socket) -> None:
        read(connection)
        number = read(connection).id
        tell(connection, Head(id=number, status=200, more=True))
        while True:
            tell(connection, Chunk(id=number, data=b"x"))

    with worker(endless) as placed:
        pool = pool_of(placed)
        with pool.stream(visit(), soon(0.2)) as streamed, pytest.raises(DeadlineError):
            for _ in streamed:
                pass


def test_call_takes_no_reply_in_parts() -> None:
    """Who didn't ask for a stream doesn't get one."""
    with worker(parts(None)) as placed:
        pool = pool_of(placed)
        with pytest.raises(WireError, match="in parts"):
            pool.call(visit(), soon())
        assert pool.running == 0


# ---- several plugins -------------------------------------------------------------------------


def values(found: Any) -> Any:
    """The values of a reply, or the type of an error."""
    if isinstance(found, Streamed):
        assert isinstance(found.reply, Results)
        return [result.value for result in found.reply.results if isinstance(result, Value)]
    return type(found)


def slow(seconds: float) -> Script:
    """Answer after a while."""

    def script(connection: socket.socket) -> None:
        read(connection)
        number = read(connection).id
        time.sleep(seconds)
        tell(connection, results(number, seconds))

    return script


def test_plugins_are_asked_at_the_same_time() -> None:
    """What they take isn't added up, and the replies keep the order of the calls."""
    with worker(slow(0.4)) as one, worker(slow(0.3)) as other, worker(echo) as third:
        pools = [pool_of(placed) for placed in (one, other, third)]
        start = time.monotonic()
        found = gather([(pool, batch("x")) for pool in pools], soon())
        assert time.monotonic() - start < 0.65
        assert [values(each) for each in found] == [[0.4], [0.3], [["x"]]]
        for pool in pools:
            pool.close()


def test_one_that_hangs_costs_the_others_nothing() -> None:
    """Their replies come, also those larger than a socket's room; only it is blamed."""
    blamed: list[str] = []
    with worker(silent) as one, worker(echo) as other, worker() as nobody:
        pools = [pool_of(placed, blamed=blamed.append) for placed in (one, other)]
        large = "x" * 2_000_000
        dead = Placed(
            id=1, incarnation=1, socket=nobody.socket + "x", description=nobody.description
        )
        calls = [
            (pools[0], batch(large)),
            (pools[1], batch(large)),
            (pool_of(dead), batch(1)),
        ]
        found = gather(calls, soon(0.7))
        assert [values(each) for each in found] == [DeadlineError, [[large]], UnreachableError]
        assert [pool.running for pool in pools] == [0, 0]
        pools[1].close()
    assert blamed == ["no complete reply within the deadline"]


def test_who_breaks_a_rule_among_others_is_the_only_one_to_be_blamed() -> None:
    """The others' replies are returned."""
    blamed: list[str] = []
    wrong = once(lambda number: results(number + 1, 1))
    with worker(wrong) as one, worker(echo) as other:
        bad, good = pool_of(one, blamed=blamed.append), pool_of(other)
        found = gather([(bad, batch(1)), (good, batch(2))], soon())
        assert [values(each) for each in found] == [WireError, [[2]]]
        good.close()
    assert len(blamed) == 1


# ---- forks -----------------------------------------------------------------------------------


def test_a_fork_shares_no_connection() -> None:
    """The child's calls go over connections of its own, the parent's go on."""
    with worker(echo, echo) as placed:
        pool = pool_of(placed)
        pool.call(batch(1), soon())
        if not (child := os.fork()):
            status = 1
            try:
                is_empty = pool._idle == []
                pool.call(batch(2), soon())
                status = 0 if is_empty else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert isinstance(pool.call(batch(3), soon()), Results)
        assert len(pool._idle) == 1
        pool.close()


def test_a_worker_that_accepts_no_connection_is_blamed() -> None:
    """As when it is busy for good: its queue fills, and nobody waits beyond the deadline."""
    blamed: list[str] = []
    with worker() as nobody, socket.socket(socket.AF_UNIX) as listener:
        path = f"{nobody.socket}-full"
        listener.bind(path)
        listener.listen(0)
        placed = Placed(id=1, incarnation=1, socket=path, description=nobody.description)
        pool = pool_of(placed, blamed=blamed.append)
        held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(path)
        with pytest.raises(DeadlineError, match="accepts no connection"):
            pool.call(batch(1), soon(0.1))
        for one in held:
            one.close()
    assert blamed == ["the plugin's worker accepts no connection"]


def test_a_reply_before_the_message_is_complete_is_blamed() -> None:
    """It can be no reply to it, whatever its number."""
    message = batch("x" * 3_000_000)

    def hasty(connection: socket.socket) -> None:
        read(connection)
        tell(connection, results(message.id, 1))
        time.sleep(0.3)

    with worker(hasty) as placed:
        (found,) = gather([(pool_of(placed), message)], soon())
    assert values(found) is WireError
    assert str(found) == "a reply to a message that wasn't complete"


def test_nothing_to_ask_is_nothing_to_wait_for() -> None:
    """A page without plugins."""
    assert gather([], soon()) == []


def test_a_connection_that_ends_while_it_is_taken_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message can't have come, so it goes over another one."""

    def one_answer(connection: socket.socket) -> None:
        read(connection)
        tell(connection, results(read(connection).id, 1))

    with worker(one_answer, echo) as placed:
        pool = pool_of(placed)
        pool.call(batch(1), soon())
        (idle,) = pool._idle
        assert eventually(lambda: idle.is_quiet, False) is False
        monkeypatch.setattr(Connection, "is_quiet", True)
        reply = pool.call(batch(2), soon())
        assert isinstance(reply, Results)
        assert reply.results == [Value(value=[2])]
        pool.close()


def test_no_more_connections_are_kept_than_are_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rush."""
    monkeypatch.setattr("flask_pluginkit.isolation.client.pool.IDLE", 1)
    with worker(echo, echo) as placed:
        pool = pool_of(placed)
        both = [pool.begin(batch(1), soon()) for _ in range(2)]
        for connection in both:
            connection.answer(soon())
            pool.put_back(connection)
        assert pool._idle == both[:1]
        pool.close()
