"""Requests for a plugin's own views: from the page that the host tells of to frames."""

from __future__ import annotations

import pytest
from inner import LoadInner, greet, inside, visited
from trees import clean_imports

from flask_pluginkit.isolation.inside.plugin import Inner
from flask_pluginkit.isolation.messages import (
    Aborted,
    Broken,
    Chunk,
    Head,
    Page,
    PublicRoute,
    Visit,
)

__all__ = ["clean_imports", "inside"]

_BODY = """
import io, logging, sys
from flask import (
    Blueprint, abort, current_app, make_response, redirect, request, send_file, session,
    stream_with_context, url_for
)
from werkzeug.exceptions import Unauthorized

bp = Blueprint("hello", __name__, url_prefix="/hello")
ended = []
view = lambda rule, **options: bp.route(rule, **options)

@view("/echo", methods=["GET", "POST"])
def echo():
    return {"method": request.method, "url": request.url, "args": request.args,
            "form": request.form, "body": request.get_data(as_text=True),
            "cookies": request.cookies, "agent": request.headers.get("User-Agent"),
            "tags": request.headers.getlist("X-Tag"), "addr": request.remote_addr,
            "user": request.environ["pluginkit.user"],
            "files": {k: f.read().decode() for k, f in request.files.items()}}

@view("/gone")
def gone(): abort(410, "It went away")

@view("/made")
def made(): abort(make_response("own page", 418))

@view("/redirect")
def away(): return redirect(url_for(".echo", a="b"))

@view("/broken")
def broken(): raise KeyError("secret")

@view("/exit")
def leave(): sys.exit(3)

@view("/stream")
def stream():
    def parts():
        yield "one"
        yield request.args.get("x", "")
        yield "z" * 100_000
    return stream_with_context(parts())

@view("/breaks")
def breaks():
    def parts():
        yield "one"
        raise ValueError("half way")
    return parts()

@view("/never")
def never():
    def parts():
        raise ValueError("at once")
        yield
    return parts()

@view("/endless")
def endless():
    def parts():
        while True:
            yield "again "
    response = make_response(parts())
    response.call_on_close(lambda: ended.append(1))
    return response

@view("/ended")
def has_ended(): return str(len(ended))

@view("/file")
def file(): return send_file(io.BytesIO(b"f" * 3_000_000), mimetype="text/plain")

@view("/small")
def small(): return send_file(__file__)

@view("/links")
def links():
    return {name: url_for(name, **values) for name, values in (
        ("hello.echo", {}), ("static", {"filename": "a b.css"}), ("index", {"x": 1}))}

@view("/nowhere")
def nowhere(): return url_for("not.here")

@view("/external")
def external(): return url_for("index", _external=True, _anchor="top")

@view("/log")
def log():
    current_app.logger.warning("careful: %s", "hot")
    return "x"

@view("/closing")
def closing():
    current_app.logger.warning("begin")
    response, logger = make_response("x"), current_app.logger
    response.call_on_close(lambda: logger.warning("end"))
    return response

@view("/flood")
def flood():
    for number in range(1000):
        current_app.logger.warning("x" * 1000)
    return "x"

@view("/session")
def counted():
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])

@view("/peek")
def peek(): return str(session.get("n"))

@view("/odd")
def odd(): return "x", 200, {"X-Odd": "\\udc80"}

@view("/slash/")
def slash(): return "slash"

def register(): return {"bep": {"blueprint": bp, "prefix": None}}
"""


@pytest.fixture
def hello(inside: LoadInner) -> Inner:
    """A plugin with many views."""
    return inside(_BODY)


def head(inner: Inner, path: str, body: bytes = b"", **page: object) -> Head:
    [found] = visited(inner, path, body, **page)
    assert isinstance(found, Head), found
    return found


def told(
    inner: Inner, path: str = "/hello/echo", body: bytes = b"", **page: object
) -> dict[str, object]:
    import json

    found: dict[str, object] = json.loads(head(inner, path, body, **page).body)
    return found


