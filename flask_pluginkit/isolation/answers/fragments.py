"""HTML of isolated plugins that goes into the site's own pages.

There it has the site's origin, so it is taken apart by a parser like that of browsers (nh3),
and put together from an allow-list: no scripts, styles, forms, frames or foreign images, no
attributes that scripts of the site may act on (``data-*``, ``hx-*``), and as ``class`` and
``id`` only what begins with the plugin's name, so that it looks and acts like nothing of the
site's. What comes out is balanced: no end tag in it closes what it didn't open. (A start tag
may: a paragraph, item, heading or link ends the site's own one that it stands in.)

Two things nh3 leaves to us. Quotes in text: a template may put a part into an attribute, where
``x" onmouseover=...`` would be one. And time: formatting elements that aren't closed come back
in every paragraph that follows, so that a few kilobytes become gigabytes.

Pictures are the plugin's own static files alone, as any other URL tells somebody that the page
was looked at. Links lead anywhere, but tell nobody where they were followed from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final

from flask import has_request_context, request
from markupsafe import Markup

from flask_pluginkit.exceptions import MissingExtraError

from .own import ASSETS, AnswerError, in_url, named, own_assets, own_prefix

LONGEST: Final = 256 * 1024
"""Characters of one part, before and after it is cleaned."""

REMEMBERED: Final = 8 * 1024
"""Characters of parts that are remembered: short ones are often the same on all pages."""

MOST_TAGS: Final = 3000
"""Start tags, and end tags, of one part: deep nesting costs the square of its depth."""

MOST_COPIES: Final = 60_000
"""Formatting elements with attributes, times start tags: how many the parser may make of them."""

MOST_REFERENCES: Final = 10_000
"""Ampersands of one part: reading them costs the square of their number."""

PASSES: Final = 5
"""Times that a part is cleaned until it stays the same, at most; two are usual.

Where an element is taken out of another, what is left may be read differently: an ``li`` in an
``li`` ends it, and the end of the outer one would be that of the site's.
"""

TAGS: Final = named(
    "a abbr article aside b bdi bdo blockquote br caption cite code col colgroup data dd del "
    "details dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hr i img ins "
    "kbd li mark meter nav ol p pre progress q rp rt ruby s samp section small span strong "
    "sub summary sup table tbody td tfoot th thead time tr u ul var wbr"
)

SWALLOWED: Final = named(
    "iframe math noembed noframes noscript object plaintext script select style svg template "
    "textarea title xmp"
)
"""Elements that go with all that is in them; of others the content stays."""

ATTRIBUTES: Final = {
    "*": frozenset({"aria-hidden", "aria-label", "class", "dir", "id", "lang", "title"}),
    "a": frozenset({"href", "hreflang"}),
    "col": frozenset({"span"}),
    "colgroup": frozenset({"span"}),
    "data": frozenset({"value"}),
    "del": frozenset({"datetime"}),
    "details": frozenset({"open"}),
    "img": frozenset({"alt", "height", "src", "width"}),
    "ins": frozenset({"datetime"}),
    "li": frozenset({"value"}),
    "meter": frozenset({"high", "low", "max", "min", "optimum", "value"}),
    "ol": frozenset({"reversed", "start", "type"}),
    "progress": frozenset({"max", "value"}),
    "td": frozenset({"colspan", "rowspan"}),
    "th": frozenset({"colspan", "rowspan", "scope"}),
    "time": frozenset({"datetime"}),
}

SCHEMES: Final = frozenset({"http", "https", "mailto"})
"""Of links; relative ones may be, too."""

LINKS: Final = "nofollow noopener noreferrer ugc"

_SIZES: Final = frozenset({"colspan", "height", "rowspan", "span", "width"})
_SIZE: Final = re.compile(r"[0-9]{1,4}%?")
_FILE: Final = re.compile(
    r"(?:[\w~@+=,-]|/(?!/)|\.(?!\.)|%(?!2e|2f|5c|25)[0-9a-f]{2})+(?:\?[\w=&-]*)?", re.IGNORECASE
)
"""The rest of an own file's URL: nothing that leads out of the folder, however it is read."""

_START: Final = re.compile("<[a-z]", re.IGNORECASE)
_END: Final = re.compile("</")
_COPIED: Final = re.compile(
    r"<(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\s/]", re.IGNORECASE
)
"""The formatting elements of HTML with attributes: without, the parser keeps three of a kind.

Not ``a``, of which the parser keeps one.
"""

