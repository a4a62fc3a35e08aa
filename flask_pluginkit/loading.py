"""A plugin's module: which name it has, how it comes into being, how it goes.

A plugin has its name of 3.x, ``plugins.hello`` or ``pluginkit_plugins.hello``, because its own
code, other plugins, the host and pickles use that name. If it belongs to another folder,
because a second application in this process has a folder called alike or the host has a
package of that name, then the plugin gets a private name that depends on nothing but its
place, the plugin's own imports mean the plugin, and for others the name of 3.x leads to the
plugin as long as nobody else has it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, MutableMapping
from functools import cache
from hashlib import sha256
from types import ModuleType
from typing import Final
from weakref import WeakKeyDictionary

from .discovery import Candidate, Origin
from .exceptions import LoadError
from .finding import NAMESPACE, find_spec, package_path
from .importing import FINDER, Parent, modules_below

PRIVATE_PREFIX: Final = "flask_pluginkit_private_"

PlacesOf = Callable[[str], frozenset[str] | None]


def load(candidate: Candidate) -> ModuleType:
    """Return the plugin's module, imported now or, by whomever, before.

    Raises LoadError for a candidate with a `problem`, and otherwise what the plugin's code
    raises, unchanged, be it KeyboardInterrupt; then ``sys.modules`` holds nothing of it.
    """
    if candidate.problem is not None:
        raise LoadError(candidate.problem)
    return importlib.import_module(module_name(candidate))


def announce(candidates: Iterable[Candidate]) -> None:
    """Settle the names of several plugins, first come, first served, without importing any.

    Then they can import each other in any order, also where no entry of the path leads.
    """
    # nothing is imported meanwhile: what was found out of a package that holds many stays true
    places_of = cache(_places_of)
    for candidate in candidates:
        if candidate.problem is None:
            _settle_name(candidate, places_of)


def registered(module: ModuleType) -> object:
    """Return what the ``register()`` of a plugin's module returns, called once per process.

    Many plugins add views to a blueprint of their module in it: Flask lets nobody do that once
    an application has the blueprint. Whoever reads the value must not edit it.
    """
    function: Callable[[], object] = module.register
    try:
        known = _REGISTERED.get(module)
    except TypeError:  # not a module but what a package put in its own place
        return function()
    # a test may have put another function in its place
    if known is not None and known[0] is function:
        return known[1]
    value = function()
    _REGISTERED[module] = (function, value)
    return value


_REGISTERED: Final[MutableMapping[ModuleType, tuple[object, object]]] = WeakKeyDictionary()
"""The functions that were called, and what they returned."""


def bar(candidate: Candidate, *, is_barred: bool) -> None:
    """Keep a plugin's code out of this process, whoever imports it, or allow it again.

    What is imported already stays.
    """
    folder = str(candidate.folder)
    if is_barred:
        FINDER.barred.add(folder)
    else:
        FINDER.barred.discard(folder)


def module_name(candidate: Candidate) -> str:
    """Return the name that the plugin's module has or will have; it stays until `forget`."""
    return _settle_name(candidate, _places_of)


def _settle_name(candidate: Candidate, places_of: PlacesOf) -> str:
    FINDER.install()
    folder = str(candidate.folder)
    name = FINDER.names.get(folder)
    if name is None:
        chosen = (
            _imported_name(candidate, places_of)
            or _own_name(candidate, places_of)
            or _private_name(candidate)
        )
        name = FINDER.names.setdefault(folder, chosen)
    return name


def forget(module_name: str) -> None:
    """Remove a plugin's modules and its claim on the name, so that loading starts anew.

    Who holds a reference to the module keeps it. Not for use while others load it.
    """
    module = sys.modules.get(module_name)
    FINDER.names.pop(FINDER.folders.pop(module_name, ""), None)
    _remove(module_name)
    for alias in [alias for alias, real in FINDER.aliases.items() if real == module_name]:
        del FINDER.aliases[alias]
        if module is not None and sys.modules.get(alias) is module:
            _remove(alias)
        _forget_parent(alias.rpartition(".")[0])
    _forget_parent(module_name.rpartition(".")[0])


