"""Rendering template slots: what stands in them, in which order, and apart from each other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from blinker import Signal
from collecting import collector_paused
from flask import Flask, before_render_template, g, render_template_string, template_rendered
from hosts import Host, clean_imports, host
from jinja2 import pass_context
from jinja2.nativetypes import NativeEnvironment
from jinja2.runtime import Context
from markupsafe import Markup

from flask_pluginkit.live.slots import is_pure

__all__ = ["clean_imports", "host"]


def having(**parts: str) -> str:
    """The body of a plugin with these template parts."""
    return f"def register():\n    return {{'tep': {parts!r}}}\n"


def fill(host: Host, *parts: str, files: dict[str, str] | None = None) -> None:
    """Give the slot ``s`` one part of each of several plugins: a0, a1, ..."""
    for index, part in enumerate(parts):
        own = {f"templates/{name}": text for name, text in (files or {}).items()}
        host.plugin(f"a{index}", having(s=part), files=own)


def emitted(host: Host, typ: str = "all", **context: Any) -> str:
    """The slot ``s``, as a template emits it in a request."""
    with host.app.test_request_context():
        return render_template_string(
            "{{ emit_tep('s', typ, **context) }}", typ=typ, context=context
        )


@contextmanager
def listening(signal: Signal, app: Flask) -> Iterator[list[tuple[str | None, dict[str, Any]]]]:
    """What a signal of `app` tells: names of templates and their variables."""
    heard: list[tuple[str | None, dict[str, Any]]] = []

    def hear(sender: Flask, template: Any, context: dict[str, Any], **rest: Any) -> None:
        assert sender is app
        heard.append((template.name, context))

    with signal.connected_to(hear, app):
        yield heard


# ---- what is in a slot -----------------------------------------------------------------------


def test_a_slot_holds_files_and_code_of_all_active_plugins(host: Host) -> None:
    """In plugin order, and nothing of a plugin that is disabled."""
    fill(host, "<b>code</b>", "nav.html", files={"nav.html": "file "})
    host.plugin("a2", having(s="never"), state="disabled")
    host.start()
    assert emitted(host) == "file <b>code</b>"


@pytest.mark.parametrize(
    ("typ", "text"), [("all", "fc"), ("fil", "f"), ("cod", "c"), ("FIL", "fc"), ("", "fc")]
)
def test_files_or_code_alone_can_be_asked_for(host: Host, typ: str, text: str) -> None:
    """``fil`` and ``cod``, by place or by name; anything else is all, as in 3.x."""
    fill(host, "c", "f.html", files={"f.html": "f"})
    pm = host.start()
    assert emitted(host, typ) == text
    with host.app.app_context():
        assert pm.emit_tep("s", typ=typ) == text


def test_an_unknown_slot_is_empty(host: Host) -> None:
    """No plugin has to fill what a host offers."""
    host.plugin("a", having(other="x"))
    pm = host.start()
    with host.app.app_context():
        assert pm.emit_tep("s") == Markup("")
        assert pm.emit_tep("other", "fil") == Markup("")


def test_a_slot_is_safe_text(host: Host) -> None:
    """It isn't escaped again by the page it stands in, nor where Python puts it together."""
    fill(host, "<b>")
    pm = host.start()
    with host.app.app_context():
        assert "{}" + pm.emit_tep("s") + "<" == Markup("{}<b>&lt;")
        assert pm.emit_tep("s").__html__() == "<b>"


def test_a_slot_is_emitted_outside_of_requests(host: Host) -> None:
    """In an application context: for mails, or files that a command writes."""
    fill(host, "{{ word }} {{ config.NAME }} {{ request is defined }} {{ g.user }}")
    pm = host.start()
    host.app.config["NAME"] = "host"
    with host.app.app_context():
        g.user = "ada"
        assert pm.emit_tep("s", word="mail") == "mail host True ada"


# ---- order -----------------------------------------------------------------------------------

