"""Whose template a name means."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from flask import Blueprint, render_template
from hosts import Host, clean_imports, host
from jinja2 import TemplateNotFound, TemplatesNotFound, UndefinedError
from trees import write

from flask_pluginkit.live import templates

__all__ = ["clean_imports", "host"]

REGISTER = "def register():\n    return {}\n"


def viewing(expression: str, rule: str = "/hello", more: str = "") -> str:
    """The body of a plugin with one view that returns `expression`, and `more` code."""
    return f"""
import flask
from flask import render_template, render_template_string, stream_template
from flask import Response, stream_with_context
{more}
def view():
    return {expression}

def register():
    return {{"vep": {{"rule": {rule!r}, "view_func": view, "endpoint": {rule.strip("/")!r}}}}}
"""


def page_of(host: Host, name: str) -> str:
    """A template, rendered by the host's own code."""
    with host.app.test_request_context():
        return render_template(name)


# ---- full names ------------------------------------------------------------------------------


def test_a_full_name_is_the_file_of_that_plugin(host: Host) -> None:
    """Two plugins and the host have equally named files: each is reached by its own name."""
    host.template("page.html", "of the host")
    host.plugin("one", REGISTER, files={"templates/page.html": "of one"})
    host.plugin("two", REGISTER, files={"templates/page.html": "of two"})
    host.start()
    assert page_of(host, "one:page.html") == "of one"
    assert page_of(host, "two:page.html") == "of two"
    assert page_of(host, "page.html") == "of the host"


def test_a_full_name_in_a_folder(host: Host) -> None:
    """What follows the colon is a path below the plugin's templates."""
    host.plugin("one", REGISTER, files={"templates/sub/page.html": "deep"})
    host.start()
    assert page_of(host, "one:sub/page.html") == "deep"


def test_a_full_name_is_that_plugins_in_the_templates_of_another(host: Host) -> None:
    """A plugin uses another one's page by its full name, also with a file of that name itself."""
    host.plugin("one", REGISTER, files={"templates/part.html": "of one"})
    host.plugin(
        "two",
        viewing("render_template('page.html')"),
        files={
            "templates/part.html": "of two",
            "templates/page.html": "{% include 'one:part.html' %}",
        },
    )
    host.start()
    assert host.get("/hello") == "of one"


def test_a_plugins_name_may_hold_blanks_and_dots(host: Host) -> None:
    """Such names are prefixes of templates too."""
    host.plugin("one", REGISTER, plugin_name="my one.x", files={"templates/page.html": "of my one"})
    host.start()
    assert page_of(host, "my one.x:page.html") == "of my one"


@pytest.mark.parametrize(
    "name", ["one:missing.html", "three:page.html", "one:", ":page.html", "one:../__init__.py"]
)
def test_a_full_name_that_means_nothing_is_not_found(host: Host, name: str) -> None:
    """The error has the name that was asked for."""
    host.plugin("one", REGISTER, files={"templates/page.html": "of one"})
    host.start()
    with pytest.raises(TemplateNotFound) as caught:
        page_of(host, name)
    assert caught.value.name == name


def test_a_hosts_file_may_have_a_colon_in_its_name(host: Host) -> None:
    """Only the name of an active plugin makes a prefix."""
    host.template("a:b.html", "of the host")
    host.plugin("one", REGISTER)
    host.start()
    assert page_of(host, "a:b.html") == "of the host"


# ---- bare names in plugins -------------------------------------------------------------------


def test_a_bare_name_in_a_plugins_view_is_its_own_file(host: Host) -> None:
    """Not the host's file of the same name, which 3.x took, nor another plugin's."""
    host.template("page.html", "of the host")
    host.plugin("a", REGISTER, files={"templates/page.html": "of a"})
    host.plugin("b", viewing("render_template('page.html')"), files={"templates/page.html": "of b"})
    host.start()
    assert host.get("/hello") == "of b"


def test_a_bare_name_that_the_plugin_has_not_is_the_hosts(host: Host) -> None:
    """As a plugin's page that extends the host's base."""
    host.template("page.html", "of the host")
    host.plugin("a", REGISTER, files={"templates/page.html": "of a"})
    host.plugin("b", viewing("render_template('page.html')"))
    host.start()
    assert host.get("/hello") == "of the host"


