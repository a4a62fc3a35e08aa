"""``flask plugins new``: what it takes, what it says, and that what it says works."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.cli import FlaskGroup

from flask_pluginkit.cli import new as new_module
from flask_pluginkit.cli import plugins
from flask_pluginkit.cli.new import PARTS

PROJECT = "flask-pluginkit-hello"
CODE = Path("src", "pluginkit_plugins", "hello", "__init__.py")


def run(*arguments: str, typed: str | None = None) -> Result:
    """Run ``flask plugins new`` where there is no application."""
    group = FlaskGroup()
    group.add_command(plugins)
    return CliRunner().invoke(group, ["plugins", "new", *arguments], input=typed)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLASK_APP", raising=False)


def test_it_needs_neither_an_application_nor_answers(tmp_path: Path) -> None:
    """In an empty folder a name is enough, and only the project's folder is new."""
    done = run("hello")
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == [PROJECT]
    assert (tmp_path / PROJECT / CODE).is_file()


def test_it_says_what_to_do_next() -> None:
    """In a handful of commands, of which the first goes into the project."""
    commands = [
        line.strip() for line in run("hello").output.splitlines() if line.startswith("    ")
    ]
    assert commands[0] == f"cd {PROJECT}"
    assert [command.rpartition("/")[2].split()[0] for command in commands[1:]] == [
        "python",
        "python",
        "flask",
        "flask",
    ]
    assert len(commands) == 5


def test_no_line_is_wider_than_a_terminal() -> None:
    """But for paths of this machine, all of it can be read at 80 columns."""
    lines = [line for line in run("hello").output.splitlines() if not line.startswith("    ")]
    assert max(map(len, [*lines, *run("--help").output.splitlines()])) <= 80


def test_its_commands_are_found_by_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that isn't the first of its name in PATH is called by its whole path."""
    folder = tmp_path / "a folder" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "flask"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.defpath)
    assert shlex.split(new_module._program("flask")) == [str(folder / "flask")]
    monkeypatch.setenv("PATH", str(folder))
    assert new_module._program("flask") == "flask"


@pytest.mark.parametrize("part", PARTS)
def test_each_part_can_be_chosen(tmp_path: Path, part: str) -> None:
    """The option and its opposite make different projects."""
    flag = part.replace("_", "-")
    for place, option in (("with", f"--{flag}"), ("without", f"--no-{flag}")):
        assert run("hello", "--into", place, option).exit_code == 0
    readme = Path(PROJECT, "README.md")
    assert (tmp_path / "with" / readme).read_text() != (tmp_path / "without" / readme).read_text()


def test_texts_and_license_can_be_given(tmp_path: Path) -> None:
    """They stand in the project, as does a name of its own for the distribution."""
    done = run(
        *("hello", "--project", "greetings", "--author", "Ada", "--license", "BSD-3-Clause"),
        *("--description", "Greets everybody"),
    )
    assert done.exit_code == 0, done.output
    text = (tmp_path / "greetings" / "pyproject.toml").read_text()
    for line in (
        'name = "greetings"',
        'authors = [{ name = "Ada" }]',
        'license = "BSD-3-Clause"',
        'description = "Greets everybody"',
    ):
        assert line in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hello-World"], "try 'hello_world'"),
        (["class"], "'class' is a word of Python's own; try 'my_class'"),
        (["hello", "--author", 'A "B"'], "holds a quotation mark"),
        (["hello", "--project", "-"], "isn't made of up to 80 letters"),
        (["hello", "--license", "GPL"], "is not one of"),
        ([], "Missing argument 'NAME', such as hello."),
        (["\x1b[31mhello"], r"'\x1b[31mhello' isn't made of"),
    ],
)
def test_what_cant_be_used_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    """As a command that can't be understood, with nothing made."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    """With the exit code of a refusal, and what is in it stays."""
    (tmp_path / PROJECT).mkdir()
    done = run("hello")
    assert done.exit_code == 1
    assert f"{PROJECT} is there already" in done.output
    assert [*(tmp_path / PROJECT).iterdir()] == []


def test_without_the_extra_the_line_for_pip_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback where cookiecutter isn't installed."""
    for module in ("cookiecutter", "cookiecutter.utils", "cookiecutter.generate"):
        monkeypatch.setitem(sys.modules, module, None)
    done = run("hello")
    assert done.exit_code == 1
    assert "pip install 'Flask-PluginKit[template]'" in done.output


def test_it_asks_if_told_to(tmp_path: Path) -> None:
    """Each answer counts, and an empty one takes what is shown."""
    answers = ["hello", "", "Greets", "Ada", "1843", "MIT", "n", "", "y", "", "", "n"]
    done = run("--ask", typed="\n".join([*answers, ""]))
    assert done.exit_code == 0, done.output
    code = (tmp_path / PROJECT / CODE).read_text()
    assert '__author__ = "Ada"' in code
    assert "def index" not in code
    assert "after_request" in code
    assert "1843 Ada" in (tmp_path / PROJECT / "LICENSE").read_text()


def test_it_asks_again_after_a_bad_answer() -> None:
    """With the reason; the other answers aren't lost."""
    done = run("--ask", typed="Hello\nhello" + "\n" * 12)
    assert done.exit_code == 0, done.output
    assert "try 'hello'." in done.output


def test_it_asks_only_for_what_isnt_given() -> None:
    """Options are answers."""
    done = run("hello", "--ask", "--author", "Ada", "--no-views", typed="\n" * 12)
    assert done.exit_code == 0, done.output
    assert "Name of the plugin" not in done.output
    assert "Author" not in done.output
    assert "Pages of its own" not in done.output


def test_it_needs_no_home_and_no_git(tmp_path: Path) -> None:
    """With an empty environment, as a process of its own."""
    command = [sys.executable, "-c", "from flask_pluginkit.cli import plugins; plugins()"]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [*command, "new", "hello"],
        env={"HOME": "/nonexistent", "PATH": "", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / PROJECT / CODE).is_file()
