"""Where plugins are looked for, and what is seen there: also what isn't taken for a plugin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from flask_pluginkit.discovery import ENTRY_POINT_GROUP, Candidate, Origin, discover
from flask_pluginkit.finding import INIT, NAMESPACE, namespace_locations
from flask_pluginkit.text import clean

from .overlooked import Seen, passed_over

if TYPE_CHECKING:
    from flask_pluginkit.snapshot import Plugin

REFUSED: Final = "refused"
FOUND: Final = "found"
ELSEWHERE: Final = "found already"


class Search(NamedTuple):
    """Where an application looks for plugins."""

    base: Path
    folder: str
    packages: tuple[str, ...]
    paths: tuple[Path, ...]

    @property
    def root(self) -> Path:
        """The folder of local plugins."""
        return Path(os.path.abspath(self.base / self.folder))  # noqa: PTH100 - may not exist


class Place(NamedTuple):
    """One place, in the order in which they are searched."""

    title: str
    path: str
    seen: tuple[Seen, ...]
    remark: str = ""


def survey(search: Search, rows: Iterable[Plugin]) -> list[Place]:
    """Look at every place of a search, as starting the application does. Imports nothing.

    `rows` are what became of the plugins, none where the application didn't start.
    """
    candidates = discover(
        base=search.base, folder=search.folder, packages=search.packages, paths=search.paths
    )
    eye = _Eye(candidates, {row.candidate.folder: row for row in rows})
    return [
        eye.place("the folder of local plugins", search.root, Origin.FOLDER),
        eye.named("plugin_packages", Origin.PACKAGE),
        *_namespace(eye, search),
        _entry_points(eye),
    ]


class _Eye:
    """Tells what was made of each thing."""

    def __init__(self, candidates: Iterable[Candidate], rows: Mapping[Path, Plugin]) -> None:
        self.candidates = tuple(candidates)
        self.rows = rows
        self.by_folder = {candidate.folder: candidate for candidate in self.candidates}

    def place(self, title: str, path: Path, origin: Origin) -> Place:
        """Return what is in a folder."""
        real = Path(os.path.realpath(path))
        try:
            names = sorted(os.listdir(real))  # noqa: PTH208 - a name is all that is needed
        except FileNotFoundError:
            return Place(title, clean(path), (), "it doesn't exist")
        except OSError as error:
            return Place(title, clean(path), (), f"it can't be read: {clean(error.strerror)}")
        here = {
            each.package: each
            for each in self.candidates
            if each.location == real and each.origin is origin
        }
        seen = [self._child(real / name, here.get(clean(name, 100))) for name in names]
        return Place(title, clean(path), tuple(each for each in seen if each is not None))

    def named(self, title: str, origin: Origin) -> Place:
        """Return what was found by names."""
        found = [each for each in self.candidates if each.origin is origin]
        return Place(title, "", tuple(self.judged(each, each.module) for each in found))

    def _child(self, path: Path, candidate: Candidate | None) -> Seen | None:
        label = clean(path.name, 100)
        if candidate is not None:
            return self.judged(candidate, label)
        other = self.by_folder.get(Path(os.path.realpath(path)))
        if other is not None and path.is_dir():
            return Seen(label, ELSEWHERE, f"as {other.origin.value} {clean(other.module, 200)}")
        return passed_over(path, label)

    def judged(self, candidate: Candidate, label: str) -> Seen:
        """Return what became of a candidate."""
        row = self.rows.get(candidate.folder)
        if (problem := candidate.problem) is not None:
            what = clean(problem.what, 100)
            remark = f"{what}: found {problem.found}, expected {problem.expected}"
            advice = clean(problem.advice) or f"mend this: {what}"
            return Seen(label, REFUSED, clean(remark, 1000), advice, row.name if row else "")
        if row is None:
            return _unstarted(candidate, label)
        remark = clean(row.reason, 1000)
        if row.name != label.rpartition(".")[2]:
            remark = f"its name is {clean(row.name, 100)!r}" + (f"; {remark}" if remark else "")
        return Seen(label, row.status.value, remark, plugin=row.name)


def _unstarted(candidate: Candidate, label: str) -> Seen:
    """Return what can be known of a plugin while no application runs."""
    from flask_pluginkit.manifest import read_manifest

    manifest = read_manifest(candidate.folder, candidate.package)
    if manifest.problems:
        problems = " | ".join(str(problem) for problem in manifest.problems)
        return Seen(label, REFUSED, clean(problems, 1000), "mend its manifest", manifest.name)
    name = manifest.name
    remark = "" if name == label.rpartition(".")[2] else f"its name is {clean(name, 100)!r}"
    return Seen(label, FOUND, remark, plugin=name)


def _namespace(eye: _Eye, search: Search) -> Iterator[Place]:
    title = f"the namespace {NAMESPACE}"
    given = {os.path.realpath(place) for place in namespace_locations((), str(search.base))}
    own = [each for each in eye.candidates if each.origin is Origin.NAMESPACE]
    for location in namespace_locations(search.paths, str(search.base)):
        by = "found by sys.path" if location in given else "of plugin_paths"
        place = eye.place(f"{title}, {by}", Path(location), Origin.NAMESPACE)
        hiding = [
            Seen(INIT, REFUSED, clean(f"{one.problem.found}; {one.problem.expected}"),
                 clean(one.problem.advice), NAMESPACE)
            for one in own
            if one.problem is not None and one.module == NAMESPACE and str(one.folder) == location
        ]  # fmt: skip
        yield place._replace(seen=(*hiding, *place.seen))
    locations = set(namespace_locations(search.paths, str(search.base)))
    if not locations:
        yield Place(title, "", (), f"no folder of sys.path has a folder {NAMESPACE}")
    for path in search.paths:
        whole = Path(os.path.abspath(search.base / path))  # noqa: PTH100 - may not exist
        if not ({os.path.realpath(whole), os.path.realpath(whole / NAMESPACE)} & locations):
            remark = f"it has no folder {NAMESPACE}" if whole.is_dir() else "it doesn't exist"
            yield Place("plugin_paths", clean(whole), (), remark)
    strays = [one for one in own if one.problem is not None and one.folder.suffix == ".py"]
    for stray in strays:
        yield Place(f"a file called {NAMESPACE}.py", "", (eye.judged(stray, clean(stray.folder)),))


def _entry_points(eye: _Eye) -> Place:
    title = f"entry points of the group {ENTRY_POINT_GROUP}"
    seen = []
    try:
        points = sorted(metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception as error:  # noqa: BLE001 - one distribution is broken: say so
        return Place(title, "", (), f"they can't be read: {clean(error)}")
    for point in points:
        module = point.value.partition(":")[0].strip()
        label = clean(f"{point.name} = {point.value}", 200)
        if point.dist is not None:
            label += f", of {clean(point.dist.name, 100)}"
        seen.append(_pointed_to(eye, module, label))
    return Place(title, "", tuple(seen))


def _pointed_to(eye: _Eye, module: str, label: str) -> Seen:
    for candidate in eye.candidates:
        if candidate.module == clean(module, 200):
            if candidate.origin is Origin.ENTRY_POINT:
                return eye.judged(candidate, candidate.module)._replace(label=label)
            return Seen(label, ELSEWHERE, f"as {candidate.origin.value} {candidate.module}")
    return Seen(label, ELSEWHERE, "as another of these")
