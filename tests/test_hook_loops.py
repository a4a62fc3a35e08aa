"""The loops that call the hooks of all plugins: each call is guarded as if it were alone."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from collecting import collector_paused
from flask import abort
from werkzeug.exceptions import Forbidden

from flask_pluginkit.barrier import RAISE
from flask_pluginkit.breaker import Breaker, Limits
from flask_pluginkit.exceptions import RunError
from flask_pluginkit.live.hooks import call_hook, call_in_turn, call_until_answered
from flask_pluginkit.points import Hook
from flask_pluginkit.residents import OWNER, Resident
from flask_pluginkit.snapshot import Chain


class Home:
    """An application that contains faults."""

    def __init__(self) -> None:
        self.logger = logging.getLogger("home")
        self.claimed: tuple[type[Exception], ...] = ()

    def is_strict(self) -> bool:
        """It isn't."""
        return False

    def claims_error(self, error: Exception, broad: bool) -> bool:
        """For what was put into `claimed`."""
        return not broad and isinstance(error, self.claimed)

    def new_breaker(self) -> Breaker:
        """One that trips."""
        return Breaker(Limits())

    def trip(self, resident: Resident, point: str) -> None:
        """It isn't told here."""


Caller = Callable[[Chain], Any]

CALLERS: dict[str, Caller] = {
    "until answered": call_until_answered,
    "in turn": lambda chain: call_in_turn(chain, "given", str),
    "one by one": lambda chain: [call_hook(hook) for hook in chain.hooks][-1],
}


@pytest.fixture
def home() -> Home:
    """An application."""
    return Home()


@pytest.fixture(params=list(CALLERS))
def call(request: pytest.FixtureRequest) -> Caller:
    """Each way to call hooks."""
    return CALLERS[request.param]


def chain_of(home: Home, *functions: Callable[[], Any], **rest: Any) -> Chain:
    """The hooks of plugins a, b, c, ... that ignore what they are given."""
    hooks = []
    for letter, function in zip("abcdefgh", functions, strict=False):
        resident = Resident(home, letter, Path("/nowhere"))

        def called(*_args: Any, function: Callable[[], Any] = function) -> Any:
            return function()

        hooks.append(
            Hook(
                owner=letter,
                table="before_request_funcs",
                scope=None,
                function=called,
                resident=resident,
                meter=resident.meter("before_request"),
                **rest,
            )
        )
    return Chain(tuple(hooks), tuple((hook.function, hook.meter) for hook in hooks))


def counts(chain: Chain) -> list[tuple[int, int]]:
    """Calls and faults of each plugin."""
    return [(hook.meter.calls, hook.meter.errors) for hook in chain.hooks]


def whose() -> str | None:
    """The name of the plugin whose code is running."""
    owner = OWNER.get()
    return owner.name if owner else None


def divide() -> float:
    """Fail."""
    return 1 / 0


def noting(notes: list[str | None]) -> Callable[[], None]:
    """A hook that notes whose code is running."""
    return lambda: notes.append(whose())


# ---- whose code runs -------------------------------------------------------------------------


def test_each_hook_runs_as_its_plugin(home: Home, call: Caller) -> None:
    """And afterwards it is the caller's turn again."""
    notes: list[str | None] = []
    call(chain_of(home, *[noting(notes)] * 3))
    assert notes == ["a", "b", "c"]
    assert whose() is None


def test_after_a_fault_the_next_plugin_is_the_owner(home: Home, call: Caller) -> None:
    """A fault leaves nothing behind."""
    notes: list[str | None] = []
    call(chain_of(home, divide, noting(notes), divide, noting(notes)))
    assert notes == ["b", "d"]
    assert whose() is None


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_after_what_was_raised_the_caller_is_the_owner_again(
    home: Home, call: Caller, error: type[BaseException]
) -> None:
    """Also the one that called from inside of another plugin."""

    def fail() -> None:
        raise error

    outer = Resident(home, "outer", Path())
    with outer.running():
        with pytest.raises((error, RunError)):
            call(chain_of(home, fail, fallback=RAISE))
        assert whose() == "outer"
    assert whose() is None


