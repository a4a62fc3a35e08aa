"""Every call into plugin code passes here: faults, times, and whose code is running.

The barrier is no security boundary. It knows plugin and point of each call, so that a fault
is counted, logged with its plugin's name, and contained where the page can do without.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import update_wrapper
from inspect import currentframe
from time import perf_counter
from typing import Any, Final, Self

from werkzeug.exceptions import HTTPException

from .exceptions import RunError, SupervisorError
from .residents import OWNER, Meter, Resident
from .snapshot import PIN
from .text import describe

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
            meter.own += 1
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
    a catch-all would turn a missing sidebar into an error page. What a plugin's own process
    suffers from the end of the supervisor is contained, and isn't counted against the plugin.
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
    if not isinstance(error, SupervisorError):
        _count(resident, meter, error)
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


def _count(resident: Resident, meter: Meter, error: Exception) -> None:
    """Count a fault, and take the plugin out if it has too many."""
    meter.errors += 1
    # a fault that passes two barriers of one plugin (a tep in its own page) is told once
    if _mark(error, resident.name):
        resident.last_fault = _formatted(error)
        if resident.breaker.fault(resident.calls):
            resident.home.trip(resident, meter.point)


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
