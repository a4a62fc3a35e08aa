"""A plugin that says with decorators what it adds, in an application."""

from __future__ import annotations

from textwrap import dedent

import pytest
from flask import render_template, render_template_string
from hosts import Host, clean_imports, host

from flask_pluginkit import PluginManager

__all__ = ["clean_imports", "host"]

BEGIN = """
from flask import Response, abort, g, request, request_finished, url_for
from flask.views import MethodView
from markupsafe import Markup

from flask_pluginkit import Plugin

plugin = Plugin(__name__, url_prefix="/hello")
register = plugin.register
"""


def plugged(host: Host, body: str, **options: object) -> Host:
    """Start the host with one plugin."""
    files = {"templates/part.html": "<i>{{ who }}</i>"}
    host.plugin("hello", BEGIN + dedent(body), files=files)
    host.start(**options)  # type: ignore[arg-type]
    return host


# ---- views -----------------------------------------------------------------------------------


def test_views_are_on_a_blueprint_named_like_the_plugin(host: Host) -> None:
    """So that short and full endpoints lead to them."""
    body = """
    @plugin.get("/")
    def index():
        return url_for("hello.index") + url_for(".greet", name="you")

    @plugin.route("/<name>")
    def greet(name):
        return f"hello {name}"
    """
    plugged(host, body)
    assert host.get("/hello/") == "/hello//hello/you"
    assert host.get("/hello/you") == "hello you"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_has_a_decorator(host: Host, method: str) -> None:
    """One that answers this method and, for GET, those that come with it."""
    body = f"""
    @plugin.{method.lower()}("/x")
    def view():
        return request.method
    """
    plugged(host, body)
    assert host.get("/hello/x", method=method) == method
    others = {"GET", "POST", "PUT", "PATCH", "DELETE"} - {method}
    assert {host.open("/hello/x", method=other).status_code for other in others} == {405}


def test_an_async_view_works_as_in_flask(host: Host) -> None:
    """It is run to its end."""
    plugged(host, '@plugin.get("/")\nasync def index():\n    return "hello"')
    assert host.get("/hello/") == "hello"


def test_a_class_is_a_view_below_the_prefix(host: Host) -> None:
    """Its endpoint has the plugin's name before its own."""
    body = """
    class Items(MethodView):
        def get(self):
            return url_for("hello.items")

    plugin.add_view(Items, "/items")
    """
    assert plugged(host, body).get("/hello/items") == "/hello/items"


def test_a_classful_class_is_below_the_prefix(host: Host) -> None:
    """As it registers itself, it is told the prefix."""
    body = """
    from flask_classful import FlaskView
    class Quotes(FlaskView):
        def index(self):
            return "quotes"

    plugin.add_view(Quotes)
    """
    assert plugged(host, body).get("/hello/quotes/") == "quotes"


def test_a_view_can_be_on_the_blueprint_of_another_plugin(host: Host) -> None:
    """At the prefix of that blueprint."""
    host.plugin(
        "shop",
        "from flask_pluginkit import Plugin\nplugin = Plugin(__name__, url_prefix='/shop')\n"
        "plugin.get('/')(lambda: 'shop')\nregister = plugin.register",
    )
    plugged(host, '@plugin.route("/more", on="shop")\ndef more():\n    return url_for("shop.more")')
    assert host.get("/shop/more") == "/shop/more"


# ---- slots -----------------------------------------------------------------------------------


def test_a_function_for_a_slot_gets_the_variables_that_it_names(host: Host) -> None:
    """From what the page hands over, and from context processors."""
    body = """
    plugin.add_context(site="here")

    @plugin.tep("side")
    def side(site, /, user, *, request):
        return f"{site} {user} {request.path}"
    """
    plugged(host, body)
    with host.app.test_request_context("/x"):
        assert host.pm.emit_tep("side", user="ann") == "here ann /x"


def test_text_for_a_slot_is_escaped_and_markup_is_not(host: Host) -> None:
    """What comes from templates of the plugin is Markup."""
    body = """
    @plugin.tep("text")
    def text(): return "<b>"

    @plugin.tep("markup")
    def markup(): return Markup("<b>")

    @plugin.tep("nothing")
    def nothing(): return None

    @plugin.tep("template")
    def template(): return plugin.render("part.html", who="<me>")
    """
    plugged(host, body)
    slots = ("text", "markup", "nothing", "template")
    code = "|".join(f"{{{{ emit_tep({slot!r}) }}}}" for slot in slots)
    assert host.render(code) == "&lt;b&gt;|<b>||<i>&lt;me&gt;</i>"


def test_text_for_a_slot_is_escaped_wherever_the_host_escapes(host: Host) -> None:
    """Also in an application that escapes nothing by itself."""
    plugged(host, '@plugin.tep("side")\ndef side(): return "<b>"')
    host.app.jinja_env.autoescape = False
    assert host.render("{{ emit_tep('side') }}") == "&lt;b&gt;"


