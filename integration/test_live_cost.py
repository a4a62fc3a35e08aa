"""What a switch takes, what others feel of it, and that nothing is left over by many of them."""

from __future__ import annotations

import bisect
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from live import FULL, Switched, Switcher, served, wait_until
from loads import Load, assert_right
from sites import write_site

OTHERS = 100
SWITCHES = 500 if FULL else 50
CYCLES = 1000 if FULL else 100


def test_time_of_a_switch(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Of a loaded plugin among a hundred others: alone, beside workers, and under load."""
    folder = write_site(tmp_path / "site", others=OTHERS)
    with Switcher(folder) as alone:
        tell(f"alone: {times(switch_often(alone))}")
    with served(folder) as site, Switcher(site.folder, site.env) as switcher:
        site.states()
        tell(f"with four workers that wait: {times(switch_often(switcher))}")
        load = Load(site.port, threads=2)
        with load.running():
            wait_until(lambda: len(load.answers) > SWITCHES)
            begun = time.monotonic()
            switches = switch_often(switcher, pause=0.1)
        tell(f"under load: {times(switches)}")
        assert_right(load, switches)
    during = sorted(switches, key=lambda switch: switch.begun)
    beside, apart = list[float](), list[float]()
    for answer in load.answers:
        if answer.begun > begun and answer.question.path != "/stream":
            (beside if overlaps(answer.begun, answer.ended, during) else apart).append(
                answer.ended - answer.begun
            )
    tell(f"requests beside a switch: {latency(beside)}; others: {latency(apart)}")
    assert beside
    assert apart


FOLLOWER = """
import json, os, sys, time
from flask_pluginkit.pulse import PULSE
from site_of_live import app, manager

PULSE.add = lambda member: None  # the helper thread would be at it, too
client = app.test_client()
client.get("/page")
asked, answered = os.pipe(), os.pipe()
if os.fork():
    used = []
    for _ in range(int(sys.argv[1])):
        os.write(asked[1], b"?")
        os.read(answered[0], 1)
        begun = time.thread_time()
        manager._site().follow()
        used.append(time.thread_time() - begun)
    os.close(asked[1])
    os.wait()
    print(json.dumps(used))
else:
    os.close(asked[1])
    wanted = True
    while os.read(asked[0], 1):
        wanted = not wanted
        with app.app_context():
            (manager.enable_plugin if wanted else manager.disable_plugin)("live")
        os.write(answered[1], b"!")
"""


def test_time_of_following(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """A worker that sees a switch of another process: what its next request does first."""
    done = subprocess.run(
        [sys.executable, "-c", FOLLOWER, str(SWITCHES)],
        cwd=write_site(tmp_path / "site", others=OTHERS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used = sorted(second * 1000 for second in json.loads(done.stdout))
    tell(f"following: processor time median {statistics.median(used):.2f} ms, min {used[0]:.2f} ms")


def switch_often(switcher: Switcher, pause: float = 0.005) -> list[Switched]:
    """Enable and disable the plugin, which is loaded already."""
    switcher("disable")
    switcher("enable")
    made = []
    for number in range(SWITCHES):
        made.append(switcher("enable" if number % 2 else "disable"))
        time.sleep(pause)  # for the others to see it
    return made


def times(switches: list[Switched]) -> str:
    """The times of switches, in words."""
    took = sorted((switch.at - switch.begun) * 1000 for switch in switches)
    used = statistics.median([switch.used * 1000 for switch in switches])
    return (
        f"median {statistics.median(took):.2f} ms, p95 {took[int(len(took) * 0.95)]:.2f} ms, "
        f"processor {used:.2f} ms"
    )


def latency(seconds: list[float]) -> str:
    """The times of requests, in words."""
    took = sorted(second * 1000 for second in seconds) or [0.0]
    return (
        f"{len(took)}, median {statistics.median(took):.1f} ms, "
        f"p99 {took[int(len(took) * 0.99)]:.1f} ms, max {took[-1]:.1f} ms"
    )


def overlaps(begun: float, ended: float, switches: list[Switched], after: float = 0.02) -> bool:
    """Tell whether a request was on its way during a switch, or `after` it was made."""
    position = bisect.bisect_left(switches, begun - after, key=lambda switch: switch.at)
    return position < len(switches) and switches[position].begun < ended


CYCLER = """
import gc, json, os, resource, sys, threading, tracemalloc
from flask import request_started, request_finished, template_rendered
from site_of_live import app, manager

client = app.test_client()
app.config["PROPAGATE_EXCEPTIONS"] = True

def cycle(count):
    for _ in range(count):
        manager.disable_plugin("live")
        assert client.get("/page").json["seen"].count("off") > 10
        manager.enable_plugin("live")
        for path in ("/page", "/live", "/teapot", "/stream?parts=1", "/assets/live/a.txt"):
            client.get(path).close()

def counted():
    gc.collect()
    memory, _ = tracemalloc.get_traced_memory()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "traced": memory,
        "resident": pages * resource.getpagesize(),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "receivers": sum(
            len(signal.receivers)
            for signal in (request_started, request_finished, template_rendered)
        ),
        "rules": len(list(app.url_map.iter_rules())),
        "all rules": sum(map(len, app.url_map._rules_by_endpoint.values())),
        "templates": len(app.jinja_env.cache),
        "modules": len(sys.modules),
        "hooks": sum(map(len, app.before_request_funcs.values())),
        "objects": len(gc.get_objects()),
    }

tracemalloc.start()
cycle(30)  # caches fill
before = counted()
cycle(int(sys.argv[1]))
print(json.dumps([before, counted()]))
"""


def test_cycles_leave_nothing(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Enabling and disabling in one process: all that can be counted is as it was."""
    done = subprocess.run(
        [sys.executable, "-c", CYCLER, str(CYCLES)],
        cwd=write_site(tmp_path / "site", others=3),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    grown = {name: after[name] - count for name, count in before.items()}
    tell(f"after {CYCLES} cycles {after}, more than before: {grown}")
    for name in before.keys() - {"traced", "resident", "objects"}:
        assert grown[name] == 0, (name, before[name], after[name])
    assert grown["objects"] < CYCLES / 2, (before, after)
    # Python keeps freed dicts and tuples for the next ones, and its table of interned names,
    # which come and go with templates that are compiled, doubles at times
    assert grown["traced"] < 2000 * CYCLES, (before, after)
    assert grown["resident"] < 16_000_000, (before, after)
