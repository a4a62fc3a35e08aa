"""Two owners want one name or route: one of them gets it, the other loses that and no more."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from flask import Blueprint
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import ConflictError, PEPError
from flask_pluginkit.points import Conflict
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

PRELUDE = """
import click
from flask import Blueprint

NAME = __plugin_name__
ENDPOINT = NAME + "_view"

blueprint = Blueprint("shop", __name__)
blueprint.add_url_rule(f"/shop/{NAME}", "index", lambda: NAME)

grouped = Blueprint(NAME + "_blueprint", __name__, cli_group="stock")
grouped.cli.command("count")(lambda: print(NAME))

def view(**values):
    return NAME

def function(value=None):
    return NAME
"""

OFFERS = {
    "route": "{'vep': {'rule': '/x', 'view_func': view, 'endpoint': ENDPOINT}}",
    "endpoint": "{'vep': {'rule': f'/{NAME}', 'view_func': view, 'endpoint': 'page'}}",
    "blueprint": "{'bep': {'blueprint': blueprint, 'prefix': None}}",
    "filter": "{'filter': {'loud': function}}",
    "test": "{'test': {'odd_one': function}}",
    "global": "{'global': {'shop_name': NAME}}",
    "context": "{'tcp': {'shop_name': NAME}}",
    "command": "{'bep': {'blueprint': grouped, 'prefix': None}}",
}
NAMES = {
    "route": "/x",
    "endpoint": "page",
    "blueprint": "shop",
    "filter": "loud",
    "test": "odd_one",
    "global": "shop_name",
    "context": "shop_name",
    "command": "stock",
}


def offering(kind: str) -> str:
    """A plugin that offers this, and a tep by which one sees that it is active."""
    return f"{PRELUDE}\ndef register():\n    return {{'tep': {{'nav': NAME}}, **{OFFERS[kind]}}}\n"


def plugin(value: str) -> str:
    """A plugin that returns this."""
    return f"{PRELUDE}\ndef register():\n    return {value}\n"


def take_in_host(host: Host, kind: str) -> None:
    """Let the application itself have the name."""
    app, name = host.app, NAMES[kind]

    def function(_value: object = None) -> str:
        return "host"

    take: dict[str, Callable[[], object]] = {
        "route": lambda: app.add_url_rule(name, "host_view", function),
        "endpoint": lambda: app.add_url_rule("/host", name, function),
        "blueprint": lambda: app.register_blueprint(Blueprint(name, "host")),
        "filter": lambda: app.add_template_filter(function, name),
        "test": lambda: app.add_template_test(bool, name),
        "global": lambda: app.add_template_global(function, name),
        "context": lambda: app.add_template_global(function, name),
        "command": lambda: app.cli.command(name)(function),
    }
    take[kind]()


# ---- between plugins -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OFFERS)
def test_the_first_plugin_has_it(host: Host, kind: str) -> None:
    """The other one is active without it, and the conflict names both."""
    for name in "ab":
        host.plugin(name, offering(kind))
    host.start(strict=False)
    (conflict,) = host.pm.conflicts
    assert conflict == Conflict(kind=kind, name=NAMES[kind], winner="plugin 'a'", loser="b")
    assert host.pm.owner_of(kind, NAMES[kind]) == "a"
    assert host.row("b").conflicts == (conflict,)
    assert host.row("a").conflicts == ()
    assert host.row("b").status is Status.ACTIVE
    assert host.render("{{ emit_tep('nav') }}") == "ab"


@pytest.mark.parametrize("kind", OFFERS)
def test_a_conflict_is_logged_once(host: Host, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """However often names are settled."""
    for name in "ab":
        host.plugin(name, offering(kind))
    with caplog.at_level(logging.WARNING):
        host.start(strict=False)
        host.get("/")
        _ = host.pm.conflicts
    told = [record.message for record in caplog.records]
    assert told == [f"{kind} {NAMES[kind]!r} of plugin 'b' is refused: it belongs to plugin 'a'"]


@pytest.mark.parametrize("kind", OFFERS)
def test_the_plugin_order_decides_and_not_the_name(host: Host, kind: str) -> None:
    """A plugin comes after those that it requires."""
    host.plugin("a", offering(kind), requires={"b": ">=1"})
    host.plugin("b", offering(kind))
    host.start(strict=False)
    assert host.pm.owner_of(kind, NAMES[kind]) == "b"


@pytest.mark.parametrize("kind", OFFERS)
def test_a_plugin_that_is_not_active_takes_nothing(host: Host, kind: str) -> None:
    """The next one has it then, without a conflict."""
    host.plugin("a", offering(kind), state="disabled")
    host.plugin("b", offering(kind).replace("return {", "raise RuntimeError; return {"))
    host.plugin("c", offering(kind))
    host.start(strict=False)
    assert host.pm.conflicts == ()
    assert host.pm.owner_of(kind, NAMES[kind]) == "c"


def test_the_loser_keeps_its_other_contributions(host: Host) -> None:
    """One route of many, one filter of two."""
    value = (
        "{'vep': [{'rule': '/x', 'view_func': view, 'endpoint': ENDPOINT},"
        " {'rule': f'/{NAME}', 'view_func': view, 'endpoint': ENDPOINT}],"
        " 'filter': {'loud': function, NAME + '_own': function}}"
    )
    for name in "ab":
        host.plugin(name, plugin(value))
    host.start(strict=False)
    assert (host.get("/x"), host.get("/a"), host.get("/b")) == ("a", "a", "b")
    assert host.render("{{ 1|loud }}{{ 1|b_own }}") == "ab"
    assert [(c.kind, c.loser) for c in host.pm.conflicts] == [("filter", "b"), ("route", "b")]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("'rule': '/x'", "'rule': '/x'", True),
        ("'rule': '/<a>'", "'rule': '/<b>'", True),
        ("'rule': '/<int:a>'", "'rule': '/<int:b>'", True),
        ("'rule': '/<int:a>'", "'rule': '/<a>'", False),
        ("'rule': '/x'", "'rule': '/<a>'", False),
        ("'rule': '/x'", "'rule': '/x/'", False),
        ("'rule': '/x', 'methods': ['GET']", "'rule': '/x', 'methods': ['POST']", False),
        ("'rule': '/x', 'methods': ['GET']", "'rule': '/x', 'methods': ['GET', 'POST']", True),
        ("'rule': '/x', 'methods': ['PUT']", "'rule': '/x', 'methods': ['put']", True),
        ("'rule': '/x', 'methods': ['OPTIONS']", "'rule': '/x', 'methods': ['OPTIONS']", True),
        ("'rule': '/x', 'methods': ['OPTIONS']", "'rule': '/x', 'methods': ['GET']", False),
        ("'rule': '/x'", "'rule': '/x', 'build_only': True", False),
        ("'rule': '/x'", "'rule': '/x', 'subdomain': 'sub'", False),
    ],
)
def test_the_same_route_is_one_of_equal_parts_with_a_method_in_common(
    host: Host, one: str, two: str, same: bool
) -> None:
    """Overlapping rules are decided by werkzeug, the more specific one first."""
    host = host.twin(subdomain_matching=True)
    host.plugin("a", plugin(f"{{'vep': {{{one}, 'view_func': view, 'endpoint': 'a'}}}}"))
    host.plugin("b", plugin(f"{{'vep': {{{two}, 'view_func': view, 'endpoint': 'b'}}}}"))
    host.start(strict=False)
    assert [conflict.kind for conflict in host.pm.conflicts] == (["route"] if same else [])


def test_two_plugins_may_answer_different_methods_of_one_address(host: Host) -> None:
    """Each gets its own, and 405 tells of both."""
    row = "{{'vep': {{'rule': '/x', 'view_func': view, 'endpoint': NAME, 'methods': [{!r}]}}}}"
    host.plugin("a", plugin(row.format("GET")))
    host.plugin("b", plugin(row.format("POST")))
    host.start()
    assert (host.get("/x"), host.get("/x", method="POST")) == ("a", "b")
    allowed = host.open("/x", "DELETE").headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_one_plugin_may_have_a_route_twice(host: Host) -> None:
    """That is its own business: werkzeug takes the first."""
    value = "{'vep': [{'rule': '/x', 'view_func': view, 'endpoint': str(n)} for n in range(2)]}"
    host.plugin("a", plugin(value))
    host.start()
    assert host.pm.conflicts == ()
    assert host.get("/x") == "a"


# ---- with the application --------------------------------------------------------------------


@pytest.mark.parametrize("kind", OFFERS)
@pytest.mark.parametrize("late", [False, True])
def test_the_application_comes_before_every_plugin(host: Host, kind: str, late: bool) -> None:
    """Hosts usually define their routes after the manager; nothing raises in their code."""
    host.plugin("a", offering(kind))
    if late:
        host.start(strict=False)
    take_in_host(host, kind)
    if not late:
        host.start(strict=False)
    assert host.pm.conflicts == (
        Conflict(kind=kind, name=NAMES[kind], winner="the application", loser="a"),
    )
    assert host.pm.owner_of(kind, NAMES[kind]) is None
    assert host.row("a").status is Status.ACTIVE
    assert host.render("{{ emit_tep('nav') }}") == "a"


def test_what_the_application_takes_between_two_uses_is_its_own_too(host: Host) -> None:
    """Listing the rules settles them, but only for the time being."""
    host.plugin("a", plugin("{'vep': {'rule': '/x', 'view_func': view}}"))
    host.start()
    assert host.pm.owner_of("route", "/x") == "a"
    host.app.add_url_rule("/x", "host_view", lambda: "host")
    assert host.pm.owner_of("route", "/x") is None
    assert host.get("/x") == "host"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("context", "{'tcp': {%r: 1}}"),
        ("global", "{'global': {%r: 1}}"),
    ],
)
@pytest.mark.parametrize(
    "name", ["g", "request", "session", "config", "url_for", "range", "emit_tep"]
)
def test_names_that_flask_and_we_offer_to_templates_are_taken(
    host: Host, kind: str, value: str, name: str
) -> None:
    """In 3.x a tcp could replace `g`."""
    host.plugin("a", plugin(value % name))
    host.start(strict=False)
    assert [(c.kind, c.name, c.winner) for c in host.pm.conflicts] == [
        (kind, name, "the application")
    ]
    with host.app.test_request_context():
        assert host.render(f"{{{{ {name} }}}}") != "1"


@pytest.mark.parametrize(
    ("kind", "name"), [("filter", "upper"), ("test", "defined"), ("endpoint", "static")]
)
def test_names_that_jinja_and_flask_have_are_taken(host: Host, kind: str, name: str) -> None:
    """Nobody replaces `upper` unnoticed."""
    values = {
        "filter": "{'filter': {'upper': function}}",
        "test": "{'test': {'defined': function}}",
        "endpoint": "{'vep': {'rule': '/x', 'view_func': view, 'endpoint': 'static'}}",
    }
    host.plugin("a", plugin(values[kind]))
    host.start(strict=False)
    assert [(c.kind, c.name) for c in host.pm.conflicts] == [(kind, name)]
    assert host.render("{{ 'a'|upper }}") == "A"


def test_the_address_of_static_files_is_taken(host: Host) -> None:
    """It is a rule of the application's, added by us."""
    value = "{'vep': {'rule': '/assets/<string:p>/<path:f>', 'view_func': view}}"
    host.plugin("a", plugin(value))
    host.start(strict=False)
    assert [(c.kind, c.winner) for c in host.pm.conflicts] == [("route", "the application")]


