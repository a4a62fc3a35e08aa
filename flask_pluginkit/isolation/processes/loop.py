"""A loop of one thread: descriptors that are ready, times that have come, words of threads."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Final

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT

_log = logging.getLogger(__name__)

Callback = Callable[[], object]


class Timer:
    """Something to be done later, unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Don't do it."""
        self.callback = None


class Loop:
    """Calls back in one thread; only `soon` may be used by others."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._soon: deque[Callback] = deque()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_running = False
        self.watch(self._wakeup, READ, self._awake)

    def watch(self, descriptor: int, events: int, callback: Callback) -> None:
        """Call back whenever a descriptor is ready, or has an end or an error."""
        self._watched[descriptor] = callback
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Wait for other events of a watched descriptor."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch a descriptor no more; to be called before it is closed."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, after so many seconds."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def soon(self, callback: Callback) -> None:
        """Call back in the loop's thread; to be called from any thread or signal handler."""
        self._soon.append(callback)
        os.eventfd_write(self._wakeup, 1)

    def run(self) -> None:
        """Go on until `stop`; what a callback raises is logged and ends nothing."""
        self._is_running = True
        while self._is_running:
            for descriptor, _ in self._epoll.poll(self._pause()):
                # it may have been forgotten by the one before
                if (callback := self._watched.get(descriptor)) is not None:
                    _call(callback)
            self._expire()

    def stop(self) -> None:
        """Let `run` return."""
        self._is_running = False

    def close(self) -> None:
        """Close what the loop itself has open."""
        self._epoll.close()
        os.close(self._wakeup)

    def _pause(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        return max(self._timers[0][0] - time.monotonic(), 0.0)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                _call(timer.callback)

    def _awake(self) -> None:
        os.eventfd_read(self._wakeup)
        for _ in range(len(self._soon)):
            _call(self._soon.popleft())


def _call(callback: Callback) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - one fault is no reason to end all plugins
        _log.exception("a fault of the supervisor itself")
