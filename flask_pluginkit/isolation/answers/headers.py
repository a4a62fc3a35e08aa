"""The headers that cross, in both directions.

What a plugin's views see of a request is an allow-list, and so is what the host sends of their
response: a deny-list forgets ``X-Accel-Redirect``, ``Clear-Site-Data`` or ``Refresh``.

A view is served from the site's own origin, where a browser would trust it with everything. So:

- Its *pages* get ``Content-Security-Policy: sandbox`` (see `policy`): they have an origin of
  their own that nobody shares, no cookies, no storage, and no scripts unless granted.
- Its *scripts* are none: a page of the site with ``script-src 'self'`` would run them as the
  site's, once anybody makes it name ``/hello/x``, and a service worker could be made of one. So
  content types are an allow-list without scripts (and without multipart, web manifests and
  whatever comes next); all others are sent as ``application/octet-stream``. ``nosniff`` makes
  browsers keep to that, and ``Service-Worker-Allowed`` doesn't cross.
- Other sites can't load it: ``Cross-Origin-Resource-Policy: same-origin``. Except for images,
  fonts, media and styles, as to the browser a sandboxed page *is* another site; with what is
  about the user they are refused too. ``Cross-Origin-Opener-Policy`` isn't sent: together with
  a sandbox it makes browsers refuse the page.
- What isn't at its own paths (an answer of a hook, a page for an error) is never stored, or a
  browser would go on showing it when the plugin is gone.

A plugin of the level ``process`` is trusted, as its process is no boundary: its headers pass but
for those of the connection, its redirects lead anywhere, and no policy is added. Cookies and
secrets are treated alike at both levels, so that a plugin doesn't come to depend on the host's.

What this doesn't stop: a sandboxed page may lead its reader away, by a link or by itself. And
scripts of the site that fetch a view and put its HTML into a page undo all of this: see
`is_for_script`, and `fragments` for what to do with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from flask_pluginkit.text import describe

from .changes import change, shown_headers
from .cookies import LARGEST_COOKIE, cookies_for_plugin, own_cookie
from .fields import READERS, cache_control, content_type
from .own import ASSETS, AnswerError, Place, named, own_paths, own_prefix
from .places import is_own_page, location
from .policy import PASSIVE, content_policy

__all__ = ["change", "is_for_script", "request_headers", "response_headers", "shown_headers"]

Headers = list[tuple[str, str]]

MOST: Final = 64
"""Headers of one response; those of one request are the server's concern."""

LONGEST: Final = 4096
"""Characters of one value; longer ones are left out of requests and refused in responses."""

MOST_COOKIES: Final = 8
"""Cookies of one response: browsers forget the site's own when there are too many."""

REQUEST: Final = named(
    "accept accept-language content-type dnt hx-boosted hx-prompt hx-request hx-target "
    "hx-trigger hx-trigger-name if-modified-since if-none-match origin prefer save-data "
    "sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc user-agent "
    "x-requested-with"
)
"""What isolated views see. Not: ``Referer`` and ``HX-Current-URL``, which hold URLs of the site;
``Accept-Encoding`` and ``Range``, as what would answer them doesn't cross."""

CONNECTION: Final = named(
    "connection content-length keep-alive proxy-authenticate proxy-connection te trailer "
    "transfer-encoding upgrade"
)
"""What concerns one connection and not the message (RFC 9110, 7.6.1); the host makes its own."""

SECRET: Final = named("authorization cookie forwarded proxy-authorization via x-real-ip")
"""What no plugin's view sees, nor anything that begins with ``X-Forwarded-``."""

_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def request_headers(
    given: Iterable[tuple[str, str]],
    plugin: str,
    permissions: Collection[str],
    level: str,
    hidden: Collection[str] = (),
) -> Headers:
    """Return what of a request's headers the views of a plugin see.

    Args:
        given: all of them, such as `flask.Request.headers`.
        plugin: the plugin's name.
        permissions: what it was granted.
        level: ``isolated`` or ``process``.
        hidden: names of the site's own cookies: a plugin may be called as they begin.

    """
    found: Headers = []
    prefix = own_prefix(plugin)
    for name, value in given:
        lower = name.lower()
        if lower == "cookie":
            if "cookies" in permissions and (own := cookies_for_plugin(value, prefix, hidden)):
                found.append(("Cookie", own))
        elif len(value) <= LONGEST and _may_enter(lower, level):
            found.append((name, value))
    return found


def _may_enter(name: str, level: str) -> bool:
    if level == "isolated":
        return name in REQUEST
    return not (name in SECRET or name in CONNECTION or name.startswith("x-forwarded-"))


def is_for_script(given: Mapping[str, str]) -> bool:
    """Tell whether a script in a page of the site asked for this, such as htmx.

    Such a script may put what it gets into that page; a sandboxed page's requests come, to the
    browser, from another site.
    """
    # however a server or a dict of them writes their names
    found = {name.lower(): value for name, value in given.items()}
    # browsers send Sec-Fetch-... over HTTPS alone; libraries such as jQuery say it themselves
    if found.get("hx-request", "") or found.get("x-requested-with", ""):
        return True
    return found.get("sec-fetch-dest") == "empty" and found.get("sec-fetch-site") == "same-origin"


