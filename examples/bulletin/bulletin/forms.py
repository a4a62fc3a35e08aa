"""Forms that only the board's own pages can send, and the fields of the forms we have.

Each form has ``{{ csrf_field() }}`` in it, forms of plugins too. The token lies in the signed
session, where other sites can't read it; every request that may change something is refused
without it, before any view or plugin sees it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Final

from flask import Flask, abort, request, session
from markupsafe import Markup

from .posts import Category, Draft, Post

_FIELD: Final = "csrf_token"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_TAG_BREAK: Final = re.compile(r"[\s,;#，、；]+")  # noqa: RUF001 - Chinese commas part tags too
_MOST_TAGS: Final = 6

LIMITS: Final = {"title": 120, "body": 8000, "place": 80}
"""The most characters that a field takes."""


def init_app(app: Flask) -> None:
    """Guard the application's forms and give its templates ``csrf_field()``."""
    app.before_request(_refuse_foreign_forms)
    app.jinja_env.globals["csrf_field"] = csrf_field


def csrf_field() -> Markup:
    """Return the hidden field that each form of the board needs."""
    token = session.setdefault(_FIELD, secrets.token_urlsafe(24))
    return Markup('<input type="hidden" name="{}" value="{}">').format(_FIELD, token)


def _refuse_foreign_forms() -> None:
    if request.method in _SAFE_METHODS:
        return
    expected, given = session.get(_FIELD, ""), request.form.get(_FIELD, "")
    if not expected or not compare_digest(expected.encode(), given.encode()):
        abort(400, "This form is out of date. Go back, reload the page and send it again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeForm:
    """What stands in the fields of the notice form, right or wrong."""

    title: str = ""
    body: str = ""
    category: str = ""
    happens: str = ""
    place: str = ""
    tags: str = ""

    @classmethod
    def sent(cls, fields: Mapping[str, str]) -> NoticeForm:
        """Take the fields of a request."""
        return cls(**{name: fields.get(name, "").strip() for name in cls.__slots__})

    @classmethod
    def of(cls, post: Post) -> NoticeForm:
        """Fill the form with an existing notice."""
        return cls(
            title=post.title,
            body=post.body,
            category=post.category,
            happens=post.happens.isoformat(timespec="minutes") if post.happens else "",
            place=post.place,
            tags=", ".join(post.tags),
        )

    def problems(self) -> dict[str, str]:
        """Return what is wrong by the name of the field; nothing if all is well."""
        found = {}
        if not 3 <= len(self.title) <= LIMITS["title"]:
            found["title"] = f"A title has 3 to {LIMITS['title']} characters."
        if not 1 <= len(self.body) <= LIMITS["body"]:
            found["body"] = f"A notice has 1 to {LIMITS['body']} characters."
        if self.category not in {category.value for category in Category}:
            found["category"] = "Please choose a section."
        if len(self.place) > LIMITS["place"]:
            found["place"] = f"A place has up to {LIMITS['place']} characters."
        if self.happens and _moment(self.happens) is None:
            found["happens"] = "Please give date and time, such as 2030-05-01T18:30."
        return found

    def draft(self) -> Draft:
        """Return the notice that was written; call it if there are no `problems`."""
        tags = (tag[:24].lower() for tag in _TAG_BREAK.split(self.tags) if tag)
        return Draft(
            title=self.title,
            body=self.body.replace("\r\n", "\n"),
            category=Category(self.category),
            happens=_moment(self.happens),
            place=self.place,
            tags=tuple(dict.fromkeys(tags))[:_MOST_TAGS],
        )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
