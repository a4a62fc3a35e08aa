"""Attacks on what a machine has a limited amount of, as far as the process' own limits stop them.

Each stops trying at a bound of its own, so that it is harmless even where no limit holds.
"""

from __future__ import annotations

import mmap
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_tools import RLIMITS, SECCOMP, Attempt, Context, own_data, row, table

MIB = 1024 * 1024
BOUND = 400 * MIB


def repeated(step: Callable[[], object], most: int) -> Attempt:
    """A row that does something again and again, and keeps what it got."""

    def attempt(_it: Context) -> object:
        kept: list[Any] = []
        while len(kept) < most:
            kept.append(step())
        return f"{len(kept)} times"

    return attempt


def threads(_it: Context) -> object:
    """Threads until there are no more; they end with the process."""
    ending = threading.Event()
    try:
        for _ in range(2000):
            threading.Thread(target=ending.wait, daemon=True).start()
    finally:
        ending.set()
    return "2000 threads"


def one_file(it: Context) -> object:
    """A file of 64 MiB, which is written in steps."""
    with Path(own_data(it, "large")).open("wb", buffering=0) as file:
        file.writelines(b"x" * MIB for _ in range(64))
    return "64 MiB"


def reserved(it: Context) -> object:
    """The same without writing."""
    with Path(own_data(it, "reserved")).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 64 * MIB)
    return "64 MiB"


def sparse(it: Context) -> object:
    """The same as a hole."""
    with Path(own_data(it, "sparse")).open("wb") as file:
        os.truncate(file.fileno(), 64 * MIB)
    return "64 MiB"


def shared_map() -> mmap.mmap:
    """Memory that isn't private, and so isn't data."""
    memory = mmap.mmap(-1, 16 * MIB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    memory.write(b"x" * MIB)
    return memory


ATTACKS = table(
    row(RLIMITS, "memory at once", lambda _: len(bytearray(BOUND))),
    row(RLIMITS, "memory bit by bit", repeated(lambda: bytearray(MIB), 400)),
    row(RLIMITS, "memory in small objects", repeated(lambda: [0] * 1000, 60_000)),
    row(RLIMITS, "shared memory", repeated(shared_map, 40)),
    row(SECCOMP, "memory in a file", lambda _: os.memfd_create("x")),
    row(SECCOMP, "huge pages", lambda _: mmap.mmap(-1, 2 * MIB, flags=0x40022)),
    row(SECCOMP, "a fork bomb's first fork", lambda _: os.fork() or os._exit(0)),
    row(RLIMITS, "a bomb of threads", threads),
    row(RLIMITS, "a large file", one_file),
    row(RLIMITS, "a large file reserved", reserved),
    row(RLIMITS, "a large file with a hole", sparse),
    row(RLIMITS, "descriptors of pipes", repeated(os.pipe, 2000)),
    row(RLIMITS, "descriptors of sockets", repeated(socket.socketpair, 2000)),
    row(RLIMITS, "descriptors of a file", repeated(lambda: os.open("/dev/null", 0), 2000)),
)
