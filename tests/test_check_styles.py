"""A plugin is understood however it is written: by dicts, decorators, or blueprints."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_pages import DUNDERS, INIT, told, write_project

from flask_pluginkit.checks.places import Place
from flask_pluginkit.checks.subjects import Subject

BY_DICT = """
from flask import request
from . import views


def guard():
    return None


def shout(text):
    return text.upper()


def register():
    return {
        "tep": {"nav": "10@<b>hello</b>"},
        "hep": {"before_request": guard},
        "vep": [{"rule": "/hello/", "view_func": views.index, "endpoint": "index"}],
        "filter": {"hello_shout": shout},
        "tcp": {"hello_word": "hi"},
        "dcp": {"counter": shout},
        "errhandler": {404: shout},
        "p3": {"other": {"tep": shout}},
    }
"""

BY_CALLS = """
from flask import request
from . import views


def guard():
    return None


def shout(text):
    return text.upper()


def register():
    result = dict(
        tep=dict(nav="10@<b>hello</b>"),
        hep=dict(before_request=guard),
        vep=dict(rule="/hello/", view_func=views.index, endpoint="index"),
        filter=[("hello_shout", shout)],
        tcp=dict(hello_word="hi"),
        dcp=[dict(event="counter", callback=shout)],
        errhandler=[dict(error=404, handler=shout)],
    )
    result["p3"] = {"other": {"tep": shout}}
    return result
"""

BY_DECORATORS = """
from flask import request
from flask_pluginkit import Plugin
from . import views

plugin = Plugin(__name__, url_prefix="/hello")
register = plugin.register
plugin.add_url_rule("/", "index", views.index)
plugin.add_tep("nav", "<b>hello</b>", order=10)
plugin.add_context(hello_word="hi")


@plugin.before_request
def guard():
    return None


@plugin.filter("hello_shout")
@plugin.dcp("counter")
@plugin.errorhandler(404)
@plugin.preprocess("other", "tep")
def shout(text):
    return text.upper()