@pytest.mark.parametrize(
    ("folder", "name", "override"),
    [
        ("hello", "page.html", "plugins/hello/page.html"),
        ("hello", "sub/page.html", "plugins/hello/sub/page.html"),
        ("hello", "hello/page.html", "plugins/hello/hello/page.html"),
        ("hello", "hello/page.html", "hello/page.html"),
        ("pack", "pack/page.html", "pack/page.html"),
        ("pack", "hello/page.html", "hello/page.html"),
    ],
)
def test_the_host_overrides_a_plugins_file(
    host: Host, folder: str, name: str, override: str
) -> None:
    """In its own folder for that, or as in 3.x where the first folder is named like the plugin."""
    host.template(override, "of the host")
    host.plugin(
        folder,
        viewing(f"render_template({name!r})"),
        plugin_name="hello",
        files={f"templates/{name}": "of the plugin"},
    )
    host.start()
    assert host.get("/hello") == "of the host"
    assert page_of(host, f"hello:{name}") == "of the host"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("page.html", "page.html"),
        ("sub/page.html", "sub/page.html"),
        ("other/page.html", "other/page.html"),
        ("page.html", "plugins/page.html"),
        ("page.html", "plugins/other/page.html"),
        ("page.html", "hello/page.html"),
    ],
)
def test_no_other_file_of_the_host_is_an_override(host: Host, name: str, other: str) -> None:
    """The plugin keeps its own file."""
    host.template(other, "of the host")
    host.plugin(
        "hello", viewing(f"render_template({name!r})"), files={f"templates/{name}": "of hello"}
    )
    host.start()
    assert host.get("/hello") == "of hello"


def test_a_plugin_named_hello_isnt_overridden_by_the_file_hello(host: Host) -> None:
    """The first *folder* counts: ``hello`` alone is a file's name."""
    host.template("hello", "of the host")
    host.plugin("hello", viewing("render_template('hello')"), files={"templates/hello": "of hello"})
    host.start()
    assert host.get("/hello") == "of hello"


def test_names_inside_an_override_are_the_plugins(host: Host) -> None:
    """It stands in the place of the plugin's file, so what that includes it includes too."""
    host.template("plugins/hello/page.html", "{% include 'part.html' %}, {% include 'all.html' %}")
    host.template("part.html", "part of the host")
    host.template("all.html", "all of the host")
    host.plugin(
        "hello",
        viewing("render_template('page.html')"),
        files={"templates/page.html": "own", "templates/part.html": "part of hello"},
    )
    host.start()
    assert host.get("/hello") == "part of hello, all of the host"


def test_an_override_of_a_part_is_used_by_the_plugins_own_page(host: Host) -> None:
    """The host replaces one include and leaves the page that has it alone."""
    host.template("plugins/hello/part.html", "of the host")
    host.plugin(
        "hello",
        viewing("render_template('page.html')"),
        files={
            "templates/page.html": "page with part {% include 'part.html' %}",
            "templates/part.html": "of hello",
        },
    )
    host.start()
    assert host.get("/hello") == "page with part of the host"


# ---- pages made of templates of several owners -----------------------------------------------

BASE = """
{%- import 'forms.html' as forms -%}
{%- from 'forms.html' import field with context -%}
{% include 'menu.html' %}|{{ forms.field() }}|{{ field() }}|{% block body %}{% endblock -%}
"""
HOST_FILES = {
    "base.html": BASE,
    "menu.html": "menu of the host",
    "forms.html": "{% macro field() %}field of the host{% endmacro %}",
}
SHADOWS = {
    "templates/menu.html": "menu of hello",
    "templates/forms.html": "{% macro field() %}field of hello{% endmacro %}",
}


def test_the_hosts_base_keeps_its_includes_and_imports_in_a_plugins_page(host: Host) -> None:
    """The plugin's files of the same names are used by its own page, and by nothing else."""
    for name, text in HOST_FILES.items():
        host.template(name, text)
    host.plugin(
        "hello",
        viewing("render_template('page.html')"),
        files={
            **SHADOWS,
            "templates/page.html": """\
                {%- extends 'base.html' -%}
                {% block body %}{% include 'menu.html' %}
                {%- from 'forms.html' import field %}|{{ field() }}{% endblock -%}
            """,
        },
    )
    host.start()
    of_the_host = "menu of the host|field of the host|field of the host|"
    assert host.get("/hello") == of_the_host + "menu of hello|field of hello"
    assert page_of(host, "base.html") == of_the_host


