"""The values of headers that an isolated plugin may set, read and written anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from werkzeug.http import http_date, parse_date, parse_options_header

from .own import named

OPAQUE: Final = "application/octet-stream"
"""What browsers don't look into, but save."""

_TYPES: Final = named(
    "application/atom+xml application/feed+json application/geo+json application/gzip "
    "application/hal+json application/json application/ld+json application/msgpack "
    "application/octet-stream application/pdf application/problem+json application/rss+xml "
    "application/vnd.api+json application/xhtml+xml application/xml application/yaml "
    "application/zip text/calendar text/css text/csv text/event-stream text/html "
    "text/markdown text/plain text/tab-separated-values text/vcard text/vtt text/xml"
)
"""Content types of views. No scripts, web manifests or parts with headers of their own."""

_KINDS: Final = re.compile(r"(?:audio|font|image|video)/[a-z0-9][a-z0-9.+-]{0,60}")

_DOCUMENTS: Final = re.compile(
    r"application/vnd\.(?:ms-[a-z0-9.-]{1,40}|oasis\.opendocument\.[a-z0-9.-]{1,40}"
    r"|openxmlformats-officedocument\.[a-z0-9.-]{1,60})"
)

_CHARSETS: Final = frozenset({"iso-8859-1", "us-ascii", "utf-8", "windows-1252"})
"""Of text; others have been used to smuggle markup past filters."""

_DIRECTIVE: Final = re.compile(r"([a-z][a-z-]{0,40})(?:=\"?([0-9]{1,10})\"?)?")
_ALONE: Final = frozenset(
    {"immutable", "must-revalidate", "no-cache", "no-store", "private", "proxy-revalidate"}
)
_TIMED: Final = frozenset({"max-age", "stale-if-error", "stale-while-revalidate"})
_SHARED: Final = {"public", "s-maxage"}

_ETAG: Final = re.compile(r'(?:W/)?"[!#-~]{0,200}"')
_NAMES: Final = re.compile(r"\*|[A-Za-z0-9-]{1,60}(?:\s*,\s*[A-Za-z0-9-]{1,60}){0,20}")
_DISPOSITION: Final = re.compile(r"(?:attachment|inline)(?:\s*;[ -~]*)?", re.IGNORECASE)


def content_type(value: str) -> str:
    """Return a content type that browsers may be told; `OPAQUE` for all others."""
    kind, options = parse_options_header(value)
    kind = kind.lower()
    if kind not in _TYPES and not _KINDS.fullmatch(kind) and not _DOCUMENTS.fullmatch(kind):
        return OPAQUE
    charset = options.get("charset", "").lower()
    if charset:
        return f"{kind}; charset={charset}" if charset in _CHARSETS else OPAQUE
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def cache_control(value: str, *, is_private: bool = False) -> str:
    """Return the directives that we know; with `is_private` none for shared caches."""
    kept = []
    for part in value.lower().split(","):
        found = _DIRECTIVE.fullmatch(part.strip())
        name = found[1] if found is not None else ""
        if found is None or name == "private" or (is_private and name in _SHARED):
            continue
        if name in (_ALONE | {"public"}):
            kept.append(name)
        elif name in (_TIMED | {"s-maxage"}) and found[2]:
            kept.append(f"{name}={found[2]}")
    asked = {part.strip().partition("=")[0] for part in value.lower().split(",")}
    if is_private or "private" in asked:
        kept = ["private", *(one for one in kept if one.partition("=")[0] not in _SHARED)]
    return ", ".join(dict.fromkeys(kept))


def _directives(value: str) -> str | None:
    return cache_control(value) or None


def _date(value: str) -> str | None:
    moment = parse_date(value)
    return None if moment is None else http_date(moment)


def _retry(value: str) -> str | None:
    return value if re.fullmatch(r"[0-9]{1,7}", value) else _date(value)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def read(value: str) -> str | None:
        return value if pattern.fullmatch(value) else None

    return read


READERS: Final[Mapping[str, tuple[str, Callable[[str], str | None]]]] = {
    "cache-control": ("Cache-Control", _directives),
    "etag": ("ETag", _matching(_ETAG)),
    "last-modified": ("Last-Modified", _date),
    "vary": ("Vary", _matching(_NAMES)),
    "content-language": ("Content-Language", _matching(_NAMES)),
    "content-disposition": ("Content-Disposition", _matching(_DISPOSITION)),
    "retry-after": ("Retry-After", _retry),
}
"""Headers that cross by their names: how they are written, and what is left of a value."""
