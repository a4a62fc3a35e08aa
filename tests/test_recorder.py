"""Recording: what a plugin registers on the real application goes to the plugin alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask
from werkzeug.exceptions import NotFound
from werkzeug.routing import Rule, Submount

from flask_pluginkit.breaker import Breaker, Limits
from flask_pluginkit.building import build
from flask_pluginkit.live.keeping import FUNCTION_LISTS, FUNCTION_TABLES, RECORDING
from flask_pluginkit.live.recorder import Tables
from flask_pluginkit.live.recording import Recording
from flask_pluginkit.points import Contribution, ErrorHandler, Hook, Named, Route
from flask_pluginkit.residents import Resident

EMPTY = build(None, 0, (), {}, "")


def nothing() -> Any:
    """A function to register."""


class Recorder:
    """An application with live tables, and a recording of one plugin."""

    def __init__(self) -> None:
        self.app = Flask("host")
        self.app.jinja_env.filters["own"] = nothing
        self.app.add_url_rule("/", "home", lambda: "home")
        self.before = self.state()
        self.settled = 0
        self.tables = Tables(self.app, lambda: EMPTY, self.settle)
        home: Any = SimpleNamespace(new_breaker=lambda: Breaker(Limits()))
        self.resident = Resident(home, "hello", Path("/nowhere"))
        self.recording = self.tables.recording(self.resident)

    def settle(self) -> None:
        """Count how often names are settled."""
        self.settled += 1

    def state(self) -> dict[str, tuple[int, str]]:
        """Each attribute of the application with its identity and text."""
        app = self.app
        watched = {
            **vars(app),
            **{f"jinja {name}": value for name, value in vars(app.jinja_env).items()},
            **{f"cli {name}": value for name, value in vars(app.cli).items()},
            "map": type(app.url_map),
        }
        return {name: (id(value), repr(value)) for name, value in watched.items()}

    @property
    def recorded(self) -> tuple[Contribution, ...]:
        """What was recorded so far."""
        return self.recording.contributions

    @contextmanager
    def running(self) -> Iterator[Flask]:
        """Record what the block registers."""
        with self.recording.running():
            yield self.app


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A recorder, taken off its application afterwards."""
    found = Recorder()
    yield found
    found.tables.detach()


# ---- coming and going ------------------------------------------------------------------------


def test_detaching_leaves_the_application_as_it_was(recorder: Recorder) -> None:
    """With the very objects that it had: others may hold them."""
    with recorder.running() as app:
        app.add_url_rule("/x", "x", nothing)
        app.before_request(nothing)
        app.jinja_env.filters["x"] = nothing
    recorder.tables.detach()
    assert recorder.state() == recorder.before


def test_detaching_twice_does_no_harm(recorder: Recorder) -> None:
    """The first time was enough."""
    recorder.tables.detach()
    recorder.tables.detach()
    assert recorder.state() == recorder.before


def test_outside_of_recordings_the_application_registers_for_itself(recorder: Recorder) -> None:
    """It doesn't notice the tables."""
    app = recorder.app
    app.add_url_rule("/x", "x", lambda: "x")
    app.before_request(nothing)
    app.add_template_filter(nothing, "f")
    app.register_error_handler(404, lambda error: ("gone", 404))
    app.register_blueprint(Blueprint("shop", "host"))
    app.teardown_appcontext(lambda error: None)
    assert recorder.recorded == ()
    assert (app.test_client().get("/x").text, app.test_client().get("/y").text) == ("x", "gone")
    assert app.before_request_funcs[None] == [nothing]
    assert {"static", "home", "x"} == set(app.view_functions)


def test_names_are_settled_at_the_first_use_only(recorder: Recorder) -> None:
    """And again if the host registered routes meanwhile."""
    client = recorder.app.test_client()
    assert recorder.settled == 0
    client.get("/")
    client.get("/")
    assert recorder.settled == 1


def test_a_recording_leaves_the_applications_tables_alone(recorder: Recorder) -> None:
    """Not even an empty entry is left in them."""
    app = recorder.app
    before = {name: dict(getattr(app, name)) for name in FUNCTION_TABLES}
    lists = {name: list(getattr(app, name)) for name in FUNCTION_LISTS}
    with recorder.running():
        for table in before:
            getattr(app, table)["shop"].append(nothing)
        for name in lists:
            getattr(app, name).append(nothing)
        app.view_functions["x"] = nothing
        app.cli.commands["x"] = nothing  # type: ignore[assignment]
    assert {name: dict(getattr(app, name)) for name in FUNCTION_TABLES} == before
    assert {name: list(getattr(app, name)) for name in FUNCTION_LISTS} == lists
    assert "x" not in app.view_functions
    assert "x" not in app.cli.commands
    assert len(recorder.recorded) == len(FUNCTION_TABLES) + len(FUNCTION_LISTS) + 2


