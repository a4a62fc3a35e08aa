"""What can be known of a plugin without importing it.

That is the metadata in the dunders of its ``__init__.py``, read from the source, completed by
the metadata of the distribution that brought it. Once the plugin is imported, `complete` adds
what only running the module could tell. Both report all problems of a manifest together and
never raise for what its author wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

from .exceptions import ManifestError, Problem
from .frozen import Frozen, as_dict
from .metadata import read_metadata
from .names import PluginName, name_of_package, parse_name
from .source import SOURCE, Bindings, read_bindings
from .state.base import WantedState
from .text import UnusableText, as_text, clean, describe, edit_distance_is_one
from .versions import VersionRange, is_semantic

__all__ = ["Manifest", "PluginName", "Requirement", "complete", "parse_name", "read_manifest"]

KNOWN: Final = (
    "__plugin_name__",  # required, as are the next two
    "__version__",
    "__author__",
    "__description__",
    "__url__",
    "__license__",
    "__license_file__",
    "__readme_file__",
    "__state__",
    "__appversion__",
    "__requires__",
    "__optional__",
    "__permissions__",
)
"""The dunders that mean something to us; all others are the plugin's own."""

_PYTHONS: Final = [
    "__all__",
    "__annotations__",
    "__builtins__",
    "__cached__",
    "__dir__",
    "__doc__",
    "__file__",
    "__getattr__",
    "__loader__",
    "__name__",
    "__package__",
    "__path__",
    "__spec__",
]

ORDINARY: Final = frozenset({*KNOWN, *_PYTHONS})
"""Dunders that are spelt right: ours, and those that Python gives or knows in any module."""

REGISTER: Final = "register"

EXPECTED: Final = {
    "__plugin_name__": "the plugin's name, such as 'hello'",
    "__version__": "a semantic version, such as '1.0.0'",
    "__author__": "who wrote it, such as 'Ada <ada@example.org>'",
    "__optional__": "True or False",
    "__state__": "'enabled' or 'disabled'",
    "__requires__": "plugins and their versions, such as {'other': '>=1.2,<2'}",
    REGISTER: "a function register() that returns a dict",
}


class Requirement(NamedTuple):
    """Another plugin that a plugin needs."""

    plugin: PluginName
    versions: VersionRange


class Manifest(Frozen):
    """What is known of a plugin; a text is "" where nothing usable is given (yet).

    All texts are printable, but still what somebody else wrote: to be escaped in HTML, and
    `url` and the file names to be checked by whoever follows them.
    """

    name: PluginName
    """`__plugin_name__`, or the name of the package while that isn't known."""
    package: str
    """The importable name; what follows its last dot is the folder's name."""
    folder: Path
    version: str
    """A semantic version or ""."""
    author: str
    description: str
    url: str
    license: str
    license_file: str
    readme_file: str
    state: WantedState | None
    """`__state__`; None if it isn't given, or computed."""
    appversion: str
    """The range of Flask-PluginKit's versions that the plugin works with, "" for every one."""
    requires: tuple[Requirement, ...]
    """The usable entries of `__requires__`, sorted by name."""
    optional: bool
    """True if the plugin's failing guard hooks may be skipped."""
    computed: frozenset[str]
    """Known dunders that have a value, but one that only importing the plugin can tell."""
    problems: tuple[Problem, ...]
    """Why the plugin can't be loaded; empty if it can, as far as is known."""
    warnings: tuple[Problem, ...]
    """What is probably not meant, but does no harm."""
    distribution: str | None
    """The name of the distribution that brought the plugin."""
    permissions: tuple[str, ...] = ()
    """`__permissions__`, in the canonical form and sorted (see `permissions`)."""
    literals: Mapping[str, object] | None = None
    """The values of the known dunders, if all of them stand in the source as literals."""

    def compared(self) -> tuple[Any, ...]:
        """Return everything but the literals, of which it was made."""
        return tuple([value for name, value in as_dict(self).items() if name != "literals"])


def read_manifest(folder: Path, package: str, distribution: Distribution | None = None) -> Manifest:
    """Return what the plugin `package` in `folder` says of itself. Never imports it or raises."""
    where = _where(folder)
    problems: tuple[Problem, ...] = ()
    try:
        bindings = read_bindings(folder / "__init__.py", where)
    except ManifestError as error:
        problems = error.problems
        bindings = Bindings(values={}, computed=frozenset(), open_ended=True)
    metadata = read_metadata(distribution)
    review = _Review(where, bindings, metadata, problems)
    return review.manifest(folder, package, metadata.get("Name"))


