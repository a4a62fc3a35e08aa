"""Input that nobody promised to send: odd types, odd exceptions, odd moments, odd requests."""

from __future__ import annotations

import logging
import sys
import types
from itertools import count
from typing import Any

import pytest
from collecting import collector_paused
from flask import render_template, render_template_string
from hosts import Host, clean_imports, host
from jinja2 import Template
from trees import write
from werkzeug.routing import Rule
from werkzeug.test import EnvironBuilder

from flask_pluginkit import PluginManager
from flask_pluginkit.exceptions import ParamError, PluginError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

LOG = logging.Logger("odd_input")  # noqa: LOG001 - pytest must not know it, see start_beside_good
LOG.addHandler(logging.NullHandler())

GOOD = """
def register():
    return {"tep": {"nav": "good"}, "vep": {"rule": "/good", "view_func": lambda: "good",
            "endpoint": "good"}}
"""


@pytest.fixture
def app_module(host: Host, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module ``odd_host``, from which plugins import the host's application ``app``."""
    module = types.ModuleType("odd_host")
    module.app = host.app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "odd_host", module)
    return module


def start_beside_good(host: Host, body: str, **rest: Any) -> None:
    """Start a host with the plugin ``odd`` and a good one, that contains what can be.

    Its log is its own: pytest's refuses records whose exceptions can't be shown.
    """
    host.plugin("good", GOOD)
    host.plugin("odd", body, **rest)
    host.start(strict=False, logger=LOG)


# ---- what register() returns -----------------------------------------------------------------

TEXT = """
import odd_host

class Text(str):
    def __hash__(self):
        odd_host.refuse()
        return str.__hash__(self)

    def __eq__(self, other):
        odd_host.refuse()
        return str.__eq__(self, other)

    def __getitem__(self, index):
        raise RuntimeError("no text")

    def endswith(self, *args):
        return True

def view():
    return "odd"

def register():
    return {value}
"""
ODD_TEXTS = [
    "{'tep': {Text('nav'): 'odd', Text('foot'): 'odd'}}",
    "{'tep': {'nav': Text('1@odd')}}",
    "{'filter': {Text('odd'): str}}",
    "{'filter': [(Text('odd'), str)]}",
    "{'test': {Text('odd'): bool}}",
    "{'tcp': {Text('odd'): 1, Text('other'): 1}}",
    "{'global': {Text('odd'): 1}}",
    "{'vep': {'rule': '/odd', 'view_func': view, 'endpoint': Text('odd')}}",
    "{'vep': {'rule': Text('/odd'), 'view_func': view, 'endpoint': 'odd'}}",
    "{'dcp': {Text('odd'): str}}",
    "{'dcp': {'event': Text('odd'), 'callback': str}}",
]


@pytest.mark.parametrize("value", ODD_TEXTS)
def test_texts_of_their_own_kind_harm_no_other_plugin(
    host: Host, app_module: types.ModuleType, value: str
) -> None:
    """A subclass of str whose methods fail, at whichever of their calls, costs its plugin only."""
    host.plugin("good", GOOD)
    host.plugin("odd", TEXT.replace("{value}", value))
    for calls in count():
        left = iter(range(calls))
        app_module.refuse = left.__next__  # type: ignore[attr-defined]
        twin = host.twin()
        twin.start(strict=False)
        assert twin.get("/good") == "good", f"{calls} calls before it fails"
        assert "good" in twin.render("{{ emit_tep('nav') }}{{ emit_dcp('odd') }}")
        if next(left, None) is not None:
            break


def test_an_exception_class_that_is_no_key_fails_its_plugin(host: Host) -> None:
    """And not the look-ups of the application's handlers."""
    start_beside_good(
        host,
        """
        class Meta(type):
            def __hash__(cls):
                raise RuntimeError("no key")

        class Odd(Exception, metaclass=Meta):
            pass

        def register():
            return {"errhandler": [{"error": Odd, "handler": str}]}
        """,
    )
    assert host.get("/good") == "good"
    assert "RuntimeError: no key" in host.row("odd").reason


def test_a_proxy_that_leads_nowhere_yet_is_a_value(host: Host) -> None:
    """What stands behind a context-local proxy is asked when a template uses it."""
    start_beside_good(
        host,
        """
        from werkzeug.local import LocalProxy

        found = {}

        def register():
            return {"tcp": {"odd": LocalProxy(lambda: found["it"])}}
        """,
    )
    assert host.row("odd").status is Status.ACTIVE
    host.module("odd").found["it"] = "there"
    with host.app.test_request_context():
        assert render_template_string("{{ odd }}") == "there"


