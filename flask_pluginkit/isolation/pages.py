"""What an isolated plugin may know of the request that is being answered.

Every URL of a site holds secrets, such as tokens for resetting a password. So only the plugin's
own views see the whole of their requests; the rest of a plugin sees method and path if it has
the permission ``requests``, and else where the site is, which links need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Request, current_app, has_request_context, request

from flask_pluginkit.contexts import PERSONAL
from flask_pluginkit.exceptions import PluginError

from .answers.headers import request_headers
from .messages import (
    Page,
)
from .wire import NotPlainError, plain

if TYPE_CHECKING:
    from .remote import Remote

USER: str = "PLUGINKIT_USER"
"""The configuration that holds the host's callback: what plugins may know of the user."""


def page_of(remote: Remote) -> Page:
    """Return what a plugin may know at any stage of the page that is being answered."""
    if not has_request_context():
        return Page()
    asks = request
    is_shown = "requests" in remote.permissions
    return Page(
        method=asks.method if is_shown else "GET",
        scheme=asks.scheme,
        host=asks.host,
        root_path=asks.root_path,
        path=asks.path if is_shown else "/",
        user=user_of(remote),
    )


def page_of_view(remote: Remote, asks: Request) -> Page:
    """Return what a view of a plugin may know of its request."""
    return Page(
        method=asks.method,
        scheme=asks.scheme,
        host=asks.host,
        root_path=asks.root_path,
        path=asks.path,
        query=asks.query_string.decode("latin-1"),
        headers=request_headers(
            asks.headers, remote.plugin, remote.permissions, remote.level, cookies_of_site()
        ),
        user=user_of(remote),
    )


def cookies_of_site() -> frozenset[str]:
    """Return the names of the cookies that say who somebody is, for Flask and Flask-Login."""
    names = (current_app.config.get(key) for key in _COOKIES)
    return frozenset(name for name in names if isinstance(name, str))


_COOKIES: Final = ("SESSION_COOKIE_NAME", "REMEMBER_COOKIE_NAME")


def user_of(remote: Remote) -> dict[str, Any]:
    """Return what the host's callback hands out of what the plugin was granted.

    Raises:
        PluginError: the callback returned what can't cross.

    """
    names = remote.user_fields
    callback: Callable[..., Mapping[str, Any]] | None = current_app.config.get(USER)
    if not names or callback is None:
        return {}
    request.environ[PERSONAL] = True  # also of nobody: that isn't everybody's page either
    given = callback(remote.plugin, names) or {}
    try:
        return {name: plain(given[name]) for name in names if name in given}
    except NotPlainError as error:
        raise PluginError(f"{USER} returned for plugin {remote.plugin!r}: {error}") from error
