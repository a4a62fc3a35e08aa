"""What is known of one plugin in this process: what was loaded for good, and the verdict on it.

Loading happens once; which plugins are active is decided anew at each change. So the two are
apart: a *fact* stays (the module, what ``register()`` returned, what was recorded, a fault of
the plugin itself), a *verdict* is begun afresh.
"""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from .bundles import EMPTY as NO_BUNDLE
from .bundles import bundle
from .discovery import Candidate, Origin
from .exceptions import (
    LoadError,
    ManifestError,
    PluginError,
    Problem,
    SettingError,
)
from .frozen import Frozen, replace
from .isolation.levels import Isolation
from .kinds import EMPTY
from .manifest import Manifest, read_manifest
from .names import PluginName
from .points import Contribution, may_guard
from .residents import Resident
from .snapshot import Plugin, Status
from .state.base import Quarantine, WantedState
from .text import clean

if TYPE_CHECKING:
    from .isolation.hosting import Loaded
    from .settings.resolving import Configurable, Resolved

REASON_LENGTH = 1000
"""Characters of a reason; the traceback has all of it."""

Variant = tuple[str, ...]
"""The plugins whose ``p3`` functions have reworked what a plugin registered, in their order."""

Edition = tuple[Variant, tuple[object, ...]]
"""A variant, and where the blueprints were that it was recorded on (`live.mounts.Mount`).

None stands for one that wasn't there, and may be the application's.
"""


_STAY: Final = frozenset({Status.DISABLED, Status.QUARANTINED, Status.MISSING})
"""What is so as long as the state says so."""


class Recorded(Frozen, kw_only=False):
    """What one edition of a plugin registered on the application."""

    serial: int
    """Of the recording (`live.recording.Recording`)."""
    contributions: tuple[Contribution, ...]


class Fault(Frozen, kw_only=False):
    """Why a plugin can't be active."""

    status: Status
    reason: str
    traceback: str = ""
    error: Exception | None = None


def fault_of(status: Status, error: BaseException) -> Fault:
    """Return `error` as the reason of a status."""
    cause = error.__cause__ or error
    lines = str(error).splitlines() or [type(error).__name__]
    told = ""
    if cause.__traceback__ is not None:
        told = "".join(traceback.format_exception(cause))
    return Fault(
        status=status,
        reason=clean(" | ".join(lines), REASON_LENGTH),
        traceback=told,
        error=error if isinstance(error, Exception) else None,
    )