PARTS = ("10@<10>", "2@<2>", "b@file.html", "<none>", "a@file.html", "2@file.html", "2@<2too>")
FILES = {"file.html": "file;", "b@file.html": "whole name;"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "whole name;file;file;<10><2><none><2too>"),
        ({"stpl": False}, "whole name;file;file;<10><2><none><2too>"),
        ({"stpl": True}, "<2>file;<2too><10>file;whole name;<none>"),
        ({"stpl": "asc"}, "<2>file;<2too><10>file;whole name;<none>"),
        ({"stpl": "ASC"}, "<2>file;<2too><10>file;whole name;<none>"),
        ({"stpl": "desc"}, "file;<10><2>file;<2too>whole name;<none>"),
        ({"stpl": "DESC"}, "file;<10><2>file;<2too>whole name;<none>"),
        ({"stpl": True, "stpl_reverse": False}, "<2>file;<2too><10>file;whole name;<none>"),
        ({"stpl": True, "stpl_reverse": True}, "file;<10><2>file;<2too>whole name;<none>"),
        ({"stpl_reverse": True}, "whole name;file;file;<10><2><none><2too>"),
    ],
)
def test_the_order_of_a_slot(host: Host, options: dict[str, Any], text: str) -> None:
    """Numbers before words before none, ties in plugin order; or plugin order with files first."""
    fill(host, *PARTS, files=FILES)
    host.start(**options)
    assert emitted(host) == text


@pytest.mark.parametrize(
    ("typ", "text"), [("fil", "file;file;whole name;"), ("cod", "<2><2too><10><none>")]
)
def test_files_alone_and_code_alone_are_sorted_too(host: Host, typ: str, text: str) -> None:
    """By the same rules."""
    fill(host, *PARTS, files=FILES)
    host.start(stpl=True)
    assert emitted(host, typ) == text


@pytest.mark.parametrize("stpl", [False, True])
def test_code_that_begins_with_a_mail_address_is_shown_whole(host: Host, stpl: bool) -> None:
    """``1@example.org`` is no order, whether or not parts are sorted."""
    fill(host, "write to 1@example.org", "1@example.org", "2@me")
    host.start(stpl=stpl)
    mail = "1@example.org"
    expected = f"mewrite to {mail}{mail}" if stpl else f"write to {mail}{mail}me"
    assert emitted(host) == expected


# ---- parts and their variables ---------------------------------------------------------------

LEAKS = [
    "{% set x = 'leaked' %}",
    "{% set x, y = 'leaked', 1 %}",
    "{% set x %}leaked{% endset %}",
    "{% if true %}{% set x = 'leaked' %}{% endif %}",
    "{% macro x() %}leaked{% endmacro %}",
    "{% import 'macros.html' as x %}",
    "{% from 'macros.html' import x %}",
    "{% from 'macros.html' import y as x with context %}",
    "{% include 'sets.html' %}",
    "{% include 'sets.html' without context %}",
    "{% block x %}{% set x = 'leaked' %}{% endblock %}",
    "{% block own scoped %}{% endblock %}{% set x = 'leaked' %}",
    "{% extends 'layout.html' %}{% block own %}{% set x = 'leaked' %}{% endblock %}",
    "{% with x = 'leaked' %}{% endwith %}",
    "{% for x in ['leaked'] %}{% endfor %}",
    "{% set ns = namespace(x='leaked') %}{% set x = ns.x %}",
    "{% call(x) caller_of() %}{% endcall %}",
    "{% autoescape false %}{% set x = 'leaked' %}{% endautoescape %}",
]
AFTER = "[{{ 'defined' if x is defined }}{{ self.x is defined }}{{ '<' }}]"


@pytest.mark.parametrize("leak", LEAKS)
def test_parts_dont_see_each_others_variables(host: Host, leak: str) -> None:
    """Whatever a part sets, defines, imports or overrides stays inside of it."""
    files = {
        "macros.html": "{% macro x() %}{% endmacro %}{% macro y() %}{% endmacro %}",
        "sets.html": "{% set x = 'leaked' %}",
        "layout.html": "{% set x = 'leaked' %}{% block own %}{% endblock %}",
    }
    host.app.add_template_global(lambda caller: Markup(""), "caller_of")
    fill(host, AFTER, leak, AFTER, files=files)
    host.start()
    assert emitted(host) == "[False&lt;]" * 2


def test_equal_blocks_of_two_parts_are_each_their_own(host: Host) -> None:
    """A block belongs to the template that has it."""
    part = "{% extends 'base.html' %}{% block b %}NAME{{ super() }}{% endblock %}"
    files = {"base.html": "({% block b %}base{% endblock %})"}
    fill(host, part.replace("NAME", "one "), part.replace("NAME", "two "), files=files)
    host.start()
    assert emitted(host) == "(one base)(two base)"


