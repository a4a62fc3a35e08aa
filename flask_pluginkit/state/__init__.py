"""The wanted state of plugins: enabled or disabled, and who remembers it."""

from __future__ import annotations

from .base import StateStore, WantedState
from .files import MarkerStore

__all__ = ["MarkerStore", "StateStore", "WantedState"]
