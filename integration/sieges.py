"""A real site under attack: who asks it meanwhile, what it answered, and what is left of it."""

from __future__ import annotations

import functools
import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LONGEST = 3 << 20
"""Bytes of one answer that are read; whoever sends more is left alone."""

PAUSE = 0.012
"""Seconds that visitors of the host's own page think."""

RECOVERY = 6.0
"""Seconds after which a plugin counts as put off."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of one request; status 0 is a connection that broke."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def values(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 12,
) -> Answer:
    """Ask once, on a connection of its own."""
    port = urlsplit(url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    status, data = 0, bytearray()
    found: tuple[tuple[str, str], ...] = ()
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        status, found = response.status, tuple(response.getheaders())
        while len(data) < LONGEST and (part := response.read1(1 << 16)):
            data += part
    except (OSError, http.client.HTTPException) as error:
        return Answer(
            status=status, headers=found, body=bytes(data), error=f"{type(error).__name__}: {error}"
        )
    finally:
        connection.close()
    return Answer(status=status, headers=found, body=bytes(data))


# ---- visitors of the host's own pages --------------------------------------------------------


@dataclass
class Visitors:
    """Two who ask the host's own page, and a third who asks another plugin's view."""

    url: str
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By path: when a request began, and how long it took."""
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for the length of the block."""
        self._stop = threading.Event()
        pages = [("/", b"the site"), ("/", b"the site"), ("/neighbour/", b"neighbour")]
        threads = [threading.Thread(target=self._ask, args=page) for page in pages]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, path: str, expected: bytes) -> None:
        rows = self.seconds.setdefault(path, [])
        while not self._stop.wait(PAUSE):
            begun = time.monotonic()
            answer = ask(self.url, path)
            rows.append((begun, time.monotonic() - begun))
            if answer.status != 200 or answer.body != expected:
                self.failures.append(
                    f"{path}: {answer.status} {answer.error} {answer.body[:200]!r}"
                )

    def quantiles(self, begun: float, ended: float) -> tuple[float, float]:
        """The median and p99 of the host's own page, in seconds."""
        found = [took for at, took in self.seconds["/"] if begun <= at < ended]
        if len(found) < 2:
            return (0.0, 0.0)
        return statistics.median(found), statistics.quantiles(found, n=100, method="inclusive")[98]


# ---- rows ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row:
    """One attack: a plugin, what sets it off, and what the attacker may be answered."""

    name: str
    source: str
    permissions: tuple[str, ...] = ()
    path: str = ""
    """What sets it off; by default the view ``attack``."""
    statuses: tuple[int, ...] = (500, 502, 503)
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: float = RECOVERY
    """Seconds after which the plugin counts as put off."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attack."""

    answer: Answer
    after: Answer
    """The next answer of the host's own page."""
    seconds: float
    """Until the attacker was answered."""
    recovery: float | None
    """Seconds from there to the first good answer of the same plugin; None: it is put off."""
    others: bytes
    """What the plugin's next requests were answered."""
    failures: tuple[str, ...]
    """Of the host's page and the other plugin's view."""
    median: float
    p99: float
    grown: int
    """Bytes by which the largest web worker was larger than ever before."""


def attack(url: str, row: Row, visitors: Visitors) -> Outcome:
    """Set an attack off, and look at what it did to others."""
    failed = len(visitors.failures)
    before = max(peaks(url).values(), default=0)
    begun = time.monotonic()
    path = row.path or f"/{row.name}/attack"
    answer = ask(url, path, headers=row.headers)
    ended = time.monotonic()
    recovery, others = recovered(url, row.name, ended, row.patience)
    after = ask(url, "/")
    time.sleep(max(begun + 0.2 - time.monotonic(), 0))
    median, p99 = visitors.quantiles(begun, time.monotonic())
    return Outcome(
        answer=answer,
        after=after,
        seconds=ended - begun,
        recovery=recovery,
        others=others,
        failures=tuple(visitors.failures[failed:]),
        median=median,
        p99=p99,
        grown=max(peaks(url).values(), default=0) - before,
    )


