"""Plugins for the conformance suite: good ones in both styles, and each way to be a bad one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

IMPORTS = """
import logging, os, signal, socket, sys, threading, time
import click
from flask import Blueprint, current_app, got_request_exception, render_template, request
from markupsafe import Markup, escape
"""

DICT = f"""
{IMPORTS}
blueprint = Blueprint("dictated", __name__)

@blueprint.get("/")
def index():
    return render_template("page.html", name=request.args.get("name", "you"))

@blueprint.get("/<int:number>/<word>")
def item(number, word):
    return {{"number": number, "word": word}}

@blueprint.get("/now")
def now():
    return str(time.monotonic())

class Sorry(Exception):
    def __init__(self, code, reason):
        self.reason = reason

@click.command()
def greet():
    click.echo("hello")

@click.group()
def more():
    pass

@more.command()
def deeper():
    pass

def after(response):
    response.headers["X-Dictated"] = "yes"
    return response

def price(value, currency="EUR"):
    return f"{{float(value):.2f}} {{currency}}"

def register():
    return {{
        "bep": {{"blueprint": blueprint, "prefix": "/dictated"}},
        "vep": {{"rule": "/dictated-more", "view_func": lambda: "more", "endpoint": "more"}},
        "tep": {{
            "nav": "10@nav.html",
            "card": "<b>{{{{ post.title|price('USD') if post.cost else post.title }}}}</b>",
            "list": "{{% for item in items %}}{{{{ item.name }}}}{{% endfor %}}",
        }},
        "hep": {{"after_request": after, "teardown_request": lambda error: None}},
        "filter": {{"price": price, "bold": lambda text: Markup("<b>{{}}</b>").format(text)}},
        "test": {{"dear": lambda value: float(value) > 10}},
        "global": {{"year": 2026, "add": lambda a, b: a + b}},
        "tcp": {{"today": lambda: "monday"}},
        "dcp": {{"counter": lambda: "<li>1</li>", "about": lambda post: escape(post)}},
        "errhandler": [
            {{"error": 404, "handler": lambda error: ("not here", 404)}},
            {{"error": Sorry, "handler": lambda error: ("sorry", 400)}},
        ],
        "cli": [greet, more],
        "signal": {{got_request_exception: lambda app, exception: None}},
    }}
"""

DECORATED = """
from typing import Annotated
from dataclasses import dataclass
from flask import render_template, request
from flask_pluginkit import Plugin

plugin = Plugin(__name__)

@plugin.route("/decorated/")
def index():
    return render_template("page.html", name=request.args.get("name", "you"))

@plugin.tep("card", order=10)
def card(post):
    return f"about {post.title}"

plugin.add_tep("nav", "nav.html", order=20)

@plugin.filter
def shout(text):
    return f"{text}!"

@plugin.dcp("counter")
def counter():
    return "<li>2</li>"

@plugin.context
def variables():
    return {"colour": "green"}

register = plugin.register
"""

FILES = {
    "templates/page.html": '{% extends "base.html" %}{% block content %}Hello {{ name }}'
    '{% include "part.html" %}{% endblock %}',
    "templates/part.html": "<i>{{ name }}</i>",
    "templates/nav.html": '<a href="/">{{ emit_assets("NAME", "look.css") }}</a>',
    "static/look.css": "b{}",
}
"""The files of both; NAME is that of the plugin."""

VIEW = """
from flask import Blueprint, current_app, render_template, request
from markupsafe import Markup
import click, logging, os, signal, socket, sys, threading

def view():
    return "text"

def add(**more):
    return {"vep": {"rule": "/NAME/", "view_func": view, "endpoint": "NAME"}, **more}

def register():
    return add()
