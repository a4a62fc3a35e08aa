"""A place with plugins and a store of states, and ways to let things go wrong there."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask_pluginkit.frozen import replace
from flask_pluginkit.state.base import State, StateStore, WantedState
from flask_pluginkit.state.files import FileStateStore

ENABLED = WantedState.ENABLED
DISABLED = WantedState.DISABLED
SWITCHES = ((ENABLED, DISABLED), (DISABLED, ENABLED))
NAMES = ("hello", "news", "search")
TIMEOUT = 0.2


@dataclass
class Place:
    """The folders of one application."""

    root: Path
    state_dir: Path | None
    folders: dict[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        self.folders = {name: self.root / "plugins" / name for name in NAMES}
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def control(self) -> Path:
        """The folder with the state."""
        return self.state_dir or self.root / "instance" / "pluginkit"

    @property
    def file(self) -> Path:
        """The file with the state."""
        return self.control / "state.json"

    def store(self) -> FileStateStore:
        """Open one more store, as another process would."""
        store = FileStateStore(self.state_dir, self.control, TIMEOUT)
        store.know(self.folders)
        return store

    def markers_in(self, name: str = "hello") -> Path:
        """The folder that the store writes the markers of one plugin to."""
        if self.state_dir is None:
            return self.folders[name]
        return self.state_dir / "markers" / name

    def markers(self, name: str = "hello") -> set[str]:
        """The markers of one plugin that the store has written."""
        folder = self.markers_in(name)
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def touch(self, marker: str, name: str = "hello") -> None:
        """Make a marker by hand where the store would."""
        folder = self.markers_in(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / marker).touch()

    def stored(self) -> Any:
        """What the file says."""
        return json.loads(self.file.read_bytes())

    def wanted(self) -> dict[str, WantedState]:
        """What a process that begins now would find."""
        return dict(self.store().load().wanted)


def change(store: StateStore, **wanted: WantedState | None) -> State:
    """Want something else of some plugins; None: nothing in particular."""
    with store.exclusive():
        state = store.load()
        changed = {**state.wanted, **wanted}
        new = {name: state for name, state in changed.items() if state is not None}
        return store.swap(state.generation, replace(state, wanted=new))


def fail(name: str, path: Path, number: int) -> Any:
    """Return a stand-in for the function `name` of os that fails at `path`."""
    real = getattr(os, name)

    def stand_in(target: Any, *args: Any, **kwargs: Any) -> Any:
        if target == path or target == str(path):
            raise OSError(number, os.strerror(number), str(target))
        return real(target, *args, **kwargs)

    return stand_in


class Killed(BaseException):
    """The process ends here: no clean-up runs."""


STEPS = (
    *("open", "write", "fsync", "mkdir", "unlink", "link", "rename", "replace"),
    *("posix_fallocate", "ftruncate", "fchmod", "fchown"),
)
"""The calls by which a store changes anything, and those that lead to them."""


def before_step(step: int, happen: Callable[[], None], monkeypatch: Any) -> None:
    """Let something `happen` before the call of the system that has the number `step`."""
    steps = itertools.count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == step:
                happen()
            return real(*args, **kwargs)

        return stand_in

    for name in STEPS:
        if hasattr(os, name):
            monkeypatch.setattr(os, name, counted(getattr(os, name)))


def kill() -> None:
    """End the process, as far as a test can."""
    raise Killed


def in_a_fork(work: Callable[[], None]) -> None:
    """Run `work` in a forked process, and fail if it fails there."""
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
