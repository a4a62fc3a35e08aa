"""Workers that follow each other: two applications in one process that share their state."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.following import Follower
from flask_pluginkit.frozen import replace
from flask_pluginkit.pulse import PULSE
from flask_pluginkit.snapshot import Status
from flask_pluginkit.state.base import WantedState
from flask_pluginkit.state.files import FileStateStore
from flask_pluginkit.state.hint import Hint

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"
NAV = "def register():\n    return {{'tep': {{'nav': {0!r}}}}}\n"
PICKY = """
from pathlib import Path

calls = []
def register():
    calls.append(1)
    if Path(__file__).with_name("fails").exists():
        raise RuntimeError("not now")
    return {"tep": {"nav": "a"}}
"""
GUARD = """
faults = []
def guard():
    if faults:
        raise RuntimeError("no guard")
def register():
    return {"hep": {"before_request": guard}, "tep": {"nav": "guard"}}
"""
FAILING = """
faults = []
def view():
    if faults:
        raise RuntimeError("it fails")
    return "view"
def register():
    return {"vep": {"rule": "/view", "view_func": view}, "tep": {"nav": "failing"}}
"""
BREAKER = {"faults": 3, "window": 60, "rate": 0.5, "retry_after": 1e-9}


def follower(host: Host) -> Follower:
    """What keeps an application in step."""
    site = host.pm._site()
    assert site.follower is not None
    found = site.follower()
    assert isinstance(found, Follower)
    return found


def status(host: Host, name: str) -> str:
    """The status of a plugin in an application."""
    return host.row(name).status.value


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens in the helper thread: a test calls `beat` and `tick`."""
    monkeypatch.setattr(PULSE, "add", lambda _member: None)


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper thread is at work all the same."""
    monkeypatch.undo()


def two(host: Host, **options: Any) -> tuple[Host, Host]:
    """Two workers, both of which have answered a request.

    Nobody waits for long: where `pulse` isn't asked for, there is no answer to come.
    """
    twin = host.twin()
    for one in (host, twin):
        one.start(**{"strict": False, "live": True, "enable_timeout": 0.05, **options})
        one.get("/")
    return host, twin


# ---- switches --------------------------------------------------------------------------------

EVERYTHING = """
from flask import Blueprint, request_finished

seen = []
blueprint = Blueprint("shop", __name__)
blueprint.add_url_rule("/shop", "index", lambda: "shop")
blueprint.before_app_request(lambda: seen.append("app-wide"))

def on_app_ready(app):
    app.url_defaults(lambda endpoint, values: values.setdefault("by", "plugin"))

def register():
    return {
        "tep": {"nav": "nav"},
        "hep": {"before_request": lambda: seen.append("before")},
        "bep": {"blueprint": blueprint, "prefix": None},
        "vep": {"rule": "/x", "view_func": lambda: "x", "endpoint": "x"},
        "filter": {"loud": lambda value: f"{value}!"},
        "test": {"odd_one": lambda value: True},
        "global": {"answer": 42},
        "tcp": {"year": 2000},
        "errhandler": {404: lambda error: ("gone", 404)},
        "dcp": {"visits": lambda: "visits"},
        "signal": {request_finished: lambda sender, **values: seen.append("finished")},
    }
