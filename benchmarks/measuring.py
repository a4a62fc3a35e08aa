"""Run the contenders against each other, in turns, and collect the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from contenders import Kind
from figures import FEWEST
from processes import ContenderError, Setting, Worker, start_once
from rows import Lane, Row, Start
from work import HOOKS, Answer, Work

LEAST = 6
"""Repetitions that are made however long they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much of everything is done."""

    rounds: int
    """Sets of fresh processes."""
    repetitions: int
    """Of each round at most: each contender's turn, there and back again."""
    block_ns: int
    """How long one turn of one contender takes, if a single iteration isn't longer. Short, so
    that what else the machine does hits all contenders alike."""
    round_ns: int
    """Fewer repetitions (but `LEAST` of them) are made where they would take longer together."""
    starts: int
    """Of each round at most: starts of each contender, there and back again."""
    starts_seconds: float
    """Fewer repetitions are made where they would take longer together: one, or where a goal
    stands as many as a verdict on it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The samples of one row at one number of plugins."""

    row: Row
    count: int
    samples: dict[str, list[list[float]]] = field(default_factory=dict)
    """Of each lane that worked: a list a round of nanoseconds or bytes an iteration."""
    failures: dict[str, str] = field(default_factory=dict)
    """Of each lane that didn't start or broke: why."""
    wrong: dict[str, str] = field(default_factory=dict)
    """Of each lane that answered something else than it should: what."""


Say = Callable[[str], None]


def turns(lanes: Sequence[Lane], repetition: int) -> list[Lane]:
    """The lanes in the order A B ... B A, beginning with another one each time."""
    first = repetition % len(lanes)
    order = [*lanes[first:], *lanes[:first]]
    return [*order, *reversed(order)]


def measure_work(
    setting: Setting, rows: Sequence[Row], count: int, effort: Effort, say: Say
) -> list[Outcome]:
    """All of `rows` that are done by workers, with `count` plugins."""
    outcomes = [Outcome(row=row, count=count) for row in rows]
    lanes = list(dict.fromkeys(lane for row in rows for lane in row.lanes))
    for number in range(effort.rounds if rows else 0):
        say(f"{count} plugins, round {number + 1} of {effort.rounds}")
        with _workers(setting, lanes, count) as (workers, failures):
            for outcome in outcomes:
                outcome.failures.update(
                    (lane.label, failures[lane]) for lane in outcome.row.lanes if lane in failures
                )
                present = [workers[lane] for lane in outcome.row.lanes if lane in workers]
                _round(outcome, present, effort)
    for outcome in outcomes:
        for label in outcome.failures:
            outcome.samples.pop(label, None)
    return outcomes


@contextmanager
def _workers(
    setting: Setting, lanes: Sequence[Lane], count: int
) -> Iterator[tuple[dict[Lane, Worker], dict[Lane, str]]]:
    """A worker for each lane that can be built, and why the others can't."""
    workers = {lane: Worker(setting, lane, count) for lane in lanes}
    failures: dict[Lane, str] = {}
    try:
        for lane, worker in workers.items():
            try:
                worker.wait_until_ready()
            except ContenderError as error:
                failures[lane] = str(error)
        yield {lane: w for lane, w in workers.items() if lane not in failures}, failures
    finally:
        for worker in workers.values():
            worker.stop()


def _round(outcome: Outcome, workers: Sequence[Worker], effort: Effort) -> None:
    """One round of one row: compare the answers, then measure in turns."""
    work = outcome.row.measure
    assert isinstance(work, Work)
    answers: dict[Lane, Answer] = {}
    times: dict[Lane, int] = {}
    for worker in workers:
        try:
            answers[worker.lane] = worker.answer(work)
            times[worker.lane] = _times(worker, work, effort.block_ns)
        except ContenderError as error:
            outcome.failures[worker.lane.label] = str(error)
    outcome.wrong.update(_wrong_answers(answers, outcome.count))
    by_lane = {worker.lane: worker for worker in workers if worker.lane in times}
    samples: dict[Lane, list[float]] = {lane: [] for lane in by_lane}
    left = effort.round_ns
    for repetition in range(effort.repetitions if by_lane else 0):
        spent = dict.fromkeys(by_lane, 0)
        for lane in turns(list(by_lane), repetition):
            spent[lane] += by_lane[lane].run(work, times[lane])
        for lane, nanoseconds in spent.items():
            samples[lane].append(nanoseconds / 2 / times[lane])
        left -= sum(spent.values())
        if left < 0 and repetition + 1 >= LEAST:
            break
    for lane, figures in samples.items():
        outcome.samples.setdefault(lane.label, []).append(figures)


