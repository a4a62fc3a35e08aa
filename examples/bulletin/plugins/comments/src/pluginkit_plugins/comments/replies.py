"""The replies in this plugin's own table of the board's database."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bulletin.accounts import User
from bulletin.database import connection

LONGEST: Final = 2000
"""Characters in one reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply to one notice."""

    id: int
    post_id: int
    author: str
    author_id: int
    body: str
    created: datetime

    def may_be_removed_by(self, user: User | None) -> bool:
        """Tell whether this is the author's own reply, or the person is a moderator."""
        return user is not None and (user.is_moderator or user.id == self.author_id)


_SELECT: Final = "SELECT comment.*, user.name FROM comment JOIN user ON user.id = author_id"


def create_table() -> None:
    """Create the table if it isn't there yet; every worker may do so."""
    with connection() as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS comment ("
            " id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " post_id INTEGER NOT NULL,"
            " author_id INTEGER NOT NULL REFERENCES user (id),"
            " body TEXT NOT NULL,"
            " created INTEGER NOT NULL)"
        )
        database.execute("CREATE INDEX IF NOT EXISTS comment_by_post ON comment (post_id)")


def of_post(post_id: int) -> list[Reply]:
    """Return the replies to a notice, oldest first."""
    rows = connection().execute(f"{_SELECT} WHERE post_id = ? ORDER BY created, id", (post_id,))
    return [_reply(row) for row in rows]


def find(comment_id: int) -> Reply | None:
    """Return one reply, None if there is none with this number."""
    row = connection().execute(f"{_SELECT} WHERE comment.id = ?", (comment_id,)).fetchone()
    return _reply(row) if row else None


def count(post_id: int) -> int:
    """Return how many replies a notice has."""
    query = "SELECT count(*) FROM comment WHERE post_id = ?"
    return int(connection().execute(query, (post_id,)).fetchone()[0])


def count_since(seconds: int) -> int:
    """Return how many replies were sent in the last `seconds`."""
    query = "SELECT count(*) FROM comment WHERE created >= ?"
    return int(connection().execute(query, (int(time.time()) - seconds,)).fetchone()[0])


def add(post_id: int, author: User, body: str) -> int:
    """Save a reply and return its number."""
    with connection() as database:
        row = database.execute(
            "INSERT INTO comment (post_id, author_id, body, created) VALUES (?, ?, ?, ?)",
            (post_id, author.id, body, int(time.time())),
        )
    return row.lastrowid or 0


def delete(comment_id: int) -> None:
    """Remove one reply."""
    with connection() as database:
        database.execute("DELETE FROM comment WHERE id = ?", (comment_id,))


def delete_all(post_id: int) -> None:
    """Remove the replies to a notice."""
    with connection() as database:
        database.execute("DELETE FROM comment WHERE post_id = ?", (post_id,))


def _reply(row: sqlite3.Row) -> Reply:
    return Reply(
        id=row["id"],
        post_id=row["post_id"],
        author=row["name"],
        author_id=row["author_id"],
        body=row["body"],
        created=datetime.fromtimestamp(row["created"], UTC),
    )
