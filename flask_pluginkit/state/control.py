"""The folder that holds the state and what belongs to it, and the lock in it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from flask_pluginkit.durable import Ownership, make_folder, take_lock
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.frozen import Frozen

LOCK: Final = "state.lock"

_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class ControlFolder(Frozen, kw_only=False):
    """``state_dir``, or the folder that stands in where that option isn't set."""

    path: Path
    is_state_dir: bool
    """The operator named it: what is made in it takes its owner, group and mode, or isn't made."""

    def examine(self) -> bool:
        """Tell whether the folder is there; raise `StateError` if it can't be trusted."""
        if self.is_state_dir:
            return examine_state_dir(self.path)
        return self.path.is_dir()

    def make(self) -> None:
        """Make the folder where it is missing; raise `StateError` if that can't be done."""
        if self.examine():
            return
        try:
            make_folder(self.path)
        except OSError as error:
            raise refusal(self.path, error) from error

    def owner(self) -> Ownership:
        """Return whom the files made in the folder belong to."""
        return Ownership.of_folder(self.path.stat(), strict=self.is_state_dir)

    def lock(self, timeout: float) -> AbstractContextManager[object]:
        """Wait up to `timeout` seconds for being the one writer on this host.

        Returns the lock, held. Raises `StateError` naming what to do otherwise.
        """
        self.make()
        path = self.path / LOCK
        try:
            return take_lock(path, timeout=timeout, owner=self.owner())
        except TimeoutError as error:
            raise contended(path, timeout) from error
        except OSError as error:
            raise refusal(path, error) from error


def examine_state_dir(state_dir: Path) -> bool:
    """Tell whether `state_dir` is there; raise `StateError` if it can't be trusted."""
    try:
        found = os.lstat(state_dir)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateError(f"state_dir {state_dir} can't be read: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        fault = "is a link, which may be turned elsewhere; name the folder itself"
    elif not stat.S_ISDIR(found.st_mode):
        fault = "is no folder; name another"
    elif os.name == "posix" and found.st_mode & stat.S_IWOTH:
        fault = "is writable by every user, who could then switch plugins; chmod o-w it"
    else:
        return True
    raise StateError(f"state_dir {state_dir} {fault}")


def refusal(path: Path, error: OSError, name: str | None = None) -> StateError:
    """Return what to raise when `path` can't be written for the plugin `name`, or for all."""
    if error.errno in _FULL:
        advice = "make room on that disk"
    else:
        advice = "let the option state_dir name a folder that this process may write to"
    return StateError(
        f"{_whose(name)} can't be written: {error.filename or path}: {error.strerror}; {advice}"
    )


def contended(path: Path, seconds: float, name: str | None = None) -> StateError:
    """Return what to raise when others held the lock `path` for all of `seconds`."""
    return StateError(
        f"{_whose(name)} can't be written: {path}: another process held the lock for "
        f"{seconds:g} seconds; try again, or, if nothing is at work there, let the option "
        "state_dir name a folder whose file system can lock"
    )


def _whose(name: str | None) -> str:
    return "state of plugins" if name is None else f"state of plugin {name!r}"
