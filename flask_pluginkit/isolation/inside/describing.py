"""What the plugin adds, read from its application: what the host may ask for, and what can't be.

The host doesn't believe any of this: it checks rules and permissions itself. Here everything is
refused that wouldn't work, with a reason for the plugin's author and the operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from flask.templating import _default_template_ctx_processor
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.routing.converters import DEFAULT_CONVERTERS

from flask_pluginkit.functions import PRIVATE
from flask_pluginkit.isolation.messages import (
    Description,
    ErrorInfo,
    FunctionInfo,
    HookInfo,
    RefusedInfo,
    RouteInfo,
    TepInfo,
)
from flask_pluginkit.isolation.wire import NotPlainError, plain
from flask_pluginkit.text import describe

from .application import InnerFlask
from .calls import Caller, Calls, is_context_function
from .connections import Connections
from .emits import split, template_of
from .recording import ELSEWHERE, Recorded
from .templates import OwnTemplates, unfound

ROUTES: Final = "routes:"
_DEFAULTS: Final = frozenset(DEFAULT_CONVERTERS.values())
_ASK: Final = "ask for it with __permissions__ = [{!r}], and let the operator approve"


class Pristine:
    """What an application has before the plugin registers anything."""

    def __init__(self, app: InnerFlask) -> None:
        environment = app.jinja_env
        self.tables: dict[str, Mapping[str, Any]] = {
            "filter": dict(environment.filters),
            "test": dict(environment.tests),
            "global": dict(environment.globals),
        }

    def added(self, kind: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what was added to a table or replaced in it."""
        before = self.tables[kind]
        for name, value in table.items():
            if name not in before or before[name] is not value:
                yield name, value


