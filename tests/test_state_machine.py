"""Two stores on one folder, with people and accidents between them, against a model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from state_parts import NAMES, Killed, Place, before_step, change, kill

from flask_pluginkit.exceptions import StateConflictError
from flask_pluginkit.state.base import State, WantedState
from flask_pluginkit.state.files import FileStateStore

Wanted = dict[str, WantedState]

names = st.sampled_from(NAMES)
states = st.sampled_from(WantedState)
changes = st.dictionaries(names, st.none() | states, min_size=1)
numbers = st.integers(0, 1)


class Shared(RuleBasedStateMachine):
    """What is wanted is a dictionary; whatever happens, both stores come to agree with it."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.model: Wanted = {}
        self.generations: dict[int, Wanted] = {0: {}}
        self.backup: tuple[bytes, Wanted] | None = None

    @initialize(with_state_dir=st.booleans())
    def begin(self, with_state_dir: bool) -> None:
        """Open two stores as workers do."""
        self.place = Place(self.root, self.root / "state" if with_state_dir else None)
        self.stores = [self.place.store() for _ in range(2)]
        for store in self.stores:
            assert store.open()
            store.load()

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.root)

    def follow(self, store: FileStateStore) -> State:
        """What a worker has after its look once a second."""
        store.notice()
        return store.load()

    def note(self, state: State) -> None:
        """Whatever a generation was once, it stays."""
        assert self.generations.setdefault(state.generation, dict(state.wanted)) == state.wanted

    @rule(number=numbers, wanted=changes)
    def switch(self, number: int, wanted: dict[str, WantedState | None]) -> None:
        """Somebody switches plugins by one of the stores."""
        state = change(self.stores[number], **wanted)
        self.model = dict(state.wanted)
        for name, wish in wanted.items():
            assert state.wanted.get(name) is wish
        self.note(state)

    @rule(number=numbers, wanted=changes)
    def switch_on_old_news(self, number: int, wanted: dict[str, WantedState | None]) -> None:
        """A decision on another generation than the stored one changes nothing."""
        store = self.stores[number]
        current = self.follow(store)
        for old in {current.generation - 1, current.generation + 1}:
            with pytest.raises(StateConflictError):
                store.swap(old, State())

    @rule(number=numbers, wanted=changes, step=st.integers(0, 60))
    def switch_and_die(self, number: int, wanted: dict[str, WantedState | None], step: int) -> None:
        """The process of a store is killed while it writes; the next has the one or the other."""
        before, after = self.model, dict(self.model)
        after.update({name: wish for name, wish in wanted.items() if wish is not None})
        after = {name: wish for name, wish in after.items() if wanted.get(name, wish) is not None}
        with self.dying(step):
            change(self.stores[number], **wanted)
        self.stores[number] = self.place.store()
        self.stores[number].open()
        self.model = dict(self.follow(self.stores[1 - number]).wanted)
        assert self.model in (before, after)

    @contextmanager
    def dying(self, step: int) -> Iterator[None]:
        """End what is done within before its step of that number."""
        with pytest.MonkeyPatch.context() as patch:
            before_step(step, kill, patch)
            with suppress(Killed):
                yield

    @rule(name=names, state=states)
    def touch(self, name: str, state: WantedState) -> None:
        """Somebody makes a marker by hand, and the workers have their look."""
        both = state is WantedState.ENABLED and self.model.get(name) is WantedState.DISABLED
        if both and "DISABLED" not in self.place.markers(name):
            both = False  # the marker was lost: ENABLED is the only one that speaks
        self.place.touch(state.name, name)
        if not both:
            self.model[name] = state
        self.look()

    @rule(name=names)
    def remove(self, name: str) -> None:
        """Somebody removes all markers of a plugin under the eyes of the workers."""
        self.look()
        had = self.place.markers(name)
        for marker in had:
            (self.place.markers_in(name) / marker).unlink()
        if had:
            self.model.pop(name, None)
        self.look()

    @rule()
    def save(self) -> None:
        """Somebody makes a backup of the file."""
        self.look()
        if self.place.file.exists():
            self.backup = self.place.file.read_bytes(), dict(self.model)

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        """Somebody puts the backup back."""
        content, wanted = self.backup  # type: ignore[misc]  # by the precondition
        self.look()
        self.place.file.write_bytes(content)
        self.model = dict(wanted)
        self.look()

    @precondition(lambda self: self.place.file.exists())
    @rule()
    def lose(self) -> None:
        """The file is lost; the markers that are there say the same."""
        self.look()
        self.model = {name: wish for name, wish in self.model.items() if self.place.markers(name)}
        self.place.file.unlink()
        self.look()

    @rule(number=numbers)
    def lose_hint(self, number: int) -> None:
        """The hint is lost, and made anew by who looks first."""
        self.look()
        (self.place.control / "generation").unlink()
        self.stores[number].notice()

    @rule(number=numbers)
    def restart(self, number: int) -> None:
        """One worker ends and another begins."""
        self.look()
        self.stores[number] = self.place.store()
        self.stores[number].open()

    def look(self) -> None:
        """A second passes for both workers."""
        for store in self.stores:
            self.follow(store)

    @invariant()
    def all_agree(self) -> None:
        """After a second both have what the model says, and so has who begins now."""
        if not hasattr(self, "stores"):
            return
        found = [self.follow(store) for store in self.stores]
        assert found[0] == found[1] == self.place.store().load()
        assert found[0].wanted == self.model
        assert [store.hint for store in self.stores] == [found[0].generation] * 2
        self.note(found[0])
        assert not any(store.notice() for store in self.stores)


TestShared: Any = Shared.TestCase
TestShared.settings = settings(max_examples=examples(40), stateful_step_count=25)
