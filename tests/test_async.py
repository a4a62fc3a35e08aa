"""async functions of plugins: awaited where Flask awaits them, and told where they can't be."""

from __future__ import annotations

import sys

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit import push_dcp
from flask_pluginkit.exceptions import MissingExtraError, RunError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

PRELUDE = """
import asyncio
from flask import Blueprint, Response, current_app, g, render_template, request, request_finished
from flask.views import MethodView, View

seen = []
blueprint = Blueprint("shop", __name__)

async def view(name="nobody"):
    await asyncio.sleep(0)
    return f"{request.endpoint} {name}"

async def before():
    await asyncio.sleep(0)
    seen.append("before")

async def stop():
    await asyncio.sleep(0)
    return "stop", 403

async def after(response):
    await asyncio.sleep(0)
    return Response(response.get_data() + b" after")

async def teardown(error):
    await asyncio.sleep(0)
    seen.append(f"teardown {error}")

async def handler(error):
    await asyncio.sleep(0)
    return f"handled {type(error).__name__}", 404

async def receiver(sender, **values):
    await asyncio.sleep(0)
    seen.append("received")

async def page():
    await asyncio.sleep(0)
    return render_template("page.html")

async def failing():
    await asyncio.sleep(0)
    raise KeyError("boom")

async def value():
    await asyncio.sleep(0)
    return "awaited"

class Items(MethodView):
    async def get(self):
        await asyncio.sleep(0)
        return "items"

class Page(View):
    async def dispatch_request(self):
        await asyncio.sleep(0)
        return "page"
"""

VIEW = "{'vep': {'rule': '/view/<name>', 'view_func': view}}"


def plugin(value: str, more: str = "") -> str:
    """A plugin with async functions that returns this."""
    return f"{PRELUDE}\n{more}\ndef register():\n    return {value}\n"


@pytest.fixture
def served(host: Host) -> Host:
    """A host with a view of its own."""
    host.app.add_url_rule("/", "home", lambda: "home")
    return host


# ---- with the extra --------------------------------------------------------------------------


def test_an_async_view_answers(served: Host) -> None:
    """With its arguments and the request at hand."""
    served.plugin("a", plugin(VIEW))
    served.start()
    assert served.get("/view/ada") == "view ada"


def test_an_async_view_renders_the_templates_of_its_plugin(served: Host) -> None:
    """It runs as its plugin, though in another thread's loop."""
    served.plugin(
        "a",
        plugin("{'vep': {'rule': '/page', 'view_func': page}}"),
        files={"templates/page.html": "plugin's page"},
    )
    served.template("page.html", "host's page")
    served.start()
    assert served.get("/page") == "plugin's page"


@pytest.mark.parametrize(("name", "text"), [("Items", "items"), ("Page", "page")])
def test_class_based_views_may_be_async(served: Host, name: str, text: str) -> None:
    """Flask awaits their methods."""
    served.plugin("a", plugin(f"{{'cvep': {{'view_class': {name}, 'rule': '/x'}}}}"))
    served.start()
    assert served.get("/x") == text


def test_async_hooks_are_awaited(served: Host) -> None:
    """In 3.x they never were."""
    served.plugin(
        "a",
        plugin(
            "{'hep': {'before_request': before, 'after_request': after,"
            " 'teardown_request': teardown}}"
        ),
    )
    served.start()
    assert served.get("/") == "home after"
    assert served.module("a").seen == ["before", "teardown None"]


def test_an_async_guard_stops_a_request(served: Host) -> None:
    """A coroutine that nobody awaits would be an answer, and open every door."""
    served.plugin("a", plugin("{'hep': {'before_request': stop}}"))
    served.start()
    response = served.open("/")
    assert (response.status_code, response.text) == (403, "stop")


def test_async_error_handlers_answer(served: Host) -> None:
    """For codes and for classes."""
    served.plugin(
        "a",
        plugin(
            "{'errhandler': [{'error': 404, 'handler': handler},"
            " {'error': KeyError, 'handler': handler}],"
            " 'vep': {'rule': '/boom', 'view_func': failing}}"
        ),
    )
    served.start()
    assert served.get("/missing") == "handled NotFound"
    assert served.get("/boom") == "handled KeyError"


def test_async_receivers_are_awaited(served: Host) -> None:
    """Whoever sends the signal doesn't know of them."""
    served.plugin("a", plugin("{'signal': {request_finished: receiver}}"))
    served.start()
    served.get("/")
    assert served.module("a").seen == ["received"]


