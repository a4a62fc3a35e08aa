"""The barrier around each call into plugin code: whose code runs, and what becomes of a fault."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from flask import Response, abort
from werkzeug.exceptions import Forbidden, NotFound

from flask_pluginkit.barrier import RAISE, guard, guard_view, owned
from flask_pluginkit.breaker import Breaker, Limits
from flask_pluginkit.exceptions import RunError
from flask_pluginkit.residents import OWNER, Meter, Resident, run_as_host


class Home:
    """An application as the barrier sees it."""

    def __init__(self) -> None:
        self.logger = logging.getLogger("home")
        self.strict = False
        self.claimed: tuple[type[Exception], ...] = ()
        self.asked: list[bool] = []
        self.tripped: list[tuple[str, str]] = []

    def new_breaker(self) -> Breaker:
        """One that trips late."""
        return Breaker(Limits(faults=1000))

    def trip(self, resident: Resident, point: str) -> None:
        """Note whose faults were too many."""
        self.tripped.append((resident.name, point))

    def is_strict(self) -> bool:
        """As the application says."""
        return self.strict

    def claims_error(self, error: Exception, broad: bool) -> bool:
        """For what was put into `claimed`."""
        self.asked.append(broad)
        return isinstance(error, self.claimed)


@pytest.fixture
def home() -> Home:
    """An application that contains faults."""
    return Home()


@pytest.fixture
def resident(home: Home) -> Resident:
    """A plugin in it."""
    return Resident(home, "hello", Path("/nowhere/hello"))


def divide(*_args: Any) -> float:
    """Fail."""
    return 1 / 0


def whose() -> str | None:
    """The name of the plugin whose code is running."""
    owner = OWNER.get()
    return owner.name if owner else None


# ---- whose code runs -------------------------------------------------------------------------


def test_a_guarded_function_runs_as_its_plugin(resident: Resident) -> None:
    """And afterwards it is the caller's turn again."""
    assert guard(whose, resident, "x")() == "hello"
    assert whose() is None


def test_after_a_fault_it_is_the_callers_turn_again(resident: Resident) -> None:
    """Whether the fault is contained or raised."""
    guard(divide, resident, "x", "")()
    assert whose() is None
    with pytest.raises(ZeroDivisionError):
        guard(divide, resident, "x")()
    assert whose() is None


def test_plugins_that_call_each_other_take_turns(home: Home, resident: Resident) -> None:
    """The inner one is the owner inside, the outer one before and after."""
    inner = guard(whose, Resident(home, "inner", Path()), "x")
    outer = guard(lambda: (whose(), inner(), whose()), resident, "x")
    assert outer() == ("hello", "inner", "hello")


def test_a_function_keeps_name_and_attributes(resident: Resident) -> None:
    """Flask names endpoints after views, and Jinja and plugins mark functions."""

    def view() -> None:
        """What it does."""

    view.mark = 1  # type: ignore[attr-defined]
    for wrapped in (guard(view, resident, "x"), guard_view(view, resident, "x")):
        assert (wrapped.__name__, wrapped.__doc__) == ("view", "What it does.")
        assert wrapped.__module__ == __name__
        assert wrapped.mark == 1  # type: ignore[attr-defined]


def test_callables_of_every_kind_can_be_guarded(resident: Resident) -> None:
    """Partial functions, methods, builtins, classes and objects."""

    class Both:
        def method(self, x: int) -> int:
            return x

        def __call__(self, x: int) -> int:
            return x

    callables: list[Callable[[int], Any]] = [partial(max, 0), Both().method, abs, int, Both()]
    assert [guard(each, resident, "x")(3) for each in callables] == [3] * 5


def test_threads_and_tasks_have_owners_of_their_own(resident: Resident) -> None:
    """A thread that runs meanwhile isn't the plugin; a task that the plugin starts is."""
    found: list[str | None] = []
    enter, leave = threading.Event(), threading.Event()

    def view() -> None:
        enter.set()
        leave.wait(5)

    thread = threading.Thread(target=guard(view, resident, "x"))
    thread.start()
    enter.wait(5)
    found.append(whose())
    leave.set()
    thread.join()

    async def later() -> str | None:
        return whose()

    found.append(guard(lambda: asyncio.run(later()), resident, "x")())
    assert found == [None, "hello"]


