"""on_app_ready: a plugin registers on an application that has everything else."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from flask import Flask, abort, render_template_string, url_for
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]


def ready(body: str, parameters: str = "app", register: str = "{}") -> str:
    """A plugin with this on_app_ready()."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"""
from flask import Blueprint, current_app, g, request

seen = []

def on_app_ready({parameters}):
{lines}

def register():
    return {register}
"""


EXTENSION = """
class Extension:
    def init_app(self, app):
        app.extensions["shop"] = self
        app.config.setdefault("SHOP_NAME", "corner shop")
        app.before_request(self.open)
        app.after_request(self.close)
        app.teardown_request(lambda error: seen.append("teardown"))
        app.teardown_appcontext(lambda error: seen.append("appcontext"))
        app.context_processor(lambda: {"shop_name": app.config["SHOP_NAME"]})
        app.shell_context_processor(lambda: {"shop": self})
        app.jinja_env.filters["price"] = lambda value: f"{value} EUR"
        app.jinja_env.tests["cheap"] = lambda value: value < 10
        app.jinja_env.globals["hours"] = lambda: "9-5"
        app.template_filter("euro")(lambda value: f"EUR {value}")
        app.cli.command("stock")(self.stock)
        app.errorhandler(418)(lambda error: ("tea", 418))
        app.url_defaults(lambda endpoint, values: values.setdefault("shop", 1))
        app.url_value_preprocessor(lambda endpoint, values: seen.append(f"values {endpoint}"))
        app.route("/shop")(self.index)
        blueprint = Blueprint("cart", __name__)
        blueprint.add_url_rule("/cart", "cart", lambda: "cart")
        app.register_blueprint(blueprint)
        app.url_build_error_handlers.append(lambda error, endpoint, values: f"/no/{endpoint}")

    def open(self):
        seen.append("before")

    def close(self, response):
        response.headers["X-Shop"] = "closed"
        return response

    def stock(self):
        print("stock of", current_app.name)

    def index(self):
        return "shop"

extension = Extension()
"""


@pytest.fixture
def shop(host: Host) -> Host:
    """A host whose plugin sets up an extension that uses everything that Flask offers."""
    host.plugin("a", EXTENSION + ready("extension.init_app(app)"))
    host.start()
    return host


# ---- how it is called ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("app", "app"),
        ("", "nothing"),
        ("application=None", "app"),
        ("*arguments", "app"),
        ("app, extra=1", "app"),
        ("**options", "nothing"),
        ("*, extra=1", "nothing"),
    ],
)
def test_it_takes_the_application_or_nothing(host: Host, parameters: str, expected: str) -> None:
    """Told by its signature: 3.x called it a second time and hid a TypeError that way."""
    body = "given = [v for v in locals().values() if v and v != 1]\nseen.append(given)"
    host.plugin("a", ready(body, parameters))
    host.start()
    (given,) = host.module("a").seen
    flat = [*given[0]] if given and isinstance(given[0], tuple) else given
    assert flat == ([host.app] if expected == "app" else [])


def test_a_type_error_inside_of_it_is_a_fault_of_its_own(host: Host) -> None:
    """It isn't called again without the application."""
    host.plugin("a", ready("seen.append(1)\nlen(1)"))
    host.start(strict=False)
    assert host.row("a").status is Status.FAILED
    assert "TypeError" in host.row("a").reason
    assert host.module("a").seen == [1]


def test_it_runs_in_an_application_context_after_everything_else(host: Host) -> None:
    """It sees the routes, filters and blueprints of all plugins."""
    host.plugin(
        "a",
        ready(
            "seen.append(current_app._get_current_object() is app)\n"
            "seen.append('pluginkit' in app.extensions)\n"
            "seen.append(request.__class__.__name__)"
        ),
    )
    host.start()
    assert host.module("a").seen == [True, True, "LocalProxy"]


