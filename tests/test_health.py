"""What a readiness probe and an operator are told of the workers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import PluginError, RunError, StateError
from flask_pluginkit.pulse import PULSE

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"
GUARD = "def register():\n    return {'hep': {'before_request': lambda: None}}\n"


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens in the helper thread."""
    monkeypatch.setattr(PULSE, "add", lambda _member: None)


def test_a_process_that_serves_what_is_stored_is_ready(host: Host) -> None:
    """Before its first request and after it; it can be told as JSON."""
    host.plugin("a", NOTHING)
    host.start(live=True)
    for _ in range(2):
        health = host.pm.health()
        assert (health.is_ready, health.generation, health.problems) == (True, 0, ())
        assert json.loads(json.dumps(health.as_dict())) == {
            "ready": True,
            "generation": 0,
            "problems": [],
        }
        host.get("/")


def test_a_process_that_is_behind_isnt_ready(host: Host) -> None:
    """Both numbers are told; its next request makes it ready."""
    host.plugin("a", NOTHING)
    twin = host.twin()
    for one in (host, twin):
        one.start(live=True)
        one.get("/")
    host.pm.disable_plugin("a")
    health = twin.pm.health()
    assert not health.is_ready
    assert "generation 0" in health.problems[0]
    twin.get("/")
    assert twin.pm.health().is_ready
    assert host.pm.health().is_ready


def test_who_doesnt_follow_isnt_behind(host: Host) -> None:
    """It was told not to."""
    host.plugin("a", NOTHING)
    twin = host.twin()
    host.start(live=False)
    twin.start()
    twin.pm.disable_plugin("a")
    assert host.pm.health().is_ready


def test_a_plugin_that_cant_run_is_a_problem_and_no_hindrance(host: Host) -> None:
    """The application's pages are there; what is disabled is none."""
    host.plugin("bad", NOTHING + "raise RuntimeError('broken')")
    host.plugin("off", NOTHING + "raise RuntimeError('broken')", state="disabled")
    host.start(strict=False)
    health = host.pm.health()
    assert health.is_ready
    (problem,) = health.problems
    assert problem.startswith("plugin 'bad' is failed: ")


def test_shut_pages_are_a_hindrance(host: Host) -> None:
    """Nobody is served by a process whose guard is out."""
    host.plugin("guard", GUARD)
    host.start(strict=False, live=False)
    host.get("/")
    host.pm._site().trip(host.row("guard").resident, "before_request")
    health = host.pm.health()
    assert not health.is_ready
    assert "guard" in health.problems[0]


def test_workers_are_counted_by_what_they_serve(host: Host) -> None:
    """In words, too."""
    host.plugin("a", NOTHING)
    twin = host.twin()
    for one in (host, twin):
        one.start(live=True)
    assert str(host.pm.workers()) == "0 of 0 workers on generation 0"
    host.get("/")
    assert str(host.pm.workers()) == "1 of 1 worker on generation 0"
    twin.get("/")
    assert str(twin.pm.workers()) == "2 of 2 workers on generation 0"
    host.pm.disable_plugin("a")
    make = host.pm._site().follower
    assert make is not None
    make().beat()  # type: ignore[attr-defined]
    workers = twin.pm.workers()
    assert str(workers) == "1 of 2 workers on generation 1"
    assert [report.plugins for report in workers.reports] == [{"a": "disabled"}, {"a": "active"}]


def test_workers_of_a_state_that_cant_be_read(host: Host) -> None:
    """That is said; `health` raises nothing."""
    host.start(state_dir=host.folder / "state")
    (host.folder / "state").mkdir()
    (host.folder / "state/state.json").write_text("{")
    with pytest.raises(StateError, match=r"state\.json"):
        host.pm.workers()
    assert not host.pm.health().is_ready


# ---- new workers -----------------------------------------------------------------------------


def test_workers_are_reloaded_only_when_it_is_configured(host: Host) -> None:
    """Else it is said how."""
    host.start()
    with pytest.raises(PluginError, match="PLUGINKIT_RELOAD"):
        host.pm.reload_workers()


@pytest.mark.parametrize("value", ["gunicorn", "gunicorn:", "apache:/x", 7])
def test_a_wrong_setting_is_told(host: Host, value: object) -> None:
    """With what was expected."""
    host.start()
    host.app.config["PLUGINKIT_RELOAD"] = value
    with pytest.raises(PluginError, match="expected PLUGINKIT_RELOAD"):
        host.pm.reload_workers()


def test_gunicorn_gets_a_signal(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process in its pid file."""
    sent: list[Any] = []
    monkeypatch.setattr(os, "kill", lambda *rest: sent.append(rest))
    host.start()
    pid = host.folder / "pid"
    pid.write_text("4711\n")
    host.app.config["PLUGINKIT_RELOAD"] = f"gunicorn:{pid}"
    host.pm.reload_workers()
    assert sent == [(4711, signal.SIGHUP)]


@pytest.mark.parametrize("content", [None, "", "x", "1", "0", "-1"])
def test_a_pid_file_that_tells_no_server(
    host: Host, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """No other process gets a signal: 0 and below are groups, 1 is that of the system."""
    monkeypatch.setattr(os, "kill", lambda *_rest: pytest.fail("a signal was sent"))
    host.start()
    if content is not None:
        (host.folder / "pid").write_text(content)
    host.app.config["PLUGINKIT_RELOAD"] = f"gunicorn:{host.folder / 'pid'}"
    with pytest.raises(RunError, match="can't be asked"):
        host.pm.reload_workers()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_uwsgi_is_asked_by_its_fifo(host: Host) -> None:
    """One that nobody reads, or that is none, isn't waited for."""
    fifo: Path = host.folder / "fifo"
    host.start()
    host.app.config["PLUGINKIT_RELOAD"] = f"uwsgi:{fifo}"
    with pytest.raises(RunError):
        host.pm.reload_workers()
    fifo.write_text("")
    with pytest.raises(RunError, match="no FIFO"):
        host.pm.reload_workers()
    fifo.unlink()
    os.mkfifo(fifo)
    with pytest.raises(RunError):
        host.pm.reload_workers()
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        host.pm.reload_workers()
        assert os.read(reader, 10) == b"r"
    finally:
        os.close(reader)
