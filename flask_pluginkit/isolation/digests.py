"""The digest of a plugin's code: another digest is another version, whatever it calls itself.

All that lies in the plugin's folder counts, names and content, because all of it can be read
by the plugin. Not: markers of its state, and ``__pycache__``, which comes and goes; whoever runs
the code must not read from there, or other code could run under an approved digest
(`sys.pycache_prefix` of the worker). Links aren't followed: they count as where they lead to.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import LoadError, Problem
from flask_pluginkit.frozen import Frozen
from flask_pluginkit.text import clean, describe

MOST_FILES: Final = 10_000
MOST_BYTES: Final = 256 << 20
DEEPEST: Final = 32

CACHE: Final = "__pycache__"

_KEPT: Final = 1000
"""Folders whose digests are remembered."""

_PART: Final = 1 << 18

_Signature = tuple[int, int, int, int, int, int]


class _Item(Frozen, kw_only=False):
    name: bytes
    """Its path below the folder, with slashes."""
    path: bytes
    signature: _Signature
    """Kind, device, inode, size and times: a file that has the same ones wasn't written to."""


class Contents(Frozen, kw_only=False):
    """What was in a plugin's folder at one moment."""

    digest: str
    files: Mapping[str, bytes]
    """The SHA-256 of each file by its path; links aren't among them."""


class _Digests:
    """What was computed before, by folder; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[tuple[_Item, ...], str]] = OrderedDict()

    def of(self, folder: Path) -> str:
        top = os.fsencode(folder)
        items = _survey(folder, top)
        with self._lock:
            known = self._known.get(top)
        if known is not None and known[0] == items:
            return known[1]
        digest = _computed(folder, items)
        with self._lock:
            self._known[top] = items, digest
            self._known.move_to_end(top)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return digest


_DIGESTS: Final = _Digests()


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of all that counts in a plugin's folder, as 64 hexadecimal digits.

    Files are read once for each size and time of change.

    Raises:
        LoadError: it can't be read, or is larger than `MOST_FILES` and `MOST_BYTES` allow.

    """
    return _DIGESTS.of(folder)


def _survey(folder: Path, top: bytes) -> tuple[_Item, ...]:
    items: list[_Item] = []
    try:
        for item in _below(folder, top, b"", DEEPEST):
            items.append(item)
            if len(items) > MOST_FILES:
                raise _too_much(folder, f"more than {MOST_FILES} files", "fewer")
    except OSError as error:
        raise _unreadable(folder, error) from error
    if sum(item.signature[3] for item in items if stat.S_ISREG(item.signature[0])) > MOST_BYTES:
        raise _too_much(folder, f"more than {MOST_BYTES >> 20} MB", "less")
    return tuple(sorted(items, key=lambda item: item.name))


def _below(folder: Path, path: bytes, prefix: bytes, levels: int) -> Iterator[_Item]:
    if not levels:
        raise _too_much(folder, f"folders more than {DEEPEST} deep", "less")
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name == CACHE.encode() or (not prefix and entry.name in _MARKERS):
                continue
            found = entry.stat(follow_symlinks=False)
            name = prefix + entry.name
            yield _Item(
                name,
                entry.path,
                (
                    *(found.st_mode, found.st_dev, found.st_ino, found.st_size),
                    *(found.st_mtime_ns, found.st_ctime_ns),
                ),
            )
            if stat.S_ISDIR(found.st_mode):
                yield from _below(folder, entry.path, name + b"/", levels - 1)


_MARKERS: Final = frozenset({b"ENABLED", b"DISABLED"})
"""As `state.markers` has them; each plugin's process would have to import all of that."""


def contents_of(folder: Path) -> Contents:
    """Return what is in a plugin's folder now, all of which is read. Raises as `digest_of`."""
    files: dict[str, bytes] = {}
    digest = _computed(folder, _survey(folder, os.fsencode(folder)), files)
    return Contents(digest, files)


def _computed(folder: Path, items: tuple[_Item, ...], files: dict[str, bytes] | None = None) -> str:
    """Return the digest of what was found, and put the hash of each file into `files`."""
    whole = hashlib.sha256(b"flask_pluginkit 1\n")
    for item in items:
        kind = stat.S_IFMT(item.signature[0])
        try:
            content = _content(item, kind)
        except OSError as error:
            raise _unreadable(folder, error) from error
        if files is not None and kind == stat.S_IFREG:
            files[os.fsdecode(item.path)] = content
        # lengths stand before what others chose, so that no two folders make one text
        whole.update(b"%d %d %s %d %s" % (kind, len(item.name), item.name, len(content), content))
    return whole.hexdigest()


def _content(item: _Item, kind: int) -> bytes:
    """Return the hash of a file, the target of a link, nothing for all else."""
    if kind == stat.S_IFLNK:
        return os.readlink(item.path)  # noqa: PTH115 - its name may be no text
    if kind != stat.S_IFREG:
        return b""
    # it may have become a pipe or a link meanwhile
    descriptor = os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{os.fsdecode(item.path)} changes while it is read")
        own = hashlib.sha256()
        left = MOST_BYTES
        while left > 0 and (part := file.read(_PART)):
            own.update(part)
            left -= len(part)
        return own.digest()


def _too_much(folder: Path, found: str, expected: str) -> LoadError:
    return LoadError(
        Problem(
            where=clean(folder, 200),
            what="the plugin's folder",
            found=found,
            expected=f"{expected}, as it is read to tell one version from another",
            advice="keep data elsewhere: with the permission 'files', a plugin has a folder",
        )
    )


def _unreadable(folder: Path, error: OSError) -> LoadError:
    reason = error.strerror or str(error)
    name = error.filename if isinstance(error.filename, str | bytes) else ""
    return LoadError(
        Problem(
            where=clean(folder, 200),
            what="the plugin's folder",
            found=f"{describe(os.fsdecode(name))}: {clean(reason, 200)}",
            expected="files that this process may read",
        )
    )
