"""Error handlers of plugins: who handles what, and what happens when a handler fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort
from hosts import Host, clean_imports, host
from werkzeug.exceptions import HTTPException, NotFound

from flask_pluginkit.live.errors import claims_error, own_handler

__all__ = ["clean_imports", "host"]


def handling(*rows: str, more: str = "") -> str:
    """The body of a plugin with these entries in its list of error handlers."""
    return f"""
import flask
from flask import Blueprint, abort, request
{more}
def fail(error):
    raise RuntimeError("handler")
def again(error):
    raise error
def refuse(error):
    abort(410)
def register():
    return {{"errhandler": [{", ".join(rows)}]}}
"""


def row(error: object, handler: str) -> str:
    """One entry, with `handler` as an expression."""
    return f"{{'error': {error}, 'handler': {handler}}}"


def raising(host: Host, error: Exception, rule: str = "/raise", app: Any = None) -> None:
    """Give the host a page that raises `error`."""

    def view() -> str:
        raise error

    (app or host.app).add_url_rule(rule, f"view{rule.replace('/', '-')}", view)


def said(text: str) -> str:
    """A handler that says `text` and keeps the status 418, as an expression."""
    return f"lambda error: ({text!r}, 418)"


# ---- who handles an error --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (404, NotFound()),
        ("LookupError", KeyError("x")),
        ("KeyError", KeyError("x")),
        ("Exception", KeyError("x")),
        (500, KeyError("x")),
        ("flask.abort(404) if 0 else __import__('werkzeug').exceptions.NotFound", NotFound()),
        ("__import__('werkzeug').exceptions.HTTPException", NotFound()),
    ],
)
def test_a_plugin_handles_errors_of_the_whole_application(
    host: Host, error: object, raised: Exception
) -> None:
    """By code or by class, with subclasses, as Flask's handlers do."""
    host.plugin("a", handling(row(error, said("a"))))
    host.start()
    raising(host, raised)
    response = host.open("/raise")
    assert (response.text, response.status_code) == ("a", 418)


def test_an_error_that_flask_itself_raises_is_handled(host: Host) -> None:
    """For a path that nobody has, and a method that nobody answers."""
    host.plugin("a", handling(row(404, said("not found")), row(405, said("not allowed"))))
    host.start()
    host.app.add_url_rule("/page", "page", lambda: "")
    assert host.get("/nowhere") == "not found"
    assert host.get("/page", method="POST") == "not allowed"


@pytest.mark.parametrize("error", [404, "LookupError"])
def test_of_several_plugins_the_last_in_order_wins(host: Host, error: object) -> None:
    """As in 3.x; the others are left where they are."""
    for name in ("a", "c", "b"):
        host.plugin(name, handling(row(error, said(name))))
    host.plugin("d", "def register():\n    return {}\n")
    host.start()
    raising(host, NotFound() if error == 404 else KeyError("x"))
    assert host.get("/raise") == "c"


@pytest.mark.parametrize("late", [True, False])
def test_a_plugin_wins_over_the_host(host: Host, late: bool) -> None:
    """For the same error, whoever registered first; the host's is still there."""
    host.plugin("a", handling(row(404, said("a"))))
    if late:
        host.start()
    host.app.register_error_handler(404, lambda error: ("host", 404))
    if not late:
        host.start()
    assert host.get("/nowhere") == "a"
    own = own_handler(host.app, NotFound())
    assert own is not None
    assert own(NotFound()) == ("host", 404)


def test_the_nearest_class_wins_whoever_has_it(host: Host) -> None:
    """The host's handler for KeyError comes before a plugin's for LookupError."""
    host.plugin("a", handling(row("LookupError", said("a"))))
    host.start()
    host.app.register_error_handler(KeyError, lambda error: "host")
    raising(host, KeyError("x"))
    raising(host, IndexError("x"), "/other")
    assert host.get("/raise") == "host"
    assert host.get("/other") == "a"


def test_a_disabled_plugin_handles_nothing(host: Host) -> None:
    """The host's own page is shown."""
    host.plugin("a", handling(row(404, said("a"))), state="disabled")
    host.app.register_error_handler(404, lambda error: "host")
    host.start()
    assert host.get("/nowhere") == "host"


