"""Rendering template slots of which some parts are rendered in other processes.

Those are asked for first, all at the same time; the parts of trusted plugins are rendered as
in any other slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flask import current_app

from flask_pluginkit.barrier import on_fault
from flask_pluginkit.bundles import Slot
from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.isolation.texts import rendered
from flask_pluginkit.points import TemplatePart
from flask_pluginkit.snapshot import Snapshot
from flask_pluginkit.text import clean

if TYPE_CHECKING:
    from flask_pluginkit.isolation.stages import Stages

Parts = tuple[TemplatePart, ...]


class Piece(NamedTuple):
    """What one part of a slot shows, or several of trusted plugins in a row."""

    part: TemplatePart | None
    """The part, if another process has rendered it."""
    text: str
    seconds: float = 0.0
    """How long the slot's parts were waited for; what a page shows anyway comes at once."""
    has_failed: bool = False


def pieces(
    snapshot: Snapshot,
    slot: Slot,
    parts: Parts,
    variables: dict[str, Any],
    render_own: Callable[[Parts], str],
    in_place: Callable[[str, str, str], str],
) -> Iterator[Piece]:
    """Yield what the parts of a slot show, in their order.

    Args:
        snapshot: what is live for this page.
        slot: the slot.
        parts: those of its parts that are asked for.
        variables: what the template gave `emit_tep`.
        render_own: renders parts of trusted plugins.
        in_place: makes what stands for a part that failed, in debug mode.

    """
    stages: Stages = cast("Any", snapshot.site).hosting.stages
    started = perf_counter()
    answers = stages.teps(slot.name, parts, variables)
    seconds = perf_counter() - started
    own: list[TemplatePart] = []
    for part in parts:
        if part.remote is None:
            own.append(part)
            continue
        if own:
            yield Piece(None, render_own(tuple(own)))
            own.clear()
        yield _piece(part, answers[part], seconds, in_place)
    if own:
        yield Piece(None, render_own(tuple(own)))


def _piece(
    part: TemplatePart, answer: Any, seconds: float, in_place: Callable[[str, str, str], str]
) -> Piece:
    try:
        return Piece(part, rendered(answer, part.remote, part.meter.point), seconds)
    except PluginError as error:
        on_fault(part.resident, part.meter, error, "", final=True)
        box = ""
        if current_app.debug:
            box = in_place(part.owner, part.meter.point, clean(error))
        return Piece(part, box, seconds, has_failed=True)
    finally:
        part.meter.add(seconds)
