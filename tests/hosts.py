"""A host application in a folder of its own, to which a test gives plugins."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from trees import clean_imports, write, write_plugin
from werkzeug.test import TestResponse

from flask_pluginkit import PluginManager
from flask_pluginkit.snapshot import Plugin

__all__ = [
    "EXTENSION",
    "VIEWS",
    "Host",
    "blueprint_plugin",
    "clean_imports",
    "host",
    "ready",
    "views",
]


class Host:
    """One application, its folder, and after `start` its manager."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.app = Flask(
            "host", root_path=str(folder), instance_path=str(folder / "instance"), **options
        )
        self.manager: PluginManager | None = None

    @property
    def pm(self) -> PluginManager:
        """The manager that `start` made."""
        assert self.manager is not None, "call start() first"
        return self.manager

    def plugin(self, name: str, body: str, **rest: Any) -> Path:
        """Write a plugin into the application's folder; see `trees.write_plugin`."""
        return write_plugin(self.folder / "plugins", name, body, **rest)

    def template(self, name: str, text: str) -> Path:
        """Write a template of the application itself."""
        return write(self.folder / "templates" / name, text)

    def start(self, *, strict: bool | None = True, **options: Any) -> PluginManager:
        """Load the plugins; what could be contained is raised, unless `strict` says otherwise."""
        self.manager = PluginManager(self.app, strict=strict, **options)
        return self.manager

    def open(self, path: str, method: str = "GET", **rest: Any) -> TestResponse:
        """Send a request and return the response."""
        return self.app.test_client().open(path, method=method, **rest)

    def get(self, path: str, **rest: Any) -> str:
        """Return the text at `path`."""
        return self.open(path, **rest).get_data(as_text=True)

    def render(self, source: str) -> str:
        """Render template code as the application."""
        with self.app.app_context():
            return self.app.jinja_env.from_string(source).render()

    def row(self, name: str) -> Plugin:
        """What the manager tells about a plugin."""
        return next(plugin for plugin in self.pm.plugins if plugin.name == name)

    def module(self, name: str) -> ModuleType:
        """The module of a loaded plugin."""
        module = self.row(name).module
        assert module is not None
        return module

    def twin(self, **options: Any) -> Host:
        """A second application with the same folder, and so with the same plugins."""
        return Host(self.folder, **options)


VIEWS = """
from flask import Blueprint, abort, jsonify, render_template, request, url_for

def hello(**values):
    return "hello " + str(sorted(values.items()))

def where():
    return f"{request.endpoint} {request.blueprint} {request.url_rule}"
"""


def views(value: str, **rest: str) -> str:
    """A plugin with this vep, and other extension points."""
    pairs = "".join(f", {key!r}: {text}" for key, text in rest.items())
    return f"{VIEWS}\ndef register():\n    return {{'vep': {value}{pairs}}}\n"


def ready(body: str, parameters: str = "app", register: str = "{}") -> str:
    """A plugin with this on_app_ready()."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"""
from flask import Blueprint, current_app, g, request

seen = []

def on_app_ready({parameters}):
{lines}

def register():
    return {register}
"""


EXTENSION = """
class Extension:
    def init_app(self, app):
        app.extensions["shop"] = self
        app.config.setdefault("SHOP_NAME", "corner shop")
        app.before_request(self.open)
        app.after_request(self.close)
        app.teardown_request(lambda error: seen.append("teardown"))
        app.teardown_appcontext(lambda error: seen.append("appcontext"))
        app.context_processor(lambda: {"shop_name": app.config["SHOP_NAME"]})
        app.shell_context_processor(lambda: {"shop": self})
        app.jinja_env.filters["price"] = lambda value: f"{value} EUR"
        app.jinja_env.tests["cheap"] = lambda value: value < 10
        app.jinja_env.globals["hours"] = lambda: "9-5"
        app.template_filter("euro")(lambda value: f"EUR {value}")
        app.cli.command("stock")(self.stock)
        app.errorhandler(418)(lambda error: ("tea", 418))
        app.url_defaults(lambda endpoint, values: values.setdefault("shop", 1))
        app.url_value_preprocessor(lambda endpoint, values: seen.append(f"values {endpoint}"))
        app.route("/shop")(self.index)
        blueprint = Blueprint("cart", __name__)
        blueprint.add_url_rule("/cart", "cart", lambda: "cart")
        app.register_blueprint(blueprint)
        app.url_build_error_handlers.append(lambda error, endpoint, values: f"/no/{endpoint}")

    def open(self):
        seen.append("before")

    def close(self, response):
        response.headers["X-Shop"] = "closed"
        return response

    def stock(self):
        print("stock of", current_app.name)

    def index(self):
        return "shop"

extension = Extension()
"""


def blueprint_plugin(name: str, bep: str = "", body: str = "", **rest: str) -> str:
    """A plugin with a blueprint `name` that has a view at ``/`` and notes what it is asked."""
    pairs = "".join(f", {key!r}: {text}" for key, text in rest.items())
    return f"""
from flask import Blueprint, current_app, g, redirect, render_template, request, url_for

blueprint = Blueprint({name!r}, __name__)

@blueprint.get("/")
def index(**values):
    return " ".join([request.endpoint, *getattr(g, "seen", ())])

@blueprint.before_request
def before():
    g.seen = [*getattr(g, "seen", ()), {name!r}]

{body}

def register():
    return {{"bep": {{"blueprint": blueprint, {bep}}}{pairs}}}
"""


@pytest.fixture
def host(tmp_path: Path, clean_imports: None) -> Host:
    """An application without plugins yet, below `tmp_path`."""
    return Host(tmp_path)
