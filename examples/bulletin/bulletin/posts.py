"""Notices: what one is, and how to find, save and delete them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from blinker import Signal
from flask import current_app

from .database import connection
from .signals import post_deleted, post_saved


class Category(StrEnum):
    """The sections of the board; the value is part of URLs."""

    EVENTS = "events"
    NEWS = "news"
    MARKET = "market"
    HELP = "help"
    HOUSING = "housing"
    LOST = "lost"

    @property
    def label(self) -> str:
        """The name that people read."""
        return _LABELS[self]


_LABELS: Final = {
    Category.EVENTS: "What's on",
    Category.NEWS: "Announcements",
    Category.MARKET: "For sale & wanted",
    Category.HELP: "Helping hands",
    Category.HOUSING: "Rooms & homes",
    Category.LOST: "Lost & found",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person writes: a notice that isn't on the board yet."""

    title: str
    body: str
    category: Category
    happens: datetime | None = None
    """When it takes place, in the board's local time (without a zone)."""
    place: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Post(Draft):
    """A notice on the board."""

    id: int
    author: str
    author_id: int
    created: datetime
    updated: datetime | None
    is_pinned: bool

    @property
    def language(self) -> str:
        """The language tag for this notice: ``zh`` if much of it is Chinese, else ``en``."""
        han = sum("\u4e00" <= character <= "\u9fff" for character in self.body)
        return "zh" if han * 4 > len(self.body) else "en"


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list of notices."""

    posts: Sequence[Post]
    number: int
    """Counted from 1."""
    total: int
    """Notices on all pages together."""
    size: int

    @cached_property
    def count(self) -> int:
        """The number of pages, at least 1."""
        return max(1, -(-self.total // self.size))


_LARGEST: Final = 2**63 - 1  # of SQLite's integers; what a URL says may be larger
_COLUMNS: Final = (
    "SELECT post.*, user.name AS author,"
    " (SELECT group_concat(tag) FROM post_tag WHERE post_id = post.id) AS tags"
    " FROM post JOIN user ON user.id = post.author_id"
)
_COUNT: Final = "SELECT count(*) FROM post"
_WHERE: Final = (
    " WHERE (:category IS NULL OR category = :category)"
    " AND (:tag IS NULL OR post.id IN (SELECT post_id FROM post_tag WHERE tag = :tag))"
)


def find(post_id: int) -> Post | None:
    """Return the notice with this number, None if there is none."""
    if post_id > _LARGEST:
        return None
    row = connection().execute(f"{_COLUMNS} WHERE post.id = ?", (post_id,)).fetchone()
    return _post(row) if row else None


def find_many(post_ids: Iterable[int]) -> list[Post]:
    """Return those of the notices that exist, in the order of `post_ids`."""
    found = (find(post_id) for post_id in post_ids)
    return [post for post in found if post is not None]


def every() -> Iterator[Post]:
    """Yield all notices, newest first."""
    return map(_post, connection().execute(f"{_COLUMNS} ORDER BY created DESC"))


def latest(count: int) -> list[Post]:
    """Return the newest `count` notices."""
    rows = connection().execute(f"{_COLUMNS} ORDER BY created DESC LIMIT ?", (count,))
    return [_post(row) for row in rows]


def page(number: int, *, category: Category | None = None, tag: str | None = None) -> Page:
    """Return page `number` of the notices, pinned ones first, then the newest."""
    size: int = current_app.config["NOTICES_PER_PAGE"]
    wanted = {"category": category, "tag": tag}
    database = connection()
    total = database.execute(f"{_COUNT}{_WHERE}", wanted).fetchone()[0]
    rows = database.execute(
        f"{_COLUMNS}{_WHERE} ORDER BY is_pinned DESC, created DESC LIMIT :size OFFSET :skip",
        {**wanted, "size": size, "skip": min(number - 1, total) * size},
    )
    return Page(posts=[_post(row) for row in rows], number=number, total=total, size=size)


def category_counts() -> dict[Category, int]:
    """Return how many notices each category holds, all categories included."""
    rows = connection().execute("SELECT category, count(*) FROM post GROUP BY category")
    counts = {row[0]: int(row[1]) for row in rows}
    return {category: counts.get(category.value, 0) for category in Category}


def popular_tags(count: int = 14) -> list[str]:
    """Return the tags in use, the most used first."""
    rows = connection().execute(
        "SELECT tag FROM post_tag GROUP BY tag ORDER BY count(*) DESC, tag LIMIT ?", (count,)
    )
    return [row[0] for row in rows]


def save(draft: Draft, *, author_id: int, post_id: int | None = None) -> Post:
    """Put a draft on the board, or write it over the notice `post_id`; tell who listens."""
    happens = draft.happens.isoformat(timespec="minutes") if draft.happens else ""
    values = (draft.category, draft.title, draft.body, happens, draft.place, int(time.time()))
    with connection() as database:
        if post_id is None:
            post_id = database.execute(
                "INSERT INTO post (category, title, body, happens, place, created, author_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, author_id),
            ).lastrowid
        else:
            database.execute(
                "UPDATE post SET category = ?, title = ?, body = ?, happens = ?, place = ?,"
                " updated = ? WHERE id = ?",
                (*values, post_id),
            )
        database.execute("DELETE FROM post_tag WHERE post_id = ?", (post_id,))
        database.executemany(
            "INSERT INTO post_tag (post_id, tag) VALUES (?, ?)",
            [(post_id, tag) for tag in dict.fromkeys(draft.tags)],
        )
    row = connection().execute(f"{_COLUMNS} WHERE post.id = ?", (post_id,)).fetchone()
    post = _post(row)
    _tell(post_saved, post=post)
    return post


def delete(post_id: int) -> None:
    """Take a notice off the board; tell who listens."""
    with connection() as database:
        database.execute("DELETE FROM post WHERE id = ?", (post_id,))
    _tell(post_deleted, post_id=post_id)


def _tell(signal: Signal, **what: Any) -> None:
    # Flask's signals send the application itself, not its proxy; so do ours.
    signal.send(current_app._get_current_object(), **what)  # type: ignore[attr-defined]  # noqa: SLF001


def _post(row: sqlite3.Row) -> Post:
    return Post(
        id=row["id"],
        title=row["title"],
        body=row["body"],
        category=Category(row["category"]),
        happens=datetime.fromisoformat(row["happens"]) if row["happens"] else None,
        place=row["place"],
        tags=tuple(sorted((row["tags"] or "").split(","))) if row["tags"] else (),
        author=row["author"],
        author_id=row["author_id"],
        created=datetime.fromtimestamp(row["created"], UTC),
        updated=datetime.fromtimestamp(row["updated"], UTC) if row["updated"] else None,
        is_pinned=bool(row["is_pinned"]),
    )
