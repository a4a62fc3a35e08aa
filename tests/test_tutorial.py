"""The tutorial for authors is followed as it stands: each block is written, run or asked for."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown import Block, blocks_of
from trees import write

import flask_pluginkit

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "authoring.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(PAGE)
ENTRY_POINTS = """
[flask.commands]
plugins = flask_pluginkit.cli:plugins

[pytest11]
pluginkit = flask_pluginkit.testing.plugin
"""
ASK = """
import json, sys
from {module} import app
client = app.test_client()
answers = []
for method, path, form in json.loads(sys.argv[1]):
    answer = client.open(path, method=method, data=form)
    answers.append([answer.status_code, answer.text])
print(json.dumps(answers))
"""


class Reader:
    """Somebody who does what the page says, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder / "work"
        self.cwd.mkdir()
        self.site = folder / "site"
        self.site.mkdir()
        for program, module in {"flask": "-m flask", "python": ""}.items():
            script = f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n'
            write(folder / "bin" / program, script).chmod(0o755)
        package = Path(flask_pluginkit.__file__).parents[1]
        if package == ROOT:  # else these come with the distribution that is installed
            write(self.site / "flask_pluginkit-4.0.dist-info" / "entry_points.txt", ENTRY_POINTS)
            write(
                self.site / "flask_pluginkit-4.0.dist-info" / "METADATA",
                "Metadata-Version: 2.1\nName: Flask-PluginKit\nVersion: 4.0\n",
            )
        kept = {key: value for key, value in os.environ.items() if key != "FLASK_APP"}
        self.environment = {
            **kept,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{package}{os.pathsep}{self.site}",
            "COLUMNS": "80",
            # all of it is run for the template, by `nox -s template`; here it takes too long
            "PYTEST_ADDOPTS": "--ignore=tests/test_conformance.py -p no:cacheprovider",
            "PYTHONDONTWRITEBYTECODE": "1",  # a file is changed twice in one second
        }
        self.restored: tuple[Path, str] | None = None

    def follow(self, block: Block) -> str:
        """Do what a block says and return what is wrong with it, empty if all is as it says."""
        match block.language:
            case "python" | "html":
                self._write(block)
                return ""
            case "http":
                return self._ask(block)
            case "sh" if block.flags == "by-hand":
                if "pip install flask-pluginkit-notes" in block.text:
                    self._install()
                return ""
            case "sh":
                found = self._run(block)
                if self.restored is not None:
                    file, before = self.restored
                    file.write_text(before, encoding="utf-8")
                    self.restored = None
                return found
        return f"no block of this page is {block.language!r}"

    # ---- files ------------------------------------------------------------------------------

    def _write(self, block: Block) -> None:
        first, _, rest = block.text.partition("\n")
        match = re.fullmatch(r"(?:# |{# )([\w./]+)(?:, (.+?))?(?: #})?", first)
        assert match is not None, f"where does this go? {first}"
        file, place = self.cwd / match[1], match[2]
        if place is None:
            write(file, rest)
            return
        before = file.read_text(encoding="utf-8")
        if block.flags == "for-now":
            self.restored = (file, before)
        file.write_text(_edited(before, place, rest), encoding="utf-8")

    def _install(self) -> None:
        """Put what the wheel would hold where a package manager would put it."""
        shutil.copytree(self.cwd / "src", self.site, dirs_exist_ok=True)
        info = self.site / "flask_pluginkit_notes-0.1.0.dist-info"
        write(
            info / "METADATA",
            "Metadata-Version: 2.1\nName: flask-pluginkit-notes\nVersion: 0.1.0\n",
        )
        write(
            info / "entry_points.txt",
            "[flask_pluginkit.plugins]\nnotes = pluginkit_plugins.notes\n",
        )

    # ---- programs ---------------------------------------------------------------------------

    def _run(self, block: Block) -> str:
        wrong = []
        for command, shown in _commands(block.text):
            if command.startswith("cd "):
                self.cwd = (self.cwd / command.removeprefix("cd ")).resolve()
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=self.cwd,
                env=self.environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if not _is_shown(done.stdout, shown):
                wrong.append(f"$ {command}\n{done.stdout}\n--- where the page shows\n{shown}")
        return "\n".join(wrong)

    def _ask(self, block: Block) -> str:
        lines = [line.split(" → ", 1) for line in block.text.splitlines()]
        requests = []
        for asked, _wanted in lines:
            method, path, *form = asked.split(" ", 2)
            requests.append([method, path, dict(pair.split("=") for pair in form)])
        done = subprocess.run(
            [sys.executable, "-c", ASK.format(module=block.flags), json.dumps(requests)],
            cwd=self.cwd,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            return done.stderr
        answers = json.loads(done.stdout.splitlines()[-1])
        return "\n".join(
            f"{asked} → {status} {text}\n--- where the page shows\n{wanted}"
            for (asked, wanted), (status, text) in zip(lines, answers, strict=True)
            if not (status == int(wanted) if wanted.isdigit() else wanted in text)
        )


def _edited(text: str, place: str, new: str) -> str:
    """A file with something new at a place that the page tells in words."""
    lines = text.splitlines(keepends=True)
    if place == "at the end":
        return text + new
    if place == "with the other imports":
        at = max(number for number, line in enumerate(lines) if line.startswith("from ")) + 1
        return "".join([*lines[:at], new, *lines[at:]])
    if match := re.fullmatch(r"below (\w+)", place):
        at = next(n for n, line in enumerate(lines) if line.startswith(match[1])) + 1
        return "".join([*lines[:at], new, *lines[at:]])
    match = re.fullmatch(r"in place of (\w+)\(\)", place)
    assert match is not None, f"where is that? {place}"
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == match[1]:
            start = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
            return "".join([*lines[:start], new, *lines[node.end_lineno :]])
    raise AssertionError(f"there is no {match[1]}()")


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a block, each with what it shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _is_shown(output: str, shown: str) -> bool:
    """Tell whether an output is what the page shows, where … stands for anything."""
    pattern = ""
    for line in shown.splitlines():
        if line == "…":
            pattern += r"(?:.*\n)*"
        else:
            pattern += re.escape(line).replace("…", ".*") + r" *\n"
    return re.fullmatch(pattern, output.rstrip() + "\n" if output.strip() else "") is not None


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is wrong with each block, once all were followed in their order."""
    reader = Reader(tmp_path_factory.mktemp("tutorial"))
    return [reader.follow(block) for block in BLOCKS]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_does_what_the_page_says(findings: list[str], number: int) -> None:
    """Commands show what the page shows, and pages have what it says."""
    assert findings[number] == ""


def test_the_page_has_blocks_of_all_sorts() -> None:
    """So that it isn't followed by skipping everything."""
    run = [block for block in BLOCKS if block.flags != "by-hand"]
    assert {block.language for block in run} == {"sh", "python", "html", "http"}
    assert len(run) > 20


@pytest.mark.parametrize(
    ("output", "shown", "is_shown"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\n", False),
        ("a\nb\nc\n", "a\n…\n", True),
        ("a\nb 12 c\n", "a\nb … c\n", True),
        ("a\nb 12 d\n", "a\nb … c\n", False),
        ("", "", True),
        ("x\n", "", False),
        ("a+b\n", "a.b\n", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(output: str, shown: str, is_shown: bool) -> None:
    """An ellipsis stands for a part of a line, or for lines."""
    assert _is_shown(output, shown) == is_shown
