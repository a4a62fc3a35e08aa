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

_CREATE_FTS: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS search_index"
    " USING fts5(title, body, tags, tokenize = 'unicode61 remove_diacritics 2')"
)
_CREATE_PLAIN: Final = "CREATE TABLE IF NOT EXISTS search_index (title, body, tags)"

# A word in the title weighs more than in the tags, and there more than in the text.
_FIND_FTS: Final = (
    "SELECT rowid FROM search_index WHERE search_index MATCH ?"
    " ORDER BY bm25(search_index, 8.0, 1.0, 4.0) LIMIT ?"
)
_FIND_PLAIN: Final = (
    "SELECT rowid FROM search_index WHERE title || ' ' || body || ' ' || tags LIKE ?"
)


def find(words: Sequence[str], limit: int) -> list[int]:
    """Return the numbers of the notices that hold all `words`, the best first."""
    if not words:
        return []
    if has_fts():
        rows = connection().execute(_FIND_FTS, (match_expression(words), limit))
        return [row[0] for row in rows]
    found = (_find_plain(word) for word in words)
    return sorted(set.intersection(*found), reverse=True)[:limit]


def _find_plain(word: str) -> set[int]:
    rows = connection().execute(_FIND_PLAIN, (f"%{segment(word).strip()}%",))
    return {row[0] for row in rows}


def put(post: Post) -> None:
    """Index one notice, anew if it is known."""
    with connection() as database:
        _put(database, post)


def remove(post_id: int) -> None:
    """Take one notice out of the index."""
    with connection() as database:
        database.execute("DELETE FROM search_index WHERE rowid = ?", (post_id,))


def rebuild() -> int:
    """Index all notices anew and return how many there are."""
    _create()
    with connection() as database:
        database.execute("DELETE FROM search_index")
        found = list(posts.every())
        for post in found:
            _put(database, post)
    return len(found)


def is_complete() -> bool:
    """Tell whether the index holds exactly the notices that the board has."""
    _create()
    query = "SELECT (SELECT count(*) FROM post), (SELECT count(*) FROM search_index)"
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
    with connection() as database:
        database.execute(_CREATE_FTS if has_fts() else _CREATE_PLAIN)


def _put(database: sqlite3.Connection, post: Post) -> None:
    words = (segment(text) for text in (post.title, post.body, " ".join(post.tags)))
    database.execute("DELETE FROM search_index WHERE rowid = ?", (post.id,))
    database.execute(
        "INSERT INTO search_index (rowid, title, body, tags) VALUES (?, ?, ?, ?)",
        (post.id, *words),
    )
