"""Parts of template slots that another process renders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_pluginkit.exceptions import PluginError

if TYPE_CHECKING:
    from markupsafe import Markup

    from .messages import (
        Result,
    )
    from .remote import Remote


class RemoteText(str):
    """A tep of an isolated plugin: its name or code, and what renders it there."""

    __slots__ = ("reference", "remote")
    reference: int
    remote: Remote


def rendered(outcome: Result | PluginError, part: RemoteText, point: str) -> Markup:
    """Return what a part shows, as far as it may. Raises PluginError for one that failed."""
    from .faults import value_of

    if isinstance(outcome, PluginError):
        raise outcome
    return part.remote.fragment(value_of(outcome, part.remote.plugin, point))
