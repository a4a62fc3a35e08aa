"""Plugins that fail in a running gunicorn: taken out of every worker, and tried again."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import Site, flask_plugins, served, wait_until
from sites import write_plugin, write_site

FAULTY = """
from pathlib import Path

__plugin_name__ = "faulty"
__version__ = "1.0.0"
__author__ = "Somebody"

def hook(*args):
    if Path(__file__).with_name("fail").exists():
        raise ZeroDivisionError("on purpose")

def register():
    return {"hep": {"HOOK": hook}}
"""

LIMITS = {"faults": 5, "window": 60, "rate": 0.5}


def serve(tmp_path: Path, hook: str, **limits: object) -> Iterator[Site]:
    """The site with a plugin whose hook fails as long as there is a file."""
    folder = write_site(tmp_path / "site")
    write_plugin(folder, "faulty", FAULTY.replace("HOOK", hook))
    env = {"SITE_PLUGINKIT_BREAKER": json.dumps({**LIMITS, **limits})}
    with served(folder, env=env) as site:
        site.states()
        yield site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """With a hook that nothing depends on, and that isn't tried again by itself."""
    yield from serve(tmp_path, "after_request", retry_after=None)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Site]:
    """With a hook that may protect pages."""
    yield from serve(tmp_path, "before_request", retry_after=None)


@pytest.fixture
def retrying(tmp_path: Path) -> Iterator[Site]:
    """With a hook that nothing depends on, and that is tried again after two seconds."""
    yield from serve(tmp_path, "after_request", retry_after=2)


def fault(site: Site) -> Path:
    """The file that makes the hook fail."""
    return site.folder / "plugins" / "faulty" / "fail"


def break_it(site: Site) -> None:
    """Let the plugin fail, and ask for pages until it is out, in all workers."""
    fault(site).touch()

    def is_out() -> bool:
        site.get("/page")
        status, body = site.get("/state")  # 500 as long as it is a guard that fails
        return status == 200 and json.loads(body)["plugins"]["faulty"] == "quarantined"

    wait_until(is_out)
    wait_until(lambda: site.is_everywhere("faulty", "quarantined"), seconds=5)


def test_a_plugin_that_fails_is_out_in_every_worker(
    site: Site, tell: Callable[[str], None]
) -> None:
    """Still wanted, with the traceback, while pages are served without it."""
    begun = time.monotonic()
    break_it(site)
    tell(f"out of all workers {time.monotonic() - begun:.2f} s after it began to fail")
    for state in site.states().values():
        assert state["wanted"]["faulty"] == "enabled"
        assert "ZeroDivisionError: on purpose" in state["tracebacks"]["faulty"]
        assert state["health"]["ready"]
        assert "faulty" in state["health"]["problems"][0]
    assert site.get("/page")[0] == 200
    assert site.get("/live") == (200, "on")


@pytest.mark.parametrize("times", [1, 2])
def test_enabling_brings_it_back(site: Site, times: int) -> None:
    """As often as it is needed: what was mended and breaks again is taken out again."""
    for _ in range(times):
        break_it(site)
        fault(site).unlink()
        assert "error" not in site.switch("enable", "faulty")
        assert site.is_everywhere("faulty", "active")
        assert site.get("/page")[0] == 200


def test_enabling_it_in_the_worker_where_it_failed_watches_it_anew(tmp_path: Path) -> None:
    """With one worker, which has counted the faults itself."""
    folder = write_site(tmp_path / "site")
    write_plugin(folder, "faulty", FAULTY.replace("HOOK", "after_request"))
    env = {"SITE_PLUGINKIT_BREAKER": json.dumps(LIMITS)}
    with served(folder, workers=1, env=env) as site:
        fault(site).touch()
        for _ in range(3):
            wait_until(lambda: site.state()["plugins"]["faulty"] == "quarantined")
            assert "error" not in site.switch("enable", "faulty")


def test_a_new_worker_keeps_it_out(site: Site) -> None:
    """The quarantine is stored: who begins later doesn't call the plugin either."""
    break_it(site)
    old = set(site.states())
    site.server.send_signal(signal.SIGHUP)
    wait_until(lambda: not old & set(site.states()))
    assert site.is_everywhere("faulty", "quarantined")
    assert "ZeroDivisionError" in next(iter(site.states().values()))["tracebacks"]["faulty"]


def test_it_is_tried_again_after_a_while(retrying: Site) -> None:
    """Mended it stays; if it still fails it is taken out again."""
    break_it(retrying)
    generation = retrying.state()["generation"]

    def was_tried() -> bool:
        retrying.get("/page")
        state = retrying.state()
        return bool(
            state["generation"] >= generation + 2 and state["plugins"]["faulty"] == "quarantined"
        )

    wait_until(was_tried)
    fault(retrying).unlink()
    wait_until(lambda: retrying.is_everywhere("faulty", "active"))


def test_pages_are_shut_while_a_guard_is_out(guarded: Site) -> None:
    """Pages answer 503, the probe that is always open answers; enabling opens them again."""
    site = guarded
    break_it(site)
    for path in ("/page", "/live", "/any/page", "/view"):
        assert site.get(path)[0] == 503, path
    for state in site.states().values():
        assert not state["health"]["ready"]
    fault(site).unlink()
    # the pages that switch are shut too
    assert site.get("/switch/enable/faulty", method="POST")[0] == 503
    assert flask_plugins(site, "enable", "faulty").returncode == 0
    assert site.get("/page")[0] == 200


def test_disabling_a_guard_opens_the_pages(guarded: Site) -> None:
    """That is the decision of the operator."""
    break_it(guarded)
    assert flask_plugins(guarded, "disable", "faulty").returncode == 0
    assert guarded.is_everywhere("faulty", "disabled")
    assert guarded.get("/page")[0] == 200


def test_safe_mode_starts_without_plugins(tmp_path: Path) -> None:
    """Pages are shut as long as a plugin that is known to guard them is wanted."""
    folder = write_site(tmp_path / "site")
    write_plugin(folder, "faulty", FAULTY.replace("HOOK", "before_request"))
    with served(folder) as site:
        site.states()
        (control,) = folder.glob("instance/pluginkit/*")
        wait_until((control / "inventory.json").exists)
    # no plugin is even imported, whatever has become of its code
    (folder / "plugins" / "faulty" / "__init__.py").write_text(
        FAULTY.replace("from pathlib", "raise SystemExit\nfrom pathlib")
    )
    with served(folder, env={"PLUGINKIT_SAFE_MODE": "1"}) as site:
        assert site.is_everywhere("live", "disabled")
        assert site.get("/page")[0] == 503
        assert flask_plugins(site, "disable", "faulty").returncode == 0
        assert flask_plugins(site, "disable", "live").returncode == 0
        wait_until(lambda: site.get("/page")[0] == 200)
