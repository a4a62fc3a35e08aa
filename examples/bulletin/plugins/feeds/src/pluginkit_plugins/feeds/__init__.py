"""An Atom feed and a JSON interface for the board.

Extension points: ``cvep`` (a ``flask.views.View`` and a ``MethodView``), ``hep`` (an
``after_request`` that names the feed in a header) and ``tep`` (links to the feed).

``__requires__``: without the plugin *markdownish* this one isn't started, and its reason says so.
"""

from __future__ import annotations

from typing import Any

from flask import Response, url_for

from .views import AtomFeed, Notices

__plugin_name__ = "feeds"
__version__ = "1.0.0"
__author__ = "The Bulletin authors"
__description__ = "An Atom feed and a JSON interface for the board"
__license__ = "BSD-3-Clause"
__requires__ = {"markdownish": ">=1.0"}


def add_link(response: Response) -> Response:
    """After each request: name the feed in the header of pages, where programs find it."""
    if response.mimetype == "text/html":
        address = url_for("feeds_atom")
        response.headers.add("Link", f'<{address}>; rel="alternate"; type="application/atom+xml"')
    return response


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "cvep": [
            {"view_class": AtomFeed, "rule": "/feed.atom", "endpoint": "feeds_atom"},
            {"view_class": Notices, "rule": "/api/notices", "endpoint": "feeds_notices"},
            {
                "view_class": Notices,
                "rule": "/api/notices/<int:post_id>",
                "endpoint": "feeds_notice",
            },
        ],
        "hep": {"after_request": add_link},
        "tep": {
            "head": (
                '<link rel="alternate" type="application/atom+xml" title="{{ config.BOARD_NAME }}"'
                " href=\"{{ url_for('feeds_atom') }}\">"
            ),
            "footer": "90@footer.html",
        },
    }
