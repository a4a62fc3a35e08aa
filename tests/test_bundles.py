"""What one plugin adds, sorted once; and the names that several want."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import built, named, plugin

from flask_pluginkit.bundles import EMPTY, Bundle, bundle, contested
from flask_pluginkit.points import Claim, Contribution, Named, Route
from flask_pluginkit.snapshot import APPLICATION, TABLE_KINDS, Snapshot


def route(owner: str, rule: str, endpoint: str) -> Route:
    """A route that answers GET."""
    fake = SimpleNamespace(rule=rule, endpoint=endpoint, serial=1)
    return Route(owner=owner, rule=fake, keys=((rule, "GET"),))


def bundles(**wanted: str) -> list[Bundle]:
    """Plugins that each want some filters."""
    return [
        bundle(named(owner, "filter", name) for name in names.split())
        for owner, names in wanted.items()
    ]


def test_what_a_plugin_adds_keeps_its_order() -> None:
    """All of it, and within each kind."""
    items = [named("a", "filter", "y"), route("a", "/", "z"), named("a", "test", "x")]
    made = bundle(items)
    assert made.all == tuple(items)
    assert made.named == (items[0], items[2])
    assert made.routes == (items[1],)


def test_blueprints_stand_apart_from_other_names() -> None:
    """They come before all others, of all plugins."""
    items = [named("a", "filter", "x"), named("a", "blueprint", "shop")]
    made = bundle(items)
    assert (made.blueprints, made.named) == ((items[1],), (items[0],))


def test_a_plugin_claims_its_names_and_routes() -> None:
    """Each for itself."""
    made = bundle([named("a", "filter", "x"), route("a", "/", "e")])
    assert made.claims == {("filter", "x"): "a", ("route", ("/", "GET")): "a"}


def test_who_adds_nothing_claims_nothing() -> None:
    """As a plugin that isn't active."""
    assert (EMPTY.all, EMPTY.claims, EMPTY.needs_others) == ((), {}, False)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([named("a", "endpoint", "e"), route("a", "/", "e")], False),
        ([route("a", "/", "e")], True),
        ([named("a", "blueprint", "shop")], False),
        ([named("a", "blueprint", "shop.cart", parent="shop")], True),
    ],
)
def test_a_plugin_that_needs_others_is_known(items: list[Contribution], expected: bool) -> None:
    """By a rule whose view is another's, or a blueprint in another one."""
    assert bundle(items).needs_others is expected


def test_commands_are_known() -> None:
    """Looking for them in all plugins would take long."""
    assert bundle([named("a", "command", "count")]).has_commands
    assert not bundle([named("a", "filter", "count")]).has_commands


def test_names_that_all_differ_are_contested_by_nobody() -> None:
    """And are told with their owners."""
    owners, names = contested(bundles(a="x", b="y"), {("filter", "z"): APPLICATION})
    assert owners == {("filter", "x"): "a", ("filter", "y"): "b"}
    assert names == frozenset()


def test_what_two_plugins_want_is_contested() -> None:
    """And nothing else."""
    assert contested(bundles(a="x y", b="y z"), {})[1] == {("filter", "y")}


def test_what_the_application_has_is_contested() -> None:
    """As soon as one plugin wants it."""
    reserved: dict[Claim, str] = dict.fromkeys([("filter", "x"), ("filter", "other")], APPLICATION)
    assert contested(bundles(a="x y"), reserved)[1] == {("filter", "x")}


# ---- the same as asking for each name ------------------------------------------------------------

NAMES = st.sampled_from(["x", "y", "z"])


@st.composite
def plugins(draw: st.DrawFn) -> list[list[Contribution]]:
    """A few plugins with a few names, of which several may be wanted by more than one."""
    found = []
    for owner in "abcd"[: draw(st.integers(0, 4))]:
        kinds = draw(st.lists(st.tuples(st.sampled_from(TABLE_KINDS), NAMES), max_size=4))
        items: list[Contribution] = [named(owner, kind, name) for kind, name in kinds]
        items += [
            Named(owner=owner, kind="filter", name="of", value=owner, blueprint=blueprint)
            for blueprint in draw(st.lists(NAMES, max_size=1))
        ]
        items += [
            named(owner, "blueprint", f"{parent}.{owner}", parent=parent)
            for parent in draw(st.lists(NAMES, max_size=1))
        ]
        items += [
            route(owner, draw(st.sampled_from(["/", "/x"])), endpoint)
            for endpoint in draw(st.lists(NAMES, max_size=2))
        ]
        found.append(items)
    return found


def shown(snapshot: Snapshot) -> Any:
    """What of a snapshot depends on who gets what."""
    tables = {kind: list(table.items()) for kind, table in snapshot.tables.items()}
    routes = [(route.owner, route.rule.rule, route.rule.endpoint) for route in snapshot.routes]
    return tables, routes, snapshot.owners, snapshot.conflicts


@given(plugins(), st.lists(st.tuples(st.sampled_from(TABLE_KINDS), NAMES), max_size=2))
def test_plugins_without_rivals_get_what_asking_would_give_them(
    wanted: list[list[Contribution]], reserved: list[Claim]
) -> None:
    """Who gets what doesn't depend on whether each name is looked at."""
    rows = [plugin(name, *items) for name, items in zip("abcd", wanted, strict=False)]
    quick = shown(built(*rows, reserved=reserved))
    for row in rows:
        object.__setattr__(row.bundle, "needs_others", True)
    assert shown(built(*rows, reserved=reserved)) == quick
