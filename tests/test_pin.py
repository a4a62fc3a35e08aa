"""The pin: one request sees one snapshot, from its first hook to the last byte."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    copy_current_request_context,
    render_template,
    render_template_string,
    request,
    request_finished,
    request_tearing_down,
    stream_with_context,
)
from hosts import Host, clean_imports, host
from jinja2 import TemplateNotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, create_environ

from flask_pluginkit.application import Site
from flask_pluginkit.residents import OWNER
from flask_pluginkit.snapshot import ENVIRON_KEY, PIN, Status, pinned

__all__ = ["clean_imports", "host"]

EVERYTHING = """
import flask
from flask import Blueprint, Response
bp = Blueprint("bp", __name__)
seen = []
def register():
    return {
        "tep": {"nav": "tep"},
        "filter": {"f": lambda x: "filter"},
        "test": {"t": lambda x: True},
        "tcp": {"variable": "tcp"},
        "dcp": {"event": lambda: "dcp"},
        "vep": {"rule": "/hello", "view_func": lambda: "view", "endpoint": "hello"},
        "errhandler": [{"error": KeyError, "handler": lambda error: "handled"}],
        "hep": {
            "after_request": lambda response: seen.append("after"),
            "teardown_request": lambda error: seen.append("teardown"),
        },
        "signal": [(flask.request_finished, lambda sender, **rest: seen.append("signal"))],
    }
"""
ALL = (
    "{{ emit_tep('nav') }} {{ 1|f }} {{ 1 is t }} {{ variable }} {{ emit_dcp('event') }} "
    "{{ url_for('hello') }} {{ emit_assets('hello', 'a.png')[:22] }} {% include 'hello:p.html' %}"
)
SEEN = "tep filter True tcp dcp /hello /assets/hello/a.png?v= page"


def site_of(host: Host) -> Site:
    """The application's side of its plugins."""
    return host.pm._site()


def publish(host: Host, status: Status) -> None:
    """Make a new snapshot the current one, in which ``hello`` has this status."""
    switch = host.pm.enable_plugin if status is Status.ACTIVE else host.pm.disable_plugin
    switch("hello")


def toggle_off(host: Host) -> None:
    """Disable ``hello`` from now on."""
    publish(host, Status.DISABLED)


@pytest.fixture
def hello(host: Host) -> Host:
    """A host with the plugin ``hello``, which uses every extension point."""
    host.plugin("hello", EVERYTHING, files={"templates/p.html": "page", "static/a.png": "picture"})
    host.start()
    host.app.testing = True
    return host


# ---- one snapshot ----------------------------------------------------------------------------


def test_a_request_goes_on_with_what_it_began_with(hello: Host) -> None:
    """A plugin that is disabled meanwhile is there until the end, and gone for the next one."""

    @hello.app.route("/")
    def index() -> str:
        toggle_off(hello)
        return render_template_string(ALL)

    seen = hello.module("hello").seen
    assert hello.get("/") == SEEN
    assert seen == ["after", "signal", "teardown"]
    seen.clear()
    with pytest.raises(Exception, match=r"no filter|f"):
        hello.get("/")
    assert hello.open("/hello").status_code == 404
    assert seen == []


def test_a_request_doesnt_see_what_comes_meanwhile(hello: Host) -> None:
    """Nothing of a plugin that is enabled in the middle of it."""
    toggle_off(hello)

    @hello.app.route("/")
    def index() -> str:
        publish(hello, Status.ACTIVE)
        return render_template_string("[{{ emit_tep('nav') }}{{ variable }}]")

    seen = hello.module("hello").seen
    assert hello.get("/") == "[]"
    assert seen == []
    assert hello.get("/") == "[teptcp]"


def test_hooks_before_and_after_a_change_are_of_one_snapshot(hello: Host) -> None:
    """A change in a hook of the host, when the route is matched and its view not yet called."""

    @hello.app.before_request
    def change() -> None:
        publish(hello, Status.DISABLED)

    assert hello.get("/hello") == "view"
    assert hello.module("hello").seen == ["after", "signal", "teardown"]
    assert hello.open("/hello").status_code == 404