class Loading:
    """One plugin in this process; `finish` gives the frozen value."""

    def __init__(self, candidate: Candidate, manifest: Manifest) -> None:
        self.candidate = candidate
        self.manifest = manifest
        self.resident: Resident | None = None
        self.module: ModuleType | None = None
        self.level = Isolation.TRUSTED
        """Where it is to run."""
        self.hosted: Loaded | None = None
        """What runs it elsewhere, if it isn't trusted."""
        self.configurable: Configurable | None = None
        """What it declares as its settings, if it has any and is loaded."""
        self.settings: Resolved | None = None
        """What counts of them under the present state."""
        self.is_asked = False
        """Whether it was asked about the values that it began with."""
        self.is_retried = False
        """Whether somebody asked for it again after it had failed."""
        self.variants: dict[Variant, dict[str, Any]] = {}
        """What ``register()`` returned, in normal form and as ``p3`` functions reworked it."""
        self.recorded: dict[Edition, Recorded] = {}
        """What each edition registered on the application."""
        self.dropped: set[int] = set()
        """The serial numbers of what was recorded, and is to be recorded once more."""
        self.ready: tuple[Contribution, ...] | None = None
        """What ``on_app_ready`` registered, None before it was called."""
        self.own_fault: Fault | None = None
        """The plugin's own, which stays until it is loaded anew."""
        self._broken: dict[Edition, tuple[frozenset[str], Fault]] = {}
        """Why editions couldn't be recorded, and among which others: it may be due to them."""
        self._faults_at: dict[tuple[str, Variant], tuple[dict[str, Any], Fault]] = {}
        """Why its ``p3`` functions can't rework what others registered."""
        self.stopped: Fault | None = None
        """Why it is out until this change is decided on."""
        self.loaded_at = 0.0
        self.seconds = 0.0
        self._row: Plugin | None = None
        self._is_changed = False
        self._is_told = False
        """Whether `_row` tells of this very verdict, which is closed."""
        self.begin()

    def begin(self) -> None:
        """Forget the verdict."""
        self._reopen()
        self.wanted = WantedState.ENABLED
        self.has_marker = False
        self.fault: Fault | None = None
        self.variant: Variant = ()
        self.places: tuple[object, ...] = ()
        """Where the blueprints are that it needs of others; see `Edition`."""
        self._quarantine: Quarantine | None = None

    def _reopen(self) -> None:
        self.is_open = True
        """Whether another decision may come to something else, though the state is the same."""
        self._is_told = False

    def close(self) -> None:
        """Keep the verdict as it is until something happens to the plugin, if it can be kept.

        What is due to others, or to the moment, is looked at again at each change.
        """
        self._is_told = False
        if self.fault is None:
            self.is_open = self.edition not in self.recorded or self.stopped is not None
        else:
            stays = self.fault is self.own_fault or self.fault.status in _STAY
            self.is_open = not stays or self.stopped is not None

    @property
    def has_failed(self) -> bool:
        """Whether a fault of the plugin is known, be it of this verdict or of others."""
        return bool(self.own_fault or self._broken or self._faults_at)

    def retry(self) -> None:
        """Forget faults, so that what failed is tried once more."""
        self._reopen()
        self._faults_at.clear()
        is_to_register = bool(self.own_fault or self._broken) and not self.is_active
        self.is_retried = True
        self.own_fault = None
        self._broken.clear()
        if is_to_register:
            self.unregister()

    def unregister(self) -> None:
        """Forget what ``register()`` returned, so that the plugin is asked again."""
        self._reopen()
        self.variants.clear()
        self.configurable = self.settings = None
        self.is_asked = False
        self.dropped |= {recorded.serial for recorded in self.recorded.values()}
        self.recorded.clear()

    def move(self, level: Isolation) -> None:
        """Note where the plugin is to run: elsewhere it is loaded anew."""
        if level is self.level:
            return
        self.level = level
        self.module = self.resident = self.hosted = self.ready = None
        self.own_fault = None
        self._broken.clear()
        self.unregister()

    def note_broken(self, others: frozenset[str]) -> None:
        """Keep why this edition can't be recorded among `others`, the plugins that are there."""
        if self.fault is not None:
            self.stopped = self.fault
            self._broken[self.edition] = (others, self.fault)

    def known_fault(self, others: frozenset[str]) -> Fault | None:
        """Return why this edition couldn't be recorded among the same others."""
        found = self._broken.get(self.edition) if self._broken else None
        if found is None or found[0] != others:
            return None
        self.stopped = found[1]
        return self.stopped

    def note_fault_at(self, target: Loading, before: Variant, fault: Fault) -> None:
        """Keep why the ``p3`` functions failed at the variant `before` of `target`."""
        self._faults_at[target.name, before] = (target.variants[()], fault)

    def fault_at(self, target: Loading, before: Variant) -> Fault | None:
        """Return why the ``p3`` functions failed at that, None if they didn't."""
        shapes, fault = self._faults_at.get((target.name, before), ({}, None))
        # it may have registered something else since
        return fault if shapes is target.variants[()] else None

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.manifest.name

    @property
    def is_active(self) -> bool:
        """Whether nothing has stopped this plugin so far."""
        return self.fault is None

    @property
    def status(self) -> Status:
        """The verdict so far."""
        return Status.ACTIVE if self.fault is None else self.fault.status

    @property
    def reason(self) -> str:
        """Why the status is what it is, in words; empty for an active plugin."""
        return "" if self.fault is None else self.fault.reason

    @property
    def error(self) -> Exception | None:
        """What was raised, if anything was."""
        return None if self.fault is None else self.fault.error

    @property
    def is_broken(self) -> bool:
        """Whether the plugin can't be active, and that isn't due to other plugins."""
        if self.fault is None:
            return False
        if isinstance(self.fault.error, SettingError):
            return True
        return self.own_fault is not None or self.level is not Isolation.TRUSTED

    @property
    def is_registered(self) -> bool:
        """Whether ``register()`` has given what the plugin adds."""
        return () in self.variants

    @property
    def shapes(self) -> dict[str, Any]:
        """What the plugin adds, in the present variant."""
        return self.variants.get(self.variant) or NOTHING

    @property
    def edition(self) -> Edition:
        """What is to be recorded of the plugin under the present verdict."""
        return self.variant, self.places

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """What was recorded of the present edition."""
        recorded = self.recorded.get(self.edition)
        return (*(recorded.contributions if recorded else ()), *(self.ready or ()))

    def record(self, serial: int, contributions: tuple[Contribution, ...]) -> None:
        """Keep what was recorded of the present edition."""
        self._reopen()
        self.recorded[self.edition] = Recorded(serial, contributions)
        self._broken.pop(self.edition, None)
        self._is_changed = True

    def forget(self, serial: int) -> None:
        """Forget one recording."""
        self._reopen()
        found = {edition: each for edition, each in self.recorded.items() if each.serial != serial}
        self.recorded = found
        self._is_changed = True

    @property
    def guards(self) -> bool:
        """Whether the plugin may protect pages that aren't its own, as far as is known."""
        if self.manifest.optional:
            return False
        if self._quarantine is not None and self._quarantine.guards:
            return True
        # what is out has no edition, and may come back as any of those that are known
        known = [self.recorded[self.edition]] if self.edition in self.recorded else []
        return any(
            may_guard((*each.contributions, *(self.ready or ())))
            for each in known or self.recorded.values()
        )

    def disable(self, reason: str) -> None:
        """Note that this plugin isn't wanted."""
        self.wanted = WantedState.DISABLED
        self.fault = Fault(Status.DISABLED, reason)

    def quarantine(self, found: Quarantine) -> None:
        """Note that this plugin failed too often."""
        self._quarantine = found
        self.fault = Fault(Status.QUARANTINED, found.reason, found.traceback)

    def problem(self) -> PluginError | None:
        """Return what makes the plugin unusable before anything of it is imported."""
        if self.candidate.problem is not None:
            return LoadError(self.candidate.problem)
        if self.manifest.problems:
            return ManifestError(self.manifest.problems)
        return None

    def finish(self) -> Plugin:
        """Return what became of the plugin; the same value as before if that is the same."""
        row = self._row
        if self._is_told and row is not None:
            return row
        self._is_told = not self.is_open
        recorded = self.recorded.get(self.edition)
        recording = recorded.serial if recorded else 0
        if (
            row is not None
            and not self._is_changed
            and (row.status, row.reason, row.wanted) == (self.status, self.reason, self.wanted)
            and row.variant == self.variant
            and row.recording == recording
            and row.manifest is self.manifest
            and row.resident is self.resident
            and row.hosted is self.hosted
            and row.settings is self.settings
            and row.isolation == self.level.value
            and row.is_broken == self.is_broken
        ):
            return row
        self._is_changed = False
        if self.is_active and not self.loaded_at:
            self.loaded_at = time.time()
        self._row = Plugin(
            candidate=self.candidate,
            manifest=self.manifest,
            wanted=self.wanted,
            status=self.status,
            reason=self.reason,
            traceback="" if self.fault is None else self.fault.traceback,
            is_broken=self.is_broken,
            resident=self.resident,
            module=self.module,
            shapes=self.shapes,
            guards=self.guards,
            variant=self.variant,
            recording=recording,
            bundle=bundle(self.contributions) if self.is_active else NO_BUNDLE,
            conflicts=self.hosted.conflicts if self.hosted and self.is_active else (),
            isolation=self.level.value,
            hosted=self.hosted,
            settings=self.settings,
            loaded_at=self.loaded_at,
            load_seconds=self.seconds,
        )
        return self._row

    def is_news(self) -> bool:
        """Tell whether the verdict isn't the one of the last `finish`."""
        row = self._row
        return row is None or (row.status, row.reason) != (self.status, self.reason)


def lost(name: str) -> Loading:
    """Return what stands for a plugin that was asked for and can't be found."""
    nowhere = Path(os.devnull)
    problem = Problem(
        where=name,
        what="the plugin",
        found="no such plugin",
        expected="one of this name where plugins are looked for",
        advice="install it again, or disable it",
    )
    candidate = Candidate(
        package=name, module=name, folder=nowhere, origin=Origin.FOLDER, problem=problem
    )
    loading = Loading(candidate, read_manifest(nowhere, name))
    loading.manifest = replace(loading.manifest, name=PluginName(name), problems=())
    loading.fault = Fault(Status.MISSING, str(problem))
    return loading


NOTHING: dict[str, Any] = {kind: make() for kind, make in EMPTY.items()}
"""The shapes of a plugin whose ``register()`` wasn't called."""
