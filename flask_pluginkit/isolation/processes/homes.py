"""What belongs to a plugin from one start to the next: its user, its folder, what it may fill."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask_pluginkit.durable import Ownership, make_folder, replace
from flask_pluginkit.exceptions import Problem, RunError, SandboxUnavailable
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.sandbox import identity
from flask_pluginkit.sandbox.identity import Identity

USERS: Final = "sandbox-users.json"
DEEPEST: Final = 32
"""Folders in folders: deeper ones could hide from whoever looks by path."""
INODES: Final = 10_000
"""Files and folders of a plugin whose spec doesn't say."""
_BLOCK: Final = 512
"""Bytes of a block in ``st_blocks``, whatever the file system's own blocks are."""


class Users:
    """Which plugin has which user; kept in the control folder, as files belong to them."""

    def __init__(self, control: Path, uids: range | None) -> None:
        self._path = control / USERS
        self._uids = uids

    def of(self, plugin: str) -> Identity | None:
        """Return the user of a plugin, None where it keeps the application's.

        Raises SandboxUnavailable if there is none, OSError if it can't be written down.
        """
        taken = self._read()
        found = identity.choose(plugin, taken, self._uids)
        if found is not None and taken.get(plugin) != found.uid:
            content = json.dumps({**taken, plugin: found.uid}, indent=1).encode()
            replace(self._path, content, Ownership.private(self._path.parent.stat()))
        return found

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise RunError(f"{self._path} is damaged ({error}): restore or remove it") from error
        if not isinstance(found, dict):
            raise RunError(f"{self._path} is damaged: restore or remove it")
        return {str(name): uid for name, uid in found.items() if isinstance(uid, int)}


def make_home(folder: Path, plugin: str, user: Identity | None) -> str:
    """Return the plugin's own folder below `folder`, made if it is missing, of its user.

    Raises SandboxUnavailable if its user can't reach it, OSError if it can't be made.
    """
    home = Path(os.path.realpath(folder)) / plugin
    if not home.parent.is_dir():
        make_folder(home.parent)
        if user is not None:
            home.parent.chmod(0o711)  # each of them enters its own, and sees no other's name
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    if not stat.S_ISDIR(home.lstat().st_mode):
        raise NotADirectoryError(20, "is a link or a file", str(home))
    if user is not None:
        os.chown(home, user.uid, user.gid, follow_symlinks=False)
        if (place := identity.obstacle(str(home), user)) is not None:
            raise SandboxUnavailable(
                Problem(
                    where="isolated",
                    what="own folder",
                    found=f"{place} can't be entered by uid {user.uid}",
                    expected="a folder below ones that everybody may enter",
                    advice="let PLUGINKIT_SANDBOX_HOMES name one, such as /var/lib/site/plugins",
                )
            )
    return str(home)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a folder holds."""

    size: int
    """Bytes on the disk."""
    inodes: int
    """Files and folders."""
    is_too_deep: bool = False


def excess(home: str, spec: Spec, pid: int = 0) -> str:
    """Return how a plugin has more than it may; empty if it hasn't."""
    limit = spec.inodes or INODES
    usage = measured(home, limit, pid)
    if usage.is_too_deep:
        return f"its folder {home} has more than {DEEPEST} folders in folders"
    if usage.inodes > limit:
        return f"its folder {home} holds more than {limit} files and folders"
    if usage.size > spec.files:
        return f"its folder {home} holds {usage.size} bytes, and may hold {spec.files}"
    return ""


def measured(home: str, limit: int, pid: int = 0) -> Usage:
    """Return what a folder holds, looking at no more than about `limit` things.

    Files that a process `pid` has removed and still holds open count too, where it can be
    looked into.
    """
    sizes = dict(_unnamed(pid)) if pid else {}
    inodes, depth = len(sizes), 0
    for depth, found in _walk(home):
        inodes += 1
        sizes[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK
        if inodes > limit or depth > DEEPEST:
            break
    return Usage(size=sum(sizes.values()), inodes=inodes, is_too_deep=depth > DEEPEST)


def _walk(home: str) -> Iterator[tuple[int, os.stat_result]]:
    """Return everything below a folder with its depth; follows no links."""
    waiting = [(0, home)]
    while waiting:
        depth, folder = waiting.pop()
        # what is removed meanwhile counts no more
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    yield depth + 1, found
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append((depth + 1, entry.path))


def _unnamed(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                found = entry.stat()
                if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                    yield (found.st_dev, found.st_ino), found.st_blocks * _BLOCK
