"""docs/commands.md tells of every command, and its examples are what commands print."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from board import make_board
from commands import invoke
from trees import clean_imports

from flask_pluginkit import cli

__all__ = ["clean_imports"]

TEXT = (Path(__file__).parent.parent / "docs" / "commands.md").read_text(encoding="utf-8")

SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))

ELSEWHERE = {"check", "new"}
"""Commands whose options are told by their help alone."""


def command_of(name: str) -> click.Command:
    """The command with this name."""
    module, _, attribute = cli.COMMANDS[name].partition(":")
    found = getattr(import_module(f"flask_pluginkit.cli.{module}"), attribute)
    assert isinstance(found, click.Command)
    return found


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_is_documented(name: str) -> None:
    """With an example, and each of its options; and the table of commands leads there."""
    section = SECTIONS[name]
    assert "```console\n$ " in section
    assert f"flask plugins {name}" in section.replace("--app board ", "")
    assert f"[`{name}`](#{name})" in TEXT
    options = [each for each in command_of(name).params if isinstance(each, click.Option)]
    if name not in ELSEWHERE:
        assert [each.opts for each in options if f"`{each.opts[0]}`" not in section
                and f"{each.opts[0]} " not in section] == []  # fmt: skip


def test_nothing_is_documented_that_isnt_there() -> None:
    """A command that was renamed isn't left behind."""
    known = {*cli.COMMANDS}
    assert set(re.findall(r"^\| .*", TEXT, re.MULTILINE)) != set()
    assert set(re.findall(r"\[`(\w+)`\]\(#\w+\)", TEXT)) == known
    assert set(re.findall(r"flask (?:--app board )?plugins ([a-z]+)", TEXT)) <= known


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_every_exit_code_is_documented(code: int) -> None:
    """In the table for scripts."""
    assert f"\n| {code} | " in TEXT


def alike(text: str) -> str:
    """A text without what differs from run to run, and from width to width."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>", text)
    text = re.sub(r"pid \d+", "pid <n>", " ".join(text.split()))
    return re.sub(r"[\d.]+ ms", "<n> ms", text)


def examples() -> list[tuple[str, str]]:
    """The commands of the blocks without ``--app``, in the order of the page, and their output."""
    blocks = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    parts = [part for block in blocks for part in re.findall(r"^\$ (.*?)(?=^\$ |\Z)", block,
             re.MULTILINE | re.DOTALL)]  # fmt: skip
    pairs = [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]
    return [pair for pair in pairs if pair[0].startswith("flask plugins ")]


def test_the_examples_are_what_commands_print(
    tmp_path: Path, clean_imports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, on a board like the one of the page."""
    folder = tmp_path / "board"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(sys, "argv", ["flask"])
    app = make_board(folder)
    assert len(examples()) >= 15
    for line, expected in examples():
        result = invoke(app, *shlex.split(line)[2:])
        shown = (result.stdout + result.stderr).replace(str(folder), "/srv/board")
        shown = shown.replace(sys.executable, "/srv/venv/bin/python")
        assert alike(shown) == alike(expected), line