def test_a_chain_of_extends_over_plugin_host_and_plugin(host: Host) -> None:
    """Each template of it finds its own includes, and the blocks fit into one another."""
    host.template(
        "base.html",
        "{% extends 'theme:frame.html' %}"
        "{% block inner %}{% include 'part.html' %}[{% block body %}{% endblock %}]{% endblock %}",
    )
    host.template("part.html", "host ")
    host.plugin(
        "theme",
        REGISTER,
        files={
            "templates/frame.html": "<{% include 'part.html' %}{% block inner %}{% endblock %}>",
            "templates/part.html": "theme ",
        },
    )
    host.plugin(
        "hello",
        viewing("render_template('page.html')"),
        files={
            "templates/page.html": "{% extends 'base.html' %}"
            "{% block inner %}{{ super() }}+{% include 'part.html' %}{% endblock %}"
            "{% block body %}{% include 'part.html' %}{% endblock %}",
            "templates/part.html": "hello",
        },
    )
    host.start()
    assert host.get("/hello") == "<theme host [hello]+hello>"


def test_a_plugins_page_extends_its_own_base_before_the_hosts(host: Host) -> None:
    """An own ``base.html`` is the plugin's, and may itself extend another of the host's."""
    host.template("layout.html", "layout({% block body %}{% endblock %})")
    host.template("base.html", "base of the host")
    host.plugin(
        "hello",
        viewing("render_template('page.html')"),
        files={
            "templates/base.html": "{% extends 'layout.html' %}{% block body %}base{% endblock %}",
            "templates/page.html": "{% extends 'base.html' %}{% block body %}page{% endblock %}",
        },
    )
    host.start()
    assert host.get("/hello") == "layout(page)"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("{% import 'm.html' as m %}{{ m.who() }}", "own"),
        ("{% from 'm.html' import who %}{{ who() }}", "own"),
        ("{% from 'm.html' import who as w with context %}{{ w() }}", "own"),
        ("{% from 'hosts.html' import who %}{{ who() }}", "host"),
        ("{% include ['nothing.html', 'm2.html'] %}", "own"),
        ("{% include ['nothing.html', 'all.html'] %}", "host"),
        ("{% include ['all.html', 'm2.html'] %}", "host"),
        ("{% include 'nothing.html' ignore missing %}", ""),
        ("{% include ['nothing.html', 'nor.html'] ignore missing %}", ""),
        ("{% include 'm2.html' ignore missing without context %}", "own"),
        ("{% set name = 'm2.html' %}{% include name %}", "own"),
        ("{% include ['nothing.html', other] %}", "own"),
        ("{% include template %}", "a template"),
        ("{% extends other %}", "own"),
        ("{% set x %}{% include 'm2.html' %}{% endset %}{{ x }}", "own"),
        ("{% for i in [1, 2] %}{% include 'm2.html' %}{% endfor %}", "ownown"),
        ("{% macro f() %}{% include 'm2.html' %}{% endmacro %}{{ f() }}", "own"),
        ("{% from 'outer.html' import outer %}{{ outer() }}", "own"),
        ("{% from 'hosts.html' import outer %}{{ outer() }}", "host"),
    ],
)
def test_every_statement_with_a_name_knows_its_owner(host: Host, page: str, text: str) -> None:
    """Includes, lists of them, imports in every form, and names that are computed."""
    host.template(
        "hosts.html",
        "{% macro who() %}host{% endmacro %}"
        "{% macro outer() %}{% include 'm2.html' %}{% endmacro %}",
    )
    host.template("m.html", "{% macro who() %}host{% endmacro %}")
    host.template("m2.html", "host")
    host.template("all.html", "host")
    host.plugin(
        "hello",
        viewing("""render_template(
            'page.html',
            other='m2.html',
            template=flask.current_app.jinja_env.from_string('a template'),
        )"""),
        files={
            "templates/page.html": page,
            "templates/m.html": "{% macro who() %}own{% endmacro %}",
            "templates/m2.html": "own",
            "templates/outer.html": "{% macro outer() %}{% include 'm2.html' %}{% endmacro %}",
        },
    )
    host.start()
    host.app.testing = True
    assert host.get("/hello") == text


def test_an_include_of_nothing_names_it(host: Host) -> None:
    """The error is Jinja's own, with the bare name as the author wrote it."""
    host.plugin("hello", REGISTER, files={"templates/page.html": "{% include 'nothing.html' %}"})
    host.start()
    with pytest.raises(TemplateNotFound, match=r"^nothing\.html$"):
        page_of(host, "hello:page.html")


def test_an_include_list_of_nothing_names_them_all(host: Host) -> None:
    """As Jinja tells it."""
    host.plugin("hello", REGISTER, files={"templates/page.html": "{% include ['a', 'b'] %}"})
    host.start()
    with pytest.raises(TemplatesNotFound, match="a, b"):
        page_of(host, "hello:page.html")


