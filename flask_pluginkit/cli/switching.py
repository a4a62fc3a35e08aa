"""``flask plugins enable`` and ``disable``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .host import complete_names, find_manager, known_names, refusals, tell, with_host

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager
    from flask_pluginkit.switching import Change

F = TypeVar("F", bound=Callable[..., Any])


def _names_and_cascade(help_text: str) -> Callable[[F], F]:
    """Return a decorator for commands that take names of plugins."""

    def decorate(function: F) -> F:
        option = click.option("--cascade", is_flag=True, help=help_text)
        return click.argument(
            "names",
            nargs=-1,
            required=True,
            metavar="NAME...",
            shell_complete=complete_names,
        )(option(function))

    return decorate


@click.command("enable")
@_names_and_cascade("Enable what they require, too.")
@with_host
def enable(names: tuple[str, ...], cascade: bool) -> None:
    """Enable plugins, in every worker, from the next request on."""
    _switch("enabled", lambda manager: manager.enable_plugin, names, cascade)


@click.command("disable")
@_names_and_cascade("Disable what requires them, too.")
@with_host
def disable(names: tuple[str, ...], cascade: bool) -> None:
    """Disable plugins, in every worker, from the next request on."""
    _switch("disabled", lambda manager: manager.disable_plugin, names, cascade)


def _switch(
    state: str,
    method: Callable[[PluginManager], Callable[..., Change]],
    names: tuple[str, ...],
    cascade: bool,
) -> None:
    """Do what a command asks for, and tell what came of it."""
    with refusals():
        manager = find_manager()
        known = known_names(manager, names)
        tell(known, state, method(manager)(*known, cascade=cascade))
