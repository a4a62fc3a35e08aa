"""From samples to figures: medians, ratios with an interval, and whether a goal is reached."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

RESAMPLES = 2000
CONFIDENCE = 0.95
FEWEST = 6
"""Samples without which no interval holds the median with that confidence: 1 - 2 / 2**6."""

Samples = Sequence[Sequence[float]]
"""One list a round (a set of fresh processes), in it one figure a repetition."""


class Verdict(StrEnum):
    """What the measurement says about a goal."""

    REACHED = "reached"
    """The whole interval meets the goal."""
    MISSED = "missed"
    """No part of the interval meets it."""
    OPEN = "open"
    """The goal lies inside the interval."""
    TOO_FEW = "too few samples"
    """There is no interval."""
    FLOOR = "beyond the floor"
    """It isn't reached, and no part of the interval of the floor meets it either."""
    INVALID = "INVALID"
    """One of the two gave another answer than plain Flask, so that its time means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times `bottom` the contender `top` takes: the median and its 95 % interval."""

    top: str
    bottom: str
    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A limit for the ratio of two contenders."""

    top: str
    bottom: str
    limit: float
    at_most: bool
    floor: str = ""
    """The contender that does the least that ours has to do, in place of `bottom`: where even
    that misses the goal, nobody can reach it."""

    def verdict(self, ratio: Ratio) -> Verdict:
        """Whether `ratio` meets this goal."""
        met = [
            value <= self.limit if self.at_most else value >= self.limit
            for value in (ratio.low, ratio.high)
        ]
        if ratio.samples < FEWEST:
            return Verdict.TOO_FEW
        if all(met):
            return Verdict.REACHED
        return Verdict.OPEN if any(met) else Verdict.MISSED

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        return f"goal {self.top} / {self.bottom} {sign} {self.limit:g}"


def middle(samples: Samples) -> float:
    """The median of all samples of all rounds."""
    return median(value for one_round in samples for value in one_round)


def ratio(top: str, bottom: str, samples: dict[str, Samples]) -> Ratio:
    """The median of the ratios of each repetition.

    The interval comes from a bootstrap in two stages, first the rounds and then the repetitions
    inside of each: processes differ among each other (layout of memory, hash seed), and a
    bootstrap that took all repetitions for independent would promise too much.
    """
    ratios = [
        [above / below for above, below in zip(tops, bottoms, strict=True)]
        for tops, bottoms in zip(samples[top], samples[bottom], strict=True)
    ]
    dice = random.Random(20)  # the same interval for the same samples
    medians = sorted(
        median(
            value
            for one_round in dice.choices(ratios, k=len(ratios))
            for value in dice.choices(one_round, k=len(one_round))
        )
        for _ in range(RESAMPLES)
    )
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Ratio(
        top=top,
        bottom=bottom,
        value=middle(ratios),
        low=medians[tail],
        high=medians[-1 - tail],
        samples=sum(map(len, ratios)),
    )
