"""The engine beside Flask's own behaviour: first requests, settling, streams, leaks, names."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import pytest
from flask import Blueprint, Flask, Response, render_template, request, url_for
from hosts import Host, clean_imports, host
from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket
from trees import write
from werkzeug.routing import Map

from flask_pluginkit import PluginError, PluginManager

__all__ = ["clean_imports", "host"]


def returning(register: str, more: str = "") -> str:
    """The body of a plugin whose ``register()`` returns `register`."""
    return f"from flask import *\n{more}\ndef register():\n    return {register}\n"


def view(rule: str, function: str, options: str = "") -> str:
    """A ``register()`` with one view, whose endpoint is ``v``."""
    return f"{{'vep': {{'rule': {rule!r}, 'view_func': {function}, 'endpoint': 'v', {options}}}}}"


# --- the first request -----------------------------------------------------------------


def test_the_first_request_sees_views_on_blueprints_that_the_host_added_later(host: Host) -> None:
    """What is settled by the first request counts for that request too."""
    host.plugin("a", returning(view("/x", "lambda: 'late'", "'_blueprint': 'shop'")))
    host.start()
    host.app.register_blueprint(Blueprint("shop", "shop", url_prefix="/shop"))
    assert host.get("/shop/x") == "late"


def test_a_host_that_lists_its_rules_early_may_add_more(host: Host) -> None:
    """Settling twice is no difference for the request that comes after."""
    host.plugin("a", returning(view("/x", "lambda: 'late'")))
    host.start()
    assert [rule.endpoint for rule in host.app.url_map.iter_rules("v")] == ["v"]
    host.app.add_url_rule("/x", "mine", lambda: "host")
    assert host.get("/x") == "host"


def test_a_conflict_that_raises_at_the_first_request_reaches_flasks_error_handling(
    host: Host,
) -> None:
    """In strict mode an endpoint that the host took later is an error page, not a crash."""
    host.plugin("a", returning(view("/x", "lambda: ''")))
    host.start(strict=True)
    host.app.add_url_rule("/y", "v", lambda: "host")
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    assert [host.open("/y").status_code for _ in range(2)] == [500, 500]


# --- on_app_ready ----------------------------------------------------------------------

LOOKS_AT_RULES = "def on_app_ready(app):\n    list(app.url_map.iter_rules())\n"


def test_a_plugin_that_lists_the_rules_settles_nothing(host: Host) -> None:
    """Routes of plugins still join after those that the host defines later."""
    late = view("/x", "lambda: 'late'", "'_blueprint': 'shop'")
    host.plugin("a", returning(late, LOOKS_AT_RULES))
    host.start()
    host.app.register_blueprint(Blueprint("shop", "shop", url_prefix="/shop"))
    assert host.get("/shop/x") == "late"


def test_a_plugin_that_tries_a_request_doesnt_end_the_hosts_setup(host: Host) -> None:
    """The host goes on defining routes."""
    host.plugin("a", returning("{}", "def on_app_ready(app):\n    app.test_client().get('/')\n"))
    host.start()
    host.app.add_url_rule("/x", "x", lambda: "host")
    assert host.get("/x") == "host"


def test_on_app_ready_sees_what_other_plugins_registered(host: Host) -> None:
    """Blueprints, views and filters of plugins that come later in plugin order are there."""
    host.app.add_url_rule("/h", "h", lambda: "")
    look = """
def on_app_ready(app):
    global seen
    seen = (
        'b' in app.blueprints, app.view_functions.get('b.index') is not None,
        'loud' in app.jinja_env.filters, app.view_functions.get('h') is not None,
    )
"""
    host.plugin("a", returning("{}", look))
    made = "bp = Blueprint('b', __name__)\n@bp.route('/')\ndef index():\n    return ''\n"
    given = "{'bep': {'blueprint': bp, 'prefix': '/b'}, 'filter': {'loud': str.upper}}"
    host.plugin("b", returning(given, made))
    host.start()
    assert host.module("a").seen == (True, True, True, True)


def test_what_follows_a_refused_blueprint_in_on_app_ready_stays(host: Host) -> None:
    """Only what the blueprint itself brought is refused together with it."""
    ready = """
def on_app_ready(app):
    app.register_blueprint(Blueprint('taken', __name__))
    app.add_url_rule('/y', 'y', lambda: 'y')
