"""From an author's dataclass to the declaration of settings, and from values to its instance.

Everything that is wrong with a declaration is reported at once, as the author sees it when the
plugin is imported for the first time.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal, cast, get_args, get_origin

from flask_pluginkit.exceptions import Problem, RegistrationError, SettingError
from flask_pluginkit.frozen import Frozen
from flask_pluginkit.text import UnusableText, clean, describe

from .bounds import SECRET, Pattern, Range
from .fields import (
    MOST_CHOICES,
    MOST_FIELDS,
    NAME,
    TAKEN,
    Declaration,
    Field,
    Kind,
    Values,
)
from .values import Secret, choice_of, from_given

_SIMPLE: Final[Mapping[object, Kind]] = {
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.FLOAT,
    str: Kind.TEXT,
}
_TYPES: Final = (
    "bool, int, float, str, Literal[...], an Enum, tuple[str, ...], one of these or None, or "
    "Annotated[...] of one of these"
)


class Declared(Frozen, eq=False):
    """A dataclass of settings, read."""

    kind: type[Any]
    """The dataclass."""
    declaration: Declaration
    members: Mapping[str, Mapping[str | int, Enum]]
    """Of fields that are enumerations: the members by what chooses them."""
    is_frozen: bool

    def make(self, plugin: str, values: Values) -> Any:
        """Return the instance with these values; raise SettingError if it doesn't want them."""
        given: dict[str, Any] = {}
        for field in self.declaration.fields:
            value = values[field.name]
            if value is not None and (members := self.members.get(field.name)) is not None:
                value = members[value]
            elif field.is_secret:
                value = _concealed(value)
            given[field.name] = value
        try:
            return self.kind(**given)
        except Exception as error:  # noqa: BLE001 - its __post_init__ is the author's code
            found = type(error).__name__
            if not any(field.is_secret for field in self.declaration.fields):
                found = f"{found}: {clean(error, 300)}"  # else it may name a secret
        raise SettingError(
            plugin, ", ".join(values), found, f"values that {self.kind.__name__} accepts together"
        )

    def check(self, plugin: str, values: Values) -> None:
        """Do nothing: `make` raises what there is to be said."""


def _concealed(value: object) -> object:
    if isinstance(value, str):
        return Secret(value)
    return tuple(Secret(text) for text in value) if isinstance(value, tuple) else value


def declare(kind: type[Any]) -> Declared:
    """Read a dataclass.

    Raises:
        RegistrationError: with every problem of it.

    """
    reading = _Reading(kind)
    fields = tuple(reading.fields())
    if reading.problems:
        raise RegistrationError(reading.problems)
    return Declared(
        kind=kind,
        declaration=Declaration(fields=fields),
        members=reading.members,
        is_frozen=bool(kind.__dataclass_params__.frozen),
    )


class _Note(Exception):  # noqa: N818 - it never leaves this module
    """Something about one field can't be used."""

    def __init__(self, found: str, expected: str, advice: str = "") -> None:
        super().__init__(found, expected, advice)
        self.found, self.expected, self.advice = found, expected, advice


