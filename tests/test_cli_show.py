"""``flask plugins show``: everything of one plugin."""

from __future__ import annotations

import json
from typing import Any

import pytest
from commands import invoke
from hosts import Host, clean_imports, host, views

from flask_pluginkit.exceptions import StateError
from flask_pluginkit.health import Workers
from flask_pluginkit.reports import Report

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"

BUSY = views(
    "[{'rule': '/hello', 'view_func': hello}]",
    tep="{'nav': '7@<b>nav</b>', 'foot': 'foot.html'}",
    filter="{'loud': str.upper}",
    hep="{'before_request': where_hook}",
    errhandler="{404: hello}",
    dcp="{'counter': hello}",
).replace("def register", "def where_hook():\n    return None\n\ndef register")


@pytest.fixture
def shown(host: Host) -> Host:
    """A host with a plugin of many parts, one that requires it, and one that is broken."""
    host.plugin(
        "hello",
        BUSY,
        version="1.2.3",
        description="Says\nhello",
        license="MIT",
        requires={"base": ">=1"},
        permissions=["storage"],
        files={"templates/foot.html": "foot"},
    )
    host.plugin("base", NOTHING)
    host.plugin("upper", NOTHING, requires={"hello": ">=1,<2", "ghost": ""}, state="disabled")
    host.plugin("broken", NOTHING + "raise RuntimeError('oh \\x1b[31mdear')")
    host.start(strict=False, live=False)
    return host


def lines_of(host: Host, name: str) -> list[list[str]]:
    """The words of each line that is shown of a plugin."""
    result = invoke(host.app, "show", name)
    assert (result.exit_code, result.stderr) == (0, "")
    return [line.split() for line in result.stdout.splitlines()]


def facts_of(host: Host, name: str) -> dict[str, Any]:
    """What is told of a plugin as JSON."""
    result = invoke(host.app, "show", name, "--json")
    assert result.exit_code == 0
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def test_the_manifest_is_shown(shown: Host) -> None:
    """With version and status first."""
    lines = lines_of(shown, "hello")
    assert lines[0] == ["hello", "1.2.3:", "active"]
    assert ["Licence", "MIT"] in lines
    assert ["Description", "Says", "hello"] in lines
    assert ["Folder", str(shown.folder / "plugins" / "hello")] in lines


def test_every_contribution_is_shown(shown: Host) -> None:
    """By kind and name, with what else there is to say."""
    found = {
        (one["kind"], one["name"]): one["detail"]
        for one in facts_of(shown, "hello")["contributions"]
    }
    assert found == {
        ("route", "/hello"): "GET, endpoint hello",
        ("slot", "nav"): "code <b>nav</b>, order 7",
        ("slot", "foot"): "file foot.html",
        ("filter", "loud"): "",
        ("hook", "before_request"): "where_hook",
        ("error", "404"): "",
        ("event", "counter"): "",
    }
    lines = lines_of(shown, "hello")
    assert ["slot", "nav", "code", "<b>nav</b>,", "order", "7"] in lines


PARTS_OF_A_BLUEPRINT = """
from flask import Blueprint, request_finished

class Sold(Exception):
    pass

class Receiver:
    def __call__(self, sender, **values):
        pass

blueprint = Blueprint("shop", __name__)
blueprint.before_request(lambda: None)
blueprint.errorhandler(Sold)(lambda error: "sold")
blueprint.add_url_rule("/x", "x", lambda: "x", methods=["GET", "POST"], subdomain="api")
receiver = Receiver()

def register():
    return {"bep": {"blueprint": blueprint}, "signal": [(request_finished, receiver)],
            "tep": {"nav": "a" * 90}, "tcp": {"name": 1}}
"""


def test_parts_of_a_blueprint_say_so(host: Host) -> None:
    """Hooks and handlers with its name, routes with where they are."""
    host.plugin("shop", PARTS_OF_A_BLUEPRINT)
    host.start(live=False)
    told = {
        (one["kind"], one["name"]): one["detail"] for one in facts_of(host, "shop")["contributions"]
    }
    assert told == {
        ("blueprint", "shop"): "",
        ("hook", "before_request"): "<lambda> of blueprint shop",
        ("error", "Sold"): "of blueprint shop",
        ("route", "/x"): "GET, POST at api, endpoint shop.x",
        ("signal", "request-finished"): "Receiver",
        ("slot", "nav"): f"code {'a' * 39}…",
        ("context", "name"): "",
    }


def test_approvals_that_cannot_be_read_grant_nothing(shown: Host) -> None:
    """The plugin is shown all the same."""
    (shown.folder / "instance").mkdir(exist_ok=True)
    control = shown.pm._site().control
    control.mkdir(parents=True, exist_ok=True)
    (control / "approvals.json").write_text("nonsense")
    assert facts_of(shown, "hello")["permissions"][0]["granted"] is False


