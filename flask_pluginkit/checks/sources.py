"""The files of a plugin: found, read and parsed, with a finding for each that can't be.

Nothing is imported or executed. What a folder can hold to keep us busy (links in a circle, files
without end, a million of them) is bounded, and said.
"""

from __future__ import annotations

import ast
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jinja2
from jinja2 import TemplateSyntaxError, nodes

from flask_pluginkit.durable import open_regular
from flask_pluginkit.exceptions import ManifestError
from flask_pluginkit.source import LARGEST_SOURCE, parse_source, read_source
from flask_pluginkit.text import clean, edit_distance_is_one, nearest

MOST_FILES: Final = 2000
"""Files of one plugin that are looked at, those in its folder `static` included."""

DEEPEST: Final = 20
"""Folders in folders that are looked into."""

LARGEST_TEMPLATE: Final = 512 * 1024
"""Bytes."""

MOST_TEXT: Final = 4 * 1024 * 1024
"""Bytes of Python and templates of one plugin: their trees take a hundred times as much."""

PASSED_OVER: Final = frozenset({"__pycache__", "node_modules", "tests", "test"})
"""Folders that hold nothing of what a plugin does."""

TEMPLATES: Final = frozenset(
    {".html", ".htm", ".xhtml", ".j2", ".jinja", ".jinja2", ".xml", ".svg", ".txt", ".md", ".js"}
)
"""Endings of what lies in the folder `templates` and is read as a template."""

ESCAPED: Final = (".html", ".htm", ".xml", ".xhtml", ".svg")
"""Endings of templates for which Flask switches escaping on."""

_LINE: Final = re.compile(r"in line (\d+)")
_UNKNOWN_TAG: Final = re.compile(r"unknown tag '(\w+)'")
_TAGS: Final = tuple(
    "autoescape block break call continue do elif else endautoescape endblock endcall endfilter "  # noqa: SIM905
    "endfor endif endmacro endset endtrans endwith extends filter for from if import include "
    "macro pluralize raw set trans with".split()
)

ENVIRONMENT: Final = jinja2.Environment(  # noqa: S701 - it renders nothing
    extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", "jinja2.ext.i18n"]
)
"""What parses templates: with the tags that hosts may have switched on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why something can't be looked at; a code, a message, and where it is."""

    code: str
    message: str
    path: str
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFile:
    """A Python file that could be parsed."""

    path: str
    """As it is shown."""
    key: str
    """Its dotted name in the plugin: "" for ``__init__.py``, "views", "admin.views"."""
    is_package: bool
    text: str
    tree: ast.Module


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """A template that could be parsed: a file, or code that stands in Python."""

    path: str
    name: str
    """Its name among the plugin's templates, "" for code."""
    text: str
    tree: nodes.Template
    first_line: int = 1
    """The line of the file in which it begins."""
    column: int = 0
    """For code: where it begins. Places inside of it can't be told, as it may be joined."""

    @property
    def is_escaped(self) -> bool:
        """Tell whether Flask escapes values in it."""
        return not self.name or self.name.endswith(ESCAPED)

    def place(self, line: int, word: str = "") -> tuple[int, int]:
        """Return line and column of the first `word` in the line with this number."""
        if self.column:
            return self.first_line, self.column
        lines = self.text.split("\n")
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        return line, text.find(word) + 1 if word else 1


@dataclass(slots=True)
class Tree:
    """All files of one plugin."""

    python: list[PythonFile] = field(default_factory=list)
    templates: list[TemplateFile] = field(default_factory=list)
    template_names: set[str] = field(default_factory=set)
    """Names of all files in `templates`, whether they could be parsed or not."""
    static_names: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    is_whole: bool = True
    """False if something was left out, so that what isn't found may be there."""


def read_tree(folder: Path, shown: str) -> Tree:
    """Return everything in a plugin's folder; `shown` is how that is called in findings."""
    tree = Tree()
    left = MOST_TEXT
    for relative in _files(folder, shown, tree):
        parts = relative.split("/")
        if parts[0] == "static":
            tree.static_names.add("/".join(parts[1:]))
        elif parts[0] == "templates":
            name = "/".join(parts[1:])
            tree.template_names.add(name)
            if os.path.splitext(name)[1] not in TEMPLATES:  # noqa: PTH122 - a name, no path
                continue
            if (left := left - _size(folder / relative)) >= 0:
                _read_template(folder / relative, inside(shown, relative), name, tree)
        elif relative.endswith(".py") and (left := left - _size(folder / relative)) >= 0:
            _read_python(folder / relative, inside(shown, relative), relative, tree)
    if left < 0:
        _left_out(tree, shown, f"its files hold more than {MOST_TEXT} bytes")
    return tree


