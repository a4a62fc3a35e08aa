"""The one helper thread of a process, with real threads and processes."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace

import pytest

from flask_pluginkit import pulse as module
from flask_pluginkit.pulse import Pulse

NAME = "flask-pluginkit"


class Member:
    """Counts its calls, and does what a test asks for."""

    def __init__(self, on_beat: Callable[[], object] = int, on_tick: Callable[[], object] = int):
        self.beats = 0
        self.ticks = 0
        self.on_beat = on_beat
        self.on_tick = on_tick

    def beat(self) -> None:
        self.beats += 1
        self.on_beat()

    def tick(self) -> None:
        self.ticks += 1
        self.on_tick()


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pulse]:
    """A pulse of its own that beats each millisecond and ticks each 20."""
    monkeypatch.setattr(module, "BEAT", 0.001)
    monkeypatch.setattr(module, "TICK", 0.02)
    pulse = Pulse()
    yield pulse
    pulse.stop()
    assert not pulse.is_running


def until(condition: Callable[[], object]) -> None:
    """Wait for something that a thread does; half a minute is for machines that stall."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it didn't happen"
        time.sleep(0.001)


def fail(error: BaseException) -> Callable[[], object]:
    def failing(*arguments: object) -> object:
        raise error

    return failing


def test_a_member_gets_beats_and_fewer_ticks(pulse: Pulse) -> None:
    """Both come again and again."""
    member = Member()
    pulse.add(member)
    until(lambda: member.ticks >= 3)
    assert member.beats > member.ticks


def test_one_thread_serves_all_members(pulse: Pulse) -> None:
    """It is a daemon, has a name, and a member that is added twice counts once."""
    seen: set[threading.Thread] = set()
    members = [Member(lambda: seen.add(threading.current_thread())) for _ in range(3)]
    for member in [*members, *members]:
        pulse.add(member)
    until(lambda: all(member.beats > 2 for member in members))
    (thread,) = seen
    assert (thread.name, thread.daemon) == (NAME, True)
    assert len(pulse._crew().entries) == 3


def test_there_is_no_thread_before_the_first_member() -> None:
    """Importing and making one starts nothing."""
    assert not Pulse().is_running


def test_the_thread_ends_with_the_last_member(pulse: Pulse) -> None:
    """Whether it was removed or nobody held it any more; the next member starts a new one."""
    first, second = Member(), Member()
    pulse.add(first)
    pulse.add(second)
    pulse.remove(first)
    until(lambda: second.beats > 2)
    assert pulse.is_running
    pulse.remove(second)
    until(lambda: not pulse.is_running)
    pulse.add(first)
    until(lambda: pulse.is_running)
    del first
    gc.collect()
    until(lambda: not pulse.is_running)


def test_a_member_is_not_kept_alive(pulse: Pulse) -> None:
    """An application that is thrown away goes, though the thread runs for another one."""
    gone, stays = Member(), Member()
    pulse.add(gone)
    pulse.add(stays)
    until(lambda: stays.beats)
    del gone
    until(lambda: len(pulse._crew().entries) == 1)
    assert pulse.is_running


