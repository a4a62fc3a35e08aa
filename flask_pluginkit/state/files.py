"""The state in files: ``state.json`` is the truth, markers and the hint follow it.

One writer at a time on this host, by the lock. A change of one plugin is made in its marker
first: who is killed between the two has made it, as the marker is then taken for one that was
made by hand. For any other change the file says beforehand what the markers must go back to
(`Document.intent`), and the one rename of the file is what changes the state.

What lies in the folder of others is looked at with their eyes:

* a marker that says something else than the file was made by hand, and the file follows it;
* a marker that vanishes while a process looks on was removed by hand, and the plugin is as its
  ``__state__`` says; one that is missing from the start, as in a container that was made anew
  from its image, changes nothing;
* a file that is older than the hint, or that changed without a new generation, was put in
  place by hand (a backup), and the markers follow it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import StateConflictError, StateError
from flask_pluginkit.frozen import replace

from .base import State, WantedState
from .control import ControlFolder, refusal
from .document import Document
from .ledger import Ledger
from .markers import Found, Markers

ATTEMPTS: Final = 3
"""How often reading begins anew when a writer came in between."""

OPENING_TIMEOUT: Final = 1.0
"""Seconds to wait for others when a worker gets ready in its first request."""

_Changes = Mapping[str, WantedState | None]


class FileStateStore:
    """The state in a folder that all workers of a host share; see `StateStore`."""

    def __init__(self, state_dir: Path | None, control: Path, lock_timeout: float = 30.0) -> None:
        """Keep the state in `state_dir`, or without it in `control` and beside the code.

        Others are waited for up to `lock_timeout` seconds.
        """
        self.lock_timeout = lock_timeout
        self.unreadable: Mapping[str, StateError] = {}
        """Plugins whose markers can't be looked at, and why: they count as disabled."""
        self._folder = ControlFolder(state_dir or control, state_dir is not None)
        self._ledger = Ledger(self._folder)
        self._hint = self._ledger.hint
        self._markers = Markers(self._folder, {})
        self._must_look = False
        self._overlay: tuple[int, _Changes] = (0, {})
        """What markers say beyond the file, and the generation that they say it of."""
        self._met: dict[str, Found] = {}
        """The markers that were seen to say what the file says."""
        self._given: State | None = None
        """What the callers have."""
        self._holder: tuple[int, int] | None = None
        """Process and thread that are within `exclusive`."""

    # ---- reading ---------------------------------------------------------------------------

    def know(self, folders: Mapping[str, Path]) -> None:
        """Tell where the plugins lie, by name: their markers count from the next `load` on."""
        if folders != self._markers.folders:
            self._markers = Markers(self._folder, folders)
            self._must_look = True

    def load(self) -> State:
        """Return the state; see `StateStore.load`. Markers are looked at when plugins are new."""
        self._folder.examine()
        document = self._look() if self._must_look else self._ledger.read()
        self._given = self._overlaid(document)
        self._ledger.accept(document)
        return self._given

    @property
    def hint(self) -> int:
        """What changes with every new state, in nanoseconds; 0 where that isn't to be had."""
        return self._hint.words[0]

    @property
    def announced(self) -> int:
        """The number of announcements made."""
        return self._hint.words[1]

    def notice(self) -> bool:
        """Look for what others did without the hint; True if `load` gives something new by it.

        Where that can't be stored, or others hold the lock, markers made by hand count in this
        process all the same.
        """
        self._folder.examine()
        has_hint = self._hint.refresh()
        document = self._look()
        if self._is_unsettled(document, has_hint=has_hint):
            with suppress(StateError), self._locked(0):
                self._settle()
            document = self._look()
        return self._overlaid(document) != self._given

    def _look(self) -> Document:
        """Read the file, and find out what the markers say beyond it."""
        for _ in range(ATTEMPTS):
            document = self._ledger.read()
            found, unreadable = self._markers.survey()
            if self._ledger.read() == document:  # no writer came in between
                self.unreadable = unreadable
                self._overlay = document.state.generation, self._beyond(document, found)
                self._must_look = False
                break
        return document

    def _beyond(self, document: Document, found: Mapping[str, Found]) -> _Changes:
        """Return what the markers say that the file doesn't; keep in mind where they agree."""
        changes: dict[str, WantedState | None] = {}
        wanted = document.state.wanted
        for name, marker in found.items():
            stored = wanted.get(name)
            if name in document.intent:
                continue
            if marker.state is stored:
                self._met[name] = marker
            elif marker.state is not None:
                changes[name] = marker.state
            elif self._met.get(name) == Found(stored, marker.folders):
                changes[name] = None
        return changes

    def _overlaid(self, document: Document) -> State:
        """Return the state in `document`, changed by the markers that were made by hand."""
        state = document.state
        generation, changes = self._overlay
        if generation != state.generation or self._ledger.is_replaced(document):
            changes = {}
        if self.unreadable:
            changes = {**changes, **dict.fromkeys(self.unreadable, WantedState.DISABLED)}
        return replace(state, wanted=_changed(state.wanted, changes)) if changes else state

    # ---- one writer ------------------------------------------------------------------------

    @contextmanager
    def exclusive(self, timeout: float | None = None) -> Iterator[None]:
        """Keep others on this host from writing; see `StateStore.exclusive`.

        On entry everything is put in order that others left: `load` gives the very truth.
        """
        if self._holder == _me():
            yield
            return
        with self._locked(self.lock_timeout if timeout is None else timeout):
            self._settle()
            yield

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        if self._holder == _me():
            yield
            return
        with self._folder.lock(timeout):
            self._holder = _me()
            try:
                yield
            finally:
                self._holder = None

    def open(self) -> bool:
        """Get ready to follow others; False if the folder can't be written, see `StateStore`."""
        try:
            self._folder.make()
        except StateError:
            return False
        if not self._hint.refresh():
            with suppress(StateError), self._locked(OPENING_TIMEOUT):
                self._settle()
        return os.access(self._folder.path, os.W_OK | os.X_OK)

    def announce_number(self) -> int:
        """Raise the number of announcements by one and return it."""
        with self.exclusive():
            try:
                return self._hint.announce()
            except OSError as error:
                raise refusal(self._folder.path, error) from error

    def swap(self, expected: int, new: State, confirm: Callable[[], None] = lambda: None) -> State:
        """Store `new` if the stored generation is `expected`; see `StateStore.swap`."""
        self._ledger.check(new)
        with self.exclusive():
            document = self._ledger.read()
            if self._ledger.is_replaced(document) or self._undoable(document):
                document = self._settle()
            old = document.state
            if old.generation != expected:
                raise StateConflictError(old.generation)
            new = replace(new, wanted=self._without_unreadable(new.wanted, old.wanted))
            changes = _difference(old.wanted, new.wanted)
            self._refuse_to_overtake(old, changes)
            stored = self._store(document, new, changes, confirm)
            self._given = self._overlaid(stored)
            return self._given

    def _without_unreadable(
        self, new: Mapping[str, WantedState], old: Mapping[str, WantedState]
    ) -> Mapping[str, WantedState]:
        """Return `new` with what is stored of plugins that only count as disabled for now."""
        for name, error in self.unreadable.items():
            if new.get(name) is not WantedState.DISABLED:
                raise StateError(str(error))
        return _changed(new, {name: old.get(name) for name in self.unreadable})

    def _refuse_to_overtake(self, old: State, changes: _Changes) -> None:
        """Raise `StateConflictError` if somebody has just switched one of these by hand."""
        for name in changes:
            marker = self._markers.find(name, anew=True).state
            if marker is not None and marker is not old.wanted.get(name):
                raise StateConflictError(self._settle().state.generation)

    def _store(
        self, document: Document, new: State, changes: _Changes, confirm: Callable[[], None]
    ) -> Document:
        """Store `new`, whose wanted states differ from those of `document` by `changes`."""
        before = {name: self._markers.own(name) for name in changes}
        old = document.state
        try:
            is_more = replace(new, wanted=old.wanted, generation=old.generation) != old
            if len(changes) == 1 and not is_more and None not in changes.values():
                return self._store_one(document, new, next(iter(changes)), confirm)
            confirm()
            if len(changes) > 1 or (changes and is_more):
                self._ledger.write(replace(document, intent={**document.intent, **before}))
            for name, state in changes.items():
                self._markers.put(name, state)
            return self._ledger.commit(self._as_storable(document, new, changes))
        except StateError:
            self._take_back(document, before)
            raise

    def _store_one(
        self, document: Document, new: State, name: str, confirm: Callable[[], None]
    ) -> Document:
        """Store the change of one plugin in as few waits for the disk as can be.

        A power cut may leave the file without the marker or the marker without the file. Either
        is the old state or the new one: the file follows a marker that says something else.
        """
        staged = self._ledger.stage(self._as_storable(document, new, {}))
        try:
            confirm()
            self._markers.put(name, new.wanted[name], is_synced=False)
        except StateError:
            staged.written.unlink(missing_ok=True)
            raise
        return self._ledger.finish(staged, lambda: self._markers.sync(name))

    def _as_storable(self, document: Document, new: State, changes: _Changes) -> Document:
        """Return `new` with what markers say that lie beside the code and can't be removed."""
        left = {
            name: self._markers.find(name, anew=True).state
            for name, state in changes.items()
            if state is None
        }
        wanted = _changed(new.wanted, left)
        generation = document.state.generation
        return replace(document, state=replace(new, wanted=wanted, generation=generation))

    def _take_back(self, document: Document, before: _Changes) -> None:
        """Bring markers and file back as well as a failing disk lets us."""
        with suppress(StateError, OSError):
            for name, state in before.items():
                if self._markers.own(name) is not state:
                    self._markers.put(name, state, is_synced=False)
            self._ledger.write_back(document)
            for name in before:
                self._markers.sync(name)

    # ---- order -----------------------------------------------------------------------------

    def _is_unsettled(self, document: Document, *, has_hint: bool) -> bool:
        if not self._folder.path.is_dir():
            return False  # nothing is created by looking
        return bool(
            not has_hint
            or self._overlay[1]
            or document.state.generation != self._hint.words[0]
            or self._undoable(document)
            or self._ledger.is_replaced(document)
        )

    def _settle(self) -> Document:
        """Put in order what others left, with the lock held; raise `StateError`."""
        self._ledger.prepare()
        document = self._undo(self._ledger.read())
        if self._ledger.is_replaced(document):
            document = self._follow(document)
        document = self._adopt(document)
        self._ledger.settle(document)
        return document

    def _undoable(self, document: Document) -> list[str]:
        """Return the plugins whose markers are in between and that this process can reach."""
        return [name for name in document.intent if self._markers.place(name) is not None]

    def _undo(self, document: Document) -> Document:
        """Bring markers in between back. What this process can't reach is left to others."""
        names = self._undoable(document)
        if not names:
            return document
        for name in names:
            if self._folder.is_state_dir or self._markers.folders[name].is_dir():
                self._markers.put(name, document.intent[name])
        rest = {name: state for name, state in document.intent.items() if name not in names}
        return self._ledger.write(replace(document, intent=rest))

    def _follow(self, document: Document) -> Document:
        """Accept a file that was put in place by hand: the markers shall say what it says."""
        found, _ = self._markers.survey()
        wanted = document.state.wanted
        wrong = {
            name: wanted.get(name)
            for name, marker in found.items()
            if marker.state not in {None, wanted.get(name)} and name not in document.intent
        }
        intent = {**document.intent, **wrong}
        followed = self._ledger.commit(replace(document, intent=intent))
        with suppress(StateError):  # where they can't be written, they are followed instead
            for name, state in wrong.items():
                self._markers.put(name, state)
        if not wrong:
            return followed
        return self._ledger.write(replace(followed, intent=document.intent))

    def _adopt(self, document: Document) -> Document:
        """Store what the markers say beyond the file."""
        found, self.unreadable = self._markers.survey()
        changes = self._beyond(document, found)
        state = document.state
        if changes or self._ledger.is_lost(document):
            new = replace(state, wanted=_changed(state.wanted, changes))
            document = self._ledger.commit(replace(document, state=new))
            self._beyond(document, found)
        self._overlay = document.state.generation, {}
        self._must_look = False
        return document


def _me() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _difference(
    old: Mapping[str, WantedState], new: Mapping[str, WantedState]
) -> dict[str, WantedState | None]:
    return {
        name: new.get(name)
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _changed(wanted: Mapping[str, WantedState], changes: _Changes) -> dict[str, WantedState]:
    """Return `wanted` after `changes`, where None means that nothing is wanted."""
    changed = {**wanted, **changes}
    return {name: state for name, state in changed.items() if state is not None}
