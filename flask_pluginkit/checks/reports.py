"""What was found: values that are printed, or written as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from flask_pluginkit.text import clean

from .codes import CODES, RANKS, Severity

FORMAT: Final = 1
"""The version of the JSON; it rises when something in it changes its meaning or goes away."""

LONGEST_MESSAGE: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found; all texts are printable."""

    plugin: str
    """The plugin's name; "" for what concerns none or several."""
    path: str
    """The file, counted from where the check began, with "/" between its parts."""
    line: int = 0
    """From 1; 0 if it concerns the whole file."""
    column: int = 0
    """From 1; 0 if it concerns the whole line."""
    code: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = ":".join([self.path, *(str(number) for number in self.place if number)])
        return f"{place} {self.code} {self.message}"

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return self.line, self.column

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return {
            "plugin": self.plugin,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
        }


def make_finding(
    code: str,
    message: str,
    *,
    path: str,
    plugin: str = "",
    place: tuple[int, int] = (0, 0),
    severity: Severity | None = None,
) -> Finding:
    """Return a finding in printable characters, with the severity of its code unless one is given.

    What others wrote may be in `message`, `path` and `plugin`.
    """
    line, column = place
    return Finding(
        plugin=clean(plugin, 100),
        path=clean(path, 300) or ".",
        line=max(line, 0),
        column=max(column, 0) if line > 0 else 0,
        code=code,
        severity=severity or CODES[code].severity,
        message=clean(message, LONGEST_MESSAGE),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One plugin that was checked."""

    name: str
    path: str
    """Its folder, counted from where the check began."""
    was_run: bool
    """True if it was imported, and ``register()`` called, with what that returned looked at."""

    def as_dict(self) -> dict[str, Any]:
        """Return this as JSON has it."""
        return {"name": self.name, "path": self.path, "was_run": self.was_run}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a check found."""

    plugins: tuple[Checked, ...]
    findings: tuple[Finding, ...]
    """Sorted by file, line, column and code."""
    suppressed: int = 0
    """Findings that a comment suppresses."""

    def reaches(self, severity: Severity) -> bool:
        """Tell whether anything was found that matters as much as `severity`, or more."""
        return any(RANKS[one.severity] >= RANKS[severity] for one in self.findings)

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each severity, the worst first."""
        return {
            severity.value: sum(one.severity is severity for one in self.findings)
            for severity in Severity
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "format": FORMAT,
            "plugins": [plugin.as_dict() for plugin in self.plugins],
            "findings": [finding.as_dict() for finding in self.findings],
            "counts": self.counts(),
            "suppressed": self.suppressed,
        }


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings as they are shown, each once."""
    keyed = {_key(finding): finding for finding in findings}
    return tuple(keyed[key] for key in sorted(keyed))


def _key(finding: Finding) -> tuple[Any, ...]:
    return (finding.plugin, finding.path, *finding.place, finding.code, finding.message)
