"""The wanted state of plugins in files, and the markers made by hand beside it."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from state_parts import DISABLED, ENABLED, SWITCHES, Place, change

from flask_pluginkit.exceptions import StateConflictError, StateError
from flask_pluginkit.state import markers
from flask_pluginkit.state.base import State, WantedState


@pytest.fixture(params=["beside the code", "in state_dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind."""
    return Place(tmp_path, tmp_path / "state" if request.param == "in state_dir" else None)


@pytest.fixture
def beside(tmp_path: Path) -> Place:
    """A place without a state_dir."""
    return Place(tmp_path, None)


@pytest.fixture
def apart(tmp_path: Path) -> Place:
    """A place with a state_dir."""
    return Place(tmp_path, tmp_path / "state")


# ---- markers follow the state --------------------------------------------------------------


@pytest.mark.parametrize(("first", "then"), SWITCHES)
def test_the_last_state_counts_and_leaves_one_marker(
    place: Place, first: WantedState, then: WantedState
) -> None:
    """Switching leaves the one marker that 3.x would have left."""
    store = place.store()
    change(store, hello=first)
    change(store, hello=then)
    assert place.wanted() == {"hello": then}
    assert place.markers() == {then.name}


def test_several_plugins_are_switched_together(place: Place) -> None:
    """One change may want something of many plugins, and leaves no trace of its steps."""
    store = place.store()
    state = change(store, hello=ENABLED, news=DISABLED)
    later = change(store, hello=DISABLED, news=ENABLED, search=DISABLED)
    assert later.generation == state.generation + 1
    assert [place.markers(name) for name in place.folders] == [
        {"DISABLED"},
        {"ENABLED"},
        {"DISABLED"},
    ]
    assert "intent" not in place.stored()


@pytest.mark.parametrize("state", WantedState)
def test_a_plugin_of_which_nothing_is_wanted_has_no_marker(
    place: Place, state: WantedState
) -> None:
    """Taking a name out of the state takes its markers away."""
    store = place.store()
    change(store, hello=state, news=state)
    change(store, hello=None)
    assert place.markers() == set()
    assert place.wanted() == {"news": state}


def test_a_plugin_that_isnt_known_is_switched_in_a_state_dir(apart: Place, tmp_path: Path) -> None:
    """There is a place for its marker, although nobody knows where its code is."""
    store = apart.store()
    change(store, gone=DISABLED)
    assert apart.store().load().wanted == {"gone": DISABLED}
    assert apart.markers("gone") == {"DISABLED"}


def test_a_plugin_without_a_folder_cant_be_switched_beside_the_code(beside: Place) -> None:
    """Beside the code there must be code."""
    beside.folders["gone"] = beside.root / "gone"
    with pytest.raises(StateError, match=r"'gone'.*No such file.*state_dir"):
        change(beside.store(), gone=DISABLED)
    with pytest.raises(StateError, match=r"'unheard of'.*no folder.*state_dir"):
        change(beside.store(), **{"unheard of": ENABLED})
    assert not (beside.root / "gone").exists()
    assert beside.wanted() == {}


def test_a_plugin_whose_code_is_gone_can_be_disabled(beside: Place) -> None:
    """Nothing is left beside which a marker could lie, and none is needed."""
    change(beside.store(), gone=DISABLED)
    assert beside.wanted() == {"gone": DISABLED}


def test_a_plugin_whose_folder_is_gone_keeps_its_state(beside: Place) -> None:
    """While it isn't there, others are switched, and it comes back as it was."""
    store = beside.store()
    change(store, hello=DISABLED)
    shutil.move(beside.folders["hello"], beside.root / "aside")
    assert not store.notice()
    assert change(store, news=DISABLED).wanted["hello"] is DISABLED
    shutil.move(beside.root / "aside", beside.folders["hello"])
    assert beside.wanted() == {"hello": DISABLED, "news": DISABLED}


# ---- markers made by hand ------------------------------------------------------------------


def test_markers_of_3_x_count_before_anything_is_stored(place: Place) -> None:
    """The first load finds them, and creates nothing."""
    place.touch("DISABLED")
    place.touch("ENABLED", "news")
    store = place.store()
    assert store.load() == State(wanted={"hello": DISABLED, "news": ENABLED})
    assert store.load() == State(wanted={"hello": DISABLED, "news": ENABLED})
    assert not place.file.exists()


@pytest.mark.parametrize("state", WantedState)
def test_a_marker_made_by_hand_is_taken_over_and_seen_by_all(
    place: Place, state: WantedState
) -> None:
    """Who notices it first stores it with a new generation; for the others the hint changes."""
    first, second = place.store(), place.store()
    before = change(first, news=ENABLED)
    second.open()
    second.load()
    place.touch(state.name)
    assert first.notice()
    assert first.load().wanted == {"news": ENABLED, "hello": state}
    assert first.load().generation == before.generation + 1 == second.hint
    assert second.load() == first.load()
    assert not second.notice()