"""
    host.plugin("a", returning("{}", ready))
    host.start(strict=False)
    host.app.register_blueprint(Blueprint("taken", "host"))
    assert host.get("/y") == "y"


def test_templates_loaded_in_on_app_ready_get_globals_that_the_host_adds_later(
    host: Host,
) -> None:
    """Jinja keeps templates together with the globals that they were loaded with."""
    host.template("page.html", "{{ late() if late is defined }}")
    ready = "def on_app_ready(app):\n    app.jinja_env.get_template('page.html')\n"
    host.plugin("a", returning("{}", ready))
    host.start()
    host.app.jinja_env.globals["late"] = lambda: "yes"
    host.app.add_url_rule("/", "index", lambda: render_template("page.html"))
    assert host.get("/") == "yes"


# --- routes and blueprints -------------------------------------------------------------


def test_a_url_variable_may_be_called_rule(host: Host) -> None:
    """Building a plugin's URL takes any name of a variable."""
    host.plugin("a", returning(view("/x/<rule>", "lambda rule: url_for('v', rule='b')")))
    host.start()
    assert host.get("/x/a") == "/x/b"


def test_a_childs_plugin_may_come_before_that_of_its_parent(host: Host) -> None:
    """Plugin order is by name, the order of nested blueprints is theirs."""
    made = "bp = Blueprint({0!r}, __name__)\n@bp.route('/')\ndef index():\n    return {0!r}\n"
    child = "{'bep': {'blueprint': bp, 'prefix': '/child', 'parent': 'zeta'}}"
    host.plugin("alpha", returning(child, made.format("alpha")))
    host.plugin(
        "zeta", returning("{'bep': {'blueprint': bp, 'prefix': '/z'}}", made.format("zeta"))
    )
    host.start()
    assert host.get("/z/child/") == "alpha"


def test_a_child_is_on_the_subdomain_of_its_parent(host: Host) -> None:
    """As when Flask itself nests blueprints."""
    host.app = Flask("host", root_path=str(host.folder), subdomain_matching=True)
    host.app.config["SERVER_NAME"] = "example.org"
    made = "bp = Blueprint('child', __name__)\n@bp.route('/')\ndef index():\n    return 'child'\n"
    given = "{'bep': {'blueprint': bp, 'prefix': '/child', 'parent': 'api'}}"
    host.plugin("a", returning(given, made))
    host.app.register_blueprint(Blueprint("api", "api", subdomain="api", url_prefix="/v1"))
    host.start()
    assert host.get("/v1/child/", base_url="http://api.example.org") == "child"


def test_a_view_on_a_blueprint_is_on_its_subdomain(host: Host) -> None:
    """That goes for blueprints of plugins too."""
    host.app = Flask("host", root_path=str(host.folder), subdomain_matching=True)
    host.app.config["SERVER_NAME"] = "example.org"
    given = """{
        'bep': {'blueprint': Blueprint('api', __name__, subdomain='api'), 'prefix': '/v1'},
        'vep': {'rule': '/x', 'view_func': lambda: 'x', '_blueprint': 'api', 'endpoint': 'x'},
    }"""
    host.plugin("a", returning(given))
    host.start()
    assert host.get("/v1/x", base_url="http://api.example.org") == "x"


@pytest.mark.parametrize(
    ("options", "rule_options", "start"),
    [
        ({"host_matching": True, "static_host": "x.org"}, "", {"host": "x.org"}),
        ({"subdomain_matching": True}, "'subdomain': 'api'", {}),
    ],
)
def test_the_owner_of_a_path_is_found_on_every_host(
    host: Host, options: dict[str, Any], rule_options: str, start: dict[str, Any]
) -> None:
    """Where routes belong to hosts or subdomains, all that plugins are on are asked."""
    host.app = Flask("host", root_path=str(host.folder), **options)
    host.plugin("a", returning(view("/x/<int:number>", "lambda number: ''", rule_options)))
    host.start(**start)
    assert host.pm.owner_of("route", "/x/1") == "a"


