"""What the running kernel offers, and whether that is enough to isolate a plugin."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from . import landlock, seccomp, system
from .syscalls import Architecture

LOWEST_ABI: Final = 3
"""The first version of Landlock that also stops truncation: Linux 6.2."""

WHERE: Final = "isolated"
"""The `where` of every problem of this package: the level that can't be had."""

OTHERWISE: Final = "or run the plugin at a lower level, which doesn't confine it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What isolation builds on; tests make one that offers less than the machine's."""

    architecture: Architecture | None
    """None where neither the tables nor the filter know it."""
    landlock: int
    """The version (ABI) of Landlock, 0 if the kernel has none or doesn't use it."""
    seccomp: bool
    """Whether filters of system calls are there."""
    system: str = "linux"
    """The operating system, as `sys.platform` has it."""


def detect() -> Kernel:
    """Return what this machine's kernel offers."""
    machine = system.architecture()
    if machine is None:
        return Kernel(architecture=None, landlock=0, seccomp=False, system=sys.platform)
    return Kernel(
        architecture=machine,
        landlock=landlock.version(),
        seccomp=seccomp.available(),
        system=sys.platform,
    )


def require(kernel: Kernel) -> Architecture:
    """Return the architecture of a kernel that can isolate.

    Raises SandboxUnavailable with everything that is missing.
    """
    problems = lacks(kernel)
    if problems or kernel.architecture is None:
        raise SandboxUnavailable(problems)
    return kernel.architecture


def lacks(kernel: Kernel) -> tuple[Problem, ...]:
    """Return everything that a kernel lacks for isolation; nothing if it can isolate."""
    if kernel.system != "linux":
        return (
            _problem("operating system", kernel.system, "Linux 6.2 or later", "run it on Linux"),
        )
    if kernel.architecture is None:
        found = f"not one of {', '.join(Architecture)} with a 64-bit interpreter"
        return (_problem("machine", found, "one of them", "run it on such a machine"),)
    problems = []
    if kernel.landlock < LOWEST_ABI:
        found = f"ABI {kernel.landlock}" if kernel.landlock else "none"
        advice = (
            "update the kernel"
            if kernel.landlock
            else "boot a kernel that has CONFIG_SECURITY_LANDLOCK with landlock in its lsm= list, "
            "and let a container's own filter pass the calls 444 to 446"
        )
        problems.append(
            _problem("Landlock", found, f"ABI {LOWEST_ABI} or later (Linux 6.2)", advice)
        )
    if not kernel.seccomp:
        problems.append(
            _problem(
                "seccomp",
                "no filters of system calls",
                "filters with SECCOMP_RET_KILL_PROCESS (Linux 4.14)",
                "boot a kernel that has CONFIG_SECCOMP_FILTER, and let a container's own filter "
                "pass the call seccomp",
            )
        )
    return tuple(problems)


def _problem(what: str, found: str, expected: str, advice: str) -> Problem:
    return Problem(
        where=WHERE, what=what, found=found, expected=expected, advice=f"{advice}, {OTHERWISE}"
    )
