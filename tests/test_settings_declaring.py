"""Declaring settings by a dataclass: what may be in it, and what its author is told."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Literal, Optional

import pytest

from flask_pluginkit import SECRET, Pattern, PluginError, Range, RegistrationError, SettingError
from flask_pluginkit.exceptions import Problem
from flask_pluginkit.settings import Settings
from flask_pluginkit.settings.declaring import Declared, declare
from flask_pluginkit.settings.fields import MOST_FIELDS, Field, Kind, key_of
from flask_pluginkit.settings.proxy import bind


class Order(StrEnum):
    """Chosen by value."""

    UP = "up"
    DOWN = "down"


class Size(IntEnum):
    """Chosen by name."""

    SMALL = 1
    BIG = 2


class Mixed(Enum):
    """Can't be chosen by one rule."""

    ONE = 1
    TWO = "two"


class Empty(Enum):
    """Nothing to choose."""


@dataclass(frozen=True)
class Everything:
    """One field of each kind."""

    token: Annotated[str, SECRET, "The key to the service"]
    flag: bool = True
    limit: Annotated[int, Range(1, 100)] = 10
    ratio: Annotated[float, Range(least=0)] = 1
    name: Annotated[str | None, Pattern("[a-z]+", "small letters")] = None
    mode: Literal["a", 1, None] = None  # noqa: PYI061 - some write it so
    order: Order = Order.UP
    size: Size = Size.BIG
    words: tuple[str, ...] = field(default_factory=tuple)
    old: Optional[int] = None  # noqa: UP045 - as many still write it
    keys: Annotated[tuple[str, ...], SECRET] = ()
    bound: Annotated[int, Range(1)] | None = None
    shared: ClassVar[int] = 5
    computed: int = field(default=3, init=False)

    @property
    def twice(self) -> int:
        """Twice the limit."""
        return 2 * self.limit


VALUES: dict[str, Any] = {
    "token": "opensesame",
    "flag": False,
    "limit": 7,
    "ratio": 2.5,
    "name": "ada",
    "mode": "a",
    "order": "down",
    "size": "SMALL",
    "words": ("a", "b"),
    "old": 3,
    "keys": ("k",),
    "bound": None,
}


def declared(name: str) -> Field:
    """A field of `Everything`."""
    found = declare(Everything).declaration.field(name)
    assert found is not None
    return found


def problems(kind: Any) -> list[Problem]:
    """What is wrong with a declaration."""
    with pytest.raises(RegistrationError) as caught:
        Settings(kind)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("token", Kind.TEXT, "text"),
        ("flag", Kind.BOOL, "true or false"),
        ("limit", Kind.INT, "a whole number from 1 to 100"),
        ("ratio", Kind.FLOAT, "a number of at least 0"),
        ("name", Kind.TEXT, "text: small letters, or nothing"),
        ("mode", Kind.CHOICE, "one of 'a', 1, or nothing"),
        ("order", Kind.CHOICE, "one of 'up', 'down'"),
        ("size", Kind.CHOICE, "one of 'SMALL', 'BIG'"),
        ("words", Kind.TEXTS, "texts, separated by commas"),
        ("old", Kind.INT, "a whole number, or nothing"),
        ("bound", Kind.INT, "a whole number of at least 1, or nothing"),
    ],
)
def test_a_field_is_read(name: str, kind: Kind, words: str) -> None:
    """Its annotation says what it may be, and people are told so."""
    assert (declared(name).kind, declared(name).words) == (kind, words)


def test_defaults_descriptions_and_marks_are_read() -> None:
    """A field without a default has to be set."""
    token, ratio = declared("token"), declared("ratio")
    assert (token.is_required, token.is_secret) == (True, True)
    assert token.description == "The key to the service"
    assert (ratio.is_required, ratio.default, type(ratio.default)) == (False, 1.0, float)
    assert declared("size").default == "BIG"


def test_class_variables_and_computed_fields_are_no_settings() -> None:
    """Nobody can set them."""
    assert set(declare(Everything).declaration.names) == set(VALUES)


