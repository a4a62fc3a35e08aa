"""A look at a long frame before it is decoded: whether it becomes more than its length tells.

A byte of msgpack may become an empty dict of 64, so that nine megabytes become six hundred; and
keys of dicts may be chosen so that all of them have one hash, whereupon a dict of a few hundred
thousand takes an hour. The first is bounded by how many values a frame may hold, the second by
text as the only kind of key, whose hashes nobody can choose.

Short frames aren't looked at: what they can become is little.
"""

from __future__ import annotations

from typing import Final

SHORT: Final = 4 << 10
"""Bytes of a frame that is decoded as it is."""

MOST_VALUES: Final = 200_000
"""Values in one frame, keys and those that hold others included."""

DEEPEST: Final = 64

_Rule = tuple[int, int]
"""Bytes of a length, and bytes that follow beside those that it counts."""

_FIXED: Final = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),
    0xCA: 4,
    0xCB: 8,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
    0xD4: 2,
    0xD5: 3,
    0xD6: 5,
    0xD7: 9,
    0xD8: 17,
}
"""How many bytes follow a first one: nil, truth values, numbers, extensions of fixed lengths."""

_COUNTED: Final[dict[int, _Rule]] = {
    0xC4: (1, 0),
    0xC5: (2, 0),
    0xC6: (4, 0),  # bytes
    0xC7: (1, 1),
    0xC8: (2, 1),
    0xC9: (4, 1),  # extensions
    0xD9: (1, 0),
    0xDA: (2, 0),
    0xDB: (4, 0),  # text
}

_HOLDING: Final[dict[int, _Rule]] = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Lists and dicts: bytes of their length, and values that each of their items is."""

_TEXTS: Final = frozenset({*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB})


def require_modest(body: bytes | bytearray | memoryview) -> None:
    """Raise ValueError for a frame that would become too much, or has keys that aren't text.

    Nothing is said of one that isn't msgpack at all: whoever decodes it will.
    """
    size, place, values = len(body), 0, 0
    # of each list and dict that is open: how many values are to come, and whether each second
    # one is a key
    left, is_dict = 1, False
    above: list[tuple[int, bool]] = []
    while place < size:
        while not left:
            if not above:
                return
            left, is_dict = above.pop()
        first = body[place]
        if is_dict and not left % 2 and first not in _TEXTS:
            raise ValueError("a dict has a key that isn't text")
        left -= 1
        values += 1
        if values > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES} values")
        step, held, each = _measured(body, place, first)
        place += step
        if held:
            if len(above) >= DEEPEST:
                raise ValueError(f"it is nested more than {DEEPEST} levels deep")
            above.append((left, is_dict))
            left, is_dict = held, each == 2


def _measured(body: bytes | bytearray | memoryview, place: int, first: int) -> tuple[int, int, int]:
    """Return the bytes of a value without what it holds; how many it holds, and by how many."""
    if first < 0x80 or first >= 0xE0:
        return 1, 0, 0
    if first >= 0xA0 and first < 0xC0:
        return 1 + (first & 0x1F), 0, 0
    if first < 0xA0:
        each = 1 if first >= 0x90 else 2
        return 1, (first & 0x0F) * each, each
    if (fixed := _FIXED.get(first)) is not None:
        return 1 + fixed, 0, 0
    if (counted := _COUNTED.get(first)) is not None:
        width, more = counted
        length = int.from_bytes(body[place + 1 : place + 1 + width], "big")
        return 1 + width + more + length, 0, 0
    if (holding := _HOLDING.get(first)) is not None:
        width, each = holding
        count = int.from_bytes(body[place + 1 : place + 1 + width], "big")
        return 1 + width, count * each, each
    raise ValueError("a byte that begins nothing")