@pytest.mark.parametrize("kind", ["tcp", "global"])
def test_async_functions_in_templates_are_awaited(served: Host, kind: str) -> None:
    """Templates of Flask are synchronous: there would be no other way to use them."""
    served.plugin(
        "a", plugin(f"{{{kind!r}: {{'value': value}}, 'tep': {{'nav': '{{{{ value() }}}}'}}}}")
    )
    served.start()
    assert served.render("{{ emit_tep('nav') }}") == "awaited"


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("{'filter': {'f': one}}", "{{ 1|f }}"),
        ("{'test': {'f': one}}", "{{ 'awaited 1' if 1 is f }}"),
        ("{'dcp': {'f': one}}", "{{ emit_dcp('f', 1) }}"),
    ],
)
def test_async_filters_tests_and_connections_are_awaited(
    served: Host, value: str, source: str
) -> None:
    """A page would show the coroutine otherwise."""
    more = "async def one(value):\n    await asyncio.sleep(0)\n    return f'awaited {value}'\n"
    served.plugin("a", plugin(value, more))
    served.start()
    assert served.render(source) == "awaited 1"


def test_an_async_connection_that_is_pushed_is_awaited(served: Host) -> None:
    """Whoever pushes it."""

    async def visits() -> str:
        return "awaited"

    served.start()
    with served.app.app_context():
        push_dcp("visits", visits)
    assert served.render("{{ emit_dcp('visits') }}") == "awaited"


def test_async_functions_of_a_blueprint_are_awaited(served: Host) -> None:
    """Those for its own views, and those for the whole application."""
    more = (
        "blueprint.get('/shop')(view)\n"
        "blueprint.before_request(before)\n"
        "blueprint.after_app_request(after)\n"
        "blueprint.app_errorhandler(404)(handler)\n"
    )
    served.plugin("a", plugin("{'bep': {'blueprint': blueprint, 'prefix': None}}", more))
    served.start()
    assert served.get("/shop") == "shop.view nobody after"
    assert served.get("/") == "home after"
    assert served.get("/missing") == "handled NotFound after"
    assert served.module("a").seen == ["before"]


def test_on_app_ready_may_be_async(served: Host) -> None:
    """What it registers after an await is recorded as well."""
    more = (
        "async def on_app_ready(app):\n"
        "    await asyncio.sleep(0)\n"
        "    app.jinja_env.filters['late'] = lambda value: f'late {value}'\n"
        "    seen.append(current_app.name)\n"
    )
    served.plugin("a", plugin("{}", more))
    served.start()
    assert served.module("a").seen == ["host"]
    assert served.render("{{ 1|late }}") == "late 1"
    assert served.pm.owner_of("filter", "late") == "a"


def test_a_failing_async_view_is_counted(served: Host) -> None:
    """The barrier stands around the awaited function."""
    served.plugin("a", plugin("{'vep': {'rule': '/boom', 'view_func': failing}}"))
    served.start(strict=False)
    assert served.open("/boom").status_code == 500
    assert served.row("a").counts["view failing"] == (1, 1)


# ---- without the extra -----------------------------------------------------------------------


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation in which asgiref, which the extra brings, can't be imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "asgiref"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asgiref", None)
    monkeypatch.setitem(sys.modules, "asgiref.sync", None)


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (VIEW, ""),
        ("{'hep': {'before_request': before}}", ""),
        ("{'errhandler': {404: handler}}", ""),
        ("{'signal': {request_finished: receiver}}", ""),
        ("{'tcp': {'value': value}}", ""),
        ("{'filter': {'value': value}}", ""),
        ("{'dcp': {'value': value}}", ""),
        ("{'bep': {'blueprint': blueprint, 'prefix': None}}", "blueprint.get('/')(view)"),
        ("{'bep': {'blueprint': blueprint, 'prefix': None}}", "blueprint.before_request(before)"),
        ("{}", "async def on_app_ready(app):\n    pass\n"),
    ],
)
@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_the_plugin_fails_when_it_is_loaded(
    served: Host, value: str, more: str
) -> None:
    """And not at the first request; the reason names the extra. The host goes on."""
    served.plugin("a", plugin(value, more))
    served.start(strict=False)
    assert served.row("a").status is Status.FAILED
    assert "pip install 'Flask-PluginKit[async]'" in served.row("a").reason
    assert served.get("/") == "home"


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_strict_mode_raises(served: Host) -> None:
    """A RunError of 3.x: something outside of this process is missing."""
    served.plugin("a", plugin(VIEW))
    with pytest.raises(MissingExtraError, match="plugin a: it has async functions"):
        served.start(strict=True)
    assert issubclass(MissingExtraError, RunError)


@pytest.mark.parametrize("name", ["Items", "Page"])
@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_async_classes_fail_their_plugin_too(served: Host, name: str) -> None:
    """Flask would find out at the first request."""
    served.plugin("a", plugin(f"{{'cvep': {{'view_class': {name}, 'rule': '/x'}}}}"))
    served.start(strict=False)
    assert served.row("a").status is Status.FAILED
    assert "Flask-PluginKit[async]" in served.row("a").reason


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_other_plugins_work(served: Host) -> None:
    """Nobody else needs it."""
    served.plugin("a", plugin(VIEW))
    served.plugin("b", "def register():\n    return {'tep': {'nav': 'b'}}\n")
    served.start(strict=False)
    assert served.render("{{ emit_tep('nav') }}") == "b"
