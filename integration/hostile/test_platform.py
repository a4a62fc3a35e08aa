"""The permanent hostile suite, second part: hostile plugins in a real site behind gunicorn.

One site for each user, with a plugin for each attack. They strike one after the other while
visitors ask the site's own page and another plugin's view.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from besieging import (
    HEAVY_PATHS,
    ODD_PATHS,
    STATIC,
    control_socket,
    death_of_the_supervisor,
    dying_again_and_again,
    for_scripts,
    from_outside,
    nasty_pages,
    spies,
    static_files,
    write_static,
)
from isolated import PLAIN, ROOT, forget_environment, served, site_folder, write
from sieged import (
    CONFIGURED,
    EFFECT,
    FILED,
    FILES,
    MARKUP,
    NAMES,
    NASTY,
    NEIGHBOUR,
    POISON,
    SECRETS,
    SITE,
    SPIES,
    TOKEN,
    TREASURE,
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
    stopped,
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
    "SITE_PLUGINKIT_SANDBOX_START": "4",
    "SITE_PLUGINKIT_SANDBOX_STREAM": "1",
}


@dataclass
class Siege:
    """What became of everything."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    base: tuple[float, float] = (0.0, 0.0)
    state: dict[str, Any] = field(default_factory=dict)
    nasty: dict[str, list[str]] = field(default_factory=dict)
    control: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    looping: dict[str, Any] = field(default_factory=dict)
    headless: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)


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
        options = json.dumps({"isolation": "isolated", "state_dir": str(folder / "state")})
        with served(folder, request.param, options, env=ENVIRONMENT) as url:
            found.state = state_of(url)
            [note] = (folder / "state").glob("sandbox-runtime-*")
            runtime = os.fsdecode(note.read_bytes())
            run(url, folder, request.param, found, Path(runtime))
            pids = [one["pid"] for one in state_of(url)["processes"] if one["pid"]]
            pids += [*{parent(pid) for pid in pids}]
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
    write_static(add(folder, "markup", MARKUP.format(nasty=NASTY)), folder / "secret.txt")
    for name, permissions in SPIES.items():
        add(folder, name, EFFECT.format(name=name), permissions)
        approve(folder, name, permissions)


def ready(url: str) -> Answer:
    """Wait until both web workers have started, and have the neighbour hide its treasure."""
    pids: set[int] = set()
    for _ in range(100):
        pids.add(state_of(url)["pid"])
        if len(pids) == 2:
            break
        time.sleep(0.1)
    for _ in range(10):
        answer = ask(url, "/neighbour/hide")
        if answer.status == 200:
            break
        time.sleep(0.3)
    return answer


def run(url: str, folder: Path, user: str, found: Siege, runtime: Path) -> None:
    """Do everything, in turn."""
    answers = found.answers
    answers["names"] = ask(url, "/names")
    hidden = json.loads(ready(url).body)
    visitors = Visitors(url)
    with visitors.asking():
        begun = time.monotonic()
        time.sleep(1.5)
        found.base = visitors.quantiles(begun, time.monotonic())
        for row in ROWS.values():
            found.outcomes[row.name] = attack(url, row, visitors)
        found.said = stopped(url, ROWS)
        answers |= from_outside(url)
        found.nasty = nasty_pages(url)
        answers |= for_scripts(url)
        answers |= {f"static {name}": one for name, one in static_files(url).items()}
        answers |= spies(url, folder, hidden, runtime)
        found.control = control_socket(user, runtime)
        found.looping = dying_again_and_again(url)
        found.looping["failures"] = visitors.failures
    answers["kept"] = ask(url, "/neighbour/kept")
    found.headless = death_of_the_supervisor(url, hidden)


# ---- what is expected ------------------------------------------------------------------------

UNSENT = [
    "set-cookie",
    "x-accel-redirect",
    "x-accel-buffering",
    "x-sendfile",
    "refresh",
    "link",
    "clear-site-data",
    "trailer",
    "access-control-allow-origin",
    "service-worker-allowed",
    "upgrade",
    "x-a",
    "x-secret",
    "content-encoding",
]
"""Headers that no plugin gets into a response."""


def objections(answer: Answer) -> list[str]:
    """What must not be in any response."""
    everything = answer.body + repr(answer.headers).encode()
    found = [secret for secret in SECRETS if secret.encode() in everything]
    found += [f"{name}: {answer.values(name)}" for name in UNSENT if answer.values(name)]
    found += [one for one in answer.values("Location") if not one.startswith("/elsewhere")]
    found += [one for one in answer.values("Content-Type") if "javascript" in one]
    return found + [one for one in answer.values("Content-Length") if one == "999999"]


def test_the_report(siege: Siege, tell: Callable[[str], None]) -> None:
    """What stopped what, what the host saw, and how long it took: for whoever reads the log."""
    tell("\n" + table(siege.outcomes, siege.base, siege.said))
    quiet = [f"{name} | {siege.state['plugins'][name][:2]}"[:160] for name in QUIET]
    tell("while the site starts:\n" + "\n".join(quiet))
    heavy = {name: one.status for name, one in siege.answers.items() if name.startswith("heavy")}
    tell(f"{heavy} {siege.control} {siege.headless} {siege.looping}")
    assert siege.outcomes.keys() == ROWS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_the_attacker_gets_what_it_may_and_the_site_goes_on(name: str, siege: Siege) -> None:
    """No page of others fails, no secret is told, and what is sent is what may be sent."""
    row, outcome = ROWS[name], siege.outcomes[name]
    assert outcome.failures == ()
    assert outcome.after.body == b"the site"
    assert outcome.answer.status in row.statuses, outcome.answer
    assert objections(outcome.answer) == []
    assert POISON not in outcome.answer.body + outcome.others
    assert b"<script" not in outcome.answer.body
    assert outcome.seconds < 8
    assert outcome.grown < 120 << 20


