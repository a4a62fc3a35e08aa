"""A small host for a plugin that is tested: pages that show all that it adds to pages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from flask import Flask, current_app, render_template
from markupsafe import Markup

from flask_pluginkit.manager import PluginManager
from flask_pluginkit.ordering import parse_file
from flask_pluginkit.snapshot import Plugin, Snapshot

from .placeholders import HARMLESS, placeholders, undeclared

HostFactory = Callable[[Path], Flask]
"""Makes an application in a folder of its own, with or without a `PluginManager`."""

Values = Mapping[str, Any]
"""What a host hands to what a plugin adds.

By the name of a slot, event, filter, test, global, context value or endpoint: a dict of named
values, or a tuple of positional ones.
"""

BASE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{% block title %}A host{% endblock %}</title>
{%- block head %}{% endblock %}</head>
<body>
{%- if pluginkit_slots is defined %}
{%- for slot, shown in pluginkit_slots() %}
<div data-slot="{{ slot }}">{{ shown }}</div>
{%- endfor %}
{%- for event, shown in pluginkit_events() %}
<ul data-event="{{ event }}">{{ shown }}</ul>
{%- endfor %}
{%- endif %}
{%- block body %}
<main>{% block main %}{% block content %}{% endblock %}{% endblock %}</main>
{%- endblock %}
</body>
</html>
"""

TEMPLATES: Final = {
    "base.html": BASE,
    "layout.html": '{% extends "base.html" %}',
    "index.html": '{% extends "base.html" %}{% block content %}The front page{% endblock %}',
}


def small_host(folder: Path) -> Flask:
    """Make an application in `folder` whose every page emits every slot and event that is filled.

    Its templates are ``base.html``, with the blocks ``title``, ``head``, ``body``, ``main`` and
    ``content``, ``layout.html``, which is the same, and ``index.html``.
    """
    for name, text in TEMPLATES.items():
        path = folder / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    app = Flask("host", root_path=str(folder), instance_path=str(folder / "instance"))
    # as an operator does who wants pages of isolated plugins to look like the site's
    app.config["PLUGINKIT_SHARED_TEMPLATES"] = ["base.html", "layout.html"]
    return app


def furnish(app: Flask, values: Values) -> None:
    """Give a host what the templates of `small_host` use, and a front page if it has none."""
    names = app.jinja_env.globals
    names.setdefault("pluginkit_slots", lambda: _slots(app, values))
    names.setdefault("pluginkit_events", lambda: _events(app, values))


def add_front_page(app: Flask, snapshot: Snapshot) -> None:
    """Add a page at ``/``, unless the plugin has one there."""
    if all(route.rule.rule != "/" for route in snapshot.routes):
        app.add_url_rule("/", "index", lambda: render_template("index.html"))


def _snapshot() -> Snapshot:
    manager: PluginManager = current_app.extensions["pluginkit"]
    return manager.snapshot


def _slots(app: Flask, values: Values) -> list[tuple[str, Markup]]:
    emit: Any = app.jinja_env.globals["emit_tep"]
    shown = []
    for name, slot in sorted(_snapshot().slots.items()):
        given = slot_values(app, slot, values)
        if given is not None:
            shown.append((name, emit(name, **given)))
    return shown


def slot_values(
    app: Flask, slot: Any, values: Values, text: str = HARMLESS
) -> dict[str, Any] | None:
    """Return what a slot is given: what `values` say, else a placeholder for each variable.

    None for parts in another process that need what nobody gave: placeholders can't go there.
    """
    if slot.name in values:
        return dict(values[slot.name])
    snapshot = _snapshot()
    named = {name for part in slot.all for name in needed_by(app, snapshot, part)}
    return None if named and slot.is_remote else placeholders(named, text)


def needed_by(app: Flask, snapshot: Snapshot, part: Any) -> set[str]:
    """Return the variables that a part of a slot needs of who emits it."""
    row = snapshot.active[part.owner]
    text, name = str(part.text), f"{part.owner}:<tep {part.slot}>"
    if part.is_file:
        templates = row.candidate.folder / "templates"
        text = parse_file(text, lambda file: (templates / file).is_file())[1]
        path = templates / text
        if not path.is_file():
            return set()
        name, text = f"{part.owner}:{text}", path.read_text(encoding="utf-8")
    return undeclared(app.jinja_env, name, text, known_names(app, row))


def known_names(app: Flask, row: Plugin) -> set[str]:
    """Return the variables that every template of a plugin has."""
    context: dict[str, Any] = {}
    with row.resident.running():
        app.update_template_context(context)
    return {*context, *app.jinja_env.globals, *row.shapes["tcp"], *row.shapes["global"]}


def _events(app: Flask, values: Values) -> list[tuple[str, Markup]]:
    manager: PluginManager = current_app.extensions["pluginkit"]
    emit: Any = app.jinja_env.globals["emit_dcp"]
    shown = []
    for event, functions in sorted(manager._dcp_manager.list.items()):  # noqa: SLF001 - 3.x's name
        if event in values:
            args, kwargs = given_to(values, event)
        elif any(needs_arguments(function) for function in functions):
            continue
        else:
            args, kwargs = (), {}
        shown.append((event, emit(event, *args, **kwargs)))
    return shown


def given_to(values: Values, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the named values for a function."""
    given = values[name]
    return ((), dict(given)) if isinstance(given, Mapping) else (tuple(given), {})


def needs_arguments(function: Callable[..., Any]) -> bool:
    """Tell whether a function can't be called without arguments, as far as is known."""
    return bool(needed_arguments(function))


def needed_arguments(function: Callable[..., Any]) -> int:
    """Return how many positional arguments a function needs, 0 where nobody can tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in kinds and one.default is one.empty for one in parameters)
