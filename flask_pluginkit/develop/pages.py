"""Finding one's way in the HTML of others: markers that stand as comments, and the end of it.

A slot may stand where a comment is none: in an attribute, a title, a script, or in what isn't
HTML at all. There a marker has to go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_MARKER: Final = (
    rb"(?:<|&lt;|\\u003c)!--pluginkit:(?P<token>[0-9a-f]{8}):(?P<number>[0-9]+)(?P<end>:end)?"
    rb"--(?:>|&gt;|\\u003e)"
)
_ATTRIBUTES: Final = rb"(?:[^<>\"']|\"[^\"]*\"|'[^']*')*+"
# what isn't closed goes on to the end, as browsers have it
_TOKENS: Final = re.compile(
    rb"<!--.*?(?:-->|(?P<comment>\Z))"
    rb"|<(?P<raw>script|style|textarea|title|iframe|noscript|xmp)\b" + _ATTRIBUTES +
    rb">.*?(?:</(?P=raw)\b|(?P<text>\Z))"
    rb"|<(?P<tag>/?[a-z][^\s/>]*)" + _ATTRIBUTES + rb"(?:>|(?P<cut>\Z))",
    re.DOTALL | re.IGNORECASE,
)  # fmt: skip
_MARKERS: Final = re.compile(_MARKER)

SIGN: Final = b"pluginkit:"
"""What stands in every marker."""


def without_markers(page: bytes) -> bytes:
    """Return a page without any marker, wherever they stand."""
    return _MARKERS.sub(b"", page) if SIGN in page else page


def with_comments(page: bytes, token: str, comment: Callable[[int, bool], bytes]) -> bytes:
    """Return a page with comments in the place of markers, where these are comments.

    Args:
        page: HTML in any encoding that has ASCII in it.
        token: that of the markers; others are taken away, as they come from a cache.
        comment: gives what is to stand there, by number; True for the end.

    """
    if SIGN not in page:
        return page
    plain = without_markers(page)
    spans = _spans(plain)
    begin, end = next(spans)
    done: list[bytes] = []
    own = token.encode()
    removed = written = 0
    for marker in _MARKERS.finditer(page):
        place = marker.start() - removed
        removed += len(marker[0])
        while end <= place:
            begin, end = next(spans)
        if marker["token"] == own and marker[0].startswith(b"<") and place <= begin:
            done += plain[written:place], comment(int(marker["number"]), marker["end"] is not None)
            written = place
    return b"".join([*done, plain[written:]])


def _spans(page: bytes) -> Iterator[tuple[int, int]]:
    """Yield where something begins and ends in which no comment can be; at last beyond the end."""
    beyond = len(page) + 1
    for found in _TOKENS.finditer(page):
        is_open = any(found[name] is not None for name in ("comment", "text", "cut"))
        yield found.start(), beyond if is_open else found.end()
    yield beyond, beyond


def end_of_body(page: bytes) -> int:
    """Return where ``</body>`` stands, -1 if it doesn't."""
    ends = [found.start() for found in _TOKENS.finditer(page) if _is_end(found["tag"])]
    return ends[-1] if ends else -1


def _is_end(tag: bytes | None) -> bool:
    return tag is not None and tag.lower() == b"/body"
