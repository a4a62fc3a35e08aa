"""What plugins write to standard output and error: cleaned, limited, kept in one file."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from flask_pluginkit.text import clean

from .loop import READ, Loop

NAME: Final = "sandbox.log"

LONGEST_LINE: Final = 2_000
PART: Final = 1 << 16
PAUSE: Final = 0.1
"""Seconds between two looks at one plugin's output: whoever writes more has to wait."""
BURST: Final = 8
"""So many seconds' worth of the rate may come at once."""
TAIL: Final = 20
"""Lines that are kept in memory, for the reason why a worker died."""


class LogFile:
    """The file; it begins anew when it is full, and the one before is kept."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path = folder / NAME
        self._size = size
        self._descriptor: int | None = None
        self._written = 0

    def write(self, plugin: str, text: str) -> None:
        """Add one line; a full or missing disk stops nothing."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = f"{stamp} [{clean(plugin, 100)}] {clean(text, LONGEST_LINE)}\n".encode()
        with suppress(OSError):
            if self._descriptor is not None and self._written + len(line) > self._size:
                self.close()
                self.path.replace(self.path.with_name(f"{NAME}.1"))
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self.path, flags, 0o600)
                self._written = os.fstat(self._descriptor).st_size
            self._written += os.write(self._descriptor, line)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Output:
    """The pipe that one worker writes to. It is always read, but not as fast as it is written."""

    def __init__(self, loop: Loop, descriptor: int, plugin: str, file: LogFile, rate: int) -> None:
        os.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self._plugin = plugin
        self._file = file
        self._rate = rate
        self._budget = float(rate * BURST)
        self._since = time.monotonic()
        self._partial = b""
        self._dropped = 0
        self._is_open = True
        self.tail: deque[str] = deque(maxlen=TAIL)
        loop.watch(descriptor, READ, self._ready)

    def close(self) -> None:
        """Take what there is at the end, and close it."""
        if not self._is_open:
            return
        with suppress(OSError):
            self._take(os.read(self._descriptor, PART))
        self._take(b"\n" if self._partial else b"")
        self._report()
        self._is_open = False
        self._loop.forget(self._descriptor)
        os.close(self._descriptor)

    def _ready(self) -> None:
        self._loop.forget(self._descriptor)
        try:
            data = os.read(self._descriptor, PART)
        except OSError:
            data = b""
        if not data:
            return  # every writer has closed it; the worker's end comes elsewhere
        self._take(data)
        self._loop.later(PAUSE, self._again)

    def _again(self) -> None:
        if self._is_open:
            self._report()
            self._loop.watch(self._descriptor, READ, self._ready)

    def _take(self, data: bytes) -> None:
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        if len(self._partial) > LONGEST_LINE:
            lines.append(self._partial)
            self._partial = b""
        now = time.monotonic()
        most = float(self._rate * BURST)
        self._budget = min(self._budget + (now - self._since) * self._rate, most)
        self._since = now
        for line in lines:
            if len(line) + 40 > self._budget:
                self._dropped += len(line) + 1
                continue
            self._budget -= len(line) + 40
            text = line.decode("utf-8", "replace")
            self.tail.append(clean(text, LONGEST_LINE))
            self._file.write(self._plugin, text)

    def _report(self) -> None:
        if self._dropped:
            self._file.write(self._plugin, f"({self._dropped} bytes dropped: too much at once)")
            self._dropped = 0
