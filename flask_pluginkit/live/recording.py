"""One recording: what a plugin registers while it runs, as contributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial, update_wrapper
from itertools import count
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from flask import Flask
from flask.templating import _default_template_ctx_processor
from werkzeug.routing import BuildError, Rule

from flask_pluginkit.barrier import RAISE, guard, guard_view
from flask_pluginkit.points import (
    GUARDS,
    LAST_IN_FIRST_OUT,
    Contribution,
    ErrorHandler,
    Hook,
    Named,
    Route,
)
from flask_pluginkit.residents import Resident, run_as
from flask_pluginkit.text import as_text

from . import routes
from .commands import owned_command
from .errors import guard_handler
from .filters import jinja_callable
from .keeping import FUNCTION_LISTS, FUNCTION_TABLES, RECORDING, TABLES, tables_kept

_KEPT: Final = (*FUNCTION_TABLES, *FUNCTION_LISTS, *TABLES)

_FUNCTIONS: Final = (
    FunctionType, MethodType, BuiltinFunctionType, partial, type(lru_cache(lambda: None)),
)  # fmt: skip

_serials = count(1)


class Recording:
    """What one plugin registers, as contributions in the order in which they came."""

    def __init__(
        self,
        app: Flask,
        resident: Resident,
        make_rule: Callable[[Rule], routes.LiveRule],
    ) -> None:
        self.serial: int | None = next(_serials)
        """None for what is there for good, whatever is recorded anew."""
        self.app = app
        self.resident = resident
        self.make_rule = make_rule
        self.blueprint: str | None = None
        self.parent: str | None = None
        self._items: list[Contribution] = []
        self._named: dict[tuple[str, str], Named] = {}
        self._raw: dict[str, dict[str, Any]] = {}
        self.is_running = False

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """Everything recorded so far."""
        return (*self._named.values(), *self._items)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record what is registered inside the block, with the plugin as owner of the code."""
        token = RECORDING.set(self)
        before, self.is_running = self.is_running, True
        try:
            kept = tables_kept(self.app, self.resident.name, _KEPT)
            with kept, self.resident.running():
                yield
        finally:
            self.is_running = before
            RECORDING.reset(token)

    def successor(self) -> Recording:
        """Return an empty recording that knows the names which this one has taken.

        It is for ``on_app_ready``, which is called once, on an application that has it all.
        """
        more = Recording(self.app, self.resident, self.make_rule)
        more.serial = None
        more._raw = {kind: dict(entries) for kind, entries in self._raw.items()}
        return more

    def add(self, item: Contribution) -> None:
        """Take a contribution that is made already."""
        self._items.append(item)

    @property
    def place(self) -> int:
        """Where the next contribution goes."""
        return len(self._items)

    @contextmanager
    def going_to(self, place: int) -> Iterator[None]:
        """Put what comes inside the block where it would have been, had it come in time."""
        rest = self._items[place:]
        del self._items[place:]
        try:
            yield
        finally:
            self._items += rest

    def named(self, kind: str, name: str, value: Any) -> None:
        """Take an entry of a table."""
        # that of a subclass of str may fail when the names of all plugins are compared
        name = name if (text := as_text(name)) is None else text
        self._raw.setdefault(kind, {})[name] = value
        if kind == "blueprint":
            self.blueprint = name
        self._named[kind, name] = Named(
            owner=self.resident.name,
            blueprint=self._blueprint_of(kind, name),
            kind=kind,
            name=name,
            value=self._guarded(kind, name, value),
            parent=self.parent if kind == "blueprint" else None,
        )

    def pending(self, kind: str) -> Mapping[str, Any]:
        """Give what was taken for a table, as the plugin gave it."""
        return self._raw.get(kind, {})

    def others(self, live: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the entries of plugins that are there for the one that registers.

        While an application starts there are none yet, and who gets a name that two want is
        decided when all have registered; so it is, too, where some are live already.
        """
        return live if self.serial is None else {}

    def hook(self, table: str, scope: str | None, function: Any, recorded: bool = True) -> None:
        """Take a function of a function table; ``hep`` functions aren't `recorded`."""
        if function is _default_template_ctx_processor:
            # Flask's own, which each blueprint brings along: the application has run it already
            return
        if table in GUARDS:
            fallback = None if self.resident.optional else RAISE
        else:
            fallback = {} if table.endswith("context_processors") else None
        point = table.removesuffix("_funcs")
        called = self.app.ensure_sync(function)
        if called is not function:
            # what it starts in a copy of its context may outlive the loop that calls it
            called = run_as(self.resident, called)
        if table.endswith("context_processors"):
            called = _checked_variables(called)
        elif table == "url_build_error_handlers":
            called = _with_build_error(called)
        self.add(
            Hook(
                owner=self.resident.name,
                blueprint=self.blueprint,
                table=table,
                scope=scope,
                function=called,
                recorded=recorded,
                resident=self.resident,
                meter=self.resident.meter(point),
                fallback=fallback,
                final=table in LAST_IN_FIRST_OUT,
            )
        )

    def error(self, scope: str | None, code: int | None, error: Any, function: Any) -> None:
        """Take an error handler."""
        hash(error)  # a class that can't be a key fails here, as it does in Flask
        handler = guard_handler(self.app, self.app.ensure_sync(function), self.resident)
        self.add(
            ErrorHandler(
                owner=self.resident.name,
                blueprint=self.blueprint,
                scope=scope,
                code=code,
                error=error,
                function=handler,
            )
        )

    def rule(self, rule: Rule) -> None:
        """Take a routing rule; binding it now shows whether it can be compiled."""
        live = self.make_rule(rule)
        live.order = (self.serial is None, self.place)
        live.bind(self.app.url_map)
        keys = () if live.build_only else tuple(routes.claim_keys(live))
        owner = self.resident.name
        self.add(Route(owner=owner, blueprint=self.blueprint, rule=live, keys=keys))

    def _blueprint_of(self, kind: str, name: str) -> str | None:
        if kind == "blueprint":
            return name.rpartition(".")[0] or None
        return self.blueprint

    def _guarded(self, kind: str, name: str, value: Any) -> Any:
        """Wrap the functions among the values of a table."""
        point = f"{kind} {name}"
        match kind:
            case "endpoint":
                return guard_view(self.app.ensure_sync(value), self.resident, f"view {name}")
            case "filter" | "test":
                # an empty text, as the input may be what the filter was to escape
                empty: Any = "" if kind == "filter" else False
                return jinja_callable(self.app.ensure_sync(value), self.resident, point, empty)
            case "command":
                return owned_command(value, self.resident)
            case "global" | "context" if _is_function(value):
                return guard(self.app.ensure_sync(value), self.resident, point, "")
            case _:
                return value


def _is_function(value: object) -> bool:
    """Tell whether calling it runs a plugin's function (classes and objects stay themselves)."""
    # isinstance() would ask a proxy for what stands behind it, which may be nothing yet
    return issubclass(type(value), _FUNCTIONS)


def _checked_variables(function: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """Wrap a context processor so that whatever isn't a dict is a fault inside the barrier."""

    def variables() -> dict[str, Any]:
        return dict(function() or {})

    return update_wrapper(variables, function)


def _with_build_error(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler so that it returns the BuildError by which it gives way to the next."""

    def answer_or_error(*args: Any) -> Any:
        try:
            return function(*args)
        except BuildError as error:
            return error

    return update_wrapper(answer_or_error, function)
