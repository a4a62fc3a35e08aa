"""What a plugin adds to an application: one frozen value a contribution.

A contribution knows its owner, and the names that only one owner may have (`claims`). The
short names of ``register()`` (tep, hep, vep, ...) are in :mod:`.kinds`; here types carry
full words. Functions in here are already wrapped by the barrier, except those of hooks, of which
a request calls many: who calls them does what the barrier's wrapper would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .frozen import Frozen

Function = Callable[..., Any]
GUARDS = frozenset({"before_request_funcs", "url_value_preprocessors"})
"""Tables whose functions may protect something: a fault in one must not open a door."""

LAST_IN_FIRST_OUT = frozenset(
    {"after_request_funcs", "teardown_request_funcs", "teardown_appcontext_funcs"}
)
"""The tables whose functions Flask calls in reverse order of registration."""

Claim = tuple[str, object]
"""A name that one owner has alone: its kind (``"filter"``) and the name itself."""


class Contribution(Frozen, eq=False):
    """One thing that a plugin adds at one extension point."""

    owner: str
    blueprint: str | None = None
    """The blueprint that brought it: refused together with that blueprint."""

    def claims(self) -> tuple[Claim, ...]:
        """Return the names that nobody else may have."""
        return ()


class TemplatePart(Contribution):
    """What one plugin puts into one template slot (tep)."""

    slot: str
    order: tuple[int, int, str] | None
    """What :func:`.ordering.parse_code` or `parse_file` made of ``order@``; None: last."""
    is_file: bool
    text: str
    """The template's name in the plugin's ``templates`` folder, or the code itself."""
    template: Any
    """A zero-argument function that gives the compiled template (``live.slots``)."""
    meter: Any
    """Where calls, faults and times of this part are counted (``barrier.Meter``)."""
    resident: Any
    """The plugin in this process (``barrier.Resident``)."""
    remote: Any = None
    """What renders it in another process (`isolation.bridge.RemoteText`), if that is so."""


class Hook(Contribution):
    """A function in one of Flask's function tables, such as ``before_request_funcs``."""

    table: str
    scope: str | None
    """The blueprint that it is limited to, None for the whole application."""
    function: Function
    recorded: bool = False
    """Registered with a method of Flask's, in contrast to ``hep``."""
    resident: Any = None
    """The plugin in this process (``barrier.Resident``)."""
    meter: Any = None
    """Where calls, faults and times are counted (``barrier.Meter``)."""
    fallback: Any = None
    """What a fault is answered with, as for ``barrier.guard``."""
    final: bool = False
    """Whether every exception is a fault, as for ``barrier.guard``."""


class Route(Contribution):
    """A routing rule (`live.routes.LiveRule`), bound but not yet in the map."""

    rule: Any
    keys: tuple[object, ...]
    """One for each method that it answers: parts of the rule and method."""

    def claims(self) -> tuple[Claim, ...]:
        """Return one claim for each method that this rule answers."""
        return tuple([("route", key) for key in self.keys])


class Named(Contribution):
    """A contribution that is looked up by its name in one table."""

    kind: str
    """``endpoint``, ``blueprint``, ``filter``, ``test``, ``global``, ``context``, ``command``."""
    name: str
    value: Any
    parent: str | None = None
    """Of a nested blueprint: the blueprint that must be there too."""

    def claims(self) -> tuple[Claim, ...]:
        """Return this kind and name."""
        return ((self.kind, self.name),)


class ErrorHandler(Contribution):
    """A handler for one error, in the application or in one blueprint."""

    scope: str | None
    code: int | None
    error: type[Exception]
    function: Function


class SignalReceiver(Contribution):
    """A receiver of a blinker signal, connected for good and asking the pin."""

    signal: Any
    function: Function


class Conflict(Frozen):
    """One contribution that was refused because somebody else has its name."""

    kind: str
    name: str
    winner: str
    """The plugin that has it, or ``"the application"``."""
    loser: str
    reason: str = ""

    def __str__(self) -> str:
        text = f"{self.kind} {self.name!r} of plugin {self.loser!r} is refused"
        return f"{text}: {self.reason or f'it belongs to {self.winner}'}"


def may_guard(contributions: Iterable[Contribution]) -> bool:
    """Tell whether a plugin with these contributions may protect pages that aren't its own."""
    items = tuple(contributions)
    own = {item.name for item in items if isinstance(item, Named) and item.kind == "blueprint"}
    return any(
        isinstance(item, Hook) and item.table in GUARDS and item.scope not in own for item in items
    )
