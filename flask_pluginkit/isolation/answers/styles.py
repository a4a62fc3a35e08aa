"""Whether a style sheet loads nothing but the plugin's own files.

It is split as CSS Syntax Level 3 says, as far as needed to tell comments from the rest.
Everything that might be read otherwise makes it unusable: strings and comments without an end,
backslashes (but before a few harmless characters), control characters, other encodings.
"""

from __future__ import annotations

import re
from typing import Final

_ODD: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
"""Beyond ASCII because of encodings: what a control is in one may be a letter in another."""

_PART: Final = re.compile(
    r"(?P<comment>/\*(?:[^*]|\*(?!/))*+\*/)"
    r"|(?P<url>\b(?:url|src)\(\s*+(?:\"(?P<double>[^\"\n\r\\]*+)\"|'(?P<single>[^'\n\r\\]*+)'"
    r"|(?P<bare>[^\"'()\s\\]*+))\s*+\))"
    r"|(?P<import>@import\s*+(?:\"(?P<imported_double>[^\"\n\r\\]*+)\"|'(?P<imported_single>[^'\n\r\\]*+)'))"
    r"|(?P<text>\"[^\"\n\r\\]*+(?:\\[^\n\r][^\"\n\r\\]*+)*+\""
    r"|'[^'\n\r\\]*+(?:\\[^\n\r][^'\n\r\\]*+)*+')"
    r"|(?P<escape>\\[-.:/!#$%&()*+,;<=>?@\[\]^{|}~ _])"
    r"|(?P<other>[^\"'/\\@a-zA-Z]++|[a-zA-Z_-][\w-]*+|@|/(?!\*))",
    re.IGNORECASE,
)

_LOADING: Final = re.compile(
    r"(?:url|src|image|image-set|cross-fade)\(|expression\(|behavior\s*:|-moz-binding"
    r"|@import(?:\s|/\*\*/)*\"\"",
    re.IGNORECASE,
)
"""What is left if somebody makes a URL of a text, and what older browsers ran."""

_OWN: Final = re.compile(
    r"(?:#[\w-]+"
    r"|(?:\./)?(?:\.\./)*(?:[\w~@+=,-][\w~@+=,.-]*/)*[\w~@+=,-][\w~@+=,.-]*"
    r"(?:\?[\w=&.-]*)?(?:#[\w?&=.-]*)?)"
)
_DATA: Final = re.compile(
    r"data:(?:image/|font/|application/(?:x-)?font-)[\w.+-]+(?:;[\w=-]+)*,[^\x00-\x1f\"\\]*",
    re.IGNORECASE,
)

_URLS: Final = ("double", "single", "bare", "imported_double", "imported_single")


def is_harmless(content: bytes, depth: int) -> bool:
    """Tell whether a style sheet, `depth` folders deep, names only files of its own plugin."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    if _ODD.search(text):
        return False
    end = 0
    left = []
    has_data = False
    for found in _PART.finditer(text):
        if found.start() != end:
            return False
        end = found.end()
        for group in _URLS:
            if (url := found[group]) is not None:
                is_data = bool(_DATA.fullmatch(url))
                if not is_data and not _is_own(url, depth):
                    return False
                has_data = has_data or is_data
        left.append(_left(found))
    rest = "".join(left)
    if has_data and "@import" in rest.lower():  # it might be taken for styles
        return False
    return end == len(text) and not _LOADING.search(rest)


def _left(found: re.Match[str]) -> str:
    """Return what stands for a part: names and signs for themselves."""
    if found["comment"] is not None:
        return "/**/"
    if found["text"] is not None:
        return '""'
    if found["import"] is not None:
        return "@import"
    return " " if found["url"] is not None else found[0]


def _is_own(url: str, depth: int) -> bool:
    url = url.strip(" \t")
    return bool(_OWN.fullmatch(url)) and url.count("../") <= depth
