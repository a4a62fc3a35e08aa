"""From what people type to what the index understands.

SQLite takes a run of Chinese characters for one long word. So each of them is indexed as a word
of its own, and a run of them is searched as a phrase.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup, escape

from bulletin.presentation import plain_text

_HAN: Final = re.compile("([\u3400-\u9fff])")
_HAN_RUN: Final = re.compile("[\u3400-\u9fff]+")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")  # noqa: RUF001 - an apostrophe in names
_MOST_WORDS: Final = 12
_BEFORE: Final = 60
_AFTER: Final = 120


def segment(text: str) -> str:
    """Put blanks around each Chinese character."""
    return _HAN.sub(r" \1 ", text)


def words_of(query: str) -> list[str]:
    """Return the words of a query; a run of Chinese characters is one."""
    apart = _HAN_RUN.sub(lambda found: f" {found[0]} ", query)
    return _WORD.findall(apart)[:_MOST_WORDS]


def match_expression(words: Sequence[str]) -> str:
    """Return the FTS5 expression for notices that hold all `words`; the last may be a beginning."""
    phrases = [f'"{" ".join(segment(word).split())}"' for word in words]
    return " AND ".join(phrases) + "*" if phrases else '""'


def mark(text: str, words: Sequence[str]) -> Markup:
    """Return `text` as HTML in which the beginnings that match one of `words` are marked."""
    if not words:
        return escape(text)
    pieces = _pattern(words).split(text)
    # Every second piece is a match: split() returns the group of the pattern as well.
    marked = (
        Markup("<mark>{}</mark>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )
    return Markup("").join(marked)


def cut_out(text: str, words: Sequence[str]) -> str:
    """Return the part of `text` around the first match, or its beginning, cut between words."""
    line = plain_text(text)
    found = _pattern(words).search(line) if words else None
    start = max(0, found.start() - _BEFORE) if found else 0
    end = start + _BEFORE + _AFTER
    part = line[start:end]
    if start and " " in part[:_BEFORE]:
        part = f"… {part.split(' ', 1)[1]}"
    if end < len(line) and " " in part[-_BEFORE:]:
        part = f"{part.rsplit(' ', 1)[0]} …"
    return part


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    starts = (re.escape(word) if _HAN.match(word) else rf"\b{re.escape(word)}" for word in words)
    return re.compile(f"({'|'.join(starts)})", re.IGNORECASE)