def test_a_variable_that_a_page_has_not_is_the_default(host: Host) -> None:
    """None of the page's, and not Jinja's undefined."""
    plugged(
        host, '@plugin.tep("side")\ndef side(user="nobody", *, age=None): return f"{user} {age}"'
    )
    assert host.render("{{ emit_tep('side') }}") == "nobody None"
    assert host.render("{{ emit_tep('side', user=None, age=3) }}") == "None 3"


def test_a_variable_without_default_that_a_page_has_not_is_told(host: Host) -> None:
    """With what can be done about it; it counts as a fault of the slot."""
    plugged(host, '@plugin.tep("side")\ndef side(user): return user', strict=False)
    assert host.render("{{ emit_tep('side') }}") == ""
    fault = host.row("hello").last_fault
    assert fault is not None
    assert "side() for the slot 'side' needs the variable 'user'" in fault
    assert "emit_tep('side', user=...)" in fault
    assert host.row("hello").counts["tep side"] == (1, 1)


def test_an_async_function_for_a_slot_is_run_to_its_end(host: Host) -> None:
    """As async filters are."""
    plugged(host, '@plugin.tep("side")\nasync def side(): return "<b>"')
    assert host.render("{{ emit_tep('side') }}") == "&lt;b&gt;"


def test_parts_are_in_the_order_that_they_ask_for(host: Host) -> None:
    """Functions, files and code alike."""
    host.plugin("a", BEGIN + '@plugin.tep("nav", order=30)\ndef nav(): return "a"')
    host.plugin("b", BEGIN.replace("/hello", "/b") + 'plugin.add_tep("nav", "b", order=20)')
    files = {"templates/nav.html": "c"}
    host.plugin("c", BEGIN + 'plugin.add_tep("nav", "nav.html", order=10)', files=files)
    host.plugin("d", BEGIN + 'plugin.add_tep("nav", "d")')
    host.start(stpl="asc")
    assert host.render("{{ emit_tep('nav') }}") == "cbad"


def test_functions_for_one_slot_of_two_plugins_are_two(host: Host) -> None:
    """Their names among Jinja's globals differ, also where names of plugins read alike."""
    for name in ("a_b", "a__b"):
        body = BEGIN + f'@plugin.tep("nav")\ndef nav(): return "{name} "'
        host.plugin(name, body)
    host.start()
    assert sorted(host.render("{{ emit_tep('nav') }}").split()) == ["a__b", "a_b"]


# ---- requests --------------------------------------------------------------------------------

HOOKS = """
@plugin.before_request
def first():
    g.seen = ["first"]
    if request.args.get("stop") == "first":
        return "first"

@plugin.before_request
async def second():
    g.seen.append("second")
    if request.args.get("stop") == "second":
        return "second"

@plugin.before_request
def third():
    g.seen.append("third")

@plugin.after_request
def stamp(response):
    return Response(response.get_data() + b" stamp")

@plugin.after_request
async def mark(response):
    return Response(response.get_data() + b" mark")

@plugin.get("/")
def index():
    return " ".join(g.seen)
"""


def test_several_hooks_before_a_request_run_in_order(host: Host) -> None:
    """And those after it in reverse, each with the response of the one before."""
    assert plugged(host, HOOKS).get("/hello/") == "first second third mark stamp"


@pytest.mark.parametrize("stop", ["first", "second"])
def test_a_hook_that_answers_ends_the_request(host: Host, stop: str) -> None:
    """Those behind it aren't called."""
    assert plugged(host, HOOKS).get(f"/hello/?stop={stop}") == f"{stop} mark stamp"


