"""What running a plugin leaves behind, which goes when the check is over: processes and folders."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROUNDS: Final = 200
"""How often processes are looked for, while some are found."""

_PAUSE: Final = 0.01


if sys.platform == "linux":

    def end_processes(home: Path) -> None:
        """End what was started with this folder, of one check alone, as its home; on Linux.

        That is what has left the group of the process that started it. It is known by its
        environment as it began, or by the folder that it is in.
        """
        for _round in range(_ROUNDS):  # one may have started another meanwhile
            if not [number for number in _numbers() if _end_if_at(number, home)]:
                return
            time.sleep(_PAUSE)

    def _numbers() -> Iterator[int]:
        with suppress(OSError):
            for folder in Path("/proc").iterdir():
                if folder.name.isdecimal() and int(folder.name) != os.getpid():
                    yield int(folder.name)

    def _end_if_at(number: int, home: Path) -> bool:
        """End a process if that is its home. The number can't become another's meanwhile."""
        try:
            process = os.pidfd_open(number)
        except OSError:
            return False
        try:
            if not _is_at(Path("/proc") / str(number), home):
                return False
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except OSError:  # it is somebody else's, or gone
            return False
        finally:
            os.close(process)
        return True

    def _is_at(process: Path, home: Path) -> bool:
        if process.stat().st_uid != os.getuid():
            return False
        if f"HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        return (process / "cwd").readlink().is_relative_to(home)

else:

    def end_processes(home: Path) -> None:
        """Do nothing: here it can't be seen which ones are to be ended."""


def remove(room: Path) -> None:
    """Remove a folder with all that is in it, as far as that can be done.

    Folders in it are moved up to it before they are looked into: so it doesn't matter how deep
    they are, neither for the names of what is in them nor for the calls of this program.
    """
    mark = secrets.token_hex(8)
    folders, count = [room], 0
    while folders:
        folder = folders.pop()
        with suppress(OSError):
            for entry in [*os.scandir(folder)]:
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        Path(entry.path).unlink()
                        continue
                    count += 1
                    target = room / f"{mark}-{count}"
                    Path(entry.path).chmod(0o700)
                    Path(entry.path).rename(target)
                    folders.append(target)
        with suppress(OSError):
            folder.rmdir()
    with suppress(OSError):
        room.rmdir()
