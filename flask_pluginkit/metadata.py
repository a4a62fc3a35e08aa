"""What the metadata of an installed distribution tells of the plugin that it brought."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageMetadata

from .text import clean
from .versions import is_semantic


def read_metadata(distribution: Distribution | None) -> dict[str, str]:
    """Return texts for dunders that a plugin may leave to its distribution, and its "Name".

    What isn't there, or can't be read, is left out, and so is a version that isn't semantic.
    All texts are printable. Without a distribution there are none.
    """
    if distribution is None:
        return {}
    try:
        metadata = distribution.metadata
    except Exception:  # noqa: BLE001 - a damaged installation; what is missing is reported
        return {}
    version = _first(metadata, "Version")
    texts = {
        "Name": _first(metadata, "Name"),
        "__version__": version if is_semantic(version) else "",
        "__author__": _first(metadata, "Author", "Author-email", "Maintainer", "Maintainer-email"),
        "__description__": _first(metadata, "Summary"),
        "__url__": _first(metadata, "Home-page") or _homepage(metadata),
        "__license__": _first(metadata, "License-Expression", "License"),
    }
    return {key: text for key, text in texts.items() if text}


def _first(metadata: PackageMetadata, *keys: str) -> str:
    """Return the first value of these fields that says something."""
    values = (clean(value) for key in keys for value in metadata.get_all(key) or [])
    # UNKNOWN is what older build tools wrote for "not given"
    return next((value for value in values if value not in {"", "UNKNOWN"}), "")


def _homepage(metadata: PackageMetadata) -> str:
    """Return the link that is labelled as the home page, else the first, else ""."""
    links: dict[str, str] = {}
    for link in metadata.get_all("Project-URL") or []:
        label, _, url = clean(link).partition(",")
        # labels are compared without case and punctuation (core metadata, well-known labels)
        links.setdefault(re.sub(r"[\W_]", "", label).lower(), url.strip())
    return links.get("homepage") or next(iter(links.values()), "")