def test_parts_see_what_is_passed_and_what_processors_give(host: Host) -> None:
    """The variables of the call come before those of processors, and these before globals."""
    fill(host, "{{ a }}{{ b }}{{ c }}{{ d }}{{ word }} ", "{{ a }}{{ b }}{{ c }}{{ d }}")
    host.plugin("tcp", "def register():\n    return {'tcp': {'d': 'tcp'}}\n")
    host.start()
    host.app.jinja_env.globals.update(a="global", b="global", c="global")

    @host.app.context_processor
    def variables() -> dict[str, str]:
        return {"b": "processor", "c": "processor"}

    assert emitted(host, c="call", word="!") == "globalprocessorcalltcp! globalprocessorcalltcp"


def test_context_processors_run_once_for_all_parts(host: Host) -> None:
    """Flask runs them for each template that it renders."""
    calls = []

    @host.app.context_processor
    def count() -> dict[str, str]:
        calls.append(1)
        return {}

    fill(host, "x", "y", "{% set z = 1 %}")
    pm = host.start()
    with host.app.app_context():
        pm.emit_tep("s")
    assert calls == [1]


def test_processors_of_the_requests_blueprint_count(host: Host) -> None:
    """As for any template that is rendered in that request."""
    host.plugin(
        "a",
        """
        from flask import Blueprint, render_template_string
        bp = Blueprint("b", __name__)
        bp.context_processor(lambda: {"word": "blueprint"})
        bp.route("/x")(lambda: render_template_string("{{ emit_tep('s') }}"))
        def register():
            return {"bep": {"blueprint": bp, "prefix": None}, "tep": {"s": "{{ word }}"}}
        """,
    )
    host.start()
    assert host.get("/x") == "blueprint"
    assert emitted(host) == ""


def test_the_callers_own_dict_isnt_touched(host: Host) -> None:
    """What is passed is read only."""
    fill(host, "{% set a = 2 %}{{ a }}")
    host.start()
    context: dict[str, Any] = {"a": 1}
    assert emitted(host, **context) == "2"
    assert context == {"a": 1}


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("x.html", True),
        ("x.htm", True),
        ("x.xhtml", True),
        ("x.j2", False),
        ("x.jinja", False),
        ("x.jinja2", False),
        ("x.html.j2", False),
    ],
)
def test_files_are_escaped_by_their_suffix(host: Host, name: str, escaped: bool) -> None:
    """As Flask does it, each for itself; code is escaped, as text without a name is."""
    fill(host, "c{{ v }};", name, "d{{ v }};", files={name: "{{ v }};"})
    host.start(stpl=False)
    found = emitted(host, v="<")
    assert found == ("&lt;;" if escaped else "<;") + "c&lt;;d&lt;;"


def test_a_hosts_rule_of_escaping_is_asked(host: Host) -> None:
    """``select_jinja_autoescape`` may be overridden; parts of both kinds don't mix."""

    class App(Flask):
        def select_jinja_autoescape(self, filename: str | None) -> bool:
            return filename is None or not filename.endswith("x.html")

    host.app = App("host", root_path=str(host.folder))
    fill(host, "{{ v }};", "x.html", "y.html", files={"x.html": "{{ v }};", "y.html": "{{ v }};"})
    host.start()
    assert emitted(host, v="<") == "<;&lt;;&lt;;"


@pytest.mark.parametrize("autoescape", [True, False])
def test_an_environment_may_escape_always_or_never(host: Host, autoescape: bool) -> None:
    """Jinja's ``autoescape`` need not be a function."""
    host.app.jinja_env.autoescape = autoescape
    fill(host, "{{ v }}")
    host.start()
    assert emitted(host, v="<") == ("&lt;" if autoescape else "<")


def test_a_slot_inside_of_a_slot(host: Host) -> None:
    """A part emits another slot; owners and variables are right afterwards."""
    files = {"part.html": "own "}
    host.template("part.html", "host ")
    include = "{% include 'part.html' %}"
    host.plugin(
        "a",
        having(s=f"{include}{{{{ emit_tep('inner', x=1) }}}}{include}{{{{ x }}}}"),
        files={f"templates/{name}": text for name, text in files.items()},
    )
    host.plugin("b", having(inner="{% include 'part.html' %}{{ x }} "))
    host.plugin("c", having(s="{% include 'part.html' %}"))
    host.start()
    assert emitted(host, x=0) == "own host 1 own 0host "


