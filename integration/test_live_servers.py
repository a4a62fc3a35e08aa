"""Workers that come and go, and servers other than gunicorn."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import FULL, PATIENCE, Site, Switched, Switcher, places_of_packages, served, wait_until
from loads import Load, assert_right, late, mixed
from servers import answers, free_port, running
from sites import SMALL, write_site, write_small_plugin

ROUNDS = 30 if FULL else 3


@contextmanager
def switching(site: Site) -> Iterator[list[Switched]]:
    """A process that switches without a pause for the length of the block."""
    made = list[Switched]()
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            for what in ("disable", "enable"):
                made.append(switcher(what))
                time.sleep(0.02)  # the load shall see each state

    with Switcher(site.folder, site.env) as switcher:
        thread = threading.Thread(target=switch)
        thread.start()
        try:
            yield made
        finally:
            stop.set()
            thread.join()


def assert_all_are_known(site: Site, count: int = 4) -> None:
    """As many workers as there are say so, and nothing is left of those that are gone."""
    site.states(count)
    wait_until(lambda: site.state()["workers"].startswith(f"{count} of {count} workers"))
    found = set(site.states(count))
    wait_until(lambda: set(site.state()["pids"]) == found)
    (folder,) = site.folder.glob("instance/pluginkit/*/workers")
    wait_until(lambda: len({path.stem for path in folder.iterdir()}) == count)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".lock"}


def test_killed_workers_are_replaced(tmp_path: Path) -> None:
    """What they were asked at that moment is lost; nobody sees what is over."""
    with served(write_site(tmp_path / "site")) as site:
        load = Load(site.port, is_fresh=True)
        with load.running(), switching(site) as switches:
            for _ in range(ROUNDS):
                victim = random.choice(sorted(site.states()))
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda gone=victim: gone not in site.states())  # type: ignore[misc]
        assert not mixed(load)
        assert not late(load, switches)
        # cut off at the beginning of an answer, or within
        cut_off = ("ConnectionResetError", "RemoteDisconnected", "IncompleteRead")
        assert [each for each in load.failures if not any(word in each for word in cut_off)] == []
        assert_all_are_known(site)


def test_workers_that_are_recycled_lose_nothing(tmp_path: Path) -> None:
    """They end by gunicorn's max_requests, under load and while plugins are switched."""
    options = ["--max-requests", "60", "--max-requests-jitter", "30", "-k", "sync"]
    with served(write_site(tmp_path / "site"), *options, threads=1) as site:
        first = set(site.states())
        load = Load(site.port, is_fresh=True)
        with load.running(), switching(site) as switches:
            wait_until(lambda: not first & set(site.states()))
            end = time.monotonic() + ROUNDS
            wait_until(lambda: time.monotonic() > end, seconds=ROUNDS + 5)
        assert_right(load, switches)
        wait_until(lambda: len(site.states()) == 4)


