"""The marker files of 3.x, beside the code or below `state_dir`.

They are empty files, ``DISABLED`` going over ``ENABLED``. They lie in the plugin's own folder,
or with `state_dir` in ``<state_dir>/markers/<plugin name>/``; where that says nothing, markers
beside the code still count, so that a ``DISABLED`` made by hand for 3.x isn't lost by setting
an option.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from flask_pluginkit.durable import Ownership, create, make_folder, sync_folder
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.frozen import Frozen

from .base import WantedState
from .control import ControlFolder, refusal

ENABLED: Final = "ENABLED"
DISABLED: Final = "DISABLED"

SETTLED: Final = 3.0
"""Seconds for which a folder is looked into although its time of change stays the same.

Two changes that follow each other may bear the same time, as the clocks of file systems go in
steps: of up to 2 seconds on FAT.
"""

SOON: Final = 0.1
"""Likewise, where the time has digits below a hundredth of a second: those steps are finer."""

_Signature = tuple[int, int, int]
"""Inode and times of change of a folder."""

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class Found(Frozen, kw_only=False):
    """What the markers of one plugin say."""

    state: WantedState | None
    folders: tuple[int | None, ...]
    """The inodes of the folders that were looked into, None for one that isn't there."""


class _Look(Frozen, kw_only=False):
    """The folders of one plugin's markers as they were when they were last looked into."""

    signatures: list[_Signature | None]
    """One for each folder; None for a folder that isn't there."""
    since: float
    """When these signatures were first met, by the monotonic clock."""
    is_final: bool
    """Whether the folders needn't be looked into again as long as the signatures stay."""
    found: Found


class Markers:
    """The markers of the plugins that are known. One writer at a time, says the caller."""

    def __init__(self, control: ControlFolder, folders: Mapping[str, Path]) -> None:
        self.folders = dict(folders)
        self._control = control
        self._looks: dict[str, _Look] = {}
        self._places: dict[str, tuple[str, ...]] = {}

    def survey(self) -> tuple[dict[str, Found], dict[str, StateError]]:
        """Return what the markers of every known plugin say, or why one's can't be looked at."""
        found: dict[str, Found] = {}
        unreadable: dict[str, StateError] = {}
        for name in self.folders:
            try:
                found[name] = self.find(name)
            except StateError as error:
                unreadable[name] = error
        return found, unreadable

    def find(self, name: str, *, anew: bool = False) -> Found:
        """Return what the markers of the plugin `name` say, `anew` without what is remembered.

        Raises `StateError` if a marker can't be looked at, since it might say "disabled".
        """
        places = self._places.get(name) or self._make_places(name)
        signatures = [_signature(name, place) for place in places]
        before = self._looks.get(name)
        if before is not None and before.signatures != signatures:
            before = None
        if before is not None and before.is_final and not anew:
            return before.found
        now = monotonic()
        state = None
        for place, signature in zip(places, signatures, strict=True):
            state = state or (None if signature is None else read_markers(name, place))
        since = now if before is None else before.since
        is_final = now - since > (SOON if _is_fine(signatures) else SETTLED)
        if before is not None and (before.found.state, before.is_final) == (state, is_final):
            return before.found
        found = Found(state, tuple([None if each is None else each[0] for each in signatures]))
        self._looks[name] = _Look(signatures, since, is_final, found)
        return found

    def own(self, name: str) -> WantedState | None:
        """Return what the markers say in the place where this process would write them."""
        place = self.place(name)
        return None if place is None else read_markers(name, str(place))

    def place(self, name: str) -> Path | None:
        """Return where the markers of the plugin `name` are written, None if it isn't known."""
        if self._control.is_state_dir:
            return marker_folder(self._control.path, name)
        return self.folders.get(name)

    def put(self, name: str, state: WantedState | None, *, is_synced: bool = True) -> None:
        """Bring the markers of the plugin `name` to `state`; None removes them.

        On the disk they are at once, unless that is left to `sync`. Raises `StateError` if it
        can't be done. Then the markers say what they said before, unless the disk fails in that
        too.
        """
        place = self.place(name)
        if place is None:
            if state is not WantedState.ENABLED:
                return  # its files are gone: that it isn't wanted needs no marker
            raise StateError(
                f"state of plugin {name!r} can't be written: there is no folder of it; let the "
                "option state_dir name a folder for the states of plugins"
            )
        try:
            if self._control.is_state_dir:
                owner = self._control.owner()
                make_folder(place, lambda _: owner)
            else:
                owner = Ownership.of_folder(place.stat())
            write_markers(place, state, owner, is_synced=is_synced)
        except OSError as error:
            raise refusal(place, error, name) from error
        finally:
            self._looks.pop(name, None)

    def sync(self, name: str) -> None:
        """Wait until the markers of the plugin `name` are on the disk; as `put`."""
        if (place := self.place(name)) is None:
            return
        try:
            sync_folder(place)
        except OSError as error:
            raise refusal(place, error, name) from error

    def _make_places(self, name: str) -> tuple[str, ...]:
        """Return the folders whose markers count, the first that says something winning."""
        places = []
        if self._control.is_state_dir:
            places.append(str(marker_folder(self._control.path, name)))
        if (folder := self.folders.get(name)) is not None:
            places.append(str(folder))
        self._places[name] = tuple(places)
        return self._places[name]


