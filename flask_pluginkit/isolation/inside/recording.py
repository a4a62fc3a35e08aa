"""From the normal forms of ``register()`` to the inner application, by Flask's own code.

The order is that of the trusted way: blueprints, views, everything else, ``on_app_ready``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from types import ModuleType
from typing import Any, cast

from flask import Blueprint

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.functions import takes_argument
from flask_pluginkit.isolation.messages import (
    RefusedInfo,
)
from flask_pluginkit.kinds import registers_itself

from .application import InnerFlask
from .connections import Connections

ELSEWHERE = "the plugin runs in a process of its own"


@dataclass(slots=True)
class Recorded:
    """What a plugin registered that Flask has no table for."""

    plugin: str
    values: dict[str, Any] = field(default_factory=dict)
    """Its template context (tcp)."""
    teps: list[tuple[str, str, bool]] = field(default_factory=list)
    """Slot, name or code, and whether it is a file."""
    refused: list[RefusedInfo] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, kind: str, name: str, reason: str, *, is_fatal: bool = False) -> None:
        """Note a contribution that can't work from here."""
        refused = RefusedInfo(kind=kind, name=name, reason=reason, is_fatal=is_fatal)
        if refused not in self.refused:
            self.refused.append(refused)


def record(
    app: InnerFlask, module: ModuleType, shapes: Mapping[str, Any], connections: Connections
) -> Recorded:
    """Register everything on the inner application. Raises what Flask or the plugin raises."""
    recorded = Recorded(app.spec.plugin)
    _blueprint(app, shapes["bep"], recorded)
    for row in shapes["vep"]:
        _view(app, row, shapes["bep"], recorded)
    for view_class, options in shapes["cvep"]:
        _class(app, view_class, options)
    for hook, function in shapes["hep"].items():
        getattr(app, hook)(function)
    for kind in ("filter", "test"):
        table = getattr(app.jinja_env, f"{kind}s")
        for name, function in shapes[kind]:
            table[name] = app.ensure_sync(function)
    names, values = (
        {name: _called(app, value) for name, value in shapes[kind].items()}
        for kind in ("global", "tcp")
    )
    app.jinja_env.globals.update(names)
    recorded.values = values
    app.context_processor(recorded.values.copy)
    for error, function in shapes["errhandler"]:
        app.register_error_handler(error, function)
    for event, function, position in shapes["dcp"]:
        connections.push(event, app.ensure_sync(function), position)
    for slot, parts in shapes["tep"].items():
        recorded.teps += [(slot, text, kind == "fil") for kind, text in parts.items()]
    _refuse_kinds(shapes, recorded)
    _ready(app, module)
    return recorded


def _called(app: InnerFlask, value: Any) -> Any:
    """Return an async function so that templates can call it; all else as it is."""
    if not inspect.iscoroutinefunction(value):
        return value
    in_sync = app.ensure_sync(value)

    def call(*args: Any, **kwargs: Any) -> Any:
        # an async environment awaits what it gets, and runs in a loop that nobody may block
        return (value if app.jinja_env.is_async else in_sync)(*args, **kwargs)

    return update_wrapper(call, value)


def _blueprint(app: InnerFlask, bep: Mapping[str, Any], recorded: Recorded) -> None:
    if not bep:
        return
    blueprint: Blueprint = bep["blueprint"]
    if (parent := bep.get("parent")) is not None:
        recorded.refuse(
            "blueprint",
            blueprint.name,
            f"its parent, the blueprint {parent!r}, belongs to somebody else, and {ELSEWHERE}; "
            "register it without a parent",
        )
        return
    prefix = bep["prefix"] if bep["prefix"] is not None else blueprint.url_prefix
    app.register_blueprint(blueprint, url_prefix=prefix)


def _view(
    app: InnerFlask, row: tuple[Any, ...], bep: Mapping[str, Any], recorded: Recorded
) -> None:
    rule, view, endpoint, options, on_blueprint = row
    if not on_blueprint:
        app.add_url_rule(rule, endpoint, view, **options)
        return
    mount = _mount(app, on_blueprint, bep)
    if mount is None:
        recorded.refuse(
            "route",
            rule,
            f"its blueprint {on_blueprint!r} isn't one of the plugin's, and {ELSEWHERE}; name one "
            "that the plugin brings itself",
        )
        return
    blueprint, settings = mount
    blueprint.make_setup_state(app, settings).add_url_rule(rule, endpoint, view, **options)


def _mount(
    app: InnerFlask, name: str, bep: Mapping[str, Any]
) -> tuple[Blueprint, dict[str, Any]] | None:
    """Return a blueprint of the plugin and where it was registered."""
    top = bep.get("blueprint")
    if top is None or top.name not in app.blueprints:
        return None
    prefix = bep["prefix"] if bep["prefix"] is not None else top.url_prefix
    waiting: list[tuple[Blueprint, str, str | None]] = [(top, "", prefix)]
    while waiting:
        blueprint, parents, prefix = waiting.pop()
        full = f"{parents}.{blueprint.name}".lstrip(".")
        if name in {full, blueprint.name}:
            return blueprint, {
                "url_prefix": prefix, "name": blueprint.name, "name_prefix": parents
            }  # fmt: skip
        for child, options in blueprint._blueprints:  # noqa: SLF001 - nothing public tells
            own = options.get("url_prefix", child.url_prefix)
            joined = "/".join(part.strip("/") for part in (prefix, own) if part)
            waiting.append((cast("Blueprint", child), full, f"/{joined}" if joined else None))
    return None


def _class(app: InnerFlask, view_class: Any, options: Mapping[str, Any]) -> None:
    if registers_itself(view_class):
        view_class.register(app, **options)
        return
    rest = {key: value for key, value in options.items() if key not in {"rule", "name"}}
    name = options.get("endpoint") or options.get("name") or view_class.__name__.lower()
    app.add_url_rule(options["rule"], view_func=view_class.as_view(name), **rest)


def _refuse_kinds(shapes: Mapping[str, Any], recorded: Recorded) -> None:
    for plugin in shapes["p3"]:
        recorded.refuse(
            "p3", plugin, f"what other plugins register can't be changed from here: {ELSEWHERE}"
        )
    for signal, _function in shapes["signal"]:
        recorded.refuse("signal", signal.name, f"the host's signals aren't sent here: {ELSEWHERE}")
    for command in shapes["cli"]:
        recorded.refuse("cli", command.name, f"the host's command line can't run it: {ELSEWHERE}")


def _ready(app: InnerFlask, module: ModuleType) -> None:
    """Call ``on_app_ready``, with the application or without, as its signature says."""
    function = getattr(module, "on_app_ready", None)
    if function is None:
        return
    if not callable(function):
        raise PEPError(f"{app.spec.plugin}: on_app_ready is no function")
    with app.app_context():
        app.ensure_sync(function)(*((app,) if takes_argument(function) else ()))
    app._got_first_request = False  # noqa: SLF001 - a plugin may have tried out a request
