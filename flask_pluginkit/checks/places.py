"""Which plugins a path holds: a plugin's folder, a project, or a folder of plugins."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.durable import open_regular
from flask_pluginkit.finding import INIT, NAMESPACE, PROJECT_PLACES
from flask_pluginkit.source import names_a_plugin
from flask_pluginkit.text import clean

from .sources import Fault

PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")

LARGEST_PROJECT_FILE: Final = 256 * 1024

MOST_PLUGINS: Final = 200

_MOST_ENTRIES: Final = 10_000

_NO_PLUGINS: Final = frozenset({"static", "templates", "tests", "docs", "build", "dist"})
_BELOW: Final = ((*PROJECT_PLACES, "plugins"), ("src",), (".",))
"""Folders of a project in which plugins are looked for; by turns, until one has any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What stands around plugins: a folder with a ``pyproject.toml`` or ``setup.py``."""

    folder: Path
    shown: str
    data: Mapping[str, Any]
    """The contents of ``pyproject.toml``."""
    has_pyproject: bool
    text: str = ""
    """The text of ``pyproject.toml``."""
    setup: str = ""
    """The text of ``setup.py``."""

    @property
    def project(self) -> Mapping[str, Any]:
        """The table ``[project]``."""
        return _table(self.data, "project")

    @property
    def is_private(self) -> bool:
        """Tell whether the project says that nobody shall publish it."""
        found = self.project.get("classifiers")
        rows = found if isinstance(found, list) else []
        return any(isinstance(row, str) and row.startswith("Private ::") for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One plugin's folder."""

    folder: Path
    shown: str
    project: Project | None
    is_installed: bool = False
    """True if it comes out of a wheel: then what wheels don't hold isn't missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a path holds."""

    places: tuple[Place, ...]
    faults: tuple[Fault, ...]


class Names:
    """How paths are called in findings."""

    def __init__(self, base: Path, replaced: tuple[Path, str] | None = None) -> None:
        self._base = base
        self._replaced = replaced

    def shown(self, path: Path) -> str:
        """Return a path from where the check began, or as it is if it lies elsewhere."""
        if self._replaced is not None:
            folder, name = self._replaced
            if path.is_relative_to(folder):
                rest = path.relative_to(folder).as_posix()
                return name if rest == "." else f"{name}/{rest}"
        for base in (self._base, self._base.resolve()):
            if path.is_relative_to(base):
                return path.relative_to(base).as_posix()
        return path.as_posix()


def find_places(path: Path, names: Names, *, is_installed: bool = False) -> Found:
    """Return the plugins that `path`, an existing folder, is or holds. Never raises."""
    faults: list[Fault] = []
    project = _project(path, names, faults)
    is_package = _is_plugin(path)
    if is_package and (path.parent.name in {NAMESPACE, "plugins"} or names_a_plugin(path / INIT)):
        return _one(path, names, faults)
    folders = _plugins_in(path, names, faults, project)
    if not folders:
        for inner in (*_subfolders(path), *_subfolders(path / "plugins")):
            if any(_is_file(inner / name) for name in PROJECT_FILES):
                own = _project(inner, names, faults)
                folders += _plugins_in(inner, names, faults, own)
    if len(folders) > MOST_PLUGINS:
        message = f"not looked at: there are more than {MOST_PLUGINS} plugins"
        faults.append(Fault(code="PK008", path=names.shown(path), message=message))
    places = tuple(
        Place(folder=folder, shown=names.shown(folder), project=own, is_installed=is_installed)
        for folder, own in folders[:MOST_PLUGINS]
    )
    if not places and is_package:
        return _one(path, names, faults)
    if not places and not faults:
        expected = f"a plugin, or a folder with plugins in src/{NAMESPACE}, {NAMESPACE} or plugins"
        message = f"there is no plugin here: expected {expected}"
        faults.append(Fault(code="PK007", path=names.shown(path), message=message))
    return Found(places=places, faults=tuple(dict.fromkeys(faults)))


def _plugins_in(
    path: Path, names: Names, faults: list[Fault], project: Project | None
) -> list[tuple[Path, Project | None]]:
    """Return the plugins of one project, or of one folder of plugins."""
    for below in ((".",),) if _is_location(path) else _BELOW:
        if found := [each for name in below for each in _children(path / name, names, faults)]:
            return [(folder, project) for folder in found]
    return []


