"""Switching plugins in a running gunicorn: no request fails, none sees what is over."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from live import FULL, Site, Switched, Switcher, served, wait_until
from loads import Load, assert_right
from sites import write_site

SWITCHES = 1000 if FULL else 100


@pytest.fixture(params=[[], ["--preload"]], ids=["workers load", "preloaded"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The site, served by four workers with four threads each."""
    with served(write_site(tmp_path / "site"), *request.param) as site:
        yield site


def test_no_request_fails_mixes_or_comes_late(site: Site, tell: Callable[[str], None]) -> None:
    """However often a plugin with everything is switched, by another process and by workers."""
    load, switches = Load(site.port), list[Switched]()
    with Switcher(site.folder, site.env) as switcher, load.running():
        switches.append(switcher("enable"))
        time.sleep(0.5)  # not to wait for something: the load shall see some of this
        for number in range(SWITCHES):
            what = "enable" if number % 2 else "disable"
            if number % 3:
                switches.append(switcher(what))
            else:
                switches.append(Switched.of(what, site.switch(what)))
            time.sleep(0.02)  # likewise
    took = statistics.median(switch.at - switch.begun for switch in switches) * 1000
    tell(f"{len(load.answers)} answers, {len(switches)} switches, median {took:.2f} ms")
    assert_right(load, switches)
    assert len(load.answers) > 5 * SWITCHES
    wait_until(lambda: site.state()["workers"].startswith("4 of 4 workers"))


def test_a_stream_ends_as_it_began(site: Site) -> None:
    """However often the plugin is switched while it runs, and after it was disabled for good."""
    with Switcher(site.folder, site.env) as switcher:
        switcher("enable")
        with closing(socket.create_connection(("127.0.0.1", site.port))) as connection:
            connection.settimeout(30)
            connection.sendall(b"GET /stream?parts=200 HTTP/1.0\r\n\r\n")
            content = connection.recv(4096)
            for what in ["disable", "enable"] * 10 + ["disable"]:
                switcher(what)
            assert site.get("/live")[0] == 404
            while more := connection.recv(65536):
                content += more
    body = content.partition(b"\r\n\r\n")[2].split()
    assert len(body) == 200 * 8
    assert set(body) == {b"on"}


def test_a_disabled_plugin_leaves_no_trace(site: Site) -> None:
    """Its rules, methods, static files and error pages are as if it had never been there."""
    paths = ["/live", "/view", "/folder", "/folder/", "/assets/live/a.txt", "/any/live", "/teapot"]
    methods = ["GET", "POST", "OPTIONS", "PUT"]
    site.switch("disable")
    disabled = {(path, way): site.get(path, method=way) for path in paths for way in methods}
    (site.folder / "plugins" / "live").rename(site.folder / "away")
    with served(site.folder) as without:
        for (path, way), answer in disabled.items():
            assert without.get(path, method=way) == answer, (path, way)


def test_every_worker_says_that_it_is_up_to_date(site: Site) -> None:
    """After a switch all four are on one generation, and each is ready."""
    site.states()
    change = site.switch("disable")
    for state in site.states().values():
        assert state["generation"] == change["generation"]
        assert state["plugins"] == {"live": "disabled"}
        assert state["health"] == {
            "ready": True, "generation": change["generation"], "problems": [],
        }  # fmt: skip
    wait_until(
        lambda: site.state()["workers"] == f"4 of 4 workers on generation {change['generation']}"
    )


def test_the_audit_tells_who_switched(site: Site) -> None:
    """From a worker it is the client and the request, from a process its user and number."""
    told = site.switch("disable")
    (path,) = site.folder.glob("instance/pluginkit/*/audit.jsonl")
    intent, done = map(json.loads, path.read_text().splitlines()[-2:])
    assert intent["from"] == done["from"] == "127.0.0.1 POST /switch/disable/live"
    assert [intent["result"], done["result"]] == ["intent", "done"]
    assert done["generation"] == told["generation"]
