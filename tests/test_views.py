"""vep: view functions of plugins, with routes of their own or on somebody's blueprint."""

from __future__ import annotations

import logging

import pytest
from flask import Blueprint, url_for
from flask.cli import routes_command
from hosts import Host, clean_imports, host
from werkzeug.routing import BuildError

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

PRELUDE = """
from flask import Blueprint, abort, jsonify, render_template, request, url_for

def hello(**values):
    return "hello " + str(sorted(values.items()))

def where():
    return f"{request.endpoint} {request.blueprint} {request.url_rule}"
"""


def views(value: str, **rest: str) -> str:
    """A plugin with this vep, and other extension points."""
    pairs = "".join(f", {key!r}: {text}" for key, text in rest.items())
    return f"{PRELUDE}\ndef register():\n    return {{'vep': {value}{pairs}}}\n"


def test_one_view_may_be_given_as_a_dict(host: Host) -> None:
    """Its endpoint is the function's name, as in Flask."""
    host.plugin("a", views("{'rule': '/hello/<name>', 'view_func': hello}"))
    host.start()
    assert host.get("/hello/ada") == "hello [('name', 'ada')]"
    with host.app.test_request_context():
        assert url_for("hello", name="ada") == "/hello/ada"
    assert host.pm.owner_of("endpoint", "hello") == "a"


def test_several_views_may_be_given_as_a_list(host: Host) -> None:
    """One function may answer at several addresses."""
    host.plugin(
        "a",
        views(
            "[{'rule': '/one', 'view_func': hello}, {'rule': '/two', 'view_func': hello},"
            " {'rule': '/where', 'view_func': where}]"
        ),
    )
    host.start()
    assert host.get("/one") == host.get("/two") == "hello []"
    assert host.get("/where") == "where None /where"


def test_an_endpoint_of_ones_own_counts(host: Host) -> None:
    """So two plugins may have functions that are called alike."""
    host.plugin("a", views("{'rule': '/a', 'view_func': where, 'endpoint': 'a.where'}"))
    host.plugin("b", views("{'rule': '/b', 'view_func': where, 'endpoint': 'b.where'}"))
    host.start()
    assert host.get("/a").startswith("a.where")
    assert host.get("/b").startswith("b.where")


def test_options_go_to_the_routing_rule(host: Host) -> None:
    """Everything that add_url_rule() takes."""
    host.plugin(
        "a",
        views(
            "[{'rule': '/form', 'view_func': hello, 'methods': ['POST', 'PUT']},"
            " {'rule': '/page/', 'view_func': hello, 'endpoint': 'page',"
            "  'defaults': {'number': 1}, 'strict_slashes': False},"
            " {'rule': '/old', 'endpoint': 'old', 'redirect_to': '/form', 'view_func': hello}]"
        ),
    )
    host.start()
    assert host.open("/form").status_code == 405
    assert host.open("/form", "PUT").text == "hello []"
    assert host.get("/page") == "hello [('number', 1)]"
    assert host.open("/old").location == "http://localhost/form"


def test_head_and_options_are_answered_as_for_the_hosts_views(host: Host) -> None:
    """Flask adds them by itself."""
    host.plugin("a", views("{'rule': '/hello', 'view_func': hello, 'methods': ['GET', 'POST']}"))
    host.start()
    assert host.open("/hello", "HEAD").status_code == 200
    allowed = host.open("/hello", "OPTIONS").headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert set(host.open("/hello", "DELETE").headers["Allow"].split(", ")) == {
        "GET",
        "HEAD",
        "OPTIONS",
        "POST",
    }


def test_a_view_may_answer_options_itself(host: Host) -> None:
    """Attributes of the function count, as in Flask."""
    body = views("{'rule': '/hello', 'view_func': hello}")
    host.plugin("a", f"{body}\nhello.methods = ['GET', 'OPTIONS']\n")
    host.start()
    assert host.open("/hello", "OPTIONS").text == "hello []"
    assert host.open("/hello", "POST").status_code == 405


def test_a_view_renders_its_own_template_by_bare_name(host: Host) -> None:
    """Also where the host has one that is called alike."""
    body = views("{'rule': '/page', 'view_func': lambda: render_template('page.html')}")
    host.plugin("a", body, files={"templates/page.html": "plugin's page"})
    host.template("page.html", "host's page")
    host.start()
    assert host.get("/page") == "plugin's page"


