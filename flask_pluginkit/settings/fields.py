"""A declaration of settings as plain data: it can cross to another process, and runs no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from flask_pluginkit.frozen import Frozen
from flask_pluginkit.text import clean, describe

Value = bool | int | float | str | tuple[str, ...] | None
"""What a setting may be; lists of JSON are tuples here."""

Values = Mapping[str, Any]
"""`Value` by field."""

HIDDEN: Final = "(hidden)"
"""Stands for the value of a secret wherever one could be shown."""

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""What a field may be called: it becomes a part of the name of an environment variable."""

TAKEN: Final = frozenset({"by", "current", "reset"})
"""Names that mean something else where settings are asked for or changed."""

MOST_FIELDS: Final = 100
LONGEST: Final = 10_000
"""Characters of a text, or of all texts of a field together."""
MOST_TEXTS: Final = 1000
MOST_CHOICES: Final = 200
GREATEST: Final = 2**63 - 1
"""Whole numbers are those of 64 bits with a sign: other processes know no longer ones."""


class Kind(StrEnum):
    """The type of a field."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "text"
    TEXTS = "texts"
    CHOICE = "choice"


class Field(Frozen):
    """One setting, as its plugin declares it."""

    name: str
    kind: Kind
    is_optional: bool = False
    """Whether it may be None; then an empty text is None."""
    least: float | None = None
    most: float | None = None
    pattern: str = ""
    """A regular expression for each text; of trusted plugins only, as matching takes time."""
    pattern_words: str = ""
    choices: tuple[str | int, ...] = ()
    is_secret: bool = False
    is_required: bool = True
    """Whether somebody has to set it, as it has no default."""
    default: Value = None
    description: str = ""

    @property
    def words(self) -> str:
        """What is expected, in words."""
        said = self._said()
        return f"{said}, or nothing" if self.is_optional else said

    def _said(self) -> str:
        match self.kind:
            case Kind.BOOL:
                return "true or false"
            case Kind.INT:
                return f"a whole number{self._bounds()}"
            case Kind.FLOAT:
                return f"a number{self._bounds()}"
            case Kind.CHOICE:
                shown = ", ".join(describe(choice) for choice in self.choices[:20])
                return f"one of {shown}" + (", ..." if len(self.choices) > 20 else "")
        what = "text" if self.kind is Kind.TEXT else "texts, separated by commas"
        if self.pattern_words:
            return f"{what}: {clean(self.pattern_words, 200)}"
        return f"{what} that matches {clean(self.pattern, 200)}" if self.pattern else what

    def _bounds(self) -> str:
        if self.least is not None and self.most is not None:
            return f" from {self.least:.15g} to {self.most:.15g}"
        if self.least is not None:
            return f" of at least {self.least:.15g}"
        return "" if self.most is None else f" of at most {self.most:.15g}"


class Declaration(Frozen):
    """The settings of one plugin, in the order in which they are declared."""

    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        """Return one of them, None if there is none of this name."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(field.name for field in self.fields)


@lru_cache(maxsize=10_000)
def key_of(plugin: str, field: str) -> str:
    """Return the key of a setting in the configuration and in the environment."""
    return f"{prefix_of(plugin)}{field.upper()}"


@lru_cache(maxsize=10_000)
def prefix_of(plugin: str) -> str:
    """Return what the keys of a plugin's settings begin with."""
    name = re.sub(r"\W", "_", plugin)
    return f"PLUGINKIT_{name.upper()}_"