def test_a_function_of_the_host_runs_as_the_host(resident: Resident) -> None:
    """Also in the middle of a plugin's code, which then goes on."""
    host = run_as_host(whose)
    assert guard(lambda: (host(), whose()), resident, "x")() == (None, "hello")
    assert host.__name__ == "whose"


@pytest.mark.parametrize("function", [len, Response, abort])
def test_functions_of_frameworks_are_left_alone(function: Callable[..., Any]) -> None:
    """They ask for no template, and wrapping costs."""
    assert run_as_host(function) is function


# ---- counting --------------------------------------------------------------------------------


def test_calls_and_faults_are_counted_by_point(resident: Resident) -> None:
    """The same point of a plugin has one meter, however many functions there are."""
    guard(whose, resident, "x")()
    guard(whose, resident, "x")()
    guard(divide, resident, "x", "")()
    guard(divide, resident, "y", "")()
    assert {name: (m.calls, m.errors) for name, m in resident.meters.items()} == {
        "x": (3, 1),
        "y": (1, 1),
    }


def test_times_add_up_and_the_slowest_is_kept() -> None:
    """In seconds."""
    meter = Meter("x")
    for seconds in (0.25, 1.0, 0.5):
        meter.add(seconds)
    assert (meter.calls, meter.total, meter.slowest) == (3, 1.75, 1.0)


def test_a_call_takes_time(resident: Resident) -> None:
    """What a function takes is what the meter says."""
    guard(lambda: threading.Event().wait(0.01), resident, "x")()
    assert resident.meter("x").total >= 0.01
    assert resident.meter("x").total == resident.meter("x").slowest


# ---- faults ----------------------------------------------------------------------------------


