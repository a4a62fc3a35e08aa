"""What the benchmarks say about a goal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the benchmarks that judges; they leave no module of theirs behind."""
    before = sys.modules.copy()
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield import_module("figures")
    for name, module in sys.modules.copy().items():
        if (
            name not in before
            and Path(getattr(module, "__file__", None) or "").parent == BENCHMARKS
        ):
            del sys.modules[name]


def verdict(figures: Any, low: float, high: float, samples: int) -> str:
    """What is said of a goal of at least 1."""
    ratio = figures.Ratio(
        top="theirs", bottom="ours", value=low, low=low, high=high, samples=samples
    )
    goal = figures.Goal(top="theirs", bottom="ours", limit=1, at_most=False)
    return str(goal.verdict(ratio))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(1.1, 1.2, "reached"), (0.7, 0.8, "missed"), (0.9, 1.1, "open")],
)
def test_the_whole_interval_decides_on_a_goal(
    figures: Any, low: float, high: float, said: str
) -> None:
    """Only a goal that lies inside the interval is open."""
    assert verdict(figures, low, high, figures.FEWEST) == said


def test_too_few_samples_leave_no_goal_open(figures: Any) -> None:
    """Where there is no interval, that is said, as the goal may well be far away."""
    assert verdict(figures, 0.68, 0.68, figures.FEWEST - 1) == "too few samples"


def test_a_full_run_has_samples_enough_for_a_verdict(figures: Any) -> None:
    """However long starts take, a goal for them gets as many as its verdict needs."""
    full = import_module("run").FULL
    _, least = import_module("measuring")._repetitions(full, has_goal=True)
    assert full.rounds * least >= figures.FEWEST
