"""An isolated plugin as the host sees it: stand-ins in the forms that ``register()`` returns.

What its worker described becomes what `kinds` would have made of it, with functions that ask
the worker. From here on the plugin is recorded, sorted, switched and measured like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_pluginkit.kinds import EMPTY
from flask_pluginkit.points import Conflict
from flask_pluginkit.residents import Resident
from flask_pluginkit.text import clean

from .messages import (
    Description,
    FunctionInfo,
    RouteInfo,
)
from .remote import Remote
from .stages import Stages
from .standins import Standins
from .texts import RemoteText

SANDBOX = "the sandbox"
"""Who has what an isolated plugin may not have, in conflicts."""

HEP_TABLES = {
    "before_request_funcs": "before_request",
    "after_request_funcs": "after_request",
    "teardown_request_funcs": "teardown_request",
}


Shapes = dict[str, Any]
Hooks = tuple[tuple[str, Callable[..., Any]], ...]
"""Functions for Flask's tables that ``register()`` has no key for: table and function."""


def shapes_of(
    description: Description, remote: Remote, resident: Resident, stages: Stages
) -> tuple[Shapes, Hooks]:
    """Return what a plugin adds, in normal form, and its further hooks."""
    remote.endpoints = frozenset(route.endpoint for route in description.routes)
    standins = Standins(remote, resident, stages)
    shapes: Shapes = {kind: make() for kind, make in EMPTY.items()}
    # one for all rules of an endpoint, as Flask wants it
    views = {endpoint: standins.view(endpoint) for endpoint in remote.endpoints}
    shapes["vep"] = [_view(route, views[route.endpoint]) for route in description.routes]
    for tep in description.teps:
        text = RemoteText(tep.given)
        text.remote, text.reference = remote, tep.reference
        shapes["tep"].setdefault(tep.slot, {})["fil" if tep.is_file else "cod"] = text
    for info in description.functions:
        _add_function(shapes, info, standins)
    shapes["errhandler"] = [
        (error.code, standins.error_handler(error.code, error.reference))
        for error in description.errors
    ]
    shapes["tcp"] = dict(description.context)
    shapes["global"] = dict(description.names)
    tables: dict[str, list[int]] = {}
    for hook in description.hooks:
        if hook.scope is None:
            tables.setdefault(hook.table, []).append(hook.reference)
    more = []
    for table, references in tables.items():
        function = standins.hook(table, references)
        if table in HEP_TABLES:
            shapes["hep"][HEP_TABLES[table]] = function
        else:
            more.append((table, function))
    return shapes, tuple(more)


def conflicts_of(description: Description, plugin: str) -> tuple[Conflict, ...]:
    """Return what the plugin has and can't do from another process."""
    return tuple(
        Conflict(
            kind=clean(refused.kind, 40),
            name=clean(refused.name, 100),
            winner=SANDBOX,
            loser=plugin,
            reason=clean(refused.reason, 300),
        )
        for refused in description.refused
    )


def _view(route: RouteInfo, view: Callable[..., Any]) -> tuple[Any, ...]:
    options: dict[str, Any] = {
        "methods": list(route.methods),
        "provide_automatic_options": False,
    }
    if route.defaults:
        options["defaults"] = dict(route.defaults)
    if route.strict_slashes is not None:
        options["strict_slashes"] = route.strict_slashes
    if route.subdomain:
        options["subdomain"] = route.subdomain
    return (route.rule, view, route.endpoint, options, None)


def _add_function(shapes: Shapes, info: FunctionInfo, standins: Standins) -> None:
    if info.kind == "dcp":
        shapes["dcp"].append((info.name, standins.connection(info), info.position or "right"))
    else:
        shapes[info.kind].append((info.name, standins.function(info)))
