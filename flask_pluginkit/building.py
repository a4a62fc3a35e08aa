"""Making a snapshot: who gets which name, and what is called in which order.

A snapshot is built from nothing at each change: that costs microseconds, and there is no
index that could be left behind. Kept is only what depends on one plugin alone (`bundles`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any, Final

from .bundles import Bundle, Run, Slot, bundle, contested, slot
from .frozen import replace
from .points import Claim, Conflict, Contribution, Named, Route, SignalReceiver, TemplatePart
from .snapshot import APPLICATION, TABLE_KINDS, Chain, Plugin, Snapshot, Status

TRUSTED: Final = "trusted"
ACTIVE: Final = Status.ACTIVE
"""To look up a member of an enum takes longer than a comparison, in Python 3.11."""

_SERIALS: Final = count(1)


def _by_trust(rows: Iterable[Plugin], bundles: Sequence[Bundle]) -> Sequence[Bundle]:
    """Return the bundles of `rows` in the order in which they choose names and rules."""
    if all(row.isolation == TRUSTED for row in rows):
        return bundles
    pairs = zip(rows, bundles, strict=True)
    return [each for _, each in sorted(pairs, key=lambda pair: pair[0].isolation != TRUSTED)]


class _Draft:
    """A snapshot in the making.

    Each change of a plugin builds one anew, between two requests: so there is one plain loop
    for each kind of contribution. Plugins whose names nobody else wants aren't asked for them
    one by one.
    """

    def __init__(self, reserved: Mapping[Claim, str], sorting: str) -> None:
        self.sorting = sorting
        self.owners: dict[Claim, str] = {}
        self.reserved = reserved
        self.doubtful: set[str] = set()
        """The plugins that may not get all that they want."""
        self.conflicts: list[Conflict] = []
        self.refused: set[tuple[str, str]] = set()
        self.tables: dict[str, dict[str, Any]] = {kind: {} for kind in TABLE_KINDS}
        self.hooks: dict[tuple[str, str | None], list[Run]] = {}
        self.slots: dict[str, Slot] = {}
        self.errors: dict[tuple[str | None, int | None], dict[type[Exception], Any]] = {}
        self.routes: list[Route] = []
        self.serials: set[int] = set()
        self.receivers: list[SignalReceiver] = []

    def add_all(self, rows: Iterable[Plugin]) -> None:
        """Take in what `rows` add, in plugin order, or note the conflicts that refuse some of it.

        Blueprints come first, each after its parent, whichever plugin that belongs to. Then all
        names: a rule whose endpoint is somebody else's must not reach it. Whoever is trusted has
        the first choice: links to its pages must not lead to those of a plugin that isn't.
        """
        bundles = [row.bundle for row in rows]
        self._look_for_doubts(rows, bundles)
        ranked = _by_trust(rows, bundles)
        blueprints = [item for each in ranked for item in each.blueprints]
        blueprints.sort(key=lambda item: item.name.count("."))
        self._add_named(blueprints)
        for each in ranked:
            self._add_named(each.named)
        kept = self._kept(rows, bundles) if self.refused else bundles
        for each in _by_trust(rows, kept):
            self._add_routes(each)
        for each in kept:
            self.slots.update(each.slots)
            for key, run in each.hooks.items():
                self.hooks.setdefault(key, []).append(run)
            for handler in each.handlers:
                handlers = self.errors.setdefault((handler.scope, handler.code), {})
                handlers[handler.error] = handler.function
            self.receivers += each.receivers
        self._merge_slots(kept)

    def _merge_slots(self, bundles: Sequence[Bundle]) -> None:
        """Put together the slots in which there are several parts."""
        several = {name for each in bundles for name in each.mixed}
        if sum([len(each.slots) for each in bundles]) > len(self.slots):
            counts = Counter(chain.from_iterable([each.slots for each in bundles]))
            several.update([name for name, wanted in counts.items() if wanted > 1])
        if not several:
            return
        parts: dict[str, list[TemplatePart]] = {name: [] for name in several}
        for each in bundles:
            for name in several & each.slots.keys():
                parts[name] += each.slots[name].all
        self.slots.update({name: slot(name, some, self.sorting) for name, some in parts.items()})

    def _look_for_doubts(self, rows: Iterable[Plugin], bundles: Sequence[Bundle]) -> None:
        """Give all that they want to those with whom nobody contends for it."""
        wanted, disputed = contested(bundles, self.reserved)
        for row, each in zip(rows, bundles, strict=True):
            if each.needs_others or (disputed and not disputed.isdisjoint(each.claims)):
                self.doubtful.add(row.name)
        if not self.doubtful:
            self.owners = wanted
            return
        for row, each in zip(rows, bundles, strict=True):
            if row.name not in self.doubtful:
                self.owners.update(each.claims)

    def _add_named(self, items: Iterable[Named]) -> None:
        tables, doubtful = self.tables, self.doubtful
        for item in items:
            if item.owner in doubtful:
                claim = (item.kind, item.name)
                if not self._may_have(item, claim):
                    continue
                self.owners[claim] = item.owner
            tables[item.kind][item.name] = item.value

    def _may_have(self, item: Named, claim: Claim) -> bool:
        """Tell whether `item` is taken in; if it isn't, note why."""
        if self._left_out_with_blueprint(item):
            return False
        if self._is_taken(item, claim):
            return False
        parent = ("blueprint", item.parent)
        if item.parent and parent not in self.owners and parent not in self.reserved:
            self._refuse(item, claim, "", f"no blueprint {item.parent!r} here")
            return False
        return True

    def _add_routes(self, bundle: Bundle) -> None:
        routes = bundle.routes
        if not routes:
            return
        if routes[0].owner not in self.doubtful:
            self.routes += routes
            self.serials |= bundle.serials
            return
        owners = self.owners
        for route in routes:
            claims, owner = route.claims(), route.owner
            if any(self._is_taken(route, claim) for claim in claims):
                continue
            # the view must be of its own plugin, and not another's
            view = ("endpoint", route.rule.endpoint)
            if view not in self.reserved and owners.get(view, owner) == owner:
                owners.update(dict.fromkeys(claims, owner))
                self.routes.append(route)
                self.serials.add(route.rule.serial)

    def _is_taken(self, item: Contribution, claim: Claim) -> bool:
        """Tell whether somebody else has this name, and note who."""
        winner = self.reserved.get(claim)
        # a plugin may be called as the application is
        if winner is None and (winner := self.owners.get(claim)) in {None, item.owner}:
            return False
        self._refuse(item, claim, winner or "")
        return True

    def _kept(self, rows: Iterable[Plugin], bundles: Sequence[Bundle]) -> list[Bundle]:
        """Return the bundles without what a refused blueprint takes along."""
        losers = {owner for owner, _name in self.refused}
        return [
            bundle([item for item in each.all if not self._left_out_with_blueprint(item)])
            if row.name in losers
            else each
            for row, each in zip(rows, bundles, strict=True)
        ]

    def _left_out_with_blueprint(self, item: Contribution) -> bool:
        name = item.blueprint
        while name:
            if (item.owner, name) in self.refused:
                return True
            name = name.rpartition(".")[0]
        return False

    def _refuse(self, item: Contribution, claim: Claim, winner: str, reason: str = "") -> None:
        kind, key = claim
        name = str(item.rule.rule) if isinstance(item, Route) else str(key)
        if kind == "blueprint":
            self.refused.add((item.owner, name))
        shown = winner if winner == APPLICATION else f"plugin {winner!r}"
        self.conflicts.append(
            Conflict(kind=kind, name=name, winner=shown, loser=item.owner, reason=reason)
        )


