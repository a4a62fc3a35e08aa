"""Calls of a plugin's functions by reference, many in one message."""

from __future__ import annotations

import datetime as dt

import pytest
from inner import EVERYTHING, LoadInner, answered, ask, greet, inside, value
from trees import clean_imports

from flask_pluginkit.isolation.inside.frames import frame_of
from flask_pluginkit.isolation.inside.plugin import Inner
from flask_pluginkit.isolation.messages import (
    Answer,
    Batch,
    Call,
    Failure,
    Page,
    PublicRoute,
    Results,
    Value,
)
from flask_pluginkit.isolation.wire import FROM_PLUGIN, REPLY_LIMIT

__all__ = ["clean_imports", "inside"]

_FUNCTIONS = """
import datetime, sys
import jinja2
from flask import current_app, g, request
from markupsafe import Markup

@jinja2.pass_environment
def named(environment, x): return type(environment).__name__ + x

@jinja2.pass_eval_context
def escaping(context, x): return f"{context.autoescape} {x}"

def fail(): raise KeyError("x")

filters = {
    "up": lambda text, suffix="": text.upper() + suffix,
    "marked": lambda text: Markup("<b>") + text,
    "day": lambda when: when + datetime.timedelta(days=1),
    "odd": lambda: object(),
    "half": lambda text: "\\udc80",
    "huge": lambda text: "x" * (6 << 20),
    "large": lambda: "x" * (4 << 20),
    "fail": fail,
    "leave": lambda: sys.exit(1),
    "named": named,
    "escaping": escaping,
    "seen": lambda: [request.method, request.path, request.host_url, hasattr(g, "x")],
    "remember": lambda: setattr(g, "x", 1),
    "log": lambda: current_app.logger.warning("logged"),
}

def register():
    return {
        "filter": filters,
        "test": {"long": lambda text: len(text) > 3},
        "dcp": [{"event": "e", "callback": lambda *a, **k: [1, None, b"b", Markup("<i>"), a, k]}],
    }
"""


def reference(inner: Inner, name: str) -> int:
    [found] = [one.reference for one in inner.description.functions if one.name == name]
    return found


@pytest.fixture
def functions(inside: LoadInner) -> Inner:
    """A plugin with filters, a test and a connection."""
    return inside(_FUNCTIONS)


def batch(inner: Inner, *names: str) -> Results:
    calls = [Call(reference=reference(inner, name)) for name in names]
    return inner.batch(Batch(id=7, page=Page(), calls=calls))


def test_a_filter_takes_and_gives_plain_data(functions: Inner) -> None:
    """Arguments with and without names."""
    assert value(ask(functions, reference(functions, "up"), "a", suffix="!")) == "A!"
    day = value(ask(functions, reference(functions, "day"), dt.datetime(2026, 1, 1)))  # noqa: DTZ001
    [read] = FROM_PLUGIN.decode(frame_of(Results(id=1, results=[Value(value=day)]))[4:]).results  # type: ignore[union-attr]
    assert read == Value(value=dt.datetime(2026, 1, 2))  # noqa: DTZ001


def test_markup_arrives_as_ordinary_text(functions: Inner) -> None:
    """What is safe is decided by the host."""
    found = value(ask(functions, reference(functions, "marked"), "<x>"))
    assert (type(found), found) == (str, "<b>&lt;x&gt;")


def test_filters_may_want_the_environment(functions: Inner) -> None:
    """Their own; those that want the context are refused when the plugin is loaded."""
    assert value(ask(functions, reference(functions, "named"), "!")) == "OwnEnvironment!"
    assert value(ask(functions, reference(functions, "escaping"), "x")).endswith(" x")


def test_a_test_gives_its_answer(functions: Inner) -> None:
    """As plain data."""
    assert value(ask(functions, reference(functions, "long"), "abcd")) is True


def test_a_connection_gives_text(functions: Inner) -> None:
    """Lists are joined, nothing is nothing, as in the host."""
    found = value(ask(functions, reference(functions, "e"), 2, x=3))
    assert (type(found), found) == (str, "1b<i>2{'x': 3}")


