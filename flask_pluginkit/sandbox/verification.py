"""Confinement that was tried out, not only applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from .kernel import OTHERWISE, WHERE
from .needs import NEEDFUL, Need, unmet
from .policy import Report
from .probes import HOSTILE, Outcome, Probe, tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A confinement in which every attack failed and everything needful worked."""

    report: Report
    outcomes: tuple[Outcome, ...]
    """What stopped each hostile probe."""
    needs: tuple[str, ...]
    """What was tried and works."""


def verify(
    report: Report,
    *,
    hostile: Iterable[Probe] = HOSTILE,
    needful: Iterable[Need] = NEEDFUL,
) -> Verified:
    """Try out the confinement of this process, before any code of a plugin is imported.

    Raises SandboxUnavailable with every attack that succeeded and every need that isn't met;
    the process must then end.
    """
    attempts = (tried(probe, report) for probe in hostile)
    outcomes = tuple(outcome for outcome in attempts if outcome is not None)
    problems = [_leak(outcome) for outcome in outcomes if not outcome.stopped]
    needs = tuple(needful)
    reasons = {need.name: unmet(need, report) for need in needs}
    problems += [_lack(name, reason) for name, reason in reasons.items() if reason is not None]
    if problems:
        raise SandboxUnavailable(problems)
    tested = (need for need in needs if not need.own_folder or report.policy.data is not None)
    return Verified(report=report, outcomes=outcomes, needs=tuple(need.name for need in tested))


def _leak(outcome: Outcome) -> Problem:
    return Problem(
        where=WHERE,
        what=f"attack {outcome.probe!r}",
        found=f"it isn't stopped ({outcome.by})",
        expected="a refusal by the sandbox",
        advice="report this with the version of the kernel and of the distribution; don't run "
        "code that nobody has reviewed on this machine",
    )


def _lack(name: str, reason: str) -> Problem:
    return Problem(
        where=WHERE,
        what=f"need {name!r}",
        found=reason,
        expected="that it works for a confined plugin",
        advice="look for a security module (AppArmor, SELinux) or a container's filter that "
        f"forbids it, for folders that the plugin's user can't read, and for limits that are "
        f"too low, {OTHERWISE}",
    )
