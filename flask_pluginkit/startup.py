"""From candidates to loaded plugins: manifests, requirements, import, ``register()``, ``p3``.

Nothing in here touches the application. `Startup.run` decides what becomes of every plugin
under one wanted state, and loads what that needs: at the start, and again at each change, when
nearly everything is loaded already. Each plugin ends with a status and, unless it is active, a
reason; one that fails takes along those that require it, and nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from . import requirements
from .discovery import Candidate
from .exceptions import ManifestError, RequirementError, StateError
from .kinds import normalise, recheck
from .loading import announce, load, registered
from .loadings import (
    Fault,
    Loading,
    Variant,
    equal_names,
    fault_of,
    in_register,
    lost,
    not_imported,
    other_type,
    wrong_version,
)
from .manifest import complete, read_manifest
from .residents import Home, Resident
from .snapshot import Status
from .state.base import State, WantedState
from .versions import is_compatible_with_us

SAFE_MODE = Fault(
    Status.DISABLED,
    "safe mode is on (PLUGINKIT_SAFE_MODE): no plugin runs until the application starts without it",
)

Functions = Mapping[str, Callable[[Any], Any]]
"""What one plugin's ``p3`` has for another one: a function by kind."""


class Startup:
    """Loads the plugins of one application, step by step."""

    def __init__(
        self,
        home: Home,
        report: Callable[[Loading], None],
        unreadable: Callable[[], Mapping[str, StateError]],
        safe_mode: bool,
    ) -> None:
        self.home = home
        self.report = report
        self.unreadable = unreadable
        self.safe_mode = safe_mode
        self.loadings: list[Loading] = []
        """Of everything that was found, in plugin order."""
        self._known: dict[Path, Loading] = {}
        self._lost: dict[str, Loading] = {}

    def find(self, candidates: Iterable[Candidate]) -> None:
        """Take in what was found; what is imported already stays what it is."""
        candidates = tuple(candidates)
        # whose a module name is gets decided here, before any plugin imports another
        announce(candidates)
        found = []
        for candidate in candidates:
            loading = self._known.get(candidate.folder)
            if loading is None or loading.module is None:
                loading = self._open(candidate)
            self._known[candidate.folder] = loading
            found.append(loading)
        self.loadings = found

    @property
    def folders(self) -> dict[str, Path]:
        """Where the plugin of each name lies."""
        return {loading.name: loading.candidate.folder for loading in reversed(self.loadings)}

    def run(self, state: State, read: Callable[[], State]) -> list[Loading]:
        """Decide on every plugin under `state` and return them in plugin order.

        What is wanted and not loaded yet is imported and registered. `read` gives the state
        again, for a plugin whose name only its import could tell. `report` is called for each
        plugin that can't be active; it raises in strict mode.
        """
        for loading in self.loadings:
            loading.begin()
        self._refuse_equal_names()
        for loading in self.loadings:
            if loading.is_active:
                self._decide(loading, state, read)
        self._put_in_order()
        for loading in self.loadings:
            if loading.is_active:
                self._load(loading)
        self._preprocess()
        return [*self.loadings, *self.missing(state)]

    def missing(self, state: State) -> list[Loading]:
        """Return one for each plugin that somebody asked for and nobody can find."""
        names = {loading.name for loading in self.loadings}
        return [
            self._lost.setdefault(name, lost(name))
            for name, wanted in sorted(state.wanted.items())
            if wanted is WantedState.ENABLED and name not in names
        ]

    def _open(self, candidate: Candidate) -> Loading:
        manifest = read_manifest(
            candidate.folder, candidate.package, _distribution(candidate.distribution)
        )
        loading = Loading(candidate, manifest)
        for warning in manifest.warnings:
            self.home.logger.warning(
                "plugin %r: %s", manifest.name, warning, extra={"plugin": manifest.name}
            )
        return loading

    def fail(
        self, loading: Loading, status: Status, error: BaseException, *, own: bool = True
    ) -> None:
        """Stop one plugin, and tell.

        A fault of its `own` stays with it; one that lies with others, such as a requirement
        that is disabled, is looked at again at the next change.
        """
        loading.fault = fault_of(status, error)
        if own:
            loading.own_fault = loading.fault
        if loading.is_news():
            self.report(loading)

    def _refuse_equal_names(self) -> None:
        """The first by precedence keeps the name; one that can't be loaded has no say."""
        first: dict[str, Loading] = {}
        for loading in self.loadings:
            if loading.problem() is not None:
                continue
            winner = first.setdefault(loading.name, loading)
            if winner is not loading:
                error = equal_names(winner, loading)
                self.fail(loading, Status.FAILED, error, own=False)

    def _decide(self, loading: Loading, state: State, read: Callable[[], State]) -> None:
        """Find out what is wanted, importing the plugin only where nothing else can tell.

        A broken plugin that is disabled is just disabled: disabling is how one gets rid of it.
        """
        if (unreadable := self.unreadable().get(loading.name)) is not None:
            # it may be disabled: so it doesn't run
            self.fail(loading, Status.FAILED, loading.problem() or unreadable, own=False)
            return
        wanted = state.wanted.get(loading.name)
        if self._must_be_asked(loading, wanted):
            if not self._import(loading):
                return
            if "__plugin_name__" in loading.manifest.computed:
                try:
                    state = read()
                except StateError as error:
                    self.fail(loading, Status.FAILED, error, own=False)
                    return
                wanted = state.wanted.get(loading.name)
        loading.has_marker = wanted is not None
        loading.wanted = wanted or loading.manifest.state or WantedState.ENABLED
        self._judge(loading, state, wanted)

    def _judge(self, loading: Loading, state: State, wanted: WantedState | None) -> None:
        """Stop what is disabled, quarantined or unusable, before anything of it is imported."""
        if loading.wanted is WantedState.DISABLED:
            loading.disable("it was switched off" if wanted else "disabled by its __state__")
        elif self.safe_mode:
            loading.fault = SAFE_MODE
        elif (quarantine := state.quarantined.get(loading.name)) is not None:
            loading.quarantine(quarantine)
        elif loading.own_fault is not None:
            loading.fault = loading.own_fault
        elif loading.is_registered:
            pass  # all of the rest was looked at when it was loaded
        elif (problem := loading.problem()) is not None:
            self.fail(loading, Status.FAILED, problem)
        elif not is_compatible_with_us(loading.manifest.appversion):
            self.fail(loading, Status.INCOMPATIBLE, wrong_version(loading.manifest))

    def _must_be_asked(self, loading: Loading, wanted: WantedState | None) -> bool:
        """Tell whether only importing the plugin shows what is wanted."""
        if loading.module is not None or loading.problem() is not None or self.safe_mode:
            return False
        computed = loading.manifest.computed
        if wanted is None and "__state__" in computed:
            return True
        return wanted is not WantedState.DISABLED and "__plugin_name__" in computed

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
                self._refuse(loading, refusal)
        self.refuse_dependants()

    def refuse_dependants(self) -> None:
        """Stop each plugin that requires one which isn't active."""
        for loading in self.loadings:
            if not loading.manifest.requires or not loading.is_active:
                continue
            if (refusal := self._refusal(loading)) is not None:
                self._refuse(loading, refusal)

    def _refuse(self, loading: Loading, refusal: requirements.Refusal) -> None:
        self.fail(loading, refusal.status, RequirementError(refusal.problem), own=False)

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
                module = load(loading.candidate)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - plugins raise anything, SystemExit too
            self.fail(loading, Status.FAILED, not_imported(loading, error))
            return False
        finally:
            loading.seconds += time.perf_counter() - started
        loading.module = module
        loading.manifest = complete(loading.manifest, module)
        if loading.manifest.problems:
            self.fail(loading, Status.FAILED, ManifestError(loading.manifest.problems))
            return False
        resident.name = loading.name
        resident.module = module.__name__
        resident.optional = loading.manifest.optional
        loading.resident = resident
        return True

    def _load(self, loading: Loading) -> None:
        """Import one plugin and call its ``register()``, unless that is done."""
        refusal = self._refusal(loading)
        if refusal is not None:
            self._refuse(loading, refusal)
            return
        if loading.is_registered:
            return
        if loading.module is None and not self._import(loading):
            return
        if not loading.has_marker and loading.manifest.state is WantedState.DISABLED:
            # only the import could tell: it came with a star import, for example
            loading.disable("disabled by its __state__")
            return
        if not is_compatible_with_us(loading.manifest.appversion):
            self.fail(loading, Status.INCOMPATIBLE, wrong_version(loading.manifest))
            return
        started = time.perf_counter()
        try:
            assert loading.resident is not None
            assert loading.module is not None
            with loading.resident.running():
                value = registered(loading.module)
            loading.variants[()] = normalise(loading.name, loading.candidate.folder, value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - likewise
            self.fail(loading, Status.FAILED, in_register(loading, error))
        finally:
            loading.seconds += time.perf_counter() - started

    # --- p3 -----------------------------------------------------------------------------------

    def _preprocess(self) -> None:
        """Let each plugin's ``p3`` functions rework what others registered.

        An author that fails at it is no author: then all is looked at once more.
        """
        is_settled = False
        while not is_settled:
            is_settled = all(self._vary(*pair) for pair in self._authors())
            self.refuse_dependants()

    def _authors(self) -> list[tuple[Loading, dict[str, Loading]]]:
        """Return each active plugin that others rework, with those that do."""
        active = {loading.name: loading for loading in self.loadings if loading.is_active}
        authors: dict[str, dict[str, Loading]] = {}
        for author in active.values():
            author.variant = ()
            for target in author.variants[()]["p3"]:
                if target in active:
                    authors.setdefault(target, {})[author.name] = author
        return [(active[target], found) for target, found in authors.items()]

    def _vary(self, target: Loading, authors: dict[str, Loading]) -> bool:
        """Give `target` the variant that `authors` make of it; False if one of them fails."""
        variant: Variant = tuple(authors)
        if variant not in target.variants:
            shapes = target.variants[()]
            for author in authors.values():
                functions: Functions = author.variants[()]["p3"][target.name]
                for kind, function in functions.items():
                    changed = self._preprocess_one(author, target, kind, shapes[kind], function)
                    if changed is None:
                        return False
                    shapes = {**shapes, kind: changed[0]}
            target.variants[variant] = shapes
        target.variant = variant
        return True

    def _preprocess_one(
        self,
        author: Loading,
        target: Loading,
        kind: str,
        before: Any,
        function: Callable[[Any], Any],
    ) -> tuple[Any] | None:
        """Apply one function to a copy and return what it makes, None if that fails."""
        try:
            assert author.resident is not None
            with author.resident.running():
                after = function(_copy(kind, before))
            if type(after) is not type(before):
                raise other_type(author, target, kind, after)  # noqa: TRY301 - as a fault of it
            return (recheck(author.name, target.candidate.folder, kind, after),)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - likewise
            self.fail(author, Status.FAILED, in_register(author, error))
            return None


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
