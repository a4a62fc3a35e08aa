"""Zygotes fork, tell of ends, and end with their supervisors; workers ask through their channel."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from isolation_parts import Place, eventually, place, processes_with

from flask_pluginkit.isolation.processes import asking, channel, runtime
from flask_pluginkit.isolation.processes.asking import Desk
from flask_pluginkit.isolation.processes.logs import LogFile
from flask_pluginkit.isolation.processes.loop import Loop
from flask_pluginkit.isolation.processes.nursery import Birth, Nursery
from flask_pluginkit.isolation.processes.orders import receive_with, send_with
from flask_pluginkit.isolation.processes.peer import Peer
from flask_pluginkit.isolation.supervision import (
    Ask,
    Stop,
    Told,
)
from flask_pluginkit.isolation.wire import TO_SUPERVISOR, WireError
from flask_pluginkit.sandbox import canaries


class Ward:
    """A nursery in a loop of its own thread."""

    def __init__(self, made: Place, stack: ExitStack) -> None:
        self.loop = Loop()
        perch = stack.enter_context(runtime.perch(Path(made.settings.control)))
        planted = stack.enter_context(canaries.planted(perch))
        self.file = LogFile(Path(made.settings.control), 1 << 20)
        self.nursery = Nursery(self.loop, made.settings, planted, None, self.file)
        self.born: dict[int, int] = {}
        self.ended: dict[int, tuple[int, str]] = {}
        self.kept: list[socket.socket] = []
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def bear(self, number: int) -> None:
        """Have a worker forked that waits for its assignment."""
        ours, theirs = socket.socketpair()
        self.kept.append(ours)
        null = os.open(os.devnull, os.O_RDWR)
        listener = socket.socket(socket.AF_UNIX)

        def born(pid: int, handle: int) -> None:
            os.close(handle)
            self.born[number] = pid

        birth = Birth(
            number=number,
            descriptors=[listener.detach(), theirs.detach(), null],
            born=born,
            ended=lambda code, why: self.ended.update({number: (code, why)}),
        )
        self.loop.soon(lambda: self.nursery.bear(birth))

    def close(self) -> None:
        self.loop.soon(self.nursery.close)
        self.loop.soon(self.loop.stop)
        self.thread.join(5)
        self.loop.close()
        self.file.close()
        for one in self.kept:
            one.close()


@pytest.fixture
def ward() -> Iterator[Ward]:
    """A nursery; its zygote is there when it is first needed."""
    with place(namespaces=False) as made, ExitStack() as stack:
        (made.folder / "run").mkdir(mode=0o700)
        found = Ward(made, stack)
        stack.callback(found.close)
        yield found


def test_workers_are_forked_and_their_ends_are_told(ward: Ward) -> None:
    """With the exit code, negative for a signal."""
    ward.bear(1)
    ward.bear(2)
    assert eventually(lambda: len(ward.born), 2) == 2
    assert Path(f"/proc/{ward.born[1]}/stat").read_text().split()[3] == str(ward.nursery.pid)
    os.kill(ward.born[1], signal.SIGSEGV)
    assert eventually(lambda: ward.ended, {1: (-11, "")}) == {1: (-11, "")}
    ward.kept[1].close()  # it would have got its assignment there
    assert eventually(lambda: ward.ended.get(2), (0, "")) == (0, "")


def test_workers_end_with_their_zygote_and_another_one_follows(ward: Ward) -> None:
    """The reason names it."""
    ward.bear(1)
    assert eventually(lambda: len(ward.born), 1) == 1
    os.kill(ward.nursery.pid, signal.SIGKILL)
    assert eventually(lambda: 1 in ward.ended, True)
    code, why = ward.ended[1]
    assert code == -9
    assert "what forks the workers ended" in why
    ward.bear(2)
    assert eventually(lambda: 2 in ward.born, True)


def test_a_zygote_that_can_not_begin_says_why() -> None:
    """Those who wait for it are told, not kept waiting."""
    with place(inside="no_such_package") as made, ExitStack() as stack:
        found = Ward(made, stack)
        stack.callback(found.close)
        found.bear(1)
        assert eventually(lambda: 1 in found.ended, True)
        assert "No module named 'no_such_package'" in found.ended[1][1]


def test_a_zygote_ends_when_its_connection_does(ward: Ward) -> None:
    """Also if nothing kills it."""
    ward.bear(1)
    assert eventually(lambda: len(ward.born), 1) == 1
    zygote = ward.nursery.pid
    connection = ward.nursery._connection
    assert connection is not None
    connection.shutdown(socket.SHUT_RDWR)
    assert eventually(lambda: Path(f"/proc/{zygote}").exists(), False) is False
    assert processes_with(f"/proc/{zygote}") == []


# ---- descriptors -----------------------------------------------------------------------------


def test_descriptors_travel_with_bytes() -> None:
    """And are closed at exec."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reading, writing = os.pipe()
        assert send_with(ours, b"x", [writing]) == 1
        os.close(writing)
        data, (received,) = receive_with(theirs, 10)
        assert data == b"x"
        assert not os.get_inheritable(received)
        os.write(received, b"y")
        assert os.read(reading, 1) == b"y"
        os.close(received)
        os.close(reading)


