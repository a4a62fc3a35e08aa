"""``flask.session`` inside: a cookie of the plugin's own, if it may have one."""

from __future__ import annotations

import logging
import re
import secrets
from typing import Any, NoReturn

from flask import Flask, Request, Response
from flask.sessions import (
    NullSession,
    SecureCookieSessionInterface,
    SessionInterface,
    SessionMixin,
)

from .services import Services

_log = logging.getLogger(__name__)


def cookie_name(plugin: str) -> str:
    """Return the name of a plugin's session cookie, in the characters that cookies may have."""
    return f"{re.sub('[^A-Za-z0-9_-]', '_', plugin)}-session"


class NoSession(NullSession):
    """A session that is empty and stays empty."""

    def _fail(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise PermissionError(
            "flask.session: this plugin has no cookies of its own; it has to ask for them with "
            "__permissions__ = ['cookies'], and the operator has to approve"
        )

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class NoSessions(SessionInterface):
    """Opens an empty session for each request, and saves none."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002
        """Return an empty session."""
        return NoSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save nothing."""


def install(app: Flask, plugin: str, services: Services, *, permitted: bool) -> None:
    """Give the application sessions, or empty ones."""
    if not permitted:
        app.session_interface = NoSessions()
        return
    app.config["SESSION_COOKIE_NAME"] = cookie_name(plugin)
    app.secret_key = _key(services)
    app.session_interface = SecureCookieSessionInterface()


def _key(services: Services) -> bytes:
    try:
        key = services.ask("session.key")
        if isinstance(key, bytes) and len(key) >= 16:
            return key
        _log.warning("sessions: the host's key can't be used, sessions end with this process")
    except OSError as error:
        _log.warning("sessions: there is no lasting key, they end with this process: %s", error)
    return secrets.token_bytes(32)
