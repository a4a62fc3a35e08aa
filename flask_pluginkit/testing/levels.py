"""The levels of isolation that this machine has, and why it lacks others."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import MissingExtraError

UIDS: Final = "30000-30099"
"""Users for isolated plugins, where tests run as root and nobody says others."""

PYTHONS: Final = ("/usr/bin", "/usr/local/bin")
"""Where an interpreter is looked for that everybody can read."""

_VERSION: Final = "import sys; print(sys.version_info[:2])"


@cache
def obstacle(level: str) -> str:
    """Return why plugins can't run at a level on this machine, empty if they can."""
    if level == "trusted":
        return ""
    if os.name != "posix":
        return f"plugins in processes of their own need a POSIX system, and this is {sys.platform}"
    from flask_pluginkit.isolation.conditions import require_extra

    try:
        require_extra()
    except MissingExtraError as error:
        return str(error)
    return _kernel() or _reading() if level == "isolated" else ""


def _kernel() -> str:
    from flask_pluginkit.sandbox import kernel

    return "; ".join(map(str, kernel.lacks(kernel.detect())))


def _reading() -> str:
    """Return what a plugin's own user couldn't read, where it is to have one."""
    from flask_pluginkit.isolation.processes.launch import dependency_folders
    from flask_pluginkit.sandbox import identity

    if not identity.can_become_another():
        return ""
    if python() is None:
        return (
            f"tests run as root, and {sys.executable} can't be read by the users of plugins: use "
            "an interpreter below /usr, or run tests as a plain user"
        )
    someone = identity.Identity(uid=_first(), gid=_first())
    for folder in (str(Path(__file__).parents[1]), *dependency_folders()):
        if (place := identity.obstacle(folder, someone)) is not None:
            return f"tests run as root, and {place} can't be read by the users of plugins"
    return ""


@cache
def python() -> str | None:
    """Return an interpreter of this version that users of plugins can read, None without one.

    An empty text is the one that runs this.
    """
    from flask_pluginkit.sandbox import identity

    if not identity.can_become_another() or _can_run(sys.executable):
        return ""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return next((path for folder in PYTHONS if _can_run(path := f"{folder}/{name}")), None)


def _can_run(path: str) -> bool:
    """Tell whether a plugin's user can run an interpreter, and it is of the right version."""
    user = _first()
    try:
        done = subprocess.run(  # noqa: S603 - interpreters of this machine
            [path, "-I", "-c", _VERSION],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env={},
            user=user,
            group=user,
            extra_groups=[],
        )
    except OSError:
        return False
    return done.stdout.strip() == str(sys.version_info[:2])


def _first() -> int:
    return int(UIDS.partition("-")[0])
