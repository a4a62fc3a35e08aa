"""Compare this Flask-PluginKit with 3.12.1 and with plain Flask, in one run.

``nox -s bench`` runs all of it in a few minutes, prints the table and writes the page of the
manual. With a selection (``--quick``, ``--rows``, ``--n``) it only prints. The exit status is 1
if a contender failed or answered something else than plain Flask; a goal that is missed is a
result, not an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

from measuring import Effort, Outcome, measure_starts, measure_work
from page import page
from plugin_tree import write_tree
from processes import Setting
from report import Result, result_of, terminal
from rows import ROWS, SIZES, Row
from venvs import old_python
from work import Work

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
FULL: Final = Effort(
    rounds=4, repetitions=24, block_ns=5_000_000, round_ns=700_000_000, starts=5, starts_seconds=10
)
QUICK: Final = Effort(
    rounds=1, repetitions=6, block_ns=2_000_000, round_ns=100_000_000, starts=1, starts_seconds=1
)
QUICK_SIZES: Final = (1, 10)


def main() -> int:
    """Measure what the command line asks for."""
    options = parse()
    rows = [row for row in ROWS if not options.rows or row.key in options.rows]
    sizes: Sequence[int] = options.n or (QUICK_SIZES if options.quick else SIZES)
    effort = QUICK if options.quick else FULL
    begin = monotonic()
    say("preparing the environment of 3.12.1")
    python = old_python(HERE / ".venvs")
    with TemporaryDirectory(prefix="pluginkit-bench-") as folder:
        setting = Setting(python, Path(folder))
        outcomes = measure(setting, rows, sizes, effort)
    results = [result_of(outcome) for outcome in outcomes]
    print(terminal(results))
    target: Path | None = options.page
    if target is None and not (options.quick or options.rows or options.n):
        target = PAGE
    if target is not None:
        target.parent.mkdir(exist_ok=True)
        target.write_text(page(results, effort, monotonic() - begin), encoding="utf-8")
    return int(any(not sound(result) for result in results))


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and small, to see that it works")
    parser.add_argument(
        "--rows", nargs="+", choices=[row.key for row in ROWS], help="only these", metavar="ROW"
    )
    parser.add_argument("--n", nargs="+", type=int, choices=SIZES, help="only so many plugins")
    parser.add_argument("--page", type=Path, help="where to write the page of the manual")
    return parser.parse_args()


def measure(
    setting: Setting, rows: Sequence[Row], sizes: Sequence[int], effort: Effort
) -> list[Outcome]:
    """The outcomes of `rows`, in their order, then by the number of plugins."""
    outcomes: list[Outcome] = []
    for count in sizes:
        for hooks in (True, False):
            write_tree(setting.tree(count, hooks=hooks), count, hooks=hooks)
        wanted = [row for row in rows if count in row.sizes]
        work = [row for row in wanted if isinstance(row.measure, Work)]
        starts = [row for row in wanted if not isinstance(row.measure, Work)]
        outcomes += measure_work(setting, work, count, effort, say)
        outcomes += measure_starts(setting, starts, count, effort, say)
    return sorted(outcomes, key=lambda one: (rows.index(one.row), one.count))


def sound(result: Result) -> bool:
    """Whether everybody took part, and answered what plain Flask answers."""
    return not (result.outcome.wrong or result.outcome.failures)


def say(text: str) -> None:
    """Tell the person who waits what is being done."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
