"""Which plugins there are: in the application's folder, packages, the namespace, entry points.

Nothing is imported here. A plugin that can't be used is a row with a reason, never an
exception, so that one broken folder doesn't hide the others.
"""

# ruff: noqa: PTH100, PTH110, PTH116, PTH118, PTH119, PTH120, PTH208
# Paths are strings until they are known to be right: that is three times as fast.

from __future__ import annotations

import importlib
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from importlib import metadata
from logging import getLogger
from os import PathLike
from pathlib import Path
from typing import Final

from .exceptions import Problem
from .finding import INIT, NAMESPACE, folder_of, locate, namespace_locations, refused_files
from .frozen import Frozen, replace
from .text import clean, describe

ENTRY_POINT_GROUP: Final = "flask_pluginkit.plugins"

_NOT_PLUGINS: Final = frozenset({"static", "templates"})
"""Folders that hosts have beside their plugins; 3.x passed over all without ``__init__.py``."""

_LEFT_BEHIND: Final = frozenset({"__pycache__", "DISABLED", "ENABLED"})
"""What stays of a plugin when it is uninstalled: bytecode and the markers of its state."""

_log = getLogger(__name__)


class Origin(StrEnum):
    """How a plugin was found, in order of precedence."""

    FOLDER = "folder"
    PACKAGE = "package"
    NAMESPACE = "namespace"
    ENTRY_POINT = "entry point"


_PRECEDENCE: Final = {origin: rank for rank, origin in enumerate(Origin)}


class Candidate(Frozen):
    """A folder that is a plugin, or that somebody meant to be one."""

    package: str
    """The folder's name or, from `plugin_packages` and entry points, the dotted name."""
    module: str
    """Its module name in 3.x: ``plugins.hello``, ``pluginkit_plugins.hello``, ``oidc``."""
    folder: Path
    """Absolute, without symbolic links: holds ``__init__.py``. Need not exist with a `problem`."""
    origin: Origin
    distribution: str | None = None
    """The distribution that brought it, where that is known without searching."""
    problem: Problem | None = None
    """Why it can't be used, if it can't. `Problem.what` is ``__init__.py`` if that is missing
    from a folder that 3.x would have passed over in silence."""
    location: Path | None = None
    """The folder that was searched; not the parent of `folder` if a link led to the latter."""


def discover(
    *,
    base: Path,
    folder: str = "plugins",
    packages: Sequence[str] = (),
    paths: Sequence[str | PathLike[str]] = (),
) -> tuple[Candidate, ...]:
    """Return every plugin that can be found, by precedence (see `Origin`) and then by name.

    `folder` is looked up in `base`; it need not exist. `packages` are dotted names. `paths`
    are searched for ``pluginkit_plugins`` like entries of ``sys.path``, or are that folder;
    relative ones count from `base`. A folder that is found twice is returned once, as what it
    was found as first; equal names of plugins are left to a later stage.

    Passed over are, in the plugins folder and in the namespace: files; names that begin with
    "." or "__"; and of the folders without ``__init__.py`` those that are called ``static`` or
    ``templates``, those whose name no plugin can have, and what uninstalling left behind.
    """
    importlib.invalidate_caches()  # a plugin may have been installed a moment ago
    home = os.path.abspath(base)
    root = os.path.abspath(os.path.join(home, folder))
    locations = namespace_locations(paths, home)
    # a dot in the folder's name would read as a package in a package
    parent = os.path.basename(root).replace(".", "_") or "plugins"
    found = [
        *_in_location(os.path.realpath(root), parent, Origin.FOLDER),
        *(_by_name(name, Origin.PACKAGE, home, locations, "plugin_packages") for name in packages),
        *_refused(locations, os.path.realpath(root)),
    ]
    for location in locations:
        found.extend(_in_location(location, NAMESPACE, Origin.NAMESPACE))
    for name, distribution in _entry_points():
        where = f"entry points of {clean(distribution or 'a distribution', 100)}"
        candidate = _by_name(name, Origin.ENTRY_POINT, home, locations, where)
        found.append(replace(candidate, distribution=distribution))
    return _merged(found)