def recovered(url: str, name: str, since: float, patience: float) -> tuple[float | None, bytes]:
    """Wait for a plugin's good answer; return how long that took, and what it answered."""
    found = bytearray()
    while time.monotonic() < since + patience:
        answer = ask(url, f"/{name}/")
        found += answer.body
        if answer.body.startswith(b"alive"):
            return time.monotonic() - since, bytes(found)
        if answer.status == 404:
            break
        time.sleep(0.03)
    return None, bytes(found)


def stopped(url: str, names: Iterable[str]) -> dict[str, str]:
    """What the supervisor, or else a web worker, says of each plugin's end or last fault."""
    found = dict.fromkeys(names, "nothing: it goes on")
    for state in [state_of(url) for _ in range(6)]:
        said = {one["plugin"]: one["reason"] for one in state["processes"]}
        for name in names:
            text = said.get(name) or state["faults"].get(name) or state["plugins"][name][1]
            if text:
                lines = [line for line in text.splitlines() if line and line[0] not in " |"]
                found[name] = lines[-1 if "Traceback" in text else 0][:110]
    return found


# ---- processes -------------------------------------------------------------------------------


def peaks(url: str) -> dict[int, int]:
    """The most memory that each web worker ever had, in bytes."""
    found = {}
    for pid in web_workers(url):
        for line in status_of(pid):
            if line.startswith("VmHWM:"):
                found[pid] = int(line.split()[1]) * 1024
    return found


@functools.cache
def web_workers(url: str) -> list[int]:
    """The processes of the site's server that answer requests."""
    port = str(urlsplit(url).port)
    found = [p for p, words in commands().items() if f"127.0.0.1:{port}" in words]
    return [pid for pid in found if parent(pid) in found]


def commands() -> dict[int, list[str]]:
    """The command lines of all processes."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        found[int(folder.name)] = words
    return found


def status_of(pid: int) -> list[str]:
    """The lines of a process's status, none if it is gone."""
    try:
        return Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def parent(pid: int) -> int:
    """The process that started another."""
    return next((int(x.split()[1]) for x in status_of(pid) if x.startswith("PPid:")), 0)


def with_word(word: str) -> list[int]:
    """The processes whose command line has a word."""
    return [pid for pid, words in commands().items() if word in words]


def all_gone(pids: Sequence[int], word: str, seconds: float = 12) -> list[int]:
    """Wait until processes have ended; return those that are still there."""
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid in {*pids, *with_word(word)} if status_of(pid)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


# ---- the report ------------------------------------------------------------------------------


def table(
    outcomes: Mapping[str, Outcome], base: tuple[float, float], said: Mapping[str, str]
) -> str:
    """What stopped what, and what the host and its visitors noticed."""
    lines = [
        f"base line of the host's page: p50 {base[0] * 1e3:.1f} ms, p99 {base[1] * 1e3:.1f} ms"
    ]
    lines.append("attack | answered | after | recovery | host p50 x | p99 x | what stopped it")
    for name, one in outcomes.items():
        late = "put off" if one.recovery is None else f"{one.recovery * 1e3:.0f} ms"
        lines.append(
            f"{name} | {one.answer.status or one.answer.error[:30]} | {one.seconds * 1e3:.0f} ms | "
            f"{late} | {one.median / base[0]:.1f} | {one.p99 / base[1]:.1f} | {said[name]}"
        )
    return "\n".join(lines)


def state_of(url: str) -> dict[str, Any]:
    """What the site says of itself; a supervisor that was killed is missed once."""
    for _ in range(5):
        answer = ask(url, "/state", timeout=60)
        if answer.status == 200:
            break
        time.sleep(0.1)
    found: dict[str, Any] = json.loads(answer.body)
    return found
