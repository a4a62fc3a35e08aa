"""What a hook of an isolated plugin may change of the site's own responses (``responses``).

It adds to them. It can't take protection away, send cookies, redirect, or make public what the
site keeps from shared caches; and the body is HTML of the site's origin, so only ``html:raw``
lets it be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flask import Response

from .fields import READERS, cache_control
from .own import AnswerError, named, own_prefix

if TYPE_CHECKING:
    from flask_pluginkit.isolation.messages import (
        Answer,
    )

MOST: Final = 16
LONGEST: Final = 1024

_PRINTABLE: Final = re.compile(r"[ -~]*")
_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")

_HARDER: Final = {
    "referrer-policy": frozenset({"no-referrer", "same-origin", "strict-origin"}),
    "x-content-type-options": frozenset({"nosniff"}),
    "x-frame-options": frozenset({"DENY", "SAMEORIGIN"}),
}
"""Protection that may be added where the site has none of its kind, and its values."""

_STRICT: Final = frozenset({"must-revalidate", "no-cache", "no-store", "private"})

_SHOWN: Final = named(
    "cache-control content-language content-type etag last-modified retry-after vary"
)
"""What a hook sees. Not ``Location`` and ``Set-Cookie``, which hold secrets."""

_STATUSES: Final = frozenset({200, 201, 202, 203, *range(400, 600)})
"""Responses with a body and no further meaning: one may become another."""


def shown_headers(given: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what of the headers of the site's response a hook sees."""
    return [(name, value) for name, value in given if name.lower() in _SHOWN]


def change(response: Response, answer: Answer, plugin: str, *, may_change_body: bool) -> None:
    """Change a response of the site as a plugin's hook asks for, as far as it may.

    Raises:
        AnswerError: the hook answered with what can't be sent; nothing is changed.

    """
    headers = [*answer.headers]
    if len(headers) > MOST or not all(
        len(value) <= LONGEST and _PRINTABLE.fullmatch(value) for _, value in headers
    ):
        raise AnswerError(
            f"plugin {plugin!r} changes a response by what isn't up to {MOST} headers of at most "
            f"{LONGEST} printable characters"
        )
    if answer.status in _STATUSES and response.status_code in _STATUSES:
        response.status_code = answer.status
    for name, value in headers:
        _set(response, name, value, plugin)
    if may_change_body and not response.is_streamed and answer.body != response.get_data():
        response.set_data(answer.body)
        for name in ("ETag", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"):
            response.headers.pop(name, None)


def _set(response: Response, name: str, value: str, plugin: str) -> None:
    lower = name.lower()
    if lower == "cache-control":
        directives = cache_control(value).split(", ")
        _add(response, "Cache-Control", (one for one in directives if one in _STRICT))
    elif lower == "vary":
        read = READERS["vary"][1](value)
        _add(response, "Vary", [part.strip() for part in read.split(",")] if read else [])
    elif lower in {"content-language", "retry-after"}:
        title, reader = READERS[lower]
        if (text := reader(value)) is not None:
            response.headers[title] = text
    elif lower in _HARDER:
        if value in _HARDER[lower] and lower not in response.headers:
            response.headers[name] = value
    elif _NAME.fullmatch(lower) and lower.startswith(_own_header(plugin)):
        response.headers[name] = value


def _own_header(plugin: str) -> str:
    # not after the plugin alone: one that is called "accel" would have X-Accel-Redirect
    return f"x-plugin-{own_prefix(plugin).lower().replace('_', '-')}"


def _add(response: Response, name: str, parts: Iterable[str]) -> None:
    """Add parts to a list in a header; of the site's own directives none is lost."""
    present = response.headers.get(name, "")
    known = [part.strip() for part in present.split(",") if part.strip()]
    lower = {part.lower() for part in known}
    added = [part for part in parts if part.lower() not in lower]
    if not added:
        return
    if name == "Cache-Control" and "private" in added:
        known = [part for part in known if part.lower().partition("=")[0] not in _PUBLIC]
    response.headers[name] = ", ".join([*known, *added])


_PUBLIC: Final = frozenset({"public", "s-maxage"})