def test_a_blueprint_of_a_plugin_handles_its_own_errors(host: Host) -> None:
    """And ``app_errorhandler`` those of everybody, with the plugin as its owner."""
    host.plugin(
        "a",
        """
        from flask import Blueprint
        bp = Blueprint("bp", __name__)
        bp.errorhandler(KeyError)(lambda error: "blueprint")
        bp.app_errorhandler(IndexError)(lambda error: "everybody")
        @bp.route("/bp")
        def view():
            raise KeyError
        def register():
            return {"bep": {"blueprint": bp, "prefix": None}}
        """,
    )
    host.start(strict=False)
    raising(host, KeyError("x"), "/key")
    raising(host, IndexError("x"), "/index")
    assert host.get("/bp") == "blueprint"
    assert host.open("/key").status_code == 500
    assert host.get("/index") == "everybody"


def test_handlers_of_the_hosts_blueprints_stay(host: Host) -> None:
    """They are nearer than a plugin's for the whole application."""
    host.plugin("a", handling(row("KeyError", said("a"))))
    host.start()
    blueprint = Blueprint("own", __name__)
    blueprint.register_error_handler(KeyError, lambda error: "blueprint")
    raising(host, KeyError("x"), "/own", blueprint)
    host.app.register_blueprint(blueprint)
    assert host.get("/own") == "blueprint"


def test_a_handler_gets_the_error_and_may_answer_like_a_view(host: Host) -> None:
    """Text, tuples, dicts, responses; async functions are awaited."""
    more = "async def later(error):\n    return {'error': str(error)}, 418\n"
    host.plugin("a", handling(row("KeyError", "later"), more=more))
    host.start()
    raising(host, KeyError("x"))
    response = host.open("/raise")
    assert (response.json, response.status_code) == ({"error": "'x'"}, 418)


def test_handlers_are_counted(host: Host) -> None:
    """At their own point."""
    host.plugin("a", handling(row(404, said("a"))))
    host.start()
    host.get("/nowhere")
    assert host.row("a").counts["errorhandler"] == (1, 0)
    assert host.pm.owners_of("errhandler", 404) == ("a",)


# ---- a handler that fails --------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["fail", "again", "refuse"])
@pytest.mark.parametrize("error", [404, "KeyError", "Exception"])
def test_a_failing_handler_gives_way_to_the_hosts(host: Host, handler: str, error: object) -> None:
    """Whatever it raises: Flask asks nobody about that, and would show its plainest page."""
    host.plugin("a", handling(row(error, handler)))
    host.start(strict=False)
    host.app.register_error_handler(404 if error == 404 else KeyError, lambda error: "host")
    raising(host, NotFound() if error == 404 else KeyError("x"))
    if error == "Exception":
        # the host's is nearer, and asked at once
        assert host.get("/raise") == "host"
        assert host.row("a").counts["errorhandler"] == (0, 0)
    else:
        assert host.get("/raise") == "host"
        assert host.row("a").counts["errorhandler"] == (1, 1)


def test_a_failing_handler_of_a_class_gives_way_to_the_hosts_of_a_base(host: Host) -> None:
    """It is looked for as Flask does."""
    host.plugin("a", handling(row("KeyError", "fail")))
    host.start(strict=False)
    host.app.register_error_handler(LookupError, lambda error: "host")
    raising(host, KeyError("x"))
    assert host.get("/raise") == "host"


def test_a_failing_handler_of_an_http_error_leaves_the_plain_page(host: Host) -> None:
    """With the code of the error, where the host has no handler."""
    host.plugin("a", handling(row(404, "fail")))
    host.start(strict=False)
    response = host.open("/nowhere")
    assert response.status_code == 404
    assert "Not Found" in response.text


def test_a_failing_handler_of_an_exception_leaves_a_500(host: Host) -> None:
    """As if nobody handled it; the host's page for 500 is shown."""
    host.plugin("a", handling(row("KeyError", "fail")))
    host.start(strict=False)
    host.app.register_error_handler(500, lambda error: (repr(error.original_exception), 500))
    raising(host, KeyError("x"))
    response = host.open("/raise")
    assert (response.status_code, response.text) == (500, "KeyError('x')")


