"""The state store in a rough world: hundreds of kills, full and read-only disks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from state_kills import SEVERAL, SINGLE, contents, kill_writers, put
from state_parts import DISABLED, ENABLED, Place, change

from flask_pluginkit.exceptions import StateError
from flask_pluginkit.state.audit import Audit
from flask_pluginkit.state.base import State

KILLS = 300


@pytest.fixture(params=["beside the code", "in state_dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind."""
    return Place(tmp_path, tmp_path / "state" if request.param == "in state_dir" else None)


@pytest.mark.parametrize("writers", [1, 4])
@pytest.mark.parametrize("states", [SINGLE, SEVERAL], ids=["one marker", "several"])
def test_hundreds_of_killed_writers_leave_whole_states(
    place: Place, states: tuple[State, State], writers: int
) -> None:
    """Each is killed at a random moment; there is never a third state nor a lock that stays."""
    assert kill_writers(place, states, kills=KILLS // 4, writers=writers) > 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB that belongs to one test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a disk: NO FULL OR READ-ONLY DISK WAS TRIED")
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{done.stderr.strip()}: NO FULL OR READ-ONLY DISK WAS TRIED")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no room on the disk of `folder`."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def chatter(audit: Audit) -> None:
    """Write more than a full disk can take."""
    for _ in range(100):
        audit.write({"what": "x" * 1000})


@pytest.mark.parametrize("with_state_dir", [True, False])
def test_a_full_disk_refuses_changes_and_keeps_the_state(disk: Path, with_state_dir: bool) -> None:
    """Of one marker and of several; with room again all goes on; DISABLED by hand counts."""
    place = Place(disk, disk / "state" if with_state_dir else None)
    worker = place.store()
    assert worker.open()
    before = put(worker, SEVERAL[0])
    fill(disk)
    for wanted in ({"hello": DISABLED}, {"hello": DISABLED, "news": ENABLED, "search": DISABLED}):
        with pytest.raises(StateError, match=r"No space left.*make room"):
            change(place.store(), **wanted)
        assert worker.load() == place.store().load() == before
        assert worker.hint == before.generation
    with pytest.raises(StateError, match="No space left"):
        chatter(Audit(place.control))
    place.touch("DISABLED")
    worker.notice()
    assert worker.load().wanted["hello"] is DISABLED
    (disk / "filler").unlink()
    worker.notice()
    after = change(place.store(), search=DISABLED)
    assert after.wanted == {"hello": DISABLED, "news": DISABLED, "search": DISABLED}
    assert worker.hint == after.generation


@pytest.mark.parametrize("with_state_dir", [True, False])
def test_a_read_only_disk_refuses_changes_and_can_be_followed(
    disk: Path, with_state_dir: bool
) -> None:
    """What is there is read; who wants to switch is told of state_dir."""
    place = Place(disk, disk / "state" if with_state_dir else None)
    before = put(place.store(), SEVERAL[0])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    worker = place.store()
    assert not worker.open()
    assert worker.load() == before
    assert not worker.notice()
    assert worker.hint == before.generation
    with pytest.raises(StateError, match=r"Read-only file system.*option state_dir"):
        change(worker, hello=DISABLED)
    with pytest.raises(StateError, match="Read-only file system"):
        Audit(place.control).write({})
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert contents(change(worker, hello=DISABLED)) != contents(before)