"""

VIEWS = "def index():\n    return 'hello'\n"


def subject(root: Path, init: str) -> Subject:
    """What is known of the plugin hello with this ``__init__.py``."""
    project = write_project(root, {"hello/__init__.py": init, "hello/views.py": VIEWS})
    folder = (project / INIT).parent
    return Subject(Place(folder=folder, shown="hello", project=None))


@pytest.mark.parametrize("init", [BY_DICT, BY_CALLS, BY_DECORATORS])
def test_all_ways_to_register_are_one(tmp_path: Path, init: str) -> None:
    """Kinds, names and functions are the same."""
    found = subject(tmp_path, DUNDERS + init).registered
    items = {(item.kind, item.name) for item in found.items} - {("key", None)}
    rows = {(kind, name) for kind, name in items if kind not in {"key", "p3"}}
    rule = "/" if init is BY_DECORATORS else "/hello/"
    assert rows == {
        *(("tep", "nav"), ("hep", "before_request"), ("vep", rule), ("filter", "hello_shout")),
        *(("tcp", "hello_word"), ("dcp", "counter"), ("errhandler", None), ("p3 kind", "tep")),
    }
    functions = {
        getattr(item.function[1], "name", None) for item in found.items if item.function is not None
    }
    assert (functions, found.is_whole) == ({"guard", "shout", "index"}, True)


HOOKS = {
    "dict": "def register():\n    return {'hep': {'before_request': slow}}\n",
    "decorator": (
        "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n"
        "register = plugin.register\nplugin.before_request(slow)\n"
    ),
    "blueprint": (
        "from flask import Blueprint\nbp = Blueprint('hello', __name__)\n"
        "bp.before_app_request(slow)\n\n\ndef register():\n"
        "    return {'bep': {'blueprint': bp, 'prefix': None}}\n"
    ),
    "blueprint of a plugin": (
        "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n"
        "register = plugin.register\nplugin.blueprint.before_app_request(slow)\n"
    ),
}


@pytest.mark.parametrize("way", HOOKS)
def test_a_slow_hook_is_found_however_it_is_registered(tmp_path: Path, way: str) -> None:
    """By every way to have a function run at every request."""
    init = f"import time\n\n\ndef slow():\n    time.sleep(1)\n\n\n{HOOKS[way]}"
    assert told(tmp_path, init) == ["PK301"]


def test_a_hook_of_a_blueprint_s_own_views_may_be_slow(tmp_path: Path) -> None:
    """It keeps nobody else waiting."""
    init = (
        "import time\nfrom flask import Blueprint\nbp = Blueprint('hello', __name__)\n\n\n"
        "@bp.before_request\ndef slow():\n    time.sleep(1)\n\n\n"
        "def register():\n    return {'bep': {'blueprint': bp, 'prefix': '/hello'}}\n"
    )
    assert told(tmp_path, init) == []


def test_what_a_hook_calls_in_other_modules_is_followed(tmp_path: Path) -> None:
    """By the names that it is imported by, handed on or not."""
    files: dict[str, str | None] = {
        "hello/slow.py": "from time import sleep as wait\n\n\ndef call():\n    wait(1)\n",
        "hello/between.py": "from .slow import call as forward\n",
    }
    init = (
        "from .between import forward\n\n\ndef hook():\n    forward()\n\n\n"
        "def register():\n    return {'hep': {'after_request': hook}}\n"
    )
    assert told(tmp_path, init, files) == ["PK301"]


def test_routes_of_a_plugin_object_have_its_prefix(tmp_path: Path) -> None:
    """So that none of them needs a permission."""
    init = (
        "from flask_pluginkit import Plugin\nplugin = Plugin(__name__, url_prefix='/hello')\n"
        "register = plugin.register\n\n\n@plugin.get('/')\ndef index():\n    return 'hello'\n"
    )
    assert told(tmp_path, init, isolated=True) == []


def test_endpoints_of_a_plugin_object_are_known(tmp_path: Path) -> None:
    """They are those of its blueprint, which has the name of the folder."""
    init = (
        "from flask import url_for\nfrom flask_pluginkit import Plugin\n"
        "plugin = Plugin(__name__)\nregister = plugin.register\n\n\n"
        "@plugin.get('/hello')\ndef index():\n    return url_for('hello.index')\n\n\n"
        "@plugin.get('/hello/a')\ndef other():\n    return url_for('hello.indx')\n"
    )
    assert told(tmp_path, init) == ["PK106"]


def test_templates_that_a_plugin_object_renders_are_looked_for(tmp_path: Path) -> None:
    """By its own method, as by Flask's function."""
    init = (
        "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n"
        "register = plugin.register\n\n\n@plugin.tep('nav')\n"
        "def nav():\n    return plugin.render('gone.html')\n"
    )
    assert told(tmp_path, init) == ["PK104"]


def items_of(root: Path, init: str) -> set[tuple[str, str | None]]:
    """Kinds and names of what is registered, without the keys of the dict."""
    found = subject(root, DUNDERS + init).registered
    return {(item.kind, item.name) for item in found.items if item.kind != "key"}


