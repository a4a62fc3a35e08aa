"""What plugins ask of their host, answered in threads so that nobody else has to wait."""

from __future__ import annotations

import importlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from flask_pluginkit.isolation.supervision import (
    Ask,
    Told,
    ToSupervisor,
)
from flask_pluginkit.isolation.wire import NotPlainError, WireError, plain
from flask_pluginkit.text import clean

from .channel import SOCKET
from .loop import Loop
from .peer import Peer

THREADS: Final = 4
"""Of one plugin: one that waits for slow hosts keeps nobody else waiting."""
MOST_WAITING: Final = 8
"""Questions of one worker that aren't answered yet; more of them aren't read, as each may have
megabytes."""
RATE: Final = 2000.0
"""Questions a second of one plugin, on the average; more of them aren't read for a while. The
supervisor works for all plugins, and isn't as nice as their workers."""
BURST: Final = 4000.0
"""Questions of one plugin that may come at once."""
COSTS: Final = {"storage.set": 20.0, "storage.remove": 20.0, "connect": 20.0}
"""Those that count for more than one, as the disk or other hosts have work with them."""


class Answers(Protocol):
    """What the package `services` has for a plugin."""

    def answer(self, what: str, args: list[Any]) -> Any:
        """Return plain data or a connected socket, or raise what the plugin is to see."""
        ...


class NoAnswers:
    """Stands for a service that isn't there: nothing is permitted."""

    def answer(self, what: str, args: list[Any]) -> Any:  # noqa: ARG002 - as the others
        """Refuse."""
        raise PermissionError(f"{what} isn't permitted")


def open_service(plugin: str, permissions: tuple[str, ...], home: Path) -> Answers:
    """Return what answers a plugin's questions; `home` is kept for it by the host."""
    try:
        service: Callable[[str, tuple[str, ...], Path], Answers] = importlib.import_module(
            "flask_pluginkit.isolation.services"
        ).Service
    except (ImportError, AttributeError):
        return NoAnswers()
    return service(plugin, permissions, home)


class Desk:
    """Answers the questions of one plugin, whichever of its workers they come from."""

    def __init__(self, loop: Loop, answers: Callable[[], Answers]) -> None:
        self._loop = loop
        self._open = answers
        self._answers: Answers | None = None
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._waiting: dict[object, deque[int]] = {}
        self._left = BURST
        self._since = time.monotonic()
        self._held: set[object] = set()
        """Workers that asked too much; a timer lets each ask again."""

    def take(self, worker: object, ask: Ask, peer: Peer[ToSupervisor]) -> None:
        """Answer a question as soon as a thread is free."""
        waiting = self._waiting.setdefault(worker, deque())
        waiting.append(ask.id)
        self._count(-COSTS.get(ask.what, 1.0))
        if self._left < 0 and worker not in self._held:
            self._held.add(worker)
            self._hold(worker, peer)
        if self._is_enough(waiting):
            peer.pause()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="pluginkit-desk")
        self._threads.submit(self._work, worker, ask, peer)

    def leave(self, worker: object) -> None:
        """Forget a worker that has ended."""
        self._waiting.pop(worker, None)
        self._held.discard(worker)

    def close(self) -> None:
        """Answer nothing more; what runs isn't waited for."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _count(self, change: float) -> None:
        now = time.monotonic()
        self._left = min(self._left + (now - self._since) * RATE, BURST) + change
        self._since = now

    def _is_enough(self, waiting: deque[int]) -> bool:
        return len(waiting) >= MOST_WAITING or self._left < 0

    def _hold(self, worker: object, peer: Peer[ToSupervisor]) -> None:
        """Let a worker ask again as soon as its plugin has asked for less on the average."""
        self._count(0.0)
        if self._left < 0 and worker in self._held:
            self._loop.later(0.01 - self._left / RATE, lambda: self._hold(worker, peer))
        else:
            self._held.discard(worker)
            self._resume(worker, peer)

    def _resume(self, worker: object, peer: Peer[ToSupervisor]) -> None:
        self._count(0.0)
        waiting = self._waiting.get(worker)
        if waiting is not None and not self._is_enough(waiting):
            peer.resume()

    def _work(self, worker: object, ask: Ask, peer: Peer[ToSupervisor]) -> None:
        told, descriptor = self._answered(ask)
        self._loop.soon(lambda: self._deliver(worker, told, descriptor, peer))

    def _answered(self, ask: Ask) -> tuple[Told, int | None]:
        try:
            with self._lock:
                if self._answers is None:
                    self._answers = self._open()
            value = self._answers.answer(ask.what, ask.args)
            if isinstance(value, socket.socket):
                # blocking or not is a matter of the open socket, which both sides share
                value.setblocking(True)
                return Told(id=ask.id, kind=SOCKET), value.detach()
            return Told(id=ask.id, value=plain(value)), None
        except NotPlainError as error:
            return Told(id=ask.id, error=str(error), kind="OSError"), None
        except Exception as error:  # noqa: BLE001 - whatever it is, the plugin is told
            number = error.errno or 0 if isinstance(error, OSError) else 0
            text = (error.strerror if isinstance(error, OSError) else None) or str(error)
            kind = type(error).__name__
            return Told(id=ask.id, error=clean(text), kind=kind, number=number), None

    def _deliver(
        self, worker: object, told: Told, descriptor: int | None, peer: Peer[ToSupervisor]
    ) -> None:
        waiting = self._waiting.get(worker)
        if waiting is None or not peer.is_open:
            if descriptor is not None:
                os.close(descriptor)
            return
        waiting.popleft()
        self._resume(worker, peer)
        try:
            peer.send(told, descriptor)
        except WireError as error:
            peer.send(Told(id=told.id, error=str(error), kind="OSError"))
