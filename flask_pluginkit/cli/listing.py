"""``flask plugins list`` and ``workers``: how things are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flask_pluginkit.text import clean

from .host import find_manager, refusals, with_host
from .stale import STALE, host_or_folder, inventory_of, state_dir_option
from .tables import aligned_rows, paragraph, say, terminal_width

if TYPE_CHECKING:
    from flask_pluginkit.snapshot import Plugin

HEADS: Final = ("NAME", "VERSION", "STATUS", "ISOLATION", "ORIGIN")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@state_dir_option
@click.pass_context
def list_plugins(context: click.Context, as_json: bool, state_dir: Path | None) -> None:
    """List all plugins with their status, and why it is so.

    No plugin is imported that is disabled.
    """
    folder = host_or_folder(context, state_dir)
    if folder is None:
        with refusals():
            _show([row_as_json(row) for row in find_manager().plugins], as_json=as_json)
    else:
        plugins = inventory_of(folder).plugins
        _show([entry_as_json(name, each) for name, each in plugins.items()], as_json=as_json)
        context.exit(STALE)


@click.command("workers")
@with_host
def workers() -> None:
    """Tell how many workers serve, and how many are up to date."""
    with refusals():
        say(clean(find_manager().workers(), 2000, multiline=True))


def row_as_json(row: Plugin) -> dict[str, str]:
    """Return what the list tells of a plugin."""
    return {
        "name": row.name,
        "version": row.version,
        "status": row.status.value,
        "wanted": row.wanted.value,
        "reason": row.reason,
        "isolation": row.isolation,
        "confinement": row.confinement,
        "origin": row.candidate.origin.value,
    }


def entry_as_json(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return what the list tells of a plugin in an inventory."""

    def text(key: str) -> str:
        found = entry.get(key)
        return found if isinstance(found, str) else ""

    keys = ("version", "status", "wanted", "reason", "isolation")
    told = {"name": name, **{key: text(key) for key in keys}}
    return {**told, "confinement": told["isolation"], "origin": text("origin")}


def _show(rows: Sequence[Mapping[str, str]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        say("no plugins")
        return
    width = terminal_width()
    cells = [HEADS, *(tuple(clean(row[head.lower()], 100) for head in HEADS) for row in rows)]
    head, *tables = aligned_rows(cells, width)
    for line in head:
        say(line)
    for lines, row in zip(tables, rows, strict=True):
        for line in [*lines, *_remark(row, width)]:
            say(line)


def _remark(row: Mapping[str, str], width: int) -> list[str]:
    """Return why a plugin isn't active, or that it runs elsewhere and isn't confined."""
    told = [] if row["confinement"] in {row["isolation"], ""} else [row["confinement"]]
    told += [row["reason"]] if row["reason"] else []
    return [line for text in told for line in paragraph(clean(text, 2000), width, indent=4)]
