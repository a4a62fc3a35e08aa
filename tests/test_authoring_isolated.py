"""A plugin that says with decorators what it adds, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from inner import LoadInner, ask, inside, refused, value
from isolation_sites import Site, _impatient, sites
from trees import clean_imports, write_plugin

__all__ = ["_impatient", "clean_imports", "inside", "sites"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PERMISSIONS = ["requests", "requests:answer", "responses"]

BODY = """
from flask import abort, g, render_template_string, request, url_for
from flask.views import MethodView
from markupsafe import Markup

from flask_pluginkit import Plugin

plugin = Plugin(__name__, url_prefix="/guest")
register = plugin.register

@plugin.get("/")
def index():
    return url_for("guest.index") + url_for(".greet", name="you")

@plugin.route("/<name>")
async def greet(name):
    return f"hello {name}"

class Items(MethodView):
    def get(self):
        return url_for("guest.items")

plugin.add_view(Items, "/items")

@plugin.get("/items/first")
@plugin.post("/items/<int:number>")
def item(number=1):
    return f"item {number}"

@plugin.get("/page")
def page():
    return render_template_string("{{ who }} {{ year }} {{ twice(4) }} {{ 'a'|loud }}")

@plugin.tep("side", order=20)
def side(user="nobody", *, place):
    return f"<{user} {place}>"

@plugin.tep("rich")
def rich():
    return plugin.render("part.html", who="<me>")

@plugin.tep("async")
async def later():
    return Markup("<b>")

@plugin.tep("broken")
def broken(absent):
    return absent

plugin.add_tep("nav", "{{ who }} {{ year }}")
plugin.add_context(year=2026)

@plugin.context
async def who():
    return {"who": request.path}

@plugin.filter
def loud(text):
    return text.upper()

@plugin.test("even_number")
def is_even(number):
    return number % 2 == 0

@plugin.global_
async def twice(number):
    return number * 2

plugin.add_global(answer=42)

@plugin.dcp("counter")
def counter():
    return Markup("7")

@plugin.before_request
def first():
    g.first = 1

@plugin.before_request
async def second():
    if request.path == "/stop":
        return f"stopped {g.first}"

@plugin.errorhandler(404)
def missing(error):
    return f"none: {error.code}", 404
"""


@pytest.fixture(scope="module")
def site(_impatient: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with the plugin, for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("authored")
    files = {"templates/part.html": "<i>{{ who }}</i>"}
    write_plugin(folder / "plugins", "guest", BODY, files=files, permissions=PERMISSIONS)
    made = Site(folder)
    yield made
    made.close()


def test_its_views_answer(site: Site) -> None:
    """With the endpoints that they have in the host."""
    paths = ("/guest/", "/guest/you", "/guest/items")
    assert [site.client.get(path).text for path in paths] == [
        "/guest//guest/you",
        "hello you",
        "/guest/items",
    ]


def test_one_view_can_answer_several_rules(site: Site) -> None:
    """They have one endpoint, as in the host."""
    assert site.client.get("/guest/items/first").text == "item 1"
    assert site.client.post("/guest/items/7").text == "item 7"


def test_functions_for_slots_get_their_variables(site: Site) -> None:
    """Those that the page hands over, else their defaults; text is escaped."""
    code = "{{ emit_tep('side', place='x') }} {{ emit_tep('side', place='y', user='ann') }}"
    assert site.render(code) == "&lt;nobody x&gt; &lt;ann y&gt;"


def test_a_function_for_a_slot_renders_its_template(site: Site) -> None:
    """And says that it needs no escaping any more."""
    assert site.render("{{ emit_tep('rich') }} {{ emit_tep('async') }}") == "<i>&lt;me&gt;</i> <b>"


def test_a_variable_that_is_missing_is_told(site: Site) -> None:
    """As in the host; the place stays empty."""
    assert site.render("{{ emit_tep('broken') }}") == ""
    assert "needs the variable 'absent'" in site.row().last_fault


def test_context_functions_are_asked_at_each_page(site: Site) -> None:
    """For parts of the host's pages, and for the plugin's own."""
    assert site.render("{{ emit_tep('nav') }} {{ who }}") == "/page 2026 /page"
    assert site.client.get("/guest/page").text == "/guest/page 2026 8 A"


def test_filters_tests_values_and_connections_are_there(site: Site) -> None:
    """For templates of the host."""
    code = "{{ 'a'|loud }} {{ 2 is even_number }} {{ answer }} {{ emit_dcp('counter') }}"
    assert site.render(code) == "A True 42 7"


def test_several_hooks_before_requests_are_one(site: Site) -> None:
    """In their order, until one answers."""
    assert site.client.get("/stop").text == "stopped 1"


def test_an_error_of_the_host_is_answered(site: Site) -> None:
    """By the plugin's handler."""
    assert site.client.get("/nowhere").text == "none: 404"


def test_nothing_but_functions_for_the_hosts_templates_is_refused(site: Site) -> None:
    """What calls functions for slots is the plugin's own concern."""
    assert [conflict.name for conflict in site.row().conflicts] == ["twice"]


def test_it_goes_and_comes(sites: Callable[..., Site], tmp_path: Any) -> None:
    """As a trusted one, in one step."""
    files = {"templates/part.html": ""}
    write_plugin(tmp_path / "plugins", "guest", BODY, files=files, permissions=PERMISSIONS)
    site = sites()
    site.manager.disable_plugin("guest")
    assert site.render("{{ emit_tep('side', place='x') }}") == ""
    assert site.client.get("/guest/").status_code == 404
    site.manager.enable_plugin("guest")
    assert site.render("{{ emit_tep('side', place='x') }}") == "&lt;nobody x&gt;"
    assert site.client.get("/guest/you").text == "hello you"


def test_what_a_hook_needs_names_all_of_them(inside: LoadInner) -> None:
    """Several are one, which is refused under the names of all."""
    inner = inside(BODY.replace("guest", "hello"))
    assert refused(inner, "hook").name == "before_request first_and_second"


@pytest.mark.parametrize("is_async", [False, True])
def test_async_functions_are_run_to_their_end(inside: LoadInner, is_async: bool) -> None:
    """For parts of slots and as globals, whether or not templates are rendered in a loop."""
    body = f"""
    from flask_pluginkit import Plugin
    plugin = Plugin(__name__)
    register = plugin.register

    @plugin.global_
    async def one(): return 1

    async def two(): return 2

    plugin.add_context(two=two)
    plugin.add_tep("nav", "{{{{ one() }}}} {{{{ two() }}}}")

    @plugin.tep("side")
    async def side(): return "<3>"

    def on_app_ready(app):
        app.jinja_env.is_async = {is_async}
    """
    inner = inside(body)
    shown = [value(ask(inner, tep.reference)) for tep in inner.description.teps]
    assert shown == ["1 2", "&lt;3&gt;"]
