"""Looks from time to time whether plugins keep to what their folders may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from .employee import Employee
from .homes import excess
from .loop import Loop


class Quotas:
    """One thread that looks at one folder after the other; a worker with too much is killed."""

    def __init__(
        self, loop: Loop, interval: float, employees: Callable[[], Iterable[Employee]]
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._employees = employees
        self._thread: ThreadPoolExecutor | None = None
        loop.later(interval, self._begin)

    def close(self) -> None:
        """Look no more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        found = [one for one in self._employees() if one.home is not None and one.pid]
        if not found:
            self._loop.later(self._interval, self._begin)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="pluginkit-quotas")
        self._thread.submit(self._look, found)

    def _look(self, employees: list[Employee]) -> None:
        for employee in employees:
            reason = self._excess(employee)
            if reason:
                self._loop.soon(partial(employee.kill, reason))
        self._loop.soon(lambda: self._loop.later(self._interval, self._begin))

    def _excess(self, employee: Employee) -> str:
        home = employee.home
        if home is None or employee.is_over:
            return ""
        try:
            return excess(home, employee.spec, employee.pid)
        except OSError as error:
            return f"its folder can't be looked at: {error}"
