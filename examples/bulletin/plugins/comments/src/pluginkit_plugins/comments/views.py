"""What happens when somebody sends or removes a reply."""

from __future__ import annotations

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from bulletin import posts
from bulletin.accounts import current_user, signed_in_only

from . import replies


@signed_in_only
def add(post_id: int) -> ResponseReturnValue:
    """Save the reply that the form below a notice sent."""
    user = current_user()
    if user is None or posts.find(post_id) is None:
        abort(404)
    body = request.form.get("body", "").replace("\r\n", "\n").strip()
    if not 1 <= len(body) <= replies.LONGEST:
        flash(f"A reply has 1 to {replies.LONGEST} characters.")
        return redirect(url_for("board.show", post_id=post_id, _anchor="replies"))
    number = replies.add(post_id, user, body)
    return redirect(url_for("board.show", post_id=post_id, _anchor=f"reply-{number}"))


@signed_in_only
def remove(comment_id: int) -> ResponseReturnValue:
    """Remove a reply, where the person may."""
    reply = replies.find(comment_id)
    if reply is None:
        abort(404)
    if not reply.may_be_removed_by(current_user()):
        abort(403)
    replies.delete(comment_id)
    flash("The reply was removed.")
    return redirect(url_for("board.show", post_id=reply.post_id, _anchor="replies"))