def test_what_workers_report_is_shown(shown: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status and faults, by worker; a state that can't be read hides nothing else."""
    report = Report(
        id="1", pid=7, host="web", started=0.0, written=0.0, plugins={"hello": "active"},
        errors={"hello": 3}, failures={},
    )  # fmt: skip
    monkeypatch.setattr(
        type(shown.pm), "workers", lambda _self: Workers(generation=0, reports=(report,))
    )
    assert ["pid", "7", "on", "web", "active", "3"] in lines_of(shown, "hello")

    def fails(_self: object) -> Workers:
        raise StateError("no state")

    monkeypatch.setattr(type(shown.pm), "workers", fails)
    assert facts_of(shown, "hello")["workers"] == []


def test_requirements_are_shown_in_both_directions(shown: Host) -> None:
    """With what became of the others, also of those that nobody has."""
    lines = lines_of(shown, "hello")
    assert ["requires", "base", ">=1,", "1.0.0", "is", "active"] in lines
    assert ["required", "by", "upper", ">=1,<2,", "1.0.0", "is", "disabled"] in lines
    assert ["requires", "ghost", "any", "version,", "not", "found"] in lines_of(shown, "upper")


def test_a_plugin_that_failed_is_shown_with_its_traceback(shown: Host) -> None:
    """Printable, and its lines are whole."""
    text = invoke(shown.app, "show", "broken").stdout
    assert "broken 1.0.0: failed" in text
    assert "Why it failed" in text
    assert "raise RuntimeError(" in text
    assert "\x1b" not in text


def test_permissions_are_shown_with_what_was_granted(shown: Host) -> None:
    """A trusted plugin needs no approval, and one reads so."""
    assert [(one["asked"], one["granted"]) for one in facts_of(shown, "hello")["permissions"]] == [
        ("storage", False)
    ]
    text = invoke(shown.app, "show", "hello").stdout
    assert "Permissions (it isn't confined, and so may do everything)" in text
    shown.pm.approve_plugin("hello")
    assert facts_of(shown, "hello")["permissions"][0]["granted"] is True


SETTINGS = """
from dataclasses import dataclass
from typing import Annotated
from flask_pluginkit import SECRET, Range, Settings

@dataclass
class Mine:
    limit: Annotated[int, Range(1, 100)] = 20
    key: Annotated[str, SECRET] = "hush-hush"

settings = Settings(Mine)

def register():
    return {"settings": settings}
"""


def test_settings_are_shown_without_secrets(host: Host) -> None:
    """With where their values come from."""
    host.plugin("set", SETTINGS)
    host.app.config["PLUGINKIT_SET_LIMIT"] = 50
    host.start(live=False)
    lines = lines_of(host, "set")
    assert ["limit", "configuration", "50"] in lines
    assert ["key", "default", "(hidden)"] in lines
    assert "hush-hush" not in json.dumps(facts_of(host, "set"))


def test_what_was_counted_is_shown(shown: Host) -> None:
    """Of this process; what was never called is left out of the table."""
    shown.app.add_url_rule("/nav", "nav", lambda: shown.pm.emit_tep("nav"))
    shown.get("/nav")
    lines = lines_of(shown, "hello")
    assert ["tep", "nav", "1", "0"] in [line[:4] for line in lines]
    assert ["view", "hello"] not in [line[:2] for line in lines]
    points = {one["point"] for one in facts_of(shown, "hello")["calls"]}
    assert "view hello" in points


def test_the_last_fault_is_shown(shown: Host) -> None:
    """With its traceback, and counted."""
    shown.plugin("faulty", views("[]", tep="{'nav': '{{ 1 / 0 }}'}"))
    again = shown.twin()
    again.start(strict=False, live=False)
    again.render("{{ emit_tep('nav') }}")
    text = invoke(again.app, "show", "faulty").stdout
    assert "Last fault at run time" in text
    assert "ZeroDivisionError" in text


def test_conflicts_are_shown_at_the_loser(shown: Host) -> None:
    """With who has it."""
    shown.plugin("zoo", views("[]", filter="{'loud': str.lower}"))
    again = shown.twin()
    again.start(strict=False, live=False)
    text = " ".join(invoke(again.app, "show", "zoo").stdout.split())
    assert "Refused - filter 'loud' of plugin 'zoo' is refused: it belongs to " in text


def test_an_unknown_plugin_is_refused(shown: Host) -> None:
    """With the nearest name."""
    result = invoke(shown.app, "show", "helo")
    assert result.exit_code == 1
    assert "did you mean 'hello'" in result.stderr


def test_it_fits_80_columns(shown: Host) -> None:
    """But for tracebacks and paths, which one wants to copy."""
    lines = invoke(shown.app, "show", "hello").stdout.splitlines()
    assert max(len(line) for line in lines if "/" not in line) <= 80
