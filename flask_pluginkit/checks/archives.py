"""Wheels and sdists, taken apart with care: nothing leaves the folder or grows without end."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from flask_pluginkit.text import clean

from .sources import Fault

MOST_FILES: Final = 5000
MOST_BYTES: Final = 64 * 1024 * 1024
"""Bytes that an archive may become, all files together."""

MOST_MEMBERS: Final = 4 * MOST_FILES
"""Entries of a tar file, folders and links included: each takes a little, in no time."""

_DEEPEST: Final = 30
_WANTED: Final = 4 * 1024 * 1024
"""Bytes of one file that are written; the rest of it is of no use here."""


def is_archive(path: Path) -> bool:
    """Tell whether this is a wheel or an sdist, by its name."""
    return path.name.endswith((".whl", ".tar.gz", ".zip"))


def unpack(path: Path, folder: Path, shown: str) -> tuple[Fault, ...]:
    """Write the files of an archive below `folder`, and return what is wrong with it.

    Only regular files are written, below the folder, with names that are plain.
    """
    try:
        written = 0
        for count, (name, stream) in enumerate(_members(path)):
            if count >= MOST_FILES or written > MOST_BYTES:
                reason = f"more than {MOST_FILES} files, or {MOST_BYTES} bytes"
                return (_fault("PK008", shown, f"not all of it was looked at: it holds {reason}"),)
            target = _target(name)
            if target is None:
                return (
                    _fault("PK001", shown, f"found a file outside of it: {clean(name, 200)!r}"),
                )
            place = folder.joinpath(*target.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            data = stream.read(_WANTED)
            written += len(data)
            place.write_bytes(data)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, RuntimeError,
            NotImplementedError, tarfile.TarError, zipfile.BadZipFile) as error:  # fmt: skip
        return (_fault("PK001", shown, f"the archive can't be read: {clean(error, 200)}"),)
    return ()


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if path.name.endswith(".tar.gz"):
        with gzip.open(path) as packed:
            yield from _of_tar(packed)
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, stream


def _of_tar(packed: gzip.GzipFile) -> Iterator[tuple[str, IO[bytes]]]:
    total = 0
    bounded = cast("IO[bytes]", _Bounded(packed))  # to read is all that a stream has to know
    with tarfile.open(fileobj=bounded, mode="r|") as tar:
        for count, member in enumerate(tar):
            if count >= MOST_MEMBERS:
                raise ValueError(f"it holds more than {MOST_MEMBERS} entries")
            # a file with holes is larger than what it is unpacked from
            total += member.size
            if total > MOST_BYTES:
                raise _too_large()
            if member.isreg() and (stream := tar.extractfile(member)) is not None:
                # an sdist holds one folder with everything
                yield member.name.partition("/")[2] or member.name, stream


class _Bounded:
    """What a packed stream becomes, up to so many bytes: names and headers have no end, too."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MOST_BYTES + MOST_MEMBERS * tarfile.BLOCKSIZE

    def read(self, size: int) -> bytes:
        """Return the next bytes. Raises ValueError if they are too many."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large()
        return data


def _too_large() -> ValueError:
    return ValueError(f"it becomes more than {MOST_BYTES} bytes")


def _target(name: str) -> PurePosixPath | None:
    path = PurePosixPath(name)
    usable = name.isprintable() and "\\" not in name and ":" not in name and "\0" not in name
    if path.is_absolute() or ".." in path.parts or not usable or not path.parts:
        return None
    return path if len(path.parts) <= _DEEPEST else None


def _fault(code: str, shown: str, message: str) -> Fault:
    return Fault(code=code, path=shown, message=message)
