"""hep: functions of plugins around each request."""

from __future__ import annotations

import pytest
from flask import Response, g
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

ALL_HOOKS = """
from flask import g

def note(text):
    g.setdefault("seen", []).append(NAME + " " + text)

def before():
    note("before")

def after(response):
    note("after")

def teardown(error):
    note(f"teardown {error}")

def register():
    return {
        "hep": {"before_request": before, "after_request": after, "teardown_request": teardown}
    }
"""


def hooks(**functions: str) -> str:
    """A plugin with these hooks, each given as the body of its function."""
    parameters = {"before_request": "", "after_request": "response", "teardown_request": "error"}
    code = ["from flask import Response, abort, g, request"]
    for hook, body in functions.items():
        code.append(f"def {hook}({parameters[hook]}):\n    {body}")
    pairs = ", ".join(f"{hook!r}: {hook}" for hook in functions)
    return "\n".join([*code, f"def register():\n    return {{'hep': {{{pairs}}}}}\n"])


@pytest.fixture
def seen(host: Host) -> list[str]:
    """What the hooks of a request noted, filled in when its context ends."""
    notes: list[str] = []

    @host.app.teardown_appcontext
    def take(_error: BaseException | None) -> None:
        notes.extend(g.get("seen", ()))

    @host.app.get("/")
    def index() -> str:
        g.setdefault("seen", []).append("view")
        return "host"

    return notes


def test_hooks_run_in_plugin_order_at_every_point(host: Host, seen: list[str]) -> None:
    """3.x called after_request and teardown functions in load order too, unlike Flask."""
    for name in ("b", "a", "c"):
        host.plugin(name, f"NAME = {name!r}\n" + ALL_HOOKS)
    host.start()
    assert host.get("/") == "host"
    assert seen == [
        *("a before", "b before", "c before"),
        "view",
        *("a after", "b after", "c after"),
        *("a teardown None", "b teardown None", "c teardown None"),
    ]


def test_an_answer_of_before_request_ends_the_request(host: Host, seen: list[str]) -> None:
    """Neither the hooks of later plugins nor the view are called; the others are as usual."""
    host.plugin("a", hooks(before_request="return 'stop', 403"))
    host.plugin("b", "NAME = 'b'\n" + ALL_HOOKS)
    host.start()
    response = host.open("/")
    assert (response.status_code, response.text) == (403, "stop")
    assert seen == ["b after", "b teardown None"]


@pytest.mark.parametrize(
    ("answer", "text"), [("''", ""), ("{}", "{}\n"), ("[]", "[]\n"), ("Response()", "")]
)
def test_every_answer_but_none_ends_the_request(host: Host, answer: str, text: str) -> None:
    """As in Flask, an empty one does too."""
    host.plugin("a", hooks(before_request=f"return {answer}"))
    host.start()
    assert host.get("/") == text


def test_an_answer_is_given_for_addresses_that_do_not_exist(host: Host) -> None:
    """A guard stands before the 404, as in Flask."""
    host.plugin("a", hooks(before_request="return 'stop'"))
    host.start()
    assert host.open("/missing").status_code == 200


def test_a_guard_may_abort(host: Host, seen: list[str]) -> None:
    """An HTTPException is an answer and no fault."""
    host.plugin("a", hooks(before_request="abort(401)"))
    host.start()
    assert host.open("/").status_code == 401
    assert host.row("a").counts["before_request"] == (1, 0)


def test_a_response_of_after_request_replaces_the_response(host: Host, seen: list[str]) -> None:
    """The next plugin gets the new one. 3.x dropped it."""
    host.plugin("a", hooks(after_request="return Response('a')"))
    host.plugin("b", hooks(after_request="return Response(response.get_data() + b' b')"))
    host.start()
    assert host.get("/") == "a b"


@pytest.mark.parametrize("value", ["None", "''", "'text'", "0", "('text', 200)", "[]", "object()"])
def test_whatever_else_after_request_returns_is_ignored(
    host: Host, seen: list[str], value: str
) -> None:
    """Plugins of 3.x return anything, because nobody looked."""
    host.plugin("a", hooks(after_request=f"return {value}"))
    host.start()
    assert host.get("/") == "host"


def test_after_request_may_edit_the_response(host: Host, seen: list[str]) -> None:
    """The usual way to add a header."""
    host.plugin("a", hooks(after_request="response.headers['X-Plugin'] = 'a'"))
    host.start()
    assert host.open("/").headers["X-Plugin"] == "a"


