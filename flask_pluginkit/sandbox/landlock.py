"""Landlock: what of the file system and the network this process can reach at all.

A process gives up every right that the kernel's Landlock knows, except those that its rules
name. That holds for the calling thread and what it starts later, and can't be undone. Numbers
and structures are those of include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from . import system


class Access(IntFlag):
    """A right on files below a folder, with the first ABI that knows it."""

    EXECUTE = 1 << 0  # 1
    WRITE_FILE = 1 << 1  # 1
    READ_FILE = 1 << 2  # 1
    READ_DIR = 1 << 3  # 1
    REMOVE_DIR = 1 << 4  # 1
    REMOVE_FILE = 1 << 5  # 1
    MAKE_CHAR = 1 << 6  # 1
    MAKE_DIR = 1 << 7  # 1
    MAKE_REG = 1 << 8  # 1
    MAKE_SOCK = 1 << 9  # 1
    MAKE_FIFO = 1 << 10  # 1
    MAKE_BLOCK = 1 << 11  # 1
    MAKE_SYM = 1 << 12  # 1
    REFER = 1 << 13  # 2
    TRUNCATE = 1 << 14  # 3
    IOCTL_DEV = 1 << 15  # 5
    RESOLVE_UNIX = 1 << 16  # 9


READ: Final = Access.READ_FILE | Access.READ_DIR
"""Read files and list folders. Shared libraries need no right to be executed."""

WRITE: Final = (
    READ
    | Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.MAKE_REG
    | Access.MAKE_DIR
    | Access.REMOVE_FILE
    | Access.REMOVE_DIR
    | Access.REFER
)
"""Make, change and remove ordinary files and folders; nothing that links, pipes or executes."""

_OF_FILES: Final = (
    Access.EXECUTE
    | Access.WRITE_FILE
    | Access.READ_FILE
    | Access.TRUNCATE
    | Access.IOCTL_DEV
    | Access.RESOLVE_UNIX
)
"""The rights that a rule for a single file may name."""

_BIND_AND_CONNECT_TCP: Final = 0b11  # ABI 4
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11  # ABI 6

_CREATE_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
# ABI 7. Otherwise each refusal is a record for the audit daemon, and a plugin that is refused
# in a loop would fill the host's log.
_LOG_SAME_EXEC_OFF: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What may be done with a file, or with everything below a folder."""

    path: str
    access: Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """All that a version of Landlock can refuse, and is therefore told to."""

    files: Access
    network: int
    scopes: int

    def encoded(self) -> bytes:
        """Return as much of ``struct landlock_ruleset_attr`` as an old kernel takes."""
        words = [int(self.files), self.network, self.scopes]
        while len(words) > 1 and not words[-1]:
            words.pop()
        return struct.pack(f"={len(words)}Q", *words)


def handled(abi: int) -> Handled:
    """Return what a version of Landlock can refuse; of later versions what is known here."""
    files = Access((1 << 13) - 1)
    for right, since in (
        (Access.REFER, 2),
        (Access.TRUNCATE, 3),
        (Access.IOCTL_DEV, 5),
        (Access.RESOLVE_UNIX, 9),
    ):
        if abi >= since:
            files |= right
    return Handled(
        files=files,
        network=_BIND_AND_CONNECT_TCP if abi >= 4 else 0,
        scopes=_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )


def rules(readable: Iterable[str], writable: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules for folders and files that may be read, and folders of one's own."""
    return (
        *(Rule(path=path, access=READ) for path in dict.fromkeys(readable)),
        *(Rule(path=path, access=WRITE) for path in dict.fromkeys(writable)),
    )


def version() -> int:
    """Return the running kernel's version (ABI) of Landlock, 0 if there is none in use."""
    try:
        return system.call("landlock_create_ruleset", 0, 0, _CREATE_VERSION)
    except OSError:
        return 0


def restrict(allowed: Iterable[Rule], abi: int) -> None:
    """Give up every right that isn't allowed, for this thread and those that it starts.

    PR_SET_NO_NEW_PRIVS must be set. Raises OSError with the path that a rule names and this
    user can't reach.
    """
    what = handled(abi)
    attributes = what.encoded()
    memory = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = system.call("landlock_create_ruleset", ctypes.addressof(memory), len(attributes), 0)
    try:
        for rule in allowed:
            _add(ruleset, rule, what.files)
        system.call("landlock_restrict_self", ruleset, _LOG_SAME_EXEC_OFF if abi >= 7 else 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, rule: Rule, known: Access) -> None:
    place = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    try:
        access = rule.access & known
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        # struct landlock_path_beneath_attr is packed
        beneath = ctypes.create_string_buffer(struct.pack("=Qi", access, place), 12)
        system.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, ctypes.addressof(beneath), 0)
    except OSError as error:
        raise OSError(error.errno or errno.EINVAL, error.strerror, rule.path) from error
    finally:
        os.close(place)
