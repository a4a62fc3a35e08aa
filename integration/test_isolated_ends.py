"""How sites with isolated plugins begin and end: servers, signals, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
from guests import GUARD, GUARD_ASKS, KEEPER, SITE, SMALL, files_of
from isolated import PLAIN, ROOT, USERS, forget_environment, site_folder
from visitors import Visited, build, until, visited

ALL = {"isolation": "isolated"}


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    yield
    forget_environment()


def answers(site: Visited, path: str) -> bool:
    """Whether a site answers just now."""
    with suppress(OSError):
        return site.ask(path).status == 200
    return False


def web_workers(site: Visited) -> set[str]:
    """The site's web workers."""
    return {answer.web_worker for answer in site.everywhere("/state")}


@pytest.mark.parametrize("user", USERS)
def test_a_site_ends_without_a_trace_and_begins_again_with_what_was_kept(user: str) -> None:
    """With --preload and without, by SIGTERM and by SIGKILL of all of gunicorn; over a SIGHUP."""
    with site_folder(user) as folder:
        build(
            folder,
            {
                "site_host.py": SITE,
                **files_of("small", SMALL),
                **files_of("keeper", KEEPER, asks=["storage", "files:1MB"]),
            },
        )
        with visited(folder, user, ALL, "--preload") as site:
            site.command("approve", "keeper", "--yes")
            assert site.ask("/keeper/keep/treasure", "POST").text == "kept"
            reload_and_compare(site)
            traces = site.traces()
            site.process.send_signal(signal.SIGTERM)
            site.process.wait(10)
            assert traces.left_in_time() == []
        with visited(folder, user, ALL) as site:
            [text] = site.texts("/keeper/kept")
            assert (json.loads(text)["stored"], json.loads(text)["file"]) == ("treasure",) * 2
            reload_and_compare(site)
            traces = site.traces()
            for pid in [site.process.pid, *map(int, web_workers(site))]:
                os.kill(pid, signal.SIGKILL)
            assert traces.left_in_time() == []


def renew_web_workers(site: Visited) -> None:
    """Have gunicorn end its web workers and start others."""
    before = web_workers(site)
    site.process.send_signal(signal.SIGHUP)
    assert until(lambda: answers(site, "/state") and not before & web_workers(site))


def reload_and_compare(site: Visited) -> None:
    """Give the site new web workers: the plugins' processes are still one each, and answer."""
    renew_web_workers(site)
    assert answers(site, "/small/pid")
    assert len(site.texts("/small/pid")) == 1
    assert {*site.processes()} == {"small", "keeper"}


def is_rescanned(site: Visited) -> bool:
    """Have the site look for plugins; False while its guard can't be asked, and it is shut."""
    with suppress(ValueError):
        site.do("rescan", "guard")
        return True
    return False


def test_no_door_is_open_while_a_guards_new_version_waits() -> None:
    """Neither in web workers that have the old version, nor in those that begin now."""
    with site_folder(PLAIN) as folder:
        build(folder, {"site_host.py": SITE, **files_of("guard", GUARD, asks=GUARD_ASKS)})
        with visited(folder, PLAIN, ALL) as site:
            site.command("approve", "guard", "--yes")
            assert site.texts("/shut") == {"shut by the guard"}  # every worker has the old one
            asks = [*GUARD_ASKS, "html:raw"]
            site.put(files_of("guard", GUARD, version="2.0.0", asks=asks))
            assert until(lambda: is_rescanned(site))
            assert site.texts("/shut") == {"shut by the guard"}
            renew_web_workers(site)
            assert {answer.status for answer in site.everywhere("/shut")} <= {403, 503}


def test_without_users_for_plugins_a_site_of_roots_refuses_them() -> None:
    """The reason holds the line to add; who lowers the sandbox is told so everywhere."""
    missing = {"SITE_PLUGINKIT_SANDBOX_UIDS": "null"}
    with site_folder(ROOT) as folder:
        build(folder, {"site_host.py": SITE, **files_of("small", SMALL)})
        with visited(folder, ROOT, ALL, settings=missing) as site:
            for answer in site.everywhere("/state"):
                status, reason, _ = answer.json["plugins"]["small"]
                assert status == "failed"
                assert "PLUGINKIT_SANDBOX_UIDS = " in reason
            assert site.texts("/") == {"the site"}
            assert {answer.status for answer in site.everywhere("/small/pid")} == {404}
            assert "PLUGINKIT_SANDBOX_UIDS" in site.command("list")
        lowered = {**missing, "SITE_PLUGINKIT_SANDBOX_LOWERED": "1"}
        with visited(folder, ROOT, ALL, settings=lowered) as site:
            assert len(site.texts("/small/pid")) == 1
            for answer in site.everywhere("/state"):
                assert answer.json["plugins"]["small"] == ["active", "", "isolated: not sandboxed"]
            assert "isolated: not sandboxed" in site.command("list")
            assert "not sandboxed" in site.command("processes")
            assert "WITHOUT a sandbox" in (folder / "gunicorn.log").read_text()
