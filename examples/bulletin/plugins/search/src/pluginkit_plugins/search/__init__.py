"""Full-text search over the notices of the board.

Extension points: ``bep`` (a blueprint with the page of results and the suggestions), ``tep``
(the search box, the stylesheet and the script), ``signal`` (keeps the index up to date) and
``cli`` (``flask search reindex``).
"""

from __future__ import annotations

from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

from bulletin.posts import Post
from bulletin.signals import post_deleted, post_saved

from . import index
from .views import blueprint

__plugin_name__ = "search"
__version__ = "1.2.0"
__author__ = "The Bulletin authors"
__description__ = "Full-text search over the notices of the board"
__license__ = "BSD-3-Clause"


def on_app_ready() -> None:
    """Index what was written while this plugin was away."""
    if not index.is_complete():
        index.rebuild()


def index_post(_app: Flask, post: Post) -> None:
    """Receive `post_saved`."""
    index.put(post)


def forget_post(_app: Flask, post_id: int) -> None:
    """Receive `post_deleted`."""
    index.remove(post_id)


@click.command("reindex")
@with_appcontext
def reindex() -> None:
    """Index all notices anew."""
    click.echo(f"Indexed {index.rebuild()} notices.")


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "bep": {"blueprint": blueprint, "prefix": "/search"},
        "tep": {"head": "head.html", "nav": "10@box.html"},
        "signal": {post_saved: index_post, post_deleted: forget_post},
        "cli": reindex,
    }
