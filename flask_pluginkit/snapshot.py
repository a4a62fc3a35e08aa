"""The immutable set of everything that is live at one moment, and the pin on it.

A snapshot is built from nothing at each change: that costs microseconds, and there is no
index that could be left behind. A request pins one snapshot and sees only that one, from
its first hook to the last byte of its response.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from operator import attrgetter
from types import ModuleType
from typing import Any, Final, TypeVar, cast

from .contexts import APP_CONTEXT, REQUEST_CONTEXT
from .discovery import Candidate
from .manifest import Manifest
from .ordering import sort_parts
from .points import (
    Claim,
    Conflict,
    Contribution,
    ErrorHandler,
    Function,
    Hook,
    Named,
    Route,
    SignalReceiver,
    TemplatePart,
)
from .state.base import WantedState

Item = TypeVar("Item", bound=Contribution)

APPLICATION: Final = "the application"
"""Stands for the host, as the owner of a name."""

ENVIRON_KEY: Final = "pluginkit.snapshot"

LAST_IN_FIRST_OUT: Final = frozenset(
    {"after_request_funcs", "teardown_request_funcs", "teardown_appcontext_funcs"}
)
"""The tables whose functions Flask calls in reverse order of registration."""


class Status(StrEnum):
    """What became of a plugin in this process."""

    ACTIVE = "active"
    DISABLED = "disabled"
    FAILED = "failed"
    INCOMPATIBLE = "incompatible"
    MISSING = "missing"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plugin:
    """One plugin as this process knows it: a row of ``PluginManager.plugins``."""

    candidate: Candidate
    manifest: Manifest
    wanted: WantedState
    status: Status
    reason: str = ""
    """Why the status is what it is, in words that a person can act on."""
    traceback: str = ""
    """Of the exception that made the plugin fail to load, else empty."""
    resident: Any = None
    module: ModuleType | None = None
    shapes: Mapping[str, Any] = field(default_factory=dict)
    """What ``register()`` returned, in normal form and after ``p3``."""
    guards: bool = False
    """Whether it has a hook that may protect pages of others: then these never go without it."""
    variant: tuple[str, ...] = ()
    """The plugins whose ``p3`` functions have reworked what this one registered."""
    contributions: tuple[Contribution, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    loaded_at: float = 0.0
    """Seconds since the epoch, 0 if the plugin isn't loaded."""
    load_seconds: float = 0.0
    """How long importing and registering took."""

    @property
    def name(self) -> str:
        """The plugin's name, its ``__plugin_name__``."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The plugin's semantic version, empty if its manifest has none."""
        return self.manifest.version

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Calls and faults by point."""
        meters = self.resident.meters.values() if self.resident else ()
        return {meter.point: (meter.calls, meter.errors) for meter in list(meters)}

    @property
    def times(self) -> dict[str, tuple[float, float]]:
        """Total and slowest time by point, in seconds."""
        meters = self.resident.meters.values() if self.resident else ()
        return {meter.point: (meter.total, meter.slowest) for meter in list(meters)}

    @property
    def last_fault(self) -> str:
        """The traceback of the last fault at run time, empty if there was none."""
        return self.resident.last_fault if self.resident else ""


@dataclass(frozen=True, slots=True)
class Slot:
    """The parts of one template slot, in the order in which they are rendered."""

    name: str
    all: tuple[TemplatePart, ...]
    files: tuple[TemplatePart, ...]
    codes: tuple[TemplatePart, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The hooks of one table and scope, in the order in which they are called."""

    hooks: tuple[Hook, ...]
    rows: tuple[tuple[Function, Any], ...]
    """Of each hook function and meter: all that a loop needs as long as nothing fails."""

    def hook(self, function: Function, meter: Any) -> Hook:
        """Return the hook of one row."""
        return next(h for h in self.hooks if h.function is function and h.meter is meter)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that is live at one moment."""

    site: object
    """The application's side of it (`application.Site`): nested applications have others."""
    generation: int
    plugins: tuple[Plugin, ...]
    """Every plugin that was found, whatever its status, in plugin order."""
    active: Mapping[str, Plugin]
    hooks: Mapping[tuple[str, str | None], Chain]
    slots: Mapping[str, Slot]
    tables: Mapping[str, Mapping[str, Any]]
    """By kind (``endpoint``, ``filter``, ...): what is found under each name."""
    rules: frozenset[int]
    """The serial numbers of the routing rules that are live."""
    errors: Mapping[tuple[str | None, int | None], Mapping[type[Exception], Any]]
    receivers: tuple[SignalReceiver, ...]
    routes: tuple[Route, ...]
    owners: Mapping[Claim, str]
    conflicts: tuple[Conflict, ...]
    closed: str = ""
    """Why pages of the application are shut, empty if they are open (`live.gate`)."""
    serial: int = field(default_factory=count(1).__next__)
    """Another one for each snapshot of this process, also where the generation is the same."""
    names: dict[Any, Any] = field(default_factory=dict)
    """What names of templates were found to mean; at most `live.templates.NAMES_LIMIT`."""