def test_hooks_that_call_hooks_take_turns(home: Home, call: Caller) -> None:
    """A hook may send a request to its own application."""
    notes: list[str | None] = []
    inner = chain_of(home, lambda: None, noting(notes))

    def outer() -> None:
        notes.append(whose())
        call(inner)
        notes.append(whose())

    call(chain_of(home, outer, noting(notes)))
    assert notes == ["a", "b", "a", "b"]


def test_a_hook_with_tasks_of_its_own_owns_them(home: Home, call: Caller) -> None:
    """They run in copies of the context."""
    notes: list[str | None] = []

    async def task() -> None:
        await asyncio.sleep(0)
        notes.append(whose())

    call(chain_of(home, lambda: None, lambda: asyncio.run(task()), lambda: None))
    assert notes == ["b"]


@pytest.mark.parametrize("name", ["until answered", "in turn"])
def test_what_outlives_the_loop_has_no_owner(home: Home, name: str) -> None:
    """In no case that of another plugin's hook, which happened to be the last."""
    copies: list[contextvars.Context] = []
    chain = chain_of(home, lambda: copies.append(contextvars.copy_context()), lambda: None)
    CALLERS[name](chain)
    assert copies[0].run(whose) is None


def test_another_thread_has_another_owner(home: Home, call: Caller) -> None:
    """Threads run the hooks of one snapshot at once."""
    notes: list[str | None] = []
    barrier = threading.Barrier(2, timeout=5)

    def meet() -> None:
        barrier.wait()
        notes.append(whose())
        barrier.wait()

    late = chain_of(home, lambda: None, meet)
    early = chain_of(home, meet, lambda: None)
    threads = [threading.Thread(target=call, args=[chain]) for chain in (late, early)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(map(str, notes)) == ["a", "b"]


# ---- faults ----------------------------------------------------------------------------------


def test_a_fault_gives_the_fallback_and_the_next_hook_runs(home: Home, call: Caller) -> None:
    """One plugin's fault isn't another's."""
    chain = chain_of(home, divide, lambda: None)
    call(chain)
    assert counts(chain) == [(1, 1), (1, 0)]


def test_a_fault_that_is_to_be_raised_ends_the_loop(home: Home, call: Caller) -> None:
    """A guard that fails must not open a door."""
    chain = chain_of(home, lambda: None, divide, lambda: None, fallback=RAISE)
    with pytest.raises(ZeroDivisionError):
        call(chain)
    assert counts(chain) == [(1, 0), (1, 1), (0, 0)]


def test_an_http_error_is_no_fault(home: Home, call: Caller) -> None:
    """The hook has spoken, and the call counts."""
    chain = chain_of(home, lambda: abort(403), lambda: None)
    with pytest.raises(Forbidden):
        call(chain)
    assert counts(chain) == [(1, 0), (0, 0)]


def test_a_claimed_error_is_no_fault(home: Home, call: Caller) -> None:
    """A handler of the application is going to see it."""
    home.claimed = (ZeroDivisionError,)
    chain = chain_of(home, divide)
    with pytest.raises(ZeroDivisionError):
        call(chain)
    assert counts(chain) == [(1, 0)]


def test_at_a_final_point_everything_is_a_fault(home: Home, call: Caller) -> None:
    """No handler ever sees what is raised after a response."""
    home.claimed = (ZeroDivisionError,)
    chain = chain_of(home, divide, lambda: abort(403), lambda: None, final=True)
    call(chain)
    assert counts(chain) == [(1, 1), (1, 1), (1, 0)]


def test_a_hook_that_exits_is_a_fault(home: Home, call: Caller) -> None:
    """It must not end the server."""
    chain = chain_of(home, sys.exit, lambda: None)
    call(chain)
    assert counts(chain) == [(1, 1), (1, 0)]


def test_an_interrupt_is_not_the_plugins(home: Home, call: Caller) -> None:
    """It came from outside, and ends the program; the call counts nevertheless."""

    def stop() -> None:
        raise KeyboardInterrupt

    chain = chain_of(home, stop, lambda: None)
    with pytest.raises(KeyboardInterrupt):
        call(chain)
    assert counts(chain) == [(1, 0), (0, 0)]


def test_hooks_that_call_themselves_without_end_raise(home: Home, call: Caller) -> None:
    """Contained where it began, two that each make two more would go on for ever."""

    def twice() -> None:
        call(chain)
        call(chain)

    chain = chain_of(home, twice)
    limit = sys.getrecursionlimit()
    with collector_paused():
        sys.setrecursionlimit(250)
        try:
            call(chain)
        finally:
            sys.setrecursionlimit(limit)
    assert 10 < chain.hooks[0].meter.calls < 1000


# ---- answers and times -----------------------------------------------------------------------


def test_only_hooks_that_were_called_are_counted(home: Home) -> None:
    """An answer ends the loop."""
    chain = chain_of(home, lambda: None, lambda: "", lambda: None)
    assert call_until_answered(chain) == ""
    assert counts(chain) == [(1, 0), (1, 0), (0, 0)]


def test_a_fallback_can_be_an_answer(home: Home) -> None:
    """As that of any guarded function."""
    chain = chain_of(home, divide, lambda: None, fallback="sorry")
    assert call_until_answered(chain) == "sorry"
    assert counts(chain) == [(1, 1), (0, 0)]


def test_each_hook_gets_what_the_last_one_made(home: Home) -> None:
    """And what is of another type counts for nothing."""

    def longer(text: str) -> str:
        return text + "!"

    rows = [(longer, Resident(home, "a", Path()).meter("x"))] * 2
    rows.insert(1, (lambda _text: 5, rows[0][1]))  # type: ignore[arg-type,return-value]
    assert call_in_turn(Chain((), tuple(rows)), "given", str) == "given!!"


def test_times_are_those_of_each_hook_alone(home: Home, call: Caller) -> None:
    """Neither the caller's nor those of the hooks before it."""
    event = threading.Event()

    def wait() -> None:
        event.wait(0.05)

    def fail() -> None:
        event.wait(0.05)
        raise KeyError

    chain = chain_of(home, lambda: None, wait, lambda: None, fail, lambda: None)
    call(chain)
    first, slow, between, failing, last = [hook.meter for hook in chain.hooks]
    assert slow.total == slow.slowest >= 0.05
    assert failing.total == failing.slowest >= 0.05
    assert max(first.total, between.total, last.total) < 0.05


def test_times_add_up(home: Home, call: Caller) -> None:
    """The slowest one is kept apart."""
    waits = iter([0.02, 0.0])
    event = threading.Event()
    chain = chain_of(home, lambda: event.wait(next(waits)) or None)
    call(chain)
    call(chain)
    meter = chain.hooks[0].meter
    assert meter.calls == 2
    assert meter.total > meter.slowest >= 0.02


# ---- what is counted once for all ------------------------------------------------------------


def test_counts_outlive_the_chain(home: Home) -> None:
    """A switch makes another one of the same hooks, and what was called was called."""
    chain = chain_of(home, lambda: None, lambda: None)
    meters = [hook.meter for hook in chain.hooks]
    again = Chain(chain.hooks[:1], chain.rows[:1])
    for each in (chain, chain, again):
        call_until_answered(each)
    assert [meter.calls for meter in meters] == [3, 2]
    del chain, each
    call_until_answered(again)
    assert [meter.calls for meter in meters] == [4, 2]


def test_a_hook_that_stands_twice_in_a_chain_is_counted_twice(home: Home) -> None:
    """Two functions of one plugin at one point share a meter."""
    chain = chain_of(home, lambda: None)
    meter = chain.hooks[0].meter
    twice = Chain(chain.hooks * 2, chain.rows * 2)
    call_until_answered(twice)
    assert meter.calls == 2
    del twice
    assert meter.calls == 2


def test_the_slowest_call_is_found_after_many_fast_ones(home: Home) -> None:
    """Also when the loop has learned which times are nothing new to any of its functions."""
    event = threading.Event()
    pauses = [0.02]
    chain = chain_of(home, lambda: None, lambda: event.wait(pauses[0]) and None)
    call_in_turn(chain, None, ())
    pauses[0] = 0.0
    for _ in range(300):
        call_in_turn(chain, None, ())
    assert chain.tally.least > 0
    pauses[0] = 0.04
    call_in_turn(chain, None, ())
    assert chain.hooks[1].meter.slowest >= 0.04
