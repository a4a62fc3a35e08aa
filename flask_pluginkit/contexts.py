"""The contexts of Flask that are pushed now, or None: the one place that knows where they are.

Flask's public names are proxies: asking one takes ten times as long as a request's pin may
take, and raises where there is no context. Its own variables are private, and were the same
ones from 3.0 to 3.1; Flask 3.2 is to merge them into one, and then this module changes alone.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, _cv_request

APP_CONTEXT: Final[ContextVar[AppContext]] = _cv_app
REQUEST_CONTEXT: Final[ContextVar[RequestContext]] = _cv_request

PERSONAL: Final = "flask_pluginkit.personal"
"""What the environ of a request says once a plugin was told something about the user."""