# ---- strict mode -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["endpoint", "blueprint"])
def test_strictly_equal_endpoints_and_blueprints_are_raised(host: Host, kind: str) -> None:
    """Flask raised for them in 3.x."""
    for name in "ab":
        host.plugin(name, offering(kind))
    with pytest.raises(ConflictError, match=f"{kind} {NAMES[kind]!r}") as caught:
        host.start(strict=True)
    assert isinstance(caught.value, PEPError)
    assert "plugin 'a'" in str(caught.value)
    assert "plugin b" in str(caught.value)
    assert "pluginkit" not in host.app.extensions


@pytest.mark.parametrize("kind", ["endpoint", "blueprint"])
def test_strictly_one_that_the_application_has_is_raised_too(host: Host, kind: str) -> None:
    """Not in the application's code, but at its first use."""
    host.plugin("a", offering(kind))
    host.start(strict=True)
    take_in_host(host, kind)
    host.app.testing = True
    for _attempt in range(2):
        with pytest.raises(ConflictError, match="belongs to the application"):
            host.get("/")


@pytest.mark.parametrize("kind", sorted(set(OFFERS) - {"endpoint", "blueprint"}))
def test_strictly_all_other_conflicts_are_warnings(
    host: Host, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In 3.x they passed in silence."""
    for name in "ab":
        host.plugin(name, offering(kind))
    with caplog.at_level(logging.WARNING):
        host.start(strict=True)
    assert "is refused" in caplog.text
    assert len(host.pm.conflicts) == 1
