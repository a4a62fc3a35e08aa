"""What the attacks share: how a row is written down, and system calls without Python between."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Context = dict[str, Any]
"""What the host left in reach: canaries, ports, descriptors, folders."""

Attempt = Callable[[Context], object]
"""Raises what stopped it; anything returned is what the attacker got."""

LANDLOCK = "Landlock"
SECCOMP = "seccomp"
RLIMITS = "rlimits"
DESCRIPTORS = "descriptors closed before"
PROCESS = "a process of its own"
NAMESPACES = "mount namespace"

# what each layer answers
ANSWERS = {
    LANDLOCK: ("EACCES", "EXDEV"),
    SECCOMP: ("EPERM", "ENOSYS", "SIGSYS"),
    RLIMITS: ("MemoryError", "RuntimeError", "ENOMEM", "EAGAIN", "EMFILE", "EFBIG"),
    DESCRIPTORS: ("EBADF",),
    PROCESS: ("Unharmed",),
    NAMESPACES: ("ENOENT",),
}


X86 = ("x86_64",)


class Unharmed(Exception):  # noqa: N818 - nothing went wrong
    """An attack did what it wanted, to nobody but itself."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One row: what is tried, and which layer is to stop it."""

    name: str
    attempt: Attempt
    layer: str
    machines: tuple[str, ...]
    """Where there is such a way in at all."""
    namespaced: bool
    """Whether only a namespace of its own stops it, so that it isn't run without one."""


def row(
    layer: str,
    name: str,
    attempt: Attempt,
    *,
    machines: tuple[str, ...] = ("x86_64", "aarch64"),
    namespaced: bool = False,
) -> Attack:
    """One row of a table."""
    return Attack(name=name, attempt=attempt, layer=layer, machines=machines, namespaced=namespaced)


def raw_row(name: str, number: tuple[int, int], *arguments: int) -> Attack:
    """A row whose attempt is one system call, which the filter stops before it is looked at."""
    return row(SECCOMP, name, lambda _: raw(number, *arguments))


def table(*attacks: Attack) -> dict[str, Attack]:
    """The rows by name, each name once."""
    rows = {attack.name: attack for attack in attacks}
    assert len(rows) == len(attacks)
    return rows


def secret(it: Context) -> str:
    """A file of the host that every user may read and write."""
    return str(it["canaries"]["file"])


def beside_secret(it: Context, name: str = "") -> str:
    """The folder of the host's secret, or a name in it."""
    return f"{it['canaries']['folder']}/{name}".rstrip("/")


def own_code(it: Context) -> str:
    """A file of the plugin's own code."""
    return f"{it['code']}/{Path(__file__).name}"


def own_data(it: Context, name: str) -> str:
    """A name in the plugin's own folder."""
    return f"{it['data']}/{name}"


def opened(path: str, flags: int = os.O_RDONLY) -> str:
    """Open a file as an attacker would; what is in it is the prey."""
    descriptor = os.open(path, flags)
    try:
        return f"opened {path}: {os.read(descriptor, 20)!r}" if flags == os.O_RDONLY else path
    finally:
        os.close(descriptor)


def made(path: str) -> str:
    """Make a file; it is removed again, as its having been there is enough."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    Path(path).unlink()
    return f"made {path}"


def raw(number: tuple[int, int], *arguments: int) -> int:
    """A system call by its number on x86-64 and on aarch64."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    words = [ctypes.c_ulong(value & (2**64 - 1)) for value in arguments]
    chosen = number[0 if platform.machine() == "x86_64" else 1]
    if (result := library.syscall(ctypes.c_long(chosen), *words)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, errno.errorcode[code])
    return int(result)
