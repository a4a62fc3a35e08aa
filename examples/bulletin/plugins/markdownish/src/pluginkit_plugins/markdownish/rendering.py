"""A few marks of Markdown, turned into HTML that can't carry anything else.

All text is escaped first; the marks are looked for in what that gives. Every pattern looks at a
character once, so that no text takes more than linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from markupsafe import Markup, escape

_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")
_BULLET: Final = re.compile(r"[-*] +(.*)")
_NUMBER: Final = re.compile(r"\d{1,3}[.)] +(.*)")
_QUOTE: Final = re.compile(r"&gt; ?(.*)")
_HEADING: Final = re.compile(r"#{1,4} +(.*)")

_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|\*\*(?P<strong>[^*\n]+)\*\*"
    r"|\*(?P<em>[^*\n]+)\*"
    r"|\[(?P<label>[^\[\]\n]+)\]\((?P<target>(?:https?://|mailto:|/)[^\s()]+)\)"
    r"|(?P<bare>https?://(?:(?!&(?:#3[49]|[lg]t);)[^\s()])+(?<![.,;:!?]))"
)


def render(text: str) -> Markup:
    """Return `text` as HTML: paragraphs, lists, quotes, headings, links and emphasis."""
    safe = str(escape(text.replace("\r\n", "\n").strip()))
    blocks = (_block(block.split("\n")) for block in _BLANK_LINE.split(safe) if block)
    # pluginkit: ignore[PK201] everything was escaped above, and only the marks became HTML
    return Markup("\n".join(blocks))  # noqa: S704


def _block(lines: list[str]) -> str:
    """Turn one block of lines into HTML; lists may follow a paragraph directly."""
    runs = groupby(lines, key=_kind)
    return "\n".join(_MAKERS[kind](list(run)) for kind, run in runs)


def _kind(line: str) -> str:
    for kind, pattern in _PATTERNS.items():
        if pattern.match(line):
            return kind
    return "paragraph"


def _insides(pattern: re.Pattern[str], lines: list[str]) -> Iterator[str]:
    """Yield what stands behind the mark in each line."""
    for line in lines:
        if found := pattern.match(line):
            yield _inline(found[1])


def _list(tag: str, pattern: re.Pattern[str]) -> Callable[[list[str]], str]:
    def make(lines: list[str]) -> str:
        items = "".join(f"<li>{item}</li>" for item in _insides(pattern, lines))
        return f"<{tag}>{items}</{tag}>"

    return make


def _quote(lines: list[str]) -> str:
    return f"<blockquote>{'<br>'.join(_insides(_QUOTE, lines))}</blockquote>"


def _heading(lines: list[str]) -> str:
    return "".join(f"<h2>{title}</h2>" for title in _insides(_HEADING, lines))


def _paragraph(lines: list[str]) -> str:
    return f"<p>{'<br>'.join(_inline(line) for line in lines)}</p>"


def _inline(line: str) -> str:
    return _INLINE.sub(_replace, line)


def _replace(found: re.Match[str]) -> str:
    if found["label"]:
        return _link(found["target"], _inline(found["label"]))
    if found["bare"]:
        return _link(found["bare"], found["bare"])
    tag = found.lastgroup or ""
    inside = found[tag]
    return f"<{tag}>{inside if tag == 'code' else _inline(inside)}</{tag}>"


def _link(target: str, label: str) -> str:
    return f'<a href="{target}" rel="nofollow ugc">{label}</a>'


_PATTERNS: Final = {"ul": _BULLET, "ol": _NUMBER, "quote": _QUOTE, "heading": _HEADING}
_MAKERS: Final[dict[str, Callable[[list[str]], str]]] = {
    "ul": _list("ul", _BULLET),
    "ol": _list("ol", _NUMBER),
    "quote": _quote,
    "heading": _heading,
    "paragraph": _paragraph,
}
