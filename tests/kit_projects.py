"""Projects of plugin authors, and pytest run in them as their authors run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trees import write, write_plugin

PACKAGE = Path(__file__).parents[1]

REPORTING = """
import json
from pathlib import Path

rows = {}

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        why = getattr(report, "wasxfail", "") or str(report.longrepr or "")
        outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        if report.failed and report.when != "call":
            outcome = "error"
        rows[report.nodeid] = [outcome, why]

def pytest_collectreport(report):
    if report.failed:
        rows[report.nodeid] = ["error", str(report.longrepr)]

def pytest_sessionfinish(session):
    Path(session.config.rootpath, "outcomes.json").write_text(json.dumps(rows))
"""

COMPLETE: Mapping[str, Any] = {"description": "For tests", "license": "MIT"}
"""What a plugin also says of itself that tells all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one test."""

    result: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run of pytest came to."""

    outcomes: Mapping[str, Outcome]
    output: str

    def of(self, name: str) -> Outcome:
        """What became of the test whose name ends so."""
        found = [row for node, row in self.outcomes.items() if node.endswith(name)]
        assert len(found) == 1, (name, sorted(self.outcomes), self.output)
        return found[0]

    def failed(self) -> dict[str, str]:
        """Every test that didn't pass, with what it said."""
        wrong = {"failed", "error"}
        return {node: row.why for node, row in self.outcomes.items() if row.result in wrong}


def write_project(
    root: Path, plugins: Mapping[str, str], files: Mapping[str, str], **options: str
) -> Path:
    """Write a project of an author; `options` are of pytest's configuration."""
    for name, body in plugins.items():
        write_plugin(root / "src" / "pluginkit_plugins", name, body, **COMPLETE)
    lines = [f"{key} = {value}" for key, value in options.items()]
    settings = ["[pytest]", "addopts = -p no:cacheprovider -p no:hypothesispytest", *lines]
    write(root / "pytest.ini", "\n".join(settings) + "\n")
    write(root / "conftest.py", REPORTING)
    for name, text in files.items():
        write(root / name, text)
    return root


def run_pytest(root: Path, *words: str, with_plugin: bool = True) -> Run:
    """Run pytest in a project, in a process of its own."""
    loaded = ["-p", "flask_pluginkit.testing.plugin"] if with_plugin and not _is_installed() else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *loaded, *words],
        cwd=root,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    report = root / "outcomes.json"
    rows = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    outcomes = {node: Outcome(result=row[0], why=row[1]) for node, row in rows.items()}
    return Run(outcomes=outcomes, output=done.stdout + done.stderr)


def environment() -> dict[str, str]:
    """The environment in which the copy of the package is imported that is tested here."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *_checkout()]))
    return {**os.environ, "PYTHONPATH": path, "CI": "", "PYTEST_ADDOPTS": ""}


def _checkout() -> Iterable[str]:
    import flask_pluginkit

    folder = Path(flask_pluginkit.__file__).parents[1]
    return [str(folder)] if folder == PACKAGE else []


def _is_installed() -> bool:
    """Whether pytest finds the plugin by its entry point."""
    from importlib.metadata import entry_points

    return any(point.name == "pluginkit" for point in entry_points(group="pytest11"))
