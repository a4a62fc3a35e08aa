"""What terminals show: aligned columns, broken lines, colours if they are wanted."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import click

COLUMNS: Final = 80
"""How wide a table is where there is no terminal that says it."""

NARROWEST: Final = 20
"""A column of text is never narrower: then lines are rather too long."""

WIDEST: Final = 32
"""A first column is never wider: what is longer has a line to itself."""

COLOURS: Final = {
    "active": "green",
    "disabled": "bright_black",
    "failed": "red",
    "incompatible": "red",
    "missing": "red",
    "quarantined": "yellow",
}
"""How cells are shown that are a plugin's status."""


def say(text: str = "", **options: Any) -> None:
    """Print a line, with its colours only on a terminal whose user wants them."""
    click.echo(text, color=colours_wanted(), **options)


def heading(text: str) -> str:
    """Return the heading of a part."""
    return click.style(text, bold=True)


def coloured(status: str) -> str:
    """Return a plugin's status in its colour."""
    return click.style(status, fg=COLOURS.get(status))


def aligned(cells: Sequence[tuple[str, ...]], width: int, *, indent: int = 0) -> Iterator[str]:
    """Make lines of which only the last column is broken. Texts are printable already."""
    yield from (line for lines in aligned_rows(cells, width, indent=indent) for line in lines)


def aligned_rows(
    cells: Sequence[tuple[str, ...]], width: int, *, indent: int = 0
) -> Iterator[list[str]]:
    """Make the lines of each row; the last column is broken where it is too long."""
    last = len(cells[0]) - 1
    widths = [
        max((n for row in cells if (n := columns_of(row[column])) <= WIDEST or column), default=0)
        for column in range(last)
    ]
    margin = " " * indent
    before = indent + sum(widths) + 2 * len(widths)
    room = max(width - before, NARROWEST)
    for row in cells:
        lines = []
        if last and columns_of(row[0]) > widths[0]:
            lines.append(margin + row[0])
            row = ("", *row[1:])  # noqa: PLW2901 - the rest of the same row
        first, *more = wrapped(row[last], room) or [""]
        lines.append((margin + "  ".join([*_padded(row, widths), first])).rstrip())
        yield lines + [" " * before + line for line in more]


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for text, width in zip(row, widths, strict=False):
        shown = coloured(text) if text in COLOURS else text
        yield shown + " " * (width - columns_of(text))


def paragraph(text: str, width: int, *, indent: int = 0, first: str = "") -> Iterator[str]:
    """Break a text into lines that begin with `indent` blanks; the first one ends them by `first`.

    Line ends in the text stay.
    """
    begin = first.rjust(indent)
    for part in text.splitlines() or [""]:
        for line in wrapped(part, max(width - indent, NARROWEST)) or [""]:
            yield (begin + line).rstrip()
            begin = " " * indent


def wrapped(text: str, room: int) -> list[str]:
    """Break a text at its blanks into lines of at most `room` columns; longer words are cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        for piece in _pieces(word, room):
            joined = f"{line} {piece}" if line else piece
            if columns_of(joined) <= room:
                line = joined
            else:
                lines += [line] if line else []
                line = piece
    return [*lines, line] if line else lines


def _pieces(word: str, room: int) -> Iterable[str]:
    """Cut a word into pieces of at most `room` columns; a path stays whole, for copying."""
    if columns_of(word) <= room or os.sep in word:
        return [word]
    pieces = [""]
    for character in word:
        if columns_of(pieces[-1] + character) > room:
            pieces.append("")
        pieces[-1] += character
    return pieces


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian characters take two."""
    if "\x1b" in text:
        text = click.unstyle(text)
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def terminal_width() -> int:
    """Return how many columns there are: those of the terminal, else 80."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else COLUMNS


def for_stderr(text: str, prefix: str = "") -> str:
    """Return a message, broken into lines if people read it; `prefix` will stand before it.

    For programs it stays as it is: they look for parts of it.
    """
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(paragraph(prefix + text, width)).removeprefix(prefix)


def colours_wanted() -> bool | None:
    """Return False where nobody wants colours (no-color.org); click asks the terminal else."""
    return False if os.environ.get("NO_COLOR") else None
