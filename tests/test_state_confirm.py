"""Waiting for the disk: at the same time where that is possible, and never too late."""

from __future__ import annotations

import _thread
import errno
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from state_parts import DISABLED, ENABLED, Place

from flask_pluginkit.durable import aside
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.frozen import replace
from flask_pluginkit.state.audit import Audit
from flask_pluginkit.state.base import Quarantine, State, WantedState

ONE: Mapping[str, WantedState] = {"hello": DISABLED}
SEVERAL: Mapping[str, WantedState] = {"hello": DISABLED, "news": DISABLED}


@pytest.fixture(params=["beside the code", "in state_dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind, where two plugins are enabled."""
    made = Place(tmp_path, tmp_path / "state" if request.param == "in state_dir" else None)
    swap(made, lambda: None, {"hello": ENABLED, "news": ENABLED})
    return made


def swap(place: Place, confirm: Callable[[], None], wanted: Mapping[str, WantedState]) -> State:
    """Want something else of some plugins, once `confirm` has come back."""
    store = place.store()
    with store.exclusive():
        state = store.load()
        new = replace(state, wanted={**state.wanted, **wanted})
        return store.swap(state.generation, new, confirm)


def shown(place: Place) -> tuple[bytes, list[set[str]]]:
    """What anybody can see of the state."""
    return place.file.read_bytes(), [place.markers(name) for name in ("hello", "news")]


@pytest.mark.parametrize("wanted", [ONE, SEVERAL], ids=["one", "several"])
def test_nothing_is_seen_before_it_is_confirmed(
    place: Place, wanted: Mapping[str, WantedState]
) -> None:
    """The audit has the intent before file or markers are others."""
    before = shown(place)
    seen = []
    swap(place, lambda: seen.append(shown(place)), wanted)
    assert seen == [before]
    assert shown(place) != before


@pytest.mark.parametrize("wanted", [ONE, SEVERAL], ids=["one", "several"])
def test_what_isnt_confirmed_changes_nothing(
    place: Place, wanted: Mapping[str, WantedState]
) -> None:
    """Nor is a file left over."""

    def refuse() -> None:
        raise StateError("no")

    before, files = shown(place), sorted(place.control.rglob("*"))
    with pytest.raises(StateError, match="no"):
        swap(place, refuse, wanted)
    assert shown(place) == before
    assert sorted(place.control.rglob("*")) == files


def test_a_quarantine_is_confirmed_too(place: Place) -> None:
    """A change without markers is one as well."""
    store = place.store()
    confirmed = []
    quarantine = Quarantine(since=1.0, reason="", traceback="", by="")
    with store.exclusive():
        state = store.load()
        new = replace(state, quarantined={"hello": quarantine})
        store.swap(state.generation, new, lambda: confirmed.append(1))
    assert confirmed == [1]


@pytest.mark.parametrize("wanted", [ONE, SEVERAL], ids=["one", "several"])
def test_a_change_is_on_the_disk_when_it_returns(
    place: Place, monkeypatch: pytest.MonkeyPatch, wanted: Mapping[str, WantedState]
) -> None:
    """The new file, the folder that it lies in, and those of the markers."""
    real = os.fsync
    synced = set()

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    swap(place, lambda: None, wanted)
    folders = [place.control, *[place.markers_in(name) for name in wanted]]
    assert synced >= {path.stat().st_ino for path in (place.file, *folders)}


# ---- the parts -----------------------------------------------------------------------------------


def test_a_line_is_there_before_it_is_waited_for(tmp_path: Path) -> None:
    """And what waits for it ends."""
    audit = Audit(tmp_path)
    wait = audit.begin({"number": 1})
    assert [entry["number"] for entry in audit.read(9)] == [1]
    wait()


def test_a_line_that_doesnt_reach_the_disk_is_told_to_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an error of the state."""

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    wait = Audit(tmp_path).begin({"number": 1})
    with pytest.raises(StateError, match="Input/output"):
        wait()


def test_two_waits_go_on_at_the_same_time() -> None:
    """The first hasn't ended when the second begins."""
    may_end = threading.Event()
    ended = []

    def wait() -> None:
        ended.append(may_end.wait(10))

    end = aside(wait)
    assert not ended
    may_end.set()
    end()


def test_a_wait_tells_its_error_to_who_waits_for_it() -> None:
    """Whatever it is."""

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aside(fail)()


def test_where_no_thread_can_start_the_wait_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is at its limit can switch all the same."""

    def refuse(*_args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    waited = []
    end = aside(lambda: waited.append(1))
    assert waited == [1]
    end()
