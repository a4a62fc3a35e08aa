"""What the operator asked for, and the seam to whatever stores it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Protocol


class WantedState(StrEnum):
    """What the operator asked for; what became of it in a process is the plugin's status."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class StateStore(Protocol):
    """Where wanted states are kept: files today, something shared by a cluster tomorrow."""

    def read(self, name: str, folder: Path) -> WantedState | None:
        """Return what is stored for the plugin `name` in `folder`, None where nothing is.

        Raises `StateError` if the store can't be read.
        """

    def write(self, name: str, folder: Path, state: WantedState) -> None:
        """Store `state` for good before returning, or raise `StateError` and change nothing."""
