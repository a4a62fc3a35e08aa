"""What a failing plugin does to the application: nothing that can be avoided."""

from __future__ import annotations

import logging
from typing import Any

import flask
import pytest
from flask import flash, render_template_string
from hosts import Host, clean_imports, host

from flask_pluginkit import PluginManager

__all__ = ["clean_imports", "host"]


def body(register: str, more: str = "") -> str:
    """The body of a plugin with functions that fail in several ways."""
    return f"""
import sys
import flask
from flask import Blueprint, abort

class Mine(Exception):
    pass

def fail(*args, **kwargs):
    raise ValueError("<b>secret</b>")

def gone(*args, **kwargs):
    abort(410)

def claimed(*args, **kwargs):
    raise KeyError("claimed")

def leave(*args, **kwargs):
    sys.exit(1)
{more}
def register():
    return {register}
"""


def contained(host: Host, register: str, more: str = "", **dunders: Any) -> PluginManager:
    """Start a host that contains faults, with the plugin ``hello``."""
    host.plugin("hello", body(register, more), **dunders)
    return host.start(strict=False)


def page(host: Host, source: str) -> None:
    """Give the host a page at ``/`` with this source."""
    host.app.add_url_rule("/", "page", lambda: render_template_string(source))


def faults(host: Host) -> dict[str, int]:
    """How many faults were counted at each point of ``hello``."""
    return {point: errors for point, (_, errors) in host.row("hello").counts.items() if errors}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as an error."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# ---- what a page shows -----------------------------------------------------------------------

IN_PAGES = [
    ("{'tep': {'nav': '{{ 1 / 0 }}'}}", "{{ emit_tep('nav') }}", "tep nav"),
    ("{'tep': {'nav': '{{ nothing.at.all }}'}}", "{{ emit_tep('nav') }}", "tep nav"),
    ("{'tep': {'nav': '{% include [] %}'}}", "{{ emit_tep('nav') }}", "tep nav"),
    ("{'tep': {'nav': '{% syntax error'}}", "{{ emit_tep('nav') }}", "tep nav"),
    ("{'tep': {'nav': 'bad.html'}}", "{{ emit_tep('nav') }}", "tep nav"),
    ("{'dcp': {'event': fail}}", "{{ emit_dcp('event') }}", "dcp event"),
    ("{'dcp': {'event': lambda: type('X', (), {'__str__': fail})()}}", "{{ emit_dcp('event') }}",
     "dcp event"),
    ("{'filter': {'f': fail}}", "{{ '<i>'|f }}", "filter f"),
    ("{'filter': {'f': fail}}", "{{ '<i>'|f|safe }}", "filter f"),
    ("{'test': {'f': fail}}", "{{ 'yes' if 1 is f }}", "test f"),
    ("{'tcp': {'f': fail}}", "{{ f() }}", "context f"),
    ("{'global': {'f': fail}}", "{{ f() }}", "global f"),
    ("{'bep': {'blueprint': bp, 'prefix': None}}", "{{ word }}", "template_context_processors"),
    ("{'bep': {'blueprint': odd, 'prefix': None}}", "{{ word }}", "template_context_processors"),
]  # fmt: skip
PROCESSORS = """
bp = Blueprint("bp", __name__)
bp.app_context_processor(fail)
odd = Blueprint("odd", __name__)
odd.app_context_processor(lambda: 5)
"""


@pytest.mark.parametrize(("register", "source", "point"), IN_PAGES)
def test_a_page_shows_nothing_where_a_plugin_fails(
    host: Host, caplog: pytest.LogCaptureFixture, register: str, source: str, point: str
) -> None:
    """The page itself is complete; the fault is counted once and logged with the plugin's name."""
    page(host, f"before{source}after")
    contained(host, register, PROCESSORS, files={"templates/bad.html": "{{ nothing.at.all }}"})
    assert host.get("/") == "beforeafter"
    assert faults(host) == {point: 1}
    assert lines(caplog) == [f"plugin 'hello': {point} failed and was left out"]
    assert "Traceback" in host.row("hello").last_fault


