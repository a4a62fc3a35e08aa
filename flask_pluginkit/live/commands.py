"""Click commands of plugins: ``flask <plugin name> <command>``."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from flask_pluginkit.residents import Resident

BUILT_IN = frozenset({"run", "shell", "routes"})
"""Names that Flask's own command line answers before it asks the application."""


class PluginGroup(AppGroup):
    """The commands of one plugin, run in an application context and as that plugin."""

    def __init__(self, app: Flask, resident: Resident, commands: Iterable[click.Command]) -> None:
        super().__init__(
            name=resident.name,
            help=f"Commands of the plugin {resident.name}.",
            commands=list(commands),
        )
        self.app = app
        self.resident = resident

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        ctx.with_resource(self.app.app_context())
        with self.resident.running():
            return super().invoke(ctx)


def owned_command(command: click.Command, resident: Resident) -> click.Command:
    """Return a copy of a command that a plugin registered with Flask, which runs as the plugin."""
    if isinstance(command, PluginGroup):
        return command
    owned = copy(command)

    def invoke(context: click.Context) -> Any:
        with resident.running():
            return command.invoke(context)

    vars(owned)["invoke"] = invoke
    return owned


@cache
def reserved_names() -> frozenset[str]:
    """Return the command names that never reach the application.

    Beside Flask's own these are the ones that distributions add to ``flask``.
    """
    return BUILT_IN | {point.name for point in entry_points(group="flask.commands")}
