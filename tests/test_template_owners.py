"""Whose code is running when a template is asked for by a bare name, and hosts' own loaders."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask, render_template
from hosts import Host, clean_imports, host
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    Environment,
    FileSystemLoader,
    ModuleLoader,
    Template,
    TemplateNotFound,
    pass_context,
)
from jinja2.nativetypes import NativeEnvironment
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from flask_pluginkit import PluginManager

__all__ = ["clean_imports", "host"]

REGISTER = "def register():\n    return {}\n"


def returning(register: str, more: str = "") -> str:
    """The body of a plugin whose ``register()`` returns `register`."""
    return f"""
import flask
from flask import Response, render_template, render_template_string
from flask import stream_template, stream_with_context
from markupsafe import Markup
def part(*args):
    return Markup(render_template("part.html"))
{more}
def register():
    return {register}
"""


def view(expression: str) -> str:
    """A ``register()`` with a view at /hello."""
    return f"{{'vep': {{'rule': '/hello', 'view_func': lambda: {expression}, 'endpoint': 'x'}}}}"


@pytest.fixture
def parts(host: Host) -> Host:
    """A host with a ``part.html``, and another plugin that has one too."""
    host.template("part.html", "host")
    host.plugin("another", REGISTER, files={"templates/part.html": "another"})
    return host


OWN = {"templates/part.html": "hello"}


# ---- a plugin's code -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "render_template('part.html')",
        "render_template(['nothing.html', 'part.html'])",
        "render_template(flask.current_app.jinja_env.get_template('part.html'))",
        "render_template_string('{% include \"part.html\" %}')",
        "render_template_string('{% extends \"part.html\" %}')",
        "flask.current_app.jinja_env.select_template(['no', 'part.html']).render()",
        "flask.current_app.jinja_env.get_or_select_template(['part.html']).render()",
        "flask.get_template_attribute('macros.html', 'm')()",
        "stream_template('part.html')",
        "(stream_template('part.html'), 200, {'X-A': 'b'})",
        "(stream_template('part.html'), 200)",
        "flask.stream_template_string('{% include \"part.html\" %}')",
        "rows(flask.current_app.jinja_env)",
        "(rows(flask.current_app.jinja_env), {'X-A': 'b'})",
        "stream_with_context(part() for _ in [1])",
        "Response(stream_with_context(part() for _ in [1]))",
        "Response(rows(flask.current_app.jinja_env))",
        "Response(map(flask.current_app.jinja_env.get_template('part.html').render, [{}]))",
        "map(lambda env: env.get_template('part.html').render(), [flask.current_app.jinja_env])",
        "Response(map(lambda e: e.get_template('part.html').render(), [app.jinja_env]))",
        "flask.make_response(part())",
    ],
)
def test_a_view_gets_its_plugins_template(parts: Host, expression: str) -> None:
    """By every function of Flask and Jinja that takes a name, at once or while streaming."""
    macros = {"templates/macros.html": "{% macro m() %}{% include 'part.html' %}{% endmacro %}"}
    more = """
app = flask.current_app
def rows(environment):
    for name in ["part.html"]:
        yield environment.get_template(name).render()
"""
    parts.plugin("hello", returning(view(expression), more), files=OWN | macros)
    parts.start()
    parts.app.testing = True
    assert parts.get("/hello") == "hello"


@pytest.mark.parametrize(
    "register",
    [
        "{'hep': {'before_request': lambda: part() if flask.request.path == '/x' else None}}",
        "{'hep': {'after_request': lambda response: Response(part())}}",
        "{'errhandler': {404: lambda error: part()}}",
        "{'errhandler': [{'error': LookupError, 'handler': lambda error: part()}]}",
        "{'vep': {'rule': '/x', 'view_func': part}}",
        "{'cvep': {'view_class': View, 'rule': '/x'}}",
        "{'bep': {'blueprint': bp, 'prefix': None}}",
        "bp.before_app_request(part) and {'bep': {'blueprint': bp, 'prefix': '/bp'}}",
    ],
)
def test_functions_that_answer_requests_get_their_plugins_template(
    parts: Host, register: str
) -> None:
    """Hooks, error handlers, classes and blueprints."""
    more = """
from flask import Blueprint
from flask.views import MethodView
class View(MethodView):
    def get(self):
        return part()