def test_a_slot_that_emits_itself_with_data_ends_with_them(host: Host) -> None:
    """Trees of comments are rendered so."""
    part = "({{ tree[0] }}{% for t in tree[1:] %}{{ emit_tep('s', tree=t) }}{% endfor %})"
    fill(host, part)
    host.start()
    assert emitted(host, tree=["a", ["b", ["c"]], ["d"]]) == "(a(b(c))(d))"


def test_slots_that_emit_themselves_for_ever_are_faults(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Two such parts would double the work at each level, and never end."""
    fill(host, "{{ emit_tep('s') }}", "{{ emit_tep('s') }}", "fine")
    host.start(strict=False)
    with collector_paused():
        assert emitted(host) == "fine"
    assert host.row("a0").counts["tep s"][1] == 1
    # a slow machine logs that it took its time, too
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 2


def test_a_host_with_jinja_options_of_its_own(host: Host) -> None:
    """Parts are compiled with them."""
    host.app.jinja_options = {"trim_blocks": True, "variable_start_string": "${"}
    fill(host, "{% set x = v %}\n${ x }}", "f.html", files={"f.html": "${ v }}"})
    pm = host.start()
    with host.app.app_context():
        assert pm.emit_tep("s", v="<") == "&lt;&lt;"


def test_a_host_with_asynchronous_templates(host: Host) -> None:
    """Python code emits a slot in such an environment; Flask's own templates can't."""
    host.app.jinja_options = {"enable_async": True}
    fill(host, "{% set x = v %}{{ x }}", "f.html", files={"f.html": "{{ v }}"})
    pm = host.start()
    with host.app.app_context():
        assert pm.emit_tep("s", v="<") == "&lt;&lt;"


def test_a_host_with_native_types(host: Host) -> None:
    """Parts of Jinja's native environment become text."""
    own: Any = type("Own", (Flask.jinja_environment, NativeEnvironment), {})
    host.app.jinja_environment = own
    fill(host, "{{ [1] }}", "{{ 2 }}", "3")
    pm = host.start()
    with host.app.app_context():
        assert pm.emit_tep("s") == "[1]23"


def test_a_function_that_asks_for_all_variables_gets_all(host: Host) -> None:
    """Those of the emit, of the plugins and the globals, by whichever name it asks."""

    @pass_context
    def known(context: Context) -> str:
        everything = context.get_all()
        assert everything == {**context.parent, **context.vars}
        return ",".join(name for name in ("v", "config", "range") if name in everything)

    host.app.jinja_env.globals["known"] = known
    fill(host, "{{ known() }}")
    host.start()
    assert emitted(host, v=1) == "v,config,range"


def test_what_a_function_puts_into_all_variables_stays_in_its_slot(host: Host) -> None:
    """What all slots share is nobody's to change."""

    @pass_context
    def leave(context: Context) -> str:
        before = "left" in context
        context.get_all()["left"] = True
        return str(before)

    host.app.jinja_env.globals["leave"] = leave
    fill(host, "{{ leave() }}")
    host.start()
    assert [emitted(host), emitted(host)] == ["False", "False"]


# ---- compiled once ---------------------------------------------------------------------------


def test_code_is_compiled_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each emit; and not at all before the first."""
    compiled = []

    def compile_it(*args: Any, **options: Any) -> Any:
        compiled.append(options["name"])
        return real(*args, **options)

    real = host.app.jinja_env.compile
    monkeypatch.setattr(host.app.jinja_env, "compile", compile_it)
    fill(host, "x{{ 1 }}")
    pm = host.start()
    assert compiled == []
    with host.app.app_context():
        for _ in range(3):
            assert pm.emit_tep("s") == "x1"
    assert compiled == ["a0:<tep s>.html"]


def test_a_changed_file_of_a_slot_is_read_again_with_auto_reload(host: Host) -> None:
    """As every template is."""
    fill(host, "f.html", files={"f.html": "old"})
    host.app.config["TEMPLATES_AUTO_RELOAD"] = True
    host.start()
    assert emitted(host) == "old"
    path = host.folder / "plugins/a0/templates/f.html"
    path.unlink()
    host.template("plugins/a0/f.html", "new")
    assert emitted(host) == "new"


@pytest.mark.parametrize(
    ("source", "pure"),
    [
        ("text {{ x }}", True),
        ("{% for i in x %}{% set y = i %}{{ y }}{% endfor %}", True),
        ("{% with y = 1 %}{% set y = 2 %}{% endwith %}", True),
        ("{% include 'f.html' %}", True),
        ("{{ x.vars }}{{ vars }}", True),
        ("{% set y = 1 %}", False),
        ("{% if x %}{% set y = 1 %}{% endif %}", False),
        ("{% macro m() %}{% endmacro %}", False),
        ("{% import 'f.html' as f %}", False),
        ("{% from 'f.html' import f %}", False),
        ("{% block b %}{% endblock %}", False),
        ("{% extends 'f.html' %}", False),
    ],
)
def test_which_parts_can_share_a_context(host: Host, source: str, pure: bool) -> None:
    """Those that leave nothing in it: sharing is what makes a slot fast."""
    assert is_pure(host.app.jinja_env.from_string(source)) is pure


# ---- signals ---------------------------------------------------------------------------------


def test_listeners_hear_of_every_part(host: Host) -> None:
    """Before and after each, with its template and the variables, as Flask tells it."""
    fill(host, "{{ v }}", "f.html", files={"f.html": "{{ v }}"})
    pm = host.start()
    with (
        host.app.app_context(),
        listening(before_render_template, host.app) as before,
        listening(template_rendered, host.app) as after,
    ):
        assert pm.emit_tep("s", v="<") == "&lt;&lt;"
    assert [name for name, _ in before] == ["a1:f.html", "a0:<tep s>.html"]
    assert before == after
    assert all(variables["v"] == "<" for _, variables in before)
    assert all("g" in variables for _, variables in before)


def test_a_listener_may_change_the_variables_of_a_part(host: Host) -> None:
    """As in Flask: what it adds is there in that part, and only there."""
    fill(host, "{{ v }}{{ w }}", "{{ v }}{{ w }}")
    pm = host.start()

    def change(sender: Flask, template: Any, context: dict[str, Any], **rest: Any) -> None:
        if template.name.startswith("a0"):
            context["w"] = "added"

    with host.app.app_context(), before_render_template.connected_to(change, host.app):
        assert pm.emit_tep("s", v=1) == "1added1"


def test_listeners_of_another_application_hear_nothing(host: Host) -> None:
    """And the parts are rendered all the same."""
    fill(host, "{{ v }}")
    pm = host.start()
    with host.app.app_context(), listening(template_rendered, Flask("other")) as heard:
        assert pm.emit_tep("s", v=1) == "1"
    assert heard == []


def test_a_listener_of_the_host_runs_as_the_host(host: Host) -> None:
    """What it renders is the host's, though a plugin's part is being rendered."""
    host.template("f.html", "host")
    fill(host, "f.html", files={"f.html": "plugin"})
    pm = host.start()
    found = []

    def render(sender: Flask, **rest: Any) -> None:
        found.append(sender.jinja_env.get_template("f.html").render())

    with host.app.app_context(), template_rendered.connected_to(render, host.app):
        assert pm.emit_tep("s") == "plugin"
    assert found == ["host"]


def test_a_part_that_fails_is_not_told_as_rendered(host: Host) -> None:
    """Listeners hear of it before, and not after."""
    fill(host, "{{ 1 / 0 }}")
    pm = host.start(strict=False)
    logging.getLogger("flask_pluginkit").disabled = True
    try:
        with (
            host.app.app_context(),
            listening(before_render_template, host.app) as before,
            listening(template_rendered, host.app) as after,
        ):
            assert pm.emit_tep("s") == ""
    finally:
        logging.getLogger("flask_pluginkit").disabled = False
    assert (len(before), len(after)) == (1, 0)


def test_a_processor_that_renders_inside_a_slot_sees_plugins_values(host: Host) -> None:
    """A slot takes tcp values in by itself; a page that the host renders meanwhile has them too."""
    host.plugin("values", "def register(): return {'tcp': {'v': 'V'}, 'tep': {'nav': '{{ p }}'}}")
    host.start()

    @host.app.context_processor
    def page() -> dict[str, str]:
        if "busy" in g:
            return {}
        g.busy = True
        return {"p": render_template_string("[{{ v }}]")}

    with host.app.test_request_context():
        assert host.pm.emit_tep("nav") == "[V]"


def test_globals_that_change_later_are_seen(host: Host) -> None:
    """What all parts have in common is put together once, but for these very globals."""
    host.plugin("a", "def register():\n    return {'tep': {'s': '{{ mark }}'}}\n")
    host.start()
    found = []
    for mark in (1, 1.0, True, 2):
        host.app.jinja_env.globals["mark"] = mark
        found.append(emitted(host))
    assert found == ["1", "1.0", "True", "2"]
