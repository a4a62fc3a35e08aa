"""The store of files keeps the contract of all stores."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flask_pluginkit.state.files import FileStateStore

pytest.register_assert_rewrite("state_contract")

from state_contract import NAMES, StateStoreContract  # noqa: E402 - see the line above


class TestFileStateStore(StateStoreContract):
    """With and without a state_dir."""

    @pytest.fixture(params=["beside the code", "in state_dir"])
    def make(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], FileStateStore]:
        """Open one more store on the same folder; three plugins are there."""
        folders = {name: tmp_path / "plugins" / name for name in NAMES}
        for folder in folders.values():
            folder.mkdir(parents=True)
        state_dir = tmp_path / "state" if request.param == "in state_dir" else None

        def made() -> FileStateStore:
            store = FileStateStore(state_dir, tmp_path / "instance" / "pluginkit", 0.2)
            store.know(folders)
            return store

        return made

    @pytest.fixture
    def break_writing(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Fill the disk of the state file, while markers still find room."""
        real = os.fsync

        def full(descriptor: int) -> None:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        return lambda: monkeypatch.setattr(os, "fsync", full)