def test_a_view_answers_whatever_flask_takes(host: Host) -> None:
    """Texts, dicts, tuples, responses and aborts."""
    host.plugin(
        "a",
        views(
            "[{'rule': '/dict', 'view_func': lambda: {'a': 1}, 'endpoint': 'd'},"
            " {'rule': '/tuple', 'view_func': lambda: ('t', 201, {'X-A': 'b'}), 'endpoint': 't'},"
            " {'rule': '/abort', 'view_func': lambda: abort(410), 'endpoint': 'a'},"
            " {'rule': '/stream', 'view_func': lambda: iter(['s', 't']), 'endpoint': 's'}]"
        ),
    )
    host.start()
    assert host.open("/dict").json == {"a": 1}
    assert host.open("/tuple").status_code == 201
    assert host.open("/tuple").headers["X-A"] == "b"
    assert host.open("/abort").status_code == 410
    assert host.get("/stream") == "st"
    assert host.row("a").counts["view a"] == (1, 0)


def test_a_more_specific_rule_of_a_plugin_beats_the_hosts_catch_all(host: Host) -> None:
    """Werkzeug's precedence holds between host and plugins too."""
    host.app.add_url_rule("/<path:anything>", "anything", lambda anything: "host")
    host.plugin("a", views("{'rule': '/login', 'view_func': hello}"))
    host.start()
    assert host.get("/login") == "hello []"
    assert host.get("/other") == "host"


def test_the_hosts_view_wins_where_both_match_alike(host: Host) -> None:
    """Also if it was defined after the manager was made."""
    host.plugin("a", views("{'rule': '/<name>', 'view_func': hello}"))
    host.start()
    host.app.add_url_rule("/<other>", "host", lambda other: "host")
    assert host.get("/x") == "host"


def test_rules_are_listed_with_the_hosts(host: Host) -> None:
    """`flask routes` shows what is there."""
    host.plugin("a", views("{'rule': '/hello', 'view_func': hello}"))
    host.start()
    assert "/hello" in [rule.rule for rule in host.app.url_map.iter_rules()]
    assert [rule.rule for rule in host.app.url_map.iter_rules("hello")] == ["/hello"]
    output = host.app.test_cli_runner().invoke(routes_command).output
    assert "/hello" in output


def test_an_endpoint_that_does_not_exist_raises_as_in_flask(host: Host) -> None:
    """And the suggestion knows the plugins' endpoints."""
    host.plugin("a", views("{'rule': '/hello', 'view_func': hello}"))
    host.start()
    with (
        host.app.test_request_context(),
        pytest.raises(BuildError, match="Did you mean 'hello' instead"),
    ):
        url_for("hallo")


def test_the_lists_of_3x_hold_the_normal_form(host: Host) -> None:
    """Tuples of rule, function, endpoint, options and blueprint."""
    host.plugin("a", views("{'rule': '/hello', 'view_func': hello, 'methods': ['POST']}"))
    pm = host.start()
    hello = host.module("a").hello
    assert pm.get_enabled_veps == [("/hello", hello, None, {"methods": ["POST"]}, None)]
    assert pm.get_plugin_info("a").plugin_vep == pm.get_enabled_veps


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{'rule': '/<', 'view_func': hello}", "malformed url rule: '/<'"),
        (
            "{'rule': '/<nonsense:x>', 'view_func': hello}",
            "the converter 'nonsense' does not exist",
        ),
        ("{'rule': '/x', 'view_func': hello, 'nonsense': 1}", "'nonsense'"),
        ("{'rule': '/x', 'view_func': hello, 'methods': 'GET'}", "methods"),
        (
            "[{'rule': '/x', 'view_func': f, 'endpoint': 'e'} for f in (hello, where)]",
            "overwriting an existing endpoint function: e",
        ),
    ],
)
def test_a_rule_that_flask_refuses_fails_the_plugin_and_leaves_nothing(
    host: Host, row: str, reason: str
) -> None:
    """The others go on, and the reason is Flask's own."""
    host.plugin("a", views(row, filter="{'late': str}"))
    host.plugin("b", views("{'rule': '/fine', 'view_func': hello}"))
    host.start(strict=False)
    assert host.row("a").status is Status.FAILED
    assert reason in host.row("a").reason
    assert "failed registering" in host.row("a").reason
    assert host.row("a").traceback
    assert host.get("/fine") == "hello []"
    assert host.open("/x").status_code == 404
    assert "late" not in host.app.jinja_env.filters


