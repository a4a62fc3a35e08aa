"""Which installed distributions can be isolated: those of which nothing runs in the host.

What pip installed can run code in every interpreter (``.pth`` files), at ``flask --help`` or in
a test run (entry points of others), or be imported by the host under a name that it knows
(modules beside the plugin's own). No sandbox helps against code that runs before it.
"""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint
from typing import Final

from flask_pluginkit.exceptions import Problem, SandboxUnavailable
from flask_pluginkit.text import clean, describe

from .kernel import OTHERWISE

NAMESPACE: Final = "pluginkit_plugins"
GROUP: Final = "flask_pluginkit.plugins"

_ADVICE: Final = f"build the distribution without it, {OTHERWISE}"


def require_confinable(distribution: Distribution, plugin: str) -> None:
    """Check that a distribution has nothing that would run outside of a plugin's worker.

    Raises SandboxUnavailable that names every file and entry point that would.
    """
    problems = [
        *record_problems(distribution.read_text("RECORD"), plugin),
        *entry_point_problems(distribution.entry_points, plugin),
    ]
    if problems:
        raise SandboxUnavailable(problems)


def record_problems(record: str | None, plugin: str) -> Iterator[Problem]:
    """Yield what a RECORD lists that isn't below the plugin's own folder or metadata.

    `record` is the text of the file, None if there is none.
    """
    if record is None:
        yield _problem(plugin, "RECORD", "no such file", "a list of what was installed")
        return
    try:
        names = [row[0] for row in csv.reader(record.splitlines(), strict=True) if row]
    except csv.Error as error:
        yield _problem(plugin, "RECORD", clean(error), "comma-separated values as pip writes them")
        return
    if not any(_lies_in(name, f"{NAMESPACE}/{plugin}") for name in names):
        yield _problem(plugin, "RECORD", "no file of the plugin", f"{NAMESPACE}/{plugin}/...")
    for name in names:
        if (reason := _objection(name, plugin)) is not None:
            expected = f"files below {NAMESPACE}/{plugin}/ only"
            yield _problem(plugin, "RECORD", f"{describe(name)}, {reason}", expected)


def entry_point_problems(points: Iterable[EntryPoint], plugin: str) -> Iterator[Problem]:
    """Yield the entry points that something other than this package would load."""
    own = f"{NAMESPACE}.{plugin}"
    for point in points:
        module = point.value.partition(":")[0].strip()
        if point.group != GROUP:
            found = f"{describe(point.name)} in the group {describe(point.group)}"
            yield _problem(plugin, "entry point", found, f"entry points of {GROUP} only")
        elif module != own and not module.startswith(f"{own}."):
            found = f"{describe(point.name)}, which is {describe(point.value)}"
            yield _problem(plugin, "entry point", found, f"one that names {own}")


def _objection(name: str, plugin: str) -> str | None:
    """Why a file of a RECORD can't be; None if it can."""
    folded = name.lower()
    if folded.endswith((".pth", ".egg-link")):
        return "which every interpreter reads when it starts"
    if "\\" in name or name.startswith("/") or ".." in name.split("/"):
        return "which lies outside of the folder of packages"
    if _lies_in(name, f"{NAMESPACE}/{plugin}"):
        return None
    folder, _, rest = posixpath.normpath(name).partition("/")
    if folder.endswith(".dist-info") and rest and not folded.endswith((".py", ".so", ".pyc")):
        return None
    return "which the host could import or read as its own"


def _lies_in(name: str, folder: str) -> bool:
    return posixpath.normpath(name).startswith(f"{folder}/") and ".." not in name.split("/")


def _problem(plugin: str, what: str, found: str, expected: str) -> Problem:
    return Problem(
        where=f"distribution of {plugin}",
        what=what,
        found=found,
        expected=expected,
        advice=_ADVICE,
    )
