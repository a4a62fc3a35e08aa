"""What is left of a plugin that ran in a process of its own: what it stored, and its folder.

It stays when the plugin is removed, as it may come back. Whoever forgets a plugin removes it. The
user that it ran as stays its own for ever: files of it may lie elsewhere, and no other plugin
is to have them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import StateError
from flask_pluginkit.frozen import Frozen

FILES: Final = "sandbox-files"
"""The folder in the control folder with plugins' own folders, unless the operator names one."""
STORAGE: Final = "sandbox-storage"
"""The folder in the control folder with what plugins store."""


class Remains(Frozen, kw_only=False):
    """One folder that is left of a plugin."""

    what: str
    """In words."""
    folder: Path
    files: int
    """How many files are in it."""


def remains_of(control: Path, homes: Path | None, plugin: str) -> tuple[Remains, ...]:
    """Return what is left of a plugin, nothing where nothing is.

    Args:
        control: the application's control folder.
        homes: the folder with plugins' own folders; None for the one in `control`.
        plugin: its name.

    """
    if plugin in {"", ".", ".."} or any(sign in plugin for sign in ("/", os.sep, "\0")):
        return ()
    places = {
        "what it stored": control / STORAGE / plugin,
        "its folder": (homes or control / FILES) / plugin,
    }
    return tuple(
        Remains(what, folder, sum(len(files) for _, _, files in os.walk(folder)))
        for what, folder in places.items()
        if folder.is_dir() and not folder.is_symlink()
    )


def remove(remains: tuple[Remains, ...]) -> None:
    """Remove these folders, following no links in them. Raises `StateError`."""
    for each in remains:
        try:
            shutil.rmtree(each.folder)
        except OSError as error:
            place = error.filename or each.folder
            raise StateError(f"{place} can't be removed: {error.strerror}") from error
