"""``flask plugins check``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from check_pages import write_project
from click.testing import CliRunner, Result

from flask_pluginkit.checks import CODES
from flask_pluginkit.cli import plugins

MARKUP = "from markupsafe import Markup\n\n\ndef bold(word):\n    return Markup(word)\n"


def invoke(*arguments: str) -> Result:
    """Run the command as a terminal would, without an application."""
    return CliRunner().invoke(plugins, ["check", *arguments], prog_name="flask plugins")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one warning, as the current folder."""
    monkeypatch.chdir(write_project(tmp_path, {"hello/__init__.py": MARKUP}))
    return tmp_path


@pytest.mark.usefixtures("project")
def test_a_finding_is_printed_with_its_place_in_80_columns() -> None:
    """File, line, column and code first, then the message."""
    result = invoke("--static")
    lines = result.output.splitlines()
    assert lines[0] == "src/pluginkit_plugins/hello/__init__.py:8:12: PK201 warning"
    assert lines[1].startswith("    Markup() of something")
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "hello: 1 warning; codes are explained in docs/checks; not run"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 1),
        (["--fail-on", "error"], 0),
        (["--fail-on", "note"], 1),
        (["--ignore", "PK2"], 0),
        (["--select", "PK1"], 0),
        (["--select", "PK999"], 2),
        (["--ignore", "nothing"], 2),
        (["--fail-on", "sometimes"], 2),
        (["no_such_folder"], 2),
        (["README.md"], 2),
        (["--timeout", "0"], 2),
        (["--unknown"], 2),
    ],
)
def test_the_exit_code_is_for_scripts(arguments: list[str], code: int) -> None:
    """0 for nothing that matters, 1 for findings, 2 for wrong usage."""
    assert invoke("--static", *arguments).exit_code == code


@pytest.mark.usefixtures("project")
def test_json_has_its_documented_shape() -> None:
    """Nothing else is printed, so that programs can read it."""
    result = invoke("--json", "--static")
    report = json.loads(result.output)
    assert {key: report[key] for key in ("format", "counts", "suppressed", "plugins")} == {
        "format": 1,
        "counts": {"error": 0, "warning": 1, "note": 0},
        "suppressed": 0,
        "plugins": [
            {"name": "hello", "path": "src/pluginkit_plugins/hello", "was_run": False},
        ],
    }
    (finding,) = report["findings"]
    assert finding.pop("message").startswith("Markup()")
    assert finding == {
        "plugin": "hello",
        "path": "src/pluginkit_plugins/hello/__init__.py",
        "line": 8,
        "column": 12,
        "code": "PK201",
        "severity": "warning",
    }


@pytest.mark.usefixtures("project")
def test_plugins_are_run_unless_one_says_otherwise() -> None:
    """The summary tells if they weren't."""
    assert "not run" not in invoke("--timeout", "60").output


@pytest.mark.usefixtures("project")
def test_nothing_found_is_said() -> None:
    """One line, with the plugin's name."""
    assert invoke("--static", "--ignore", "PK2").output == "hello: nothing found; not run\n"


def test_all_codes_are_listed() -> None:
    """With severity and title, within 80 columns."""
    lines = invoke("--codes").output.splitlines()
    assert [line.split()[0] for line in lines[1:] if line[0] != " "] == list(CODES)
    assert max(map(len, lines)) <= 80


def test_the_help_warns_that_code_is_run() -> None:
    """Whoever checks a stranger's plugin has to know."""
    text = " ".join(invoke("--help").output.split())
    assert "That is no sandbox. With --static none of their code is run" in text
