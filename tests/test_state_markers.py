"""The marker files by themselves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from state_parts import DISABLED, ENABLED

from flask_pluginkit.durable import Ownership
from flask_pluginkit.state import markers
from flask_pluginkit.state.base import WantedState
from flask_pluginkit.state.control import ControlFolder
from flask_pluginkit.state.markers import Markers, write_markers


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("state", [ENABLED, DISABLED, None])
@pytest.mark.parametrize(
    "before", [(), ("ENABLED",), ("DISABLED",), ("ENABLED", "DISABLED")], ids=" and ".join
)
def test_a_marker_that_the_disk_doesnt_confirm_is_undone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    state: WantedState | None,
) -> None:
    """Whatever was there, it says the same afterwards."""
    for name in before:
        (tmp_path / name).touch()
    said = markers.read_markers("hello", str(tmp_path))

    def broken(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(markers, "sync_folder", broken)
    if said is state:
        write_markers(tmp_path, state, Ownership.of_folder(tmp_path.stat()))
    else:
        with pytest.raises(OSError, match="Input/output"):
            write_markers(tmp_path, state, Ownership.of_folder(tmp_path.stat()))
    assert markers.read_markers("hello", str(tmp_path)) is said


@pytest.mark.parametrize("state", [ENABLED, DISABLED, None])
@pytest.mark.parametrize(
    "before", [(), ("ENABLED",), ("DISABLED",), ("ENABLED", "DISABLED")], ids=" and ".join
)
def test_one_marker_says_what_is_wanted(
    tmp_path: Path, before: tuple[str, ...], state: WantedState | None
) -> None:
    """Whatever was there, nothing else is left."""
    for name in before:
        (tmp_path / name).touch()
    write_markers(tmp_path, state, Ownership.of_folder(tmp_path.stat()))
    assert names(tmp_path) == ({state.name} if state else set())


def test_what_was_written_is_found_whatever_was_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose time of change stays the same isn't taken for unchanged by its writer."""
    monkeypatch.setattr(markers, "_signature", lambda name, place: (1, 2, 3))
    for name in ("SETTLED", "SOON"):
        monkeypatch.setattr(markers, name, -1.0)
    found = Markers(ControlFolder(tmp_path / "control", False), {"hello": tmp_path})
    for state in (ENABLED, DISABLED, None):
        found.put("hello", state)
        assert found.find("hello").state is state


@pytest.mark.parametrize(("time", "looks"), [(7_123_456_789, 0), (7_000_000_000, 2)])
def test_the_finer_a_clock_the_sooner_a_folder_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: int, looks: int
) -> None:
    """What is changed right after a look may bear the same time where that goes by seconds."""
    clock = [50.0]
    met = []
    monkeypatch.setattr(markers, "_signature", lambda name, place: (1, time, time))
    monkeypatch.setattr(markers, "monotonic", lambda: clock[0])
    monkeypatch.setattr(markers, "read_markers", lambda name, place: met.append(name))
    found = Markers(ControlFolder(tmp_path / "control", False), {"hello": tmp_path})
    found.find("hello")
    clock[0] += 1.0
    found.find("hello")
    met.clear()
    found.find("hello")
    clock[0] += 3.0
    found.find("hello")
    assert len(met) == looks
