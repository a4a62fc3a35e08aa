"""Whom a change of the state concerns: those that have to do with no other are decided on alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.frozen import replace
from flask_pluginkit.isolation.levels import Isolation
from flask_pluginkit.pulse import PULSE
from flask_pluginkit.startup import Startup
from flask_pluginkit.state.base import WantedState
from flask_pluginkit.verdicts import Verdicts

__all__ = ["clean_imports", "host"]

ALONE = "def register():\n    return {'tep': {'nav': 'on'}}\n"
BLUEPRINT = """
from flask import Blueprint
blueprint = Blueprint("bp_a", __name__)
def register():
    return {"bep": {"blueprint": blueprint}}
"""
BUILDER = """
def register():
    return {"vep": {"rule": "/x", "view_func": lambda: "x", "endpoint": "x", "_blueprint": "bp_a"}}
"""
NESTED = """
from flask import Blueprint
blueprint = Blueprint("bp_b", __name__)
def register():
    return {"bep": {"blueprint": blueprint, "parent": "bp_a"}}
"""
AUTHOR = """
def register():
    return {"p3": {"a": {"tep": lambda teps: teps}}}
"""


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens in the helper thread."""
    monkeypatch.setattr(PULSE, "add", lambda _member: None)


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plugins that were decided on."""
    names: list[str] = []
    decide = Startup._decide

    def note(startup: Startup, loading: Any, *args: Any) -> None:
        names.append(loading.name)
        decide(startup, loading, *args)

    monkeypatch.setattr(Startup, "_decide", note)
    return names


def started(
    host: Host, decided: list[str], plugins: Mapping[str, Any], **options: Any
) -> list[str]:
    """Start an application with these plugins, which has answered a request."""
    for name, what in plugins.items():
        body, rest = (what, {}) if isinstance(what, str) else what
        host.plugin(name, body, **rest)
    host.start(live=True, **options)
    host.get("/")
    decided.clear()
    return decided


def test_a_switch_decides_only_on_who_is_switched(host: Host, decided: list[str]) -> None:
    """The verdicts on others still hold, and so do their rows."""
    started(host, decided, {"a": ALONE, "b": ALONE, "c": ALONE})
    before = host.row("b")
    host.pm.disable_plugin("a")
    host.pm.enable_plugin("a")
    assert decided == ["a", "a"]
    assert host.row("b") is before
    assert host.row("a").status == "active"


def test_several_that_are_switched_are_decided_on(host: Host, decided: list[str]) -> None:
    """Each of them, once."""
    started(host, decided, {"a": ALONE, "b": ALONE, "c": ALONE})
    site = host.pm._site()
    wanted = dict.fromkeys(("a", "c"), WantedState.DISABLED)
    with site.lock:
        site.prepare(replace(site.state, wanted=wanted), site.log)
    assert sorted(decided) == ["a", "c"]


REQUIRES = {"requires": {"a": ">=1"}}


@pytest.mark.parametrize(
    ("plugins", "name"),
    [
        ({"a": ALONE, "b": (ALONE, REQUIRES), "c": ALONE}, "b"),
        ({"a": ALONE, "b": (ALONE, {**REQUIRES, "state": "disabled"}), "c": ALONE}, "a"),
        ({"a": ALONE, "b": AUTHOR, "c": ALONE}, "a"),
        ({"a": ALONE, "b": AUTHOR, "c": ALONE}, "b"),
        ({"a": BLUEPRINT, "b": BUILDER, "c": ALONE}, "b"),
        ({"a": BLUEPRINT, "b": NESTED, "c": ALONE}, "b"),
        ({"a": ALONE, "b": (ALONE, {"state": "disabled"}), "c": ALONE}, "b"),
    ],
)
def test_who_has_to_do_with_others_concerns_everybody(
    host: Host, decided: list[str], plugins: Mapping[str, Any], name: str
) -> None:
    """Requirements, p3, blueprints of others, and what isn't loaded yet."""
    started(host, decided, plugins)
    switch = host.pm.disable_plugin if host.row(name).status == "active" else host.pm.enable_plugin
    switch(name)
    assert {"a", "b", "c"} <= set(decided)


