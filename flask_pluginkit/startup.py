"""From candidates to loaded plugins: manifests, requirements, import, ``register()``, ``p3``.

Nothing in here touches the application. Each plugin ends with a status and, unless it is
active or disabled, a reason; one that fails takes along those that require it, and nobody
else.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from types import ModuleType
from typing import Any

from . import requirements
from .barrier import Home, Resident
from .discovery import Candidate
from .exceptions import (
    ConflictError,
    LoadError,
    ManifestError,
    PEPError,
    PluginError,
    Problem,
    ProblemsError,
    RequirementError,
)
from .kinds import EMPTY, normalise, recheck
from .loading import announce, load, registered
from .manifest import Manifest, complete, read_manifest
from .snapshot import Plugin, Status
from .state.base import StateStore, WantedState
from .text import clean, describe
from .version import __version__
from .versions import is_compatible_with_us

REASON_LENGTH = 1000
"""Characters of a reason; the traceback has all of it."""


class Loading:
    """One plugin while it is being loaded; `finish` gives the frozen value."""

    def __init__(self, candidate: Candidate, manifest: Manifest) -> None:
        self.candidate = candidate
        self.manifest = manifest
        self.wanted = WantedState.ENABLED
        self.has_marker = False
        self.status = Status.ACTIVE
        self.reason = ""
        self.traceback = ""
        self.error: Exception | None = None
        self.resident: Resident | None = None
        self.module: ModuleType | None = None
        self.shapes: dict[str, Any] = {kind: make() for kind, make in EMPTY.items()}
        self.contributions: tuple[Any, ...] = ()
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.manifest.name

    @property
    def is_active(self) -> bool:
        """Whether nothing has stopped this plugin so far."""
        return self.status is Status.ACTIVE

    def disable(self, reason: str) -> None:
        """Note that this plugin isn't wanted."""
        self.wanted = WantedState.DISABLED
        self.status = Status.DISABLED
        self.reason = reason

    def problem(self) -> PluginError | None:
        """Return what makes the plugin unusable before anything of it is imported."""
        if self.candidate.problem is not None:
            return LoadError(self.candidate.problem)
        if self.manifest.problems:
            return ManifestError(self.manifest.problems)
        return None

    def fail(self, status: Status, error: BaseException) -> None:
        """Note why this plugin isn't going to be active."""
        self.status = status
        cause = error.__cause__ or error
        lines = str(error).splitlines() or [type(error).__name__]
        self.reason = clean(" | ".join(lines), REASON_LENGTH)
        self.error = error if isinstance(error, Exception) else None
        if cause.__traceback__ is not None:
            self.traceback = "".join(traceback.format_exception(cause))

    def finish(self) -> Plugin:
        """Return what became of the plugin."""
        return Plugin(
            candidate=self.candidate,
            manifest=self.manifest,
            wanted=self.wanted,
            status=self.status,
            reason=self.reason,
            traceback=self.traceback,
            resident=self.resident,
            module=self.module,
            shapes=self.shapes,
            contributions=self.contributions if self.is_active else (),
            loaded_at=time.time() if self.is_active else 0.0,
            load_seconds=self.seconds,
        )