"""


def look(host: Host) -> dict[str, Any]:
    """What a request sees of a plugin with everything, and after it the rest."""
    host.get("/")
    seen = host.module("a").seen if host.row("a").module is not None else []
    seen.clear()
    first = host.open("/x")
    noted = sorted(seen)
    app = host.app
    with app.test_request_context():
        url = app.url_for("host")
    return {
        "first": (first.status_code, first.text),
        "seen": noted,
        "second": host.get("/shop"),
        "url": url,
        "page": host.render("{{ emit_tep('nav') }}{{ emit_dcp('visits') }}{{ answer }}"),
        "names": {"loud", "odd_one"} & {*app.jinja_env.filters, *app.jinja_env.tests},
        "blueprints": sorted(app.blueprints),
        "endpoints": sorted(rule.endpoint for rule in app.url_map.iter_rules()),
        "generation": host.pm.snapshot.generation,
    }


@pytest.mark.parametrize("own", [True, False])
def test_the_next_request_of_the_other_worker_sees_a_switch(host: Host, own: bool) -> None:
    """The first one already, at every extension point at once."""
    host.plugin("a", EVERYTHING)
    host.app.add_url_rule("/host", "host")
    twin = host.twin()
    twin.app.add_url_rule("/host", "host")
    for one in (host, twin):
        one.start(live=True, state_dir=host.folder / "state" if own else None)
        one.get("/")
    whole = look(host)
    assert look(twin) == whole
    host.pm.disable_plugin("a")
    assert look(twin) == look(host)
    assert look(twin)["first"] != whole["first"]
    host.pm.enable_plugin("a")
    again = look(twin)
    assert again == {**whole, "generation": host.pm.snapshot.generation}


def test_each_request_begins_with_the_state_that_was_stored_before_it(host: Host) -> None:
    """However often it changes, and whoever changes it."""
    host.plugin("a", NAV.format("a"))
    workers = two(host)

    def page(worker: Host) -> str:
        worker.get("/")
        return worker.render("{{ emit_tep('nav') }}")

    for round_ in range(6):
        switching = workers[round_ % 2].pm
        if round_ % 2:
            switching.enable_plugin("a")
        else:
            switching.disable_plugin("a")
        assert [page(worker) for worker in workers] == ["" if round_ % 2 == 0 else "a"] * 2


@pytest.mark.parametrize("options", [{"live": False}, {"live": None}])
@pytest.mark.parametrize("has_switched", [True, False])
def test_who_isnt_live_doesnt_follow(
    host: Host, options: dict[str, Any], has_switched: bool
) -> None:
    """By an option, or as tests do; also when it has switched something itself."""
    for name in "ab":
        host.plugin(name, NAV.format(name))
    other = host.twin()
    host.app.testing = options["live"] is None
    host.start(**options)
    other.start(live=True)
    if has_switched:
        host.pm.disable_plugin("b")
        host.pm.enable_plugin("b")
    other.pm.disable_plugin("a")
    for _ in range(2):
        host.get("/")
        assert host.render("{{ emit_tep('nav') }}") == "ab"
    assert not follower(host).is_serving


def test_who_isnt_live_sees_what_it_does_itself(host: Host) -> None:
    """And, as it decides on what is stored, what others did before."""
    for name in "ab":
        host.plugin(name, NAV.format(name))
    other = host.twin()
    host.start(live=False)
    other.start()
    other.pm.disable_plugin("a")
    host.pm.disable_plugin("b")
    assert host.render("{{ emit_tep('nav') }}") == ""


def test_a_worker_that_waits_for_its_first_request_follows_too(host: Host) -> None:
    """What happened between its start and that request."""
    host.plugin("a", NAV.format("a"))
    other = host.twin()
    host.start(live=True)
    other.start()
    other.pm.disable_plugin("a")
    seen = []
    host.app.before_request(lambda: seen.append(host.render("{{ emit_tep('nav') }}")))
    host.get("/")
    assert seen == [""]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Give the helper thread up to five seconds."""
    end = time.monotonic() + 5
    while not is_so() and time.monotonic() < end:
        time.sleep(0.005)
    assert is_so()


# ---- enabling what the other one hasn't loaded -------------------------------------------------


def off(host: Host, name: str, body: str, **rest: Any) -> Path:
    """Write a plugin that is disabled from the start."""
    return host.plugin(name, body, state="disabled", **rest)


