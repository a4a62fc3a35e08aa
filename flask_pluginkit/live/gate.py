"""The gate: pages of the application are shut while a plugin that guards them can't run.

Login plugins are ``before_request`` hooks. Taking such a plugin out because it fails, or
starting without plugins, must not open what it protected: so the application then answers 503.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask import Flask, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from flask_pluginkit.snapshot import Snapshot

View = TypeVar("View", bound=Callable[..., Any])

_MARK: Final = "_pluginkit_always_open"


def always_open(view: View) -> View:
    """Mark a view of the application that answers also while the gate is shut.

    For health probes and for pages that bring plugins back; such a view is protected by nothing
    but itself. Use it below ``@app.route``, as the innermost decorator.
    """
    setattr(view, _MARK, True)
    return view


def install(app: Flask, pin: Callable[[], Snapshot]) -> None:
    """Put the gate before everything else that runs before a request."""

    def gate() -> None:
        reason = pin().closed
        if reason and not _is_open(request.endpoint):
            raise ServiceUnavailable(reason)

    functions = app.before_request_funcs
    # a new list, as requests of other threads run through the old one
    functions[None] = [gate, *functions.get(None, ())]


def _is_open(endpoint: str | None) -> bool:
    view = current_app.view_functions.get(endpoint) if endpoint else None
    return getattr(view, _MARK, False)
