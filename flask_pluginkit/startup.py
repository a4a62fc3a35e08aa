"""From candidates to loaded plugins: manifests, requirements, import and ``register()``.

Nothing in here touches the application. `Startup.run` decides what becomes of every plugin
under one wanted state, and loads what that needs: at the start, and again at each change, when
nearly everything is loaded already. Each plugin ends with a status and, unless it is active, a
reason; one that fails takes along those that require it, and nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from . import requirements
from .discovery import Candidate
from .elsewhere import Elsewhere
from .exceptions import ManifestError, PluginError, RequirementError, RunError, StateError
from .isolation.levels import Isolation
from .kinds import normalise
from .loading import announce, bar, load, registered
from .loading_errors import equal_names, in_register, not_imported, wrong_version
from .loadings import Fault, Loading, fault_of, lost
from .manifest import Manifest, complete, read_manifest
from .preprocessing import Preprocessing
from .residents import Home, Resident
from .snapshot import Status
from .state.base import State, WantedState
from .verdicts import Verdicts
from .versions import is_compatible_with_us

SAFE_MODE = Fault(
    Status.DISABLED,
    "safe mode is on (PLUGINKIT_SAFE_MODE): no plugin runs until the application starts without it",
)


class Startup:
    """Loads the plugins of one application, step by step."""

    def __init__(
        self,
        home: Home,
        report: Callable[[Loading], None],
        unreadable: Callable[[], Mapping[str, StateError]],
        safe_mode: bool,
        elsewhere: Elsewhere,
    ) -> None:
        self.home = home
        self.elsewhere = elsewhere
        self.report = report
        self.unreadable = unreadable
        self.safe_mode = safe_mode
        self.loadings: list[Loading] = []
        """Of everything that was found, in plugin order."""
        self._known: dict[Path, Loading] = {}
        self._lost: dict[str, Loading] = {}
        self._ordered: tuple[Mapping[str, Manifest], list[str], dict[str, list[str]]] | None = None
        """The order of plugins and the cycles among them, and what they were found for."""
        self._verdicts: Verdicts | None = None
        self._preprocessing = Preprocessing(self.stop, self.refuse_dependants)

    def find(self, candidates: Iterable[Candidate]) -> None:
        """Take in what was found; what is imported already stays what it is."""
        candidates = tuple(candidates)
        # whose a module name is gets decided here, before any plugin imports another
        announce(candidates)
        found = []
        for candidate in candidates:
            loading = self._known.get(candidate.folder)
            if loading is None or not self._is_as_loaded(loading):
                loading = self._open(candidate)
            self._known[candidate.folder] = loading
            found.append(loading)
        self.loadings = found

    def _is_as_loaded(self, loading: Loading) -> bool:
        """Tell whether what is known of a plugin still holds: code once imported stays."""
        if loading.hosted is None:
            return loading.module is not None
        hosting = self.elsewhere.hosting
        if hosting.is_current(loading.hosted):
            return True
        manifest = self._open(loading.candidate).manifest
        return hosting.must_wait(loading.hosted, manifest)

    @property
    def folders(self) -> dict[str, Path]:
        """Where the plugin of each name lies."""
        return {loading.name: loading.candidate.folder for loading in reversed(self.loadings)}

    def run(self, state: State, read: Callable[[], State], *, again: bool = False) -> list[Loading]:
        """Decide on every plugin under `state` and return them in plugin order.

        What is wanted and not loaded yet is imported and registered. `read` gives the state
        again, for a plugin whose name only its import could tell. `report` is called for each
        plugin that can't be active; it raises in strict mode.

        Args:
            state: what is wanted.
            read: gives the state.
            again: whether plugins that were stopped since the last time stay so: the same change
                is being decided on.

        """
        for loading in self.loadings:
            loading.begin()
            if not again:
                loading.stopped = None
        self._refuse_equal_names(state)
        for loading in self.loadings:
            if loading.is_active:
                self._decide(loading, state, read)
        self._put_in_order()
        for loading in self.loadings:
            if loading.is_active:
                self._load(loading)
                if loading.fault is None and loading.variants[()]["settings"]:
                    self._configure(loading, state)
        self._preprocessing.run(self.loadings)
        return [*self.loadings, *self.missing(state)]

    def keep(self, loadings: Sequence[Loading], state: State) -> None:
        """Keep what was decided on all of them under `state`, now that it is recorded."""
        self._verdicts = Verdicts(loadings, state)

    def run_again(self, state: State) -> bool:
        """Decide only on those whom the change to `state` concerns since the last `keep`.

        False if that may be everybody, or if some must be loaded: then `run` is to do it.
        """
        if self._verdicts is None or self.unreadable():
            return False
        if (concerned := self._verdicts.concerned(state)) is None:
            return False
        for loading in concerned:
            loading.begin()
            self._decide(loading, state, lambda: state)
            if loading.fault is None and loading.configurable is not None:
                self._configure(loading, state)
        return self._verdicts.hold(state, concerned)

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
        fault = fault_of(status, error)
        if own:
            loading.own_fault = fault
        self.stop(loading, fault)

    def stop(self, loading: Loading, fault: Fault) -> None:
        """Stop one plugin for a fault that is known, and tell if that is news."""
        loading.fault = fault
        if loading.is_news():
            self.report(loading)

    def _refuse_equal_names(self, state: State) -> None:
        """The first by precedence keeps the name; one that can't be loaded has no say.

        Where names decide how far a plugin is trusted, what it may do and what it has stored,
        nobody gets one that two claim, but who has it already: the other may be an impostor.
        """
        claims: dict[str, list[Loading]] = {}
        for loading in self.loadings:
            if loading.problem() is None:
                claims.setdefault(loading.name, []).append(loading)
        names_decide = self.elsewhere.levels.is_used or bool(state.isolation)
        for claimants in claims.values():
            if len(claimants) == 1:
                continue
            holders = (one for one in claimants if one.is_registered)
            winner = next(holders, None) if names_decide else claimants[0]
            for one in claimants:
                if one is not winner:
                    other = winner or next(o for o in claimants if o is not one)
                    self.fail(one, Status.FAILED, equal_names(other, one), own=False)

    def _decide(self, loading: Loading, state: State, read: Callable[[], State]) -> None:
        """Find out what is wanted, importing the plugin only where nothing else can tell.

        A broken plugin that is disabled is just disabled: disabling is how one gets rid of it.
        """
        if (unreadable := self.unreadable().get(loading.name)) is not None:
            # it may be disabled: so it doesn't run
            self.fail(loading, Status.FAILED, loading.problem() or unreadable, own=False)
            return
        level = self.elsewhere.level_of(loading.candidate, loading.name, state.isolation)
        if level is not loading.level:
            bar(loading.candidate, is_barred=level is not Isolation.TRUSTED)
            loading.move(level)
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
        elif (fault := loading.own_fault or loading.stopped) is not None:
            loading.fault = fault
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
        if loading.level is not Isolation.TRUSTED:
            return False  # nothing of it is ever imported here
        computed = loading.manifest.computed
        if wanted is None and "__state__" in computed:
            return True
        return wanted is not WantedState.DISABLED and "__plugin_name__" in computed

    def _put_in_order(self) -> None:
        """Sort the plugins, and refuse those whose requirements aren't met."""
        named = {loading.name: loading for loading in reversed(self.loadings)}
        named |= {loading.name: loading for loading in self.loadings if loading.is_active}
        manifests = {name: loading.manifest for name, loading in named.items()}
        if self._ordered is None or self._ordered[0] != manifests:
            self._ordered = manifests, *requirements.order(manifests)
        _, names, cycles = self._ordered
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
        if loading.level is not Isolation.TRUSTED:
            self._host(loading)
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

    def _host(self, loading: Loading) -> None:
        """Have a plugin that isn't trusted run in a process of its own."""
        if loading.is_registered and loading.hosted and not loading.hosted.remote.is_retired:
            return
        if loading.resident is None:
            loading.resident = Resident(self.home, loading.name, loading.candidate.folder)
            loading.resident.optional = loading.manifest.optional
        started = time.perf_counter()
        try:
            hosted = self.elsewhere.hosting.load(
                loading.candidate,
                loading.manifest,
                loading.level,
                loading.resident,
                retry=loading.is_retried,
            )
        except PluginError as error:
            # that there is no supervisor just now is no fault of the plugin's own
            self.fail(loading, Status.FAILED, error, own=not isinstance(error, RunError))
        else:
            loading.unregister()
            loading.variants[()] = hosted.shapes
            loading.hosted = hosted
            loading.is_retried = False
        finally:
            loading.seconds += time.perf_counter() - started

    def _configure(self, loading: Loading, state: State) -> None:
        """Give a plugin the values of its settings, or stop it."""
        from .configured import configure  # few plugins have any

        try:
            configure(loading, state, self.elsewhere.app, self.loadings)
        except PluginError as error:
            self.fail(loading, Status.FAILED, error, own=False)


def _distribution(name: str | None) -> Distribution | None:
    if name is not None:
        with suppress(PackageNotFoundError):
            return distribution(name)
    return None