def test_several_hooks_at_the_end_of_a_request_all_run(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """In reverse order, whichever of them fails; the fault is counted."""
    body = """
    seen = []

    @plugin.teardown_request
    def close(error): seen.append("close")

    @plugin.teardown_request
    async def fail(error): seen.append("fail"); raise ValueError

    @plugin.teardown_request
    def tidy(error): seen.append("tidy")

    @plugin.get("/")
    def index(): return "hello"
    """
    plugged(host, body, strict=False)
    assert host.get("/hello/") == "hello"
    assert host.module("hello").seen == ["tidy", "fail", "close"]
    assert host.row("hello").counts["teardown_request"] == (1, 1)


def test_several_hooks_have_the_names_of_all(host: Host) -> None:
    """As reports of faults and of refusals name a hook."""
    plugged(host, HOOKS)
    hooks = host.module("hello").register()["hep"]
    assert hooks["before_request"].__name__ == "first_and_second_and_third"
    assert hooks["before_request"].__module__ == host.module("hello").__name__
    assert hooks["after_request"].__doc__ == "Call, as after_request: stamp, mark."


def test_an_error_is_answered(host: Host) -> None:
    """That of an HTTP code, and that of a class."""
    body = """
    @plugin.errorhandler(404)
    def missing(error): return f"none: {error.code}", 404

    @plugin.errorhandler(LookupError)
    async def lost(error): return "lost", 410

    @plugin.get("/")
    def index(): raise KeyError("x")
    """
    plugged(host, body)
    assert host.get("/nowhere") == "none: 404"
    assert host.open("/hello/").status_code == 410


# ---- templates and the rest ------------------------------------------------------------------


def test_filters_tests_and_globals_are_there(host: Host) -> None:
    """Under the function's name or another."""
    body = """
    @plugin.filter
    def loud(text): return text.upper()

    @plugin.test("even_number")
    def is_even(number): return number % 2 == 0

    @plugin.global_
    def twice(number): return number * 2

    plugin.add_global(answer=42)
    plugin.add_context(year=2026)
    """
    code = "{{ 'a'|loud }} {{ 2 is even_number }} {{ twice(2) }} {{ answer }} {{ year }}"
    plugged(host, body)
    with host.app.test_request_context():
        assert render_template_string(code) == "A True 4 42 2026"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_for_the_context_is_asked_at_each_page(host: Host, kind: str) -> None:
    """It sees the request, and comes and goes with the plugin."""
    body = f"""
    @plugin.context
    {kind} who():
        return {{"who": request.args.get("who", "nobody")}}
    """
    host.template("page.html", "{{ who }} {{ emit_tep('side') }}")
    host.app.add_url_rule("/page", "page", lambda: render_template("page.html"))
    plugged(host, dedent(body) + '\nplugin.add_tep("side", "{{ who }}")')
    assert host.get("/page?who=ann") == "ann ann"
    host.pm.disable_plugin("hello")
    assert host.get("/page?who=ann") == " "
    host.pm.enable_plugin("hello")
    assert host.get("/page") == "nobody nobody"


def test_connections_signals_and_commands_are_there(host: Host) -> None:
    """Each by its decorator."""
    body = """
    seen = []

    @plugin.dcp("counter")
    def second(): return "2"

    @plugin.dcp("counter", position="left")
    def first(): return "1"

    @plugin.connect(request_finished)
    def finished(sender, **_): seen.append(request.path)

    @plugin.cli.command("greet")
    def greet():
        '''Say hello.'''
        print("hello")
    """
    plugged(host, body)
    assert host.render("{{ emit_dcp('counter') }}") == "12"
    host.get("/x")
    assert host.module("hello").seen == ["/x"]
    assert host.app.test_cli_runner().invoke(args=["hello", "greet"]).output == "hello\n"


@pytest.mark.parametrize("decorator", ["command", "command()", "command('say-hello')"])
def test_a_command_is_called_like_its_function_or_otherwise(host: Host, decorator: str) -> None:
    """With or without parentheses; it has an application context."""
    body = f"""
    from flask import current_app

    @plugin.cli.{decorator}
    def say_hello(): print(current_app.name)
    """
    plugged(host, body)
    assert host.app.test_cli_runner().invoke(args=["hello", "say-hello"]).output == "host\n"


def test_what_another_plugin_registers_can_be_changed(host: Host) -> None:
    """Its normal form goes through the function."""
    host.plugin("other", "def register(): return {'tep': {'nav': 'other'}}")
    body = """
    @plugin.preprocess("other", "tep")
    def louder(teps): return {**teps, "nav": {"cod": "LOUDER"}}
    """
    plugged(host, body)
    assert host.render("{{ emit_tep('nav') }}") == "LOUDER"


def test_everything_goes_and_comes_with_the_plugin(host: Host) -> None:
    """Views, slots, hooks and what templates call, in one step each."""
    body = HOOKS + '\n@plugin.tep("side")\ndef side(): return "side"\n'
    plugged(host, body)
    host.pm.disable_plugin("hello")
    assert host.open("/hello/").status_code == 404
    assert host.render("{{ emit_tep('side') }}") == ""
    host.pm.enable_plugin("hello")
    assert host.get("/hello/") == "first second third mark stamp"
    assert host.render("{{ emit_tep('side') }}") == "side"


def test_two_applications_have_the_plugin_at_once(host: Host) -> None:
    """They share its module, and neither takes anything from the other."""
    plugged(host, HOOKS + '\n@plugin.tep("side")\ndef side(): return "side"\n')
    other = Host(host.folder)
    other.start(state_dir=str(host.folder / "state"))
    other.pm.disable_plugin("hello")
    assert other.open("/hello/").status_code == 404
    assert host.get("/hello/") == "first second third mark stamp"
    assert host.render("{{ emit_tep('side') }}") == "side"
    other.pm.enable_plugin("hello")
    assert other.get("/hello/") == "first second third mark stamp"


def test_a_plugin_of_several_modules_says_where_it_is(host: Host) -> None:
    """By the name of its package, from whichever module."""
    files = {
        "own.py": "from flask_pluginkit import Plugin\nplugin = Plugin(__package__)",
        "views.py": "from .own import plugin\n@plugin.get('/views')\ndef view(): return 'views'",
        "templates/nav.html": "nav",
    }
    body = """
    from . import views
    from .own import plugin

    plugin.add_tep("nav", "nav.html")
    register = plugin.register
    """
    host.plugin("hello", body, files=files)
    host.start()
    assert host.get("/views") == "views"
    assert host.render("{{ emit_tep('nav') }}") == "nav"


def test_the_public_name_leads_to_the_decorators() -> None:
    """It is imported when it is asked for, as the manager is."""
    import flask_pluginkit

    assert flask_pluginkit.Plugin.__module__ == "flask_pluginkit.authoring.plugin"
    assert PluginManager is flask_pluginkit.PluginManager