# ---- what is recorded ------------------------------------------------------------------------


@pytest.mark.parametrize("table", FUNCTION_TABLES)
@pytest.mark.parametrize(
    "way",
    [
        lambda table: table[None].append(nothing),
        lambda table: table[None].insert(0, nothing),
        lambda table: table[None].extend([nothing]),
        lambda table: table.setdefault(None, []).append(nothing),
        lambda table: table.__setitem__(None, [*table[None], nothing]),
        lambda table: table.update({None: [*table[None], nothing]}),
        lambda table: table.__ior__({None: [nothing, *table[None]]}),
        lambda table: table[None].__iadd__([nothing]),
    ],
)
def test_functions_are_recorded_whichever_way_they_are_added(
    recorder: Recorder, table: str, way: Any
) -> None:
    """Extensions reach into Flask's tables in many ways."""
    with recorder.running() as app:
        way(getattr(app, table))
    (hook,) = recorder.recorded
    assert isinstance(hook, Hook)
    assert (hook.owner, hook.table, hook.scope, hook.recorded) == ("hello", table, None, True)


def test_a_default_is_recorded_where_there_is_none_yet(recorder: Recorder) -> None:
    """As dict.setdefault() would set it; one that isn't needed is not."""
    with recorder.running() as app:
        app.before_request_funcs.setdefault("shop", [nothing])
        app.template_context_processors.setdefault(None, [dict])
    (hook,) = recorder.recorded
    assert isinstance(hook, Hook)
    assert (hook.table, hook.scope) == ("before_request_funcs", "shop")


@pytest.mark.parametrize("name", FUNCTION_LISTS)
def test_functions_in_plain_lists_are_recorded(recorder: Recorder, name: str) -> None:
    """Those of the application context and of URLs that can't be built."""
    with recorder.running() as app:
        getattr(app, name).append(nothing)
    (hook,) = recorder.recorded
    assert isinstance(hook, Hook)
    assert (hook.table, hook.scope) == (name, None)


@pytest.mark.parametrize(
    "way",
    [
        lambda app: app.register_error_handler(404, nothing),
        lambda app: app.register_error_handler(NotFound, nothing),
        lambda app: app.errorhandler(404)(nothing),
        lambda app: app.error_handler_spec[None][404].__setitem__(NotFound, nothing),
        lambda app: app.error_handler_spec.__setitem__(None, {404: {NotFound: nothing}}),
    ],
)
def test_error_handlers_are_recorded(recorder: Recorder, way: Any) -> None:
    """By code and by class."""
    with recorder.running() as app:
        way(app)
    (handler,) = recorder.recorded
    assert isinstance(handler, ErrorHandler)
    assert (handler.scope, handler.code, handler.error) == (None, 404, NotFound)


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        (lambda app: app.view_functions.update(x=nothing), "endpoint"),
        (lambda app: app.view_functions.setdefault("x", nothing), "endpoint"),
        (lambda app: app.jinja_env.filters.update({"x": nothing}), "filter"),
        (lambda app: app.add_template_test(nothing, "x"), "test"),
        (lambda app: app.add_template_global(nothing, "x"), "global"),
        (lambda app: app.jinja_env.globals.update([("x", 1)]), "global"),
        (lambda app: app.cli.command("x")(nothing), "command"),
        (lambda app: app.register_blueprint(Blueprint("x", "host")), "blueprint"),
    ],
)
def test_names_are_recorded(recorder: Recorder, way: Any, kind: str) -> None:
    """Whichever way they are added."""
    with recorder.running() as app:
        way(app)
    # a blueprint brings Flask's own variables of templates, too
    (item,) = (item for item in recorder.recorded if isinstance(item, Named))
    assert (item.owner, item.kind, item.name) == ("hello", kind, "x")


