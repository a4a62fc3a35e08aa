"""What templates need to show things to people, error pages, and headers for browsers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from flask import Flask, Response, render_template
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from . import posts
from .accounts import current_user
from .posts import Category

_BLANK_LINE: Final = re.compile(r"\n\s*\n")
_MARKS: Final = re.compile(r"[*`]+|^\s*(?:[>#]+|-|\d{1,3}\.)\s+", re.MULTILINE)
_AGES: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))

# Nothing but this site's own files runs or shows on its pages. Plugins keep to it by putting
# scripts and styles into files, which `emit_assets` links.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def init_app(app: Flask) -> None:
    """Give the application its filters, template globals, error pages and headers."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(ago=ago, moment=moment, paragraphs=paragraphs, excerpt=excerpt)
    app.jinja_env.globals.update(
        Category=Category,
        current_user=current_user,
        popular_tags=posts.popular_tags,
    )
    for code in (400, 403, 404, 405, 500):
        app.register_error_handler(code, _error_page)
    # Asked for by browsers on pages that can't name an icon, such as a feed.
    app.add_url_rule(
        "/favicon.ico", endpoint="favicon", view_func=lambda: app.send_static_file("favicon.svg")
    )
    app.after_request(_add_headers)


def ago(when: datetime) -> str:
    """Say how long ago `when` (with a zone) was: ``3 hours ago``; after a week, the date."""
    now = datetime.now(UTC)
    seconds = (now - when).total_seconds()
    if seconds >= 7 * 86400:
        return f"{when.day} {when:%B}" + (f" {when.year}" if when.year != now.year else "")
    for length, unit in _AGES:
        if count := int(seconds // length):
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def moment(when: datetime) -> str:
    """Write out date and time of an event: ``Saturday 3 May, 18:30``."""
    return f"{when:%A} {when.day} {when:%B}, {when:%H:%M}"


def paragraphs(text: str) -> Markup:
    """Turn plain text into paragraphs, with its line breaks."""
    return Markup("\n").join(
        Markup("<p>{}</p>").format(Markup("<br>\n").join(map(escape, part.split("\n"))))
        for part in _BLANK_LINE.split(text.strip())
    )


def plain_text(text: str) -> str:
    """Return a text in one line, without marks such as ``**`` and ``##``."""
    return " ".join(_MARKS.sub("", text).split())


def excerpt(text: str, length: int = 130) -> str:
    """Return the beginning of a text as `plain_text`, cut between words."""
    line = plain_text(text)
    if len(line) <= length:
        return line
    cut = line[:length]
    return (cut.rsplit(" ", 1)[0] if " " in cut[length // 2 :] else cut).rstrip(",.;: ") + " …"


def _error_page(error: HTTPException) -> Response:
    response = Response(status=error.code, mimetype="text/html")
    response.headers.extend(
        (name, value) for name, value in error.get_headers() if name != "Content-Type"
    )
    response.set_data(render_template("error.html", error=error))
    return response


def _add_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _CONTENT_SECURITY_POLICY)
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