def test_a_rule_for_building_only_takes_no_route(host: Host) -> None:
    """It matches nothing, and so both the host's rule and this one can be had."""
    host.app.add_url_rule("/", "page", lambda: "host")
    start_beside_good(
        host,
        """
        def register():
            return {"vep": {"rule": "/", "view_func": str, "endpoint": "odd", "build_only": True}}
        """,
    )
    assert host.get("/") == "host"
    assert host.pm.conflicts == ()
    with host.app.test_request_context():
        assert host.app.url_for("odd") == "/"


def test_a_plugin_may_be_called_as_the_application_is(host: Host) -> None:
    """Its name gives it nothing of what belongs to the application."""
    start_beside_good(
        host,
        """
        def register():
            return {
                "tcp": {"g": "odd"},
                "filter": {"upper": lambda text: "odd"},
                "vep": {"rule": "/odd/<path:filename>", "view_func": str, "endpoint": "static"},
            }
        """,
        plugin_name="the application",
    )
    assert host.open("/odd/x").status_code == 404
    assert sorted((conflict.kind, conflict.name) for conflict in host.pm.conflicts) == [
        ("context", "g"),
        ("endpoint", "static"),
        ("filter", "upper"),
    ]


# ---- exceptions ------------------------------------------------------------------------------

ERRORS = {
    "no text": "class Odd(Exception):\n    def __str__(self): raise RuntimeError",
    "slots": "class Odd(Exception):\n    __slots__ = ()",
    "no new attributes": (
        "class Odd(Exception):\n    def __setattr__(self, name, value): raise TypeError"
    ),
    "no attributes": "class Odd(Exception):\n    def __getattr__(self, name): raise RuntimeError",
    "group": "def Odd(): return ExceptionGroup('two', [ValueError(1), KeyError(2)])",
    "memory": "Odd = MemoryError",
    "stop": "Odd = StopAsyncIteration",
    "its own end": "class Odd(BaseException): pass",
    "cancelled": "from asyncio import CancelledError as Odd",
    "exit with an odd code": (
        "class Code:\n    def __repr__(self): raise RuntimeError\n"
        "def Odd(): return SystemExit(Code())"
    ),
}
POINTS = {
    "tep": ("{'tep': {'nav': '{{ thing.fail() }}'}, 'tcp': {'thing': Thing()}}", 1),
    "tcp": ("{'tep': {'nav': '{{ fail() }}'}, 'tcp': {'fail': fail}}", 1),
    "filter": ("{'tep': {'nav': '{{ 1|fail }}'}, 'filter': {'fail': fail}}", 1),
    "dcp": ("{'dcp': {'event': fail}}", 1),
    "after_request": ("{'hep': {'after_request': fail}}", 1),
    "teardown_request": ("{'hep': {'teardown_request': fail}}", 1),
}
FAILING = """
{error}

def fail(*args):
    raise Odd()

class Thing:
    fail = staticmethod(fail)

def register():
    return {value}
"""


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("debug", [False, True])
def test_whatever_is_raised_is_contained(host: Host, error: str, point: str, debug: bool) -> None:
    """Exceptions are code of the plugin too: noting and showing one must not fail."""
    value, count = POINTS[point]
    host.app.debug = debug
    host.app.add_url_rule(
        "/", "page", lambda: host.render("<{{ emit_tep('nav') }}{{ emit_dcp('event') }}>")
    )
    start_beside_good(host, FAILING.format(error=ERRORS[error], value=value))
    page = host.get("/")
    assert page.startswith("<good"), page
    assert page.endswith(">"), page
    assert sum(errors for _, errors in host.row("odd").counts.values()) == count
    assert host.row("odd").last_fault


@pytest.mark.parametrize("error", ["its own end", "cancelled"])
def test_a_view_that_would_end_the_worker_fails_its_request(host: Host, error: str) -> None:
    """Threads of servers end with an exception that isn't an Exception."""
    value = "{'vep': {'rule': '/', 'view_func': fail}}"
    start_beside_good(host, FAILING.format(error=ERRORS[error], value=value))
    assert host.open("/").status_code == 500
    assert "RunError: plugin 'odd' raised" in host.row("odd").last_fault


def test_an_interrupt_passes(host: Host) -> None:
    """Who presses Ctrl-C while a plugin runs wants the program to end."""
    start_beside_good(
        host, FAILING.format(error="Odd = KeyboardInterrupt", value="{'filter': {'fail': fail}}")
    )
    with pytest.raises(KeyboardInterrupt):
        host.render("{{ 1|fail }}")


