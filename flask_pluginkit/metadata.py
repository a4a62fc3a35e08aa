"""What the metadata of an installed distribution tells of the plugin that it brought."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import Distribution

from .text import clean
from .versions import is_semantic

Fields = Callable[[str], list[str] | None]
"""All values of a field of the metadata, by its name."""


def read_metadata(distribution: Distribution | None) -> dict[str, str]:
    """Return texts for dunders that a plugin may leave to its distribution, and its "Name".

    What isn't there, or can't be read, is left out, and so is a version that isn't semantic.
    All texts are printable. Without a distribution there are none.
    """
    if distribution is None:
        return {}
    try:
        fields = distribution.metadata.get_all
    except Exception:  # noqa: BLE001 - a damaged installation; what is missing is reported
        return {}
    version = _first(fields, "Version")
    texts = {
        "Name": _first(fields, "Name"),
        "__version__": version if is_semantic(version) else "",
        "__author__": _first(fields, "Author", "Author-email", "Maintainer", "Maintainer-email"),
        "__description__": _first(fields, "Summary"),
        "__url__": _first(fields, "Home-page") or _homepage(fields),
        "__license__": _first(fields, "License-Expression", "License"),
    }
    return {key: text for key, text in texts.items() if text}


def _first(fields: Fields, *keys: str) -> str:
    """Return the first value of these fields that says something."""
    values = (clean(value) for key in keys for value in fields(key) or [])
    # UNKNOWN is what older build tools wrote for "not given"
    return next((value for value in values if value not in {"", "UNKNOWN"}), "")


def _homepage(fields: Fields) -> str:
    """Return the link that is labelled as the home page, else the first, else ""."""
    links: dict[str, str] = {}
    for link in fields("Project-URL") or []:
        label, _, url = clean(link).partition(",")
        # labels are compared without case and punctuation (core metadata, well-known labels)
        links.setdefault(re.sub(r"[\W_]", "", label).lower(), url.strip())
    return links.get("homepage") or next(iter(links.values()), "")
