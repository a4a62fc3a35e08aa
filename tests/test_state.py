"""The wanted state of plugins in marker files."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_pluginkit.durable import Ownership
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.state import MarkerStore, StateStore, WantedState, files

ENABLED = WantedState.ENABLED
DISABLED = WantedState.DISABLED
SWITCHES = ((ENABLED, DISABLED), (DISABLED, ENABLED))
NAME = "hello"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a plugin."""
    made = tmp_path / "plugins" / NAME
    made.mkdir(parents=True)
    return made


@pytest.fixture(params=["beside the code", "in state_dir"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MarkerStore:
    """A store of each kind."""
    if request.param == "in state_dir":
        return MarkerStore(tmp_path / "state", None, 0.2)
    return MarkerStore(None, tmp_path / "instance" / "pluginkit", 0.2)


def place_of(store: MarkerStore, folder: Path) -> Path:
    return folder if store.state_dir is None else store.state_dir / "markers" / NAME


def markers(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()} if place.is_dir() else set()


def fail(name: str, path: Path, number: int) -> Any:
    """Return a stand-in for the function `name` of os that fails at `path`."""
    real = getattr(os, name)

    def stand_in(target: Any, *args: Any, **kwargs: Any) -> Any:
        if target == path or target == str(path):
            raise OSError(number, os.strerror(number), str(target))
        return real(target, *args, **kwargs)

    return stand_in


def test_without_markers_nothing_is_stored(store: StateStore, folder: Path) -> None:
    """A plugin that nobody switched has no wanted state of its own."""
    assert store.read(NAME, folder) is None


@pytest.mark.parametrize("state", WantedState)
def test_what_is_written_is_read(store: MarkerStore, folder: Path, state: WantedState) -> None:
    """A state is read back, by another store too."""
    store.write(NAME, folder, state)
    again = MarkerStore(store.state_dir, store.lock_dir)
    assert again.read(NAME, folder) is state


@pytest.mark.parametrize(("first", "then"), SWITCHES)
def test_the_last_state_counts_and_leaves_one_marker(
    store: MarkerStore, folder: Path, first: WantedState, then: WantedState
) -> None:
    """Switching leaves the one marker that 3.x would have left."""
    store.write(NAME, folder, first)
    store.write(NAME, folder, then)
    assert store.read(NAME, folder) is then
    assert markers(place_of(store, folder)) == {then.name}


def test_the_hand_made_marker_disabled_goes_over_enabled(folder: Path) -> None:
    """As in 3.x, a plugin with both files is disabled."""
    store = MarkerStore(None, None)
    (folder / "ENABLED").touch()
    assert store.read(NAME, folder) is ENABLED
    (folder / "DISABLED").touch()
    assert store.read(NAME, folder) is DISABLED


def test_writing_disabled_again_clears_a_contradicting_marker(folder: Path) -> None:
    """The leftover of a killed writer goes with the next one."""
    (folder / "ENABLED").touch()
    (folder / "DISABLED").touch()
    MarkerStore(None, None).write(NAME, folder, DISABLED)
    assert "ENABLED" not in markers(folder)


def test_a_folder_named_like_a_marker_is_none(folder: Path) -> None:
    """As in 3.x, only files are markers."""
    (folder / "DISABLED").mkdir()
    assert MarkerStore(None, None).read(NAME, folder) is None


def test_with_a_state_dir_the_code_is_left_alone(tmp_path: Path, folder: Path) -> None:
    """Nothing is written beside the code, and what state_dir says goes over it."""
    (folder / "DISABLED").touch()
    store = MarkerStore(tmp_path / "state", None)
    store.write(NAME, folder, ENABLED)
    assert store.read(NAME, folder) is ENABLED
    assert markers(folder) == {"DISABLED"}


def test_with_a_state_dir_markers_beside_the_code_are_the_fallback(
    tmp_path: Path, folder: Path
) -> None:
    """A DISABLED made by hand for 3.x counts while state_dir says nothing."""
    (folder / "DISABLED").touch()
    store = MarkerStore(tmp_path / "state", None)
    assert store.read(NAME, folder) is DISABLED
    store.write("another", folder, ENABLED)
    assert store.read(NAME, folder) is DISABLED


names = st.text(
    st.characters(categories=["L", "N"], include_characters=" _-."), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})


@settings(max_examples=40)
@given(st.dictionaries(names, st.sampled_from(WantedState), min_size=1, max_size=5))
def test_plugins_of_any_name_keep_their_own_states(wanted: dict[str, WantedState]) -> None:
    """Whatever plugins are called, their states don't mix in a state_dir."""
    with tempfile.TemporaryDirectory() as place:
        store = MarkerStore(Path(place) / "state", None)
        for name, state in wanted.items():
            store.write(name, Path(place), state)
        assert {name: store.read(name, Path(place)) for name in wanted} == wanted


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0"])
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A store doesn't rely on others to keep its paths inside state_dir."""
    store = MarkerStore(tmp_path / "state", None)
    store.write("other", tmp_path, ENABLED)
    with pytest.raises(StateError, match="name"):
        store.read(name, tmp_path)
    with pytest.raises(StateError, match="name"):
        store.write(name, tmp_path, DISABLED)


def test_a_name_too_long_for_a_file_is_unknown_and_cant_be_switched(tmp_path: Path) -> None:
    """Reading a name of 300 bytes finds nothing, and switching it says why it can't be."""
    store = MarkerStore(tmp_path / "state", None)
    store.write("other", tmp_path, ENABLED)
    assert store.read("é" * 150, tmp_path) is None
    with pytest.raises(StateError, match="too long"):
        store.write("é" * 150, tmp_path, DISABLED)


class Killed(BaseException):
    """The process ends here: no clean-up runs."""


def kill_before(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process "die" before the call of the system that has the number `step`."""
    steps = itertools.count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return real(*args, **kwargs)

        return stand_in

    for name in ("open", "mkdir", "unlink", "fsync", "fchmod", "fchown", "rename", "replace"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


@pytest.mark.parametrize(("old", "new"), SWITCHES)
def test_a_writer_killed_at_any_step_leaves_the_old_state_or_the_new(
    store: MarkerStore, folder: Path, old: WantedState, new: WantedState
) -> None:
    """There is no third state between two, and the next writer gets its way."""
    seen = []
    for step in itertools.count():
        store.write(NAME, folder, old)
        with pytest.MonkeyPatch.context() as patch:
            kill_before(step, patch)
            try:
                store.write(NAME, folder, new)
                break
            except Killed:
                pass
        seen.append(store.read(NAME, folder))
    assert set(seen) == {old, new}
    assert seen == [old] * seen.count(old) + [new] * seen.count(new)


def test_a_first_writer_killed_at_any_step_leaves_nothing_or_the_new_state(
    store: MarkerStore, folder: Path
) -> None:
    """Also where the folders have to be made, a kill leaves no half of a state."""
    for step in itertools.count():
        with pytest.MonkeyPatch.context() as patch:
            kill_before(step, patch)
            try:
                store.write(NAME, folder, DISABLED)
                break
            except Killed:
                pass
        assert store.read(NAME, folder) in {None, DISABLED}
    assert store.read(NAME, folder) is DISABLED


def test_a_switching_process_can_be_killed_at_any_time(store: MarkerStore, folder: Path) -> None:
    """After a real SIGKILL there is a state, and the lock is free."""
    code = (
        "import sys; from pathlib import Path\n"
        "from flask_pluginkit.state import MarkerStore, WantedState\n"
        "paths = [Path(text) if text else None for text in sys.argv[1:]]\n"
        "store = MarkerStore(paths[0], paths[1])\n"
        "print(flush=True)\n"
        "while True:\n"
        "    for state in WantedState: store.write('hello', paths[2], state)\n"
    )
    store.write(NAME, folder, ENABLED)
    arguments = [str(store.state_dir or ""), str(store.lock_dir or ""), str(folder)]
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(50):
                assert store.read(NAME, folder) is not None
            process.send_signal(signal.SIGKILL)
        assert store.read(NAME, folder) is not None
        store.write(NAME, folder, ENABLED)


def test_a_reader_between_two_steps_of_a_writer_doesnt_see_nothing(
    store: MarkerStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that is disabled between two looks at its markers reads as disabled."""
    store.write(NAME, folder, ENABLED)
    look = files._is_there
    looks = itertools.count()

    def look_and_be_overtaken(name: str, marker: Path) -> bool:
        found = look(name, marker)
        if next(looks) == 0:
            store.write(NAME, folder, DISABLED)
        return found

    monkeypatch.setattr(files, "_is_there", look_and_be_overtaken)
    assert store.read(NAME, folder) is DISABLED


def lock_of(store: MarkerStore) -> Path:
    lock_folder = store.state_dir or store.lock_dir
    assert lock_folder is not None
    return lock_folder / "state.lock"


def test_another_writer_is_waited_for_and_then_named(store: MarkerStore, folder: Path) -> None:
    """When the lock isn't given back in time, the error names it, the time and state_dir."""
    store.write(NAME, folder, ENABLED)
    with (
        FileLock(lock_of(store)),
        pytest.raises(StateError, match=r"state\.lock.*0\.2 seconds.*state_dir"),
    ):
        store.write(NAME, folder, DISABLED)
    assert store.read(NAME, folder) is ENABLED


def test_the_lock_lies_in_lock_dir_which_is_made(tmp_path: Path, folder: Path) -> None:
    """Without a state_dir, nothing but the marker is written beside the code."""
    MarkerStore(None, tmp_path / "instance" / "pluginkit").write(NAME, folder, DISABLED)
    assert (tmp_path / "instance" / "pluginkit" / "state.lock").is_file()
    assert markers(folder) == {"DISABLED"}


@pytest.mark.parametrize("given_lock_dir", [True, False])
def test_without_a_place_for_it_the_lock_lies_beside_the_markers(
    tmp_path: Path, folder: Path, given_lock_dir: bool
) -> None:
    """A lock_dir that can't be written, or none, doesn't keep an operator from switching."""
    (tmp_path / "instance").touch()
    lock_dir = tmp_path / "instance" / "pluginkit" if given_lock_dir else None
    store = MarkerStore(None, lock_dir)
    store.write(NAME, folder, DISABLED)
    assert store.read(NAME, folder) is DISABLED
    assert markers(folder) == {"DISABLED", ".pluginkit.lock"}


def test_a_plugin_without_a_folder_cant_be_switched(store: MarkerStore, tmp_path: Path) -> None:
    """Beside the code there must be code; in a state_dir it doesn't matter."""
    gone = tmp_path / "gone"
    if store.state_dir is None:
        with pytest.raises(StateError, match=r"gone.*No such file.*state_dir"):
            store.write(NAME, gone, DISABLED)
        assert not gone.exists()
    else:
        store.write(NAME, gone, DISABLED)
        assert store.read(NAME, gone) is DISABLED


def test_a_read_only_place_is_refused_and_named(
    store: MarkerStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker on a read-only file system gives the path, the reason and the option."""
    store.write(NAME, folder, ENABLED)
    marker = place_of(store, folder) / "DISABLED"
    monkeypatch.setattr(os, "open", fail("open", marker, errno.EROFS))
    with pytest.raises(StateError, match=r"'hello'.*DISABLED: Read-only.*option state_dir"):
        store.write(NAME, folder, DISABLED)
    assert store.read(NAME, folder) is ENABLED


def test_a_lock_that_cant_be_written_is_refused_and_named(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state_dir that this process may not write to is named with the reason."""
    (tmp_path / "state").mkdir()
    lock = tmp_path / "state" / "state.lock"
    monkeypatch.setattr(os, "open", fail("open", lock, errno.EACCES))
    with pytest.raises(StateError, match=r"state\.lock: Permission denied.*option state_dir"):
        MarkerStore(tmp_path / "state", None, 0.2).write(NAME, folder, DISABLED)


def test_an_enabling_that_fails_leaves_the_plugin_disabled_and_no_marker_behind(
    store: MarkerStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If DISABLED can't be removed, the ENABLED that was to replace it is."""
    store.write(NAME, folder, DISABLED)
    place = place_of(store, folder)
    monkeypatch.setattr(os, "unlink", fail("unlink", place / "DISABLED", errno.EPERM))
    with pytest.raises(StateError, match="not permitted"):
        store.write(NAME, folder, ENABLED)
    assert markers(place) == {"DISABLED"}


def test_a_marker_that_doesnt_reach_the_disk_is_taken_back(
    store: MarkerStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails, a plugin that was enabled stays so."""
    store.write(NAME, folder, ENABLED)

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StateError, match="Input/output"):
        store.write(NAME, folder, DISABLED)
    assert store.read(NAME, folder) is ENABLED


def test_a_marker_that_cant_be_looked_at_isnt_taken_for_none(folder: Path) -> None:
    """A DISABLED that is a loop of links is an error: it might mean disabled."""
    (folder / "DISABLED").symlink_to(folder / "DISABLED")
    with pytest.raises(StateError, match=r"DISABLED.*symbolic links"):
        MarkerStore(None, None).read(NAME, folder)


def test_a_link_in_place_of_a_marker_isnt_written_through(tmp_path: Path, folder: Path) -> None:
    """A dangling link named DISABLED doesn't make this process create what it leads to."""
    (folder / "DISABLED").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="DISABLED"):
        MarkerStore(None, None).write(NAME, folder, DISABLED)
    assert not (tmp_path / "elsewhere").exists()


def refused(store: MarkerStore, folder: Path, text: str) -> None:
    with pytest.raises(StateError, match=f"state_dir .*{text}"):
        store.read(NAME, folder)
    with pytest.raises(StateError, match=f"state_dir .*{text}"):
        store.write(NAME, folder, ENABLED)


def test_a_state_dir_that_is_a_link_is_refused(tmp_path: Path, folder: Path) -> None:
    """Where a link leads can change, so state_dir must be named itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real")
    refused(MarkerStore(tmp_path / "state", None), folder, "is a link")


def test_a_state_dir_that_everybody_can_write_is_refused(tmp_path: Path, folder: Path) -> None:
    """Every user of the machine could switch plugins there."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    refused(MarkerStore(tmp_path / "state", None), folder, "writable by every user")


def test_a_state_dir_that_is_a_file_is_refused(tmp_path: Path, folder: Path) -> None:
    """A file can't hold states, nor can what would be below a file."""
    (tmp_path / "state").touch()
    refused(MarkerStore(tmp_path / "state", None), folder, "is no folder")
    refused(MarkerStore(tmp_path / "state" / "deeper", None), folder, "Not a directory")


def test_a_state_dir_that_cant_be_made_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the folder that is to be made."""
    monkeypatch.setattr(os, "mkdir", fail("mkdir", tmp_path / "state", errno.EROFS))
    with pytest.raises(StateError, match=r"state: Read-only.*option state_dir"):
        MarkerStore(tmp_path / "state", None).write(NAME, folder, ENABLED)


def test_what_is_made_in_a_state_dir_takes_its_mode(tmp_path: Path, folder: Path) -> None:
    """A folder shared with a group stays shared, whoever writes first."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    state_dir.chmod(0o750)
    MarkerStore(state_dir, None).write(NAME, folder, DISABLED)
    place = state_dir / "markers" / NAME
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in state_dir.rglob("*")}
    assert modes == {
        state_dir / "state.lock": 0o640,
        state_dir / "markers": 0o750,
        place: 0o750,
        place / "DISABLED": 0o640,
    }


def test_what_is_made_in_a_state_dir_takes_its_owner_or_isnt_made(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's switching doesn't shut the server's user out; who can't hand over is told why."""
    (tmp_path / "state").mkdir()
    store = MarkerStore(tmp_path / "state", None)
    theirs = Ownership(user=54321, group=54321, file_mode=0o640, folder_mode=0o750)
    monkeypatch.setattr(
        Ownership, "of_folder", lambda found, strict=False: replace(theirs, strict=strict)
    )
    handed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fchown", lambda descriptor, user, group: handed.append(user))
        store.write("first", folder, DISABLED)
    assert handed == [54321] * 4  # the lock, two folders, the marker

    def refuse(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(StateError, match=r"belongs to user 54321.*runs as user.*state_dir"):
        store.write("second", folder, DISABLED)
    assert store.read("second", folder) is None
