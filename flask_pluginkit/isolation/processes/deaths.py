"""When a plugin whose worker died is started again: at once, later, or not for a while."""

from __future__ import annotations

from collections import deque
from typing import Final

FIRST: Final = 0.1
"""Seconds before the second restart in a row; it doubles with each."""
LONGEST: Final = 30.0


class Deaths:
    """The deaths of one plugin's workers within a window; times are those of `time.monotonic`."""

    def __init__(self, limit: int, window: float, retry_after: float) -> None:
        self.limit = limit
        self.window = window
        self.retry_after = retry_after
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        """Count one more."""
        self._times.append(now)
        self._forget(now)

    def count(self, now: float) -> int:
        """Return how many there were within the window."""
        self._forget(now)
        return len(self._times)

    def delay(self, now: float) -> float:
        """Return the seconds until the next start: none after the first death."""
        deaths = self.count(now)
        if deaths >= self.limit:
            return self.retry_after
        return 0.0 if deaths <= 1 else min(FIRST * 2 ** (deaths - 2), LONGEST)

    def is_too_many(self, now: float) -> bool:
        """Whether the plugin is put off."""
        return self.count(now) >= self.limit

    def clear(self) -> None:
        """Begin anew: somebody asked for it."""
        self._times.clear()

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > self.window:
            self._times.popleft()
