"""What stands in the application for all plugins, and grows with what they bring.

`Stage.attach` puts it there at the start, and can take it back. `Stage.install` adds what one
more snapshot needs, before a request sees it: requests that are on their way aren't disturbed,
and what is there stays, as all of it asks the pinned snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, cast

from flask import Flask
from werkzeug.routing import Rule

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.options import Options
from flask_pluginkit.points import SignalReceiver
from flask_pluginkit.snapshot import Snapshot

from . import environment, gate
from .hooks import CONTEXT_PROCESSORS, Dispatchers
from .layer import Live, PinLayer
from .recorder import Tables
from .tables import LiveFunctions


class Stage:
    """What stands in one application."""

    def __init__(self, site: Live, pin: Callable[[], Snapshot], options: Options) -> None:
        self.app: Flask = site.app
        self.site = site
        self.pin = pin
        self.options = options
        self.tables: Tables
        self.dispatchers = Dispatchers(site.app, site)
        self.offers: dict[tuple[str, str], str] = {}
        """Whose each filter and test is, by kind and name, also of plugins that aren't active."""
        self._offered: dict[str, set[str]] = {"filter": set(), "test": set()}
        """The names in `offers`, by kind."""
        self.has_gate = False
        self._connected: dict[SignalReceiver, Any] = {}
        self._adopted: set[int] = set()

    # --- at the start ---------------------------------------------------------------------

    def attach(
        self, undo: ExitStack, settle: Callable[[], None], functions: dict[str, Any]
    ) -> None:
        """Put everything in its place; what takes it away again goes to `undo`.

        Args:
            undo: what is to be called if the start fails.
            settle: called when the application is first used.
            functions: what templates can call.

        """
        app = self.app
        if "jinja_env" not in vars(app):
            # Flask makes it at its first use, out of settings that may be still to come
            undo.callback(vars(app).pop, "jinja_env", None)
        self.tables = Tables(app, self.pin, settle, self.options.host)
        undo.callback(self.tables.detach)
        undo.callback(self._connected.clear)
        undo.callback(environment.attach(app, self.pin, lambda: self.offers))
        for kind in ("filter", "test"):
            cast("LiveFunctions", self.tables.dicts[kind]).offers = lambda: self.offers
        self.tables.replace(app, "wsgi_app", PinLayer(app.wsgi_app, self.site))
        app.jinja_env.globals.update(functions)
        had = dict(app.extensions)

        def restore_extensions() -> None:
            app.extensions.clear()
            app.extensions.update(had)

        undo.callback(restore_extensions)

    def check_static_endpoint(self) -> None:
        """Refuse an endpoint that the application has: Flask would, but after adding the rule."""
        endpoint = self.options.static_endpoint
        if endpoint in self.app.view_functions:
            raise PluginError(
                f"Invalid static_endpoint: the application has an endpoint {endpoint!r} already; "
                "name another one, such as 'plugin_assets'"
            )

    def add_static_rule(self, view: Callable[..., Any]) -> None:
        """Add the rule of all plugins' static files; last of all, as it can't be taken back."""
        options = self.options
        matches_hosts = self.app.url_map.host_matching
        if matches_hosts and options.host is None:
            options.logger.warning(
                "the application matches hosts: plugins' routes and files are at none without "
                "PluginManager(app, host=...)"
            )
        host: dict[str, Any] = {"host": options.host} if matches_hosts else {}
        self.app.add_url_rule(
            f"{options.static_url_path}/<string:plugin_name>/<path:filename>",
            endpoint=options.static_endpoint,
            view_func=view,
            **host,
        )

    # --- for one more snapshot ------------------------------------------------------------

    def install(self, snapshot: Snapshot, *, settled: bool) -> bool:
        """Put in its place what has to be there before a request sees `snapshot`.

        Returns whether templates must be compiled anew: names have come that they knew as the
        application's, or didn't know.
        """
        if snapshot.closed and not self.has_gate:
            self.has_gate = True
            gate.install(self.app, self.pin)
            self.dispatchers.make_room("before_request_funcs")
        self.dispatchers.install(snapshot.hooks)
        if snapshot.tables["context"]:
            self.dispatchers.install([CONTEXT_PROCESSORS])
        for receiver in snapshot.receivers:
            if receiver not in self._connected:
                self._connect(receiver)
        if settled:
            self._adopt(snapshot)
        has_new_globals = bool(snapshot.tables["global"]) and self.tables.live_globals()
        return self._note_offers(snapshot) or has_new_globals

    def _note_offers(self, snapshot: Snapshot) -> bool:
        """Take in new filters and tests; True if there are any."""
        kinds = self._offered
        if all(snapshot.tables[kind].keys() <= names for kind, names in kinds.items()):
            return False
        found = {
            (kind, name): snapshot.owners[kind, name]
            for kind in kinds
            for name in snapshot.tables[kind]
        }
        self.offers = {**self.offers, **found}
        for kind, names in kinds.items():
            names.update(snapshot.tables[kind])
        self.tables.forget_templates()
        return True

    def _connect(self, receiver: SignalReceiver) -> None:
        """Connect one receiver that asks the pin, for as long as this stage exists."""

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

    def _adopt(self, snapshot: Snapshot) -> None:
        """Put the rules of plugins that aren't in the map yet behind all others."""
        if snapshot.rules <= self._adopted:
            return
        fresh: list[Rule] = []
        for route in snapshot.routes:
            if route.rule.serial not in self._adopted:
                self._adopted.add(route.rule.serial)
                fresh.append(route.rule)
        if fresh:
            self.app.url_map.adopt(fresh)  # type: ignore[attr-defined]