def test_members_that_are_equal_are_still_two(pulse: Pulse) -> None:
    """A member is itself, whatever it says that it equals."""

    class Equal(Member):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    members = [Equal(), Equal()]
    for member in members:
        pulse.add(member)
    until(lambda: all(member.beats for member in members))
    pulse.remove(members[0])
    assert [entry.member() is members[1] for entry in pulse._crew().entries] == [True]


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_is_logged_once_and_ends_nothing(
    pulse: Pulse, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """Neither for the member itself nor for others, whatever it raises."""
    failing, other = Member(fail(error)), Member()
    pulse.add(failing)
    pulse.add(other)
    until(lambda: failing.beats > 5 and other.beats > 5 and failing.ticks)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "beat() of Member failed" in record.getMessage()


def test_another_kind_of_exception_is_logged_too(
    pulse: Pulse, caplog: pytest.LogCaptureFixture
) -> None:
    """A kind is the method and the type; the text may be another one each time."""
    errors = [ValueError("1"), ValueError("2"), KeyError("3")]
    member = Member(lambda: fail(errors.pop(0))() if errors else None, fail(ValueError("4")))
    pulse.add(member)
    until(lambda: member.ticks > 1 and not errors)
    told = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert sorted(kind.__name__ for kind in told if kind) == [
        "KeyError",
        "ValueError",
        "ValueError",
    ]


def test_waking_brings_the_next_beat_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an interval then."""
    monkeypatch.setattr(module, "BEAT", 3600.0)
    pulse, member = Pulse(), Member()
    pulse.add(member)
    for count in range(3):
        pulse.wake()
        until(lambda least=count: member.beats > least)  # type: ignore[misc]
    time.sleep(0.01)
    assert member.beats == 3
    pulse.stop()
    assert not pulse.is_running


def test_waking_without_members_does_nothing() -> None:
    """It may come from any request at any time."""
    pulse = Pulse()
    pulse.wake()
    assert not pulse.is_running


def test_a_busy_member_costs_others_no_more_than_its_own_call(pulse: Pulse) -> None:
    """Between two slow ticks everybody gets a beat, however many members are slow."""
    trace: list[str] = []

    def slow() -> None:
        trace.append("slow")
        time.sleep(0.03)  # longer than the time between two ticks

    busy = [Member(on_tick=slow) for _ in range(3)]
    quick = Member(on_beat=lambda: trace.append("quick"))
    for member in [*busy, quick]:
        pulse.add(member)
    until(lambda: all(member.ticks > 2 for member in busy))
    assert ("slow", "slow") not in pairwise(trace)


def test_a_slow_beat_starves_nobody(pulse: Pulse) -> None:
    """After it the others come, before it comes again."""
    trace: list[str] = []

    def work() -> None:
        trace.append("slow")
        time.sleep(0.01)

    slow = Member(work)
    quick = Member(lambda: trace.append("quick"))
    pulse.add(quick)
    pulse.add(slow)
    until(lambda: slow.beats > 5)
    assert ("slow", "slow") not in pairwise(trace)


def test_a_member_may_add_and_remove_others(pulse: Pulse) -> None:
    """Also itself, from inside a beat."""
    second = Member()
    first = Member()

    def step() -> None:
        pulse.add(second)
        pulse.remove(first)

    first.on_beat = step
    pulse.add(first)
    until(lambda: second.beats > 2)
    assert first.beats == 1


def test_a_jump_of_the_wall_clock_changes_nothing(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a clock that never jumps is asked."""
    wall = fail(AssertionError("the wall clock was asked"))
    # of this module alone: threads of other tests may be writing to a log
    clocks = SimpleNamespace(monotonic=time.monotonic, time=wall)
    monkeypatch.setattr("flask_pluginkit.pulse.time", clocks)
    member = Member()
    pulse.add(member)
    until(lambda: member.ticks > 1)


def test_adding_from_many_threads_at_once_starts_one_thread(pulse: Pulse) -> None:
    """The first requests of a worker come together."""
    members = [Member() for _ in range(16)]
    seen: set[int] = set()
    for member in members:
        member.on_beat = lambda: seen.add(threading.get_ident())
    barrier = threading.Barrier(len(members))

    def add(member: Member) -> None:
        barrier.wait()
        pulse.add(member)

    threads = [threading.Thread(target=add, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: all(member.beats > 1 for member in members))
    assert len(seen) == 1


def test_a_process_that_can_start_no_thread_goes_on(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next time it is tried again."""
    member = Member()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail(RuntimeError("can't start new thread")))
        pulse.add(member)
    assert "can't start" in caplog.text
    assert not pulse.is_running
    pulse.add(member)
    until(lambda: member.beats)


def test_after_stopping_nothing_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process comes to its end."""
    pulse = Pulse()
    member = Member()
    pulse.add(member)
    pulse.stop()
    monkeypatch.setattr(threading.Thread, "start", fail(AssertionError("it was started")))
    pulse.add(member)
    assert not pulse.is_running


def test_a_server_that_forks_without_telling_gets_a_thread_too(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of the process tells that the thread stayed elsewhere."""
    first, second = Member(), Member()
    pulse.add(first)
    until(lambda: first.beats)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        assert not pulse.is_running
        pulse.add(second)
        until(lambda: second.beats)
        pulse.stop()
        assert not pulse.is_running


# --- processes ------------------------------------------------------------------------------------

BEGIN = """
import os, sys, threading, time
from flask_pluginkit.pulse import PULSE

class Member:
    beats = 0
    def beat(self):
        self.beats += 1
    def tick(self):
        pass

def wait_for(member):
    end = time.monotonic() + 30
    while not member.beats:
        assert time.monotonic() < end
        time.sleep(0.001)

member = Member()
PULSE.add(member)
wait_for(member)
"""


def run(script: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", before + BEGIN + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here: NOTHING TO TEST")
def test_a_forked_child_has_no_thread_until_it_adds_a_member() -> None:
    """The parent's goes on; the child begins with no members, and ends without noise."""
    result = run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks beside threads
PULSE._crew().guard.acquire()  # as if another thread held it at that moment
child = os.fork()
if child == 0:
    assert not PULSE.is_running
    assert threading.active_count() == 1
    beats = member.beats
    own = Member()
    PULSE.add(own)
    wait_for(own)
    assert member.beats == beats
    sys.exit(7)
PULSE._crew().guard.release()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert PULSE.is_running
"""
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "work",
    [
        "pass",
        "time.sleep(0.01)",
        "import json; json.dumps(list(range(2000)))",
        "print('x' * 100)",
        "raise ValueError",
    ],
)
def test_the_process_ends_without_noise(work: str) -> None:
    """Whatever members are doing at that moment."""
    result = run(
        f"""
import logging
logging.disable()

class Busy(Member):
    def beat(self):
        {work}

busy = [Busy() for _ in range(20)]
for each in busy:
    PULSE.add(each)
PULSE.wake()
time.sleep(0.06)
"""
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here: NOTHING TO TEST")
def test_a_child_with_the_number_of_its_parent_has_no_thread_either() -> None:
    """In a process namespace of its own each child is number 1."""
    result = run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
number = os.getpid()
child = os.fork()
if child == 0:
    os.getpid = lambda: number
    assert not PULSE.is_running
    own = Member()
    PULSE.add(own)
    wait_for(own)
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_is_at_work_when_modules_go_away() -> None:
    """The thread has ended before the rest of the process does."""
    result = run(
        "",
        before="""
import atexit
atexit.register(lambda: print(PULSE.is_running))
""",
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "False\n")


def test_a_member_that_hangs_doesnt_keep_the_process() -> None:
    """The end waits for it a moment, and no longer."""
    started = time.monotonic()
    result = run(
        """
hanging = Member()
begun = threading.Event()
def hang():
    begun.set()
    time.sleep(600)
hanging.beat = hang
PULSE.add(hanging)
begun.wait()
"""
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - started < 60
