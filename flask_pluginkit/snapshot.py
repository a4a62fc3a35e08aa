"""The immutable set of everything that is live at one moment, and the pin on it.

A request pins one snapshot and sees only that one, from its first hook to the last byte of its
response. `building.build` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from enum import StrEnum
from types import ModuleType
from typing import Any, Final, cast

from .bundles import EMPTY, Bundle, Slot
from .contexts import APP_CONTEXT, REQUEST_CONTEXT
from .discovery import Candidate
from .frozen import NO_ENTRIES, Frozen
from .manifest import Manifest
from .points import (
    Claim,
    Conflict,
    Contribution,
    Function,
    Hook,
    Route,
    SignalReceiver,
)
from .residents import Rows, Tally
from .state.base import WantedState

APPLICATION: Final = "the application"
"""Stands for the host, as the owner of a name."""

ENVIRON_KEY: Final = "pluginkit.snapshot"


class Status(StrEnum):
    """What became of a plugin in this process."""

    ACTIVE = "active"
    DISABLED = "disabled"
    FAILED = "failed"
    INCOMPATIBLE = "incompatible"
    MISSING = "missing"
    QUARANTINED = "quarantined"


class Plugin(Frozen, eq=False):
    """One plugin as this process knows it: a row of ``PluginManager.plugins``."""

    candidate: Candidate
    manifest: Manifest
    wanted: WantedState
    status: Status
    reason: str = ""
    """Why the status is what it is, in words that a person can act on."""
    traceback: str = ""
    """Of the exception that made the plugin fail to load, else empty."""
    is_broken: bool = False
    """Whether that lies with the plugin, and not with others that it needs."""
    resident: Any = None
    module: ModuleType | None = None
    shapes: Mapping[str, Any] = NO_ENTRIES
    """What ``register()`` returned, in normal form and after ``p3``."""
    guards: bool = False
    """Whether it has a hook that may protect pages of others: then these never go without it."""
    variant: tuple[str, ...] = ()
    """The plugins whose ``p3`` functions have reworked what this one registered."""
    recording: int = 0
    """The serial number of the recording that is live, 0 if none is."""
    bundle: Bundle = EMPTY
    """What it contributes."""
    conflicts: tuple[Conflict, ...] = ()
    isolation: str = "trusted"
    """Where it runs: ``trusted``, ``process`` or ``isolated``."""
    hosted: Any = None
    """What runs it in another process (`isolation.hosting.Loaded`), if that is so."""
    settings: Any = None
    """Its settings as they are in this snapshot (`settings.resolving.Resolved`), if it has any."""
    loaded_at: float = 0.0
    """Seconds since the epoch, 0 if the plugin isn't loaded."""
    load_seconds: float = 0.0
    """How long importing and registering took."""

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """What it contributes, one value each, in the order in which they came."""
        return self.bundle.all

    @property
    def confinement(self) -> str:
        """Where it runs, in words: ``isolated``, or ``process: not sandboxed``."""
        if self.isolation == "trusted":
            return "trusted"
        sandboxed = self.hosted is not None and self.hosted.remote.layers
        if self.isolation == "isolated" and (sandboxed or self.hosted is None):
            return "isolated"
        return f"{self.isolation}: not sandboxed"

    @property
    def is_personal(self) -> bool:
        """Whether it is told about users."""
        return self.hosted is not None and bool(self.hosted.remote.user_fields)

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


class Chain:
    """The hooks of one table and scope, in the order in which they are called."""

    __slots__ = ("hooks", "rows", "tally")

    def __init__(self, hooks: tuple[Hook, ...], rows: Rows) -> None:
        self.hooks = hooks
        self.rows = rows
        """Of each hook function and meter: all that a loop needs as long as nothing fails."""
        self.tally = Tally(rows)

    def __del__(self) -> None:
        self.tally.give()

    def hook(self, function: Function, meter: Any) -> Hook:
        """Return the hook of one row."""
        return next(h for h in self.hooks if h.function is function and h.meter is meter)


class Snapshot(Frozen, eq=False):
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
    is_personal: bool = False
    """Whether plugins are told about users: their pages are then theirs alone (`live.privacy`)."""
    closed: str = ""
    """Why pages of the application are shut, empty if they are open (`live.gate`)."""
    serial: int
    """Another one for each snapshot of this process, also where the generation is the same."""
    names: dict[Any, Any]
    """What names of templates were found to mean; at most `live.templates.NAMES_LIMIT`."""


TABLE_KINDS: Final = ("endpoint", "blueprint", "filter", "test", "global", "context", "command")

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