_CONTRIBUTIONS: Final = (Named, Route, Hook, TemplatePart, ErrorHandler, SignalReceiver)
TABLE_KINDS: Final = ("endpoint", "blueprint", "filter", "test", "global", "context", "command")
_NOTHING: Final[Mapping[str, Any]] = {}

PIN: ContextVar[Snapshot | None] = ContextVar("flask_pluginkit.pin", default=None)


def pinned(site: Any) -> Snapshot:
    """Return the snapshot that the running request, task or thread uses.

    Streams and teardown functions run after the WSGI call returned, when the ContextVar is
    reset: they find it in the request's environ. Commands, jobs and tests have the one that
    was current when their application context first asked; without a context it is the
    current one.
    """
    snapshot = PIN.get()
    if snapshot is not None and snapshot.site is site:
        return snapshot
    if (context := REQUEST_CONTEXT.get(None)) is not None:
        found: Snapshot | None = context.request.environ.get(ENVIRON_KEY)
        if found is not None and found.site is site:
            return found
    if (outside := APP_CONTEXT.get(None)) is not None and outside.app is site.app and site.settled:
        if (kept := vars(outside).get(ENVIRON_KEY)) is not None:
            return cast("Snapshot", kept)
        site.follow_outside()
        return cast("Snapshot", vars(outside).setdefault(ENVIRON_KEY, site.current))
    current: Snapshot = site.current
    return current


