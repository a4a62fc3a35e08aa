"""cvep: class-based views, Flask's own and Flask-Classful's."""

from __future__ import annotations

import pytest
from flask import url_for
from hosts import Host, clean_imports, host

from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

FLASK = """
from flask import render_template, request
from flask.views import MethodView, View

class Page(View):
    init_every_request = False

    def __init__(self, text="page"):
        self.text = text

    def dispatch_request(self, **values):
        return f"{self.text} {request.endpoint} {sorted(values.items())}"

class Items(MethodView):
    decorators = [lambda view: lambda **values: view(**values) + "!"]

    def get(self):
        return "get"

    def post(self):
        return "post"

class Templated(View):
    def dispatch_request(self):
        return render_template("page.html")

class Failing(View):
    def dispatch_request(self):
        raise KeyError("boom")
"""

CLASSFUL = """
from flask import request
from flask_classful import FlaskView, route

class QuotesView(FlaskView):
    route_base = "/quotes"
    seen = []

    def before_request(self, name, **values):
        self.seen.append(name)

    def index(self):
        return f"index {request.endpoint}"

    def get(self, id):
        return f"quote {id}"

    def post(self):
        return "posted"

    @route("/random/<int:count>", methods=["GET"])
    def random(self, count):
        return f"random {count}"
"""


def classes(prelude: str, value: str) -> str:
    """A plugin with this cvep."""
    return f"{prelude}\ndef register():\n    return {{'cvep': {value}}}\n"


def test_a_view_of_flasks_is_registered_with_its_rule(host: Host) -> None:
    """Its endpoint is the name of the class, in lower case."""
    host.plugin("a", classes(FLASK, "{'view_class': Page, 'rule': '/page/<name>'}"))
    host.start()
    assert host.get("/page/x") == "page page [('name', 'x')]"
    with host.app.test_request_context():
        assert url_for("page", name="y") == "/page/y"


@pytest.mark.parametrize("key", ["endpoint", "name"])
def test_a_view_of_flasks_may_have_a_name_of_its_own(host: Host, key: str) -> None:
    """One class may stand at several addresses then."""
    host.plugin(
        "a",
        classes(
            FLASK,
            f"[{{'view_class': Page, 'rule': '/one', {key!r}: 'one'}},"
            f" {{'view_class': Page, 'rule': '/two', {key!r}: 'two'}}]",
        ),
    )
    host.start()
    assert (host.get("/one"), host.get("/two")) == ("page one []", "page two []")


def test_options_go_to_the_routing_rule(host: Host) -> None:
    """Everything that add_url_rule() takes."""
    host.plugin(
        "a",
        classes(
            FLASK, "{'view_class': Page, 'rule': '/p', 'methods': ['PUT'], 'defaults': {'n': 1}}"
        ),
    )
    host.start()
    assert host.open("/p").status_code == 405
    assert host.open("/p", "PUT").text == "page page [('n', 1)]"


def test_a_method_view_answers_the_methods_that_it_has(host: Host) -> None:
    """And its decorators are applied."""
    host.plugin("a", classes(FLASK, "{'view_class': Items, 'rule': '/items'}"))
    host.start()
    assert (host.get("/items"), host.get("/items", method="POST")) == ("get!", "post!")
    assert host.open("/items", "DELETE").status_code == 405


def test_a_class_renders_the_templates_of_its_plugin(host: Host) -> None:
    """It runs as that plugin."""
    body = classes(FLASK, "{'view_class': Templated, 'rule': '/page'}")
    host.plugin("a", body, files={"templates/page.html": "plugin's page"})
    host.template("page.html", "host's page")
    host.start()
    assert host.get("/page") == "plugin's page"


def test_a_failing_class_is_counted(host: Host) -> None:
    """It goes through Flask's error handling, as every view does."""
    host.plugin("a", classes(FLASK, "{'view_class': Failing, 'rule': '/x'}"))
    host.start(strict=False)
    assert host.open("/x").status_code == 500
    assert host.row("a").counts["view failing"] == (1, 1)


def test_a_class_of_flask_classful_registers_itself(host: Host) -> None:
    """With all of its routes and its own hooks."""
    host.plugin("a", classes(CLASSFUL, "{'view_class': QuotesView}"))
    host.start()
    assert host.get("/quotes/") == "index QuotesView:index"
    assert host.get("/quotes/7/") == "quote 7"
    assert host.get("/quotes/", method="POST") == "posted"
    assert host.get("/quotes/random/3") == "random 3"
    assert host.module("a").QuotesView.seen == ["index", "get", "post", "random"]
    assert host.pm.owner_of("route", "/quotes/") == "a"


def test_options_go_to_flask_classful(host: Host) -> None:
    """Such as the base and the prefix of its routes."""
    value = "[{'view_class': QuotesView, 'route_base': '/sayings', 'route_prefix': '/api'}]"
    host.plugin("a", classes(CLASSFUL, value))
    host.start()
    assert host.get("/api/sayings/7/") == "quote 7"
    assert host.open("/quotes/7/").status_code == 404


def test_anything_with_a_register_function_will_do(host: Host) -> None:
    """3.x called `view_class.register(app, **options)` and asked no more."""
    host.plugin(
        "a",
        classes(
            """
class Own:
    @classmethod
    def register(cls, app, path):
        app.add_url_rule(path, "own", lambda: "own " + app.name)
""",
            "{'view_class': Own, 'path': '/own'}",
        ),
    )
    host.start()
    assert host.get("/own") == "own host"
    assert host.pm.owner_of("route", "/own") == "a"


@pytest.mark.parametrize("after", [False, True])
def test_a_class_that_fails_to_register_leaves_nothing(host: Host, after: bool) -> None:
    """Not even the routes that it had registered by then."""
    line = "app.add_url_rule('/own', 'own', lambda: 'own')"
    body = [line, "raise RuntimeError('no')"] if after else ["raise RuntimeError('no')", line]
    code = "\n        ".join(body)
    prelude = f"class Own:\n    @classmethod\n    def register(cls, app):\n        {code}\n"
    host.plugin("a", classes(prelude, "{'view_class': Own}"))
    host.start(strict=False)
    assert host.row("a").status is Status.FAILED
    assert host.row("a").reason == "The plugin a failed registering: RuntimeError: no"
    assert host.open("/own").status_code == 404
    assert "own" not in host.app.view_functions


def test_the_lists_of_3x_hold_the_normal_form(host: Host) -> None:
    """Tuples of class and options; the plugin's own dict stays as it is."""
    host.plugin("a", classes(CLASSFUL, "{'view_class': QuotesView, 'route_base': '/q'}"))
    pm = host.start()
    expected = [(host.module("a").QuotesView, {"route_base": "/q"})]
    assert pm.get_enabled_cveps == expected
    assert pm.get_plugin_info("a").plugin_cvep == expected


def test_classes_work_in_a_second_application(host: Host) -> None:
    """They are registered on each one anew."""
    host.plugin("a", classes(CLASSFUL, "{'view_class': QuotesView, 'route_base': '/q'}"))
    host.start()
    twin = host.twin()
    twin.start()
    assert (host.get("/q/1/"), twin.get("/q/2/")) == ("quote 1", "quote 2")
