"""What lies where plugins are looked for and isn't taken for one, and why not."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from flask_pluginkit.finding import INIT
from flask_pluginkit.source import names_a_plugin
from flask_pluginkit.text import clean

PASSED_OVER: Final = "passed over"

ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".egg")

NESTED_LOOKS: Final = 200
"""How many folders are looked into for a plugin that lies too deep."""

_NOT_PLUGINS: Final = frozenset({"static", "templates"})

_REMAINS: Final = frozenset({"__pycache__", "DISABLED", "ENABLED"})


class Seen(NamedTuple):
    """Something in a place, and what was made of it. All texts are printable."""

    label: str
    """Its name there."""
    verdict: str
    """A plugin's status, or `PASSED_OVER`, `REFUSED`, `FOUND` or `ELSEWHERE`."""
    remark: str = ""
    advice: str = ""
    plugin: str = ""
    """The plugin's name, if it is one."""


def passed_over(path: Path, label: str) -> Seen | None:
    """Say why something isn't taken for a plugin, None if nobody would think that it is one."""
    if path.is_file():
        return _file(path, label)
    if label.startswith((".", "__")):
        if not (path / INIT).is_file():
            return None
        begin = "a dot" if label.startswith(".") else "two underscores"
        return Seen(label, PASSED_OVER, f"its name begins with {begin}", "rename it")
    if label in _NOT_PLUGINS or label.endswith((".dist-info", ".egg-info")):
        return None
    return _folder(path, label)


def _folder(path: Path, label: str) -> Seen:
    """Say why a folder isn't taken for a plugin: it has no ``__init__.py``."""
    try:
        remains = set(os.listdir(path))  # noqa: PTH208 - a name is all that is needed
    except OSError as error:
        return Seen(label, PASSED_OVER, f"it can't be read: {clean(error.strerror)}")
    if remains and remains <= _REMAINS:
        return Seen(label, PASSED_OVER, "what a plugin left behind when it was removed")
    if nested := nested_plugin(path):
        remark = f"no {INIT} in it, but a plugin lies deeper: {clean(nested.relative_to(path))}"
        return Seen(label, PASSED_OVER, remark, f"move {clean(nested)} to {clean(path.parent)}")
    advice = f"add {INIT}, and rename it, as names of folders are imported"
    return Seen(label, PASSED_OVER, f"no {INIT} in it, and no name that can be imported", advice)


def _file(path: Path, label: str) -> Seen | None:
    if label.startswith((".", "__")):
        return None
    if label.endswith(".py"):
        folder = clean(path.with_suffix("") / INIT)
        return Seen(label, PASSED_OVER, "a plugin is a folder", f"make it {folder}")
    if label.endswith(ARCHIVES):
        command = f"{sys.executable} -m pip install {label}"
        return Seen(label, PASSED_OVER, "an archive isn't looked into", f"install it: {command}")
    return None


def nested_plugin(folder: Path) -> Path | None:
    """Return a folder below this one whose ``__init__.py`` is that of a plugin, if there is one."""
    for place, folders, files in islice(os.walk(folder), NESTED_LOOKS):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        if INIT in files and names_a_plugin(Path(place) / INIT):
            return Path(place)
    return None