def test_teardown_is_told_what_went_wrong(host: Host) -> None:
    """As Flask tells it."""
    host.plugin("a", "seen = []\n" + hooks(teardown_request="seen.append(repr(error))"))

    @host.app.get("/boom")
    def boom() -> str:
        raise KeyError("boom")

    host.start(strict=False)
    assert host.open("/boom").status_code == 500
    assert host.module("a").seen == ["KeyError('boom')"]


def test_the_place_among_the_hosts_hooks_is_that_of_the_manager(
    host: Host, seen: list[str]
) -> None:
    """Before_request functions that the host added before it run first, the others after."""

    def noting(text: str) -> None:
        g.setdefault("seen", []).append(text)

    host.app.before_request(lambda: noting("early"))
    host.plugin("a", hooks(before_request="g.setdefault('seen', []).append('plugin')"))
    host.start()
    host.app.before_request(lambda: noting("late"))
    host.get("/")
    assert seen == ["early", "plugin", "late", "view"]


def test_the_hosts_answer_comes_before_plugins_are_asked(host: Host, seen: list[str]) -> None:
    """A login wall that the host put up first isn't a plugin's business."""
    host.app.before_request(lambda: "wall")
    host.plugin("a", "NAME = 'a'\n" + ALL_HOOKS)
    host.start()
    assert host.get("/") == "wall"
    assert "a before" not in seen


def test_the_hosts_after_request_sees_what_plugins_made(host: Host, seen: list[str]) -> None:
    """The host's function that was registered first has the last word, as Flask has it."""

    @host.app.after_request
    def shout(response: Response) -> Response:
        return Response(response.get_data(as_text=True).upper())

    host.plugin("a", hooks(after_request="return Response('plugin')"))
    host.start()
    assert host.get("/") == "PLUGIN"


def test_hooks_run_for_views_of_other_plugins_and_for_static_files(host: Host) -> None:
    """Like every hook of an application."""
    host.plugin("a", hooks(after_request="response.headers['X-Plugin'] = request.path"))
    host.plugin("b", "def register():\n    return {}\n", files={"static/b.css": "b"})
    host.start()
    with host.open("/assets/b/b.css") as response:
        assert response.headers["X-Plugin"] == "/assets/b/b.css"


def test_hooks_are_called_with_the_plugin_as_owner(host: Host) -> None:
    """Templates that they render by bare name are the plugin's."""
    body = "from flask import render_template\n" + hooks(
        before_request="return render_template('wall.html')"
    )
    host.plugin("a", body, files={"templates/wall.html": "plugin's wall"})
    host.template("wall.html", "host's wall")
    host.start()
    assert host.get("/") == "plugin's wall"


def test_the_lists_of_3x_hold_the_functions_themselves(host: Host) -> None:
    """And not what the barrier made of them."""
    host.plugin("a", hooks(before_request="pass"))
    host.plugin("b", hooks(before_request="pass", teardown_request="pass"))
    pm = host.start()
    assert pm.get_enabled_heps == {
        "before_request": [host.module("a").before_request, host.module("b").before_request],
        "after_request": [],
        "teardown_request": [host.module("b").teardown_request],
    }
    assert pm.get_plugin_info("a").plugin_hep == {"before_request": host.module("a").before_request}
    assert pm.owners_of("hep", "before_request") == ("a", "b")


def test_any_callable_can_be_a_hook(host: Host, seen: list[str]) -> None:
    """A partial, a method or an object."""
    host.plugin(
        "a",
        """
        from functools import partial
        from flask import g

        def note(text, *rest):
            g.setdefault("seen", []).append(text)

        class Noting:
            def __call__(self, response):
                note("object")

            def method(self, error):
                note("method")

        def register():
            return {
                "hep": {
                    "before_request": partial(note, "partial"),
                    "after_request": Noting(),
                    "teardown_request": Noting().method,
                }
            }
        """,
    )
    host.start()
    host.get("/")
    assert seen == ["partial", "view", "object", "method"]


def test_a_plugin_without_hooks_costs_the_request_nothing_but_the_dispatchers(host: Host) -> None:
    """One function stands in each of the three tables, however many plugins there are."""
    for number in range(5):
        host.plugin(f"p{number}", hooks(before_request="pass"))
    host.start()
    assert len(host.app.before_request_funcs[None]) == 1
