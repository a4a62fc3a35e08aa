"""The runtime folder: found by all, entered by one user, held by one supervisor."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from isolation_parts import remove

from flask_pluginkit.exceptions import RunError, SandboxUnavailable
from flask_pluginkit.isolation.processes import runtime
from flask_pluginkit.sandbox import canaries


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    """A folder with a short path, in which the control folder is ``control``."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="pk-", dir="/tmp"))
    yield folder
    remove(folder)


@pytest.fixture
def control(short: Path) -> Path:
    """A control folder."""
    folder = short / "control"
    folder.mkdir()
    return folder


def test_a_named_folder_is_made_private(short: Path, control: Path) -> None:
    """And taken as it is named."""
    folder = runtime.locate(control, str(short / "run"), {"XDG_RUNTIME_DIR": str(short)})
    assert folder == short / "run"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place.mkdir(mode=0o755), "has the mode 755"),
        (lambda place: place.touch(), "is a link or a file"),
        (lambda place: place.symlink_to("/tmp"), "is a link or a file"),
    ],
)
def test_a_folder_that_others_could_use_is_refused(short: Path, make: object, said: str) -> None:
    """With what is wrong about it and what to do."""
    assert callable(make)
    make(short / "run")
    with pytest.raises(SandboxUnavailable, match=said) as caught:
        runtime.private(short / "run")
    assert "PLUGINKIT_SANDBOX_RUNTIME_DIR" in str(caught.value)


def test_a_relative_or_too_long_path_is_refused(short: Path) -> None:
    """Sockets have room for 107 bytes."""
    with pytest.raises(SandboxUnavailable, match="isn't absolute"):
        runtime.private(Path("run"))
    with pytest.raises(SandboxUnavailable, match="expected at most 84 bytes"):
        runtime.private(short / ("x" * 80))
    with pytest.raises(SandboxUnavailable, match="a folder that can be made"):
        runtime.private(short / "missing" / "run")


def test_a_folder_of_another_user_is_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for root, which can join a supervisor, and must not start one there."""
    folder = runtime.private(short / "run")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(SandboxUnavailable, match=f"belongs to uid {uid}"):
        runtime.private(folder)
    with pytest.raises(RunError, match=f"belongs to uid {uid}"):
        runtime.refuse_start(folder)


def test_a_folder_that_machines_share_is_refused(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks and sockets of one machine mean nothing on the others."""
    assert runtime.file_system(short) not in {0, *runtime.NETWORKED}
    assert runtime.file_system(Path("/proc")) == 0x9FA0
    assert runtime.file_system(short / "missing") == 0
    monkeypatch.setattr(runtime, "file_system", lambda _: 0x6969)
    with pytest.raises(SandboxUnavailable, match="lies on NFS, expected a local disk"):
        runtime.private(short / "run")


@pytest.mark.parametrize("variable", ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"])
def test_the_system_s_folder_for_sockets_is_used(short: Path, control: Path, variable: str) -> None:
    """A folder of our own in it, as several applications may share it."""
    folder = runtime.locate(control, "", {variable: f"{short}:/elsewhere"})
    assert folder.parent == short
    assert runtime.mark(control) in folder.name


def test_all_processes_find_the_same_folder(short: Path, control: Path) -> None:
    """Whatever their environments are; a folder that is gone is replaced."""
    assert runtime.find(control) is None
    first = runtime.locate(control, "", {"XDG_RUNTIME_DIR": str(short)})
    assert runtime.locate(control, "", {}) == first
    assert runtime.find(control) == first
    first.rmdir()
    assert runtime.find(control) is None
    second = runtime.locate(control, "", {"RUNTIME_DIRECTORY": "/nowhere"})
    assert second != first
    assert stat.S_IMODE(second.stat().st_mode) == 0o700
    second.rmdir()


def test_a_control_folder_that_can_not_be_written_to_is_told(short: Path, control: Path) -> None:
    """A file stands in its place, or a folder in that of a file."""
    (control / "file").touch()
    (control / "other").mkdir()
    (control / "other" / runtime.LOCK).mkdir()
    with pytest.raises(SandboxUnavailable, match="can't be written to"):
        runtime.locate(control / "other")
    with pytest.raises(SandboxUnavailable, match="a file that can be read"):
        runtime.locate(control / "file" / "folder")
    runtime.note(control).mkdir()
    with pytest.raises(SandboxUnavailable, match="a file that can be read"):
        runtime.locate(control)


def test_a_named_folder_is_found_without_being_made(short: Path, control: Path) -> None:
    """As a survey must not leave one behind."""
    assert runtime.find(control, str(short / "run")) is None
    runtime.private(short / "run")
    assert runtime.find(control, str(short / "run")) == short / "run"


def test_one_is_elected(short: Path) -> None:
    """Until it is gone; in a folder that is removed nobody is."""
    folder = runtime.private(short / "run")
    office = runtime.elect(folder)
    assert office is not None
    assert runtime.elect(folder) is None
    os.close(office)
    again = runtime.elect(folder)
    assert again is not None
    os.close(again)
    folder.rmdir()
    assert runtime.elect(folder) is None


def test_an_election_in_a_folder_that_is_replaced_is_void(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The winner of a removed folder is no supervisor of the one that came after."""
    folder = runtime.private(short / "run")
    with monkeypatch.context() as patched:  # what removes the folder needs the function too
        patched.setattr(os.path, "samestat", lambda *_: False)
        assert runtime.elect(folder) is None


def test_what_a_killed_supervisor_left_is_swept(short: Path, control: Path) -> None:
    """Sockets and canaries, but for the lock of whoever starts the next."""
    folder = runtime.private(short / "run")
    for name in ("control.sock", "worker-7.sock", runtime.STARTING):
        (folder / name).touch()
    with runtime.perch(control) as perch:
        left = perch / "canaries-x"
        left.mkdir()
        (left / "file").touch()
        runtime.sweep(folder, control)
        assert not perch.exists()
    assert [path.name for path in folder.iterdir()] == [runtime.STARTING]


def test_leaving_removes_all_but_what_the_operator_named(short: Path, control: Path) -> None:
    """The note of a folder goes with it."""
    folder = runtime.locate(control, "", {"XDG_RUNTIME_DIR": str(short)})
    (folder / "control.sock").touch()
    runtime.leave(folder, control, is_named=False)
    assert not folder.exists()
    assert not runtime.note(control).exists()
    named = runtime.private(short / "run")
    (named / "control.sock").touch()
    runtime.leave(named, control, is_named=True)
    assert list(named.iterdir()) == []


def test_canaries_live_where_every_user_can_reach_them(control: Path) -> None:
    """And are gone afterwards, unless somebody else put something there."""
    with runtime.perch(control) as perch:
        assert stat.S_IMODE(perch.stat().st_mode) == 0o755
        with canaries.planted(perch) as planted:
            canaries.require_reachable(planted)
    assert not perch.exists()


def test_a_system_without_a_public_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nothing could be verified there."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SandboxUnavailable, match="can't be entered by every user"):
        runtime.public_folder()


def test_each_view_of_the_files_has_a_note_of_its_own(
    control: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines that share a control folder don't take each other's paths for their own."""
    one = runtime.note(control)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "another boot")
    other = runtime.note(control)
    assert one != other
    assert one.parent == other.parent == control
