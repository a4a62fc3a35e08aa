"""Names that plugins written for both Python 2 and 3 import; nothing here uses them."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import Final, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

PY2: Final = False

text_type: Final = str
string_types: Final = (str,)
integer_types: Final = (int,)


def iteritems(d: Mapping[Key, Value]) -> Iterator[tuple[Key, Value]]:
    """Return an iterator over the pairs of `d`."""
    items: ItemsView[Key, Value] = d.items()
    return iter(items)