def test_the_other_worker_loads_what_is_enabled(host: Host, pulse: None) -> None:
    """Before it is enabled: aside from its requests."""
    off(host, "a", EVERYTHING)
    for one in (host, twin := host.twin()):
        one.app.add_url_rule("/host", "host")
        one.start(live=True)
        one.get("/")
    assert host.pm.enable_plugin("a").silent == ()
    assert look(twin) == look(host)


def test_a_worker_that_cant_load_it_keeps_all_from_enabling_it(host: Host, pulse: None) -> None:
    """It is named, with its reason; and nothing has changed."""
    from flask_pluginkit.exceptions import SwitchError

    body = """
def on_app_ready(app):
    if app.config.get("FAILS"):
        raise RuntimeError("not in this worker")
def register():
    return {"tep": {"nav": "a"}}
"""
    off(host, "a", body)
    host, twin = two(host, enable_timeout=10)
    twin.app.config["FAILS"] = True
    with pytest.raises(SwitchError, match="not in this worker") as caught:
        host.pm.enable_plugin("a")
    assert f"pid {os.getpid()}" in caught.value.worker
    for one in (host, twin):
        assert one.render("{{ emit_tep('nav') }}") == ""
        assert status(one, "a") == "disabled"
    twin.app.config["FAILS"] = False
    host.pm.enable_plugin("a")
    twin.get("/")
    assert twin.render("{{ emit_tep('nav') }}") == "a"


def test_a_silent_worker_is_named_and_loads_at_its_next_request(host: Host) -> None:
    """Its helper thread gets no time."""
    off(host, "a", NAV.format("a"))
    host, twin = two(host, enable_timeout=0.05)
    change = host.pm.enable_plugin("a")
    assert [name.partition(" on ")[0] for name in change.silent] == [f"pid {os.getpid()}"]
    assert status(twin, "a") == "disabled"
    twin.get("/")
    assert twin.render("{{ emit_tep('nav') }}") == "a"


def test_a_silent_worker_finds_what_is_new_on_the_disk(host: Host) -> None:
    """It has never heard of the plugin."""
    host, twin = two(host, enable_timeout=0.05)
    host.plugin("late", NAV.format("late"), state="disabled")
    host.pm.enable_plugin("late")
    twin.get("/")
    assert status(twin, "late") == "active"
    assert twin.render("{{ emit_tep('nav') }}") == "late"


def fails(host: Host) -> Path:
    """The file that makes the plugin fail as long as it is there."""
    return host.folder / "plugins" / "a" / "fails"


def want(host: Host, name: str) -> None:
    """Enable a plugin as another process does that this worker didn't answer."""
    site = host.pm._site()
    store = FileStateStore(None, site.control)
    store.know(site.startup.folders)
    with store.exclusive():
        state = store.load()
        wanted = {**state.wanted, name: WantedState.ENABLED}
        store.swap(state.generation, replace(state, wanted=wanted))
    host.get("/")


def fail_when_followed(host: Host) -> None:
    """A worker fails at what was enabled while it was silent."""
    for name in "bc":
        off(host, name, NAV.format(name))
    off(host, "a", PICKY)
    host.start(strict=False, live=True)
    host.get("/")
    fails(host).touch()
    want(host, "a")
    assert status(host, "a") == "failed"


def test_what_failed_while_it_was_followed_is_tried_again_at_the_next_change(host: Host) -> None:
    """Whatever that change is about: the other workers have the plugin."""
    fail_when_followed(host)
    fails(host).unlink()
    follower(host).beat()
    assert status(host, "a") == "failed"
    want(host, "b")
    follower(host).beat()
    assert status(host, "a") == "active"
    assert host.render("{{ emit_tep('nav') }}") == "ab"


def test_what_fails_again_is_tried_once_for_each_change(host: Host) -> None:
    """And goes on being tried, as long as it is wanted."""
    fail_when_followed(host)
    for name, calls in (("b", 2), ("c", 3)):
        want(host, name)
        for _ in range(3):
            follower(host).beat()
        assert len(host.module("a").calls) == calls
        assert status(host, "a") == "failed"


