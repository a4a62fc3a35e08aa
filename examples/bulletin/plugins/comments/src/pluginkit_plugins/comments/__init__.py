"""Replies below the notices of the board.

Extension points: ``tep`` (the box below a notice, a count on its card, the stylesheet), ``vep``
(to send and to remove a reply), ``tcp`` (functions for templates), ``dcp`` (a line among the
board's counters) and ``signal`` (a deleted notice takes its replies along).
"""

from __future__ import annotations

from typing import Any, Final

from flask import Flask
from markupsafe import Markup, escape

from bulletin.signals import post_deleted

from . import replies, views

__plugin_name__ = "comments"
__version__ = "1.1.0"
__author__ = "The Bulletin authors"
__description__ = "Replies below the notices of the board"
__license__ = "BSD-3-Clause"

_WEEK: Final = 7 * 24 * 3600


def on_app_ready() -> None:
    """Create the table for replies; called in an application context when all is loaded."""
    replies.create_table()


def forget_replies(_app: Flask, post_id: int) -> None:
    """Receive `post_deleted`."""
    replies.delete_all(post_id)


def comment_body(body: str) -> Markup:
    """Show a reply as it was typed. The plugin *markdownish* puts its own way in this place."""
    return Markup("<p>{}</p>").format(Markup("<br>").join(map(escape, body.split("\n"))))


def recent_replies() -> Markup:
    """Return a line for the dynamic connection point ``counter``."""
    count = replies.count_since(_WEEK)
    return Markup("<li><b>{}</b> {} this week</li>").format(
        count, "reply" if count == 1 else "replies"
    )


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "tep": {
            "head": "head.html",
            "card_meta": "20@card_meta.html",
            "below_post": "box.html",
        },
        "vep": [
            {
                "rule": "/posts/<int:post_id>/comments",
                "view_func": views.add,
                "endpoint": "comments_add",
                "methods": ["POST"],
            },
            {
                "rule": "/comments/<int:comment_id>/delete",
                "view_func": views.remove,
                "endpoint": "comments_remove",
                "methods": ["POST"],
            },
        ],
        "tcp": {
            "comments_of": replies.of_post,
            "comment_count": replies.count,
            "comment_body": comment_body,
            "comment_longest": replies.LONGEST,
        },
        "dcp": {"counter": recent_replies},
        "signal": {post_deleted: forget_replies},
    }