def test_a_contained_fault_gives_the_fallback_and_a_log_line(
    resident: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    """The line names plugin and point, and has the traceback."""
    assert guard(divide, resident, "tep nav", "nothing")() == "nothing"
    (record,) = caplog.records
    assert record.getMessage() == "plugin 'hello': tep nav failed and was left out"
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "in divide" in resident.last_fault
    assert resident.last_fault.endswith("ZeroDivisionError: division by zero\n")


def test_a_fault_without_fallback_is_raised(
    resident: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes to Flask's error handling, which logs it."""
    with pytest.raises(ZeroDivisionError):
        guard(divide, resident, "x", RAISE)()
    assert resident.meter("x").errors == 1
    assert "ZeroDivisionError" in resident.last_fault
    assert not caplog.records


def test_a_strict_application_raises_every_fault(home: Home, resident: Resident) -> None:
    """And counts it."""
    home.strict = True
    with pytest.raises(ZeroDivisionError):
        guard(divide, resident, "x", "")()
    assert resident.meter("x").errors == 1


def test_http_exceptions_are_control_flow(
    resident: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    """``abort(404)`` is an answer: raised, not counted, not logged."""
    with pytest.raises(NotFound):
        guard(lambda: abort(404), resident, "x", "")()
    assert resident.meter("x").errors == 0
    assert resident.last_fault == ""
    assert not caplog.records


def test_claimed_exceptions_are_control_flow(home: Home, resident: Resident) -> None:
    """Somebody registered a handler for them; one for every exception isn't asked about."""
    home.claimed = (ZeroDivisionError,)
    with pytest.raises(ZeroDivisionError):
        guard(divide, resident, "x", "")()
    assert resident.meter("x").errors == 0
    assert home.asked == [False]


@pytest.mark.parametrize("raised", [Forbidden, ZeroDivisionError])
def test_at_a_final_point_every_exception_is_a_fault(
    home: Home, resident: Resident, raised: type[Exception]
) -> None:
    """No handler would see it there, and Flask would answer 500."""
    home.claimed = (ZeroDivisionError,)

    def fail() -> None:
        raise raised

    assert guard(fail, resident, "x", "fallback", final=True)() == "fallback"
    assert resident.meter("x").errors == 1


def test_a_fault_that_passes_two_barriers_is_told_once(home: Home, resident: Resident) -> None:
    """The first barrier is the one that knows where it happened."""
    other = Resident(home, "other", Path())
    with pytest.raises(ZeroDivisionError):
        guard(guard(divide, resident, "inner"), other, "outer")()
    assert "ZeroDivisionError" in resident.last_fault
    assert other.last_fault == ""


def test_an_exception_without_room_for_a_mark_is_a_fault_too(resident: Resident) -> None:
    """Exceptions may have slots, or refuse to be written to."""

    class Sealed(Exception):  # noqa: N818 - its name is of no concern
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    def fail() -> None:
        raise Sealed

    assert guard(fail, resident, "x", "")() == ""
    assert resident.meter("x").errors == 1


class Killed(BaseException):
    """What servers without threads throw into code that is to stop."""


def raising(error: BaseException) -> Callable[[], None]:
    """A function that fails with `error`."""

    def stop() -> None:
        raise error

    return stop


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        Killed(),
        BaseExceptionGroup("tasks", [ValueError(), KeyboardInterrupt()]),
        BaseExceptionGroup("tasks", [BaseExceptionGroup("more", [SystemExit(), Killed()])]),
    ],
)
def test_what_ends_programs_passes(resident: Resident, error: BaseException) -> None:
    """It isn't the plugin's to begin with, among the errors of several tasks neither."""
    with pytest.raises(type(error)) as caught:
        guard(raising(error), resident, "x", "")()
    assert caught.value is error
    assert resident.meter("x").errors == 0
    assert whose() is None


# ---- exits -----------------------------------------------------------------------------------


def parse() -> None:
    """Exit as a parser of command lines does."""
    argparse.ArgumentParser(exit_on_error=True).parse_args(["--unknown"])


@pytest.mark.parametrize("leave", [sys.exit, exit, parse, lambda: sys.exit("bye")])
def test_a_plugins_exit_is_a_fault(resident: Resident, leave: Callable[[], object]) -> None:
    """It must not end the server, whoever raised it for the plugin."""
    assert guard(leave, resident, "view x", "contained")() == "contained"
    assert resident.meter("view x").errors == 1
    assert "RunError: plugin 'hello' called sys.exit(" in resident.last_fault
    assert "SystemExit" in resident.last_fault


def test_a_plugins_exit_without_fallback_is_an_error_for_flask(resident: Resident) -> None:
    """As an exception that its error handling knows, with the exit as its cause."""
    with pytest.raises(RunError, match=r"'hello' called sys\.exit\(3\) at view x") as caught:
        guard(lambda: sys.exit(3), resident, "view x")()
    assert isinstance(caught.value.__cause__, SystemExit)


class Own(BaseException):
    """An exception that a plugin made for itself."""

    __module__ = "plugins.hello.errors"


@pytest.mark.parametrize(
    "error",
    [
        GeneratorExit(),
        BaseException("stop"),
        Own(),
        asyncio.CancelledError(),
        BaseExceptionGroup("tasks", [ValueError(), SystemExit(1)]),
        BaseExceptionGroup("tasks", [BaseExceptionGroup("more", [Own(), GeneratorExit()])]),
    ],
)
def test_whatever_a_plugin_raises_itself_is_a_fault(
    resident: Resident, error: BaseException
) -> None:
    """Servers catch exceptions alone: anything else would end their thread."""
    resident.module = "plugins.hello"
    assert guard(raising(error), resident, "x", "contained")() == "contained"
    assert resident.meter("x").errors == 1
    assert f"plugin 'hello' raised {type(error).__name__} at x" in resident.last_fault


class Server:
    """A server that ends a worker by a signal."""

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Leave, wherever the program stands."""
        sys.exit(0)


@pytest.fixture(params=["method", "function", "partial"])
def handled(request: pytest.FixtureRequest) -> Iterator[None]:
    """A handler for SIGUSR1 as servers have for SIGTERM."""
    handlers: dict[str, Any] = {
        "method": Server().handle,
        "function": lambda *_: sys.exit(0),
        "partial": partial(Server.handle, Server()),
    }
    before = signal.signal(signal.SIGUSR1, handlers[request.param])
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handled")
def test_a_servers_exit_passes(resident: Resident) -> None:
    """It began in a signal handler, which happened to interrupt a plugin."""
    with pytest.raises(SystemExit):
        guard(lambda: signal.raise_signal(signal.SIGUSR1), resident, "x", "")()
    assert resident.meter("x").errors == 0
    assert whose() is None


@pytest.mark.usefixtures("handled")
def test_a_servers_exit_among_others_passes(resident: Resident) -> None:
    """As a group of tasks hands it on."""

    def run() -> None:
        try:
            signal.raise_signal(signal.SIGUSR1)
        except SystemExit as error:
            raise BaseExceptionGroup("tasks", [ValueError(), error]) from None

    with pytest.raises(BaseExceptionGroup):
        guard(run, resident, "x", "")()
    assert resident.meter("x").errors == 0


# ---- what views stream -----------------------------------------------------------------------


def row(_number: int) -> str | None:
    """One row that says whose code is running."""
    return whose()


def rows(*, fail: bool = False) -> Iterator[str | None]:
    """Two rows that say whose code is running."""
    yield whose()
    if fail:
        divide()
    yield whose()


@pytest.mark.parametrize(
    "view",
    [
        rows,
        lambda: (rows(), 200),
        lambda: Response(rows()),  # type: ignore[arg-type]
        lambda: Response(map(row, [1, 2])),  # type: ignore[arg-type]
        lambda: map(row, [1, 2]),
    ],
)
def test_what_a_view_streams_runs_as_its_plugin(
    resident: Resident, view: Callable[[], Any]
) -> None:
    """Step by step: between the steps it is the server's turn."""
    answer = guard_view(view, resident, "x")()
    body = answer[0] if isinstance(answer, tuple) else getattr(answer, "response", answer)
    assert [(found, whose()) for found in body] == [("hello", None)] * 2


@pytest.mark.parametrize("answer", ["text", ("text", 200), b"bytes", {"a": 1}, ["a"], None, ()])
def test_other_answers_pass_as_they_are(resident: Resident, answer: object) -> None:
    """The very object."""
    assert guard_view(lambda: answer, resident, "x")() is answer


def test_a_file_for_the_server_passes_as_it_is(resident: Resident) -> None:
    """Servers send such a body by themselves, and look at its type for that."""
    body = iter([b"x"])
    response = Response(body, direct_passthrough=True)
    assert guard_view(lambda: response, resident, "x")().response is body


def test_a_fault_while_streaming_is_counted_and_raised(resident: Resident) -> None:
    """The headers are sent already: only the server can deal with it."""
    body = guard_view(lambda: rows(fail=True), resident, "x")()
    assert next(body) == "hello"
    with pytest.raises(ZeroDivisionError):
        next(body)
    assert resident.meter("x").errors == 1
    assert "ZeroDivisionError" in resident.last_fault
    assert whose() is None


def test_an_exit_while_streaming_is_a_fault(resident: Resident) -> None:
    """It doesn't end the server."""
    with pytest.raises(RunError):
        next(owned(map(sys.exit, [1]), resident, resident.meter("x")))
    assert resident.meter("x").errors == 1


def test_a_stream_that_isnt_read_to_its_end_is_closed(resident: Resident) -> None:
    """Its own clean-up runs when the client goes away."""
    closed = []

    def body() -> Iterator[str]:
        try:
            yield "one"
            yield "two"
        finally:
            closed.append(True)

    stream: Any = owned(body(), resident, resident.meter("x"))
    assert next(stream) == "one"
    stream.close()
    assert closed == [True]
    assert resident.meter("x").errors == 0
