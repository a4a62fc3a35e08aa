"""The counts, in a database file of this plugin's own.

They are written at every page; in a file of their own they never keep the board waiting, and
losing the last second of them in a power cut doesn't matter.
"""

from __future__ import annotations

import hmac
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

from flask import current_app, g

from bulletin.database import connect

READING_SECONDS: Final = 180
"""How long somebody counts as reading after opening a page."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reader (id TEXT PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS day (day TEXT PRIMARY KEY, pages INTEGER NOT NULL) WITHOUT ROWID;
"""


def create_tables() -> None:
    """Create the database if it isn't there yet."""
    with _used_once() as database:
        database.executescript(_SCHEMA)


def add(reader: str, secret: str | bytes) -> None:
    """Count one page for `reader`, of whom only a hash is kept, which is another each day."""
    today, now = date.today().isoformat(), int(time.time())  # noqa: DTZ011 - the board's day
    key = secret.encode() if isinstance(secret, str) else secret
    digest = hmac.digest(key, f"{today} {reader}".encode(), "sha256").hex()[:24]
    with _connection() as database:
        database.execute("DELETE FROM reader WHERE seen < ?", (now - READING_SECONDS,))
        database.execute("REPLACE INTO reader (id, seen) VALUES (?, ?)", (digest, now))
        database.execute(
            "INSERT INTO day (day, pages) VALUES (?, 1)"
            " ON CONFLICT (day) DO UPDATE SET pages = pages + 1",
            (today,),
        )


def now() -> dict[str, int]:
    """Return how many are ``readers`` now, who asks included, and the ``pages`` of today."""
    today = date.today().isoformat()  # noqa: DTZ011 - the board's day
    query = (
        "SELECT (SELECT count(*) FROM reader WHERE seen >= ?),"
        " (SELECT pages FROM day WHERE day = ?)"
    )
    values = (int(time.time()) - READING_SECONDS, today)
    readers, pages = _connection().execute(query, values).fetchone()
    return {"readers": max(1, readers), "pages": pages or 0}


def close() -> None:
    """Close the connection of this request, if it used one."""
    found: sqlite3.Connection | None = g.pop("visitors_database", None)
    if found is not None:
        found.close()


def _connection() -> sqlite3.Connection:
    found: sqlite3.Connection | None = g.get("visitors_database")
    if found is None:
        found = g.visitors_database = _open()
    return found


def _open() -> sqlite3.Connection:
    database = connect(str(Path(current_app.instance_path) / "visitors.sqlite3"))
    database.execute("PRAGMA synchronous = OFF")
    return database


@contextmanager
def _used_once() -> Iterator[sqlite3.Connection]:
    database = _open()
    try:
        yield database
    finally:
        database.close()
