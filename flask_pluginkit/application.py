"""The plugins of one application: loaded, recorded, published, settled.

`Site` is what `PluginManager` keeps for each application. Publishing is one assignment of a
new snapshot. Routes and names are settled when the application is first used: hosts define
theirs after ``PluginManager(app)``, and theirs come first.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from .discovery import discover
from .enlistment import Enlistment
from .exceptions import ConflictError, PluginError, Problem
from .live import templates
from .live.assets import Assets
from .live.commands import reserved_names
from .live.dcp import DcpManager
from .live.errors import claims_error
from .live.hooks import CONTEXT_PROCESSORS, Dispatchers, PinLayer
from .live.recorder import Tables
from .live.routes import LiveRule, claim_keys
from .live.slots import Slots
from .options import Options
from .points import Claim, Conflict, SignalReceiver
from .snapshot import APPLICATION, Plugin, Snapshot, Status, build, pinned
from .startup import Loading, Startup
from .state.files import MarkerStore

FLASK_CONTEXT = ("g", "request", "session", "config", "get_flashed_messages", "url_for")
EMITTERS = ("emit_tep", "emit_assets", "emit_config", "emit_dcp")


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
        self.store = MarkerStore(
            state_dir=options.state_dir, lock_dir=Path(app.instance_path) / "pluginkit"
        )
        self.current = build(self, 0, (), {}, "")
        self.dcp = DcpManager(self.pin)
        self.slots = Slots(app, self.pin, self.is_strict)
        self.assets = Assets(app, self.pin, self.is_strict, options.static_endpoint)
        self.dispatchers = Dispatchers(app, self)
        self.settled = False
        self._connected: dict[SignalReceiver, Any] = {}
        self._adopted: set[int] = set()

    def pin(self) -> Snapshot:
        """Return the snapshot that the running request uses."""
        return pinned(self)

    def is_strict(self) -> bool:
        """Tell whether faults are raised where they could be contained."""
        strict = self.options.strict
        return bool(self.app.debug or self.app.testing) if strict is None else strict

    def claims_error(self, error: Exception, broad: bool) -> bool:
        """Tell whether an error handler is registered for this error."""
        return claims_error(self.app, error, broad)

    # --- start -----------------------------------------------------------------------

    def start(self) -> None:
        """Load every plugin and publish the first snapshot.

        Either this completes, or it raises and the application is as it was before.
        """
        self._check_static_endpoint()
        with _collector_paused():
            self._start()

    def _start(self) -> None:
        startup = Startup(self, self.store, self._report)
        candidates = discover(
            base=self.base,
            folder=self.folder,
            packages=self.options.plugin_packages,
            paths=self.options.plugin_paths,
        )
        with _setup_goes_on(self.app):
            loadings = startup.run(candidates)
        with ExitStack() as undo:
            if "jinja_env" not in vars(self.app):
                # Flask makes it at its first use, out of settings that may be still to come
                undo.callback(vars(self.app).pop, "jinja_env", None)
            self.tables = Tables(self.app, self.pin, self.settle, self.options.host)
            undo.callback(self.tables.detach)
            undo.callback(self._connected.clear)
            self._attach(undo)
            self.enlistment = Enlistment(self.app, self.tables, self.dcp, startup)
            with _setup_goes_on(self.app):
                self.enlistment.run(loadings, self._publish)
            if not self.enlistment.brings_globals:
                self.tables.plain_globals()
            self._publish([loading.finish() for loading in loadings])
            self._add_static_rule()
            undo.pop_all()

    def _report(self, loading: Loading) -> None:
        """Tell about a plugin that can't be active; in strict mode this ends the start."""
        problem = loading.candidate.problem
        # 3.x passed over a folder without __init__.py: it is listed, but ends nothing
        is_passed_over = problem is not None and problem.what == "__init__.py"
        if self.is_strict() and loading.error is not None and not is_passed_over:
            raise loading.error
        self.logger.warning(
            "plugin %r is %s: %s", loading.name, loading.status.value, loading.reason
        )

    def _attach(self, undo: ExitStack) -> None:
        """Put everything in its place that stands in the application for all plugins."""
        app = self.app
        undo.callback(templates.attach(app, self.pin))
        self.tables.replace(app, "wsgi_app", PinLayer(app.wsgi_app, self))
        app.jinja_env.globals.update(
            emit_tep=self.slots.emit,
            emit_assets=self.assets.emit,
            emit_config=self.emit_config,
            emit_dcp=self.dcp.emit,
        )
        had = dict(app.extensions)

        def restore_extensions() -> None:
            app.extensions.clear()
            app.extensions.update(had)

        undo.callback(restore_extensions)

    def _check_static_endpoint(self) -> None:
        """Refuse an endpoint that the application has: Flask would, but after adding the rule."""
        endpoint = self.options.static_endpoint
        if endpoint in self.app.view_functions:
            raise PluginError(
                f"Invalid static_endpoint: the application has an endpoint {endpoint!r} already; "
                "name another one, such as 'plugin_assets'"
            )

    def _add_static_rule(self) -> None:
        """Add the rule of all plugins' static files; last of all, as it can't be taken back."""
        options = self.options
        matches_hosts = self.app.url_map.host_matching
        if matches_hosts and options.host is None:
            self.logger.warning(
                "the application matches hosts: plugins' routes and files are at none without "
                "PluginManager(app, host=...)"
            )
        host: dict[str, Any] = {"host": options.host} if matches_hosts else {}
        self.app.add_url_rule(
            f"{options.static_url_path}/<string:plugin_name>/<path:filename>",
            endpoint=options.static_endpoint,
            view_func=self.assets.send,
            **host,
        )

    # --- publishing ------------------------------------------------------------------

    def _publish(self, plugins: Iterable[Plugin]) -> None:
        """Build the snapshot of `plugins` and make it the current one."""
        rows = tuple(plugins)
        snapshot = build(
            self, self.current.generation + 1, rows, self._reserved(rows), self.options.sorting
        )
        by_loser: dict[str, list[Conflict]] = {}
        for conflict in snapshot.conflicts:
            by_loser.setdefault(conflict.loser, []).append(conflict)
        if by_loser:
            rows = tuple(replace(row, conflicts=tuple(by_loser.get(row.name, ()))) for row in rows)
            snapshot = replace(
                snapshot,
                plugins=rows,
                active={row.name: row for row in rows if row.status is Status.ACTIVE},
            )
        self._report_conflicts(snapshot)
        self.dispatchers.install(snapshot.hooks)
        if snapshot.tables["context"]:
            self.dispatchers.install([CONTEXT_PROCESSORS])
        for receiver in snapshot.receivers:
            self._connect(receiver)
        if self.settled:
            self._adopt(snapshot)
        self.current = snapshot

    def _report_conflicts(self, snapshot: Snapshot) -> None:
        known = set(self.current.conflicts)
        for conflict in snapshot.conflicts:
            if conflict in known:
                continue
            if self.is_strict() and conflict.kind in {"endpoint", "blueprint"}:
                raise ConflictError(
                    Problem(
                        where=f"plugin {conflict.loser}",
                        what=f"{conflict.kind} {conflict.name!r}",
                        found=conflict.reason or f"it belongs to {conflict.winner}",
                        expected="a name of its own",
                    )
                )
            self.logger.warning("%s", conflict)

    def _connect(self, receiver: SignalReceiver) -> None:
        """Connect one receiver that asks the pin, for as long as this site exists."""
        if receiver in self._connected:
            return

        def receive(sender: Any, **values: Any) -> Any:
            if receiver in self.pin().receivers and self._concerns(sender):
                return receiver.function(sender, **values)
            return None

        # held here and not by the signal, which would keep the application for ever
        self._connected[receiver] = receive
        receiver.signal.connect(receive)

    def _concerns(self, sender: Any) -> bool:
        """Signals of another application aren't this one's plugins' business."""
        return not isinstance(sender, Flask) or sender is self.app

    def _reserved(self, plugins: Iterable[Plugin]) -> dict[Claim, str]:
        """Return the names that the application itself has."""
        dicts = self.tables.dicts
        claims: list[Claim] = [
            (kind, name)
            for kind, table in dicts.items()
            if kind != "global"
            for name in table.own()
            # the view of a plugin, with a login or the like around it, stays the plugin's
            if kind != "endpoint" or name not in table.wrapped or self._has_own_rule(name)
        ]
        own_globals = self.app.jinja_env.globals
        names = dicts["global"].own() if own_globals is dicts["global"] else own_globals
        claims += [("global", name) for name in (*names, *FLASK_CONTEXT)]
        claims += [("context", name) for name in (*names, *FLASK_CONTEXT)]
        if any(getattr(i, "kind", "") == "command" for p in plugins for i in p.contributions):
            claims += [("command", name) for name in reserved_names()]
        if self.settled:
            claims += [
                ("route", key)
                for rules in vars(self.app.url_map)["_rules_by_endpoint"].values()
                for rule in rules
                if not isinstance(rule, LiveRule) and not rule.build_only
                for key in claim_keys(rule)
            ]
        return dict.fromkeys(claims, APPLICATION)

    def _has_own_rule(self, endpoint: str) -> bool:
        rules = vars(self.app.url_map)["_rules_by_endpoint"].get(endpoint, ())
        return any(not isinstance(rule, LiveRule) for rule in rules)

    def settle(self) -> None:
        """Decide who gets which name, now that the host has registered its own."""
        self.settled = True
        try:
            self._publish(self.enlistment.late(self.current.plugins))
            self.tables.forget_templates()
        except BaseException:
            self.settled = False
            raise

    def _adopt(self, snapshot: Snapshot) -> None:
        """Put the rules of plugins that aren't in the map yet behind all others."""
        fresh: list[Rule] = []
        for route in snapshot.routes:
            if route.rule.serial not in self._adopted:
                self._adopted.add(route.rule.serial)
                fresh.append(route.rule)
        if fresh:
            self.app.url_map.adopt(fresh)  # type: ignore[attr-defined]

    # --- what templates and operators ask ---------------------------------------------

    def emit_config(self, conf_name: str) -> Any:
        """Return a configuration value for templates: pluginkit_config, else the app's.

        Secrets are never handed out: ``SECRET_KEY``, its fallbacks, and what the
        configuration ``PLUGINKIT_SECRET_KEYS`` (a list of names, or a text of them) adds.
        They are None.
        """
        secret = {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}
        added = self.app.config.get("PLUGINKIT_SECRET_KEYS") or ()
        # an environment variable gives text
        secret.update(added.replace(",", " ").split() if isinstance(added, str) else added)
        if conf_name in secret:
            self.logger.warning("emit_config(%r) was refused: it is a secret", conf_name)
            return None
        if conf_name in self.options.pluginkit_config:
            return self.options.pluginkit_config[conf_name]
        return self.app.config.get(conf_name)
