"""What a plugin can't take away while it registers: the tables in which others' guards are."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask
from hosts import Host, clean_imports, host, ready
from werkzeug.exceptions import NotFound

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.live.handlers import HandlerTable
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

GUARD = """
from flask import abort, request

def guard():
    if request.path == "/guarded":
        abort(403)

def register():
    return {"hep": {"before_request": guard}, "filter": {"other": str}}
"""


@pytest.fixture
def guarded(host: Host) -> Host:
    """A host with functions in every table, and a plugin that guards a page."""
    app = host.app
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/guarded", "guarded", lambda: "open")
    app.before_request(lambda: None)
    app.add_template_filter(str, "own")
    app.errorhandler(404)(lambda error: ("nothing here", 404))
    app.cli.command("task")(lambda: None)
    host.plugin("a", GUARD)
    return host


def is_unharmed(host: Host) -> bool:
    """Whether the application and the other plugin do what they did."""
    client = host.app.test_client()
    pages = [client.get(path).text for path in ("/", "/missing")]
    return pages == ["home", "nothing here"] and (
        client.get("/guarded").status_code == 403
        and host.render("{{ 1|own }}{{ 2|other }}") == "12"
        and "task" in host.app.cli.commands
    )


REMOVALS = [
    "app.before_request_funcs.clear()",
    "app.before_request_funcs.pop(None)",
    "app.before_request_funcs.popitem()",
    "del app.before_request_funcs[None]",
    "app.before_request_funcs[None] = []",
    "app.before_request_funcs.update({None: []})",
    "app.before_request_funcs[None].clear()",
    "app.before_request_funcs[None].remove(app.before_request_funcs[None][0])",
    "app.before_request_funcs[None].pop()",
    "app.before_request_funcs[None][0] = print",
    "app.before_request_funcs[None][:] = []",
    "del app.before_request_funcs[None][0]",
    "app.before_request_funcs[None] *= 0",
    "app.before_request_funcs[None].reverse()",
    "app.before_request_funcs[None].sort(key=id)",
    "app.teardown_appcontext_funcs.clear()",
    "app.view_functions.clear()",
    "app.view_functions.popitem()",
    "app.view_functions.pop('home')",
    "del app.view_functions['home']",
    "app.jinja_env.filters.pop('other')",
    "app.cli.commands.pop('task', None)",
    "app.error_handler_spec.clear()",
    "app.error_handler_spec.pop(None)",
    "del app.error_handler_spec[None][404]",
    "app.error_handler_spec[None][404].popitem()",
]
REPLACED = [
    "app.url_map = type(app.url_map).__mro__[1]()",
    "app.before_request_funcs = {}",
    "del app.before_request_funcs",
    "app.view_functions = {}",
    "app.error_handler_spec = {None: {}}",
    "app.jinja_env = app.create_jinja_environment()",
    "app.jinja_env.filters = {}",
    "app.jinja_env.globals = {}",
    "app.cli.commands = {}",
    "app.cli = None",
]


@pytest.mark.parametrize("removal", [*REMOVALS, *REPLACED])
def test_a_plugin_cant_take_away_what_others_have(guarded: Host, removal: str) -> None:
    """It fails, with an error that says what it did."""
    guarded.plugin("b", ready(f"app.own = 1\n{removal}"))
    guarded.start(strict=False)
    assert guarded.row("b").status is Status.FAILED
    place = removal.removeprefix("del ").partition("[")[0].partition(" =")[0].partition("(")[0]
    place = ".".join(place.split(".")[: 3 if "jinja" in place or "cli." in place else 2])
    assert guarded.row("b").reason.startswith("plugin 'b' ")
    assert place in guarded.row("b").reason
    assert is_unharmed(guarded)
    assert not hasattr(guarded.app, "own")


@pytest.mark.parametrize("removal", [REMOVALS[0], REPLACED[0]])
def test_strictly_it_ends_the_start(guarded: Host, removal: str) -> None:
    """As every fault of a plugin while it is loaded."""
    guarded.plugin("b", ready(removal))
    with pytest.raises(PluginError, match=r"plugin 'b' (called|replaced) app"):
        guarded.start(strict=True)


def test_a_blueprint_cant_take_away_anything_either(guarded: Host) -> None:
    """Its functions run while it is registered, before ``on_app_ready``."""
    guarded.plugin(
        "b",
        """
        from flask import Blueprint
        blueprint = Blueprint("shop", __name__)
        blueprint.record(lambda state: setattr(state.app, "before_request_funcs", {}))
        def register():
            return {"bep": {"blueprint": blueprint, "prefix": "/shop"}}
        """,
    )
    guarded.start(strict=False)
    assert guarded.row("b").reason.startswith("plugin 'b' replaced app.before_request_funcs: ")
    assert is_unharmed(guarded)


@pytest.mark.parametrize(
    "harmless",
    [
        "app.jinja_env.filters.pop('missing', None)",
        "app.view_functions.pop('missing', None)",
        "app.before_request_funcs[None] += [print_nothing]",
        "app.error_handler_spec.setdefault(None, {}).setdefault(418, {})",
    ],
)
def test_what_takes_nothing_away_is_as_ever(guarded: Host, harmless: str) -> None:
    """The plugin is active."""
    guarded.plugin("b", "def print_nothing(): print(end='')\n" + ready(harmless))
    guarded.start(strict=False)
    assert guarded.row("b").status is Status.ACTIVE
    assert is_unharmed(guarded)


@pytest.mark.parametrize(
    "way",
    [
        "table[None][404][NotFound] = gone",
        "table[None][404].update({NotFound: gone})",
        "table[None][404].setdefault(NotFound, gone)",
        "table[None][404] |= {NotFound: gone}",
        "table[None][404] = {NotFound: gone}",
        "table.setdefault(None, {}).setdefault(404, {})[NotFound] = gone",
        "table[None].update({404: {NotFound: gone}})",
        "table[None] = {404: {NotFound: gone}}",
        "table.update({None: {404: {NotFound: gone}}})",
    ],
)
def test_error_handlers_are_recorded_whichever_way_they_are_added(host: Host, way: str) -> None:
    """The application's own one is there again when the plugin isn't."""
    host.app.errorhandler(400)(lambda error: ("own", 400))
    body = f"from werkzeug.exceptions import NotFound\ngone = lambda error: ('gone', 404)\ntable = app.error_handler_spec\n{way}"  # noqa: E501
    host.plugin("a", ready(body))
    host.start()
    assert host.get("/missing") == "gone"
    assert dict.get(host.app.error_handler_spec[None][404], NotFound) is None
    assert list(host.app.error_handler_spec[None][400])


def test_a_middleware_that_forgets_the_application_is_told(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """What it does with requests is its business, and can't be taken back."""
    body = "app.wsgi_app = lambda environ, start: (start('200 OK', []), [b'mine'])[1]"
    host.plugin("a", ready(body))
    with caplog.at_level(logging.WARNING):
        host.start()
    assert "plugin 'a' changed the application itself (wsgi_app)" in caplog.text
    assert host.get("/anything") == "mine"


