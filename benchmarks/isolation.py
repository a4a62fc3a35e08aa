"""What it costs to run plugins in processes of their own; writes docs/benchmarks-isolation.md.

As ratios against the same plugin, trusted, in the same run; run as root on a quiet machine, as
``nox -s bench-isolation`` does. With --quick it only shows that everything works.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "integration"))

import isolated  # type: ignore[import-not-found]  # noqa: E402
from isolated import PLAIN, forget_environment, served, site_folder, write  # noqa: E402

AS_ROOT = isolated.ROOT

PAGE = ROOT / "docs/benchmarks-isolation.md"

PLUGIN = """
__plugin_name__ = {name!r}
__version__ = "1.0.0"
__author__ = "Somebody"

def view():
    return "x" * 200

def register():
    return {{
        "vep": {{"rule": "/{name}/view", "view_func": view, "endpoint": "{name}.view"}},
        "tep": {{f"{name}{{number}}": "<b>{{{{ 1 + 1 }}}}</b>" for number in range(5)}},
    }}
"""


class Client:
    """One connection to the site, kept open."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def timed(self, path: str) -> float:
        """Return the seconds of a good answer."""
        begun = time.perf_counter()
        status, body = self.get(path)
        seconds = time.perf_counter() - begun
        assert status == 200, (path, status, body[:200])
        return seconds


def compared(
    url: str, first: str, second: str, rounds: int, clients: int = 1
) -> tuple[float, float]:
    """Return the medians (seconds) of two paths, asked in turns by several clients at once."""
    found: dict[str, list[float]] = {first: [], second: []}

    def ask() -> None:
        client = Client(url)
        for _ in range(20):
            client.timed(first), client.timed(second)
        for turn in range(rounds):
            for path in (first, second) if turn % 2 else (second, first):
                found[path].append(client.timed(path))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(found[first]), statistics.median(found[second])


def recoveries(url: str, times: int, plugin: str) -> list[float]:
    """Return the seconds from a kill to the first good answer."""
    found = []
    for _ in range(times):
        client = Client(url)
        state = json.loads(client.get("/state")[1])
        [pid] = [one["pid"] for one in state["processes"] if one["plugin"] == plugin]
        os.kill(pid, signal.SIGKILL)
        begun = time.perf_counter()
        while client.get(f"/{plugin}/view")[0] != 200:
            pass
        found.append(time.perf_counter() - begun)
        time.sleep(13)  # five deaths in a minute, and it would be put off
    return found


def round_trip(rounds: int) -> dict[str, float]:
    """Return the medians (seconds) of an exchange with a view, by where the processes are.

    Where each has a CPU of its own, both are idle in turns, and whoever sends wakes the other
    one up: `echo` tells what that takes.
    """
    import tempfile

    from flask import Flask

    from flask_pluginkit import PluginManager

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for plugin in ("near", "far"):
            write(folder, {f"plugins/{plugin}/__init__.py": PLUGIN.format(name=plugin)})
        app = Flask("site", root_path=name)
        manager = PluginManager(
            app, plugins_base=folder, state_dir=folder / "state", isolation={"far": "process"}
        )
        assert app.test_client().get("/far/view").status_code == 200
        remote = manager.snapshot.active["far"].hosted.remote
        [worker] = manager.plugin_processes()
        from flask_pluginkit.isolation.messages import Page

        page = Page(path="/far/view")
        return {
            place: timed_apart(lambda: remote.visit(page, b""), worker.pid, other, rounds)
            for place, other in places().items()
        }


def places() -> dict[str, int]:
    """Return where the other process may be: its CPU by name; this one is on the first."""
    own, *others = sorted(os.sched_getaffinity(0))
    return {"on one CPU": own} | ({"on a CPU each": others[0]} if others else {})


