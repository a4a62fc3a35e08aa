"""Enabling what the workers of a running gunicorn haven't loaded: all of them, or none."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live import Site, Switcher, flask_plugins, served, wait_until
from loads import Load, assert_right
from sites import write_site, write_small_plugin

FAILS_IN_ONE = """
import os
from pathlib import Path
if Path(__file__).with_name("victim").exists():
    if os.getpid() == int(Path(__file__).with_name("victim").read_text()):
        raise RuntimeError("not in this one")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The site, with a plugin ``small`` that no worker has loaded, since it is disabled."""
    folder = write_site(tmp_path / "site")
    write_small_plugin(folder, "small", FAILS_IN_ONE, is_disabled=True)
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """The site, served by four workers that all had a request."""
    with served(folder) as site:
        site.states()
        yield site


def test_all_workers_load_it_beside_their_requests(folder: Path) -> None:
    """Under load: the plugin with everything is loaded while pages are served."""
    (folder / "plugins" / "live" / "DISABLED").touch()
    with served(folder) as site, Switcher(folder, site.env) as switcher:
        load = Load(site.port)
        with load.running():
            site.states()
            switches = [switcher("enable")]
            time.sleep(0.5)  # the load shall see each of both states
            switches.append(switcher("disable"))
            time.sleep(0.2)
        assert_right(load, switches)


def test_a_long_import_keeps_no_request_waiting(site: Site) -> None:
    """While all workers import a plugin that takes a second, pages are served as before."""
    write_small_plugin(site.folder, "slow", "import time; time.sleep(1)", is_disabled=True)
    load, told = Load(site.port), list[dict[str, Any]]()
    with load.running():
        thread = threading.Thread(target=lambda: told.append(site.switch("enable", "slow")))
        thread.start()
        thread.join()
    assert "error" not in told[0], told
    assert told[0]["silent"] == []
    assert told[0]["at"] - told[0]["begun"] > 1
    assert site.is_everywhere("slow", "active")
    assert not load.failures
    assert max(answer.ended - answer.begun for answer in load.answers) < 1


@pytest.mark.parametrize("asked", ["a worker", "a process"])
def test_one_worker_that_cannot_keeps_all_from_it(site: Site, asked: str) -> None:
    """The error names worker and reason; nothing has changed, until the reason is gone."""
    before = site.states()
    victim = place_of(site) / "victim"
    victim.write_text(str(max(before)))
    with Switcher(site.folder, site.env) as switcher:

        def enable() -> dict[str, Any]:
            if asked == "a process":
                return switcher.ask("enable", "small")
            while True:  # the victim itself would name no worker
                told = site.switch("enable", "small")
                if "error" not in told or "in the worker" in told["error"]:
                    return told

        error = enable()["error"]
        assert error.startswith("SwitchError: plugin 'small' can't be enabled in the worker")
        assert f"pid {max(before)} on " in error
        assert "not in this one" in error
        assert error.endswith("nothing has changed")
        assert {pid: told(each) for pid, each in site.states().items()} == {
            pid: told(each) for pid, each in before.items()
        }
        assert site.get("/small")[0] == 404
        assert "refused" in audit(site)[-1]["result"]
        victim.unlink()
        assert "error" not in enable()
        assert site.is_everywhere("small", "active")
        assert site.get("/small") == (200, "on")


def test_a_stopped_worker_is_named_and_catches_up(folder: Path) -> None:
    """It has the plugin at its first request after it goes on; the others have it at once."""
    with served(folder, enable_timeout=0.5) as site:
        stopped = max(site.states())
        with paused(stopped):
            told = site.switch("enable", "small")
            assert [name.startswith(f"pid {stopped} on ") for name in told["silent"]] == [True]
            others = site.states(3, without=stopped)
            assert {each["plugins"]["small"] for each in others.values()} == {"active"}
            assert site.get("/small") == (200, "on")
        assert site.states()[stopped]["plugins"]["small"] == "active"
        wait_until(
            lambda: site.state()["workers"] == f"4 of 4 workers on generation {told['generation']}"
        )


def test_a_stopped_worker_keeps_nobody_from_disabling(site: Site) -> None:
    """Nothing is asked of it: it sees the state when it goes on."""
    stopped = max(site.states())
    with paused(stopped):
        told = site.switch("disable")
        assert told["silent"] == []
        assert site.get("/live")[0] == 404
    assert site.states()[stopped]["plugins"]["live"] == "disabled"


@pytest.mark.parametrize("asked", ["a worker", "a process", "the command line"])
def test_a_plugin_that_is_written_meanwhile_is_enabled(site: Site, asked: str) -> None:
    """Nobody knew of it when the workers began."""
    with Switcher(site.folder, site.env) as switcher:
        switcher("enable")
        write_small_plugin(site.folder, "fresh")
        if asked == "a worker":
            told = site.switch("enable", "fresh")
            assert "error" not in told, told
        elif asked == "a process":
            switcher("enable", "fresh")
        else:
            done = flask_plugins(site, "enable", "fresh")
            assert done.returncode == 0, done.stderr
    assert site.is_everywhere("fresh", "active")
    assert site.get("/fresh") == (200, "on")


def test_a_rescan_in_one_worker_brings_new_plugins_to_all(site: Site) -> None:
    """What is disabled by its marker isn't even imported."""
    write_small_plugin(site.folder, "fresh")
    write_small_plugin(site.folder, "off", "raise SystemExit", is_disabled=True)
    status, body = site.get("/rescan", method="POST")
    assert (status, json.loads(body)) == (200, {"new": ["fresh", "off"]})
    for state in site.states().values():
        assert state["plugins"]["fresh"] == "active"
        assert state["plugins"]["off"] == "disabled"
    assert site.get("/fresh") == (200, "on")


