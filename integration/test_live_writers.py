"""Many processes that switch at once: none undoes what another did, and the audit tells it all."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live import FULL
from sites import SMALL, write_plugin

PROCESSES = 8
SWITCHES = 500 if FULL else 50
NAMES = ("one", "two", "three")

WRITER = """
import json, random, sys, time
from pathlib import Path
from flask import Flask
from flask_pluginkit import PluginManager

number, count, names = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",")
app = Flask("writers", root_path=".")
manager = PluginManager(app, plugins_base=".", state_dir=Path("state").absolute())
chosen = random.Random(number)
print(json.dumps("ready"), flush=True)
sys.stdin.readline()
for _ in range(count):
    name, what = chosen.choice([*names, f"own{number}"]), chosen.choice(["enable", "disable"])
    begun = time.monotonic()
    try:
        change = getattr(manager, f"{what}_plugin")(name, by=f"writer {number}")
        told = {"generation": change.generation, "changed": change.changed}
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    row = {"name": name, "what": what, "seconds": time.monotonic() - begun, **told}
    print(json.dumps(row), flush=True)
"""


def write_all(folder: Path) -> list[list[dict[str, Any]]]:
    """Let all processes switch at once, and return what each of them tells of each switch."""
    for name in (*NAMES, *(f"own{number}" for number in range(PROCESSES))):
        write_plugin(folder, name, SMALL.format(name=name, code=""))
    command = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen(
            [*command, str(number), str(SWITCHES), ",".join(NAMES)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert json.loads(writer.stdout.readline()) == "ready"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    return [[json.loads(line) for line in each.communicate()[0].splitlines()] for each in writers]


def history(folder: Path) -> list[dict[str, Any]]:
    """The entries of the audit, the oldest first, out of all its files."""
    files = sorted(folder.glob("audit.jsonl*"), key=lambda path: (len(path.name), path.name))
    newest, *older = files
    texts = [path.read_text() for path in [*reversed(older), newest]]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def replay(entries: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Do what the audit tells, and return the wanted state after each generation."""
    states: list[dict[str, str]] = [{}]
    intent: dict[str, Any] | None = None
    for entry in entries:
        if entry["result"] == "intent":
            assert intent is None, "one began before another had ended"
            intent = entry
            continue
        assert entry["result"] == "done"
        assert intent is not None
        for key in ("action", "plugins", "changed", "by"):
            assert entry[key] == intent[key]
        intent = None
        assert entry["generation"] == len(states), "each change has the next number"
        states.append({**states[-1], **dict.fromkeys(entry["changed"], f"{entry['action']}d")})
    assert intent is None
    return states


def test_concurrent_switches_make_one_history(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """What every writer was told fits into it, and its end is the state that is stored."""
    begun = time.monotonic()
    writers = write_all(tmp_path)
    took = time.monotonic() - begun
    rows = [row for writer in writers for row in writer]
    errors = [row for row in rows if "error" in row]
    lock_timeouts = [row for row in errors if "held the lock for 30 seconds" in row["error"]]
    assert errors == lock_timeouts
    waits = sorted(row["seconds"] for row in rows)
    tell(
        f"{len(rows)} switches by {PROCESSES} processes in {took:.1f} s, median "
        f"{waits[len(waits) // 2] * 1000:.0f} ms, longest {waits[-1]:.2f} s, "
        f"{len(lock_timeouts)} lock timeouts"
    )
    entries = history(tmp_path / "state")
    states = replay(entries)
    stored = json.loads((tmp_path / "state" / "state.json").read_text())
    assert (stored["generation"], stored["wanted"]) == (len(states) - 1, states[-1])
    made = {entry["generation"]: entry for entry in entries if entry["result"] == "done"}
    for number, writer in enumerate(writers):
        generations = [row["generation"] for row in writer if "error" not in row]
        assert generations == sorted(generations), "a writer went back in time"
        for row in writer:
            if "error" in row:
                continue
            # whoever changed nothing found what was asked for
            before = states[row["generation"] - bool(row["changed"])].get(row["name"], "enabled")
            assert (before == f"{row['what']}d") == (not row["changed"]), row
            if row["changed"]:
                entry = made.pop(row["generation"])
                assert entry["by"] == f"writer {number}"
                assert (entry["action"], entry["plugins"]) == (row["what"], [row["name"]])
    assert not made, "somebody changed something and wasn't told"


def test_a_model_of_the_audit_finds_what_is_wrong() -> None:
    """The model above can fail: a lost update, a hole and an overlap are no history."""
    base: dict[str, Any] = {"plugins": ["one"], "changed": ["one"], "by": "x", "action": "enable"}
    intent, done = {**base, "result": "intent"}, {**base, "result": "done"}
    assert replay([intent, {**done, "generation": 1}]) == [{}, {"one": "enabled"}]
    for wrong in (
        [intent, {**done, "generation": 2}],
        [intent, intent],
        [{**done, "generation": 1}],
        [intent, {**done, "generation": 1, "by": "y"}],
    ):
        try:
            replay(wrong)
        except AssertionError:
            continue
        raise AssertionError(wrong)