@pytest.mark.parametrize("name", ROWS)
def test_the_plugin_is_replaced_goes_on_or_is_put_off(name: str, siege: Siege) -> None:
    """Only those with a full folder stay away, until somebody makes room."""
    outcome = siege.outcomes[name]
    assert (outcome.recovery is None) <= (name in FILES), siege.said[name]


def test_a_lie_at_the_start_takes_nothing_of_others(siege: Siege) -> None:
    """Names and pages are whose they were, and what is told of the liar is fit to print."""
    assert siege.answers["names"].text == NAMES
    for name in QUIET:
        status, reason, _confinement = siege.state["plugins"][name]
        assert reason.isprintable()
        is_out = name.startswith("import") or name in {"lieargument", "liefatal"}
        assert (status == "failed") == is_out, (name, reason)


@pytest.mark.parametrize("number", range(len(HEAVY_PATHS)))
def test_no_rule_of_a_plugin_holds_up_the_host(number: int, siege: Siege) -> None:
    """The host has looked for what fits within the time of this suite, and found nothing."""
    assert siege.answers[f"heavy{number}"].status == 404


def test_views_never_see_what_is_the_users(siege: Siege) -> None:
    """Neither cookies nor tokens nor addresses, however the request is made up."""
    answer = siege.answers["spoofed"]
    assert answer.status == 200
    assert "stolen" not in answer.text


def test_odd_requests_are_answered_by_the_host(siege: Siege) -> None:
    """Too large, too slow, unknown methods and paths."""
    assert siege.answers["large"].status == 413
    assert siege.answers["brew"].status == 405
    assert (siege.answers["slow"].status, siege.answers["slow"].body) == (200, b"the site")
    odd = {path: siege.answers[f"odd{number}"].status for number, path in enumerate(ODD_PATHS)}
    assert set(odd.values()) <= {200, 308, 400, 404, 414}, odd


@pytest.mark.parametrize("kind", ["tep", "dcp"])
@pytest.mark.parametrize("part", NASTY)
def test_parts_of_pages_neither_run_nor_load_anything(part: str, kind: str, siege: Siege) -> None:
    """As text and in an attribute of the site's template."""
    assert siege.nasty[f"{kind} {part}"] == []


def test_scripts_of_the_site_get_no_scripts_of_a_plugin(siege: Siege) -> None:
    """Whatever the content type, and also of a response without an end."""
    asked = {name: one for name, one in siege.answers.items() if name.lower().startswith("hx-")}
    assert len(asked) == 10
    for answer in (*asked.values(), siege.answers["fetch"]):
        assert b"<script" not in answer.body
    assert siege.answers["endless"].status == 502


def test_a_plugins_page_is_another_site_to_the_browser(siege: Siege) -> None:
    """It may have what it wants in it."""
    [policy] = siege.answers["reader"].values("Content-Security-Policy")
    assert "sandbox" in policy
    assert "allow-same-origin" not in policy


def test_static_files_are_the_plugins_own(siege: Siege) -> None:
    """No links, pipes, scripts or ways out."""
    fine = siege.answers["static ok.png"]
    assert fine.status == 200
    assert fine.values("X-Content-Type-Options") == ["nosniff"]
    for name in STATIC:
        answer = siege.answers[f"static {name}"]
        assert (answer.status, objections(answer)) == (404, []), name


@pytest.mark.parametrize("name", SPIES)
def test_a_plugin_finds_nothing_of_others(name: str, siege: Siege) -> None:
    """Neither the site's secrets nor the neighbour's files, values, sockets and processes."""
    answer = siege.answers[name]
    assert answer.status == 200
    assert objections(answer) == []
    taken = [
        line for line in answer.text.splitlines() if line.startswith(("GOT", "READ", "LISTED"))
    ]
    assert taken == []


def test_the_neighbour_has_what_it_had(siege: Siege) -> None:
    """Its file and its value, and nothing that others planted."""
    for text in (siege.answers["kept"].text, siege.headless["kept"]):
        assert json.loads(text) == {"names": ["treasure"], "value": TREASURE}


def test_a_plugin_that_dies_in_a_loop_is_put_off(siege: Siege) -> None:
    """With growing pauses; nobody else notices."""
    assert siege.looping["failures"] == []
    assert set(siege.looping["answers"]) <= {404, 502, 503}
    process, row = siege.looping["process"], siege.looping["row"]
    assert process["state"] in {"waiting", "failed"} or row[0] == "quarantined"


def test_the_control_socket_is_the_site_s_own(siege: Siege) -> None:
    """A stranger doesn't get to it, nor an answer if he did; nonsense ends a connection only."""
    for name, what in siege.control.items():
        expected = {"PermissionError"} if name == "stranger" else {"closed", "ConnectionResetError"}
        assert what in expected | {"BrokenPipeError"}, name
    if "stranger" not in siege.control:
        pytest.skip("NO STRANGER TRIED: that takes root")


def test_the_death_of_the_supervisor_is_survived(siege: Siege) -> None:
    """Its orphans end, another one is elected, and the host's page never noticed."""
    assert siege.headless["recovery"] is not None
    assert siege.headless["pages"] == {b"the site"}
    assert siege.headless["left"] == []


def test_nothing_is_left_behind(siege: Siege) -> None:
    """No process, socket or folder, whatever the plugins did."""
    assert siege.end["processes"] == []
    assert not siege.end["runtime"]
    assert not siege.end["note"]
    assert siege.end["canaries"] == []
    assert len(siege.end["log"]) < 8 << 20
    assert b"\x1b" not in siege.end["log"]
    assert b"\nINJECTED" not in siege.end["log"]
