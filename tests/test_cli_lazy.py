"""``flask plugins`` imports what a command needs when it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from commands import invoke
from hosts import Host, clean_imports, host, views

from flask_pluginkit import cli

__all__ = ["clean_imports", "host"]

ROOT = Path(cli.__file__).parent.parent.parent

PROGRAM = """
import json, sys
from importlib.metadata import EntryPoint
import flask.cli
sys.argv[0] = "flask"
point = EntryPoint("plugins", "flask_pluginkit.cli:plugins", "flask.commands")
flask.cli.importlib.metadata.entry_points = lambda group: [point]
try:
    flask.cli.main()
except SystemExit:
    pass
names = [name for name in sys.modules if name.startswith("flask_pluginkit")]
sys.stderr.write(json.dumps(names))
"""


def run_flask(folder: Path, *arguments: str, **variables: str) -> tuple[str, set[str]]:
    """Run ``flask`` where there is no application: what it prints, and which of us it imports."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    environment.pop("FLASK_APP", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_entry_of_the_table_leads_to_a_command(name: str) -> None:
    """Which has that name, a line of help that isn't cut, and help for each option."""
    module, _, attribute = cli.COMMANDS[name].partition(":")
    command = getattr(import_module(f"flask_pluginkit.cli.{module}"), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.get_short_help_str(65)[-3:] not in {"", "..."}
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert all(option.help for option in options)


def test_the_help_of_flask_imports_the_table_alone(tmp_path: Path) -> None:
    """Every application that has this package in its environment pays for it."""
    _output, imported = run_flask(tmp_path, "--help")
    assert "flask_pluginkit.cli" in imported
    assert {name for name in imported if name.count(".") > 1} == set()
    assert "flask_pluginkit.manager" not in imported


def test_the_help_of_the_group_imports_neither_manager_nor_isolation(tmp_path: Path) -> None:
    """It needs the lines of help of all commands, and nothing of what they work on."""
    output, imported = run_flask(tmp_path, "plugins", "--help")
    assert all(f"  {name} " in output for name in cli.COMMANDS)
    heavy = {"manager", "application", "isolation", "snapshot", "live", "discovery", "checks"}
    assert imported.isdisjoint(f"flask_pluginkit.{name}" for name in heavy)


def test_the_help_fits_80_columns(tmp_path: Path) -> None:
    """Also that of each command."""
    runner = click.testing.CliRunner()
    for name in ("", *cli.COMMANDS):
        words = [name, "--help"] if name else ["--help"]
        lines = runner.invoke(cli.plugins, words, env={"COLUMNS": "200"}).output.splitlines()
        assert max(map(len, lines)) <= 80, name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flask plugins en", {"enable"}),
        ("flask plugins list --st", {"--state-dir"}),
        ("flask plugins owners fi", {"filter"}),
        ("flask plugins enable he", set()),  # there is no application to ask
    ],
)
def test_the_shell_completes_commands_that_arent_imported_yet(
    tmp_path: Path, words: str, expected: set[str]
) -> None:
    """As Click does it, by the variables that its scripts set."""
    count = str(len(words.split()) - 1)
    output, _imported = run_flask(
        tmp_path, COMP_WORDS=words, COMP_CWORD=count, _FLASK_COMPLETE="bash_complete"
    )
    assert {line.partition(",")[2] for line in output.splitlines() if "," in line} == expected


def test_the_shell_completes_names_of_plugins(host: Host) -> None:
    """Of the application that is found."""
    host.plugin("hello", views("[]"))
    host.plugin("other", views("[]"))
    host.start()
    command = cli.plugins.get_command(click.Context(cli.plugins), "show")
    assert command is not None
    context = click.Context(command, obj=None)
    with host.app.app_context():
        completions = command.params[0].shell_complete(context, "he")
    assert [item.value for item in completions] == ["hello"]


def test_a_command_that_doesnt_exist_is_told_so(host: Host) -> None:
    """By Click, as ever."""
    host.start()
    result = invoke(host.app, "lst")
    assert result.exit_code == 2
    assert "No such command" in result.stderr