"""
"""The beginning of every bad plugin, which ends with what is bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A plugin that breaks one rule."""

    breaks: str
    """The test of the suite that is to fail for it, and no other."""
    says: str
    """A part of what it is to say."""
    body: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    dunders: Mapping[str, object] = field(default_factory=dict)


def registers(more: str) -> str:
    """The code of a register() with further keys."""
    return f"def register():\n    return add({more})\n"


def ready(lines: str) -> str:
    """The code of an on_app_ready()."""
    body = "\n    ".join(lines.strip().splitlines())
    return f"def on_app_ready(app):\n    {body}\n"


def shown(lines: str) -> str:
    """The code of another view."""
    body = "\n    ".join(lines.strip().splitlines())
    return f"def view():\n    {body}\n"


IMPORT = "import_without_side_effects"

BAD = {
    "without_license": Bad(
        breaks="manifest", says="__license__ isn't there", dunders={"license": None}
    ),
    "misspelt": Bad(breaks="manifest", says="__requres__", dunders={"requres": {}}),
    "threading_early": Bad(
        breaks=IMPORT,
        says="starts a thread (__init__.py, line",
        body="threading.Thread(target=int).start()",
    ),
    "socket_early": Bad(breaks=IMPORT, says="makes a socket", body="socket.socket().close()"),
    "file_early": Bad(
        breaks=IMPORT,
        says="writes the file written (__init__.py, line",
        body="open('written', 'w').close()",
    ),
    "path_early": Bad(
        breaks=IMPORT,
        says="sys.path: left behind /pluginkit-nowhere",
        body="'/pluginkit-nowhere' in sys.path or sys.path.append('/pluginkit-nowhere')",
    ),
    "environment_early": Bad(
        breaks=IMPORT,
        says="changes the environment variable PLUGINKIT_EARLY",
        body="os.environ['PLUGINKIT_EARLY'] = '1'",
    ),
    "logging_early": Bad(
        breaks=IMPORT,
        says="handlers of the root logger",
        body="logging.getLogger().addHandler(logging.NullHandler())",
    ),
    "signal_early": Bad(
        breaks=IMPORT,
        says="signal handlers: left behind SIGUSR2",
        body="signal.signal(signal.SIGUSR2, print)",
    ),
    "taken_filter": Bad(
        breaks="names", says="filter 'upper'", body=registers("filter={'upper': str.upper}")
    ),
    "failing_view": Bad(
        breaks="routes", says="it raised KeyError: 'colour'", body=shown("return {}['colour']")
    ),
    "failing_hook": Bad(
        breaks="routes",
        says="GET /pluginkit-no-such-page of the host: it raised",
        body="def hook():\n    if 'no-such' in request.path: raise OSError\n"
        + registers("hep={'before_request': hook}"),
    ),
    "failing_tep": Bad(
        breaks="slots",
        says="the slot 'aside': ZeroDivisionError",
        body=registers("tep={'aside': '{{ 1 / 0 }}'}"),
    ),
    "failing_dcp": Bad(
        breaks="connections",
        says="the connection 'counter': ",
        body="def count(given):\n    raise LookupError\n" + registers("dcp={'counter': count}"),
    ),
    "failing_filter": Bad(
        breaks="functions",
        says="filter 'never': LookupError",
        body="def never(value):\n    raise LookupError\n" + registers("filter={'never': never}"),
    ),
    "failing_global": Bad(
        breaks="functions",
        says="global 'never': LookupError",
        body="def never():\n    raise LookupError\n" + registers("**{'global': {'never': never}}"),
    ),
    "failing_test": Bad(
        breaks="functions",
        says="test 'never': LookupError",
        body="def never(value, other):\n    raise LookupError\n"
        + registers("test={'never': never}"),
    ),
    "failing_command": Bad(
        breaks="commands",
        says="`flask failing_command tools --help` ended with 1: ImportError('lost')",
        body="class Lazy(click.Group):\n"
        "    def list_commands(self, context): return ['lost']\n"
        "    def get_command(self, context, name): raise ImportError(name)\n"
        + registers("cli=Lazy('tools')"),
    ),
    "failing_handler": Bad(
        breaks="error_handlers",
        says="the handler of 418: it raised AttributeError",
        body=registers("errhandler={418: lambda error: error.colour}"),
    ),
    "broken_template": Bad(
        breaks="templates",
        says="templates/unused.html, line 2",
        files={"templates/unused.html": "\n{% if %}"},
    ),
    "lost_include": Bad(
        breaks="templates",
        says="no template 'lost.html'",
        files={"templates/unused.html": "{% if no %}{% include 'lost.html' %}{% endif %}"},
    ),
    "safe_page": Bad(
        breaks="escaping",
        says="templates/page.html shows a value",
        body=shown("return render_template('page.html', title='text')"),
        files={"templates/page.html": "<h1>{{ title|safe }}</h1>"},
    ),
    "plain_tep": Bad(
        breaks="escaping",
        says="the slot 'aside' shows a value",
        body=registers("tep={'aside': 'aside.j2'}"),
        files={"templates/aside.j2": "<b>{{ post.body }}</b>"},
    ),
    "raw_view": Bad(
        breaks="escaping",
        says="GET /raw_view/?q=",
        body=shown("return '<p>' + request.args.get('q', '')"),
    ),
    "raw_filter": Bad(
        breaks="escaping",
        says="the filter 'raw' returns markup",
        body=registers("filter={'raw': lambda text: Markup(f'<b>{text}</b>')}"),
    ),
    "raw_dcp": Bad(
        breaks="escaping",
        says="the connection 'line' returns a value",
        body=registers("dcp={'line': lambda text: f'<li>{text}</li>'}"),
    ),
    "raw_handler": Bad(
        breaks="escaping",
        says="the handler of 418 shows",
        body=registers("errhandler={418: lambda error: (error.description, 418)}"),
    ),
    "lost_asset": Bad(
        breaks="static_files",
        says="templates/unused.html, line 1: no file static/lost.css",
        files={
            "templates/unused.html": "{% if no %}{{ emit_assets('NAME', 'lost.css') }}{% endif %}"
        },
    ),
    "shut_assets": Bad(
        breaks="static_files",
        says="answered 403",
        body="def hook():\n    if request.path.endswith('.css'): return 'no', 403\n"
        + registers("hep={'before_request': hook}"),
        files={"static/look.css": "b{}"},
    ),
    "staying_thread": Bad(
        breaks="comes_and_goes",
        says="threads: left behind",
        body="stop = threading.Event()\n"
        + ready("threading.Thread(target=stop.wait, name='stays', daemon=True).start()"),
    ),
    "staying_receiver": Bad(
        breaks="comes_and_goes",
        says="receivers of signals: left behind",
        body="from flask import request_tearing_down\n\ndef hear(app, **more): pass\n\n"
        + shown("request_tearing_down.connect(hear)\nreturn 'text'"),
    ),
    "staying_variable": Bad(
        breaks="comes_and_goes",
        says="environment variables: left behind PLUGINKIT_STAYS",
        body="import time\n" + ready("os.environ['PLUGINKIT_STAYS'] = str(time.time())"),
    ),
    "staying_setting": Bad(
        breaks="comes_and_goes",
        says="configuration: left behind MAX_CONTENT_LENGTH: '1000'",
        body=ready("app.config['MAX_CONTENT_LENGTH'] = 1000"),
    ),
    "staying_middleware": Bad(
        breaks="comes_and_goes",
        says="app.wsgi_app",
        body="class Middleware:\n"
        "    def __init__(self, inner): self.inner = inner\n"
        "    def __call__(self, *args): return self.inner(*args)\n"
        + ready("app.wsgi_app = Middleware(app.wsgi_app)"),
    ),
    "last_application": Bad(
        breaks="two_applications",
        says="shows something else while a second application runs",
        body="last = []\n"
        + ready("last[:] = [app.instance_path]")
        + shown("return str(last[-1] == current_app.instance_path)"),
    ),
    "counting": Bad(
        breaks="no_global_state",
        says="GET /counting/ isn't as it was in the first application",
        body="seen = []\n" + shown("seen.append(1)\nreturn str(len(seen))"),
    ),
}

ALONE = {
    "hooked": Bad(
        breaks="isolated",
        says='In __init__.py write: __permissions__ = ["responses", "storage"]',
        body="def after(response):\n    return response\n"
        + registers("hep={'after_request': after}"),
        dunders={"permissions": ["storage"]},
    ),
    "astray": Bad(
        breaks="isolated",
        says='__permissions__ = ["routes:/elsewhere"]',
        body="def register():\n"
        "    return {'vep': {'rule': '/elsewhere', 'view_func': view, 'endpoint': 'e'}}",
    ),
    "storing": Bad(
        breaks="isolated",
        says='__permissions__ = ["storage"]',
        body="from flask_pluginkit import LocalStorage\n"
        + shown("return str(LocalStorage().get('a', 1))"),
    ),
    "guarding": Bad(
        breaks="isolated",
        says='__permissions__ = ["requests", "requests:answer"]',
        body="def guard():\n    pass\n" + registers("hep={'before_request': guard}"),
    ),
    "scripting": Bad(
        breaks="isolated",
        says='__permissions__ = ["assets:script"]',
        files={"static/go.js": "go()"},
    ),
    "reading": Bad(
        breaks="isolated",
        says="FileNotFoundError",
        body=shown("return str(len(os.listdir('/root')))"),
    ),
}
"""Those that are to be tried in a sandbox."""
