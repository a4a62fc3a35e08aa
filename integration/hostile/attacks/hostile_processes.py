"""Attacks on processes: more of one's own, the host's, other users, and the kernel."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys

from hostile_tools import (
    PROCESS,
    SECCOMP,
    X86,
    Attempt,
    Context,
    Unharmed,
    raw,
    raw_row,
    row,
    table,
)


def forked(_it: Context) -> object:
    """One process more; the child ends at once."""
    if not (child := os.fork()):
        os._exit(0)
    return os.waitpid(child, 0)


def forked_by(number: tuple[int, int], *arguments: int) -> Attempt:
    """A row that forks with a raw call; the child ends at once."""

    def attempt(_it: Context) -> object:
        if not (child := raw(number, *arguments)):
            os._exit(0)
        return os.waitpid(child, 0)

    return attempt


def shell(_it: Context) -> object:
    """`os.system` tells of a failure by its result."""
    if (status := os.system("true")) != 0:
        raise PermissionError(1, f"status {status}")
    return "ran a shell"


def spawned(_it: Context) -> object:
    """A process as the standard library's pools start them."""
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    return process.pid


def entered_by(code: bytes) -> Attempt:
    """A row that runs machine code."""

    def attempt(_it: Context) -> object:
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        return ctypes.CFUNCTYPE(ctypes.c_long)(address)()

    return attempt


def sigio_to_parent(_it: Context) -> object:
    """Have the kernel signal the host when a socket becomes readable."""
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETOWN, os.getppid())
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
    return theirs.send(b"x")


def limited_parent(_it: Context) -> object:
    """Take the host's descriptors away."""
    return resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))


def pinned_parent(_it: Context) -> object:
    """Keep the host on one processor."""
    os.sched_setaffinity(os.getppid(), {0})
    return "pinned"


def slowed_parent(_it: Context) -> object:
    """Give the host the lowest priority."""
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
    return "slowed"


