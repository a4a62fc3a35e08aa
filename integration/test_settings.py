"""Settings in a running gunicorn: ``flask plugins set``, and every worker has it at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from live import Site, flask_plugins, served
from sites import write_site

PLUGIN = '''
"""Greets as often as the operator wants."""
import os, time
from dataclasses import dataclass
from typing import Annotated
from flask_pluginkit import SECRET, Range, Settings

__plugin_name__, __version__, __author__ = "greeter", "1.0.0", "Somebody"

@dataclass(frozen=True)
class Wishes:
    first: Annotated[int, Range(0, 1000)] = 0
    second: Annotated[int, Range(0, 1000)] = 0
    token: Annotated[str, SECRET] = "unset"

settings = Settings(Wishes)

def greet():
    before = settings.first
    time.sleep(0.002)  # lets a change come in between
    return f"{os.getpid()} {before} {settings.second} {settings.token}"

def register():
    return {"settings": settings, "vep": {"rule": "/greet", "view_func": greet}}
'''

CHANGES = 3


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The site with a plugin that has settings, served by two workers."""
    folder = write_site(tmp_path / "site")
    plugin = folder / "plugins" / "greeter"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(PLUGIN)
    with served(folder, *getattr(request, "param", ()), workers=2) as site:
        yield site


@dataclass
class Visitor:
    """Asks without a pause, and keeps what it was answered."""

    site: Site
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    is_done: bool = False

    def __call__(self) -> None:
        """Ask until it is told to stop."""
        while not self.is_done:
            begun = time.monotonic()
            status, text = self.site.get("/greet")
            self.answers.append((begun, status, text))
            time.sleep(0.005)  # leaves something of the machine to the command


@pytest.mark.parametrize("site", [[], ["--preload"]], indirect=True, ids=["plain", "preloaded"])
def test_every_request_after_a_change_sees_it_and_none_fails(site: Site) -> None:
    """In both workers, and both settings of one change together."""
    visitors = [Visitor(site) for _ in range(2)]
    threads = [threading.Thread(target=visitor) for visitor in visitors]
    for thread in threads:
        thread.start()
    changed: list[tuple[float, int]] = []
    try:
        for number in range(1, CHANGES + 1):
            done = flask_plugins(site, "set", "greeter", f"first={number}", f"second={number}")
            assert done.returncode == 0, done.stderr
            changed.append((time.monotonic(), number))
        time.sleep(0.5)  # not to wait for something: the visitors shall see the last one
    finally:
        for visitor in visitors:
            visitor.is_done = True
        for thread in threads:
            thread.join()
    answers = [answer for visitor in visitors for answer in visitor.answers]
    assert {status for _begun, status, _text in answers} == {200}
    workers = set()
    for begun, _status, text in answers:
        pid, first, second, _token = text.split()
        assert first == second, "a mix of two states"
        latest = max((number for at, number in changed if at < begun), default=0)
        assert int(first) >= latest, "an answer from before a change that was over"
        workers.add(pid)
    assert len(workers) == 2


def test_a_secret_is_used_and_shown_nowhere(site: Site) -> None:
    """Neither by the commands, nor in the log, nor in any file but the state."""
    secret = "open-sesame-4711"
    assert flask_plugins(site, "set", "greeter", f"token={secret}").returncode == 0
    assert {site.get("/greet")[1].split()[-1] for _ in range(20)} == {secret}
    listed = flask_plugins(site, "settings", "greeter", "--json")
    rows = {row["field"]: row for row in json.loads(listed.stdout)}
    assert (rows["token"]["value"], rows["token"]["origin"]) == ("(hidden)", "stored")
    outputs = [listed.stdout, flask_plugins(site, "audit", "--json").stdout, site.log()]
    outputs += [
        path.read_text(errors="replace")
        for path in site.folder.rglob("*")
        if path.is_file() and path.name != "state.json"
    ]
    assert not [output for output in outputs if secret in output]


def test_a_wrong_value_is_refused_and_changes_nothing(site: Site) -> None:
    """The command fails with field, found and expected."""
    refused = flask_plugins(site, "set", "greeter", "first=1", "second=5000")
    assert refused.returncode == 1
    assert "setting second: found 5000, expected a whole number from 0 to 1000" in refused.stderr
    assert site.get("/greet")[1].split()[1:] == ["0", "0", "unset"]
