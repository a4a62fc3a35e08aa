"""Writers that are killed, disks that fail and folders that can't be trusted."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from state_parts import (
    DISABLED,
    ENABLED,
    SWITCHES,
    Killed,
    Place,
    before_step,
    change,
    fail,
    kill,
)

from flask_pluginkit.durable import Ownership
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.frozen import replace
from flask_pluginkit.state import markers
from flask_pluginkit.state.base import Quarantine, State, WantedState
from flask_pluginkit.state.files import FileStateStore

QUARANTINE = Quarantine(since=1.0, reason="too many faults", traceback="", by="a worker")


@pytest.fixture(params=["beside the code", "in state_dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind."""
    return Place(tmp_path, tmp_path / "state" if request.param == "in state_dir" else None)


Change = Callable[[FileStateStore], State]


def one(old: WantedState, new: WantedState) -> tuple[Change, Change]:
    """Switch one plugin there and back."""
    return lambda store: change(store, hello=old), lambda store: change(store, hello=new)


def several(old: WantedState, new: WantedState) -> tuple[Change, Change]:
    """Switch three plugins there and back, one of them the other way."""
    return (
        lambda store: change(store, hello=old, news=old, search=new),
        lambda store: change(store, hello=new, news=new, search=old),
    )


def quarantined(old: WantedState, new: WantedState) -> tuple[Change, Change]:
    """Switch one plugin and change what is quarantined, at once."""

    def swap(wanted: WantedState, held: bool) -> Change:
        state = State(wanted={"hello": wanted}, quarantined={"hello": QUARANTINE} if held else {})
        return lambda store: store.swap(store.load().generation, state)

    return swap(old, True), swap(new, False)


def scanned(old: WantedState, new: WantedState) -> tuple[Change, Change]:
    """Switch one plugin and ask for a look at all folders, at once."""

    def swap(wanted: WantedState, scan: int) -> Change:
        state = State(wanted={"hello": wanted}, scan=scan)
        return lambda store: store.swap(store.load().generation, state)

    return swap(old, 1), swap(new, 2)


@pytest.mark.parametrize("kind", [one, several, quarantined, scanned])
@pytest.mark.parametrize(("old", "new"), SWITCHES)
def test_a_writer_killed_at_any_step_leaves_the_old_state_or_the_new(
    place: Place, kind: Callable[..., tuple[Change, Change]], old: WantedState, new: WantedState
) -> None:
    """There is no third state between two, for those who look on and those who begin after.

    And the next writer gets its way.
    """
    go_back, go_on = kind(old, new)
    seen = []
    watching = place.store()
    watching.open()
    for step in itertools.count():
        before = contents(go_back(place.store()))
        watching.notice()
        watching.load()
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, kill, patch)
            try:
                after = contents(go_on(place.store()))
                break
            except Killed:
                pass
        found = contents(place.store().load())
        watching.notice()
        assert contents(watching.load()) == found == contents(place.store().load())
        assert watching.hint == watching.load().generation
        assert "intent" not in place.stored()
        seen.append(found)
    assert before != after
    assert seen == [before] * seen.count(before) + [after] * seen.count(after)
    assert before in seen
    assert after in seen


def contents(state: State) -> State:
    return replace(state, generation=0)


def test_a_first_writer_killed_at_any_step_leaves_nothing_or_the_new_state(
    tmp_path: Path,
) -> None:
    """Also where the folders have to be made, a kill leaves no half of a state."""
    wanted = {"hello": DISABLED, "news": ENABLED}
    for step in itertools.count():
        shutil.rmtree(tmp_path)
        place = Place(tmp_path, tmp_path / "state")
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, kill, patch)
            try:
                change(place.store(), **wanted)
                break
            except Killed:
                pass
        assert place.wanted() in ({}, wanted)
        assert change(place.store(), search=ENABLED).wanted["search"] is ENABLED
    assert place.wanted() == wanted


def test_a_store_opened_and_killed_at_any_step_can_be_opened(tmp_path: Path) -> None:
    """A worker that dies in its first request leaves nothing that the next stumbles over."""
    for step in itertools.count():
        shutil.rmtree(tmp_path)
        place = Place(tmp_path, None)
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, kill, patch)
            try:
                assert place.store().open()
                break
            except Killed:
                pass
        store = place.store()
        assert store.open()
        assert change(place.store(), hello=DISABLED).generation == store.hint


