"""Applications with plugins in processes of their own, and nothing left of them afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask, render_template_string
from trees import write_plugin

from flask_pluginkit import PluginManager
from flask_pluginkit.isolation.client.control import Control
from flask_pluginkit.isolation.hosting import Hosting
from flask_pluginkit.loading import forget, module_name

PLUGIN = """
import os, time
from flask import Blueprint, abort, current_app, redirect, request, url_for

blueprint = Blueprint("guest", __name__)
seen = []

@blueprint.route("/")
def index():
    current_app.logger.warning("asked for %s", request.full_path)
    return f"hello {request.args.get('name', 'you')} at {url_for('guest.index')}"

@blueprint.route("/form", methods=["POST"])
def form():
    return {"form": request.form, "files": {k: len(f.read()) for k, f in request.files.items()}}

@blueprint.route("/headers")
def headers():
    return dict(request.headers), 200, {"X-Accel-Redirect": "/etc", "Set-Cookie": "a=b"}

@blueprint.route("/stream")
def stream():
    return (f"{number}," for number in range(1000))

@blueprint.route("/away")
def away():
    return redirect(url_for("guest.index"))

@blueprint.route("/abort/<int:code>")
def aborts(code):
    abort(code, "told")

@blueprint.route("/boom")
def boom():
    raise ValueError("kaboom")

@blueprint.route("/own")
def own():
    raise LookupError

@blueprint.errorhandler(LookupError)
def looked(error):
    return "handled", 409

@blueprint.route("/die")
def die():
    os._exit(3)

@blueprint.route("/hang")
def hang():
    time.sleep(60)

@blueprint.route("/pid")
def pid():
    return str(os.getpid())

def register():
    return {
        "bep": {"blueprint": blueprint, "prefix": "/guest"},
        "tep": {"nav": "20@nav.html", "foot": "<b>{{ word }}</b>", "bad": "{{ 1 / 0 }}"},
        "filter": {"shout": shout},
        "test": {"long": lambda text: len(text) > 3},
        "dcp": {"counter": lambda *words: f"<i>{len(words)}</i>"},
        "tcp": {"answer": 42},
        "global": {"year": 2026},
        "signal": [],
    }

def shout(text):
    seen.append(text)
    return f"{text.upper()}{len(seen)}"
"""

NAV = '<a href="{{ url_for("guest.index") }}">{{ request.path }}</a>{{ answer }}'


class Site:
    """An application and what a test does to it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.app = Flask("site", root_path=str(folder))
        self.app.config.update(
            PLUGINKIT_SANDBOX_DEADLINE=options.pop("deadline", 5),
            **options.pop("config", {}),
        )
        self.app.add_url_rule("/page", "page", self.page)
        self.template = ""
        self.manager = PluginManager(
            self.app,
            plugins_base=folder,
            state_dir=folder / "state",
            strict=False,
            **{"isolation": "process", **options},
        )
        self.client = self.app.test_client()

    def page(self) -> str:
        """Render the template of the test, as a page of the site."""
        return render_template_string(self.template)

    def render(self, template: str) -> str:
        """Return what a page of the site with this template shows."""
        self.template = template
        return self.client.get("/page").get_data(as_text=True)

    def row(self, name: str = "guest") -> Any:
        """Return what is known of a plugin."""
        return next(row for row in self.manager.plugins if row.name == name)

    def close(self) -> None:
        """Let go of the supervisor, and wait until it has ended; forget what was imported."""
        for row in self.manager.plugins:
            forget(module_name(row.candidate))
        hosting = self.manager._site().hosting
        if hosting._control is None:
            return
        pids = [one.pid for one in self.manager.plugin_processes()]
        hosting.keep(())
        hosting._control.close()
        deadline = time.monotonic() + 15
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            assert time.monotonic() < deadline, f"left behind: {pids}"
            time.sleep(0.02)


def guest(folder: Path, body: str = PLUGIN, **dunders: Any) -> Path:
    """Write the plugin that is a guest in other tests."""
    return write_plugin(
        folder / "plugins", "guest", body, files={"templates/nav.html": NAV}, **dunders
    )


def impatient(hosting: Hosting) -> Control:
    """Connect to a supervisor that ends soon after its last application."""
    control = NEW_CONTROL(hosting)
    control.settings = msgspec.structs.replace(control.settings, grace=0.05, linger=0.2)
    return control


NEW_CONTROL = Hosting._new_control


@pytest.fixture(autouse=True, scope="module")
def _impatient() -> Iterator[None]:
    """Don't let tests wait for what lingers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hosting, "_new_control", impatient)
        yield


@pytest.fixture(scope="module")
def site(_impatient: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("site")
    guest(folder)
    made = Site(folder)
    yield made
    made.close()


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Make sites of a test's own."""
    made: list[Site] = []

    def make(**options: Any) -> Site:
        made.append(Site(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
