"""What register() may return: every accepted form, its normal form, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Blueprint
from flask import signals as flask_signals
from flask.views import MethodView
from flask_classful import FlaskView
from trees import write

from flask_pluginkit.exceptions import (
    MissingTemplateError,
    PEPError,
    Problem,
    RegistrationError,
    TemplateNotFound,
)
from flask_pluginkit.kinds import EMPTY, KINDS, is_prefix, normalise, recheck

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


# ---- what is accepted ------------------------------------------------------------------------


def test_a_plugin_that_offers_nothing_has_the_empty_form_of_every_kind() -> None:
    """Code after this need not ask whether a kind is there."""
    assert normalise("hello", NOWHERE, {}) == {kind: make() for kind, make in EMPTY.items()}


def test_every_kind_has_an_empty_form() -> None:
    """The two tables of kinds have the same keys."""
    assert list(EMPTY) == list(KINDS)


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
]


@pytest.mark.parametrize(("kind", "value", "expected"), ACCEPTED)
def test_each_accepted_form_has_its_normal_form(kind: str, value: object, expected: object) -> None:
    """p3 functions and get_enabled_* see one shape, whichever form a plugin chose."""
    assert normal(kind, value) == expected


def test_every_kind_is_among_the_accepted_forms() -> None:
    """A new kind comes with a test of its form."""
    assert {kind for kind, _value, _form in ACCEPTED} == set(KINDS)


@pytest.mark.parametrize("suffix", ["html", "htm", "xhtml", "j2", "jinja", "jinja2"])
def test_a_tep_with_the_suffix_of_a_template_is_a_file(tmp_path: Path, suffix: str) -> None:
    """These are the suffixes of 3.x."""
    write(tmp_path / "templates" / "deep" / f"nav.{suffix}")
    assert normal("tep", {"nav": f"deep/nav.{suffix}"}, tmp_path) == {
        "nav": {"fil": f"deep/nav.{suffix}"}
    }


def test_a_file_with_an_order_keeps_it_in_the_normal_form(tmp_path: Path) -> None:
    """get_enabled_teps showed the order in 3.x too."""
    write(tmp_path / "templates" / "nav.html")
    assert normal("tep", {"nav": "10@nav.html"}, tmp_path) == {"nav": {"fil": "10@nav.html"}}


def test_a_file_with_an_at_sign_in_its_own_name_is_found(tmp_path: Path) -> None:
    """Retina images are called like that, and so are their templates."""
    write(tmp_path / "templates" / "icon@2x.html")
    assert normal("tep", {"nav": "icon@2x.html"}, tmp_path) == {"nav": {"fil": "icon@2x.html"}}


def test_values_are_copied_and_never_edited() -> None:
    """The plugin's own dicts serve the next application as well."""
    row: dict[str, Any] = {"rule": "/x", "view_func": view, "endpoint": "e", "methods": ["GET"]}
    class_row: dict[str, Any] = {"view_class": Items, "rule": "/items"}
    given = {"vep": [row], "cvep": class_row, "tcp": {"year": 1}, "dcp": {"visits": view}}
    normalise("hello", NOWHERE, given)
    assert row == {"rule": "/x", "view_func": view, "endpoint": "e", "methods": ["GET"]}
    assert class_row == {"view_class": Items, "rule": "/items"}
    assert given == {"vep": [row], "cvep": class_row, "tcp": {"year": 1}, "dcp": {"visits": view}}


@pytest.mark.parametrize("kind", ["tcp", "global", "bep", "hep"])
def test_editing_a_normal_form_leaves_the_plugins_dict_alone(kind: str) -> None:
    """A p3 function may edit what it is given."""
    values: dict[str, dict[str, Any]] = {
        "tcp": {"year": 1},
        "global": {"year": 1},
        "bep": {"blueprint": blueprint, "prefix": None},
        "hep": {"before_request": view},
    }
    given = values[kind]
    before = dict(given)
    normal(kind, given).clear()
    assert given == before


# ---- what is refused -------------------------------------------------------------------------


