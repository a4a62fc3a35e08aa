"""What of the machine an isolated interpreter must be able to read, and nothing more.

These are the folders with libraries of the interpreter's prefix, not the prefix itself: that
of a virtual environment may be the folder in which the host's configuration lies.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from typing import Final

LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store")
"""Where systems keep shared libraries. Without /etc/ld.so.cache these are searched anyway."""

ZONES: Final = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo")
"""Where the standard library looks for time zones, but for the one in /etc."""

DEVICES: Final = ("/dev/null", "/dev/urandom")

PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
"""The folder of this package, of which the worker imports the parts that it needs."""


@cache
def interpreter() -> tuple[str, ...]:
    """Return the folders of the standard library and of installed packages, and our own."""
    paths = sysconfig.get_paths()
    base = (os.path.join(sys.base_prefix, name) for name in ("lib", sys.platlibdir))  # noqa: PTH118
    installed = (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return existing((*base, *installed, *site.getsitepackages(), PACKAGE))


@cache
def machine() -> tuple[str, ...]:
    """Return what isn't the interpreter's: system libraries, time zones, two devices."""
    return existing((*LIBRARIES, *ZONES, *DEVICES))


def existing(paths: Iterable[str]) -> tuple[str, ...]:
    """Return those paths that exist, each as it is named and as it is without links, once."""
    found: dict[str, None] = {}
    for path in paths:
        if os.path.lexists(path):
            found |= {path: None, os.path.realpath(path): None}
    return tuple(path for path in found if os.path.exists(path))  # noqa: PTH110


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that don't lie below another one of them."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not any(below(path, other) for other in found):
            found.append(path)
    return tuple(found)


def below(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or lies in it, by their names alone."""
    return os.path.commonpath((path, folder)) == folder
