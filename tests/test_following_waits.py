"""The helper thread waits for nobody: who holds the lock may be waiting for its answer."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit import roster
from flask_pluginkit.following import Follower
from flask_pluginkit.pulse import PULSE

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"
FAILING = """
def view():
    raise RuntimeError("it fails")
def register():
    return {"vep": {"rule": "/view", "view_func": view}}
"""
BREAKER = {"faults": 3, "window": 60, "rate": 0.5, "retry_after": None}


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens in the helper thread: a test calls `beat` and `tick`."""
    monkeypatch.setattr(PULSE, "add", lambda _member: None)
    monkeypatch.setattr(type(PULSE), "is_running", property(lambda _pulse: True))


def serve(host: Host, **options: Any) -> Follower:
    """Let the application answer a request, and return what keeps it in step."""
    host.app.config["PLUGINKIT_BREAKER"] = BREAKER
    host.start(strict=False, live=True, **options)
    host.get("/")
    follower = host.pm._site().follower
    assert follower is not None
    found = follower()
    assert isinstance(found, Follower)
    return found


def two(host: Host) -> tuple[Follower, Follower]:
    """Two workers."""
    twin = host.twin()
    return serve(host), serve(twin)


def test_a_tick_goes_on_while_another_worker_switches(host: Host) -> None:
    """The inventory isn't written at that moment, but at the next one."""
    host.plugin("a", NOTHING)
    one, other = two(host)
    inventory = one.site.control / "inventory.json"
    with other.site.store.exclusive():
        begun = time.monotonic()
        one.tick()
        assert time.monotonic() - begun < 5
    assert not inventory.exists()
    one.tick()
    assert set(json.loads(inventory.read_text())["plugins"]) == {"a"}


def test_a_quarantine_holds_here_while_another_worker_switches(host: Host) -> None:
    """At once, and in all others as soon as they can be told."""
    host.plugin("a", FAILING)
    one, other = two(host)
    for _ in range(3):
        host.open("/view")
    with other.site.store.exclusive():
        begun = time.monotonic()
        one.beat()
        assert time.monotonic() - begun < 5
        assert host.open("/view").status_code == 404
        one.tick()
        assert not other.site.store.load().quarantined
    one.tick()
    quarantined = other.site.store.load().quarantined
    assert "it fails" in quarantined["a"].traceback
    assert not one.local


@pytest.mark.parametrize("asked", ["workers", "health"])
def test_what_an_operator_asks_is_no_reason_to_miss_a_change(
    host: Host, tmp_path: Path, asked: str
) -> None:
    """A state that was put in place by hand is followed, also if it was looked at before that."""
    host.plugin("a", NOTHING)
    one = serve(host, state_dir=tmp_path / "state")
    path = tmp_path / "state" / "state.json"
    host.pm.disable_plugin("a")
    content = json.loads(path.read_text())
    content["wanted"] = {"a": "enabled"}
    (tmp_path / "state" / "markers" / "a" / "DISABLED").unlink()
    path.write_text(json.dumps(content))
    one.site.store._markers._looks.clear()
    getattr(host.pm, asked)()
    one.tick()
    assert host.row("a").status.value == "active"


def test_a_worker_that_ends_while_it_reports_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the process waits for the helper thread, which is just writing."""
    member = roster.Roster(tmp_path).join({"generation": 1})
    swap_in, is_writing, goes_on = roster._swap_in, threading.Event(), threading.Event()

    def slow(*parts: Any) -> None:
        is_writing.set()
        goes_on.wait(0.5)
        swap_in(*parts)

    monkeypatch.setattr(roster, "_swap_in", slow)
    helper = threading.Thread(target=lambda: member.report({"generation": 2}))
    helper.start()
    is_writing.wait(5)
    threading.Timer(0.05, goes_on.set).start()
    member._vacate()  # what Python calls at the end
    helper.join()
    assert list((tmp_path / "workers").iterdir()) == []