def build(
    site: object,
    generation: int,
    plugins: Iterable[Plugin],
    reserved: Mapping[Claim, str],
    sorting: str,
) -> Snapshot:
    """Build the snapshot of `plugins`, which are in plugin order.

    Args:
        site: the application's side, which the pin is asked for.
        generation: the number of this state.
        plugins: all of them; only the active ones contribute.
        reserved: names that belong to the application: they win.
        sorting: ``"asc"``, ``"desc"``, or empty for plugin order with files before code.

    """
    rows = tuple(plugins)
    active = {row.name: row for row in rows if row.status is ACTIVE}
    draft = _Draft(reserved, sorting)
    draft.add_all(active.values())
    if draft.conflicts:
        rows = _with_conflicts(rows, draft.conflicts)
        active = {row.name: row for row in rows if row.status is ACTIVE}
    return Snapshot(
        site=site,
        generation=generation,
        plugins=rows,
        active=active,
        hooks={key: _chained(runs) for key, runs in draft.hooks.items()},
        slots=draft.slots,
        tables=draft.tables,
        rules=frozenset(draft.serials),
        errors=draft.errors,
        receivers=tuple(draft.receivers),
        routes=tuple(draft.routes),
        owners=draft.owners,
        conflicts=tuple(draft.conflicts),
        is_personal=any(row.isolation != TRUSTED and row.is_personal for row in active.values()),
        serial=next(_SERIALS),
        names={},
    )


def _with_conflicts(rows: Iterable[Plugin], conflicts: Iterable[Conflict]) -> tuple[Plugin, ...]:
    """Let each row tell what is refused to it."""
    by_loser: dict[str, list[Conflict]] = {}
    for conflict in conflicts:
        by_loser.setdefault(conflict.loser, []).append(conflict)
    return tuple(
        replace(row, conflicts=(*row.conflicts, *by_loser[row.name]))
        if row.name in by_loser
        else row
        for row in rows
    )


def _chained(runs: Sequence[Run]) -> Chain:
    """Return the hooks of one table, those of all plugins, as they are to be called."""
    flat = chain.from_iterable
    return Chain(
        (*flat([run.early for run in reversed(runs)]), *flat([run.late for run in runs])),
        (*flat([run.early_rows for run in reversed(runs)]), *flat([run.late_rows for run in runs])),
    )
