"""Every call into plugin code passes here: faults, times, and whose code is running.

The barrier is no security boundary. It knows plugin and point of each call, so that a fault
is counted, logged with its plugin's name, and contained where the page can do without.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper
from inspect import currentframe, iscoroutinefunction
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol, Self, final

from werkzeug.exceptions import HTTPException

from .breaker import Breaker
from .exceptions import RunError
from .snapshot import PIN
from .text import describe


class Meter:
    """Calls, faults and times (seconds) of one plugin at one point."""

    __slots__ = ("calls", "errors", "point", "resident", "slowest", "total")

    def __init__(self, point: str, resident: Resident | None = None) -> None:
        self.point = point
        self.resident = resident
        self.calls = 0
        self.errors = 0
        self.total = 0.0
        self.slowest = 0.0

    def add(self, seconds: float) -> None:
        """Count one call."""
        self.calls += 1
        self.total += seconds
        if seconds > self.slowest:
            self.note_slowest(seconds)

    def note_slowest(self, seconds: float) -> None:
        """Note the slowest call so far, and tell of it where it delays the pages of others."""
        self.slowest = seconds
        resident = self.resident
        if resident is None or self.point.startswith(_MAY_TAKE_TIME):
            return
        budget = resident.breaker.limits.budget
        if budget is not None and seconds > budget:
            resident.home.logger.warning(
                "plugin %r: %s took %.2f s, and its budget is %g s",
                resident.name,
                self.point,
                seconds,
                budget,
                extra={"plugin": resident.name},
            )


_MAY_TAKE_TIME: Final = ("view ", "command ")
"""Points that nobody waits for but who has asked for them."""


class Home(Protocol):
    """What the barrier asks of the application that a plugin lives in."""

    logger: logging.Logger

    def is_strict(self) -> bool:
        """Tell whether faults are to be raised where they could be contained."""

    def claims_error(self, error: Exception, broad: bool) -> bool:
        """Tell whether an error handler is registered for this error.

        Handlers for every exception (`Exception`, 500) count only if `broad`.
        """

    def new_breaker(self) -> Breaker:
        """Return what decides when the faults of one plugin are too many."""

    def trip(self, resident: Resident, point: str) -> None:
        """Take out a plugin whose faults are too many, the last one at `point`."""


class Resident:
    """One plugin in one application of this process, as the owner of running code."""

    __slots__ = (
        "breaker", "folder", "home", "last_fault", "meters", "module", "name", "optional",
    )  # fmt: skip

    def __init__(self, home: Home, name: str, folder: Path, optional: bool = False) -> None:
        self.home = home
        self.breaker = home.new_breaker()
        self.name = name
        self.folder = folder
        self.optional = optional
        self.module = ""
        self.meters: dict[str, Meter] = {}
        self.last_fault = ""

    def meter(self, point: str) -> Meter:
        """Return the meter of `point`, always the same one."""
        if (meter := self.meters.get(point)) is None:
            meter = self.meters.setdefault(point, Meter(point, self))
        return meter

    @property
    def calls(self) -> int:
        """How many calls into the plugin there were."""
        return sum(meter.calls for meter in list(self.meters.values()))

    def owns(self, function: object) -> bool:
        """Tell whether a function or object comes from the plugin's own modules."""
        module = getattr(function, "__module__", None) or ""
        return module == self.module or module.startswith(f"{self.module}.")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this plugin the owner of what runs inside the block."""
        token = OWNER.set(self)
        try:
            yield
        finally:
            OWNER.reset(token)


@final
class Running:
    """Stands in `OWNER` for the plugins of a loop: the meter of the hook that runs tells whose.

    A context variable takes longer to set than most hooks take. The price: what a hook starts
    in a copy of its context, and leaves running, has no owner once the loop is over.
    """

    __slots__ = ("meter",)

    def __init__(self) -> None:
        self.meter: Meter | None = None


class _Owner:
    """A context variable for a `Resident`, which loops set once for many of them."""

    def __init__(self) -> None:
        self._var: ContextVar[Resident | Running | None]
        self._var = ContextVar("flask_pluginkit.owner", default=None)
        self.set = self._var.set
        self.reset = self._var.reset

    def get(self) -> Resident | None:
        """Return the plugin whose code is running."""
        found = self._var.get()
        if type(found) is Running:
            return None if found.meter is None else found.meter.resident
        return found


OWNER: Final = _Owner()
"""The plugin whose code is running, None while the application's own code runs."""