def _size(path: Path) -> int:
    """Return how many bytes are going to be read; what is too large by itself isn't."""
    try:
        return min(path.stat().st_size, LARGEST_SOURCE)
    except (OSError, ValueError):
        return 0


def inside(shown: str, relative: str) -> str:
    """Return how a file is called that lies in a folder that is called `shown`."""
    return relative if shown in {"", "."} else f"{shown}/{relative}"


def names_below(folder: Path) -> frozenset[str]:
    """Return the paths of all files below a folder, the first 2000."""
    return frozenset(_files(folder, "", Tree()))


def parse_template(text: str, name: str) -> nodes.Template | tuple[str, int]:
    """Return the syntax tree of a template, or what is wrong with it and in which line.

    Tags that an extension of the host may bring are no fault: then the tree is empty.
    """
    try:
        return ENVIRONMENT.parse(text, name)
    except TemplateSyntaxError as error:
        found = _UNKNOWN_TAG.search(error.message or "")
        if found and not _is_tag(found[1]):
            return nodes.Template([], lineno=1)
        return clean(error.message or "a syntax error", 300), error.lineno
    except (RecursionError, MemoryError):
        return "it is nested too deep to be parsed", 0
    except (ValueError, ArithmeticError) as error:  # of Jinja's lexer, such as numbers too long
        return clean(error, 300), 0


def _is_tag(name: str) -> bool:
    """Tell whether a tag is Jinja's, or one of those written wrongly."""
    is_close = nearest(name, _TAGS, cutoff=0.75) is not None
    return is_close or any(edit_distance_is_one(name, tag) for tag in _TAGS)


def _files(folder: Path, shown: str, tree: Tree) -> Iterator[str]:
    """Yield the files below a folder, the first 2000, by their path from there."""
    count = 0
    pending = [("", 0)]
    while pending:
        below, depth = pending.pop()
        try:
            with os.scandir(folder / below) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (OSError, ValueError) as error:
            _left_out(
                tree, inside(shown, below), f"the folder can't be listed: {clean(error, 100)}"
            )
            continue
        for entry in entries:
            relative = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith(".") or entry.name in PASSED_OVER:
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth >= DEEPEST:
                    _left_out(tree, inside(shown, relative), f"it is deeper than {DEEPEST} folders")
                else:
                    pending.append((relative, depth + 1))
                continue
            if entry.is_symlink() and not os.path.isfile(entry.path):  # noqa: PTH113
                _left_out(tree, inside(shown, relative), "it is a link to no file")
                continue
            count += 1
            if count > MOST_FILES:
                _left_out(tree, shown, f"it holds more than {MOST_FILES} files")
                return
            yield relative


def _left_out(tree: Tree, shown: str, reason: str) -> None:
    tree.is_whole = False
    tree.faults.append(Fault(code="PK008", path=shown, message=f"not looked at: {reason}"))


def _read_python(path: Path, shown: str, relative: str, tree: Tree) -> None:
    try:
        text = read_source(path, shown)
        parsed = parse_source(text, shown)
    except ManifestError as error:
        problem = error.problems[0]
        line = _LINE.search(problem.found)
        tree.is_whole = False
        tree.faults.append(
            Fault(
                code="PK001",
                path=shown,
                line=int(line[1]) if line else 0,
                message=f"found {problem.found}, expected {problem.expected}",
            )
        )
        return
    parts = relative.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    key = ".".join(parts[:-1] if is_package else parts)
    tree.python.append(
        PythonFile(path=shown, key=key, is_package=is_package, text=text, tree=parsed)
    )


def _read_template(path: Path, shown: str, name: str, tree: Tree) -> None:
    text = _template_text(path)
    if isinstance(text, _Unreadable):
        tree.faults.append(Fault(code="PK001", path=shown, message=f"found {text.reason}"))
        return
    parsed = parse_template(text, name)
    if isinstance(parsed, tuple):
        message, line = parsed
        tree.faults.append(Fault(code="PK107", path=shown, line=line, message=message))
        return
    tree.templates.append(TemplateFile(path=shown, name=name, text=text, tree=parsed))


@dataclass(frozen=True, slots=True)
class _Unreadable:
    reason: str


def _template_text(path: Path) -> str | _Unreadable:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return _Unreadable("something that isn't a regular file")
        with open_regular(path) as file:
            data = file.read(LARGEST_TEMPLATE + 1)
        if len(data) > LARGEST_TEMPLATE:
            size = max(status.st_size, len(data))
            return _Unreadable(f"{size} bytes, expected at most {LARGEST_TEMPLATE}")
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        return _Unreadable(f"bytes that aren't UTF-8 ({clean(error, 100)})")
    except (OSError, ValueError) as error:
        return _Unreadable(f"no readable file ({clean(error, 100)})")
