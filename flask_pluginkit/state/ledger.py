"""The file with the state and its hint, as one process knows them: generations only grow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from flask_pluginkit import durable
from flask_pluginkit.frozen import Frozen, replace

from . import document as file
from .base import State
from .control import ControlFolder, refusal
from .document import EMPTY, GREATEST, Document
from .hint import NAME as HINT
from .hint import Hint

STATE: Final = "state.json"


class Staged(Frozen, kw_only=False):
    """A document that is on the disk already, and that nobody sees yet."""

    document: Document
    written: Path
    """The file, beside the one that it is to replace."""


class Ledger:
    """``state.json`` and the hint in a folder. Who writes holds the lock."""

    def __init__(self, folder: ControlFolder) -> None:
        self.path = folder.path / STATE
        self.hint = Hint(folder.path / HINT)
        self._folder = folder
        self._known = State()
        """What the file said when it was last read here and nobody had put it there by hand."""
        self._parsed: tuple[bytes | None, Document] = (None, EMPTY)
        """What was last read, and what that says."""

    def read(self) -> Document:
        """Return what the file says; raise `StateError` with what to do if it can't be read."""
        content = file.read(str(self.path))
        if content is None:
            return EMPTY
        known, document = self._parsed
        if content != known:  # a switch reads it several times, and most often it is the same
            document = file.parse(str(self.path), content)
            self._parsed = content, document
        return document

    def check(self, state: State) -> None:
        """Raise if `state` has something that couldn't be read again: nobody could go on."""
        file.parse(str(self.path), file.render(Document(state=state)))

    def accept(self, document: Document) -> None:
        """Remember `document`, unless somebody put it in place by hand."""
        if not self.is_replaced(document):
            self._known = document.state

    def is_replaced(self, document: Document) -> bool:
        """Tell whether somebody put the file in place by hand."""
        state, known = document.state, self._known
        if not document.is_stored:
            return False
        if state.generation == known.generation and state != known:
            return True
        return state.generation < self.floor()

    def is_lost(self, document: Document) -> bool:
        """Tell whether there has been a state, but no longer is."""
        return not document.is_stored and self.floor() > 0

    def floor(self) -> int:
        """Return the greatest generation that is known to have been there."""
        hints = (self.hint.words[0], self.hint.left)
        return max([self._known.generation, *(hint for hint in hints if hint < GREATEST // 2)])

    def commit(self, document: Document) -> Document:
        """Store `document` with a new generation, and let all processes know.

        Raises `StateError` if it can't be stored; then the old one is still there, unless the
        disk fails when it is to confirm the new one.
        """
        stored = self.write(self._next(document))
        self.settle(stored)
        return stored

    def _next(self, document: Document) -> Document:
        """Return `document` with a new generation, as it is stored."""
        generation = max(document.state.generation, self.floor()) + 1
        state = replace(document.state, generation=generation)
        return replace(document, state=state, is_stored=True)

    def stage(self, document: Document) -> Staged:
        """Do what `commit` does up to the moment at which others see it; raises as that."""
        document = self._next(document)
        try:
            written = durable.stage(self.path, file.render(document), self._folder.owner())
        except OSError as error:
            raise refusal(self.path, error) from error
        return Staged(document, written)

    def finish(self, staged: Staged, also: Callable[[], None]) -> Document:
        """Do the rest of `commit`; `also` is a wait for the disk that goes on at the same time.

        Raises as that, and what `also` raises.
        """
        try:
            durable.put_in_place(staged.written, self.path)
            end = durable.aside(also)
            try:
                durable.sync_folder(self.path.parent)
            finally:
                end()
        except OSError as error:
            raise refusal(self.path, error) from error
        self.settle(staged.document)
        return staged.document

    def settle(self, document: Document) -> None:
        """Remember `document` as what is stored, and let the hint say so."""
        self._known = document.state
        if self.hint.words[0] != document.state.generation:
            with suppress(OSError):  # then it is found within a second, as without a hint
                self.hint.show(document.state.generation)

    def write(self, document: Document) -> Document:
        """Store `document` as it is; as `commit`."""
        document = replace(document, is_stored=True)
        content = file.render(document)
        try:
            durable.replace(self.path, content, self._folder.owner())
        except OSError as error:
            raise refusal(self.path, error) from error
        return document

    def write_back(self, document: Document) -> None:
        """Bring the file back to `document` after a change that failed; as `write`."""
        if self.read() == document:
            return
        if document.is_stored:
            self.write(document)
        else:
            self.path.unlink()

    def prepare(self) -> None:
        """Make or repair the hint. Where that can't be, changes are found within a second."""
        with suppress(OSError):
            self.hint.ensure(self._folder.owner(), self._known.generation)
