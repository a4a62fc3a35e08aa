"""Plugins that rework or extend others, switched live: all is as in a process that starts then."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, render_template_string
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

TARGET = """
from flask import Blueprint
blueprint = Blueprint("bp", __name__, url_prefix="/bp")
blueprint.add_url_rule("/", "index", lambda: "index")
blueprint.before_request(lambda: seen.append("bp"))
seen = []
def register():
    return {
        "tep": {"nav": "nav"},
        "bep": {"blueprint": blueprint, "prefix": "/bp"},
        "vep": {"rule": "/x", "view_func": lambda: "x", "endpoint": "x"},
        "filter": {"loud": lambda value: f"{value}!"},
        "dcp": {"visits": lambda: "v"},
        "tcp": {"year": 2000},
        "hep": {"before_request": lambda: seen.append("before")},
    }
"""
AUTHOR = """
def tep(value):
    return {"nav": {"cod": value["nav"]["cod"].upper()}}
def bep(value):
    return {**value, "prefix": "/moved"}
def vep(value):
    return [("/y", *row[1:]) for row in value]
def filters(value):
    return [("louder", value[0][1])]
def dcp(value):
    return [*value, ("visits", lambda: "w", "right")]
def tcp(value):
    return {"year": value["year"] + 1}
def register():
    return {"p3": {"target": {"tep": tep, "bep": bep, "vep": vep, "filter": filters,
                              "dcp": dcp, "tcp": tcp}}}
"""
NEEDS = "def register():\n    return {{'vep': {{'rule': '/{0}', 'view_func': lambda: {0!r}, 'endpoint': {0!r}, '_blueprint': {1!r}}}}}\n"  # noqa: E501


def child(name: str, parent: str) -> str:
    """A plugin with a blueprint below another one's."""
    return f"""
from flask import Blueprint
blueprint = Blueprint({name!r}, __name__, url_prefix="/{name}")
blueprint.add_url_rule("/", "index", lambda: {name!r})
def register():
    return {{"bep": {{"blueprint": blueprint, "parent": {parent!r}}}}}
"""


def look(host: Host) -> dict[str, Any]:
    """What there is to be seen."""
    paths = ["/x", "/y", *(f"/{a}/{b}" for a in ("bp", "moved") for b in ("", "late", "kid/"))]
    answers = {path: host.open(path) for path in paths}
    row = next((row for row in host.pm.plugins if row.name == "target" and row.module), None)
    seen: list[str] = [] if row is None else row.module.seen  # type: ignore[union-attr]
    seen.clear()
    for prefix in ("/bp/", "/moved/"):
        host.open(prefix)
    with host.app.app_context():
        page = render_template_string("{{ emit_tep('nav') }} {{ emit_dcp('visits') }} {{ year }}")
    return {
        "answers": {path: (answer.status_code, answer.text) for path, answer in answers.items()},
        "seen": list(seen),
        "page": page,
        "filters": sorted({"loud", "louder"} & {*host.app.jinja_env.filters}),
        "statuses": {row.name: row.status.value for row in host.pm.plugins},
        "variants": {row.name: row.variant for row in host.pm.plugins},
        "owners": dict(host.pm.snapshot.owners),
        "endpoints": sorted(f"{one} {one.endpoint}" for one in host.app.url_map.iter_rules()),
        "blueprints": sorted(host.app.blueprints),
        "conflicts": sorted(map(str, host.pm.conflicts)),
    }


def fresh(host: Host) -> dict[str, Any]:
    """What there is in an application that starts now."""
    twin = host.twin()
    twin.start(strict=False, live=False)
    twin.app.url_map.update()
    return look(twin)


def walk(host: Host, *steps: tuple[str, str]) -> None:
    """Switch plugins one after the other, and require at each step what a start gives."""
    host.start(strict=False, live=False)
    host.get("/")
    assert look(host) == fresh(host)
    for switch, name in steps:
        getattr(host.pm, f"{switch}_plugin")(name)
        assert look(host) == fresh(host), (switch, name)


def test_an_author_that_comes_and_goes_changes_its_target_live(host: Host) -> None:
    """There and back, at every extension point, in both orders of loading."""
    host.plugin("target", TARGET)
    host.plugin("author", AUTHOR, state="disabled")
    walk(
        host,
        ("enable", "author"),
        ("disable", "author"),
        ("enable", "author"),
        ("disable", "target"),
        ("disable", "author"),
        ("enable", "target"),
        ("enable", "author"),
    )
    assert look(host)["page"] == "NAV vw 2001"
    assert look(host)["answers"]["/moved/"] == (200, "index")


def test_two_authors_in_any_order(host: Host) -> None:
    """Each set of them is a variant of its own."""
    host.plugin("target", TARGET)
    for name in "ab":
        body = f"""
def tep(value):
    return {{"nav": {{"cod": value["nav"]["cod"] + {name!r}}}}}
def dcp(value):
    return [*value, ("visits", lambda: {name!r}, "right")]
def register():
    return {{"p3": {{"target": {{"tep": tep, "dcp": dcp}}}}}}
"""
        host.plugin(name, body, state="disabled")
    walk(
        host,
        ("enable", "b"),
        ("enable", "a"),
        ("disable", "b"),
        ("enable", "b"),
        ("disable", "a"),
        ("disable", "b"),
    )


