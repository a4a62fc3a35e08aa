"""``flask plugins audit``: who changed what, as a table and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from commands import invoke
from flask import Flask
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"


class Auditing:
    """In the place of the manager, with entries that a test gives."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.entries = entries

    def audit(self, limit: int) -> list[dict[str, Any]]:
        return list(self.entries[:limit])


def told(*entries: dict[str, Any], options: tuple[str, ...] = ()) -> list[str]:
    """The lines of the audit that has these entries."""
    app = Flask("host")
    app.extensions["pluginkit"] = Auditing(*entries)
    result = invoke(app, "audit", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.fixture
def switched(host: Host) -> Host:
    """A host on which two plugins were disabled, and one enabled again."""
    host.plugin("first", NOTHING)
    host.plugin("second", NOTHING, requires={"first": ">=1"})
    host.start(live=False, state_dir=host.folder / "state")
    invoke(host.app, "disable", "first", "--cascade")
    invoke(host.app, "enable", "first")
    return host


def test_each_switch_is_one_line_the_last_first(switched: Host) -> None:
    """With what was switched along; that it was announced before is passed over."""
    lines = invoke(switched.app, "audit").stdout.splitlines()
    text = " ".join(" ".join(lines).split())
    assert lines[0].split() == ["WHEN", "BY", "RESULT", "WHAT"]
    assert text.index("done enable first, generation 2") < text.index("done disable first")
    assert "with second" in text
    assert "intent" not in text
    assert max(map(len, lines)) <= 80


def test_as_json_everything_is_there(switched: Host) -> None:
    """Also what was announced."""
    entries = json.loads(invoke(switched.app, "audit", "--json").stdout)
    assert [entry["result"] for entry in entries] == ["done", "intent", "done", "intent"]


def test_the_number_of_entries_is_limited(switched: Host) -> None:
    """Lines for people, entries for programs."""
    assert "disable" not in invoke(switched.app, "audit", "--limit", "1").stdout
    entries = json.loads(invoke(switched.app, "audit", "--json", "--limit", "3").stdout)
    assert len(entries) == 3
    assert invoke(switched.app, "audit", "--limit", "0").exit_code == 2


def test_a_switch_that_was_interrupted_stays_visible() -> None:
    """It was announced, and nobody knows what came of it."""
    entry = {"action": "enable", "plugins": ["a"], "from": "x", "result": "intent", "time": "?"}
    assert "intent" in told(entry)[1]
    lines = told({**entry, "result": "done"}, entry, entry)
    assert [line.split()[-4] for line in lines[1:]] == ["enable", "enable"]
    assert ["done" in line for line in lines[1:]] == [True, False]


def test_where_nothing_was_changed_one_is_told_so() -> None:
    """And programs get a list."""
    assert told() == ["nothing was changed so far"]
    assert told(options=("--json",)) == ["[]"]


def test_entries_of_any_shape_are_shown_printable() -> None:
    """The file may have been written by anybody who may write there."""
    odd = {
        "action": 5,
        "plugins": "none",
        "by": "\x1b[31mroot",
        "time": None,
        "more": {"a": "\u202e"},
    }
    (line,) = told(odd)[1:]
    assert "root" in line
    assert "\x1b" not in line
    assert "\u202e" not in line
