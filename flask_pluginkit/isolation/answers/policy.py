"""The policy under which browsers show what an isolated plugin serves."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .own import ASSETS, Place, in_url, own_assets

PASSIVE: Final = ("image/", "font/", "audio/", "video/", "text/css")
"""What pages embed from anywhere; it begins its content type."""

FILE_POLICY: Final = "sandbox; default-src 'none'"
"""For static files: should one be opened as a page, it can do and load nothing."""

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

_SANDBOX: Final = "sandbox allow-downloads allow-forms allow-popups allow-popups-to-escape-sandbox"


def content_policy(
    plugin: str, page: Place, paths: tuple[str, ...], *, scripts: bool, assets: str = ASSETS
) -> str:
    """Return the Content-Security-Policy of a plugin's views.

    The page gets an origin of its own that nobody shares, so it has no cookies, no storage,
    and no way into pages of the site. It loads what lies at the plugin's own paths, and sends
    forms there; what it opens in another tab isn't sandboxed by it. With `scripts` it may run
    those that are static files of the plugin, and no inline ones.
    """
    return _policy(
        plugin, page.scheme, page.host, page.root_path, paths, scripts=scripts, assets=assets
    )


@lru_cache(maxsize=256)
def _policy(
    plugin: str,
    scheme: str,
    host: str,
    root_path: str,
    paths: tuple[str, ...],
    *,
    scripts: bool,
    assets: str,
) -> str:
    if not _HOST.fullmatch(host) or scheme not in {"http", "https"}:
        return f"{FILE_POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    root = f"{scheme}://{host}{in_url(root_path)}"
    files = f"{root}{in_url(own_assets(plugin, assets))}"
    tops = [path.rstrip("/") for path in paths]
    own = " ".join([f"{root}{in_url(top)}/" for top in tops])
    # a path without a slash at its end stands for itself alone
    exactly = " ".join([f"{root}{in_url(top)}" for top in tops if top])
    views = f"{own} {exactly}".rstrip()
    parts = [
        f"{_SANDBOX} allow-scripts" if scripts else _SANDBOX,
        "default-src 'none'",
        f"style-src {views} {files} 'unsafe-inline'",
        *(f"{kind}-src {views} {files} data:" for kind in ("img", "font", "media")),
        f"form-action {views}",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    ]
    if scripts:
        parts += [f"script-src {files}", f"connect-src {views}", "worker-src 'none'"]
    return "; ".join(parts)
