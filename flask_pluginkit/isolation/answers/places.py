"""Where an isolated plugin's redirects may lead: to its own paths.

Browsers, proxies and Python read odd URLs differently. So what is odd is refused, and what is
sent is the path alone, put together anew: it begins with one slash, and no reader can find
another host in it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from flask_pluginkit.permissions import is_below
from flask_pluginkit.text import describe

from .own import AnswerError, Place, in_url

LONGEST: Final = 2048

_URL: Final = re.compile(
    r"(?:(?P<origin>(?i:https?)://[^/?#]*)(?=[/?#]|$))?"
    r"(?P<path>[^?#]*)(?P<rest>(?:\?[^#]*)?(?:#.*)?)"
)
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#\[\]-]|%[0-9A-Fa-f]{2})*")
_SLASHES: Final = re.compile(r"%(?:2f|5c|[01][0-9a-f]|7f|25[0-9a-f]{2})", re.IGNORECASE)
"""What a proxy may decode to a slash, a backslash, a control character, or another escape."""


def location(value: str, page: Place, paths: tuple[str, ...], plugin: str) -> str:
    """Return where a redirect leads: an absolute path at or below one of `paths`.

    Args:
        value: what the plugin answered: relative, an absolute path, or a URL of this site.
        page: the request that is answered.
        paths: decoded, below the page's `root_path`.
        plugin: whose redirect it is.

    Raises:
        AnswerError: it leads elsewhere, or may be read so.

    """
    found = _URL.fullmatch(value) if len(value) <= LONGEST else None
    if found is None or not _PLAIN.fullmatch(value) or _SLASHES.search(found["path"]):
        raise _refused(plugin, value)
    path = found["path"]
    if found["origin"]:
        scheme, _, host = found["origin"].lower().partition("://")
        if host != page.host.lower() or scheme not in {"https", page.scheme}:
            raise _refused(plugin, value)
        path = path or "/"
    elif path.startswith("//") or ":" in path.partition("/")[0]:
        raise _refused(plugin, value)
    if not path.startswith("/"):
        here = in_url(page.root_path + page.path)
        path = f"{here.rpartition('/')[0]}/{path}" if path else here
    path = _resolved(path)
    tops = [page.root_path + top for top in paths]
    if path.startswith("//") or not any(is_below(unquote(path), top) for top in tops):
        raise _refused(plugin, value)
    return path + found["rest"]


def is_own_page(path: str, paths: tuple[str, ...]) -> bool:
    """Tell whether the decoded `path` is at or below one of `paths`."""
    return any(is_below(path, top) for top in paths)


def _resolved(path: str) -> str:
    """Return an absolute path without the segments ``.`` and ``..``, however they are written."""
    done: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            del done[-1:]
        elif dots != ".":
            done.append(segment)
            continue
        if index == len(segments) - 1:
            done.append("")
    return "/" + "/".join(done)


def _refused(plugin: str, value: str) -> AnswerError:
    return AnswerError(
        f"plugin {plugin!r} redirects to {describe(value)}, expected a path of its own"
    )
