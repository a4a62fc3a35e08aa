"""``order@file`` and ``order@code``: what stands before the ``@``, and the order it makes."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.ordering import Order, make_order, parse_code, parse_file, sort_parts

digits = st.integers(0, 999_999_999).map(str)
texts = st.one_of(
    st.text(),
    st.text(alphabet="0123456789@.ab-_{ <é٣", max_size=12),
    st.builds("{}@{}".format, digits, st.text(max_size=8)),
)
orders = st.none() | texts.map(make_order)


def no_file(_name: str) -> bool:
    """A plugin that has no template file at all."""
    return False


# ---- numbers and words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2", "10"),
        ("9", "10"),
        ("0", "1"),
        ("10", "a"),
        ("999999999", ""),
        ("a", "b"),
        ("B", "a"),
        ("a1", "a10"),
        ("9", "1234567890"),
        ("9", "٣"),
        ("9", "-1"),
        ("9", "1.5"),
        ("9", " 1"),
        ("9", "1\n"),
    ],
)
def test_numbers_stand_as_numbers_before_words_as_text(first: str, second: str) -> None:
    """Up to nine ASCII digits are a number; anything else is a word."""
    assert make_order(first) < make_order(second)


@given(digits)
def test_leading_zeros_change_nothing(number: str) -> None:
    """An order of digits is its number, however it is written."""
    assert make_order(number) == (0, int(number), "")
    assert make_order(number.zfill(9)) == make_order(number)


@given(texts.map(make_order), texts.map(make_order), texts.map(make_order))
def test_any_orders_compare(a: Order, b: Order, c: Order) -> None:
    """The orders that texts make are totally ordered: any two compare, and any three in a row."""
    assert [a < b, a == b, a > b].count(True) == 1
    if a <= b <= c:
        assert a <= c


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "order", "name"),
    [
        ("nav.html", None, "nav.html"),
        ("1@nav.html", (0, 1, ""), "nav.html"),
        ("010@nav.html", (0, 10, ""), "nav.html"),
        ("first@nav.html", (1, 0, "first"), "nav.html"),
        ("@nav.html", (1, 0, ""), "nav.html"),
        ("1@2@nav.html", (0, 1, ""), "2@nav.html"),
        ("1234567890@nav.html", (1, 0, "1234567890"), "nav.html"),
        ("1@sub/nav.html", (0, 1, ""), "sub/nav.html"),
    ],
)
def test_the_order_of_a_file_is_what_stands_before_its_first_at(
    text: str, order: Order | None, name: str
) -> None:
    """A number or word before the first ``@``; the rest is the file's name."""
    assert parse_file(text, no_file) == (order, name)


@pytest.mark.parametrize("text", ["icon@2x.html", "1@nav.html", "a@b@c.html", "@.html"])
def test_a_file_of_the_whole_name_has_no_order(text: str) -> None:
    """Where ``icon@2x.html`` is a file, the ``@`` is part of its name."""
    assert parse_file(text, lambda name: name == text) == (None, text)


def test_only_the_whole_name_is_looked_for() -> None:
    """That a file of the part after the ``@`` exists is what an order wants."""
    assert parse_file("1@nav.html", lambda name: name == "nav.html") == ((0, 1, ""), "nav.html")


@given(texts)
def test_parsing_a_file_never_raises_and_loses_nothing(text: str) -> None:
    """Order and name put together again are the text."""
    order, name = parse_file(text, no_file)
    if order is None:
        assert name == text
        assert "@" not in text
    else:
        before = text[: len(text) - len(name) - 1]
        assert text == f"{before}@{name}"
        assert order == make_order(before)
        assert "@" not in before