def test_an_author_that_fails_at_a_target_that_comes_later(host: Host) -> None:
    """It is out, its target is what it is without it; and nothing is doubled when it is mended."""
    host.plugin("target", TARGET, state="disabled")
    body = """
faults = [1]
def tep(value):
    if faults:
        raise RuntimeError("no tep")
    return {"nav": {"cod": "mended"}}
def register():
    return {"p3": {"target": {"tep": tep}}, "dcp": {"visits": lambda: "a"},
            "vep": {"rule": "/a", "view_func": lambda: "a", "endpoint": "a"}}
"""
    host.plugin("author", body)
    host.start(strict=False, live=False)
    assert host.render("{{ emit_dcp('visits') }}") == "a"
    assert host.get("/a") == "a"
    host.pm.enable_plugin("target")
    assert "no tep" in host.row("author").reason
    assert host.render("{{ emit_tep('nav') }}{{ emit_dcp('visits') }}") == "navv"
    host.module("author").faults.clear()
    host.pm.enable_plugin("author")
    assert host.render("{{ emit_tep('nav') }}") == "mended"
    assert sorted(host.render("{{ emit_dcp('visits') }}")) == ["a", "v"]
    assert host.get("/a") == "a"
    assert host.pm.conflicts == ()


@pytest.mark.parametrize("names", [("bp_plugin", "user"), ("zz", "aa")])
@pytest.mark.parametrize("what", ["vep", "bep"])
def test_who_extends_a_blueprint_comes_and_goes_with_it(
    host: Host, what: str, names: tuple[str, str]
) -> None:
    """Whichever of the two is loaded first."""
    owner, user = names
    host.plugin(owner, TARGET.replace("seen", "noted"), state="disabled")
    host.plugin(user, NEEDS.format("late", "bp") if what == "vep" else child("kid", "bp"))
    host.start(strict=False, live=False)
    host.get("/")
    path = "/bp/late" if what == "vep" else "/bp/kid/"
    assert host.open(path).status_code == 404
    assert host.row(user).status == "failed"
    assert look(host) == fresh(host)
    for _ in range(2):
        host.pm.enable_plugin(owner)
        assert host.open(path).status_code == 200
        assert look(host) == fresh(host)
        host.pm.disable_plugin(owner)
        assert host.open(path).status_code == 404
        assert look(host) == fresh(host)


def test_a_blueprint_that_an_author_moves_takes_others_views_along(host: Host) -> None:
    """And back."""
    host.plugin("target", TARGET)
    host.plugin("user", NEEDS.format("late", "bp"))
    host.plugin("kid", child("kid", "bp"))
    host.plugin("author", AUTHOR, state="disabled")
    walk(host, ("enable", "author"), ("disable", "author"), ("enable", "author"))


def test_whoever_has_the_blueprint_of_a_name_has_others_views(host: Host) -> None:
    """Two plugins have one of that name, and the first goes."""
    host.plugin("a", TARGET.replace("/bp", "/first").replace("seen", "noted"))
    host.plugin("target", TARGET)
    host.plugin("user", NEEDS.format("late", "bp"))
    walk(host, ("disable", "a"), ("enable", "a"))


def test_an_author_that_failed_at_a_target_is_back_when_that_goes(host: Host) -> None:
    """It is out only while the target is there, and is asked once."""
    host.plugin("target", TARGET, state="disabled")
    body = """
calls = []
def tep(value):
    calls.append("tep")
    raise RuntimeError("no tep")
def register():
    return {"p3": {"target": {"tep": tep}}, "filter": {"louder": str.upper}}
"""
    host.plugin("author", body)
    walk(host, ("enable", "target"), ("disable", "target"), ("enable", "target"))
    assert "no tep" in host.row("author").reason
    assert host.row("target").status == "active"
    # those that start at each step ask it as well
    host.module("author").calls.clear()
    host.pm.disable_plugin("target")
    host.pm.enable_plugin("target")
    assert host.module("author").calls == []
    host.pm.disable_plugin("target")
    assert host.row("author").status == "active"


def test_of_two_authors_the_one_that_fails_takes_nothing_of_the_other_along(host: Host) -> None:
    """Whichever comes first, and whoever of the three comes and goes."""
    host.plugin("target", TARGET)
    for name, text in (("a", "raise RuntimeError('a')"), ("b", "return {'nav': {'cod': 'b'}}")):
        host.plugin(
            name,
            f"def tep(value):\n    {text}\n"
            "def register():\n    return {'p3': {'target': {'tep': tep}}}\n",
            state="disabled",
        )
    host.start(strict=False, live=False)
    host.pm.disable_plugin("target")
    for switch, name in (("enable", "a"), ("enable", "b"), ("enable", "target")):
        getattr(host.pm, f"{switch}_plugin")(name)
        assert look(host) == fresh(host), (switch, name)
    assert host.row("target").variant == ("b",)
    assert host.row("a").status == "failed"
    host.pm.disable_plugin("target")
    assert look(host) == fresh(host)
    assert host.row("a").status == "active"


