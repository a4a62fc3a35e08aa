"""What plugins may return, for the tests of what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Blueprint
from flask import signals as flask_signals
from flask.views import MethodView
from flask_classful import FlaskView

from flask_pluginkit.exceptions import Problem, RegistrationError
from flask_pluginkit.kinds import normalise
from flask_pluginkit.settings import Settings

NOWHERE = Path("/nowhere")


def view() -> str:
    """Any function."""
    return "view"


def other() -> str:
    """Another function."""
    return "other"


class Items(MethodView):
    """A class-based view of Flask's."""


class Quotes(FlaskView):  # type: ignore[misc]
    """A class-based view of Flask-Classful's."""


blueprint = Blueprint("shop", __name__)
command = click.Command("count")
ready = flask_signals.request_finished


@dataclass(frozen=True)
class Wishes:
    """What a plugin lets its host set."""

    limit: int = 10


settings = Settings(Wishes)


def normal(kind: str, value: object, folder: Path = NOWHERE) -> Any:
    """The normal form of one kind."""
    return normalise("hello", folder, {kind: value})[kind]


def problems(value: object, folder: Path = NOWHERE) -> list[Problem]:
    """Everything that is wrong with what register() returned."""
    with pytest.raises(RegistrationError) as caught:
        normalise("hello", folder, value)
    return list(caught.value.problems)


def problem(kind: str, value: object) -> Problem:
    """The one problem that a value of one kind has."""
    (only,) = problems({kind: value})
    return only


ACCEPTED: list[tuple[str, object, object]] = [
    ("tep", {"nav": "<b>code</b>"}, {"nav": {"cod": "<b>code</b>"}}),
    ("tep", {"nav": ""}, {"nav": {"cod": ""}}),
    ("hep", {"before_request": view}, {"before_request": view}),
    (
        "hep",
        {"after_request": view, "teardown_request": other},
        {"after_request": view, "teardown_request": other},
    ),
    ("bep", {"blueprint": blueprint, "prefix": "/x"}, {"blueprint": blueprint, "prefix": "/x"}),
    ("bep", {"blueprint": blueprint, "prefix": None}, {"blueprint": blueprint, "prefix": None}),
    ("bep", {"blueprint": blueprint}, {"blueprint": blueprint, "prefix": None}),
    (
        "bep",
        {"blueprint": blueprint, "prefix": "/x", "parent": "up"},
        {"blueprint": blueprint, "prefix": "/x", "parent": "up"},
    ),
    ("vep", {"rule": "/x", "view_func": view}, [("/x", view, None, {}, None)]),
    ("vep", [{"rule": "/x", "view_func": view}], [("/x", view, None, {}, None)]),
    ("vep", ({"rule": "/x", "view_func": view},), [("/x", view, None, {}, None)]),
    ("vep", [], []),
    (
        "vep",
        {
            "rule": "/x",
            "view_func": view,
            "endpoint": "name",
            "_blueprint": "shop",
            "methods": ["POST"],
        },
        [("/x", view, "name", {"methods": ["POST"]}, "shop")],
    ),
    (
        "vep",
        {"rule": "", "view_func": view, "_blueprint": "shop"},
        [("", view, None, {}, "shop")],
    ),
    ("cvep", {"view_class": Quotes}, [(Quotes, {})]),
    (
        "cvep",
        [{"view_class": Quotes, "route_base": "/q"}, {"view_class": Items, "rule": "/items"}],
        [(Quotes, {"route_base": "/q"}), (Items, {"rule": "/items"})],
    ),
    ("filter", {"name": view}, [("name", view)]),
    ("filter", [view], [("view", view)]),
    ("filter", [view, ("name", other)], [("view", view), ("name", other)]),
    ("filter", (view, ["name", other]), [("view", view), ("name", other)]),
    ("filter", [("name", view), ("name", other)], [("name", other)]),
    ("test", {"name": view}, [("name", view)]),
    ("test", [view, ("name", other)], [("view", view), ("name", other)]),
    ("errhandler", {404: view}, [(404, view)]),
    (
        "errhandler",
        [{"error": 403, "handler": view}, {"error": KeyError, "handler": other}],
        [(403, view), (KeyError, other)],
    ),
    ("tcp", {"year": 2000, "now": view}, {"year": 2000, "now": view}),
    ("global", {"year": 2000, "now": view}, {"year": 2000, "now": view}),
    ("p3", {"other": {"tep": view, "vep": other}}, {"other": {"tep": view, "vep": other}}),
    ("p3", {"other": {}}, {}),
    ("dcp", {"visits": view}, [("visits", view, "right")]),
    (
        "dcp",
        {"event": "visits", "callback": view, "position": "left"},
        [("visits", view, "left")],
    ),
    (
        "dcp",
        [{"event": "visits", "callback": view}, {"event": "visits", "callback": other}],
        [("visits", view, "right"), ("visits", other, "right")],
    ),
    ("cli", command, [command]),
    ("cli", [command], [command]),
    ("cli", (command,), [command]),
    ("signal", {ready: view}, [(ready, view)]),
    ("signal", [(ready, view), (ready, other)], [(ready, view), (ready, other)]),
    ("settings", settings, [settings]),
    ("settings", [settings], [settings]),
    ("settings", (), []),
]