def test_a_plugin_that_failed_in_the_workers_is_enabled_when_it_is_mended(folder: Path) -> None:
    """Enabling tries it anew in all of them, though the one who asks finds nothing wrong."""
    place = write_small_plugin(folder, "broken", "import not_yet_installed")
    with served(folder) as site:
        assert site.is_everywhere("broken", "failed")
        (folder / "not_yet_installed.py").touch()
        done = flask_plugins(site, "enable", "broken")
        assert done.returncode == 0, done.stderr
        assert site.is_everywhere("broken", "active"), done.stdout
        assert place.exists()


def test_switches_that_follow_each_other_are_answered_at_once(site: Site) -> None:
    """Workers note what a first switch changed while they are asked to load for a second."""
    with Switcher(site.folder, site.env) as switcher:
        for number in range(6):
            write_small_plugin(site.folder, f"next{number}", is_disabled=True)
            switcher("disable" if number % 2 else "enable")
            end = time.monotonic() + 0.3
            while time.monotonic() < end:  # through all of what a worker does each second
                site.get("/page")
            told = switcher.ask("enable", f"next{number}")
            assert "error" not in told, told
            assert told["silent"] == []
            assert told["at"] - told["begun"] < 5


def test_a_requirement_is_loaded_with_what_needs_it(site: Site) -> None:
    """With a cascade both come, in every worker."""
    write_small_plugin(site.folder, "base", is_disabled=True)
    source = '__requires__ = {"base": "*"}\n'
    write_small_plugin(site.folder, "upper", source, is_disabled=True)
    refused = flask_plugins(site, "enable", "upper")
    assert refused.returncode == 1
    assert "base" in refused.stderr
    done = flask_plugins(site, "enable", "--cascade", "upper")
    assert done.returncode == 0, done.stderr
    states = site.states().values()
    assert {(s["plugins"]["base"], s["plugins"]["upper"]) for s in states} == {("active", "active")}
    refused = flask_plugins(site, "disable", "base")
    assert refused.returncode == 1
    assert "upper" in refused.stderr


# ---- what the tests share --------------------------------------------------------------------


def place_of(site: Site) -> Path:
    """The folder of the plugin ``small``."""
    return site.folder / "plugins" / "small"


def told(state: dict[str, Any]) -> tuple[object, ...]:
    """What of a worker's state a switch could change."""
    return state["generation"], state["plugins"], state["wanted"]


def audit(site: Site) -> list[dict[str, Any]]:
    """The entries of the audit, the oldest first."""
    (path,) = site.folder.glob("instance/pluginkit/*/audit.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """A process that gets no time for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