def test_a_view_class_may_be_abstract(host: Host) -> None:
    """The ``register`` of `abc.ABCMeta` isn't Flask-Classful's."""
    made = """
from abc import ABC
from flask.views import MethodView
class Items(MethodView, ABC):
    def get(self):
        return "items"
"""
    host.plugin("a", returning("{'cvep': {'view_class': Items, 'rule': '/items'}}", made))
    host.start()
    assert host.get("/items") == "items"


def test_a_url_build_error_handler_gives_way_by_raising(host: Host) -> None:
    """As in Flask, the next handler gets the error that was raised, and it is no fault."""
    ready = """
def on_app_ready(app):
    def handle(error, endpoint, values):
        {}
    app.url_build_error_handlers.append(handle)
"""
    host.plugin("a", returning("{}", ready.format("raise error")))
    host.plugin("b", returning("{}", ready.format("return f'/{endpoint}'")))
    host.start()
    host.app.add_url_rule("/", "index", lambda: url_for("nowhere"))
    assert host.get("/") == "/nowhere"
    assert host.row("a").counts["url_build_error_handlers"] == (1, 0)


# --- responses -------------------------------------------------------------------------


def test_after_request_may_return_any_response(host: Host) -> None:
    """Also where the application has a class of responses of its own."""

    class Own(Response):
        pass

    host.plugin(
        "a", returning("{'hep': {'after_request': f}}", "def f(r):\n    return Response('b')")
    )
    host.app.response_class = Own
    host.start()
    host.app.add_url_rule("/", "index", lambda: "a")
    assert host.get("/") == "b"


def test_a_body_that_isnt_read_is_closed(host: Host) -> None:
    """A HEAD request takes nothing from it."""
    made = """
closed = []
class Body:
    def __iter__(self):
        return self
    def __next__(self):
        raise StopIteration
    def close(self):
        closed.append(request.path)
"""
    host.plugin("a", returning(view("/x", "lambda: Response(Body())"), made))
    host.start()
    with host.app.test_client() as client:
        client.head("/x").close()
        assert request.path == "/x"
    assert host.module("a").closed == ["/x"]


# --- the application's own -------------------------------------------------------------


def test_an_endpoint_that_the_application_has_is_no_static_endpoint(host: Host) -> None:
    """The error names the option, and the application is as it was."""
    host.app.add_url_rule("/mine", "assets", lambda: "mine")
    rules = list(host.app.url_map.iter_rules())
    attributes = dict(vars(host.app))
    with pytest.raises(PluginError, match="static_endpoint"):
        host.start()
    assert list(host.app.url_map.iter_rules()) == rules
    assert vars(host.app) == attributes


def test_a_start_that_fails_leaves_no_jinja_environment(host: Host) -> None:
    """Settings that Flask reads when it makes one may be still to come."""
    host.plugin("a", returning("{}", "def on_app_ready(app):\n    raise RuntimeError('no')\n"))
    before = set(vars(host.app))
    with pytest.raises(PluginError):
        host.start(strict=True)
    assert set(vars(host.app)) == before


def test_secret_keys_may_be_given_as_text(host: Host) -> None:
    """An environment variable can't hold a list."""
    host.start()
    host.app.config.update(PLUGINKIT_SECRET_KEYS="TOKEN, DB_PASSWORD", DB_PASSWORD="x")
    assert host.render("{{ emit_config('DB_PASSWORD') }}") == "None"


SIGNAL = "{'signal': [(request_started, lambda sender, **rest: None)], 'tep': {'nav': 'x'}}"


def test_a_manager_doesnt_keep_applications_alive(host: Host) -> None:
    """One that serves many, as in tests with an application factory, keeps the last only."""
    host.plugin("a", returning(SIGNAL))
    manager, apps = PluginManager(), []
    for _ in range(3):
        app = Flask("host", root_path=str(host.folder))
        manager.init_app(app)
        app.test_client().get("/")
        apps.append(ref(app))
        del app
    gc.collect()
    assert [app() is not None for app in apps] == [False, False, True]


def test_signals_dont_keep_applications_alive(host: Host) -> None:
    """A receiver goes when its application goes."""
    host.plugin("a", returning(SIGNAL))
    app = Flask("host", root_path=str(host.folder))
    PluginManager(app)
    gone = ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_a_command_of_a_plugins_blueprint_runs_as_the_plugin(host: Host) -> None:
    """The templates that it renders are the plugin's."""
    host.template("note.html", "host")
    made = """
bp = Blueprint('bp', __name__)
@bp.cli.command('hi')
def hi():
    print(render_template('note.html'))
"""
    given = "{'bep': {'blueprint': bp, 'prefix': None}}"
    host.plugin("a", returning(given, made), files={"templates/note.html": "plugin"})
    host.start()
    assert host.app.test_cli_runner().invoke(args=["bp", "hi"]).output == "plugin\n"


