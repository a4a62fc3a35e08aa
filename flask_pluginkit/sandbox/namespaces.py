"""Namespaces of its own for a process, where the system permits them; never required.

A mount namespace closes what Landlock leaves open: ``stat``, ``readlink`` and ``access`` of the
host's paths. Its root is an empty folder in memory, into which what may be read is mounted
at its old place. The network namespace has no interface, the one of IPC none of the host's
objects. Many distributions and containers refuse them to plain users, as is their right.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import system
from .identity import Identity, assume
from .places import outermost

ENTERED: Final = ("user", "mount", "net", "ipc")

_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNS: Final = 0x0002_0000
_CLONE_NEWNET: Final = 0x4000_0000
_CLONE_NEWIPC: Final = 0x0800_0000
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_PRIVATE: Final = 1 << 18
_MNT_DETACH: Final = 2
_PR_SET_DUMPABLE: Final = 4


def enter(paths: Iterable[str], stage: str) -> tuple[str, ...]:
    """Enter new namespaces in which only these paths exist; returns `ENTERED`.

    `stage` is a folder that this user can reach, neither in nor around one of the paths: the
    new root is built over it, where nobody else sees it. The current folder is the new root.
    Raises OSError if the system refuses; the process is then of no use any more, so `permitted`
    asks first, with another process.
    """
    # Its own files in /proc belong to root since it changed its user.
    system.prctl(_PR_SET_DUMPABLE, 1)
    uid, gid = os.geteuid(), os.getegid()
    system.call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC)
    _write("setgroups", "deny")
    _write("uid_map", f"{uid} {uid} 1")
    _write("gid_map", f"{gid} {gid} 1")
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in outermost(paths)}
    try:
        _mount("tmpfs", stage, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=256k,mode=755")
        for path, source in sources.items():
            _mirror(source, Path(stage + path))
    finally:
        for source in sources.values():
            os.close(source)
    os.chdir(stage)
    dot = ctypes.create_string_buffer(b".")
    # The old root comes to lie over the new one, and is taken away.
    system.call("pivot_root", ctypes.addressof(dot), ctypes.addressof(dot))
    system.call("umount2", ctypes.addressof(dot), _MNT_DETACH)
    os.chdir("/")
    return ENTERED


def permitted(
    paths: Iterable[str], stage: str, identity: Identity | None = None, deadline: float = 5.0
) -> bool:
    """Tell whether `enter` would work here, as a user; tried in a process of its own.

    To be asked once by a process with a single thread, before it forks workers. `deadline` is
    in seconds.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            if identity is not None:
                assume(identity)
            enter(paths, stage)
            status = 0
        except OSError:
            pass
        finally:
            os._exit(status)
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], deadline)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(handle)
    return status == 0


def _mirror(source: int, target: Path) -> None:
    """Mount what an open descriptor names, with all below it, at a place in the new root."""
    # Not the name: another folder may be mounted over it by now.
    name = f"/proc/self/fd/{source}"
    if os.path.isdir(name):  # noqa: PTH112
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(name, str(target), "", _MS_BIND | _MS_REC)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    memory = [
        ctypes.create_string_buffer(os.fsencode(text)) for text in (source, target, kind, options)
    ]
    addresses = [ctypes.addressof(buffer) for buffer in memory]
    try:
        system.call("mount", *addresses[:3], flags, addresses[3])
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from error


def _write(name: str, text: str) -> None:
    Path("/proc/self", name).write_text(text, encoding="ascii")
