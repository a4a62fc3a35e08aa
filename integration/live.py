"""A site whose pages tell which state they saw, servers for it, and somebody who switches.

Every answer says "on" or "off" at each extension point that the plugin ``live`` uses: a page
that says both mixes two states. Times are those of the system's monotonic clock, which is the
same in all processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from servers import free_port, running_gunicorn

FULL = os.environ.get("PLUGINKIT_SOAK") == "1"
"""Whether the sizes are those of `nox -s soak`; else about a tenth of them."""

PATIENCE = 20.0
"""Seconds after which something that should have happened long ago counts as not happening."""

HOST = '''
import json, os, time
from flask import Flask, Response, abort, current_app, g, render_template_string, request, url_for
from flask import stream_with_context
from werkzeug.routing import BuildError
from flask_pluginkit import PluginManager
from flask_pluginkit.live.gate import always_open

app = Flask(__name__)
app.config.from_prefixed_env("SITE")
manager = PluginManager(app, stpl=True, **json.loads(os.environ.get("OPTIONS", "{}")))

PAGE = """{{ emit_tep("nav") or "off" }} {{ emit_dcp("event") or "off" }} \\
{{ answer|default("off") }} {{ year|default("off") }} {% if "mark" is filter %}{{ "on"|mark }}\\
{% else %}off{% endif %} {% if "marked" is test %}{{ "on" if 1 is marked }}{% else %}off\\
{% endif %} {{ "on" if emit_assets("live", "a.txt", _raw=True) else "off" }} \\
{% if "mark" is filter %}{% from "macros.html" import say %}{{ say() }}{% else %}off{% endif %}"""


@app.route("/page")
def page():
    seen = render_template_string(PAGE).split()
    try:
        seen.append("on" if url_for("live.index") == "/live" else "?")
    except BuildError:
        seen.append("off")
    for name in ("hooked", "signalled", "valued"):
        seen.append(g.get(name, "off"))
    seen.append("on" if "live" in current_app.blueprints else "off")
    seen.append("on" if "live" in current_app.cli.commands else "off")
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    seen.append("on" if "/live" in rules else "off")
    time.sleep(0.001)  # lets another request in between
    seen += render_template_string(PAGE).split()
    return {"pid": os.getpid(), "seen": seen}


@app.route("/stream")
def stream():
    def parts():
        for _ in range(int(request.args.get("parts", 5))):
            time.sleep(0.004)
            yield render_template_string(PAGE) + " "
    return Response(stream_with_context(parts()), mimetype="text/plain")


@app.errorhandler(418)
def teapot(error):
    return "off"


@app.route("/teapot")
def raise_teapot():
    abort(418)


@app.route("/switch/<what>/<name>", methods=["POST"])
def switch(what, name):
    begun = time.monotonic()
    try:
        change = getattr(manager, f"{what}_plugin")(name)
        told = {"generation": change.generation, "changed": change.changed, "silent": change.silent}
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    return {"begun": begun, "at": time.monotonic(), **told}


@app.route("/state")
@always_open
def state():
    time.sleep(0.002)  # lets the other workers take the next question
    return {
        "pid": os.getpid(),
        "generation": manager.snapshot.generation,
        "plugins": {row.name: row.status.value for row in manager.plugins},
        "wanted": {row.name: row.wanted.value for row in manager.plugins},
        "tracebacks": {row.name: row.traceback for row in manager.plugins},
        "workers": str(manager.workers()),
        "pids": [report.pid for report in manager.workers().reports],
        "health": manager.health().as_dict(),
    }


@app.route("/rescan", methods=["POST"])
def rescan():
    return {"new": manager.rescan()}


@app.route("/reload", methods=["POST"])
def reload():
    manager.reload_workers()
    return "asked"


@app.route("/any/<path:rest>")
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
blueprint.add_url_rule("/any/live", "any", lambda: "on", methods=["GET", "POST"])
blueprint.add_url_rule("/folder/", "folder", lambda: "on")

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

SMALL = """
__plugin_name__ = "{name}"
__version__ = "1.0.0"
__author__ = "Somebody"
{code}
def register():
    return {{"vep": {{"rule": "/{name}", "view_func": lambda: "on", "endpoint": "{name}"}}}}
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
        told = {"generation": change.generation, "changed": change.changed, "silent": change.silent}
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"begun": begun, "at": time.monotonic(), **told}), flush=True)
"""


# the entry point would need an installed distribution
COMMAND_LINE = """
from flask.cli import FlaskGroup
from flask_pluginkit.cli import plugins
from site_of_live import app
group = FlaskGroup(create_app=lambda: app)
group.add_command(plugins)
group()
"""


def places_of_packages() -> list[str]:
    """Where this Python finds what is installed, for another one of the same version.

    Without the standard library: that of another build wouldn't fit.
    """
    own = (sys.base_prefix, sys.base_exec_prefix)
    return [
        each for each in sys.path if each and ("site-packages" in each or not each.startswith(own))
    ]


# ---- what is on the disk ---------------------------------------------------------------------


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
        for old in ("mark", "marked", "answer", "year", "/view", "/folder/", "event", "nav"):
            source = source.replace(f'"{old}"', f'"{old}_{name}"')
        source = source.replace("418", "417").replace("X-Live", "X-Other")
        for old in ("g.valued", "g.hooked", "g.signalled"):
            source = source.replace(old, f"g.{name}")
        source = source.replace("def count", f"def count_{name}").replace(
            "[count]", f"[count_{name}]"
        )
        write_plugin(folder, name, source)
    return folder


def write_plugin(folder: Path, name: str, source: str) -> Path:
    """Write a plugin into the site's folder, and return its own."""
    place = folder / "plugins" / name
    place.mkdir(parents=True)
    (place / "__init__.py").write_text(source)
    return place


