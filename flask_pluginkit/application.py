"""The plugins of one application: loaded, recorded, published, settled.

`Site` is what `PluginManager` keeps for each application. `prepare` decides what is to be live
under a wanted state, loading what that needs; `draft` makes a snapshot of it; `publish` makes
that the current one, by one assignment. Routes and names are settled when the application is
first used: hosts define theirs after ``PluginManager(app)``, and theirs come first.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any, Final

from flask import Flask

from .breaker import Breaker, Limits
from .building import build
from .deployment import Follows, control_folder, is_safe_mode
from .discovery import Candidate, discover
from .elsewhere import Elsewhere
from .enlistment import Enlistment
from .exceptions import ConflictError, Problem
from .frozen import replace
from .inventory import why_closed
from .live.assets import Assets
from .live.claims import Reserved
from .live.configuration import Configuration
from .live.dcp import DcpManager
from .live.errors import claims_error
from .live.slots import Slots
from .live.stage import Stage
from .loadings import Loading
from .options import Options
from .residents import Resident
from .snapshot import PIN, Plugin, Snapshot, pinned
from .startup import Startup
from .state.base import State
from .state.files import FileStateStore

if TYPE_CHECKING:
    from .develop.overlay import Overlay
    from .isolation.hosting import Hosting


UNSEEN: Final = -1
"""No hint has this value: so the first request begins with following the state."""


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python from looking for garbage while a start makes many objects that stay.

    With hundreds of plugins that search takes a fifth of the start, and finds nothing.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _setup_goes_on(app: Flask) -> Iterator[None]:
    """Let a plugin try out a request while it is loaded: for Flask that ends the host's setup."""
    before = app._got_first_request  # noqa: SLF001 - Flask has no other way
    try:
        yield
    finally:
        app._got_first_request = before  # noqa: SLF001