def test_what_failed_at_the_start_waits_for_being_enabled(host: Host) -> None:
    """It may be broken in every worker, and importing it may take its time."""
    host.plugin("a", PICKY)
    fails(host).touch()
    off(host, "b", NAV.format("b"))
    host.start(strict=False, live=True)
    host.get("/")
    fails(host).unlink()
    want(host, "b")
    follower(host).beat()
    assert status(host, "a") == "failed"
    host.pm.enable_plugin("a")
    assert status(host, "a") == "active"


@pytest.mark.parametrize("is_new", [True, False])
def test_what_is_enabled_along_is_loaded_by_the_other_worker_too(
    host: Host, pulse: None, is_new: bool
) -> None:
    """Also what was quarantined."""
    bodies = {"a": FAILING, "b": NAV.format("b")}
    off(host, "a", bodies["a"])
    if not is_new:
        off(host, "b", bodies["b"], requires={"a": ">=1"})
    host.app.config["PLUGINKIT_BREAKER"] = {**BREAKER, "retry_after": None}
    host, twin = two(host, enable_timeout=10)
    host.pm.enable_plugin("a")
    fail(host)
    wait_until(lambda: status(host, "a") == "quarantined")
    twin.get("/")
    assert status(twin, "a") == "quarantined"
    if is_new:
        off(host, "b", bodies["b"], requires={"a": ">=1"})
    assert host.pm.enable_plugin("b", cascade=True).silent == ()
    twin.get("/")
    for one in (host, twin):
        assert one.render("{{ emit_tep('nav') }}") == "failingb"


# ---- rescan ----------------------------------------------------------------------------------


def test_a_rescan_tells_what_is_new_and_makes_it_live_everywhere(host: Host) -> None:
    """In the other worker at its next request."""
    host.plugin("a", NAV.format("a"))
    host, twin = two(host, enable_timeout=0.05)
    host.plugin("b", NAV.format("b"))
    host.plugin("off", NAV.format("off"), state="disabled")
    assert host.pm.rescan() == ("b", "off")
    assert host.pm.rescan() == ()
    twin.get("/")
    for one in (host, twin):
        assert one.render("{{ emit_tep('nav') }}") == "ab"
        assert status(one, "off") == "disabled"


def test_a_plugin_that_vanished_is_gone_after_a_rescan(host: Host) -> None:
    """It is missing if somebody has enabled it by name; and is the same when it comes back."""
    for name in "ab":
        off(host, name, NAV.format(name))
        host.plugin(f"on_{name}", NAV.format(f"on_{name}"))
    host, twin = two(host)
    host.pm.enable_plugin("a")
    for name in ("a", "on_b"):
        (host.folder / "plugins" / name).rename(host.folder / name)
    host.pm.rescan()
    twin.get("/")
    for one in (host, twin):
        assert one.render("{{ emit_tep('nav') }}") == "on_a"
        assert {row.name: row.status for row in one.pm.plugins} == {
            "a": Status.MISSING,
            "b": Status.DISABLED,
            "on_a": Status.ACTIVE,
        }
        assert "install it again" in one.row("a").reason
    for name in ("a", "on_b"):
        (host.folder / name).rename(host.folder / "plugins" / name)
    host.pm.rescan()
    twin.get("/")
    for one in (host, twin):
        assert one.render("{{ emit_tep('nav') }}") == "aon_aon_b"


def test_those_that_need_a_vanished_plugin_go_with_it(host: Host) -> None:
    """And come back with it."""
    host.plugin("a", NAV.format("a"))
    host.plugin("b", NAV.format("b"), requires={"a": ">=1"})
    host.start(strict=False)
    host.get("/")
    (host.folder / "plugins/a").rename(host.folder / "a")
    host.pm.rescan()
    assert host.render("{{ emit_tep('nav') }}") == ""
    assert "a" in host.row("b").reason
    (host.folder / "a").rename(host.folder / "plugins/a")
    host.pm.rescan()
    assert host.render("{{ emit_tep('nav') }}") == "ab"