def write_small_plugin(
    folder: Path, name: str, code: str = "", *, is_disabled: bool = False
) -> Path:
    """Write a plugin with a view at ``/<name>`` that says "on"; `code` runs at its import."""
    place = folder / "plugins" / name
    place.mkdir(parents=True)
    if is_disabled:
        (place / "DISABLED").touch()
    (place / "__init__.py").write_text(SMALL.format(name=name, code=code))
    return place


# ---- a site that is served -------------------------------------------------------------------


@dataclass
class Site:
    """The site, behind a server at a port of the loopback address."""

    folder: Path
    port: int
    env: Mapping[str, str]
    server: subprocess.Popen[bytes]

    def get(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        """Ask over a new connection, and return status and body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, method=method), timeout=40
            ) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def state(self) -> dict[str, Any]:
        """What one of the workers, whichever answers, knows."""
        status, body = self.get("/state")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def switch(self, what: str, name: str = "live") -> dict[str, Any]:
        """Let one of the workers enable or disable, and return what came of it."""
        status, body = self.get(f"/switch/{what}/{name}", method="POST")
        assert status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told

    def states(self, count: int = 4, *, without: int = 0) -> dict[int, dict[str, Any]]:
        """What each of `count` workers knows, by process; `without` one that is stopped."""
        found: dict[int, dict[str, Any]] = {}
        end = time.monotonic() + PATIENCE
        with ThreadPoolExecutor(8) as pool:
            while len(found) < count:
                assert time.monotonic() < end, f"only {sorted(found)} of {count} workers answer"
                for state in pool.map(lambda _: self.state(), range(8)):
                    assert state["pid"] != without
                    found[state["pid"]] = state
        return found

    def is_everywhere(self, name: str, status: str, count: int = 4) -> bool:
        """Tell whether the plugin `name` has this status in `count` workers."""
        return all(each["plugins"].get(name) == status for each in self.states(count).values())

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "gunicorn.log").read_text(errors="replace")


@contextmanager
def served(
    folder: Path,
    *options: str,
    workers: int = 4,
    threads: int = 4,
    env: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    **site_options: object,
) -> Iterator[Site]:
    """The site behind gunicorn; `site_options` are those of its PluginManager.

    `within` is a command that runs gunicorn.
    """
    full = {**os.environ, "OPTIONS": json.dumps(site_options), **(env or {})}
    port = free_port()
    words = ["--workers", str(workers), "--threads", str(threads), *options]
    target = "site_of_live:app"
    with running_gunicorn(folder, target, port, words, full, within=within) as server:
        yield Site(folder, port, full, server)


def wait_until(is_so: Callable[[], bool], *, seconds: float = PATIENCE) -> float:
    """Wait until something is so, and return for how long; fail if it doesn't come."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() < begun + seconds, f"not within {seconds:g} seconds"
        time.sleep(0.01)
    return time.monotonic() - begun


# ---- switching -------------------------------------------------------------------------------


@dataclass
class Switched:
    """One switch: asked for at `begun`, returned at `at`."""

    wanted: str
    begun: float
    at: float

    @classmethod
    def of(cls, what: str, told: Mapping[str, Any]) -> Switched:
        """From what a process or a worker that switches tells."""
        assert "error" not in told, told
        return cls("on" if what == "enable" else "off", told["begun"], told["at"])


@dataclass
class Switcher:
    """A process of its own that switches, as the command line does."""

    folder: Path
    env: Mapping[str, str] | None = None
    command: list[str] = field(default_factory=lambda: [sys.executable])

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self.command, "-c", SWITCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=self.env,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)

    def __call__(self, what: str, *names: str) -> Switched:
        """Enable or disable, and tell when."""
        return Switched.of(what, self.ask(what, *names))

    def ask(self, what: str, *names: str) -> dict[str, Any]:
        """Enable or disable, and return what came of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join([what, *names]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process that switches has ended"
        told: dict[str, Any] = json.loads(line)
        return told


def flask_plugins(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``flask plugins ...`` for the site."""
    command = [sys.executable, "-c", COMMAND_LINE, "plugins", *words]
    return subprocess.run(
        command, cwd=site.folder, env=site.env, capture_output=True, text=True, check=False
    )