ENDLESS = """
from flask import current_app, render_template_string

calls = []

def again(*args):
    calls.append(1)
    if len(calls) > 5000:
        return "stopped"
    return render_template_string("{0} {0}")

def register():
    return {1}
"""


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ emit_dcp('event') }}", "{'dcp': {'event': again}}"),
        ("{{ 1|again }}", "{'filter': {'again': again}}"),
        ("{{ again() }}", "{'tcp': {'again': again}}"),
        ("{{ again() }}", "{'global': {'again': again}}"),
        ("{{ emit_tep('nav') }}", "{'tep': {'nav': '{{ 1|again }}'}, 'filter': {'again': again}}"),
    ],
)
def test_what_calls_itself_for_ever_is_stopped_once(host: Host, source: str, value: str) -> None:
    """Contained where it began, two calls that each make two more would never end."""
    body = ENDLESS.replace("{0}", source).replace("{1}", value)
    start_beside_good(host, body)
    with host.app.test_request_context(), collector_paused():
        assert render_template_string(f"<{source}>").replace("good", "") == "<>"
    assert 10 < len(host.module("odd").calls) < 1000


# ---- odd moments -----------------------------------------------------------------------------

LOOK = "import odd_host; odd_host.app.test_client().get('/nothing')"
EARLY = {
    "import": f"{LOOK}\ndef register(): return {{}}",
    "register()": f"def register():\n    {LOOK}\n    return {{}}",
    "on_app_ready": f"def on_app_ready(app): {LOOK}\ndef register(): return {{}}",
    "a blueprint": (
        "from flask import Blueprint\n"
        f"def look(state): {LOOK}\n"
        "bp = Blueprint('odd', __name__)\n"
        "bp.record(look)\n"
        "def register(): return {'bep': {'blueprint': bp, 'prefix': '/odd'}}"
    ),
}


@pytest.mark.parametrize("moment", EARLY)
def test_a_plugin_may_send_a_request_while_it_is_loaded(
    host: Host, app_module: types.ModuleType, moment: str
) -> None:
    """The host's set-up isn't over for that, and its rules come first as ever."""
    start_beside_good(host, EARLY[moment])
    assert host.row("odd").reason == ""
    host.app.add_url_rule("/late", "late", lambda: "late")
    assert host.get("/late") == "late"
    assert host.get("/good") == "good"


def test_a_request_while_loading_loses_no_view_of_a_late_blueprint(
    host: Host, app_module: types.ModuleType
) -> None:
    """The blueprint that the view waits for may still come."""
    from flask import Blueprint

    host.plugin(
        "later",
        "def register(): return {'vep': {'rule': '/x', 'view_func': lambda: 'x',"
        " 'endpoint': 'x', '_blueprint': 'own'}}",
    )
    start_beside_good(host, EARLY["on_app_ready"])
    host.app.register_blueprint(Blueprint("own", "own", url_prefix="/own"))
    assert host.get("/own/x") == "x"


def test_a_task_started_while_loading_registers_nothing_later(host: Host) -> None:
    """Tasks go on in a copy of the context in which they were started; that recording is over."""
    start_beside_good(
        host,
        """
        from contextvars import copy_context

        contexts = []

        def on_app_ready(app):
            contexts.append(copy_context())

        def register():
            return {"filter": {"odd": lambda value: "odd"}}
        """,
    )
    (context,) = host.module("odd").contexts
    assert host.get("/good") == "good"
    assert context.run(host.render, "{{ 1|odd }}{{ emit_tep('nav') }}") == "oddgood"
    with pytest.raises(AssertionError, match="can no longer be called"):
        context.run(host.app.add_url_rule, "/late", "late", str)


def test_a_host_may_wrap_the_view_of_a_plugin(host: Host) -> None:
    """A usual way to ask for a login before the pages of an extension; the plugin has its rule."""
    start_beside_good(host, "def register(): return {}")
    views = host.app.view_functions
    for endpoint, view in views.items():
        if endpoint == "good":
            views[endpoint] = lambda view=view: f"login, then {view()}"
    assert host.get("/good") == "login, then good"
    assert host.pm.owner_of("endpoint", "good") == "good"
    assert host.pm.conflicts == ()


def test_an_endpoint_that_the_host_uses_itself_stays_its_own(host: Host) -> None:
    """Also where rule and view are registered one by one."""
    start_beside_good(host, "def register(): return {}")
    host.app.endpoint("good")(lambda: "host")
    host.app.url_map.add(Rule("/mine", endpoint="good"))
    assert host.get("/mine") == "host"
    assert host.open("/good").status_code == 404
    assert [(found.kind, found.name) for found in host.pm.conflicts] == [("endpoint", "good")]


def test_a_table_updated_by_an_operator_is_recorded(host: Host) -> None:
    """``filters |= {...}`` registers as ``filters.update(...)`` does."""
    start_beside_good(
        host,
        """
        def on_app_ready(app):
            app.jinja_env.filters |= {"odd": lambda value: "odd"}

        def register():
            return {}
        """,
    )
    assert host.render("{{ 1|odd }}") == "odd"
    assert host.pm.owner_of("filter", "odd") == "odd"


# ---- options ---------------------------------------------------------------------------------