class Site:
    """One application and its plugins, in this process."""

    def __init__(self, app: Flask, options: Options, base: Path, folder: str) -> None:
        self.app = app
        self.options = options
        self.base = base
        self.folder = folder
        self.logger = options.logger
        self.control = control_folder(app, options.state_dir, base / folder)
        """Where the state, the audit and the workers' reports are."""
        self.store = FileStateStore(options.state_dir, self.control)
        self.state = State()
        """The wanted state that `current` follows."""
        self.current = build(self, 0, (), {}, "")
        self.scanned = 0
        """The `State.scan` that the plugins known here were looked for at."""
        self.seen = UNSEEN
        """The store's hint that `current` follows."""
        self.follower: Callable[[], Follows] | None = None
        """Gives what follows the shared state; `PluginManager` sets it."""
        self.limits = Limits.read(app.config.get("PLUGINKIT_BREAKER"))
        self.board: Any = None
        """What switches plugins (`switching.Switchboard`), held here as it lives as long."""
        self.lock = RLock()
        """Held while this process decides on plugins or publishes: one at a time."""
        self.dcp = DcpManager(self.pin)
        self.slots = Slots(app, self.pin, self.is_strict)
        self.overlay: Overlay | None = None
        configuration = Configuration(app, options, self.is_strict)
        self.emit_config, self.secret_keys = configuration.emit, configuration.secret_keys
        self.assets = Assets(app, self.pin, self.is_strict, options.static_endpoint)
        self.stage = Stage(self, self.pin, options)
        self.elsewhere = Elsewhere(app, options, self.control, self.pin)
        self.settled = False
        self._preparing_thread = 0
        self._prepared: list[Loading] = []
        self._prepared_for: State | None = None
        """The state that the loadings' verdicts are of."""
        self._reports: Callable[[Loading], None] = self.raise_or_log

    def pin(self) -> Snapshot:
        """Return the snapshot that the running request uses."""
        return pinned(self)

    @property
    def hosting(self) -> Hosting:
        """What runs the plugins that aren't trusted, in processes of their own."""
        return self.elsewhere.hosting

    def is_strict(self) -> bool:
        """Tell whether faults are raised where they could be contained."""
        strict = self.options.strict
        return bool(self.app.debug or self.app.testing) if strict is None else strict

    def claims_error(self, error: Exception, broad: bool) -> bool:
        """Tell whether an error handler is registered for this error."""
        return claims_error(self.app, error, broad)

    def new_breaker(self) -> Breaker:
        """Return what decides when the faults of one plugin are too many."""
        return Breaker(self.limits)

    def trip(self, resident: Resident, point: str) -> None:
        """Take out a plugin that fails too often."""
        if self.follower is not None:
            self.follower().trip(resident, point)

    def follow(self) -> None:
        """Bring the snapshot up to the store's hint; raises nothing."""
        if self.follower is not None and not self.is_preparing:
            self.follower().on_hint()

    def follow_outside(self) -> None:
        """Bring the snapshot up to date for a job or command; raises nothing."""
        if self.follower is not None and not self.is_preparing:
            self.follower().on_context()

    @property
    def is_preparing(self) -> bool:
        """Whether this very thread is at it: a plugin that is being loaded may send requests."""
        return self._preparing_thread == get_ident()

    @contextmanager
    def _preparing(self) -> Iterator[None]:
        self._preparing_thread = get_ident()
        try:
            with _setup_goes_on(self.app):
                yield
        finally:
            self._preparing_thread = 0

    # --- start -----------------------------------------------------------------------

    def start(self) -> None:
        """Load every plugin and publish the first snapshot.

        Either this completes, or it raises and the application is as it was before.
        """
        self.stage.check_static_endpoint()
        with _collector_paused():
            self._start()

    def _start(self) -> None:
        if self.app.config.get("PLUGINKIT_OVERLAY"):
            self._lay_over()
        self.startup = Startup(
            self,
            report=self._report,
            unreadable=lambda: self.store.unreadable,
            safe_mode=is_safe_mode(self.app),
            elsewhere=self.elsewhere,
        )
        self.startup.find(self.find())
        self.store.know(self.startup.folders)
        self.state = self.store.load()
        self.scanned = self.state.scan
        with self._preparing():
            loadings = self.startup.run(self.state, self._state_again)
        with ExitStack() as undo:
            functions = {
                "emit_tep": self.slots.emit,
                "emit_assets": self.assets.emit,
                "emit_config": self.emit_config,
                "emit_dcp": self.dcp.emit,
            }
            self.stage.attach(undo, self.settle, functions)
            if self.overlay is not None:
                self.overlay.attach(self.stage)
            self.reserved = Reserved(self.app, self.stage.tables)
            self.enlistment = Enlistment(self.app, self.stage.tables, self.dcp, self.startup)
            with self._preparing():
                loadings = self._enlist(loadings, self.state, self._show_at_start)
            self._prepared, self._prepared_for = loadings, self.state
            self.startup.keep(loadings, self.state)
            self.publish(self.draft(loadings, self.state), self.state)
            if not self.current.tables["global"]:
                self.stage.tables.plain_globals()
            self.stage.add_static_rule(self.assets.send)
            undo.pop_all()

    def _lay_over(self) -> None:
        """Let pages show what plugins do for them."""
        if not self.app.debug:
            self.logger.warning("PLUGINKIT_OVERLAY is ignored: it is for debug mode alone")
            return
        from .develop.overlay import Overlay

        self.overlay = Overlay(self.app, self.pin, self.is_strict)
        self.slots, self.dcp = self.overlay.slots, self.overlay.dcp

    def find(self) -> tuple[Candidate, ...]:
        """Look for plugins, wherever the options say."""
        return discover(
            base=self.base,
            folder=self.folder,
            packages=self.options.plugin_packages,
            paths=self.options.plugin_paths,
        )

    def _show_at_start(self, loadings: Iterable[Loading]) -> None:
        """Let ``on_app_ready`` functions see, and try out, what was recorded before them."""
        self.publish(self.draft(loadings, self.state), self.state)

    def _report(self, loading: Loading) -> None:
        """Tell about a plugin that can't be active, in the way of what is going on now."""
        self._reports(loading)

    def raise_or_log(self, loading: Loading) -> None:
        """Tell about a plugin that can't be active; in strict mode this ends the start."""
        problem = loading.candidate.problem
        # 3.x passed over a folder without __init__.py: it is listed, but ends nothing
        is_passed_over = problem is not None and problem.what == "__init__.py"
        if self.is_strict() and loading.error is not None and not is_passed_over:
            raise loading.error
        self.log(loading)

    def log(self, loading: Loading) -> None:
        """Tell about a plugin that can't be active."""
        self.logger.warning(
            "plugin %r is %s: %s",
            loading.name,
            loading.status.value,
            loading.reason,
            extra={"plugin": loading.name},
        )

    # --- changing --------------------------------------------------------------------

    def prepare(self, state: State, report: Callable[[Loading], None]) -> list[Loading]:
        """Decide what is to be live under `state`, loading what isn't loaded yet.

        Nothing that requests see changes. The caller holds `lock`. `report` is called for each
        plugin that has become unable to be active, and may raise to stop this.
        """
        if state is self._prepared_for:
            return self._prepared
        if state.scan != self.scanned:
            self.rescan()
            self.scanned = state.scan
        was_decided, self._prepared_for = self._prepared_for is not None, None
        if was_decided and self.startup.run_again(state):
            self._prepared_for = state
            return self._prepared
        before, self._reports = self._reports, report
        try:
            with self._preparing(), ExitStack() as stack:

                def show(loadings: Iterable[Loading]) -> None:
                    snapshot = self.draft(loadings, state, tolerant=True)
                    self._install(snapshot)
                    stack.callback(PIN.reset, PIN.set(snapshot))

                loadings = self.startup.run(state, self._state_again)
                self._prepared = self._enlist(loadings, state, show)
                self.startup.keep(self._prepared, state)
                self._prepared_for = state
                return self._prepared
        finally:
            self._reports = before

    def _enlist(
        self,
        loadings: list[Loading],
        state: State,
        show: Callable[[Iterable[Loading]], None],
    ) -> list[Loading]:
        """Record what is to be live; a plugin that fails at it may change the rest."""
        while not self.enlistment.run(loadings, show):
            loadings = self.startup.run(state, self._state_again, again=True)
        return loadings

    def _state_again(self) -> State:
        """Return the state, now that the name of one more plugin is known."""
        self.store.know(self.startup.folders)
        return self.store.load()

    def draft(
        self, loadings: Iterable[Loading], state: State, *, tolerant: bool = False
    ) -> Snapshot:
        """Build the snapshot of what was prepared. Nothing is raised if it's to be `tolerant`.

        Raises:
            ConflictError: in strict mode, for an endpoint or blueprint that two plugins want.

        """
        rows = [loading.finish() for loading in loadings]
        return self._snapshot(rows, state.generation, tolerant)

    def rescan(self) -> None:
        """Look for plugins anew. The caller holds `lock`, and prepares and publishes next."""
        self.startup.find(self.find())
        self.store.know(self.startup.folders)
        self.forget_prepared()

    def forget_prepared(self) -> None:
        """Let the next `prepare` decide anew, though it may be under the same state."""
        self._prepared_for = None

    def _snapshot(self, plugins: Iterable[Plugin], generation: int, tolerant: bool) -> Snapshot:
        rows = tuple(plugins)
        reserved = self.reserved.claims(rows)
        snapshot = build(self, generation, rows, reserved, self.options.sorting)
        self._report_conflicts(snapshot, tolerant)
        closed = why_closed(snapshot.plugins, self.control, is_safe_mode=self.startup.safe_mode)
        snapshot = replace(snapshot, closed=closed) if closed else snapshot
        return self.overlay.tracer.hooks(snapshot) if self.overlay is not None else snapshot

    def publish(self, snapshot: Snapshot, state: State) -> None:
        """Make `snapshot` the one that requests see from now on."""
        self._install(snapshot)
        for name in self.state.quarantined.keys() - state.quarantined.keys():
            self._give_another_chance(name)
        self.current = snapshot
        self.state = state
        self.elsewhere.keep(snapshot)
        prepared = self._prepared_for
        if prepared is not None and replace(prepared, generation=state.generation) == state:
            self._prepared_for = state

    def _give_another_chance(self, name: str) -> None:
        for loading in self.startup.loadings:
            if loading.name == name and loading.resident is not None:
                loading.resident.breaker.reset()

    def _install(self, snapshot: Snapshot) -> None:
        if self.stage.install(snapshot, settled=self.settled):
            self.slots.forget()

    def _report_conflicts(self, snapshot: Snapshot, tolerant: bool) -> None:
        known = set(self.current.conflicts)
        for conflict in snapshot.conflicts:
            if conflict in known:
                continue
            if not tolerant and self.is_strict() and conflict.kind in {"endpoint", "blueprint"}:
                raise ConflictError(
                    Problem(
                        where=f"plugin {conflict.loser}",
                        what=f"{conflict.kind} {conflict.name!r}",
                        found=conflict.reason or f"it belongs to {conflict.winner}",
                        expected="a name of its own",
                    )
                )
            self.logger.warning("%s", conflict, extra={"plugin": conflict.loser})

    def settle(self) -> None:
        """Decide who gets which name, now that the host has registered its own."""
        with self.lock, _collector_paused():
            self.settled = True
            try:
                self.reserved.settle()
                with self.enlistment.settling() as is_anew:
                    if is_anew:
                        self._prepared_for = None
                    loadings = self.prepare(self.state, self._reports)
                self.publish(self.draft(loadings, self.state), self.state)
                self.stage.tables.forget_templates()
                self.elsewhere.tell_anew()
            except BaseException:
                self.settled = False
                raise
