"""Keys and values of a storage: text and JSON, and nothing that JSON would lose."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from flask_pluginkit.exceptions import ParamError
from flask_pluginkit.text import describe

DEEPEST: Final = 100
"""Lists and dicts inside each other: what one caller could store, all others must be able to
read, and Python's own limit depends on how deep in calls the reader is."""


def as_key(key: object) -> str:
    """Return `key` as text; bytes are decoded, as some callers of 3.x have them.

    Raises `ParamError` for any other type, and for bytes that aren't UTF-8.
    """
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        try:
            return key.decode()
        except UnicodeDecodeError:
            raise ParamError(f"key {describe(key)}: these bytes aren't text in UTF-8") from None
    raise ParamError(f"key {describe(key)}: a key is text, not of type {_name(type(key))}")


def encode(key: str, value: object) -> str:
    """Return `value` as JSON.

    Raises `ParamError`, naming `key` and the type, where JSON has no form for it. What JSON
    gives back in another type is let through, as 3.x did with Redis: a tuple becomes a list,
    and a number that is the key of a dict becomes text.
    """

    def refuse(part: object) -> NoReturn:
        raise TypeError(f"a value of type {_name(type(part))}")

    try:
        text = json.dumps(value, allow_nan=False, default=refuse)
        if not _is_deep(value, DEEPEST):
            return text
        fault = f"lists or dicts inside each other, more than {DEEPEST} deep"
    except RecursionError:
        fault = "lists or dicts inside each other, far too deep"
    except (TypeError, ValueError) as error:
        fault = str(error)
    raise ParamError(
        f"key {describe(key)}: JSON can't hold this value of type {_name(type(value))}: {fault}; "
        "store dicts, lists, texts, finite numbers, booleans and None"
    )


def decode(text: str | bytes) -> Any:
    """Return the value that `encode` made `text` of, or raise ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it holds lists or dicts inside each other, far too deep") from None


def _is_deep(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list | tuple):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deep(part, levels - 1) for part in parts)


def _name(kind: type) -> str:
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