@pytest.mark.parametrize(("register", "source", "point"), IN_PAGES)
def test_a_strict_application_fails_the_page(
    host: Host, register: str, source: str, point: str
) -> None:
    """As Flask does with an exception of the application's own."""
    page(host, source)
    host.plugin(
        "hello", body(register, PROCESSORS), files={"templates/bad.html": "{{ nothing.at.all }}"}
    )
    host.start(strict=True)
    assert host.open("/").status_code == 500
    assert faults(host)[point] == 1


@pytest.mark.parametrize(
    ("register", "source"),
    [
        ("{'tep': {'nav': '{{ f() }}'}, 'tcp': {'f': 'CALL'}}", "{{ emit_tep('nav') }}"),
        ("{'dcp': {'event': 'CALL'}}", "{{ emit_dcp('event') }}"),
        ("{'filter': {'f': 'CALL'}}", "{{ 1|f }}"),
        ("{'tcp': {'f': 'CALL'}}", "{{ f() }}"),
    ],
)
@pytest.mark.parametrize(("call", "status"), [("gone", 410), ("claimed", 418)])
def test_control_flow_ends_the_page(
    host: Host, register: str, source: str, call: str, status: int
) -> None:
    """``abort()`` and exceptions that somebody handles do what they do in Flask; nobody counts."""
    page(host, source)
    host.app.register_error_handler(KeyError, lambda error: ("handled", 418))
    contained(host, register.replace("'CALL'", call))
    assert host.open("/").status_code == status
    assert faults(host) == {}


def test_one_failing_part_leaves_the_others(host: Host) -> None:
    """Those of other plugins before and after it."""
    page(host, "{{ emit_tep('nav') }}")
    host.plugin("a", body("{'tep': {'nav': 'a'}}"))
    host.plugin("z", body("{'tep': {'nav': 'z'}}"))
    contained(host, "{'tep': {'nav': 'half{{ 1 / 0 }}'}}")
    assert host.get("/") == "az"


@pytest.mark.parametrize(
    "expression", ["{{ object.leave() }}", "{{ f() }}", "{{ emit_dcp('event') }}"]
)
def test_an_exit_in_a_part_is_its_fault(host: Host, expression: str) -> None:
    """Through an object that nothing is wrapped around, too."""
    page(host, "before{{ emit_tep('nav') }}after")
    more = "class Thing:\n    leave = staticmethod(leave)\n"
    contained(
        host,
        f"{{'tep': {{'nav': {expression!r}}}, 'tcp': {{'object': Thing(), 'f': leave}},"
        " 'dcp': {'event': leave}}",
        more,
    )
    assert host.get("/") == "beforeafter"
    assert sum(faults(host).values()) == 1
    assert "sys.exit(1)" in host.row("hello").last_fault


# ---- strict, debug and testing ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("strict", "debug", "testing", "raises"),
    [
        (None, False, False, False),
        (None, True, False, True),
        (None, False, True, True),
        (None, True, True, True),
        (False, True, True, False),
        (False, False, False, False),
        (True, False, False, True),
        (True, True, True, True),
    ],
)
def test_when_faults_are_raised(
    host: Host, strict: bool | None, debug: bool, testing: bool, raises: bool
) -> None:
    """Where the application says so, or, without a word, in debug and testing mode."""
    host.plugin("hello", body("{'filter': {'f': fail}}"))
    host.start(strict=strict)
    host.app.debug, host.app.testing = debug, testing
    if raises:
        with pytest.raises(ValueError, match="secret"):
            host.render("{{ 1|f }}")
    else:
        assert host.render("{{ 1|f }}") == ""


def test_modes_are_read_at_each_call(host: Host) -> None:
    """Tests switch them on and off after the start, as Flask's PROPAGATE_EXCEPTIONS allows."""
    host.plugin("hello", body("{'filter': {'f': fail}}"))
    host.start(strict=None)
    assert host.render("{{ 1|f }}") == ""
    host.app.testing = True
    with pytest.raises(ValueError, match="secret"):
        host.render("{{ 1|f }}")
    host.app.testing = False
    assert host.render("{{ 1|f }}") == ""


