"""The gate: pages that a plugin protects stay shut while it can't run."""

from __future__ import annotations

from typing import Any

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit import always_open
from flask_pluginkit.frozen import replace
from flask_pluginkit.state.base import Quarantine

__all__ = ["clean_imports", "host"]

GUARD = """
from flask import request
def guard():
    if not request.args.get("user"):
        return "login", 401
def register():
    return {"hep": {"before_request": guard}}
"""
ANSWERS = """
def answer():
    return "answered"
def register():
    return {"hep": {"before_request": answer}}
"""


def take_out(host: Host, name: str) -> None:
    """Let the breaker take a plugin out."""
    host.pm._site().trip(host.row(name).resident, "before_request")


def prepared(host: Host, *, has_hook: bool = True, **options: Any) -> Host:
    """A host with a page, a probe and, from before the plugins, a hook of its own."""
    seen: list[str] = []
    host.app.extensions["seen"] = seen
    if has_hook:
        host.app.before_request(lambda: seen.append("host"))
    host.app.add_url_rule("/page", "page", lambda: "page")
    host.app.add_url_rule("/live", "live", always_open(lambda: "alive"))
    host.start(strict=False, live=False, **options)
    return host


def test_pages_are_shut_while_their_guard_is_out(host: Host) -> None:
    """The answer names the plugin, and nothing else of the application has run."""
    host.plugin("guard", GUARD)
    prepared(host)
    assert host.open("/page").status_code == 401
    take_out(host, "guard")
    host.app.extensions["seen"].clear()
    answer = host.open("/page?user=1")
    assert answer.status_code == 503
    assert "guard" in answer.text
    assert host.app.extensions["seen"] == []


def test_what_is_always_open_answers(host: Host) -> None:
    """Such as a probe; what isn't there is shut too."""
    host.plugin("guard", GUARD)
    prepared(host)
    take_out(host, "guard")
    assert host.get("/live") == "alive"
    assert host.open("/nowhere").status_code == 503
    assert host.open("/assets/guard/x").status_code == 503


@pytest.mark.parametrize("cure", ["enable", "disable"])
def test_enabling_or_disabling_the_guard_opens_the_pages(host: Host, cure: str) -> None:
    """With the guard, or, as somebody has decided so, without it."""
    host.plugin("guard", GUARD)
    prepared(host)
    take_out(host, "guard")
    getattr(host.pm, f"{cure}_plugin")("guard")
    assert host.open("/page").status_code == (401 if cure == "enable" else 200)
    assert host.get("/page?user=1") == "page"


def test_an_optional_hook_shuts_nothing(host: Host) -> None:
    """The plugin says that it protects nothing."""
    host.plugin("guard", GUARD, optional=True)
    prepared(host)
    take_out(host, "guard")
    assert host.get("/page") == "page"


def test_a_hook_of_the_plugins_own_blueprint_shuts_nothing(host: Host) -> None:
    """It can only protect what is gone with it."""
    body = """
from flask import Blueprint
bp = Blueprint("bp", __name__)
bp.before_request(lambda: None)
def register():
    return {"bep": {"blueprint": bp}}
"""
    host.plugin("guard", body)
    prepared(host)
    take_out(host, "guard")
    assert host.get("/page") == "page"


def quarantined_from_the_start(host: Host, name: str, *, guards: bool) -> None:
    """Store that a plugin was taken out, before the application starts."""
    first = host.twin()
    first.start(live=False)
    store = first.pm._site().store
    with store.exclusive():
        state = store.load()
        found = Quarantine(since=1.0, reason="it failed", traceback="", by="test", guards=guards)
        store.swap(state.generation, replace(state, quarantined={name: found}))


def test_a_guard_that_was_never_loaded_here_shuts_the_pages(host: Host) -> None:
    """The worker that took it out has noted that it guards."""
    host.plugin("guard", GUARD)
    quarantined_from_the_start(host, "guard", guards=True)
    prepared(host)
    assert host.row("guard").module is None
    assert host.open("/page?user=1").status_code == 503
    host.pm.enable_plugin("guard")
    assert host.get("/page?user=1") == "page"
    assert host.open("/page").status_code == 401


def test_a_plugin_that_doesnt_guard_shuts_nothing(host: Host) -> None:
    """Though it was never loaded here."""
    host.plugin("guard", GUARD)
    quarantined_from_the_start(host, "guard", guards=False)
    prepared(host)
    assert host.get("/page") == "page"


@pytest.mark.parametrize("has_hook", [True, False])
@pytest.mark.parametrize("is_late", [True, False])
def test_no_other_plugin_answers_before_the_gate(host: Host, is_late: bool, has_hook: bool) -> None:
    """Whether it has its first hook before the gate is there, or later."""
    host.plugin("guard", GUARD)
    host.plugin("other", ANSWERS, state="disabled" if is_late else "enabled")
    quarantined_from_the_start(host, "guard", guards=True)
    prepared(host, has_hook=has_hook)
    assert host.open("/page").status_code == 503
    host.pm.enable_plugin("other")
    assert host.open("/page").status_code == 503


def test_hooks_of_plugins_keep_their_place_behind_those_of_the_application(host: Host) -> None:
    """The gate stands before all, and moves nobody."""
    host.plugin("guard", GUARD)
    host.plugin("other", ANSWERS, state="disabled")
    quarantined_from_the_start(host, "guard", guards=True)
    prepared(host)
    host.pm.disable_plugin("guard")
    host.pm.enable_plugin("other")
    host.app.extensions["seen"].clear()
    assert host.get("/page") == "answered"
    assert host.app.extensions["seen"] == ["host"]


def test_safe_mode_shuts_what_is_guarded(host: Host) -> None:
    """As far as is known; what nobody knows of may be a guard."""
    host.plugin("guard", GUARD)
    host.app.config["PLUGINKIT_SAFE_MODE"] = "1"
    prepared(host)
    assert host.open("/page").status_code == 503
    assert host.get("/live") == "alive"
    host.pm.disable_plugin("guard")
    assert host.get("/page") == "page"


def test_the_request_that_is_on_its_way_isnt_shut(host: Host) -> None:
    """It began with the guard, which has let it in."""
    host.plugin("guard", GUARD)

    def switching() -> str:
        take_out(host, "guard")
        return host.render("page")

    host.app.add_url_rule("/switch", "switch", switching)
    prepared(host)
    assert host.get("/switch?user=1") == "page"
    assert host.open("/page?user=1").status_code == 503


def test_pages_are_shut_by_a_guard_that_another_plugin_reworked(host: Host) -> None:
    """What ``on_app_ready`` registered guards nothing, and isn't all that there is."""
    body = (
        GUARD + '\ndef on_app_ready(app):\n    app.add_url_rule("/mine", "mine", lambda: "mine")\n'
    )
    host.plugin("guard", body)
    rework = "lambda value: {**value, 'after_request': lambda response: response}"
    host.plugin(
        "other", f"def register():\n    return {{'p3': {{'guard': {{'hep': {rework}}}}}}}\n"
    )
    prepared(host)
    assert host.open("/page").status_code == 401
    take_out(host, "guard")
    assert host.open("/page?user=1").status_code == 503
