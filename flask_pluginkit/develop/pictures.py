"""What lies in the folders of plugins, and which changes of that a server must start anew for.

Werkzeug's reloader sees the files of imported modules and, below `sys.path`, changes of Python
files; with ``watchdog`` also that such a file came or went. It doesn't see: templates that come
or go, plugins in other folders that aren't imported (disabled, broken, new), folders that
vanish, and what isolated plugins consist of, as none of them is imported in this process.
"""

# ruff: noqa: PTH113, PTH116, PTH118, PTH208
# Thousands of files are looked at each second: paths as strings are three times as fast.

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from flask_pluginkit.discovery import Candidate
from flask_pluginkit.finding import INIT, namespace_locations
from flask_pluginkit.state.markers import DISABLED, ENABLED

Signature = tuple[int, int]
"""When a file was written to, in nanoseconds, and its size."""

Picture = Mapping[str, Signature]
"""What there is, by path."""

PASSED_OVER: Final = frozenset({"__pycache__", "node_modules", DISABLED, ENABLED, "4913"})
"""Names that say nothing: bytecode, markers of state, what Vim tries out a folder with."""

READ_ONCE: Final = (".py", ".mo")
"""Files that a process reads once: code, and translations."""

OF_DISTRIBUTIONS: Final = (".dist-info", ".egg-info", ".egg-link", ".pth")
"""What comes and goes in a folder of `sys.path` with a distribution that may bring plugins."""

_ABSENT: Final[Signature] = (0, -1)


class Watched(Protocol):
    """What is asked of an application's side (`application.Site`)."""

    base: Path
    folder: str
    options: Any
    current: Any

    def find(self) -> tuple[Candidate, ...]:
        """Look for plugins."""


class Camera:
    """Takes pictures of everything that the plugins of one application consist of."""

    def __init__(self, site: Watched, exclude: Iterable[str] = ()) -> None:
        self.site = site
        self.exclude = tuple(exclude)
        """Patterns of paths whose changes mean nothing, as Flask's ``--exclude-patterns``."""
        self._named: tuple[str, ...] = ()
        """Folders that are plugins by name, wherever they lie."""
        self._installed: tuple[str, ...] = ()
        self._path_seen: tuple[Signature, ...] = ()

    def picture(self) -> dict[str, Signature]:
        """Return what there is now; nothing is imported, and nothing is raised."""
        self._look_at_path()
        picture = dict.fromkeys(self._installed, (0, 0))
        for location in self._locations():
            for path in _names(location):
                if path.endswith(READ_ONCE):
                    picture[path] = _signature(path)
        for folder in self._folders():
            picture.update(_files(folder))
        return picture

    def changes(self, before: Picture, after: Picture) -> dict[str, Signature]:
        """Return what the server must start anew for, by path, as it is `after`."""
        paths = {path for path, _signature in before.items() ^ after.items()}
        hosted = tuple(f"{row.candidate.folder}{os.sep}" for row in self._hosted())
        return {
            path: after.get(path, _ABSENT)
            for path in sorted(paths)
            if self._counts(path, path in before and path in after, hosted)
        }

    def _counts(self, path: str, is_there_still: bool, hosted: tuple[str, ...]) -> bool:
        if any(fnmatch.fnmatch(path, pattern) for pattern in self.exclude):
            return False
        if path.endswith((*READ_ONCE, *OF_DISTRIBUTIONS)) or path.startswith(hosted):
            return True  # of isolated plugins everything: other files are other code
        # what is in a template Jinja reads anew by itself
        return not is_there_still and f"{os.sep}templates{os.sep}" in path

    def _hosted(self) -> Iterator[Any]:
        rows = self.site.current.plugins
        return (row for row in rows if row.isolation != "trusted")

    # --- where to look --------------------------------------------------------------------

    def _look_at_path(self) -> None:
        """Look for distributions, and for plugins that are named, when a path entry changed."""
        listed: list[object] = list(sys.path)  # where hosts put what is no text
        entries = [entry or os.curdir for entry in listed if isinstance(entry, str)]
        seen = tuple(_signature(entry) for entry in entries)
        if seen == self._path_seen:
            return
        self._path_seen = seen
        self._named = tuple(str(each.folder) for each in self.site.find() if not each.problem)
        self._installed = tuple(
            path for entry in entries for path in _names(entry) if path.endswith(OF_DISTRIBUTIONS)
        )

    def _locations(self) -> list[str]:
        site = self.site
        root = os.path.realpath(site.base / site.folder)
        return [root, *namespace_locations(site.options.plugin_paths, str(site.base))]

    def _folders(self) -> Iterable[str]:
        """Return the folders of all plugins, each once and where links lead to."""
        children = (path for location in self._locations() for path in _names(location))
        found = (path for path in children if os.path.isfile(os.path.join(path, INIT)))
        return dict.fromkeys(map(os.path.realpath, (*found, *self._named)))


def _names(folder: str) -> list[str]:
    """Return the paths of what lies in a folder and counts."""
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if not _is_passed(name)]
    except OSError:
        return []


def _files(folder: str) -> Iterator[tuple[str, Signature]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_passed(name)]
        for name in names:
            if not _is_passed(name):
                path = os.path.join(parent, name)
                yield path, _signature(path)


def _is_passed(name: str) -> bool:
    """Tell whether a file or folder is hidden, an editor's or of no meaning."""
    return name.startswith(_HIDDEN) or name in PASSED_OVER or name.endswith(_OF_EDITORS)


_HIDDEN: Final = (".", "#", "~")
"""How names begin of hidden files, of locks of editors, and of what pip is about to remove."""

_OF_EDITORS: Final = ("~", ".swp", ".swx", ".tmp", ".bak", ".orig", "___jb_tmp___", "___jb_old___")


def _signature(path: str) -> Signature:
    try:
        found = os.stat(path)
    except OSError:
        return _ABSENT
    return found.st_mtime_ns, found.st_size
