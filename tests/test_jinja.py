"""filter, test, global and tcp: what plugins add to the language and variables of templates."""

from __future__ import annotations

from typing import Any

import pytest
from flask import render_template, render_template_string
from hosts import Host, clean_imports, host
from jinja2 import TemplateAssertionError
from jinja2.exceptions import UndefinedError

__all__ = ["clean_imports", "host"]

PRELUDE = """
from jinja2 import pass_context, pass_environment, pass_eval_context

calls = []

def shout(value, mark="!"):
    calls.append(value)
    return str(value).upper() + mark

def cheap(value, limit=10):
    calls.append(value)
    return value < limit

def hours():
    return "9-5"

class Price:
    currency = "EUR"
    def __init__(self, amount=0):
        self.amount = amount
    def __str__(self):
        return f"{self.amount} EUR"
"""


def plugin(value: str, prelude: str = PRELUDE) -> str:
    """A plugin whose register() returns this."""
    return f"{prelude}\ndef register():\n    return {value}\n"


def page(host: Host, source: str, **variables: object) -> str:
    """Render code as a page of the host, with the variables that every page has."""
    with host.app.test_request_context():
        return render_template_string(source, **variables)


# ---- filters and tests -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{'shout': shout}", "[shout]", "[('shout', shout)]", "(shout,)"])
def test_a_filter_works_in_every_form(host: Host, form: str) -> None:
    """With arguments, in chains, as a block and by name in other filters."""
    host.plugin("a", plugin(f"{{'filter': {form}}}"))
    host.start()
    assert page(host, "{{ 'a'|shout }}{{ 'b'|shout('?')|lower }}") == "A!b?"
    assert page(host, "{% filter shout %}c{% endfilter %}") == "C!"
    assert page(host, "{{ ['a', 'b']|map('shout', mark='.')|join }}") == "A.B."


@pytest.mark.parametrize("form", ["{'cheap': cheap}", "[cheap]", "[('cheap', cheap)]", "(cheap,)"])
def test_a_test_works_in_every_form(host: Host, form: str) -> None:
    """With arguments, negated and by name in filters."""
    host.plugin("a", plugin(f"{{'test': {form}}}"))
    host.start()
    assert page(host, "{{ 5 is cheap }} {{ 5 is not cheap }} {{ 5 is cheap(3) }}") == (
        "True False False"
    )
    assert page(host, "{{ [1, 50, 2]|select('cheap')|list }}") == "[1, 2]"


def test_templates_can_ask_whether_they_exist(host: Host) -> None:
    """By the tests `filter` and `test` of Jinja itself."""
    host.plugin("a", plugin("{'filter': [shout], 'test': [cheap]}"))
    host.start()
    source = "{{ 'shout' is filter }} {{ 'cheap' is test }} {{ 'nothing' is filter }}"
    assert page(host, source) == "True True False"


def test_they_work_in_files_of_the_host_and_of_plugins(host: Host) -> None:
    """Everywhere that templates are."""
    view = "lambda: __import__('flask').render_template('own.html')"
    value = f"{{'filter': [shout], 'vep': {{'rule': '/own', 'view_func': {view}}}}}"
    host.plugin("a", plugin(value), files={"templates/own.html": "{{ 'plugin'|shout }}"})
    host.template("page.html", "{{ 'host'|shout }}")
    host.app.add_url_rule("/", "page", lambda: render_template("page.html"))
    host.start()
    assert (host.get("/"), host.get("/own")) == ("HOST!", "PLUGIN!")


def test_constants_are_never_filtered_early(host: Host) -> None:
    """Jinja computes filters of constants when it compiles: that would outlive the plugin."""
    host.plugin("a", plugin("{'filter': [shout], 'test': [cheap]}"))
    host.start()
    template = host.app.jinja_env.from_string("{{ 'a'|shout }}{{ 5 is cheap }}")
    assert host.module("a").calls == []
    with host.app.app_context():
        assert (template.render(), template.render()) == ("A!True", "A!True")
    assert host.module("a").calls == ["a", 5, "a", 5]


@pytest.mark.parametrize(
    ("decorator", "first"),
    [
        ("pass_context", "Context"),
        ("pass_eval_context", "EvalContext"),
        ("pass_environment", "Env"),
    ],
)
@pytest.mark.parametrize("kind", ["filter", "test"])
def test_functions_get_what_they_ask_jinja_for(
    host: Host, kind: str, decorator: str, first: str
) -> None:
    """As with Jinja's own decorators."""
    prelude = (
        f"{PRELUDE}\n@{decorator}\ndef ask(first, value):\n    calls.append(first)\n    return 1"
    )
    host.plugin("a", plugin(f"{{{kind!r}: [ask]}}", prelude))
    host.start()
    assert page(host, "{{ 5|ask }}" if kind == "filter" else "{{ 5 is ask }}") in {"1", "True"}
    assert first in type(host.module("a").calls[0]).__name__


def test_what_a_filter_returns_is_escaped_unless_it_is_markup(host: Host) -> None:
    """As with every filter of Flask's templates."""
    prelude = "from markupsafe import Markup\n"
    host.plugin(
        "a",
        plugin(
            "{'filter': {'raw': lambda v: f'<{v}>', 'safe_one': lambda v: Markup('<b>')}}", prelude
        ),
    )
    host.start()
    assert page(host, "{{ 1|raw }} {{ 1|safe_one }}") == "&lt;1&gt; <b>"