def _merged(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Sort, and make one of those that are the same folder."""
    merged: dict[str, Candidate] = {}
    for candidate in sorted(found, key=_rank):
        folder = str(candidate.folder)
        first = merged.setdefault(folder, candidate)
        if first.distribution is None and candidate.distribution is not None:
            merged[folder] = replace(first, distribution=candidate.distribution)
    return tuple(merged.values())


def _rank(candidate: Candidate) -> tuple[int, str, str]:
    """What to sort by; equal ones, in two locations of the namespace, keep the path's order."""
    return _PRECEDENCE[candidate.origin], candidate.package, candidate.distribution or ""


# ---- folders ---------------------------------------------------------------------------------


def _in_location(location: str, parent: str, origin: Origin) -> Iterator[Candidate]:
    """The sub-folders of `location` (a real path) as modules of the package `parent`."""
    try:
        with os.scandir(location) as entries:
            children = list(entries)
    except FileNotFoundError:
        return
    except OSError as error:
        # in an archive, say; but a *file* called like the plugins folder is none, as in 3.x
        if origin is Origin.NAMESPACE or not isinstance(error, NotADirectoryError):
            problem = _unreadable(location, error, "a folder that can be listed")
            name = clean(parent, 100)
            yield Candidate(
                package=name, module=name, folder=Path(location), origin=origin, problem=problem
            )
        return
    place = Path(location)
    for entry in children:
        if not entry.name.startswith((".", "__")):
            candidate = _child(entry, place, parent, origin)
            if candidate is not None:
                yield candidate


def _child(
    entry: os.DirEntry[str], location: Path, parent: str, origin: Origin
) -> Candidate | None:
    """`entry` as a candidate, None if it isn't meant to be a plugin."""
    path = entry.path
    problem: Problem | None = None
    try:
        if entry.is_symlink():
            path = os.path.realpath(path)
        if not entry.is_dir():
            if not _is_dangling(entry):
                return None
            problem = _dangling(entry.path)
        elif not _is_file(os.path.join(path, INIT)):
            if not _could_be_a_plugin(entry.name) or _was_uninstalled(path):
                return None
            problem = _no_init(path)
        elif not entry.name.isidentifier():
            problem = _no_identifier(path, entry.name)
    except OSError as error:  # a loop of links, a folder that we must not enter
        path, problem = entry.path, _unreadable(entry.path, error, "a folder that can be read")
    name = entry.name if problem is None else clean(entry.name, 100)
    return Candidate(
        package=name,
        module=f"{parent}.{name}",
        folder=Path(path),
        origin=origin,
        problem=problem,
        location=location,
    )


def _is_file(path: str) -> bool:
    """Tell whether `path` is a regular file; unlike `os.path.isfile`, raise if one can't know."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _is_dangling(entry: os.DirEntry[str]) -> bool:
    """Tell whether a plugin may have been where the link `entry` leads to."""
    is_link = entry.is_symlink() and not os.path.exists(entry.path)
    return is_link and _could_be_a_plugin(entry.name)


def _was_uninstalled(path: str) -> bool:
    remains = os.listdir(path)
    return bool(remains) and _LEFT_BEHIND.issuperset(remains)


def _could_be_a_plugin(name: str) -> bool:
    return name.isidentifier() and name not in _NOT_PLUGINS


def _refused(locations: Iterable[str], root: str) -> Iterator[Candidate]:
    """A row for each file that would make an ordinary package of the namespace.

    The application's own folder may be called like the namespace: there, 3.x demanded one.
    """
    for file in refused_files(location for location in locations if location != root):
        is_init = os.path.basename(file) == INIT
        yield Candidate(
            package=NAMESPACE,
            module=NAMESPACE,
            folder=Path(os.path.dirname(file) if is_init else file),
            origin=Origin.NAMESPACE,
            problem=Problem(
                where=clean(file),
                what=NAMESPACE,
                found="a file that makes an ordinary package of the namespace",
                expected="no such file (PEP 420): it would hide the plugins of others",
                advice="remove it, or uninstall what brought it; it is never executed",
            ),
        )


# ---- names -----------------------------------------------------------------------------------


def _by_name(
    name: str, origin: Origin, base: str, locations: Sequence[str], where: str
) -> Candidate:
    """The package with a dotted name; `where` is where the name stands."""
    shown = clean(name, 200)
    folder, problem = _package_folder(name, locations, where)
    if folder is None:  # a path for the row, below `base` and with nothing in it
        folder = os.path.join(base, re.sub(r"\W", "_", shown)[:100] or "_")
    return Candidate(
        package=shown.removeprefix(f"{NAMESPACE}.") if origin is Origin.ENTRY_POINT else shown,
        module=shown,
        folder=Path(folder),
        origin=origin,
        problem=problem,
    )


def _package_folder(
    name: str, locations: Sequence[str], where: str
) -> tuple[str | None, Problem | None]:
    """The folder of a package, where there is one, and what is wrong, if anything."""
    if name == NAMESPACE:
        return None, _no_package(where, name, "the namespace of all plugins")
    try:
        folder = folder_of(locate(name, locations))
    except ModuleNotFoundError as error:
        return None, _not_found(where, name, clean(error, 300))
    if folder is None:
        return None, _no_package(where, name, "a single file")
    try:
        if not _is_file(os.path.join(folder, INIT)):
            return folder, _no_package(where, name, f"no {INIT} in {clean(folder)}")
    except OSError as error:
        return folder, _unreadable(folder, error, "a folder that can be read")
    return folder, None


def _entry_points() -> Iterator[tuple[str, str | None]]:
    """Dotted name and distribution of every entry point of our group."""
    try:
        points = list(metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:  # noqa: BLE001 - one distribution is broken: ask each by itself
        points = list(_entry_points_one_by_one())
    for point in points:
        # not point.module: it raises for a value that isn't of the form "module:attribute"
        name = re.split(r"[:\[]", point.value, maxsplit=1)[0].strip()
        yield name, point.dist.name if point.dist else None


def _entry_points_one_by_one() -> Iterator[metadata.EntryPoint]:
    entries: list[object] = list(sys.path)
    path = [entry for entry in entries if isinstance(entry, str)]  # anything else raises
    for distribution in metadata.distributions(path=path):
        try:
            yield from distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        except Exception:  # noqa: BLE001 - see the caller
            _log.warning("the entry points of a distribution can't be read", exc_info=True)


# ---- problems --------------------------------------------------------------------------------


def _no_init(path: str) -> Problem:
    return Problem(
        where=clean(path),
        what=INIT,
        found="no such file",
        expected="the file that makes a plugin of a folder, with __plugin_name__ and register()",
        advice="add it, or let the folder's name begin with a dot if it isn't a plugin",
    )


def _no_identifier(path: str, name: str) -> Problem:
    better = re.sub(r"\W", "_", clean(name, 100), flags=re.ASCII)
    return Problem(
        where=clean(path),
        what="the folder's name",
        found=describe(name),
        expected="a name that can be imported: letters, digits and _, no digit first",
        advice=f"rename it, for example to {better if better.isidentifier() else 'plugin_1'}",
    )


def _not_found(where: str, name: str, error: str) -> Problem:
    return Problem(
        where=where,
        what=describe(name),
        found=error,  # nothing else: strict mode raises 3.x's exception with this text
        expected="a package that can be imported, such as flask_pluginkit_oidc",
        advice="install what brings it, or remove the name",
    )


def _no_package(where: str, name: str, found: str) -> Problem:
    return Problem(
        where=where,
        what=describe(name),
        found=found,
        expected=f"a package: a folder with {INIT}",
        advice="name the package that holds register()",
    )


def _dangling(path: str) -> Problem:
    return Problem(
        where=clean(path),
        what="the link",
        found="one to a place that doesn't exist",
        expected="a link to the folder of a plugin",
        advice="remove it, or restore what it leads to",
    )


def _unreadable(path: str, error: OSError, expected: str) -> Problem:
    reason = clean(error.strerror or error, 200)
    return Problem(where=clean(path), what="the folder", found=reason, expected=expected)