# ---- the application itself ------------------------------------------------------------------


def test_the_application_may_take_away_what_it_has(guarded: Host) -> None:
    """As from Flask's own tables; plugins' entries aren't its own."""
    guarded.start()
    app, filters = guarded.app, guarded.app.jinja_env.filters
    assert filters.pop("own") is str
    assert filters.pop("other", None) is None
    with pytest.raises(KeyError):
        filters.pop("other")
    with pytest.raises(KeyError):
        del filters["other"]
    assert ("own" in filters, "other" in filters) == (False, True)
    filters["other"] = len
    assert filters.pop("other") is len
    assert guarded.render("{{ 2|other }}") == "2"
    app.cli.commands.clear()
    assert list(app.cli.commands) == []
    app.before_request_funcs[None].pop(0)
    del app.error_handler_spec[None][404]
    assert guarded.get("/missing") != "nothing here"
    assert guarded.open("/guarded").status_code == 403


def test_the_application_writes_error_handlers_in_every_way() -> None:
    """They are live ones, whichever way they came."""
    live: dict[Any, Any] = {}
    table = HandlerTable(Flask("host").error_handler_spec, lambda scope, code: live)
    table.setdefault(None, {}).setdefault(404, {}).setdefault(NotFound, "a")
    table[None].update({400: {KeyError: "b"}})
    table |= {"shop": {None: {ValueError: "c"}}}
    assert table[None][404].setdefault(NotFound, "d") == "a"
    live[NotFound] = "live"
    assert table[None][404].get(NotFound) == "live"
    assert table[None][404].setdefault(NotFound, "d") == "live"
    assert table[None][400].get(KeyError) == "b"
    assert table["shop"][None].get(ValueError) == "c"
