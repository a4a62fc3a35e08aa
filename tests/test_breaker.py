"""When faults are too many: decided by a share of the calls, with a clock that tests set."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.breaker import Breaker, Limits
from flask_pluginkit.exceptions import PluginError


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Plugin:
    """Calls of one plugin, some of which fail, and its breaker."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.breaker = Breaker(Limits(**limits), self.clock)
        self.calls = 0
        self.trips = 0

    def succeed(self, times: int = 1, *, seconds: float = 0.0) -> None:
        """So many good calls, one each so many seconds."""
        self.calls += times
        self.clock.now += times * seconds

    def fail(self, times: int = 1, *, seconds: float = 0.0) -> int:
        """So many calls that fail, one each so many seconds; how often that trips."""
        before = self.trips
        for _ in range(times):
            self.clock.now += seconds
            self.calls += 1
            self.trips += self.breaker.fault(self.calls)
        return self.trips - before


def test_ten_faults_in_ten_thousand_calls_dont_trip() -> None:
    """Neither spread over them nor one after the other."""
    spread = Plugin()
    for _ in range(10):
        spread.succeed(999, seconds=0.005)
        assert spread.fail() == 0
    burst = Plugin()
    burst.succeed(9_990, seconds=0.005)
    assert burst.fail(10) == 0


def test_ten_faults_in_twelve_calls_trip() -> None:
    """With the tenth, and not before."""
    plugin = Plugin()
    plugin.succeed(2)
    assert plugin.fail(9) == 0
    assert plugin.fail() == 1


def test_a_plugin_that_always_failed_trips_at_its_tenth_call() -> None:
    """The call that fails may be missing in the count of calls."""
    breaker = Breaker(Limits(), Clock())
    assert [breaker.fault(calls) for calls in range(12)] == [False] * 9 + [True] + [False] * 2


def test_a_slow_drip_of_faults_doesnt_trip() -> None:
    """One fault each ten seconds makes six in a window, for ever, though each call fails."""
    plugin = Plugin()
    assert plugin.fail(1000, seconds=10.0) == 0


def test_a_plugin_that_worked_and_breaks_trips_within_a_window() -> None:
    """At a steady pace that is when half of the window has failed."""
    plugin = Plugin()
    plugin.succeed(100_000, seconds=0.1)
    before = plugin.clock.now
    while not plugin.fail(seconds=0.1):
        assert plugin.clock.now - before < 60
    assert plugin.clock.now - before == pytest.approx(30, abs=1.5)


def test_calls_long_ago_dont_excuse_faults_now() -> None:
    """A million good calls yesterday say nothing about this minute."""
    plugin = Plugin()
    plugin.succeed(1_000_000)
    plugin.breaker.observe(plugin.calls)
    plugin.clock.now += 86_400
    plugin.breaker.observe(plugin.calls)
    assert plugin.fail(10, seconds=0.1) == 1


def test_without_a_look_now_and_then_calls_are_taken_as_even() -> None:
    """Then it takes until the window has passed the last good call, at most."""
    plugin = Plugin()
    plugin.succeed(1_000_000)
    plugin.clock.now += 86_400
    before = plugin.clock.now
    while not plugin.fail(seconds=0.1):
        assert plugin.clock.now - before <= 62


def test_it_trips_once_until_it_is_reset() -> None:
    """Whoever gets the True takes the plugin out; after a reset it counts from nothing."""
    plugin = Plugin()
    seen = [plugin.breaker.is_tripped, plugin.fail(100), plugin.breaker.is_tripped]
    plugin.breaker.reset()
    assert [*seen, plugin.breaker.is_tripped] == [False, 1, True, False]
    assert plugin.fail(9) == 0
    assert plugin.fail() == 1


def test_a_reset_may_begin_with_a_new_count_of_calls() -> None:
    """A plugin that is loaded anew has new counters."""
    plugin = Plugin()
    plugin.succeed(1_000_000)
    plugin.fail()
    plugin.breaker.reset(0)
    plugin.calls = 0
    plugin.succeed(1_000)
    assert plugin.fail(10) == 0
    plugin.breaker.reset(0)
    plugin.calls = 0
    assert plugin.fail(10) == 1


