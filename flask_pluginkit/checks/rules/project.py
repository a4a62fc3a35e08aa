"""The project around a plugin: what others need to use and to trust it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

from flask_pluginkit.checks.places import Project
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.discovery import ENTRY_POINT_GROUP
from flask_pluginkit.finding import NAMESPACE
from flask_pluginkit.text import describe

_LICENCE: Final = re.compile(r"(?:un)?licen[cs]e|copying|copyright", re.IGNORECASE)
_README: Final = re.compile(r"read[-_]?me", re.IGNORECASE)
_TESTS: Final = re.compile(r"tests?|test_.*\.py|.*_test\.py")


def check_project(subject: Subject) -> Iterator[Finding]:
    """Yield what the project lacks, or says wrongly."""
    project = subject.place.project
    if project is None:
        if subject.place.is_installed:
            yield from _licence(subject, None)
        return
    yield from _version(subject, project)
    yield from _entry_points(subject, project)
    if project.is_private:
        return  # "Private :: Do Not Upload": nobody else will read, trust or change it
    yield from _licence(subject, project)
    folders = (project.folder, subject.folder)
    where = _file_of(project)
    if not (subject.manifest.readme_file or _holds(folders, _README)):
        message = "there is no readme: others can't know what the plugin is for"
        yield subject.in_file("PK502", where, message)
    if not _holds(folders, _TESTS):
        message = (
            "there are no tests: write a folder tests/ with `from flask_pluginkit.testing import "
            "conformance`, which tests every plugin"
        )
        yield subject.in_file("PK503", where, message)


def _licence(subject: Subject, project: Project | None) -> Iterator[Finding]:
    manifest = subject.manifest
    given: object = manifest.license or manifest.license_file
    folders = [subject.folder]
    where = subject.shown_init
    if project is not None:
        data = project.project
        classifiers = data.get("classifiers")
        rows = classifiers if isinstance(classifiers, list) else []
        given = given or data.get("license") or data.get("license-files")
        given = given or any(isinstance(row, str) and row.startswith("License ::") for row in rows)
        given = given or "license" in project.setup
        folders.append(project.folder)
        where = _file_of(project)
    if not given and not _holds(tuple(folders), _LICENCE):
        message = "there is no licence: without one nobody else may use the plugin"
        yield subject.in_file("PK501", where, message)


def _version(subject: Subject, project: Project) -> Iterator[Finding]:
    version = project.project.get("version")
    mine = subject.manifest.version
    if isinstance(version, str) and mine and _plain(version) != _plain(mine):
        message = (
            f"the project's version is {describe(version)} and the plugin's {describe(mine)}: give "
            "both one version, best by reading it from __init__.py"
        )
        yield subject.in_file("PK010", _file_of(project), message, _place(project, "version"))


def _plain(version: str) -> str:
    """Return a version so that those of semver and of PEP 440 can be compared."""
    plain = re.sub(r"[-_.]", "", version.lower().partition("+")[0])
    for long, short in (("alpha", "a"), ("beta", "b"), ("preview", "rc"), ("pre", "rc")):
        plain = plain.replace(long, short)
    return plain


def _entry_points(subject: Subject, project: Project) -> Iterator[Finding]:
    for name, value in _own_points(project):
        module = re.split(r"[:\[]", value, maxsplit=1)[0].strip()
        if _is_there(module, subject, project):
            continue
        message = (
            f"the entry point {describe(name)} leads to {describe(module)}, and there is no such "
            f"plugin here: expected one such as {describe(subject.package)}"
        )
        place = _place(project, name)
        yield subject.in_file("PK504", _file_of(project), message, place)


def _own_points(project: Project) -> Iterator[tuple[str, str]]:
    groups: Any = project.project.get("entry-points")
    points = groups.get(ENTRY_POINT_GROUP) if isinstance(groups, dict) else None
    for name, value in points.items() if isinstance(points, dict) else ():
        if isinstance(value, str):
            yield name, value


def _is_there(module: str, subject: Subject, project: Project) -> bool:
    if module in {subject.package, subject.folder.name}:
        return True
    path = module.replace(".", "/")
    return any(
        os.path.isfile(project.folder / top / path / "__init__.py")  # noqa: PTH113
        for top in (".", "src")
    ) and (module.startswith(f"{NAMESPACE}.") or "." not in module)


def _holds(folders: tuple[Any, ...], pattern: re.Pattern[str]) -> bool:
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        if any(
            pattern.match(name) if pattern is not _TESTS else pattern.fullmatch(name)
            for name in names
        ):
            return True
    return False


def _file_of(project: Project) -> str:
    name = "pyproject.toml" if project.has_pyproject else "setup.py"
    return name if project.shown == "." else f"{project.shown}/{name}"


def _place(project: Project, key: str) -> tuple[int, int]:
    """Return the line of a key in ``pyproject.toml``, as well as that can be told."""
    pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""")
    for number, line in enumerate(project.text.split("\n"), 1):
        if pattern.match(line):
            return number, 1
    return 0, 0