REFUSED: list[tuple[str, object, str, str]] = [
    ("tep", ["nav.html"], "tep", "a dict"),
    ("tep", {"nav": 1}, "tep['nav']", "template file, or code"),
    ("tep", {"": "code"}, "tep: key", "non-empty text"),
    ("tep", {1: "code"}, "tep: key", "non-empty text"),
    ("hep", [view], "hep", "a dict"),
    ("hep", {"before_request": "view"}, "hep['before_request']", "a function"),
    ("bep", blueprint, "bep", "a dict"),
    ("bep", {"blueprint": "shop"}, "bep['blueprint']", "a flask.Blueprint"),
    ("bep", {"prefix": "/x"}, "bep['blueprint']", "a flask.Blueprint"),
    ("bep", {"blueprint": blueprint, "prefix": "x"}, "bep['prefix']", "'/shop'"),
    ("bep", {"blueprint": blueprint, "prefix": 1}, "bep['prefix']", "'/shop'"),
    ("bep", {"blueprint": blueprint, "parent": 1}, "bep['parent']", "another plugin's blueprint"),
    ("vep", "/x", "vep", "a dict or a list of dicts"),
    ("vep", ["/x"], "vep[0]", "a dict"),
    ("vep", {"view_func": view}, "vep['rule']", "'/hello/<name>'"),
    ("vep", {"rule": "x", "view_func": view}, "vep['rule']", "'/hello/<name>'"),
    ("vep", {"rule": "", "view_func": view}, "vep['rule']", "'/hello/<name>'"),
    ("vep", {"rule": "/x"}, "vep['view_func']", "a function"),
    ("vep", {"rule": "/x", "view_func": view, "endpoint": 7}, "vep['endpoint']", "a name"),
    ("vep", {"rule": "/x", "view_func": view, "_blueprint": 7}, "vep['_blueprint']", "a name"),
    ("vep", [{"rule": "/x", "view_func": "view"}], "vep[0]['view_func']", "a function"),
    ("cvep", Items, "cvep", "a dict or a list of dicts"),
    ("cvep", {"view_class": "Items"}, "cvep['view_class']", "flask.views.View"),
    ("cvep", [{"view_class": int}], "cvep[0]['view_class']", "flask.views.View"),
    ("cvep", {"view_class": Items}, "cvep['rule']", "'/items'"),
    ("filter", "money", "filter", "a dict"),
    ("filter", {"money": 1}, "filter['money']", "a function"),
    ("filter", [view, 1], "filter[1]", "a function"),
    ("filter", [("money", 1)], "filter['money']", "a function"),
    ("filter", [(7, view)], "filter[0]: name", "non-empty text"),
    ("filter", [partial(view)], "filter[0]: name", "non-empty text"),
    ("test", {"odd": 1}, "test['odd']", "a function"),
    ("test", 1, "test", "a dict"),
    ("errhandler", view, "errhandler", "a dict or a list of dicts"),
    ("errhandler", {404: 1}, "errhandler[404]['handler']", "a function"),
    ("errhandler", {"404": view}, "errhandler['404']", "an HTTP error code"),
    ("errhandler", {KeyError: view}, "errhandler[a value of type type]", "an HTTP error code"),
    ("errhandler", {200: view}, "errhandler[200]", "an HTTP error code"),
    ("errhandler", [{"error": "x", "handler": view}], "errhandler[0]", "an exception class"),
    ("errhandler", [{"error": KeyboardInterrupt, "handler": view}], "errhandler[0]", "exception"),
    ("errhandler", [{"error": KeyError("x"), "handler": view}], "errhandler[0]", "exception class"),
    ("errhandler", [(404, view)], "errhandler[0]", "a dict"),
    ("tcp", [("year", 1)], "tcp", "a dict"),
    ("tcp", {1: 1}, "tcp: key", "non-empty text"),
    ("global", {"": 1}, "global: key", "non-empty text"),
    ("p3", view, "p3", "a dict"),
    ("p3", {"other": view}, "p3['other']", "a dict"),
    ("p3", {"other": {"tep": "x"}}, "p3['other']['tep']", "a function"),
    ("dcp", view, "dcp", "a dict or a list of dicts"),
    ("dcp", {"visits": 1}, "dcp['visits']['callback']", "a function"),
    ("dcp", {"": view}, "dcp['']['event']", "non-empty text"),
    ("dcp", [{"callback": view}], "dcp[0]['event']", "non-empty text"),
    ("dcp", [{"event": "e", "callback": view, "position": "up"}], "dcp[0]['position']", "left"),
    ("cli", view, "cli[0]", "a click.Command"),
    ("cli", [command, click.Command(None)], "cli[1]", "with a name"),
    ("signal", ready, "signal", "a dict or a list of pairs"),
    ("signal", [view], "signal[0]", "a pair"),
    ("signal", [("request_finished", view)], "signal[0]", "a blinker signal"),
    ("signal", {ready: 1}, "signal[0]", "a function"),
]


