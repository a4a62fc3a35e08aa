"""The few functions that stand in Flask's tables for all plugins.

One function a table asks the pinned snapshot and runs a tuple loop. Tables that no plugin
uses get none: what isn't used costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final

from flask import Flask
from werkzeug.routing import BuildError
from werkzeug.wrappers import Response

from flask_pluginkit.barrier import on_exit, on_fault
from flask_pluginkit.points import Hook
from flask_pluginkit.residents import OWNER, Meter, Running
from flask_pluginkit.snapshot import Chain, Snapshot, pinned

from .keeping import FUNCTION_LISTS, FUNCTION_TABLES
from .tables import FunctionList

Key = tuple[str, str | None]

CONTEXT_PROCESSORS: Final[Key] = ("template_context_processors", None)
"""Where ``tcp`` values reach templates."""


WITHOUT_VALUES: ContextVar[bool] = ContextVar("flask_pluginkit.without_values", default=False)
"""Set while a slot asks for variables: it puts the ``tcp`` values in itself, copying once."""


class Dispatchers:
    """Puts one function into each table and scope in which plugins have functions."""

    def __init__(self, app: Flask, site: Any) -> None:
        self.app = app
        self.site = site
        self.present: set[Key] = set()
        # Flask takes microseconds to call even a function that does nothing: so there is none
        # until a plugin has such a hook, but its place is kept: where `PluginManager(app)` stands
        # among the host's own
        self.places: dict[Key, int] = {
            (table, None): len(getattr(app, table)) for table in FUNCTION_LISTS
        }
        for table in FUNCTION_TABLES:
            for scope, functions in getattr(app, table).items():
                self.places[table, scope] = len(functions)
        # the application's own context processors and Flask's come after, and so win
        self.places[CONTEXT_PROCESSORS] = 0

    def make_room(self, table: str) -> None:
        """Note that something has come before all functions of a table."""
        self.places[table, None] = self.places.get((table, None), 0) + 1

    def install(self, keys: Iterable[Key]) -> None:
        """Make sure that these tables and scopes have their function."""
        for key in keys:
            if key not in self.present:
                self.present.add(key)
                self._install(*key)

    def _install(self, table: str, scope: str | None) -> None:
        function = self._make(table, scope)
        place = getattr(self.app, table)
        functions = list(place[scope]) if isinstance(place, dict) else list(place)
        functions.insert(self.places.get((table, scope), 0), function)
        # a new list, as requests of other threads run through the old one
        if isinstance(place, dict):
            place[scope] = functions
        else:
            setattr(self.app, table, FunctionList(table, scope, functions))

    def _make(self, table: str, scope: str | None) -> Callable[..., Any]:
        site = self.site
        key = (table, scope)

        def chain() -> Chain:
            return pinned(site).hooks.get(key, _NOTHING)

        match table:
            case "before_request_funcs":
                return lambda: call_until_answered(chain())
            case "after_request_funcs":
                # 3.x ignored what they returned, and so its plugins return anything
                return lambda response: call_in_turn(chain(), response, Response)
            case "teardown_request_funcs" | "teardown_appcontext_funcs":
                return lambda error: call_in_turn(chain(), error, ())
            case "template_context_processors" if scope is None:
                return _all_variables(lambda: pinned(site))
        others = {
            "template_context_processors": _variables,
            "shell_context_processors": _variables,
            "url_build_error_handlers": _first_url,
        }
        return others.get(table, _each)(chain)


_NOTHING: Final = Chain((), ())


def call_hook(hook: Hook, *args: Any) -> Any:
    """Call one hook as `guard` has functions called."""
    meter: Meter = hook.meter
    token = OWNER.set(hook.resident)
    started = perf_counter()
    try:
        answer = hook.function(*args)
    except BaseException as error:  # noqa: BLE001 - a barrier
        return hook_fault(hook, error, started)
    else:
        meter.took(perf_counter() - started)
        return answer
    finally:
        meter.own += 1
        OWNER.reset(token)


def hook_fault(hook: Hook, error: BaseException, started: float) -> Any:
    """Do with the error of a hook, called at `started`, what `guard` does; return what it does.

    The caller counts the call.
    """
    try:
        if isinstance(error, Exception):
            return on_fault(hook.resident, hook.meter, error, hook.fallback, final=hook.final)
        return on_exit(hook.resident, hook.meter, error, hook.fallback)
    finally:
        hook.meter.took(perf_counter() - started)


def call_until_answered(chain: Chain) -> Any:
    """Call hooks that take nothing; the first answer that isn't None ends it and is returned.

    As `call_hook` for each, with the owner set once and the clock read once for each.
    """
    running = Running(chain.rows)
    token = OWNER.set(running)
    least = chain.tally.least
    started = perf_counter()
    try:
        for function, meter in running.turn:
            try:
                answer = function()
            except BaseException as error:  # noqa: BLE001 - a barrier
                answer = hook_fault(chain.hook(function, meter), error, started)
                started = perf_counter()
            else:
                now = perf_counter()
                seconds = now - started
                started = now
                meter.total += seconds
                if seconds > least and seconds > meter.slowest:
                    meter.note_slowest(seconds)
            if answer is not None:
                return answer
    finally:
        running.end(chain.tally)
        OWNER.reset(token)
    return None


def call_in_turn(chain: Chain, value: Any, kind: type | tuple[()]) -> Any:
    """Call all hooks with `value`; an answer of the type `kind` replaces it. Returns the last.

    As `call_hook` for each, with the owner set once and the clock read once for each.
    """
    running = Running(chain.rows)
    token = OWNER.set(running)
    least = chain.tally.least
    started = perf_counter()
    try:
        for function, meter in running.turn:
            try:
                answer = function(value)
            except BaseException as error:  # noqa: BLE001 - a barrier
                answer = hook_fault(chain.hook(function, meter), error, started)
                started = perf_counter()
            else:
                now = perf_counter()
                seconds = now - started
                started = now
                meter.total += seconds
                if seconds > least and seconds > meter.slowest:
                    meter.note_slowest(seconds)
            if answer is not value and isinstance(answer, kind):
                value = answer
    finally:
        running.end(chain.tally)
        OWNER.reset(token)
    return value


def _first_url(chain: Callable[[], Chain]) -> Callable[..., Any]:
    """Make the function of ``url_build_error_handlers``.

    As in Flask, a handler that doesn't know a URL raises the error that the next one gets.
    """

    def plugins(error: BuildError, endpoint: str, values: dict[str, Any]) -> Any:
        for hook in chain().hooks:
            answer = call_hook(hook, error, endpoint, values)
            if isinstance(answer, BuildError):
                error = answer
            elif answer is not None:
                return answer
        raise error

    return plugins


def _variables(chain: Callable[[], Chain]) -> Callable[[], dict[str, Any]]:
    """Make the function of a table whose functions give dicts of variables."""

    def plugins() -> dict[str, Any]:
        variables: dict[str, Any] = {}
        for hook in chain().hooks:
            variables.update(call_hook(hook) or {})
        return variables

    return plugins


def _all_variables(pin: Callable[[], Snapshot]) -> Callable[[], dict[str, Any]]:
    """Make the context processor of all plugins: their tcp values, then their functions."""

    def plugins() -> dict[str, Any]:
        snapshot = pin()
        variables = snapshot.tables["context"]
        if WITHOUT_VALUES.get():
            # for this one question only: another processor may render a page of its own
            WITHOUT_VALUES.set(False)
            variables = {}
        if (chain := snapshot.hooks.get(CONTEXT_PROCESSORS)) is None:
            # Flask only reads it
            return variables  # type: ignore[return-value]
        variables = dict(variables)
        for hook in chain.hooks:
            variables.update(call_hook(hook) or {})
        return variables

    return plugins


def _each(chain: Callable[[], Chain]) -> Callable[..., None]:
    """Make the function of a table whose functions are called for what they do."""

    def plugins(*args: Any) -> None:
        for hook in chain().hooks:
            call_hook(hook, *args)

    return plugins
