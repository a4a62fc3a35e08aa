"""Calls by reference: what the host asks of the plugin's functions, and results that can cross.

Each kind of function has a caller here, which takes the arguments of a `Call` and returns a
`Result`. One call that fails is one `Failure`; the others of its batch go on.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from flask import Response, request
from jinja2 import Template, nodes
from jinja2.utils import _PassArg
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, default_exceptions

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.functions import connected_text
from flask_pluginkit.isolation.messages import (
    Answer,
    Call,
    Failure,
    Result,
    Value,
)
from flask_pluginkit.isolation.wire import NotPlainError, plain
from flask_pluginkit.text import shorten

from .application import InnerFlask, Unanswered
from .records import sendable

TRACEBACK: Final = 16 << 10
"""Characters of a traceback, from its end."""
COMMON: Final = "pluginkit.common"
"""What all teps of one batch see, in the environment of its request."""
ANSWER: Final = 8 << 20
"""Bytes of an answer's body."""

Caller = Callable[[Sequence[Any], dict[str, Any]], Result]

_log = logging.getLogger(__name__)


class Calls:
    """The functions that the host may call, by their references."""

    def __init__(self, app: InnerFlask) -> None:
        self.app = app
        self._callers: list[Caller] = []
        self._warned: set[str] = set()

    def add(self, caller: Caller) -> int:
        """Take a caller and return its reference."""
        self._callers.append(caller)
        return len(self._callers) - 1

    def run(self, calls: Iterable[Call]) -> list[Result]:
        """Run calls one after the other, inside of a request's context."""
        return [self._run(call) for call in calls]

    def _run(self, call: Call) -> Result:
        try:
            caller = self._callers[call.reference] if call.reference >= 0 else _nobody
            return caller(call.args, call.kwargs)
        except BaseException as error:  # noqa: BLE001 - plugins raise anything, SystemExit too
            return failure(error)

    # ---- one for each kind ------------------------------------------------------------------

    def tep(self, template: Callable[[], Any]) -> Caller:
        """Render a template with what the slot was given."""

        def render(_args: Sequence[Any], variables: dict[str, Any]) -> Result:
            return Value(value=str.__str__(self._rendered(template(), variables)))

        return render

    def _rendered(self, template: Template, variables: dict[str, Any]) -> str:
        environment = self.app.jinja_env
        common = request.environ.get(COMMON)
        if common is None:
            # context processors are asked once for all parts of a page, as in the host
            found: dict[str, Any] = {}
            self.app.update_template_context(found)
            common = request.environ[COMMON] = {**environment.globals, **found}
        if environment.is_async:
            return template.render({**common, **variables})
        names = {**common, **variables}
        # as the template's own method does it, which copies all globals one by one
        context = environment.context_class(environment, names, template.name, template.blocks)
        try:
            return environment.concat(template.root_render_func(context))
        except Exception:  # noqa: BLE001 - points the traceback at the lines of the template
            environment.handle_exception()

    def function(self, function: Callable[..., Any]) -> Caller:
        """Call a filter or a test."""
        called = self.app.ensure_sync(function)
        passed = _PassArg.from_obj(function)
        environment = self.app.jinja_env

        def call(args: Sequence[Any], kwargs: dict[str, Any]) -> Result:
            first: tuple[Any, ...] = ()
            if passed is _PassArg.environment:
                first = (environment,)
            elif passed is _PassArg.eval_context:
                first = (nodes.EvalContext(environment),)
            return Value(value=plain(called(*first, *args, **kwargs)))

        return call

    def connection(self, function: Callable[..., Any]) -> Caller:
        """Call a function at a dynamic connection point: it gives text."""
        called = self.app.ensure_sync(function)
        return lambda args, kwargs: Value(value=plain(connected_text(called(*args, **kwargs))))

    def before_request(self, function: Callable[..., Any]) -> Caller:
        """Run a hook that may answer in place of the view."""
        called = self.app.ensure_sync(function)

        def call(_args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
            try:
                value = called()
            except HTTPException as error:
                value = self._handled(error)
            return Value() if value is None else answer(self.app.make_response(value))

        return call

    def _handled(self, error: HTTPException) -> Any:
        """Return what the plugin's handlers make of an HTTP error, or the error itself."""
        try:
            return self.app.handle_user_exception(error)
        except Unanswered:
            return error

    def after_request(self, function: Callable[..., Any]) -> Caller:
        """Run a hook with a response: its status, headers, and body if that is shown."""
        called = self.app.ensure_sync(function)

        def call(args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
            status, given, body = args
            response = self.app.response_class(body or b"", status=status)
            # those that are shown and no other, such as a type of content by default
            response.headers = Headers([(name, value) for name, value in given])
            before = answer(response)
            result = called(response)
            after = answer(result) if isinstance(result, Response) else before
            return Value() if after == before else after

        return call

    def teardown_request(self, function: Callable[..., Any]) -> Caller:
        """Run a hook at the end of a request, which is told only whether there was an error."""
        called = self.app.ensure_sync(function)

        def call(args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
            name = args[0] if args else None
            called(None if name is None else PluginError(f"the request ended with {name}"))
            return Value()

        return call

    def context_processor(self, function: Callable[..., Any]) -> Caller:
        """Ask for variables; those that can't cross are left out, and the log says so once."""
        called = self.app.ensure_sync(function)

        def call(_args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
            crossing = {}
            for name, value in dict(called() or {}).items():
                try:
                    crossing[sendable(str(name))] = plain(value)
                except NotPlainError as error:
                    self._warn(str(name), error)
            return Value(value=crossing)

        return call

    def _warn(self, name: str, error: NotPlainError) -> None:
        if name not in self._warned:
            self._warned.add(name)
            _log.warning("context processor: %r is there in own templates only: %s", name, error)

    def error_handler(self, function: Callable[..., Any]) -> Caller:
        """Have a handler answer an HTTP error of somebody else's page."""
        called = self.app.ensure_sync(function)

        def call(args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
            code, _name, description = args
            error = default_exceptions.get(code, HTTPException)(description)
            error.code = code
            return answer(self.app.make_response(called(error)))

        return call


def _nobody(_args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
    raise IndexError("references begin with 0")


def answer(response: Response) -> Answer:
    """Return a response as it crosses. Raises PluginError if it is too long."""
    response.direct_passthrough = False
    body = b""
    for part in response.iter_encoded():
        body += part
        if len(body) > ANSWER:
            raise PluginError(f"an answer of more than {ANSWER} bytes")
    response.close()
    headers = [
        (sendable(name), sendable(value))
        for name, value in response.headers
        if name.lower() != "content-length"  # which whoever sends the body finds out
    ]
    return Answer(status=response.status_code, headers=headers, body=body)


def failure(error: BaseException) -> Failure:
    """Return an exception of the plugin as it crosses."""
    try:
        lines = traceback.format_exception(error)
        text = "".join(lines)[-TRACEBACK:]
        what = "".join(traceback.format_exception_only(error)).strip()
    except Exception:  # noqa: BLE001 - its own methods failed
        what, text = type(error).__name__, ""
    return Failure(error=sendable(shorten(what, 1000)), traceback=sendable(text))


def is_context_function(function: Any) -> bool:
    """Tell whether Jinja would hand the template's context to a function."""
    return _PassArg.from_obj(function) is _PassArg.context
