"""Preprocessors that come and go live: what they made of others goes with them."""

from __future__ import annotations

import pytest
from flask import g
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import SwitchError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

TARGET = """
from flask import Blueprint

ready = []
blueprint = Blueprint("shop", __name__)
blueprint.add_url_rule("/shop", "index", lambda: "shop")

@blueprint.before_app_request
def before():
    from flask import g
    g.seen = [*g.get("seen", ()), "shop"]

def on_app_ready(app):
    ready.append(app)
    app.add_url_rule("/ready", "ready", lambda: "ready")

def register():
    return {
        "tep": {"nav": "nav"},
        "bep": {"blueprint": blueprint, "prefix": None},
        "vep": {"rule": "/x", "view_func": lambda: "x", "endpoint": "x"},
        "filter": {"loud": lambda value: value + "!"},
        "dcp": {"visits": lambda: "visits "},
    }
"""
AUTHOR = """
calls = []

def shout(teps):
    calls.append("tep")
    return {slot: {"cod": part["cod"].upper()} for slot, part in teps.items()}

def move(views):
    return [("/moved", *row[1:]) for row in views]

def register():
    return {"p3": {"target": {"tep": shout, "vep": move}}}
"""


def look(host: Host) -> list[object]:
    """What the target adds, wherever it does."""
    return [
        host.render("{{ emit_tep('nav') }} {{ 'a'|loud }} {{ emit_dcp('visits') }}"),
        [host.open(path).status_code for path in ("/x", "/moved", "/shop", "/ready")],
    ]


def started(host: Host, *, author: bool = True) -> Host:
    """A host with both plugins, the author disabled unless told."""
    host.plugin("target", TARGET)
    folder = host.plugin("author", AUTHOR)
    if not author:
        (folder / "DISABLED").touch()
    host.start()
    host.get("/")
    return host


BARE = ["nav a! visits ", [200, 404, 200, 200]]
CHANGED = ["NAV a! visits ", [404, 200, 200, 200]]


def test_an_author_that_goes_takes_its_changes_along(host: Host) -> None:
    """And brings them back: what the target registered is recorded once for each of the two."""
    started(host)
    assert look(host) == CHANGED
    host.pm.disable_plugin("author")
    assert look(host) == BARE
    host.pm.enable_plugin("author")
    assert look(host) == CHANGED
    assert host.module("author").calls == ["tep"]
    assert len(host.module("target").ready) == 1


def test_an_author_that_is_enabled_later_changes_what_is_there(host: Host) -> None:
    """As if it had been there from the start."""
    started(host, author=False)
    assert look(host) == BARE
    host.pm.enable_plugin("author")
    assert look(host) == CHANGED
    host.pm.disable_plugin("author")
    assert look(host) == BARE


def test_hooks_of_the_blueprint_are_called_once_in_each_variant(host: Host) -> None:
    """A blueprint that is registered again brings its hooks again, and not the earlier ones."""
    started(host, author=False)
    for switch in (host.pm.enable_plugin, host.pm.disable_plugin, host.pm.enable_plugin):
        switch("author")
        with host.app.test_request_context("/shop"):
            host.app.preprocess_request()
            assert g.seen == ["shop"]


def test_an_author_that_fails_at_it_is_not_enabled(host: Host) -> None:
    """The target stays as it is."""
    host.plugin("target", TARGET)
    broken = AUTHOR.replace("return {slot:", "1 / 0\n    return {slot:")
    (host.plugin("author", broken) / "DISABLED").touch()
    host.start()
    assert look(host) == BARE
    with pytest.raises(SwitchError, match="division by zero"):
        host.pm.enable_plugin("author")
    assert host.row("author").status is Status.DISABLED
    assert look(host) == BARE
