"""What a plugin's blueprint registers for the whole application is the plugin's, too."""

from __future__ import annotations

import pytest
from flask import Blueprint, abort, current_app, render_template_string, url_for
from hosts import Host, blueprint_plugin, clean_imports, host

__all__ = ["clean_imports", "host"]

APP_WIDE = """
@blueprint.before_app_request
def before_app():
    g.seen = ["app-wide"]

@blueprint.after_app_request
def after_app(response):
    response.headers["X-Shop"] = "open"
    return response

@blueprint.teardown_app_request
def teardown_app(error):
    current_app.config["TORN"] = True

@blueprint.app_context_processor
def variables():
    return {"shop_name": "corner shop"}

@blueprint.app_template_filter("price")
def price(value):
    return f"{value} EUR"

@blueprint.app_template_test("cheap")
def cheap(value):
    return value < 10

@blueprint.app_template_global("opening_hours")
def opening_hours():
    return "9-5"

@blueprint.app_errorhandler(418)
def teapot(error):
    return "the shop sells tea", 418

@blueprint.app_url_defaults
def defaults(endpoint, values):
    values.setdefault("shop", 1)

@blueprint.cli.command("stock")
def stock():
    print("stock of", current_app.name)

@blueprint.record
def keep(state):
    state.app.extensions["shop"] = {"app": state.app, "first": state.first_registration}
    state.app.config["SHOP"] = state.app.extensions["shop"]["app"].name
    state.app.jinja_env.filters["recorded"] = lambda value: f"<{value}>"

@blueprint.record_once
def once(state):
    state.app.config["ONCE"] = state.app.config.get("ONCE", 0) + 1
"""


@pytest.fixture
def shop(host: Host) -> Host:
    """A host whose plugin has a blueprint with everything that is for the whole application."""
    host.app.add_url_rule(
        "/", "home", lambda: current_app.jinja_env.get_template("home.html").render()
    )
    host.template("home.html", "{{ 5|price }}")
    host.plugin("a", blueprint_plugin("shop", "'prefix': '/shop'", APP_WIDE))
    host.start()
    return host


def test_app_wide_hooks_run_for_every_request(shop: Host) -> None:
    """They are contributions of the plugin like any other."""
    response = shop.open("/")
    assert response.headers["X-Shop"] == "open"
    assert shop.app.config["TORN"] is True
    assert shop.get("/shop/") == "shop.index app-wide shop"
    assert shop.row("a").counts["before_request"][0] == 3


def test_app_wide_names_are_there_in_every_template(shop: Host) -> None:
    """Filters, tests and globals."""
    source = "{{ 5|price }} {{ 5 is cheap }} {{ opening_hours() }} {{ 1|recorded }}"
    assert shop.render(source) == "5 EUR True 9-5 &lt;1&gt;"
    assert shop.pm.owner_of("filter", "price") == "a"
    assert shop.pm.owner_of("test", "cheap") == "a"
    assert shop.pm.owner_of("global", "opening_hours") == "a"
    assert shop.pm.owner_of("filter", "recorded") == "a"


def test_an_app_wide_context_processor_reaches_the_hosts_pages(shop: Host) -> None:
    """As Flask has it."""
    with shop.app.test_request_context():
        assert render_template_string("{{ shop_name }}") == "corner shop"


def test_an_app_wide_error_handler_answers_for_the_hosts_views(shop: Host) -> None:
    """For what the host's own code aborts with."""
    shop.app.add_url_rule("/tea", "tea", lambda: abort(418))
    assert shop.get("/tea") == "the shop sells tea"


def test_app_wide_url_defaults_count_for_the_hosts_urls(shop: Host) -> None:
    """They are asked for each URL that is built."""
    with shop.app.test_request_context():
        assert url_for("home") == "/?shop=1"


def test_commands_of_a_blueprint_are_commands_of_the_application(shop: Host) -> None:
    """Under the blueprint's name, as in Flask."""
    result = shop.app.test_cli_runner().invoke(args=["shop", "stock"])
    assert result.output == "stock of host\n"
    assert shop.pm.owner_of("command", "shop") == "a"


def test_what_a_blueprint_records_sees_the_real_application(shop: Host) -> None:
    """Extensions are looked up and kept there."""
    assert shop.app.extensions["shop"]["app"] is shop.app
    assert shop.app.config["SHOP"] == "host"


def test_record_once_runs_once_for_each_application(shop: Host) -> None:
    """As when Flask registers the blueprint itself."""
    twin = shop.twin()
    twin.start()
    assert (shop.app.config["ONCE"], twin.app.config["ONCE"]) == (1, 1)
    assert twin.render("{{ 5|price }}") == "5 EUR"


def test_an_app_wide_registration_of_a_refused_blueprint_is_refused_too(host: Host) -> None:
    """Nothing of it is left in the application's tables."""
    host.app.register_blueprint(Blueprint("shop", "host"))
    host.plugin(
        "a", blueprint_plugin("shop", "'prefix': '/shop'", APP_WIDE, filter="{'late': str}")
    )
    host.start(strict=False)
    assert [conflict.kind for conflict in host.pm.conflicts] == ["blueprint"]
    assert "price" not in host.app.jinja_env.filters
    assert "late" in host.app.jinja_env.filters
    assert "X-Shop" not in host.open("/missing").headers


def test_a_blueprint_that_fails_to_register_leaves_nothing(host: Host) -> None:
    """What it had registered for the whole application by then is dropped."""
    body = f"{APP_WIDE}\n@blueprint.record\ndef fail(state):\n    raise RuntimeError('no shop')\n"
    before = {name: dict(value) for name, value in tables(host).items()}
    host.plugin("a", blueprint_plugin("shop", "'prefix': '/shop'", body))
    host.start(strict=False)
    assert host.row("a").reason == (
        "The plugin a failed registering its blueprint: RuntimeError: no shop"
    )
    after = tables(host)
    assert {name: set(after[name]) for name in before} == {
        name: set(value) | ({"assets"} if name == "view_functions" else set())
        for name, value in before.items()
    }
    assert "X-Shop" not in host.open("/missing").headers
    assert "shop" not in host.app.extensions


def tables(host: Host) -> dict[str, dict[str, object]]:
    """The application's tables of names."""
    return {
        "view_functions": host.app.view_functions,  # type: ignore[dict-item]
        "blueprints": host.app.blueprints,  # type: ignore[dict-item]
        "filters": host.app.jinja_env.filters,
        "tests": host.app.jinja_env.tests,  # type: ignore[dict-item]
    }
