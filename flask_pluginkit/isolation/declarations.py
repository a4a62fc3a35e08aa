"""What a plugin declares as its settings, as it crosses from its process to the host's.

Only data crosses. A regular expression stays where the plugin is: matching one that somebody
chose for it can take for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from flask_pluginkit.settings.fields import (
    MOST_CHOICES,
    MOST_FIELDS,
    NAME,
    TAKEN,
    Declaration,
    Field,
    Kind,
)
from flask_pluginkit.settings.values import exact
from flask_pluginkit.text import UnusableText, clean, describe

from .messages import SettingInfo

LONGEST_CHOICE = 200
"""Characters."""

_NUMBERS = frozenset({Kind.INT, Kind.FLOAT})
_TEXTS = frozenset({Kind.TEXT, Kind.TEXTS})


def info_of(field: Field) -> SettingInfo:
    """Return a field as it is sent."""
    words = field.pattern_words or (f"that matches {field.pattern}" if field.pattern else "")
    return SettingInfo(
        name=field.name,
        kind=field.kind.value,
        is_optional=field.is_optional,
        least=field.least,
        most=field.most,
        words=words,
        choices=field.choices,
        is_secret=field.is_secret,
        is_required=field.is_required,
        default=field.default,
        description=field.description,
    )


def declaration_of(infos: Iterable[SettingInfo]) -> Declaration:
    """Return the declaration that a worker sent; raise UnusableText for one that none can be."""
    fields = tuple(map(_field_of, infos))
    if len(fields) > MOST_FIELDS:
        raise UnusableText(f"{len(fields)} settings", f"at most {MOST_FIELDS}")
    if len({field.name.upper() for field in fields}) < len(fields):
        raise UnusableText("settings of equal names", "names that differ")
    return Declaration(fields=fields)


def _field_of(info: SettingInfo) -> Field:
    kind = Kind(info.kind)
    if not NAME.fullmatch(info.name) or info.name in TAKEN:
        raise UnusableText(f"the setting {describe(info.name)}", "a name")
    _require_bounds(info, kind)
    _require_choices(info, kind)
    if info.is_secret and kind not in _TEXTS:
        raise UnusableText(f"the secret {info.name}, which is no text", "one that is text")
    field = Field(
        name=info.name,
        kind=kind,
        is_optional=info.is_optional,
        least=info.least,
        most=info.most,
        pattern_words=clean(info.words, 200),
        choices=info.choices,
        is_secret=info.is_secret,
        is_required=info.is_required,
        description=clean(info.description, 300),
    )
    if info.is_required:
        return field
    default = exact(field, info.default)
    return Field(**{name: getattr(field, name) for name in _KEPT}, default=default)


_KEPT = (
    "name", "kind", "is_optional", "least", "most", "pattern_words", "choices", "is_secret",
    "is_required", "description",
)  # fmt: skip


def _require_bounds(info: SettingInfo, kind: Kind) -> None:
    bounds = [bound for bound in (info.least, info.most) if bound is not None]
    if bounds and (kind not in _NUMBERS or not all(map(math.isfinite, bounds))):
        raise UnusableText(f"bounds of the setting {info.name}", "numbers, of a number")
    if bounds != sorted(bounds):
        raise UnusableText(f"bounds of the setting {info.name}", "the smaller one first")


def _require_choices(info: SettingInfo, kind: Kind) -> None:
    texts = {str(choice) for choice in info.choices}
    is_right = len(texts) == len(info.choices) and all(
        0 < len(text) <= LONGEST_CHOICE and text.isprintable() for text in texts
    )
    least, most = (1, MOST_CHOICES) if kind is Kind.CHOICE else (0, 0)
    if not is_right or not least <= len(info.choices) <= most:
        raise UnusableText(f"the choices of the setting {info.name}", "some that differ")


def sendable(values: Mapping[str, object]) -> dict[str, object]:
    """Return values of settings as plain data."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }
