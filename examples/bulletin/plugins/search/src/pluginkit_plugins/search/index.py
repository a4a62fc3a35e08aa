"""The index: SQLite's FTS5 where it was compiled in, else a plain table searched by LIKE."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

from bulletin import posts
from bulletin.database import connection
from bulletin.posts import Post

from .words import match_expression, segment

_TABLE: Final = "search_index"
_COLUMNS: Final = "title, body, tags"


def find(words: Sequence[str], limit: int) -> list[int]:
    """Return the numbers of the notices that hold all `words`, the best first."""
    if not words:
        return []
    if has_fts():
        # A word in the title weighs more than in the tags, and there more than in the text.
        query = f"{_TABLE} MATCH ? ORDER BY bm25({_TABLE}, 8.0, 1.0, 4.0)"
        values: list[object] = [match_expression(words)]
    else:
        query = " AND ".join(["title || ' ' || body || ' ' || tags LIKE ?"] * len(words))
        values = [f"%{segment(word).strip()}%" for word in words]
    rows = connection().execute(
        f"SELECT rowid FROM {_TABLE} WHERE {query} LIMIT ?", (*values, limit)
    )
    return [row[0] for row in rows]


def put(post: Post) -> None:
    """Index one notice, anew if it is known."""
    with connection() as database:
        _put(database, post)


def remove(post_id: int) -> None:
    """Take one notice out of the index."""
    with connection() as database:
        database.execute(f"DELETE FROM {_TABLE} WHERE rowid = ?", (post_id,))


def rebuild() -> int:
    """Index all notices anew and return how many there are."""
    _create()
    with connection() as database:
        database.execute(f"DELETE FROM {_TABLE}")
        count = 0
        for count, post in enumerate(list(posts.every()), 1):  # noqa: B007 - the last one counts
            _put(database, post)
    return count


def is_complete() -> bool:
    """Tell whether the index holds exactly the notices that the board has."""
    _create()
    query = f"SELECT (SELECT count(*) FROM post), (SELECT count(*) FROM {_TABLE})"
    on_board, indexed = connection().execute(query).fetchone()
    return bool(on_board == indexed)


@cache
def has_fts() -> bool:
    """Tell whether this SQLite has full-text search."""
    database = sqlite3.connect(":memory:")
    try:
        database.execute("CREATE VIRTUAL TABLE trial USING fts5(word)")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        database.close()


def _create() -> None:
    using = (
        f"VIRTUAL TABLE IF NOT EXISTS {_TABLE} USING fts5({_COLUMNS}, "
        "tokenize = 'unicode61 remove_diacritics 2')"
        if has_fts()
        else f"TABLE IF NOT EXISTS {_TABLE} ({_COLUMNS})"
    )
    with connection() as database:
        database.execute(f"CREATE {using}")


def _put(database: sqlite3.Connection, post: Post) -> None:
    words = (segment(text) for text in (post.title, post.body, " ".join(post.tags)))
    database.execute(f"DELETE FROM {_TABLE} WHERE rowid = ?", (post.id,))
    database.execute(
        f"INSERT INTO {_TABLE} (rowid, {_COLUMNS}) VALUES (?, ?, ?, ?)", (post.id, *words)
    )