def test_what_an_author_made_impossible_is_there_again_when_it_goes(host: Host) -> None:
    """A target that can't be recorded as reworked isn't broken by itself."""
    host.plugin("target", TARGET)
    body = """
def vep(value):
    return [("/<nothing:x>", *row[1:]) for row in value]
def register():
    return {"p3": {"target": {"vep": vep}}}
"""
    host.plugin("author", body)
    walk(
        host,
        ("disable", "author"),
        ("disable", "target"),
        ("enable", "author"),
        ("disable", "author"),
        ("enable", "target"),
    )
    assert host.row("target").status == "active"


def test_an_author_without_a_parent_for_its_blueprint_reworks_nothing(host: Host) -> None:
    """What it made of others goes with it."""
    host.plugin("owner", TARGET.replace("/bp", "/own").replace("/x", "/own/x"))
    host.plugin("target", TARGET.replace('"bp"', '"other"').replace('"x"', '"y"'))
    body = child("kid", "bp").replace(
        "return {", "return {'p3': {'target': {'tep': lambda value: {'nav': {'cod': 'kid'}}}},"
    )
    host.plugin("author", body)
    walk(host, ("disable", "owner"), ("enable", "owner"))
    assert host.row("target").variant == ("author",)
    host.pm.disable_plugin("owner")
    assert host.row("author").status == "failed"
    assert host.row("target").variant == ()


@pytest.mark.parametrize("late", [False, True])
def test_a_blueprint_of_the_application_is_found_before_and_after_it_starts(
    host: Host, late: bool
) -> None:
    """A parent that the application registers after its plugins is as good as an earlier one."""
    host.plugin("kid", child("kid", "own"))
    host.plugin("user", NEEDS.format("late", "own"))

    def start(one: Host) -> None:
        own = Blueprint("own", __name__, url_prefix="/own")
        if not late:
            one.app.register_blueprint(own)
        one.start(strict=False, live=False)
        if late:
            one.app.register_blueprint(own)
        one.get("/")

    start(host)
    twin = host.twin()
    start(twin)
    assert look(host) == look(twin)
    for _ in range(2):
        assert [host.get(path) for path in ("/own/kid/", "/own/late")] == ["kid", "late"]
        for switch in (host.pm.disable_plugin, host.pm.enable_plugin):
            switch("kid")
            switch("user")
    assert look(host) == look(twin)


def test_a_plugin_that_needs_what_another_registers_comes_with_it(host: Host) -> None:
    """Also where only its own code knows that it does; it is tried again when others change."""
    owner = """
def on_app_ready(app):
    app.extensions["owner"] = 1
def register():
    return {}
"""
    needs = """
tried = []
def on_app_ready(app):
    tried.append(app.extensions["owner"])
def register():
    return {"filter": {"loud": str.upper}}
"""
    host.plugin("aa", owner, state="disabled")
    host.plugin("needs", needs.replace('["owner"]', '.get("owner") or 1 / 0'))
    host.plugin("other", "def register():\n    return {}\n")
    host.start(strict=False, live=False)
    assert host.row("needs").status == "failed"
    host.pm.enable_plugin("aa")
    assert look(host) == fresh(host)
    assert host.row("needs").status == "active"
    assert host.render("{{ 'a'|loud }}") == "A"


def test_a_plugin_that_fails_is_not_tried_again_while_nothing_changes(host: Host) -> None:
    """Its code isn't called at each look."""
    body = """
tried = []
def on_app_ready(app):
    tried.append(app)
    1 / 0
def register():
    return {}
"""
    host.plugin("a", body)
    host.plugin("b", "def register():\n    return {}\n", state="disabled")
    host.start(strict=False, live=False)
    host.get("/")
    tried = len(host.module("a").tried)
    host.pm.rescan()
    assert len(host.module("a").tried) == tried
    host.pm.enable_plugin("b")
    assert len(host.module("a").tried) == tried + 1
    assert host.row("a").status == "failed"


def test_who_registers_live_sees_what_it_sees_at_a_start(host: Host) -> None:
    """Nothing of other plugins, some of which may be live: names are given out later."""
    body = """
from flask import Blueprint
blueprint = Blueprint("bp", __name__)
blueprint.add_url_rule("/late", "index", lambda: "late")
@blueprint.record
def look(state):
    app = state.app
    seen[:] = [sorted(app.blueprints), "x" in app.view_functions, "loud" in app.jinja_env.filters]
seen = []
def register():
    return {"bep": {"blueprint": blueprint}, "filter": {"loud": str.upper}}
"""
    host.plugin("target", TARGET)
    host.plugin("user", body, state="disabled")
    walk(host, ("enable", "user"))
    assert host.row("user").status == "active"
    live = list(host.module("user").seen)
    fresh(host)
    assert host.module("user").seen == live
    assert len(host.pm.conflicts) == 2
    host.pm.disable_plugin("target")
    assert host.get("/late") == "late"
    assert look(host) == fresh(host)