ODD_OPTIONS: list[dict[str, Any]] = [
    {"stpl": []},
    {"stpl": {}},
    {"plugin_paths": [1]},
    {"plugin_paths": ["plugins", None]},
    {"plugin_paths": ["\0"]},
    {"state_dir": 3},
    {"state_dir": ""},
    {"state_dir": b"state"},
    {"state_dir": "a\0b"},
    {"plugins_base": 3},
    {"plugins_base": "a\0b"},
    {"plugins_folder": None},
    {"plugins_folder": 3},
    {"plugins_folder": "a\0b"},
]


@pytest.mark.parametrize("options", ODD_OPTIONS)
def test_an_option_of_a_wrong_type_is_named(host: Host, options: dict[str, Any]) -> None:
    """The error is the one of 3.x, says what it found, and leaves the application alone."""
    (name,) = options
    with pytest.raises(PluginError, match=f"Invalid {name}: found .+, expected "):
        PluginManager(host.app, **options)
    assert host.app.extensions == {}


@pytest.mark.parametrize("options", [{"plugins_base": ""}, {"static_url_path": None}])
def test_an_empty_option_is_the_default(host: Host, options: dict[str, Any]) -> None:
    """As in 3.x, where hosts hand on what their configuration may not have."""
    host.plugin("odd", GOOD, files={"static/a.css": "a{}"})
    PluginManager(host.app, strict=True, **options)
    assert host.get("/good") == "good"
    with host.open("/assets/odd/a.css") as response:
        assert response.status_code == 200


# ---- requests and templates ------------------------------------------------------------------


def test_roundabout_paths_of_one_file_are_one(host: Host) -> None:
    """Who asks for them can't fill the memory with hashes."""
    host.plugin("odd", GOOD, files={"static/css/a.css": "a{}"})
    host.start()
    for times in range(5):
        with host.open(f"/assets/odd/{'css/../' * times}css/a.css?v=1") as response:
            assert response.get_data(as_text=True) == "a{}"
    assert len(host.pm._site().assets._hashes) == 1


def test_a_file_that_changes_has_one_hash(host: Host) -> None:
    """The last one: some plugins write their static files again and again."""
    folder = host.plugin("odd", GOOD)
    host.start()
    addresses = set()
    with host.app.test_request_context():
        for times in range(5):
            write(folder / "static" / "a.txt", "a" * times)
            addresses.add(host.pm.emit_assets("odd", "a.txt"))
    assert len(addresses) == 5
    assert len(host.pm._site().assets._hashes) == 1


def test_names_too_long_for_files_are_not_remembered(host: Host) -> None:
    """Sites render names that come out of URLs, and those may be as long as a server allows."""
    start_beside_good(host, GOOD.replace("good", "odd"))

    @host.app.route("/pages/<name>")
    def page(name: str) -> str:
        return render_template([name, Template("none")])

    assert host.get("/pages/short") == "none"
    known = len(host.pm.snapshot.names)
    assert known > 0
    assert host.get(f"/pages/{'long' * 3000}") == "none"
    assert len(host.pm.snapshot.names) == known


def test_a_query_that_is_no_text_gets_the_file(host: Host) -> None:
    """As Flask's own static files, which read no query."""
    host.plugin("odd", GOOD, files={"static/a.css": "a{}"})
    host.start()
    environ = EnvironBuilder("/assets/odd/a.css").get_environ()
    environ["QUERY_STRING"] = "v=\xff\xfe"
    with host.app.test_client().open(environ) as response:
        assert (response.status_code, response.get_data(as_text=True)) == (200, "a{}")


ODD_FILES = [("odd", ["a.css"]), ("odd", 1), (["odd"], "a.css"), ({}, None), (b"odd", b"a.css")]


@pytest.mark.parametrize(("plugin", "file"), ODD_FILES)
def test_what_is_no_name_is_an_unknown_file(
    host: Host, caplog: pytest.LogCaptureFixture, plugin: Any, file: Any
) -> None:
    """Nothing on the page, and a line in the log; in strict mode an error."""
    host.plugin("odd", GOOD, files={"static/a.css": "a{}"})
    host.start(strict=False)
    with host.app.test_request_context():
        assert host.pm.emit_assets(plugin, file) == ""
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    strict = host.twin()
    strict.start(strict=True)
    with strict.app.test_request_context(), pytest.raises(ParamError):
        strict.pm.emit_assets(plugin, file)


@pytest.mark.parametrize("keys", ["API_KEY", "OTHER, API_KEY", "OTHER API_KEY", {"API_KEY": 1}])
def test_secrets_may_be_named_in_one_text(host: Host, keys: Any) -> None:
    """Environment variables hold no lists."""
    host.app.config.update(API_KEY="secret", A="public", PLUGINKIT_SECRET_KEYS=keys)
    host.start()
    assert host.pm.emit_config("API_KEY") is None
    assert host.pm.emit_config("A") == "public"
