"""Who is reading: registration, sign-in and sign-out."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Final, ParamSpec

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash, generate_password_hash

from .database import connection
from .posts import Post

P = ParamSpec("P")

blueprint: Final = Blueprint("accounts", __name__)

_NAME: Final = re.compile(r"\w[\w .'-]{0,28}\w")
_LEAST_PASSWORD: Final = 8

# Checked when a name is unknown, so that the answer takes as long as for a known one.
_NOBODY: Final = "scrypt:32768:8:1$bulletin$" + "0" * 128


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who is signed in."""

    id: int
    name: str
    is_moderator: bool

    def may_change(self, post: Post) -> bool:
        """Tell whether this person may edit and delete the notice."""
        return self.is_moderator or self.id == post.author_id


def current_user() -> User | None:
    """Return who sent this request, None for a visitor."""
    if "user" not in g:
        row = None
        if (user_id := session.get("user_id")) is not None:
            query = "SELECT id, name, is_moderator FROM user WHERE id = ?"
            row = connection().execute(query, (user_id,)).fetchone()
        g.user = _user(row) if row else None
    found: User | None = g.user
    return found


def signed_in_only(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Send visitors of this view to the sign-in page, and back after that."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if current_user() is None:
            # What was sent by a form is gone after signing in: go back to where the form was.
            back = request.full_path if request.method == "GET" else request.referrer or ""
            return redirect(url_for("accounts.login", next=_own_path(back) or None))
        return view(*args, **kwargs)

    return guarded


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Show the sign-in form, or sign in."""
    name, problem = request.form.get("name", "").strip(), None
    if request.method == "POST":
        row = connection().execute("SELECT * FROM user WHERE name = ?", (name,)).fetchone()
        known = row["password_hash"] if row else _NOBODY
        if check_password_hash(known, request.form.get("password", "")) and row:
            _sign_in(row["id"])
            flash(f"Welcome back, {row['name']}.")
            return redirect(_next_page())
        problem = "Name and password don't fit together."
    page = render_template("accounts/login.html", name=name, problem=problem)
    return page, 200 if problem is None else 422


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Show the registration form, or make an account and sign in."""
    name, problems = request.form.get("name", "").strip(), {}
    if request.method == "POST":
        password = request.form.get("password", "")
        if not _NAME.fullmatch(name):
            problems["name"] = "A name has 2 to 30 letters, digits, blanks, or . ' -"
        if len(password) < _LEAST_PASSWORD:
            problems["password"] = f"A password has at least {_LEAST_PASSWORD} characters."
        if not problems and (user_id := _create(name, password)) is None:
            problems["name"] = "Somebody else has this name already."
        if not problems:
            _sign_in(user_id)
            flash(f"Welcome to the board, {name}.")
            return redirect(_next_page())
    page = render_template("accounts/register.html", name=name, problems=problems)
    return page, 422 if problems else 200


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out."""
    session.clear()
    flash("You are signed out.")
    return redirect(url_for("board.index"))


def _create(name: str, password: str) -> int | None:
    """Make an account and return its number, None if the name is taken."""
    try:
        with connection() as database:
            return database.execute(
                "INSERT INTO user (name, password_hash) VALUES (?, ?)",
                (name, generate_password_hash(password)),
            ).lastrowid
    except sqlite3.IntegrityError:
        return None


def _sign_in(user_id: int | None) -> None:
    session.clear()  # whatever was planted in the session before must not survive
    session["user_id"] = user_id


def _next_page() -> str:
    return _own_path(request.args.get("next", "")) or url_for("board.index")


def _own_path(target: str) -> str:
    """Return the path of `target` if that is a page of this board, else nothing."""
    path = target.removeprefix(request.host_url.rstrip("/"))
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path.rstrip("?") if is_ours else ""


def _user(row: sqlite3.Row) -> User:
    return User(id=row["id"], name=row["name"], is_moderator=bool(row["is_moderator"]))
