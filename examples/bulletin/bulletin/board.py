"""The pages of the board: lists of notices, one notice, and the form to write one."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from . import posts
from .accounts import User, current_user, signed_in_only
from .forms import LIMITS, NoticeForm
from .posts import Category, Post

blueprint: Final = Blueprint("board", __name__)


@blueprint.get("/")
@blueprint.get("/category/<category>", endpoint="category")
@blueprint.get("/tag/<tag>", endpoint="tag")
def index(category: str | None = None, tag: str | None = None) -> ResponseReturnValue:
    """Show one page of the notices, of all or of one category or tag."""
    section = None
    if category is not None:
        if category not in {known.value for known in Category}:
            abort(404)
        section = Category(category)
    number = request.args.get("page", 1, type=int)
    page = posts.page(number, category=section, tag=tag)
    if not 1 <= number <= page.count or (tag and not page.total):
        abort(404)
    return render_template(
        "board/index.html", page=page, section=section, tag=tag, counts=posts.category_counts()
    )


@blueprint.get("/posts/<int:post_id>")
def show(post_id: int) -> ResponseReturnValue:
    """Show one notice."""
    return render_template("board/post.html", post=_existing(post_id))


@blueprint.route("/posts/new", methods=["GET", "POST"])
@signed_in_only
def write() -> ResponseReturnValue:
    """Show the form for a new notice, or put the notice on the board."""
    return _edit(None, _signed_in())


@blueprint.route("/posts/<int:post_id>/edit", methods=["GET", "POST"])
@signed_in_only
def edit(post_id: int) -> ResponseReturnValue:
    """Show the form with an existing notice, or save the changes."""
    return _edit(_own(post_id), _signed_in())


@blueprint.route("/posts/<int:post_id>/delete", methods=["GET", "POST"])
@signed_in_only
def delete(post_id: int) -> ResponseReturnValue:
    """Ask whether the notice shall go, or delete it."""
    post = _own(post_id)
    if request.method == "GET":
        return render_template("board/delete.html", post=post)
    posts.delete(post.id)
    flash("The notice was taken off the board.")
    return redirect(url_for("board.index"))


def _edit(post: Post | None, user: User) -> ResponseReturnValue:
    form = NoticeForm.of(post) if post else NoticeForm()
    problems: dict[str, str] = {}
    if request.method == "POST":
        form = NoticeForm.sent(request.form)
        problems = form.problems()
        if not problems:
            saved = posts.save(form.draft(), author_id=user.id, post_id=post.id if post else None)
            flash("The notice was changed." if post else "Your notice is on the board.")
            return redirect(url_for("board.show", post_id=saved.id))
    page = render_template(
        "board/edit.html", post=post, form=form, problems=problems, limits=LIMITS
    )
    return page, 422 if problems else 200


def _existing(post_id: int) -> Post:
    """Return the notice with this number, or answer 404."""
    return posts.find(post_id) or abort(404)


def _own(post_id: int) -> Post:
    """Return the notice, or answer 403 where the person may not change it."""
    post = _existing(post_id)
    if not _signed_in().may_change(post):
        abort(403)
    return post


def _signed_in() -> User:
    """Return who is signed in; for views behind `signed_in_only`."""
    return current_user() or abort(403)
