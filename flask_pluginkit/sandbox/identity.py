"""The user that an isolated plugin runs as, and the privileges that it gives up.

Where the application runs as root, each plugin gets a user of its own, because Landlock
governs neither who may send signals nor what ``stat`` and ``chmod`` do. A plain user can't
become another one; there the other layers stand alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from . import system
from .kernel import OTHERWISE, WHERE

LINE: Final = 'PLUGINKIT_SANDBOX_UIDS = "30000-30099"'
"""What an operator who runs the application as root has to add to its configuration."""

_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES_VERSION_3: Final = 0x2008_0522
_NOBODY: Final = 65534
_LARGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user and a group of its own."""

    uid: int
    gid: int


def can_become_another() -> bool:
    """Tell whether this process can take any user; root without CAP_SETUID can't."""
    if os.geteuid() != 0:
        return False
    effective = int(system.status().get("CapEff", "0"), 16)
    return all(effective >> capability & 1 for capability in (_CAP_SETGID, _CAP_SETUID))


def parse_uids(text: str) -> range:
    """Return the users of a configured range such as ``30000-30099``.

    Raises SandboxUnavailable if it isn't one, or if one of them belongs to an account.
    """
    first, _, last = (part.strip() for part in text.partition("-"))
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise _unusable_range(text, "not two numbers")
    uids = range(int(first), int(last) + 1)
    if not uids or uids[0] < 1 or uids[-1] > _LARGEST or _NOBODY in uids:
        raise _unusable_range(text, f"empty, or holds 0, {_NOBODY} or more than {_LARGEST}")
    if accounts := [name for name, uid in _accounts() if uid in uids]:
        raise _unusable_range(text, f"used by {', '.join(sorted(accounts)[:5])}")
    return uids


def choose(plugin: str, taken: Mapping[str, int], uids: range | None) -> Identity | None:
    """Return the user for a plugin, None where plugins keep the application's.

    `taken` are the users that plugins have by now: a plugin keeps its own, and no two share
    one. Raises SandboxUnavailable if the application runs as root and has no users to give.
    """
    if not can_become_another():
        return None
    if uids is None:
        raise _unavailable(
            "the application runs as root, and sandbox_uids isn't set",
            "a range of user ids that belong to nobody",
            f"add {LINE} to the configuration",
        )
    kept = taken.get(plugin)
    if kept is not None and kept in uids:
        return Identity(uid=kept, gid=kept)
    used = set(taken.values())
    if (free := next((uid for uid in uids if uid not in used), None)) is None:
        found = f"all {len(uids)} users of sandbox_uids are taken"
        raise _unavailable(found, f"one for {plugin!r}", "make the range larger")
    return Identity(uid=free, gid=free)


def require_readable(paths: Iterable[str], identity: Identity) -> None:
    """Check, before forking, that a user will be able to read what its interpreter consists of.

    Raises SandboxUnavailable that names each path in the way, and the user.
    """
    obstacles = {place for path in paths if (place := obstacle(path, identity)) is not None}
    if obstacles:
        raise SandboxUnavailable(
            [
                Problem(
                    where=WHERE,
                    what="interpreter",
                    found=f"{place} can't be read by uid {identity.uid}",
                    expected="an interpreter and packages that every user can read",
                    advice="make the virtual environment from an interpreter in a "
                    "world-readable place, such as the system's python3 in /srv",
                )
                for place in sorted(obstacles)
            ]
        )


def obstacle(path: str, identity: Identity) -> str | None:
    """Return the first folder on the way to a path, or the path, that a user can't read.

    By owner, group and mode; access control lists aren't looked at. None if there is none.
    """
    for way in dict.fromkeys((path, os.path.realpath(path))):
        parts = way.split("/")
        for length in range(2, len(parts) + 1):
            place = "/".join(parts[:length])
            wanted = 0o5 if length == len(parts) else 0o1
            try:
                found = os.stat(place)  # noqa: PTH116 - the import system's paths are strings
            except OSError:
                return place
            wanted = wanted if stat.S_ISDIR(found.st_mode) else 0o4
            if _bits(found, identity) & wanted != wanted:
                return place
    return None


def assume(identity: Identity) -> None:
    """Become a user for good, without supplementary groups. Raises OSError if that fails."""
    os.setgroups([])
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    users, groups = os.getresuid(), os.getresgid()
    if set(users) != {identity.uid} or set(groups) != {identity.gid} or os.getgroups():
        raise PermissionError(f"still has the users {users} and groups {groups}")


def renounce() -> None:
    """Give up every capability, core dumps, and new privileges, for good.

    Raises OSError if the kernel refuses.
    """
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_VERSION_3, 0), 8)
    sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; twice 32 each
    system.call("capset", ctypes.addressof(header), ctypes.addressof(sets))
    # RLIMIT_CORE doesn't keep the kernel from starting the host's crash handler, this does.
    system.prctl(_PR_SET_DUMPABLE, 0)
    system.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    system.call("capget", ctypes.addressof(header), ctypes.addressof(sets))
    if any(sets.raw):
        raise PermissionError("still has capabilities")


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent's thread ends.

    To be called after the last change of user, which undoes it. Raises ProcessLookupError if
    the parent is gone already.
    """
    system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ProcessLookupError(f"the parent {parent} is gone")


def _bits(found: os.stat_result, identity: Identity) -> int:
    if found.st_uid == identity.uid:
        return found.st_mode >> 6 & 0o7
    return (found.st_mode >> 3 if found.st_gid == identity.gid else found.st_mode) & 0o7


def _accounts() -> list[tuple[str, int]]:
    import pwd  # only Unix has it

    return [(account.pw_name, account.pw_uid) for account in pwd.getpwall()]


def _unusable_range(text: str, why: str) -> SandboxUnavailable:
    expected = "two numbers with a hyphen, of users that belong to nobody"
    return _unavailable(f"sandbox_uids {text!r}: {why}", expected, f"for example {LINE}")


def _unavailable(found: str, expected: str, advice: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        Problem(
            where=WHERE,
            what="user",
            found=found,
            expected=expected,
            advice=f"{advice}, or run the application as a plain user, {OTHERWISE}",
        )
    )
