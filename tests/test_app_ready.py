"""on_app_ready: a plugin registers on an application that has everything else."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from flask import Flask
from hosts import EXTENSION, Host, clean_imports, host, ready

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]


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


def test_it_builds_the_urls_of_other_plugins(host: Host) -> None:
    """Also of those that come later; matched they are when the host has registered its own."""
    body = """
from flask import url_for
with app.test_request_context():
    seen.append(url_for("page"))
    seen.append(url_for("page", number=2))
    seen.append(url_for("home"))
"""
    host.app.add_url_rule("/", "home", lambda: "home")
    host.plugin("a", ready(body))
    host.plugin(
        "b",
        """
        def page(number=0):
            return f"page {number}"
        def register():
            rules = ("/page/<int:number>", "/page")
            return {"vep": [{"rule": r, "view_func": page, "endpoint": "page"} for r in rules]}
        """,
    )
    host.start()
    assert host.module("a").seen == ["/page", "/page/2", "/"]
    assert (host.get("/page"), host.get("/page/2")) == ("page 0", "page 2")
    pages = [rule.rule for rule in host.app.url_map.iter_rules("page")]
    assert sorted(pages) == ["/page", "/page/<int:number>"]


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
    host.plugin("a", "on_app_ready = type\ndef register():\n    return {}\n")
    host.start()
    assert host.row("a").status is Status.ACTIVE


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


def test_a_failure_takes_back_what_was_replaced(host: Host) -> None:
    """A middleware of a plugin that isn't there would be a ghost."""
    body = "app.wsgi_app = None\napp.teardown_appcontext_funcs = None\nraise RuntimeError('no')"
    host.plugin("a", ready(body))
    host.start(strict=False)
    host.app.add_url_rule("/", "home", lambda: "home")
    assert host.get("/") == "home"
    assert host.app.teardown_appcontext_funcs == []


def test_an_error_of_ours_is_told_as_it_is(host: Host) -> None:
    """A plugin may raise one itself: it says what is wrong, without another one around it."""
    body = "from flask_pluginkit.exceptions import PEPError\nraise PEPError('no shop here')"
    host.plugin("a", ready(body))
    with pytest.raises(PEPError) as caught:
        host.start(strict=True)
    assert str(caught.value) == "no shop here"
    assert caught.value.__cause__ is None


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
