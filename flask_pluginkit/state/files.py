"""Wanted states as the marker files of 3.x, beside the code or below `state_dir`."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from flask_pluginkit.durable import Ownership, create, make_folder, sync_folder, take_lock
from flask_pluginkit.exceptions import StateError

from .base import WantedState

ENABLED = "ENABLED"
DISABLED = "DISABLED"
LOCK = "state.lock"
HIDDEN_LOCK = ".pluginkit.lock"
"""The lock's name where it can lie nowhere but among the files of the plugin."""

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class MarkerStore:
    """Wanted states as empty files, ``DISABLED`` going over ``ENABLED``.

    They lie in the plugin's own folder, or with `state_dir` in
    ``<state_dir>/markers/<plugin name>/``; where that says nothing, markers beside the code
    still count, so that a ``DISABLED`` made by hand for 3.x isn't lost by setting an option.

    One writer at a time, by a lock in `state_dir` or else in `lock_dir`; where neither is, or
    `lock_dir` can't be written, beside the markers. A writer that is killed leaves the old state
    or the new one: a plugin changes sides when ``DISABLED`` appears or disappears.
    """

    state_dir: Path | None
    """Shared by the workers. Its owner, group and mode go for all that is made in it."""

    lock_dir: Path | None
    """Where the lock lies without a `state_dir`; made when it is needed."""

    lock_timeout: float = 30.0
    """Seconds to wait for another writer."""

    def read(self, name: str, folder: Path) -> WantedState | None:
        """Return what the markers say about the plugin `name` in `folder`, None for nothing.

        Raises `StateError` if a marker can't be looked at, since it might say "disabled", or if
        `state_dir` can't be trusted.
        """
        if self.state_dir is not None and _examine(self.state_dir) is not None:
            stored = _read_markers(name, _marker_folder(self.state_dir, name))
            if stored is not None:
                return stored
        return _read_markers(name, folder)

    def write(self, name: str, folder: Path, state: WantedState) -> None:
        """Store `state`; it is on the disk when this returns.

        Raises `StateError`, after which the old state goes on, if the place can't be written or
        another writer holds the lock for longer than `lock_timeout`. (Only a disk that fails
        when it is asked to confirm the change may keep the new state.)
        """
        place = folder
        if self.state_dir is not None:
            place = _marker_folder(self.state_dir, name)
            self._make_state_dir(self.state_dir, name)
        with self._locked(name, folder):
            try:
                owner = self._owner(place)
                if self.state_dir is not None:
                    make_folder(place, lambda _: owner)
                _write_markers(place, state, owner)
            except OSError as error:
                raise _refusal(name, place, error) from error

    def _make_state_dir(self, state_dir: Path, name: str) -> None:
        if _examine(state_dir) is not None:
            return
        try:
            make_folder(state_dir)
        except OSError as error:
            raise _refusal(name, state_dir, error) from error

    def _owner(self, place: Path) -> Ownership:
        """Return whom the files made in `place` belong to: its owner, or that of `state_dir`."""
        if self.state_dir is not None:
            return Ownership.of_folder(self.state_dir.stat(), strict=True)
        return Ownership.of_folder(place.stat())

    def _locked(self, name: str, folder: Path) -> AbstractContextManager[object]:
        """Return the lock, held, from the first place that can be written."""
        refusal: StateError | None = None
        for lock in self._lock_files(folder):
            try:
                if lock.parent == self.lock_dir:
                    make_folder(lock.parent)
                return take_lock(lock, timeout=self.lock_timeout, owner=self._owner(lock.parent))
            except TimeoutError as error:
                raise _contended(name, lock, self.lock_timeout) from error
            except OSError as error:
                refusal = _refusal(name, lock, error)
                refusal.__cause__ = error
        assert refusal is not None
        raise refusal

    def _lock_files(self, folder: Path) -> tuple[Path, ...]:
        if self.state_dir is not None:
            return (self.state_dir / LOCK,)
        beside = folder / HIDDEN_LOCK
        return (beside,) if self.lock_dir is None else (self.lock_dir / LOCK, beside)


def _examine(state_dir: Path) -> os.stat_result | None:
    """Return what `state_dir` is, None if it isn't there; raise if it can't be trusted."""
    try:
        found = os.lstat(state_dir)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"state_dir {state_dir} can't be read: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        fault = "is a link, which may be turned elsewhere; name the folder itself"
    elif not stat.S_ISDIR(found.st_mode):
        fault = "is no folder; name another"
    elif os.name == "posix" and found.st_mode & stat.S_IWOTH:
        fault = "is writable by every user, who could then switch plugins; chmod o-w it"
    else:
        return found
    raise StateError(f"state_dir {state_dir} {fault}")


def _marker_folder(state_dir: Path, name: str) -> Path:
    """Return where the markers of the plugin `name` lie; a name that leads elsewhere is refused.

    Names are checked when manifests are read; this is the last line before the file system.
    """
    if name in {"", ".", ".."} or any(sign in name for sign in ("/", os.sep, "\0")):
        raise StateError(f"state of plugin {name!r}: the name can't be that of a folder")
    return state_dir / "markers" / name


def _read_markers(name: str, place: Path) -> WantedState | None:
    """Return what the markers in `place` say, without the lock.

    Between two looks a writer may put ``ENABLED`` in place of ``DISABLED`` or the reverse, and
    each look would miss what the other would have found: "nothing" is only believed when
    ``DISABLED`` was missing before and after.
    """
    disabled, enabled = place / DISABLED, place / ENABLED
    if _is_there(name, disabled):
        return WantedState.DISABLED
    if _is_there(name, enabled):
        return WantedState.ENABLED
    return WantedState.DISABLED if _is_there(name, disabled) else None


def _is_there(name: str, marker: Path) -> bool:
    try:
        return stat.S_ISREG(marker.stat().st_mode)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise StateError(
            f"state of plugin {name!r} can't be read: {marker}: {error.strerror}; "
            "let this process read it"
        ) from error


def _write_markers(place: Path, state: WantedState, owner: Ownership) -> None:
    """Turn the one switch, ``DISABLED``; what it needs comes first, what it outdates last."""
    if state is WantedState.DISABLED:
        _add(place / DISABLED, owner)
        with suppress(OSError):  # it no longer says anything
            (place / ENABLED).unlink(missing_ok=True)
        return
    made = _add(place / ENABLED, owner)
    try:
        (place / DISABLED).unlink(missing_ok=True)
    except OSError:
        if made:
            (place / ENABLED).unlink()
        raise
    sync_folder(place)


def _add(marker: Path, owner: Ownership) -> bool:
    """Create `marker` on the disk and return True, or return False if it is there already."""
    if marker.is_file():
        return False
    descriptor = create(marker, owner)
    try:
        os.fsync(descriptor)
        sync_folder(marker.parent)
    except OSError:
        marker.unlink()
        raise
    finally:
        os.close(descriptor)
    return True


def _contended(name: str, lock: Path, seconds: float) -> StateError:
    return StateError(
        f"state of plugin {name!r} can't be written: {lock}: another process held the lock for "
        f"{seconds:g} seconds; try again, or, if nothing is at work there, let the option "
        "state_dir name a folder whose file system can lock"
    )


def _refusal(name: str, path: Path, error: OSError) -> StateError:
    return StateError(
        f"state of plugin {name!r} can't be written: {error.filename or path}: "
        f"{error.strerror}; let the option "
        "state_dir name a folder that this process may write to"
    )
