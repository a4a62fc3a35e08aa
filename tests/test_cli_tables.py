"""Tables and paragraphs of ``flask plugins``: aligned, broken, coloured where that is wanted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import pytest
from commands import invoke
from hosts import Host, clean_imports, host, views
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.cli import doctor, slots, tables
from flask_pluginkit.cli.tables import aligned, columns_of, paragraph, wrapped

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"

words = st.text(st.sampled_from("ab é你\u0301"), max_size=60)


@given(words, st.integers(4, 40))
def test_text_is_broken_without_losing_any_of_it(text: str, room: int) -> None:
    """No line is wider than there is room, whatever the width of its characters."""
    lines = wrapped(text, room)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(columns_of(line) <= room for line in lines)
    assert all(lines)


def test_words_that_fit_stay_whole() -> None:
    """Only what is longer than a line is cut."""
    assert wrapped("one two-three four", 9) == ["one", "two-three", "four"]
    assert wrapped("x abcdefghij y", 4) == ["x", "abcd", "efgh", "ij y"]


def test_paths_stay_whole() -> None:
    """One wants to copy them, which a terminal allows over the end of a line."""
    path = f"{os.sep}folder" * 9
    assert wrapped(f"see {path}", 20) == ["see", path]


def test_lines_of_a_paragraph_keep_their_ends() -> None:
    """And all are indented; what begins the first stands in the indentation."""
    assert list(paragraph("one\ntwo three", 24, indent=4, first="- ")) == [
        "  - one",
        "    two three",
    ]
    assert list(paragraph("", 80, indent=2)) == [""]


def test_a_name_that_is_too_long_has_a_line_to_itself() -> None:
    """The columns of the others aren't pushed out of the table."""
    rows = [("NAME", "STATUS"), ("n" * 64, "active"), ("short", "failed")]
    assert [click.unstyle(line) for line in aligned(rows, 80)] == [
        "NAME   STATUS",
        "n" * 64,
        "       active",
        "short  failed",
    ]


def test_colours_take_no_columns() -> None:
    """A word in colour is as wide as without."""
    assert columns_of(click.style("active", fg="green")) == 6


def test_a_terminal_says_how_wide_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it is 80 columns."""
    monkeypatch.setenv("COLUMNS", "132")
    assert tables.terminal_width() == 80
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert tables.terminal_width() == 132


@pytest.mark.parametrize(
    "arguments", [("list",), ("show", "bad"), ("graph",), ("tep",), ("doctor",)]
)
def test_colours_are_for_terminals_whose_user_wants_them(
    host: Host, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """A pipe gets none, nor does anybody who set NO_COLOR."""
    host.plugin("bad", NOTHING + "1 / 0")
    host.plugin("good", views("[]", tep="{'nav': 'x'}"))
    monkeypatch.chdir(host.folder)
    host.start(strict=False, live=False)
    assert "\x1b[" not in invoke(host.app, *arguments).stdout
    coloured = invoke(host.app, *arguments, color=True).stdout
    assert "\x1b[" in coloured
    assert click.unstyle(coloured) == invoke(host.app, *arguments).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in invoke(host.app, *arguments, color=True).stdout


class Terminal:
    """Stands in for the terminal of stderr, and keeps what is written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """There is nothing to wait for."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("module", "arguments", "label"),
    [(slots, ("tep",), "reading templates"), (doctor, ("doctor", "ghost"), "looking elsewhere")],
)
def test_progress_is_shown_on_a_terminal_where_it_takes_long(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    arguments: tuple[str, ...],
    label: str,
) -> None:
    """On stderr; the answer is the same."""
    for number in range(5):
        host.template(f"{number}/page.html", "{{ emit_tep('nav') }}")
    monkeypatch.chdir(host.folder)
    host.start(live=False)
    before = invoke(host.app, *arguments)
    terminal = Terminal()
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setattr(module, "sys", Replaced(terminal))
    assert invoke(host.app, *arguments).stdout == before.stdout
    assert label in terminal.text
    assert "100%" in terminal.text


def test_messages_are_broken_for_people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs find them in a line; what will stand before them is counted."""
    text = "word " * 30
    assert tables.for_stderr(text, "Error: ") == text
    monkeypatch.setattr(tables, "sys", Replaced(Terminal()))
    monkeypatch.setenv("COLUMNS", "40")
    first, *lines = tables.for_stderr(text, "Error: ").splitlines()
    assert len(first) == 40 - 1 - len("Error: ") - len("wor")
    assert {len(line) for line in lines[:-1]} == {39}
    assert " ".join([first, *lines]).split() == text.split()


class Replaced:
    """The module `sys` with another stderr."""

    def __init__(self, stderr: Terminal) -> None:
        self.stderr = stderr
        self.executable = sys.executable


def test_no_module_of_the_commands_prints_past_the_tables() -> None:
    """Colours are decided on in one place: nobody else echoes styled text."""
    for path in sorted(Path(tables.__file__).parent.glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not ("click.echo(" in line and "style(" in line), f"{path.name}: {line}"
            assert "click.secho" not in line, path.name