class Describer:
    """Makes the `Description` of one plugin."""

    def __init__(
        self,
        app: InnerFlask,
        calls: Calls,
        recorded: Recorded,
        permissions: frozenset[str],
        *,
        is_optional: bool,
    ) -> None:
        self.app = app
        self.calls = calls
        self.recorded = recorded
        self.permissions = permissions
        self.is_optional = is_optional

    def describe(self, pristine: Pristine, connections: Connections) -> Description:
        """Return everything, and what of it is refused."""
        functions = (*self._functions(pristine), *self._connections(connections))
        made: dict[str, Any] = {
            "routes": tuple(self._routes()),
            "blueprints": tuple(self.app.blueprints),
            "teps": tuple(self._teps()),
            "hooks": tuple(self._hooks()),
            "functions": functions,
            "errors": tuple(self._errors()),
            "context": self._values("tcp", self.recorded.values.items()),
            "names": self._values("global", pristine.added("global", self.app.jinja_env.globals)),
        }
        warnings = [*self.recorded.warnings, *self._warnings()]
        refused: tuple[RefusedInfo, ...] = tuple(self.recorded.refused)
        return Description(**made, refused=refused, warnings=tuple(warnings))

    # ---- routes -----------------------------------------------------------------------------

    def _routes(self) -> Iterator[RouteInfo]:
        for rule in self.app.url_map.iter_rules():
            if rule.build_only or rule.websocket:
                continue
            if (reason := self._fault(rule)) is not None:
                self.recorded.refuse("route", rule.rule, reason)
                continue
            yield RouteInfo(
                rule=rule.rule,
                endpoint=str(rule.endpoint),
                methods=tuple(sorted(rule.methods or ())),
                defaults=plain(dict(rule.defaults or {})),
                strict_slashes=rule.strict_slashes,
            )

    def _fault(self, rule: Rule) -> str | None:
        """Return why the host can't route to a rule, None if it can."""
        if rule.subdomain or rule.host:
            return f"a plugin in a process of its own has no subdomain: {ELSEWHERE}"
        if not self._may_route(rule.rule):
            own, ask = f"/{self.recorded.plugin}/", _ASK.format(f"{ROUTES}{_start(rule.rule)}")
            return f"it isn't below {own}: put it there, or {ask}"
        for name, converter in rule._converters.items():  # noqa: SLF001 - nothing public tells
            if type(converter) not in _DEFAULTS:
                kind = type(converter).__name__
                return f"<{name}> has the converter {kind}, which {ELSEWHERE}: use Werkzeug's own"
        try:
            plain(dict(rule.defaults or {}))
        except NotPlainError as error:
            return f"its defaults: {error}"
        return None

    def _may_route(self, rule: str) -> bool:
        granted = (name.removeprefix(ROUTES) for name in self.permissions if _is_route(name))
        return any(
            rule == path or rule.startswith(f"{path}/")
            for path in (f"/{self.recorded.plugin}", *(path.rstrip("/") for path in granted))
        )

    # ---- templates and functions ------------------------------------------------------------

    def _teps(self) -> Iterator[TepInfo]:
        for slot, given, is_file in self.recorded.teps:
            _order, text = split(self.app, given, is_file)
            template = template_of(self.app, slot, text, is_file)
            reference = self.calls.add(self.calls.tep(template))
            yield TepInfo(slot=slot, given=given, is_file=is_file, reference=reference)

    def _functions(self, pristine: Pristine) -> Iterator[FunctionInfo]:
        environment = self.app.jinja_env
        kinds: tuple[Literal["filter", "test"], ...] = ("filter", "test")
        for kind in kinds:
            for name, function in pristine.added(kind, getattr(environment, f"{kind}s")):
                if is_context_function(function):
                    self.recorded.refuse(
                        kind,
                        name,
                        f"the context of the host's templates can't be had: {ELSEWHERE}; it works "
                        "in the plugin's own templates",
                    )
                    continue
                reference = self.calls.add(self.calls.function(function))
                yield FunctionInfo(kind=kind, name=name, reference=reference)

    def _connections(self, connections: Connections) -> Iterator[FunctionInfo]:
        for event, function, position in connections.pushed:
            reference = self.calls.add(self.calls.connection(function))
            yield FunctionInfo(kind="dcp", name=event, reference=reference, position=position)
        connections.is_described = True

    def _values(self, kind: str, items: Any) -> dict[str, Any]:
        crossing = {}
        for name, value in items:
            if name.startswith(PRIVATE):
                continue  # the plugin's own parts of slots call it, in here
            try:
                crossing[name] = plain(value)
            except NotPlainError as error:
                what = "a function" if callable(value) else "it"
                self.recorded.refuse(
                    kind,
                    name,
                    f"{what} can't be used by the host's templates: {error}; it works in the "
                    "plugin's own templates; offer a filter or a dcp to those of the host",
                )
        return crossing

    # ---- hooks ------------------------------------------------------------------------------

    def _hooks(self) -> Iterator[HookInfo]:
        callers = {
            "before_request_funcs": self._before_request,
            "after_request_funcs": self._needs("after_request", "responses"),
            "teardown_request_funcs": self._needs("teardown_request", "requests"),
            "template_context_processors": self._context_processor,
            "url_value_preprocessors": self._preprocessor,
            "url_default_functions": self._defaults,
        }
        for table, caller in callers.items():
            # those of blueprints run here with their views, and are nobody else's concern
            for function in getattr(self.app, table).get(None, ()):
                if (made := caller(function)) is not None:
                    yield HookInfo(table=table, scope=None, reference=self.calls.add(made))
        if self.app.shell_context_processors:
            self.recorded.refuse("hook", "shell_context_processor", f"{ELSEWHERE}")

    def _needs(self, hook: str, permission: str) -> Any:
        def caller(function: Any) -> Caller | None:
            if permission in self.permissions:
                made: Caller = getattr(self.calls, hook)(function)
                return made
            self._refuse_hook(hook, function, permission)
            return None

        return caller

    def _before_request(self, function: Any) -> Caller | None:
        missing = next(
            (name for name in ("requests", "requests:answer") if name not in self.permissions), None
        )
        if missing is not None and not self.is_optional:
            self._refuse_hook("before_request", function, "requests:answer", is_guard=True)
            return None
        if "requests" not in self.permissions:
            self._refuse_hook("before_request", function, "requests")
            return None
        return self.calls.before_request(function)

    def _preprocessor(self, function: Any) -> Caller | None:
        self.recorded.refuse(
            "hook",
            f"url_value_preprocessor {_name(function)}",
            f"it can't see or change the values of the host's URLs: {ELSEWHERE}; limit it to the "
            "plugin's blueprint (url_value_preprocessor)",
            is_fatal=not self.is_optional,
        )
        return None

    def _defaults(self, function: Any) -> Caller | None:
        self.recorded.refuse(
            "hook",
            f"url_defaults {_name(function)}",
            f"it can't add values to the host's URLs: {ELSEWHERE}; limit it to the plugin's "
            "blueprint (url_defaults)",
        )
        return None

    def _context_processor(self, function: Any) -> Caller | None:
        own = getattr(function, "__self__", None) is self.recorded.values
        if own or function is _default_template_ctx_processor:
            return None
        return self.calls.context_processor(function)

    def _refuse_hook(
        self, hook: str, function: Any, permission: str, *, is_guard: bool = False
    ) -> None:
        needed = ["requests", permission] if permission == "requests:answer" else [permission]
        reason = (
            "it runs for the plugin's own views only; for all pages it needs "
            + " and ".join(needed)
            + f": ask for it with __permissions__ = {needed!r}, and let the operator approve"
        )
        if is_guard:
            reason += (
                "; a hook that may protect pages isn't left out unless the plugin says "
                "__optional__ = True"
            )
        name = f"{hook} {_name(function)}"
        self.recorded.refuse("hook", name, reason, is_fatal=is_guard)

    # ---- errors and warnings ----------------------------------------------------------------

    def _errors(self) -> Iterator[ErrorInfo]:
        for code, handlers in self.app.error_handler_spec[None].items():
            for error, function in handlers.items():
                if code is not None and issubclass(error, HTTPException):
                    reference = self.calls.add(self.calls.error_handler(function))
                    yield ErrorInfo(code=code, reference=reference)
                    continue
                self.recorded.refuse(
                    "errhandler",
                    error.__name__,
                    f"it handles {describe(error.__name__)} of the plugin's own views only, as the "
                    f"host's exceptions don't come here: {ELSEWHERE}; handle an HTTP error code",
                )

    def _warnings(self) -> Iterator[str]:
        loader = self.app.jinja_env.loader
        if isinstance(loader, OwnTemplates):
            yield from unfound(self.app.jinja_env, loader)


def _is_route(permission: str) -> bool:
    return permission.startswith(ROUTES)


def _start(rule: str) -> str:
    """Return the path that a rule begins with, without variable parts."""
    fixed = rule.partition("<")[0]
    return fixed.rstrip("/") or "/"


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
