"""How much of what plugins log gets into the host's own log."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

RATE: Final = 32 << 10
"""Characters a second of one plugin, on the average."""
BURST: Final = 16
"""So many seconds' worth may come at once."""
OVERHEAD: Final = 200
"""Characters that each record costs beside its text."""


class Budget:
    """What one plugin may log; safe for threads. What is too much is counted and told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = float(RATE * BURST)
        self._since = time.monotonic()
        self._dropped = 0

    def allows(self, length: int, logger: logging.Logger, plugin: str) -> bool:
        """Tell whether a record with a text of `length` characters is still to be logged."""
        cost = min(length, 2000) + OVERHEAD
        with self._lock:
            now = time.monotonic()
            self._left = min(self._left + (now - self._since) * RATE, float(RATE * BURST))
            self._since = now
            if cost > self._left:
                self._dropped += 1
                return False
            self._left -= cost
            dropped, self._dropped = self._dropped, 0
        if dropped:
            logger.warning(
                "plugin %r: records were left out %d times, as it logs too much",
                plugin,
                dropped,
                extra={"plugin": plugin},
            )
        return True
