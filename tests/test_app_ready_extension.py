"""Extensions that a plugin sets up in on_app_ready: all that they register is the plugin's."""

from __future__ import annotations

import logging

import pytest
from flask import abort, render_template_string, url_for
from hosts import EXTENSION, Host, clean_imports, host, ready

__all__ = ["clean_imports", "host"]


@pytest.fixture
def shop(host: Host) -> Host:
    """A host whose plugin sets up an extension that uses everything that Flask offers."""
    host.plugin("a", EXTENSION + ready("extension.init_app(app)"))
    host.start()
    return host


def test_hooks_of_an_extension_run_for_every_request(shop: Host) -> None:
    """They are contributions of the plugin."""
    shop.app.add_url_rule("/", "home", lambda: "home")
    response = shop.open("/")
    assert (response.text, response.headers["X-Shop"]) == ("home", "closed")
    assert shop.module("a").seen == ["values home", "before", "teardown", "appcontext"]


def test_names_of_an_extension_are_there_in_every_template(shop: Host) -> None:
    """Filters, tests, globals and variables."""
    with shop.app.test_request_context():
        source = "{{ 5|price }} {{ 5|euro }} {{ 5 is cheap }} {{ hours() }} {{ shop_name }}"
        assert render_template_string(source) == "5 EUR EUR 5 True 9-5 corner shop"
    for kind, name in {"filter": "price", "test": "cheap", "global": "hours"}.items():
        assert shop.pm.owner_of(kind, name) == "a"


def test_routes_and_blueprints_of_an_extension_are_served(shop: Host) -> None:
    """As those that register() returns."""
    assert (shop.get("/shop"), shop.get("/cart")) == ("shop", "cart")
    assert shop.pm.owner_of("route", "/shop") == "a"
    assert shop.pm.owner_of("blueprint", "cart") == "a"


def test_everything_else_of_an_extension_works_too(shop: Host) -> None:
    """Commands, error handlers, URL functions and the shell."""
    assert shop.app.test_cli_runner().invoke(args=["stock"]).output == "stock of host\n"
    shop.app.add_url_rule("/tea", "tea", lambda: abort(418))
    assert shop.get("/tea") == "tea"
    with shop.app.test_request_context():
        assert url_for("index") == "/shop?shop=1"
        assert url_for("nothing") == "/no/nothing"
    context = shop.app.make_shell_context()
    assert context["shop"] is shop.app.extensions["shop"]


def test_the_extension_is_kept_on_the_application(shop: Host) -> None:
    """Others look it up there."""
    assert shop.app.extensions["shop"] is shop.module("a").extension
    assert shop.app.config["SHOP_NAME"] == "corner shop"


def test_a_second_application_gets_its_own(shop: Host) -> None:
    """It is called once for each application."""
    twin = shop.twin()
    twin.app.config["SHOP_NAME"] = "second shop"
    twin.start()
    with twin.app.test_request_context():
        assert render_template_string("{{ shop_name }}") == "second shop"
    with shop.app.test_request_context():
        assert render_template_string("{{ shop_name }}") == "corner shop"


def test_it_may_register_what_another_plugin_has(host: Host) -> None:
    """That is a conflict, and costs the second one only that name."""
    body = "app.add_url_rule('/x', 'x', lambda: __plugin_name__)\napp.jinja_env.filters['f'] = str"
    for name in "ab":
        host.plugin(name, ready(body))
    host.start(strict=False)
    assert host.get("/x") == "a"
    assert [(c.kind, c.loser) for c in host.pm.conflicts] == [
        ("endpoint", "b"),
        ("filter", "b"),
        ("route", "b"),
    ]


def test_an_ordinary_extension_is_not_told_of(shop: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Everything that it registers was recorded."""
    assert "changed the application" not in caplog.text
    twin = shop.twin()
    with caplog.at_level(logging.WARNING):
        twin.start()
    assert "changed the application" not in caplog.text
