"""What a plugin's own name means inside the host's override of one of its templates."""

from __future__ import annotations

import pytest
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

PAGE = """
from flask import render_template

def show():
    return render_template("page.html", items=[1, [2, [3]]])

def register():
    return {"vep": {"rule": "/hello", "view_func": show}}
"""


BLOCK = "({% block b %}own{% endblock %})"
MACRO = "{% macro m() %}own{{ items[0] if items is defined }}{% endmacro %}"


@pytest.mark.parametrize(
    ("override", "own", "text"),
    [
        ('{% extends "hello:page.html" %}{% block b %}host{% endblock %}', BLOCK, "(host)"),
        (
            '{% extends "hello:page.html" %}{% block b %}+{{ super() }}{% endblock %}',
            BLOCK,
            "(+own)",
        ),
        ('host {% include "hello:page.html" %}', "own", "host own"),
        ('host {% include ["hello:none.html", "hello:page.html"] %}', "own", "host own"),
        ('{% import "hello:page.html" as m %}host {{ m.m() }}', MACRO, "host own"),
        ('{% from "hello:page.html" import m with context %}host {{ m() }}', MACRO, "host own1"),
    ],
)
@pytest.mark.parametrize("reload", [False, True])
def test_an_override_has_the_plugins_own_file_under_its_full_name(
    host: Host, override: str, own: str, text: str, reload: bool
) -> None:
    """So a host changes one block of a page instead of copying it."""
    host.app.config["TEMPLATES_AUTO_RELOAD"] = reload
    host.template("plugins/hello/page.html", override)
    host.plugin("hello", PAGE, files={"templates/page.html": own})
    host.start()
    assert [host.get("/hello"), host.get("/hello")] == [text, text]


def test_an_override_as_in_3x_has_the_plugins_own_file_too(host: Host) -> None:
    """That in a folder named like the plugin."""
    host.template("hello/page.html", 'host {% include "hello:hello/page.html" %}')
    host.plugin(
        "hello", PAGE.replace("page.", "hello/page."), files={"templates/hello/page.html": "own"}
    )
    host.start()
    assert host.get("/hello") == "host own"


def test_names_in_the_file_below_an_override_are_the_plugins(host: Host) -> None:
    """It is a template of the plugin as it was, and its parts can have overrides."""
    host.template("plugins/hello/page.html", 'host {% include "hello:page.html" %}')
    host.template("plugins/hello/part.html", "over {% include 'hello:part.html' %}")
    files = {"templates/page.html": "own {% include 'part.html' %}", "templates/part.html": "part"}
    host.plugin("hello", PAGE, files=files)
    host.start()
    assert host.get("/hello") == "host own over part"


def test_a_full_name_in_another_page_is_the_override(host: Host) -> None:
    """Only in the override itself the name means less than everywhere else."""
    host.template("plugins/hello/page.html", 'host {% include "hello:page.html" %}')
    host.template("index.html", '{% include "hello:page.html" %}')
    host.plugin("hello", PAGE, files={"templates/page.html": "own"})
    host.start()
    assert host.render('{% include "index.html" %}') == "host own"


NODE = (
    "{% for one in items %}[{% if one is iterable %}{% set items = one %}"
    "{% include 'NAME' %}{% else %}{{ one }}{% endif %}]{% endfor %}"
)


@pytest.mark.parametrize("name", ["page.html", "hello:page.html"])
@pytest.mark.parametrize("reload", [False, True])
def test_a_page_that_includes_itself_still_does(host: Host, name: str, reload: bool) -> None:
    """As pages of trees do, by a bare or their full name."""
    host.app.config["TEMPLATES_AUTO_RELOAD"] = reload
    host.plugin("hello", PAGE, files={"templates/page.html": NODE.replace("NAME", name)})
    host.start()
    assert host.get("/hello") == "[1][[2][[3]]]"


def test_an_override_that_was_copied_includes_itself(host: Host) -> None:
    """By the bare name, which means the override in it too."""
    own = NODE.replace("NAME", "page.html")
    host.template("plugins/hello/page.html", own.replace("[", "<"))
    host.plugin("hello", PAGE, files={"templates/page.html": own})
    host.start()
    assert host.get("/hello") == "<1]<<2]<<3]]]"


def test_an_override_that_comes_and_goes_with_auto_reload(host: Host) -> None:
    """What it extends is the plugin's file, and so is the page without it."""
    host.app.config["TEMPLATES_AUTO_RELOAD"] = True
    host.plugin("hello", PAGE, files={"templates/page.html": "own"})
    host.start()
    assert host.get("/hello") == "own"
    override = host.template("plugins/hello/page.html", 'host {% include "hello:page.html" %}')
    assert host.get("/hello") == "host own"
    override.unlink()
    assert host.get("/hello") == "own"


def test_what_the_plugin_doesnt_have_below_its_override_is_not_found(host: Host) -> None:
    """A template that only the host has is no override of anything."""
    host.template("plugins/hello/page.html", '{% include "hello:page.html" ignore missing %}.')
    host.plugin("hello", PAGE)
    host.start()
    assert host.get("/hello") == "."


# ---- the host's own file of a name with a colon ----------------------------------------------


@pytest.mark.parametrize("reload", [False, True])
def test_a_hosts_file_of_a_full_name_is_found_where_the_plugin_has_none(
    host: Host, reload: bool
) -> None:
    """It was there before somebody added a plugin called like its first part."""
    host.app.config["TEMPLATES_AUTO_RELOAD"] = reload
    host.template("hello:index.html", "index of the host")
    host.template("hello:page.html", "page of the host")
    host.plugin("hello", PAGE, files={"templates/page.html": "own"})
    host.start()
    assert host.render('{% include "hello:index.html" %}') == "index of the host"
    assert host.render('{% include "hello:page.html" %}') == "own"
