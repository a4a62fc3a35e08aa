"""A process that holds one application and does what its parent asks for.

Called as ``worker.py KIND TREE COUNT``. Each line of the standard input is a JSON list, each
line of the original standard output the JSON answer:

``["answer", WORK]``
    does the work once: `work.Answer` as a list
``["run", WORK, TIMES]``
    does it that often: nanoseconds
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import Kind, build
from work import Bench, Work


def main() -> None:
    """Build, report, and serve commands until the input ends."""
    # what applications and plugins print must not get between the answers
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(**message: object) -> None:
        print(json.dumps(message), file=answers, flush=True)

    kind, tree, count = Kind(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    try:
        bench = Bench(build(kind, tree, count), tree)
        send(value="ready")
        serve(bench, send)
    except Exception:  # noqa: BLE001 - the parent shows it, whatever it is
        send(error=traceback.format_exc())


def serve(bench: Bench, send: Callable[..., None]) -> None:
    """Answer command after command."""
    runners: dict[Work, Callable[[int], int]] = {}
    for line in sys.stdin:
        command: list[Any] = json.loads(line)
        work = Work(command[1])
        if command[0] == "answer":
            send(value=bench.answer(work))
            continue
        if (run := runners.get(work)) is None:
            run = runners[work] = bench.runner(work)
        send(value=run(command[2]))


if __name__ == "__main__":
    main()
