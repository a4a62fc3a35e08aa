"""What holds for whatever register() returns: no other error, nothing edited, one form."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from flask import Blueprint, request_finished
from flask.views import View
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.exceptions import Problem, RegistrationError
from flask_pluginkit.kinds import EMPTY, KINDS, normalise, recheck
from flask_pluginkit.settings import Settings

NOWHERE = Path("/nowhere")


def test_every_kind_is_made_up_here() -> None:
    """A new kind comes with values that are nearly right."""
    assert set(NEARLY_RIGHT) == set(KINDS)


def function() -> None:
    """Something that can be called."""


WORDS = sorted(
    {"rule", "view_func", "endpoint", "_blueprint", "view_class", "blueprint", "prefix", "parent"}
    | {"error", "handler", "event", "callback", "position", "left", "before_request", "/x", "nav"}
    | set(KINDS)
)
names = st.sampled_from(WORDS) | st.text(max_size=5)
special = st.sampled_from(
    [
        function,
        partial(function),
        Blueprint("shop", "shop"),
        View,
        int,
        KeyError,
        KeyboardInterrupt,
        click.Command("count"),
        click.Command(None),
        request_finished,
        10**50,
        float("nan"),
    ]
)
scalars = st.none() | st.booleans() | st.integers() | names | st.binary(max_size=3) | special
keys = names | st.integers(400, 500) | st.sampled_from([function, KeyError, request_finished, None])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
functions = st.just(function) | st.just(None)
slots = st.dictionaries(names, st.sampled_from(["code", "1@code", "missing.html"]), max_size=3)
named = st.dictionaries(names, functions, max_size=3) | st.lists(
    functions | st.tuples(names, functions), max_size=3
)


def rows(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[Any]:
    """A dict with these keys, or a list of such."""
    row = st.fixed_dictionaries(required, optional=optional)
    return row | st.lists(row, max_size=3)


@dataclass(frozen=True)
class Nothing:
    """Settings without a field."""


SETTINGS = Settings(Nothing)

NEARLY_RIGHT = {
    "tep": slots,
    "hep": st.dictionaries(st.sampled_from(["before_request", "after_reqest"]), functions),
    "bep": st.fixed_dictionaries(
        {"blueprint": st.just(Blueprint("shop", "shop"))},
        optional={"prefix": st.sampled_from([None, "/x", "x"]), "parent": st.just("up")},
    ),
    "vep": rows(
        {"rule": st.sampled_from(["/x", ""]), "view_func": functions},
        endpoint=names,
        _blueprint=names | st.none(),
        methods=st.just(["GET"]),
    ),
    "cvep": rows({"view_class": st.just(View)}, rule=names),
    "filter": named,
    "test": named,
    "errhandler": st.dictionaries(st.integers(398, 402), functions, max_size=3)
    | rows({"error": st.just(KeyError) | st.just(404), "handler": functions}),
    "tcp": st.dictionaries(names, scalars, max_size=3),
    "global": st.dictionaries(names, scalars, max_size=3),
    "p3": st.dictionaries(
        names, st.dictionaries(st.sampled_from(["tep", "vep", "p3"]), functions), max_size=3
    ),
    "dcp": st.dictionaries(names, functions)
    | rows({"event": names, "callback": functions}, position=st.sampled_from(["left", "up"])),
    "cli": st.sampled_from([click.Command("count"), [click.Command("count")], ()]),
    "signal": st.lists(st.tuples(st.just(request_finished), functions), max_size=3),
    "settings": st.sampled_from([SETTINGS, [SETTINGS], [SETTINGS, SETTINGS], Nothing, ()]),
}
registered = st.fixed_dictionaries({}, optional=NEARLY_RIGHT) | st.dictionaries(
    st.sampled_from(list(KINDS)) | keys, values, max_size=4
)


def frozen(value: Any) -> Any:
    """A copy of the containers, with what they hold by its identity."""
    if isinstance(value, dict):
        return [(frozen(key), frozen(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [type(value), *map(frozen, value)]
    return id(value)


def outcome(value: Any) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The normal forms of `value`, or its problems."""
    try:
        return normalise("hello", NOWHERE, value), []
    except RegistrationError as error:
        return None, list(error.problems)


@given(registered | values)
def test_nothing_but_a_registration_error_comes_out(value: Any) -> None:
    """Whatever a plugin returns is read, or refused with its problems in printable words."""
    shapes, problems = outcome(value)
    if shapes is None:
        assert problems
        assert all(str(problem).isprintable() and len(str(problem)) < 2000 for problem in problems)
    else:
        assert list(shapes) == list(EMPTY)
        assert all(type(shapes[kind]) is type(make()) for kind, make in EMPTY.items())


@given(registered)
def test_reading_never_edits_what_was_returned(value: Any) -> None:
    """The second application in a process gets the plugin's dicts as the first one did."""
    before = frozen(value)
    outcome(value)
    assert frozen(value) == before


@given(
    st.sampled_from(list(KINDS)).flatmap(lambda kind: NEARLY_RIGHT[kind].map(lambda v: (kind, v)))
)
def test_a_normal_form_is_accepted_as_one(row: tuple[str, Any]) -> None:
    """What a p3 function is given it may give back."""
    kind, value = row
    shapes, _problems = outcome({kind: value})
    if shapes is not None:
        assert recheck("hello", NOWHERE, kind, shapes[kind]) is shapes[kind]


@given(st.sampled_from(list(KINDS)), values)
def test_a_preprocessor_that_returns_anything_gets_a_registration_error_at_most(
    kind: str, value: Any
) -> None:
    """Its author fails then, with words and not with an accident."""
    shape = value if type(value) is type(EMPTY[kind]()) else EMPTY[kind]()
    with suppress(RegistrationError):
        assert recheck("hello", NOWHERE, kind, shape) is shape


@given(registered, registered)
def test_problems_of_two_kinds_add_up(one: Any, two: Any) -> None:
    """All problems are reported together: none hides another."""
    both = {**one, **{key: item for key, item in two.items() if key not in one}}
    apart = [problem for key, item in both.items() for problem in outcome({key: item})[1]]
    assert outcome(both)[1] == apart
