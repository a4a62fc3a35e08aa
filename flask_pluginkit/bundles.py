"""What one plugin adds, sorted for the building of snapshots: once, and not at each change.

A snapshot is built from nothing each time; what depends on one plugin alone is in here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final

from .frozen import Frozen, replace
from .ordering import sort_parts
from .points import (
    LAST_IN_FIRST_OUT,
    Claim,
    Contribution,
    ErrorHandler,
    Function,
    Hook,
    Named,
    Route,
    SignalReceiver,
    TemplatePart,
)

Rows = tuple[tuple[Function, Any], ...]
"""Functions, and what each is counted by (`residents.Meter`)."""

_KINDS: Final = (Named, Route, Hook, TemplatePart, ErrorHandler, SignalReceiver)


class Slot(Frozen, kw_only=False):
    """The parts of one template slot, in the order in which they are rendered."""

    name: str
    all: tuple[TemplatePart, ...]
    files: tuple[TemplatePart, ...]
    codes: tuple[TemplatePart, ...]
    is_remote: bool = False
    """Whether another process renders some of them."""


class Run(Frozen, eq=False, kw_only=False):
    """The hooks of one plugin in one table and scope, in the order in which they are called."""

    early: tuple[Hook, ...]
    """Those that Flask calls in reverse order: they come before the others of all plugins."""
    late: tuple[Hook, ...]
    early_rows: Rows
    """Of each hook function and meter."""
    late_rows: Rows


class Bundle(Frozen, eq=False):
    """The contributions of one plugin: all of them, and by kind, in the order of their coming."""

    all: tuple[Contribution, ...]
    blueprints: tuple[Named, ...]
    named: tuple[Named, ...]
    """All that have a name, but blueprints."""
    routes: tuple[Route, ...]
    hooks: Mapping[tuple[str, str | None], Run]
    """By table and scope."""
    slots: Mapping[str, Slot]
    """What it puts into each slot, as it came."""
    mixed: tuple[str, ...]
    """The slots in which it has several parts: how these are sorted is up to the application."""
    handlers: tuple[ErrorHandler, ...]
    receivers: tuple[SignalReceiver, ...]
    claims: Mapping[Claim, str]
    """The names that nobody else may have, each with the plugin's own."""
    serials: frozenset[int]
    """Of its routing rules."""
    has_commands: bool
    needs_others: bool
    """Whether it has a blueprint in another one, or a rule for a view that it doesn't bring."""


def _grouped(items: Iterable[Any], key_of: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault(key_of(item), []).append(item)
    return groups


def _run(key: tuple[str, str | None], hooks: Sequence[Hook]) -> Run:
    """Return the hooks of one plugin in one table.

    ``hep`` functions run in plugin order at every point, as 3.x does it. What plugins
    registered with Flask's own methods runs in Flask's order.
    """
    reverses = key[0] in LAST_IN_FIRST_OUT
    early = [hook for hook in reversed(hooks) if reverses and hook.recorded]
    late = [hook for hook in hooks if not (reverses and hook.recorded)]
    return Run(tuple(early), tuple(late), _rows(early), _rows(late))


def _rows(hooks: Iterable[Hook]) -> Rows:
    return tuple([(hook.function, hook.meter) for hook in hooks])


def slot(name: str, parts: Sequence[TemplatePart], sorting: str) -> Slot:
    """Return the slot with these parts, which are in plugin order.

    `sorting`: ``"asc"``, ``"desc"``, or empty for plugin order with files before code.
    """
    if sorting:
        return _as_it_came(name, sort_parts(parts, attrgetter("order"), sorting == "desc"))
    found = _as_it_came(name, parts)
    return replace(found, all=found.files + found.codes)


def _as_it_came(name: str, parts: Iterable[TemplatePart]) -> Slot:
    """Return the slot with these parts, in this order."""
    every = tuple(parts)
    files = tuple([part for part in every if part.is_file])
    codes = tuple([part for part in every if not part.is_file])
    return Slot(name, every, files, codes, any(part.remote is not None for part in every))


def bundle(contributions: Iterable[Contribution]) -> Bundle:
    """Return the contributions of one plugin, sorted by kind."""
    items = tuple(contributions)
    found: dict[type, list[Any]] = {kind: [] for kind in _KINDS}
    for item in items:
        found[type(item)].append(item)
    named: list[Named] = found[Named]
    routes: list[Route] = found[Route]
    claims = {claim: item.owner for item in (*named, *routes) for claim in item.claims()}
    parts = _grouped(found[TemplatePart], lambda part: part.slot)
    return Bundle(
        all=items,
        blueprints=tuple([item for item in named if item.kind == "blueprint"]),
        named=tuple([item for item in named if item.kind != "blueprint"]),
        routes=tuple(routes),
        hooks={
            key: _run(key, hooks)
            for key, hooks in _grouped(found[Hook], lambda hook: (hook.table, hook.scope)).items()
        },
        slots={name: _as_it_came(name, some) for name, some in parts.items()},
        mixed=tuple([name for name, some in parts.items() if len(some) > 1]),
        handlers=tuple(found[ErrorHandler]),
        receivers=tuple(found[SignalReceiver]),
        claims=claims,
        serials=frozenset([route.rule.serial for route in routes]),
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
