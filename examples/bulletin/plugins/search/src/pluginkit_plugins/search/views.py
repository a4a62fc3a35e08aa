"""The page of results, and suggestions for the search box."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from bulletin import posts

from . import index
from .words import cut_out, mark, words_of

blueprint: Final = Blueprint("search", __name__)

_MOST_RESULTS: Final = 30
_MOST_SUGGESTIONS: Final = 6


@blueprint.get("/")
def results() -> ResponseReturnValue:
    """Show the notices that hold all the words of ``?q=``."""
    query = request.args.get("q", "").strip()
    words = words_of(query)
    hits = [
        (post, mark(post.title, words), mark(cut_out(post.body, words), words))
        for post in posts.find_many(index.find(words, _MOST_RESULTS))
    ]
    # Its own template: another plugin, or the host, may have a `results.html` as well.
    return render_template("results.html", query=query, hits=hits)


@blueprint.get("/suggestions")
def suggestions() -> ResponseReturnValue:
    """Return titles that fit what was typed so far, as JSON."""
    words = words_of(request.args.get("q", ""))
    return jsonify([post.title for post in posts.find_many(index.find(words, _MOST_SUGGESTIONS))])