# ---- by hand -----------------------------------------------------------------------------------


def test_a_marker_made_by_hand_is_noticed_at_the_next_tick(host: Host) -> None:
    """And by the other worker with its next request."""
    folder = host.plugin("a", NAV.format("a"))
    host, twin = two(host)
    (folder / "DISABLED").touch()
    follower(host).tick()
    assert host.render("{{ emit_tep('nav') }}") == ""
    twin.get("/")
    assert twin.render("{{ emit_tep('nav') }}") == ""
    (folder / "DISABLED").unlink()
    follower(host).tick()
    twin.get("/")
    for one in (host, twin):
        assert one.render("{{ emit_tep('nav') }}") == "a"


def test_what_is_enabled_by_hand_is_loaded_off_the_request_path(host: Host) -> None:
    """Its ``on_app_ready`` may send a request meanwhile."""
    body = """
calls = []
def on_app_ready(app):
    calls.append(app.test_client().get("/x").status_code)
def register():
    return {"tep": {"nav": "a"}}
"""
    folder = host.plugin("a", body)
    (folder / "DISABLED").touch()
    host, twin = two(host)
    (folder / "DISABLED").unlink()
    (folder / "ENABLED").touch()
    follower(host).tick()
    assert host.render("{{ emit_tep('nav') }}") == "a"
    assert host.module("a").calls == [404]
    twin.get("/")
    assert twin.render("{{ emit_tep('nav') }}") == "a"
    assert host.module("a").calls == [404, 404]


def test_a_restored_backup_is_followed(host: Host) -> None:
    """Though its generation is an older one."""
    host.plugin("a", NAV.format("a"))
    host, twin = two(host, state_dir=host.folder / "state")
    host.pm.disable_plugin("a")
    state = host.folder / "state/state.json"
    backup = state.read_bytes()
    host.pm.enable_plugin("a")
    twin.get("/")
    state.write_bytes(backup)
    follower(twin).tick()
    assert status(twin, "a") == "disabled"
    host.get("/")
    assert status(host, "a") == "disabled"
    assert host.pm.snapshot.generation == twin.pm.snapshot.generation


# ---- what can't be read, written, mapped ---------------------------------------------------------


def no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be such that they can't be mapped, read or written in place."""

    def fail_(*_args: Any) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Hint, "refresh", lambda _hint: False)
    for name in ("ensure", "show", "announce"):
        monkeypatch.setattr(Hint, name, fail_)


