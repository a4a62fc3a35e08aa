"""Values of settings: every way of giving one, and that no way ends in an accident."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.settings.fields import GREATEST, LONGEST, MOST_TEXTS, Field, Kind, Value
from flask_pluginkit.settings.values import Secret, exact, from_given, from_text, to_text
from flask_pluginkit.text import UnusableText


class Order(Enum):
    """Chosen by value."""

    UP = "up"


class Size(IntEnum):
    """Chosen by name."""

    BIG = 3


def field(kind: str, **rest: Any) -> Field:
    """A field of a kind."""
    return Field(name="limit", kind=Kind(kind), **rest)


texts = st.text(st.characters(codec="utf-8"), max_size=30)
simple = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.sampled_from([Order.UP, Size.BIG, object(), Order, len])
)
anything = (
    simple
    | st.lists(simple, max_size=4)
    | st.lists(texts).map(tuple)
    | st.dictionaries(texts, simple, max_size=2)
)

OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(-GREATEST - 1, GREATEST),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "text": texts,
    "texts": st.lists(texts, max_size=5).map(tuple),
    "choice": st.sampled_from(["up", "down", 1]),
}


def choices(kind: str) -> tuple[str | int, ...]:
    """The choices of a field that has some."""
    return ("up", "down", 1) if kind == "choice" else ()


@st.composite
def fields(draw: st.DrawFn) -> Field:
    """Any field."""
    kind = draw(st.sampled_from(sorted(OF_KIND)))
    bounds: dict[str, Any] = {}
    if kind in {"int", "float"}:
        least, most = sorted([draw(st.integers(-5, 5)), draw(st.integers(-5, 5))])
        bounds = draw(st.sampled_from([{}, {"least": least}, {"least": least, "most": most}]))
    if kind in {"text", "texts"}:
        bounds = {
            "pattern": draw(st.sampled_from(["", "[a-z]*"])),
            "is_secret": draw(st.booleans()),
        }
    return field(kind, is_optional=draw(st.booleans()), choices=choices(kind), **bounds)


@st.composite
def fields_with_values(draw: st.DrawFn) -> tuple[Field, Value]:
    """A field without bounds, and a value of it."""
    kind = draw(st.sampled_from(sorted(OF_KIND)))
    is_optional = draw(st.booleans())
    made = field(kind, is_optional=is_optional, choices=choices(kind))
    value = draw(OF_KIND[kind] | st.none() if is_optional else OF_KIND[kind])
    return made, None if is_optional and value == "" else value


@given(fields_with_values())
def test_text_of_a_value_gives_the_value_again(row: tuple[Field, Value]) -> None:
    """What is shown may be given to the environment."""
    made, value = row
    if value == () and made.is_optional:
        return  # as text that is nothing, which is None there
    again = from_text(made, to_text(value))
    assert (type(again), again) == (type(value), value)


@given(fields_with_values())
def test_json_of_a_value_gives_the_value_again(row: tuple[Field, Value]) -> None:
    """What is stored is what was set."""
    made, value = row
    again = exact(made, json.loads(json.dumps(value)))
    assert (type(again), again) == (type(value), value)


@given(fields_with_values())
def test_a_value_of_python_is_itself(row: tuple[Field, Value]) -> None:
    """The configuration of an application may have values in place of text."""
    made, value = row
    again = from_given(made, value)
    assert (type(again), again) == (type(value), value)


@given(fields(), anything)
def test_nothing_but_an_unusable_text_comes_out(made: Field, value: object) -> None:
    """Whatever is given is read or refused, and what is read fits and can be stored."""
    for read in (exact, from_given):
        with suppress(UnusableText):
            found = read(made, value)
            assert exact(made, found) == found
            assert exact(made, json.loads(json.dumps(found))) == found


@given(fields(), st.text(max_size=40) | st.from_regex(r"[+\-]?[0-9.e]{1,25}", fullmatch=True))
def test_every_text_is_read_or_refused(made: Field, text: str) -> None:
    """The environment can hold anything."""
    with suppress(UnusableText):
        found = from_text(made, text)
        assert exact(made, found) == found


@given(fields(), st.text("abcXYZ", min_size=6, max_size=12))
def test_what_is_refused_of_a_secret_is_not_told(made: Field, text: str) -> None:
    """Messages end up in logs, and in the terminals of others."""
    hidden = Field(
        name="token", kind=Kind.TEXT, is_secret=True, pattern="[0-9]+", is_optional=made.is_optional
    )
    for read in (exact, from_given, from_text):
        with pytest.raises(UnusableText) as caught:
            read(hidden, text)
        assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bool", " Yes ", True),
        ("bool", "off", False),
        ("bool", "1", True),
        ("int", " +12 ", 12),
        ("int", "-7", -7),
        ("float", "1E3", 1000.0),
        ("float", ".5", 0.5),
        ("float", "5", 5.0),
        ("text", " as it is ", " as it is "),
        ("text", "", ""),
        ("texts", "a, b,c ", ("a", "b", "c")),
        ("texts", "", ()),
        ("texts", '["a,b", " c"]', ("a,b", " c")),
        ("choice", "up", "up"),
        ("choice", " 1", 1),
    ],
)
def test_a_text_is_read(kind: str, text: str, value: object) -> None:
    """These are the forms that the manual names."""
    found = from_text(field(kind, choices=choices(kind)), text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("bool", "maybe", "true or false"),
        ("bool", "", "true or false"),
        ("int", "1.0", "a whole number"),
        ("int", "1_000", "a whole number"),
        ("int", "٣", "a whole number"),
        ("int", str(2**63), "a whole number"),
        ("float", "nan", "a number"),
        ("float", "1e999", "a number"),
        ("float", "inf", "a number"),
        ("text", "\ud800", "UTF-8"),
        ("text", "x" * (LONGEST + 1), "at most"),
        ("texts", "[1]", "texts"),
        ("texts", "[", "JSON"),
        ("texts", ",".join("x" * (MOST_TEXTS + 1)), "at most"),
        ("texts", ",".join(["x" * 5000] * 3), "at most"),
        ("texts", "[" * 5 * LONGEST, "at most"),
        ("choice", "sideways", "one of 'up', 'down', 1"),
    ],
)
def test_a_text_is_refused(kind: str, text: str, expected: str) -> None:
    """With what would have been right."""
    with pytest.raises(UnusableText, match=re.escape(expected)):
        from_text(field(kind, choices=choices(kind)), text)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", True),
        ("int", 1.0),
        ("float", True),
        ("float", math.nan),
        ("bool", 1),
        ("text", b"bytes"),
        ("text", 5),
        ("texts", {"a"}),
        ("texts", ["a", 1]),
        ("choice", True),
        ("choice", 1.0),
        ("choice", None),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    """True is no 1, and a number no text."""
    with pytest.raises(UnusableText):
        from_given(field(kind, choices=choices(kind)), value)


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (1, 9, "a whole number from 1 to 9"),
        (1, None, "a whole number of at least 1"),
        (None, 9, "a whole number of at most 9"),
        (None, None, "a whole number"),
    ],
)
def test_bounds_are_told(least: int | None, most: int | None, words: str) -> None:
    """Both, one, or none."""
    assert field("int", least=least, most=most).words == words


@pytest.mark.parametrize(("value", "fits"), [(0, False), (1, True), (9, True), (10, False)])
def test_bounds_hold_and_are_included(value: int, fits: bool) -> None:
    """The first and the last number are within."""
    made = field("int", least=1, most=9)
    if fits:
        assert from_given(made, value) == value
    else:
        with pytest.raises(UnusableText, match="from 1 to 9"):
            from_given(made, value)


def test_a_pattern_holds_for_the_whole_text() -> None:
    """A beginning that matches isn't enough."""
    made = field("text", pattern="[a-z]+", pattern_words="small letters")
    with pytest.raises(UnusableText, match="text: small letters"):
        from_given(made, "abc1")


def test_an_empty_text_is_none_where_none_may_be() -> None:
    """Also of text: the environment has no other way to say it."""
    for read in (exact, from_given, from_text):
        assert read(field("text", is_optional=True), "") is None
        assert read(field("text"), "") == ""


def test_members_of_enumerations_are_what_they_are_chosen_by() -> None:
    """A configuration in Python may name the very member."""
    assert from_given(field("choice", choices=("up",)), Order.UP) == "up"
    assert from_given(field("choice", choices=("BIG",)), Size.BIG) == "BIG"


def test_a_secret_does_not_show_itself_and_is_text() -> None:
    """The author's own dataclass prints its fields."""
    secret = Secret("opensesame")
    assert (repr(secret), str(secret), secret) == ("'(hidden)'", "opensesame", "opensesame")