def timed_apart(ask: Callable[[], object], pid: int, cpu: int, rounds: int) -> float:
    """Return the median (seconds) of `ask`, whose other side, `pid`, is pinned to a CPU."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {cpu})
        found = []
        for _ in range(rounds + 100):
            begun = time.perf_counter()
            ask()
            found.append(time.perf_counter() - begun)
    finally:
        os.sched_setaffinity(0, allowed)
    return statistics.median(found[100:])


def echo(rounds: int) -> dict[str, float]:
    """Return the medians of a byte there and back between two processes (seconds)."""
    here, there = socket.socketpair()
    if (pid := os.fork()) == 0:
        here.close()
        while data := there.recv(1):
            there.send(data)
        os._exit(0)
    there.close()

    def ask() -> None:
        here.send(b"x")
        here.recv(1)

    try:
        return {place: timed_apart(ask, pid, cpu, rounds) for place, cpu in places().items()}
    finally:
        here.close()
        os.waitpid(pid, 0)


def memory(count: int) -> list[int]:
    """Return the own memory of so many isolated plugins that were asked once (bytes)."""
    with site_folder(AS_ROOT) as folder:
        names = [f"plugin{number}" for number in range(count)]
        write(folder, {f"plugins/{n}/__init__.py": PLUGIN.format(name=n) for n in names})
        options = json.dumps({"isolation": "isolated", "state_dir": str(folder / "state")})
        with served(folder, AS_ROOT, options, workers=1) as url:
            client = Client(url)
            for name in names:
                client.timed(f"/{name}/view")
            state = json.loads(client.get("/state")[1])
            return sorted(one["memory"] for one in state["processes"])


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and small")
    quick = parser.parse_args().quick
    rounds = 50 if quick else 2000
    rows: list[tuple[str, str, str, str, bool]] = []

    def row(what: str, value: str, goal: str, reached: bool) -> None:
        rows.append((what, value, goal, "reached" if reached else "**missed**", reached))
        print(*rows[-1][:4], sep=" | ", flush=True)

    bare = echo(rounds)
    for place, seconds in round_trip(rounds).items():
        exchange, waking = seconds * 1e6, bare[place] * 1e6
        row(f"exchange with Flask dispatch, one thread, {place}, p50",
            f"{exchange:.0f} us (a byte there and back: {waking:.0f} us)", "<= 170 us",
            exchange <= 170)  # fmt: skip
    users = [AS_ROOT, PLAIN] if os.geteuid() == 0 else [PLAIN]
    for user in users:
        measure_site(user, rounds, row, quick)
    if os.geteuid() == 0:
        found = memory(5 if quick else 100)
        most = found[-1] / 1e6
        row(f"own memory, the largest of {len(found)} plugins", f"{most:.1f} MB", "<= 10 MB",
            most <= 10)  # fmt: skip
    forget_environment()
    if not quick:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 0


def measure_site(user: str, rounds: int, row: Callable[..., None], quick: bool) -> None:
    """Measure a site behind gunicorn, with 2 workers of 4 threads."""
    with site_folder(user) as folder:
        for plugin in ("near", "far"):
            write(folder, {f"plugins/{plugin}/__init__.py": PLUGIN.format(name=plugin)})
        # files, which are compiled once: to compile four more calls takes longer than they do
        parts = [f"{{{{ emit_tep('far{number}') }}}}" for number in range(5)]
        write(folder, {"templates/one.html": parts[0], "templates/five.html": "".join(parts)})
        options: Any = {"isolation": {"far": "isolated"}, "state_dir": str(folder / "state")}
        with served(folder, user, json.dumps(options), workers=2, threads=4) as url:
            for clients in (1, 4):
                near, far = compared(url, "/near/view", "/far/view", rounds, clients)
                row(
                    f"view behind gunicorn, {clients} clients, as {user}: isolated / trusted",
                    f"{far / near:.2f} ({far * 1e3:.2f} / {near * 1e3:.2f} ms)",
                    "<= 2.2",
                    far / near <= 2.2,
                )
            first, second = compared(url, "/shown/one", "/shown/five", rounds)
            row(f"five parts of one plugin on a page, as {user}: five / one",
                f"{second / first:.2f}", "<= 1.3", second / first <= 1.3)  # fmt: skip
            found = recoveries(url, 2 if quick else 5, "far")
            median = statistics.median(found) * 1e3
            row(f"kill to the first good answer, as {user}, median", f"{median:.0f} ms",
                "<= 60 ms", median <= 60)  # fmt: skip


def page(rows: list[tuple[str, str, str, str, bool]]) -> str:
    """Return the page of the manual."""
    lines = [
        "# Benchmarks: plugins in processes of their own",
        "",
        "This page is written by `nox -s bench-isolation`, which runs `benchmarks/isolation.py`.",
        "",
        (
            f"Python {platform.python_version()}, {platform.system()} {platform.release()}, "
            f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}."
        ),
        "",
        "| what | measured | goal | |",
        "|---|---|---|---|",
        *(f"| {what} | {value} | {goal} | {verdict} |" for what, value, goal, verdict, _ in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
