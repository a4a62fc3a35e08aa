"""The host believes of a worker's description only what the plugin may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.routing import Map, Rule

from flask_pluginkit.isolation.checking import MOST, checked
from flask_pluginkit.isolation.messages import (
    Description,
    ErrorInfo,
    FunctionInfo,
    HookInfo,
    RouteInfo,
    Spec,
    TepInfo,
)

Permissions = tuple[str, ...]


def spec(*permissions: str) -> Spec:
    """A plugin called guest."""
    return Spec(
        plugin="guest",
        level="isolated",
        folder="/srv/guest",
        module="plugins.guest",
        digest="0",
        permissions=permissions,
    )


def route(rule: str, **more: Any) -> Description:
    """A description with one route."""
    given = {"rule": rule, "endpoint": "guest.view", "methods": ("GET",), **more}
    return Description(routes=(RouteInfo(**given),))


@pytest.mark.parametrize(
    "rule",
    ["/guest", "/guest/", "/guest/a/<int:id>", "/guest/<path:rest>", "/guest/<any(a,b):x>/c"],
)
def test_rules_below_its_own_path_are_taken(rule: str) -> None:
    """With Werkzeug's own converters."""
    assert checked(route(rule), spec()).routes[0].rule == rule


@pytest.mark.parametrize(
    "rule",
    [
        "/",
        "/login",
        "/guests",
        "/guest<rest>",
        "/<path:rest>",
        "/guest/../login",
        "/guest//login",
        "/guest/<user:id>",
        "/guest/<bad",
        "/guest/\n",
        "/guest/" + "a" * 600,
        "guest/",
        "",
    ],
)
def test_other_rules_are_refused(rule: str) -> None:
    """With a reason."""
    found = checked(route(rule), spec())
    assert not found.routes
    assert found.refused[0].kind == "route"
    assert found.refused[0].reason


def test_a_granted_path_is_its_own_too() -> None:
    """And what lies below it."""
    assert checked(route("/blog/<int:id>"), spec("routes:/blog")).routes
    assert not checked(route("/blogs"), spec("routes:/blog")).routes


@pytest.mark.parametrize(
    "wrong",
    [
        {"methods": ("CONNECT",)},
        {"methods": ()},
        {"endpoint": "a/b"},
        {"endpoint": ""},
        {"endpoint": "x" * 600},
        {"subdomain": "admin"},
    ],
)
def test_odd_endpoints_methods_and_subdomains_are_refused(wrong: dict[str, Any]) -> None:
    """What no Flask application would say of itself."""
    assert not checked(route("/guest/", **wrong), spec()).routes


@given(st.text(max_size=40))
def test_no_rule_reaches_beyond_its_own_paths(text: str) -> None:
    """Whatever it is: what is taken can be compiled, and matches nothing of the site's."""
    for rule in (text, f"/guest{text}", f"/guest/{text}"):
        for kept in checked(route(rule), spec()).routes:
            urls = Map([Rule(kept.rule, endpoint="x")]).bind("localhost")
            for path in ("/", "/login", "/guests", "/guest-book", "/assets/guest/x.css"):
                assert not urls.test(path)


@pytest.mark.parametrize(
    ("table", "permission"),
    [
        ("before_request_funcs", "requests"),
        ("after_request_funcs", "responses"),
        ("teardown_request_funcs", "requests"),
    ],
)
def test_hooks_need_their_permission(table: str, permission: str) -> None:
    """The worker said it has the hook; the host looks at what was granted."""
    described = Description(hooks=(HookInfo(table=table, scope=None, reference=0),))
    assert not checked(described, spec()).hooks
    assert checked(described, spec(permission)).hooks


def test_other_tables_are_refused() -> None:
    """Such as the one that changes the arguments of every URL of the site."""
    described = Description(
        hooks=(HookInfo(table="url_value_preprocessors", scope=None, reference=0),)
    )
    assert not checked(described, spec("requests:answer", "responses")).hooks


def test_an_error_page_of_the_site_needs_the_permission_to_answer() -> None:
    """It stands in place of the site's own."""
    described = Description(errors=(ErrorInfo(code=404, reference=0),))
    assert not checked(described, spec("requests")).errors
    assert checked(described, spec("requests:answer")).errors
    odd = Description(errors=(ErrorInfo(code=299, reference=0),))
    assert not checked(odd, spec("requests:answer")).errors


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "9", "x" * 200, "a.b", "\x1b[2J"])
def test_odd_names_are_refused(name: str) -> None:
    """Of filters, variables and globals."""
    described = Description(
        functions=(FunctionInfo(kind="filter", name=name, reference=0),),
        context={name: 1},
        names={name: 1},
    )
    found = checked(described, spec())
    assert (found.functions, found.context, found.names) == ((), {}, {})
    assert all("\x1b" not in one.name for one in found.refused)


def test_there_is_a_limit_to_everything() -> None:
    """A worker can't fill the host's tables."""
    tep = TepInfo(slot="nav", given="x", is_file=False, reference=0)
    found = checked(Description(teps=(tep,) * (MOST + 5)), spec())
    assert len(found.teps) == MOST
    assert found.refused


def test_what_is_usual_is_taken() -> None:
    """Nothing of an ordinary plugin is lost."""
    described = Description(
        teps=(TepInfo(slot="nav", given="nav.html", is_file=True, reference=0),),
        functions=(
            FunctionInfo(kind="filter", name="money", reference=1),
            FunctionInfo(kind="dcp", name="any event", reference=2, position="left"),
        ),
        context={"answer": 42},
    )
    found = checked(described, spec())
    assert (found.teps, found.functions, found.context, found.refused) == (
        described.teps,
        described.functions,
        described.context,
        (),
    )
