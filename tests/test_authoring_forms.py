"""What the decorators of `Plugin` make is what a register() written by hand would return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Blueprint, Flask, Response, request_finished
from flask.views import MethodView
from flask_classful import FlaskView
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from flask_pluginkit import Plugin, Settings
from flask_pluginkit.authoring.ledger import LAST
from flask_pluginkit.kinds import KINDS, normalise
from flask_pluginkit.ordering import make_order, parse_code

FOLDER = Path(__file__).parent


def text() -> str:
    """A view, and whatever else takes nothing and gives text."""
    return "text"


def upper(value: str) -> str:
    """A filter."""
    return value.upper()


def is_even(number: int) -> bool:
    """A test."""
    return number % 2 == 0


def guard() -> None:
    """A hook before requests."""


def stamp(response: Response) -> Response:
    """A hook after requests."""
    return response


def tidy(error: BaseException | None) -> None:
    """A hook at the end of requests."""


def missing(error: object) -> tuple[str, int]:
    """An error handler."""
    return str(error), 404


def receive(sender: object, **_: object) -> None:
    """A receiver of a signal."""


def change(shape: Any) -> Any:
    """A preprocessor."""
    return shape


class Items(MethodView):
    """A class-based view of Flask's."""


class Quotes(FlaskView):  # type: ignore[misc]
    """A class-based view of Flask-Classful's."""


@dataclass(frozen=True)
class Limits:
    """Settings."""

    limit: int = 3


command = click.Command("count")
Saying = Callable[[Plugin], object]


def hooks(plugin: Plugin) -> None:
    """Say one hook of each kind."""
    plugin.before_request(guard)
    plugin.after_request(stamp)
    plugin.teardown_request(tidy)


def handlers(plugin: Plugin) -> None:
    """Say two error handlers."""
    plugin.errorhandler(404)(missing)
    plugin.errorhandler(KeyError)(missing)


def classes(plugin: Plugin) -> None:
    """Say two classes."""
    plugin.add_view(Items, "/items")
    plugin.add_view(Quotes, route_base="/q")


def connections(plugin: Plugin) -> None:
    """Say two connections."""
    plugin.dcp("counter")(text)
    plugin.dcp("counter", "left")(guard)


def changes(plugin: Plugin) -> None:
    """Say two preprocessors."""
    plugin.preprocess("other", "tep")(change)
    plugin.preprocess("other", "vep")(change)


FORMS: list[tuple[str, Saying, object]] = [
    ("tep", lambda plugin: plugin.add_tep("nav", "<b>code</b>"), {"nav": "<b>code</b>"}),
    ("tep", lambda plugin: plugin.add_tep("nav", "<b>", order=10), {"nav": "10@<b>"}),
    ("tep", lambda plugin: plugin.add_tep("nav", "20@<b>"), {"nav": "20@<b>"}),
    (
        "hep",
        hooks,
        {"before_request": guard, "after_request": stamp, "teardown_request": tidy},
    ),
    (
        "vep",
        lambda plugin: plugin.route("/x", on="shop", methods=["POST"], endpoint="x")(text),
        {
            "rule": "/x",
            "view_func": text,
            "_blueprint": "shop",
            "methods": ["POST"],
            "endpoint": "x",
        },
    ),
    (
        "cvep",
        classes,
        [
            {"view_class": Items, "rule": "/items", "endpoint": "hello.items"},
            {"view_class": Quotes, "route_base": "/q"},
        ],
    ),
    ("filter", lambda plugin: plugin.filter(upper), {"upper": upper}),
    ("filter", lambda plugin: plugin.filter()(upper), [upper]),
    ("filter", lambda plugin: plugin.filter("loud")(upper), [("loud", upper)]),
    ("test", lambda plugin: plugin.test(is_even), {"is_even": is_even}),
    ("test", lambda plugin: plugin.test(name="even")(is_even), {"even": is_even}),
    ("global", lambda plugin: plugin.global_(text), {"text": text}),
    ("global", lambda plugin: plugin.global_("words")(text), {"words": text}),
    ("global", lambda plugin: plugin.add_global(year=2000), {"year": 2000}),
    ("tcp", lambda plugin: plugin.add_context(year=2000, now=text), {"year": 2000, "now": text}),
    (
        "errhandler",
        handlers,
        [{"error": 404, "handler": missing}, {"error": KeyError, "handler": missing}],
    ),
    (
        "dcp",
        connections,
        [
            {"event": "counter", "callback": text},
            {"event": "counter", "callback": guard, "position": "left"},
        ],
    ),
    ("cli", lambda plugin: plugin.cli.add_command(command), [command]),
    (
        "signal",
        lambda plugin: plugin.connect(request_finished)(receive),
        {request_finished: receive},
    ),
    ("p3", changes, {"other": {"tep": change, "vep": change}}),
]


def normal(value: object) -> dict[str, Any]:
    """The normal form of everything."""
    return normalise("hello", FOLDER, value)