def test_an_error_is_handled_by_the_snapshot_that_it_happened_in(hello: Host) -> None:
    """The handler of a plugin that was just disabled."""

    @hello.app.route("/")
    def index() -> str:
        toggle_off(hello)
        raise KeyError

    assert hello.get("/") == "handled"


@pytest.mark.parametrize("how", ["stream_with_context", "stream_template", "response"])
def test_a_stream_sees_its_requests_snapshot(hello: Host, how: str) -> None:
    """Though the server reads it after the application returned."""

    def rows() -> Iterator[str]:
        toggle_off(hello)
        yield render_template_string(ALL)

    @hello.app.route("/")
    def index() -> Any:
        from flask import stream_template_string

        if how == "stream_template":
            return stream_template_string(
                "{% set _ = off() %}" + ALL, off=lambda: toggle_off(hello)
            )
        stream = stream_with_context(rows())
        return Response(stream) if how == "response" else stream

    assert hello.get("/") == SEEN
    assert PIN.get() is None
    assert hello.module("hello").seen[-1] == "teardown"


def test_a_plugins_stream_without_context_sees_its_requests_snapshot(hello: Host) -> None:
    """It has no request any more, but what it belongs to is known."""
    hello.plugin(
        "stream",
        """
        import flask
        def rows(environment):
            for _ in "ab":
                yield environment.from_string("{{ emit_tep('nav') }}").render()
        def view():
            return rows(flask.current_app.jinja_env)
        def register():
            return {"vep": {"rule": "/stream", "view_func": view}}
        """,
    )
    other = hello.twin()
    other.start()
    body = other.app.test_client().get("/stream", buffered=False).response
    iterator = iter(body)
    first = next(iterator)
    toggle_off(other)
    assert [first, *iterator] in ([b"tep", b"tep"], ["tep", "tep"])


def test_teardown_functions_see_the_requests_snapshot(hello: Host) -> None:
    """Those of the host too, which run when everything is sent."""
    found = []
    hello.app.teardown_request(lambda error: found.append(hello.pm.snapshot.generation))

    @hello.app.route("/")
    def index() -> str:
        found.append(hello.pm.snapshot.generation)
        toggle_off(hello)
        return ""

    hello.get("/")
    assert len(found) == 2
    assert found[0] == found[1] == site_of(hello).current.generation - 1


def test_a_copied_request_context_sees_its_requests_snapshot(hello: Host) -> None:
    """In a thread that goes on when the request is over."""
    over, results = threading.Event(), []

    @hello.app.route("/")
    def index() -> str:
        @copy_current_request_context
        def work() -> None:
            over.wait(5)
            results.append(render_template_string(ALL))

        threads.append(threading.Thread(target=work))
        threads[0].start()
        return ""

    threads: list[threading.Thread] = []
    hello.get("/")
    toggle_off(hello)
    over.set()
    threads[0].join()
    assert results == [SEEN]


def test_async_views_see_their_requests_snapshot(hello: Host) -> None:
    """Their coroutines run in another thread."""

    @hello.app.route("/")
    async def index() -> str:
        import asyncio

        toggle_off(hello)
        await asyncio.sleep(0)
        other = await asyncio.to_thread(lambda: hello.pm.snapshot.generation)
        assert other == hello.pm.snapshot.generation
        return render_template_string(ALL)

    assert hello.get("/") == SEEN


def test_requests_in_several_threads_see_each_their_own(hello: Host) -> None:
    """One that began before a change goes on beside one that began after it."""
    inside, changed = threading.Event(), threading.Event()

    @hello.app.route("/slow")
    def slow() -> str:
        inside.set()
        changed.wait(5)
        return render_template_string("[{{ emit_tep('nav') }}]")

    @hello.app.route("/fast")
    def fast() -> str:
        return render_template_string("[{{ emit_tep('nav') }}]")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(hello.get, "/slow")
        inside.wait(5)
        toggle_off(hello)
        second = pool.submit(hello.get, "/fast").result()
        changed.set()
        assert (first.result(), second) == ("[tep]", "[]")


