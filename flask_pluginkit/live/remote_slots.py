"""Rendering template slots of which some parts are rendered in other processes.

Those are asked for first, all at the same time; the parts of trusted plugins are rendered as
in any other slot.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from flask import current_app

from flask_pluginkit.barrier import on_fault
from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.isolation.texts import rendered
from flask_pluginkit.points import TemplatePart
from flask_pluginkit.snapshot import Slot, Snapshot
from flask_pluginkit.text import clean

if TYPE_CHECKING:
    from flask_pluginkit.isolation.stages import Stages

Parts = tuple[TemplatePart, ...]


def render(
    snapshot: Snapshot,
    slot: Slot,
    parts: Parts,
    variables: dict[str, Any],
    render_own: Callable[[Parts], str],
    in_place: Callable[[str, str, str], str],
) -> str:
    """Return what the parts of a slot show, in their order.

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
    done = []
    own: list[TemplatePart] = []
    for part in parts:
        if part.remote is None:
            own.append(part)
            continue
        if own:
            done.append(render_own(tuple(own)))
            own.clear()
        try:
            done.append(rendered(answers[part], part.remote, part.meter.point))
        except PluginError as error:
            on_fault(part.resident, part.meter, error, "", final=True)
            if current_app.debug:
                done.append(in_place(part.owner, part.meter.point, clean(error)))
        finally:
            part.meter.add(seconds)
    if own:
        done.append(render_own(tuple(own)))
    return "".join(done)
