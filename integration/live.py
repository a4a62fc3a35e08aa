"""A site whose pages tell which state they saw, a load on it, and somebody who switches.

Every answer says "on" or "off" at each extension point that the plugin ``live`` uses: a page
that says both mixes two states. Times are those of the system's monotonic clock, which is the
same in all processes.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HOST = '''
import os, time
from flask import Flask, Response, abort, current_app, g, render_template_string, url_for
from flask import stream_with_context
from werkzeug.routing import BuildError
from flask_pluginkit import PluginManager

app = Flask(__name__)
manager = PluginManager(app, stpl=True, state_dir=os.environ.get("STATE_DIR"))

PAGE = """{{ emit_tep("nav") or "off" }} {{ emit_dcp("event") or "off" }} \\
{{ answer|default("off") }} {{ year|default("off") }} {% if "mark" is filter %}{{ "on"|mark }}\\
{% else %}off{% endif %} {% if "marked" is test %}{{ "on" if 1 is marked }}{% else %}off\\
{% endif %} {{ "on" if emit_assets("live", "a.txt", _raw=True) else "off" }} \\
{% if "mark" is filter %}{% from "macros.html" import say %}{{ say() }}{% else %}off{% endif %}"""


@app.route("/page")
def page():
    seen = render_template_string(PAGE).split()
    try:
        seen.append("on" if url_for("live.index") else "?")
    except BuildError:
        seen.append("off")
    for name in ("hooked", "signalled", "valued"):
        seen.append(g.get(name, "off"))
    seen.append("on" if "live" in current_app.blueprints else "off")
    seen.append("on" if "live" in current_app.cli.commands else "off")
    time.sleep(0.001)  # lets another request in between
    seen += render_template_string(PAGE).split()
    return {"pid": os.getpid(), "seen": seen}


@app.route("/stream")
def stream():
    def parts():
        for _ in range(5):
            time.sleep(0.004)
            yield render_template_string(PAGE) + " "
    return Response(stream_with_context(parts()), mimetype="text/plain")


@app.errorhandler(418)
def teapot(error):
    return "off"


@app.route("/teapot")
def raise_teapot():
    abort(418)


@app.route("/switch/<what>", methods=["POST"])
def switch(what):
    change = getattr(manager, f"{what}_plugin")("live")
    return {"at": time.monotonic(), "generation": change.generation, "silent": change.silent}


@app.route("/workers")
def workers():
    return {"text": str(manager.workers()), "health": manager.health().as_dict()}


@app.route("/<path:rest>")
def rest(rest):
    return "off"
'''

MACROS = "{% macro say() %}{{ 'on'|mark }}{% endmacro %}"

PLUGIN = """
import click
from flask import Blueprint, g, request_started

__plugin_name__ = "live"
__version__ = "1.0.0"
__author__ = "Somebody"

blueprint = Blueprint("live", __name__)
blueprint.add_url_rule("/live", "index", lambda: "on")

@blueprint.before_app_request
def value():
    g.valued = "on"

@click.command()
def count():
    print("counted")

def hook():
    g.hooked = "on"

def header(response):
    response.headers["X-Live"] = "on"
    return response

def signalled(sender, **values):
    g.signalled = "on"

def register():
    return {
        "tep": {"nav": "on"},
        "hep": {"before_request": hook, "after_request": header},
        "bep": {"blueprint": blueprint, "prefix": None},
        "vep": {"rule": "/view", "view_func": lambda: "on", "endpoint": "live_view"},
        "filter": {"mark": lambda value: value},
        "test": {"marked": lambda value: True},
        "global": {"answer": "on"},
        "tcp": {"year": "on"},
        "errhandler": {418: lambda error: "on"},
        "dcp": {"event": lambda: "on"},
        "signal": {request_started: signalled},
        "cli": [count],
    }