def test_python_code_finds_them_in_the_environment(host: Host) -> None:
    """And calls them as it always did, without a context."""
    host.plugin("a", plugin("{'filter': [shout], 'test': [cheap]}"))
    host.start()
    environment: Any = host.app.jinja_env
    assert environment.filters["shout"]("a") == "A!"
    assert environment.tests["cheap"](5, limit=3) is False
    assert {"shout", "upper"} <= set(environment.filters)
    assert environment.call_filter("upper", "a") == "A"
    assert len(environment.filters) == len(list(environment.filters))


def test_an_overlay_of_the_environment_has_them_too(host: Host) -> None:
    """Extensions make one to change the delimiters."""
    host.plugin("a", plugin("{'filter': [shout]}"))
    host.start()
    overlay = host.app.jinja_env.overlay(variable_start_string="[[", variable_end_string="]]")
    with host.app.app_context():
        assert overlay.from_string("[[ 'a'|shout ]]").render() == "A!"


def test_a_filter_that_nobody_has_is_jinjas_own_error(host: Host) -> None:
    """And so is one of a plugin that is disabled."""
    host.plugin("a", plugin("{'filter': [shout]}"), state="disabled")
    host.start()
    with pytest.raises(TemplateAssertionError, match="No filter named 'shout'"):
        page(host, "{{ 'a'|shout }}")


def test_the_lists_of_3x_hold_the_functions_themselves(host: Host) -> None:
    """Pairs of name and function."""
    host.plugin("a", plugin("{'filter': {'loud': shout}, 'tcp': {'hours': hours, 'year': 1}}"))
    pm = host.start()
    module = host.module("a")
    assert pm.get_enabled_filters == [("loud", module.shout)]
    assert pm.get_plugin_info("a").plugin_filter == [("loud", module.shout)]
    assert pm.get_enabled_tcps == [{"hours": module.hours}, {"year": 1}]
    assert pm.get_plugin_info("a").plugin_tcp == {"hours": module.hours, "year": 1}


# ---- globals ---------------------------------------------------------------------------------


def test_globals_are_values_functions_and_classes(host: Host) -> None:
    """In templates, and in macros that are imported without context."""
    host.plugin("a", plugin("{'global': {'year': 2000, 'hours': hours, 'Price': Price}}"))
    host.template("macros.html", "{% macro line() %}{{ year }} {{ hours() }}{% endmacro %}")
    host.start()
    assert page(host, "{{ year }} {{ hours() }} {{ Price(3) }} {{ Price.currency }}") == (
        "2000 9-5 3 EUR EUR"
    )
    assert page(host, "{% from 'macros.html' import line %}{{ line() }}") == "2000 9-5"
    assert host.app.jinja_env.globals["year"] == 2000
    assert host.app.jinja_env.globals["Price"] is host.module("a").Price


def test_a_variable_of_the_page_hides_a_global(host: Host) -> None:
    """As in Jinja."""
    host.plugin("a", plugin("{'global': {'year': 2000}}"))
    host.start()
    assert page(host, "{{ year }}", year=1999) == "1999"


def test_without_globals_of_plugins_jinja_keeps_a_plain_dict(host: Host) -> None:
    """It copies all of them at each render: a live mapping would cost every page."""
    host.plugin("a", plugin("{'filter': [shout]}"))
    host.start()
    assert type(host.app.jinja_env.globals).__iter__ is dict.__iter__
    host.app.jinja_env.globals["later"] = 1
    assert page(host, "{{ later }}") == "1"


# ---- template context ------------------------------------------------------------------------


def test_context_values_and_functions_are_on_every_page(host: Host) -> None:
    """A function is handed on as such: the template calls it."""
    host.plugin("a", plugin("{'tcp': {'year': 2000, 'hours': hours, 'Price': Price}}"))
    host.start()
    assert page(host, "{{ year }} {{ hours() }} {{ Price(2) }}") == "2000 9-5 2 EUR"


def test_context_values_reach_includes_and_slots(host: Host) -> None:
    """Wherever the page's own variables go."""
    host.plugin("a", plugin("{'tcp': {'year': 2000}, 'tep': {'foot': '{{ year }}'}}"))
    host.template("foot.html", "{{ year }}")
    host.start()
    assert page(host, "{% include 'foot.html' %}|{{ emit_tep('foot') }}") == "2000|2000"


def test_the_hosts_variables_come_before_those_of_plugins(host: Host) -> None:
    """Those of a view, and those of its context processors, whenever they were added."""
    host.app.context_processor(lambda: {"early": "host"})
    host.plugin("a", plugin("{'tcp': {'early': 'p', 'late': 'p', 'given': 'p', 'own': 'p'}}"))
    host.start()
    host.app.context_processor(lambda: {"late": "host"})
    source = "{{ early }} {{ late }} {{ given }} {{ own }}"
    assert page(host, source, given="view") == "host host view p"


def test_values_are_the_plugins_objects_themselves(host: Host) -> None:
    """Neither copied nor wrapped: what changes them in the plugin changes the page."""
    prelude = "basket = []\n"
    host.plugin("a", plugin("{'tcp': {'basket': basket}}", prelude))
    host.start()
    host.module("a").basket.append("apple")
    assert page(host, "{{ basket[0] }}") == "apple"


def test_a_name_that_nobody_has_is_undefined(host: Host) -> None:
    """Nothing is left of a plugin that is disabled."""
    host.plugin("a", plugin("{'tcp': {'year': 2000}}"), state="disabled")
    host.start()
    assert page(host, "{{ year }}") == ""
    with pytest.raises(UndefinedError):
        page(host, "{{ year.month }}")