def test_without_a_hint_the_tick_notices(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files can't be mapped."""
    no_hint(monkeypatch)
    host.plugin("a", NAV.format("a"))
    host, twin = two(host)
    host.pm.disable_plugin("a")
    assert host.render("{{ emit_tep('nav') }}") == ""
    twin.get("/")
    follower(twin).tick()
    assert twin.render("{{ emit_tep('nav') }}") == ""


def test_without_a_hint_a_plugin_is_quarantined(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process where it failed, at once."""
    no_hint(monkeypatch)
    host.plugin("a", FAILING)
    host.app.config["PLUGINKIT_BREAKER"] = {**BREAKER, "retry_after": None}
    host.start(strict=False, live=True)
    assert host.get("/view") == "view"
    fail(host)
    assert status(host, "a") == "quarantined"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', "\0"])
def test_a_damaged_state_changes_nothing_while_it_runs(
    host: Host, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests go on, the log says it once, and a probe is told; mended, it is followed again."""
    host.plugin("a", NAV.format("a"))
    host, twin = two(host, state_dir=host.folder / "state")
    host.pm.disable_plugin("a")
    host.pm.enable_plugin("a")
    twin.get("/")
    assert twin.pm.health().is_ready
    state = host.folder / "state/state.json"
    good = state.read_bytes()
    state.write_text(text)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(Exception, match=r"state\.json"):
                follower(twin).tick()
            assert twin.open("/").status_code == 404
            assert twin.render("{{ emit_tep('nav') }}") == "a"
    assert len(caplog.records) <= 1
    health = twin.pm.health()
    assert not health.is_ready
    assert "state.json" in health.problems[0]
    state.write_bytes(good)
    follower(twin).tick()
    assert twin.pm.health().is_ready
    host.pm.disable_plugin("a")
    twin.get("/")
    assert twin.render("{{ emit_tep('nav') }}") == ""


def test_a_state_that_is_damaged_as_it_is_followed_fails_no_request(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and not by each request."""
    host.plugin("a", NAV.format("a"))
    host, twin = two(host, state_dir=host.folder / "state")
    host.pm.disable_plugin("a")
    (host.folder / "state/state.json").write_text("{")
    caplog.clear()
    for _ in range(3):
        assert twin.open("/").status_code == 404
    found = [record for record in caplog.records if "can't be followed" in record.message]
    assert len(found) == 1
    assert twin.render("{{ emit_tep('nav') }}") == "a"


# ---- fork ------------------------------------------------------------------------------------


def be_child(host: Host, reading: int, writing: int) -> NoReturn:
    """Follow what the parent does, tell it so, and switch in turn."""
    code = 1
    try:
        os.read(reading, 1)
        host.get("/")
        follower(host).beat()
        assert host.render("{{ emit_tep('nav') }}") == ""
        assert len(host.pm.workers().reports) == 2
        assert follower(host).is_serving
        os.write(writing, b"x")
        os.read(reading, 1)
        host.pm.enable_plugin("a")
        code = 0
    finally:
        os._exit(code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_follows_and_is_a_worker_of_its_own(host: Host) -> None:
    """Its parent has answered requests already."""
    host.plugin("a", NAV.format("a"))
    host.start(live=True)
    host.get("/")
    to_child, from_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(to_child[1])
        be_child(host, to_child[0], from_child[1])
    os.close(from_child[1])
    try:
        host.pm.disable_plugin("a")
        os.write(to_child[1], b"x")
        assert os.read(from_child[0], 1)
        follower(host).beat()
        workers = host.pm.workers()
        assert str(workers) == "2 of 2 workers on generation 1"
        assert {report.pid for report in workers.reports} == {os.getpid(), child}
        os.write(to_child[1], b"x")
    finally:
        for descriptor in to_child:
            os.close(descriptor)
        assert os.waitpid(child, 0)[1] == 0
        os.close(from_child[0])
    host.get("/")
    assert host.render("{{ emit_tep('nav') }}") == "a"
    assert len(host.pm.workers().reports) == 1


# ---- quarantine ------------------------------------------------------------------------------


def fail(host: Host, times: int = 5, name: str = "a") -> None:
    """Let the view of a plugin fail, and its worker look."""
    host.module(name).faults.append(1)
    for _ in range(times):
        host.open("/view")
    host.module(name).faults.clear()
    follower(host).beat()


@pytest.fixture
def failing(host: Host) -> tuple[Host, Host]:
    """Two workers with a plugin that fails when it is told to."""
    host.plugin("a", FAILING)
    host.app.config["PLUGINKIT_BREAKER"] = {**BREAKER, "retry_after": None}
    twin = host.twin()
    twin.app.config.update(host.app.config)
    for one in (host, twin):
        one.start(strict=False, live=True, enable_timeout=0.05)
        one.get("/")
    return host, twin


def test_a_plugin_that_fails_too_often_is_taken_out_everywhere(
    failing: tuple[Host, Host],
) -> None:
    """It is wanted still, and its row tells why; the other worker follows at its next request."""
    host, twin = failing
    fail(host)
    for one in (host, twin):
        assert one.open("/view").status_code == 404
        row = one.row("a")
        assert (row.status, row.wanted.value) == (Status.QUARANTINED, "enabled")
        assert "it fails" in row.traceback
        assert "view" in row.reason
        assert any("quarantined" in problem for problem in one.pm.health().problems)
        assert one.pm.health().is_ready
    assert [entry["action"] for entry in host.pm.audit()] == ["quarantine"]


def test_enabling_releases_it_and_it_can_be_taken_out_again(failing: tuple[Host, Host]) -> None:
    """Its faults are counted anew, in all workers."""
    host, twin = failing
    for one in (host, twin, host):
        fail(one)
        assert status(one, "a") == "quarantined"
        host.get("/")
        assert host.pm.enable_plugin("a").changed == ("a",)
        for other in (host, twin):
            assert other.get("/view") == "view"
            assert status(other, "a") == "active"


def test_disabling_a_quarantined_plugin_ends_the_quarantine(failing: tuple[Host, Host]) -> None:
    """Enabled later, it starts anew."""
    host, twin = failing
    fail(host)
    assert twin.pm.disable_plugin("a").changed == ("a",)
    host.get("/")
    assert status(host, "a") == "disabled"
    host.pm.enable_plugin("a")
    assert host.get("/view") == twin.get("/view") == "view"


def test_what_needs_a_quarantined_plugin_is_out_too(host: Host) -> None:
    """And comes back with it."""
    host.plugin("a", FAILING)
    host.plugin("b", NAV.format("b"), requires={"a": ">=1"})
    host.app.config["PLUGINKIT_BREAKER"] = BREAKER
    host.start(strict=False, live=True)
    host.get("/")
    fail(host)
    assert host.render("{{ emit_tep('nav') }}") == ""
    assert "quarantined" in host.row("b").reason
    host.pm.enable_plugin("a")
    assert host.render("{{ emit_tep('nav') }}") == "failingb"


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be written any more."""
    from flask_pluginkit import durable

    def fail_(*_args: Any, **_rest: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(durable, "replace", fail_)


def test_where_nothing_can_be_written_the_quarantine_is_this_workers(
    failing: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds here, through later changes, and is shared as soon as that is possible."""
    host, twin = failing
    with monkeypatch.context() as patch:
        read_only(patch)
        fail(host)
        assert status(host, "a") == "quarantined"
        assert host.open("/view").status_code == 404
        assert twin.get("/view") == "view"
        follower(host).tick()
        assert status(host, "a") == "quarantined"
    follower(host).tick()
    assert status(host, "a") == "quarantined"
    assert twin.open("/view").status_code == 404
    host.pm.enable_plugin("a")
    assert host.get("/view") == twin.get("/view") == "view"


def test_enabling_releases_a_quarantine_of_this_worker_only(
    failing: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the state can be written again, though it knows nothing of it."""
    host, _twin = failing
    with monkeypatch.context() as patch:
        read_only(patch)
        fail(host)
    host.pm.enable_plugin("a")
    assert status(host, "a") == "active"
    assert host.get("/view") == "view"
    follower(host).tick()
    host.get("/")
    assert status(host, "a") == "active"
    fail(host)
    assert status(host, "a") == "quarantined"


def test_the_other_worker_can_release_it_too(
    failing: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it was shared."""
    host, twin = failing
    with monkeypatch.context() as patch:
        read_only(patch)
        fail(host)
    follower(host).tick()
    twin.get("/")
    assert status(twin, "a") == "quarantined"
    twin.pm.enable_plugin("a")
    assert host.get("/view") == "view"


@pytest.mark.parametrize("is_writable", [True, False])
def test_after_a_while_it_is_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, is_writable: bool
) -> None:
    """And taken out again if it still fails; also where nothing can be written."""
    host.plugin("a", FAILING)
    host.app.config["PLUGINKIT_BREAKER"] = {**BREAKER, "retry_after": 0.02}
    host.start(strict=False, live=True)
    host.get("/")
    if not is_writable:
        read_only(monkeypatch)
    for _ in range(3):
        fail(host)
        follower(host).tick()
        assert status(host, "a") == "quarantined"
        time.sleep(0.03)
        follower(host).tick()
        assert status(host, "a") == "active"
        assert host.get("/view") == "view"


def test_the_time_begins_anew_with_each_quarantine(host: Host) -> None:
    """A worker that comes later waits as long as the others."""
    host.plugin("a", FAILING)
    host.app.config["PLUGINKIT_BREAKER"] = {**BREAKER, "retry_after": 0.02}
    host.start(strict=False, live=True)
    host.get("/")
    fail(host)
    time.sleep(0.03)
    follower(host).tick()  # notes it, and waits
    assert status(host, "a") == "quarantined"


def test_without_a_time_it_stays_out(failing: tuple[Host, Host]) -> None:
    """Until somebody enables it."""
    host, _twin = failing
    fail(host)
    for _ in range(3):
        follower(host).tick()
    assert status(host, "a") == "quarantined"


def test_a_guard_that_is_taken_out_shuts_the_pages(host: Host) -> None:
    """In both workers; enabling it opens them."""
    host.plugin("a", GUARD)
    host.app.config["PLUGINKIT_BREAKER"] = {**BREAKER, "retry_after": None}
    twin = host.twin()
    twin.app.config.update(host.app.config)
    for one in (host, twin):
        one.app.add_url_rule("/page", "page", lambda: "page")
        one.start(strict=False, live=True)
        assert one.get("/page") == "page"
    host.module("a").faults.append(1)
    for _ in range(5):
        assert host.open("/page").status_code in {500, 503}
    follower(host).beat()
    for one in (host, twin):
        answer = one.open("/page")
        assert answer.status_code == 503
        assert not one.pm.health().is_ready
    host.module("a").faults.clear()
    host.pm.enable_plugin("a")
    for one in (host, twin):
        assert one.get("/page") == "page"


def test_a_worker_started_during_a_quarantine_keeps_to_it(failing: tuple[Host, Host]) -> None:
    """The plugin isn't even imported there."""
    host, _twin = failing
    fail(host)
    late = host.twin()
    late.start(live=True)
    assert late.open("/view").status_code == 404
    assert late.row("a").module is None
    host.pm.enable_plugin("a")
    assert late.get("/view") == "view"


def test_a_fault_of_a_plugin_that_is_out_already_changes_nothing(
    failing: tuple[Host, Host],
) -> None:
    """A request that began before goes on with it, and may fail."""
    host, _twin = failing
    resident = host.row("a").resident
    host.pm.disable_plugin("a")
    generation = host.pm.snapshot.generation
    follower(host).trip(resident, "view")
    follower(host).beat()
    assert host.pm.snapshot.generation == generation


def test_the_inventory_is_written_when_something_changed(host: Host) -> None:
    """By the helper thread."""
    host.plugin("a", GUARD)
    host.start(live=True)
    host.get("/")
    follower(host).tick()
    inventory = follower(host).site.control / "inventory.json"
    first = inventory.read_bytes()
    follower(host).tick()
    assert inventory.read_bytes() == first
    host.pm.disable_plugin("a")
    follower(host).tick()
    assert inventory.read_bytes() != first


def test_removing_the_control_folder_stops_nothing(host: Host) -> None:
    """Somebody tidied up: it is made again by the next switch."""
    host.plugin("a", NAV.format("a"))
    host, twin = two(host)
    host.pm.disable_plugin("a")
    twin.get("/")
    control = follower(host).site.control
    control.rename(host.folder / "moved")  # at once: helper threads write into it
    for one in (host, twin):
        follower(one).tick()
        one.get("/")
    twin.pm.enable_plugin("a")
    follower(host).tick()
    host.get("/")
    assert [one.render("{{ emit_tep('nav') }}") for one in (host, twin)] == ["a", "a"]
