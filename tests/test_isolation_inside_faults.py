"""Faults of plugins in a process of their own, late ones and odd ones."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from inner import EVERYTHING, FakeServices, LoadInner, ask, inside, value, visited
from trees import clean_imports

from flask_pluginkit.exceptions import NotCallableError, PEPError, PluginError
from flask_pluginkit.isolation.inside import preparing
from flask_pluginkit.isolation.inside.connections import Connections
from flask_pluginkit.isolation.inside.frames import frame_of
from flask_pluginkit.isolation.inside.services import NoServices
from flask_pluginkit.isolation.messages import (
    Broken,
    Chunk,
    Failure,
    FromPlugin,
    Head,
)
from flask_pluginkit.isolation.wire import FROM_PLUGIN

__all__ = ["clean_imports", "inside"]


def view(body: str) -> str:
    """A plugin with one view at ``/hello/``, whose code is `body`."""
    return f"""
from flask import current_app, make_response, request, session
def page():
    {body}
def register(): return {{"vep": {{"rule": "/hello/", "view_func": page}}}}
"""


def error_of(found: Any) -> str:
    """Return the error that a frame or a result tells of."""
    failure = found if isinstance(found, Failure) else found.failure
    assert failure is not None
    return str(failure.error)


# ---- connections ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (("", print), PluginError),
        ((7, print), PluginError),
        (("e", "no function"), NotCallableError),
        (("e", print, "middle"), PluginError),
    ],
)
def test_a_wrong_connection_is_refused_as_in_the_host(
    args: tuple[Any, ...], kind: type[Exception]
) -> None:
    """By the same exceptions."""
    with pytest.raises(kind, match=r"Invalid (event|position)|cannot be called"):
        Connections().push(*args)


def test_a_connection_may_be_removed() -> None:
    """Once."""
    connections = Connections()
    connections.push("e", print)
    assert connections.remove("e", print)
    assert not connections.remove("e", print)
    assert connections.list == {}


def test_a_connection_that_comes_too_late_is_warned_of(inside: LoadInner) -> None:
    """The host knows what there was when the plugin was loaded."""
    body = "from flask_pluginkit import push_dcp; push_dcp('e', print); return 'x'"
    [found] = visited(inside(view(body)), "/hello/")
    assert isinstance(found, Head)
    assert found.records[0].text.startswith("push_dcp('e') came too late")


# ---- frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Head(id=5, status=200, headers=[("X", "\udc80")]),
        Head(id=5, status=200, body=b"x" * (10 << 20)),
        Chunk(id=5, data=b"x" * (10 << 20)),
    ],
)
def test_a_reply_that_cannot_be_sent_is_a_fault(reply: FromPlugin) -> None:
    """It is told in its place, with its number."""
    found = FROM_PLUGIN.decode(frame_of(reply)[4:])
    assert isinstance(found, Broken | Chunk)
    assert found.id == 5
    assert error_of(found).startswith("what the plugin returned can't be sent: ")
    assert not isinstance(found, Chunk) or found.last


# ---- views ----------------------------------------------------------------------------------


def test_a_body_that_is_longer_than_it_says_is_a_fault(inside: LoadInner) -> None:
    """However long it is."""
    body = """
    def wrapped(environ, start):
        start("200 OK", [("Content-Length", "1")])
        return [b"x" * (2 << 20)]
    def register(): return {}
    def on_app_ready(app): app.wsgi_app = wrapped
    """
    [found] = visited(inside(body), "/hello/")
    assert "longer than its Content-Length" in error_of(found)


def test_a_fault_when_a_response_is_closed_is_told(inside: LoadInner) -> None:
    """Before the host has sent anything of it."""
    body = "r = make_response('x'); r.call_on_close(lambda: 1 / 0); return r"
    [found] = visited(inside(view(body)), "/hello/")
    assert error_of(found) == "ZeroDivisionError: division by zero"


def test_an_exception_that_cannot_be_shown_is_told_by_its_type(inside: LoadInner) -> None:
    """Its own methods are the plugin's code too."""
    body = "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()"
    [found] = visited(inside(view(body)), "/hello/")
    assert "Odd" in error_of(found)