@pytest.mark.parametrize(("kind", "say", "by_hand"), FORMS)
def test_both_forms_of_a_kind_are_one(kind: str, say: Saying, by_hand: object) -> None:
    """The normal form of what the decorator makes is that of the dict for register()."""
    plugin = Plugin(__name__, name="hello")
    say(plugin)
    assert normal(plugin.register()) == normal({kind: by_hand})


def test_a_blueprint_has_the_form_that_a_hand_would_give_it() -> None:
    """Views make the blueprint, and it goes where the plugin says."""
    plugin = Plugin(__name__, name="hello", url_prefix="/hello", parent="shop")
    plugin.get("/")(text)
    by_hand = {"blueprint": plugin.blueprint, "prefix": "/hello", "parent": "shop"}
    assert normal(plugin.register()) == normal({"bep": by_hand})
    assert isinstance(plugin.blueprint, Blueprint)


def test_settings_have_the_form_that_a_hand_would_give_them() -> None:
    """What the author asks is what register() returns."""
    plugin = Plugin(__name__, name="hello")
    settings: object = plugin.settings(Limits)
    assert isinstance(settings, Settings)
    assert normal(plugin.register()) == normal({"settings": settings})


def test_every_kind_has_a_decorator_that_is_compared_here() -> None:
    """A kind that is new to register() is new to authors too."""
    assert {kind for kind, _, _ in FORMS} | {"bep", "settings"} == set(KINDS)


def test_a_plugin_that_adds_nothing_registers_nothing() -> None:
    """There isn't even a blueprint."""
    assert Plugin(__name__, name="hello").register() == {}


def test_registering_gives_a_dict_of_its_own_each_time() -> None:
    """Whoever edits what was returned does nothing to the next application."""
    plugin = Plugin(__name__, name="hello")
    for _, say, _ in FORMS[-4:]:
        say(plugin)
    plugin.add_tep("nav", "<b>")
    first = plugin.register()
    first["p3"]["other"].clear()
    for value in first.values():
        value.clear()
    assert set(plugin.register()) == {"dcp", "cli", "signal", "p3", "tep"}
    assert all(plugin.register().values())
    assert plugin.register()["p3"]["other"]


@pytest.mark.parametrize(
    ("given", "name"), [("shop.plugins.hello", "hello"), ("hello", "hello"), (__name__, None)]
)
def test_a_plugin_is_called_like_its_package(
    given: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the last part of the import name."""
    monkeypatch.setattr("flask_pluginkit.authoring.ledger.get_root_path", lambda _: str(FOLDER))
    monkeypatch.setattr("flask.sansio.scaffold.get_root_path", lambda _: str(FOLDER))
    assert Plugin(given).name == (name or __name__.rpartition(".")[2])


def test_decorators_give_the_function_back() -> None:
    """So that it can be called, tested and decorated again."""
    plugin = Plugin(__name__, name="hello")
    assert plugin.get("/a")(text) is text
    assert plugin.tep("nav")(text) is text
    assert plugin.filter(upper) is upper
    assert plugin.before_request(guard) is guard
    assert plugin.context(dict) is dict
    assert plugin.errorhandler(404)(missing) is missing


# ---- orders ----------------------------------------------------------------------------------

CODES = st.text(alphabet="ab1.@-_ <{}#\n%", max_size=12)


@given(code=CODES, order=st.integers(0, LAST))
def test_an_order_and_code_are_read_as_they_were_given(code: str, order: int) -> None:
    """Whatever the code begins with: the order is the order, and the code is the code."""
    plugin = Plugin(__name__, name="hello")
    if parse_code(code)[0] is not None:
        return  # it has an order of its own already
    plugin.add_tep("nav", code, order=order)
    found, rest = parse_code(normal(plugin.register())["tep"]["nav"]["cod"])
    assert found == make_order(str(order))
    assert rest.removeprefix("{##}") == code


def test_code_that_looks_like_a_mail_address_renders_as_it_is() -> None:
    """``10@example.org`` would be an address, and shown with the order."""
    plugin = Plugin(__name__, name="hello")
    plugin.add_tep("nav", "example.org", order=10)
    _order, code = parse_code(plugin.register()["tep"]["nav"])
    assert Environment().from_string(code).render() == "example.org"


# ---- what is seen of it ----------------------------------------------------------------------


def test_a_plugin_and_what_calls_its_functions_say_what_they_are() -> None:
    """As debuggers and logs show them."""
    plugin = Plugin(__name__, name="hello")
    plugin.tep("nav")(text)
    ((name, part),) = plugin.register()["global"].items()
    assert repr(plugin) == "<Plugin 'hello'>"
    assert repr(part) == "<function text for the slot 'nav'>"
    assert name.startswith("_pluginkit_part_text_")


def test_a_hook_that_returns_no_response_leaves_the_one_that_there_is() -> None:
    """As a single one that returns None does."""
    plugin: Any = Plugin(__name__, name="hello")
    plugin.after_request(stamp)
    plugin.after_request(lambda _response: None)
    response = Response()
    with Flask(__name__).app_context():
        assert plugin.register()["hep"]["after_request"](response) is response