def test_rules_of_plugins_can_be_copied_to_another_map(host: Host) -> None:
    """Tools do that with ``Rule.empty()``; a copy is there when its original is."""
    host.plugin("a", returning(view("/x", "lambda: ''")))
    host.start()
    copies = Map([rule.empty() for rule in host.app.url_map.iter_rules()])
    assert copies.bind("localhost").match("/x", "GET") == ("v", {})


def test_a_template_compiled_early_takes_the_filter_that_the_host_adds_later(host: Host) -> None:
    """Jinja bakes the form of a filter into what it compiles, and plugins' have another one."""
    host.template("page.html", "{{ value|money }}")
    host.plugin("a", returning("{'filter': {'money': str}, 'global': {'g1': 1}}"))
    host.start()
    host.app.jinja_env.get_template("page.html")
    host.app.add_template_filter(lambda value: f"{value} EUR", "money")
    host.app.add_url_rule("/", "index", lambda: render_template("page.html", value=7))
    assert host.get("/") == "7 EUR"


@pytest.mark.parametrize("debug", [True, False])
def test_a_dcp_that_fails_shows_a_box_in_debug_mode_only(host: Host, debug: bool) -> None:
    """It names the plugin, as that of a failing tep does."""
    made = "def fail():\n    raise RuntimeError('<no>')\n"
    host.plugin("a", returning("{'dcp': {'counter': fail}}", made))
    host.app.debug = debug
    host.start(strict=False)
    text = host.render("{{ emit_dcp('counter') }}")
    told = "plugin <b>a</b>: dcp counter failed: RuntimeError: &lt;no&gt;"
    assert (told in text) is debug
    assert bool(text) is debug


def test_bytecode_isnt_used_when_a_filter_has_changed_hands(host: Host) -> None:
    """A plugin's filter that becomes the application's is called in another form."""
    cache = FileSystemBytecodeCache(str(write(host.folder / "cache" / "empty").parent))
    host.template("page.html", "{{ value|money }}")
    plugin = host.plugin("a", returning("{'filter': {'money': lambda value: f'{value} a'}}"))
    texts = []
    for _ in range(2):
        one = host.twin()
        one.app.jinja_options = {"bytecode_cache": cache}
        one.start()
        if (plugin / "DISABLED").exists():
            one.app.add_template_filter(lambda value: f"{value} host", "money")
        one.app.add_url_rule("/", "index", lambda: render_template("page.html", value=7))
        texts.append(one.get("/"))
        write(plugin / "DISABLED")
    assert texts == ["7 a", "7 host"]


def test_bytecode_is_used_in_the_next_process(host: Host) -> None:
    """As long as plugins offer the same filters and tests."""
    loaded = []

    class Cache(FileSystemBytecodeCache):
        def load_bytecode(self, bucket: Bucket) -> None:
            super().load_bytecode(bucket)
            loaded.append(bucket.code is not None)

    cache = Cache(str(write(host.folder / "cache" / "empty").parent))
    host.template("page.html", "{{ value|money }}")
    host.plugin("a", returning("{'filter': {'money': lambda value: f'{value} a'}}"))
    for _ in range(2):
        one = host.twin()
        one.start()
        one.app.jinja_env.bytecode_cache = cache
        one.app.add_url_rule("/", "index", lambda: render_template("page.html", value=7))
        assert one.get("/") == "7 a"
    assert loaded == [False, True]


def test_a_start_that_fails_leaves_the_jinja_environment_as_it_was(host: Host) -> None:
    """One that exists already is held by others too."""
    environment = host.app.jinja_env
    before, kind = dict(vars(environment)), type(environment)
    host.plugin("a", returning("{}", "def on_app_ready(app):\n    raise RuntimeError('no')\n"))
    with pytest.raises(PluginError):
        host.start(strict=True)
    assert type(host.app.jinja_env) is kind
    assert vars(environment) == before