@pytest.mark.parametrize("kind", [one, several, quarantined])
@pytest.mark.parametrize(("old", "new"), SWITCHES)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_at_any_step_changes_nothing(
    place: Place,
    kind: Callable[..., tuple[Change, Change]],
    old: WantedState,
    new: WantedState,
    number: int,
) -> None:
    """One call of the system fails: the change is refused and undone, or done all the same."""
    go_back, go_on = kind(old, new)
    outcomes = set()
    for step in itertools.count():
        before = go_back(place.store())
        marks = {name: place.markers(name) for name in place.folders}
        broken: list[int] = []

        def fail_once(broken: list[int] = broken) -> None:
            broken.append(number)
            raise OSError(number, os.strerror(number))

        after = None
        with pytest.MonkeyPatch.context() as patch, suppress(StateError):
            before_step(step, fail_once, patch)
            after = go_on(place.store())
        outcomes.add(after is None)
        assert "intent" not in place.stored()
        if after is not None:
            assert place.store().load() == after
        else:
            assert place.store().load() == before
            assert {name: place.markers(name) for name in place.folders} == marks
        if not broken:
            break
    assert outcomes == {True, False}


@pytest.mark.parametrize("kind", [one, several, quarantined])
@pytest.mark.parametrize(("old", "new"), SWITCHES)
def test_a_disk_that_is_full_from_some_step_on_changes_nothing(
    place: Place, kind: Callable[..., tuple[Change, Change]], old: WantedState, new: WantedState
) -> None:
    """Also while there is no room for undoing, the old state is what counts."""
    go_back, go_on = kind(old, new)
    for step in itertools.count():
        before = go_back(place.store())
        after = None
        with pytest.MonkeyPatch.context() as patch, suppress(StateError):
            is_full = fill_disk(step, patch)
            after = go_on(place.store())
        assert contents(place.store().load()) == contents(before if after is None else after)
        store = place.store()
        change(store)
        assert contents(store.load()) == contents(before if after is None else after)
        if not is_full:
            break
    assert step > 2


def fill_disk(step: int, patch: pytest.MonkeyPatch) -> list[int]:
    """Leave no room after `step` calls that take some; the list tells whether that happened."""
    steps = itertools.count()
    is_full: list[int] = []

    def limited(real: Callable[..., Any], takes_room: Callable[..., bool]) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            if takes_room(*args) and next(steps) >= step:
                is_full.append(step)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        return stand_in

    def creates(path: Any, flags: int, mode: int = 0) -> bool:
        return bool(flags & os.O_CREAT and not Path(path).exists())

    def is_file(descriptor: int) -> bool:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)

    patch.setattr(os, "open", limited(os.open, creates))
    patch.setattr(os, "fsync", limited(os.fsync, is_file))
    for name in ("mkdir", "link", "posix_fallocate"):
        patch.setattr(os, name, limited(getattr(os, name), lambda *args: True))
    return is_full