def test_it_sees_what_other_plugins_registered(host: Host) -> None:
    """In 3.x it ran before anything was there."""
    host.plugin(
        "a",
        ready(
            "seen.append('shop' in app.blueprints)\n"
            "seen.append(app.view_functions['shop.index']())\n"
            "seen.append(app.view_functions.get('page')())\n"
            "seen.append(app.view_functions.get('home')())\n"
            "seen.append(app.jinja_env.filters['loud']('x'))\n"
            "source = '{{ 1|loud }} {{ emit_tep(\"nav\") }}'\n"
            "seen.append(app.jinja_env.from_string(source).render())"
        ),
    )
    host.plugin(
        "b",
        """
        from flask import Blueprint
        blueprint = Blueprint("shop", __name__)
        blueprint.add_url_rule("/shop", "index", lambda: "shop")
        def register():
            return {
                "bep": {"blueprint": blueprint, "prefix": None},
                "vep": {"rule": "/page", "view_func": lambda: "page", "endpoint": "page"},
                "filter": {"loud": lambda value: f"{value}!"},
                "tep": {"nav": "nav"},
            }
        """,
    )
    host.app.add_url_rule("/", "home", lambda: "home")
    host.start()
    assert host.module("a").seen == [True, "shop", "page", "home", "x!", "1! nav"]


@pytest.mark.parametrize("value", ["None", "7", "'text'"])
def test_something_else_of_that_name_is_a_fault(host: Host, value: str) -> None:
    """Whoever writes it meant a function; None means that there is none."""
    host.plugin("a", f"on_app_ready = {value}\ndef register():\n    return {{}}\n")
    host.start(strict=False)
    if value == "None":
        assert host.row("a").status is Status.ACTIVE
    else:
        assert host.row("a").reason == "a: on_app_ready is no function"


def test_a_callable_without_a_readable_signature_gets_the_application(host: Host) -> None:
    """Some builtins have none."""
    host.plugin("a", "seen = []\non_app_ready = seen.append\ndef register():\n    return {}\n")
    host.start()
    assert host.module("a").seen == [host.app]


# ---- what it registers -----------------------------------------------------------------------


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


# ---- when it fails ---------------------------------------------------------------------------


def everything(app: Flask) -> dict[str, Any]:
    """What an application has, by name, as far as names can tell."""
    return {
        "endpoints": set(app.view_functions),
        "blueprints": set(app.blueprints),
        "filters": set(app.jinja_env.filters),
        "tests": set(app.jinja_env.tests),
        "globals": set(app.jinja_env.globals),
        "commands": set(app.cli.commands),
        "rules": {rule.rule for rule in app.url_map.iter_rules()},
        "extensions": set(app.extensions),
        "hooks": {
            name: {scope: len(found) for scope, found in getattr(app, name).items() if found}
            for name in (
                "before_request_funcs",
                "after_request_funcs",
                "teardown_request_funcs",
                "template_context_processors",
                "url_value_preprocessors",
                "url_default_functions",
            )
        },
        "lists": [
            len(app.teardown_appcontext_funcs),
            len(app.shell_context_processors),
            len(app.url_build_error_handlers),
        ],
        "handlers": [
            (scope, code, error)
            for scope, codes in app.error_handler_spec.items()
            for code, handlers in codes.items()
            for error in handlers
        ],
        "attributes": {name for name in vars(app) if name != "jinja_env"},
    }


@pytest.mark.parametrize("error", ["RuntimeError('no')", "SystemExit(3)", "KeyError"])
def test_a_failure_leaves_nothing(host: Host, error: str) -> None:
    """The application is as if the plugin weren't there."""
    body = f"extension.init_app(app)\napp.own_attribute = 1\nraise {error}"
    host.plugin("a", EXTENSION + ready(body))
    host.start(strict=False)
    without = Host(host.folder / "empty")
    without.start()
    assert host.row("a").status is Status.FAILED
    assert host.row("a").reason.startswith("The plugin a failed on_app_ready: ")
    assert everything(host.app) == everything(without.app)
    response = host.open("/shop")
    assert (response.status_code, "X-Shop" in response.headers) == (404, False)
    assert host.module("a").seen == []