_QUOTES: Final = re.compile(r'<[a-z0-9]+(?: [a-z-]+="[^"]*")+>|["\']')
"""Tags with attributes as nh3 writes them, and quotes that are in none."""

_VALUE: Final = re.compile(r'="[^"]*"')
_IN_VALUE: Final = {ord(c): f"&#{ord(c)};" for c in "'`=<> \t\n\r\f"}


def cleaner(
    plugin: str, permissions: Collection[str], level: str, *, assets: str = ASSETS
) -> Callable[[str], Markup]:
    """Return what makes of a part of a plugin's HTML that may stand in the site's pages.

    Built once for each plugin. It changes nothing for the level ``process`` and the permission
    ``html:raw``, and raises `AnswerError` for a part that is too long or too intricate.

    Raises:
        MissingExtraError: nh3 isn't installed.

    """
    if level != "isolated" or "html:raw" in permissions:
        return Markup
    return _Cleaner(plugin, assets).clean


class _Cleaner:
    def __init__(self, plugin: str, assets: str) -> None:
        try:
            import nh3
        except ImportError as error:
            raise MissingExtraError(
                "isolated plugins need nh3: pip install 'Flask-PluginKit[sandbox]'"
            ) from error
        self.plugin = plugin
        self._prefix = own_prefix(plugin)
        self._assets = own_assets(plugin, assets)
        self._remembered = lru_cache(maxsize=64)(self._cleaned)
        self._nh3 = nh3.Cleaner(
            tags=set(TAGS),
            clean_content_tags=set(SWALLOWED),
            attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
            attribute_filter=self._attribute,
            link_rel=LINKS,
            url_schemes=set(SCHEMES),
        )

    def clean(self, html: str) -> Markup:
        """Return `html` as it may stand in a page of the site. Raises `AnswerError`."""
        root = request.root_path if has_request_context() else ""
        return (self._remembered if len(html) <= REMEMBERED else self._cleaned)(html, root)

    def _cleaned(self, html: str, _root: str) -> Markup:
        self._check(html)
        for _ in range(PASSES):
            found = self._nh3.clean(html)
            if len(found) > LONGEST:
                raise self._refused(f"becomes {len(found)} characters")
            if found == html:
                break
            html = found
        else:
            raise self._refused("is another one each time it is read")
        return Markup(_QUOTES.sub(_quoted, found))  # noqa: S704 - made from the allow-list

    def _check(self, html: str) -> None:
        if len(html) > LONGEST:
            raise self._refused(f"has {len(html)} characters")
        starts = len(_START.findall(html))
        if max(starts, len(_END.findall(html))) > MOST_TAGS:
            raise self._refused(f"has more than {MOST_TAGS} tags")
        if html.count("&") > MOST_REFERENCES:
            raise self._refused(f"has more than {MOST_REFERENCES} ampersands")
        if starts * len(_COPIED.findall(html)) > MOST_COPIES:
            raise self._refused("has too many formatting elements with attributes")

    def _refused(self, what: str) -> AnswerError:
        return AnswerError(
            f"a part of plugin {self.plugin!r} {what}, expected at most {LONGEST} characters and "
            f"{MOST_TAGS} tags"
        )

    def _attribute(self, _tag: str, name: str, value: str) -> str | None:
        """Return what is left of an attribute, None for nothing."""
        if name == "class":
            return " ".join(n for n in value.split() if n.startswith(self._prefix)) or None
        if name == "id":
            return value if value.startswith(self._prefix) and " " not in value else None
        if name == "src":
            return value if self._is_own_file(value) else None
        if name in _SIZES:
            return value if _SIZE.fullmatch(value) else None
        return value

    def _is_own_file(self, url: str) -> bool:
        path = f"{request.root_path if has_request_context() else ''}{self._assets}"
        for top in (in_url(path), path):
            if url.startswith(top):
                rest = url[len(top) :]
                return bool(_FILE.fullmatch(rest)) and not rest.startswith("/")
        return False


def _quoted(found: re.Match[str]) -> str:
    """Return what nh3 wrote so that it can't leave an attribute that a template puts it into.

    In values blanks and equals signs are escaped, too: where the quotes around a value end the
    attribute of the template, the value is read as names of attributes.
    """
    text = found[0]
    return _VALUE.sub(_escaped, text) if len(text) > 1 else f"&#{ord(text)};"


def _escaped(value: re.Match[str]) -> str:
    return f'="{value[0][2:-1].translate(_IN_VALUE)}"'
