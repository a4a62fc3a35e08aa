"""Enabling and disabling in one process: what is refused, what changes, and what never does."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from flask import abort, render_template
from hosts import Host, clean_imports, host
from werkzeug.test import create_environ

from flask_pluginkit.exceptions import (
    ConflictError,
    PluginError,
    RequirementError,
    StateError,
    SwitchError,
)
from flask_pluginkit.pulse import PULSE
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"


def statuses(host: Host) -> dict[str, str]:
    """The status of each plugin."""
    return {row.name: row.status.value for row in host.pm.plugins}


def site_of(host: Host) -> Any:
    """The application's side of its plugins."""
    return host.pm._site()


def traces(host: Host) -> dict[str, Any]:
    """Everything that a switch which is refused must leave as it was."""
    app, site = host.app, site_of(host)
    state = site.control / "state.json"
    return {
        "file": state.read_bytes() if state.exists() else b"",
        "markers": sorted(str(path) for path in host.folder.rglob("*ABLED")),
        "generation": site.current.generation,
        "statuses": statuses(host),
        "owners": dict(site.current.owners),
        "conflicts": site.current.conflicts,
        "state": site.state,
        "extensions": dict(app.extensions),
        "rules": sorted(f"{rule} {rule.endpoint}" for rule in app.url_map.iter_rules()),
        "views": sorted(app.view_functions),
        "blueprints": sorted(app.blueprints),
        "filters": sorted(app.jinja_env.filters),
        "globals": sorted(app.jinja_env.globals),
        "commands": sorted(app.cli.commands),
        "attributes": sorted(vars(app)),
        "config": dict(app.config),
    }


@contextmanager
def unchanged(host: Host) -> Iterator[None]:
    """Require that nothing changes inside the block."""
    host.app.url_map.update()
    before = traces(host)
    yield
    after = traces(host)
    assert {key: after[key] for key in before} == before


def off(host: Host, name: str, body: str = NOTHING, **rest: Any) -> Path:
    """Write a plugin that is disabled from the start; by a marker if it can't say so itself."""
    folder = host.plugin(name, body, state="disabled", **rest)
    if "def register(:" in body:
        (folder / "DISABLED").touch()
    return folder


def audited(host: Host) -> list[dict[str, Any]]:
    """The lines of the audit, the oldest first."""
    return list(reversed(host.pm.audit()))


# ---- what is changed -------------------------------------------------------------------------


def test_a_switch_tells_what_it_changed(host: Host) -> None:
    """The plugin, and the generation that requests see from now on."""
    host.plugin("a", NOTHING)
    host.start()
    change = host.pm.disable_plugin("a")
    assert (change.changed, change.silent) == (("a",), ())
    assert change.generation == host.pm.snapshot.generation > 0


def test_a_switch_that_changes_nothing_says_so_and_stores_nothing(host: Host) -> None:
    """Neither what is enabled already nor what is disabled already."""
    host.plugin("a", NOTHING)
    off(host, "b")
    host.start()
    with unchanged(host):
        assert host.pm.enable_plugin("a").changed == ()
        assert host.pm.disable_plugin("b").changed == ()
    assert audited(host) == []


def test_each_change_has_a_greater_generation(host: Host) -> None:
    """It is the one that a request's response tells of."""
    host.plugin("a", NOTHING)
    host.start()
    numbers = [
        switch("a").generation
        for switch in (host.pm.disable_plugin, host.pm.enable_plugin, host.pm.disable_plugin)
    ]
    assert numbers == sorted(set(numbers))


def test_an_unknown_plugin_is_refused_with_the_nearest_name(host: Host) -> None:
    """Nothing has changed then."""
    host.plugin("search", NOTHING)
    host.start()
    with unchanged(host), pytest.raises(PluginError, match="did you mean 'search'"):
        host.pm.disable_plugin("serach")


def test_a_plugin_that_is_new_on_the_disk_is_found_when_it_is_enabled(host: Host) -> None:
    """Without a rescan."""
    host.start()
    host.get("/")
    host.plugin("late", "def register():\n    return {'tep': {'nav': 'late'}}\n")
    assert host.pm.enable_plugin("late").changed in {(), ("late",)}
    assert host.row("late").status is Status.ACTIVE
    assert host.render("{{ emit_tep('nav') }}") == "late"


