"""What every store of states must do: a store's tests inherit from `StateStoreContract`.

They say by the fixture `make` how to open a store: each call gives another one on the same
place, as another process would have it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state_parts import in_a_fork

from flask_pluginkit.exceptions import StateConflictError, StateError
from flask_pluginkit.frozen import replace
from flask_pluginkit.state.base import Quarantine, State, StateStore, WantedState

ENABLED = WantedState.ENABLED
DISABLED = WantedState.DISABLED
NAMES = ("hello", "news", "search")

Make = Callable[[], StateStore]

quarantines = st.builds(
    Quarantine,
    since=st.floats(0, 1e11),
    reason=st.text(),
    traceback=st.text(),
    by=st.text(),
    guards=st.booleans(),
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
settings_of_plugins = st.dictionaries(
    st.text(),
    st.dictionaries(st.text(), scalars | st.lists(st.text()).map(tuple), max_size=3),
    max_size=3,
)
states = st.builds(
    State,
    wanted=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(WantedState)),
    quarantined=st.dictionaries(st.text(), quarantines, max_size=3),
    scan=st.integers(0, 100),
    settings=settings_of_plugins,
)


def change(store: StateStore, **wanted: WantedState) -> State:
    """Want something else of some plugins."""
    with store.exclusive():
        state = store.load()
        return store.swap(state.generation, replace(state, wanted={**state.wanted, **wanted}))


def same(one: State, other: State) -> bool:
    """Whether two states differ in their generation at most."""
    return replace(one, generation=0) == replace(other, generation=0)


class StateStoreContract:
    """Tests for one kind of store; the fixtures `make` and `break_writing` are its own."""

    def test_a_new_store_holds_nothing(self, make: Make) -> None:
        """Before the first change there is the empty state of generation 0."""
        assert make().load() == State()

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    @given(first=states, second=states)
    def test_what_is_stored_is_loaded_by_others(
        self, make: Make, first: State, second: State
    ) -> None:
        """Any state is read as it was stored, and replaces the one before entirely."""
        store, other = make(), make()
        for new in (first, second):
            stored = store.swap(store.load().generation, new)
            assert same(stored, new)
            assert store.load() == other.load() == stored

    def test_every_change_has_a_new_generation(self, make: Make) -> None:
        """Generations grow, also when nothing but the generation changes."""
        one, other = make(), make()
        found = [change(store, hello=ENABLED).generation for store in (one, other, one, one)]
        assert found == sorted(set(found))
        assert found[0] > 0

    def test_a_swap_with_an_old_generation_is_refused(self, make: Make) -> None:
        """Who decided on an old state is told the current one, and changes nothing."""
        store, other = make(), make()
        old = store.load()
        current = change(other, hello=DISABLED)
        with pytest.raises(StateConflictError) as raised:
            store.swap(old.generation, replace(old, wanted={"hello": ENABLED}))
        assert raised.value.current == current.generation
        assert other.load() == current

    def test_a_swap_that_cant_be_written_changes_nothing(
        self, make: Make, break_writing: Callable[[], None]
    ) -> None:
        """The error is a StateError, and the old state is still there for everyone."""
        store = make()
        before = change(store, hello=ENABLED, news=DISABLED)
        break_writing()
        with pytest.raises(StateError):
            change(store, hello=DISABLED, news=ENABLED)
        assert store.load() == before
        assert make().load() == before

    def test_the_hint_differs_after_every_change(self, make: Make) -> None:
        """An opened store sees the changes of others in its hint, without looking for them."""
        store, other = make(), make()
        assert store.open()
        met = {store.hint}
        for state in (ENABLED, DISABLED, DISABLED):
            change(other, hello=state)
            assert store.hint not in met
            met.add(store.hint)

    def test_the_hint_stays_while_nothing_happens(self, make: Make) -> None:
        """Loading and noticing are no changes."""
        store = make()
        store.open()
        change(store, hello=ENABLED)
        before = store.hint
        store.load()
        assert not store.notice()
        assert store.hint == before

    def test_announcements_are_counted_and_seen(self, make: Make) -> None:
        """Each has the next number, and others see it without looking for it."""
        store, other = make(), make()
        assert store.open()
        before = store.announced
        assert [other.announce_number(), other.announce_number()] == [before + 1, before + 2]
        assert store.announced == before + 2
        assert store.hint == make().load().generation

    def test_noticing_tells_of_the_changes_of_others_once_loaded_no_more(self, make: Make) -> None:
        """It is true until the news was loaded."""
        store, other = make(), make()
        store.load()
        assert not store.notice()
        change(other, hello=DISABLED)
        assert store.notice()
        assert store.notice()
        assert store.load().wanted == {"hello": DISABLED}
        assert not store.notice()

    def test_ones_own_change_is_no_news(self, make: Make) -> None:
        """What swap returned needn't be loaded again."""
        store = make()
        change(store, hello=DISABLED)
        assert not store.notice()

    def test_exclusive_may_be_entered_again(self, make: Make) -> None:
        """Within it a thread can do all that takes it."""
        store = make()
        with store.exclusive(), store.exclusive():
            change(store, hello=ENABLED)
            store.announce_number()
            store.notice()
        assert change(make(), hello=DISABLED).wanted == {"hello": DISABLED}

    def test_exclusive_keeps_other_writers_out(self, make: Make) -> None:
        """Another store, and another thread of this one, wait and then say that they did."""
        store, other = make(), make()
        refused: list[bool] = []

        def attempt(by: StateStore) -> None:
            try:
                change(by, hello=DISABLED)
            except StateError:
                refused.append(True)

        with store.exclusive():
            for by in (store, other):
                thread = threading.Thread(target=attempt, args=(by,))
                thread.start()
                thread.join()
        assert refused == [True, True]
        attempt(other)
        assert len(refused) == 2

    def test_who_doesnt_want_to_wait_for_others_isnt_kept_waiting(self, make: Make) -> None:
        """With a timeout of nothing it is entered at once or not at all."""
        store, other = make(), make()
        with store.exclusive(), pytest.raises(StateError), other.exclusive(0):
            pass
        with other.exclusive(0), other.exclusive(0):
            change(other, hello=ENABLED)

    def test_exclusive_keeps_no_reader_out(self, make: Make) -> None:
        """Requests read on while somebody prepares a change."""
        store, other = make(), make()
        change(store, hello=ENABLED)
        with store.exclusive():
            assert other.load().wanted == {"hello": ENABLED}
            other.notice()

    def test_exclusive_ends_with_an_error(self, make: Make) -> None:
        """Whatever happens within, others can write afterwards."""
        store = make()
        with pytest.raises(KeyError), store.exclusive():
            raise KeyError
        change(make(), hello=ENABLED)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here: NOT TESTED")
    def test_a_store_goes_on_in_a_forked_process(self, make: Make) -> None:
        """A worker forked from a master with an open store follows and writes."""
        store, other = make(), make()
        store.open()
        change(store, hello=ENABLED)

        def work() -> None:
            assert store.load().wanted == {"hello": ENABLED}
            change(other, news=DISABLED)
            assert store.hint == store.load().generation
            change(store, search=DISABLED)

        in_a_fork(work)
        assert store.hint == store.load().generation
        assert store.load().wanted == {"hello": ENABLED, "news": DISABLED, "search": DISABLED}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here: NOT TESTED")
    def test_a_process_that_is_forked_within_exclusive_is_not_within(self, make: Make) -> None:
        """The child has to wait like others, and its end doesn't let others in."""
        store = make()

        def work() -> None:
            with pytest.raises(StateError):
                change(store, hello=DISABLED)

        with store.exclusive():
            in_a_fork(work)
            in_a_fork(lambda: None)
            with pytest.raises(StateError):
                change(make(), hello=DISABLED)
        assert store.load() == State()

    def test_the_states_of_others_are_left_alone(self, make: Make) -> None:
        """What a caller passes or gets can't be changed under its hands."""
        store = make()
        wanted: dict[str, WantedState] = {"hello": ENABLED}
        stored = store.swap(0, State(wanted=wanted))
        wanted["hello"] = DISABLED
        assert plain(stored.wanted) == plain(store.load().wanted) == {"hello": "enabled"}


def plain(wanted: Mapping[str, WantedState]) -> dict[str, str]:
    return {name: state.value for name, state in wanted.items()}
