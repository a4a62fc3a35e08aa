"""The filter of system calls: an allow-list that the kernel runs before each of them."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from . import bpf, system
from .bpf import Program
from .rules import ALLOWED, DENIED, Null, Rule, Word, checked
from .syscalls import NUMBERS, Architecture

ALLOW: Final = 0x7FFF_0000
"""SECCOMP_RET_ALLOW."""
KILL: Final = 0x8000_0000
"""SECCOMP_RET_KILL_PROCESS."""
ERROR: Final = 0x0005_0000
"""SECCOMP_RET_ERRNO; the error stands in the lower 16 bits."""

AUDIT: Final[Mapping[Architecture, int]] = MappingProxyType(
    {Architecture.X86_64: 0xC000_003E, Architecture.AARCH64: 0xC000_00B7}
)
"""AUDIT_ARCH_*: what a system call says about the way it was entered."""

X32: Final = 0x4000_0000
"""From this number on x86-64 takes the calls of the x32 interface."""

_SET_MODE_FILTER: Final = 1
_GET_ACTION_AVAILABLE: Final = 2
_TSYNC: Final = 1


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def compose(architecture: Architecture, process: int) -> bytes:
    """Return the filter for a process with this id, as an array of ``struct sock_filter``.

    Calls with rules come first: for those that are allowed or refused whatever their
    arguments are the kernel remembers the answer and doesn't run the filter at all.
    """
    numbers = NUMBERS[architecture]
    program = Program()
    _kill_foreign(program, architecture)
    for name, rule in checked(process).items():
        if name in numbers:
            _apply(program, name, numbers[name], rule)
    # jumps are relative, so the two halves need not know of each other
    return program.assemble() + without_arguments(architecture)


@cache
def without_arguments(architecture: Architecture) -> bytes:
    """Return the end of every filter: calls that are answered whatever their arguments are."""
    numbers = NUMBERS[architecture]
    program = Program()
    for names, action in ((ALLOWED, ALLOW), (DENIED, ERROR | errno.EPERM)):
        for number in sorted(numbers[name] for name in names & numbers.keys()):
            program.jump(bpf.IF_EQUAL, number, otherwise=f"not {number}")
            program.give(action)
            program.label(f"not {number}")
    program.give(ERROR | errno.ENOSYS)
    return program.assemble()


def available() -> bool:
    """Tell whether the kernel has filters that can kill a process."""
    action = ctypes.c_uint32(KILL)
    try:
        system.call("seccomp", _GET_ACTION_AVAILABLE, 0, ctypes.addressof(action))
    except OSError:
        return False
    return True


def install(architecture: Architecture, process: int) -> None:
    """Filter the calls of all threads of this process from now on, for good.

    PR_SET_NO_NEW_PRIVS must be set. Raises OSError if the kernel refuses.
    """
    code = compose(architecture, process)
    memory = ctypes.create_string_buffer(code, len(code))
    filter_program = _FilterProgram(len(code) // 8, ctypes.addressof(memory))
    thread = system.call("seccomp", _SET_MODE_FILTER, _TSYNC, ctypes.addressof(filter_program))
    if thread:
        raise OSError(errno.EBUSY, f"thread {thread} has another filter and can't take this one")


def _kill_foreign(program: Program, architecture: Architecture) -> None:
    """End the process at a call through another door, where numbers mean something else."""
    program.load(bpf.ARCHITECTURE)
    program.jump(bpf.IF_EQUAL, AUDIT[architecture], then="native")
    program.give(KILL)
    program.label("native")
    program.load(bpf.NUMBER)
    if architecture is Architecture.X86_64:
        program.jump(bpf.IF_AT_LEAST, X32, otherwise="not x32")
        program.give(KILL)
        program.label("not x32")


def _apply(program: Program, name: str, number: int, rule: Rule) -> None:
    program.jump(bpf.IF_EQUAL, number, otherwise=f"after {name}")
    for index, conditions in enumerate(rule.alternatives):
        failed = f"{name} {index} failed"
        for place, condition in enumerate(conditions):
            if isinstance(condition, Word):
                _require_word(program, condition, f"{name} {index} {place}", failed)
            else:
                _require_null(program, condition, failed)
        program.give(ALLOW)
        program.label(failed)
    program.give(ERROR | rule.otherwise)
    program.label(f"after {name}")


def _require_word(program: Program, condition: Word, prefix: str, failed: str) -> None:
    program.load(bpf.low_word(condition.argument))
    if condition.mask != 0xFFFF_FFFF:
        program.mask(condition.mask)
    for value in condition.values[:-1]:
        program.jump(bpf.IF_EQUAL, value, then=f"{prefix} holds")
    program.jump(bpf.IF_EQUAL, condition.values[-1], otherwise=failed)
    program.label(f"{prefix} holds")


def _require_null(program: Program, condition: Null, failed: str) -> None:
    for offset in (bpf.low_word(condition.argument), bpf.high_word(condition.argument)):
        program.load(offset)
        program.jump(bpf.IF_EQUAL, 0, otherwise=failed)
