"""Processes that unconfined plugins started, and that outlived the workers they came from.

The supervisor is their parent then. Those that left their worker's group, as services do that
detach themselves, live as long as the supervisor does.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

ROUNDS: Final = 20
"""How often what is ended may leave others behind."""


def children() -> list[int]:
    """Return the ids of this process' children; none where the system doesn't tell."""
    try:
        text = Path("/proc/thread-self/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def reap(besides: int) -> None:
    """Wait for those that have ended, but not for the process `besides`."""
    for child in children():
        if child != besides:
            with suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


def end() -> None:
    """End all children, and theirs. To be called when none of them is needed."""
    for _ in range(ROUNDS):
        if not (found := children()):
            return
        for child in found:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
