"""What a confined process can use up, and the environment that it starts with."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from . import system
from .kernel import WHERE

MIB: Final = 1024 * 1024

OOM_SCORE: Final = 1000
"""When memory is short the kernel ends the process with the highest score first."""
NICENESS: Final = 10
"""When processors are short the host's own processes come first."""
ARENAS: Final = 2
"""glibc reserves 64 MB of addresses for each arena, and would make 8 for each processor."""

NAMES: Final = frozenset({"HOME", "LANG", "LC_ALL", "MALLOC_ARENA_MAX", "PATH", "TMPDIR", "TZ"})
"""The variables that a process to be confined may have been started with."""

_M_ARENA_MAX: Final = -8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one process may have; sizes in bytes. Raises ValueError for what can't be."""

    address_space: int = 512 * MIB
    """All that is mapped, shared memory included (RLIMIT_AS)."""
    data: int = 256 * MIB
    """What is written to and private (RLIMIT_DATA)."""
    descriptors: int = 64
    """Open files and sockets (RLIMIT_NOFILE)."""
    file_size: int = 16 * MIB
    """The largest file that can be written (RLIMIT_FSIZE)."""
    tasks: int = 64
    """Threads of all processes of the user; only if it has a user of its own (RLIMIT_NPROC)."""
    thread_stack: int = 512 * 1024
    """The stack of each new thread."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if (value := getattr(self, name)) <= 0:
                raise ValueError(f"{name} is {value}, expected more than 0")
        if self.thread_stack % 4096 or self.thread_stack < 32 * 1024:
            raise ValueError(f"thread_stack is {self.thread_stack}, expected 32 KiB or more pages")


def environment(home: str | None = None) -> dict[str, str]:
    """Return the environment to start an interpreter with whose forks will be confined.

    It holds nothing of the host's but the time zone. `home` is the folder for what the
    process writes, None if it has none.
    """
    zone = {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
    place = {"HOME": home, "TMPDIR": home} if home is not None else {"HOME": "/"}
    base = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": str(ARENAS)}
    return {**base, **place, **zone}


def clean_environment(home: str | None) -> None:
    """Replace this process' environment, and what was derived from it.

    Raises SandboxUnavailable if the process was started with other variables than `NAMES`:
    those stay in its memory, whatever becomes of the environment.
    """
    started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    others = {os.fsdecode(entry.partition(b"=")[0]) for entry in started_with if entry} - NAMES
    if others:
        raise SandboxUnavailable(
            Problem(
                where=WHERE,
                what="environment",
                found=f"started with {', '.join(sorted(others))}",
                expected=f"at most {', '.join(sorted(NAMES))}",
                advice="start the interpreter with sandbox.limits.environment()",
            )
        )
    wanted = environment(home)
    os.environ.clear()
    os.environ.update(wanted)
    tempfile.tempdir = home
    time.tzset()  # the zone's file can't be read later
    sys.dont_write_bytecode = True


def defer_to_host() -> Iterator[str]:
    """Let shortage of memory and processors hit this process first; yields what couldn't be.

    To be called as the user that the host runs as: another one can't open the first file.
    """
    try:
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")
    except OSError as error:
        yield f"the kernel may end another process when memory is short: {error}"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError as error:
        yield f"it competes with the host for processors: {error}"


def apply(limits: Limits, *, own_user: bool) -> None:
    """Limit this process for good: soft and hard limits, and the C library's arenas.

    Raises OSError or ValueError if the kernel refuses.
    """
    import resource  # only Unix has it

    for kind, wanted in _values(limits, own_user=own_user).items():
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
    threading.stack_size(limits.thread_stack)
    os.umask(0o077)
    mallopt = getattr(system.libc(), "mallopt", None)  # musl has neither it nor arenas
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def _values(limits: Limits, *, own_user: bool) -> Mapping[int, int]:
    import resource

    values = {
        resource.RLIMIT_AS: limits.address_space,
        # alone it misses shared mappings
        resource.RLIMIT_DATA: limits.data,
        resource.RLIMIT_NOFILE: limits.descriptors,
        resource.RLIMIT_FSIZE: limits.file_size,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    # A user's other processes count too: the host's own, if it has no user of its own.
    return values | {resource.RLIMIT_NPROC: limits.tasks} if own_user else values
