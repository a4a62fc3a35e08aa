"""Closes the board for a while, for everybody but its moderators.

Extension points: ``hep`` (a ``before_request`` that answers 503), ``errhandler`` (the page for
that), ``tep`` and ``tcp`` (the banner) and ``cli`` (``flask maintenance on`` and ``off``).

A hook before requests is a guard: if this one fails, Flask-PluginKit answers 500 and never lets
requests pass. That is what we want here, so the plugin doesn't say ``__optional__ = True``.
"""

from __future__ import annotations

from typing import Any, Final

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from bulletin.accounts import current_user

from . import sign
from .commands import close_board, open_board

__plugin_name__ = "maintenance"
__version__ = "1.0.1"
__author__ = "The Bulletin authors"
__description__ = "Closes the board for a while, with a friendly page"
__license__ = "BSD-3-Clause"

# What stays open: moderators have to sign in, and the page of the error needs its looks.
OPEN_ENDPOINTS: Final = frozenset({"accounts.login", "accounts.logout", "static", "assets"})
RETRY_AFTER_SECONDS: Final = 300


def keep_closed() -> None:
    """Before each request: answer 503 while the board is closed."""
    message = sign.message()
    if message is None or request.endpoint in OPEN_ENDPOINTS:
        return
    user = current_user()
    if user is None or not user.is_moderator:
        abort(503, message)


def closed_page(error: HTTPException) -> ResponseReturnValue:
    """Show the page for 503, which other code may answer too."""
    page = render_template("closed.html", message=error.description)
    return page, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "hep": {"before_request": keep_closed},
        "errhandler": {503: closed_page},
        "tep": {"head": "head.html", "banner": "banner.html"},
        "tcp": {"maintenance_message": sign.message, "maintenance_planned": sign.planned},
        "cli": [close_board, open_board],
    }
