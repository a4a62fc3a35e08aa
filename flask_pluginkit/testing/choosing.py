"""Which plugin is tested: the one that was named, else the only one of the project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from flask_pluginkit.discovery import Candidate, discover
from flask_pluginkit.finding import NAMESPACE, PROJECT_PLACES
from flask_pluginkit.manifest import Manifest, read_manifest

OPTION: Final = "pluginkit_plugins"

_NOWHERE: Final = ".pluginkit"
"""A folder that nobody has, for searches that are to find no plugins of an application."""


class ChoiceError(Exception):
    """It isn't clear which plugin is to be tested; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The plugin that is tested."""

    candidate: Candidate
    manifest: Manifest

    @property
    def name(self) -> str:
        """The plugin's ``__plugin_name__``."""
        return self.manifest.name

    @property
    def folder(self) -> Path:
        """Where its code is."""
        return self.candidate.folder


def only(root: Path) -> str:
    """Return the folder's name of the only plugin in a project.

    Raises:
        ChoiceError: it has none, or several.

    """
    names = sorted({name for place in PROJECT_PLACES for name in _below(root / place)})
    if len(names) == 1:
        return names[0]
    if names:
        raise ChoiceError(
            f"several plugins are below {root}: {', '.join(names)}; say which to test: "
            f"`{OPTION} = {' '.join(names)}` in pytest's configuration tests all of them, and a "
            "fixture `plugin_name` of your own chooses in one module"
        )
    raise ChoiceError(
        f"no plugin is in {' or '.join(f'{place}/' for place in PROJECT_PLACES)} below {root}: "
        f"name the one to test by `{OPTION} = <name>` in pytest's configuration (the name of an "
        "installed plugin or of a package, or the path of a folder), or by a fixture `plugin_name`"
    )


def _below(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (one.name for one in folder.iterdir() if (one / "__init__.py").is_file())


@cache
def choose(root: Path, given: str) -> Chosen:
    """Return the plugin that `given` stands for; looked for once in a process.

    Args:
        root: the folder of pytest's configuration.
        given: the plugin's name, its folder's name, the name of a package, or the path of its
            folder, from `root` on.

    Raises:
        ChoiceError: there is no such plugin, or it can't be found because of a fault in it.

    """
    for found in _searches(root, given):
        # nearly always the folder is called as the plugin is: then no other manifest is read
        likely = [one for one in found if _is_in(one, given)]
        rows = [Chosen(candidate=one, manifest=_manifest(one)) for one in likely]
        if (row := next((row for row in rows if row.name == given), None)) is None:
            others = (Chosen(candidate=one, manifest=_manifest(one)) for one in found)
            row = next((row for row in others if row.name == given), next(iter(rows), None))
        if row is not None:
            return _usable(row)
    raise ChoiceError(
        f"no plugin {given!r} is found: looked at what is installed, and below {root} in "
        f"{' and '.join(f'{place}/' for place in PROJECT_PLACES)}"
    )


def _searches(root: Path, given: str) -> Iterator[tuple[Candidate, ...]]:
    """Yield what is found in each place, what is installed first, as an application does."""
    path = root / given
    if "/" in given and (path / "__init__.py").is_file():
        yield from _at(path.resolve())
        return
    yield discover(base=root, folder=_NOWHERE)
    yield discover(base=root, folder=_NOWHERE, paths=[root / "src", root])
    found = discover(base=root, folder=_NOWHERE, packages=[given])
    yield tuple(one for one in found if one.problem is None)


def _at(path: Path) -> Iterator[tuple[Candidate, ...]]:
    if path.parent.name == NAMESPACE:
        found = discover(base=path, folder=_NOWHERE, paths=[path.parent.parent])
    else:
        found = discover(base=path.parent.parent, folder=path.parent.name)
    yield tuple(one for one in found if one.folder == path)


def _manifest(candidate: Candidate) -> Manifest:
    return read_manifest(candidate.folder, candidate.package)


def _is_in(candidate: Candidate, given: str) -> bool:
    names = {candidate.package, candidate.module, candidate.folder.name}
    return given in names or ("/" in given and Path(given).name == candidate.folder.name)


def _usable(row: Chosen) -> Chosen:
    if row.candidate.problem is not None:
        raise ChoiceError(str(row.candidate.problem))
    return row


def required(chosen: Chosen, found: Iterable[Candidate], others: Iterable[str]) -> list[Candidate]:
    """Return what is to be there: the plugin, what it requires, and `others` with theirs."""
    rows: dict[str, Chosen] = {}
    for candidate in found:
        if candidate.problem is None and candidate.folder != chosen.folder:
            row = Chosen(candidate=candidate, manifest=_manifest(candidate))
            rows.setdefault(row.name, row)
    rows[chosen.name] = chosen
    waiting, kept = [chosen.name, *others], dict[str, Chosen]()
    while waiting:
        name = waiting.pop()
        if name in rows and name not in kept:
            kept[name] = rows[name]
            waiting += [requirement.plugin for requirement in rows[name].manifest.requires]
    return [row.candidate for row in kept.values()]