@pytest.mark.parametrize(("kind", "value", "what", "expected"), REFUSED)
def test_a_value_that_cannot_be_used_is_told_with_its_place(
    kind: str, value: object, what: str, expected: str
) -> None:
    """The problem names the plugin, the path to the value and what would be right."""
    found = problem(kind, value)
    assert (found.where, found.what) == ("hello: register()", what)
    assert expected in found.expected


def test_every_kind_is_among_the_refused_values() -> None:
    """A new kind comes with a test of what it refuses."""
    assert {kind for kind, *_rest in REFUSED} == set(KINDS)


@pytest.mark.parametrize("value", [None, [], "tep", {"tep"}, view])
def test_register_has_to_return_a_dict(value: object) -> None:
    """Anything else is named with its type."""
    (only,) = problems(value)
    assert only.what == "return value"
    assert type(value).__name__ in only.found or only.found == repr(value)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("veps", "vep"),
        ("tp3", "p3"),
        ("filters", "filter"),
        ("TEP", ""),
        ("errorhandler", "errhandler"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(misspelt: str, meant: str) -> None:
    """A typo is a problem and not silence."""
    (only,) = problems({misspelt: {}})
    assert only.found == f"the unknown name {misspelt!r}"
    assert all(kind in only.expected for kind in KINDS)
    assert f"did you mean {meant!r}?" in only.advice or not meant


@pytest.mark.parametrize(
    ("value", "what", "meant"),
    [
        ({"hep": {"before_requests": view}}, "hep['before_requests']", "before_request"),
        ({"bep": {"blueprint": blueprint, "prefx": "/x"}}, "bep['prefx']", "prefix"),
        ({"p3": {"other": {"filters": view}}}, "p3['other']['filters']", "filter"),
        ({"dcp": [{"event": "e", "callbak": view}]}, "dcp[0]['callbak']", "callback"),
    ],
)
def test_an_unknown_name_inside_a_value_is_told_likewise(
    value: object, what: str, meant: str
) -> None:
    """Whoever writes `prefx` gets no blueprint at a place that nobody chose."""
    found = {problem.what: problem for problem in problems(value)}
    assert found[what].advice == f"did you mean {meant!r}?"


def test_a_preprocessor_of_preprocessors_is_refused() -> None:
    """p3 functions rework what plugins register, not each other."""
    only = problem("p3", {"other": {"p3": view}})
    assert "the unknown name 'p3'" in only.found
    assert "p3" not in only.expected.split(", ")


def test_all_problems_are_reported_together() -> None:
    """Whoever writes a plugin mends them in one go."""
    found = problems(
        {
            "tep": {"nav": 1, "side": "missing.html"},
            "hep": {"before_reqest": view, "after_request": 1},
            "vep": [{"rule": "x", "view_func": 1}, {"rule": "/y", "view_func": view}],
            "nonsense": 1,
        }
    )
    assert [one.what for one in found] == [
        "tep['nav']",
        "tep['side']",
        "hep['before_reqest']",
        "hep['after_request']",
        "vep[0]['rule']",
        "vep[0]['view_func']",
        "'nonsense'",
    ]


def test_what_was_found_is_shown_short_and_printable() -> None:
    """A plugin's text ends in logs and terminals."""
    only = problem("tep", {"nav": b"\x1b[31m" * 1000})
    assert "\x1b" not in only.found
    assert len(only.found) <= 120


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_cannot_be_shown_is_told_by_its_type(kind: str) -> None:
    """Reporting a fault never runs a plugin's code, which may fail itself."""

    class Unkind:
        def __repr__(self) -> str:
            raise RuntimeError("no representation")

        __str__ = __repr__

    assert problem(kind, Unkind()).found == "a value of type Unkind"


def test_a_missing_template_is_the_exception_of_3x(tmp_path: Path) -> None:
    """Code that catches TemplateNotFound or PEPError goes on working."""
    with pytest.raises(TemplateNotFound, match=r"no template file 'nav\.html'") as caught:
        normalise("hello", tmp_path, {"tep": {"nav": "nav.html"}})
    assert isinstance(caught.value, PEPError)


def test_a_missing_template_among_other_problems_is_one_of_them(tmp_path: Path) -> None:
    """The exception is of the kind that fits all of them."""
    with pytest.raises(RegistrationError) as caught:
        normalise("hello", tmp_path, {"tep": {"nav": "nav.html", "side": 1}})
    assert not isinstance(caught.value, MissingTemplateError)


@pytest.mark.parametrize(
    "name", ["../secret.html", "/etc/secret.html", "a\0b.html", "x" * 300 + ".html"]
)
def test_a_template_outside_of_the_plugins_folder_is_missing(tmp_path: Path, name: str) -> None:
    """A tep serves files of its plugin only."""
    write(tmp_path / "secret.html")
    (tmp_path / "templates").mkdir()
    with pytest.raises(TemplateNotFound):
        normalise("hello", tmp_path, {"tep": {"nav": name}})


@pytest.mark.parametrize("prefix", [None, "/a", "/a/b", "/a-b_c.d", "/<lang>"])
def test_these_are_prefixes(prefix: object) -> None:
    """None leaves the prefix to the blueprint."""
    assert is_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "/", "a", "/a/", "/a//b", "/a b", "//a", 1, b"/a"])
