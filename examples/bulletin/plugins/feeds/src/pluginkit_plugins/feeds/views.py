"""The newest notices for feed readers, and all of them for programs."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from flask.views import MethodView, View

from bulletin import posts
from bulletin.posts import Category, Post

from .atom import feed

_NEWEST: Final = 20
_FEED_TYPES: Final = ("application/atom+xml", "application/xml")


class AtomFeed(View):
    """The newest notices as an Atom feed."""

    methods = ("GET",)

    def dispatch_request(self) -> ResponseReturnValue:
        """Return the feed, or 304 to a reader that has it already."""
        # Browsers show a page only for plain XML, and prefer that; feed readers don't.
        kind = request.accept_mimetypes.best_match(_FEED_TYPES, default=_FEED_TYPES[0])
        response = Response(feed(posts.latest(_NEWEST)), mimetype=kind)
        response.vary.add("Accept")
        response.add_etag()
        return response.make_conditional(request)


class Notices(MethodView):
    """Notices as JSON: one page of them, or one."""

    def get(self, post_id: int | None = None) -> ResponseReturnValue:
        """Return the notice with this number, or the page that ``category, tag, page`` tell."""
        if post_id is not None:
            return jsonify(as_json(posts.find(post_id) or abort(404)))
        section = request.args.get("category")
        if section is not None and section not in {known.value for known in Category}:
            abort(404)
        page = posts.page(
            max(1, request.args.get("page", 1, type=int)),
            category=Category(section) if section else None,
            tag=request.args.get("tag"),
        )
        return jsonify(
            notices=[as_json(post) for post in page.posts],
            page=page.number,
            pages=page.count,
            total=page.total,
        )


def as_json(post: Post) -> dict[str, Any]:
    """Return what the interface tells about a notice; times are ISO 8601."""
    return {
        "id": post.id,
        "url": url_for("board.show", post_id=post.id, _external=True),
        "title": post.title,
        "body": post.body,
        "category": post.category.value,
        "tags": post.tags,
        "author": post.author,
        "created": post.created.isoformat(),
        "updated": post.updated.isoformat() if post.updated else None,
        "happens": post.happens.isoformat() if post.happens else None,
        "place": post.place or None,
    }
