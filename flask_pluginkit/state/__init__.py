"""The wanted state of plugins: what the operator asked for, and who remembers it."""

from __future__ import annotations

from .audit import Audit
from .base import Quarantine, State, StateStore, WantedState
from .files import FileStateStore

__all__ = ["Audit", "FileStateStore", "Quarantine", "State", "StateStore", "WantedState"]
