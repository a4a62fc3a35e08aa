"""What a hostile probe tries to reach: things of ours that nothing but confinement protects.

A file that only root may read proves nothing about Landlock. So canaries are open to every
user, and that they can be reached is checked before the confinement.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from .kernel import WHERE

TEXT: Final = "A confined process can't read this.\n"

FILE_MODE: Final = 0o666

LONGEST_SOCKET: Final = 107
"""The bytes that the path of a Unix socket has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canaries:
    """Where the canaries are."""

    folder: str
    """A folder that every user can list; absolute, and below nothing that a policy allows."""
    file: str
    """A file in it that every user can read and write."""
    socket: str
    """A listening Unix socket in it that every user can connect to."""


@contextmanager
def planted(parent: Path) -> Iterator[Canaries]:
    """Make canaries in a folder that every user can reach; they are gone at the end.

    Raises SandboxUnavailable if the path is too long for a socket, OSError if it can't be
    written to.
    """
    # a name of its own: whoever was killed outright leaves its canaries behind
    folder = Path(tempfile.mkdtemp(prefix="canaries-", dir=os.path.realpath(parent)))
    try:
        with _furnished(folder) as canaries:
            yield canaries
    finally:
        folder.rmdir()


@contextmanager
def _furnished(folder: Path) -> Iterator[Canaries]:
    canaries = Canaries(
        folder=str(folder), file=str(folder / "file"), socket=str(folder / "socket")
    )
    if len(os.fsencode(canaries.socket)) > LONGEST_SOCKET:
        raise _unusable(canaries.socket, f"a path of at most {LONGEST_SOCKET} bytes")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(canaries.socket)
            listener.listen(1)
            Path(canaries.file).write_text(TEXT, encoding="utf-8")
            # whatever the umask is
            folder.chmod(0o755)
            Path(canaries.file).chmod(FILE_MODE)
            Path(canaries.socket).chmod(0o666)
            yield canaries
    finally:
        for place in (canaries.file, canaries.socket):
            Path(place).unlink(missing_ok=True)


def require_reachable(canaries: Canaries) -> None:
    """Check that only confinement will stand between this user and the canaries.

    Raises SandboxUnavailable that names the one that is out of reach.
    """
    for place, mode in (
        (canaries.folder, os.R_OK | os.X_OK),
        (canaries.file, os.R_OK | os.W_OK),
        (canaries.socket, os.W_OK),
    ):
        if not os.access(place, mode):
            raise _unusable(place, f"something that uid {os.getuid()} can reach")


def _unusable(place: str, expected: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        Problem(
            where=WHERE,
            what="canary",
            found=f"{place}, which isn't",
            expected=expected,
            advice="plant the canaries in a world-readable folder with a short path",
        )
    )
