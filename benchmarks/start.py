"""Start one application in a fresh process, and print how long it took and what it holds.

Called as ``start.py KIND TREE COUNT SPAWNED``, where SPAWNED is the monotonic clock of the
parent, in nanoseconds, right before it made this process. Prints one JSON object with

``wall_ns``
    time from there to the application that is ready for its first request
``process_ns``
    processor time for the same, of this process and of those that it started (pip)
``build_ns``
    the part of it that begins when Flask has been imported
``answered_ns``
    as `build_ns`, and the first request of all answered
``rss``, ``pss``
    growth of memory in bytes since Flask has been imported, with the first request answered
``answers``
    what the host and the last plugin's two views answer, to see that all of it is there
"""

import json
import os
import sys
from pathlib import Path
from time import monotonic_ns, process_time_ns

import flask  # noqa: F401 - imported here to be measured apart


def processor_ns() -> int:
    """Processor time of this process and of the ended ones that it started."""
    spent = os.times()
    own = process_time_ns()  # finer than what os.times() tells
    return own + int((spent.children_user + spent.children_system) * 1e9)


def memory() -> dict[str, int]:
    """Resident and proportional size of this process in bytes, as far as the system tells."""
    sizes = {"rss": 0, "pss": 0}
    try:
        lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return sizes
    for line in lines:
        name, _, rest = line.partition(":")
        if name.lower() in sizes:
            sizes[name.lower()] = int(rest.split()[0]) * 1024
    return sizes


def main() -> None:
    """Build the application, and answer one request."""
    imported, imported_wall = processor_ns(), monotonic_ns()
    # what only the measurement needs comes before the clocks go on
    from contenders import Kind, build
    from plugin_tree import plugin_name
    from work import Bench, Work

    kind, tree, count = Kind(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    before = memory()
    begin, begin_wall = processor_ns(), monotonic_ns()
    built = build(kind, tree, count)
    ready, ready_wall = processor_ns(), monotonic_ns()
    bench = Bench(built, tree)
    first = bench.runner(Work.HOST)(1)
    after = memory()
    last = plugin_name(count - 1)
    figures = {
        "answers": [bench.request(path) for path in ("/", f"/{last}/", f"/about/{last}")],
        "wall_ns": imported_wall - int(sys.argv[4]) + ready_wall - begin_wall,
        "process_ns": imported + ready - begin,
        "build_ns": ready - begin,
        "answered_ns": ready - begin + first,
        **{name: after[name] - size for name, size in before.items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