def test_in_debug_mode_a_box_names_the_plugin(host: Host) -> None:
    """Escaped: the message may hold what visitors wrote."""
    host.app.debug = True
    contained(
        host,
        "{'tep': {'<nav>': '{{ f() }}'}, 'tcp': {'f': Thing()}}",
        "class Thing:\n    __call__ = fail\n",
    )
    shown = host.render("{{ emit_tep('<nav>') }}")
    assert "plugin <b>hello</b>" in shown
    assert "tep &lt;nav&gt; failed" in shown
    assert "ValueError: &lt;b&gt;secret&lt;/b&gt;" in shown
    assert "<b>secret" not in shown


def test_without_debug_mode_nothing_of_the_error_is_shown(host: Host) -> None:
    """Not even with the strictness off in testing mode."""
    host.app.testing = True
    contained(host, "{'tep': {'nav': '{{ f() }}'}, 'tcp': {'f': fail}}")
    assert host.render("{{ emit_tep('nav') }}") == ""


def test_the_managers_logger_is_used(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The option ``logger`` says where faults are told."""
    host.plugin("hello", body("{'filter': {'f': fail}}"))
    host.start(strict=False, logger=logging.getLogger("mine"))
    host.render("{{ 1|f }}")
    assert [record.name for record in caplog.records] == ["mine"]


# ---- hooks -----------------------------------------------------------------------------------

AFTER = [
    ("{'hep': {'after_request': CALL}}", "after_request"),
    ("{'hep': {'teardown_request': CALL}}", "teardown_request"),
    ("bp.after_app_request(CALL) and BEP", "after_request"),
    ("bp.teardown_app_request(CALL) and BEP", "teardown_request"),
    ("READY.append(lambda app: app.teardown_appcontext(CALL)) or {}", "teardown_appcontext"),
]
MORE = """
bp = Blueprint("bp", __name__)
BEP = {"bep": {"blueprint": bp, "prefix": None}}
READY = []
def on_app_ready(app):
    for function in READY:
        function(app)
"""


@pytest.mark.parametrize(("register", "point"), AFTER)
@pytest.mark.parametrize("call", ["fail", "gone", "claimed", "leave"])
def test_a_failing_function_after_the_view_is_skipped(
    host: Host, caplog: pytest.LogCaptureFixture, register: str, point: str, call: str
) -> None:
    """The response is there already, and no error handler is asked any more: whatever it raised."""
    page(host, "fine")
    host.app.register_error_handler(KeyError, lambda error: ("handled", 418))
    host.plugin("zz", body("{'hep': {'after_request': lambda r: flask.Response('seen')}}"))
    contained(host, register.replace("CALL", call), MORE)
    assert host.get("/") == "seen"
    assert faults(host) == {point: 1}
    assert lines(caplog) == [f"plugin 'hello': {point} failed and was left out"]


@pytest.mark.parametrize(("register", "point"), AFTER[:2])
def test_strictly_such_a_fault_is_raised(host: Host, register: str, point: str) -> None:
    """In tests one wants to see it."""
    page(host, "fine")
    host.plugin("hello", body(register.replace("CALL", "fail"), MORE))
    host.start()
    host.app.testing = True
    with pytest.raises(ValueError, match="secret"):
        host.get("/")
    assert faults(host) == {point: 1}


GUARDS = [
    ("{'hep': {'before_request': CALL}}", "before_request"),
    ("bp.before_app_request(CALL) and BEP", "before_request"),
    ("bp.app_url_value_preprocessor(CALL) and BEP", "url_value_preprocessors"),
]


@pytest.mark.parametrize(("register", "point"), GUARDS)
@pytest.mark.parametrize("call", ["fail", "leave"])
def test_a_failing_guard_opens_no_door(host: Host, register: str, point: str, call: str) -> None:
    """The view isn't reached: 500, as in 3.x."""
    reached = []

    @host.app.route("/")
    def door() -> str:
        reached.append(True)
        return "open"

    contained(host, register.replace("CALL", call), MORE)
    assert host.open("/").status_code == 500
    assert reached == []
    assert faults(host) == {point: 1}


@pytest.mark.parametrize(("register", "point"), GUARDS)
def test_a_failing_guard_of_an_optional_plugin_is_left_out(
    host: Host, register: str, point: str
) -> None:
    """``__optional__ = True`` says that it protects nothing."""
    page(host, "fine")
    contained(host, register.replace("CALL", "fail"), MORE, optional=True)
    assert host.get("/") == "fine"
    assert faults(host) == {point: 1}


@pytest.mark.parametrize(("call", "status"), [("gone", 410), ("claimed", 418)])
@pytest.mark.parametrize("optional", [True, False])
def test_a_guard_that_refuses_is_heard(host: Host, call: str, status: int, optional: bool) -> None:
    """Also where the plugin is optional: refusing isn't failing."""
    page(host, "fine")
    host.app.register_error_handler(KeyError, lambda error: ("handled", 418))
    contained(host, f"{{'hep': {{'before_request': {call}}}}}", optional=optional)
    assert host.open("/").status_code == status
    assert faults(host) == {}


def test_url_defaults_that_fail_are_left_out(host: Host) -> None:
    """They add values to URLs, and protect nothing."""
    page(host, "{{ url_for('page') }}")
    contained(host, "bp.app_url_defaults(fail) and BEP", MORE)
    assert host.get("/") == "/"
    assert faults(host) == {"url_default_functions": 1}


# ---- views -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "register",
    [
        "{'vep': {'rule': '/x', 'view_func': fail, 'endpoint': 'x'}}",
        "{'vep': {'rule': '/x', 'view_func': later, 'endpoint': 'x'}}",
        "{'cvep': {'view_class': View, 'rule': '/x', 'name': 'x'}}",
        "bp.route('/x', endpoint='x')(fail) and BEP",
    ],
)
def test_a_failing_view_is_flasks_business_and_counted(host: Host, register: str) -> None:
    """The application's own error page is shown."""
    host.app.register_error_handler(500, lambda error: ("our page", 500))
    more = """
from flask.views import View as Base
class View(Base):
    dispatch_request = fail
async def later():
    fail()
"""
    contained(host, register, MORE + more)
    response = host.open("/x")
    assert (response.status_code, response.text) == (500, "our page")
    ((point, count),) = faults(host).items()
    assert point in {"view x", "view bp.x"}
    assert count == 1
    assert "secret" in host.row("hello").last_fault