def test_more_descriptors_than_expected_are_closed() -> None:
    """And reported."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = len(list(Path("/proc/self/fd").iterdir()))
        send_with(ours, b"x", [0] * 20)
        with pytest.raises(OSError, match="more descriptors"):
            receive_with(theirs, 10)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


# ---- the channel -----------------------------------------------------------------------------


class Host:
    """The supervisor's end of a worker's channel."""

    def __init__(self, stack: ExitStack) -> None:
        ours, theirs = socket.socketpair()
        self.loop = Loop()
        self.asked: list[Ask] = []
        self.ended = threading.Event()
        self.peer = Peer(
            self.loop, ours, TO_SUPERVISOR, received=self._received, ended=lambda _: None
        )
        self.answers: Any = None
        self.desk = Desk(self.loop, lambda: self.answers)
        self.channel = channel.Channel(theirs)
        self.stopped: list[float] = []
        self.channel.listen(self.stopped.append, self.ended.set)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()
        stack.callback(self.close, theirs)

    def _received(self, message: Any) -> None:
        self.asked.append(message)
        if self.answers is not None:
            self.desk.take(self, message, self.peer)

    def close(self, theirs: socket.socket) -> None:
        self.loop.soon(self.peer.close)
        self.loop.soon(self.loop.stop)
        self.thread.join(5)
        self.desk.close()
        assert self.ended.wait(5)
        theirs.close()
        self.loop.close()


@pytest.fixture
def host() -> Iterator[Host]:
    """Both ends."""
    with ExitStack() as stack:
        yield Host(stack)


class Answers:
    """What a service might do."""

    def answer(self, what: str, args: list[Any]) -> Any:
        match what:
            case "add":
                return sum(args)
            case "connect":
                ours, theirs = socket.socketpair()
                ours.settimeout(3)
                theirs.send(b"hello")
                theirs.close()
                return ours
            case "wait":
                time.sleep(args[0])
                return args[0]
            case "full":
                raise OSError(errno.EDQUOT, "its storage is full")
            case "odd":
                return object()
            case "large":
                return "x" * (5 << 20)
            case "wrong":
                raise KeyError("x")
        raise PermissionError(f"{what} isn't permitted")


def test_a_plugin_is_answered(host: Host) -> None:
    """Each question by its own reply, whatever order they come in."""
    host.answers = Answers()
    found: list[Any] = []
    slow = threading.Thread(target=lambda: found.append(host.channel.ask("wait", 0.2)))
    slow.start()
    assert host.channel.ask("add", 1, 2) == 3
    assert found == []
    slow.join()
    assert found == [0.2]


def test_a_connection_comes_as_a_socket(host: Host) -> None:
    """With the time-out that the plugin asked for, and no other."""
    host.answers = Answers()
    with host.channel.connect("example.org", 80, None) as connection:
        assert connection.gettimeout() is None
        assert connection.recv(10) == b"hello"
    with host.channel.connect("example.org", 80, 2.5) as connection:
        assert connection.gettimeout() == 2.5
    assert host.asked[1].args == ["example.org", 80, 2.5]


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("full", OSError, "its storage is full"),
        ("other", PermissionError, "other isn't permitted"),
        ("odd", OSError, "can't cross to another process"),
        ("large", OSError, "expected at most"),
        ("wrong", OSError, "x"),
        ("connect", OSError, "a connection came where a value was expected"),
    ],
)
def test_an_error_of_the_host_is_one_of_the_plugin(
    host: Host, what: str, kind: type[OSError], said: str
) -> None:
    """Of a kind that code which deals with files and connections knows."""
    host.answers = Answers()
    with pytest.raises(kind, match=said) as caught:
        host.channel.ask(what)
    if what == "full":
        assert caught.value.errno == errno.EDQUOT


def test_a_value_is_no_connection(host: Host) -> None:
    """Where one was asked for."""
    host.answers = Answers()
    host.answers.answer = lambda what, args: 1
    with pytest.raises(OSError, match="no connection to a:1 came"):
        host.channel.connect("a", 1, 1.0)


def test_a_host_that_does_not_answer_is_not_waited_for_for_ever(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes later is thrown away, a connection too."""
    monkeypatch.setattr(channel, "PATIENCE", 0.1)
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        host.channel.ask("add", 1)
    (asked,) = host.asked
    ours, theirs = socket.socketpair()
    with theirs:
        late = Told(id=asked.id, kind=channel.SOCKET)
        descriptor = ours.detach()
        host.loop.soon(lambda: host.peer.send(late, descriptor))
        theirs.settimeout(5)
        assert theirs.recv(1) == b""


