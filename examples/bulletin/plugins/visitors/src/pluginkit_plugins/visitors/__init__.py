"""Counts who is reading the board right now, without cookies and without remembering anybody.

Extension points: ``dcp`` (pushed by `on_app_ready` into the host's ``counter``), ``signal``
(Flask's ``request_finished``), ``vep`` (the numbers as JSON, for the script), ``hep`` (closes
the database after the request) and ``tep`` (links the script).
"""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, jsonify, request, request_finished, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from flask_pluginkit import push_dcp

from . import counts

__plugin_name__ = "visitors"
__version__ = "1.0.0"
__author__ = "The Bulletin authors"
__description__ = "Counts who is reading the board right now"
__license__ = "BSD-3-Clause"


def on_app_ready() -> None:
    """Prepare the database and push the counter, before those of other plugins."""
    counts.create_tables()
    push_dcp("counter", show_counts, position="left")


def show_counts() -> Markup:
    """Return two lines for the dynamic connection point ``counter``."""
    return Markup(
        '<li data-address="{address}"><b data-visitors="readers">{readers}</b> reading</li>'
        '<li><b data-visitors="pages">{pages}</b> pages read today</li>'
    ).format(address=url_for("visitors_numbers"), **counts.now())


def count_page(_app: object, response: Response) -> None:
    """Receive `request_finished`: count pages that people read, not files and forms."""
    if request.method == "GET" and response.status_code == 200 and response.mimetype == "text/html":
        agent = request.headers.get("User-Agent", "")
        counts.add(f"{request.remote_addr} {agent}", current_app.secret_key or "")


def numbers() -> ResponseReturnValue:
    """Return the counts as JSON."""
    response = jsonify(counts.now())
    response.cache_control.no_store = True
    return response


def close_database(_error: BaseException | None) -> None:
    """After each request, also after one that failed: close what it opened."""
    counts.close()


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "signal": {request_finished: count_page},
        "vep": {"rule": "/visitors.json", "view_func": numbers, "endpoint": "visitors_numbers"},
        "hep": {"teardown_request": close_database},
        "tep": {"head": "head.html"},
    }
