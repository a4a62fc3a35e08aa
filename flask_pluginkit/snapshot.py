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
from types import ModuleType
from typing import Any, Final, cast

from flask.globals import _cv_app, _cv_request

from .discovery import Candidate
from .manifest import Manifest
from .ordering import sort_parts
from .points import (
    Claim,
    Conflict,
    Contribution,
    ErrorHandler,
    Hook,
    Named,
    Route,
    SignalReceiver,
    TemplatePart,
)
from .state.base import WantedState

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
class Snapshot:
    """Everything that is live at one moment."""

    site: object
    """The application's side of it (`application.Site`): nested applications have others."""
    generation: int
    plugins: tuple[Plugin, ...]
    """Every plugin that was found, whatever its status, in plugin order."""
    active: Mapping[str, Plugin]
    hooks: Mapping[tuple[str, str | None], tuple[Any, ...]]
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
    context_processors: tuple[Any, ...]
    memo: dict[Any, Any] = field(default_factory=dict)
    """Compiled parts of slots: what they depend on can't change in a snapshot."""
    names: dict[Any, Any] = field(default_factory=dict)
    """What names of templates were found to mean; at most `live.templates.NAMES_LIMIT`."""


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
    if (context := _cv_request.get(None)) is not None:
        found: Snapshot | None = context.request.environ.get(ENVIRON_KEY)
        if found is not None and found.site is site:
            return found
    current: Snapshot = site.current
    if (outside := _cv_app.get(None)) is not None and outside.app is site.app and site.settled:
        return cast("Snapshot", vars(outside).setdefault(ENVIRON_KEY, current))
    return current


class _Draft:
    """A snapshot in the making."""

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

    def owner(self, claim: Claim) -> str | None:
        return self.reserved.get(claim) or self.owners.get(claim)

    def add(self, item: Contribution) -> None:
        """Take `item` in, or note the conflict that refuses it."""
        if self._left_out_with_blueprint(item):
            return
        claims = tuple(item.claims())
        for claim in claims:
            winner = self.owner(claim)
            # a plugin may be called as the application is
            if winner is not None and (winner != item.owner or claim in self.reserved):
                self._refuse(item, claim, winner)
                return
        if isinstance(item, Route) and not self._has_view(item):
            return
        if isinstance(item, Named) and item.parent and not self.owner(("blueprint", item.parent)):
            self._refuse(item, ("blueprint", item.name), "", f"no blueprint {item.parent!r} here")
            return
        for claim in claims:
            self.owners[claim] = item.owner
        self._take(item)

    def _take(self, item: Contribution) -> None:
        match item:
            case Named():
                self.tables[item.kind][item.name] = item.value
            case Hook():
                self.hooks.setdefault((item.table, item.scope), []).append(item)
            case TemplatePart():
                self.parts.setdefault(item.slot, []).append(item)
            case ErrorHandler():
                self.errors.setdefault((item.scope, item.code), {})[item.error] = item.function
            case Route():
                self.routes.append(item)
            case SignalReceiver():
                self.receivers.append(item)

    def _left_out_with_blueprint(self, item: Contribution) -> bool:
        name = item.blueprint
        while name:
            if (item.owner, name) in self.refused:
                return True
            name = name.rpartition(".")[0]
        return False

    def _has_view(self, route: Route) -> bool:
        """Tell whether the rule leads to a view of its own plugin, and not to another's."""
        claim = ("endpoint", route.rule.endpoint)
        return claim not in self.reserved and self.owners.get(claim, route.owner) == route.owner

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
    items = [item for row in active.values() for item in row.contributions]
    for item in sorted(items, key=_precedence):
        draft.add(item)
    hooks = {key: _in_flask_order(key, found) for key, found in draft.hooks.items()}
    return Snapshot(
        site=site,
        generation=generation,
        plugins=rows,
        active=active,
        hooks=hooks,
        slots={name: _slot(name, parts, sorting) for name, parts in draft.parts.items()},
        tables=draft.tables,
        rules=frozenset(route.rule.serial for route in draft.routes),
        errors=draft.errors,
        receivers=tuple(draft.receivers),
        routes=tuple(draft.routes),
        owners=draft.owners,
        conflicts=tuple(draft.conflicts),
        context_processors=hooks.get(("template_context_processors", None), ()),
    )


def _precedence(item: Contribution) -> int:
    """Return when `item` is taken in; equal ones keep plugin order.

    Blueprints come first, each after its parent, whichever plugin that belongs to. Then all
    names: a rule whose endpoint is somebody else's must not reach it.
    """
    if not isinstance(item, Named):
        return 1
    return item.name.count(".") - _DEEP if item.kind == "blueprint" else 0


_DEEP: Final = 1000
"""More levels than blueprints can be nested."""


def _in_flask_order(key: tuple[str, str | None], hooks: list[Hook]) -> tuple[Any, ...]:
    """Return the functions as they are to be called.

    ``hep`` functions run in plugin order at every point, as 3.x does it. What plugins
    registered with Flask's own methods runs in Flask's order.
    """
    if key[0] not in LAST_IN_FIRST_OUT:
        return tuple(hook.function for hook in hooks)
    recorded = [hook.function for hook in reversed(hooks) if hook.recorded]
    return (*recorded, *(hook.function for hook in hooks if not hook.recorded))


def _slot(name: str, parts: list[TemplatePart], sorting: str) -> Slot:
    files = tuple(part for part in parts if part.is_file)
    codes = tuple(part for part in parts if not part.is_file)
    if not sorting:
        return Slot(name, files + codes, files, codes)
    ordered = tuple(sort_parts(parts, lambda part: part.order, sorting == "desc"))
    return Slot(
        name,
        ordered,
        tuple(part for part in ordered if part.is_file),
        tuple(part for part in ordered if not part.is_file),
    )
