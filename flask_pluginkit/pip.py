"""What is installed, and pip as a process of its own.

Packages to install may be named in a form or a file, so a text that pip could take for an
option never reaches it, and no shell is involved.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .exceptions import ParamError, RunError
from .text import clean, describe

COMMAND: Final = (sys.executable, "-m", "pip")

_QUIETLY: Final = ("--disable-pip-version-check", "--no-input", "--no-color")

_PATIENCE: Final = ("--timeout", "10", "--retries", "2")
"""Seconds for a connection, and how often to try again: a start shall fail soon, as in 3.x."""

_OPTION: Final = re.compile(r"(?:^|\s)-")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INDEX: Final = re.compile(r"(?:https?|file)://\S+", re.IGNORECASE)
_EGG: Final = re.compile(r"[#&]egg=(?P<name>\w[\w.-]*)", re.ASCII)


def pip_install(
    pkg: str,
    target_dir: str = "",
    index: str = "",
    upgrade: bool = False,
    quiet: bool = False,
) -> bool:
    """Install the requirement `pkg`, such as ``flask>=3`` or a URL, and tell whether it worked.

    It goes to the folder `target_dir`, else into the virtual environment, else to the user's
    packages. `index` is the URL of a package index to use instead of pip's own choice.

    Raises `ParamError` for a `pkg` that isn't one requirement and for an `index` that isn't a
    URL (to go on without it would ask the public index for what may be a private name), and
    `RunError` if there is no running pip.
    """
    options = ["install", *_QUIETLY, *_PATIENCE, "--progress-bar", "off"]
    if target_dir:
        options.append(f"--target={_plain(target_dir, 'folder')}")
    elif not is_venv():
        options.append("--user")
    if index:
        if not _INDEX.fullmatch(_plain(index, "URL")):
            raise ParamError(f"package index {describe(index)}: expected an http or https URL")
        options.append(f"--index-url={index}")
    if upgrade:
        options.append("--upgrade")
    if quiet:
        options.append("--quiet")
    # what follows the two dashes is no option, whatever it looks like
    command = [*COMMAND, *options, "--", _requirement(pkg)]
    try:
        done = subprocess.run(command, check=False)  # noqa: S603 - see _requirement
    except OSError as error:
        raise RunError(f"pip can't be started: {error}") from error
    return done.returncode == 0


def pip_list(target_dir: str = "") -> dict[str, str]:
    """Return the names and versions of what is installed, with what is in `target_dir`.

    It starts pip, which takes about half a second: `is_installed` answers for one name at once.
    Raises `RunError` if pip fails.
    """
    options = ["list", "--format=json", *_QUIETLY]
    found = _listed(options)
    if target_dir and Path(target_dir).is_dir():
        found |= _listed([*options, f"--path={_plain(target_dir, 'folder')}"])
    return found


def pip_show(pkg: str, target_dir: str = "") -> str | None:
    """Return the version of the installed package `pkg`, None if it isn't there.

    `pkg` may be spelt in any way that pip takes for the same name.
    Raises `ParamError` for what isn't a name, and `RunError` if pip fails.
    """
    name = _normal(_requirement(pkg))
    installed = pip_list(target_dir)
    return next((installed[found] for found in installed if _normal(found) == name), None)


def is_installed(name: str, target_dir: str = "") -> bool:
    """Tell whether the distribution `name` is on the path of this process or in `target_dir`.

    It reads what lies on the disk, without pip.
    """
    if not name:
        return False
    places = [sys.path, [target_dir]] if target_dir else [sys.path]
    return any(
        next(iter(importlib.metadata.distributions(name=name, path=place)), None) is not None
        for place in places
    )


def egg_name(requirement: str) -> str | None:
    """Return NAME of a requirement like ``git+https://host/repository#egg=NAME``, else None."""
    found = _EGG.search(requirement)
    return found["name"] if found else None


def is_venv() -> bool:
    """Tell whether this Python runs in a virtual environment."""
    return sys.prefix != sys.base_prefix


def _requirement(text: object) -> str:
    """Return `text` if pip takes it for one requirement, or raise `ParamError`."""
    requirement = _plain(text, "package")
    if not requirement.strip() or _OPTION.search(requirement):
        raise ParamError(
            f"package {describe(text)}: expected one requirement, such as flask>=3, no option"
        )
    return requirement


def _plain(text: object, what: str) -> str:
    if not isinstance(text, str) or _CONTROL.search(text):
        raise ParamError(f"{what} {describe(text)}: expected a text without control characters")
    return text


def _normal(name: str) -> str:
    """Return the form of `name` in which equal names are equal texts (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(options: Sequence[str]) -> dict[str, str]:
    command = [*COMMAND, *options]
    try:
        done = subprocess.run(  # noqa: S603 - only options of this module
            command, check=True, capture_output=True, text=True
        )
        return {found["name"]: found["version"] for found in json.loads(done.stdout)}
    except subprocess.CalledProcessError as error:
        raise RunError(f"pip list failed: {clean(error.stderr.strip())}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"pip list failed: {clean(error)}") from error