def test_values_make_an_instance() -> None:
    """With the members of its enumerations, and with secrets that don't show themselves."""
    made = declare(Everything).make("hello", VALUES)
    assert (made.order, made.size, made.words, made.twice) == (
        Order.DOWN,
        Size.SMALL,
        ("a", "b"),
        14,
    )
    assert made.token == "opensesame"
    assert "opensesame" not in repr(made)
    assert "'k'" not in repr(made)


def _dataclass(annotation: Any, **rest: Any) -> type:
    return dataclasses.make_dataclass("Made", [("given", annotation, *rest.values())], frozen=True)


@pytest.mark.parametrize(
    ("annotation", "found", "expected"),
    [
        (list, "the type list", "Literal"),
        ([int], "the type", "Literal"),
        (list[str], "the type list", "Literal"),
        (tuple[int, ...], "the type tuple", "tuple[str, ...]"),
        (int | str, "the type", "one of these or None"),
        (Mixed, "several types", "all texts"),
        (Empty, "0 choices", "1 to"),
        (Literal[True], "Literal", "texts or whole numbers"),
        (Literal["1", 1], "same", "differ"),
        (Literal["a", "a "], "same", "differ"),
        (Annotated[int, Range(5, 1)], "Range(5, 1)", "smaller bound first"),
        (Annotated[int, Range(float("nan"))], "nan", "a number"),
        (Annotated[int, Range], "the class Range", "Range(1, 100)"),
        (Annotated[str, Range(1)], "Range on text", "int or float"),
        (Annotated[int, Pattern("a")], "Pattern on int", "text"),
        (Annotated[str, Pattern("(")], "'('", "regular expression"),
        (Annotated[str, Pattern(b"a")], "type bytes", "as text"),  # type: ignore[arg-type]
        (Annotated[int, SECRET], "SECRET on int", "text"),
    ],
)
def test_a_type_that_cannot_be_used_is_told(annotation: Any, found: str, expected: str) -> None:
    """With the field, and what could stand there."""
    (only,) = problems(_dataclass(annotation))
    assert only.what == "field given"
    assert found in only.found
    assert expected in only.expected


def _fails() -> tuple[str, ...]:
    raise ZeroDivisionError


def test_a_default_must_fit_its_own_field() -> None:
    """Else the plugin couldn't run as it comes."""

    @dataclass(frozen=True)
    class Wrong:
        limit: Annotated[int, Range(1, 5)] = 9
        token: Annotated[str, SECRET, Pattern("[0-9]+")] = "opensesame"
        made: tuple[str, ...] = field(default_factory=_fails)

    found = problems(Wrong)
    assert [each.found for each in found] == [
        "the default 9",
        "the default a value that isn't shown",
        "ZeroDivisionError",
    ]


def test_every_problem_is_told_at_once() -> None:
    """An author mends them in one go."""

    @dataclass
    class Wrong:
        a: list[str]
        by: int
        _hidden: int
        current: int
        größe: int  # noqa: PLC2401 - this is refused
        b: int = "x"  # type: ignore[assignment]
        B: int = 1
        given: InitVar[int] = 0

    assert {each.what.removeprefix("field ") for each in problems(Wrong)} == {
        "a",
        "by",
        "_hidden",
        "current",
        "größe",
        "b",
        "B",
        "given",
    }


@pytest.mark.parametrize("kind", [5, int, None, "text", Everything(token="x")])
def test_only_a_dataclass_declares_settings(kind: object) -> None:
    """Its instances do not."""
    (only,) = problems(kind)
    assert "dataclass" in only.expected


def test_annotations_that_cannot_be_evaluated_are_told() -> None:
    """A name that the author forgot to import."""
    kind = dataclasses.make_dataclass("Made", [("given", "Missing")])
    (only,) = problems(kind)
    assert "Missing" in only.found


def test_too_many_fields_are_refused() -> None:
    """No more than an operator could look at."""
    kind = dataclasses.make_dataclass("Made", [(f"f{n}", int, 1) for n in range(MOST_FIELDS + 1)])
    (only,) = problems(kind)
    assert only.found == f"{MOST_FIELDS + 1} of them"


