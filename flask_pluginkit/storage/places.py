"""Where files of storages lie."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from flask import current_app, has_app_context

from flask_pluginkit.exceptions import ParamError, RunError
from flask_pluginkit.text import describe


def file_of(index: object) -> Path:
    """Return the file that `index` stands for, links resolved, so that all lock the same.

    A text with a folder in it is a path; a plain name is a file in `storage_folder`.
    """
    text = os.fspath(index) if isinstance(index, os.PathLike) else index
    if not isinstance(text, str) or not text or "\0" in text:
        raise ParamError(f"index {describe(index)}: expected a name or a path")
    is_path = os.sep in text or (os.altsep is not None and os.altsep in text)
    path = Path(text) if is_path else storage_folder() / f"{text}.json"
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.12
        raise RunError(f"the storage {path} can't be found: {error}") from error


def storage_folder() -> Path:
    """Return the folder of storages that are named, not placed.

    It is ``pluginkit`` in the instance folder of the current application, or, outside of
    application contexts, ``flask_pluginkit`` in the user's folder for such data.
    """
    if has_app_context():
        return Path(current_app.instance_path) / "pluginkit"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise RunError(
            "this user has no home folder for storages: give the storage a path, or use it in "
            "an application context"
        ) from error
    return user_state_folder(sys.platform, os.environ, home) / "flask_pluginkit"


def user_state_folder(platform: str, environ: Mapping[str, str], home: Path) -> Path:
    """Return where programs keep what they remember for a user.

    After the XDG Base Directory Specification (a relative path there is to be ignored), and
    after what Windows and macOS ask for.
    """
    if platform == "darwin":
        return home / "Library" / "Application Support"
    variable, usual = "XDG_STATE_HOME", home / ".local" / "state"
    if platform == "win32":
        variable, usual = "LOCALAPPDATA", home / "AppData" / "Local"
    chosen = Path(environ.get(variable, ""))
    return chosen if chosen.is_absolute() else usual
