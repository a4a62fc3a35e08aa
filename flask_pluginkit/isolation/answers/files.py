"""Static files of isolated plugins, which browsers get from the site's own origin.

Images, fonts and styles alone; scripts with the permission ``assets:script``. The content type
follows from the name's ending, and with the headers of `file_headers` a file that is opened as
a page can neither run nor load anything.

A file is opened step by step from the plugin's folder without following any link, as the
plugin's archive may hold links to the site's files; and only a regular file, as a pipe would
hold up who opens it.

A style sheet can tell others what is in the page that it is for, by loading one picture or
another. A page's policy decides what may be loaded, and not the style sheet's own headers. So
one that names anything but the plugin's own files isn't served: no scheme but ``data:`` with
pictures and fonts, no ``//``, no absolute paths, none that lead out of the folder. It is read
strictly: what two readers could read in different ways isn't served either.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from flask_pluginkit.frozen import Frozen

from .policy import FILE_POLICY
from .styles import is_harmless

LARGEST: Final = 16 << 20
"""Bytes of a static file."""

LARGEST_STYLE: Final = 512 << 10
"""Bytes of a style sheet, which is read before it is served."""

DEEPEST: Final = 16
"""Folders that a file may lie in."""

_PASSIVE: Final = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "css": "text/css; charset=utf-8",
    "gif": "image/gif",
    "ico": "image/vnd.microsoft.icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "otf": "font/otf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
}

_SCRIPTS: Final = {"js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8"}

_SHARED: Final = ("font/", "text/javascript")
"""What a sandboxed page, to which the site is another one, loads only where that is allowed."""

_ODD: Final = re.compile(r"[\x00-\x1f\x7f\\/]")


class StaticFile(Frozen):
    """A file to be sent; whoever sends it closes it."""

    file: BinaryIO
    content_type: str
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch."""


def open_static(folder: Path, filename: str, *, scripts: bool = False) -> StaticFile | None:
    """Return a static file of an isolated plugin, opened; None if there is none to be served.

    Args:
        folder: the plugin's folder for static files; the path to it is trusted.
        filename: the path below it, decoded, with slashes.
        scripts: whether the plugin has the permission ``assets:script``.

    """
    content_type = content_type_of(filename, scripts=scripts)
    segments = filename.split("/")
    if content_type is None or len(segments) > DEEPEST:
        return None
    if any(part in {"", ".", ".."} or _ODD.search(part) for part in segments):
        return None
    try:
        descriptor = _opened(folder, segments)
    except (OSError, ValueError):  # ValueError: surrogates, which no file system has
        return None
    found = os.fstat(descriptor)
    limit = LARGEST_STYLE if content_type.startswith("text/css") else LARGEST
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
        os.close(descriptor)
        return None
    result = StaticFile(
        file=os.fdopen(descriptor, "rb"),
        content_type=content_type,
        size=found.st_size,
        modified=found.st_mtime,
    )
    return _read(result, len(segments) - 1) if limit == LARGEST_STYLE else result


def content_type_of(filename: str, *, scripts: bool = False) -> str | None:
    """Return the content type of a static file, None if such files aren't served."""
    ending = filename.rpartition(".")[2].lower()
    return _PASSIVE.get(ending) or (_SCRIPTS.get(ending) if scripts else None)


def file_headers(content_type: str) -> list[tuple[str, str]]:
    """Return the headers with which a static file of an isolated plugin is sent."""
    headers = [
        ("Content-Security-Policy", FILE_POLICY),
        ("Content-Type", content_type),
        ("X-Content-Type-Options", "nosniff"),
        # to a browser, a sandboxed page of the plugin's is another site
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Referrer-Policy", "no-referrer"),
    ]
    if content_type.startswith(_SHARED):
        headers.append(("Access-Control-Allow-Origin", "*"))
    return headers


def _opened(folder: Path, segments: list[str]) -> int:
    """Return the descriptor of a file below `folder` that no link leads to. Raises OSError."""
    *names, last = segments
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    here = os.open(folder, flags | os.O_DIRECTORY)
    try:
        for name in names:
            inner = os.open(name, flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        return os.open(last, flags | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=here)
    finally:
        os.close(here)


def _read(style: StaticFile, depth: int) -> StaticFile | None:
    with style.file as file:
        content = file.read(LARGEST_STYLE + 1)
    if len(content) > LARGEST_STYLE or not _is_harmless(content, depth):
        return None
    return StaticFile(
        file=BytesIO(content),
        content_type=style.content_type,
        size=len(content),
        modified=style.modified,
    )


_VERDICTS: dict[bytes, bool] = {}
"""Of style sheets that were read before: reading one takes much longer than its digest."""

_MOST_VERDICTS: Final = 1000


def _is_harmless(content: bytes, depth: int) -> bool:
    key = hashlib.sha256(content).digest() + bytes([depth])
    verdict = _VERDICTS.get(key)
    if verdict is None:
        verdict = is_harmless(content, depth)
        if len(_VERDICTS) >= _MOST_VERDICTS:
            _VERDICTS.clear()
        _VERDICTS[key] = verdict
    return verdict
