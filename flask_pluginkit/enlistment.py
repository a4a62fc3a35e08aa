"""Recording what all loaded plugins register, in the order of 3.x.

Blueprints of all plugins come first, nested ones after their parents; then views, hooks and
everything else; ``on_app_ready`` last, on an application that has it all. A fault in one
step of one plugin stops that plugin and those that require it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Flask

from .exceptions import MissingExtraError, PEPError, PluginError
from .findings import Findings
from .live.dcp import DcpManager
from .live.recorder import Recording, Tables
from .live.registration import Registrar
from .snapshot import Plugin, Status
from .startup import Loading, Startup, describe_error

Pair = tuple[Loading, Recording]


class Enlistment:
    """Records the plugins of one application."""

    def __init__(self, app: Flask, tables: Tables, dcp: DcpManager, startup: Startup) -> None:
        self.app = app
        self.tables = tables
        self.dcp = dcp
        self.startup = startup
        self.registrar = Registrar(app, dcp)
        self.brings_globals = False
        self._late_views: list[tuple[Loading, Recording, tuple[Any, ...]]] = []
        self._late_error: PluginError | None = None

    def run(self, loadings: list[Loading], publish: Callable[[Iterable[Plugin]], None]) -> None:
        """Record the active ones among `loadings`; contributions and failures go to them.

        `publish` shows to ``on_app_ready`` functions what was recorded before them.
        """
        pairs = [
            (loading, self.tables.recording(loading.resident))
            for loading in loadings
            if loading.is_active and loading.resident is not None
        ]
        self._record_blueprints([pair for pair in pairs if pair[0].shapes["bep"]])
        for loading, recording in self._active(pairs):
            with self._step(loading, "registering"):
                self._record_rest(loading, recording)
        waiting = [pair for pair in self._active(pairs) if _waits_for_app(pair[0])]
        if waiting:
            for loading, recording in pairs:
                loading.contributions = recording.contributions
            publish(loading.finish() for loading in loadings)
        for loading, recording in self._active(waiting):
            with self._step(loading, "on_app_ready"):
                self._record_ready(loading, recording)
        for loading, recording in self._active(pairs):
            loading.contributions = recording.contributions
            self.brings_globals |= bool(recording.pending("global"))
        for loading, recording in pairs:
            if not loading.is_active:
                self.dcp.forget(recording.resident)

    def _active(self, pairs: list[Pair]) -> list[Pair]:
        """Return those that nothing has stopped, neither themselves nor what they require."""
        self.startup.refuse_dependants()
        return [pair for pair in pairs if pair[0].is_active]

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
            parent = loading.shapes["bep"].get("parent")
            error = PEPError(f"{loading.name}: No parent blueprint found named {parent}")
            self.startup.fail(loading, Status.FAILED, error)

    def _record_rest(self, loading: Loading, recording: Recording) -> None:
        for row in loading.shapes["vep"]:
            if not self.registrar.record_view(recording, row):
                # the blueprint may be one that the host registers later
                self._late_views.append((loading, recording, row))
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
            )

    def late(self, rows: tuple[Plugin, ...]) -> tuple[Plugin, ...]:
        """Record views on blueprints that the host registered after ``PluginManager(app)``."""
        if self._late_error is not None:
            raise self._late_error
        waiting, self._late_views = self._late_views, []
        try:
            for loading, recording, row in waiting:
                if loading.is_active:
                    with self._step(loading, "registering"):
                        self._record_late(loading, recording, row)
            self.startup.refuse_dependants()
        except PluginError as error:
            # in strict mode, and then at each use of the application
            self._late_error = error
            raise
        now = {loading.name: loading for loading in self.startup.loadings if loading.resident}
        return tuple(_updated(row, now[row.name]) if row.name in now else row for row in rows)

    def _record_late(self, loading: Loading, recording: Recording, row: tuple[Any, ...]) -> None:
        if not self.registrar.record_view(recording, row):
            raise PEPError(
                f"{loading.name}: The required blueprint({row[4]}) was not found when registering "
                f"vep with {row[0]}"
            )
        loading.contributions = recording.contributions

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
            extensions.clear()
            extensions.update(had)
            told = _as_ours(loading.name, doing, error)
            if told is not error:
                told.__cause__ = error
            self.startup.fail(loading, Status.FAILED, told)


def _updated(row: Plugin, loading: Loading) -> Plugin:
    """Return `row`, that of an active plugin, as it is now."""
    if row.status is not Status.ACTIVE:
        return row
    return replace(
        row,
        status=loading.status,
        reason=loading.reason,
        traceback=loading.traceback,
        contributions=loading.contributions if loading.is_active else (),
    )


def _waits_for_app(loading: Loading) -> bool:
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