def test_one_failing_call_is_its_own(functions: Inner) -> None:
    """Those before and behind it have their results."""
    found = batch(functions, "seen", "fail", "leave", "odd", "seen")
    assert found.id == 7
    first, failed, left, odd, last = found.results
    assert isinstance(failed, Failure)
    assert isinstance(left, Failure)
    assert isinstance(odd, Failure)
    assert failed.error == "KeyError: 'x'"
    assert "hello/__init__.py" in failed.traceback
    assert left.error == "SystemExit: 1"
    assert "type object can't cross to another process" in odd.error
    assert value(first) == value(last)


@pytest.mark.parametrize("number", [-2, 99, 1 << 40])
def test_an_unknown_reference_is_a_failure(functions: Inner, number: int) -> None:
    """And nothing else."""
    assert isinstance(ask(functions, number), Failure)


def test_calls_of_one_batch_share_a_request(functions: Inner) -> None:
    """The next batch has its own."""
    assert value(batch(functions, "remember", "seen").results[1])[3] is True
    assert value(batch(functions, "seen").results[0])[3] is False


def test_calls_see_the_page(functions: Inner) -> None:
    """As much of it as the host tells."""
    page = Page(method="POST", path="/any/where", scheme="https", host="example.org")
    found = value(ask(functions, reference(functions, "seen"), page=page))
    assert found == ["POST", "/any/where", "https://example.org/", False]


def test_records_of_calls_travel_with_the_results(functions: Inner) -> None:
    """All in one reply."""
    assert [record.text for record in batch(functions, "log", "log").records] == ["logged"] * 2


def test_a_result_that_cannot_be_encoded_is_a_failure_of_that_call(functions: Inner) -> None:
    """The others are sent."""
    frame = frame_of(
        functions.batch(
            Batch(
                id=1,
                page=Page(),
                calls=[Call(reference=reference(functions, n), args=["a"]) for n in ("up", "half")],
            )
        )
    )
    found = FROM_PLUGIN.decode(frame[4:])
    assert isinstance(found, Results)
    assert found.results[0] == Value(value="A")
    assert isinstance(found.results[1], Failure)


def test_results_that_are_too_many_bytes_are_failures(functions: Inner) -> None:
    """What fits is sent, and the frame is no longer than it may be."""
    names = ("up", "huge", "up", "huge")
    calls = [Call(reference=reference(functions, name), args=["a"]) for name in names]
    frame = frame_of(functions.batch(Batch(id=1, page=Page(), calls=calls)))
    assert len(frame) <= REPLY_LIMIT
    found = FROM_PLUGIN.decode(frame[4:])
    assert isinstance(found, Results)
    kinds = [type(result).__name__ for result in found.results]
    assert kinds == ["Value", "Failure", "Value", "Failure"]


def test_results_that_are_too_many_together_are_cut(functions: Inner) -> None:
    """Those that come first are sent."""
    calls = [Call(reference=reference(functions, "large"))] * 3
    found = FROM_PLUGIN.decode(frame_of(functions.batch(Batch(id=1, page=Page(), calls=calls)))[4:])
    assert isinstance(found, Results)
    assert [type(one).__name__ for one in found.results] == ["Value", "Failure", "Failure"]


# ---- teps -----------------------------------------------------------------------------------

_TEPS = """
import itertools
asked = itertools.count(1)

def register():
    return {
        "tep": {
            "file": "part.html",
            "code": "1@<i>{{ value }} {{ own }} {{ request.path }} {{ n }}</i>",
            "bad": "{{ 1 / 0 }}",
            "sets": "{% set own = 'changed' %}{{ own }}",
            "dcps": "{{ emit_dcp('e', 1) }}",
            "links": "{{ url_for('index') }}",
            "nested": "{{ emit_tep('code', value='V') }}",
            "config": "{{ emit_config('SECRET_KEY') }}",
            "asset": "{{ emit_assets('hello', 'a.css', media='x') }}{{ emit_assets('o', 'a') }}",
        },
        "tcp": {"own": "<own>"},
        "dcp": [
            {"event": "e", "callback": lambda n: f"<b>{n}"},
            {"event": "e", "callback": lambda n: "<a>", "position": "left"},
        ],
    }

def on_app_ready(app):
    app.context_processor(lambda: {"n": next(asked)})
"""


def slot(inner: Inner, name: str) -> int:
    [found] = [tep.reference for tep in inner.description.teps if tep.slot == name]
    return found


@pytest.fixture
def teps(inside: LoadInner) -> Inner:
    """A plugin with parts of slots."""
    return inside(
        _TEPS,
        files={"templates/part.html": "<p>{{ own }} {{ value }}</p>", "static/a.css": "a{}"},
    )


