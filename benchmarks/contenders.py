"""Build one and the same application in the ways that are compared.

Runs inside the workers: in an interpreter that has this version of Flask-PluginKit (or plain
Flask), and in one that has 3.12.1. Nothing of Flask-PluginKit is imported at the top, because
the import belongs to what is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from flask import Flask, Response, render_template, send_from_directory
from flask.typing import ResponseReturnValue
from jinja2 import Template
from markupsafe import Markup
from plugin_tree import ASSET, plugin_name


class Kind(StrEnum):
    """A way to build the application."""

    OURS = "ours"
    OLD = "3.12.1"
    HAND = "by hand"
    """Flask with everything that the plugins bring, registered by hand."""
    LOOP = "bare loop"
    """The same, but each kind of hook is one function that calls those of all plugins in turn:
    the least that calling them can cost."""
    TIMED = "timed loop"
    """The bare loop, which also reads the clock once a call and adds what that took to a counter
    of each function's own: the least that calling and timing them can cost."""
    BARE = "plain"
    """Flask with only what the measured piece of work needs: the floor."""


class Built(NamedTuple):
    """An application that is ready to serve."""

    app: Flask
    emit: Callable[..., str]
    """``emit_tep(slot, **context)``."""
    asset_url: Callable[[], str]
    """The path of the first plugin's static file, as templates link to it; call in a request."""


Hooks = dict[str, list[Callable[..., Any]]]
"""Of each kind of hook: the functions of the plugins."""
Parts = dict[str, list[tuple[str, dict[str, object]]]]
"""Of each slot: the source (code) or name (file) of each part, and its plugin's own values."""


def build(kind: Kind, tree: Path, count: int) -> Built:
    """The application of `kind` with the `count` plugins of the folder `tree`."""
    app = Flask("host", root_path=str(tree), instance_path=str(tree / "instance"))
    if str(tree) not in sys.path:
        sys.path.insert(0, str(tree))

    @app.route("/")
    def index() -> str:
        return "hello"

    @app.route("/page")
    def page() -> str:
        return render_template("page.html")

    if kind in (Kind.OURS, Kind.OLD):
        return _managed(app, count)
    return _by_hand(app, tree, count, kind)


def _managed(app: Flask, count: int) -> Built:
    """With the plugin manager that this interpreter has."""
    from flask_pluginkit import PluginManager, push_dcp

    manager = PluginManager(app, stpl="asc")
    with app.app_context():
        for name in map(plugin_name, range(count)):
            push_dcp(f"counter_{name}", sys.modules[f"plugins.{name}"].counter)
    return Built(
        app,
        manager.emit_tep,
        lambda: str(manager.emit_assets(plugin_name(0), ASSET, _raw=True)),
    )


def _by_hand(app: Flask, tree: Path, count: int, kind: Kind) -> Built:
    """Without a plugin manager; with everything that the plugins bring, or the least (BARE)."""
    everything = kind is not Kind.BARE
    hooks: Hooks = {}
    parts: Parts = {}
    names: dict[str, object] = {}
    events: dict[str, list[Callable[..., str]]] = {}
    for index, name in enumerate(map(plugin_name, range(count))):
        module = import_module(f"plugins.{name}")
        contributions = module.register()
        own = contributions["tcp"]
        for slot, text in contributions["tep"].items():
            parts.setdefault(slot, []).append((text.split("@", 1)[1], own))
        app.add_template_filter(module.mark, f"mark_{plugin_name(index)}")
        if everything:
            _register(app, contributions)
            for hook, function in contributions.get("hep", {}).items():
                hooks.setdefault(hook, []).append(function)
            names.update(own)
            events.setdefault(f"counter_{name}", []).append(module.counter)

    @app.route("/assets/<string:plugin>/<path:filename>")
    def assets(plugin: str, filename: str) -> Response:
        return send_from_directory(tree / "plugins" / plugin / "static", filename)

    registered = {Kind.LOOP: _register_loops, Kind.TIMED: _register_timed_loops}
    if hooks:
        registered.get(kind, _register_each_hook)(app, hooks)
    if everything:
        app.context_processor(lambda: names)
        app.jinja_env.globals["emit_dcp"] = _dcp_emitter(events)
    emit = _tep_emitter(app, tree, parts, own_values=not everything)
    app.jinja_env.globals["emit_tep"] = emit
    return Built(app, emit, lambda: f"/assets/{plugin_name(0)}/{ASSET}")