@pytest.mark.parametrize("own", [True, False])
def test_a_plugin_that_vanished_can_be_disabled(host: Host, own: bool) -> None:
    """It was enabled by hand, and so is missed until somebody says that it isn't wanted."""
    off(host, "a")
    host.start(state_dir=host.folder / "state" if own else None)
    host.pm.enable_plugin("a")
    shutil.rmtree(host.folder / "plugins/a")
    host.pm.rescan()
    assert statuses(host) == {"a": "missing"}
    host.pm.disable_plugin("a")
    assert statuses(host) == {}


# ---- requirements ----------------------------------------------------------------------------


@pytest.fixture
def chain(host: Host) -> Host:
    """``c`` requires ``b``, which requires ``a``; ``d`` stands alone."""
    host.plugin("a", NOTHING)
    host.plugin("b", NOTHING, requires={"a": ">=1"})
    host.plugin("c", NOTHING, requires={"b": ">=1"})
    host.plugin("d", NOTHING)
    host.start()
    return host


def test_what_others_need_isnt_disabled(chain: Host) -> None:
    """They are named, also those that need it by way of others."""
    with unchanged(chain), pytest.raises(RequirementError, match="b, c"):
        chain.pm.disable_plugin("a")
    assert statuses(chain) == dict.fromkeys("abcd", "active")


def test_disabling_takes_along_those_that_need_it(chain: Host) -> None:
    """In one change."""
    assert chain.pm.disable_plugin("a", cascade=True).changed == ("a", "b", "c")
    assert statuses(chain) == {**dict.fromkeys("abc", "disabled"), "d": "active"}
    assert len([entry for entry in audited(chain) if entry["result"] == "done"]) == 1


def test_what_needs_others_isnt_enabled(chain: Host) -> None:
    """The one that isn't there is named."""
    chain.pm.disable_plugin("a", cascade=True)
    with unchanged(chain), pytest.raises(RequirementError, match=r"'b'.*cascade"):
        chain.pm.enable_plugin("c")


def test_what_is_needed_and_has_just_gone_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker never knew of it, so everybody looks again."""
    monkeypatch.setattr(PULSE, "add", lambda _member: None)
    host.plugin("a", NOTHING, requires={"c": ">=1"}, state="disabled")
    for each in (host, host.twin()):
        each.start(live=True, strict=False, enable_timeout=0)
        each.get("/")
    folder = host.plugin("c", NOTHING)
    host.pm.enable_plugin("a")
    shutil.rmtree(folder)
    host.pm.disable_plugin("a")
    with pytest.raises(SwitchError, match="no such plugin"):
        host.pm.enable_plugin("a", cascade=True)


def test_enabling_brings_what_is_needed(chain: Host) -> None:
    """In one change."""
    chain.pm.disable_plugin("a", cascade=True)
    assert chain.pm.enable_plugin("c", cascade=True).changed == ("a", "b", "c")
    assert statuses(chain) == dict.fromkeys("abcd", "active")


def test_enabling_one_doesnt_bring_those_that_need_it(chain: Host) -> None:
    """They were disabled by somebody."""
    chain.pm.disable_plugin("a", cascade=True)
    assert chain.pm.enable_plugin("a", cascade=True).changed == ("a",)
    assert statuses(chain)["b"] == "disabled"


def test_a_requirement_that_fails_keeps_all_of_them_out(host: Host) -> None:
    """All or nothing."""
    off(host, "a")
    off(host, "b", NOTHING + "raise RuntimeError('no b')", requires={"a": ">=1"})
    off(host, "c", requires={"b": ">=1"})
    host.start(strict=False)
    host.get("/")
    with unchanged(host), pytest.raises(PluginError, match="no b"):
        host.pm.enable_plugin("c", cascade=True)
    assert statuses(host) == dict.fromkeys("abc", "disabled")


def test_a_requirement_that_isnt_there_is_named(host: Host) -> None:
    """With `cascade`, too."""
    off(host, "a", requires={"nowhere": ">=1"})
    host.start(strict=False)
    for cascade in (False, True):
        with unchanged(host), pytest.raises(PluginError, match="nowhere"):
            host.pm.enable_plugin("a", cascade=cascade)


def test_a_cycle_of_requirements_can_be_enabled_by_nobody(host: Host) -> None:
    """And ends."""
    off(host, "a", requires={"b": ">=1"})
    off(host, "b", requires={"a": ">=1"})
    host.start(strict=False)
    with unchanged(host), pytest.raises(PluginError, match="cycle"):
        host.pm.enable_plugin("a", cascade=True)


def test_a_plugin_of_a_cycle_can_be_disabled(host: Host) -> None:
    """It doesn't run, so nobody needs it."""
    host.plugin("a", NOTHING, requires={"b": ">=1"})
    host.plugin("b", NOTHING, requires={"a": ">=1"})
    host.start(strict=False)
    assert host.pm.disable_plugin("a").changed == ("a",)
    assert statuses(host)["a"] == "disabled"