def test_disabled_made_by_hand_goes_over_enabled(place: Place) -> None:
    """As in 3.x, a plugin with both files is disabled, and switching it clears that up."""
    store = place.store()
    change(store, hello=ENABLED)
    place.touch("DISABLED")
    assert store.notice()
    assert store.load().wanted == {"hello": DISABLED}
    change(store, hello=ENABLED)
    assert place.markers() == {"ENABLED"}


@pytest.mark.parametrize("state", WantedState)
def test_a_marker_removed_by_hand_leaves_nothing_wanted(place: Place, state: WantedState) -> None:
    """The plugin is then as its __state__ says, as in 3.x."""
    store, other = place.store(), place.store()
    change(store, hello=state, news=state)
    other.open()
    other.notice()
    other.load()
    (place.markers_in() / state.name).unlink()
    assert other.notice()
    assert other.load().wanted == {"news": state}
    assert place.stored()["wanted"] == {"news": state}


def test_a_swap_that_has_missed_a_marker_made_by_hand_is_refused(place: Place) -> None:
    """Who didn't see DISABLED appear can't remove it unknowingly."""
    store = place.store()
    state = change(store, hello=ENABLED)
    place.touch("DISABLED")
    with pytest.raises(StateConflictError) as raised:
        store.swap(state.generation, State(wanted={}))
    assert raised.value.current == store.load().generation
    assert store.load().wanted == {"hello": DISABLED}


def test_a_process_that_begins_with_a_marker_made_by_hand_stores_it_when_it_writes(
    place: Place,
) -> None:
    """A command that switches one plugin sees what somebody else did to another."""
    change(place.store(), hello=ENABLED)
    place.touch("DISABLED")
    store = place.store()
    assert store.load().wanted == {"hello": DISABLED}
    assert change(store, news=ENABLED).wanted == {"hello": DISABLED, "news": ENABLED}
    assert place.stored()["wanted"] == {"hello": "disabled", "news": "enabled"}


def test_while_others_write_a_marker_made_by_hand_counts_in_each_process(place: Place) -> None:
    """An enabling that takes its time doesn't hold up an operator's DISABLED."""
    store, busy = place.store(), place.store()
    before = change(store, hello=ENABLED)
    with busy.exclusive():
        place.touch("DISABLED")
        assert store.notice()
        assert store.load() == State(generation=before.generation, wanted={"hello": DISABLED})
        assert not store.notice()
    assert store.notice()
    assert store.load() == State(generation=before.generation + 1, wanted={"hello": DISABLED})


def test_what_is_written_after_a_marker_made_by_hand_goes_over_it(place: Place) -> None:
    """A process that couldn't store the marker forgets it when others have decided."""
    store, busy = place.store(), place.store()
    change(store, hello=ENABLED)
    with busy.exclusive():
        place.touch("DISABLED")
        assert store.notice()
        busy.notice()
    change(busy, hello=ENABLED)
    assert store.load().wanted == {"hello": ENABLED}


def test_a_folder_named_like_a_marker_is_none(place: Place) -> None:
    """As in 3.x, only files are markers."""
    (place.markers_in() / "DISABLED").mkdir(parents=True)
    assert place.wanted() == {}


def test_a_marker_that_cant_be_looked_at_disables_its_plugin_only(beside: Place) -> None:
    """A DISABLED that is a loop of links might mean disabled; others can be switched."""
    store = beside.store()
    change(store, hello=ENABLED)
    marker = beside.folders["hello"] / "DISABLED"
    marker.symlink_to(marker)
    assert store.notice()
    assert store.load().wanted == {"hello": DISABLED}
    assert "symbolic links" in str(store.unreadable["hello"])
    assert change(store, news=DISABLED).wanted == {"hello": DISABLED, "news": DISABLED}
    with pytest.raises(StateError, match=r"'hello'.*symbolic links"):
        change(store, hello=ENABLED)
    marker.unlink()
    assert store.notice()
    assert store.load().wanted == {"hello": ENABLED, "news": DISABLED}
    assert store.unreadable == {}


def test_a_link_in_place_of_a_marker_isnt_written_through(beside: Place, tmp_path: Path) -> None:
    """A dangling link named DISABLED doesn't make this process create what it leads to."""
    (beside.folders["hello"] / "DISABLED").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="DISABLED"):
        change(beside.store(), hello=DISABLED)
    assert not (tmp_path / "elsewhere").exists()