def test_a_failure_of_one_plugin_leaves_the_others(host: Host) -> None:
    """What they registered before and after it stays."""
    for name in "abc":
        fails = "raise RuntimeError" if name == "b" else "pass"
        body = f"app.extensions[{name!r}] = 1\napp.jinja_env.filters[{name!r}] = str\n{fails}"
        host.plugin(name, ready(body))
    host.start(strict=False)
    assert {"a", "c"} <= set(host.app.extensions)
    assert {"a", "c"} <= set(host.app.jinja_env.filters)
    assert "b" not in host.app.extensions
    assert "b" not in host.app.jinja_env.filters


def test_in_strict_mode_a_failure_ends_the_start(host: Host) -> None:
    """With the application as it was before, and the cause at hand."""
    without = everything(host.app)
    host.plugin("a", EXTENSION + ready("extension.init_app(app)\nraise RuntimeError('no')"))
    with pytest.raises(PEPError, match="The plugin a failed on_app_ready") as caught:
        host.start(strict=True)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert everything(host.app) == without
    host.app.add_url_rule("/", "home", lambda: "home")
    assert host.get("/") == "home"


def test_a_start_that_failed_leaves_no_receivers(host: Host) -> None:
    """Signals are global: a receiver of an application without plugins would be a ghost."""
    host.plugin(
        "a",
        ready(
            "pass",
            register="{'signal': {request_finished: lambda sender, **values: seen.append(1)}}",
        ).replace("import Blueprint", "import request_finished, Blueprint"),
    )
    host.plugin("b", ready("raise RuntimeError('no')"), requires={"a": ">=1"})
    with pytest.raises(PEPError):
        host.start(strict=True)
    host.get("/")
    assert sys.modules["plugins.a"].seen == []


# ---- what can't be recorded ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        ("app.wsgi_app = type(app.wsgi_app)(app.wsgi_app.wsgi_app, app.wsgi_app.site)", "wsgi_app"),
        ("app.own = 1", "own"),
        ("app.json_encoder_of_mine = object()\napp.aborter = app.make_aborter()", "aborter, json"),
    ],
)
def test_a_changed_attribute_of_the_application_is_told(
    host: Host, caplog: pytest.LogCaptureFixture, body: str, attribute: str
) -> None:
    """It stays until the restart, whatever becomes of the plugin."""
    host.plugin("a", ready(body))
    with caplog.at_level(logging.WARNING):
        host.start()
    assert f"plugin 'a' changed the application itself ({attribute}" in caplog.text
    assert host.row("a").status is Status.ACTIVE


def test_an_ordinary_extension_is_not_told_of(shop: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Everything that it registers was recorded."""
    assert "changed the application" not in caplog.text
    twin = shop.twin()
    with caplog.at_level(logging.WARNING):
        twin.start()
    assert "changed the application" not in caplog.text


def test_a_plugin_may_wrap_the_wsgi_application(host: Host) -> None:
    """The request is pinned as before."""
    body = """
inner = app.wsgi_app
def middleware(environ, start_response):
    environ["HTTP_X_SEEN"] = "middleware"
    return inner(environ, start_response)
app.wsgi_app = middleware
"""
    register = "{'vep': {'rule': '/x', 'view_func': lambda: request.headers['X-Seen']}}"
    host.plugin("a", ready(body, register=register))
    host.start()
    assert host.get("/x") == "middleware"


def test_after_the_first_request_the_host_is_locked_as_before(host: Host) -> None:
    """Only a recording may register then."""
    host.plugin("a", ready("app.before_request(lambda: None)"))
    host.start()
    host.get("/")
    with pytest.raises(AssertionError, match="can no longer be called"):
        host.app.before_request(lambda: None)
