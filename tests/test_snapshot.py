"""The snapshot: built from nothing each time, and pinned from a request's beginning to its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from values import built, named, plugin

from flask_pluginkit.building import build
from flask_pluginkit.ordering import make_order
from flask_pluginkit.points import (
    Conflict,
    ErrorHandler,
    Hook,
    Route,
    SignalReceiver,
    TemplatePart,
)
from flask_pluginkit.residents import Meter
from flask_pluginkit.snapshot import (
    ENVIRON_KEY,
    PIN,
    TABLE_KINDS,
    Snapshot,
    Status,
    pinned,
)


def route(owner: str, rule: str, endpoint: str, *methods: str, serial: int = 1) -> Route:
    """A route that answers these methods."""
    fake = SimpleNamespace(rule=rule, endpoint=endpoint, serial=serial)
    return Route(owner=owner, rule=fake, keys=tuple((rule, method) for method in methods))


def hook(owner: str, table: str, name: str, *, recorded: bool = False) -> Hook:
    """A hook that is just its name."""
    function: Any = name
    meter = Meter(table)
    return Hook(
        owner=owner, table=table, scope=None, function=function, recorded=recorded, meter=meter
    )


def part(owner: str, text: str, order: str | None = None, *, is_file: bool = False) -> TemplatePart:
    """A part of the slot ``nav``."""
    return TemplatePart(
        owner=owner,
        slot="nav",
        order=None if order is None else make_order(order),
        is_file=is_file,
        text=text,
        template=None,
        meter=None,
        resident=None,
    )


def texts(snapshot: Snapshot, which: str = "all") -> list[str]:
    """What the slot ``nav`` holds."""
    return [found.text for found in getattr(snapshot.slots["nav"], which)]


# ---- names -----------------------------------------------------------------------------------


def test_a_snapshot_without_plugins_is_empty() -> None:
    """An application without plugins pays for nothing."""
    empty = built()
    assert (empty.active, empty.hooks, empty.slots, empty.errors) == ({}, {}, {}, {})
    assert empty.tables == {kind: {} for kind in TABLE_KINDS}
    assert (empty.rules, empty.conflicts) == (frozenset(), ())


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_only_active_plugins_contribute(status: Status) -> None:
    """The others are listed, whatever they would have."""
    snapshot = built(plugin("a", named("a", "filter", "money"), status=status))
    assert [row.name for row in snapshot.plugins] == ["a"]
    assert (snapshot.active, snapshot.tables["filter"], snapshot.owners) == ({}, {}, {})


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_a_name_belongs_to_the_first_plugin_that_has_it(kind: str) -> None:
    """The second one loses that name, and nothing else."""
    snapshot = built(
        plugin("a", named("a", kind, "x")),
        plugin("b", named("b", kind, "x"), named("b", kind, "y")),
    )
    assert snapshot.tables[kind] == {"x": "a's", "y": "b's"}
    assert snapshot.owners == {(kind, "x"): "a", (kind, "y"): "b"}
    assert snapshot.conflicts == (Conflict(kind=kind, name="x", winner="plugin 'a'", loser="b"),)
    assert list(snapshot.active) == ["a", "b"]


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_the_applications_names_come_before_all_plugins(kind: str) -> None:
    """Whether it took them before the plugins were loaded or after."""
    snapshot = built(plugin("a", named("a", kind, "x")), reserved=[(kind, "x")])
    assert snapshot.tables[kind] == {}
    assert snapshot.conflicts == (
        Conflict(kind=kind, name="x", winner="the application", loser="a"),
    )


def test_equal_names_of_different_kinds_are_no_conflict() -> None:
    """A filter and a test may be called alike, as they may be in Jinja."""
    both = (named("a", "filter", "x"), named("b", "test", "x"))
    assert built(plugin("a", both[0]), plugin("b", both[1])).conflicts == ()


def test_a_conflict_reads_as_a_sentence_that_names_both() -> None:
    """It is shown to operators."""
    (conflict,) = built(
        plugin("a", named("a", "filter", "x")), plugin("b", named("b", "filter", "x"))
    ).conflicts
    assert str(conflict) == "filter 'x' of plugin 'b' is refused: it belongs to plugin 'a'"


# ---- routes and blueprints -------------------------------------------------------------------


def test_the_same_route_with_another_method_is_no_conflict() -> None:
    """One plugin may show a form that another one takes."""
    snapshot = built(
        plugin("a", route("a", "/x", "a", "GET", serial=1)),
        plugin("b", route("b", "/x", "b", "POST", serial=2)),
    )
    assert snapshot.rules == {1, 2}
    assert snapshot.conflicts == ()


def test_a_route_that_shares_one_method_is_refused_as_a_whole() -> None:
    """Half a rule would answer what its author didn't expect."""
    snapshot = built(
        plugin("a", route("a", "/x", "a", "GET", serial=1)),
        plugin("b", route("b", "/x", "b", "GET", "POST", serial=2)),
    )
    assert snapshot.rules == {1}
    assert snapshot.conflicts == (
        Conflict(kind="route", name="/x", winner="plugin 'a'", loser="b"),
    )


