"""What register() may not return: each problem is told with its place, and all together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import pytest
from kind_values import (
    Items,
    Wishes,
    blueprint,
    command,
    problem,
    problems,
    ready,
    settings,
    view,
)
from trees import write

from flask_pluginkit.exceptions import (
    MissingTemplateError,
    PEPError,
    RegistrationError,
    TemplateNotFound,
)
from flask_pluginkit.kinds import KINDS, is_prefix, normalise

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
    ("cli", [command, click.Command("more"), command], "cli[2]: name", "no other one has"),
    ("signal", ready, "signal", "a dict or a list of pairs"),
    ("signal", [view], "signal[0]", "a pair"),
    ("signal", [("request_finished", view)], "signal[0]", "a blinker signal"),
    ("signal", {ready: 1}, "signal[0]", "a function"),
    ("settings", Wishes, "settings", "Settings(MySettings)"),
    ("settings", [settings, settings], "settings", "one Settings"),
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
