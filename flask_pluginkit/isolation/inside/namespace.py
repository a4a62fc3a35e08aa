"""The plugin's package in this process, found under its name of 3.x, and nobody else's beside it.

The packages ``plugins`` and ``pluginkit_plugins`` exist and hold this one plugin: what the host
has in folders of these names is neither readable nor looked for here.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from flask_pluginkit.exceptions import LoadError, Problem
from flask_pluginkit.isolation.digests import contents_of
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.text import clean

NAMESPACES: Final = ("plugins", "pluginkit_plugins")
"""The packages that plugins are in by the rules of 3.x."""


class Approved:
    """The files of an isolated plugin as the operator approved them.

    They may be replaced while the plugin starts, and modules that it imports at its first
    request are read much later: so each is looked at when it is imported.
    """

    def __init__(self, spec: Spec) -> None:
        """Read all files of the plugin. Raises LoadError if they aren't what was approved."""
        self.plugin = spec.plugin
        contents = contents_of(Path(spec.folder))
        if contents.digest != spec.digest:
            raise self._refusal(spec.folder)
        self._files = contents.files

    def check(self, path: str, data: bytes) -> None:
        """Raise LoadError if a file with this content isn't what was approved."""
        if self._files.get(path) != hashlib.sha256(data).digest():
            raise self._refusal(path)

    def _refusal(self, place: str) -> LoadError:
        return LoadError(
            Problem(
                where=f"plugin {self.plugin}",
                what=clean(place, 300),
                found="something else than what was approved (a link counts as where it leads)",
                expected="the files as they were when the application looked at them",
                advice="have it look again: manager.rescan(), or flask plugins approve",
            )
        )


APPROVED: Final[dict[str, Approved]] = {}
"""By folder: of the plugin in this process, if it is isolated."""


class SourceLoader(SourceFileLoader):
    """Loads what stands in the source, and never bytecode that lies beside it.

    An operator approves sources: bytecode may be of something else, and is part of no digest.
    """

    def __init__(self, fullname: str, path: str, approved: Approved | None = None) -> None:
        """Load `path` as the module `fullname`, if it is as it was `approved`."""
        super().__init__(fullname, path)
        self._approved = approved

    def get_data(self, path: str) -> bytes:
        """Return what is in the file: that very text is compiled. Raises LoadError."""
        data = super().get_data(path)
        if self._approved is not None:
            self._approved.check(path, data)
        return data

    def path_stats(self, path: str) -> Mapping[str, float]:
        """Tell the import system that there is nothing to compare bytecode with."""
        raise OSError(f"{path}: bytecode isn't looked at")


class OnlyPlugin(MetaPathFinder):
    """Finds the plugin's package, and empty packages around it."""

    def __init__(self, name: str, folder: Path, approved: Approved | None = None) -> None:
        self.name = name
        self.folder = folder
        self.approved = approved
        parents = name.split(".")[:-1]
        self.parents = {".".join(parents[:end]) for end in range(1, len(parents) + 1)}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return how to load the plugin or a package that is to hold it, None for the rest."""
        if fullname == self.name:
            init = self.folder / "__init__.py"
            return spec_from_file_location(
                fullname,
                init,
                loader=SourceLoader(fullname, str(init), self.approved),
                submodule_search_locations=[str(self.folder)],
            )
        if fullname.startswith(f"{self.name}."):
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and type(spec.loader) is SourceFileLoader:
                spec.loader = SourceLoader(fullname, spec.loader.path, self.approved)
            elif spec is not None and spec.has_location and self.approved is not None:
                path = str(spec.origin)  # a library, which the system's linker reads
                self.approved.check(path, Path(path).read_bytes())
            return spec
        if fullname in NAMESPACES or fullname in self.parents:
            spec = ModuleSpec(fullname, None, is_package=True)
            # a plain list, which the import system takes as it is: nothing else is in here
            spec.submodule_search_locations = []
            return spec
        return None


def import_plugin(spec: Spec, undo: ExitStack) -> ModuleType:
    """Import the plugin and return its module; `undo` makes the process forget it.

    Raises what the plugin's code raises, and LoadError for a module that isn't there, which is
    most often one of the host's.
    """
    finder = OnlyPlugin(spec.module, Path(spec.folder), APPROVED.get(spec.folder))
    _set_aside(undo, (*NAMESPACES, *finder.parents, spec.module))
    path, finders = sys.path[:], sys.meta_path[:]
    undo.callback(lambda: (sys.path.__setitem__(slice(None), path), None)[1])
    undo.callback(lambda: (sys.meta_path.__setitem__(slice(None), finders), None)[1])
    sys.path.extend(folder for folder in spec.readable if folder not in path)
    finder.parents -= {name for name in finder.parents - {*NAMESPACES} if find_spec(name)}
    sys.meta_path.insert(0, finder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(spec.module)
    except ModuleNotFoundError as error:
        raise LoadError(_missing(spec, error)) from error


def _missing(spec: Spec, error: ModuleNotFoundError) -> Problem:
    return Problem(
        where=f"plugin {spec.plugin}",
        what="import",
        found=clean(error),
        expected="modules of the standard library, of the interpreter's own packages, of the "
        "plugin's own folder and of what it depends on",
        advice="the host's own modules and other plugins can't be imported from another process: "
        "do without them, or run the plugin as trusted",
    )


def _set_aside(undo: ExitStack, names: tuple[str, ...]) -> None:
    """Take modules of these names, and what is in them, out of the process until the end."""

    def concerned() -> list[str]:
        if not any(name in sys.modules for name in names):
            # as in every fork: to look at all modules would be to have 1.5 MB of them for oneself
            return []
        inside = tuple(f"{name}." for name in names)
        return [name for name in sys.modules.copy() if name in names or name.startswith(inside)]

    before = {name: sys.modules.pop(name) for name in concerned()}

    def restore() -> None:
        for name in concerned():
            del sys.modules[name]
        sys.modules.update(before)

    undo.callback(restore)