def test_a_full_disk_is_named_and_what_to_do(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option state_dir wouldn't help: the advice is to make room."""
    store = place.store()
    temporary = place.control / "state.json.tmp"
    monkeypatch.setattr(os, "open", fail("open", temporary, errno.ENOSPC))
    with pytest.raises(StateError, match=r"state\.json\.tmp: No space left.*make room"):
        change(store, hello=DISABLED)
    assert place.wanted() == {}


def test_a_read_only_place_is_refused_and_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker on a read-only file system gives the path, the reason and the option."""
    store = place.store()
    change(store, hello=ENABLED)
    marker = place.markers_in() / "ENABLED"
    monkeypatch.setattr(os, "replace", fail("replace", marker, errno.EROFS))
    with pytest.raises(StateError, match=r"'hello'.*ENABLED: Read-only.*option state_dir"):
        change(store, hello=DISABLED)
    assert place.wanted() == {"hello": ENABLED}


def test_without_a_place_for_the_state_nothing_can_be_switched(tmp_path: Path) -> None:
    """A marker that could be written isn't, where nobody could be told of it."""
    place = Place(tmp_path, None)
    (tmp_path / "instance").touch()
    place.touch("ENABLED", "news")
    store = place.store()
    with pytest.raises(StateError, match=r"instance.*option state_dir"):
        change(store, hello=DISABLED)
    assert place.markers() == set()
    assert not store.open()
    assert store.load().wanted == {"news": ENABLED}


def test_where_nothing_can_be_written_markers_made_by_hand_still_count(tmp_path: Path) -> None:
    """They are noticed, each process by itself, although there are no generations."""
    place = Place(tmp_path, None)
    (tmp_path / "instance").touch()
    store = place.store()
    assert store.load() == State()
    assert not store.notice()
    place.touch("DISABLED")
    assert store.notice()
    assert store.load() == State(wanted={"hello": DISABLED})
    assert not store.notice()
    (place.folders["hello"] / "DISABLED").unlink()
    assert store.notice()
    assert store.load() == State()
    assert store.hint == 0


def test_on_a_full_disk_markers_made_by_hand_still_count(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file finds room where a state finds none: it disables in each process."""
    store = place.store()
    before = change(store, hello=ENABLED)
    temporary = place.control / "state.json.tmp"
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail("open", temporary, errno.ENOSPC))
        place.touch("DISABLED")
        assert store.notice()
        assert store.load() == replace(before, wanted={"hello": DISABLED})
        assert not store.notice()
    assert store.notice()
    assert place.stored()["wanted"] == {"hello": "disabled"}


def test_a_lock_that_cant_be_written_is_refused_and_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that this process may not write to is named with the reason."""
    place.control.mkdir(parents=True)
    lock = place.control / "state.lock"
    monkeypatch.setattr(os, "open", fail("open", lock, errno.EACCES))
    with pytest.raises(StateError, match=r"state\.lock: Permission denied.*option state_dir"):
        change(place.store(), hello=DISABLED)


def test_a_state_that_cant_be_read_is_refused_and_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another user is an error when it is read, not an empty state."""
    store = place.store()
    change(store, hello=DISABLED)
    monkeypatch.setattr(os, "open", fail("open", place.file, errno.EACCES))
    for read in (store.load, store.notice):
        with pytest.raises(StateError, match=r"state\.json: Permission denied; let this process"):
            read()


def test_an_enabling_that_fails_leaves_the_plugin_disabled_and_no_marker_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be renamed stays what it is."""
    store = place.store()
    change(store, hello=DISABLED)
    marker = place.markers_in() / "DISABLED"
    monkeypatch.setattr(os, "replace", fail("replace", marker, errno.EPERM))
    with pytest.raises(StateError, match="not permitted"):
        change(store, hello=ENABLED)
    assert place.markers() == {"DISABLED"}


@pytest.mark.parametrize("state", WantedState)
def test_a_removal_that_fails_leaves_the_marker(
    place: Place, monkeypatch: pytest.MonkeyPatch, state: WantedState
) -> None:
    """If the disk doesn't confirm that nothing is wanted any more, the marker is back."""
    store = place.store()
    before = change(store, hello=state)
    real = os.fsync
    broken: list[int] = []

    def fail_once(descriptor: int) -> None:
        if not broken:
            broken.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(StateError, match="Input/output"):
        change(store, hello=None)
    assert place.markers() == {state.name}
    assert place.store().load() == before


def test_a_marker_that_doesnt_reach_the_disk_is_taken_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the first marker of a plugin stay."""
    store = place.store()
    change(store)
    folder = place.markers_in()
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(markers, "sync_folder", lambda path: (path / "broken").stat())
    with pytest.raises(StateError, match="'hello'"):
        change(store, hello=DISABLED)
    assert place.markers() == set()


def test_a_change_of_many_that_fails_at_the_last_marker_undoes_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or nothing, on the disk too."""
    store = place.store()
    before = change(store, hello=ENABLED, news=ENABLED, search=ENABLED)
    marker = place.markers_in("search") / "ENABLED"
    monkeypatch.setattr(os, "replace", fail("replace", marker, errno.EACCES))
    with pytest.raises(StateError, match=r"'search'.*Permission denied"):
        change(store, hello=DISABLED, news=DISABLED, search=DISABLED)
    assert store.load() == place.store().load() == before
    assert [place.markers(name) for name in place.folders] == [{"ENABLED"}] * 3


def test_markers_that_cant_be_undone_now_are_undone_by_the_next_writer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile they count for nothing: the file says that they are in between."""
    store = place.store()
    before = change(store, hello=ENABLED, news=ENABLED)
    stuck, broken = place.markers_in("hello") / "DISABLED", place.markers_in("news") / "ENABLED"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail("replace", broken, errno.EIO))
        patch.setattr(os, "replace", fail("replace", stuck, errno.EIO))
        with pytest.raises(StateError, match="Input/output"):
            change(store, hello=DISABLED, news=DISABLED)
        assert place.markers("hello") >= {"DISABLED"}
        assert store.load() == place.store().load() == before
    assert change(place.store(), search=ENABLED).wanted == {**before.wanted, "search": ENABLED}
    assert place.markers("hello") == {"ENABLED"}


def test_what_cant_be_undone_as_its_plugin_isnt_known_is_left_to_others(tmp_path: Path) -> None:
    """A process that doesn't know where a plugin lies keeps the note for those who do."""
    place = Place(tmp_path, None)
    change(place.store(), hello=ENABLED, news=ENABLED)
    killed_in_between(place)
    stranger = FileStateStore(None, place.control)
    assert change(stranger).wanted == {"hello": ENABLED, "news": ENABLED}
    assert place.stored()["intent"] == {"hello": "enabled", "news": "enabled"}
    assert place.store().load().wanted == {"hello": ENABLED, "news": ENABLED}
    store = place.store()
    store.open()
    store.load()
    store.notice()
    assert place.markers("hello") == place.markers("news") == {"ENABLED"}
    assert "intent" not in place.stored()


def killed_in_between(place: Place) -> None:
    """Leave the markers of a change of two plugins in between."""
    commit = place.file
    real = Path.replace
    renames = itertools.count()

    def die(path: Path, target: Path) -> Path:
        if target == commit and next(renames) == 1:
            raise Killed
        return real(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(Killed):
            change(place.store(), hello=DISABLED, news=DISABLED)
    assert place.markers("hello") == place.markers("news") == {"DISABLED"}


def test_who_writes_after_a_kill_between_marker_and_state_builds_on_it(place: Place) -> None:
    """The marker is taken for one made by hand before anybody decides on the state."""
    store = place.store()
    before = change(store, hello=ENABLED)
    (place.markers_in() / "ENABLED").rename(place.markers_in() / "DISABLED")
    with store.exclusive():
        state = store.load()
        assert state.wanted == {"hello": DISABLED}
        assert state.generation == before.generation + 1
        store.swap(state.generation, replace(state, wanted={"hello": ENABLED}))
    assert place.wanted() == {"hello": ENABLED}


def test_an_undoing_that_fails_is_an_error_for_who_wants_to_write(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old state goes on, and the error names the marker in the way."""
    change(place.store(), hello=ENABLED, news=ENABLED)
    killed_in_between(place)
    store = place.store()
    with monkeypatch.context() as patch:
        marker = place.markers_in("hello") / "DISABLED"
        patch.setattr(os, "replace", fail("replace", marker, errno.EPERM))
        with pytest.raises(StateError, match=r"'hello'.*DISABLED: Operation not permitted"):
            change(store, search=ENABLED)
        store.notice()
        assert store.load().wanted == {"hello": ENABLED, "news": ENABLED}
    assert change(store, search=ENABLED).wanted["hello"] is ENABLED


def test_a_reader_between_two_steps_of_a_writer_doesnt_see_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that is disabled between two looks at its markers reads as disabled."""
    store = place.store()
    change(store, hello=ENABLED)
    look = markers._is_there
    looks = itertools.count()

    def look_and_be_overtaken(name: str, marker: str) -> bool:
        found = look(name, marker)
        if next(looks) == 0:
            change(store, hello=DISABLED)
        return found

    folder = str(place.markers_in())
    monkeypatch.setattr(markers, "_is_there", look_and_be_overtaken)
    assert markers.read_markers("hello", folder) is DISABLED


def test_a_reader_that_is_overtaken_by_a_change_of_many_doesnt_see_half_of_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first load looks at markers: not at those of a change that is under way."""
    before = change(place.store(), hello=ENABLED, news=ENABLED)
    steps = itertools.count()
    for step in steps:
        seen: list[State] = []
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, partial(look_at, place, seen), patch)
            after = change(place.store(), hello=DISABLED, news=DISABLED)
        if not seen:
            break
        assert contents(seen[0]) in (contents(before), contents(after))
        change(place.store(), hello=ENABLED, news=ENABLED)
    assert step > 10


def test_a_reader_that_overtakes_itself_doesnt_see_half_of_a_change(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a change of many is made while it looks at markers, it looks again."""
    change(place.store(), hello=ENABLED, news=ENABLED)
    look = markers.read_markers
    looks = itertools.count()

    def look_and_be_overtaken(name: str, folder: str) -> WantedState | None:
        found = look(name, folder)
        if next(looks) == 0:
            change(place.store(), hello=DISABLED, news=DISABLED)
        return found

    reader = place.store()
    monkeypatch.setattr(markers, "read_markers", look_and_be_overtaken)
    assert reader.load().wanted == {"hello": DISABLED, "news": DISABLED}


def test_a_reader_that_is_overtaken_again_and_again_believes_the_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It doesn't wait for a quiet moment; markers are looked at the next time."""
    states = itertools.cycle([ENABLED, DISABLED])
    change(place.store(), hello=DISABLED)
    reader, writer = place.store(), place.store()
    look = markers.Markers.survey

    def look_and_be_overtaken(found: markers.Markers) -> Any:
        if found is reader._markers:
            change(writer, hello=next(states))
        return look(found)

    with monkeypatch.context() as patch:
        patch.setattr(markers.Markers, "survey", look_and_be_overtaken)
        assert set(reader.load().wanted) == {"hello"}
    place.touch("DISABLED", "news")
    assert reader.notice()
    assert reader.load().wanted["news"] is DISABLED


def look_at(place: Place, seen: list[State]) -> None:
    """Begin a process that looks at the state now."""
    seen.append(place.store().load())


# ---- folders that can't be trusted ---------------------------------------------------------


def refused(state_dir: Path, text: str) -> None:
    store = FileStateStore(state_dir, state_dir)
    for use in (store.load, store.notice, lambda: change(store, hello=ENABLED)):
        with pytest.raises(StateError, match=f"state_dir .*{text}"):
            use()
    assert not store.open()


def test_a_state_dir_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Where a link leads can change, so state_dir must be named itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real")
    refused(tmp_path / "state", "is a link")
    assert list((tmp_path / "real").iterdir()) == []


def test_a_state_dir_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    """Every user of the machine could switch plugins there."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    refused(tmp_path / "state", "is writable by every user")


def test_a_state_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A file can't hold states, nor can what would be below a file."""
    (tmp_path / "state").touch()
    refused(tmp_path / "state", "is no folder")
    refused(tmp_path / "state" / "deeper", "Not a directory")


def test_a_state_dir_that_cant_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the folder that is to be made."""
    place = Place(tmp_path, tmp_path / "state")
    monkeypatch.setattr(os, "mkdir", fail("mkdir", tmp_path / "state", errno.EROFS))
    with pytest.raises(StateError, match=r"state: Read-only.*option state_dir"):
        change(place.store(), hello=ENABLED)


def test_what_is_made_in_a_state_dir_takes_its_mode(tmp_path: Path) -> None:
    """A folder shared with a group stays shared, whoever writes first."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    state_dir.chmod(0o750)
    place = Place(tmp_path, state_dir)
    change(place.store(), hello=DISABLED)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in state_dir.rglob("*")}
    assert modes == {
        state_dir / "state.lock": 0o640,
        state_dir / "state.json": 0o640,
        state_dir / "generation": 0o640,
        state_dir / "markers": 0o750,
        place.markers_in(): 0o750,
        place.markers_in() / "DISABLED": 0o640,
    }


def test_what_is_made_in_a_state_dir_takes_its_owner_or_isnt_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's switching doesn't shut the server's user out; who can't hand over is told why."""
    (tmp_path / "state").mkdir()
    place = Place(tmp_path, tmp_path / "state")
    theirs = Ownership(user=54321, group=54321, file_mode=0o640, folder_mode=0o750)
    monkeypatch.setattr(
        Ownership, "of_folder", lambda found, strict=False: replace(theirs, strict=strict)
    )
    handed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fchown", lambda descriptor, user, group: handed.append(user))
        change(place.store(), hello=DISABLED)
    assert handed == [54321] * 6  # the lock, the hint, two folders, the marker, the state

    def refuse(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(StateError, match=r"belongs to user 54321.*runs as user.*state_dir"):
        change(place.store(), news=DISABLED)
    assert place.wanted() == {"hello": DISABLED}


def test_a_control_folder_that_can_be_read_only_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that may not write sees the changes of those who may, in its hint too."""
    place = Place(tmp_path, None)
    change(place.store(), hello=ENABLED)
    reader = place.store()

    def access(path: Any, mode: int, **options: Any) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", access)
        assert not reader.open()
    reader.load()
    after = change(place.store(), hello=DISABLED)
    assert reader.hint == after.generation
    assert reader.load() == after