def test_a_tep_is_rendered_with_the_slots_variables(teps: Inner) -> None:
    """And the plugin's own context, all of it escaped."""
    assert value(ask(teps, slot(teps, "file"), value="<v>")) == "<p>&lt;own&gt; &lt;v&gt;</p>"
    page = Page(path="/here")
    assert (
        value(ask(teps, slot(teps, "code"), value=1, page=page)) == "<i>1 &lt;own&gt; /here 2</i>"
    )


def test_context_processors_are_asked_once_for_a_batch(teps: Inner) -> None:
    """However many teps there are; the next batch asks again."""
    for expected in ("1", "2"):
        calls = [Call(reference=slot(teps, "code"))] * 3
        results = teps.batch(Batch(id=1, page=Page(), calls=calls)).results
        assert [value(one).split()[-1] for one in results] == [f"{expected}</i>"] * 3


def test_variables_of_one_slot_are_not_those_of_another(teps: Inner) -> None:
    """Also in one batch."""
    calls = [
        Call(reference=slot(teps, "file"), kwargs={"value": 1}),
        Call(reference=slot(teps, "file")),
    ]
    found = teps.batch(Batch(id=1, page=Page(), calls=calls)).results
    assert [value(one) for one in found] == ["<p>&lt;own&gt; 1</p>", "<p>&lt;own&gt; </p>"]


def test_what_one_tep_sets_no_other_sees(teps: Inner) -> None:
    """Also in one batch."""
    calls = [Call(reference=slot(teps, name)) for name in ("sets", "file")]
    found = teps.batch(Batch(id=1, page=Page(), calls=calls)).results
    assert [value(one) for one in found] == ["changed", "<p>&lt;own&gt; </p>"]


def test_a_failing_tep_names_its_line(teps: Inner) -> None:
    """The traceback leads into the template."""
    found = ask(teps, slot(teps, "bad"))
    assert isinstance(found, Failure)
    assert found.error == "ZeroDivisionError: division by zero"
    assert "hello:<tep bad>.html" in found.traceback


def test_a_tep_may_emit_the_plugins_own_slots(teps: Inner) -> None:
    """Those of others are in the host only."""
    assert "V" in value(ask(teps, slot(teps, "nested")))


def test_a_tep_may_emit_the_plugins_own_connections(teps: Inner) -> None:
    """In their order."""
    assert value(ask(teps, slot(teps, "dcps"))) == "<a><b>1"


def test_emit_config_knows_nothing(teps: Inner) -> None:
    """The log says so."""
    [call] = [Call(reference=slot(teps, "config"))]
    found = teps.batch(Batch(id=1, page=Page(), calls=[call]))
    assert value(found.results[0]) == "None"
    assert "can't be read" in found.records[0].text


def test_emit_assets_gives_the_tag_that_the_host_would(teps: Inner) -> None:
    """If the host tells where the static files of plugins are."""
    greet(teps, PublicRoute(rule="/assets/<plugin_name>/<path:filename>", endpoint="assets"))
    found = value(ask(teps, slot(teps, "asset"), page=Page(root_path="/app")))
    start = '<link rel="stylesheet" href="/app/assets/hello/a.css?v='
    assert found.startswith(start)
    assert found.endswith('" media="x">')


def test_links_to_public_endpoints_work_in_teps(teps: Inner) -> None:
    """Below the root of the page that they are on."""
    greet(teps, PublicRoute(rule="/", endpoint="index"))
    assert value(ask(teps, slot(teps, "links"), page=Page(root_path="/app"))) == "/app/"


# ---- hooks and handlers ---------------------------------------------------------------------


def hook(inside: LoadInner, kind: str, function: str) -> tuple[Inner, int]:
    """Load a plugin with one hook, and return its reference too."""
    body = f"""
import flask
from flask import abort, g, redirect, request
ended = []
{function}
def register(): return {{"hep": {{{kind!r}: hook}}, "tep": {{"ended": "{{{{ ended }}}}"}}}}
def on_app_ready(app): app.context_processor(lambda: {{"ended": ended}})
"""
    inner = inside(body, *EVERYTHING)
    [found] = [one.reference for one in inner.description.hooks if one.table == f"{kind}_funcs"]
    return inner, found