def test_a_route_to_somebody_elses_endpoint_never_reaches_it() -> None:
    """The endpoint is the conflict; its rules go without a word of their own."""
    snapshot = built(
        plugin("a", named("a", "endpoint", "page")),
        plugin("b", route("b", "/b", "page", "GET"), named("b", "endpoint", "page")),
    )
    assert snapshot.rules == frozenset()
    assert [conflict.kind for conflict in snapshot.conflicts] == ["endpoint"]


def test_a_refused_blueprint_takes_along_everything_that_came_with_it() -> None:
    """Its views, hooks and error handlers make no sense without it, nor do nested blueprints."""
    everything = (
        named("b", "blueprint", "shop"),
        named("b", "endpoint", "shop.index", blueprint="shop"),
        named("b", "blueprint", "shop.cart", blueprint="shop", parent="shop"),
        named("b", "endpoint", "shop.cart.index", blueprint="shop.cart"),
        Hook(
            owner="b",
            blueprint="shop",
            table="before_request_funcs",
            scope="shop",
            function=print,
            meter=Meter("before_request"),
        ),
        ErrorHandler(
            owner="b", blueprint="shop.cart", scope=None, code=404, error=KeyError, function=print
        ),
        named("b", "filter", "money"),
    )
    snapshot = built(plugin("a", named("a", "blueprint", "shop")), plugin("b", *everything))
    assert snapshot.tables["blueprint"] == {"shop": "a's"}
    assert snapshot.tables["endpoint"] == {}
    assert (snapshot.hooks, snapshot.errors) == ({}, {})
    assert snapshot.tables["filter"] == {"money": "b's"}
    assert [conflict.kind for conflict in snapshot.conflicts] == ["blueprint"]


def test_only_a_refused_blueprint_takes_others_along() -> None:
    """A filter may be called like a blueprint, and lose its name alone."""
    snapshot = built(
        plugin("a", named("a", "filter", "shop")),
        plugin(
            "b",
            named("b", "filter", "shop"),
            named("b", "blueprint", "shop"),
            named("b", "endpoint", "shop.index", blueprint="shop"),
        ),
    )
    assert snapshot.tables["endpoint"] == {"shop.index": "b's"}
    assert [conflict.kind for conflict in snapshot.conflicts] == ["filter"]


def test_a_nested_blueprint_needs_its_parent_to_be_live() -> None:
    """The parent may belong to another plugin, which may not be active."""
    child = plugin("b", named("b", "blueprint", "shop.cart", parent="shop"))
    parent = named("a", "blueprint", "shop")
    assert "shop.cart" in built(plugin("a", parent), child).tables["blueprint"]
    snapshot = built(plugin("a", parent, status=Status.DISABLED), child)
    assert snapshot.tables["blueprint"] == {}
    assert [conflict.reason for conflict in snapshot.conflicts] == ["no blueprint 'shop' here"]


def test_a_nested_blueprint_may_stand_in_one_of_the_application() -> None:
    """The application's names are there for everybody."""
    child = plugin("b", named("b", "blueprint", "shop.cart", parent="shop"))
    snapshot = built(child, reserved=[("blueprint", "shop")])
    assert list(snapshot.tables["blueprint"]) == ["shop.cart"]