class _Draft:
    """A snapshot in the making.

    Each change of a plugin builds one anew, between two requests: so there is one plain loop
    for each kind of contribution.
    """

    def __init__(self, reserved: Mapping[Claim, str]) -> None:
        self.owners: dict[Claim, str] = {}
        self.reserved = reserved
        self.conflicts: list[Conflict] = []
        self.refused: set[tuple[str, str]] = set()
        self.tables: dict[str, dict[str, Any]] = {kind: {} for kind in TABLE_KINDS}
        self.hooks: dict[tuple[str, str | None], list[Hook]] = {}
        self.parts: dict[str, list[TemplatePart]] = {}
        self.errors: dict[tuple[str | None, int | None], dict[type[Exception], Any]] = {}
        self.routes: list[Route] = []
        self.receivers: list[SignalReceiver] = []

    def add_all(self, items: Iterable[Contribution]) -> None:
        """Take `items` in, in plugin order, or note the conflicts that refuse some of them.

        Blueprints come first, each after its parent, whichever plugin that belongs to. Then all
        names: a rule whose endpoint is somebody else's must not reach it.
        """
        found: dict[type, list[Any]] = {kind: [] for kind in _CONTRIBUTIONS}
        for item in items:
            found[type(item)].append(item)
        named: list[Named] = found[Named]
        blueprints = [item for item in named if item.kind == "blueprint"]
        blueprints.sort(key=lambda item: item.name.count("."))
        self._add_named(blueprints)
        self._add_named([item for item in named if item.kind != "blueprint"])
        self._add_routes(self._kept(found[Route]))
        for hook in self._kept(found[Hook]):
            self.hooks.setdefault((hook.table, hook.scope), []).append(hook)
        for part in self._kept(found[TemplatePart]):
            self.parts.setdefault(part.slot, []).append(part)
        for handler in self._kept(found[ErrorHandler]):
            handlers = self.errors.setdefault((handler.scope, handler.code), {})
            handlers[handler.error] = handler.function
        self.receivers += self._kept(found[SignalReceiver])

    def _add_named(self, items: list[Named]) -> None:
        owners, reserved, tables = self.owners, self.reserved, self.tables
        for item in items:
            claim = (item.kind, item.name)
            is_free = claim not in owners and claim not in reserved
            is_free = is_free and not item.parent and not self.refused
            if is_free or self._may_have(item, claim):
                owners[claim] = item.owner
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

    def _add_routes(self, routes: list[Route]) -> None:
        owners, reserved = self.owners, self.reserved
        for route in routes:
            claims, owner = route.claims(), route.owner
            is_free = owners.keys().isdisjoint(claims) and reserved.keys().isdisjoint(claims)
            if not is_free and any(self._is_taken(route, claim) for claim in claims):
                continue
            # the view must be of its own plugin, and not another's
            view = ("endpoint", route.rule.endpoint)
            if view not in reserved and owners.get(view, owner) == owner:
                for claim in claims:
                    owners[claim] = owner
                self.routes.append(route)

    def _is_taken(self, item: Contribution, claim: Claim) -> bool:
        """Tell whether somebody else has this name, and note who."""
        winner = self.reserved.get(claim)
        # a plugin may be called as the application is
        if winner is None and (winner := self.owners.get(claim)) in {None, item.owner}:
            return False
        self._refuse(item, claim, winner or "")
        return True

    def _kept(self, items: list[Item]) -> list[Item]:
        """Return those that no refused blueprint takes along."""
        if not self.refused:
            return items
        return [item for item in items if not self._left_out_with_blueprint(item)]

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
    active = {row.name: row for row in rows if row.status is Status.ACTIVE}
    draft = _Draft(reserved)
    draft.add_all(item for row in active.values() for item in row.contributions)
    return Snapshot(
        site=site,
        generation=generation,
        plugins=rows,
        active=active,
        hooks={key: _chain(key, hooks) for key, hooks in draft.hooks.items()},
        slots={name: _slot(name, parts, sorting) for name, parts in draft.parts.items()},
        tables=draft.tables,
        rules=frozenset([route.rule.serial for route in draft.routes]),
        errors=draft.errors,
        receivers=tuple(draft.receivers),
        routes=tuple(draft.routes),
        owners=draft.owners,
        conflicts=tuple(draft.conflicts),
    )


def _chain(key: tuple[str, str | None], hooks: list[Hook]) -> Chain:
    """Return the hooks of one table as they are to be called.

    ``hep`` functions run in plugin order at every point, as 3.x does it. What plugins
    registered with Flask's own methods runs in Flask's order.
    """
    if key[0] in LAST_IN_FIRST_OUT:
        recorded = [hook for hook in reversed(hooks) if hook.recorded]
        hooks = recorded + [hook for hook in hooks if not hook.recorded]
    return Chain(tuple(hooks), tuple([(hook.function, hook.meter) for hook in hooks]))


def _slot(name: str, parts: list[TemplatePart], sorting: str) -> Slot:
    if sorting:
        parts = sort_parts(parts, attrgetter("order"), sorting == "desc")
    files = tuple([part for part in parts if part.is_file])
    codes = tuple([part for part in parts if not part.is_file])
    return Slot(name, tuple(parts) if sorting else files + codes, files, codes)