def test_these_are_no_prefixes(prefix: object) -> None:
    """A prefix starts with a slash, doesn't end with one and holds no empty part or blank."""
    assert not is_prefix(prefix)


# ---- what p3 functions give back -------------------------------------------------------------


@pytest.mark.parametrize(("kind", "value", "_expected"), ACCEPTED)
def test_a_normal_form_passes_the_check_of_normal_forms(
    kind: str, value: object, _expected: object
) -> None:
    """A p3 function that changes nothing is never refused."""
    shape = normal(kind, value)
    assert recheck("hello", NOWHERE, kind, shape) is shape


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_normal_form_passes_too(kind: str) -> None:
    """A p3 function may take everything away, or find nothing."""
    shape = EMPTY[kind]()
    assert recheck("hello", NOWHERE, kind, shape) is shape


@pytest.mark.parametrize(
    ("kind", "shape", "what"),
    [
        ("tep", {"nav": {"fil": "missing.html"}}, "tep['nav']"),
        ("tep", {"nav": {"cod": 1}}, "tep['nav']"),
        ("tep", {"nav": {"code": "x"}}, "tep['nav']['code']"),
        ("tep", {"nav": "x"}, "tep['nav']"),
        ("tep", {"nav": {}}, "tep['nav']"),
        ("hep", {"before_request": 1}, "hep['before_request']"),
        ("bep", {"blueprint": blueprint, "prefix": "x"}, "bep['prefix']"),
        ("vep", [{"rule": "/x", "view_func": view}], "vep[0]"),
        ("vep", [("/x", view)], "vep[0]"),
        ("vep", [("/x", 1, None, {}, None)], "vep[0]['view_func']"),
        ("vep", [("/x", view, None, [], None)], "vep[0]: options"),
        ("cvep", [(Quotes,)], "cvep[0]"),
        ("cvep", [(int, {})], "cvep[0]['view_class']"),
        ("filter", [("name", 1)], "filter['name']"),
        ("test", [("name", 1)], "test['name']"),
        ("errhandler", [(404, 1)], "errhandler[0]['handler']"),
        ("errhandler", [(404,)], "errhandler[0]"),
        ("tcp", {1: 1}, "tcp: key"),
        ("global", {1: 1}, "global: key"),
        ("dcp", [("visits", 1, "right")], "dcp[0]['callback']"),
        ("dcp", [("visits", view)], "dcp[0]"),
        ("cli", [view], "cli[0]"),
        ("signal", [(view, view)], "signal[0]"),
    ],
)
def test_what_a_preprocessor_breaks_is_told_with_its_place(
    kind: str, shape: object, what: str
) -> None:
    """Else the plugin that it belongs to would fail for it."""
    with pytest.raises(RegistrationError) as caught:
        recheck("hello", NOWHERE, kind, shape)
    assert [one.what for one in caught.value.problems] == [what]


def test_a_preprocessor_may_put_a_file_and_code_into_one_slot(tmp_path: Path) -> None:
    """The normal form of 3.x has room for both."""
    write(tmp_path / "templates" / "nav.html")
    shape = {"nav": {"fil": "nav.html", "cod": "code"}}
    assert recheck("hello", tmp_path, "tep", shape) is shape