class Startup:
    """Loads the plugins of one application, step by step."""

    def __init__(self, home: Home, store: StateStore, report: Callable[[Loading], None]) -> None:
        self.home = home
        self.store = store
        self.report = report
        self.loadings: list[Loading] = []

    def run(self, candidates: Iterable[Candidate]) -> list[Loading]:
        """Load every plugin of `candidates` and return them in plugin order.

        `report` is called for each plugin that can't be active; it raises in strict mode.
        """
        candidates = tuple(candidates)
        # whose a module name is gets decided here, before any plugin imports another
        announce(candidates)
        self.loadings = [self._open(candidate) for candidate in candidates]
        self._refuse_equal_names()
        for loading in self.loadings:
            if loading.is_active:
                self._read_state(loading)
        self._put_in_order()
        for loading in self.loadings:
            if loading.is_active:
                self._load(loading)
        self._preprocess()
        return self.loadings

    def _open(self, candidate: Candidate) -> Loading:
        manifest = read_manifest(
            candidate.folder, candidate.package, _distribution(candidate.distribution)
        )
        loading = Loading(candidate, manifest)
        for warning in manifest.warnings:
            self.home.logger.warning("plugin %r: %s", manifest.name, warning)
        return loading

    def fail(self, loading: Loading, status: Status, error: BaseException) -> None:
        """Stop one plugin, and tell."""
        loading.fail(status, error)
        self.report(loading)

    def _refuse_equal_names(self) -> None:
        """The first by precedence keeps the name; one that can't be loaded has no say."""
        first: dict[str, Loading] = {}
        for loading in self.loadings:
            if loading.problem() is not None:
                continue
            winner = first.setdefault(loading.name, loading)
            if winner is not loading:
                self.fail(loading, Status.FAILED, _equal_names(winner, loading))

    def _read_state(self, loading: Loading) -> None:
        """Find out what is wanted, importing the plugin only where nothing else can tell.

        A broken plugin that is disabled is just disabled: disabling is how one gets rid of it.
        """
        try:
            wanted = self.store.read(loading.name, loading.candidate.folder)
            if loading.problem() is not None:
                pass
            elif wanted is None and "__state__" in loading.manifest.computed:
                if not self._import(loading):
                    return
            elif (
                wanted is not WantedState.DISABLED
                and "__plugin_name__" in loading.manifest.computed
            ):
                if not self._import(loading):
                    return
                wanted = self.store.read(loading.name, loading.candidate.folder)
        except PluginError as error:
            self.fail(loading, Status.FAILED, error)
            return
        loading.has_marker = wanted is not None
        loading.wanted = wanted or loading.manifest.state or WantedState.ENABLED
        if loading.wanted is WantedState.DISABLED:
            loading.disable("disabled by a marker" if wanted else "disabled by its __state__")
        elif (problem := loading.problem()) is not None:
            self.fail(loading, Status.FAILED, problem)
        elif not is_compatible_with_us(loading.manifest.appversion):
            self.fail(loading, Status.INCOMPATIBLE, _wrong_version(loading.manifest))

    def _put_in_order(self) -> None:
        """Sort the plugins, and refuse those whose requirements aren't met."""
        named = {loading.name: loading for loading in reversed(self.loadings)}
        named |= {loading.name: loading for loading in self.loadings if loading.is_active}
        names, cycles = requirements.order({n: found.manifest for n, found in named.items()})
        place = {name: index for index, name in enumerate(names)}
        self.loadings.sort(key=lambda loading: place[loading.name])
        for loading in self.loadings:
            if loading.is_active and loading.name in cycles:
                refusal = requirements.cycle_refusal(loading.manifest, cycles[loading.name])
                self.fail(loading, refusal.status, RequirementError(refusal.problem))
        self.refuse_dependants()

    def refuse_dependants(self) -> None:
        """Stop each plugin that requires one which isn't active."""
        for loading in self.loadings:
            if loading.is_active and (refusal := self._refusal(loading)) is not None:
                self.fail(loading, refusal.status, RequirementError(refusal.problem))

    def _refusal(self, loading: Loading) -> requirements.Refusal | None:
        if not loading.manifest.requires:
            return None
        wanted = {required.plugin for required in loading.manifest.requires}
        # of several with one name the active one counts
        found = {o.name: o for o in self.loadings if o.name in wanted}
        found |= {o.name: o for o in self.loadings if o.name in wanted and o.is_active}
        versions = {name: other.manifest.version for name, other in found.items()}
        stopped = {n: (o.status, o.reason) for n, o in found.items() if not o.is_active}
        return requirements.refusal(loading.manifest, versions, stopped)

    def _import(self, loading: Loading) -> bool:
        """Import the plugin's module and complete its manifest; False if that stopped it."""
        started = time.perf_counter()
        resident = Resident(self.home, loading.name, loading.candidate.folder)
        try:
            with resident.running():
                loading.module = load(loading.candidate)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - plugins raise anything, SystemExit too
            self.fail(loading, Status.FAILED, _not_imported(loading, error))
            return False
        finally:
            loading.seconds += time.perf_counter() - started
        loading.manifest = complete(loading.manifest, loading.module)
        if loading.manifest.problems:
            self.fail(loading, Status.FAILED, ManifestError(loading.manifest.problems))
            return False
        resident.name = loading.name
        resident.module = loading.module.__name__
        resident.optional = loading.manifest.optional
        loading.resident = resident
        return True

    def _load(self, loading: Loading) -> None:
        """Import one plugin and call its ``register()``."""
        refusal = self._refusal(loading)
        if refusal is not None:
            self.fail(loading, refusal.status, RequirementError(refusal.problem))
            return
        if loading.module is None and not self._import(loading):
            return
        if not loading.has_marker and loading.manifest.state is WantedState.DISABLED:
            # only the import could tell: it came with a star import, for example
            loading.disable("disabled by its __state__")
            return
        if not is_compatible_with_us(loading.manifest.appversion):
            self.fail(loading, Status.INCOMPATIBLE, _wrong_version(loading.manifest))
            return
        started = time.perf_counter()
        try:
            assert loading.resident is not None
            assert loading.module is not None
            with loading.resident.running():
                value = registered(loading.module)
            loading.shapes = normalise(loading.name, loading.candidate.folder, value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - likewise
            self.fail(loading, Status.FAILED, _in_register(loading, error))
        finally:
            loading.seconds += time.perf_counter() - started

    def _preprocess(self) -> None:
        """Let each plugin's ``p3`` functions rework what others registered."""
        active = {loading.name: loading for loading in self.loadings if loading.is_active}
        for loading in active.values():
            for target, functions in loading.shapes["p3"].items():
                if target not in active:
                    continue
                for kind, function in functions.items():
                    self._preprocess_one(loading, active[target], kind, function)
        self.refuse_dependants()

    def _preprocess_one(
        self, author: Loading, target: Loading, kind: str, function: Callable[[Any], Any]
    ) -> None:
        """Apply one function; it works on a copy, so a failing one changes nothing."""
        before = target.shapes[kind]
        try:
            assert author.resident is not None
            with author.resident.running():
                after = function(_copy(kind, before))
            if type(after) is not type(before):
                raise _other_type(author, target, kind, after)  # noqa: TRY301 - as a fault of it
            target.shapes = {
                **target.shapes,
                kind: recheck(author.name, target.candidate.folder, kind, after),
            }
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - likewise
            if author.is_active:
                self.fail(author, Status.FAILED, _in_register(author, error))


def _copy(kind: str, shape: Any) -> Any:
    """Copy a normal form down to where plugins' own values begin."""
    match kind:
        case "tep":
            return {slot: dict(part) for slot, part in shape.items()}
        case "vep":
            return [(*row[:3], dict(row[3]), row[4]) for row in shape]
        case "cvep":
            return [(row[0], dict(row[1])) for row in shape]
    return shape.copy()


def _distribution(name: str | None) -> Distribution | None:
    if name is not None:
        with suppress(PackageNotFoundError):
            return distribution(name)
    return None


def _not_imported(loading: Loading, error: BaseException) -> LoadError:
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


def _in_register(loading: Loading, error: BaseException) -> PluginError:
    """Return the error of ``register()`` as one of ours, with the plugin's own as its cause."""
    if isinstance(error, PluginError):
        return error
    wrapped = PEPError(
        f"{loading.name}: register() raised {type(error).__name__}: {describe_error(error)}"
    )
    wrapped.__cause__ = error
    return wrapped


def describe_error(error: BaseException) -> str:
    """Return the text of an exception of somebody else's, fit for one line of a log."""
    try:
        return clean(str(error), 300) or "no message"
    except Exception:  # noqa: BLE001 - its own __str__ may fail
        return "no readable message"


def _other_type(author: Loading, target: Loading, kind: str, after: object) -> PEPError:
    return PEPError(
        f"plugin {author.name!r}: p3[{target.name!r}][{kind!r}] returned {describe(after)}, "
        f"expected a {type(target.shapes[kind]).__name__} as it was given"
    )


def _equal_names(winner: Loading, loser: Loading) -> ConflictError:
    return ConflictError(
        Problem(
            where=str(loser.candidate.folder),
            what="__plugin_name__",
            found=f"{loser.name!r}, the name of the plugin in {winner.candidate.folder} too",
            expected="a name that no other plugin has",
            advice="rename or remove one of the two",
        )
    )


def _wrong_version(manifest: Manifest) -> ProblemsError:
    return ManifestError(
        Problem(
            where=f"{manifest.package}/__init__.py",
            what="__appversion__",
            found=manifest.appversion,
            expected=f"a range that has Flask-PluginKit {__version__}",
            advice="install a version of the plugin made for this one",
        )
    )
