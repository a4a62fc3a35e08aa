"""Recording what all loaded plugins register, in the order of 3.x.

Blueprints of all plugins come first, nested ones after their parents; then views, hooks and
everything else; ``on_app_ready`` last, on an application that has it all. What is recorded
already isn't recorded again. A fault in one step of one plugin stops that plugin and those
that require it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, cast

from flask import Flask

from .exceptions import MissingExtraError, PEPError, PluginError
from .findings import Findings
from .live.dcp import DcpManager
from .live.recorder import Recording, Tables
from .live.registration import Registrar
from .live.routes import LiveMap
from .loadings import Loading, describe_error
from .points import Route
from .snapshot import Status
from .startup import Startup

Pair = tuple[Loading, Recording]


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
        self._late_views: list[tuple[Loading, Recording, tuple[Any, ...]]] = []
        self._late_error: PluginError | None = None
        self._has_failed = False
        self._incomplete: list[Pair] = []

    def run(self, loadings: list[Loading], show: Callable[[Iterable[Loading]], None]) -> bool:
        """Record the active ones among `loadings`; what they add and what fails goes to them.

        `show` lets ``on_app_ready`` functions see what was recorded before them. Returns
        whether all went well; else the others are to be decided on once more.
        """
        self._has_failed = False
        pairs = [
            (loading, self.tables.recording(loading.resident, loading.variant))
            for loading in loadings
            if loading.is_active
            and loading.resident is not None
            and loading.variant not in loading.recorded
        ]
        for loading, recording in pairs:
            if loading.dropped:
                self.dcp.forget(recording.resident, *loading.dropped)
                loading.dropped.clear()
        self._record_blueprints([pair for pair in pairs if pair[0].shapes["bep"]])
        for loading, recording in self._active(pairs):
            with self._step(loading, "registering"):
                self._record_rest(loading, recording)
        for loading, recording in self._active(pairs):
            loading.record(recording.contributions)
        self._make_ready(pairs, lambda: show(loadings))
        self._refuse_orphans(loadings)
        incomplete, self._incomplete = self._incomplete if self.is_settled else [], []
        for loading, recording in (*pairs, *incomplete):
            if not loading.is_active or (loading, recording) in incomplete:
                self._drop(loading, recording)
        return not self._has_failed

    def _drop(self, loading: Loading, recording: Recording) -> None:
        """Forget what was recorded, so that it is recorded anew when the plugin is active."""
        loading.recorded.pop(recording.variant, None)
        at_run_time = (None,) if loading.ready is None else ()
        self.dcp.forget(recording.resident, recording.variant, *at_run_time)

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
                loading.record(recording.contributions)

    def _active(self, pairs: list[Pair]) -> Iterator[Pair]:
        """Yield those that nothing has stopped, neither themselves nor what they require.

        What stops one before its turn comes keeps it out too.
        """
        self.startup.refuse_dependants()
        return (pair for pair in pairs if pair[0].is_active)

    def _record_blueprints(self, waiting: list[Pair]) -> None:
        """Record blueprints, each after its parent, whichever plugin that belongs to."""
        while waiting:
            rest = []
            for loading, recording in waiting:
                with self._step(loading, "registering its blueprint"):
                    if not self.registrar.record_blueprint(recording, loading.shapes["bep"]):
                        rest.append((loading, recording))
            if len(rest) == len(waiting):
                break
            waiting = rest
        for loading, _recording in waiting:
            error = _no_parent(loading)
            self.startup.fail(loading, Status.FAILED, error, own=False)

    def _record_rest(self, loading: Loading, recording: Recording) -> None:
        for row in loading.shapes["vep"]:
            if self.registrar.record_view(recording, row):
                continue
            if not self.is_settled:
                # the blueprint may be one that the host registers later
                self._late_views.append((loading, recording, row))
            self._incomplete.append((loading, recording))
        for view_class, options in loading.shapes["cvep"]:
            self.registrar.record_class(recording, view_class, options)
        has_file = Findings(loading.name, loading.candidate.folder).has_template
        self.registrar.record_rest(recording, loading.shapes, has_file)

    def _record_ready(self, loading: Loading, recording: Recording) -> None:
        changed = self.registrar.record_ready(recording, loading.module)
        if changed:
            self.startup.home.logger.warning(
                "plugin %r changed the application itself (%s): that stays until it restarts",
                loading.name,
                ", ".join(changed),
                extra={"plugin": loading.name},
            )

    def settle(self) -> None:
        """Record views on blueprints that the host registered after ``PluginManager(app)``."""
        if self._late_error is not None:
            raise self._late_error
        self.is_settled = True
        waiting, self._late_views = self._late_views, []
        try:
            incomplete = [late[:2] for late in waiting if not self._record_late(*late)]
            self._refuse_orphans(self.startup.loadings)
            for loading, recording in incomplete:
                self._drop(loading, recording)
        except PluginError as error:
            # in strict mode, and then at each use of the application
            self._late_error = error
            raise

    def _record_late(self, loading: Loading, recording: Recording, row: tuple[Any, ...]) -> bool:
        """Record a view that waited for its blueprint; False if it goes on waiting."""
        if loading.is_active:
            with self._step(loading, "registering"):
                if self.registrar.record_view(recording, row):
                    loading.record(recording.contributions, recording.variant)
                    return True
        return False

    def _refuse_orphans(self, loadings: list[Loading]) -> None:
        """Stop those whose blueprint's parent, or whose view's blueprint, isn't there.

        It may be another plugin's that isn't active now, which is no fault of theirs.
        """
        needy = [loading for loading in loadings if loading.is_active and _needs(loading)]
        if not needy:
            return
        own = self.registrar.own_blueprints()
        while True:
            there = own | {
                name
                for loading in loadings
                if loading.is_active
                for item in loading.contributions
                if getattr(item, "kind", "") == "blueprint"
                for name in _names(item)
            }
            orphans = [o for o in needy if o.is_active and self._missing(o, there)]
            if not orphans:
                break
            for loading in orphans:
                error = self._missing(loading, there)
                assert error is not None
                self.startup.fail(loading, Status.FAILED, error, own=False)
        self.startup.refuse_dependants()

    def _missing(self, loading: Loading, there: set[str]) -> PEPError | None:
        """Return what to tell of a plugin that needs a blueprint which isn't `there`."""
        parent = loading.shapes["bep"].get("parent")
        if parent is not None and parent not in there:
            return _no_parent(loading)
        for row in loading.shapes["vep"]:
            if self.is_settled and row[4] and row[4] not in there:
                return PEPError(
                    f"{loading.name}: The required blueprint({row[4]}) was not found when "
                    f"registering vep with {row[0]}"
                )
        return None

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
            self.startup.fail(loading, Status.FAILED, told)
            self.startup.refuse_dependants()


def restore(entries: MutableMapping[str, Any], had: dict[str, Any]) -> None:
    """Give a mapping the entries that it had, never being without one that stays.

    Requests of other threads may be reading it.
    """
    entries.update(had)
    for name in list(entries):
        if name not in had:
            del entries[name]


def _needs(loading: Loading) -> bool:
    """Tell whether the plugin adds something to a blueprint that may be another's."""
    shapes = loading.shapes
    return bool(shapes["bep"].get("parent")) or any(row[4] for row in shapes["vep"])


def _names(item: Any) -> tuple[str, str]:
    """Return the names by which others may call a blueprint: its full name and its own."""
    return item.name, item.name.rpartition(".")[2]


def _no_parent(loading: Loading) -> PEPError:
    parent = loading.shapes["bep"].get("parent")
    return PEPError(f"{loading.name}: No parent blueprint found named {parent}")


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
