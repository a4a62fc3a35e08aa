"""Pages that plugins were told about the user for are that user's alone.

A plugin with a permission such as ``user:name`` gets that for every page that it adds to. Who
wrote the page's view may not know of it, and let shared caches keep it for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from flask_pluginkit.contexts import PERSONAL

_SHARED: Final = frozenset({"public", "s-maxage"})
_ALONE: Final = frozenset({"private", "no-store"})

_FOR_CACHES: Final = frozenset({"surrogate-control", "edge-control", "x-accel-expires"})
"""Headers that say to one kind of shared cache what goes before ``Cache-Control``."""
_TARGETED: Final = "cdn-cache-control"
"""Likewise, also with the name of who runs the cache before it (RFC 9213)."""

Headers = list[tuple[str, str]]


def marking(start_response: Any, environ: dict[str, Any]) -> Any:
    """Return a `start_response` that marks the page if a plugin was told about the user."""

    def start(status: str, headers: Headers, *rest: Any) -> Any:
        if environ.get(PERSONAL):
            headers = personal(headers)
        return start_response(status, headers, *rest)

    return start


def personal(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return `headers` so that no shared cache keeps the page; what is stricter stays."""
    kept: Headers = []
    directives: list[str] = []
    for name, value in headers:
        lower = name.lower()
        if lower == "cache-control":
            directives += [part.strip() for part in value.split(",")]
        elif lower not in _FOR_CACHES and not lower.endswith(_TARGETED):
            kept.append((name, value))
    asked = [one for one in directives if one and _name(one) not in _SHARED]
    # "private" may name a few headers that alone are meant
    if not any(one.lower() in _ALONE for one in asked):
        asked = ["private", *(one for one in asked if _name(one) != "private")]
    return [*kept, ("Cache-Control", ", ".join(asked))]


def _name(directive: str) -> str:
    return directive.partition("=")[0].strip().lower()