def _forget_parent(name: str) -> None:
    """Remove the package of plugins that are all forgotten, unless it isn't of our making."""
    if FINDER.has_below(name):
        return
    if name == NAMESPACE:
        FINDER.locations.clear()
        if isinstance(getattr(sys.modules.get(name), "__path__", None), list):
            _remove(name)
    elif FINDER.parents.pop(name, None) is not None:
        _remove(name)


def _remove(name: str) -> None:
    """Take a module, what is inside and what its package knows of it out of the process."""
    module = sys.modules.pop(name, None)
    for inside in modules_below(name):
        sys.modules.pop(inside, None)
    parent, _, child = name.rpartition(".")
    siblings = getattr(sys.modules.get(parent), "__dict__", {})
    if module is not None and siblings.get(child) is module:
        del siblings[child]


# ---- names -----------------------------------------------------------------------------------


def _imported_name(candidate: Candidate, places_of: PlacesOf) -> str | None:
    """The name by which somebody has imported this very folder already, if anybody has.

    The name of 3.x first, then others that its path allows, such as ``shop.plugins.hello``
    in an application that is a package.
    """
    folder = str(candidate.folder)
    parent, _, child = candidate.module.rpartition(".")
    names = [candidate.module]
    if candidate.location is not None:
        parts = (*candidate.location.parts[1:], child)
        names += [".".join(parts[start:]) for start in reversed(range(len(parts)))]
    for name in names:
        if _is_from(sys.modules.get(name), folder) and _claim(name, folder):
            if name != candidate.module and _may_use(parent, candidate, places_of):
                FINDER.aliases.setdefault(candidate.module, name)
            return name
    return None


def _own_name(candidate: Candidate, places_of: PlacesOf) -> str | None:
    """The name of 3.x, if it is free."""
    name, folder = candidate.module, str(candidate.folder)
    if name in sys.modules and not _is_from(sys.modules[name], folder):
        return None
    if not _may_use(name.rpartition(".")[0], candidate, places_of):
        return None
    return name if _claim(name, folder) else None


def _private_name(candidate: Candidate) -> str:
    """A name that depends on nothing but the place, in a package of the same location."""
    folder, location = str(candidate.folder), _location(candidate)
    public, _, child = candidate.module.rpartition(".")
    for place in (location, folder):  # the second if a link in the first leads elsewhere now
        parent = PRIVATE_PREFIX + sha256(os.fsencode(place)).hexdigest()[:8]
        made = Parent(
            location=location,
            executes_init=candidate.origin is Origin.FOLDER and public != NAMESPACE,
            stands_for=public or None,
        )
        name = f"{parent}.{child}"
        if FINDER.parents.setdefault(parent, made).location == location and _claim(name, folder):
            break
    if candidate.module.count(".") == 1:
        FINDER.aliases.setdefault(candidate.module, name)
    return name


def _claim(name: str, folder: str) -> bool:
    """Give the name to the folder, unless it is another's."""
    return FINDER.folders.setdefault(name, folder) == folder


def _may_use(parent: str, candidate: Candidate, places_of: PlacesOf) -> bool:
    """Tell whether the package `parent` holds this plugin, making it up if nobody has it."""
    if parent == NAMESPACE:
        if candidate.location is not None:
            FINDER.locations.setdefault(str(candidate.location))
        return parent not in sys.modules or hasattr(sys.modules[parent], "__path__")
    if candidate.origin is not Origin.FOLDER:
        return True  # it is the import system that gave the name
    location = _location(candidate)
    if parent not in FINDER.parents:
        if (places := places_of(parent)) is not None:
            return location in places
        FINDER.parents.setdefault(parent, Parent(location=location, executes_init=True))
    return FINDER.parents[parent].location == location


def _places_of(package: str) -> frozenset[str] | None:
    """Return where a package is, by every name of these folders; None if nobody has it."""
    if package not in sys.modules and find_spec(package) is None:
        return None
    places = package_path(package) or ()
    return frozenset([*places, *map(os.path.realpath, places)])


def _location(candidate: Candidate) -> str:
    return str(candidate.location or candidate.folder.parent)


def _is_from(module: object, folder: str) -> bool:
    """Tell whether a module, or what stands in its place, is the package in that folder."""
    try:
        places = [place for place in module.__path__ if isinstance(place, str)]  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - anything can be in sys.modules, and may be half loaded
        return False
    return folder in places or folder in map(os.path.realpath, places)