def test_a_marker_is_found_although_the_folder_bears_the_same_time(
    beside: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of a file system goes in steps: what was just changed is looked into again."""
    monkeypatch.setattr(markers, "_signature", lambda name, place: (1, 2, 3))
    store = beside.store()
    store.load()
    beside.touch("DISABLED")
    assert store.notice()
    assert store.load().wanted == {"hello": DISABLED}


def test_a_folder_that_stays_as_it_is_is_only_asked_for_its_time(
    beside: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while a look at a thousand plugins costs one call each, until one changes."""
    for name in ("SETTLED", "SOON"):
        monkeypatch.setattr(markers, name, -1.0)
    store = beside.store()
    store.load()
    looked: list[str] = []
    real = markers.read_markers

    def read_markers(name: str, folder: str) -> WantedState | None:
        looked.append(name)
        return real(name, folder)

    monkeypatch.setattr(markers, "read_markers", read_markers)
    store.notice()
    assert looked == []
    beside.touch("DISABLED")
    assert store.notice()
    assert set(looked) == {"hello"}


def test_plugins_found_later_have_markers_too(place: Place) -> None:
    """Markers of plugins that a store is told of later count from its next load on."""
    store = place.store()
    store.load()
    place.folders["late"] = place.root / "plugins" / "late"
    place.folders["late"].mkdir()
    place.touch("DISABLED", "late")
    store.know(place.folders)
    assert store.load().wanted == {"late": DISABLED}


# ---- a state_dir ---------------------------------------------------------------------------


def test_with_a_state_dir_the_code_is_left_alone(apart: Place) -> None:
    """Nothing is written beside the code, and what state_dir says goes over it."""
    (apart.folders["hello"] / "DISABLED").touch()
    store = apart.store()
    change(store, hello=ENABLED)
    assert store.load().wanted == {"hello": ENABLED}
    assert [path.name for path in apart.folders["hello"].iterdir()] == ["DISABLED"]


def test_with_a_state_dir_markers_beside_the_code_are_the_fallback(apart: Place) -> None:
    """A DISABLED made by hand for 3.x counts while state_dir says nothing."""
    (apart.folders["hello"] / "DISABLED").touch()
    assert apart.wanted() == {"hello": DISABLED}
    assert change(apart.store(), news=ENABLED).wanted == {"hello": DISABLED, "news": ENABLED}


def test_a_marker_beside_the_code_cant_be_taken_away_from_a_state_dir(apart: Place) -> None:
    """What is stored then is what counts: swap tells it."""
    (apart.folders["hello"] / "DISABLED").touch()
    store = apart.store()
    change(store, hello=ENABLED)
    assert change(store, hello=None).wanted == {"hello": DISABLED}
    assert not store.notice()


names = st.text(
    st.characters(categories=["L", "N"], include_characters=" _-."), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})


@settings(max_examples=25)
@given(st.dictionaries(names, st.sampled_from(WantedState), min_size=1, max_size=5))
def test_plugins_of_any_name_keep_their_own_states(wanted: dict[str, WantedState]) -> None:
    """Whatever plugins are called, their states don't mix in a state_dir."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), Path(folder) / "state")
        place.folders |= {name: Path(folder) for name in wanted}
        change(place.store(), **wanted)
        assert place.wanted() == wanted
        place.file.unlink()
        assert place.wanted() == wanted


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0", "é" * 150])
def test_a_name_that_cant_be_that_of_a_folder_is_refused(apart: Place, name: str) -> None:
    """A store doesn't rely on others to keep its paths inside state_dir."""
    store = apart.store()
    before = change(store, hello=ENABLED)
    with pytest.raises(StateError, match="name"):
        change(store, **{name: DISABLED})
    assert apart.store().load() == before


# ---- one writer ----------------------------------------------------------------------------


def test_another_writer_is_waited_for_and_then_named(place: Place) -> None:
    """When the lock isn't given back in time, the error names it, the time and state_dir."""
    store = place.store()
    change(store, hello=ENABLED)
    with (
        FileLock(place.control / "state.lock"),
        pytest.raises(StateError, match=r"state\.lock.*0\.2 seconds.*state_dir"),
    ):
        change(store, hello=DISABLED)
    assert place.wanted() == {"hello": ENABLED}


def test_without_a_state_dir_nothing_but_the_marker_is_written_beside_the_code(
    beside: Place,
) -> None:
    """All else lies in the control folder, which is made."""
    change(beside.store(), hello=DISABLED)
    assert [path.name for path in beside.folders["hello"].iterdir()] == ["DISABLED"]
    found = {path.name for path in beside.control.iterdir()}
    assert found == {"state.json", "state.lock", "generation"}
    assert stat.S_IMODE(beside.control.stat().st_mode) == 0o700


def test_nothing_is_created_by_looking(beside: Place) -> None:
    """Load, notice, hint and know leave the disk as it is until a store is opened or written."""
    beside.touch("DISABLED")
    before = sorted(beside.root.rglob("*"))
    store = beside.store()
    store.load()
    store.notice()
    assert (store.hint, store.announced) == (0, 0)
    assert sorted(beside.root.rglob("*")) == before


def test_an_opened_store_has_a_hint_and_takes_over_what_3_x_left(place: Place) -> None:
    """A worker's first request makes the folder; markers get their generation."""
    place.touch("DISABLED")
    store = place.store()
    store.load()
    assert store.open()
    assert store.hint == 1 == store.load().generation
    assert place.stored()["wanted"] == {"hello": "disabled"}
    assert place.store().open()


def test_a_clock_that_jumps_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither backwards nor to another century: no decision hangs on the time of day."""
    store = place.store()
    for now in (4e9, 1.0, 2e9, 1.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        monkeypatch.setattr(time, "time_ns", lambda now=now: int(now * 1e9))
        before = change(store, hello=DISABLED)
        assert not store.notice()
        assert change(store, hello=ENABLED).generation == before.generation + 1
        place.touch("DISABLED")
        assert store.notice()
        assert store.load().wanted == {"hello": DISABLED}