def test_an_undefined_name_says_which_variable_it_was(host: Host) -> None:
    """It isn't reported as a missing template, in plugins as in the host."""
    source = "{% include missing_variable %}"
    host.template("page.html", source)
    host.plugin("hello", REGISTER, files={"templates/page.html": source})
    host.start()
    for name in ("page.html", "hello:page.html"):
        with pytest.raises(UndefinedError, match="'missing_variable' is undefined"):
            page_of(host, name)


# ---- blueprints ------------------------------------------------------------------------------

WITH_BLUEPRINT = """
from flask import Blueprint, render_template
bp = Blueprint({name!r}, __name__, template_folder="pages")

@bp.route("/{name}")
def view():
    return render_template("page.html")

def register():
    return {{"bep": {{"blueprint": bp, "prefix": None}}}}
"""


def test_a_blueprints_template_folder_belongs_to_its_plugin(host: Host) -> None:
    """Two plugins with equally named files in such folders each see their own."""
    for name in ("one", "two"):
        host.plugin(name, WITH_BLUEPRINT.format(name=name), files={"pages/page.html": f"of {name}"})
    host.start()
    assert (host.get("/one"), host.get("/two")) == ("of one", "of two")
    assert page_of(host, "one:page.html") == "of one"


def test_a_blueprints_file_doesnt_shadow_the_hosts(host: Host) -> None:
    """In Flask a blueprint's files are visible to everyone by their bare names."""
    host.plugin("one", WITH_BLUEPRINT.format(name="one"), files={"pages/page.html": "of one"})
    host.plugin("two", viewing("render_template('page.html')"))
    host.template("page.html", "of the host")
    host.start()
    assert page_of(host, "page.html") == "of the host"
    assert host.get("/one") == "of one"
    assert host.get("/hello") == "of the host"


def test_the_plugins_templates_folder_comes_before_its_blueprints(host: Host) -> None:
    """Where both have a file, the folder that 3.x searched first wins."""
    files = {"pages/page.html": "of the blueprint", "templates/page.html": "of the plugin"}
    host.plugin("one", WITH_BLUEPRINT.format(name="one"), files=files)
    host.start()
    assert host.get("/one") == "of the plugin"


def test_the_hosts_own_blueprints_keep_theirs(host: Host) -> None:
    """They are part of the host, also when registered after the manager was made."""
    write(host.folder / "pages" / "page.html", "of the host's blueprint")
    host.plugin("one", WITH_BLUEPRINT.format(name="one"), files={"pages/page.html": "of one"})
    host.start()
    blueprint = Blueprint("own", __name__, template_folder=str(host.folder / "pages"))
    host.app.register_blueprint(blueprint)
    assert page_of(host, "page.html") == "of the host's blueprint"


def test_templates_are_listed_by_the_names_that_everyone_can_use(host: Host) -> None:
    """The host's by bare names, the plugins' with theirs, blueprints' files included."""
    host.template("page.html", "of the host")
    files = {"pages/page.html": "", "pages/extra.html": "", "templates/sub/own.html": ""}
    host.plugin("one", WITH_BLUEPRINT.format(name="one"), files=files)
    host.start()
    expected = ["one:extra.html", "one:page.html", "one:sub/own.html", "page.html"]
    assert host.app.jinja_env.list_templates() == expected


# ---- what 3.x did with bare names ------------------------------------------------------------