def _times(worker: Worker, work: Work, block_ns: int) -> int:
    """How many iterations fill one turn; the worker is warm afterwards."""
    times = 1
    while (spent := worker.run(work, times)) < block_ns / 4:
        times = max(times * 2, int(times * block_ns / 4 / max(spent, 1)))
    return max(1, round(times * block_ns / worker.run(work, times)))


def _wrong_answers(answers: Mapping[Lane, Answer], count: int) -> dict[str, str]:
    """The lanes that answered something else than plain Flask, or didn't call the hooks."""
    wrong: dict[str, str] = {}
    expected = next((a[:3] for lane, a in answers.items() if lane.kind is Kind.BARE), None)
    for lane, answer in answers.items():
        hooked = lane.hooks and lane.kind is not Kind.BARE
        calls = dict.fromkeys(sorted(HOOKS), count) if hooked else {}
        if answer[:3] != expected:
            wrong[lane.label] = f"{answer[:3]!r:.300} instead of {expected!r:.300}"
        elif answer.hook_calls != calls:
            wrong[lane.label] = f"hooks called: {answer.hook_calls} instead of {calls}"
    return wrong


def measure_starts(
    setting: Setting, rows: Sequence[Row], count: int, effort: Effort, say: Say
) -> list[Outcome]:
    """All of `rows` that are read off one start in a fresh process, with `count` plugins."""
    outcomes = [Outcome(row=row, count=count) for row in rows]
    lanes = list(dict.fromkeys(lane for row in rows for lane in row.lanes))
    failures: dict[Lane, str] = {}
    for lane in lanes:  # once for the caches of compiled modules
        _start(setting, lane, count, failures)
    starts, least = _repetitions(effort, has_goal=any(count in row.goals for row in rows))
    for number in range(effort.rounds if lanes else 0):
        say(f"{count} plugins, starts, round {number + 1} of {effort.rounds}")
        for outcome in outcomes:
            for lane in lanes:
                outcome.samples.setdefault(lane.label, []).append([])
        end = monotonic() + effort.starts_seconds
        for repetition in range(starts):
            able = [lane for lane in lanes if lane not in failures]
            if not able or (repetition >= least and monotonic() > end):
                break
            _start_all(setting, outcomes, able, repetition, failures)
    for outcome in outcomes:
        for lane, reason in failures.items():
            outcome.failures[lane.label] = reason
            outcome.samples.pop(lane.label, None)
    return outcomes


def _repetitions(effort: Effort, *, has_goal: bool) -> tuple[int, int]:
    """How often everybody is started in a round: at most, and at least."""
    if not has_goal:
        return 1, 1  # it is there to show the trend
    return effort.starts, min(effort.starts, -(-FEWEST // effort.rounds))


def _start(
    setting: Setting, lane: Lane, count: int, failures: dict[Lane, str]
) -> tuple[Mapping[Start, float], list[object]] | None:
    """Start `lane` once, or note why it can't be."""
    try:
        return start_once(setting, lane, count)
    except ContenderError as error:
        failures[lane] = str(error)
        return None


def _start_all(
    setting: Setting,
    outcomes: Sequence[Outcome],
    lanes: Sequence[Lane],
    repetition: int,
    failures: dict[Lane, str],
) -> None:
    """One repetition: each lane starts there and back again, and the mean of the two counts."""
    figures: dict[Lane, list[Mapping[Start, float]]] = {lane: [] for lane in lanes}
    answers: dict[Lane, list[object]] = {}
    for lane in turns(lanes, repetition):
        if (started := _start(setting, lane, outcomes[0].count, failures)) is not None:
            figures[lane].append(started[0])
            answers[lane] = started[1]
    expected = next((a for lane, a in answers.items() if lane.kind is Kind.HAND), None)
    for outcome in outcomes:
        assert isinstance(outcome.row.measure, Start)
        for lane, found in answers.items():
            both = [one[outcome.row.measure] for one in figures[lane]]
            outcome.samples[lane.label][-1].append(sum(both) / len(both))
            if found != expected:
                text = f"{found!r:.300} instead of {expected!r:.300}"
                outcome.wrong[lane.label] = text