def test_a_hook_that_lets_pass_gives_nothing(inside: LoadInner) -> None:
    """The host goes on."""
    assert ask(*hook(inside, "before_request", "def hook(): pass")) == Value()


@pytest.mark.parametrize(
    ("function", "status", "body"),
    [
        ("def hook(): return 'no', 403", 403, b"no"),
        ("def hook(): return redirect('/login')", 302, None),
        ("def hook(): abort(451, 'Not here')", 451, None),
        ("def hook(): abort(flask.make_response('own', 418))", 418, b"own"),
        ("async def hook(): return request.path", 200, b"/"),
    ],
)
def test_a_hook_may_answer(
    inside: LoadInner, function: str, status: int, body: bytes | None
) -> None:
    """With whatever a view may return, or by aborting."""
    found = answered(ask(*hook(inside, "before_request", function)))
    assert found.status == status
    assert body is None or found.body == body


_RESPONSE = (200, [["Content-Type", "text/plain"], ["X-A", "1"]], b"body")


def test_a_response_that_stays_as_it_is_gives_nothing(inside: LoadInner) -> None:
    """Also if the hook returns what isn't a response."""
    for function in ("def hook(response): return response", "def hook(response): return 1"):
        assert ask(*hook(inside, "after_request", function), *_RESPONSE) == Value()


def test_a_response_may_be_changed(inside: LoadInner) -> None:
    """Its status, headers and body."""
    function = """
def hook(response):
    response.headers["X-A"] = "2"
    response.set_data(response.get_data() + b"!")
    response.status_code = 201
    return response
"""
    found = answered(ask(*hook(inside, "after_request", function), *_RESPONSE))
    assert (found.status, found.body) == (201, b"body!")
    assert ("X-A", "2") in found.headers


def test_a_response_may_be_shown_without_its_body(inside: LoadInner) -> None:
    """Then only the rest of it is told."""
    function = "def hook(response):\n    response.headers['X-B'] = '2'\n    return response"
    found = answered(ask(*hook(inside, "after_request", function), 200, [["X-A", "1"]], None))
    assert (found.body, found.headers) == (b"", [("X-A", "1"), ("X-B", "2")])


def test_the_end_of_a_request_is_run_only_when_it_is_asked_for(inside: LoadInner) -> None:
    """Not at the end of each exchange."""
    inner, number = hook(inside, "teardown_request", "def hook(e): ended.append(type(e).__name__)")
    assert ask(inner, number, None) == Value()
    assert ask(inner, number, "KeyError") == Value()
    ended = value(ask(inner, inner.description.teps[0].reference))
    assert ended == "[&#39;NoneType&#39;, &#39;PluginError&#39;]"


def test_a_context_processor_gives_what_can_cross(inside: LoadInner) -> None:
    """The log says once what can't."""
    body = """
    def register(): return {}
    def on_app_ready(app): app.context_processor(lambda: {"a": 1, "f": print})
    """
    inner = inside(body)
    [found] = inner.description.hooks
    calls = [Call(reference=found.reference)] * 2
    results = inner.batch(Batch(id=1, page=Page(), calls=calls))
    assert [value(one) for one in results.results] == [{"a": 1}, {"a": 1}]
    assert ["'f' is there in own templates only" in one.text for one in results.records] == [True]


def test_an_error_handler_answers_for_the_hosts_pages(inside: LoadInner) -> None:
    """It gets an exception of the code with its description."""
    body = """
    def lost(error): return f"{error.code} {error.description} {error.name}", 404
    def register(): return {"errhandler": {404: lost}}
    """
    inner = inside(body)
    [found] = inner.description.errors
    assert found.code == 404
    answer = answered(ask(inner, found.reference, 404, "Not Found", "It is gone"))
    assert (answer.status, answer.body) == (404, b"404 It is gone Not Found")
    assert isinstance(answer, Answer)


def test_a_fault_at_the_end_of_a_batch_costs_no_result(inside: LoadInner) -> None:
    """It is logged with the reply."""
    body = """
    called = []
    def f(): return called.append(1) or 1
    def register(): return {"filter": {"f": f}}
    def on_app_ready(app): app.teardown_appcontext(lambda error: 1 / 0 if called else None)
    """
    inner = inside(body)
    found = batch(inner, "f")
    assert [value(one) for one in found.results] == [1]
    assert "ZeroDivisionError" in found.records[0].text