def marker_folder(state_dir: Path, name: str) -> Path:
    """Return where the markers of the plugin `name` lie; a name that leads elsewhere is refused.

    Names are checked when manifests are read; this is the last line before the file system.
    """
    if name in {"", ".", ".."} or any(sign in name for sign in ("/", os.sep, "\0")):
        raise StateError(f"state of plugin {name!r}: the name can't be that of a folder")
    return state_dir / "markers" / name


def read_markers(name: str, place: str) -> WantedState | None:
    """Return what the markers in `place` say, without the lock.

    Between two looks a writer may put ``ENABLED`` in place of ``DISABLED`` or the reverse, and
    each look would miss what the other would have found: "nothing" is only believed when
    ``DISABLED`` was missing before and after.
    """
    disabled = f"{place}{os.sep}{DISABLED}"
    if _is_there(name, disabled):
        return WantedState.DISABLED
    if _is_there(name, f"{place}{os.sep}{ENABLED}"):
        return WantedState.ENABLED
    return WantedState.DISABLED if _is_there(name, disabled) else None


def write_markers(
    place: Path, state: WantedState | None, owner: Ownership, *, is_synced: bool = True
) -> None:
    """Bring the markers in `place` to `state`; on an `OSError` they say what they said before.

    One step of the file system does it, so that a writer that is killed leaves the one state or
    the other. Where there is a marker already, it gets the other name: that takes no room on a
    full disk, and nor does taking it back.
    """
    enabled, disabled = place / ENABLED, place / DISABLED
    if state is WantedState.DISABLED:
        if not disabled.is_file():
            _bring(enabled, disabled, owner, is_synced=is_synced)
        with suppress(OSError):  # it doesn't say anything
            enabled.unlink(missing_ok=True)
    elif state is WantedState.ENABLED:
        if disabled.is_file() or not enabled.is_file():
            _bring(disabled, enabled, owner, is_synced=is_synced)
    else:
        _remove(place, owner, is_synced=is_synced)


def _bring(source: Path, target: Path, owner: Ownership, *, is_synced: bool) -> None:
    """Let there be `target` in place of `source`, or made if there is no such marker."""
    if is_renamed := source.is_file():
        source.replace(target)
    else:
        os.close(create(target, owner))
    if not is_synced:
        return
    try:
        sync_folder(target.parent)
    except OSError:
        if is_renamed:
            target.replace(source)
        else:
            target.unlink()
        raise


def _remove(place: Path, owner: Ownership, *, is_synced: bool) -> None:
    gone = []
    try:
        for marker in (place / ENABLED, place / DISABLED):
            if marker.is_file():
                marker.unlink()
                gone.append(marker)
        if gone and is_synced:
            sync_folder(place)
    except OSError:
        for marker in gone:
            os.close(create(marker, owner))
        raise


def _signature(name: str, place: str) -> _Signature | None:
    try:
        found = os.stat(place)  # noqa: PTH116 - a Path takes twice as long, for each plugin
    except OSError as error:
        _raise_unless_absent(name, place, error)
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _is_fine(signatures: Iterable[_Signature | None]) -> bool:
    """Tell whether the times of change come from a clock that goes in small steps."""
    return all(found is None or found[2] % 10_000_000 for found in signatures)


def _is_there(name: str, marker: str) -> bool:
    try:
        found = os.stat(marker)  # noqa: PTH116 - likewise
    except OSError as error:
        _raise_unless_absent(name, marker, error)
        return False
    return stat.S_ISREG(found.st_mode)


def _raise_unless_absent(name: str, path: str, error: OSError) -> None:
    """Raise `StateError` if `path` can't be looked at, for another reason than not being there."""
    if error.errno not in _ABSENT:
        raise StateError(
            f"state of plugin {name!r} can't be read: {path}: {error.strerror}; "
            "let this process read it"
        ) from error
