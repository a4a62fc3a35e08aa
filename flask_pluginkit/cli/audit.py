"""``flask plugins audit``: who changed what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from flask_pluginkit.text import clean

from .host import find_manager, refusals
from .stale import STALE, host_or_folder, state_dir_option
from .tables import aligned, say, terminal_width

HEADS: Final = ("WHEN", "BY", "RESULT", "WHAT")

INTENT: Final = "intent"

_TOLD: Final = frozenset(
    {"action", "plugins", "by", "from", "result", "time", "changed", "cascade"}
)


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many entries at most.",
)
@state_dir_option
@click.pass_context
def audit(context: click.Context, as_json: bool, limit: int, state_dir: Path | None) -> None:
    """Tell who changed what, the last first.

    That is: enabled, disabled, isolated, approved and so on. What was begun and has an outcome
    is told once; as JSON both entries are there.
    """
    folder = host_or_folder(context, state_dir)
    with refusals():
        entries = _entries(folder, limit if as_json else 2 * limit)
    if as_json:
        click.echo(json.dumps(entries, indent=2))
    elif entries:
        _show([*_without_outcome(entries)][:limit])
    else:
        say("nothing was changed so far")
    if folder is not None:
        context.exit(STALE)


def _entries(folder: Path | None, limit: int) -> list[dict[str, Any]]:
    if folder is None:
        return find_manager().audit(limit)
    from flask_pluginkit.state.audit import Audit

    return list(Audit(folder).read(limit))


def _show(entries: Sequence[Mapping[str, Any]]) -> None:
    cells = [HEADS, *(_cells(entry) for entry in entries)]
    for line in aligned(cells, terminal_width()):
        say(line)


def _without_outcome(entries: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Pass over the announcement of what is told to be done: so only interrupted ones stay."""
    outcome: Mapping[str, Any] = {}
    for entry in entries:
        same = all(entry.get(key) == outcome.get(key) for key in ("action", "plugins", "from"))
        if not (same and entry.get("result") == INTENT and outcome.get("result") != INTENT):
            yield entry
        outcome = entry


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    result, _, reason = clean(entry.get("result", ""), 500).partition(": ")
    names = _names(entry.get("plugins"))
    others = [name for name in _names(entry.get("changed")) if name not in names]
    told = [" ".join([clean(entry.get("action", ""), 50), *names])]
    told += [f"with {' '.join(others)}"] if others else []
    told += [
        f"{clean(key, 50)} {clean(_plain(value), 300)}"
        for key, value in entry.items()
        if key not in _TOLD and value not in (False, "", [], None)
    ]
    told += [f"from {clean(source, 100)}"] if (source := entry.get("from")) else []
    what = ", ".join(told)
    return (
        _moment(entry.get("time")),
        clean(entry.get("by", ""), 16),
        clean(result, 20),
        f"{what}: {reason}" if reason else what,
    )


def _names(found: object) -> list[str]:
    return [clean(name, 100) for name in found] if isinstance(found, list) else []


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def _moment(text: object) -> str:
    """Return the time of an entry, in the time zone of whoever looks."""
    try:
        return f"{datetime.fromisoformat(str(text)).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return clean(text, 25)
