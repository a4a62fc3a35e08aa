"""The panel at the end of a page: what plugins did for it, as HTML without a script.

It must look the same on every host's page, and work under its Content-Security-Policy. So there
is no inline style: the stylesheet is a file of the page's own host, with the nonce that the
policy names, if it does. Where the policy lets neither in, the panel is plain, and says why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

from .traces import Entry, Page

STYLE_PATH: Final = "/_pluginkit/overlay.css"
STYLE: Final = Path(__file__).with_name("overlay.css")

_KINDS: Final = {"slot": "Slots", "event": "Events", "hook": "Hooks"}
_DIRECTIVES: Final = ("style-src-elem", "style-src", "default-src")
_NONCE: Final = re.compile(r"'nonce-([A-Za-z0-9+/_=-]+)'")
_OPEN: Final = frozenset({"'self'", "*", "http:", "https:"})


def panel(page: Page, *, view: str, confined: Mapping[str, str], link: Markup) -> bytes:
    """Return the panel of a page, in ASCII alone, so that it fits into every encoding.

    Args:
        page: what was put down.
        view: what answered the request, in words.
        confined: where plugins run that run elsewhere, by name.
        link: what brings the stylesheet.

    """
    groups = Markup("").join(
        _group(kind, [entry for entry in page.entries if entry.kind == kind], confined)
        for kind in _KINDS
    )
    unfilled = _unfilled(page)
    more = Markup("<p>{} more were left out.</p>").format(page.left_out) if page.left_out else ""
    html = Markup(
        '\n<div id="pluginkit-overlay" role="region" aria-label="Plugins of this page">{}'
        "<details><summary>{}</summary><div><p>{}</p>{}{}{}{}</div></details></div>\n"
    ).format(link, _summary(page.entries), view, _sums(page.entries), groups, more, unfilled)
    return html.encode("ascii", "xmlcharrefreplace")


def _summary(entries: list[Entry]) -> str:
    """Return what is seen of a panel that isn't open."""
    plugins = {entry.plugin for entry in entries}
    shown = sum(entry.kind != "hook" for entry in entries)
    seconds = sum(entry.seconds for entry in entries if not entry.depth)
    counts = [(len(plugins), "plugin"), (shown, "part"), (len(entries) - shown, "hook")]
    words = [f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts]
    return f"{', '.join(words)}: {_milliseconds(seconds)} ms"


def _sums(entries: list[Entry]) -> Markup:
    """Tell how long each plugin took, the slowest first; not what others did inside of it."""
    sums: Counter[str] = Counter()
    inside: list[Entry] = []
    for entry in entries:
        sums[entry.plugin] += round(entry.seconds * 1e9)
        del inside[entry.depth :]
        if inside:
            sums[inside[-1].plugin] -= round(entry.seconds * 1e9)
        inside.append(entry)
    if not sums:
        return Markup("")
    texts = [f"{name} {_milliseconds(spent / 1e9)}" for name, spent in sums.most_common()]
    return Markup("<p>Milliseconds by plugin: {}.</p>").format(", ".join(texts))


def _group(kind: str, entries: list[Entry], confined: Mapping[str, str]) -> Markup:
    if not entries:
        return Markup("")
    rows = Markup("").join(_row(entry, confined) for entry in entries)
    return Markup(
        "<table><caption>{}</caption><thead><tr><th>#</th><th>{}</th><th>Plugin</th><th>What</th>"
        "<th>ms</th></tr></thead><tbody>{}</tbody></table>"
    ).format(_KINDS[kind], kind.capitalize(), rows)


def _row(entry: Entry, confined: Mapping[str, str]) -> Markup:
    where = confined.get(entry.plugin, "")
    remote = Markup(" <small>({}: round trip)</small>").format(where) if where else ""
    note = Markup(" <em>{}</em>").format(entry.note) if entry.note else ""
    inside = "\N{BOX DRAWINGS LIGHT UP AND RIGHT} " * min(entry.depth, 5)
    return Markup(
        "<tr><td>{}</td><td>{}{}</td><td>{}{}</td><td><code>{}</code>{}</td><td>{}</td></tr>"
    ).format(
        entry.number,
        inside,
        entry.place,
        entry.plugin,
        remote,
        entry.what,
        note,
        _milliseconds(entry.seconds),
    )


def _unfilled(page: Page) -> Markup:
    """Name the slots and events that an author could fill, and nobody does."""
    filled = {(entry.kind, entry.place) for entry in page.entries}
    names = [f"{kind} {name}" for kind, name in page.offered if (kind, name) not in filled]
    if not names:
        return Markup("")
    return Markup("<p>Filled by nobody: {}.</p>").format(", ".join(names))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def comment(entry: Entry | None, *, is_end: bool) -> bytes:
    """Return what stands on the page before and after a part, for who reads its source."""
    if entry is None:
        return b""
    if is_end:
        return b"<!-- /plugin part %d -->" % entry.number
    text = f"{entry.kind} {entry.place}, {entry.plugin}, {entry.what}"
    # nothing in it may end a comment, or be code to anybody
    safe = re.sub(r"[^\w .,:/@]+", "_", text, flags=re.ASCII)
    return b"<!-- plugin part %d: %s -->" % (entry.number, safe.encode("ascii"))


def stylesheet(root: str, policies: Iterable[str]) -> Markup:
    """Return the link to the stylesheet, as the page's Content-Security-Policy lets it in.

    Args:
        root: what URLs of the application begin with.
        policies: the values of the header; several hold all at once.

    """
    nonce: Markup | str = ""
    is_let_in = True
    for policy in policies:
        sources = _sources(policy)
        if sources is None:
            continue
        if found := _NONCE.search(" ".join(sources)):
            nonce = Markup(' nonce="{}"').format(found[1])
        elif not _OPEN.intersection(sources):
            is_let_in = False
    if not is_let_in:
        return Markup(
            "<!-- plain, as the page's Content-Security-Policy lets no stylesheet of its own host "
            "in: 'self' or a nonce in style-src would -->"
        )
    return Markup('<link rel="stylesheet" href="{}"{}>').format(escape(root + STYLE_PATH), nonce)


def _sources(policy: str) -> list[str] | None:
    """Return what a policy lets in as stylesheets, None if it says nothing of them."""
    directives: dict[str, list[str]] = {}
    for directive in policy.split(";"):
        name, *sources = directive.split() or [""]
        directives.setdefault(name.lower(), sources)
    return next((directives[name] for name in _DIRECTIVES if name in directives), None)
