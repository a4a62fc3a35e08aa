"""Text that other people wrote, made safe to show, and guesses at what they meant.

Manifests, reasons and the messages of plugins end in log lines, terminals, headers and
pages. There a control character can forge a line, an escape sequence can recolour or retitle
a terminal, and a bidirectional control can make a text read as another one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, cast

ELLIPSIS: Final = "…"

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

LONGEST_GUESS: Final = 100
"""`nearest` guesses for names up to this length, as comparing takes time of its square."""

# patterns that few texts need are compiled by the first that does: that takes a millisecond
_ESCAPE_SEQUENCE: Final = (
    # ECMA-48 (5.4 and 5.6, with the 8-bit forms): control sequences such as colours, ...
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"
    # ... control strings such as titles, with the bell as the end that xterm added. Their
    # text is removed only if it is printable, as a missing end must not swallow other lines;
    # that also keeps the search linear, because no string can begin inside of another.
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    # ... and the short ones, such as a reset.
    r"|\x1b[ -/]*+[0-~]"
)

_LINE_END: Final = r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
"""What `str.splitlines` takes for the end of a line."""


class UnusableText(ValueError):  # noqa: N818 - it names what it is about, as UnicodeError does
    """A text that somebody else wrote can't be used for its purpose."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found = found
        """What stands there and, if it isn't plain, where in it the fault is; printable."""
        self.expected = expected
        """What would have been right, with an example."""

    def __str__(self) -> str:
        return f"found {self.found}, expected {self.expected}"


def clean(text: object, limit: int = 500, *, multiline: bool = False) -> str:
    """Return `text` in printable characters only, at most `limit` of them.

    Escape sequences, control characters and format characters (bidirectional controls, the
    zero-width ones) are removed; line ends become blanks or, with `multiline`, newlines; odd
    blanks become blanks; surrogates and what Unicode hasn't assigned become U+FFFD. A text
    that is longer than `limit` characters ends with an ellipsis. Anything that isn't text is
    converted; an object whose conversion fails is shown as its type. Never raises.
    """
    if type(text) is str and len(text) <= limit and text.isprintable():
        return text  # nearly all are
    plain = _converted(text)
    if not plain.isprintable():
        plain = re.sub(_LINE_END, "\n", re.sub(_ESCAPE_SEQUENCE, "", plain))
        plain = plain.translate(_MULTILINE if multiline else _ONE_LINE)
    return shorten(plain, limit)


def shorten(text: str, limit: int) -> str:
    """Return `text`, cut to `limit` characters with an ellipsis as the last one."""
    if len(text) <= limit:
        return text
    return text[: limit - 1] + ELLIPSIS if limit > 0 else ""


def describe(value: object, limit: int = 100) -> str:
    """Return how to name a found value in a message: text and numbers quoted, others by type.

    At most `limit` printable characters. Only built-in types are asked for their
    representation: that of anything else would run code of others, and may be endless.
    """
    if value is None or type(value) in {bool, float}:
        return repr(value)
    if type(value) is int and value.bit_length() <= 64:  # a longer one may not be convertible
        return repr(value)
    if (text := as_text(value)) is not None:
        return clean(repr(text[: limit + 1]), limit)
    return clean(f"a value of type {type(value).__name__}", limit)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of `known` that `name` was probably meant to be, None if there is none.

    `cutoff` is how similar they must be: 1.0 is equal, 0.0 has nothing in common.
    """
    if len(name) > LONGEST_GUESS:
        return None
    return next(iter(get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def edit_distance_is_one(a: str, b: str) -> bool:
    """Tell whether one slip of the fingers makes `b` of `a`.

    That is one character too many, missing or wrong, or two neighbours swapped.
    """
    if a == b or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), None)
    if start is None:  # one is the other's beginning
        return True
    rest_a, rest_b = a[start:], b[start:]
    if len(a) != len(b):
        return rest_a[1:] == rest_b or rest_a == rest_b[1:]
    swapped = rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
    return swapped or rest_a[1:] == rest_b[1:]


def as_text(value: object) -> str | None:
    """Return `value` as an ordinary str if it is one or a subclass of it, else None.

    Runs no code of others. (For `isinstance` a lazy proxy of a text is a str, but it isn't.)
    """
    if type(value) is str:
        return value  # nearly always
    return str.__str__(cast("str", value)) if issubclass(type(value), str) else None


def _converted(value: object) -> str:
    if (text := as_text(value)) is not None:
        return text
    if type(value) is bytes:
        return value.decode("utf-8", "replace")
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - the code of others, asked while reporting a fault
        return f"<{type(value).__name__}>"


class _Printable(dict[int, str | None]):
    """A table for `str.translate` that leaves nothing but printable characters."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        if character.isprintable():
            return character
        match unicodedata.category(character):
            case "Zs" | "Zl" | "Zp":
                return " "
            case "Cc" | "Cf":
                return None
        return REPLACEMENT


_ONE_LINE: Final = _Printable({ord("\n"): " ", ord("\t"): " ", 0x1F: " "})
_MULTILINE: Final = _Printable({**_ONE_LINE, ord("\n"): "\n"})
