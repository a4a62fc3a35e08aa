"""``flask plugins``: list, enable and disable plugins from a terminal.

Exit codes: 0 done; 1 refused, for a reason that is told; 2 the command can't be understood, or
the application has no `PluginManager`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup

from .exceptions import PluginError
from .text import clean, nearest

if TYPE_CHECKING:
    from .manager import PluginManager
    from .snapshot import Plugin
    from .switching import Change

COLUMNS: Final = 80
"""How wide a table is where there is no terminal that says it."""

NARROWEST: Final = 20
"""A column of text is never narrower: then lines are rather too long."""

STATUS_COLUMN: Final = 2

COLOURS: Final = {
    "active": "green",
    "disabled": "bright_black",
    "failed": "red",
    "incompatible": "red",
    "missing": "red",
    "quarantined": "yellow",
}

F = TypeVar("F", bound=Callable[..., Any])


class NoManagerError(click.ClickException):
    """The application has no plugins to speak of."""

    exit_code = 2


plugins = AppGroup("plugins", help="List, enable and disable plugins of the application.")


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
def list_plugins(as_json: bool) -> None:
    """List all plugins with their status, and why it is what it is."""
    with _refusals():
        rows = _manager().plugins
    if as_json:
        click.echo(json.dumps([_as_json(row) for row in rows], indent=2))
    elif rows:
        for line in _table(rows, _width()):
            click.echo(line, color=_color())
    else:
        click.echo("no plugins")


def _names_and_cascade(help_text: str) -> Callable[[F], F]:
    """Return a decorator for commands that take names of plugins."""

    def decorate(function: F) -> F:
        option = click.option("--cascade", is_flag=True, help=help_text)
        return click.argument("names", nargs=-1, required=True, metavar="NAME...")(option(function))

    return decorate


@plugins.command("enable")
@_names_and_cascade("Enable what they require, too.")
def enable(names: tuple[str, ...], cascade: bool) -> None:
    """Enable plugins, in every worker, from the next request on."""
    with _refusals():
        manager = _manager()
        known = _known(manager, names)
        _tell(known, "enabled", manager.enable_plugin(*known, cascade=cascade))


@plugins.command("disable")
@_names_and_cascade("Disable what requires them, too.")
def disable(names: tuple[str, ...], cascade: bool) -> None:
    """Disable plugins, in every worker, from the next request on."""
    with _refusals():
        manager = _manager()
        known = _known(manager, names)
        _tell(known, "disabled", manager.disable_plugin(*known, cascade=cascade))


@plugins.command("workers")
def workers() -> None:
    """Tell how many workers serve, and how many are up to date."""
    with _refusals():
        click.echo(clean(_manager().workers(), 2000, multiline=True))


# --- the parts of commands ------------------------------------------------------------------


def _manager() -> PluginManager:
    if (found := current_app.extensions.get("pluginkit")) is None:
        raise NoManagerError(
            f"the application {current_app.name!r} has no plugins: it makes no PluginManager(app)"
        )
    manager: PluginManager = found
    return manager


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the manager refuses into a message and an exit code."""
    try:
        yield
    except PluginError as error:
        raise click.ClickException(clean(error, 2000, multiline=True)) from error


def _known(manager: PluginManager, names: Iterable[str]) -> list[str]:
    """Return the names, each once; one that nobody has is refused before anything changes."""
    known = [row.name for row in manager.plugins]
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            guess = nearest(name, known)
            hint = f"; did you mean {guess!r}?" if guess else ""
            raise PluginError(f"there is no plugin named {clean(name, 100)!r}{hint}")
    return wanted


def _tell(names: list[str], state: str, change: Change) -> None:
    """Say what came of one switch: who is what, and since which generation."""
    done = ", ".join([*names, *(other for other in change.changed if other not in names)])
    was = "" if change.changed else " already"
    click.echo(f"{done}: {state}{was} (generation {change.generation})")
    if change.silent:
        click.echo(
            f"{len(change.silent)} of the workers didn't answer in time and will follow at their "
            f"next request: {', '.join(change.silent)}",
            err=True,
        )


def _as_json(row: Plugin) -> dict[str, str]:
    return {
        "name": row.name,
        "version": row.version,
        "status": row.status.value,
        "wanted": row.wanted.value,
        "reason": row.reason,
    }


# --- tables -----------------------------------------------------------------------------------


def _table(rows: Iterable[Plugin], width: int) -> Iterator[str]:
    """Make the lines of a table; only the reasons, in the last column, are broken into lines."""
    cells = [("NAME", "VERSION", "STATUS", "REASON")]
    cells += [
        (clean(row.name, 100), clean(row.version, 30), row.status.value, clean(row.reason, 2000))
        for row in rows
    ]
    widths = [max(_columns(row[column]) for row in cells) for column in range(3)]
    indent = sum(widths) + 2 * len(widths)
    room = max(width - indent, NARROWEST)
    for row in cells:
        first, *more = textwrap.wrap(row[3], room) or [""]
        yield "  ".join([*_padded(row, widths), first]).rstrip()
        yield from (" " * indent + line for line in more)


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for column, (text, width) in enumerate(zip(row, widths, strict=False)):
        colour = COLOURS.get(text) if column == STATUS_COLUMN else None
        shown = click.style(text, fg=colour) if colour else text
        yield shown + " " * (width - _columns(text))


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian characters take two."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else COLUMNS


def _color() -> bool | None:
    """Return False where nobody wants colours (no-color.org); click asks the terminal else."""
    return False if os.environ.get("NO_COLOR") else None
