"""Values for the variable parts of rules, such as their converters take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from werkzeug.routing import BaseConverter
from werkzeug.routing.converters import NumberConverter

LONGEST: Final = 1000
"""Characters of a text that is made up."""

_OTHERS: Final = (1, 1.5, "00000000-0000-4000-8000-000000000000")


def argument_for(converter: BaseConverter, text: str) -> Any:
    """Return a value that a rule with this converter is found by, None if none was found.

    Args:
        converter: of one variable part, such as that of ``<int(min=5):number>``.
        text: what is taken wherever a text will do.

    """
    return next(
        (value for value in _candidates(converter, text) if _is_taken(converter, value)), None
    )


def _candidates(converter: BaseConverter, text: str) -> Iterator[Any]:
    yield from sorted(getattr(converter, "items", ()), key=str)  # <any(red, blue):colour>
    if isinstance(converter, NumberConverter):
        yield from (bound for bound in (1, converter.min, converter.max) if bound is not None)
    yield text
    for number in map(int, re.findall(r"\d{1,4}", converter.regex)):  # as in [^/]{2,5}
        if 0 < number <= LONGEST:
            yield (text * number)[:number]
    yield from _OTHERS


def _is_taken(converter: BaseConverter, value: Any) -> bool:
    """Tell whether an address with this value leads to the rule."""
    try:
        part = unquote(converter.to_url(value))
        converter.to_python(part)
    except Exception:  # noqa: BLE001 - converters are anybody's code
        return False
    return re.fullmatch(converter.regex, part) is not None
