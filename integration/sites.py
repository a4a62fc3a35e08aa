"""The site whose pages tell which state they saw, and its plugins, as they are on the disk."""

from __future__ import annotations

from pathlib import Path

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
    unfinished = folder / f"unfinished_{name}"  # it comes in one step: somebody may be looking
    unfinished.mkdir()
    if is_disabled:
        (unfinished / "DISABLED").touch()
    (unfinished / "__init__.py").write_text(SMALL.format(name=name, code=code))
    return unfinished.rename(folder / "plugins" / name)
