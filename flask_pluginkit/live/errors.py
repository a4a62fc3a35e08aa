"""Error handlers of plugins, and what counts as claimed by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, has_request_context, request
from werkzeug.exceptions import HTTPException, InternalServerError

from flask_pluginkit.barrier import guard
from flask_pluginkit.residents import Resident

_FAILED = object()
_BROAD = (Exception, BaseException, HTTPException, InternalServerError)


def guard_handler(
    app: Flask, function: Callable[..., Any], resident: Resident
) -> Callable[..., Any]:
    """Wrap a plugin's error handler: one that fails itself gives way to the application's."""
    # final: Flask asks no handler about what an error handler raises
    call = guard(function, resident, "errorhandler", _FAILED, final=True)

    def handle(error: Exception) -> Any:
        answer = call(error)
        if answer is not _FAILED:
            return answer
        own = own_handler(app, error)
        if own is not None:
            return app.ensure_sync(own)(error)
        if isinstance(error, HTTPException):
            return error
        raise error

    return handle


def own_handler(app: Flask, error: Exception) -> Callable[..., Any] | None:
    """Return the application's own handler for `error`, None if it has none.

    The search goes as Flask's: by code before by class alone, and in each by blueprint.
    """
    code = error.code if isinstance(error, HTTPException) else None
    scopes = (*(request.blueprints if has_request_context() else ()), None)
    for which in dict.fromkeys((code, None)):
        for scope in scopes:
            handlers = _handlers(app, scope, which)
            for kind in type(error).__mro__:
                # dict's own get: the map's get would give the plugins' handlers
                if (found := dict.get(handlers, kind)) is not None:
                    handler: Callable[..., Any] = found
                    return handler
    return None


def claims_error(app: Flask, error: Exception, broad: bool) -> bool:
    """Tell whether a handler is registered for this error.

    A handler for `Exception` or 500 is an error page for whatever happens: it claims an
    error only if `broad`.
    """
    scopes = (*(request.blueprints if has_request_context() else ()), None)
    for scope in scopes:
        handlers = _handlers(app, scope, None)
        for kind in type(error).__mro__:
            if kind in _BROAD and not broad:
                break
            if handlers and handlers.get(kind) is not None:
                return True
    return False


def _handlers(app: Flask, scope: str | None, code: int | None) -> dict[Any, Any]:
    """Return the handlers of one scope and code."""
    try:
        found: dict[Any, Any] = app.error_handler_spec[scope][code]
    except KeyError:  # a table that the application has put there has no defaults
        return {}
    return found
