"""Recording what a plugin registers, on the real application.

A scratch application or a copy fails real plugins: they look up extensions, call
``db.init_app(state.app)`` and keep ``state.app``. So plugins register on the application
itself, while a ContextVar says whose recording it is; the application's tables then hand
everything to that recording. A recording that fails is dropped, and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial, update_wrapper
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, cast

from flask import Flask
from flask.templating import _default_template_ctx_processor
from werkzeug.routing import BuildError, Rule

from flask_pluginkit.barrier import RAISE, guard, guard_view
from flask_pluginkit.points import GUARDS, Contribution, ErrorHandler, Hook, Named, Route
from flask_pluginkit.residents import Resident, run_as
from flask_pluginkit.snapshot import LAST_IN_FIRST_OUT, Snapshot
from flask_pluginkit.text import as_text

from . import routes
from .commands import owned_command
from .errors import guard_handler
from .filters import ask_anew, jinja_callable
from .handlers import HandlerTable
from .keeping import RECORDING, TABLES, tables_kept
from .mounts import noting
from .tables import (
    HOST_REGISTERS,
    FunctionList,
    FunctionTable,
    ListedDict,
    LiveBlueprints,
    LiveDict,
    LiveFunctions,
)

FUNCTION_TABLES: Final = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "template_context_processors",
    "url_value_preprocessors",
    "url_default_functions",
)
FUNCTION_LISTS: Final = (
    "teardown_appcontext_funcs",
    "shell_context_processors",
    "url_build_error_handlers",
)
_KEPT: Final = (*FUNCTION_TABLES, *FUNCTION_LISTS, *TABLES)

_FUNCTIONS: Final = (
    FunctionType, MethodType, BuiltinFunctionType, partial, type(lru_cache(lambda: None)),
)  # fmt: skip


class Recording:
    """What one plugin registers, as contributions in the order in which they came."""

    def __init__(
        self,
        app: Flask,
        resident: Resident,
        make_rule: Callable[[Rule], routes.LiveRule],
        variant: tuple[str, ...],
        pin: Callable[[], Snapshot],
    ) -> None:
        self.app = app
        self.pin = pin
        self.sees_own = False
        """Whether what this plugin has registered before is there for it: as in a process that
        starts, it isn't when the plugin registers once more."""
        self.resident = resident
        self.variant = variant
        """Which variant of what the plugin registers this is: by whom it was preprocessed."""
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
        """Return an empty recording that knows the names which this one has taken."""
        more = Recording(self.app, self.resident, self.make_rule, self.variant, self.pin)
        more.sees_own = True
        more._raw = {kind: dict(entries) for kind, entries in self._raw.items()}
        return more

    def add(self, item: Contribution) -> None:
        """Take a contribution that is made already."""
        self._items.append(item)

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

    def others(self, kind: str, live: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the entries of a table that are there for the plugin that registers."""
        if self.sees_own or not live:
            return live
        owners, own = self.pin().owners, self.resident.name
        return {name: value for name, value in live.items() if owners.get((kind, name)) != own}

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


def _as_host(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method by which the application registers what plugins may have registered too.

    A plugin may call it as well: what it registers after a blueprint isn't that blueprint's.
    """

    def register(*args: Any, **kwargs: Any) -> Any:
        recording = RECORDING.get()
        blueprint = recording.blueprint if isinstance(recording, Recording) else None
        token = HOST_REGISTERS.set(True)
        try:
            return method(*args, **kwargs)
        finally:
            HOST_REGISTERS.reset(token)
            if isinstance(recording, Recording):
                recording.blueprint = blueprint

    return update_wrapper(register, method)


class Tables:
    """The tables of one application, replaced by live ones until `detach`."""

    def __init__(
        self,
        app: Flask,
        pin: Callable[[], Snapshot],
        settle: Callable[[], None],
        host: str | None = None,
    ) -> None:
        self.app = app
        self.pin = pin
        self.host = host
        self._undo = ExitStack()
        self.dicts: dict[str, LiveDict] = {}
        try:
            self._attach(settle)
        except BaseException:
            self.detach()
            raise

    def _attach(self, settle: Callable[[], None]) -> None:
        app = self.app
        self._live_dict(app, "view_functions", "endpoint")
        self._live_dict(app, "blueprints", "blueprint", LiveBlueprints)
        self._live_dict(app.cli, "commands", "command")
        self._live_dict(app.jinja_env, "filters", "filter", LiveFunctions)
        self._live_dict(app.jinja_env, "tests", "test", LiveFunctions)
        ask_anew(self.dicts["test"])
        self._live_dict(app.jinja_env, "globals", "global")
        for name in FUNCTION_TABLES:
            self.replace(app, name, FunctionTable(name, getattr(app, name)))
        for name in FUNCTION_LISTS:
            self.replace(app, name, FunctionList(name, None, getattr(app, name)))
        self.replace(
            app, "error_handler_spec", HandlerTable(app.error_handler_spec, self._live_handlers)
        )
        self._undo.callback(routes.attach(app.url_map, self._record_rule, settle))
        self._let_recordings_register()

    def replace(self, holder: Any, name: str, value: Any) -> None:
        """Set an attribute until `detach`."""
        had = name in vars(holder)
        before = vars(holder).get(name)

        def restore() -> None:
            if had:
                setattr(holder, name, before)
            else:
                delattr(holder, name)

        setattr(holder, name, value)
        self._undo.callback(restore)

    def _live_dict(
        self, holder: Any, name: str, kind: str, make: type[LiveDict] = LiveDict
    ) -> None:
        table = make(kind, getattr(holder, name), lambda: self.pin().tables[kind])
        self.dicts[kind] = table
        self.replace(holder, name, table)

    def plain_globals(self) -> None:
        """Give Jinja globals that are copied as a plain dict is, as no plugin offers one.

        It copies all of them at each render, and a live mapping costs it microseconds.
        """
        live = self.dicts["global"]
        self.app.jinja_env.globals = ListedDict("global", live.own(), live.live)
        self.forget_templates()

    def live_globals(self) -> bool:
        """Let Jinja see the globals of plugins, now that one offers any; True if it didn't."""
        live = self.dicts["global"]
        if self.app.jinja_env.globals is live:
            return False
        dict.clear(live)  # the application may have removed some
        dict.update(live, self.app.jinja_env.globals)
        self.app.jinja_env.globals = live
        self.forget_templates()
        return True

    def forget_templates(self) -> None:
        """Let Jinja load templates anew.

        They hold the globals of their time, and call filters in the form that these had when
        they were compiled: those of plugins have another one than the application's.
        """
        if self.app.jinja_env.cache is not None:
            self.app.jinja_env.cache.clear()

    def _live_handlers(self, scope: Any, code: Any) -> Mapping[Any, Any]:
        return self.pin().errors.get((scope, code)) or {}

    def _record_rule(self, rule: Rule) -> None:
        recording = RECORDING.get()
        assert isinstance(recording, Recording)
        recording.rule(rule)

    def _let_recordings_register(self) -> None:
        """Let plugins register after the first request, in a recording and only there."""
        check = self.app._check_setup_finished  # noqa: SLF001 - Flask has no other way

        def check_unless_recording(name: str) -> None:
            if RECORDING.get() is None:
                check(name)

        self.replace(self.app, "_check_setup_finished", check_unless_recording)
        self.replace(self.app, "add_url_rule", _as_host(self.app.add_url_rule))
        told = cast("LiveBlueprints", self.app.blueprints).told
        register = noting(self.app.register_blueprint, told)
        self.replace(self.app, "register_blueprint", _as_host(register))

    def recording(self, resident: Resident, variant: tuple[str, ...] = ()) -> Recording:
        """Return a new recording for the plugin `resident`."""

        def make_rule(rule: Rule) -> routes.LiveRule:
            return routes.make_live(rule, self.pin, self.host)

        return Recording(self.app, resident, make_rule, variant, self.pin)

    def detach(self) -> None:
        """Give the application its own tables back."""
        self._undo.close()
