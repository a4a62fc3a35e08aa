"""Switching plugins in a running gunicorn: no request fails, none sees what is over."""

from __future__ import annotations

import json
import os
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import Load, Switched, Switcher, late, mixed, write_site
from servers import free_port, running_gunicorn

FULL = os.environ.get("PLUGINKIT_SOAK") == "1"
SWITCHES = 1000 if FULL else 100


@pytest.fixture(params=[False, True], ids=["workers load", "preloaded"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """The site's folder and port, served by four workers with four threads each."""
    folder = write_site(tmp_path / "site")
    port = free_port()
    options = ["--workers", "4", "--threads", "4", *(["--preload"] if request.param else [])]
    with running_gunicorn(folder, "site_of_live:app", port, options):
        yield folder, port


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What prints a figure of the run."""
    writer = request.config.get_terminal_writer()
    return lambda text: writer.line(f"\n{text}")


def workers_of(port: int) -> str:
    """What the site tells of its workers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/workers") as response:
        return str(json.load(response)["text"])


def test_no_request_fails_mixes_or_comes_late(
    served: tuple[Path, int], tell: Callable[[str], None]
) -> None:
    """However often a plugin with everything is switched under load."""
    folder, port = served
    load, switches = Load(port), list[Switched]()
    switcher = Switcher(folder)
    try:
        with load.running():
            switches.append(switcher("enable"))
            time.sleep(0.5)
            for number in range(SWITCHES):
                switches.append(switcher("enable" if number % 2 else "disable"))
                time.sleep(0.02)
    finally:
        switcher.close()
    took = statistics.median(switch.at - switch.begun for switch in switches) * 1000
    tell(f"{len(load.answers)} answers, {len(switches)} switches, median {took:.2f} ms")
    assert load.failures == []
    assert mixed(load) == []
    assert late(load, switches) == []
    assert len(load.answers) > 5 * SWITCHES
    assert workers_of(port).startswith("4 of 4 workers")
