"""A guest book, in tables of its own."""

from __future__ import annotations

from flask import redirect, request, url_for
from markupsafe import Markup
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from flask_pluginkit import Plugin

from .models import Entry, session

__plugin_name__ = "guestbook"
__version__ = "1.1.0"
__author__ = "The Flask-PluginKit authors"
__license__ = "BSD-3-Clause"

plugin = Plugin(__name__, url_prefix="/guestbook")


@plugin.get("/")
def index() -> str:
    """Show what guests wrote, the newest first."""
    entries = session().scalars(select(Entry).order_by(Entry.id.desc()))
    return plugin.render("guestbook.html", entries=entries)


@plugin.post("/")
def write() -> Response:
    """Keep what a guest wrote."""
    form = request.form
    session().add(Entry(name=form["name"], place=form.get("place", ""), text=form["text"]))
    session().commit()
    return redirect(url_for("guestbook.index"))


@plugin.tep("main")
def invitation() -> Markup:
    """Say on the host's page how many entries there are."""
    count = session().scalar(select(func.count(Entry.id)))
    link = Markup('<a href="{}">Guest book ({})</a>')
    return link.format(url_for("guestbook.index"), count)


register = plugin.register
