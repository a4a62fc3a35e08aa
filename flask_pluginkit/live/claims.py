"""The names and routes that the application itself has: no plugin gets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flask import Flask

from flask_pluginkit.points import Claim
from flask_pluginkit.snapshot import APPLICATION, Plugin

from .commands import reserved_names
from .recorder import Tables
from .routes import LiveRule, claim_keys

FLASK_CONTEXT: Final = (
    "g", "request", "session", "config", "get_flashed_messages", "url_for",
)  # fmt: skip
"""What Flask gives to every template; a plugin must not stand in its place."""


class Reserved:
    """What one application has of its own."""

    def __init__(self, app: Flask, tables: Tables) -> None:
        self.app = app
        self.tables = tables
        self._routes: list[Claim] = []

    def settle(self) -> None:
        """Note the application's routes, now that all of them are there."""
        self._routes = [
            ("route", key)
            for rules in vars(self.app.url_map)["_rules_by_endpoint"].values()
            for rule in rules
            if not isinstance(rule, LiveRule) and not rule.build_only
            for key in claim_keys(rule)
        ]

    def claims(self, plugins: Iterable[Plugin]) -> dict[Claim, str]:
        """Return everything that `plugins` can't have."""
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
        if any(plugin.bundle.has_commands for plugin in plugins):
            claims += [("command", name) for name in reserved_names()]
        return dict.fromkeys((*claims, *self._routes), APPLICATION)

    def _has_own_rule(self, endpoint: str) -> bool:
        rules = vars(self.app.url_map)["_rules_by_endpoint"].get(endpoint, ())
        return any(not isinstance(rule, LiveRule) for rule in rules)
