"""Several applications in one process, on one manager or on several, with the same plugins."""

from __future__ import annotations

import pytest
from flask import Flask
from hosts import Host, clean_imports, host

from flask_pluginkit import PluginManager
from flask_pluginkit.exceptions import PluginError

__all__ = ["clean_imports", "host"]

EVERYTHING = """
import click
from flask import Blueprint, current_app, request_finished
from flask.views import MethodView

blueprint = Blueprint("shop", __name__)
seen = []
registered = []

@blueprint.get("/")
def index():
    return current_app.name

@blueprint.before_app_request
def before():
    seen.append(current_app.name)

@blueprint.app_template_filter("loud")
def loud(value):
    return value.upper()

class Items(MethodView):
    def get(self):
        return "items"

@click.command()
def count():
    click.echo(current_app.name)

def view():
    return "view"

def handler(error):
    return "nothing here", 404

def note(sender, **values):
    seen.append("finished " + sender.name)

VALUE = {
    "tep": {"nav": "<i>{{ year }}</i>"},
    "hep": {"after_request": lambda response: None},
    "bep": {"blueprint": blueprint, "prefix": "/shop"},
    "vep": [
        {"rule": "/view", "view_func": view, "endpoint": "view", "methods": ["GET"]},
        {"rule": "/extra", "view_func": view, "_blueprint": "shop"},
    ],
    "cvep": {"view_class": Items, "rule": "/items"},
    "filter": {"late": str.title},
    "errhandler": {404: handler},
    "tcp": {"year": 2000},
    "dcp": {"event": "visits", "callback": lambda: "1"},
    "test": {"odd_one": lambda value: True},
    "global": {"answer": 42},
    "cli": count,
    "signal": {request_finished: note},
}

def register():
    registered.append(1)
    return VALUE
"""


def check(host: Host) -> None:
    """Everything that the plugin offers works in this application."""
    assert host.get("/shop/") == host.app.name
    assert host.get("/view") == "view"
    assert host.get("/shop/extra") == "view"
    assert host.get("/items") == "items"
    assert host.open("/missing").get_data(as_text=True) == "nothing here"
    assert host.render("{{ 'a'|late }}{{ 'a'|loud }}{{ 1 is odd_one }}{{ answer }}") == "AATrue42"
    assert host.render("{{ emit_tep('nav') }}{{ emit_dcp('visits') }}") == "<i>2000</i>1"
    result = host.app.test_cli_runner().invoke(args=["everything", "count"])
    assert (result.exit_code, result.output) == (0, f"{host.app.name}\n")


def test_every_extension_point_works_in_two_applications(host: Host) -> None:
    """Each has a manager of its own; in 3.x the first one emptied the plugin's dicts."""
    host.plugin("everything", EVERYTHING)
    host.start()
    twin = host.twin()
    twin.app.name = "twin"
    twin.start()
    check(host)
    check(twin)


def test_every_extension_point_works_in_two_applications_on_one_manager(host: Host) -> None:
    """In 3.x plugins piled up in the manager."""
    host.plugin("everything", EVERYTHING)
    pm = host.manager = PluginManager(strict=True)
    twin = host.twin()
    twin.app.name = "twin"
    twin.manager = pm
    pm.init_app(host.app)
    pm.init_app(twin.app)
    check(host)
    check(twin)
    assert [plugin.name for plugin in pm.plugins] == ["everything"]


def test_the_plugins_own_values_are_never_edited(host: Host) -> None:
    """Not by reading, nor by registering, nor by serving."""
    host.plugin("everything", EVERYTHING)
    host.start()
    value = host.module("everything").VALUE
    view = host.module("everything").view
    check(host)
    twin = host.twin()
    twin.start()
    assert set(value) > {"tep", "vep"}
    assert value["vep"][0] == {
        "rule": "/view",
        "view_func": view,
        "endpoint": "view",
        "methods": ["GET"],
    }
    assert value["tep"] == {"nav": "<i>{{ year }}</i>"}


def test_register_is_called_once_in_a_process(host: Host) -> None:
    """A second application gets what the first call returned."""
    host.plugin("everything", EVERYTHING)
    host.start()
    host.twin().start()
    assert host.module("everything").registered == [1]


