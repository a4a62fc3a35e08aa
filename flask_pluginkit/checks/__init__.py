"""Checking plugins before anybody runs them: `check` and what it returns.

Everything is found by reading, except for what only running a plugin can show; that is done in a
process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codes import CODES, Code, Severity
from .reports import Checked, Finding, Report

if TYPE_CHECKING:
    from .checking import check

__all__ = ["CODES", "Checked", "Code", "Finding", "Report", "Severity", "check"]


def __getattr__(name: str) -> Any:
    """Import `check` when it is asked for: the process that runs a plugin needs no rules."""
    if name == "check":
        from .checking import check

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