def test_many_requests_during_many_changes_see_whole_snapshots(hello: Host) -> None:
    """Never one extension point of the old state and one of the new."""

    @hello.app.route("/")
    def index() -> str:
        return render_template_string(
            "{{ emit_tep('nav') }}{{ variable }}{{ emit_dcp('event') }}{{ off() }}",
            off=lambda: "",
        )

    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            publish(hello, Status.DISABLED)
            publish(hello, Status.ACTIVE)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda _: hello.get("/"), range(300)))
    finally:
        stop.set()
        thread.join()
    assert found <= {"teptcpdcp", ""}


# ---- outside of requests ---------------------------------------------------------------------


def test_after_a_request_nothing_is_pinned(hello: Host) -> None:
    """Neither a snapshot nor an owner stays in the thread, also when a view failed."""

    @hello.app.route("/")
    def index() -> str:
        raise RuntimeError

    hello.get("/hello")
    with pytest.raises(RuntimeError):
        hello.get("/")
    assert PIN.get() is None
    assert OWNER.get() is None


def test_an_application_context_pins_too(hello: Host) -> None:
    """Commands and jobs see one state from beginning to end."""
    source = "[{{ emit_tep('nav') }}{{ 1|f }}{{ variable }}{{ emit_dcp('event') }}]"
    hello.app.url_map.update()
    with hello.app.app_context():
        assert render_template_string("{{ emit_tep('nav') }}") == "tep"
        toggle_off(hello)
        assert render_template_string(source) == "[tepfiltertcpdcp]"
    with hello.app.app_context():
        assert render_template_string("[{{ emit_tep('nav') }}]") == "[]"


def test_a_test_request_context_pins_too(hello: Host) -> None:
    """As a request does."""
    hello.app.url_map.update()
    with hello.app.test_request_context():
        assert render_template_string(ALL) == SEEN
        toggle_off(hello)
        assert render_template_string(ALL) == SEEN


def test_a_request_inside_an_application_context_has_its_own_pin(hello: Host) -> None:
    """Tests often hold such a context for long."""
    hello.app.add_url_rule("/", "index", lambda: render_template_string("[{{ emit_tep('nav') }}]"))
    with hello.app.app_context():
        assert hello.get("/") == "[tep]"
        toggle_off(hello)
        assert hello.get("/") == "[]"


def test_without_any_context_the_current_snapshot_counts(hello: Host) -> None:
    """There is nothing that would begin or end."""
    assert hello.pm.snapshot is site_of(hello).current
    toggle_off(hello)
    assert hello.pm.snapshot is site_of(hello).current


def test_a_plugin_that_isnt_active_has_no_templates(hello: Host) -> None:
    """Not even those that were compiled while it was."""
    with hello.app.test_request_context():
        assert render_template("hello:p.html") == "page"
        assert render_template("p.html") == "page"
    toggle_off(hello)
    for name in ("hello:p.html", "p.html"):
        with hello.app.test_request_context(), pytest.raises(TemplateNotFound):
            render_template(name)


# ---- several applications --------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path, clean_imports: None) -> tuple[Host, Host]:
    """Two applications, with a plugin ``same`` each, which has the same files."""
    found = []
    for name in ("one", "two"):
        host = Host(tmp_path / name)
        host.template("page.html", f"host {name}")
        host.template("nav.html", "{{ emit_tep('nav') }}")
        host.plugin(
            "same",
            f"""
            from flask import render_template, Response
            import flask
            def view():
                other = flask.current_app.config.get("OTHER")
                inner = other() if other else ""
                return render_template("page.html") + inner + render_template("page.html")
            def register():
                return {{
                    "tep": {{"nav": "tep {name}"}},
                    "vep": {{"rule": "/view", "view_func": view}},
                    "hep": {{"after_request": lambda r: r.headers.add("X-Seen", "{name}")}},
                }}
            """,
            files={"templates/page.html": f"plugin {name} "},
        )
        host.start()
        host.app.testing = True
        host.app.add_url_rule("/host", "host", lambda: render_template("page.html"))
        host.app.add_url_rule("/nav", "nav", lambda: render_template("nav.html"))
        found.append(host)
    return found[0], found[1]


