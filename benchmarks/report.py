"""From outcomes to results, figures as text, and the table for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contenders import Kind
from figures import Goal, Ratio, Verdict, middle, ratio
from measuring import Outcome
from rows import COMPARISONS, PLAIN_AGAIN, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An outcome with its figures."""

    outcome: Outcome
    medians: Mapping[str, float]
    ratios: Mapping[tuple[str, str], Ratio]
    verdicts: Sequence[tuple[Goal, Verdict]]
    """Of each goal whose two contenders were measured."""


def result_of(outcome: Outcome) -> Result:
    """The figures of `outcome`."""
    samples = outcome.samples
    ratios: dict[tuple[str, str], Ratio] = {
        (top, bottom): ratio(top, bottom, dict(samples))
        for top, bottom in COMPARISONS
        if top in samples and bottom in samples
    }
    verdicts = [
        (goal, _verdict(goal, ratios, outcome.wrong))
        for goal in outcome.row.goals.get(outcome.count, ())
        if (goal.top, goal.bottom) in ratios
    ]
    return Result(
        outcome=outcome,
        medians={label: middle(figures) for label, figures in samples.items()},
        ratios=ratios,
        verdicts=verdicts,
    )


def _verdict(
    goal: Goal, ratios: Mapping[tuple[str, str], Ratio], wrong: Mapping[str, str]
) -> Verdict:
    """What is said about a goal; of the floor only where the goal isn't reached."""
    if {goal.top, goal.bottom} & wrong.keys():
        return Verdict.INVALID
    found = goal.verdict(ratios[goal.top, goal.bottom])
    floor = None if goal.floor in wrong else ratios.get((goal.top, goal.floor))
    is_beyond = floor is not None and goal.verdict(floor) is Verdict.MISSED
    return Verdict.FLOOR if is_beyond and found is not Verdict.REACHED else found


# ---- figures as text ------------------------------------------------------------------------


def amount(value: float | None, measure: object) -> str:
    """A median with its unit."""
    if value is None:
        return "-"
    if measure in (Start.RSS, Start.PSS):
        return f"{value / 1e6:.1f} MB"
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e3:.3g} us"


def times(value: float) -> str:
    """A ratio with about three digits."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def with_interval(found: Ratio | None) -> str:
    """A ratio and its interval."""
    if found is None:
        return "-"
    return f"{times(found.value)} [{times(found.low)}-{times(found.high)}]"


def of_floor(result: Result, goal: Goal, verdict: Verdict) -> str:
    """What the floor would reach, where a goal lies beyond it."""
    if verdict is not Verdict.FLOOR:
        return ""
    return f", {times(result.ratios[goal.top, goal.floor].value)}"


# ---- the terminal ---------------------------------------------------------------------------


def terminal(results: Sequence[Result]) -> str:
    """The table in at most 80 columns."""
    lines = [
        f"{'':28}{'plain or':>9}{'':18}{'ours / plain':>17}{'3.12.1':>8}",
        f"{'work':23}{'N':>5}{'by hand':>9}{'3.12.1':>9}{'ours':>9}{'or by hand':>17}{'/ ours':>8}",
        "-" * 80,
    ]
    for result in results:
        lines += _terminal_lines(result)
    return "\n".join(lines)


def _terminal_lines(result: Result) -> list[str]:
    """One line of figures, and one for each goal and each thing that went wrong."""
    outcome, row = result.outcome, result.outcome.row
    floor = row.floor
    cells = [amount(result.medians.get(kind), row.measure) for kind in (floor, Kind.OLD, Kind.OURS)]
    against_floor = result.ratios.get((PLAIN_AGAIN, floor)) or result.ratios.get((Kind.OURS, floor))
    against_old = result.ratios.get((Kind.OLD, Kind.OURS))
    figures = f"{cells[0]:>9}{cells[1]:>9}{cells[2]:>9}{with_interval(against_floor):>17}"
    last = times(against_old.value) if against_old else "-"
    lines = [f"{row.title:23}{outcome.count:>5}{figures}{last:>8}"]
    lines += [
        f"  {goal}: {verdict}{of_floor(result, goal, verdict)}" for goal, verdict in result.verdicts
    ]
    lines += [f"  WRONG {who}: {text}"[:80] for who, text in outcome.wrong.items()]
    lines += [
        f"  FAILED {who}: {text.strip().splitlines()[-1]}"[:80]
        for who, text in outcome.failures.items()
    ]
    return lines
