"""The few functions that stand in Flask's tables for all plugins, and the pin of a request.

One function a table asks the pinned snapshot and runs a tuple loop. Tables that no plugin
uses get none: what isn't used costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from flask import Flask
from werkzeug.routing import BuildError
from werkzeug.wrappers import Response

from flask_pluginkit.barrier import OWNER
from flask_pluginkit.snapshot import ENVIRON_KEY, PIN, Snapshot, pinned

Key = tuple[str, str | None]

PLACED: Final = ("before_request_funcs", "after_request_funcs", "teardown_request_funcs")
"""Tables in which the plugins' place is where `PluginManager(app)` stands among the host's own."""

CONTEXT_PROCESSORS: Final[Key] = ("template_context_processors", None)
"""Where ``tcp`` values reach templates."""


WITHOUT_VALUES: ContextVar[bool] = ContextVar("flask_pluginkit.without_values", default=False)
"""Set while a slot asks for variables: it puts the ``tcp`` values in itself, copying once."""


class PinLayer:
    """The WSGI layer that pins the current snapshot for the length of a request."""

    def __init__(self, wsgi_app: Any, site: Any) -> None:
        self.wsgi_app = wsgi_app
        self.site = site
        # holds "update" as long as something waits to be settled (`live.routes`)
        self.map_state = vars(site.app.url_map)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Run the application with the snapshot pinned.

        The ContextVar is for everything inside this call. The environ is for what comes
        after it: streams and the teardown that follows them. The first request settles what
        it is to see; a conflict that raises then does so again below, where Flask handles it.
        """
        if "update" in self.map_state:
            with suppress(Exception):
                self.site.app.url_map.update()
        environ[ENVIRON_KEY] = snapshot = self.site.current
        token = PIN.set(snapshot)
        # a request that a plugin's view sends to an application isn't that plugin's code
        owner = OWNER.set(None)
        try:
            return self.wsgi_app(environ, start_response)
        finally:
            OWNER.reset(owner)
            PIN.reset(token)


class Dispatchers:
    """Puts one function into each table and scope in which plugins have functions."""

    def __init__(self, app: Flask, site: Any) -> None:
        self.app = app
        self.site = site
        self.present: set[Key] = set()
        # Flask takes microseconds to call even a function that does nothing: so there is none
        # until a plugin has such a hook, but its place is kept
        self.places = {table: len(getattr(app, table).get(None, ())) for table in PLACED}

    def install(self, keys: Iterable[Key]) -> None:
        """Make sure that these tables and scopes have their function."""
        for key in keys:
            if key not in self.present:
                self.present.add(key)
                self._install(*key)

    def _install(self, table: str, scope: str | None) -> None:
        function = self._make(table, scope)
        functions = getattr(self.app, table)
        if isinstance(functions, dict):
            functions = functions[scope]
        if scope is None:
            # the application's own context processors and Flask's come after, and so win
            index = 0 if (table, scope) == CONTEXT_PROCESSORS else self.places.get(table)
        else:
            index = None
        list.insert(functions, len(functions) if index is None else index, function)

    def _make(self, table: str, scope: str | None) -> Callable[..., Any]:
        site = self.site
        key = (table, scope)

        def functions() -> tuple[Any, ...]:
            return pinned(site).hooks.get(key, ())

        if key == CONTEXT_PROCESSORS:
            return _all_variables(lambda: pinned(site))
        match table:
            case "before_request_funcs":
                return _first_answer(functions)
            case "url_build_error_handlers":
                return _first_url(functions)
            case "after_request_funcs":
                return _responses(functions)
            case "template_context_processors" | "shell_context_processors":
                return _variables(functions)
            case _:
                return _each(functions)


def _first_answer(functions: Callable[[], tuple[Any, ...]]) -> Callable[..., Any]:
    """Make the function of a table whose first answer that isn't None counts."""

    def plugins(*args: Any) -> Any:
        for function in functions():
            answer = function(*args)
            if answer is not None:
                return answer
        return None

    return plugins


def _first_url(functions: Callable[[], tuple[Any, ...]]) -> Callable[..., Any]:
    """Make the function of ``url_build_error_handlers``.

    As in Flask, a handler that doesn't know a URL raises the error that the next one gets.
    """

    def plugins(error: BuildError, endpoint: str, values: dict[str, Any]) -> Any:
        for function in functions():
            answer = function(error, endpoint, values)
            if isinstance(answer, BuildError):
                error = answer
            elif answer is not None:
                return answer
        raise error

    return plugins


def _responses(functions: Callable[[], tuple[Any, ...]]) -> Callable[..., Any]:
    """Make the function of a table whose functions take and may replace the response.

    3.x ignored what they returned, and so its plugins return anything: only a response
    counts.
    """

    def plugins(response: Any) -> Any:
        for function in functions():
            answer = function(response)
            if isinstance(answer, Response):
                response = answer
        return response

    return plugins


def _variables(functions: Callable[[], tuple[Any, ...]]) -> Callable[[], dict[str, Any]]:
    """Make the function of a table whose functions give dicts of variables."""

    def plugins() -> dict[str, Any]:
        variables: dict[str, Any] = {}
        for function in functions():
            variables.update(function() or {})
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
        if not snapshot.context_processors:
            # Flask only reads it
            return variables  # type: ignore[return-value]
        variables = dict(variables)
        for function in snapshot.context_processors:
            variables.update(function() or {})
        return variables

    return plugins


def _each(functions: Callable[[], tuple[Any, ...]]) -> Callable[..., None]:
    """Make the function of a table whose functions are called for what they do."""

    def plugins(*args: Any) -> None:
        for function in functions():
            function(*args)

    return plugins