def _register(app: Flask, contributions: dict[str, Any]) -> None:
    """What a developer would write for one plugin, were there no plugin manager."""
    app.register_blueprint(
        contributions["bep"]["blueprint"], url_prefix=contributions["bep"]["prefix"]
    )
    view = contributions["vep"]
    app.add_url_rule(view["rule"], view["endpoint"], view["view_func"])


def _register_each_hook(app: Flask, hooks: Hooks) -> None:
    """Each function of each plugin for itself, as one writes it."""
    for hook, functions in hooks.items():
        for function in functions:
            getattr(app, hook)(function)


def _register_loops(app: Flask, hooks: Hooks) -> None:
    """One function of each kind, which calls those of all plugins."""

    @app.before_request
    def before_all() -> ResponseReturnValue | None:
        for function in hooks["before_request"]:
            answer: ResponseReturnValue | None = function()
            if answer is not None:
                return answer
        return None

    @app.after_request
    def after_all(response: Response) -> Response:
        for function in hooks["after_request"]:
            response = function(response)
        return response

    @app.teardown_request
    def teardown_all(error: BaseException | None) -> None:
        for function in hooks["teardown_request"]:
            function(error)


class Counter:
    """How long the calls of one function took."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


def _register_timed_loops(app: Flask, hooks: Hooks) -> None:
    """As `_register_loops`, with the time of each function."""
    rows = {hook: [(one, Counter()) for one in functions] for hook, functions in hooks.items()}

    @app.before_request
    def before_all() -> ResponseReturnValue | None:
        started = perf_counter()
        for function, counter in rows["before_request"]:
            answer: ResponseReturnValue | None = function()
            now = perf_counter()
            counter.seconds += now - started
            started = now
            if answer is not None:
                return answer
        return None

    @app.after_request
    def after_all(response: Response) -> Response:
        started = perf_counter()
        for function, counter in rows["after_request"]:
            response = function(response)
            now = perf_counter()
            counter.seconds += now - started
            started = now
        return response

    @app.teardown_request
    def teardown_all(error: BaseException | None) -> None:
        started = perf_counter()
        for function, counter in rows["teardown_request"]:
            function(error)
            now = perf_counter()
            counter.seconds += now - started
            started = now


def _dcp_emitter(events: dict[str, list[Callable[..., str]]]) -> Callable[..., str]:
    """``emit_dcp(event)`` as a host would write it."""

    def emit_dcp(event: str) -> str:
        return Markup("".join([function() for function in events.get(event, ())]))

    return emit_dcp


def _tep_emitter(app: Flask, tree: Path, parts: Parts, *, own_values: bool) -> Callable[..., str]:
    """``emit_tep`` as Flask does it: each part, compiled once, goes through render_template.

    Without the plugins' context processor (`own_values`) each part gets just the values of
    its own plugin, so that the floor doesn't grow with the number of plugins.
    """
    compiled: dict[str, list[tuple[Template, dict[str, object]]]] = {}

    def compile_slot(slot: str) -> list[tuple[Template, dict[str, object]]]:
        if slot.startswith("code"):
            return [(app.jinja_env.from_string(text), own) for text, own in parts[slot]]
        return [
            (
                app.jinja_env.from_string(
                    (tree / "plugins" / text.split("/")[0] / "templates" / text).read_text("utf-8")
                ),
                own,
            )
            for text, own in parts[slot]
        ]

    def emit_tep(slot: str, **context: object) -> str:
        if (templates := compiled.get(slot)) is None:
            templates = compiled[slot] = compile_slot(slot)
        if own_values:
            return Markup("".join([render_template(t, **own, **context) for t, own in templates]))
        return Markup("".join([render_template(t, **context) for t, _ in templates]))

    return emit_tep