def complete(manifest: Manifest, module: ModuleType) -> Manifest:
    """Return `manifest` with what the imported `module` tells: its attributes always win.

    They are checked as those of the source were. Problems that they resolve go away, others
    may come. Nothing is computed any more.
    """
    # what stands in ``sys.modules`` need not be a module: a package may have put itself there
    values = dict(getattr(module, "__dict__", {}))
    if _says_the_same(manifest, values):
        return manifest
    for name in (*KNOWN, REGISTER):
        if name not in values and (value := _lazy_attribute(module, name)) is not None:
            values[name] = value
    known_before = {
        "__version__": manifest.version,
        "__author__": manifest.author,
        "__description__": manifest.description,
        "__url__": manifest.url,
        "__license__": manifest.license,
    }
    review = _Review(
        _where(manifest.folder),
        Bindings(values=values, computed=frozenset()),
        {name: text for name, text in known_before.items() if text},
        tuple(problem for problem in manifest.problems if problem.what == SOURCE),
    )
    return review.manifest(manifest.folder, manifest.package, manifest.distribution)


class _Review:
    """Checks what a module binds and notes everything that is wrong with it."""

    def __init__(
        self,
        where: str,
        bindings: Bindings,
        fallback: Mapping[str, str],
        problems: tuple[Problem, ...],
    ) -> None:
        self._where = where
        self._bindings = bindings
        self._fallback = fallback
        self._problems = [*problems]
        self._warnings: list[Problem] = []

    def manifest(self, folder: Path, package: str, distribution: str | None) -> Manifest:
        """Return the values of all dunders with the problems found on the way."""
        name = self._name(package)
        found: dict[str, Any] = {
            "version": self._version(),
            "author": self._shown("__author__", required=True),
            "description": self._shown("__description__", multiline=True),
            "url": self._shown("__url__"),
            "license": self._shown("__license__"),
            "license_file": self._shown("__license_file__"),
            "readme_file": self._shown("__readme_file__"),
            "state": self._state(),
            "appversion": self._appversion(),
            "requires": self._requires(name),
            "optional": self._optional(),
            "permissions": self._permissions(),
        }
        self._check_register()
        self._check_spelling()
        return Manifest(
            name=name,
            package=package,
            folder=folder,
            **found,
            computed=self._bindings.computed.intersection(KNOWN),
            distribution=distribution,
            literals=self._literals(),
            problems=tuple(self._problems),
            warnings=tuple(self._warnings),
        )

    def _literals(self) -> Mapping[str, object] | None:
        bindings = self._bindings
        if bindings.open_ended or bindings.computed.intersection(KNOWN):
            return None
        return {name: bindings.values[name] for name in KNOWN if name in bindings.values}

    def _name(self, package: str) -> PluginName:
        if (text := self._text("__plugin_name__", required=True)) is not None:
            try:
                return parse_name(text)
            except UnusableText as error:
                self._problem("__plugin_name__", error.found, error.expected)
        return name_of_package(package)

    def _version(self) -> str:
        version = self._text("__version__", required=True)
        if version is None or is_semantic(version):
            return version or ""
        self._problem("__version__", describe(version))
        return ""

    def _state(self) -> WantedState | None:
        if "__state__" not in self._bindings.values:
            return None
        value = self._bindings.values["__state__"]
        if (text := as_text(value)) in set(WantedState):
            return WantedState(text)
        advice = "the plugin counts as disabled, as it did in 3.x"
        self._warnings.append(self._fault("__state__", describe(value), advice=advice))
        return WantedState.DISABLED

    def _appversion(self) -> str:
        if (text := self._text("__appversion__")) is None:
            return ""
        versions = self._range("__appversion__", text)
        return "" if versions is None else str(versions)

    def _requires(self, name: PluginName) -> tuple[Requirement, ...]:
        value = self._bindings.values.get("__requires__")
        if value is None:
            return ()
        if not issubclass(type(value), dict):
            self._problem("__requires__", describe(value))
            return ()
        items = dict.items(cast("dict[object, object]", value))
        found = [self._requirement(name, *item) for item in items]
        return tuple(sorted((one for one in found if one), key=lambda one: one.plugin))

    def _requirement(self, name: PluginName, key: object, value: object) -> Requirement | None:
        what = f"__requires__[{describe(key)}]"
        try:
            required = parse_name(key)
        except UnusableText as error:
            self._problem(what, f"the name {error.found}", error.expected)
            return None
        if required == name:
            self._problem(what, "the plugin itself", "names of other plugins")
            return None
        versions = self._range(what, value)
        return None if versions is None else Requirement(required, versions)

    def _range(self, what: str, value: object) -> VersionRange | None:
        try:
            return VersionRange.parse(value)
        except UnusableText as error:
            self._problem(what, error.found, error.expected)
        return None

    def _optional(self) -> bool:
        value = self._bindings.values.get("__optional__")
        if value is not None and type(value) is not bool:
            self._problem("__optional__", describe(value))
        return value is True

    def _permissions(self) -> tuple[str, ...]:
        if "__permissions__" in self._bindings.computed:
            # what a plugin is granted is decided before any of its code runs
            found = "a value that only running the module can tell"
            self._problem("__permissions__", found, "a list of texts that stand there themselves")
        value = self._bindings.values.get("__permissions__")
        if value is None:
            return ()
        from .permissions import parse  # few plugins ask for any

        permissions, problems = parse(value, self._where)
        self._problems += problems
        return permissions.texts

    def _shown(self, dunder: str, *, required: bool = False, multiline: bool = False) -> str:
        """Return a text that nothing but people will read."""
        return clean(self._text(dunder, required=required) or "", multiline=multiline)

    def _text(self, dunder: str, *, required: bool = False) -> str | None:
        """Return the text of a dunder, or what stands in for it, as it was written."""
        value = self._bindings.values.get(dunder)
        if (text := as_text(value)) is not None:
            return text
        if value is not None:
            self._problem(dunder, describe(value))
        elif dunder not in self._bindings.computed:
            if dunder in self._fallback:
                return self._fallback[dunder]
            if required:
                self._check_given(dunder)
        return None

    def _check_register(self) -> None:
        value = self._bindings.values.get(REGISTER)
        if value is None:
            self._check_given(REGISTER)
        elif not callable(value):
            self._problem(REGISTER, describe(value))

    def _check_given(self, name: str) -> None:
        """Note that a required `name` is missing, unless it may come with the import."""
        if self._bindings.open_ended or name in self._bindings.computed:
            return
        slips = [other for other in self._bindings if edit_distance_is_one(other, name)]
        advice = f"perhaps {clean(min(slips), 50)} is meant to be it" if slips else ""
        self._problem(name, "nothing", advice=advice)

    def _check_spelling(self) -> None:
        """Warn of dunders that are one slip away from a known one that isn't there."""
        dunders = {name for name in self._bindings if name.startswith("__") and name.endswith("__")}
        for found in sorted(dunders - ORDINARY):
            for known in KNOWN:
                if known not in dunders and edit_distance_is_one(found, known):
                    self._warnings.append(self._fault(found, describe(found), known))

    def _problem(self, what: str, found: str, expected: str = "", advice: str = "") -> None:
        self._problems.append(self._fault(what, found, expected, advice))

    def _fault(self, what: str, found: str, expected: str = "", advice: str = "") -> Problem:
        return Problem(
            where=self._where,
            what=what,
            found=found,
            expected=expected or EXPECTED.get(what, "a text"),
            advice=advice,
        )


def _says_the_same(manifest: Manifest, values: Mapping[str, object]) -> bool:
    """Tell whether a module has the very literals that were read from its source."""
    given = manifest.literals
    if given is None or manifest.problems or "__getattr__" in values:
        return False
    return callable(values.get(REGISTER)) and all(
        type(value := values.get(name)) is type(literal) and value == literal
        for name, literal in ((name, given.get(name)) for name in KNOWN)
    )


def _where(folder: Path) -> str:
    return clean(f"{folder.name}/__init__.py", 200)


def _lazy_attribute(module: ModuleType, name: str) -> object:
    """Return what the module's own ``__getattr__`` (PEP 562) has for `name`, None if nothing."""
    try:
        return getattr(module, name, None)
    except Exception:  # noqa: BLE001 - whatever the plugin's code raises, there is no value
        return None