@pytest.mark.parametrize("testing", [True, False])
def test_an_exit_in_a_view_is_a_fault(host: Host, testing: bool) -> None:
    """The server goes on; in testing mode an exception is seen instead of the end of the tests."""
    contained(host, "{'vep': {'rule': '/x', 'view_func': leave, 'endpoint': 'x'}}")
    host.app.testing = testing
    if testing:
        with pytest.raises(Exception, match=r"'hello' called sys\.exit\(1\) at view x"):
            host.get("/x")
    else:
        assert host.open("/x").status_code == 500
    assert faults(host) == {"view x": 1}


@pytest.mark.parametrize(("call", "status"), [("gone", 410), ("claimed", 418)])
def test_control_flow_in_a_view_is_no_fault(host: Host, call: str, status: int) -> None:
    """``abort()`` is an answer, and an exception with a handler is another."""
    host.app.register_error_handler(KeyError, lambda error: ("handled", 418))
    contained(host, f"{{'vep': {{'rule': '/x', 'view_func': {call}, 'endpoint': 'x'}}}}")
    assert host.open("/x").status_code == status
    assert faults(host) == {}
    assert host.row("hello").counts["view x"] == (1, 0)


def test_an_exception_claimed_by_the_plugins_own_handler_is_control_flow(host: Host) -> None:
    """Plugins of 3.x raise errors of their own, and say what is shown for them."""
    contained(
        host,
        "{'errhandler': [{'error': Mine, 'handler': lambda error: 'mine'}],"
        " 'vep': {'rule': '/x', 'view_func': mine, 'endpoint': 'x'}}",
        "def mine():\n    raise Mine\n",
    )
    assert host.get("/x") == "mine"
    assert faults(host) == {}