def test_a_blueprint_on_which_others_build_concerns_everybody(
    host: Host, decided: list[str]
) -> None:
    """These fail without it, and come back with it."""
    started(host, decided, {"a": BLUEPRINT, "b": BUILDER}, strict=False)
    host.pm.disable_plugin("a")
    assert host.row("b").status == "failed"
    host.pm.enable_plugin("a")
    assert host.get("/x") == "x"


def test_a_blueprint_on_which_nobody_builds_is_its_plugins_own(
    host: Host, decided: list[str]
) -> None:
    """Most plugins have one."""
    started(host, decided, {"a": BLUEPRINT, "b": ALONE})
    host.pm.disable_plugin("a")
    assert decided == ["a"]


def test_what_failed_for_others_is_looked_at_at_each_change(host: Host, decided: list[str]) -> None:
    """Whom it lacks may be there now."""
    started(host, decided, {"a": ALONE, "b": (ALONE, {"requires": {"x": ">=1"}})}, strict=False)
    host.pm.disable_plugin("a")
    assert "b" in decided


def test_a_fault_of_its_own_stays_as_it_is(host: Host, decided: list[str]) -> None:
    """Nothing but asking for it again changes that."""
    fails = "def register():\n    raise RuntimeError\n"
    started(host, decided, {"a": ALONE, "b": fails}, strict=False)
    host.pm.disable_plugin("a")
    assert decided == ["a"]


def test_who_is_asked_for_again_is_decided_on(
    host: Host, decided: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed may have been mended."""
    monkeypatch.delenv("MENDED", raising=False)
    (host.folder / "plugins" / "b").mkdir(parents=True)
    (host.folder / "plugins" / "b" / "ENABLED").touch()  # so that the state stays as it is
    fails = "import os\ndef register():\n    return {'tep': {'nav': os.environ['MENDED']}}\n"
    started(host, decided, {"a": ALONE, "b": fails}, strict=False)
    with pytest.raises(PluginError):
        host.pm.enable_plugin("b")
    monkeypatch.setenv("MENDED", "mended")
    host.pm.enable_plugin("b")
    assert host.render("{{ emit_tep('nav') }}") == "onmended"


@pytest.mark.parametrize("change", [{"scan": 1}, {"isolation": {"b": "trusted"}}])
def test_what_concerns_everybody_decides_on_everybody(
    host: Host, decided: list[str], change: dict[str, Any]
) -> None:
    """Looking for plugins anew, and where they run."""
    started(host, decided, {"a": ALONE, "b": ALONE})
    site = host.pm._site()
    with site.lock:
        site.prepare(replace(site.state, **change), site.log)
    assert sorted(decided) == ["a", "b"]


def test_a_quarantine_concerns_one(host: Host, decided: list[str]) -> None:
    """It comes and goes as a switch does."""
    started(host, decided, {"a": ALONE, "b": ALONE})
    site = host.pm._site()
    resident = host.row("a").resident
    site.trip(resident, "view")
    assert host.row("a").status == "quarantined"
    host.pm.enable_plugin("a")
    assert set(decided) == {"a"}
    assert host.row("a").status == "active"


def test_who_runs_elsewhere_is_decided_on_by_a_whole_run(host: Host, decided: list[str]) -> None:
    """What ran it has let go of it when it was switched off."""
    started(host, decided, {"a": ALONE, "b": ALONE})
    site = host.pm._site()
    loadings = site.startup.loadings
    disabled = replace(site.state, wanted={"a": WantedState.DISABLED})
    assert Verdicts(loadings, site.state).concerned(disabled) == [loadings[0]]
    loadings[0].level = Isolation.PROCESS
    assert Verdicts(loadings, site.state).concerned(disabled) is None
