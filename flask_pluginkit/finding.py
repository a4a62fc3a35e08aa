"""Where the import system would find a package, without importing it or its parents."""

# ruff: noqa: PTH100, PTH112, PTH113, PTH118, PTH119, PTH120
# The import system's paths are strings.

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from logging import getLogger
from os import PathLike
from typing import Final

NAMESPACE: Final = "pluginkit_plugins"
"""The namespace package (PEP 420) that plugins of any distribution can be in."""

PROJECT_PLACES: Final = (f"src/{NAMESPACE}", NAMESPACE)
"""Where the project of a plugin has it, below the project's folder."""

INIT: Final = "__init__.py"

_log = getLogger(__name__)


class OwnFinder(MetaPathFinder):
    """The base of our own finder, by which it is told from those of others."""


def find_spec(name: str, path: Sequence[str] | None = None) -> ModuleSpec | None:
    """Ask the finders for the module `name`; `path` is that of its package, if it is in one.

    Unlike `importlib.util.find_spec` this imports no parent, and ``sys.modules`` doesn't
    count. Our own finder isn't asked, as it asks here itself, and as what it knows of one
    application is nothing to another; a finder that raises has found nothing.
    """
    for finder in list(sys.meta_path):
        find = None if isinstance(finder, OwnFinder) else getattr(finder, "find_spec", None)
        if find is None:
            continue
        try:
            spec: ModuleSpec | None = find(name, path)
        except KeyError:
            # a namespace in a package that isn't imported: Python looks for the latter in
            # sys.modules, to be able to follow changes of its path
            spec = _namespace_in(name, path or ())
        except Exception:  # noqa: BLE001 - the code of others
            _log.warning("the finder %r failed for %s", type(finder), name, exc_info=True)
            continue
        if spec is not None:
            return spec
    return None


def locate(name: str, namespace: Sequence[str] = ()) -> ModuleSpec:
    """Find a module by its dotted name; `namespace` are the folders of ``pluginkit_plugins``.

    Raises ModuleNotFoundError, worded as importing would.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise ModuleNotFoundError(f"No module named {name!r}")
    path: Sequence[str] | None = None
    package = ""
    for part in name.split(".")[:-1]:
        package = f"{package}.{part}" if package else part
        # given, as a refused __init__.py in one location must not hide the others
        places = namespace if package == NAMESPACE else package_path(package, path)
        if not places:
            if package in sys.modules or find_spec(package, path) is not None:
                raise ModuleNotFoundError(f"No module named {name!r}; {package!r} is not a package")
            raise ModuleNotFoundError(f"No module named {package!r}")
        path = places
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if not isinstance(spec, ModuleSpec):
        spec = find_spec(name, path)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}")
    return spec


def package_path(name: str, path: Sequence[str] | None = None) -> list[str] | None:
    """Return the ``__path__`` of a package, imported or not; None if there is no such package."""
    module = sys.modules.get(name)
    if module is not None:
        places = getattr(module, "__path__", None)
    else:
        spec = find_spec(name, path)
        places = spec.submodule_search_locations if spec else None
    return None if places is None else [place for place in places if isinstance(place, str)]


def folder_of(spec: ModuleSpec) -> str | None:
    """Return the real path of a package's folder, None for what isn't a package."""
    if spec.submodule_search_locations is None:
        return None
    if spec.origin and os.path.basename(spec.origin) == INIT:
        return os.path.realpath(os.path.dirname(spec.origin))
    return next((os.path.realpath(place) for place in spec.submodule_search_locations), None)


def namespace_locations(paths: Iterable[str | PathLike[str]] = (), base: str = "") -> list[str]:
    """Return every folder ``pluginkit_plugins`` as a real path, in the order of the path.

    That is: of ``sys.path``, of other finders (editable installations), then of `paths`,
    which count from `base` (default: the current folder) if they are relative, and which may
    be such a folder themselves. What other finders name may also be inside of an archive.
    """
    found = [place for place in _in_path_entries(NAMESPACE) if os.path.isdir(place)]
    if (spec := find_spec(NAMESPACE)) is not None:
        found.extend(spec.submodule_search_locations or ())
    for path in paths:
        place = os.path.abspath(os.path.join(base, os.fspath(path)))
        inside = os.path.join(place, NAMESPACE)
        if os.path.isdir(inside):
            found.append(inside)
        elif os.path.basename(place) == NAMESPACE:
            found.append(place)
    return list(dict.fromkeys(os.path.realpath(place) for place in found))


def refused_files(locations: Iterable[str]) -> list[str]:
    """Return the files that would make an ordinary package of the namespace."""
    files = [os.path.join(location, INIT) for location in locations]
    files += [os.path.abspath(place) for place in _in_path_entries(f"{NAMESPACE}.py")]
    return [file for file in dict.fromkeys(files) if os.path.isfile(file)]


def _in_path_entries(name: str) -> Iterator[str]:
    for entry in list(sys.path):
        if isinstance(entry, str):  # the import system passes over others
            yield os.path.join(entry, name)  # an empty one is the current folder


def _namespace_in(name: str, path: Iterable[str]) -> ModuleSpec | None:
    child = name.rpartition(".")[2]
    spec = ModuleSpec(name, None, is_package=True)
    places = [os.path.join(entry, child) for entry in path]
    spec.submodule_search_locations = [place for place in places if os.path.isdir(place)]
    return spec if spec.submodule_search_locations else None
