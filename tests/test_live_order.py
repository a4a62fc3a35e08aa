"""What is enabled live stands among what others have where a start would have put it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, g, render_template_string, url_for
from hosts import Host, clean_imports, host
from werkzeug.routing import BuildError

__all__ = ["clean_imports", "host"]

PLUGIN = """
from flask import Blueprint, g

def note(what):
    g.seen = [*g.get("seen", ()), {name!r} + " " + what]

def build(error, endpoint, values):
    note("build")
    raise error

def values(endpoint, values):
    note("values")

def defaults(endpoint, values):
    note("defaults")
    values["who"] = {name!r}

def down(error):
    seen.append({name!r} + " down")

seen = []

def on_app_ready(app):
    app.url_build_error_handlers.append(build)
    app.url_value_preprocessor(values)
    app.url_defaults(defaults)
    app.before_request(lambda: note("before"))
    app.teardown_appcontext(down)
    app.teardown_request(down)
    app.context_processor(lambda: dict(who={name!r}, {name}={name!r}))
    app.shell_context_processor(lambda: dict(who={name!r}))
    app.before_request_funcs.setdefault("own", []).append(lambda: note("own before"))
    app.url_value_preprocessors["own"].append(lambda endpoint, values: note("own values"))
    app.template_context_processors["own"].append(lambda: dict(own={name!r}))

def register():
    return {{"hep": {{"before_request": lambda: note("hep")}}}}
"""


def register(app: Any, name: str) -> None:
    """Let the application register the same."""

    def note(what: str) -> None:
        g.seen = [*g.get("seen", ()), f"{name} {what}"]

    def build(error: BuildError, endpoint: str, values: Any) -> str:
        note("build")
        raise error

    def defaults(endpoint: str, values: dict[str, Any]) -> None:
        note("defaults")
        values["who"] = name

    app.url_build_error_handlers.append(build)
    app.url_value_preprocessor(lambda endpoint, values: note("values"))
    app.url_defaults(defaults)
    app.before_request(lambda: note("before"))
    app.teardown_request(lambda error: app.config["SEEN"].append(f"{name} down"))
    app.teardown_appcontext(lambda error: app.config["SEEN"].append(f"{name} appcontext"))
    app.context_processor(lambda: {"who": name})
    app.shell_context_processor(lambda: {"who": name})
    blueprint = Blueprint("own", __name__) if name == "first" else app.blueprints["own"]
    app.before_request_funcs.setdefault("own", []).append(lambda: note("own before"))
    app.url_value_preprocessors["own"].append(lambda endpoint, values: note("own values"))
    app.template_context_processors["own"].append(lambda: {"own": name})
    if name == "first":
        blueprint.add_url_rule("/own", "page", page)
        app.register_blueprint(blueprint)


def page() -> str:
    """Build URLs and show all that was noted."""
    urls = [url_for("own.page")]
    with pytest.raises(BuildError):
        url_for("nowhere")
    return str([*g.seen, *urls, render_template_string("{{ who }} {{ own }}")])


def started(host: Host) -> Host:
    """An application that registers something before and after its plugins."""
    host.app.config["SEEN"] = []
    register(host.app, "first")
    host.start(live=False)
    register(host.app, "last")
    return host


def look(host: Host) -> dict[str, Any]:
    """Who was asked, in their order."""
    host.app.config["SEEN"].clear()
    for row in host.pm.plugins:
        if row.module is not None:
            vars(row.module)["seen"] = host.app.config["SEEN"]
    text = host.get("/own")
    return {
        "page": text,
        "down": list(host.app.config["SEEN"]),
        "shell": host.app.make_shell_context()["who"],
    }


def test_functions_of_plugins_stand_where_the_manager_was_made(host: Host) -> None:
    """Between those that the application registered before and after."""
    for name in "ab":
        host.plugin(name, PLUGIN.format(name=name), state="disabled")
    started(host)
    look(host)
    for switch in ("enable b", "enable a", "disable b", "disable a", "enable a"):
        which, name = switch.split()
        getattr(host.pm, f"{which}_plugin")(name)
        assert look(host) == look(started(host.twin())), switch