def test_a_view_that_asks_another_application_keeps_its_own(two: tuple[Host, Host]) -> None:
    """Owners and snapshots of both are right, inside and afterwards."""
    one, other = two
    for path, inner in (("/host", "host two"), ("/nav", "tep two"), ("/view", "plugin two " * 2)):
        one.app.config["OTHER"] = lambda path=path: other.get(path)
        response = one.open("/view")
        assert response.text == f"plugin one {inner}plugin one "
        assert response.headers.getlist("X-Seen") == ["one"]


def test_a_change_in_the_other_application_changes_nothing_here(two: tuple[Host, Host]) -> None:
    """Each has snapshots of its own, whatever is nested in what."""
    one, other = two

    def disable_and_ask() -> str:
        for each in (other, one):
            for plugin in each.pm.plugins:
                each.pm.disable_plugin(plugin.name)
        return f"[{other.get('/nav')}]"

    one.app.config["OTHER"] = disable_and_ask
    response = one.open("/view")
    assert response.text == "plugin one []plugin one "
    assert response.headers.getlist("X-Seen") == ["one"]
    assert one.open("/view").status_code == 404


def test_a_context_of_another_application_inside_of_a_request(two: tuple[Host, Host]) -> None:
    """Its templates are its own, though a plugin of this one is running."""
    one, other = two

    def inner() -> str:
        with other.app.test_request_context():
            return f"{render_template('page.html')} {render_template('nav.html')} "

    one.app.config["OTHER"] = inner
    assert one.get("/view") == "plugin one host two tep two plugin one "


def test_asking_about_one_application_in_the_context_of_another(two: tuple[Host, Host]) -> None:
    """The pin of a context is for its own application."""
    one, other = two
    for each in two:
        each.app.url_map.update()
    with other.app.app_context():
        assert one.pm.snapshot is site_of(one).current
        assert other.pm.snapshot is site_of(other).current


def test_a_dcp_pushed_into_another_application_is_that_ones(two: tuple[Host, Host]) -> None:
    """It isn't this plugin's contribution there, but it is emitted."""
    from flask_pluginkit import push_dcp

    one, other = two

    def push() -> str:
        with other.app.app_context():
            push_dcp("event", lambda: "pushed")
        return ""

    one.app.config["OTHER"] = push
    one.get("/view")
    assert other.render("{{ emit_dcp('event') }}") == "pushed"
    assert other.pm.owners_of("dcp", "event") == ()


def test_applications_below_one_dispatcher(two: tuple[Host, Host]) -> None:
    """Werkzeug's middleware gives each its requests."""
    one, other = two
    client = Client(DispatcherMiddleware(one.app, {"/two": other.app}))
    for path, name in (("", "one"), ("/two", "two")):
        assert client.get(f"{path}/view").text == f"plugin {name} " * 2
        assert client.get(f"{path}/nav").text == f"tep {name}"
        assert client.get(f"{path}/host").text == f"host {name}"


def test_an_application_that_answers_for_another(two: tuple[Host, Host]) -> None:
    """With the very environ of the request that is running."""
    one, other = two

    @one.app.route("/nav-of-two")
    def hand_on() -> str:
        environ = {**request.environ, "PATH_INFO": "/nav"}
        inner = Response.from_app(other.app, environ).get_data(as_text=True)
        return inner + render_template("nav.html")

    assert one.get("/nav-of-two") == "tep twotep one"


def test_the_environ_tells_which_snapshot_a_request_uses(hello: Host) -> None:
    """Streams and teardown find it there."""
    environ = create_environ("/hello")
    assert b"".join(hello.app(environ, lambda *_: None)) == b"view"  # type: ignore[arg-type]
    assert environ[ENVIRON_KEY].active["hello"].name == "hello"
    assert pinned(site_of(hello)) is site_of(hello).current


def test_signals_that_flask_sends_find_the_snapshot(hello: Host) -> None:
    """Before and after the response is there."""
    found = []

    def hear(sender: Flask, **rest: Any) -> None:
        found.append(hello.pm.snapshot.generation)

    def off(sender: Flask, **rest: Any) -> None:
        toggle_off(hello)

    with (
        request_finished.connected_to(off, hello.app),
        request_tearing_down.connected_to(hear, hello.app),
    ):
        hello.get("/hello")
    assert found == [site_of(hello).current.generation - 1]