# ---- on blueprints ---------------------------------------------------------------------------

BLUEPRINT = "blueprint = Blueprint('shop', __name__, url_prefix='/own')\n"


def on_shop(rule: str = "/extra") -> str:
    """A vep on the blueprint ``shop``."""
    return f"{{'rule': {rule!r}, 'view_func': where, '_blueprint': 'shop'}}"


@pytest.mark.parametrize(("prefix", "path"), [("'/shop'", "/shop/extra"), ("None", "/own/extra")])
def test_a_view_stands_on_the_blueprint_of_its_own_plugin(
    host: Host, prefix: str, path: str
) -> None:
    """It takes the prefix, also the one that the bep gave."""
    bep = f"{{'blueprint': blueprint, 'prefix': {prefix}}}"
    host.plugin("a", f"{PRELUDE}{BLUEPRINT}{views(on_shop(), bep=bep)}")
    host.start()
    assert host.get(path) == f"shop.where shop {path}"


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_view_stands_on_the_blueprint_of_another_plugin(host: Host, name: str) -> None:
    """Whichever of the two is loaded first; the blueprint's hooks run for it."""
    host.plugin(
        "m",
        f"{PRELUDE}{BLUEPRINT}"
        "seen = []\n"
        "blueprint.before_request(lambda: seen.append(request.path))\n"
        + views("[]", bep="{'blueprint': blueprint, 'prefix': '/shop'}"),
    )
    host.plugin(name, views(on_shop()))
    host.start()
    assert host.get("/shop/extra") == "shop.where shop /shop/extra"
    assert host.module("m").seen == ["/shop/extra"]
    assert host.pm.owner_of("route", "/shop/extra") == name
    assert host.pm.owner_of("route", "/shop") is None


def test_a_view_may_stand_at_the_prefix_itself(host: Host) -> None:
    """As in Flask, an empty rule on a blueprint is its prefix."""
    bep = "{'blueprint': blueprint, 'prefix': '/shop'}"
    host.plugin("a", f"{PRELUDE}{BLUEPRINT}{views(on_shop(''), bep=bep)}")
    host.start()
    assert host.get("/shop") == "shop.where shop /shop"


@pytest.mark.parametrize("late", [False, True])
def test_a_view_stands_on_a_blueprint_of_the_host(host: Host, late: bool) -> None:
    """Registered before the manager was made, or after."""
    blueprint = Blueprint("shop", "host", url_prefix="/own")
    host.plugin("a", views(on_shop()))
    if late:
        host.start()
    host.app.register_blueprint(blueprint)
    if not late:
        host.start()
    assert host.get("/own/extra") == "shop.where shop /own/extra"
    with host.app.test_request_context():
        assert url_for("shop.where") == "/own/extra"


def test_a_blueprint_of_the_host_may_have_another_name_there(host: Host) -> None:
    """The name is that under which the application knows it."""
    host.app.register_blueprint(Blueprint("inner", "host", url_prefix="/own"), name="shop")
    host.plugin("a", views(on_shop()))
    host.start()
    assert host.get("/own/extra") == "shop.where shop /own/extra"


def test_a_view_stands_on_a_nested_blueprint_of_the_host(host: Host) -> None:
    """With all prefixes and names above it."""
    outer = Blueprint("outer", "host", url_prefix="/outer")
    outer.register_blueprint(Blueprint("inner", "host"), url_prefix="/inner")
    host.app.register_blueprint(outer)
    host.plugin("a", views("{'rule': '/x', 'view_func': where, '_blueprint': 'outer.inner'}"))
    host.start()
    assert host.get("/outer/inner/x") == "outer.inner.where outer.inner /outer/inner/x"


