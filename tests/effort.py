"""How much of what has no end is tried."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

ORDINARY: Final = 100
"""As many examples as hypothesis makes of a test that names no number."""


def examples(count: int) -> int:
    """Return `count`, for a test with a number of its own, or its share in shorter runs."""
    return max(1, count * settings().max_examples // ORDINARY)
