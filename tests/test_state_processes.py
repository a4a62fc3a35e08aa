"""Several processes that write states at the same time, and some that are killed at it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from state_kills import SEVERAL, SINGLE, kill_writers, put, run_all
from state_parts import DISABLED, ENABLED, Place, change

from flask_pluginkit.exceptions import StateConflictError
from flask_pluginkit.frozen import replace
from flask_pluginkit.state.audit import Audit
from flask_pluginkit.state.base import Quarantine, State, WantedState
from flask_pluginkit.state.files import FileStateStore

WRITERS = 8
CHANGES = 12
"""By each of them; the full size is 500."""
KILLS = 60

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here: NOT TESTED")


@pytest.fixture(params=["beside the code", "in state_dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind."""
    return Place(tmp_path, tmp_path / "state" if request.param == "in state_dir" else None)


def patient(place: Place) -> FileStateStore:
    """Open a store that waits for its turn."""
    store = FileStateStore(place.state_dir, place.control)
    store.know(place.folders)
    return store


def counted(state: State, wanted: dict[str, WantedState]) -> State:
    """Return `state` with one change more, and the last wish."""
    before = state.quarantined.get("count")
    count = Quarantine(since=before.since + 1 if before else 1, reason="", traceback="", by="")
    return replace(state, wanted=wanted, quarantined={"count": count})


def wish(number: int) -> dict[str, WantedState]:
    """What is wanted at one time and not at the next: of one plugin, or of two."""
    one, other = (ENABLED, DISABLED) if number % 2 else (DISABLED, ENABLED)
    return {"hello": one, "news": other if number % 3 else one}


def test_no_update_of_many_writers_is_lost(place: Place) -> None:
    """Each builds on what it found: the last state has counted them all, in a linear history."""

    def work() -> None:
        store = patient(place)
        audit = Audit(place.control)
        for number in range(CHANGES):
            with store.exclusive():
                state = store.load()
                audit.write({"from": state.generation, "to": state.generation + 1})
                store.swap(state.generation, counted(state, wish(number)))

    assert run_all([work] * WRITERS) == [0] * WRITERS
    state = place.store().load()
    assert state.quarantined["count"].since == WRITERS * CHANGES == state.generation
    assert "intent" not in place.stored()
    history = [(entry["from"], entry["to"]) for entry in Audit(place.control).read(10_000)]
    assert history == [(n, n + 1) for n in reversed(range(WRITERS * CHANGES))]


def test_no_update_is_lost_without_a_lock_of_ones_own(place: Place) -> None:
    """Who loads and swaps without being exclusive is told of each conflict."""

    def work() -> None:
        store = patient(place)
        left = CHANGES
        while left:
            state = store.load()
            with suppress(StateConflictError):
                store.swap(state.generation, counted(state, wish(left)))
                left -= 1

    assert run_all([work] * 4) == [0] * 4
    assert place.store().load().quarantined["count"].since == 4 * CHANGES


def test_readers_never_see_half_of_a_change(place: Place) -> None:
    """Neither a worker that follows nor a process that begins in the midst of it."""
    put(place.store(), SEVERAL[0])

    def write() -> None:
        store = patient(place)
        for number in range(CHANGES * 4):
            put(store, SEVERAL[number % 2])

    def follow() -> None:
        store = place.store()
        store.open()
        for _ in range(CHANGES * 4):
            assert replace(store.load(), generation=0) in SEVERAL
            store.notice()

    def begin() -> None:
        for _ in range(CHANGES * 4):
            assert replace(place.store().load(), generation=0) in SEVERAL

    assert run_all([write, follow, begin]) == [0, 0, 0]


@pytest.mark.parametrize("states", [SINGLE, SEVERAL], ids=["one marker", "several"])
def test_a_writer_killed_at_random_leaves_the_old_state_or_the_new(
    place: Place, states: tuple[State, State]
) -> None:
    """After a real SIGKILL the state is a whole one, the lock is free and writing goes on."""
    assert kill_writers(place, states, kills=KILLS // 4, writers=1) > 0


def test_a_writer_killed_while_others_wait_lets_them_in(place: Place) -> None:
    """The lock of a dead process is nobody's, at once."""
    assert kill_writers(place, SEVERAL, kills=KILLS // 4, writers=3) > 0
    change(place.store(), hello=ENABLED)
