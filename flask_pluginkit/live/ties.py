"""Which of several routes comes first where Werkzeug has no preference.

Werkzeug prefers the more specific route. Of those that are equal in that it takes the one that
joined its map first, and plugins join whenever they are enabled. To a request they must be as if
the application had just started: its own routes first, then those of plugins in plugin order.
So the lists of Werkzeug's matcher in which that matters answer by the pinned snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, pairwise
from typing import Any

from werkzeug.routing import Rule

from flask_pluginkit.snapshot import Snapshot

Pin = Callable[[], Snapshot]
State = Any
"""A node in the tree of Werkzeug's matcher: rules that end here, and what can come next."""

Place = tuple[int, int]

HOST: Place = (0, 0)
"""The place of what the application has from the start, which keeps its order."""

_LATE = "_pluginkit_place"
_numbers = count(1)


class Places:
    """The places of plugins' rules in the pinned snapshot."""

    def __init__(self, pin: Pin) -> None:
        self.pin = pin
        self._known: tuple[int, Mapping[int, Place]] = (0, {})

    def of(self, snapshot: Snapshot) -> Mapping[int, Place]:
        """Return the place of each live rule by its serial number."""
        serial, places = self._known
        if serial != snapshot.serial:
            places = {route.rule.serial: (1, i) for i, route in enumerate(snapshot.routes)}
            self._known = (snapshot.serial, places)
        return places

    def sorted(self, rules: Iterable[Rule]) -> list[Rule]:
        """Return those of `rules` that there are in the pinned snapshot, in their order."""
        places = self.of(self.pin())
        found = [(place, rule) for rule in rules if (place := _place_of(rule, places))]
        return [rule for _place, rule in sorted(found, key=_first)]


class _Tied(list[Any]):
    """A list of the matcher that is gone through in the order of the pinned snapshot.

    What that doesn't have at all is left out.
    """

    __slots__ = ("_known", "_places")

    def __init__(self, items: list[Any], places: Places) -> None:
        super().__init__(items)
        self._places = places
        self._known: tuple[int, int, list[Any]] = (0, 0, [])

    def __iter__(self) -> Iterator[Any]:
        snapshot = self._places.pin()
        serial, length, items = self._known
        if serial != snapshot.serial or length != len(self):
            length = len(self)
            items = self._in_order(list(super().__iter__()), self._places.of(snapshot))
            self._known = (snapshot.serial, length, items)
        return iter(items)

    def _in_order(self, items: list[Any], places: Mapping[int, Place]) -> list[Any]:
        raise NotImplementedError


class _TiedRules(_Tied):
    """Rules that end at one node, which can differ in their methods."""

    __slots__ = ()

    def _in_order(self, items: list[Any], places: Mapping[int, Place]) -> list[Any]:
        found = [(place, rule) for rule in items if (place := _place_of(rule, places))]
        return [rule for _place, rule in sorted(found, key=_first)]


class _TiedBranches(_Tied):
    """What can come next at one node, of which some have equal weights."""

    __slots__ = ()

    def _in_order(self, items: list[Any], places: Mapping[int, Place]) -> list[Any]:
        found = [
            ((branch[0].weight, place), branch)
            for branch in items
            if (place := _place_below(branch[1], places))
        ]
        return [branch for _place, branch in sorted(found, key=_first)]


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def come_late(rule: Rule) -> Rule:
    """Give a rule, which the application adds after plugins', its place behind its others."""
    setattr(rule, _LATE, (0, next(_numbers)))
    return rule


def _place_of(rule: Rule, places: Mapping[int, Place]) -> Place | None:
    """Return the place of one rule, None if it isn't live."""
    serial = getattr(rule, "serial", None)
    return getattr(rule, _LATE, HOST) if serial is None else places.get(serial)


def _place_below(state: State, places: Mapping[int, Place]) -> Place | None:
    """Return the first place of all rules below a node, None if none of them is live."""
    found = [_place_of(rule, places) for rule in list.__iter__(state.rules)]
    found += [_place_below(below, places) for below in list(state.static.values())]
    found += [_place_below(below, places) for _part, below in list.__iter__(state.dynamic)]
    return min([place for place in found if place is not None], default=None)


def insert(state: State, rule: Rule, places: Places) -> None:
    """Put a rule into the tree below `state`, while others may be using it.

    Werkzeug sorts its lists in place, and a list is empty while it is being sorted. So each one
    that grows is replaced in one step by one that is sorted already.
    """
    for part in rule._parts:  # noqa: SLF001 - nothing public can
        if part.static:
            state = state.static.setdefault(part.content, type(state)())
            continue
        branches = list(list.__iter__(state.dynamic))
        known = next((branch for other, branch in branches if other == part), None)
        if known is None:
            known = type(state)()
            branches = sorted([*branches, (part, known)], key=lambda entry: entry[0].weight)
            state.dynamic = _tied(branches, places)
        state = known
    rules = [*list.__iter__(state.rules), rule]
    state.rules = _TiedRules(rules, places) if len(rules) > 1 else rules


def _tied(branches: list[Any], places: Places) -> list[Any]:
    """Return branches in their order, which are sorted by weight, as the list of a node."""
    weights = [part.weight for part, _branch in branches]
    is_tied = any(one == other for one, other in pairwise(weights))
    return _TiedBranches(branches, places) if is_tied else branches
