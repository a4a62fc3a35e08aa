"""From a `Page` to a WSGI environment, and the plugin's requests."""

from __future__ import annotations

import io
import sys
from typing import IO, Any, Final

from flask import Request

from flask_pluginkit.isolation.messages import (
    Page,
)

USER: Final = "pluginkit.user"
"""What the host's callback hands out of the user, in the environment of a request."""

ASIDE: Final = "pluginkit.aside"
"""True where the request that is shown isn't one for the plugin's own views."""

_BARE: Final = {"CONTENT_TYPE", "CONTENT_LENGTH"}


class InnerRequest(Request):
    """A request whose body is in memory already, and whose uploads stay there."""

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002 - Werkzeug's parameters
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        # a temporary file needs a folder, which most isolated plugins don't have
        return io.BytesIO()


def environ_of(page: Page, body: bytes = b"", *, cookies: bool = False) -> dict[str, Any]:
    """Return the WSGI environment of a request, with cookies only if they are permitted."""
    host, _, port = page.host.rpartition(":")
    if not port.isdigit():
        host, port = page.host, "443" if page.scheme == "https" else "80"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": page.method,
        "SCRIPT_NAME": _wsgi(page.root_path),
        "PATH_INFO": _wsgi(page.path),
        "QUERY_STRING": _query(page.query),
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": page.host,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": page.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        USER: page.user,
    }
    if page.remote_addr is not None:
        environ["REMOTE_ADDR"] = page.remote_addr
    for name, value in page.headers:
        key = name.upper().replace("-", "_")
        if key not in _BARE:
            key = f"HTTP_{key}"
        if "_" in name or key == "HTTP_HOST" or (key == "HTTP_COOKIE" and not cookies):
            continue  # an underscore would pass for a hyphen here
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    if body or page.method not in {"GET", "HEAD"}:
        environ["CONTENT_LENGTH"] = str(len(body))
    else:
        environ.pop("CONTENT_LENGTH", None)
    return environ


def _wsgi(text: str) -> str:
    """Return text as WSGI wants it: UTF-8, each byte as a character."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _query(text: str) -> str:
    """Return a query, of which the host has the bytes as characters already."""
    return text if max(text, default="") <= "\xff" else _wsgi(text)
