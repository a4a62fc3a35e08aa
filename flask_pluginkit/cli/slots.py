"""``flask plugins tep``: the slots that templates emit, and who fills them in which order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click
from flask import current_app

from flask_pluginkit.text import clean, nearest

from .contributions import order_in_words, part_in_words, with_order
from .emitted import Emissions, find_emissions
from .host import Refused, find_manager, refusals, with_quiet_host
from .tables import aligned, heading, paragraph, say, terminal_width

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager

MANY: Final = 500
"""From so many templates on, a terminal shows how far reading them is."""

NOBODY_EMITS: Final = "no template file emits it"
NOBODY_FILLS: Final = "nobody fills it"


@click.command("tep")
@click.argument("slot", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@with_quiet_host
def tep(slot: str | None, as_json: bool) -> None:
    """Show the slots of templates, and who fills them.

    Slots are found in the templates of the application and of active plugins, where they stand
    as a text: emit_tep("nav"). Events of emit_dcp are shown, too. What Python code emits isn't
    known.
    """
    with refusals():
        manager = find_manager()
        emissions = _emissions()
        slots = [*_slots(manager, emissions), *_events(manager, emissions)]
    if slot is not None:
        known = [each["name"] for each in slots]
        slots = [each for each in slots if each["name"] == slot]
        if not slots:
            guess = nearest(slot, known)
            hint = f"; did you mean {clean(guess, 100)!r}?" if guess else ""
            raise Refused(
                f"no template emits a slot {clean(slot, 100)!r}, and nobody fills it{hint}"
            )
    if as_json:
        click.echo(json.dumps(slots, indent=2))
        return
    for line in _lines(slots, terminal_width()):
        say(line)
    if not slots:
        say("no slots: no template file emits one, and no active plugin fills one")
    if slot is None:
        for line in _remarks(emissions, terminal_width()):
            click.echo(line, err=True)


def _emissions() -> Emissions:
    environment = current_app.jinja_env
    try:
        names = environment.list_templates()
    except TypeError:  # a loader that looks up, and can't list
        return Emissions((), {"the templates": "the application's loader can't list them"})
    if len(names) < MANY or not sys.stderr.isatty():
        return find_emissions(environment, names)
    with click.progressbar(names, label="reading templates", file=sys.stderr) as bar:
        return find_emissions(environment, bar)


def _slots(manager: PluginManager, emissions: Emissions) -> Iterator[dict[str, Any]]:
    places = emissions.places("tep")
    filled = manager.snapshot.slots
    for name in sorted({*places, *filled}):
        parts = filled[name].all if name in filled else ()
        yield {
            "kind": "slot",
            "name": name,
            "emitted": [each.place for each in places.get(name, ())],
            "filled": [
                {"plugin": part.owner, "order": order_in_words(part), "what": part_in_words(part)}
                for part in parts
            ],
        }


def _events(manager: PluginManager, emissions: Emissions) -> Iterator[dict[str, Any]]:
    places = emissions.places("event")
    for name in sorted({*places, *manager._dcp_manager.list}):  # noqa: SLF001 - 3.x's name
        owners = manager.owners_of("dcp", name)
        yield {
            "kind": "event",
            "name": name,
            "emitted": [each.place for each in places.get(name, ())],
            "filled": [{"plugin": owner, "order": "", "what": "function"} for owner in owners],
        }


def _lines(slots: Iterable[dict[str, Any]], width: int) -> Iterator[str]:
    first = True
    for slot in slots:
        if not first:
            yield ""
        first = False
        yield heading(f"{slot['kind']} {clean(slot['name'], 100)}")
        emitted = ", ".join(slot["emitted"])
        if emitted:
            yield from paragraph(f"emitted in {emitted}", width, indent=2)
        else:
            yield "  " + click.style(f"! {NOBODY_EMITS}", fg="yellow")
        rows = [
            (f"{place}.", clean(part["plugin"], 100), with_order(part["what"], part["order"]))
            for place, part in enumerate(slot["filled"], 1)
        ]
        if rows:
            yield from aligned(rows, width, indent=2)
        else:
            yield "  " + click.style(f"- {NOBODY_FILLS}", fg="bright_black")


def _remarks(emissions: Emissions, width: int) -> Iterator[str]:
    computed = [each.place for each in emissions.found if each.name is None]
    if computed:
        text = f"Names that are computed, and so aren't known here: {', '.join(computed)}"
        yield from paragraph(text, width)
    for name, reason in emissions.unreadable.items():
        yield from paragraph(f"{clean(name, 200)} can't be read: {reason}", width)
