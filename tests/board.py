"""The small notice board that the examples of docs/commands.md are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask
from trees import write, write_plugin

from flask_pluginkit import PluginManager

SEARCH = """
import click

@click.command("reindex")
def reindex():
    pass

def results():
    return "results"

def register():
    return {
        "vep": [{"rule": "/search", "view_func": results}],
        "tep": {"nav": "10@box.html"},
        "cli": reindex,
    }
"""

MARKDOWN = """
def register():
    return {"filter": {"markdown": str}, "tep": {"post_body": "{{ post.body|markdown }}"}}
"""

FEEDS = """
def feed():
    return "feed"

def register():
    return {
        "vep": [{"rule": "/feed.atom", "view_func": feed}],
        "tep": {"nav": "20@<a href='/feed.atom'>Feed</a>", "header": "x"},
    }
"""

COUNTER = """
def register():
    return {"dcp": {"counter": lambda: "1"}}
"""

BASE = """<html>
<nav>{{ emit_tep("nav") }}</nav>
{% block body %}{% endblock %}
<aside>{{ emit_tep("sidebar") }}{{ emit_dcp("counter") }}</aside>
</html>
"""

POST = """{% extends "base.html" %}
{% block body %}{{ emit_tep("post_body", post=post) }}{% endblock %}
"""


def make_board(folder: Path) -> Flask:
    """Write the application into `folder` and start it."""
    plugins = folder / "plugins"
    about: Any = {"author": "Ada", "license": "BSD-3-Clause"}
    write_plugin(
        plugins,
        "search",
        SEARCH,
        files={"templates/box.html": "<form></form>"},
        version="1.2.0",
        description="Full-text search over the notices",
        permissions=["storage"],
        **about,
    )
    write_plugin(plugins, "markdown", MARKDOWN, **about)
    write_plugin(plugins, "feeds", FEEDS, requires={"markdown": ">=1.0"}, **about)
    write_plugin(plugins, "visitors", COUNTER, version="2.0.1", state="disabled", **about)
    write_plugin(plugins, "weather", "import forecasts\n\ndef register():\n    return {}", **about)
    write(plugins / "guestbook.py", "")
    write(folder / "templates" / "base.html", BASE)
    write(folder / "templates" / "post.html", POST)
    app = Flask("board", root_path=str(folder), instance_path=str(folder / "instance"))
    PluginManager(app, stpl=True, strict=False, live=False)
    return app