RAISE: Final = object()
"""As a fallback: let the fault go on to Flask's error handling."""


def guard(
    function: Callable[..., Any],
    resident: Resident,
    point: str,
    fallback: Any = RAISE,
    *,
    final: bool = False,
    finish: Callable[[Any, Resident, Meter], Any] | None = None,
) -> Callable[..., Any]:
    """Wrap `function`, which belongs to the plugin `resident`, for use at `point`.

    `fallback` is returned in place of a fault, unless it is `RAISE`. At a `final` point every
    exception is a fault: no error handler ever sees what is raised there. `finish` makes what
    is returned out of what `function` returned.
    """
    meter = resident.meter(point)

    def call(*args: Any, **kwargs: Any) -> Any:
        token = OWNER.set(resident)
        started = perf_counter()
        try:
            answer = function(*args, **kwargs)
            return answer if finish is None else finish(answer, resident, meter)
        except Exception as error:  # noqa: BLE001 - that is what a barrier is for
            return on_fault(resident, meter, error, fallback, final=final)
        except BaseException as error:  # noqa: BLE001 - on_exit raises what isn't the plugin's
            return on_exit(resident, meter, error, fallback)
        finally:
            # as Meter.add, without the call: this is the hottest line of all
            seconds = perf_counter() - started
            meter.calls += 1
            meter.total += seconds
            if seconds > meter.slowest:
                meter.note_slowest(seconds)
            OWNER.reset(token)

    try:
        return update_wrapper(call, function)
    except AttributeError:  # pragma: no cover - a callable with read-only attributes
        return call


def guard_view(function: Callable[..., Any], resident: Resident, point: str) -> Callable[..., Any]:
    """Wrap a view: as `guard`, and what it streams runs as the plugin too."""
    return guard(function, resident, point, finish=_owned_answer)


def _owned_answer(answer: Any, resident: Resident, meter: Meter) -> Any:
    """Return the answer of a view with the plugin as owner of what it streams."""
    if type(answer) is str:
        return answer
    if type(answer) is tuple and answer and hasattr(answer[0], "__next__"):
        return (owned(answer[0], resident, meter), *answer[1:])
    if hasattr(answer, "__next__"):
        return owned(answer, resident, meter)
    # what the server is to send by itself (files) passes as it is
    body = getattr(answer, "response", None)
    if hasattr(body, "__next__") and not getattr(answer, "direct_passthrough", False):
        answer.response = owned(body, resident, meter)
    return answer


def run_as_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of the application so that it runs as such wherever it is called.

    Coroutine functions stay as they are, as do those of Jinja and Flask, which ask for no
    template by its name.
    """
    module = getattr(function, "__module__", None) or ""
    if module.partition(".")[0] in _NEUTRAL or iscoroutinefunction(function):
        return function
    return run_as(None, function)


def run_as(owner: Resident | None, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it runs as `owner` wherever it is called."""

    def as_owner(*args: Any, **kwargs: Any) -> Any:
        token = OWNER.set(owner)
        try:
            return function(*args, **kwargs)
        finally:
            OWNER.reset(token)

    return update_wrapper(as_owner, function)


_NEUTRAL: Final = frozenset({"jinja2", "flask", "markupsafe", "builtins"})


def owned(body: Any, resident: Resident, meter: Meter) -> OwnedBody:
    """Return an iterator over `body` (an iterator) with its plugin as owner of each step.

    Each step sees the snapshot that is pinned now, also after the request is over.
    """
    return OwnedBody(body, resident, meter)


class OwnedBody:
    """What `owned` returns. Closing it closes `body`, also where nothing was taken from it."""

    __slots__ = ("body", "meter", "resident", "snapshot")

    def __init__(self, body: Any, resident: Resident, meter: Meter) -> None:
        self.body = body
        self.resident = resident
        self.meter = meter
        self.snapshot = PIN.get()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._run(self.body.__next__)

    def close(self) -> None:
        """Close `body`, if that can be closed."""
        if (close := getattr(self.body, "close", None)) is not None:
            self._run(close)

    def _run(self, step: Callable[[], Any]) -> Any:
        owner, pin = OWNER.set(self.resident), PIN.set(self.snapshot)
        try:
            return step()
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - a barrier
            return on_fault(self.resident, self.meter, error, RAISE, final=True)
        except BaseException as error:  # noqa: BLE001 - as in guard
            return on_exit(self.resident, self.meter, error, RAISE)
        finally:
            PIN.reset(pin)
            OWNER.reset(owner)