"""

SWITCHER = """
import json, sys, time
from site_of_live import app, manager
for line in sys.stdin:
    what, *rest = line.split()
    begun = time.monotonic()
    try:
        with app.app_context():
            change = getattr(manager, f"{what}_plugin")(*(rest or ["live"]))
        told = {"generation": change.generation, "silent": change.silent}
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"begun": begun, "at": time.monotonic(), **told}), flush=True)
"""

PATHS = ("/page", "/live", "/page", "/teapot", "/view", "/page", "/assets/live/a.txt", "/stream")


def write_site(folder: Path, others: int = 0) -> Path:
    """Write the site, with `others` more plugins, and return its folder."""
    folder.mkdir(parents=True)
    (folder / "site_of_live.py").write_text(HOST)
    (folder / "templates").mkdir()
    (folder / "templates" / "macros.html").write_text(MACROS)
    write_plugin(folder, "live", PLUGIN)
    (folder / "plugins" / "live" / "static").mkdir()
    (folder / "plugins" / "live" / "static" / "a.txt").write_text("on")
    for number in range(others):
        name = f"other{number}"
        source = PLUGIN.replace("live", name)
        for old in ("mark", "marked", "answer", "year", "/view"):
            source = source.replace(f'"{old}"', f'"{old}_{name}"')
        source = source.replace("418", "417").replace('"nav"', '"other"')
        source = source.replace('"event"', '"other"')
        write_plugin(folder, name, source)
    return folder


def write_plugin(folder: Path, name: str, source: str) -> None:
    """Write a plugin into the site's folder."""
    place = folder / "plugins" / name
    place.mkdir(parents=True)
    (place / "__init__.py").write_text(source)


@dataclass
class Answer:
    """One answer, and when its request began and had ended."""

    path: str
    begun: float
    ended: float
    seen: frozenset[str]
    detail: str = ""


@dataclass
class Load:
    """Requests without a pause, from a few threads, until it is told to stop."""

    port: int
    threads: int = 6
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask for the length of the block."""
        self._stop = threading.Event()
        workers = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(self.threads)
        ]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self._stop.set()
            for worker in workers:
                worker.join()

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            path = PATHS[number % len(PATHS)]
            number += 1
            if number % 4 == 0:
                connection.close()  # the next one may be another worker's
            begun = time.monotonic()
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                body = response.read().decode()
                header = response.headers.get("X-Live", "off")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{path}: {type(error).__name__}: {error}")
                connection.close()
                continue
            ended = time.monotonic()
            seen = _seen(path, response.status, body)
            if seen is None:
                self.failures.append(f"{path}: {response.status}: {body[:2000]}")
            else:
                detail = f"{header} {body[:500]}"
                self.answers.append(Answer(path, begun, ended, seen | {header}, detail))
        connection.close()


def _seen(path: str, status: int, body: str) -> frozenset[str] | None:
    """What an answer says at each extension point, None if it is none."""
    if path.startswith("/assets"):
        return frozenset({{200: "on", 404: "off"}[status]}) if status in {200, 404} else None
    if status != 200:
        return None
    if path == "/page":
        return frozenset(json.loads(body)["seen"])
    return frozenset(body.split())


@dataclass
class Switched:
    """One switch: asked for at `begun`, returned at `at`."""

    wanted: str
    begun: float
    at: float


class Switcher:
    """A process of its own that switches, as the command line does."""

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SWITCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=env,
            text=True,
        )

    def __call__(self, what: str, *names: str) -> Switched:
        """Enable or disable, and tell when."""
        told = self.ask(what, *names)
        assert "error" not in told, told
        return Switched("on" if what == "enable" else "off", told["begun"], told["at"])

    def ask(self, what: str, *names: str) -> dict[str, float]:
        """Enable or disable, and return what came of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join([what, *names]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process that switches has ended"
        told: dict[str, float] = json.loads(line)
        return told

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def mixed(load: Load) -> list[Answer]:
    """The answers that show two states at once."""
    return [answer for answer in load.answers if len(answer.seen) != 1]


def late(load: Load, switches: list[Switched]) -> list[tuple[Answer, Switched]]:
    """The answers whose request began after a switch had returned, and that don't show it.

    While the next switch is on its way, both states are right.
    """
    found = []
    ordered = sorted(load.answers, key=lambda answer: answer.begun)
    position = 0
    for switch, following in zip(switches, [*switches[1:], None], strict=True):
        end = following.begun if following else float("inf")
        while position < len(ordered) and ordered[position].begun < switch.at:
            position += 1
        for answer in ordered[position:]:
            if answer.begun >= end:
                break
            if answer.ended < end and answer.seen != {switch.wanted}:
                found.append((answer, switch))
    return found