def test_only_one_of_many_threads_is_told() -> None:
    """Faults come from several threads at once."""
    breaker = Breaker(Limits(), Clock())
    start = threading.Barrier(8)
    told: list[bool] = []

    def work() -> None:
        start.wait()
        told.extend(breaker.fault(calls) for calls in range(200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(told), sum(told)) == (1600, 1)


def test_a_long_life_keeps_little() -> None:
    """What is remembered is bounded by the window, not by the number of faults."""
    plugin = Plugin(rate=1.0)
    for _ in range(20_000):
        plugin.succeed(1, seconds=0.01)
        plugin.fail(seconds=0.01)
    assert len(plugin.breaker._marks) < 70


def test_a_clock_that_goes_back_trips_nothing_and_breaks_nothing() -> None:
    """A monotonic one doesn't; one that is handed in might."""
    plugin = Plugin()
    plugin.succeed(100, seconds=0.1)
    plugin.fail(5, seconds=1.0)
    plugin.clock.now -= 10_000
    assert plugin.fail(20) == 0
    plugin.clock.now += 10_100
    assert plugin.fail(10) == 1


# --- properties -------------------------------------------------------------------------------

LIMITS = st.builds(
    Limits,
    faults=st.integers(1, 20),
    window=st.sampled_from([0.5, 10.0, 60.0]),
    rate=st.floats(0.05, 1.0),
)
CALLS = st.lists(st.tuples(st.floats(0, 5.0, allow_subnormal=False), st.booleans()), max_size=150)


def counted(calls: list[tuple[float, bool]], start: float) -> tuple[int, int]:
    """How many calls, and how many faults among them, came after `start`."""
    inside = [failed for moment, failed in calls if moment > start]
    return len(inside), sum(inside)


@given(LIMITS, CALLS)
def test_it_decides_as_who_remembers_every_call(
    limits: Limits, steps: list[tuple[float, bool]]
) -> None:
    """But for the grain of the window: what trips did so by a window a bit longer or shorter."""
    clock = Clock()
    breaker = Breaker(limits, clock)
    calls: list[tuple[float, bool]] = []
    for pause, failed in steps:
        clock.now += pause
        calls.append((clock.now, failed))
        breaker.observe(len(calls) - 1)
        tripped = failed and breaker.fault(len(calls))
        grain = limits.window / 32
        windows = [
            counted(calls, clock.now - limits.window + shift) for shift in (-grain, 0.0, grain)
        ]
        least, most = min(n for n, _ in windows), max(n for n, _ in windows)
        fewest, highest = min(f for _, f in windows), max(f for _, f in windows)
        if tripped:
            assert highest >= limits.faults
            assert highest >= limits.rate * (least - 1)
            return
        if failed:
            assert fewest < limits.faults or fewest < limits.rate * (most + 1)


@given(LIMITS, st.lists(st.floats(0, 100), max_size=60))
def test_fewer_faults_than_the_limit_never_trip(limits: Limits, pauses: list[float]) -> None:
    """Whatever share of the calls they are."""
    clock = Clock()
    breaker = Breaker(limits, clock)
    for number, pause in enumerate(pauses[: limits.faults - 1]):
        clock.now += pause
        assert not breaker.fault(number)


@given(LIMITS, st.lists(st.floats(-20, 20), max_size=80))
def test_a_clock_that_goes_back_stands_still_instead(limits: Limits, moves: list[float]) -> None:
    """What is decided is the same as with a clock that waits until the other has caught up."""
    jumping, waiting = Clock(), Clock()
    first, second = Breaker(limits, jumping), Breaker(limits, waiting)
    for number, move in enumerate(moves):
        jumping.now += move
        waiting.now = max(waiting.now, jumping.now)
        assert first.fault(number) == second.fault(number)
        assert first._marks == second._marks


def test_an_older_count_of_calls_makes_no_share_larger() -> None:
    """A thread that was held up hands in a count that others have passed."""
    breaker = Breaker(Limits(), Clock())
    breaker.observe(1000)
    assert not any(breaker.fault(3) for _ in range(10))


@given(st.lists(st.integers(0, 10**6)), LIMITS)
def test_counts_in_any_order_break_nothing(counts: list[int], limits: Limits) -> None:
    """Threads that count at once may hand in an older count after a newer one."""
    breaker = Breaker(limits, Clock())
    told = [breaker.fault(count) for count in counts]
    assert sum(told) <= 1


# --- limits -----------------------------------------------------------------------------------


def test_without_configuration_the_limits_are_those_documented() -> None:
    """Ten faults, half of the calls of a minute; again after five; a second a call."""
    assert Limits.read(None) == Limits.read({}) == Limits()
    assert Limits() == Limits(faults=10, window=60.0, rate=0.5, retry_after=300.0, budget=1.0)


def test_limits_are_read_from_a_mapping() -> None:
    """What it leaves out stays as it is by default."""
    limits = Limits.read({"faults": 3, "window": 5, "retry_after": None, "budget": None})
    assert limits == Limits(faults=3, window=5, rate=0.5, retry_after=None, budget=None)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"fault": 3}, "unknown key 'fault'; did you mean 'faults'"),
        ({"zzzzz": 3}, "unknown key 'zzzzz'; known are faults, window, rate, retry_after, budget"),
        ({3: 3}, "unknown key 3; known are faults"),
        ({"faults": 0}, "faults: found 0, expected a whole number from 1"),
        ({"faults": True}, "faults: found True"),
        ({"faults": 2.5}, "faults: found 2.5"),
        ({"faults": "3"}, "faults: found '3'"),
        ({"window": 0}, "window: found 0, expected a number of seconds such as 60"),
        ({"window": float("inf")}, "window: found inf"),
        ({"window": None}, "window: found None"),
        ({"rate": 0}, "rate: found 0, expected a share above 0 and up to 1"),
        ({"rate": 50}, "rate: found 50"),
        ({"rate": float("nan")}, "rate: found nan"),
        ({"retry_after": -1}, "retry_after: found -1, expected a number of seconds such as 300"),
        ({"budget": False}, "budget: found False, expected a number of seconds such as 1.0"),
        ([("faults", 3)], "found a value of type list, expected a mapping"),
        ("faults=3", "found 'faults=3', expected a mapping"),
    ],
)
def test_limits_that_cant_be_used_are_refused(config: object, message: str) -> None:
    """With what was found, what was expected, and the name that was probably meant."""
    with pytest.raises(PluginError) as caught:
        Limits.read(config)
    assert str(caught.value).startswith("Invalid PLUGINKIT_BREAKER: ")
    assert message in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Nobody needs a restart for each mistake."""
    with pytest.raises(PluginError, match=r"'fault'.*; rate: .*; budget: "):
        Limits.read({"fault": 3, "rate": 2, "budget": "1"})
