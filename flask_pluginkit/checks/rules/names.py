"""Names that Flask, Jinja or the command line have already."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from jinja2 import Environment

from flask_pluginkit.checks.contributions import Contribution
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.live.claims import FLASK_CONTEXT
from flask_pluginkit.text import describe

_OURS: Final = ("emit_tep", "emit_assets", "emit_config", "emit_dcp")

COMMANDS: Final = frozenset({"run", "shell", "routes", "plugins"})
"""Commands of Flask, and ours: a plugin's are ``flask <its name> ...``."""

ENDPOINTS: Final = frozenset({"static", "assets"})


@cache
def taken() -> Mapping[str, frozenset[str]]:
    """Return the names that nobody else can have, by kind."""
    jinja = Environment(autoescape=True)
    variables = frozenset({*jinja.globals, *FLASK_CONTEXT, *_OURS})
    return {
        "filter": frozenset(jinja.filters),
        "test": frozenset(jinja.tests),
        "global": variables,
        "tcp": variables,
        "endpoint": ENDPOINTS,
    }


def check_names(subject: Subject) -> Iterator[Finding]:
    """Yield contributions that are refused because their name is taken."""
    for item in subject.registered.of("filter", "test", "global", "tcp"):
        if item.name in taken()[item.kind]:
            yield _taken(subject, item, item.kind, item.name)
    for item in subject.registered.of("vep", "cvep"):
        endpoint = subject.modules.text(item.module, item.options.get("endpoint"))
        if endpoint in ENDPOINTS and not item.blueprint:
            yield _taken(subject, item, "endpoint", endpoint)
    for item in subject.registered.of("context"):
        yield from _processed(subject, item)
    has_commands = any(True for _ in subject.registered.of("cli"))
    if has_commands and subject.name in COMMANDS:
        message = (
            f"the plugin's commands would be flask {subject.name} ..., which is a command of "
            "Flask's or ours: they are left out; give the plugin another name"
        )
        yield subject.in_file("PK108", subject.shown_init, message)


def _taken(subject: Subject, item: Contribution, kind: str, name: str | None) -> Finding:
    message = (
        f"the {kind} {describe(name)} is one that every application has: the plugin's is refused; "
        f"give it another name, such as {describe(f'{subject.name}_{name}')}"
    )
    return subject.at("PK108", item.module, item.node, message)


def _processed(subject: Subject, item: Contribution) -> Iterator[Finding]:
    """Look at the keys that a context processor returns."""
    if item.function is None or isinstance(item.function[1], ast.Lambda):
        return
    module, function = item.function
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            for key in node.value.keys:
                name = subject.modules.text(module, key)
                if key is not None and name in taken()["tcp"]:
                    message = (
                        f"the context name {describe(name)} is one that every application has: "
                        "the plugin's is left out; give it another name"
                    )
                    yield subject.at("PK108", module, key, message)
