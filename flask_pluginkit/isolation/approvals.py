"""What the operator approved: the file ``approvals.json`` in the application's control folder.

An approval is of one version of a plugin's code, by its digest, and lasts: a version that asks
for no more than the last one that was approved needs none of its own. One that asks for more
waits, and whoever runs the plugin keeps the old version running: its approval stays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.durable import Ownership, replace
from flask_pluginkit.exceptions import LoadError, PluginError, Problem, StateError
from flask_pluginkit.frozen import Frozen, as_dict
from flask_pluginkit.permissions import (
    DUNDER,
    NONE,
    Permissions,
    common,
    missing,
    permissions_of,
    words,
)
from flask_pluginkit.state.control import ControlFolder, refusal
from flask_pluginkit.state.document import read
from flask_pluginkit.text import clean, describe

FILE: Final = "approvals.json"

FORMAT: Final = 1

KEPT: Final = 5
"""Approvals of one plugin: of the versions between which one may go back and forth."""

_MEMBERS: Final = {"digest": str, "permissions": list, "version": str, "by": str, "at": float}

_LOCK_SECONDS: Final = 10.0


class Approval(Frozen):
    """What was approved of one version of a plugin."""

    digest: str
    permissions: tuple[str, ...]
    version: str
    """What the version calls itself."""
    by: str
    """Who approved it."""
    at: float
    """Seconds since the epoch."""


class Decision(Frozen):
    """What a version of a plugin gets."""

    granted: Permissions | None
    """What it asked for, as far as it was approved; None if it has to wait."""
    waiting: tuple[str, ...] = ()
    """What it asks for beyond what was approved, sorted."""

    @property
    def words(self) -> tuple[str, ...]:
        """What it asks for beyond what was approved, for people."""
        return tuple(words(text) for text in self.waiting)


class Approvals:
    """The approvals of one application; read anew each time, by any process."""

    def __init__(self, folder: ControlFolder | Path) -> None:
        if isinstance(folder, Path):
            folder = ControlFolder(folder, is_state_dir=False)
        self._folder: ControlFolder = folder
        self._path = self._folder.path / FILE

    def all(self) -> Mapping[str, tuple[Approval, ...]]:
        """Return the approvals of each plugin, the last one last. Raises `StateError`."""
        content = read(str(self._path))
        return {} if content is None else _parsed(self._path, content)

    def decide(self, plugin: str, asked: Iterable[str], digest: str) -> Decision:
        """Return what the version `digest` of a plugin gets of what it asks for.

        The very code that the operator looked at gets what was approved of it, even if that is
        less than it asks for. Other code gets all that it asks for if the last approval covers
        it, and else waits. Raises `StateError`.
        """
        wanted = permissions_of(asked)
        if not wanted.texts:
            return Decision(granted=NONE)
        approvals = self.all().get(plugin, ())
        for approval in approvals:
            if approval.digest == digest:
                return Decision(granted=common(wanted, permissions_of(approval.permissions)))
        last = permissions_of(approvals[-1].permissions) if approvals else NONE
        if waiting := missing(wanted, last):
            return Decision(granted=None, waiting=waiting)
        return Decision(granted=wanted)

    def granted(self, plugin: str, asked: Iterable[str], digest: str) -> tuple[str, ...]:
        """Return what the version `digest` of a plugin gets, sorted.

        Raises:
            LoadError: it waits for the operator.
            StateError: the approvals can't be read.

        """
        decision = self.decide(plugin, asked, digest)
        if decision.granted is not None:
            return decision.granted.texts
        raise LoadError(
            Problem(
                where=f"plugin {plugin}",
                what=DUNDER,
                found=f"it {'; it '.join(decision.words)}",
                expected="permissions that the operator has approved",
                advice=f"approve them: flask plugins approve {plugin}",
            )
        )

    def covers(self, plugin: str, granted: Iterable[str], digest: str) -> bool:
        """Tell whether the version `digest` of a plugin may still have what it was granted.

        Raises `StateError`.
        """
        had = permissions_of(granted)
        approvals = self.all().get(plugin, ())
        of_code = [one for one in approvals if one.digest == digest] or approvals[-1:]
        approved = permissions_of(of_code[-1].permissions) if of_code else NONE
        return not missing(had, approved)

    def approve(
        self, plugin: str, permissions: Iterable[str], digest: str, *, version: str, by: str
    ) -> Approval:
        """Approve `permissions` for the version `digest` of a plugin, and for later ones.

        Raises:
            ManifestError: one of the permissions is none.
            StateError: the file can't be read or written.

        """
        approval = Approval(
            digest=digest,
            permissions=permissions_of(permissions).texts,
            version=clean(version, 100),
            by=clean(by, 100),
            at=time.time(),
        )
        with self._folder.lock(_LOCK_SECONDS):
            known = dict(self.all())
            others = [one for one in known.get(plugin, ()) if one.digest != digest]
            known[plugin] = (*others, approval)[-KEPT:]
            self._write(known)
        return approval

    def revoke(self, plugin: str) -> tuple[str, ...]:
        """Forget all approvals of a plugin, and return what they were of, sorted.

        Raises `StateError`.
        """
        with self._folder.lock(_LOCK_SECONDS):
            known = dict(self.all())
            if (gone := known.pop(plugin, None)) is not None:
                self._write(known)
        return tuple(sorted({text for one in gone or () for text in one.permissions}))

    def _write(self, approvals: Mapping[str, tuple[Approval, ...]]) -> None:
        data = {
            "format": FORMAT,
            "approvals": {name: [as_dict(one) for one in ones] for name, ones in approvals.items()},
        }
        content = json.dumps(data, sort_keys=True, indent=1).encode() + b"\n"
        owner: Ownership = self._folder.owner()
        try:
            replace(self._path, content, owner)
        except OSError as error:
            raise refusal(self._path, error) from error


def _parsed(path: Path, content: bytes) -> dict[str, tuple[Approval, ...]]:
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"it isn't JSON ({describe(str(error))})") from error
    match data:
        case {"format": 1, "approvals": dict(plugins), **others} if not others:
            return {name: _approvals(path, name, ones) for name, ones in plugins.items()}
        case {"format": version}:
            raise _unusable(path, f"'format' is {describe(version)}, and this release knows 1")
    raise _unusable(path, "it holds no approvals")


def _approvals(path: Path, name: str, ones: Any) -> tuple[Approval, ...]:
    if type(ones) is not list:
        raise _unusable(path, f"it says {describe(ones)} of {describe(name)}")
    return tuple(_approval(path, name, one) for one in ones)


def _approval(path: Path, name: str, one: Any) -> Approval:
    if type(one) is dict and {key: type(value) for key, value in one.items()} == _MEMBERS:
        try:
            return Approval(**{**one, "permissions": permissions_of(one["permissions"]).texts})
        except PluginError as error:
            raise _unusable(path, f"of {describe(name)}: {error}") from error
    raise _unusable(path, f"an approval of {describe(name)} isn't one")


def _unusable(path: Path, fault: str) -> StateError:
    return StateError(
        f"approvals of plugins can't be read: {path}: {fault}; put back a copy of the file, or "
        "remove it and approve anew"
    )