# ---- code ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "order", "code"),
    [
        ("<b>x</b>", None, "<b>x</b>"),
        ("1@<b>x</b>", (0, 1, ""), "<b>x</b>"),
        ("10@", (0, 10, ""), ""),
        ("007@{{ user.name }}", (0, 7, ""), "{{ user.name }}"),
        ("1@2@x", (0, 1, ""), "2@x"),
        ("1@x y.z", (0, 1, ""), "x y.z"),
        ("1@x. y", (0, 1, ""), "x. y"),
        ("1@.x", (0, 1, ""), ".x"),
        ("999999999@x", (0, 999_999_999, ""), "x"),
        ("1234567890@x", None, "1234567890@x"),
        (" 1@x", None, " 1@x"),
        ("-1@x", None, "-1@x"),
        ("a@x", None, "a@x"),
        ("@x", None, "@x"),
        ("٣@x", None, "٣@x"),
        ("<a href='mailto:a@b.c'>", None, "<a href='mailto:a@b.c'>"),
    ],
)
def test_the_order_of_code_is_a_number_at_its_start(
    text: str, order: Order | None, code: str
) -> None:
    """One to nine digits and ``@``, and nothing else, at the very start."""
    assert parse_code(text) == (order, code)


@pytest.mark.parametrize(
    "text", ["1@example.org", "42@mail.example.org is mine", "7@a-b.c", "7@x_y.z<br>", "1@é.fr"]
)
def test_a_mail_address_at_the_start_of_code_is_no_order(text: str) -> None:
    """Digits can be the local part of an address: what follows looks like a domain then."""
    assert parse_code(text) == (None, text)


@given(texts)
def test_parsing_code_never_raises_and_cuts_only_a_number(text: str) -> None:
    """What is cut off is a number with its ``@``; nothing else is ever lost."""
    order, code = parse_code(text)
    if order is None:
        assert code == text
    else:
        before = text.removesuffix(code)
        assert re.fullmatch("[0-9]{1,9}@", before)
        assert order == (0, int(before[:-1]), "")


# ---- sorting ---------------------------------------------------------------------------------


def indexed(found: list[Order | None], *, descending: bool) -> list[int]:
    """Where each of the orders ends, by its place in the list."""
    parts = list(enumerate(found))
    return [index for index, _order in sort_parts(parts, lambda part: part[1], descending)]


@given(st.lists(orders, max_size=12), st.booleans())
def test_sorting_keeps_every_part(found: list[Order | None], descending: bool) -> None:
    """Nothing is lost and nothing doubled."""
    assert sorted(indexed(found, descending=descending)) == list(range(len(found)))


@given(st.lists(orders, max_size=12), st.booleans())
def test_parts_without_order_come_last_in_both_directions(
    found: list[Order | None], descending: bool
) -> None:
    """They stand at the end, in plugin order."""
    without = [index for index, order in enumerate(found) if order is None]
    places = indexed(found, descending=descending)
    assert places[len(places) - len(without) :] == without


@given(st.lists(orders, max_size=12), st.booleans())
def test_parts_with_order_stand_by_it_and_ties_as_they_came(
    found: list[Order | None], descending: bool
) -> None:
    """Each pair of neighbours is in order; equal ones are in plugin order in both directions."""
    ordered = [
        (found[index], index) for index in indexed(found, descending=descending) if found[index]
    ]
    for (left, left_index), (right, right_index) in pairwise(ordered):
        assert left is not None
        assert right is not None
        assert left >= right if descending else left <= right
        if left == right:
            assert left_index < right_index


@given(st.lists(orders, max_size=12), st.booleans())
def test_sorting_twice_changes_nothing(found: list[Order | None], descending: bool) -> None:
    """What is sorted stays as it is."""
    once = sort_parts(found, lambda order: order, descending)
    assert sort_parts(once, lambda order: order, descending) == once


@given(st.lists(texts.map(make_order), unique=True, max_size=12))
def test_descending_is_the_reverse_of_ascending_where_nothing_ties(found: list[Order]) -> None:
    """Words then come before numbers, and greater numbers first."""
    rising = sort_parts(found, lambda order: order, descending=False)
    falling = sort_parts(found, lambda order: order, descending=True)
    assert falling == rising[::-1]
