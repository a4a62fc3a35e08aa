"""The examples of the pages on checks, as projects that can be checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trees import write

from flask_pluginkit.checks import Finding, Report, check

PAGES = Path(__file__).parent.parent / "docs" / "checks"

DUNDERS = '__plugin_name__ = "hello"\n__version__ = "1.0.0"\n__author__ = "Ada"\n'
REGISTER = "\n\ndef register():\n    return {}\n"

INIT = "src/pluginkit_plugins/hello/__init__.py"

PROJECT = {
    "pyproject.toml": '[project]\nname = "hello"\nversion = "1.0.0"\nlicense = "MIT"\n',
    "LICENSE": "MIT",
    "README.md": "# hello",
    "tests/test_hello.py": "",
    INIT: DUNDERS + REGISTER,
}
"""A project with which nothing is wrong; examples are written over it."""

_FILE = re.compile(r"^`([^`\n]+)`:\n\n```[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_WITHOUT = re.compile(r"^Without `([^`\n]+)`\.$", re.MULTILINE)


def page(code: str) -> str:
    """The page on a code."""
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def example(code: str, title: str) -> dict[str, str | None]:
    """The files of the example below a heading; None for one that isn't there."""
    text = section(page(code), title)
    files: dict[str, str | None] = dict(_FILE.findall(text))
    files |= dict.fromkeys(_WITHOUT.findall(text))
    assert files, f"{code} has no example below {title!r}"
    return files


def write_project(root: Path, files: Mapping[str, str | None]) -> Path:
    """Write a project: the one that is in order, with these files in the place of its own.

    Paths that begin with ``hello/`` or ``pluginkit_plugins/`` are those of plugins. What an
    ``__init__.py`` lacks to be a plugin's is put around it, if it has none of it.
    """
    placed: dict[str, str | None] = {**PROJECT}
    for path, text in files.items():
        place = path
        if path.startswith("hello/"):
            place = f"src/pluginkit_plugins/{path}"
        elif path.startswith("pluginkit_plugins/"):
            place = f"src/{path}"
        placed[place] = _completed(text) if place == INIT and text is not None else text
    for place, text in placed.items():
        if text is not None:
            write(root / place, text)
    return root


def _completed(text: str) -> str:
    if "__plugin_name__" in text:
        return text
    return DUNDERS + text + ("" if "def register" in text else REGISTER)


def found_in(root: Path, code: str) -> tuple[Finding, ...]:
    """What is found in a project, checked as the page on a code asks for."""
    is_run = code.startswith("PK7")
    report = check(
        root,
        isolated=code.startswith("PK4"),
        run=is_run,
        timeout=4.0 if code == "PK703" else 60.0,
        base=root,
    )
    return report.findings


def codes_of(findings: tuple[Finding, ...]) -> list[str]:
    """The codes of findings."""
    return [finding.code for finding in findings]


def checked(
    root: Path, init: str, files: Mapping[str, str | None] | None = None, **options: Any
) -> Report:
    """What is found in the plugin hello with this ``__init__.py``, without running it."""
    project = write_project(root / "project", {"hello/__init__.py": init, **(files or {})})
    return check(project, **{"run": False, "base": project, **options})


def told(
    root: Path, init: str, files: Mapping[str, str | None] | None = None, **options: Any
) -> list[str]:
    """The codes of what is found, as `checked` has it."""
    return codes_of(checked(root, init, files, **options).findings)
