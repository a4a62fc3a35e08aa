"""Templates of an application whose filters, tests, globals and files come and go."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from flask import render_template
from hosts import Host, clean_imports, host
from jinja2 import FileSystemBytecodeCache, TemplateAssertionError, TemplateError, TemplateNotFound

__all__ = ["clean_imports", "host"]

LOUD = """
from jinja2 import pass_context, pass_environment
@pass_context
def who(context, value):
    return f"{context['name']} {value}"
@pass_environment
def env(environment, value):
    return f"{type(environment).__name__} {value}"
def register():
    return {
        "filter": {"loud": lambda value: f"{value}!", "who": who, "env": env},
        "test": {"odd_one": lambda value: value == 1},
    }
"""


def page(host: Host, name: str = "page.html", **values: Any) -> str:
    """Render a page of the application."""
    with host.app.app_context():
        return render_template(name, **values)


def start(host: Host, name: str, body: str, *, off: bool = True, **rest: Any) -> None:
    """Start with one plugin, and answer a request."""
    host.plugin(name, body, state="disabled" if off else "enabled", **rest)
    host.start(strict=False, live=False)
    host.get("/")


def test_a_page_compiled_before_uses_a_filter_that_comes(host: Host) -> None:
    """In whatever form the plugin wants it to be called."""
    host.template(
        "page.html",
        "{% if 'loud' is filter %}{{ 1|loud }} {{ 2|who }} {{ 3|env }}{% endif %}"
        "{% if 'odd_one' is test %} {{ 1 is odd_one }}{% endif %}",
    )
    start(host, "a", LOUD)
    host.app.jinja_env.globals["name"] = "n"
    assert page(host) == ""
    host.pm.enable_plugin("a")
    assert page(host) == "1! n 2 LiveEnvironment 3 True"
    host.pm.disable_plugin("a")
    assert page(host) == ""
    host.pm.enable_plugin("a")
    assert page(host) == "1! n 2 LiveEnvironment 3 True"


def test_a_page_that_needs_a_filter_names_the_plugin_that_has_it(host: Host) -> None:
    """Once that is known; before, it is Jinja's own error."""
    host.template("page.html", "{{ 1|loud }}")
    host.template("test.html", "{{ 1 is odd_one }}")
    start(host, "a", LOUD)
    with pytest.raises(TemplateAssertionError, match="No filter named 'loud'"):
        page(host)
    host.pm.enable_plugin("a")
    assert page(host) == "1!"
    host.pm.disable_plugin("a")
    for name, what in (
        ("page.html", "filter 'loud'|filter named 'loud'"),
        ("test.html", "odd_one"),
    ):
        with pytest.raises(TemplateError, match=what) as caught:
            page(host, name)
        assert "plugin 'a'" in str(caught.value)
    host.pm.enable_plugin("a")
    assert page(host) == "1!"


def test_a_constant_isnt_computed_when_a_page_is_compiled(host: Host) -> None:
    """A plugin's filter is called at each rendering."""
    host.template("page.html", "{{ 'a'|loud if 'loud' is filter else 'none' }}")
    start(host, "a", LOUD, off=False)
    assert page(host) == "a!"
    host.pm.disable_plugin("a")
    assert page(host) == "none"


def test_imported_macros_follow(host: Host) -> None:
    """Jinja keeps the module of an imported template."""
    host.template(
        "macros.html",
        "{% macro m() %}{{ emit_tep('nav') }}{{ answer }}{% endmacro %}"
        "{% set x = emit_tep('nav') %}",
    )
    host.template("page.html", "{% from 'macros.html' import m, x %}[{{ m() }}|{{ x }}]")
    body = "def register():\n    return {'tep': {'nav': 'nav'}, 'global': {'answer': 42}}\n"
    start(host, "a", body)
    assert page(host) == "[|]"
    host.pm.enable_plugin("a")
    assert page(host) == "[nav42|nav]"
    host.pm.disable_plugin("a")
    assert page(host) == "[|]"


def test_globals_that_a_plugin_brings_first_reach_pages_compiled_before(host: Host) -> None:
    """Also included and extended ones, and those of the application stay."""
    host.template("base.html", "{{ answer }}{% block b %}{% endblock %}{% include 'part.html' %}")
    host.template("part.html", "{{ answer }}{{ own }}")
    host.template("page.html", "{% extends 'base.html' %}{% block b %}{{ answer }}{% endblock %}")
    start(host, "a", "def register():\n    return {'global': {'answer': 42}}\n")
    host.app.jinja_env.globals["own"] = "own"
    assert page(host) == "own"
    host.pm.enable_plugin("a")
    assert page(host) == "424242own"
    host.app.jinja_env.globals["own"] = "later"
    host.pm.disable_plugin("a")
    assert page(host) == "later"


def test_a_global_that_the_application_removed_stays_away(host: Host) -> None:
    """Though Jinja's globals are others from the first plugin on that has one."""
    start(host, "a", "def register():\n    return {'global': {'answer': 42}}\n")
    del host.app.jinja_env.globals["lipsum"]
    host.pm.enable_plugin("a")
    assert "lipsum" not in host.app.jinja_env.globals
    assert host.app.jinja_env.globals["answer"] == 42


