"""The commands for plugins in processes of their own, on a real site."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from isolation_sites import Site, _impatient, guest
from trees import write_plugin

from flask_pluginkit import cli

__all__ = ["_impatient"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose only plugin is trusted so far."""
    guest(tmp_path, __permissions__=["storage", "net:api.example.org:443"])
    made = Site(tmp_path, isolation=None)
    yield made
    made.close()


@pytest.fixture
def run(site: Site) -> Callable[..., Result]:
    """Call ``flask plugins`` with arguments."""

    def invoke(*arguments: str, **options: Any) -> Result:
        return site.app.test_cli_runner().invoke(cli.plugins, arguments, **options)

    return invoke


def test_a_plugin_is_isolated_and_listed_so(site: Site, run: Callable[..., Result]) -> None:
    """The list tells where it runs in the place of a reason."""
    done = run("isolate", "guest", "--level", "process")
    assert (done.exit_code, done.output) == (0, "guest: process (generation 1)\n")
    assert "process: not sandboxed" in run("list").output
    [row] = json.loads(run("list", "--json").output)
    assert (row["isolation"], row["confinement"]) == ("process", "process: not sandboxed")
    assert [entry["action"] for entry in site.manager.audit()] == ["isolate", "isolate"]


def test_the_same_once_more_changes_nothing(site: Site, run: Callable[..., Result]) -> None:
    """And says so."""
    run("isolate", "guest", "--level", "process")
    assert "already" in run("isolate", "guest", "--level", "process").output
    assert site.manager.snapshot.generation == 1


def test_back_to_what_is_configured(site: Site, run: Callable[..., Result]) -> None:
    """The stored level is gone."""
    run("isolate", "guest", "--level", "process")
    assert run("isolate", "guest", "--level", "configured").exit_code == 0
    assert site.row().isolation == "trusted"


def test_an_unknown_plugin_or_level_is_refused(site: Site, run: Callable[..., Result]) -> None:
    """With the nearest name; nothing changes."""
    refused = run("isolate", "gest")
    assert refused.exit_code == 1
    assert "did you mean 'guest'" in refused.output
    assert run("isolate", "guest", "--level", "jail").exit_code == 2
    assert site.manager.snapshot.generation == 0


def test_processes_are_listed(run: Callable[..., Result]) -> None:
    """None without plugins that have some."""
    assert run("processes").output == "no plugin has a process of its own\n"
    run("isolate", "guest", "--level", "process")
    head, line = run("processes").output.splitlines()
    assert head.split() == ["NAME", "LEVEL", "STATE", "PID", "UID", "MEMORY", "REASON"]
    assert line.split()[:3] == ["guest", "process", "running"]


def test_what_a_plugin_asks_for_is_shown_before_it_is_granted(
    site: Site, run: Callable[..., Result]
) -> None:
    """In words; a no grants nothing."""
    refused = run("approve", "guest", input="n\n")
    assert refused.exit_code == 1
    assert "may open connections to api.example.org, port 443" in refused.output
    assert not (site.folder / "state/approvals.json").exists()
    granted = run("approve", "guest", "--yes")
    assert (granted.exit_code, granted.output.splitlines()[-1]) == (0, "guest: granted")
    assert "net:api.example.org:443" in (site.folder / "state/approvals.json").read_text()


def test_a_plugin_that_asks_for_nothing_needs_no_approval(
    site: Site, run: Callable[..., Result]
) -> None:
    """There is nothing to decide."""
    write_plugin(site.folder / "plugins", "guest", "def register():\n    return {}")
    assert run("approve", "guest").output == "guest asks for nothing\n"


def test_a_plugin_that_cannot_be_so_there_stays_where_it_is(
    site: Site, run: Callable[..., Result]
) -> None:
    """What it asks for isn't granted yet: the level isn't stored."""
    refused = run("isolate", "guest")
    assert refused.exit_code == 1
    assert "approve" in refused.output
    assert site.row().isolation == "trusted"
    assert site.client.get("/guest/").status_code == 200
