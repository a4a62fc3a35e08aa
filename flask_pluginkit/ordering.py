"""``order@file`` and ``order@code``: where a part stands in its slot.

A file's order is the text before its first ``@``, unless a file of the whole name exists
(``icon@2x.html``). Code has an order only if it begins with up to nine digits and ``@`` that
aren't the start of a mail address (``1@example.org``). Numbers compare as numbers and come
before words, words compare as text, and what has no order comes last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

Order = tuple[int, int, str]
"""(0, number, "") for a number, (1, 0, text) for a word."""

Item = TypeVar("Item")

_CODE = re.compile(r"([0-9]{1,9})@(?![\w-]+\.\w)")
_NUMBER = r"[0-9]{1,9}"


def make_order(text: str) -> Order:
    """Return the comparable order that `text`, the part before ``@``, stands for."""
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return (0, int(text), "")
    return (1, 0, text)


def parse_file(text: str, exists: Callable[[str], bool]) -> tuple[Order | None, str]:
    """Return the order and the file name of ``order@file``.

    `exists` tells whether the plugin has a template file of that name.
    """
    before, at, name = text.partition("@")
    if not at or exists(text):
        return None, text
    return make_order(before), name


def parse_code(text: str) -> tuple[Order | None, str]:
    """Return the order and the code of ``order@code``."""
    if (match := _CODE.match(text)) is None:
        return None, text
    return make_order(match[1]), text[match.end() :]


def sort_parts(
    parts: Iterable[Item], order_of: Callable[[Item], Order | None], descending: bool
) -> list[Item]:
    """Return `parts` by their order; those without one last; ties as they came."""
    ordered: list[tuple[Order, Item]] = []
    rest: list[Item] = []
    for part in parts:
        order = order_of(part)
        if order is None:
            rest.append(part)
        else:
            ordered.append((order, part))
    ordered.sort(key=lambda pair: pair[0], reverse=descending)
    return [part for _, part in ordered] + rest