@pytest.mark.parametrize("name", ["outer.inner", "outer.inner.core"])
def test_a_view_stands_on_a_blueprint_nested_in_a_plugins_one(host: Host, name: str) -> None:
    """The blueprint's author may have nested them, without a word to us."""
    host.plugin(
        "a",
        """
        from flask import Blueprint
        outer = Blueprint("outer", __name__, url_prefix="/outer")
        inner = Blueprint("inner", __name__, url_prefix="/inner")
        core = Blueprint("core", __name__)
        inner.register_blueprint(core, url_prefix="/core")
        outer.register_blueprint(inner)

        def register():
            return {"bep": {"blueprint": outer, "prefix": "/top"}}
        """,
    )
    host.plugin("b", views(f"{{'rule': '/x', 'view_func': where, '_blueprint': {name!r}}}"))
    host.start()
    path = "/top/" + "/".join([*name.split(".")[1:], "x"])
    assert host.get(path) == f"{name}.where {name} {path}"


def test_a_blueprint_that_nobody_registers_fails_the_plugin_at_the_first_use(host: Host) -> None:
    """Before that, the host might still register it."""
    host.plugin("a", views(on_shop(), filter="{'late': str}"))
    host.plugin("b", views("[]"), requires={"a": ">=1"})
    host.plugin("c", views("{'rule': '/fine', 'view_func': hello}"))
    host.start(strict=False)
    assert host.row("a").status is Status.ACTIVE
    assert host.get("/fine") == "hello []"
    assert host.row("a").status is Status.FAILED
    assert host.row("b").status is Status.FAILED
    assert host.row("a").reason == (
        "a: The required blueprint(shop) was not found when registering vep with /extra"
    )
    assert "late" not in host.app.jinja_env.filters
    assert host.get("/fine") == "hello []"


def test_in_strict_mode_a_missing_blueprint_is_raised_at_each_use(host: Host) -> None:
    """3.x raised it when the application was made."""
    host.plugin("a", views(on_shop()))
    host.start(strict=True)
    host.app.testing = True
    for _attempt in range(2):
        with pytest.raises(PEPError, match=r"The required blueprint\(shop\) was not found"):
            host.get("/")


def test_a_late_view_that_flask_refuses_fails_its_plugin_only(host: Host) -> None:
    """The application's first request is answered as if nothing had happened."""
    host.plugin("a", views("{'rule': '/<', 'view_func': where, '_blueprint': 'shop'}"))
    host.start(strict=False)
    host.app.register_blueprint(Blueprint("shop", "host", url_prefix="/own"))
    host.app.add_url_rule("/", "index", lambda: "host")
    assert host.get("/") == "host"
    assert host.row("a").status is Status.FAILED
    assert "malformed url rule" in host.row("a").reason


# ---- host matching ---------------------------------------------------------------------------


def test_under_host_matching_plugins_have_the_host_of_the_option(host: Host) -> None:
    """A rule that names its own host keeps it."""
    host = host.twin(host_matching=True, static_folder=None)
    host.plugin(
        "a",
        views(
            "[{'rule': '/hello', 'view_func': hello},"
            " {'rule': '/hello', 'view_func': where, 'host': 'other.example'}]"
        ),
        files={"static/a.txt": "static"},
    )
    host.start(host="site.example")
    base = "http://site.example"
    assert host.get("/hello", base_url=base) == "hello []"
    assert host.get("/hello", base_url="http://other.example") == "where None /hello"
    assert host.open("/hello", base_url="http://third.example").status_code == 404
    with host.open("/assets/a/a.txt", base_url=base) as response:
        assert response.get_data(as_text=True) == "static"


def test_under_host_matching_a_missing_option_is_told(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Plugins' routes would be nowhere, in silence."""
    host = host.twin(host_matching=True, static_folder=None)
    with caplog.at_level(logging.WARNING):
        host.start()
    assert "PluginManager(app, host=...)" in caplog.text


def test_without_host_matching_the_option_changes_nothing(host: Host) -> None:
    """An application may switch host matching off again."""
    host.plugin("a", views("{'rule': '/hello', 'view_func': hello}"))
    host.start(host="site.example")
    assert host.get("/hello") == "hello []"


def test_subdomains_are_matched_as_for_the_host(host: Host) -> None:
    """With SERVER_NAME and subdomain_matching, as in Flask."""
    host = host.twin(subdomain_matching=True)
    host.app.config["SERVER_NAME"] = "site.example"
    host.plugin("a", views("{'rule': '/hello', 'view_func': hello, 'subdomain': 'sub'}"))
    host.start()
    assert host.get("/hello", base_url="http://sub.site.example") == "hello []"
    assert host.open("/hello", base_url="http://site.example").status_code == 404
