"""``flask plugins show``: everything that is known of one plugin."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flask_pluginkit.text import clean

from .contributions import contributions_of
from .host import Refused, complete_names, find_manager, known_names, refusals
from .listing import entry_as_json, row_as_json
from .requirements import Need, needed_by, needs_of
from .stale import STALE, host_or_folder, inventory_of, state_dir_option
from .tables import aligned, coloured, heading, paragraph, say, terminal_width

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager
    from flask_pluginkit.snapshot import Plugin

INDENT: Final = 2

NOT_CONFINED: Final = "it isn't confined, and so may do everything"

Facts = dict[str, Any]


@click.command("show")
@click.argument("name", shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@state_dir_option
@click.pass_context
def show(context: click.Context, name: str, as_json: bool, state_dir: Path | None) -> None:
    """Show everything that is known of one plugin."""
    folder = host_or_folder(context, state_dir)
    if folder is None:
        with refusals():
            facts = _facts(find_manager(), name)
    else:
        facts = _remembered(folder, name)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        for line in _lines(facts, terminal_width()):
            say(line)
    if folder is not None:
        context.exit(STALE)


# --- what is known ----------------------------------------------------------------------------


def _facts(manager: PluginManager, name: str) -> Facts:
    [known] = known_names(manager, [name])
    conflicts = manager.conflicts  # settles names: what is asked next is final
    rows = manager.plugins
    row = next(each for each in rows if each.name == known)
    manifest = row.manifest
    return {
        **row_as_json(row),
        "description": manifest.description,
        "author": manifest.author,
        "url": manifest.url,
        "license": manifest.license,
        "distribution": manifest.distribution or row.candidate.distribution or "",
        "appversion": manifest.appversion,
        "package": row.candidate.module,
        "folder": str(row.candidate.folder),
        "traceback": row.traceback,
        "warnings": [str(warning) for warning in manifest.warnings],
        "requires": [need._asdict() for need in needs_of(row, rows)],
        "required_by": [need._asdict() for need in needed_by(row, rows)],
        "reworked_by": list(row.variant),
        "settings": _settings(manager, row),
        "permissions": _permissions(manager, row),
        "contributions": [told._asdict() for told in contributions_of(manager, row)],
        "conflicts": [str(one) for one in conflicts if one.loser == row.name],
        **_at_run_time(manager, row),
    }


def _settings(manager: PluginManager, row: Plugin) -> list[dict[str, Any]]:
    """Return the settings of a plugin, as far as they are known; of secrets only that they are."""
    from flask_pluginkit.exceptions import PluginError
    from flask_pluginkit.frozen import as_dict

    try:
        return [as_dict(setting) for setting in manager.settings_of(row.name)]
    except PluginError:  # it has none, or isn't loaded
        return []


def _permissions(manager: PluginManager, row: Plugin) -> list[dict[str, Any]]:
    """Return what the plugin's code asks for, and which of that an operator has approved."""
    from flask_pluginkit.permissions import words

    asked = manager.asked_of(row.name)
    waiting = _waiting(manager, row, asked) if asked else frozenset()
    return [{"asked": text, "words": words(text), "granted": text not in waiting} for text in asked]


def _waiting(manager: PluginManager, row: Plugin, asked: tuple[str, ...]) -> frozenset[str]:
    from flask_pluginkit.exceptions import PluginError
    from flask_pluginkit.isolation.approvals import Approvals
    from flask_pluginkit.isolation.digests import digest_of

    control = manager._site().control  # noqa: SLF001 - of our own package
    try:
        decision = Approvals(control).decide(row.name, asked, digest_of(row.candidate.folder))
    except (PluginError, OSError):  # the approvals, or the plugin's files, can't be read
        return frozenset(asked)
    if decision.granted is None:
        return frozenset(decision.waiting)
    return frozenset(asked) - frozenset(decision.granted.texts)


def _at_run_time(manager: PluginManager, row: Plugin) -> Facts:
    """Return what was counted: in this process, and what the workers tell of themselves."""
    from flask_pluginkit.exceptions import PluginError

    times = row.times
    try:
        reports = manager.workers().reports
    except PluginError:
        reports = ()
    return {
        "loaded_at": row.loaded_at,
        "load_seconds": row.load_seconds,
        "calls": [
            {"point": point, "calls": calls, "faults": faults, "seconds": total, "slowest": slowest}
            for point, (calls, faults) in row.counts.items()
            for total, slowest in [times.get(point, (0.0, 0.0))]
        ],
        "last_fault": row.last_fault,
        "workers": [
            {
                "worker": f"pid {report.pid} on {report.host}",
                "status": report.plugins.get(row.name, ""),
                "faults": report.errors.get(row.name, 0),
            }
            for report in reports
        ],
    }


