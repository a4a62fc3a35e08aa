"""Values that never change."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from flask_pluginkit.frozen import NO_ENTRIES, Frozen, as_dict, names_of, replace


class Point(Frozen):
    """A value with a field that may be left out."""

    across: int
    names: Mapping[str, int] = NO_ENTRIES
    down: int = 0


class Marked(Point):
    """A value with more fields than what it derives from."""

    mark: str
    down: int = 7


class Pair(Frozen, kw_only=False):
    """A value whose fields have an order."""

    first: int
    second: int = 2


class Couple(Pair):
    """A value with the same fields, that means something else."""


class Thing(Frozen, eq=False):
    """A value that is equal to itself alone."""

    name: str


class Measured(Frozen):
    """A value of which not all is compared."""

    size: int
    told: str

    def compared(self) -> tuple[Any, ...]:
        """Return the size."""
        return (self.size,)


def test_fields_have_what_they_were_given_or_their_default() -> None:
    """A field that has a default may be left out, wherever it stands."""
    assert as_dict(Point(across=1)) == {"across": 1, "names": {}, "down": 0}
    assert as_dict(Point(down=2, across=1)) == {"across": 1, "names": {}, "down": 2}


def test_a_class_adds_fields_to_those_that_it_derives_from() -> None:
    """What it derives from comes first, and its defaults may be others."""
    assert names_of(Marked) == ("across", "names", "down", "mark")
    assert Marked(across=1, mark="x").down == 7


def test_fields_with_an_order_may_be_given_by_it() -> None:
    """By position and by keyword, as with any function."""
    assert Pair(1) == Pair(first=1, second=2)
    assert Pair(1, second=3) == Pair(1, 3)


@pytest.mark.parametrize(
    ("kind", "ordered", "named", "said"),
    [
        (Point, (), {}, "lacks 'across'"),
        (Point, (), {"across": 1, "up": 2}, "has no 'up'"),
        (Point, (), {"across": 1, "names": {}, "down": 0, "up": 2}, "has no 'up'"),
        (Pair, (1, 2, 3), {}, "has 2 fields"),
    ],
)
def test_wrong_fields_are_refused(
    kind: type[Frozen], ordered: tuple[int, ...], named: dict[str, Any], said: str
) -> None:
    """A field that lacks, that there isn't, or one too many is a mistake in the code."""
    with pytest.raises(TypeError, match=said):
        kind(*ordered, **named)


def test_nothing_can_be_changed() -> None:
    """Neither is a field set or deleted, nor is an attribute added."""
    point: Any = Point(across=1)
    for name in ("across", "other"):
        with pytest.raises(AttributeError, match=name):
            setattr(point, name, 2)
    with pytest.raises(AttributeError, match="across"):
        del point.across
    assert point.across == 1


def test_a_value_has_no_room_but_for_its_fields() -> None:
    """No dict is made for it, also where it derives from another."""
    assert not hasattr(Marked(across=1, mark="x"), "__dict__")


def test_values_are_equal_by_class_and_content() -> None:
    """Equal ones count as one in a set."""
    assert Pair(1) == Pair(1)
    assert Pair(1) != Pair(2)
    assert Pair(1) != Couple(1)
    assert Pair(1) != (1, 2)
    assert Point(across=1, down=7) != Marked(across=1, mark="")
    assert len({Pair(1), Pair(1), Pair(2)}) == 2


def test_without_equality_each_value_is_its_own() -> None:
    """Two of the same content are two, in a set also."""
    one, other = Thing(name="x"), Thing(name="x")
    assert one != other
    assert len({one, other, one}) == 2


def test_a_class_may_leave_fields_out_of_the_comparison() -> None:
    """Then they don't count for sets either."""
    assert Measured(size=1, told="a") == Measured(size=1, told="b")
    assert hash(Measured(size=1, told="a")) == hash(Measured(size=1, told="b"))


def test_replacing_a_field_leaves_the_value_as_it_is() -> None:
    """What isn't replaced is the same object."""
    names = {"x": 1}
    point = Point(across=1, names=names)
    moved = replace(point, across=2)
    assert (point.across, moved.across) == (1, 2)
    assert moved.names is names
    with pytest.raises(TypeError, match="up"):
        replace(point, up=1)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_a_copy_is_equal(again: Any) -> None:
    """Copying and pickling make a value of the same class and content."""
    assert again(Pair(1, 3)) == Pair(1, 3)


def test_a_value_shows_its_fields() -> None:
    """In their order, as one would write it."""
    assert repr(Pair(1)) == "Pair(first=1, second=2)"


def test_the_default_mapping_cannot_be_changed() -> None:
    """All values share it."""
    names: Any = Point(across=1).names
    with pytest.raises(TypeError):
        names["x"] = 1
