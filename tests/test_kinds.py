"""What register() may return: every accepted form and its normal form, p3's included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kind_values import (
    ACCEPTED,
    NOWHERE,
    Items,
    Quotes,
    blueprint,
    normal,
    view,
)
from trees import write

from flask_pluginkit.exceptions import RegistrationError
from flask_pluginkit.kinds import EMPTY, KINDS, normalise, recheck


def test_a_plugin_that_offers_nothing_has_the_empty_form_of_every_kind() -> None:
    """Code after this need not ask whether a kind is there."""
    assert normalise("hello", NOWHERE, {}) == {kind: make() for kind, make in EMPTY.items()}


def test_every_kind_has_an_empty_form() -> None:
    """The two tables of kinds have the same keys."""
    assert list(EMPTY) == list(KINDS)


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