@dataclass(frozen=True)
class Picky:
    """Values that must go together."""

    least: int = 1
    most: int = 5

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.least > self.most:
            raise ValueError(f"{self.least} is more than {self.most}")


@dataclass(frozen=True)
class Secretive(Picky):
    """The same with a secret."""

    token: Annotated[str, SECRET] = ""

    def __post_init__(self) -> None:
        """Tell the secret, as nobody should."""
        raise ValueError(f"bad {self.token}")


def test_a_dataclass_may_refuse_values_that_do_not_fit_together() -> None:
    """By an exception in its __post_init__."""
    with pytest.raises(SettingError, match="ValueError: 9 is more than 5"):
        declare(Picky).make("hello", {"least": 9, "most": 5})


def test_what_it_says_is_left_out_where_there_are_secrets() -> None:
    """Nobody knows what is in it."""
    with pytest.raises(SettingError) as caught:
        declare(Secretive).make("hello", {"least": 1, "most": 5, "token": "opensesame"})
    assert "opensesame" not in str(caught.value)
    assert caught.value.__context__ is None


def test_settings_are_asked_for_by_their_names() -> None:
    """Fields, properties and methods of the dataclass, of whichever instance counts now."""
    settings, made = Settings(Everything), declare(Everything).make("hello", VALUES)
    bind(settings, "hello", lambda _plugin: made)
    assert (settings.limit, settings.twice, settings.shared) == (7, 14, 5)
    assert settings.current() is made
    assert "limit" in dir(settings)
    assert "opensesame" not in repr(settings)


def test_an_instance_that_can_be_changed_is_a_copy() -> None:
    """What a plugin changes in it nobody else sees."""

    @dataclass
    class Loose:
        limit: int = 1

    settings, made = Settings(Loose), Loose()
    bind(settings, "hello", lambda _plugin: made)
    settings.current().limit = 5
    assert settings.limit == 1


def test_a_misspelt_field_is_told_with_the_nearest() -> None:
    """Also where nobody could give its value."""
    with pytest.raises(AttributeError, match="did you mean 'limit'"):
        _ = Settings(Everything).limti


@pytest.mark.parametrize(
    "change", [lambda s: setattr(s, "limit", 1), lambda s: delattr(s, "limit")]
)
def test_settings_cannot_be_set_by_code(change: Callable[[Any], None]) -> None:
    """They are the operator's."""
    with pytest.raises(AttributeError, match="operator"):
        change(Settings(Everything))


def test_settings_of_no_plugin_have_no_values() -> None:
    """As while the plugin is being imported."""
    with pytest.raises(PluginError, match="while the plugin is imported"):
        _ = Settings(Everything).limit


def test_one_settings_object_is_of_one_plugin() -> None:
    """Else one plugin would read the values of another."""
    settings = Settings(Everything)
    bind(settings, "hello", lambda _plugin: None)
    with pytest.raises(PluginError, match=r"'news'.*'hello'"):
        bind(settings, "news", lambda _plugin: None)


def test_odd_questions_to_settings_are_no_accidents() -> None:
    """Debuggers and mocks ask everything for private names."""
    assert not hasattr(Settings(Everything), "_repr_html_")
    assert not hasattr(Settings(Everything), "__wrapped__")


@pytest.mark.parametrize(
    ("plugin", "key"),
    [("hello", "PLUGINKIT_HELLO_LIMIT"), ("my-shop 2.0", "PLUGINKIT_MY_SHOP_2_0_LIMIT")],
)
def test_a_setting_has_a_key(plugin: str, key: str) -> None:
    """In capitals, with '_' for what no environment variable may have."""
    assert key_of(plugin, "limit") == key


def test_an_error_about_a_setting_can_be_pickled() -> None:
    """As a process pool does with it."""
    more = (Problem(where="a", what="b", found="c", expected="d"),)
    error = SettingError("hello", "limit", "0", "a number from 1", "set it", more)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.field, again.problems) == (str(error), "limit", error.problems)


def test_what_was_read_is_a_value() -> None:
    """Reading a dataclass twice gives the same."""
    one, other = declare(Everything), declare(Everything)
    assert isinstance(one, Declared)
    assert one.declaration == other.declaration
