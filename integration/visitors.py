"""A visitor of a site with isolated plugins, and somebody who operates it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from isolated import as_user, readable_python, running_site, variables, write
from servers import free_port

PATIENCE = 20.0
"""Seconds after which what should have happened counts as not happening."""

SETTLED = 10.0
"""Seconds in which everything of a site has to be gone after its end."""


@dataclass(frozen=True)
class Answer:
    """What a site answered."""

    status: int
    text: str
    headers: Message

    @property
    def web_worker(self) -> str:
        """The process that answered."""
        return str(self.headers["X-Web-Worker"])

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.text)


class _Unled(urllib.request.HTTPRedirectHandler):
    """Shows redirects instead of following them."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Unled, urllib.request.ProxyHandler({}))


@dataclass
class Load:
    """What a light load was answered."""

    texts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Visited:
    """A running site: `folder` holds it, `process` is gunicorn's master."""

    folder: Path
    user: str
    options: Mapping[str, Any]
    port: int
    process: subprocess.Popen[bytes]
    settings: Mapping[str, str]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        method: str = "GET",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask once, by a connection of its own."""
        request = urllib.request.Request(self.url + path, data, dict(headers or {}), method=method)
        try:
            with _OPENER.open(request, timeout=30) as found:
                return Answer(found.status, found.read().decode(), found.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), error.headers)

    def show(self, source: str) -> str:
        """What a page of the site with this template shows."""
        return self.ask(f"/page?{urllib.parse.urlencode({'source': source})}").text

    def everywhere(self, path: str, method: str = "GET", *, workers: int = 2) -> list[Answer]:
        """Ask until each web worker has answered; each worker's first answer."""
        found: dict[str, Answer] = {}
        end = time.monotonic() + PATIENCE
        with ThreadPoolExecutor(4) as pool:
            while len(found) < workers:
                assert time.monotonic() < end, f"only {[*found]} of the web workers answered"
                for answer in pool.map(lambda _: self.ask(path, method), range(4)):
                    found.setdefault(answer.web_worker, answer)
        return [*found.values()]

    def texts(self, path: str) -> set[str]:
        """The different texts that the web workers answer."""
        return {answer.text for answer in self.everywhere(path)}

    def do(self, what: str, name: str) -> dict[str, Any]:
        """Let one web worker switch a plugin, or look for new ones."""
        told: dict[str, Any] = self.ask(f"/do/{what}/{name}", "POST").json
        assert "error" not in told, told
        return told

    def state(self) -> dict[str, Any]:
        """What one web worker knows of the plugins and their processes."""
        found: dict[str, Any] = self.ask("/state").json
        return found

    def processes(self) -> dict[str, dict[str, Any]]:
        """The processes that run, by plugin."""
        return {
            one["plugin"]: one for one in self.state()["processes"] if one["state"] == "running"
        }

    def command(self, *words: str) -> str:
        """What ``flask plugins`` prints, in a process of its own."""
        return command(self.folder, self.user, self.options, self.settings, *words)

    def put(self, files: Mapping[str, str]) -> None:
        """Write or replace files of the site; each comes as a whole."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self.folder / "unfinished"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.rename(path)

    @contextmanager
    def under_load(self, paths: Sequence[str]) -> Iterator[Load]:
        """Ask for the length of the block, from two threads; whatever isn't a 200 is a failure."""
        load, stop = Load(), threading.Event()

        def ask() -> None:
            while not stop.is_set():
                for path in paths:
                    try:
                        answer = self.ask(path)
                    except OSError as error:
                        load.failures.append(f"{path}: {error}")
                        continue
                    load.texts.append(answer.text)
                    if answer.status != 200:
                        load.failures.append(f"{path}: {answer.status} {answer.text}")
                stop.wait(0.01)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @property
    def state_dir(self) -> Path:
        """The folder with the state."""
        return Path(self.options["state_dir"])

    def traces(self) -> Traces:
        """What must be gone when the site has ended."""
        [note] = self.state_dir.glob("sandbox-runtime-*")
        runtime = Path(os.fsdecode(note.read_bytes()))
        workers = {one["pid"] for one in self.state()["processes"] if one["pid"]}
        zygotes = {parent(pid) for pid in workers}
        supervisors = {parent(pid) for pid in zygotes}
        assert (len(zygotes), len(supervisors)) == (1, 1)
        webs = {int(answer.web_worker) for answer in self.everywhere("/state")}
        pids = {*workers, *zygotes, *supervisors, *webs, self.process.pid}
        return Traces({pid: born(pid) for pid in pids}, supervisors.pop(), runtime, note)


@dataclass(frozen=True)
class Traces:
    """Processes, by when they were born, and files of a site that runs."""

    pids: Mapping[int, str | None]
    supervisor: int
    runtime: Path
    note: Path

    def left(self) -> list[str]:
        """What of it is still there."""
        mark = self.runtime.name.removeprefix("flask-pluginkit-").rpartition("-")[0]
        assert mark, self.runtime
        places = [self.runtime, self.note, *Path("/tmp").glob(f"pluginkit-{mark}-*")]
        alive = [str(pid) for pid, when in self.pids.items() if when and born(pid) == when]
        return alive + [str(place) for place in places if place.exists()]

    def left_in_time(self) -> list[str]:
        """What is still there after the time that it gets to go."""
        until(lambda: not self.left(), SETTLED)
        return self.left()


@contextmanager
def visited(
    folder: Path,
    user: str,
    options: Mapping[str, Any],
    *words: str,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Visited]:
    """A site in a folder, behind gunicorn with two workers of four threads."""
    options = {"state_dir": str(folder / "state"), **options}
    given = ["--workers", "2", "--threads", "4", "--worker-class", "gthread", *words]
    port = free_port()
    with running_site(folder, user, json.dumps(options), port, given, settings) as process:
        yield Visited(folder, user, options, port, process, settings or {})


def build(folder: Path, files: Mapping[str, str]) -> None:
    """Write a site, with a folder for its state."""
    write(folder, files)
    (folder / "state").mkdir()


def command(
    folder: Path,
    user: str,
    options: Mapping[str, Any],
    settings: Mapping[str, str],
    *words: str,
) -> str:
    """What ``flask plugins`` prints for the site in a folder; it must do what it was told."""
    given = {"state_dir": str(folder / "state"), **options}
    line = [readable_python(), "-m", "flask", "--app", "site_host", "plugins", *words]
    done = subprocess.run(
        [*as_user(user), *line],
        cwd=folder,
        env={**variables(user, json.dumps(given), settings), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait until something is so; tell whether it is."""
    end = time.monotonic() + seconds
    while not (is_so := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return is_so


def _stat(pid: int) -> list[str]:
    # after the name, which is in brackets and may hold anything: state, parent, ...
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent(pid: int) -> int:
    """The process that a process is the child of."""
    return int(_stat(pid)[1])


def born(pid: int) -> str | None:
    """When a process began, which tells it from others of its number; None for one that ended."""
    try:
        found = _stat(pid)
    except OSError:
        return None
    return None if found[0] == "Z" else found[19]
