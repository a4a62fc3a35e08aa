"""Trees of plugins in the file system, and a process that forgets them afterwards."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from flask_pluginkit.importing import FINDER
from flask_pluginkit.loading import forget

REGISTER = """
def register():
    return {}
"""
"""The least that a plugin's body needs; one of your own may be put before it."""


def write_plugin(
    folder: Path,
    name: str,
    body: str = REGISTER,
    *,
    files: Mapping[str, str] | None = None,
    **dunders: object,
) -> Path:
    """Write a plugin called `name` below `folder` (made if missing) and return its folder.

    `body` stands below the dunders in ``__init__.py``. `dunders` are named without their
    underscores (``version="2.0.0"``) and add to or replace a name equal to `name`, version
    1.0.0 and an author; None leaves one out. `files` are further ones, by relative path.
    """
    values = {"plugin_name": name, "version": "1.0.0", "author": "Somebody", **dunders}
    lines = [
        f"__{key.strip('_')}__ = {value!r}" for key, value in values.items() if value is not None
    ]
    plugin = folder / name
    plugin.mkdir(parents=True, exist_ok=True)
    # bytecode is looked up by time in seconds and size: it would survive a quick second write
    shutil.rmtree(plugin / "__pycache__", ignore_errors=True)
    write(plugin / "__init__.py", "\n".join([*lines, dedent(body)]))
    for path, text in (files or {}).items():
        write(plugin / path, dedent(text))
    return plugin


def write(path: Path, text: str = "") -> Path:
    """Write a file, and the folders it is in, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_distribution(site: Path, name: str, *plugins: str) -> Path:
    """Write the metadata of a distribution with entry points for `plugins`; return its folder."""
    info = site / f"{name.replace('-', '_')}-1.0.0.dist-info"
    points = "\n".join(f"{plugin.rpartition('.')[2]} = {plugin}" for plugin in plugins)
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n")
    write(info / "entry_points.txt", f"[flask_pluginkit.plugins]\n{points}\n")
    return info


@pytest.fixture
def clean_imports(tmp_path: Path) -> Iterator[None]:
    """Undo what a test does to the import system with anything below its `tmp_path`."""
    path, finders, named = sys.path[:], sys.meta_path[:], set(FINDER.folders)
    before = sys.modules.copy()
    yield
    for name in set(FINDER.folders) - named:
        forget(name)
    new = {name: each for name, each in sys.modules.copy().items() if before.get(name) is not each}
    # first all of them: a namespace asks its parent package where it is
    places = {name: _places(module) for name, module in new.items()}
    for name, found in places.items():
        if any(place.startswith(f"{tmp_path}/") for place in found):
            sys.modules.pop(name, None)
    sys.path[:], sys.meta_path[:] = path, finders
    for place in list(sys.path_importer_cache):
        if place.startswith(str(tmp_path)):
            del sys.path_importer_cache[place]
    importlib.invalidate_caches()


def _places(module: object) -> list[str]:
    """The files and folders that a module was made of."""
    try:
        found = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 - anything can be in sys.modules
        return []
    return [place for place in found if isinstance(place, str)]
