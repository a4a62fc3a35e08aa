"""A load on the site of `live`, and the verdict on what it was answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from live import Switched


@dataclass(frozen=True)
class Question:
    """What is asked, and what tells the two states apart where the body doesn't.

    `on` and `off` are a status with, after a space, the methods that the answer allows.
    """

    path: str
    method: str = "GET"
    on: str = ""
    off: str = ""


PAGE = Question("/page")
QUESTIONS = (
    PAGE,
    Question("/live", off="404"),
    Question("/teapot"),
    Question("/any/live"),
    PAGE,
    Question("/live", "POST", on="405 GET HEAD OPTIONS", off="404"),
    Question("/any/live", "POST", off="405 GET HEAD OPTIONS"),
    Question("/view", off="404"),
    PAGE,
    Question("/any/live", "OPTIONS", on="200 GET HEAD OPTIONS POST", off="200 GET HEAD OPTIONS"),
    Question("/folder", on="308", off="404"),
    Question("/assets/live/a.txt", off="404"),
    Question("/stream"),
)


@dataclass
class Answer:
    """One answer, and when its request began and had ended."""

    question: Question
    begun: float
    ended: float
    seen: frozenset[str]
    detail: str = ""


@dataclass
class Load:
    """Requests without a pause, from a few threads, until it is told to stop."""

    port: int
    threads: int = 6
    is_fresh: bool = False
    """Whether each request has a connection of its own: a server that ends shuts idle ones."""
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask for the length of the block, and at least until there are a few answers."""
        self._stop = threading.Event()
        workers = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(self.threads)
        ]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self._stop.set()
            for worker in workers:
                worker.join()

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            question = QUESTIONS[number % len(QUESTIONS)]
            number += 1
            if self.is_fresh or number % 4 == 0:
                connection.close()  # the next one may be another worker's
            begun = time.monotonic()
            try:
                connection.request(question.method, question.path)
                response = connection.getresponse()
                body = response.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{question}: {type(error).__name__}: {error}")
                connection.close()
                continue
            self._take(question, begun, response, body)
        connection.close()

    def _take(
        self, question: Question, begun: float, response: http.client.HTTPResponse, body: str
    ) -> None:
        ended = time.monotonic()
        allowed = sorted(response.headers.get("Allow", "").replace(",", " ").split())
        seen = _seen(question, " ".join([str(response.status), *allowed]), body)
        if seen is None:
            self.failures.append(f"{question}: {response.status} {allowed}: {body[:2000]}")
            return
        header = response.headers.get("X-Live", "off")
        detail = f"{header} {body[:500]}"
        self.answers.append(Answer(question, begun, ended, seen | {header}, detail))


def _seen(question: Question, told: str, body: str) -> frozenset[str] | None:
    """What an answer says at each extension point, None if it is none."""
    if question.on and told == question.on:
        return frozenset({"on"})
    if question.off and told == question.off:
        return frozenset({"off"})
    if told != "200":
        return None
    if question is PAGE:
        return frozenset(json.loads(body)["seen"])
    return frozenset(body.split())


def mixed(load: Load) -> list[Answer]:
    """The answers that show two states at once."""
    return [answer for answer in load.answers if len(answer.seen) != 1]


def late(load: Load, switches: list[Switched]) -> list[tuple[Answer, Switched]]:
    """The answers whose request began after a switch had returned, and that don't show it.

    While the next switch is on its way, both states are right.
    """
    found = []
    ordered = sorted(load.answers, key=lambda answer: answer.begun)
    position = 0
    for switch, following in zip(switches, [*switches[1:], None], strict=True):
        end = following.begun if following else float("inf")
        while position < len(ordered) and ordered[position].begun < switch.at:
            position += 1
        for answer in ordered[position:]:
            if answer.begun >= end:
                break
            if answer.ended < end and answer.seen != {switch.wanted}:
                found.append((answer, switch))
    return found


def assert_right(load: Load, switches: list[Switched]) -> None:
    """No request failed, none mixed two states, and none saw what was over."""
    assert not load.failures, _some(load.failures)
    assert not mixed(load), _some(mixed(load))
    assert not late(load, switches), _some(late(load, switches))
    seen = {(answer.question, state) for answer in load.answers for state in answer.seen}
    assert seen == {(question, state) for question in QUESTIONS for state in ("on", "off")}


def _some(found: Sequence[object]) -> str:
    return "\n".join([f"{len(found)}, such as", *map(str, found[:5])])
