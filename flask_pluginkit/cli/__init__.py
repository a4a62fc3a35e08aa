"""``flask plugins``: what operators and authors do with plugins from a terminal.

Only names are known here. A command's module is imported when the command, or its line of help,
is asked for: `flask --help` of every application with this package loads this module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click
from flask.cli import AppGroup

COMMANDS: Final[dict[str, str]] = {
    "approve": "isolation:approve",
    "audit": "audit:audit",
    "check": "check:check",
    "disable": "switching:disable",
    "doctor": "doctor:doctor",
    "enable": "switching:enable",
    "graph": "graph:graph",
    "isolate": "isolation:isolate",
    "list": "listing:list_plugins",
    "new": "new:new",
    "owners": "owners:owners",
    "processes": "isolation:processes",
    "revoke": "isolation:revoke",
    "serve": "isolation:serve",
    "set": "settings:set_fields",
    "settings": "settings:settings",
    "show": "showing:show",
    "tep": "slots:tep",
    "unset": "settings:unset_fields",
    "workers": "listing:workers",
}
"""Where each command is: a module of this package, and the command in it."""


class LazyGroup(AppGroup):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command with this name, None if there is none."""
        found = super().get_command(ctx, cmd_name)
        if found is None and (home := COMMANDS.get(cmd_name)) is not None:
            module, _, attribute = home.partition(":")
            found = getattr(import_module(f".{module}", __name__), attribute)
            self.add_command(found, cmd_name)
        return found


plugins = LazyGroup("plugins", help="See what plugins do, switch them, and write them.")
