"""What can't work from another process is refused when the plugin is loaded, with a reason."""

from __future__ import annotations

import pytest
from inner import EVERYTHING, LoadInner, ask, inside, refused, value, visited
from trees import clean_imports

from flask_pluginkit.isolation.inside.plugin import Inner
from flask_pluginkit.isolation.messages import (
    Head,
)

__all__ = ["clean_imports", "inside"]


def register(text: str, before: str = "") -> str:
    """The body of a plugin whose ``register()`` returns an expression."""
    return f"{before}\ndef register():\n    return {text}\n"


def has_nothing_fatal(inner: Inner) -> bool:
    return not any(one.is_fatal for one in inner.description.refused)


@pytest.mark.parametrize(
    ("kind", "text", "before"),
    [
        ("p3", "{'p3': {'other': {'tcp': lambda value: value}}}", ""),
        ("signal", "{'signal': [(flask.request_started, print)]}", "import flask"),
        ("cli", "{'cli': click.Command('go')}", "import click"),
        ("tcp", "{'tcp': {'now': print}}", ""),
        ("global", "{'global': {'now': print}}", ""),
        ("tcp", "{'tcp': {'a': {1: 2}}}", ""),
        ("errhandler", "{'errhandler': [{'error': KeyError, 'handler': print}]}", ""),
        ("filter", "{'filter': {'f': f}}", "import jinja2\n@jinja2.pass_context\ndef f(c): 0\n"),
        (
            "blueprint",
            "{'bep': {'blueprint': flask.Blueprint('b', 'b'), 'prefix': '/b', 'parent': 'o'}}",
            "import flask",
        ),
        (
            "route",
            "{'vep': {'rule': '/x', 'view_func': print, 'endpoint': 'x', '_blueprint': 'other'}}",
            "",
        ),
    ],
)
def test_what_cannot_cross_is_refused(inside: LoadInner, kind: str, text: str, before: str) -> None:
    """Each with a reason, and the plugin works without it."""
    inner = inside(register(text, before))
    assert refused(inner, kind).reason
    assert has_nothing_fatal(inner)


def test_a_function_in_the_context_still_works_in_own_templates(inside: LoadInner) -> None:
    """Only the host's templates don't have it."""
    inner = inside(register("{'tcp': {'now': lambda: 'NOW'}, 'tep': {'nav': '{{ now() }}'}}"))
    assert "own templates" in refused(inner, "tcp").reason
    assert value(ask(inner, inner.description.teps[0].reference)) == "NOW"


# ---- routes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["/", "/other/x", "/hello2", "/<path:everything>", "/hell<x>"])
def test_a_rule_elsewhere_is_refused_and_says_what_to_ask_for(inside: LoadInner, rule: str) -> None:
    """Each is named, with the permission that it needs."""
    view = "lambda **values: 'x'"
    inner = inside(register(f"{{'vep': {{'rule': {rule!r}, 'view_func': {view}}}}}"))
    found = refused(inner, "route")
    assert found.name == rule
    assert "it isn't below /hello/" in found.reason
    assert "__permissions__ = ['routes:/" in found.reason
    assert inner.description.routes == ()


@pytest.mark.parametrize("rule", ["/hello", "/hello/", "/hello/<x>", "/shop", "/shop/<x>"])
def test_a_rule_below_the_name_or_a_granted_path_is_described(inside: LoadInner, rule: str) -> None:
    """The path itself belongs to it."""
    view = "lambda **values: 'x'"
    inner = inside(
        register(f"{{'vep': {{'rule': {rule!r}, 'view_func': {view}}}}}"), "routes:/shop"
    )
    assert [route.rule for route in inner.description.routes] == [rule]


def test_a_converter_of_the_plugins_own_is_refused(inside: LoadInner) -> None:
    """The host can't run it."""
    body = """
    from werkzeug.routing import BaseConverter
    class Own(BaseConverter): pass
    def register(): return {}
    def on_app_ready(app):
        app.url_map.converters["own"] = Own
        app.add_url_rule("/hello/<own:x>", "x", lambda x: x)
    """
    assert "<x> has the converter Own" in refused(inside(body), "route").reason


def test_a_subdomain_is_refused(inside: LoadInner) -> None:
    """The host's names are the host's."""
    vep = "{'vep': {'rule': '/hello/', 'view_func': print, 'subdomain': 'www'}}"
    assert "subdomain" in refused(inside(register(vep)), "route").reason


# ---- hooks ----------------------------------------------------------------------------------

_HOOK = "{{'hep': {{{!r}: lambda *values: None}}}}"


@pytest.mark.parametrize(
    ("hook", "permission"), [("after_request", "responses"), ("teardown_request", "requests")]
)
def test_a_hook_without_its_permission_is_left_out(
    inside: LoadInner, hook: str, permission: str
) -> None:
    """The reason names the permission."""
    inner = inside(register(_HOOK.format(hook)))
    assert f"__permissions__ = ['{permission}']" in refused(inner, "hook").reason
    assert has_nothing_fatal(inner)
    assert inner.description.hooks == ()


@pytest.mark.parametrize("hook", ["before_request", "after_request", "teardown_request"])
def test_a_hook_with_its_permissions_is_described(inside: LoadInner, hook: str) -> None:
    """By Flask's table."""
    inner = inside(register(_HOOK.format(hook)), *EVERYTHING)
    assert [one.table for one in inner.description.hooks] == [f"{hook}_funcs"]
    assert inner.description.refused == ()


@pytest.mark.parametrize("granted", [(), ("requests",), ("requests:answer",)])
def test_a_guard_that_may_not_answer_is_fatal(inside: LoadInner, granted: tuple[str, ...]) -> None:
    """A plugin that protects pages isn't active without its protection."""
    inner = inside(register(_HOOK.format("before_request")), *granted)
    found = refused(inner, "hook")
    assert found.is_fatal
    assert "__permissions__ = ['requests', 'requests:answer']" in found.reason


def test_an_optional_guard_may_watch(inside: LoadInner) -> None:
    """It said that pages may be shown without it."""
    inner = inside(register(_HOOK.format("before_request")), "requests", optional=True)
    assert len(inner.description.hooks) == 1
    assert inner.description.refused == ()


def test_an_optional_guard_without_permission_is_left_out(inside: LoadInner) -> None:
    """The rest of the plugin is active."""
    inner = inside(register(_HOOK.format("before_request")), optional=True)
    assert not refused(inner, "hook").is_fatal
    assert inner.description.hooks == ()


@pytest.mark.parametrize(
    ("method", "is_fatal"), [("url_value_preprocessor", True), ("url_defaults", False)]
)
def test_functions_for_all_urls_are_refused(inside: LoadInner, method: str, is_fatal: bool) -> None:
    """One of them may be a guard."""
    body = f"def register(): return {{}}\ndef on_app_ready(app): app.{method}(lambda *v: None)\n"
    inner = inside(body, *EVERYTHING)
    assert refused(inner, "hook").is_fatal is is_fatal


def test_hooks_run_for_own_views_without_permission(inside: LoadInner) -> None:
    """In the context of the view, as in the host."""
    body = """
    from flask import g
    def begin(): g.began = "yes"
    def end(response):
        response.headers["X-End"] = g.began
        return response
    def register():
        return {
            "hep": {"before_request": begin, "after_request": end},
            "vep": {"rule": "/hello/", "view_func": lambda: g.began},
        }
    """
    [head] = visited(inside(body), "/hello/")
    assert isinstance(head, Head)
    assert head.body == b"yes"
    assert dict(head.headers)["X-End"] == "yes"
