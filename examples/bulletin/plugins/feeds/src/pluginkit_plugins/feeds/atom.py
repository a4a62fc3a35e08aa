"""Notices as an Atom feed (RFC 4287)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from flask import current_app, url_for

from bulletin.posts import Post
from pluginkit_plugins.markdownish import render

_NAMESPACE: Final = "http://www.w3.org/2005/Atom"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def feed(posts: Sequence[Post]) -> bytes:
    """Return the feed as UTF-8 encoded XML."""
    here, board = url_for("feeds_atom", _external=True), url_for("board.index", _external=True)
    root = ET.Element("feed", xmlns=_NAMESPACE)
    _add(root, "title", current_app.config["BOARD_NAME"])
    _add(root, "subtitle", current_app.config["BOARD_TAGLINE"])
    _add(root, "id", here)
    _add(root, "link", href=here, rel="self")
    _add(root, "link", href=board, rel="alternate")
    _add(root, "updated", _changed(posts).isoformat())
    for post in posts:
        _add_entry(root, post)
    ET.indent(root)
    # Browsers without a feed reader show the file; the stylesheet makes it readable.
    style = current_app.extensions["pluginkit"].emit_assets("feeds", "feed.css", _raw=True)
    head = f'<?xml version="1.0"?>\n<?xml-stylesheet type="text/css" href={quoteattr(style)}?>\n'
    body: bytes = ET.tostring(root, encoding="utf-8")
    return head.encode() + body


def _add_entry(root: ET.Element, post: Post) -> None:
    address = url_for("board.show", post_id=post.id, _external=True)
    entry = _add(root, "entry")
    entry.set("xml:lang", post.language)
    _add(entry, "title", post.title)
    _add(entry, "id", address)
    _add(entry, "link", href=address, rel="alternate")
    _add(entry, "published", post.created.isoformat())
    _add(entry, "updated", (post.updated or post.created).isoformat())
    _add(_add(entry, "author"), "name", post.author)
    for term in (post.category.value, *post.tags):
        _add(entry, "category", term=term)
    _add(entry, "content", str(render(post.body)), type="html")


def _add(parent: ET.Element, tag: str, text: str = "", **names: str) -> ET.Element:
    element = ET.SubElement(parent, tag, {k: _NOT_XML.sub("", v) for k, v in names.items()})
    element.text = _NOT_XML.sub("", text) or None
    return element


def _changed(posts: Sequence[Post]) -> datetime:
    times = (post.updated or post.created for post in posts)
    return max(times, default=datetime(1970, 1, 1, tzinfo=UTC))