def project_above(folder: Path, names: Names) -> Project | None:
    """Return the project that a plugin's folder lies in, if there is one up to three above it."""
    faults: list[Fault] = []
    for above in (folder, *list(folder.parents)[:3]):
        if (found := _project(above, names, faults)) is not None:
            return found
    return None


def _one(path: Path, names: Names, faults: list[Fault]) -> Found:
    """Return the plugin whose folder was named itself."""
    if path.parent.name == NAMESPACE:
        faults += _refused_init(path.parent, names)
    if not path.name.isidentifier():
        faults.append(_no_name(path, names))
        return Found(places=(), faults=tuple(faults))
    place = Place(folder=path, shown=names.shown(path), project=project_above(path, names))
    return Found(places=(place,), faults=tuple(faults))


def _is_location(path: Path) -> bool:
    return path.name in {NAMESPACE, "plugins"} and not any(
        _is_file(path / name) for name in PROJECT_FILES
    )


def _is_plugin(path: Path) -> bool:
    """Tell whether a folder itself is meant to be a plugin: a package, but not the namespace."""
    return path.name != NAMESPACE and _is_file(path / INIT)


def _children(location: Path, names: Names, faults: list[Fault]) -> Iterator[Path]:
    """Yield the plugins in a folder of plugins, noting what can't be one."""
    is_strict = location.name in {NAMESPACE, "plugins"}
    if location.name == NAMESPACE:
        faults += _refused_init(location, names)
    for folder in _subfolders(location):
        if folder.name.startswith((".", "__")) or folder.name in _NO_PLUGINS:
            continue
        if not _is_file(folder / INIT):
            if is_strict and location.name == NAMESPACE and folder.name.isidentifier():
                message = (
                    f"found no {INIT}, which makes a plugin of a folder: add it, or let the "
                    "folder's name begin with a dot"
                )
                faults.append(Fault(code="PK007", path=names.shown(folder), message=message))
        elif not folder.name.isidentifier():
            if is_strict:
                faults.append(_no_name(folder, names))
        elif is_strict or names_a_plugin(folder / INIT):
            yield folder


def _refused_init(location: Path, names: Names) -> list[Fault]:
    init = location / INIT
    if not _is_file(init):
        return []
    message = (
        f"found a file that makes an ordinary package of {NAMESPACE}: it hides the plugins of "
        "other distributions; remove it (PEP 420)"
    )
    return [Fault(code="PK006", path=names.shown(init), message=message)]


def _no_name(path: Path, names: Names) -> Fault:
    message = (
        f"the folder's name {clean(path.name, 100)!r} can't be imported: expected letters, "
        "digits and _, no digit first"
    )
    return Fault(code="PK007", path=names.shown(path), message=message)


def _subfolders(path: Path) -> list[Path]:
    try:
        names = os.listdir(path)  # noqa: PTH208 - half as many objects
    except (OSError, ValueError):
        return []
    found = (path / name for name in sorted(names)[:_MOST_ENTRIES])
    return [each for each in found if os.path.isdir(each)][: MOST_PLUGINS + 1]  # noqa: PTH112


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - pathlib's raises where it may not look


def _project(path: Path, names: Names, faults: list[Fault]) -> Project | None:
    if not any(_is_file(path / name) for name in PROJECT_FILES):
        return None
    text = _read(path / "pyproject.toml")
    data: Mapping[str, Any] = {}
    try:
        data = tomllib.loads(text or "")
    except (ValueError, RecursionError) as error:
        shown = names.shown(path / "pyproject.toml")
        faults.append(Fault(code="PK001", path=shown, message=f"no valid TOML: {clean(error)}"))
    return Project(
        folder=path,
        shown=names.shown(path),
        data=data,
        has_pyproject=text is not None,
        text=text or "",
        setup=_read(path / "setup.py") or "",
    )


def _read(path: Path) -> str | None:
    if not _is_file(path):
        return None
    try:
        with open_regular(path) as file:
            return file.read(LARGEST_PROJECT_FILE).decode("utf-8", "replace")
    except OSError:
        return ""


def _table(data: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found: Any = data
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