def response_headers(  # noqa: PLR0913 - all that a response depends on
    status: int,
    given: Iterable[tuple[str, str]],
    *,
    plugin: str,
    permissions: Collection[str],
    level: str,
    page: Place,
    is_private: bool,
    paths: tuple[str, ...] | None = None,
    assets: str = ASSETS,
    hidden: Collection[str] = (),
) -> Headers:
    """Return what the host sends for the status and the headers of a plugin's response.

    ``Content-Length`` is left to whoever knows the body.

    Args:
        status: an HTTP status.
        given: the plugin's headers.
        plugin: the plugin's name.
        permissions: what it was granted.
        level: ``isolated`` or ``process``.
        page: the request that is answered.
        is_private: whether the plugin knew something about the user.
        paths: the plugin's own paths, decoded; by default `own_paths`.
        assets: the path of all plugins' static files.
        hidden: names of the site's own cookies.

    Raises:
        AnswerError: a status or header that can't be sent; what to send instead is a 502.

    """
    if not 200 <= status <= 599:
        raise AnswerError(f"plugin {plugin!r} answered with the status {status}, expected 200-599")
    checked = _checked(plugin, given)
    paths = own_paths(plugin, permissions) if paths is None else paths
    if level == "isolated":
        kept = _isolated(status, checked, plugin, page, paths)
    else:
        kept = [(k, v) for k, v in checked if k.lower() not in CONNECTION | {"set-cookie"}]
    if "cookies" in permissions:
        cookies = _cookies(checked, plugin, page, paths[0], hidden)
        is_private = is_private or bool(cookies)
        kept += cookies
    if is_private:
        values = [value for name, value in kept if name.lower() == "cache-control"]
        kept = [(name, value) for name, value in kept if name.lower() != "cache-control"]
        kept.append(("Cache-Control", cache_control(", ".join(values), is_private=True)))
    if level == "isolated":
        policy = content_policy(
            plugin, page, paths, scripts="assets:script" in permissions, assets=assets
        )
        kept += _protection(policy, dict(kept).get("Content-Type", ""), is_private=is_private)
    return kept


def _cookies(
    checked: Headers, plugin: str, page: Place, path: str, hidden: Collection[str]
) -> Headers:
    values = [value for name, value in checked if name.lower() == "set-cookie"][:MOST_COOKIES]
    found = [own_cookie(value, own_prefix(plugin), page, path, hidden) for value in values]
    return [("Set-Cookie", cookie) for cookie in found if cookie is not None]


def _checked(plugin: str, given: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers if each is one: a token, and text that can't end a line."""
    headers = [*given]
    if len(headers) > MOST:
        raise AnswerError(
            f"plugin {plugin!r} answered with {len(headers)} headers, expected at most {MOST}"
        )
    for name, value in headers:
        if not name or len(name) > 100 or not _TOKEN.issuperset(name.lower()):
            raise AnswerError(f"plugin {plugin!r} answered with the header {describe(name)}")
        most = LARGEST_COOKIE if name.lower() == "set-cookie" else LONGEST
        if len(value) > most or not all(" " <= c <= "~" or "\xa0" <= c <= "\xff" for c in value):
            raise AnswerError(
                f"plugin {plugin!r} answered with {name}: {describe(value)}, expected at most "
                f"{most} printable characters of Latin-1"
            )
    return headers


_LISTS: Final = named("cache-control content-language vary")
"""Headers of which several are one."""


def _isolated(
    status: int, checked: Headers, plugin: str, page: Place, paths: tuple[str, ...]
) -> Headers:
    """Return what crosses of the headers of an isolated plugin."""
    values: dict[str, str] = {}
    for name, value in checked:
        lower = name.lower()
        values[lower] = f"{values[lower]}, {value}" if lower in _LISTS & values.keys() else value
    if status == 206 or values.get("content-encoding", "identity") != "identity":
        what = "a part of its content" if status == 206 else "encoded content"
        raise AnswerError(f"plugin {plugin!r} answered with {what}, which nobody asked for")
    kept = [
        (title, read)
        for lower, (title, reader) in READERS.items()
        if lower in values and (read := reader(values[lower])) is not None
    ]
    if not is_own_page(page.path, paths):
        kept = [one for one in kept if one[0] not in {"Cache-Control", "ETag", "Last-Modified"}]
        kept.append(("Cache-Control", "no-store"))
    if "location" in values:
        kept.append(("Location", location(values["location"], page, paths, plugin)))
    if status not in {204, 304}:
        kept.append(("Content-Type", content_type(values.get("content-type", ""))))
    return kept


def _protection(policy: str, kind: str, *, is_private: bool) -> Headers:
    is_embeddable = kind.startswith(PASSIVE) and not is_private
    return [
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "cross-origin" if is_embeddable else "same-origin"),
        (
            "Permissions-Policy",
            "camera=(), geolocation=(), microphone=(), payment=(), publickey-credentials-get=()",
        ),
    ]