def _remembered(folder: Path, name: str) -> Facts:
    from flask_pluginkit.records import unknown

    plugins = inventory_of(folder).plugins
    if name not in plugins:
        raise Refused(str(unknown(name, plugins)))
    place = plugins[name].get("folder")
    return {**entry_as_json(name, plugins[name]), "folder": place if isinstance(place, str) else ""}


# --- what a terminal shows --------------------------------------------------------------------

_PARTS: Final = (
    ("description", "Description"),
    ("author", "Author"),
    ("url", "URL"),
    ("license", "Licence"),
    ("distribution", "Distribution"),
    ("appversion", "Works with"),
    ("origin", "Found as"),
    ("package", "Package"),
    ("folder", "Folder"),
    ("wanted", "Wanted"),
    ("confinement", "Runs"),
)


def _lines(facts: Facts, width: int) -> Iterator[str]:
    title = f"{clean(facts['name'], 100)} {clean(facts['version'], 30)}".strip()
    yield f"{click.style(title, bold=True)}: {coloured(clean(facts['status'], 30))}"
    if facts["reason"]:
        yield from paragraph(clean(facts["reason"], 2000), width, indent=INDENT)
    about = [(label, clean(facts.get(key), 1000)) for key, label in _PARTS if facts.get(key)]
    yield from aligned(about, width, indent=INDENT)
    if "package" not in facts:
        return
    parts = (
        _needs,
        _contributions,
        _settings_set,
        _permissions_asked,
        _lists,
        _counts,
        _tracebacks,
    )
    yield from chain.from_iterable(part(facts, width) for part in parts)


def _needs(facts: Facts, width: int) -> Iterator[str]:
    requires = [Need(**need) for need in facts["requires"]]
    rows = [("requires", need.name, f"{need.versions}, {need.state}") for need in requires]
    others = [Need(**need) for need in facts["required_by"]]
    rows += [("required by", need.name, f"{need.versions}, {need.state}") for need in others]
    rows += [("reworked by", clean(name, 100), "") for name in facts["reworked_by"]]
    yield from _part("Requirements", rows, width)


def _contributions(facts: Facts, width: int) -> Iterator[str]:
    rows = [(one["kind"], one["name"], one["detail"]) for one in facts["contributions"]]
    yield from _part("Contributions", rows, width)


def _settings_set(facts: Facts, width: int) -> Iterator[str]:
    rows = [
        (clean(one["field"], 100), clean(one["origin"], 20), clean(one["problem"] or one["value"]))
        for one in facts["settings"]
    ]
    yield from _part("Settings", rows, width)


def _permissions_asked(facts: Facts, width: int) -> Iterator[str]:
    confined = facts["isolation"] == "isolated"
    rows = [
        (
            "granted" if one["granted"] else "not granted" if confined else "asks for",
            clean(one["asked"], 100),
            f"it {one['words']}",
        )
        for one in facts["permissions"]
    ]
    title = "Permissions" if confined else f"Permissions ({NOT_CONFINED})"
    yield from _part(title, rows, width)


def _lists(facts: Facts, width: int) -> Iterator[str]:
    for key, title in (("conflicts", "Refused"), ("warnings", "Warnings")):
        if facts[key]:
            yield ""
            yield heading(title)
            for text in facts[key]:
                yield from paragraph(clean(text, 1000), width, indent=INDENT + 2, first="- ")


def _counts(facts: Facts, width: int) -> Iterator[str]:
    if facts["loaded_at"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["loaded_at"]))
        yield ""
        yield f"Loaded in {facts['load_seconds'] * 1000:.1f} ms, {when}, in this process"
    heads = ("POINT", "CALLS", "FAULTS", "SECONDS", "SLOWEST")
    rows = [
        (
            clean(one["point"], 100),
            str(one["calls"]),
            str(one["faults"]),
            f"{one['seconds']:.3f}",
            f"{one['slowest']:.3f}",
        )
        for one in facts["calls"]
        if one["calls"]
    ]
    yield from _part("Calls in this process", rows, width, heads)
    workers = [
        (clean(one["worker"], 60), clean(one["status"], 20), str(one["faults"]))
        for one in facts["workers"]
    ]
    yield from _part("Workers", workers, width, ("WORKER", "STATUS", "FAULTS"))


def _tracebacks(facts: Facts, width: int) -> Iterator[str]:
    del width  # a traceback is for reading and copying: its lines stay whole
    for key, title in (("traceback", "Why it failed"), ("last_fault", "Last fault at run time")):
        if facts[key]:
            yield ""
            yield heading(title)
            text = clean(facts[key], 20_000, multiline=True)
            yield from (f"{' ' * INDENT}{line}" for line in text.splitlines())


def _part(
    title: str, rows: Sequence[tuple[str, ...]], width: int, heads: tuple[str, ...] = ()
) -> Iterator[str]:
    if rows:
        yield ""
        yield heading(title)
        yield from aligned([heads, *rows] if heads else rows, width, indent=INDENT)
