"""The page of the manual that a full run writes."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from contenders import Kind
from figures import Goal, Verdict
from measuring import Effort
from report import Result, amount, times, with_interval
from rows import COMPARISONS
from venvs import OLD_VERSION

METHOD = Path(__file__).with_name("method.md")
COLUMNS = (Kind.BARE, Kind.LOOP, Kind.TIMED, Kind.HAND, Kind.OLD, Kind.OURS)


def page(results: Sequence[Result], effort: Effort, seconds: float) -> str:
    """The whole page as Markdown."""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "This page is written by `nox -s bench`; edit `benchmarks/method.md` for the text",
            "and run it again for the figures.",
            "",
            *_machine(effort, seconds),
            *_goals(results),
            *_details(results),
            METHOD.read_text(encoding="utf-8").rstrip(),
            "",
        ]
    )


def _machine(effort: Effort, seconds: float) -> list[str]:
    """Where and how it was measured."""
    starts = effort.rounds * effort.starts
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in ("Flask", "Werkzeug", "Jinja2")},
        "Flask-PluginKit": f"{_our_version()} (ours) against {OLD_VERSION}",
        "samples": f"{effort.rounds} rounds of fresh processes, up to {effort.repetitions} "
        f"repetitions in each; of a start {effort.rounds} to {starts}",
        "duration": f"{seconds / 60:.1f} minutes",
    }
    return ["| | |", "|---|---|", *(_cells(pair) for pair in facts.items()), ""]


def _our_version() -> str:
    """The version that was measured; imported late, so that --help needs nothing."""
    from flask_pluginkit.version import __version__

    return __version__


def processor() -> str:
    """The model of the processor, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())


def _goals(results: Sequence[Result]) -> list[str]:
    """Each goal, and whether it is reached."""
    verdicts = [verdict for result in results for _, verdict in result.verdicts]
    lines = [
        "## Goals",
        "",
        f"{verdicts.count(Verdict.REACHED)} of {len(verdicts)} are reached.",
        "**floor** marks those that lie beyond what even the floor reaches, with its figure.",
        "",
        "| work | N | ratio | goal | measured [95 % interval] | |",
        "|---|--:|---|--:|--:|---|",
    ]
    for result in results:
        for goal, verdict in result.verdicts:
            found = result.ratios[goal.top, goal.bottom]
            limit = f"{'<=' if goal.at_most else '>='} {goal.limit:g}"
            shown = _shown(result, goal, verdict)
            lines.append(
                f"| {result.outcome.row.title} | {result.outcome.count} | {goal.top} / "
                f"{goal.bottom} | {limit} | {with_interval(found)} | {shown} |"
            )
    return [*lines, ""]


def _shown(result: Result, goal: Goal, verdict: Verdict) -> str:
    if verdict is Verdict.FLOOR:
        return f"**floor** {with_interval(result.ratios[goal.top, goal.floor])}"
    return verdict if verdict is Verdict.REACHED else f"**{verdict}**"


def _details(results: Sequence[Result]) -> list[str]:
    """All figures of each row."""
    lines = ["## All figures", ""]
    for row, group in groupby(results, key=lambda result: result.outcome.row):
        members = list(group)
        labels = [c for c in COLUMNS if any(c in member.medians for member in members)]
        pairs = [p for p in COMPARISONS if any(p in member.ratios for member in members)]
        lines += [f"### {row.title[0].upper()}{row.title[1:]}", "", row.explanation, ""]
        lines.append(_cells(["N", *labels, *(f"{top} / {bottom}" for top, bottom in pairs)]))
        lines.append("|" + "--:|" * (1 + len(labels) + len(pairs)))
        for member in members:
            medians = [amount(member.medians.get(label), row.measure) for label in labels]
            found = [member.ratios.get(pair) for pair in pairs]
            ratios = [
                with_interval(one) if pair[0] != Kind.OLD else times(one.value) if one else "-"
                for pair, one in zip(pairs, found, strict=True)
            ]
            lines.append(_cells([str(member.outcome.count), *medians, *ratios]))
        lines += ["", *_troubles(members)]
    return lines


def _troubles(results: Sequence[Result]) -> list[str]:
    """What went wrong in a row, so that nobody takes its figures for good."""
    lines = [
        f"- **INVALID** at N={result.outcome.count}: {label} answered something else."
        for result in results
        for label in result.outcome.wrong
    ] + [
        f"- Not measured at N={result.outcome.count}: {label} failed."
        for result in results
        for label in result.outcome.failures
    ]
    return [*lines, ""] if lines else []


def _cells(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"
