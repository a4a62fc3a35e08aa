"""One SQLite file with everything that the board remembers.

Plugins use :func:`connection` too, for tables of their own, which they create when they start.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from filelock import FileLock
from flask import Flask, current_app, g
from werkzeug.security import generate_password_hash

SCHEMA: Final = """
CREATE TABLE user (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT NOT NULL,
    is_moderator INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE post (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the number of a deleted notice isn't used again
    author_id INTEGER NOT NULL REFERENCES user (id),
    category TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    happens TEXT NOT NULL DEFAULT '',      -- local time such as 2030-05-01T18:30, or nothing
    place TEXT NOT NULL DEFAULT '',
    is_pinned INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,              -- seconds since 1970, UTC
    updated INTEGER                        -- likewise
);
CREATE INDEX post_by_age ON post (is_pinned DESC, created DESC);
CREATE TABLE post_tag (
    post_id INTEGER NOT NULL REFERENCES post (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (post_id, tag)
) WITHOUT ROWID;
CREATE INDEX post_by_tag ON post_tag (tag);
"""

_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def init_app(app: Flask) -> None:
    """Create database and secret key if they aren't there yet, and close what requests open."""
    instance = Path(app.instance_path)
    instance.mkdir(parents=True, exist_ok=True)
    # Several workers may start at the same moment: one of them prepares, the others wait.
    with FileLock(instance / "first-start.lock"):
        if not app.config.get("SECRET_KEY"):
            app.config["SECRET_KEY"] = _secret_key(instance / "secret_key")
        _prepare(app.config["DATABASE"])
    app.teardown_appcontext(_close)


def connect(path: str) -> sqlite3.Connection:
    """Open a database file with the settings that suit several processes on one machine."""
    found = sqlite3.connect(path, timeout=10.0, isolation_level="IMMEDIATE")
    found.row_factory = sqlite3.Row
    found.execute("PRAGMA journal_mode = WAL")
    found.execute("PRAGMA foreign_keys = ON")
    return found


def connection() -> sqlite3.Connection:
    """Return the connection of this application context; it is closed with the context.

    A change is written by ``with connection() as database: database.execute(...)``.
    """
    found: sqlite3.Connection | None = g.get("database")
    if found is None:
        found = g.database = connect(current_app.config["DATABASE"])
    return found


def _close(_error: BaseException | None) -> None:
    found: sqlite3.Connection | None = g.pop("database", None)
    if found is not None:
        found.close()


def _secret_key(path: Path) -> str:
    """Return the key that signs sessions; the same for all workers, and after a restart."""
    key = path.read_text(encoding="ascii") if path.exists() else ""
    if not key:
        key = secrets.token_hex(32)
        path.touch(mode=0o600)
        path.write_text(key, encoding="ascii")
    return key


def _prepare(path: str) -> None:
    database = connect(path)
    try:
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            database.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
            _seed(database)
            database.execute("PRAGMA user_version = 1")
            database.commit()
    finally:
        database.close()


def _seed(database: sqlite3.Connection) -> None:
    """Write the first users and notices, dated from now on."""
    seeds = tomllib.loads(files(__package__).joinpath("seeds.toml").read_text(encoding="utf-8"))
    for user in seeds["users"]:
        # Users without a password are made up: no password has this hash.
        known = generate_password_hash(user["password"]) if "password" in user else "!"
        database.execute(
            "INSERT INTO user (name, password_hash, is_moderator) VALUES (?, ?, ?)",
            (user["name"], known, user.get("moderator", False)),
        )
    for notice in seeds["notices"]:
        _seed_notice(database, notice)


def _coming(weekday: str, weeks: int) -> date:
    """Return the day that is `weeks` after the next `weekday`, which is never today."""
    today = datetime.now(UTC).date()
    ahead = (_WEEKDAYS.index(weekday) - today.weekday() - 1) % 7 + 1
    return today + timedelta(days=ahead, weeks=weeks)


def _seed_notice(database: sqlite3.Connection, notice: dict[str, Any]) -> None:
    happens = f"{_coming(notice['on'], notice['weeks'])}T{notice['at']}" if "on" in notice else ""
    row = database.execute(
        "INSERT INTO post (author_id, category, title, body, happens, place, is_pinned, created)"
        " VALUES ((SELECT id FROM user WHERE name = ?), ?, ?, ?, ?, ?, ?, ?)",
        (
            notice["author"],
            notice["category"],
            notice["title"],
            notice["body"].strip(),
            happens,
            notice.get("place", ""),
            notice.get("pinned", False),
            int(time.time() - notice["hours_ago"] * 3600),
        ),
    )
    database.executemany(
        "INSERT INTO post_tag (post_id, tag) VALUES (?, ?)",
        [(row.lastrowid, tag) for tag in notice.get("tags", [])],
    )