# ---- everything else -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("before_request_funcs", ["a1", "a2", "b1", "b2"]),
        ("template_context_processors", ["a1", "a2", "b1", "b2"]),
        ("after_request_funcs", ["b2", "a2", "a1", "b1"]),
        ("teardown_request_funcs", ["b2", "a2", "a1", "b1"]),
    ],
)
def test_hooks_run_in_the_order_of_3x_and_of_flask(table: str, expected: list[str]) -> None:
    """Those of hep in plugin order; what was registered with Flask's methods in Flask's order."""
    snapshot = built(
        plugin("a", hook("a", table, "a1"), hook("a", table, "a2", recorded=True)),
        plugin("b", hook("b", table, "b1"), hook("b", table, "b2", recorded=True)),
    )
    functions: list[Any] = [hook.function for hook in snapshot.hooks[table, None].hooks]
    assert functions == expected


def test_the_last_of_equal_error_handlers_wins() -> None:
    """That is the rule of 3.x."""
    first: Any = "first"
    second: Any = "second"

    def handler(owner: str, function: Any) -> ErrorHandler:
        return ErrorHandler(owner=owner, scope=None, code=404, error=KeyError, function=function)

    snapshot = built(plugin("a", handler("a", first)), plugin("b", handler("b", second)))
    assert snapshot.errors == {(None, 404): {KeyError: "second"}}


def test_receivers_keep_plugin_order() -> None:
    """They are called in the order in which they were connected."""
    one = SignalReceiver(owner="a", signal=None, function=print)
    two = SignalReceiver(owner="b", signal=None, function=print)
    assert built(plugin("a", one), plugin("b", two)).receivers == (one, two)


def test_without_sorting_parts_stand_in_plugin_order_files_first() -> None:
    """That is the rule of 3.x when stpl is off."""
    snapshot = built(
        plugin("a", part("a", "code a", "9"), part("a", "file a", is_file=True)),
        plugin("b", part("b", "file b", "1", is_file=True), part("b", "code b")),
    )
    assert texts(snapshot) == ["file a", "file b", "code a", "code b"]
    assert (texts(snapshot, "files"), texts(snapshot, "codes")) == (
        ["file a", "file b"],
        ["code a", "code b"],
    )


@pytest.mark.parametrize(
    ("sorting", "expected"),
    [("asc", ["two", "ten", "word", "none"]), ("desc", ["word", "ten", "two", "none"])],
)
def test_with_sorting_files_and_code_are_sorted_together(sorting: str, expected: list[str]) -> None:
    """Numbers as numbers and before words; what has no order comes last in both directions."""
    snapshot = built(
        plugin("a", part("a", "none"), part("a", "ten", "10", is_file=True)),
        plugin("b", part("b", "word", "top", is_file=True), part("b", "two", "2")),
        sorting=sorting,
    )
    assert texts(snapshot) == expected
    assert texts(snapshot, "files") == [text for text in expected if text in {"ten", "word"}]
    assert texts(snapshot, "codes") == [text for text in expected if text in {"two", "none"}]


# ---- the pin ---------------------------------------------------------------------------------


def site_of(name: str) -> Any:
    """An application's side, with a current snapshot."""
    site = SimpleNamespace(name=name, current=None, app=None, settled=True)
    site.current = build(site, 2, (), {}, "")
    return site


def test_outside_of_requests_the_current_snapshot_counts() -> None:
    """Commands and jobs see what is live now."""
    site = site_of("one")
    assert pinned(site) is site.current


def test_inside_a_request_the_pinned_snapshot_counts() -> None:
    """Also when another one has become the current one meanwhile."""
    site = site_of("one")
    before = site.current
    token = PIN.set(before)
    site.current = build(site, 3, (), {}, "")
    try:
        assert pinned(site) is before
    finally:
        PIN.reset(token)
    assert pinned(site) is site.current


def test_after_the_call_the_snapshot_is_found_in_the_environ() -> None:
    """Streams and teardown functions run when the ContextVar is reset already."""
    site = site_of("one")
    before = site.current
    site.current = build(site, 3, (), {}, "")
    with Flask("app").test_request_context(environ_overrides={ENVIRON_KEY: before}):
        assert pinned(site) is before


def test_the_pin_of_another_application_does_not_count() -> None:
    """A request may send a request to an application mounted beside it."""
    one, two = site_of("one"), site_of("two")
    token = PIN.set(one.current)
    try:
        with Flask("app").test_request_context(environ_overrides={ENVIRON_KEY: one.current}):
            assert pinned(two) is two.current
    finally:
        PIN.reset(token)