bp = Blueprint("bp", __name__)
bp.route("/x")(part)
"""
    parts.plugin("hello", returning(register, more), files=OWN)
    parts.start()

    @parts.app.route("/lookup")
    def fail() -> str:
        raise LookupError

    path = "/lookup" if "LookupError" in register else "/x"
    assert parts.get(path) == "hello"


@pytest.mark.parametrize(
    ("register", "source"),
    [
        ("{'tep': {'slot': '{% include \"part.html\" %}'}}", "{{ emit_tep('slot') }}"),
        ("{'tep': {'slot': 'page.html'}}", "{{ emit_tep('slot') }}"),
        ("{'tep': {'slot': '{{ f() }}'}, 'tcp': {'f': part}}", "{{ emit_tep('slot') }}"),
        ("{'dcp': {'event': part}}", "{{ emit_dcp('event') }}"),
        ("{'filter': {'f': part}}", "{{ 1|f }}"),
        ("{'filter': [part]}", "{{ 1|part }}"),
        ("{'test': {'f': lambda x: part() == 'hello'}}", "{{ 'hello' if 1 is f }}"),
        ("{'tcp': {'f': part}}", "{{ f() }}"),
        ("{'tcp': {'f': partial(part, 1)}}", "{{ f() }}"),
        ("{'tcp': {'f': lru_cache(part)}}", "{{ f() }}"),
        ("{'tcp': {'f': Helper().render}}", "{{ f() }}"),
        ("{'global': {'f': part}}", "{{ f() }}"),
        ("(lambda: [flask.current_app] and {})() if 0 else READY", "{{ value }}"),
    ],
)
def test_functions_that_templates_call_get_their_plugins_template(
    parts: Host, register: str, source: str
) -> None:
    """In a page of the host: teps, dcps, filters, tests, context and globals."""
    more = """
from functools import lru_cache, partial
class Helper:
    def render(self):
        return part()
READY = {}
def on_app_ready(app):
    app.context_processor(lambda: {"value": app.jinja_env.get_template("part.html").render()})
"""
    parts.plugin(
        "hello",
        returning(register, more),
        files={**OWN, "templates/page.html": "{% include 'part.html' %}"},
    )
    parts.template("index.html", source)
    parts.start()
    with parts.app.test_request_context():
        assert render_template("index.html") == "hello"


def test_a_dcp_pushed_by_a_plugin_gets_its_template(parts: Host) -> None:
    """It belongs to the plugin whose code pushed it."""
    more = """
from flask_pluginkit import push_dcp
def on_app_ready(app):
    push_dcp("event", part)
"""
    parts.plugin("hello", returning("{}", more), files=OWN)
    parts.start()
    assert parts.render("{{ emit_dcp('event') }}") == "hello"


def test_an_async_view_gets_its_plugins_template(parts: Host) -> None:
    """Though its coroutine runs in a loop of its own."""
    more = "async def answer():\n    return part()\n"
    parts.plugin(
        "hello", returning("{'vep': {'rule': '/hello', 'view_func': answer}}", more), files=OWN
    )
    parts.start()
    assert parts.get("/hello") == "hello"


def test_after_a_plugins_call_the_host_has_its_own_again(parts: Host) -> None:
    """Also when the call failed."""
    parts.plugin(
        "hello",
        returning("{'filter': {'f': part, 'bad': lambda x: 1 / 0}}"),
        files=OWN,
    )
    parts.start(strict=False)
    source = "{{ 1|f }} {% include name %} {{ 1|bad }}{% include name %}"
    parts.template("index.html", source)
    with parts.app.test_request_context():
        assert render_template("index.html", name="part.html") == "hello host host"
        assert render_template("part.html") == "host"


# ---- the host's code, called while a plugin's page renders -----------------------------------

CALLS = "{{ menu() }} {{ 1|menu }} {{ 'yes' if 1 is menu }}"


@pytest.mark.parametrize(
    "page",
    [
        "{% extends 'base.html' %}",
        CALLS,
        "{% include 'base.html' %}",
        "{% from 'macros.html' import nav %}{{ nav() }}",
        "{% from 'macros.html' import nav with context %}{{ nav() }}",
        "{{ emit_tep('slot') }}",
        "{{ function() }} {{ 1|menu }} {{ 'yes' if 1 is menu }}",
    ],
)
@pytest.mark.parametrize("before", ["no request before", "the host's page before"])
def test_functions_of_the_host_get_the_hosts_templates(parts: Host, page: str, before: str) -> None:
    """Called from its base or the plugin's own page, as function, filter, test or in a macro."""
    for name in ("base.html", "index.html"):
        parts.template(name, "{% import 'macros.html' as m %}{{ m.nav() }}")
    parts.template("macros.html", f"{{% macro nav() %}}{CALLS}{{% endmacro %}}")

    def menu(*args: Any) -> str:
        return render_template("part.html")

    def is_menu(value: Any) -> bool:
        return render_template("part.html") == "host"

    parts.app.add_template_global(menu)
    parts.app.add_template_filter(menu)
    parts.app.add_template_test(is_menu, "menu")
    parts.app.add_url_rule("/", view_func=lambda: render_template("index.html"))
    register = view("render_template('page.html', function=flask.current_app.menu)")
    files = {**OWN, "templates/page.html": page}
    parts.plugin(
        "hello", returning(register[:-1] + f", 'tep': {{'slot': {CALLS!r}}}}}"), files=files
    )
    parts.app.menu = menu  # type: ignore[attr-defined]
    parts.start()
    if before == "the host's page before":
        assert parts.get("/") == "host host yes"
    assert parts.get("/hello") == "host host yes"


