"""Attacks that a confined process makes on itself, to see that they fail.

Each tries something that works on an ordinary Linux, in a way that does no harm where it
works. A call with senseless arguments tells as much: the filter refuses it with EPERM before
the kernel says what is wrong with them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import system
from .canaries import FILE_MODE, TEXT, Canaries
from .policy import Report

REFUSALS: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS})
"""What the layers answer. Any other error is the kernel's own, that is, no layer stood there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Something that must fail."""

    name: str
    attack: Callable[[Canaries], object]
    """Raises OSError if it was stopped; leaves nothing behind if it wasn't."""
    outside: bool = False
    """Whether it is about a path that a mount namespace doesn't have."""
    namespaced: bool = False
    """Whether nothing but a mount namespace stops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a probe."""

    probe: str
    stopped: bool
    by: str
    """The name of the error, ``EPERM`` for example, or what happened instead."""


def tried(probe: Probe, report: Report) -> Outcome | None:
    """Run a probe; None if what it is about was never promised here."""
    if probe.namespaced and not report.namespaces:
        return None
    try:
        probe.attack(report.policy.canaries)
    except OSError as error:
        gone = error.errno == errno.ENOENT and probe.outside and bool(report.namespaces)
        name = errno.errorcode.get(error.errno or 0, str(error))
        return Outcome(probe=probe.name, stopped=error.errno in REFUSALS or gone, by=name)
    return Outcome(probe=probe.name, stopped=False, by="it worked")


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_CLOEXEC))


def _make_in(folder: str) -> None:
    path = f"{folder}/made-by-a-probe"
    _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    Path(path).unlink()


def _list(folder: str) -> None:
    next(Path(folder).iterdir(), None)


def _fork(_canaries: Canaries) -> None:
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)


def _old_fork(_canaries: Canaries) -> None:
    if not (child := system.call("fork")):
        os._exit(0)
    os.waitpid(child, 0)


def _clone3(_canaries: Canaries) -> None:
    system.call("clone3", 0, 0)


def _socket(family: int, kind: int) -> Callable[[Canaries], None]:
    def attack(_canaries: Canaries) -> None:
        socket.socket(family, kind).close()

    return attack


def _datagram_pair(_canaries: Canaries) -> None:
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        end.close()


def _connect(canaries: Canaries) -> None:
    # an end of a pair, as there is no other way to a socket
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.connect(canaries.socket)


def _send_descriptor(_canaries: Canaries) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendmsg([b"x"])


def _limits_of_parent(_canaries: Canaries) -> None:
    import resource  # only Unix has it

    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)


def _raw(name: str, *arguments: int) -> Probe:
    def attack(_canaries: Canaries) -> None:
        system.call(name, *arguments)

    return Probe(name=name, attack=attack)


_MINUS_ONE: Final = 2**64 - 1

HOSTILE: Final = (
    # files
    Probe(name="read a file", attack=lambda it: _open(it.file, os.O_RDONLY), outside=True),
    Probe(name="write a file", attack=lambda it: _open(it.file, os.O_WRONLY), outside=True),
    Probe(name="truncate a file", attack=lambda it: os.truncate(it.file, len(TEXT)), outside=True),
    Probe(name="list a folder", attack=lambda it: _list(it.folder), outside=True),
    Probe(name="list the root", attack=lambda _: _list("/")),
    Probe(name="make a file", attack=lambda it: _make_in(it.folder), outside=True),
    Probe(name="read /proc", attack=lambda _: _open("/proc/self/environ", 0), outside=True),
    Probe(
        name="look at a file", attack=lambda it: Path(it.file).stat(), outside=True, namespaced=True
    ),
    Probe(name="chmod", attack=lambda it: Path(it.file).chmod(FILE_MODE)),
    _raw("fchmod", _MINUS_ONE, 0),
    Probe(name="chown", attack=lambda it: os.chown(it.file, -1, -1)),
    Probe(name="utime", attack=lambda it: os.utime(it.file)),
    # the network
    Probe(name="TCP", attack=_socket(socket.AF_INET, socket.SOCK_STREAM)),
    Probe(name="UDP", attack=_socket(socket.AF_INET, socket.SOCK_DGRAM)),
    Probe(name="Unix socket", attack=_socket(socket.AF_UNIX, socket.SOCK_STREAM)),
    Probe(name="netlink", attack=_socket(16, socket.SOCK_RAW)),
    Probe(name="connect to a socket", attack=_connect),
    Probe(name="datagram socketpair", attack=_datagram_pair),
    Probe(name="sendmsg", attack=_send_descriptor),
    _raw("bind", _MINUS_ONE, 0, 0),
    # processes
    Probe(name="fork", attack=_fork),
    Probe(name="fork by its old number", attack=_old_fork),
    Probe(name="clone3", attack=_clone3),
    _raw("execve", 0, 0, 0),
    Probe(name="signal the parent", attack=lambda _: os.kill(os.getppid(), 0)),
    Probe(name="signal the group", attack=lambda _: os.kill(0, 0)),
    _raw("setpriority", _MINUS_ONE, 0, 0),
    Probe(name="limits of the parent", attack=_limits_of_parent),
    _raw("ptrace", 2, _MINUS_ONE, 0, 0),
    _raw("process_vm_readv", _MINUS_ONE, 0, 0, 0, 0, 0),
    _raw("pidfd_open", _MINUS_ONE, 0),
    _raw("unshare", 0),
    _raw("setns", _MINUS_ONE, 0),
    # the kernel's corners
    Probe(name="memfd_create", attack=lambda _: os.close(os.memfd_create("probe"))),
    _raw("userfaultfd", _MINUS_ONE),
    _raw("bpf", _MINUS_ONE, 0, 0),
    _raw("io_uring_setup", 0, 0),
    _raw("perf_event_open", 0, 0, 0, 0, 0),
    _raw("keyctl", _MINUS_ONE, 0, 0, 0, 0),
    _raw("shmget", 0, 0, 0),
    _raw("mq_unlink", 0),
    _raw("inotify_init1", _MINUS_ONE),
    _raw("symlinkat", 0, 0, 0),
    _raw("linkat", _MINUS_ONE, 0, 0, 0, _MINUS_ONE),
    _raw("seccomp", _MINUS_ONE, 0, 0),
)
"""What must fail before any code of a plugin is imported."""
