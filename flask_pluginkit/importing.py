"""How plugins take part in the import system: a finder that knows them by their names.

Whoever imports ``plugins.hello`` by statement gets the module that the manager loads, with
the import system's own locks and in any order. `loading` decides which name a plugin has.
"""

# ruff: noqa: PTH110, PTH113, PTH118
# The import system's paths are strings.

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any, Final

from .finding import INIT, NAMESPACE, OwnFinder, find_spec, folder_of, namespace_locations
from .frozen import Frozen


class Parent(Frozen):
    """A package that nobody else has, made to hold the plugins of one folder."""

    location: str
    """The real path of that folder."""
    executes_init: bool
    """Whether the folder's own ``__init__.py`` is code to execute, if there is one."""
    stands_for: str | None = None
    """The package whose place it takes, for its plugins only; None if it has its own name."""


class PluginFinder(OwnFinder):
    """Finds plugins, and the packages that hold them, by the names that they were given.

    Single operations on its tables are atomic, so that several threads may load plugins;
    what imports is done by the import system, under its locks.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        """The module name of each folder."""
        self.folders: dict[str, str] = {}
        """The other way: a name that stands here belongs to that folder."""
        self.parents: dict[str, Parent] = {}
        self.aliases: dict[str, str] = {}
        """Names of 3.x, for plugins that have another one."""
        self.locations: dict[str, None] = {}
        """Folders ``pluginkit_plugins`` of which something was loaded; a set with an order."""
        self.barred: set[str] = set()
        """The folders of plugins that nobody trusts: nothing of them is imported here."""

    def install(self) -> None:
        """Be the first that is asked, or else a refused ``__init__.py`` would be executed."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - the import system passes it
    ) -> ModuleSpec | None:
        """Return how to load a plugin, its package or, if that is private, what is inside."""
        top = fullname.partition(".")[0]
        parent = self.parents.get(top)
        if fullname in self.folders:
            if self.folders[fullname] in self.barred:
                raise ImportError(
                    f"{fullname} is a plugin that runs in a process of its own, as nobody trusts "
                    "it: it can't be imported in the application",
                    name=fullname,
                )
            spec = self._plugin(fullname, path)
        elif parent is not None and fullname == top:
            spec = _package(fullname, parent)
        elif parent is not None and parent.stands_for is not None:
            spec = find_spec(fullname, path)
        elif fullname == NAMESPACE:
            spec = self._namespace()
        else:
            return self._alias(fullname, path) if self.aliases else None
        if spec is not None and hasattr(spec.loader, "exec_module"):
            names = None if parent is None else _builtins_for(top, parent)
            spec.loader = GuardedLoader(spec.loader, names)
        return spec

    def _plugin(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """A plugin as its own finder gives it, if it does: an editable one may have more to it."""
        spec = find_spec(name, path)
        folder = self.folders[name]
        init = os.path.join(folder, INIT)
        # asking the disk where links lead takes longer than all the rest
        if spec is not None and (spec.origin == init or folder_of(spec) == folder):
            return spec
        return spec_from_file_location(name, init, submodule_search_locations=[folder])

    def _namespace(self) -> ModuleSpec | None:
        """The package ``pluginkit_plugins``, which is never one that executes something."""
        spec = find_spec(NAMESPACE)
        if spec is not None and spec.loader is None:
            return spec
        if spec is None and not self.has_below(NAMESPACE):
            return None
        return _namespace(NAMESPACE, namespace_locations(self.locations))

    def _alias(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """A plugin, or what is in it, by a name of 3.x that nobody else has."""
        public = ".".join(name.split(".", 2)[:2])
        real = self.aliases.get(public)
        if real is None:
            return None
        spec = find_spec(name, path)
        if spec is None:
            return ModuleSpec(name, AliasLoader(real)) if name == public else None
        if not _is_inside(spec, self.folders.get(real, "")):
            return None
        return ModuleSpec(name, AliasLoader(real + name.removeprefix(public)))

    def has_below(self, parent: str) -> bool:
        """Tell whether some plugin has or had a name in the package `parent`."""
        return any(
            name.startswith(f"{parent}.")
            for names in (self.folders, self.aliases)
            for name in names
        )


FINDER: Final = PluginFinder()
"""The one of this process, as modules are the process's too."""


class GuardedLoader(Loader):
    """Loads as another loader does; a failure leaves nothing in ``sys.modules``.

    The import system removes the module that failed; what it had imported of itself stays,
    and a second attempt would run on remains of the first. This is done here, and not where
    the import was asked for, because here the import system's lock on the module is held.
    """

    def __init__(self, inner: Any, names: Mapping[str, Any] | None) -> None:
        self.inner = inner
        self.names = names
        """What the module gets instead of the ordinary built-in names."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create what the other loader creates."""
        module: ModuleType | None = self.inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute; the module never sees this loader."""
        spec = module.__spec__
        assert spec is not None  # the import system has just set it
        spec.loader = module.__loader__ = self.inner
        if self.names is not None:
            vars(module)["__builtins__"] = self.names
        before = sys.modules.copy()
        try:
            self.inner.exec_module(module)
        except BaseException:
            for name in modules_below(spec.name):
                if name not in before:
                    sys.modules.pop(name, None)
            raise


class AliasLoader(Loader):
    """Gives a module a second name; it is executed once, under its first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the protocol's
        """Import the module by its first name."""
        module = importlib.import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Take back what the import system has set for the second name."""
        module.__spec__ = self.spec


def modules_below(name: str) -> list[str]:
    """Return the names of the modules inside of the package `name` that are loaded."""
    return [loaded for loaded in sys.modules.copy() if loaded.startswith(f"{name}.")]


def _package(name: str, parent: Parent) -> ModuleSpec | None:
    init = os.path.join(parent.location, INIT)
    if parent.executes_init and os.path.isfile(init):
        return spec_from_file_location(name, init, submodule_search_locations=[parent.location])
    return _namespace(name, [parent.location])


def _namespace(name: str, locations: list[str]) -> ModuleSpec:
    spec = ModuleSpec(name, None, is_package=True)
    # a plain list, which the import system takes as it is and never calculates anew
    spec.submodule_search_locations = locations
    return spec


def _is_inside(spec: ModuleSpec, folder: str) -> bool:
    place = folder_of(spec) or os.path.realpath(spec.origin or "")
    return place == folder or place.startswith(folder + os.sep)


def _builtins_for(top: str, parent: Parent) -> Mapping[str, Any] | None:
    """The built-in names for the plugins of a private package, None if they need no others."""
    if parent.stands_for is None:
        return None
    import_ = _import_for(top, parent.stands_for, parent.location)
    return {**vars(builtins), "__import__": import_}


def _import_for(private: str, public: str, location: str) -> Callable[..., Any]:
    """The import statement for the plugins of a private package.

    There ``plugins.hello`` is the one beside them, not that of another application. What
    isn't beside them is imported as everywhere.
    """

    def is_here(name: str) -> bool:
        place = os.path.join(location, name.partition(".")[0])
        return os.path.exists(place) or os.path.exists(f"{place}.py")

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the language's names
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        inside = name.removeprefix(f"{public}.")
        wanted = [inside] if inside != name else list(fromlist or ())
        if not level and (inside != name or name == public) and all(map(is_here, wanted)):
            name = private + name.removeprefix(public)
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    return import_
