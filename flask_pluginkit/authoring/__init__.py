"""The decorators for authors of plugins: `Plugin`, which makes what ``register()`` returns."""

from __future__ import annotations

from .plugin import Plugin

__all__ = ["Plugin"]