class _Reading:
    """Reads one dataclass and collects what is wrong with it."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.problems: list[Problem] = []
        self.members: dict[str, Mapping[str | int, Enum]] = {}
        module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", "")
        self.where = clean(f"{module}.{name}" if name else f"Settings({describe(kind)})", 200)

    def _add(self, what: str, found: str, expected: str, advice: str = "") -> None:
        self.problems.append(
            Problem(where=self.where, what=what, found=found, expected=expected, advice=advice)
        )

    def fields(self) -> Iterator[Field]:
        """Yield what can be read."""
        if not isinstance(self.kind, type) or not dataclasses.is_dataclass(self.kind):
            self._add("Settings()", describe(self.kind), "a dataclass: @dataclass(frozen=True)")
            return
        try:
            hints = typing.get_type_hints(self.kind, include_extras=True)
        except Exception as error:  # noqa: BLE001 - annotations are evaluated, and can be anything
            found = clean(f"{type(error).__name__}: {error}", 200)
            self._add("annotations", found, "names that are defined in its module")
            return
        given = [field for field in dataclasses.fields(self.kind) if field.init]
        if len(given) > MOST_FIELDS:
            self._add("fields", f"{len(given)} of them", f"at most {MOST_FIELDS}")
        self._refuse_names([field.name for field in given])
        for field in given[:MOST_FIELDS]:
            try:
                yield self._field(field, hints[field.name])
            except _Note as note:
                self._add(f"field {field.name}", note.found, note.expected, note.advice)

    def _refuse_names(self, names: list[str]) -> None:
        seen: dict[str, str] = {}
        for name in names:
            if not NAME.fullmatch(name):
                self._add(
                    f"field {clean(name, 80)}",
                    "this name",
                    "one of ASCII letters, digits and '_', that begins with a letter",
                )
            elif name in TAKEN:
                self._add(f"field {name}", "this name", "another one: it has a meaning already")
            elif (other := seen.setdefault(name.upper(), name)) != name:
                self._add(f"field {name}", f"another field {other!r}", "names that differ in more")
        for name, field in self.kind.__dataclass_fields__.items():
            if field._field_type is dataclasses._FIELD_INITVAR:  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public tells
                self._add(f"field {name}", "an InitVar", "a field that keeps its value")

    def _field(self, field: dataclasses.Field[Any], annotation: object) -> Field:
        read = _read(annotation)
        if members := read.pop("members", None):
            self.members[field.name] = members
        made = Field(name=field.name, **read)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            try:
                default = field.default_factory()
            except Exception as error:  # noqa: BLE001 - the author's code
                raise _Note(type(error).__name__, "a default_factory that returns one") from None
        if default is dataclasses.MISSING:
            return made
        try:
            value = from_given(made, default)
        except UnusableText as error:
            raise _Note(f"the default {error.found}", error.expected) from None
        return Field(name=field.name, **read, default=value, is_required=False)


# ---- annotations -----------------------------------------------------------------------------


def _read(annotation: object) -> dict[str, Any]:
    """Return what an annotation says, as arguments of `Field`. Raises _Note."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        read = _read(arguments[0])
        for extra in arguments[1:]:
            _add_extra(read, extra)
        return read
    if origin in {typing.Union, types.UnionType}:
        others = [each for each in arguments if each is not type(None)]
        if len(others) != 1 or len(others) == len(arguments):
            raise _Note(_shown(annotation), _TYPES)
        return {**_read(others[0]), "is_optional": True}
    if (kind := _SIMPLE.get(annotation) if _is_hashable(annotation) else None) is not None:
        return {"kind": kind}
    if origin is tuple and arguments == (str, Ellipsis):
        return {"kind": Kind.TEXTS}
    if origin is Literal:
        return _literal(arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enumeration(annotation)
    raise _Note(_shown(annotation), _TYPES)


def _is_hashable(annotation: object) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


def _shown(annotation: object) -> str:
    return f"the type {clean(getattr(annotation, '__name__', annotation), 100)}"


def _literal(arguments: tuple[Any, ...]) -> dict[str, Any]:
    choices = tuple(each for each in arguments if each is not None)
    if any(type(each) not in {str, int} for each in choices):
        raise _Note("a Literal of something else", "a Literal of texts or whole numbers")
    _require_distinct([str(each) for each in choices])
    return {"kind": Kind.CHOICE, "choices": choices, "is_optional": None in arguments}


def _enumeration(kind: type[Enum]) -> dict[str, Any]:
    members: dict[str, Enum] = {choice_of(member): member for member in kind}
    if len({isinstance(member.value, str) for member in kind}) > 1:
        raise _Note("an Enum with values of several types", "values that are all texts, or none")
    _require_distinct(list(members))
    return {"kind": Kind.CHOICE, "choices": tuple(members), "members": members}


def _require_distinct(texts: list[str]) -> None:
    if not 1 <= len(texts) <= MOST_CHOICES:
        raise _Note(f"{len(texts)} choices", f"1 to {MOST_CHOICES}")
    if len({text.strip() for text in texts}) < len(texts) or "" in texts:
        raise _Note("choices that are the same as text, or empty", "choices that differ as text")


def _add_extra(read: dict[str, Any], extra: object) -> None:
    """Take in one of the further arguments of ``Annotated``; those of others mean nothing here."""
    kind = read["kind"]
    if isinstance(extra, str):
        read["description"] = clean(extra, 300)
    elif extra is SECRET:
        if kind not in {Kind.TEXT, Kind.TEXTS}:
            raise _Note(f"SECRET on {kind.value}", "SECRET on text")
        read["is_secret"] = True
    elif isinstance(extra, Range):
        if kind not in {Kind.INT, Kind.FLOAT}:
            raise _Note(f"Range on {kind.value}", "Range on int or float")
        read.update(_bounds(extra))
    elif isinstance(extra, Pattern):
        if kind not in {Kind.TEXT, Kind.TEXTS}:
            raise _Note(f"Pattern on {kind.value}", "Pattern on text")
        read.update(_pattern(extra))
    elif extra in (Range, Pattern):
        raise _Note(f"the class {cast('type', extra).__name__}", "a value such as Range(1, 100)")


def _bounds(extra: Range) -> dict[str, Any]:
    bounds = (extra.least, extra.most)
    for bound in bounds:
        if bound is not None and (type(bound) not in {int, float} or not math.isfinite(bound)):
            raise _Note(f"the bound {describe(bound)}", "a number such as Range(1, 100)")
    if extra.least is not None and extra.most is not None and extra.least > extra.most:
        raise _Note(f"Range({extra.least}, {extra.most})", "the smaller bound first")
    return {"least": extra.least, "most": extra.most}


def _pattern(extra: Pattern) -> dict[str, Any]:
    expression = extra.expression
    try:
        re.compile(expression)
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        found = f"{describe(expression)} ({clean(error, 100)})"
        raise _Note(found, "a regular expression, as text") from None
    if not isinstance(expression, str):
        raise _Note(describe(expression), "a regular expression, as text")
    return {"pattern": expression, "pattern_words": clean(extra.words, 200)}