def test_too_many_questions_wait_their_turn(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads more of them than are to be answered, and none is lost."""
    monkeypatch.setattr(asking, "MOST_WAITING", 3)
    host.answers = Answers()
    found: list[float] = []
    threads = [
        threading.Thread(target=lambda: found.append(host.channel.ask("wait", 0.01)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [0.01] * 20


def test_a_worker_hears_that_it_is_to_stop(host: Host) -> None:
    """And how long it has."""
    host.loop.soon(lambda: host.peer.send(Stop(seconds=2.5)))
    assert eventually(lambda: host.stopped, [2.5]) == [2.5]


def test_without_services_nothing_is_permitted(tmp_path: Path) -> None:
    """Whatever is asked for."""
    with pytest.raises(PermissionError, match=r"storage\.get isn't permitted"):
        asking.NoAnswers().answer("storage.get", [])
    service = asking.open_service("hello", (), tmp_path)
    with pytest.raises(PermissionError):
        service.answer("storage.get", ["", "key"])


# ---- peers -----------------------------------------------------------------------------------


@pytest.fixture
def conversation() -> Iterator[tuple[Loop, Peer[Any], socket.socket, list[str]]]:
    """A peer whose loop isn't run, its other side, and why it ended."""
    ours, theirs = socket.socketpair()
    loop = Loop()
    ended: list[str] = []
    peer: Peer[Any] = Peer(loop, ours, TO_SUPERVISOR, received=lambda _: None, ended=ended.append)
    yield loop, peer, theirs, ended
    peer.close()
    peer.close()  # once is enough
    theirs.close()
    loop.close()


def test_what_has_no_room_is_sent_later(
    conversation: tuple[Loop, Peer[Any], socket.socket, list[str]],
) -> None:
    """In parts, with nothing missing."""
    _, peer, theirs, _ = conversation
    peer.send(Told(id=1, value="x" * 1_000_000))
    received = 0
    theirs.setblocking(False)
    while received < 1_000_000:
        try:
            received += len(theirs.recv(1 << 20))
        except BlockingIOError:
            peer._ready()
    assert not peer._queue


def test_who_reads_nothing_is_given_up(
    conversation: tuple[Loop, Peer[Any], socket.socket, list[str]],
) -> None:
    """What waits for it takes memory."""
    _, peer, _, ended = conversation
    for _ in range(10):
        peer.send(Told(id=1, value="x" * 4_000_000))
    assert ended == ["it doesn't read what it is sent"]
    assert not peer.is_open


def test_a_descriptor_that_can_not_be_sent_is_closed(
    conversation: tuple[Loop, Peer[Any], socket.socket, list[str]],
) -> None:
    """Because its message is too long, or because nobody is there any more."""
    _, peer, theirs, _ = conversation
    reading, writing = os.pipe()
    with pytest.raises(WireError):
        peer.send(Told(id=1, value="x" * 5_000_000), writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    theirs.close()
    reading, writing = os.pipe()
    peer.send(Told(id=1))
    peer.send(Told(id=2), writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_peer_that_is_paused_reads_nothing_and_still_sends(
    conversation: tuple[Loop, Peer[Any], socket.socket, list[str]],
) -> None:
    """And begins again where it stopped."""
    _, peer, theirs, ended = conversation
    theirs.send(b"\0\0\0")
    peer.pause()
    peer._ready()
    peer.send(Told(id=1))
    assert theirs.recv(100)
    before = peer._buffer.is_empty
    peer.resume()
    peer._ready()
    assert (before, peer._buffer.is_empty) == (True, False)
    theirs.close()
    peer._ready()
    assert ended == [""]