# ---- requests -------------------------------------------------------------------------------


def test_a_view_sees_its_request(hello: Inner) -> None:
    """Everything that the page tells."""
    seen = told(
        hello,
        scheme="https",
        host="example.org:8443",
        root_path="/app",
        query="a=1&b=%C3%BC",
        headers=[("User-Agent", "Test"), ("X-Tag", "1"), ("X-Tag", "2")],
        remote_addr="203.0.113.9",
        user={"name": "ada"},
    )
    assert seen["url"] == "https://example.org:8443/app/hello/echo?a=1&b=ü"
    assert seen["args"] == {"a": "1", "b": "ü"}
    assert (seen["agent"], seen["addr"]) == ("Test", "203.0.113.9")
    assert seen["tags"] == ["1,2"]
    assert seen["user"] == {"name": "ada"}


def test_a_form_is_read(hello: Inner) -> None:
    """By its content type."""
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert told(hello, body=b"a=1", method="POST", headers=form)["form"] == {"a": "1"}


def test_an_upload_stays_in_memory(hello: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is larger than what is kept in memory elsewhere: there may be no folder."""
    monkeypatch.setattr("tempfile.gettempdir", None)
    content = "z" * 700_000
    body = (
        f'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n{content}\r\n--B--'
    )
    form = [("Content-Type", "multipart/form-data; boundary=B")]
    seen = told(hello, body=body.encode(), method="POST", headers=form)
    assert seen["files"] == {"f": content}


def test_the_length_of_a_body_is_what_came(hello: Inner) -> None:
    """Whatever a header says."""
    lying = [("Content-Length", "3"), ("Content-Type", "text/plain")]
    assert told(hello, body=b"longer", method="POST", headers=lying)["body"] == "longer"


def test_cookies_come_only_with_the_permission(inside: LoadInner) -> None:
    """The host doesn't send them; here they are refused as well."""
    cookie = [("Cookie", "a=1"), ("Cookie", "b=2")]
    assert told(inside(_BODY), headers=cookie)["cookies"] == {}


def test_permitted_cookies_are_there(inside: LoadInner) -> None:
    """All of them."""
    cookie = [("Cookie", "a=1"), ("Cookie", "b=2")]
    seen = told(inside(_BODY, "cookies"), headers=cookie)
    assert seen["cookies"] == {"a": "1", "b": "2"}


def test_a_header_with_an_underscore_is_not_taken_for_one_with_a_hyphen(hello: Inner) -> None:
    """As servers do."""
    assert told(hello, headers=[("User_Agent", "forged")])["agent"] is None


# ---- replies --------------------------------------------------------------------------------


def test_head_has_no_body_and_the_length(hello: Inner) -> None:
    """As the same GET would have it."""
    found = head(hello, "/hello/slash/", method="HEAD")
    assert (found.status, found.body) == (200, b"")
    assert dict(found.headers)["Content-Length"] == "5"


def test_head_of_a_large_file_is_one_frame(hello: Inner) -> None:
    """There is nothing to stream."""
    found = head(hello, "/hello/file", method="HEAD")
    assert (found.more, found.body) == (False, b"")


def test_options_lists_the_methods(hello: Inner) -> None:
    """By Flask's own answer."""
    found = head(hello, "/hello/echo", method="OPTIONS")
    assert set(dict(found.headers)["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_redirect_stays_below_the_hosts_root(hello: Inner) -> None:
    """The host checks where it leads."""
    found = head(hello, "/hello/redirect", root_path="/app")
    assert found.status == 302
    assert dict(found.headers)["Location"] == "/app/hello/echo?a=b"


def test_a_missing_slash_is_a_redirect(hello: Inner) -> None:
    """Werkzeug's, which is no error."""
    assert head(hello, "/hello/slash").status == 308


def test_an_unhandled_http_error_is_left_to_the_host(hello: Inner) -> None:
    """With code and description."""
    [found] = visited(hello, "/hello/gone")
    assert found == Aborted(id=1, code=410, description="It went away")


@pytest.mark.parametrize(
    ("path", "method", "code"), [("/hello/no", "GET", 404), ("/hello/gone", "PUT", 405)]
)
def test_a_request_that_no_rule_matches_is_left_to_the_host(
    hello: Inner, path: str, method: str, code: int
) -> None:
    """As it has error pages."""
    [found] = visited(hello, path, method=method)
    assert isinstance(found, Aborted)
    assert found.code == code


def test_a_response_that_was_aborted_with_is_the_answer(hello: Inner) -> None:
    """``abort(response)``."""
    found = head(hello, "/hello/made")
    assert (found.status, found.body) == (418, b"own page")


@pytest.mark.parametrize(
    ("path", "error"),
    [("broken", "KeyError: 'secret'"), ("exit", "SystemExit: 3"), ("never", "ValueError: at once")],
)
def test_an_exception_is_told_with_its_traceback(hello: Inner, path: str, error: str) -> None:
    """Also one that would end the process."""
    [found] = visited(hello, f"/hello/{path}")
    assert isinstance(found, Broken)
    assert found.failure.error == error
    assert "hello/__init__.py" in found.failure.traceback


def test_the_plugins_handlers_answer_for_its_views(inside: LoadInner) -> None:
    """Those for codes, for its own exceptions and for error 500."""
    body = """
    from flask import abort
    def fail(error): raise error
    def register():
        return {
            "errhandler": [
                {"error": 404, "handler": lambda error: ("lost", 404)},
                {"error": KeyError, "handler": lambda error: "key"},
                {"error": 500, "handler": lambda e: (type(e.original_exception).__name__, 500)},
            ],
            "vep": [
                {"rule": "/hello/a", "view_func": lambda: abort(404), "endpoint": "a"},
                {"rule": "/hello/b", "view_func": lambda: fail(KeyError()), "endpoint": "b"},
                {"rule": "/hello/c", "view_func": lambda: fail(TypeError()), "endpoint": "c"},
            ],
        }
    """
    inner = inside(body)
    found = [head(inner, f"/hello/{name}") for name in "abc"]
    assert [(one.status, one.body) for one in found] == [
        (404, b"lost"),
        (200, b"key"),
        (500, b"TypeError"),
    ]


def test_a_streamed_response_comes_in_pieces(hello: Inner) -> None:
    """With the request's context, none longer than 64 KiB, the last one marked."""
    first, *chunks = visited(hello, "/hello/stream", query="x=two")
    assert isinstance(first, Head)
    assert (first.more, first.body) == (True, b"one")
    pieces = [chunk for chunk in chunks if isinstance(chunk, Chunk)]
    assert b"".join(piece.data for piece in pieces) == b"two" + b"z" * 100_000
    assert max(len(piece.data) for piece in pieces) == 65_536
    assert [piece.last for piece in pieces] == [False, False, False, True]


def test_a_stream_that_breaks_says_so_at_its_end(hello: Inner) -> None:
    """The head is gone by then."""
    *_, last = visited(hello, "/hello/breaks")
    assert isinstance(last, Chunk)
    assert last.last
    assert last.failure is not None
    assert last.failure.error == "ValueError: half way"


def test_a_stream_that_nobody_wants_is_closed(hello: Inner) -> None:
    """What the plugin has to do at its end is done."""
    replies = hello.visit(Visit(id=1, page=Page(path="/hello/endless")))
    for _ in range(3):
        next(replies)
    replies.close()  # type: ignore[attr-defined]
    assert head(hello, "/hello/ended").body == b"1"


def test_a_large_file_comes_in_pieces(hello: Inner) -> None:
    """Whose lengths don't depend on those of the file's blocks."""
    first, *chunks = visited(hello, "/hello/file")
    assert isinstance(first, Head)
    sizes = [len(chunk.data) for chunk in chunks if isinstance(chunk, Chunk)]
    assert len(first.body) + sum(sizes) == 3_000_000
    assert len(sizes) < 60


def test_a_small_file_comes_whole(hello: Inner) -> None:
    """With its type."""
    found = head(hello, "/hello/small")
    assert b"def register" in found.body
    assert dict(found.headers)["Content-Type"].startswith("text/x-python")


def test_half_a_character_in_a_header_can_be_sent(hello: Inner) -> None:
    """Whether the header is let through is up to the host."""
    from flask_pluginkit.isolation.inside.frames import frame_of

    [found] = visited(hello, "/hello/odd")
    assert frame_of(found)


# ---- links ----------------------------------------------------------------------------------


def test_urls_of_own_and_of_public_endpoints_are_built(hello: Inner) -> None:
    """Below the host's root; what isn't a variable is in the query."""
    greet(
        hello,
        PublicRoute(rule="/", endpoint="index"),
        PublicRoute(rule="/static/<path:filename>", endpoint="static"),
        PublicRoute(rule="/<never:heard>", endpoint="odd"),
        PublicRoute(rule="/stolen", endpoint="hello.echo"),
    )
    assert told(hello, "/hello/links", root_path="/app") == {
        "hello.echo": "/app/hello/echo",
        "static": "/app/static/a%20b.css",
        "index": "/app/?x=1",
    }
    assert head(hello, "/hello/external", host="example.org").body == b"http://example.org/#top"


def test_an_endpoint_that_is_not_public_cannot_be_built(hello: Inner) -> None:
    """The plugin gets Werkzeug's own error."""
    [found] = visited(hello, "/hello/nowhere")
    assert isinstance(found, Broken)
    assert found.failure.error.startswith("werkzeug.routing.exceptions.BuildError")


# ---- logs -----------------------------------------------------------------------------------


def test_a_log_record_travels_with_the_reply(hello: Inner) -> None:
    """With level, name and text."""
    [record] = head(hello, "/hello/log").records
    assert (record.level, record.name, record.text) == (30, "shop.web", "careful: hot")


def test_a_record_made_at_the_very_end_travels_too(hello: Inner) -> None:
    """When the response is closed."""
    assert [one.text for one in head(hello, "/hello/closing").records] == ["begin", "end"]


def test_a_flood_of_records_is_cut(hello: Inner) -> None:
    """The last one says how many are missing."""
    records = head(hello, "/hello/flood").records
    assert sum(len(record.text) for record in records) <= 65_536 + 100
    assert records[-1].text == f"{1000 - len(records) + 1} more records were left out"


def test_a_record_outside_of_exchanges_goes_to_standard_error(
    hello: Inner, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which is the log of the process."""
    hello.app.logger.error("nobody asked")
    assert capsys.readouterr().err == "ERROR shop.web: nobody asked\n"


# ---- sessions -------------------------------------------------------------------------------


def test_a_session_needs_the_permission_for_cookies(hello: Inner) -> None:
    """Reading gives nothing; writing says what to ask for."""
    assert head(hello, "/hello/peek").body == b"None"
    [found] = visited(hello, "/hello/session")
    assert isinstance(found, Broken)
    assert "__permissions__ = ['cookies']" in found.failure.error


def test_a_session_is_a_cookie_of_the_plugins_own(inside: LoadInner) -> None:
    """Signed with a key that the services keep, and named after the plugin."""
    inner = inside(_BODY, "cookies")
    set_cookie = dict(head(inner, "/hello/session").headers)["Set-Cookie"]
    name, _, rest = set_cookie.partition("=")
    assert name == "hello-session"
    cookie = [("Cookie", f"{name}={rest.partition(';')[0]}")]
    assert head(inner, "/hello/session", headers=cookie).body == b"2"
    inner.close()
    assert head(inside(_BODY, "cookies"), "/hello/peek", headers=cookie).body == b"1"
