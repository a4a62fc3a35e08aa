"""``flask plugins settings``, ``set`` and ``unset``: what operators set of a plugin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from flask_pluginkit.frozen import as_dict
from flask_pluginkit.text import clean

from .host import complete_names, find_manager, refusals, tell, with_quiet_host
from .tables import aligned, say, terminal_width

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager
    from flask_pluginkit.settings.resolving import Setting

HEADS: Final = ("SETTING", "VALUE", "FROM", "WHAT")

WIDEST: Final = 24
"""Columns of a value; ``--json`` has all of it."""


@click.command("settings")
@click.argument("name", shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@with_quiet_host
def settings(name: str, as_json: bool) -> None:
    """List the settings of a plugin, and where their values come from.

    Secrets aren't shown.
    """
    with refusals():
        rows = find_manager().settings_of(name)
    if as_json:
        click.echo(json.dumps([as_dict(row) for row in rows], indent=2))
        return
    cells = [HEADS, *map(_cells, rows)]
    for line in aligned(cells, terminal_width()):
        say(line)


def _cells(row: Setting) -> tuple[str, ...]:
    from flask_pluginkit.settings.values import to_text

    value = "" if row.problem else clean(to_text(row.value), WIDEST)
    described = f"{row.description}: {row.type}" if row.description else row.type
    told = f"{row.problem} ({described})" if row.problem else described
    return (clean(row.field, 100), value, row.origin, clean(told, 2000))


@click.command("set")
@click.argument("name", shell_complete=complete_names)
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
@with_quiet_host
def set_fields(name: str, fields: tuple[str, ...]) -> None:
    """Set settings of a plugin.

    In every worker, from the next request on. All of them, or none. Of a FIELD without =VALUE
    the value is asked for and not shown, so that a secret is neither in the shell's history nor
    in the list of processes. Where nobody types it is read from the standard input, a line each.
    """
    from flask_pluginkit.settings.fields import TAKEN

    values: dict[str, str] = {}
    for given in fields:
        field, is_given, value = given.partition("=")
        if field in values:
            raise click.UsageError(f"{clean(field, 100)} is given twice.")
        if field in TAKEN:
            raise click.UsageError(f"No setting can be called {field}.")
        values[field] = value if is_given else _asked(field)
    with refusals():
        manager = find_manager()
        change = manager.configure_plugin(name, **values)
        tell([name], f"{', '.join(values)} set", change)
        _tell_if_out(manager, name)


def _asked(field: str) -> str:
    if not is_at_terminal():  # a script sends it: one line for each
        return sys.stdin.readline().removesuffix("\n")
    answer: str = click.prompt(clean(field, 100), hide_input=True, default="", show_default=False)
    return answer


def is_at_terminal() -> bool:
    """Tell whether somebody types what is asked for."""
    return sys.stdin.isatty()


@click.command("unset")
@click.argument("name", shell_complete=complete_names)
@click.argument("fields", nargs=-1, required=True, metavar="FIELD...")
@with_quiet_host
def unset_fields(name: str, fields: tuple[str, ...]) -> None:
    """Take away what was set of a plugin.

    Environment, configuration and defaults count again.
    """
    with refusals():
        manager = find_manager()
        change = manager.configure_plugin(name, reset=fields)
        tell([name], f"{', '.join(_each_once(fields))} unset", change)
        _tell_if_out(manager, name)


def _each_once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _tell_if_out(manager: PluginManager, name: str) -> None:
    """Say that the plugin doesn't run, as it may lack further settings."""
    row = next((row for row in manager.plugins if row.name == name), None)
    if row is not None and row.reason:
        click.echo(f"{name} is {row.status.value}: {clean(row.reason, 2000)}", err=True)