def test_a_bare_name_that_one_plugin_offers_is_served_and_logged(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Templates of all plugins were visible to everyone in 3.x; the line tells the full name."""
    host.plugin("one", REGISTER, files={"templates/theirs.html": "of one"})
    host.plugin("two", viewing("render_template('theirs.html')"))
    host.start()
    with caplog.at_level(logging.INFO):
        assert page_of(host, "theirs.html") == "of one"
    assert "'one:theirs.html'" in caplog.text
    assert host.get("/hello") == "of one"


def test_such_a_line_is_logged_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Not at every request."""
    host.plugin("one", REGISTER, files={"templates/theirs.html": "of one"})
    host.start()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            page_of(host, "theirs.html")
    assert caplog.text.count("theirs.html' is served from plugin 'one'") == 1


def test_a_bare_name_that_two_plugins_offer_is_an_error_naming_both(host: Host) -> None:
    """Neither shadows the other."""
    for name in ("one", "two"):
        host.plugin(name, REGISTER, files={"templates/theirs.html": ""})
    host.start()
    with pytest.raises(TemplateNotFound, match=r"one:theirs\.html, two:theirs\.html"):
        page_of(host, "theirs.html")


def test_an_offer_is_taken_by_includes_too(host: Host) -> None:
    """A host's page for 3.x includes a plugin's file by its bare name."""
    host.template("page.html", "{% include 'theirs.html' %}, {% include ['no', 'theirs.html'] %}")
    host.plugin("one", REGISTER, files={"templates/theirs.html": "of one"})
    host.start()
    assert page_of(host, "page.html") == "of one, of one"


def test_names_inside_an_offered_template_are_its_plugins(host: Host) -> None:
    """It was found under its full name."""
    host.plugin(
        "one",
        REGISTER,
        files={"templates/theirs.html": "{% include 'part.html' %}", "templates/part.html": "one"},
    )
    host.template("part.html", "host")
    host.start()
    assert page_of(host, "theirs.html") == "one"


@pytest.mark.parametrize("state", ["disabled", "failed"])
def test_templates_of_a_plugin_that_isnt_active_are_not_served(host: Host, state: str) -> None:
    """Neither by their full nor by their bare name; and they aren't in the way of others."""
    broken = "raise OSError" if state == "failed" else REGISTER
    files = {"templates/page.html": "of one", "templates/only.html": "of one"}
    host.plugin("one", broken, files=files, state="disabled" if state == "disabled" else None)
    host.plugin("two", REGISTER, files={"templates/page.html": "of two"})
    host.start(strict=False)
    assert host.row("one").status == state
    for name in ("one:page.html", "only.html"):
        with pytest.raises(TemplateNotFound):
            page_of(host, name)
    assert page_of(host, "page.html") == "of two"


def test_names_that_nobody_has_dont_pile_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites render names that come out of a URL: each new one must not cost memory for ever."""
    monkeypatch.setattr(templates, "NAMES_LIMIT", 5)
    host.plugin("hello", viewing("render_template(flask.request.args['name'])"))
    pm = host.start(strict=False)
    host.app.register_error_handler(TemplateNotFound, lambda error: ("nothing", 404))
    for number in range(20):
        assert host.open(f"/hello?name={number}").status_code == 404
    assert len(pm.snapshot.names) <= 5


# ---- files that change -----------------------------------------------------------------------


def reloading(host: Host, files: dict[str, str]) -> None:
    """Start a host that reloads templates, with a plugin that has `files`."""
    host.app.config["TEMPLATES_AUTO_RELOAD"] = True
    host.plugin("hello", viewing("render_template('page.html')"), files=files)
    host.start()


def rewrite(path: Path, text: str) -> None:
    """Change a file, and make sure that its time changes too."""
    time = path.stat().st_mtime
    write(path, text)
    os.utime(path, (time + 5, time + 5))


def test_a_changed_file_is_read_again_with_auto_reload(host: Host) -> None:
    """The plugin's files as the host's."""
    host.template("base.html", "old base")
    reloading(host, {"templates/page.html": "old page with {% include 'base.html' %}"})
    assert host.get("/hello") == "old page with old base"
    rewrite(
        host.folder / "plugins/hello/templates/page.html", "new page with {% include 'base.html' %}"
    )
    rewrite(host.folder / "templates/base.html", "new base")
    assert host.get("/hello") == "new page with new base"


def test_files_come_and_go_with_auto_reload(host: Host) -> None:
    """A plugin's file that appears hides the host's, and gives way again when it is removed."""
    host.template("page.html", "of the host")
    reloading(host, {})
    own = host.folder / "plugins/hello/templates/page.html"
    assert host.get("/hello") == "of the host"
    write(own, "of hello")
    assert host.get("/hello") == "of hello"
    own.unlink()
    assert host.get("/hello") == "of the host"


def test_an_override_that_appears_is_used_with_auto_reload(host: Host) -> None:
    """Who writes one while the application runs sees it at once."""
    reloading(host, {"templates/page.html": "of hello"})
    assert host.get("/hello") == "of hello"
    override = host.template("plugins/hello/page.html", "of the host")
    assert host.get("/hello") == "of the host"
    override.unlink()
    assert host.get("/hello") == "of hello"


def test_a_changed_file_is_not_read_again_without_auto_reload(host: Host) -> None:
    """That is Flask's rule for production."""
    host.plugin(
        "hello", viewing("render_template('page.html')"), files={"templates/page.html": "old"}
    )
    host.start()
    assert host.get("/hello") == "old"
    rewrite(host.folder / "plugins/hello/templates/page.html", "new")
    assert host.get("/hello") == "old"