@pytest.mark.parametrize(
    "page",
    [
        "{{ own() }}",
        "{{ helper.render() }}",
        "{% macro m() %}{{ own() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ own() }}{% endcall %}",
        "{% from 'macros.html' import n %}{{ n(own) }}",
    ],
)
def test_functions_that_a_plugin_hands_to_its_page_get_its_templates(
    parts: Host, page: str
) -> None:
    """They are its own by the module they come from, whatever calls them."""
    more = """
class Helper:
    def render(self):
        return part()
"""
    files = {
        **OWN,
        "templates/page.html": page,
        "templates/macros.html": "{% macro n(own) %}{{ own() }}{% endmacro %}",
    }
    register = view("render_template('page.html', own=part, helper=Helper())")
    parts.plugin("hello", returning(register, more), files=files)
    parts.start()
    assert parts.get("/hello") == "hello"


def test_context_processors_of_the_host_get_the_hosts_templates(parts: Host) -> None:
    """They run for the plugin's page, as the host's code."""
    parts.plugin("hello", returning(view("render_template_string('{{ menu }}')")), files=OWN)
    parts.start()

    @parts.app.context_processor
    def menu() -> dict[str, str]:
        return {"menu": parts.app.jinja_env.get_template("part.html").render()}

    @parts.app.context_processor
    async def other() -> dict[str, str]:
        return {"other": ""}

    assert parts.get("/hello") == "host"


def test_a_filter_of_the_host_keeps_the_context_it_asks_for(parts: Host) -> None:
    """Also where it is called for a plugin's page."""
    parts.plugin("hello", returning(view("render_template_string('{{ 1|f }}', a='b')")))
    parts.start()

    @parts.app.template_filter("f")
    @pass_context
    def with_context(context: Context, value: int) -> str:
        return f"{value}{context['a']}"

    assert parts.get("/hello") == "1b"
    assert parts.app.jinja_env.filters["f"] is with_context


def test_another_plugins_functions_get_that_ones_templates(parts: Host) -> None:
    """A filter of one plugin in the page of another."""
    parts.plugin(
        "hello", returning(view("render_template_string('{{ 1|f }}{{ f() }}')")), files=OWN
    )
    parts.plugin(
        "third",
        returning("{'filter': {'f': part}, 'tcp': {'f': part}}"),
        files={"templates/part.html": "third"},
    )
    parts.start()
    assert parts.get("/hello") == "thirdthird"


def test_a_request_sent_by_a_plugin_is_the_hosts_business(parts: Host) -> None:
    """A view that asks its own application gets the page that everybody gets."""
    parts.app.add_url_rule("/", view_func=lambda: render_template("part.html"))
    parts.plugin(
        "hello",
        returning(view("flask.current_app.test_client().get('/').text + part()")),
        files=OWN,
    )
    parts.start()
    assert parts.get("/hello") == "hosthello"


# ---- loaders and environments of hosts' own --------------------------------------------------

