"""vep: view functions of plugins, with routes of their own or on somebody's blueprint."""

from __future__ import annotations

import logging

import pytest
from flask import url_for
from flask.cli import routes_command
from hosts import Host, clean_imports, host, views
from werkzeug.routing import BuildError

from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]


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