def test_a_handler_of_the_requests_blueprint_claims_too(host: Host) -> None:
    """As Flask looks for it."""
    contained(
        host,
        "bp.errorhandler(ValueError)(lambda error: 'of the blueprint')"
        " and bp.route('/x')(fail) and BEP",
        MORE,
    )
    assert host.get("/x") == "of the blueprint"
    assert faults(host) == {}


@pytest.mark.parametrize("error", [Exception, 500])
def test_a_catch_all_of_the_host_doesnt_make_an_error_page_of_a_sidebar(
    host: Host, error: type[Exception] | int
) -> None:
    """It is there for whatever happens, and claims nothing that can be left out."""
    host.app.register_error_handler(error, lambda error: ("oops", 500))
    page(host, "page {{ emit_tep('nav') }}{{ 1|f }}{{ emit_dcp('event') }}")
    contained(
        host,
        "{'tep': {'nav': '{{ 1 / 0 }}'}, 'filter': {'f': fail}, 'dcp': {'event': fail},"
        " 'vep': {'rule': '/x', 'view_func': fail}}",
    )
    assert host.get("/") == "page "
    assert host.get("/x") == "oops"


# ---- signals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "call", "status"),
    [
        ("request_started", "fail", 200),
        ("request_started", "gone", 410),
        ("request_started", "claimed", 418),
        ("template_rendered", "fail", 200),
        ("template_rendered", "gone", 410),
        ("message_flashed", "fail", 200),
        ("request_finished", "fail", 200),
        ("request_finished", "gone", 200),
        ("request_finished", "claimed", 200),
        ("request_tearing_down", "gone", 200),
        ("appcontext_popped", "gone", 200),
        ("appcontext_tearing_down", "fail", 200),
    ],
)
def test_a_failing_receiver_of_a_signal(host: Host, signal: str, call: str, status: int) -> None:
    """It is left out; where Flask asks error handlers, it may refuse."""
    host.app.secret_key = "x"
    host.app.add_url_rule(
        "/", "page", lambda: render_template_string("{{ get_flashed_messages() }}")
    )
    host.app.before_request(lambda: flash("message"))
    host.app.register_error_handler(KeyError, lambda error: ("handled", 418))
    contained(host, f"{{'signal': [(flask.{signal}, {call})]}}")
    assert host.open("/").status_code == status
    if status == 200:
        assert faults(host)[f"signal {getattr(flask, signal).name}"] >= 1
    else:
        assert faults(host) == {}


# ---- what is told of a plugin ----------------------------------------------------------------


def test_counts_times_and_the_last_fault_are_in_its_row(host: Host) -> None:
    """By point: calls and faults, total and slowest time in seconds."""
    contained(host, "{'filter': {'f': sometimes}}", "def sometimes(x):\n    return 1 / x\n")
    assert host.row("hello").last_fault == ""
    for value in (1, 0, 2):
        host.render(f"{{{{ {value}|f }}}}")
    row = host.row("hello")
    assert row.counts == {"filter f": (3, 1)}
    total, slowest = row.times["filter f"]
    assert 0 < slowest <= total < 5
    assert row.last_fault.rstrip().endswith("ZeroDivisionError: division by zero")
    assert row.status == "active"


def test_two_applications_count_apart(host: Host) -> None:
    """One plugin in two applications of a process has two rows."""
    contained(host, "{'filter': {'f': fail}}")
    twin = host.twin()
    twin.start(strict=False)
    host.render("{{ 1|f }}")
    assert faults(host) == {"filter f": 1}
    assert faults(twin) == {}


def test_a_fault_in_the_tep_of_an_own_page_is_counted_at_the_tep(host: Host) -> None:
    """The page around it is fine, and so the view."""
    contained(
        host,
        "{'tep': {'nav': '{{ 1 / 0 }}'}, 'vep': {'rule': '/x', 'endpoint': 'x', 'view_func':"
        " lambda: flask.render_template_string('page {{ emit_tep(\"nav\") }}')}}",
    )
    assert host.get("/x") == "page "
    assert faults(host) == {"tep nav": 1}