def test_a_plugin_that_adds_to_its_blueprint_in_register_works_twice(host: Host) -> None:
    """Flask raises where a blueprint that an application has is added to."""
    host.plugin(
        "late",
        """
        from flask import Blueprint
        blueprint = Blueprint("late", __name__)

        def register():
            blueprint.add_url_rule("/late", "late", lambda: "late")
            return {"bep": {"blueprint": blueprint, "prefix": None}}
        """,
    )
    host.start()
    twin = host.twin()
    twin.start()
    assert (host.get("/late"), twin.get("/late")) == ("late", "late")


def test_a_register_that_failed_is_called_again(host: Host) -> None:
    """What was missing for the first application may be there for the second."""
    host.plugin(
        "moody",
        """
        calls = []
        def register():
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("not yet")
            return {"tcp": {"year": 2000}}
        """,
    )
    host.start(strict=False)
    twin = host.twin()
    twin.start(strict=False)
    assert host.row("moody").status == "failed"
    assert twin.row("moody").status == "active"


def test_a_register_that_was_replaced_is_called(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests of plugins put functions of their own in its place."""
    host.plugin("hello", "def register():\n    return {'tcp': {'year': 1}}\n")
    host.start()
    monkeypatch.setattr(host.module("hello"), "register", lambda: {"tcp": {"year": 2}})
    twin = host.twin()
    twin.start()
    assert twin.pm.get_enabled_tcps == [{"year": 2}]


def test_each_application_counts_for_itself(host: Host) -> None:
    """Calls and faults belong to the application in which they happened."""
    host.plugin("everything", EVERYTHING)
    host.start()
    twin = host.twin()
    twin.start()
    host.get("/view")
    assert host.row("everything").counts["view view"] == (1, 0)
    assert twin.row("everything").counts.get("view view", (0, 0)) == (0, 0)


def test_hooks_and_receivers_hear_of_their_own_application_only(host: Host) -> None:
    """Signals are global, but a receiver belongs to one application's plugins."""
    host.plugin("everything", EVERYTHING)
    host.start()
    twin = host.twin()
    twin.app.name = "twin"
    twin.start()
    seen = host.module("everything").seen
    host.get("/view")
    assert seen == ["host", "finished host"]
    twin.get("/view")
    assert seen == ["host", "finished host", "twin", "finished twin"]


def test_a_plugin_can_be_active_in_one_application_only(host: Host) -> None:
    """What the other one refuses is its own business."""
    host.plugin("everything", EVERYTHING)
    host.start()
    twin = host.twin()
    twin.app.add_url_rule("/view", "view", lambda: "the twin's")
    twin.start(strict=False)
    assert (host.get("/view"), twin.get("/view")) == ("view", "the twin's")
    assert host.pm.conflicts == ()
    assert {conflict.kind for conflict in twin.pm.conflicts} == {"endpoint", "route"}


def test_an_application_has_one_manager(host: Host) -> None:
    """A second init_app() would register everything twice."""
    host.start()
    with pytest.raises(PluginError, match=r"init_app\(\) is called once"):
        host.pm.init_app(host.app)


def test_a_manager_without_an_application_says_so() -> None:
    """Asking it for plugins can't mean anything yet."""
    with pytest.raises(PluginError, match=r"call init_app\(app\)"):
        _ = PluginManager().plugins


def test_a_manager_answers_for_the_current_application(host: Host) -> None:
    """And for the last one outside of every application context."""
    host.plugin("hello", "def register():\n    return {'tcp': {'year': 1}}\n")
    pm = PluginManager(strict=True)
    pm.init_app(host.app)
    empty = Flask("empty", root_path=str(host.folder / "empty"))
    pm.init_app(empty)
    assert pm.get_enabled_tcps == []
    with host.app.app_context():
        assert pm.get_enabled_tcps == [{"year": 1}]


def test_a_request_inside_a_request_of_another_application_has_its_own_plugins(host: Host) -> None:
    """The pin of a request is that of its application."""
    host.plugin("hello", "def register():\n    return {'tep': {'nav': 'hello'}}\n")
    host.start()
    other = Host(host.folder / "other")
    other.start()

    @other.app.get("/")
    def index() -> str:
        inner = host.get("/inner")
        return f"{inner}|{other.pm.emit_tep('nav')}"

    host.app.add_url_rule("/inner", "inner", lambda: str(host.pm.emit_tep("nav")))
    assert other.get("/") == "hello|"
