"""What the layer around the application tells a developer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from flask import Response
from hosts import Host, clean_imports, host
from werkzeug.test import create_environ

__all__ = ["clean_imports", "host"]

SLOW = """
import time
def view():
    time.sleep(0.01)
    return "view"
def register():
    return {"vep": {"rule": "/slow", "view_func": view}, "hep": {"before_request": lambda: None}}
"""


def test_in_debug_mode_a_response_tells_its_generation(host: Host) -> None:
    """The one that this request saw, though it is another one by now."""
    host.plugin("a", SLOW)
    host.app.debug = True
    host.start(live=False)
    host.app.add_url_rule("/switch", "switch", lambda: str(host.pm.disable_plugin("a").generation))
    assert host.open("/slow").headers["X-Pluginkit-Generation"] == "0"
    answer = host.open("/switch")
    assert answer.headers["X-Pluginkit-Generation"] == "0"
    assert host.open("/slow").headers["X-Pluginkit-Generation"] == answer.text


def test_in_debug_mode_a_response_tells_which_plugin_took_how_long(host: Host) -> None:
    """In milliseconds; those that did nothing aren't listed."""
    host.plugin("a", SLOW)
    host.plugin("idle", "def register():\n    return {}\n")
    host.app.debug = True
    host.start(live=False)
    timings = host.open("/slow").headers["Server-Timing"]
    match = re.fullmatch(r"a;dur=(\d+\.\d\d)", timings)
    assert match is not None
    assert 10 <= float(match[1]) < 1000


def test_without_debug_mode_nothing_is_told(host: Host) -> None:
    """Visitors needn't know which plugins there are."""
    host.plugin("a", SLOW)
    host.start(live=False)
    assert not {"X-Pluginkit-Generation", "Server-Timing"} & {*host.open("/slow").headers.keys()}


def test_what_the_application_measures_itself_stays(host: Host) -> None:
    """Two headers of one name are as one."""
    host.plugin("a", SLOW)
    host.app.debug = True
    host.start(live=False)

    @host.app.after_request
    def measure(response: Response) -> Response:
        response.headers["Server-Timing"] = "db;dur=1"
        return response

    first, second = host.open("/slow").headers.getlist("Server-Timing")
    assert (first, second[:6]) == ("db;dur=1", "a;dur=")


def test_a_failing_request_tells_it_too(host: Host) -> None:
    """An answer begins anew then."""
    host.plugin("a", SLOW)
    host.app.debug = True
    host.app.config["PROPAGATE_EXCEPTIONS"] = False
    host.start(live=False, strict=False)
    host.app.add_url_rule("/fails", "fails", lambda: str(int("x")))
    answer = host.open("/fails")
    assert answer.status_code == 500
    assert answer.headers["X-Pluginkit-Generation"] == "0"


def test_a_stream_tells_it_when_it_begins(host: Host) -> None:
    """Its headers are sent before anything of it."""
    host.plugin("a", SLOW)
    host.app.debug = True
    host.start(live=False)

    def rows() -> Iterator[str]:
        host.pm.disable_plugin("a")
        yield "row"

    host.app.add_url_rule("/rows", "rows", lambda: Response(rows()))
    answer = host.open("/rows")
    assert (answer.text, answer.headers["X-Pluginkit-Generation"]) == ("row", "0")


@pytest.mark.parametrize("arguments", [(), (None,)])
def test_the_server_may_be_told_of_an_error_again(host: Host, arguments: tuple[Any, ...]) -> None:
    """WSGI's ``start_response`` takes a third argument."""
    host.app.debug = True
    host.start(live=False)
    layer: Any = host.app.wsgi_app
    layer.wsgi_app = lambda _environ, start: [start("200 OK", [], *arguments) or b""]
    told: list[Any] = []
    host.app.wsgi_app(create_environ(), cast("Any", lambda *rest: told.append(rest)))
    assert told == [("200 OK", [("X-Pluginkit-Generation", "0")], *arguments)]