def hastened(_it: Context) -> object:
    """Take the highest priority."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "hastened"


def patched(_it: Context) -> object:
    """Replace what the interpreter itself uses; only this process has it so."""
    import builtins

    builtins.open = builtins.print = lambda *_, **__: "owned"  # type: ignore[assignment]
    sys.modules["flask"] = sys.modules["flask_pluginkit"] = sys.modules[__name__]
    raise Unharmed


def _parent(number: tuple[int, int], *rest: int) -> Attempt:
    """A row that names the parent in its first argument."""
    return lambda _: raw(number, os.getppid(), *rest)


ATTACKS = table(
    row(SECCOMP, "fork", forked),
    row(SECCOMP, "vfork", forked_by((58, 220), 0x4100)),
    row(SECCOMP, "clone as a sibling", forked_by((56, 220), 0x8000 | 17)),
    row(SECCOMP, "clone3", forked_by((435, 435), 0, 0)),
    row(SECCOMP, "exec", lambda _: os.execv("/bin/true", ["true"])),
    row(SECCOMP, "exec of a descriptor", lambda _: raw((322, 281), -1, 0, 0, 0, 0x1000)),
    row(SECCOMP, "subprocess", lambda _: subprocess.run(["/bin/true"], check=True)),
    row(SECCOMP, "posix_spawn", lambda _: os.posix_spawn("/bin/true", ["true"], {})),
    row(SECCOMP, "a shell", shell),
    row(SECCOMP, "multiprocessing", spawned),
    row(SECCOMP, "the 32-bit entry", entered_by(b"\xb8\x14\0\0\0\xcd\x80\xc3"), machines=X86),
    row(SECCOMP, "the x32 entry", lambda _: raw((0x40000027, 0)), machines=X86),
    row(SECCOMP, "ptrace of the parent", lambda _: raw((101, 117), 16, os.getppid(), 0, 0)),
    row(SECCOMP, "reading the parent's memory", _parent((310, 270), 0, 0, 0, 0, 0)),
    row(SECCOMP, "writing the parent's memory", _parent((311, 271), 0, 0, 0, 0, 0)),
    row(SECCOMP, "signalling the parent", lambda _: os.kill(os.getppid(), signal.SIGUSR1)),
    row(
        SECCOMP,
        "signalling the parent's thread",
        lambda _: raw((234, 131), os.getppid(), os.getppid(), 10),
    ),
    row(SECCOMP, "signalling a thread by its id", _parent((200, 130), 10)),
    row(SECCOMP, "queueing the parent a signal", _parent((129, 138), 10, 0)),
    # with the signal that only asks: nothing is to end if this row ever fails
    row(SECCOMP, "signalling all", lambda _: os.kill(-1, 0)),
    row(SECCOMP, "signalling the group", lambda _: os.kill(0, signal.SIGUSR1)),
    row(SECCOMP, "a handle of the parent", lambda _: os.pidfd_open(os.getppid())),
    row(SECCOMP, "a descriptor of the parent", lambda _: raw((438, 438), -1, 0, 0)),
    row(SECCOMP, "a signal by way of a socket", sigio_to_parent),
    row(SECCOMP, "limits of the parent", limited_parent),
    row(SECCOMP, "priority of the parent", slowed_parent),
    row(SECCOMP, "processors of the parent", pinned_parent),
    row(SECCOMP, "own priority", hastened),
    row(SECCOMP, "own limits", lambda _: raw((302, 261), 0, 7, 1, 0)),
    row(SECCOMP, "leaving the session", lambda _: os.setsid()),
    row(SECCOMP, "leaving the group", lambda _: os.setpgid(0, 0)),
    row(SECCOMP, "outliving the parent", lambda _: raw((157, 167), 1, 0, 0, 0, 0)),
    row(SECCOMP, "becoming readable to others", lambda _: raw((157, 167), 4, 1, 0, 0, 0)),
    row(SECCOMP, "becoming root", lambda _: os.setuid(0)),
    row(SECCOMP, "another group", lambda _: os.setgroups([0])),
    row(SECCOMP, "a user namespace", lambda _: raw((272, 97), 0x10000000)),
    row(SECCOMP, "another's namespace", lambda _: raw((308, 268), 0, 0)),
    row(SECCOMP, "another personality", lambda _: raw((135, 92), 0x0040000)),
    raw_row("priority of the parent's disks", (251, 30), 1, 1, 0),
    raw_row("capabilities", (126, 91), 0, 0),
    raw_row("keys of the kernel", (250, 219), 0, -3, 0, 0, 0),
    raw_row("a key of the kernel", (248, 217), 0, 0, 0, 0, -3),
    raw_row("System V shared memory", (29, 194), 0, 4096, 0o1600),
    raw_row("System V semaphores", (64, 190), 0, 1, 0o1600),
    raw_row("System V messages", (68, 186), 0, 0o1600),
    raw_row("a POSIX queue", (240, 180), 0, 0o102, 0, 0),
    raw_row("bpf", (321, 280), 0, 0, 0),
    raw_row("io_uring", (425, 425), 8, 0),
    raw_row("performance counters", (298, 241), 0, 0, -1, -1, 0),
    raw_row("page faults by oneself", (323, 282), 1),
    raw_row("another filter", (317, 277), 1, 0, 0),
    raw_row("another Landlock", (444, 444), 0, 0, 1),
    raw_row("a kernel module", (313, 273), -1, 0, 0),
    raw_row("another kernel", (320, 294), -1, -1, 0, 0, 0),
    raw_row("the clock", (227, 112), 0, 0),
    raw_row("locked memory", (151, 230), 1),
    raw_row("ports of the machine", (173, 999), 0, 1, 1),
    raw_row("an unknown call", (500, 500)),
    row(PROCESS, "monkeypatching builtins", patched),
)