def test_a_failing_handler_in_a_blueprint_gives_way_as_flask_would_search(host: Host) -> None:
    """By code in the blueprint and the application, then by class in each."""
    host.plugin("a", handling(row(404, "fail")))
    host.start(strict=False)
    blueprint = Blueprint("own", __name__)
    blueprint.register_error_handler(HTTPException, lambda error: "class in the blueprint")
    raising(host, NotFound(), "/own", blueprint)
    host.app.register_blueprint(blueprint)
    host.app.register_error_handler(NotFound, lambda error: "code in the application")
    host.app.register_error_handler(HTTPException, lambda error: "class in the application")
    assert host.get("/own") == "code in the application"


def test_a_failing_handler_gives_way_to_a_class_in_the_blueprint(host: Host) -> None:
    """Where the application has none by code."""
    host.plugin("a", handling(row(404, "fail")))
    host.start(strict=False)
    blueprint = Blueprint("own", __name__)
    blueprint.register_error_handler(HTTPException, lambda error: "class in the blueprint")
    raising(host, NotFound(), "/own", blueprint)
    host.app.register_blueprint(blueprint)
    host.app.register_error_handler(HTTPException, lambda error: "class in the application")
    assert host.get("/own") == "class in the blueprint"


def test_strictly_a_failing_handler_is_seen(host: Host) -> None:
    """In tests the exception arrives."""
    host.plugin("a", handling(row(404, "fail")))
    host.start()
    host.app.testing = True
    with pytest.raises(RuntimeError, match="handler"):
        host.get("/nowhere")


# ---- what is claimed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registered", "error", "narrow", "broad"),
    [
        (KeyError, KeyError(), True, True),
        (LookupError, KeyError(), True, True),
        (KeyError, IndexError(), False, False),
        (Exception, KeyError(), False, True),
        (HTTPException, NotFound(), False, True),
    ],
)
def test_what_counts_as_claimed(
    tmp_path: Path, registered: type[Exception], error: Exception, narrow: bool, broad: bool
) -> None:
    """Classes and their bases; handlers for everything only where that is asked for."""
    app = Flask("host", root_path=str(tmp_path))
    app.register_error_handler(registered, lambda error: "")
    assert claims_error(app, error, broad=False) is narrow
    assert claims_error(app, error, broad=True) is broad


def test_a_blueprints_handler_claims_in_its_own_requests_only(tmp_path: Path) -> None:
    """Elsewhere nobody would handle the error."""
    app = Flask("host", root_path=str(tmp_path))
    blueprint = Blueprint("own", __name__)
    blueprint.register_error_handler(KeyError, lambda error: "")
    blueprint.add_url_rule("/own", "view", lambda: "")
    app.register_blueprint(blueprint)
    app.add_url_rule("/", "index", lambda: "")
    with app.test_request_context("/own"):
        assert claims_error(app, KeyError(), broad=False)
    with app.test_request_context("/"):
        assert not claims_error(app, KeyError(), broad=False)
    assert not claims_error(app, KeyError(), broad=False)


def test_an_abort_in_a_handlers_page_is_flasks_business(host: Host) -> None:
    """A handler of the host that aborts is as in Flask: 500."""
    host.plugin("a", "def register():\n    return {}\n")
    host.start(strict=False)
    host.app.register_error_handler(404, lambda error: abort(410))
    assert host.open("/nowhere").status_code == 500


def test_a_table_that_the_application_put_there_needs_no_defaults(host: Host) -> None:
    """A plain dict has no scope that nothing was registered for; plugins are contained still."""
    host.plugin("a", "def fail():\n    1 / 0\ndef register():\n    return {'dcp': {'e': fail}}\n")
    host.start(strict=False)
    host.app.error_handler_spec = {}
    assert host.render("[{{ emit_dcp('e') }}]") == "[]"
    assert not claims_error(host.app, KeyError(), broad=True)
    assert own_handler(host.app, NotFound()) is None
