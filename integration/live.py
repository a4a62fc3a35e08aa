"""Servers for the site of `sites`, and somebody who switches its plugins.

Every answer says "on" or "off" at each extension point that the plugin ``live`` uses: a page
that says both mixes two states. Times are those of the system's monotonic clock, which is the
same in all processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from servers import free_port, running_gunicorn

FULL = os.environ.get("PLUGINKIT_SOAK") == "1"
"""Whether the sizes are those of `nox -s soak`; else about a tenth of them."""

PATIENCE = 20.0
"""Seconds after which something that should have happened long ago counts as not happening."""

SWITCHER = """
import json, sys, time
from site_of_live import app, manager
for line in sys.stdin:
    what, *rest = line.split()
    begun, used = time.monotonic(), time.process_time()
    try:
        with app.app_context():
            change = getattr(manager, f"{what}_plugin")(*(rest or ["live"]))
        told = {"generation": change.generation, "changed": change.changed, "silent": change.silent}
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    told |= {"begun": begun, "at": time.monotonic(), "used": time.process_time() - used}
    print(json.dumps(told), flush=True)
"""


# the entry point would need an installed distribution
COMMAND_LINE = """
from flask.cli import FlaskGroup
from flask_pluginkit.cli import plugins
from site_of_live import app
group = FlaskGroup(create_app=lambda: app)
group.add_command(plugins)
group()
"""


def places_of_packages() -> list[str]:
    """Where this Python finds what is installed, for another one of the same version.

    Without the standard library: that of another build wouldn't fit.
    """
    own = (sys.base_prefix, sys.base_exec_prefix)
    return [
        each for each in sys.path if each and ("site-packages" in each or not each.startswith(own))
    ]


# ---- a site that is served -------------------------------------------------------------------


@dataclass
class Site:
    """The site, behind a server at a port of the loopback address."""

    folder: Path
    port: int
    env: Mapping[str, str]
    server: subprocess.Popen[bytes]

    def get(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        """Ask over a new connection, and return status and body."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, method=method), timeout=40
            ) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def state(self) -> dict[str, Any]:
        """What one of the workers, whichever answers, knows."""
        status, body = self.get("/state")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def switch(self, what: str, name: str = "live") -> dict[str, Any]:
        """Let one of the workers enable or disable, and return what came of it."""
        status, body = self.get(f"/switch/{what}/{name}", method="POST")
        assert status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told

    def states(self, count: int = 4, *, without: int = 0) -> dict[int, dict[str, Any]]:
        """What each of `count` workers knows, by process; `without` one that is stopped."""
        found: dict[int, dict[str, Any]] = {}
        end = time.monotonic() + PATIENCE
        with ThreadPoolExecutor(8) as pool:
            while len(found) < count:
                assert time.monotonic() < end, f"only {sorted(found)} of {count} workers answer"
                for state in pool.map(lambda _: self.state(), range(8)):
                    assert state["pid"] != without
                    found[state["pid"]] = state
        return found

    def is_everywhere(self, name: str, status: str, count: int = 4) -> bool:
        """Tell whether the plugin `name` has this status in `count` workers."""
        return all(each["plugins"].get(name) == status for each in self.states(count).values())

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "gunicorn.log").read_text(errors="replace")


@contextmanager
def served(
    folder: Path,
    *options: str,
    workers: int = 4,
    threads: int = 4,
    env: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    **site_options: object,
) -> Iterator[Site]:
    """The site behind gunicorn; `site_options` are those of its PluginManager.

    `within` is a command that runs gunicorn.
    """
    full = {**os.environ, "OPTIONS": json.dumps(site_options), **(env or {})}
    port = free_port()
    words = ["--workers", str(workers), "--threads", str(threads), *options]
    target = "site_of_live:app"
    with running_gunicorn(folder, target, port, words, full, within=within) as server:
        yield Site(folder, port, full, server)


def wait_until(is_so: Callable[[], bool], *, seconds: float = PATIENCE) -> float:
    """Wait until something is so, and return for how long; fail if it doesn't come."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() < begun + seconds, f"not within {seconds:g} seconds"
        time.sleep(0.01)
    return time.monotonic() - begun


# ---- switching -------------------------------------------------------------------------------


@dataclass
class Switched:
    """One switch: asked for at `begun`, returned at `at`."""

    wanted: str
    begun: float
    at: float
    used: float = 0.0
    """Seconds of processor time of the process that switched, if that tells them."""

    @classmethod
    def of(cls, what: str, told: Mapping[str, Any]) -> Switched:
        """From what a process or a worker that switches tells."""
        assert "error" not in told, told
        return cls(
            "on" if what == "enable" else "off", told["begun"], told["at"], told.get("used", 0.0)
        )


@dataclass
class Switcher:
    """A process of its own that switches, as the command line does."""

    folder: Path
    env: Mapping[str, str] | None = None
    command: list[str] = field(default_factory=lambda: [sys.executable])

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self.command, "-c", SWITCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=self.env,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)

    def __call__(self, what: str, *names: str) -> Switched:
        """Enable or disable, and tell when."""
        return Switched.of(what, self.ask(what, *names))

    def ask(self, what: str, *names: str) -> dict[str, Any]:
        """Enable or disable, and return what came of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join([what, *names]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process that switches has ended"
        told: dict[str, Any] = json.loads(line)
        return told


def flask_plugins(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``flask plugins ...`` for the site."""
    command = [sys.executable, "-c", COMMAND_LINE, "plugins", *words]
    return subprocess.run(
        command, cwd=site.folder, env=site.env, capture_output=True, text=True, check=False
    )
