"""From what somebody gave for a setting to the value that counts, and back to text.

Every value has one form that counts: of the exact built-in type of its field, within its
bounds. Three things lead there: text (environment, command line), Python's values (the
application's configuration, `PluginManager.configure_plugin`), and the stored form itself.
Nothing here raises anything but `UnusableText`, and no message has the value of a secret.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, cast

from flask_pluginkit.text import UnusableText, as_text, describe

from .fields import GREATEST, HIDDEN, LONGEST, MOST_TEXTS, Field, Kind, Value

_TRUTHS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_INT: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:e[+-]?[0-9]{1,4})?"
)


class Secret(str):
    """A text that doesn't show what it is where values are shown; it is used as any other."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{HIDDEN}'"


def shown(field: Field, value: object) -> str:
    """Return how a value is named in messages."""
    return "a value that isn't shown" if field.is_secret else describe(value)


def unusable(field: Field, value: object) -> UnusableText:
    """Return what to raise for a value that doesn't fit."""
    return UnusableText(shown(field, value), field.words)


# ---- the form that counts --------------------------------------------------------------------


def exact(field: Field, value: object) -> Value:
    """Return `value`, which must have the form that counts already (or its form in JSON).

    Raises UnusableText.
    """
    if field.is_optional and (value is None or (type(value) is str and not value)):
        return None
    return _EXACT[field.kind](field, value)


def _exact_bool(field: Field, value: object) -> Value:
    if type(value) is not bool:
        raise unusable(field, value)
    return value


def _exact_int(field: Field, value: object) -> Value:
    if type(value) is not int or not -GREATEST - 1 <= value <= GREATEST:
        raise unusable(field, value)
    _require_within(field, value)
    return value


def _exact_float(field: Field, value: object) -> Value:
    if type(value) is int and abs(value) <= GREATEST:
        value = float(value)
    if type(value) is not float or not math.isfinite(value):
        raise unusable(field, value)
    _require_within(field, value)
    return value


def _require_within(field: Field, value: float) -> None:
    if field.least is not None and value < field.least:
        raise unusable(field, value)
    if field.most is not None and value > field.most:
        raise unusable(field, value)


def _exact_choice(field: Field, value: object) -> Value:
    for choice in field.choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise unusable(field, value)


def _exact_text(field: Field, value: object) -> Value:
    if type(value) is not str:
        raise unusable(field, value)
    _require_text(field, value)
    return value


def _exact_texts(field: Field, value: object) -> Value:
    if type(value) not in {list, tuple}:
        raise unusable(field, value)
    texts: tuple[Any, ...] = tuple(value)  # type: ignore[arg-type]
    if len(texts) > MOST_TEXTS:
        found = f"{len(texts)} texts"
        raise UnusableText(found, f"at most {MOST_TEXTS} of them")
    for text in texts:
        if type(text) is not str:
            raise unusable(field, text)
        _require_text(field, text)
    if sum(map(len, texts)) > LONGEST:
        raise UnusableText(f"{sum(map(len, texts))} characters", f"at most {LONGEST} of them")
    return texts


def _require_text(field: Field, text: str) -> None:
    if len(text) > LONGEST:
        raise UnusableText(f"{len(text)} characters", f"at most {LONGEST} of them")
    if not _is_unicode(text):
        raise UnusableText(shown(field, text), f"{field.words}, in UTF-8")
    if field.pattern and not re.fullmatch(field.pattern, text):
        raise unusable(field, text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_EXACT: Final[Mapping[Kind, Callable[[Field, object], Value]]] = {
    Kind.BOOL: _exact_bool,
    Kind.INT: _exact_int,
    Kind.FLOAT: _exact_float,
    Kind.TEXT: _exact_text,
    Kind.TEXTS: _exact_texts,
    Kind.CHOICE: _exact_choice,
}


# ---- text --------------------------------------------------------------------------------------


def from_text(field: Field, text: str) -> Value:
    """Return the value that `text` stands for, as an environment variable has it.

    An empty text is None for a field that may be None. Several texts are separated by commas,
    or are a list of JSON. Raises UnusableText.
    """
    if text == "" and field.is_optional:
        return None
    value = _PARSED[field.kind](field, text)
    return exact(field, value)


def _truth(field: Field, text: str) -> object:
    truth = _TRUTHS.get(text.strip().lower())
    if truth is None:
        raise unusable(field, text)
    return truth


def _number(expression: re.Pattern[str], read: Callable[[str], object]) -> _Parse:
    def parse(field: Field, text: str) -> object:
        stripped = text.strip().lower()
        if not expression.fullmatch(stripped):
            raise unusable(field, text)
        return read(stripped)

    return parse


def _chosen(field: Field, text: str) -> object:
    for choice in field.choices:
        if str(choice) in {text, text.strip()}:
            return choice
    raise unusable(field, text)


def _split(field: Field, text: str) -> object:
    stripped = text.strip()
    if len(stripped) > 4 * LONGEST:
        raise UnusableText(f"{len(stripped)} characters", f"at most {LONGEST} of them")
    if not stripped.startswith("["):
        return tuple(part.strip() for part in stripped.split(",")) if stripped else ()
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        raise UnusableText(shown(field, text), f"{field.words}, or a list in JSON") from None


_Parse = Callable[[Field, str], object]

_PARSED: Final[Mapping[Kind, _Parse]] = {
    Kind.BOOL: _truth,
    Kind.INT: _number(_INT, int),
    Kind.FLOAT: _number(_FLOAT, float),
    Kind.TEXT: lambda _field, text: text,
    Kind.TEXTS: _split,
    Kind.CHOICE: _chosen,
}


def to_text(value: Value) -> str:
    """Return the text that stands for a value: `from_text` gives the value again."""
    if value is None:
        return ""
    if type(value) is bool:
        return "true" if value else "false"
    if isinstance(value, tuple):
        is_plain = all(part and part == part.strip() and "," not in part for part in value)
        joined = ",".join(value)
        return joined if is_plain and not joined.startswith("[") else json.dumps(value)
    return repr(value) if type(value) is float else str(value)


# ---- Python's values -------------------------------------------------------------------------


def from_given(field: Field, value: object) -> Value:
    """Return the value that one of Python stands for; text is read where the field is no text.

    Raises UnusableText.
    """
    if issubclass(type(value), Enum):  # a proxy may only seem to be one
        value = choice_of(cast("Enum", value))
    if (text := as_text(value)) is not None:
        return exact(field, text) if field.kind is Kind.TEXT else from_text(field, text)
    if type(value) in {list, tuple}:
        items: Iterable[object] = cast("Iterable[object]", value)
        return exact(field, tuple(_as_plain(item) for item in items))
    return exact(field, value)


def choice_of(member: Enum) -> str:
    """Return what a member of an enumeration is chosen by: its value if that is text."""
    text = as_text(member.value)
    return member.name if text is None else text


def _as_plain(item: object) -> object:
    text = as_text(item)
    return item if text is None else text