HELLO = returning(view("render_template('page.html')"))
PAGE = {"templates/page.html": "{% include 'part.html' %}", "templates/own.html": "own"}
OVERRIDES = {"part.html": "host", "plugins/hello/own.html": "override"}


def check_host(folder: Host, app: Flask) -> None:
    """A plugin's page, the host's override, and the host's file work in `app`."""
    folder.plugin("hello", HELLO, files=PAGE)
    PluginManager(app, plugins_base=folder.folder, strict=True)
    assert app.test_client().get("/hello").text == "host"
    with app.test_request_context():
        assert render_template("hello:own.html") == "override"
        assert render_template("part.html") == "host"
        with pytest.raises(TemplateNotFound):
            render_template("nothing.html")


def test_a_host_that_sets_its_jinja_loader(host: Host) -> None:
    """As applications with themes do, before the manager."""
    app = Flask(__name__)
    app.jinja_loader = ChoiceLoader([DictLoader({}), DictLoader(OVERRIDES)])
    check_host(host, app)


def test_a_host_that_sets_its_jinja_loader_later(host: Host) -> None:
    """After the manager: Flask reads it at each look-up."""
    host.plugin("hello", HELLO, files=PAGE)
    host.start()
    host.app.jinja_loader = DictLoader(OVERRIDES)
    assert host.get("/hello") == "host"


def test_a_host_without_any_loader(host: Host) -> None:
    """``template_folder=None``: there are the plugins' files only."""
    app = Flask(__name__, template_folder=None)
    host.plugin("hello", returning(view("render_template('own.html')")), files=PAGE)
    PluginManager(app, plugins_base=host.folder)
    assert app.test_client().get("/hello").text == "own"


@pytest.mark.parametrize("kind", [DictLoader, None])
def test_a_host_with_a_global_loader_of_its_own(host: Host, kind: type | None) -> None:
    """``create_global_jinja_loader`` returns whatever Jinja takes, Flask's own kind or not."""
    loader: BaseLoader = DictLoader(OVERRIDES)

    class Own(Flask):
        def create_global_jinja_loader(self) -> Any:
            return loader if kind else Wrapped(self)

    class Wrapped(flask_loader()):  # type: ignore[misc]
        def _iter_loaders(self, template: str) -> Any:
            yield self.app, loader
            yield from super()._iter_loaders(template)

    check_host(host, Own(__name__))


def flask_loader() -> type[Any]:
    """Flask's loader, which applications subclass."""
    return type(Flask(__name__).create_global_jinja_loader())


def test_a_blueprints_files_stay_its_plugins_under_a_subclass_of_flasks_loader(host: Host) -> None:
    """The subclass asks for all blueprints, and gets the host's."""

    class Own(Flask):
        def create_global_jinja_loader(self) -> Any:
            return type("Sub", (flask_loader(),), {})(self)

    app = Own(__name__, root_path=str(host.folder))
    host.plugin(
        "hello",
        returning(
            "{'bep': {'blueprint': flask.Blueprint('b', __name__, template_folder='pages'),"
            " 'prefix': None}}"
        ),
        files={"pages/page.html": "of hello"},
    )
    host.template("page.html", "host")
    PluginManager(app, strict=True)
    with app.test_request_context():
        assert render_template("page.html") == "host"
        assert render_template("hello:page.html") == "of hello"
    assert app.jinja_env.list_templates() == ["hello:page.html", "page.html"]


def test_a_host_with_precompiled_templates(host: Host) -> None:
    """A loader without sources serves the host's pages; it can't hold overrides."""
    compiled = host.folder / "compiled"
    Environment(loader=DictLoader({"part.html": "host"})).compile_templates(compiled, zip=None)

    class Own(Flask):
        def create_global_jinja_loader(self) -> Any:
            return ChoiceLoader([ModuleLoader(compiled), DictLoader({"other.html": "other"})])

    app = Own(__name__)
    host.plugin("hello", HELLO, files=PAGE)
    PluginManager(app, plugins_base=host.folder, strict=True)
    assert app.test_client().get("/hello").text == "host"
    with app.test_request_context():
        assert render_template("hello:own.html") == "own"
        assert render_template("other.html") == "other"


