"""``flask plugins owners``: who provides a route, a filter, a template, and so on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click
from flask import current_app

from flask_pluginkit.text import clean, nearest

from .host import find_manager, refusals, with_quiet_host
from .tables import say

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager

ONE_OWNER: Final = (
    "route", "endpoint", "blueprint", "filter", "test", "global", "context", "command", "template",
)  # fmt: skip
"""What has one owner."""

SEVERAL_OWNERS: Final = {"slot": "tep", "event": "dcp", "hook": "hep", "error": "errhandler"}
"""What several take part in, and what that is called in ``register()``."""

KINDS: Final = (*ONE_OWNER, *SEVERAL_OWNERS, *SEVERAL_OWNERS.values())

HOST: Final = "the application"


@click.command("owners")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.pass_context
@with_quiet_host
def owners(context: click.Context, kind: str, name: str, as_json: bool) -> None:
    """Tell who provides a route, a filter, a template and so on.

    \b
    KIND is one of:
      route (a rule or a path), endpoint, blueprint, command,
      template, filter, test, global, context,
      slot or tep, event or dcp, hook or hep, error or errhandler.

    The exit code is 1 if nobody provides it.
    """  # noqa: D301 - the backspace keeps click from filling the paragraph
    kind = SEVERAL_OWNERS.get(kind, kind)
    with refusals():
        manager = find_manager()
        found = _owners(manager, kind, name)
    refused = [
        (conflict.loser, conflict.reason or f"it belongs to {conflict.winner}")
        for conflict in manager.conflicts
        if conflict.kind == kind and conflict.name == name
    ]
    if as_json:
        losers = [loser for loser, _reason in refused]
        told = {"kind": kind, "name": name, "owners": found, "refused": losers}
        click.echo(json.dumps(told, indent=2))
    else:
        _show(manager, kind, name, found, refused)
    if not found:
        context.exit(1)


def _owners(manager: PluginManager, kind: str, name: str) -> list[str]:
    if kind in ONE_OWNER:
        owner = manager.owner_of(kind, name)
        if owner is None and kind == "route":
            owner = manager.owner_of(kind, f"{name}/")  # to which Werkzeug redirects
        if owner is None and _has_the_host(kind, name):
            owner = HOST
        return [owner] if owner else []
    wanted = _errors_called(manager, name) if kind == "errhandler" else [name]
    found = [owner for each in wanted for owner in manager.owners_of(kind, each)]
    return list(dict.fromkeys(found))


def _errors_called(manager: PluginManager, name: str) -> list[object]:
    """Return the codes and classes of plugins' error handlers that are called so."""
    shapes = (row.shapes["errhandler"] for row in manager.snapshot.active.values())
    errors: Iterable[Any] = dict.fromkeys(error for shape in shapes for error, _function in shape)
    return [
        error
        for error in errors
        if name in {str(error), getattr(error, "__name__", ""), getattr(error, "__qualname__", "")}
    ]


def _has_the_host(kind: str, name: str) -> bool:
    """Tell whether the application, or Flask, has what no plugin provides."""
    app = current_app
    environment = app.jinja_env
    names: dict[str, Callable[[], Any]] = {
        "endpoint": lambda: app.view_functions,
        "blueprint": lambda: app.blueprints,
        "filter": lambda: environment.filters,
        "test": lambda: environment.tests,
        "global": lambda: environment.globals,
        "command": lambda: app.cli.commands,
        "template": environment.list_templates,
    }
    if kind in names:
        return name in names[kind]()
    if kind == "route":
        return any(rule.rule == name for rule in app.url_map.iter_rules()) or _is_a_path(name)
    return False


def _is_a_path(path: str) -> bool:
    from werkzeug.exceptions import HTTPException, MethodNotAllowed
    from werkzeug.routing import RequestRedirect

    try:
        current_app.url_map.bind("localhost").match(path)
    except (RequestRedirect, MethodNotAllowed):
        return True
    except HTTPException:
        return False
    return True


def _show(
    manager: PluginManager,
    kind: str,
    name: str,
    found: list[str],
    refused: list[tuple[str, str]],
) -> None:
    for owner in found:
        say(clean(owner, 100))
    for loser, reason in refused:
        click.echo(f"{clean(loser, 100)} wants it, too: {clean(reason, 500)}", err=True)
    if not found:
        known = _known(manager, kind)
        guess = nearest(name, known)
        hint = f"; did you mean {clean(guess, 100)!r}?" if guess else ""
        click.echo(f"nobody provides the {kind} {clean(name, 100)!r}{hint}", err=True)


def _known(manager: PluginManager, kind: str) -> tuple[str, ...]:
    """Return the names of a kind that plugins provide."""
    snapshot = manager.snapshot
    match kind:
        case "tep":
            return tuple(snapshot.slots)
        case "dcp":
            return tuple(manager._dcp_manager.list)  # noqa: SLF001 - 3.x's name
        case "route":
            return tuple(route.rule.rule for route in snapshot.routes)
        case "hep":
            from flask_pluginkit.kinds import HOOKS

            return tuple(HOOKS)
    return tuple(str(claim[1]) for claim in snapshot.owners if claim[0] == kind)
