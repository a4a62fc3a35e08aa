"""The kernel as this package sees it: what it offers, and calls that Python has no function for."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from functools import cache

from .syscalls import NUMBERS, Architecture


def architecture() -> Architecture | None:
    """Return the machine's architecture if this process speaks its 64-bit interface."""
    machine = platform.machine()
    if sys.platform != "linux" or sys.maxsize <= 2**32 or machine not in set(Architecture):
        return None
    return Architecture(machine)


def call(name: str, *arguments: int) -> int:
    """Make a system call; numbers and addresses of memory that the caller keeps alive.

    Raises OSError with the kernel's error; ENOSYS also where no number is known.
    """
    if (machine := architecture()) is None or name not in NUMBERS[machine]:
        raise OSError(errno.ENOSYS, f"{name}: no number is known on this machine")
    # each as wide as a register: ctypes would hand a plain int over as 32 bits
    words = [ctypes.c_ulong(argument & 0xFFFF_FFFF_FFFF_FFFF) for argument in arguments]
    library = libc()
    ctypes.set_errno(0)
    result: int = library.syscall(ctypes.c_long(NUMBERS[machine][name]), *words)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


@cache
def libc() -> ctypes.CDLL:
    """Return the C library that the interpreter runs on (glibc or musl)."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def prctl(option: int, value: int) -> int:
    """Make a ``prctl`` call with one argument; raises OSError."""
    return call("prctl", option, value, 0, 0, 0)


def threads() -> int:
    """Return how many threads this process has, those of C libraries included.

    Raises OSError where /proc isn't mounted.
    """
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - its length is all that counts


def status() -> dict[str, str]:
    """Return the fields of ``/proc/self/status``; raises OSError where /proc isn't mounted."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        fields = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in fields}
