"""What the supervisor does for plugins that may not do it themselves."""

from __future__ import annotations

from .service import Service

__all__ = ["Service"]
