"""Recording what all loaded plugins register, in the order of 3.x.

Blueprints of all plugins come first, nested ones after their parents; then views, hooks and
everything else; ``on_app_ready`` last, on an application that has it all. What is recorded
already isn't recorded again. A fault in one step of one plugin stops that plugin and those
that require it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from flask import Flask

from .exceptions import MissingExtraError, PEPError, PluginError
from .findings import Findings
from .live.dcp import DcpManager
from .live.recorder import Tables
from .live.recording import Recording
from .live.registration import Registrar
from .live.routes import LiveMap
from .loading_errors import describe_error
from .loadings import Edition, Loading
from .placement import Placement, needs_others
from .points import Route
from .snapshot import Status
from .startup import Startup

Pair = tuple[Loading, Recording]


class Late(NamedTuple):
    """Views that wait for blueprints which the application may register."""

    recording: Recording
    rows: list[tuple[int, tuple[Any, ...]]]
    """With each the place among the contributions that it would have had."""


class Enlistment:
    """Records the plugins of one application."""

    def __init__(self, app: Flask, tables: Tables, dcp: DcpManager, startup: Startup) -> None:
        self.app = app
        self.tables = tables
        self.dcp = dcp
        self.startup = startup
        self.registrar = Registrar(app, dcp)
        self.is_settled = False
        """Whether the application has registered everything of its own."""
        self._late_views: dict[int, Late] = {}
        """By the serial number of the recording: what waits for blueprints of the application."""
        self._late_error: PluginError | None = None
        self._has_failed = False
        self._present: frozenset[str] = frozenset()
        """The plugins that are to be active."""

    def run(self, loadings: list[Loading], show: Callable[[Iterable[Loading]], None]) -> bool:
        """Record the active ones among `loadings`; what they add and what fails goes to them.

        `show` lets ``on_app_ready`` functions see what was recorded before them. Returns
        whether all went well; else the others are to be decided on once more.
        """
        self._has_failed = False
        placement = self._place(loadings)
        pairs = [
            (loading, self.tables.recording(loading.resident))
            for loading in loadings
            if loading.is_active
            and loading.resident is not None
            and loading.edition not in loading.recorded
            and not self._is_known_to_fail(loading)
            and not self._complete(loading)
        ]
        for loading, recording in pairs:
            if loading.dropped:
                self.dcp.forget(recording.resident, *loading.dropped)
                loading.dropped.clear()
        self._record_blueprints(pairs, placement)
        for loading, recording in self._active(pairs):
            with self._step(loading, "registering"):
                self._record_rest(loading, recording)
        for loading, recording in self._active(pairs):
            assert recording.serial is not None
            loading.record(recording.serial, recording.contributions)
        self._make_ready(pairs, lambda: show(loadings))
        for loading, recording in pairs:
            if not loading.is_active:
                self._drop(loading, recording)
        if self.is_settled:
            self._late_views.clear()
        return not self._has_failed

    def _place(self, loadings: list[Loading]) -> Placement:
        """Find out where blueprints are to be, and stop those that build on one that isn't."""
        orphans: list[Loading] = []
        while True:
            placement = Placement(self.app, loadings)
            found = list(placement.orphans(is_settled=self.is_settled))
            if not found:
                break
            for loading, error in found:
                self.startup.fail(loading, Status.FAILED, error, own=False)
                orphans.append(loading)
            self.startup.refuse_dependants()
        active = {loading.name for loading in loadings if loading.is_active}
        for loading in loadings:
            if loading.is_active:
                loading.places = placement.places(loading)
                if not active.issuperset(loading.variant):
                    # who reworked it is out
                    self._has_failed = True
        for loading in orphans if self._has_failed else ():
            loading.stopped = loading.fault
        self._present = frozenset(active)
        self.registrar.mounts = placement.mounts
        return placement

    def _is_known_to_fail(self, loading: Loading) -> bool:
        """Stop a plugin that couldn't be recorded among the same others; True if so."""
        fault = loading.known_fault(self._present)
        if fault is None:
            return False
        self._has_failed = True
        self.startup.stop(loading, fault)
        return True

    def _drop(self, loading: Loading, recording: Recording) -> None:
        """Forget what was recorded, so that it is recorded anew when the plugin is active."""
        assert recording.serial is not None
        self._late_views.pop(recording.serial, None)
        loading.forget(recording.serial)
        at_run_time = (None,) if loading.ready is None else ()
        self.dcp.forget(recording.resident, recording.serial, *at_run_time)

    def _make_ready(self, pairs: list[Pair], show: Callable[[], None]) -> None:
        """Call the ``on_app_ready`` of those that have one, once each."""
        waiting = [
            pair for pair in self._active(pairs) if pair[0].ready is None and _waits(pair[0])
        ]
        if waiting:
            show()
        contributions = [item for loading, _ in pairs for item in loading.contributions]
        rules = [item.rule for item in contributions if isinstance(item, Route)]
        url_map = cast("LiveMap", self.app.url_map)
        for loading, recording in self._active(waiting):
            with self._step(loading, "on_app_ready"), url_map.buildable(rules):
                more = recording.successor()
                self._record_ready(loading, more)
                loading.ready = more.contributions
                assert recording.serial is not None
                loading.record(recording.serial, recording.contributions)

    def _active(self, pairs: list[Pair]) -> Iterator[Pair]:
        """Yield those that nothing has stopped, neither themselves nor what they require.

        What stops one before its turn comes keeps it out too.
        """
        self.startup.refuse_dependants()
        return (pair for pair in pairs if pair[0].is_active)

    def _record_blueprints(self, pairs: list[Pair], placement: Placement) -> None:
        recordings = dict(pairs)
        for loading, mount in placement.blueprints(recordings):
            if loading.is_active:
                with self._step(loading, "registering its blueprint"):
                    self.registrar.record_blueprint(recordings[loading], mount)

    def _record_rest(self, loading: Loading, recording: Recording) -> None:
        # a blueprint that isn't there may be one that the host registers later
        waiting = [
            (recording.place, row)
            for row in loading.shapes["vep"]
            if not self.registrar.record_view(recording, row)
        ]
        if waiting and recording.serial is not None:
            self._late_views[recording.serial] = Late(recording, waiting)
        for view_class, options in loading.shapes["cvep"]:
            self.registrar.record_class(recording, view_class, options)
        has_file = Findings(loading.name, loading.candidate.folder).has_template
        self.registrar.record_rest(recording, loading.shapes, has_file)
        for table, function in loading.hosted.hooks if loading.hosted else ():
            recording.hook(table, None, function)

    def _record_ready(self, loading: Loading, recording: Recording) -> None:
        changed = self.registrar.record_ready(recording, loading.module)
        if changed:
            self.startup.home.logger.warning(
                "plugin %r changed the application itself (%s): that stays until it restarts",
                loading.name,
                ", ".join(changed),
                extra={"plugin": loading.name},
            )

    @contextmanager
    def settling(self) -> Iterator[bool]:
        """Inside the block plugins are decided on, now that the application has all its own.

        Gives whether some build on blueprints that may be the application's, and must be
        recorded once more. In strict mode what that raises is raised at each use of it.
        """
        if self._late_error is not None:
            raise self._late_error
        self.is_settled = True
        try:
            yield any(needs_others(loading.shapes) for loading in self.startup.loadings)
        except PluginError as error:
            self._late_error = error
            raise

    def _complete(self, loading: Loading) -> bool:
        """Record the views that waited for blueprints of the application; False if none did."""
        for edition, recorded in loading.recorded.items():
            late = self._late_views.get(recorded.serial)
            if late is not None and _is_completed(edition, loading.edition):
                break
        else:
            return False
        del self._late_views[recorded.serial]
        with self._step(loading, "registering"):
            added = 0
            for place, row in late.rows:
                before = late.recording.place
                with late.recording.going_to(place + added):
                    self.registrar.record_view(late.recording, row)
                added += late.recording.place - before
        if loading.is_active:
            loading.forget(recorded.serial)
            loading.record(recorded.serial, late.recording.contributions)
        else:
            self._drop(loading, late.recording)
        return True

    @contextmanager
    def _step(self, loading: Loading, doing: str) -> Iterator[None]:
        """Run one step of one plugin; a fault in it stops that plugin, and no other."""
        extensions = self.app.extensions
        had = dict(extensions)
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - plugins raise anything, SystemExit too
            restore(extensions, had)
            told = _as_ours(loading.name, doing, error)
            if told is not error:
                told.__cause__ = error
            self._has_failed = True
            try:
                # what is registered may need others that aren't there
                self.startup.fail(loading, Status.FAILED, told, own=False)
            finally:
                loading.note_broken(self._present)
            self.startup.refuse_dependants()


def restore(entries: MutableMapping[str, Any], had: dict[str, Any]) -> None:
    """Give a mapping the entries that it had, never being without one that stays.

    Requests of other threads may be reading it.
    """
    entries.update(had)
    for name in list(entries):
        if name not in had:
            del entries[name]


def _is_completed(edition: Edition, present: Edition) -> bool:
    """Tell whether `present` is `edition` with what wasn't there yet."""
    return edition[0] == present[0] and all(
        before in {None, now} for before, now in zip(edition[1], present[1], strict=True)
    )


def _waits(loading: Loading) -> bool:
    """Tell whether the plugin has an ``on_app_ready``."""
    return "on_app_ready" in getattr(loading.module, "__dict__", {})


def _as_ours(plugin: str, doing: str, error: BaseException) -> PluginError:
    """Return `error` as one that says which plugin failed at what."""
    if isinstance(error, PluginError):
        return error
    if isinstance(error, RuntimeError) and "'async' extra" in str(error):
        return MissingExtraError(
            f"plugin {plugin}: it has async functions, which need an extra: "
            "pip install 'Flask-PluginKit[async]'"
        )
    return PEPError(
        f"The plugin {plugin} failed {doing}: {type(error).__name__}: {describe_error(error)}"
    )