def test_a_host_that_wraps_the_environments_loader(host: Host) -> None:
    """After the manager: the plugins' names go through what it puts in place."""
    host.plugin("hello", HELLO, files=PAGE)
    host.start()
    environment = host.app.jinja_env
    assert environment.loader is not None
    environment.loader = ChoiceLoader([DictLoader({"part.html": "host"}), environment.loader])
    assert host.get("/hello") == "host"


@pytest.mark.parametrize("base", [SandboxedEnvironment, NativeEnvironment])
def test_a_host_with_an_environment_of_its_own(host: Host, base: type[Environment]) -> None:
    """Its class stays what it is, with everything that this adds."""

    class Own(Flask.jinja_environment, base):  # type: ignore[misc, valid-type]
        pass

    class App(Flask):
        jinja_environment = Own

    app = App(__name__, root_path=str(host.folder))
    for name, text in OVERRIDES.items():
        host.template(name, text)
    check_host(host, app)
    assert isinstance(app.jinja_env, Own)


def test_a_host_with_a_context_class_of_its_own(parts: Host) -> None:
    """Its methods are kept, set before the manager or after."""

    class Loud(Context):
        def resolve_or_missing(self, key: str) -> Any:
            return "found" if key == "anything" else super().resolve_or_missing(key)

    parts.app.jinja_env.context_class = Loud
    parts.app.add_template_global(lambda: render_template("part.html"), "menu")
    parts.plugin(
        "hello", returning(view("render_template_string('{{ anything }} {{ menu() }}')")), files=OWN
    )
    parts.start()
    assert parts.get("/hello") == "found host"
    parts.app.jinja_env.context_class = Context
    assert parts.render("{{ anything }}") == ""


def test_an_overlay_has_the_plugins_templates(parts: Host) -> None:
    """``overlay()`` gives an environment with other settings over the same loader."""
    parts.plugin("hello", returning("{}"), files={**OWN, **PAGE})
    parts.start()
    overlay = parts.app.jinja_env.overlay(trim_blocks=True)
    assert overlay.get_template("hello:page.html").render() == "hello"
    assert overlay.get_template("part.html").render() == "host"


def test_an_overlay_with_a_loader_of_its_own_is_left_alone(parts: Host) -> None:
    """A plugin that renders mail from a database, for example."""
    more = """
from jinja2 import DictLoader
def mail():
    loader = DictLoader({"part.html": "mail", "page.html": "{% include 'part.html' %}"})
    overlay = flask.current_app.jinja_env.overlay(loader=loader)
    return overlay.get_template("page.html").render()
"""
    parts.plugin("hello", returning(view("mail()"), more), files={**OWN, **PAGE})
    parts.start()
    assert parts.get("/hello") == "mail"


def test_an_overlay_with_a_loader_of_its_own_names_what_it_hasnt(parts: Host) -> None:
    """No plugin's file is offered where the plugins' loader isn't in use."""
    parts.plugin("hello", REGISTER, files={"templates/only.html": ""})
    parts.start()
    overlay = parts.app.jinja_env.overlay(loader=DictLoader({}))
    with pytest.raises(TemplateNotFound, match=r"^only\.html$"):
        overlay.get_template("only.html")


def test_explaining_how_templates_are_loaded(parts: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Flask's EXPLAIN_TEMPLATE_LOADING goes on working, for the host's names."""
    parts.app.config["EXPLAIN_TEMPLATE_LOADING"] = True
    parts.plugin("hello", HELLO, files=PAGE)
    parts.start()
    with caplog.at_level(logging.INFO):
        assert parts.get("/hello") == "host"
    assert "Locating template 'part.html'" in caplog.text
    assert "found" in caplog.text


def test_templates_that_are_objects_pass_through(parts: Host) -> None:
    """Jinja takes a template in place of a name."""
    parts.start()
    environment = parts.app.jinja_env
    template = Template("text")
    assert environment.get_template(template) is template
    assert environment.select_template(["nothing.html", template]) is template


def test_a_failed_start_gives_the_environment_back(parts: Host) -> None:
    """Class, loader and context class are what they were."""
    environment = parts.app.jinja_env
    before = (type(environment), environment.loader, environment.context_class)
    parts.plugin("hello", "raise OSError")
    with pytest.raises(Exception, match="hello"):
        parts.start()
    assert (type(environment), environment.loader, environment.context_class) == before
    assert isinstance(parts.app.jinja_loader, FileSystemLoader)
