"""Files that somebody else put in place, lost or damaged under a running store."""

from __future__ import annotations

import errno
import itertools
import json
import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from state_parts import DISABLED, ENABLED, Killed, Place, before_step, change, fail, in_a_fork, kill

from flask_pluginkit.exceptions import StateError
from flask_pluginkit.state import hint
from flask_pluginkit.state.base import Quarantine, State
from flask_pluginkit.state.files import FileStateStore


@pytest.fixture(params=["beside the code", "in state_dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind."""
    return Place(tmp_path, tmp_path / "state" if request.param == "in state_dir" else None)


def opened(place: Place) -> FileStateStore:
    """Open a store as a worker does."""
    store = place.store()
    assert store.open()
    store.load()
    return store


# ---- backups -------------------------------------------------------------------------------


def test_a_restored_state_is_followed_by_all_with_a_new_generation(place: Place) -> None:
    """Also the markers are as they were then, and no number is used a second time."""
    store, worker = place.store(), opened(place)
    old = change(store, hello=ENABLED, news=DISABLED)
    backup = place.file.read_bytes()
    new = change(store, hello=DISABLED, news=ENABLED, search=DISABLED)
    worker.load()
    place.file.write_bytes(backup)
    assert worker.notice()
    found = worker.load()
    assert found == store.load() == State(generation=new.generation + 1, wanted=old.wanted)
    assert worker.hint == found.generation
    assert [place.markers(name) for name in place.folders] == [{"ENABLED"}, {"DISABLED"}, set()]


def test_a_restored_state_is_followed_by_a_process_that_begins_with_it(place: Place) -> None:
    """The hint remembers how far the generations had come."""
    store = place.store()
    change(store, hello=ENABLED)
    backup = place.file.read_bytes()
    new = change(store, hello=DISABLED)
    place.file.write_bytes(backup)
    later = opened(place)
    assert later.load().wanted == {"hello": ENABLED}
    assert later.notice()
    assert later.load() == State(generation=new.generation + 1, wanted={"hello": ENABLED})


def test_a_process_killed_while_it_follows_a_restored_state_leaves_it_to_others(
    place: Place,
) -> None:
    """Halfway the file says what the markers shall be brought to."""
    for step in itertools.count():
        store = place.store()
        change(store, hello=ENABLED, news=DISABLED)
        backup = place.file.read_bytes()
        change(store, hello=DISABLED, news=ENABLED)
        place.file.write_bytes(backup)
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, kill, patch)
            try:
                store.notice()
                break
            except Killed:
                pass
        later = opened(place)
        later.notice()
        assert later.load().wanted == {"hello": ENABLED, "news": DISABLED}
        assert place.markers("hello") == {"ENABLED"}
        assert "intent" not in place.stored()
    assert step > 10


def test_a_swap_after_a_restored_state_is_refused(place: Place) -> None:
    """Who decided on what was before it has to decide anew."""
    store = place.store()
    change(store, hello=ENABLED)
    backup = place.file.read_bytes()
    new = change(store, hello=DISABLED)
    place.file.write_bytes(backup)
    with pytest.raises(StateError, match=f"generation {new.generation + 1}"):
        store.swap(new.generation, State())
    assert store.load().wanted == {"hello": ENABLED}


def test_a_whole_folder_that_is_restored_is_followed(tmp_path: Path) -> None:
    """The hint's file is another one then: a store that had the old one open changes over."""
    place = Place(tmp_path, tmp_path / "state")
    store, worker = place.store(), opened(place)
    old = change(store, hello=ENABLED, news=DISABLED)
    shutil.copytree(place.control, tmp_path / "backup")
    change(store, hello=DISABLED)
    new = change(store, news=ENABLED)
    shutil.rmtree(place.control)
    shutil.copytree(tmp_path / "backup", place.control)
    assert worker.notice()
    assert worker.load() == State(generation=new.generation + 1, wanted=old.wanted)
    after = change(place.store(), hello=DISABLED)
    assert worker.hint == after.generation == new.generation + 2


def test_an_edited_state_is_followed(place: Place) -> None:
    """Who changes the file by hand, and not its generation, is understood all the same."""
    worker = opened(place)
    before = change(worker, hello=ENABLED, news=ENABLED)
    text = place.file.read_text()
    place.file.write_text(text.replace('"hello": "enabled"', '"hello": "disabled"'))
    assert worker.notice()
    assert worker.load().wanted == {"hello": DISABLED, "news": ENABLED}
    assert worker.load().generation == before.generation + 1 == worker.hint
    assert place.markers() == {"DISABLED"}


def test_where_the_markers_cant_be_made_to_follow_they_are_followed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code became read-only since: state and markers don't stay at odds."""
    store = place.store()
    change(store, hello=ENABLED, news=ENABLED)
    backup = place.file.read_bytes()
    change(store, hello=DISABLED, news=DISABLED)
    place.file.write_bytes(backup)
    marker = place.markers_in() / "DISABLED"
    monkeypatch.setattr(os, "replace", fail("replace", marker, errno.EROFS))
    assert store.notice()
    assert store.load().wanted["hello"] is DISABLED
    assert place.stored()["wanted"]["hello"] == "disabled"
    assert not store.notice()


def test_a_state_restored_while_somebody_prepares_a_change_is_followed(place: Place) -> None:
    """The change is refused, as it was decided on another state."""
    store = place.store()
    change(store, hello=ENABLED)
    backup = place.file.read_bytes()
    change(store, hello=DISABLED)
    with store.exclusive():
        state = store.load()
        place.file.write_bytes(backup)
        with pytest.raises(StateError, match="changed by somebody else"):
            store.swap(state.generation, State(wanted={"news": DISABLED}))
        assert store.notice()
        assert store.load().wanted == {"hello": ENABLED}


def test_a_marker_made_while_somebody_prepares_a_change_is_noticed_by_them(place: Place) -> None:
    """Who is exclusive can look for it, and has it stored."""
    store = place.store()
    with store.exclusive():
        place.touch("DISABLED")
        assert store.notice()
        assert store.load().wanted == {"hello": DISABLED}
        assert place.stored()["wanted"] == {"hello": "disabled"}


# ---- lost files ----------------------------------------------------------------------------


def test_without_its_file_the_state_is_what_the_markers_say(place: Place) -> None:
    """Who removes a state that can't be read keeps what was switched; generations go on."""
    worker = opened(place)
    quarantine = Quarantine(since=1.0, reason="", traceback="", by="")
    worker.swap(0, State(wanted={"hello": DISABLED}, quarantined={"news": quarantine}))
    before = change(worker, search=ENABLED)
    place.file.unlink()
    assert worker.notice()
    found = worker.load()
    assert found.wanted == {"hello": DISABLED, "search": ENABLED}
    assert found.quarantined == {}
    assert found.generation == before.generation + 1 == worker.hint


def test_a_container_made_anew_from_its_image_keeps_the_state(place: Place) -> None:
    """The state lies on a volume, the markers lay with the code: they are gone, it counts."""
    before = change(place.store(), hello=DISABLED, news=ENABLED)
    shutil.rmtree(place.root / "plugins")
    if place.state_dir:
        shutil.rmtree(place.state_dir / "markers")
    Place(place.root, place.state_dir)
    worker = opened(place)
    worker.notice()
    assert worker.load() == before
    assert change(worker, hello=ENABLED).wanted == {"hello": ENABLED, "news": ENABLED}


def test_code_that_is_replaced_under_a_running_worker_keeps_its_state(tmp_path: Path) -> None:
    """A release that moves a new folder in place of the old one enables nothing."""
    place = Place(tmp_path, None)
    worker = opened(place)
    before = change(worker, hello=DISABLED)
    worker.notice()
    place.folders["hello"].rename(tmp_path / "old")
    worker.notice()
    place.folders["hello"].mkdir()
    assert not worker.notice()
    assert worker.load() == before


def test_a_marker_removed_while_nobody_looked_on_changes_nothing(place: Place) -> None:
    """It may as well have been lost; switching the plugin makes it anew."""
    change(place.store(), hello=DISABLED)
    (place.markers_in() / "DISABLED").unlink()
    worker = opened(place)
    assert worker.load().wanted == {"hello": DISABLED}
    change(worker, hello=ENABLED)
    assert place.markers() == {"ENABLED"}


# ---- the hint ------------------------------------------------------------------------------


def test_a_writer_that_was_killed_before_it_raised_the_hint_is_followed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one on another host: who finds the state newer than the hint raises it."""
    first, second = opened(place), opened(place)
    with monkeypatch.context() as patch:
        patch.setattr(hint.Hint, "show", lambda hint, generation: None)
        after = change(place.store(), hello=DISABLED)
    assert first.hint == second.hint < after.generation
    assert first.notice()
    assert second.hint == after.generation
    assert second.load() == after


def test_a_hint_that_is_removed_is_made_anew(place: Place) -> None:
    """Those who have the old file open change over when they notice."""
    first, second = opened(place), opened(place)
    change(first, hello=DISABLED)
    (place.control / "generation").unlink()
    change(first, hello=ENABLED)
    second.notice()
    after = change(first, hello=DISABLED)
    assert second.hint == after.generation


def test_a_hint_that_is_cut_off_ends_nobody_and_grows_again(place: Place) -> None:
    """Its file is filled in its place, so that it is back for those who have it mapped."""
    first, second = opened(place), opened(place)
    change(first, hello=DISABLED)
    inode = (place.control / "generation").stat().st_ino

    def work() -> None:
        os.truncate(place.control / "generation", 0)
        first.notice()
        after = change(first, hello=ENABLED)
        assert first.hint == second.hint == after.generation
        assert (place.control / "generation").stat().st_ino == inode

    in_a_fork(work)  # a mistake here is a SIGBUS
    assert first.hint == second.hint == place.store().load().generation


def test_a_hint_that_is_cut_off_while_it_cant_be_filled_is_let_go(place: Place) -> None:
    """Who notices it doesn't touch it any more until somebody has filled it."""
    worker, busy = opened(place), opened(place)
    change(busy, hello=DISABLED)

    def work() -> None:
        with busy.exclusive():
            os.truncate(place.control / "generation", 0)
            worker.notice()
            assert (worker.hint, worker.announced) == (0, 0)
        after = change(busy, hello=ENABLED)
        worker.notice()
        assert worker.hint == after.generation

    in_a_fork(work)  # a mistake here is a SIGBUS


def test_a_hint_full_of_nonsense_is_put_right(place: Place) -> None:
    """It doesn't drive the generations to where numbers end."""
    worker = opened(place)
    before = change(worker, hello=DISABLED)
    (place.control / "generation").write_bytes(b"\xff" * 16)
    worker.notice()
    assert worker.hint == worker.load().generation <= before.generation + 1
    assert worker.load().wanted == {"hello": DISABLED}


def test_a_hint_that_isnt_a_file_is_done_without(place: Place) -> None:
    """Something odd in its place costs the second until it is noticed, and nothing else."""
    (place.control / "generation").mkdir(parents=True)
    worker = opened(place)
    after = change(place.store(), hello=DISABLED)
    assert worker.hint == 0
    assert worker.notice()
    assert worker.load() == after
    with pytest.raises(StateError, match="generation"):
        worker.announce_number()


@pytest.mark.parametrize(
    ("name", "number"),
    [("mmap", errno.ENODEV), ("posix_fallocate", errno.ENOTSUP), ("link", errno.EPERM)],
)
def test_where_the_system_lacks_something_the_hint_does_without(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """Files that can't be mapped, reserved or linked: changes show at the latest when noticed."""

    def lacking(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(mmap if name == "mmap" else os, name, lacking)
    worker, writer = opened(place), place.store()
    assert worker.open()
    change(writer, hello=DISABLED)
    before = worker.hint
    after = change(writer, hello=ENABLED)
    number_of_announcement = writer.announce_number()
    if name != "mmap":
        assert worker.hint == after.generation
    assert worker.notice()
    assert worker.hint == after.generation != before or name != "mmap"
    assert worker.announced == number_of_announcement
    assert worker.load() == after


def test_a_system_without_links_and_reservations_has_a_hint(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python may lack the functions altogether."""
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.delattr(os, "link")
    worker = opened(place)
    assert change(place.store(), hello=DISABLED).generation == worker.hint


def test_a_full_disk_gives_no_hint_with_a_hole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no room can be reserved there is no file, and the next who can makes one."""

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        worker = place.store()
        worker.open()
        assert worker.hint == 0
        assert [path.name for path in place.control.iterdir()] == ["state.lock"]
    assert worker.open()
    assert change(worker, hello=DISABLED).generation == worker.hint


def test_a_file_that_appears_where_links_are_lacking_is_not_overwritten(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint that a host without locks has made meanwhile stays the one."""
    path = place.control / "generation"

    made: list[int] = []

    def overtaken(source: Path, target: str) -> None:
        path.write_bytes(bytes(16))
        made.append(path.stat().st_ino)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", overtaken)
    worker = opened(place)
    assert change(place.store(), hello=DISABLED).generation == worker.hint
    assert [path.stat().st_ino] == made


# ---- damage --------------------------------------------------------------------------------


def put_text(place: Place, text: str | bytes) -> None:
    place.control.mkdir(parents=True, exist_ok=True)
    place.file.write_bytes(text if isinstance(text, bytes) else text.encode())


def with_change(**members: Any) -> str:
    """The text of a good state with other members."""
    data = {"format": 1, "generation": 3, "wanted": {"hello": "enabled"}, "quarantined": {}}
    return json.dumps({**data, **members})


DAMAGES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "it isn't JSON"),
    "cut off": (with_change()[:-5], "it isn't JSON"),
    "no text": (b"\xff\xfe\x00", "it isn't JSON"),
    "too deep": ("[" * 100_000, "it isn't JSON"),
    "no number": (with_change(generation=float("nan")), "NaN is no number"),
    "a list": ("[]", "no object"),
    "no format": ('{"generation": 3, "wanted": {}}', "'format' is None and not 1"),
    "another format": (with_change(format="1"), "'format' is '1' and not 1"),
    "an unknown key": (with_change(wnated={}), "'wnated' is no key of it"),
    "no generation": ('{"format": 1, "wanted": {}}', "'generation' is None"),
    "a wrong generation": (with_change(generation=-1), "'generation' is -1"),
    "a true generation": (with_change(generation=True), "'generation' is True"),
    "a huge generation": (with_change(generation=2**53), "'generation' is 90071"),
    "no wanted states": (with_change(wanted=[]), "'wanted' is a value of type list"),
    "a wrong state": (with_change(wanted={"hello": "off"}), "'wanted' says 'off' of 'hello'"),
    "an odd state": (with_change(wanted={"hello": []}), "'wanted' says a value of type list"),
    "no quarantines": (with_change(quarantined=1), "'quarantined' is 1"),
    "a wrong quarantine": (with_change(quarantined={"a": {"since": 1.0}}), "says .* of 'a'"),
    "no settings": (with_change(settings=[]), "'settings' is a value of type list"),
    "wrong settings": (with_change(settings={"a": 1}), "'settings' of 'a' are no object"),
    "an odd setting": (with_change(settings={"a": {"b": {}}}), "'settings' say of 'b' of 'a'"),
    "odd texts": (with_change(settings={"a": {"b": [1]}}), "'settings' say of 'b' of 'a'"),
    "a huge setting": (with_change(settings={"a": {"b": 2**63}}), "'settings' say of 'b' of 'a'"),
    "no finite setting": (
        with_change(settings={"a": {"b": 1.5}}).replace("1.5", "1e999"),
        "'settings' say of 'b' of 'a'",
    ),
    "an intent": (with_change(intent=[]), "'intent' is a value of type list"),
    "a wrong intent": (with_change(intent={"a": "b"}), "'wanted' says 'b' of 'a'"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_an_error_and_never_overwritten(place: Place, damage: str) -> None:
    """It names the file, what is wrong and what to do, for who reads and who writes."""
    text, fault = DAMAGES[damage]
    put_text(place, text)
    before = place.file.read_bytes()
    store = place.store()
    uses: list[Callable[[], object]] = [store.load, store.notice, lambda: change(store)]
    for use in uses:
        with pytest.raises(
            StateError, match=rf"state\.json: .*{fault}.*put back a copy.*remove it"
        ):
            use()
    store.open()
    assert place.file.read_bytes() == before


def test_a_state_of_a_later_release_is_left_to_that(place: Place) -> None:
    """Both formats are named, and nobody is told to remove it."""
    put_text(place, with_change(format=2, more=[]))
    with pytest.raises(StateError, match=r"format 2 comes from a later release") as raised:
        place.store().load()
    assert "remove" not in str(raised.value)


def test_something_else_in_place_of_the_state_is_an_error(place: Place) -> None:
    """A folder, or a pipe that nobody writes to, doesn't hang or pass for an empty state."""
    place.control.mkdir(parents=True)
    os.mkfifo(place.file)
    with pytest.raises(StateError, match="no regular file"):
        place.store().load()
    place.file.unlink()
    place.file.mkdir()
    with pytest.raises(StateError, match=r"state\.json"):
        place.store().load()


def test_a_disk_that_fails_while_the_state_is_read_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came until then isn't taken for the state."""
    put_text(place, with_change())

    def broken(descriptor: int, size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", broken)
    with pytest.raises(StateError, match=r"state\.json: Input/output"):
        place.store().load()


def test_a_state_that_comes_in_pieces_is_read_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call to the system may return less than it was asked for."""
    put_text(place, with_change())
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: real(descriptor, min(size, 7)))
    assert place.store().load().wanted == {"hello": ENABLED}


def test_a_state_with_a_byte_order_mark_is_read(place: Place) -> None:
    """Some editors leave one."""
    put_text(place, b"\xef\xbb\xbf" + with_change().encode())
    assert place.store().load().wanted == {"hello": ENABLED}


def test_what_nobody_could_read_isnt_stored(place: Place) -> None:
    """A mistake of a caller doesn't lock everybody out."""
    store = place.store()
    before = change(store, hello=ENABLED)
    odd = Quarantine(since=float("nan"), reason="", traceback="", by="")
    with pytest.raises(StateError):
        store.swap(before.generation, State(quarantined={"hello": odd}))
    assert place.store().load() == before
    assert place.markers() == {"ENABLED"}