def test_what_wraps_the_application_is_asked(inside: LoadInner) -> None:
    """WSGI's way to write a body works as well."""
    body = """
    def wrapped(environ, start):
        write = start("200 OK", [("Content-Length", "4")])
        write(b"te")
        return [b"xt"]
    def register(): return {}
    def on_app_ready(app): app.wsgi_app = wrapped
    """
    [found] = visited(inside(body), "/hello/")
    assert isinstance(found, Head)
    assert found.body == b"text"


def test_an_answer_that_is_too_long_is_a_fault(inside: LoadInner) -> None:
    """Of a hook: a view's would be streamed."""
    body = "def register(): return {'hep': {'before_request': lambda: 'x' * (9 << 20)}}"
    inner = inside(body, *EVERYTHING)
    found = ask(inner, inner.description.hooks[0].reference)
    assert error_of(found).endswith("an answer of more than 8388608 bytes")


def test_a_record_that_cannot_be_formatted_does_no_harm(
    inside: LoadInner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with any handler."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    body = "current_app.logger.warning('%d', 'x'); return 'fine'"
    [found] = visited(inside(view(body)), "/hello/")
    assert isinstance(found, Head)
    assert (found.body, found.records) == (b"fine", [])


@pytest.mark.parametrize("answer", [OSError("full"), b"short"])
def test_sessions_work_without_a_lasting_key(inside: LoadInner, answer: object) -> None:
    """They end with the process."""

    class Odd(FakeServices):
        def ask(self, what: str, *args: Any) -> Any:
            if isinstance(answer, OSError):
                raise answer
            return answer

    body = "session['a'] = 1; return 'x'"
    [found] = visited(inside(view(body), "cookies", services=Odd()), "/hello/")
    assert isinstance(found, Head)
    assert "Set-Cookie" in dict(found.headers)


def test_a_url_outside_of_requests_is_an_error_of_flasks(inside: LoadInner) -> None:
    """As in the host."""
    body = """
    from flask import url_for
    def register(): return {}
    def on_app_ready(app): url_for("index")
    """
    with pytest.raises(RuntimeError, match="SERVER_NAME"):
        inside(body)


def test_on_app_ready_must_be_a_function(inside: LoadInner) -> None:
    """Anything else is a mistake."""
    with pytest.raises(PEPError, match="on_app_ready is no function"):
        inside("on_app_ready = 7\ndef register(): return {}\n")


def test_templates_may_be_rendered_by_async_code(inside: LoadInner) -> None:
    """If the plugin sets its environment so."""
    body = """
    async def later(): return "later"
    def register(): return {"tep": {"nav": "{{ later() }} {{ x }}"}, "tcp": {"later": later}}
    def on_app_ready(app): app.jinja_env.is_async = True
    """
    inner = inside(body)
    assert value(ask(inner, inner.description.teps[0].reference, x=1)) == "later 1"


# ---- without a host -------------------------------------------------------------------------


def test_nobody_is_there_to_be_asked() -> None:
    """Which is told as something that isn't permitted."""
    with pytest.raises(PermissionError, match=r"storage.get: there is nobody to ask"):
        NoServices().ask("storage.get", "a", "b")
    with pytest.raises(PermissionError, match=r"example.org:80: there is nobody to ask"):
        NoServices().connect("example.org", 80, None)


def test_preparing_leaves_nothing_but_modules() -> None:
    """It can be done twice, in any process."""
    before = sys.meta_path[:], logging.getLogger().handlers[:]
    preparing.prepare()
    preparing.prepare()
    assert (sys.meta_path, logging.getLogger().handlers) == before