# ---- plugins that can't be active ------------------------------------------------------------

BROKEN: dict[str, str] = {
    "import": NOTHING + "raise RuntimeError('broken')\n",
    "syntax": "def register(:\n",
    "exit": NOTHING + "raise SystemExit(3)\n",
    "register": "def register():\n    raise RuntimeError('broken')\n",
    "unknown key": "def register():\n    return {'teps': {}}\n",
    "file": "def register():\n    return {'tep': {'nav': 'no.html'}}\n",
    "ready": """
def on_app_ready(app):
    app.extensions["half"] = 1
    app.jinja_env.filters["half"] = str
    app.jinja_env.globals["half"] = 1
    app.add_url_rule("/half", "half", print)
    app.before_request(print)
    app.half = 1
    raise RuntimeError("broken")
def register():
    return {"vep": {"rule": "/x", "view_func": print}, "global": {"more": 1}}
""",
    "blueprint": """
from flask import Blueprint
bp = Blueprint("bp", __name__)
@bp.record
def fail(state):
    state.app.extensions["half"] = 1
    raise RuntimeError("broken")
def register():
    return {"bep": {"blueprint": bp}, "filter": {"half": str}}
""",
    "rule": "def register():\n    return {'vep': {'rule': '/<int', 'view_func': print}}\n",
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("what", BROKEN)
def test_enabling_a_broken_plugin_changes_nothing(
    host: Host, what: str, first: bool, strict: bool
) -> None:
    """Before the first request and after it, in strict mode or not."""
    host.plugin("good", "def register():\n    return {'tep': {'nav': 'good'}}\n")
    off(host, "bad", BROKEN[what])
    host.start(strict=strict)
    if not first:
        host.get("/")
    host.pm.disable_plugin("bad")  # it is; what a marker says is in the state now
    with unchanged(host):
        with pytest.raises(SwitchError, match="nothing has changed") as caught:
            host.pm.enable_plugin("bad")
        assert (caught.value.plugin, caught.value.worker) == ("bad", "")
    assert host.render("{{ emit_tep('nav') }}") == "good"
    assert host.open("/half").status_code == 404
    assert [entry["result"][:7] for entry in audited(host)] == ["refused"]


@pytest.mark.parametrize("what", ["import", "syntax", "exit"])
def test_a_plugin_whose_import_failed_can_be_mended(host: Host, what: str) -> None:
    """Nothing of it was imported, so what stands on the disk then counts."""
    off(host, "bad", BROKEN[what])
    host.start()
    host.get("/")
    with pytest.raises(SwitchError):
        host.pm.enable_plugin("bad")
    off(host, "bad", "def register():\n    return {'tep': {'nav': 'mended'}}\n")
    assert host.pm.enable_plugin("bad").changed == ("bad",)
    assert host.render("{{ emit_tep('nav') }}") == "mended"


def test_a_plugin_with_a_wrong_manifest_can_be_mended(host: Host) -> None:
    """Enabling it reads the manifest anew."""
    host.plugin("bad", NOTHING, version="first")
    host.start(strict=False)
    assert statuses(host) == {"bad": "failed"}
    with unchanged(host), pytest.raises(SwitchError, match="first"):
        host.pm.enable_plugin("bad")
    host.plugin("bad", "def register():\n    return {'tep': {'nav': 'mended'}}\n")
    host.pm.enable_plugin("bad")
    assert statuses(host) == {"bad": "active"}
    assert host.render("{{ emit_tep('nav') }}") == "mended"


@pytest.mark.parametrize("point", ["register", "on_app_ready"])
def test_a_plugin_that_lacked_something_is_tried_anew(host: Host, point: str) -> None:
    """Its code stays what was imported; what it asks for may have come."""
    body = """
from pathlib import Path
def register():
    look("register")
    return {"tep": {"nav": "mended"}, "dcp": {"visits": lambda: "one"}}
def on_app_ready(app):
    look("on_app_ready")
    app.jinja_env.filters["loud"] = lambda value: f"{value}!"
def look(point):
    place = Path(__file__).with_name(point)
    if not place.exists():
        raise RuntimeError(f"no {point}")
"""
    folder = off(host, "bad", body)
    there = {"register", "on_app_ready"} - {point}
    for name in there:
        (folder / name).touch()
    host.start()
    host.get("/")
    for _ in range(2):
        with unchanged(host), pytest.raises(SwitchError, match=f"no {point}"):
            host.pm.enable_plugin("bad")
    (folder / point).touch()
    assert host.pm.enable_plugin("bad").changed == ("bad",)
    assert host.render("{{ emit_tep('nav') }}{{ emit_dcp('visits') }}{{ 1|loud }}") == (
        "mendedone1!"
    )


def test_code_that_is_imported_already_is_told_to_stay(host: Host) -> None:
    """Whoever mends ``register()`` on the disk learns why that doesn't help yet."""
    off(host, "bad", BROKEN["register"])
    host.start()
    with pytest.raises(SwitchError):
        host.pm.enable_plugin("bad")
    off(host, "bad", NOTHING)
    with pytest.raises(SwitchError, match="new process"):
        host.pm.enable_plugin("bad")


CLASH = "def register():\n    return {{'vep': {{'rule': '/{0}', 'view_func': print, 'endpoint': 'x'}}}}\n"  # noqa: E501


def test_in_strict_mode_a_conflict_refuses_the_plugin(host: Host) -> None:
    """As it refuses the application at its start."""
    host.plugin("a", CLASH.format("a"))
    off(host, "b", CLASH.format("b"))
    host.start(strict=True)
    host.get("/")
    for _ in range(2):
        with unchanged(host), pytest.raises(ConflictError, match="'x'"):
            host.pm.enable_plugin("b")
    host.pm.disable_plugin("a")
    host.pm.enable_plugin("b")
    assert statuses(host) == {"a": "disabled", "b": "active"}
    assert [str(rule) for rule in host.app.url_map.iter_rules("x")] == ["/b"]
    with unchanged(host), pytest.raises(ConflictError, match="'x'"):
        host.pm.enable_plugin("a")


def test_otherwise_a_conflict_costs_one_contribution(host: Host) -> None:
    """Who comes first has the name, and gives it back when it goes."""
    host.plugin("a", CLASH.format("a"))
    off(host, "b", CLASH.format("b"))
    host.start(strict=False)
    host.get("/")
    host.pm.enable_plugin("b")
    assert [str(conflict) for conflict in host.pm.conflicts] == [
        "endpoint 'x' of plugin 'b' is refused: it belongs to plugin 'a'"
    ]
    assert host.open("/b").status_code == 404
    host.pm.disable_plugin("a")
    assert host.pm.conflicts == ()
    assert [str(rule) for rule in host.app.url_map.iter_rules("x")] == ["/b"]
    host.pm.enable_plugin("a")
    assert [str(rule) for rule in host.app.url_map.iter_rules("x")] == ["/a"]


# ---- what was never loaded -------------------------------------------------------------------

WHOLE = """
import click
from flask import Blueprint, current_app, g, render_template, request, request_finished, url_for
from flask.views import MethodView, View

seen = []
parent = Blueprint("shop", __name__, cli_group="stock", template_folder="pages")
child = Blueprint("cart", __name__)
parent.register_blueprint(child, url_prefix="/cart")
parent.add_url_rule("/", "index", lambda: "shop " + url_for("shop.cart.index"))
child.add_url_rule("/", "index", lambda: "cart")
parent.cli.command("count")(lambda: None)
parent.before_app_request(lambda: seen.append("before_app"))
parent.after_app_request(lambda response: seen.append("after_app") or response)
parent.teardown_app_request(lambda error: seen.append("teardown_app"))
parent.app_context_processor(lambda: {"till": "open"})
parent.app_template_filter("cents")(lambda value: f"{value}c")
parent.app_template_test("dear")(lambda value: value > 9)
parent.app_template_global("hours")(lambda: "9-5")
parent.app_errorhandler(418)(lambda error: ("tea", 418))
parent.app_url_defaults(lambda endpoint, values: values.setdefault("by", "shop"))
parent.app_url_value_preprocessor(lambda endpoint, values: seen.append(f"values {endpoint}"))

class Plain(View):
    def dispatch_request(self):
        return "plain"

class Methods(MethodView):
    def get(self):
        return "got"
    def put(self):
        return "put"

@click.command()
def tidy():
    print("tidied", current_app.name)

def on_app_ready(app):
    app.add_url_rule("/ready", "ready", lambda: "ready")
    app.before_request(lambda: seen.append("ready"))
    app.jinja_env.filters["late"] = lambda value: f"<{value}>"
    app.cli.command("polish")(lambda: print("polished"))
    app.extensions["shop"] = "extension"
    app.teardown_appcontext(lambda error: seen.append("appcontext"))
    app.shell_context_processor(lambda: {"shop": 1})

def register():
    return {
        "tep": {"nav": "nav.html", "foot": "{{ 2|loud }}"},
        "hep": {"before_request": lambda: seen.append("before")},
        "bep": {"blueprint": parent, "prefix": "/shop"},
        "vep": [
            {"rule": "/x", "view_func": lambda: render_template("page.html"), "endpoint": "x"},
            {"rule": "/more", "view_func": lambda: "more", "_blueprint": "shop"},
        ],
        "cvep": [
            {"view_class": Plain, "rule": "/plain"},
            {"view_class": Methods, "rule": "/methods", "name": "methods"},
        ],
        "filter": {"loud": lambda value: f"{value}!"},
        "test": {"odd_one": lambda value: value == 1},
        "global": {"answer": 42},
        "tcp": {"year": 2000},
        "errhandler": {404: lambda error: ("gone", 404)},
        "dcp": {"visits": lambda: "visits"},
        "signal": {request_finished: lambda sender, **values: seen.append("finished")},
        "cli": [tidy],
    }
"""
FILES = {
    "templates/nav.html": "nav {{ year }}",
    "templates/page.html": "{% extends 'base.html' %}{% block body %}{{ answer }}{% endblock %}",
    "static/a.txt": "static",
}
PARTS = (
    "{{ emit_tep('nav') }} {{ emit_tep('foot') }} {{ emit_dcp('visits') }} {{ year }} {{ till }} "
    "{{ answer }} {{ hours() if hours }} {% if answer %}{{ 1|loud }} {{ 3|cents }} {{ 4|late|e }} "
    "{{ 1 is odd_one }} {{ 10 is dear }}{% endif %}"
)


def look(host: Host) -> dict[str, Any]:
    """What somebody sees who looks at an application from all sides."""
    app = host.app
    row = next((row for row in host.pm.plugins if row.module is not None), None)
    seen: list[str] = getattr(row.module, "seen", []) if row is not None else []
    seen.clear()
    paths = [
        *("/x", "/shop/", "/shop/cart/", "/shop/more", "/plain", "/methods", "/ready", "/nowhere"),
        *("/assets/shop/a.txt", "/tea", "/static"),
    ]
    answers = {}
    for path in paths:
        with host.open(path) as answer:
            answers[path] = (answer.status_code, answer.get_data(as_text=True))
    answers["PUT"] = (host.open("/methods", "PUT").status_code, "")
    answers["OPTIONS"] = (200, host.open("/methods", "OPTIONS").headers.get("Allow", ""))
    answers["parts"] = (200, host.get("/parts"))
    noted = list(seen)
    with app.test_request_context():
        urls = app.url_for("parts"), app.url_for("static", filename="a")
    runner = app.test_cli_runner()
    return {
        "answers": answers,
        "urls": urls,
        "seen": noted,
        "commands": [runner.invoke(args=a).output for a in (["shop", "tidy"], ["polish"])],
        "listed": sorted(app.cli.list_commands(None)),  # type: ignore[arg-type]
        "shell": sorted(set(app.make_shell_context()) - {"app", "g"}),
        "endpoints": sorted(rule.endpoint for rule in app.url_map.iter_rules()),
        "names": [sorted(app.blueprints), sorted(app.view_functions), sorted(app.jinja_env.tests)],
        "owners": dict(host.pm.snapshot.owners),
        "conflicts": host.pm.conflicts,
        "enabled": list(host.pm.snapshot.active),
    }


def prepared(host: Host) -> Host:
    """A host with pages of its own."""
    host.template("base.html", "<{% block body %}{% endblock %}>")
    host.template("parts.html", PARTS)
    host.app.add_url_rule("/tea", "tea", lambda: abort(418))
    host.app.add_url_rule("/parts", "parts", lambda: render_template("parts.html"))
    return host


def test_what_was_never_loaded_comes_whole(host: Host) -> None:
    """Enabled live, after requests, it is what it would be from the start; and goes without trace.

    At every extension point, those used by blueprints and in ``on_app_ready`` included.
    """
    host.plugin("shop", WHOLE, files=FILES)
    fresh = prepared(host.twin())
    fresh.start()
    wanted = look(fresh)
    assert wanted["answers"]["parts"][1].startswith("nav 2000 2! visits 2000 open 42 9-5 1! 3c")
    off(host, "shop", WHOLE, files=FILES)
    prepared(host).start()
    without = look(host)
    assert without["answers"]["/shop/"][0] == 404
    host.pm.enable_plugin("shop")
    assert look(host) == wanted
    host.pm.disable_plugin("shop")
    gone = look(host)
    assert gone == without
    host.pm.enable_plugin("shop")
    assert look(host) == wanted


# ---- when and where --------------------------------------------------------------------------


def test_switching_before_the_first_request(host: Host) -> None:
    """Names and routes are still the host's to take."""
    host.plugin(
        "a", "def register():\n    return {'vep': {'rule': '/a', 'view_func': lambda: 'a'}}"
    )
    off(host, "b", "def register():\n    return {'vep': {'rule': '/b', 'view_func': print}}")
    host.start()
    host.pm.disable_plugin("a")
    host.pm.enable_plugin("b")
    host.app.add_url_rule("/b", "host", lambda: "host")
    assert [host.open("/a").status_code, host.get("/b")] == [404, "host"]
    host.pm.enable_plugin("a")
    assert host.get("/a") == "a"


def test_switching_inside_a_request(host: Host) -> None:
    """The audit names who asked for it, and this request goes on as it began."""
    off(host, "a", WHOLE, files=FILES)
    host.start()

    @host.app.route("/switch")
    def switch() -> str:
        host.pm.enable_plugin("a")
        return host.render("[{{ emit_tep('foot') }}]")

    answer = host.open("/switch", environ_overrides={"REMOTE_USER": "root\x1b[1m"})
    assert answer.text == "[]"
    assert host.render("{{ emit_tep('foot') }}") == "2!"
    entry = audited(host)[-1]
    assert entry["from"] == "127.0.0.1 GET /switch"
    assert "root" in entry["by"]
    assert "\x1b" not in entry["by"]


def test_switching_inside_an_application_context(host: Host) -> None:
    """What is decided is decided on what is stored, and not on what the context sees."""
    host.plugin("a", NOTHING)
    host.start()
    host.get("/")
    with host.app.app_context():
        assert list(host.pm.snapshot.active) == ["a"]
        host.pm.disable_plugin("a")
        assert list(host.pm.snapshot.active) == ["a"]
        assert host.pm.enable_plugin("a").changed == ("a",)
        assert host.pm.disable_plugin("a").changed == ("a",)
    assert list(host.pm.snapshot.active) == []


def test_switching_from_several_threads(host: Host) -> None:
    """Each change is whole, none is lost, and the last one counts."""
    for name in "abcd":
        host.plugin(name, NOTHING)
    host.start()
    host.get("/")
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(5):
                host.pm.disable_plugin(name)
                host.pm.enable_plugin(name)
            host.pm.disable_plugin(name)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert statuses(host) == dict.fromkeys("abcd", "disabled")
    numbers = [entry["generation"] for entry in audited(host) if entry["result"] == "done"]
    assert len(numbers) == 44
    assert numbers == sorted(set(numbers))


SWITCHES = """
from flask import current_app
def on_app_ready(app):
    {ready}
def register():
    {register}
    return {{"tep": {{"nav": "a"}}}}
"""
SWITCH = "current_app.extensions['pluginkit'].{0}_plugin('{1}')"


@pytest.mark.parametrize("target", ["other", "self_"])
@pytest.mark.parametrize("how", ["enable", "disable"])
@pytest.mark.parametrize("live", [True, False])
def test_a_plugin_cant_switch_while_it_is_loaded(
    host: Host, live: bool, how: str, target: str
) -> None:
    """It is told so; at the start, and when it is enabled."""
    body = SWITCHES.format(ready=SWITCH.format(how, target), register="pass")
    host.plugin("self_", body, state="disabled" if live else "enabled")
    host.plugin("other", NOTHING, state="disabled" if how == "enable" else "enabled")
    host.start(strict=False)
    host.get("/")
    if live:
        with unchanged(host), pytest.raises(SwitchError, match="just being loaded"):
            host.pm.enable_plugin("self_")
    assert "just being loaded" in host.row("self_").reason or live
    assert statuses(host)["other"] == ("disabled" if how == "enable" else "active")


def test_register_cant_switch_either(host: Host) -> None:
    """The plugins of which it would decide aren't known yet."""
    body = SWITCHES.format(ready="pass", register=SWITCH.format("disable", "other"))
    off(host, "a", body)
    host.plugin("other", NOTHING)
    host.start()

    with host.app.app_context(), pytest.raises(SwitchError, match="just being loaded"):
        host.pm.enable_plugin("a")
    assert statuses(host)["other"] == "active"


def test_a_plugin_that_tries_out_a_request_while_it_is_enabled(host: Host) -> None:
    """The request is answered, and begins no second loading."""
    body = """
calls = []
def on_app_ready(app):
    calls.append(app.test_client().get("/a").text)
def register():
    return {"vep": {"rule": "/a", "view_func": lambda: "view"}}
"""
    off(host, "a", body)
    host.start(live=True)
    host.get("/")
    host.pm.enable_plugin("a")
    assert len(host.module("a").calls) == 1
    assert host.get("/a") == "view"


# ---- the audit -------------------------------------------------------------------------------


def test_the_audit_tells_what_was_intended_and_done(host: Host) -> None:
    """One line before it is stored, one after it."""
    host.plugin("a", NOTHING)
    host.plugin("b", NOTHING, requires={"a": ">=1"})
    host.start()
    change = host.pm.disable_plugin("a", cascade=True, by="somebody")
    intent, done = audited(host)
    common = {"action": "disable", "plugins": ["a"], "cascade": True, "by": "somebody"}
    assert common.items() <= intent.items()
    assert common.items() <= done.items()
    assert (intent["result"], done["result"]) == ("intent", "done")
    assert intent["changed"] == done["changed"] == ["a", "b"]
    assert done["generation"] == change.generation
    assert str(os.getpid()) in done["from"]


@pytest.mark.parametrize("switch", ["enable_plugin", "disable_plugin"])
def test_the_audit_tells_what_was_refused(host: Host, switch: str) -> None:
    """And why."""
    off(host, "a", BROKEN["import"])
    host.plugin("b", NOTHING)
    host.plugin("c", NOTHING, requires={"b": ">=1"})
    host.start()
    with pytest.raises(PluginError):
        getattr(host.pm, switch)("a" if switch == "enable_plugin" else "b")
    (entry,) = audited(host)
    assert entry["result"].startswith("refused: ")
    assert ("broken" in entry["result"]) or ("c" in entry["result"])


def test_a_switch_that_cant_be_audited_is_refused(host: Host) -> None:
    """Nothing has changed then."""
    host.plugin("a", "def register():\n    return {'tep': {'nav': 'a'}}\n")
    host.start()
    host.pm.disable_plugin("a")
    host.pm.enable_plugin("a")
    audit = site_of(host).control / "audit.jsonl"
    audit.unlink()
    audit.mkdir()
    with unchanged(host), pytest.raises(StateError):
        host.pm.disable_plugin("a")
    assert host.render("{{ emit_tep('nav') }}") == "a"
    audit.rmdir()
    host.pm.disable_plugin("a")
    assert host.render("{{ emit_tep('nav') }}") == ""


# ---- a state that can't be stored ------------------------------------------------------------


def fails_at(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Callable[[], None]:
    """Let the disk fail wherever the state is written; return what mends it."""
    from flask_pluginkit import durable

    def fail(*_args: Any, **_rest: Any) -> None:
        raise error

    monkeypatch.setattr(durable, "stage", fail)
    return monkeypatch.undo


@pytest.mark.parametrize("switch", ["enable_plugin", "disable_plugin"])
@pytest.mark.parametrize("own", [True, False])
def test_a_full_disk_changes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, switch: str, own: bool
) -> None:
    """Neither the state nor what requests see; and when there is room again it goes on."""
    host.plugin("a", "def register():\n    return {'tep': {'nav': 'a'}}\n")
    off(host, "b", "def register():\n    return {'tep': {'nav': 'b'}}\n")
    host.start(state_dir=host.folder / "state" if own else None)
    host.get("/")
    name = "b" if switch == "enable_plugin" else "a"
    mend = fails_at(monkeypatch, OSError(28, "No space left on device"))
    before = host.render("{{ emit_tep('nav') }}")
    with unchanged(host), pytest.raises(StateError, match="room"):
        getattr(host.pm, switch)(name)
    assert host.render("{{ emit_tep('nav') }}") == before == "a"
    mend()
    getattr(host.pm, switch)(name)
    assert host.render("{{ emit_tep('nav') }}") == ("ab" if name == "b" else "")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cant_be_written_changes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A StateError names the option that helps."""
    host.plugin("a", NOTHING)
    host.start(state_dir=host.folder / "state")
    host.get("/")
    fails_at(monkeypatch, OSError(number, os.strerror(number)))
    with unchanged(host), pytest.raises(StateError, match="state_dir"):
        host.pm.disable_plugin("a")


def test_a_state_dir_that_is_a_file_changes_nothing(host: Host) -> None:
    """Whoever put it there is told."""
    host.plugin("a", NOTHING)
    host.start(state_dir=host.folder / "state")
    host.get("/")
    state = host.folder / "state"
    while state.is_dir():  # a helper thread that reports may make it again
        state.rename(host.folder / f"moved-{time.monotonic_ns()}")
        with suppress(IsADirectoryError):
            state.write_text("no folder")
    with pytest.raises(StateError, match="state_dir"):
        host.pm.disable_plugin("a")
    assert statuses(host) == {"a": "active"}
    host.get("/")


def test_a_state_that_others_changed_meanwhile_is_the_one_decided_on(host: Host) -> None:
    """Also where this process has not followed yet."""
    host.plugin("a", NOTHING)
    host.plugin("b", NOTHING, requires={"a": ">=1"})
    host.start()
    twin = host.twin()
    twin.start()
    host.pm.disable_plugin("b")
    assert twin.pm.disable_plugin("a").changed == ("a",)
    assert statuses(twin) == dict.fromkeys("ab", "disabled")
    twin.pm.enable_plugin("b", cascade=True)
    with pytest.raises(RequirementError):
        host.pm.disable_plugin("a")


def test_a_marker_made_by_hand_counts_in_the_next_switch(host: Host) -> None:
    """It was there before."""
    host.plugin("a", NOTHING)
    host.plugin("b", NOTHING, requires={"a": ">=1"})
    host.start()
    (host.folder / "plugins/b/DISABLED").touch()
    assert host.pm.disable_plugin("a").changed == ("a",)
    assert json.loads((site_of(host).control / "state.json").read_text())["wanted"] == {
        "a": "disabled",
        "b": "disabled",
    }


def test_safe_mode_enables_nothing_and_disables_what_is_asked(host: Host) -> None:
    """That is how one gets rid of what is broken."""
    host.plugin("a", BROKEN["exit"])
    off(host, "b")
    host.app.config["PLUGINKIT_SAFE_MODE"] = "1"
    host.start()
    with unchanged(host), pytest.raises(SwitchError, match="safe mode"):
        host.pm.enable_plugin("b")
    assert host.pm.disable_plugin("a").changed == ("a",)


def test_a_request_isnt_disturbed_by_a_refused_switch(host: Host) -> None:
    """One that began before it sees its snapshot to the end."""
    host.plugin("a", "def register():\n    return {'tep': {'nav': 'a'}}\n")
    off(host, "b", BROKEN["ready"])
    host.start()
    host.get("/")

    def application() -> Iterator[bytes]:
        return iter(host.app.wsgi_app(create_environ("/"), cast("Any", lambda *_rest: None)))

    body = application()
    with pytest.raises(SwitchError):
        host.pm.enable_plugin("b")
    assert b"".join(body)
    assert host.render("{{ emit_tep('nav') }}") == "a"


def test_who_needs_a_plugin_that_fails_isnt_made_ready(host: Host) -> None:
    """Its ``on_app_ready`` would run without what it requires."""
    host.plugin("a", BROKEN["ready"])
    body = "calls = []\ndef on_app_ready(app):\n    calls.append(app)\n" + NOTHING
    host.plugin("b", body, requires={"a": ">=1"})
    host.start(strict=False)
    assert statuses(host) == {"a": "failed", "b": "failed"}
    assert host.module("b").calls == []
