"""The permanent hostile suite, first part: attacks that a confined process can't do at all.

Each runs in a process of its own, after its confinement was verified. The host that forked it
looks at itself before and after.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confined import USERS, ground

FOLDER = Path(__file__).parent / "attacks"
sys.path.insert(0, str(FOLDER))  # to read the tables; nothing of them runs here

import hostile_files  # noqa: E402
import hostile_network  # noqa: E402
import hostile_processes  # noqa: E402
import hostile_resources  # noqa: E402
from hostile_tools import ANSWERS, LANDLOCK, Attack  # noqa: E402

sys.path.remove(str(FOLDER))

TABLES = {
    module.__name__: module.ATTACKS
    for module in (hostile_files, hostile_network, hostile_processes, hostile_resources)
}
ROWS: dict[str, Attack] = {
    f"{name.removeprefix('hostile_')}: {row}": attack
    for name, table in TABLES.items()
    for row, attack in table.items()
}
TASKS = [f"enter_{name}:attack_{number}" for name in TABLES for number in range(len(TABLES[name]))]

# a function for each row, as the host names what is to be run
ENTRY = """
from {name} import ATTACKS
for number, attack in enumerate(ATTACKS.values()):
    globals()[f"attack_{{number}}"] = attack.attempt
"""

# enough for the interpreter, little for the machine
LIMITS = {"address_space": 320 * 2**20, "data": 160 * 2**20, "tasks": 40}

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=[False, True], ids=["no namespaces", "namespaces"])
def namespaced(request: pytest.FixtureRequest) -> bool:
    """Without namespaces, as it must hold everywhere, and with them."""
    return bool(request.param)


@pytest.fixture(scope="module", params=USERS)
def results(request: pytest.FixtureRequest, namespaced: bool) -> Results:
    """What became of every attack, as one kind of user."""
    modules = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
    entries = {f"enter_{name}": ENTRY.format(name=name) for name in TABLES}
    with ground(request.param, {**modules, **entries}) as place:
        if namespaced and not place.run(["host:namespaces"])[0]["permitted"]:
            pytest.skip("IN NAMESPACES NOTHING WAS TRIED: this machine refuses them")
        found = place.run(TASKS, namespaces=namespaced, limits=LIMITS, deadline=15.0)
    return dict(zip(ROWS, found, strict=True))


def what_stopped(answer: dict[str, Any]) -> str:
    """The error or the signal that ended an attack, or what it got."""
    if answer["late"]:
        return "the deadline"
    if answer["signal"] is not None:
        return str(answer["signal"])
    if "unavailable" in answer:
        return f"not confined: {answer['unavailable']}"
    return str(answer.get("stopped", f"NOTHING: {answer.get('worked')!r}"))


@pytest.mark.parametrize("row", ROWS)
def test_the_attack_is_stopped_and_the_host_saw_nothing_of_it(
    row: str, results: Results, namespaced: bool
) -> None:
    """By the layer that is meant to, and nothing of the host changed or heard of it."""
    attack = ROWS[row]
    if platform.machine() not in attack.machines:
        pytest.skip(f"NOT TRIED: there is no such way in on {platform.machine()}")
    answer = results[row]
    assert answer["host"] == []
    if attack.namespaced and not namespaced:
        # only a mount namespace stops it, which isn't promised: should another layer do so one
        # day, then the documents may promise more
        assert what_stopped(answer).startswith("NOTHING")
        return
    # there a path is gone before Landlock is asked
    gone = ("ENOENT",) if namespaced and attack.layer == LANDLOCK else ()
    assert what_stopped(answer) in (*ANSWERS[attack.layer], *gone), answer


def test_what_was_stopped_by_what(results: Results, tell: Callable[[str], None]) -> None:
    """The table for whoever reads the log; every row was run."""
    lines = [f"{row} | {ROWS[row].layer} | {what_stopped(results[row])}" for row in results]
    tell("\n" + "\n".join(lines))
    assert len(lines) == len(ROWS)