def test_a_global_registered_by_hand_goes_with_its_plugin(host: Host) -> None:
    """By a blueprint, or in ``on_app_ready``: the first that any plugin has."""
    body = """
from flask import Blueprint
bp = Blueprint("bp", __name__)
bp.app_template_global("hours")(lambda: "9-5")
def on_app_ready(app):
    app.jinja_env.globals["answer"] = 42
    app.jinja_env.globals.update(more=43)
    assert app.jinja_env.globals["answer"] == 42
def register():
    return {"bep": {"blueprint": bp}}
"""
    host.template("page.html", "{{ hours() if hours }}{{ answer }}{{ more }}")
    start(host, "a", body)
    assert page(host) == ""
    host.pm.enable_plugin("a")
    assert page(host) == "9-54243"
    host.pm.disable_plugin("a")
    assert page(host) == ""
    assert not {"hours", "answer", "more"} & host.app.jinja_env.globals.keys()


def test_slots_in_pages_compiled_before(host: Host) -> None:
    """Parts of code and of files, escaped as they are from the start."""
    host.template("page.html", "{{ emit_tep('nav', name='<b>') }}")
    body = (
        "def register():\n    return {'tep': {'nav': '{{ name }}{{ 1|loud }}', 'foot': 'f.html'}}\n"
    )
    start(host, "a", body, files={"templates/f.html": "{{ name }}"})
    host.plugin("b", LOUD, state="disabled")
    assert page(host) == ""
    host.pm.enable_plugin("a")
    assert page(host) == ""  # the filter isn't there: a fault, which is contained
    host.pm.enable_plugin("b")
    assert page(host) == "&lt;b&gt;1!"
    host.pm.disable_plugin("b")
    assert page(host) == ""
    host.pm.enable_plugin("b")
    assert page(host) == "&lt;b&gt;1!"
    host.pm.disable_plugin("a")
    assert page(host) == ""


def test_a_plugins_page_isnt_found_while_it_is_away(host: Host) -> None:
    """By its full name and by a bare one, in Jinja's cache or not."""
    host.template(
        "page.html", "{% include 'a:p.html' ignore missing %}{% include 'p.html' ignore missing %}"
    )
    start(host, "a", "def register():\n    return {}\n", files={"templates/p.html": "p"})
    assert page(host) == ""
    host.pm.enable_plugin("a")
    assert page(host) == "pp"
    host.pm.disable_plugin("a")
    assert page(host) == ""
    for name in ("a:p.html", "p.html"):
        with pytest.raises(TemplateNotFound):
            page(host, name)


def test_a_cache_of_bytecode_outlives_switches(host: Host, tmp_path: Path) -> None:
    """What was compiled for the plugin's filter isn't used for the application's."""
    host.template("page.html", "{{ 1|loud if 'loud' is filter else 'none' }}")
    host.plugin("a", LOUD, state="disabled")
    (tmp_path / "cache").mkdir()

    def worker(own: bool) -> Host:
        twin = host.twin()
        twin.app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(tmp_path / "cache"))
        if own:
            twin.app.jinja_env.filters["loud"] = lambda value: f"own {value}"
        twin.start(strict=False, live=False)
        return twin

    first = worker(own=False)
    assert page(first) == "none"
    first.pm.enable_plugin("a")
    assert page(first) == "1!"
    assert page(worker(own=False)) == "1!"
    assert page(worker(own=True)) == "own 1"
    first.pm.disable_plugin("a")
    assert page(first) == "none"
    assert page(worker(own=False)) == "none"


def test_pages_agree_with_themselves_while_plugins_are_switched(host: Host) -> None:
    """Four threads render, one switches: no page is half of one state, none fails."""
    parts = "{{ emit_tep('nav') }}{{ answer }}{{ 1|loud if 'loud' is filter }}"
    host.template("macros.html", "{% macro m() %}" + parts + "{% endmacro %}")
    host.template("part.html", parts)
    host.template(
        "page.html",
        parts + "{% include 'part.html' %}{% from 'macros.html' import m %}{{ m() }}",
    )
    body = (
        "def register():\n    return {'tep': {'nav': 'nav'}, 'global': {'answer': 42}, "
        "'filter': {'loud': lambda value: f'{value}!'}}\n"
    )
    host.app.add_url_rule("/page", "page", lambda: render_template("page.html"))
    start(host, "a", body)
    found: set[tuple[int, str]] = set()
    is_over = threading.Event()

    def ask() -> None:
        client = host.app.test_client()
        while not is_over.is_set():
            answer = client.get("/page")
            found.add((answer.status_code, answer.text))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        host.pm.enable_plugin("a")
        host.pm.disable_plugin("a")
    is_over.set()
    for thread in threads:
        thread.join()
    assert found <= {(200, ""), (200, "nav421!" * 3)}
