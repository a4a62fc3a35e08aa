"""What one plugin adds, sorted for the building of snapshots: once, and not at each change.

A snapshot is built from nothing each time; what depends on one plugin alone is in here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from .frozen import Frozen
from .points import (
    Claim,
    Contribution,
    ErrorHandler,
    Hook,
    Named,
    Route,
    SignalReceiver,
    TemplatePart,
)

_KINDS: Final = (Named, Route, Hook, TemplatePart, ErrorHandler, SignalReceiver)


class Bundle(Frozen, eq=False):
    """The contributions of one plugin: all of them, and by kind, in the order of their coming."""

    all: tuple[Contribution, ...]
    blueprints: tuple[Named, ...]
    named: tuple[Named, ...]
    """All that have a name, but blueprints."""
    routes: tuple[Route, ...]
    hooks: tuple[Hook, ...]
    parts: tuple[TemplatePart, ...]
    handlers: tuple[ErrorHandler, ...]
    receivers: tuple[SignalReceiver, ...]
    claims: Mapping[Claim, str]
    """The names that nobody else may have, each with the plugin's own."""
    has_commands: bool
    needs_others: bool
    """Whether it has a blueprint in another one, or a rule for a view that it doesn't bring."""


def bundle(contributions: Iterable[Contribution]) -> Bundle:
    """Return the contributions of one plugin, sorted by kind."""
    items = tuple(contributions)
    found: dict[type, list[Any]] = {kind: [] for kind in _KINDS}
    for item in items:
        found[type(item)].append(item)
    named: list[Named] = found[Named]
    routes: list[Route] = found[Route]
    claims = {claim: item.owner for item in (*named, *routes) for claim in item.claims()}
    return Bundle(
        all=items,
        blueprints=tuple([item for item in named if item.kind == "blueprint"]),
        named=tuple([item for item in named if item.kind != "blueprint"]),
        routes=tuple(routes),
        hooks=tuple(found[Hook]),
        parts=tuple(found[TemplatePart]),
        handlers=tuple(found[ErrorHandler]),
        receivers=tuple(found[SignalReceiver]),
        claims=claims,
        has_commands=any(item.kind == "command" for item in named),
        needs_others=(
            any(item.parent for item in named)
            or any(("endpoint", route.rule.endpoint) not in claims for route in routes)
        ),
    )


EMPTY: Final = bundle(())
"""What a plugin adds that isn't active."""


def contested(
    bundles: Sequence[Bundle], reserved: Mapping[Claim, str]
) -> tuple[dict[Claim, str], frozenset[Claim]]:
    """Return who wants each name, and which ones several want, or one and the application."""
    everybody: dict[Claim, str] = {}
    for each in bundles:
        everybody.update(each.claims)
    # names of plugins aren't looked at one by one as long as the number tells that all differ
    are_free = everybody.keys().isdisjoint(reserved)
    if are_free and sum([len(each.claims) for each in bundles]) == len(everybody):
        return everybody, frozenset()
    counts = Counter(chain.from_iterable([each.claims for each in bundles]))
    several = {claim for claim, wanted in counts.items() if wanted > 1}
    return everybody, frozenset(several | (counts.keys() & reserved.keys()))