def on_fault(
    resident: Resident, meter: Meter, error: Exception, fallback: Any, *, final: bool = False
) -> Any:
    """Count, log and contain `error`; raise it where it must not be contained.

    `HTTPException` and errors that a handler claims are control flow, except at a `final`
    point, where no handler sees them. A handler for every exception claims nothing here: else
    a catch-all would turn a missing sidebar into an error page.
    """
    home = resident.home
    if isinstance(error, RecursionError) and _is_inside_itself(meter):
        # contained where it began, two calls that each make two more would go on for ever
        raise error
    if not final:
        if isinstance(error, HTTPException):
            raise error
        if home.claims_error(error, broad=False):
            raise error
    meter.errors += 1
    # a fault that passes two barriers of one plugin (a tep in its own page) is told once
    if _mark(error, resident.name):
        resident.last_fault = _formatted(error)
        if resident.breaker.fault(resident.calls):
            home.trip(resident, meter.point)
    if fallback is RAISE or home.is_strict():
        raise error
    home.logger.error(
        "plugin %r: %s failed and was left out",
        resident.name,
        meter.point,
        exc_info=error,
        extra={"plugin": resident.name},
    )
    return fallback


def on_exit(resident: Resident, meter: Meter, error: BaseException, fallback: Any) -> Any:
    """Turn a plugin's own ``sys.exit()`` and the like into a fault, and let a server's through.

    Servers end a worker by raising SystemExit in a signal handler, wherever the program
    stands: so an exit that began in the handler of a signal isn't the plugin's. Any other is,
    whether it called ``sys.exit()`` itself or a parser of command lines did.
    """
    if not _is_own_end(resident, error):
        raise error
    did = f"raised {type(error).__name__}"
    if isinstance(error, SystemExit):
        did = f"called sys.exit({describe(error.code)})"
    fault = RunError(f"plugin {resident.name!r} {did} at {meter.point}")
    fault.__cause__ = error
    return on_fault(resident, meter, fault, fallback, final=True)


def _is_own_end(resident: Resident, error: BaseException) -> bool:
    """Tell whether what would end a thread of the server is the plugin's own doing.

    KeyboardInterrupt and what gevent and the like throw into running code isn't. A group is if
    all in it is.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(
            isinstance(one, Exception) or _is_own_end(resident, one) for one in error.exceptions
        )
    if isinstance(error, SystemExit):
        return not _is_from_signal(error)
    if type(error) is KeyboardInterrupt:
        return False
    # Nobody cancels or closes a plain call from outside: so a task inside was cancelled, and
    # GeneratorExit, which never leaves a generator that is closed, was raised by hand.
    return type(error).__module__ in _OF_PYTHON or resident.owns(type(error))


_OF_PYTHON: Final = frozenset({"builtins", "asyncio.exceptions"})


def _is_from_signal(error: BaseException) -> bool:
    """Tell whether an exception came out of a signal handler of this process."""
    import signal  # here, as making its enums takes a while

    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    # functions and methods have it; the default handlers and None have not
    codes = {getattr(getattr(handler, "func", handler), "__code__", None) for handler in handlers}
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
    return any(frame.f_code in codes for frame in frames)


def _is_inside_itself(meter: Meter) -> bool:
    """Tell whether the call that failed was made inside another one at the same point."""
    calls = [
        frame
        for frame, _line in traceback.walk_stack(currentframe())
        if frame.f_code.co_name in _CALLERS
        and frame.f_globals.get("__name__", "").startswith(_PACKAGE)
    ]
    return sum(frame.f_locals.get("meter") is meter for frame in calls) > 1


_PACKAGE: Final = __name__.rpartition(".")[0]
_CALLERS: Final = frozenset({"call", "call_hook", "call_until_answered", "call_in_turn"})
"""The functions that call into plugins: `meter` is that of the call in each of them."""


def _mark(error: Exception, owner: str) -> bool:
    """Note on the exception whose it is; False if that is known already.

    Exceptions are code of others: one with slots, or that refuses, goes unmarked.
    """
    try:
        if getattr(error, "_pluginkit_owner", None) is not None:
            return False
        error._pluginkit_owner = owner  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001
        return True
    return True


def _formatted(error: Exception) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - likewise
        return f"{type(error).__name__}, which can't be shown"
