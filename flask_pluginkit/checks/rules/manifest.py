"""What the plugin says of itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.exceptions import Problem
from flask_pluginkit.manifest import KNOWN
from flask_pluginkit.source import SOURCE
from flask_pluginkit.text import as_text
from flask_pluginkit.version import __version__
from flask_pluginkit.versions import is_compatible_with_us

_PREFIXES = ("flask_pluginkit_", "pluginkit_", "plugin_")


def check_manifest(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with the dunders, and whether they allow this version."""
    for problem in subject.manifest.problems:
        if problem.what != SOURCE:  # that is a finding about the file already
            code = "PK002" if problem.found == "nothing" else "PK003"
            yield _finding(subject, code, problem)
    for problem in subject.manifest.warnings:
        known = problem.what in KNOWN
        yield _finding(subject, "PK003" if known else "PK004", problem)
    yield from _excluded(subject)
    yield from _names(subject)


def _finding(subject: Subject, code: str, problem: Problem) -> Finding:
    found = problem.found if code != "PK004" else "a dunder that nobody knows"
    message = f"{problem.what}: found {found}, expected {problem.expected}"
    if problem.advice:
        message += f"; {problem.advice}"
    name = re.match(r"\w+", problem.what)
    return _at(subject, code, name[0] if name else "", message)


def _at(subject: Subject, code: str, name: str, message: str) -> Finding:
    """Return a finding where a name is bound in the module."""
    root = subject.modules.root
    if root is not None:
        given = root.assigned.get(name)
        node: ast.AST | None = given[-1] if given else root.functions.get(name)
        if node is not None:
            return subject.at(code, root, node, message)
    return subject.in_file(code, subject.shown_init, message)


def _excluded(subject: Subject) -> Iterator[Finding]:
    text = subject.manifest.appversion
    if text and not is_compatible_with_us(text):
        message = (
            f"__appversion__: Flask-PluginKit {__version__} isn't in the range {text!r}, so the "
            "plugin is listed as incompatible and not loaded"
        )
        yield _at(subject, "PK009", "__appversion__", message)


def _names(subject: Subject) -> Iterator[Finding]:
    """Compare the name with the folder's, where operators will look for it."""
    root = subject.modules.root
    given = root.assigned.get("__plugin_name__") if root else None
    if root is None or not given:
        return
    name = as_text(subject.modules.text(root, given[-1]))
    folder = subject.folder.name
    if name is None or name != subject.manifest.name or _plain(name) == _plain(folder):
        return
    message = (
        f"__plugin_name__ is {name!r}, but the folder is {folder!r}: commands, URLs and settings "
        "have the first, imports and markers the second; give both one name"
    )
    yield subject.at("PK005", root, given[-1], message)


def _plain(name: str) -> str:
    plain = re.sub(r"[-_. ]+", "_", name).casefold()
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain.replace("_", "")
