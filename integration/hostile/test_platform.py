"""The permanent hostile suite, second part: hostile plugins in a real site behind gunicorn.

One site for each user, with a plugin for each attack. They strike one after the other while
visitors ask the site's own page and another plugin's view.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from isolated import PLAIN, ROOT, forget_environment, served, site_folder, write
from sieged import (
    CONFIGURED,
    EFFECT,
    FILED,
    NEIGHBOUR,
    SITE,
    SPIES,
    TOKEN,
    add,
    approve,
    quiet_rows,
    rows,
)
from sieges import (
    Answer,
    Outcome,
    Visitors,
    all_gone,
    ask,
    attack,
    parent,
    state_of,
    table,
)

ROWS = {row.name: row for row in rows()}
QUIET = {row.name: row for row in quiet_rows()}
ENVIRONMENT = {
    "TOKEN": TOKEN,
    "SECRET_OF_SITE": CONFIGURED,
    "SITE_PLUGINKIT_SANDBOX_DEADLINE": "0.5",
    "SITE_PLUGINKIT_SANDBOX_MEMORY": str(96 << 20),
    "SITE_PLUGINKIT_SANDBOX_CONCURRENCY": "4",
    "SITE_PLUGINKIT_SANDBOX_START": "2",
}


@dataclass
class Siege:
    """What became of everything."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    base: tuple[float, float] = (0.0, 0.0)
    state: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """Remove the interpreter at the end that everybody can read."""
    yield
    forget_environment()


@pytest.fixture(scope="module", params=(ROOT, PLAIN))
def siege(request: pytest.FixtureRequest) -> Siege:
    """A site that was attacked in every way, and has ended."""
    found = Siege()
    with site_folder(request.param) as folder:
        build(folder)
        with ExitStack() as stack:
            options = json.dumps({"isolation": "isolated", "state_dir": str(folder / "state")})
            url = stack.enter_context(served(folder, request.param, options, env=ENVIRONMENT))
            run(url, folder, request.param, found)
            pids = [one["pid"] for one in state_of(url)["processes"] if one["pid"]]
            pids += [*{parent(pid) for pid in pids}]
            [note] = (folder / "state").glob("sandbox-runtime-*")
            runtime = os.fsdecode(note.read_bytes())
        found.end = {
            "processes": all_gone([pid for pid in pids if pid > 1], runtime),
            "runtime": Path(runtime).exists(),
            "note": note.exists(),
            "canaries": [str(one) for one in Path("/tmp").glob(f"pluginkit-{mark(runtime)}-*")],
            "log": (folder / "gunicorn.log").read_bytes(),
            "sandbox log": sum(
                one.stat().st_size for one in (folder / "state").glob("sandbox.log*")
            ),
        }
    return found


def mark(runtime: str) -> str:
    """The application's mark in the name of its runtime folder."""
    return Path(runtime).name.removeprefix("flask-pluginkit-").rpartition("-")[0]


def build(folder: Path) -> None:
    """Write the site."""
    write(folder, {"site_host.py": SITE, "secret.txt": FILED})
    (folder / "secret.txt").chmod(0o600)
    (folder / "state").mkdir()
    add(folder, "neighbour", NEIGHBOUR, ("files:1MB", "storage"))
    approve(folder, "neighbour", ("files:1MB", "storage"))
    for row in (*ROWS.values(), *QUIET.values()):
        add(folder, row.name, row.source, row.permissions)
        approve(folder, row.name, row.permissions)
    for name, permissions in SPIES.items():
        add(folder, name, EFFECT.format(name=name), permissions)
        approve(folder, name, permissions)


def run(url: str, folder: Path, user: str, found: Siege) -> None:
    """Do everything, in turn."""
    found.state = state_of(url)
    found.answers["names"] = ask(url, "/names")
    found.answers["hide"] = ask(url, "/neighbour/hide")
    visitors = Visitors(url)
    with visitors.asking():
        begun = time.monotonic()
        time.sleep(1.5)
        found.base = visitors.quantiles(begun, time.monotonic())
        for row in ROWS.values():
            found.outcomes[row.name] = attack(url, row, visitors)
        found.failures = visitors.failures
    found.answers["kept"] = ask(url, "/neighbour/kept")


def test_the_report(siege: Siege, tell: Callable[[str], None]) -> None:
    """What stopped what, what the host saw, and how long it took: for whoever reads the log."""
    tell("\n" + table(siege.outcomes, siege.base))
    tell(
        "\n".join(f"{name}: {row}" for name, row in siege.state["plugins"].items() if name in QUIET)
    )
    tell(json.dumps({k: v for k, v in siege.end.items() if k != "log"}))
    assert siege.outcomes.keys() == ROWS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_the_attacker_gets_what_it_may_and_the_site_goes_on(name: str, siege: Siege) -> None:
    """No page of others fails, and the attacker's own is one that may be sent."""
    row, outcome = ROWS[name], siege.outcomes[name]
    assert outcome.failures == ()
    assert outcome.after.body == b"the site"
    assert outcome.answer.status in row.statuses, outcome.answer
    assert outcome.seconds < 8
    assert outcome.grown < 120 << 20


def test_nothing_is_left_behind(siege: Siege) -> None:
    """No process, socket or folder, whatever the plugins did."""
    assert siege.end["processes"] == []
    assert not siege.end["runtime"]
    assert not siege.end["note"]
    assert siege.end["canaries"] == []
    assert len(siege.end["log"]) < 8 << 20
    assert b"\x1b" not in siege.end["log"]
    assert b"\nINJECTED" not in siege.end["log"]