def test_a_graceful_reload_loses_nothing(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """SIGHUP while plugins are switched, under load."""
    with served(write_site(tmp_path / "site"), "-k", "sync", threads=1) as site:
        load = Load(site.port, is_fresh=True)
        with load.running(), switching(site) as switches:
            for _ in range(ROUNDS):
                old = set(site.states())
                site.server.send_signal(signal.SIGHUP)
                wait_until(lambda before=old: not before & set(site.states()))  # type: ignore[misc]
            wait_until(lambda: len(load.answers) > 400)  # each page is seen with either state
        tell(f"{len(load.answers)} answers, {len(switches)} switches, {ROUNDS} reloads")
        assert_right(load, switches)
        assert_all_are_known(site)


def test_reloaded_workers_have_new_code(tmp_path: Path) -> None:
    """``manager.reload_workers()``; nothing fails meanwhile, and the old code is gone after it."""
    folder = write_site(tmp_path / "site")
    place = write_small_plugin(folder, "small") / "__init__.py"
    pid = folder / "server.pid"
    env = {"SITE_PLUGINKIT_RELOAD": f"gunicorn:{pid}"}
    options = ["--pid", str(pid), "-k", "sync"]
    with served(folder, *options, threads=1, env=env) as site:
        load = Load(site.port, is_fresh=True)
        with load.running():
            old = set(site.states())
            place.write_text(SMALL.format(name="small", code="").replace('"on"', '"newer"'))
            site.switch("disable", "small")
            site.switch("enable", "small")
            assert site.get("/small") == (200, "on"), "what is imported stays imported"
            assert site.get("/reload", method="POST") == (200, "asked")
            wait_until(lambda: not old & set(site.states()))
        assert not load.failures
        for _ in range(8):
            assert site.get("/small") == (200, "newer")
        assert_all_are_known(site)


def test_an_ended_server_leaves_no_reports(tmp_path: Path) -> None:
    """Its workers remove what tells of them."""
    folder = write_site(tmp_path / "site")
    with served(folder) as site:
        site.states()
        (workers,) = folder.glob("instance/pluginkit/*/workers")
        assert len(list(workers.iterdir())) == 8
    assert list(workers.iterdir()) == []


# ---- other servers ---------------------------------------------------------------------------


@contextmanager
def serving(folder: Path, command: list[str], port: int, **site_options: object) -> Iterator[Site]:
    """The site behind whatever `command` runs at this port."""
    path = os.pathsep.join(["", *places_of_packages()])
    env = {**os.environ, "OPTIONS": json.dumps(site_options), "PYTHONPATH": path}
    log = folder / "server.log"
    with running(command, log, lambda: answers(port), cwd=folder, env=env) as server:
        yield Site(folder, port, env, server)


def follow_under_load(site: Site, count: int = 1) -> None:
    """Switch as `test_live` does; what one process loads last is enabled in between."""
    site.states(count)
    write_small_plugin(site.folder, "fresh")
    load = Load(site.port, is_fresh=True)
    with load.running(), switching(site) as switches:
        wait_until(
            lambda: len(switches) > 10 * ROUNDS and len(load.answers) > 100 * ROUNDS,
            seconds=PATIENCE + 5 * ROUNDS,  # half a second for each is what an idle machine takes
        )
    assert_right(load, switches)
    with Switcher(site.folder, site.env) as switcher:
        told = switcher.ask("enable", "fresh")
        # nothing has changed where a reloader has just begun anew, and found it
        assert (told.get("changed"), told.get("silent")) in ((["fresh"], []), ([], [])), told
    assert site.get("/fresh") == (200, "on")
    assert site.state()["workers"].startswith(f"{count} of {count} worker")


def test_waitress(tmp_path: Path) -> None:
    """One process with four threads follows another that switches."""
    port = free_port()
    words = ["-m", "waitress", f"--listen=127.0.0.1:{port}", "site_of_live:app"]
    with serving(write_site(tmp_path / "site"), [sys.executable, *words], port) as site:
        follow_under_load(site)


@pytest.mark.parametrize("debug", [False, True])
def test_flask_run(tmp_path: Path, debug: bool) -> None:
    """The development server, with and without its reloader, follows too."""
    port = free_port()
    words = ["-m", "flask", "--app", "site_of_live", "run", "--port", str(port)]
    if debug:  # the reloader would start anew for the plugin that comes while it serves
        words += ["--debug", "--exclude-patterns", "*/plugins/fresh/*"]
    with serving(
        write_site(tmp_path / "site"),
        [sys.executable, *words],
        port,
        strict=False,  # in debug mode a page that asks for files of no plugin is an error
    ) as site:
        follow_under_load(site)


def test_uwsgi(tmp_path: Path) -> None:
    """Two processes with two threads follow, and reload when they are asked by its FIFO."""
    program = shutil.which("uwsgi")
    if program is None:
        pytest.skip("uwsgi isn't installed: NOTHING WAS TRIED WITH IT")
    folder = write_site(tmp_path / "site")
    place = write_small_plugin(folder, "small") / "__init__.py"
    fifo, port = folder / "fifo", free_port()
    (folder / "uwsgi_site.py").write_text(
        f"import os, sys\nsys.path[:0] = {places_of_packages()!r}\n"
        f"os.environ['SITE_PLUGINKIT_RELOAD'] = 'uwsgi:{fifo}'\nfrom site_of_live import app\n"
    )
    command = [
        program, "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2",
        "--enable-threads", "--threads", "2", "--lazy-apps", "--master-fifo", str(fifo),
        "--die-on-term", "--need-app", "--module", "uwsgi_site:app",
    ]  # fmt: skip
    with serving(folder, command, port) as site:
        follow_under_load(site, 2)
        old = set(site.states(2))
        place.write_text(SMALL.format(name="small", code="").replace('"on"', '"newer"'))
        assert site.get("/reload", method="POST") == (200, "asked")
        wait_until(lambda: site.get("/small") == (200, "newer"))
        wait_until(lambda: not old & set(site.states(2)))
        wait_until(lambda: site.state()["workers"].startswith("2 of 2 workers"))


def test_two_applications_in_one_process(tmp_path: Path) -> None:
    """Neither switches the other's plugins, wherever their states are; both follow."""
    for name in ("a", "b", "c"):
        folder = write_site(tmp_path / name)
        (folder / "site_of_live.py").rename(folder / f"site_{name}.py")
    (tmp_path / "both.py").write_text(
        """
import os, sys, json
from werkzeug.middleware.dispatcher import DispatcherMiddleware
mounts = {}
for name in ("a", "b", "c"):
    sys.path.insert(0, os.path.abspath(name))
    state_dir = None if name == "c" else os.path.abspath(f"states/{name}")
    os.environ["OPTIONS"] = json.dumps({"state_dir": state_dir})
    mounts[f"/{name}"] = __import__(f"site_{name}").app
app = DispatcherMiddleware(mounts["/a"], mounts)
"""
    )
    port = free_port()
    words = ["-m", "waitress", f"--listen=127.0.0.1:{port}", "both:app"]
    with serving(tmp_path, [sys.executable, *words], port) as site:

        def seen() -> list[set[str]]:
            pages = [site.get(f"/{name}/page") for name in ("a", "b", "c")]
            return [set(json.loads(body)["seen"]) for _status, body in pages]

        # an address of a plugin's page has the prefix of its application: "?"
        on, off = {"on", "?"}, {"off"}
        assert seen() == [on, on, on]
        for number, name in enumerate(("a", "b", "c")):
            for what, now in (("disable", off), ("enable", on)):
                assert site.get(f"/{name}/switch/{what}/live", method="POST")[0] == 200
                expected = [on, on, on]
                expected[number] = now
                assert seen() == expected
        for name in ("a", "b", "c"):
            wait_until(lambda name=name: '"1 of 1 worker' in site.get(f"/{name}/state")[1])  # type: ignore[misc]
