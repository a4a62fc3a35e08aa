"""What is known of one plugin in this process: what was loaded for good, and the verdict on it.

Loading happens once; which plugins are active is decided anew at each change. So the two are
apart: a *fact* stays (the module, what ``register()`` returned, what was recorded, a fault of
the plugin itself), a *verdict* is begun afresh.
"""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from .discovery import Candidate, Origin
from .exceptions import (
    ConflictError,
    LoadError,
    ManifestError,
    PEPError,
    PluginError,
    Problem,
    ProblemsError,
)
from .kinds import EMPTY
from .manifest import Manifest, read_manifest
from .names import PluginName
from .points import Contribution, may_guard
from .residents import Resident
from .snapshot import Plugin, Status
from .state.base import Quarantine, WantedState
from .text import clean, describe
from .version import __version__

REASON_LENGTH = 1000
"""Characters of a reason; the traceback has all of it."""

Variant = tuple[str, ...]
"""The plugins whose ``p3`` functions have reworked what a plugin registered, in their order."""


@dataclass(frozen=True, slots=True)
class Fault:
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
        self.variants: dict[Variant, dict[str, Any]] = {}
        """What ``register()`` returned, in normal form and as ``p3`` functions reworked it."""
        self.recorded: dict[Variant, tuple[Contribution, ...]] = {}
        """What each variant registered on the application."""
        self.dropped: set[Variant] = set()
        """What was recorded, and is to be recorded once more."""
        self.ready: tuple[Contribution, ...] | None = None
        """What ``on_app_ready`` registered, None before it was called."""
        self.own_fault: Fault | None = None
        """The plugin's own, which stays until it is loaded anew."""
        self.loaded_at = 0.0
        self.seconds = 0.0
        self._row: Plugin | None = None
        self._is_changed = False
        self.begin()

    def begin(self) -> None:
        """Forget the verdict."""
        self.wanted = WantedState.ENABLED
        self.has_marker = False
        self.fault: Fault | None = None
        self.variant: Variant = ()
        self._quarantine: Quarantine | None = None

    def reload(self) -> None:
        """Forget a fault, so that what failed is tried once more."""
        self.own_fault = None
        self.variants.clear()
        self.dropped |= self.recorded.keys()
        self.recorded.clear()

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
    def is_registered(self) -> bool:
        """Whether ``register()`` has given what the plugin adds."""
        return () in self.variants

    @property
    def shapes(self) -> dict[str, Any]:
        """What the plugin adds, in the present variant."""
        return self.variants.get(self.variant) or NOTHING

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """What was recorded of the present variant."""
        return (*self.recorded.get(self.variant, ()), *(self.ready or ()))

    def record(
        self, contributions: tuple[Contribution, ...], variant: Variant | None = None
    ) -> None:
        """Keep what was recorded of a variant, by default the present one."""
        self.recorded[self.variant if variant is None else variant] = contributions
        self._is_changed = True

    @property
    def guards(self) -> bool:
        """Whether the plugin may protect pages that aren't its own, as far as is known."""
        if self.manifest.optional:
            return False
        if self.recorded:
            return may_guard(self.contributions or next(iter(self.recorded.values())))
        return self._quarantine is not None and self._quarantine.guards

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
        if (
            row is not None
            and not self._is_changed
            and (row.status, row.reason, row.wanted) == (self.status, self.reason, self.wanted)
            and row.variant == self.variant
            and row.manifest is self.manifest
            and row.resident is self.resident
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
            resident=self.resident,
            module=self.module,
            shapes=self.shapes,
            guards=self.guards,
            variant=self.variant,
            contributions=self.contributions if self.is_active else (),
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


# ---- errors ----------------------------------------------------------------------------------


def describe_error(error: BaseException) -> str:
    """Return the text of an exception of somebody else's, fit for one line of a log."""
    try:
        return clean(str(error), 300) or "no message"
    except Exception:  # noqa: BLE001 - its own __str__ may fail
        return "no readable message"


def not_imported(loading: Loading, error: BaseException) -> LoadError:
    """Return what to tell of a plugin whose module can't be imported."""
    problem = Problem(
        where=str(loading.candidate.folder),
        what=f"import of {loading.candidate.module}",
        found=f"{type(error).__name__}: {describe_error(error)}",
        expected="a module that can be imported",
        advice="see the traceback",
    )
    wrapped = LoadError(problem)
    wrapped.__cause__ = error
    return wrapped


def in_register(loading: Loading, error: BaseException) -> PluginError:
    """Return the error of ``register()`` as one of ours, with the plugin's own as its cause."""
    if isinstance(error, PluginError):
        return error
    wrapped = PEPError(
        f"{loading.name}: register() raised {type(error).__name__}: {describe_error(error)}"
    )
    wrapped.__cause__ = error
    return wrapped


def other_type(author: Loading, target: Loading, kind: str, after: object) -> PEPError:
    """Return what to tell of a ``p3`` function that returned another type than it was given."""
    return PEPError(
        f"plugin {author.name!r}: p3[{target.name!r}][{kind!r}] returned {describe(after)}, "
        f"expected a {type(target.shapes[kind]).__name__} as it was given"
    )


def equal_names(winner: Loading, loser: Loading) -> ConflictError:
    """Return what to tell of a plugin whose name another one has."""
    return ConflictError(
        Problem(
            where=str(loser.candidate.folder),
            what="__plugin_name__",
            found=f"{loser.name!r}, the name of the plugin in {winner.candidate.folder} too",
            expected="a name that no other plugin has",
            advice="rename or remove one of the two",
        )
    )


def wrong_version(manifest: Manifest) -> ProblemsError:
    """Return what to tell of a plugin made for other versions of Flask-PluginKit."""
    return ManifestError(
        Problem(
            where=f"{manifest.package}/__init__.py",
            what="__appversion__",
            found=manifest.appversion,
            expected=f"a range that has Flask-PluginKit {__version__}",
            advice="install a version of the plugin made for this one",
        )
    )
