"""Cookies of a plugin's own: named after it, and sent back to its own pages alone."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from werkzeug.http import http_date, parse_date

from .own import Place, in_url

LARGEST_COOKIE: Final = 4096
"""Characters of one, with its attributes; what browsers keep at least (RFC 6265, 6.1)."""

_PAIR: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})=([!-:<-~ ]*)")
_AGE: Final = re.compile(r"-?[0-9]{1,10}")


def own_cookie(
    value: str, prefix: str, page: Place, path: str, hidden: Collection[str] = ()
) -> str | None:
    """Return a ``Set-Cookie`` that may be sent for the plugin's, None for none.

    Args:
        value: what the plugin sent; name, value and how long it lives are taken from it.
        prefix: what the name has to begin with.
        page: the request that is answered.
        path: the plugin's own path, decoded, below the page's `root_path`.
        hidden: names of the site's own cookies, whatever they begin with.

    """
    first, *attributes = value.split(";")
    found = _PAIR.fullmatch(first.strip())
    if found is None or not found[1].startswith(prefix) or found[1] in {prefix, *hidden}:
        return None
    parts = [f"{found[1]}={found[2].strip()}"]
    for attribute in attributes:
        name, _, text = attribute.strip().partition("=")
        if name.lower() == "max-age" and _AGE.fullmatch(text.strip()):
            parts.append(f"Max-Age={text.strip()}")
        elif name.lower() == "expires" and (moment := parse_date(text.strip())) is not None:
            parts.append(f"Expires={http_date(moment)}")
    parts += [f"Path={in_url(page.root_path + path)}", "HttpOnly", "SameSite=Lax"]
    if page.scheme == "https":
        parts.append("Secure")
    return "; ".join(parts)


def cookies_for_plugin(value: str, prefix: str, hidden: Collection[str] = ()) -> str:
    """Return what of a ``Cookie`` header is named after the plugin, and isn't `hidden`."""
    pairs = [pair.strip().partition("=") for pair in value.split(";")]
    return "; ".join(
        f"{name}={text}"
        for name, sign, text in pairs
        if sign and name.startswith(prefix) and name.strip() not in hidden
    )