@pytest.mark.parametrize(
    "way",
    [
        lambda app: app.route("/a/x")(nothing),
        lambda app: app.url_map.add(Rule("/a/x", endpoint="nothing")),
        lambda app: app.url_map.add(Submount("/a", [Rule("/x", endpoint="nothing")])),
    ],
)
def test_rules_are_recorded_and_not_added(recorder: Recorder, way: Any) -> None:
    """Also those that come to the map in werkzeug's own ways."""
    with recorder.running() as app:
        way(app)
    (rule,) = (item for item in recorder.recorded if isinstance(item, Route))
    assert (rule.rule.rule, rule.rule.endpoint) == ("/a/x", "nothing")
    assert "/a/x" not in [found.rule for found in recorder.app.url_map.iter_rules()]


def test_a_rule_of_a_class_of_its_own_stays_one(recorder: Recorder) -> None:
    """Applications bring rules with other options."""

    class Special(Rule):
        def __init__(self, *args: Any, mark: str = "", **options: Any) -> None:
            super().__init__(*args, **options)
            self.mark = mark

    recorder.app.url_rule_class = Special
    with recorder.running() as app:
        app.add_url_rule("/x", "x", nothing, mark="special")
    rule = next(item.rule for item in recorder.recorded if isinstance(item, Route))
    assert isinstance(rule, Special)
    assert rule.mark == "special"


def test_what_is_recorded_is_there_for_the_one_who_records(recorder: Recorder) -> None:
    """As it was given: a plugin may look it up and call it."""
    with recorder.running() as app:
        app.view_functions["x"] = nothing
        app.jinja_env.filters["x"] = nothing
        found: list[Any] = [app.view_functions["x"], app.view_functions.get("x")]
        assert [*found, app.jinja_env.filters["x"]] == [nothing] * 3
        assert "x" in app.jinja_env.filters
        assert "own" in app.jinja_env.filters
        assert {"x", "home"} <= set(app.view_functions)
    assert "x" not in recorder.app.jinja_env.filters


def test_two_views_of_one_endpoint_raise_as_in_flask(recorder: Recorder) -> None:
    """Within one plugin that is a mistake."""
    with recorder.running() as app:
        app.add_url_rule("/x", "x", nothing)
        with pytest.raises(AssertionError, match="overwriting an existing endpoint"):
            app.add_url_rule("/y", "x", lambda: "y")


def test_an_endpoint_of_the_application_does_not_raise(recorder: Recorder) -> None:
    """Who gets it is decided later."""
    with recorder.running() as app:
        app.add_url_rule("/x", "home", nothing)
    assert ("endpoint", "home") in [claim for item in recorder.recorded for claim in item.claims()]


def test_a_recording_may_register_after_the_first_request(recorder: Recorder) -> None:
    """The application itself may not, as before."""
    recorder.app.test_client().get("/")
    with recorder.running() as app:
        app.add_url_rule("/x", "x", nothing)
        app.before_request(nothing)
    assert len(recorder.recorded) == 3
    with pytest.raises(AssertionError, match="can no longer be called"):
        recorder.app.before_request(nothing)


def test_a_recording_ends_with_its_block_also_by_a_fault(recorder: Recorder) -> None:
    """What comes afterwards is the application's own again."""

    def fail() -> None:
        with recorder.running():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert RECORDING.get() is None
    recorder.app.before_request(nothing)
    assert recorder.recorded == ()


def test_recordings_of_several_threads_stay_apart(recorder: Recorder) -> None:
    """And requests that are served meanwhile see nothing of them."""
    app = recorder.app

    def record(number: int) -> Recording:
        recording = recorder.tables.recording(recorder.resident)
        with recording.running():
            for row in range(20):
                blueprint = Blueprint(f"b{number}_{row}", "host", url_prefix=f"/{number}/{row}")
                blueprint.add_url_rule("/", "x", nothing)
                blueprint.before_app_request(nothing)
                app.register_blueprint(blueprint)
        return recording

    def ask(_number: int) -> list[int]:
        client = app.test_client()
        return [client.get(path).status_code for path in ("/", "/1/1/") for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        asked = pool.map(ask, range(4))
        recordings = list(pool.map(record, range(4)))
    assert all(found == [200] * 20 + [404] * 20 for found in asked)
    for number, recording in enumerate(recordings):
        names = [item.name for item in recording.contributions if isinstance(item, Named)]
        rules = [item for item in recording.contributions if isinstance(item, Route)]
        assert (len(names), len(rules)) == (40, 20)
        assert all(name.startswith(f"b{number}_") for name in names)
    assert app.before_request_funcs == {}
