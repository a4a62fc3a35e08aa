"""Checking plugins before anybody runs them: `check` and what it returns.

Everything is found by reading, except for what only running a plugin can show; that is done in a
process of its own.
"""

from __future__ import annotations

from .checking import check
from .codes import CODES, Code, Severity
from .reports import Checked, Finding, Report

__all__ = ["CODES", "Checked", "Code", "Finding", "Report", "Severity", "check"]