KINDS: dict[str, tuple[str, set[tuple[str, str | None]]]] = {
    "a list of functions and pairs": (
        "def a(x): ...\n\n\ndef register():\n    return {'filter': [a, ('b', a)], 'test': (a,)}\n",
        {("filter", "a"), ("filter", "b"), ("test", "a")},
    ),
    "signals by their names": (
        (
            "import flask\nfrom flask import request_started\n\n\ndef a(x): ...\n\n\n"
            "def register():\n"
            "    return {'signal': {request_started: a, flask.request_finished: a}}\n"
        ),
        {("signal", "request_started"), ("signal", "request_finished")},
    ),
    "commands, one or several": (
        (
            "import click\n\n\n@click.command('greet')\ndef a(): ...\n\n\n@click.command\n"
            "def b(): ...\n"
            "\n\ndef register():\n    return {'cli': [a, b, c]}\n"
        ),
        {("cli", "greet"), ("cli", None)},
    ),
    "a class with its rule": (
        (
            "from flask.views import View\n\n\nclass A(View): ...\n\n\ndef register():\n"
            "    return {'cvep': {'view_class': A, 'rule': '/a'}}\n"
        ),
        {("cvep", "/a")},
    ),
    "a blueprint and what it adds": (
        (
            "from flask import Blueprint\n"
            "bp = Blueprint('shop', __name__, url_prefix='/shop')\n\n\n"
            "@bp.app_template_filter('money')\ndef a(x): ...\n\n\n"
            "@bp.app_template_test()\ndef b(x): ...\n"
            "\n\n@bp.app_template_global\ndef c(): ...\n\n\nbp.add_app_template_filter(a, 'cash')\n"
            "bp.add_app_template_test(b)\nbp.add_url_rule('/x', view_func=a)\n\n\n"
            "@bp.app_errorhandler(404)\ndef d(e): ...\n\n\n"
            "@bp.errorhandler(ValueError)\ndef e(e): ...\n"
            "\n\n@bp.app_url_defaults\ndef f(e, v): ...\n\n\nbp.unheard_of()\n\n\n"
            "def register():\n    return dict(bep=dict(blueprint=bp, prefix=None))\n"
        ),
        {
            *(("filter", "money"), ("test", "b"), ("global", "c"), ("filter", "cash")),
            *(("vep", "/x"), ("errhandler", None), ("own errhandler", None), ("bep", "shop")),
            ("preprocessor", "app_url_defaults"),
        },
    ),
    "everything that a plugin object can": (
        (
            "from flask import request_started\nfrom flask.views import View\n"
            "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n"
            "register = plugin.register\n"
            "\n\nclass A(View): ...\n\n\nplugin.add_view(A, '/a')\n"
            "plugin.add_global(number=1)\n\n\n"
            "@plugin.connect(request_started)\ndef a(x): ...\n\n\n@plugin.context\n"
            "def b(): ...\n\n\n"
            "@plugin.test\ndef even(n): ...\n\n\n@plugin.global_()\ndef now(): ...\n\n\n"
            "@plugin.cli.command('greet')\ndef c(): ...\n\n\n@plugin.after_request\n"
            "def d(r): ...\n\n\n"
            "plugin.tep('nav')(d)\nplugin.settings(A)\nplugin.cli.get_command('x')\n"
        ),
        {
            *(("cvep", "/a"), ("global", "number"), ("signal", "request_started")),
            *(("context", None), ("test", "even"), ("global", "now"), ("cli", "greet")),
            *(("hep", "after_request"), ("tep", "nav")),
        },
    ),
    "a lambda as register": (
        "register = lambda: {'tcp': {'a': 1}}\n",
        {("tcp", "a")},
    ),
    "register of another module": (
        "from .views import other as register\n",
        {("tcp", "b")},
    ),
    "a plugin object of another module": (
        "from .views import plugin\n\n\ndef register():\n    return plugin.register()\n",
        {("tcp", "c")},
    ),
    "a blueprint of another module": (
        (
            "from . import views\n\n\ndef register():\n"
            "    return {'bep': {'blueprint': views.bp, 'prefix': '/there'}}\n"
        ),
        {("bep", "there"), ("tcp", "c")},
    ),
}

VIEWS_OF_ALL = (
    "from flask import Blueprint\nfrom flask_pluginkit import Plugin\n\n"
    "bp = Blueprint('there', 'x')\n"
    "\n\ndef index():\n    return 'hello'\n\n\ndef other():\n    return {'tcp': {'b': index}}\n\n\n"
    "plugin = Plugin(__package__)\nplugin.add_context(c=1)\n"
)


@pytest.mark.parametrize("name", KINDS)
def test_each_form_of_a_kind_is_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `kinds` would take it."""
    init, expected = KINDS[name]
    if "another module" in name:
        monkeypatch.setitem(globals(), "VIEWS", VIEWS_OF_ALL)
    found = items_of(tmp_path, init)
    assert found - {("tcp", "c")} == expected - {("tcp", "c")}
    assert expected <= found


@pytest.mark.parametrize(
    "body",
    [
        "register = input",
        "def register():\n    return made()",
        "def register():\n    return {**made()}",
        "def register():\n    return {'vep': made()}",
        "def register():\n    return {'vep': [made()]}",
        "def register():\n    return {'filter': made()}",
        "def register():\n    return {'tep': {'nav': made()}, KEY: 1}",
    ],
)
def test_what_can_not_be_read_is_not_taken_for_nothing(tmp_path: Path, body: str) -> None:
    """Rules that need to know everything are told that they don't, or nothing follows."""
    found = subject(tmp_path, f"{DUNDERS}{body}\n").registered
    assert not found.is_whole
