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
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup

from .exceptions import PluginError
from .text import clean

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
    _switch("enabled", lambda manager: manager.enable_plugin, names, cascade)


@plugins.command("disable")
@_names_and_cascade("Disable what requires them, too.")
def disable(names: tuple[str, ...], cascade: bool) -> None:
    """Disable plugins, in every worker, from the next request on."""
    _switch("disabled", lambda manager: manager.disable_plugin, names, cascade)


@plugins.command("workers")
def workers() -> None:
    """Tell how many workers serve, and how many are up to date."""
    with _refusals():
        click.echo(clean(_manager().workers(), 2000, multiline=True))


@plugins.command("isolate")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--level",
    type=click.Choice(["isolated", "process", "trusted", "configured"]),
    default="isolated",
    show_default=True,
    help="Where they are to run; 'configured' is what the application says.",
)
def isolate(names: tuple[str, ...], level: str) -> None:
    """Let plugins run in processes of their own, from the next request on."""
    with _refusals():
        manager = _manager()
        known = _known(manager, names)
        chosen = None if level == "configured" else level
        _tell(known, level, manager.isolate_plugin(*known, level=chosen))


@plugins.command("approve")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
def approve(name: str, yes: bool) -> None:
    """Show what an isolated plugin asks for, and grant it."""
    from .permissions import words

    with _refusals():
        manager = _manager()
        [known] = _known(manager, [name])
        asked = manager.asked_of(known)
        for text in asked:
            click.echo(f"{known} {words(text)} ({text})")
        if not asked:
            click.echo(f"{known} asks for nothing")
        elif yes or click.confirm("Grant all of this?"):
            if manager.asked_of(known) != asked:  # its files were replaced while one thought
                raise PluginError(f"{known} asks for something else by now: look at it again")
            manager.approve_plugin(known)
            click.echo(f"{known}: granted")
        else:
            raise click.exceptions.Exit(1)


@plugins.command("processes")
def processes() -> None:
    """List the processes of plugins that aren't trusted."""
    with _refusals():
        found = _manager().plugin_processes()
    if not found:
        click.echo("no plugin has a process of its own")
        return
    cells: list[tuple[str, ...]] = [
        ("NAME", "LEVEL", "STATE", "PID", "UID", "MEMORY", "REASON"),
    ]
    for one in found:
        layers = ", ".join(one.layers)
        remark = one.reason or (f"confined by {layers}" if layers else "not sandboxed")
        memory = f"{one.memory / 1e6:.1f} MB"
        row = (one.plugin, one.level, one.state, str(one.pid), str(one.uid), memory, remark)
        cells.append(tuple(clean(cell, 2000) for cell in row))
    for line in _aligned(cells, _width()):
        click.echo(line, color=_color())


@plugins.command("serve")
def serve() -> None:
    """Run the supervisor of plugins' processes until this is interrupted.

    Web workers start it when they need it; this keeps it, for a service manager to watch.
    """
    with _refusals():
        manager = _manager()
    click.echo("the supervisor runs; interrupt to let go of it", err=True)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(10)
            with _refusals():
                manager.plugin_processes()


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


def _switch(
    state: str,
    method: Callable[[PluginManager], Callable[..., Change]],
    names: tuple[str, ...],
    cascade: bool,
) -> None:
    """Do what a command asks for, and tell what came of it."""
    with _refusals():
        manager = _manager()
        known = _known(manager, names)
        _tell(known, state, method(manager)(*known, cascade=cascade))


def _known(manager: PluginManager, names: Iterable[str]) -> list[str]:
    """Return the names, each once; one that nobody has is refused before anything changes."""
    from .records import row_named  # `flask --help` loads this module, too

    rows = manager.plugins
    return [row_named(name, rows).name for name in dict.fromkeys(names)]


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
        "isolation": row.isolation,
        "confinement": row.confinement,
    }


# --- tables -----------------------------------------------------------------------------------


def _table(rows: Iterable[Plugin], width: int) -> Iterator[str]:
    """Make the lines of the table of plugins."""
    cells = [("NAME", "VERSION", "STATUS", "REASON")]
    cells += [
        (clean(row.name, 100), clean(row.version, 30), row.status.value, clean(_remark(row), 2000))
        for row in rows
    ]
    return _aligned(cells, width)


def _remark(row: Plugin) -> str:
    """Return why a plugin isn't active, or where it runs if that isn't the application."""
    if row.reason or row.isolation == "trusted":
        return row.reason
    return row.confinement


def _aligned(cells: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Make lines of which only the last column is broken."""
    last = len(cells[0]) - 1
    widths = [max(_columns(row[column]) for row in cells) for column in range(last)]
    indent = sum(widths) + 2 * len(widths)
    room = max(width - indent, NARROWEST)
    for row in cells:
        first, *more = textwrap.wrap(row[last], room) or [""]
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
