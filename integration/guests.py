"""Plugins that nobody trusts, one for each thing that a site with such plugins promises."""

from __future__ import annotations

from isolated import HOST

SITE = (
    HOST
    + """
from flask import abort

app.config["PLUGINKIT_USER"] = lambda plugin, names: {"name": "Ada", "email": "secret"}

@app.after_request
def tell_who_answers(response):
    response.headers["X-Web-Worker"] = str(os.getpid())
    return response

@app.route("/teapot")
def teapot():
    abort(418)

@app.route("/shut")
def shut():
    return "open"

@app.route("/favicon.ico")
def icon():
    return "", 204

@app.route("/cookie")
def cookie():
    return "set", 200, {"Set-Cookie": "session=the-site's"}
"""
)

HEAD = """
__plugin_name__ = "{name}"
__version__ = "{version}"
__author__ = "Somebody"
__permissions__ = {permissions}
"""

GUEST = """
import os
from flask import Blueprint, abort, redirect, render_template, request, url_for

blueprint = Blueprint("guest", __name__)

@blueprint.route("/")
def index():
    return render_template("page.html")

@blueprint.route("/pid")
def pid():
    return str(os.getpid())

@blueprint.route("/version")
def version():
    return __version__

@blueprint.route("/form", methods=["POST"])
def form():
    files = {name: len(file.read()) for name, file in request.files.items()}
    return render_template("sent.html", form=request.form, files=files)

@blueprint.route("/stream")
def stream():
    return (f"{number}," for number in range(1000))

@blueprint.route("/away")
def away():
    return redirect(url_for("guest.version"))

@blueprint.route("/out")
def out():
    return redirect("https://example.org/")

def register():
    return {
        "bep": {"blueprint": blueprint, "prefix": "/guest"},
        "tep": {"nav": "nav.html", "hostile": "hostile.html"},
        "filter": {"shout": lambda text: f"{text.upper()}!"},
        "test": {"long": lambda text: len(text) > 3},
        "dcp": {"counter": lambda *words: f"<i>{len(words)}</i>"},
        "tcp": {"answer": 42},
        "global": {"year": 2026},
    }
"""

PAGE = """<!doctype html>
<html lang="en">
<title>the guest</title>
{{ emit_assets("guest", "guest.css") }}
<h1>hello from a sandbox</h1>
<p><img src="{{ emit_assets("guest", "dot.svg") }}" alt="a dot"></p>
<script>document.title = "a script ran"</script>
<form method="post" action="{{ url_for("guest.form") }}">
<label>Word <input name="word"></label> <button>Send</button>
</form>
</html>
"""

SENT = """<!doctype html>
<html lang="en"><title>sent</title>
<p>{{ form.word }}</p><p>{{ files }}</p>
</html>
"""

HOSTILE = """<b class="guest-bold" id="guest-id">a part of the guest's</b>
<script>document.title = "taken"</script>
<img src="x" onerror="document.title = 'taken'" alt="">
<svg onload="document.title = 'taken'"><script>document.title = "taken"</script></svg>
<a id="guest-link" href="javascript:document.title = 'taken'" onclick="document.title = 'taken'">a
link</a>
<style>main { display: none }</style>
<iframe src="/" srcdoc="<script>parent.document.title = 'taken'</script>"></iframe>
<form action="https://example.org/"><input name="password"></form>
<div id="content" class="site-button" hx-get="/do/disable/guest" data-x="y"
style="position: fixed; inset: 0">over it</div>
</nav></main></body></html><!-- <main id="content">false</main>
"""

GUEST_FILES = {
    "templates/nav.html": '<a href="{{ url_for("guest.index") }}">guest {{ answer }}</a>',
    "templates/page.html": PAGE,
    "templates/sent.html": SENT,
    "templates/hostile.html": HOSTILE,
    "static/guest.css": "h1 { color: rgb(10, 120, 60) }\nbody { font-family: sans-serif }\n",
    "static/dot.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
    '<circle cx="20" cy="20" r="18" fill="teal"/></svg>',
}

GUARD = """
from flask import request

def guard():
    if request.path == "/shut":
        return "shut by the guard", 403

def label(response):
    response.headers["Content-Language"] = "la"
    return response

def register():
    return {
        "hep": {"before_request": guard, "after_request": label},
        "errhandler": {418: lambda error: ("the guard's teapot", 418)},
    }
"""
GUARD_ASKS = ["requests:answer", "responses"]

KEEPER = """
import os, socket
from pathlib import Path
from flask import Blueprint, make_response, request
from flask_pluginkit import LocalStorage

blueprint = Blueprint("keeper", __name__)

@blueprint.route("/version")
def version():
    return __version__

@blueprint.route("/keep/<value>", methods=["POST"])
def keep(value):
    LocalStorage().set("value", value)
    Path(os.environ["HOME"], "value").write_text(value)
    return "kept"

@blueprint.route("/kept")
def kept():
    file = Path(os.environ["HOME"], "value")
    return {
        "stored": LocalStorage().get("value"),
        "file": file.read_text() if file.exists() else None,
        "home": os.environ["HOME"],
    }

@blueprint.route("/fill/<int:size>", methods=["POST"])
def fill(size):
    file = Path(os.environ["HOME"], "large")
    try:
        file.write_bytes(b"x" * size)
    except OSError as error:
        return {"error": str(error)}
    finally:
        file.unlink(missing_ok=True)
    return {"error": ""}

@blueprint.route("/connect/<host>/<int:port>")
def connect(host, port):
    try:
        with socket.create_connection((host, port), timeout=2):
            return {"error": ""}
    except OSError as error:
        return {"error": f"{type(error).__name__}: {error}"}

@blueprint.route("/user")
def user():
    return request.environ["pluginkit.user"]

@blueprint.route("/cookies")
def cookies():
    answer = make_response(dict(request.cookies))
    answer.set_cookie("keeper-mine", "1")
    answer.set_cookie("session", "taken")
    return answer

def register():
    return {"bep": {"blueprint": blueprint, "prefix": "/keeper"}}
"""

THIEF = """
import os
from pathlib import Path
from flask import Blueprint, request
from flask_pluginkit import LocalStorage

blueprint = Blueprint("thief", __name__)

def tried(call):
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}"

@blueprint.route("/look")
def look():
    home, state = request.args["home"], request.args["state"]
    return {
        "storage": tried(lambda: LocalStorage().get("value")),
        "listed": tried(lambda: os.listdir(home)),
        "read": tried(lambda: Path(home, "value").read_text()),
        "state": tried(lambda: os.listdir(state)),
        "kept": tried(lambda: os.listdir(f"{state}/sandbox-storage/keeper")),
    }

def register():
    return {"bep": {"blueprint": blueprint, "prefix": "/thief"}}
"""

SMALL = """
import os

def pid():
    return str(os.getpid())

def register():
    return {"vep": {"rule": "/NAME/pid", "view_func": pid, "endpoint": "NAME_pid"}}
"""


def files_of(
    name: str,
    body: str,
    *,
    version: str = "1.0.0",
    asks: list[str] | None = None,
    more: dict[str, str] | None = None,
) -> dict[str, str]:
    """The files of a plugin, by their paths in a site."""
    head = HEAD.format(name=name, version=version, permissions=asks or [])
    texts = {"__init__.py": head + body.replace("NAME", name), **(more or {})}
    return {f"plugins/{name}/{path}": text for path, text in texts.items()}
