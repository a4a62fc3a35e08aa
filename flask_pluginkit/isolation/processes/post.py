"""The place of one plugin's worker: who wants it filled, and when it is filled again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from flask_pluginkit.exceptions import PluginError, SandboxUnavailable
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.supervision import (
    Placed,
    Refused,
    Want,
    WorkerInfo,
)
from flask_pluginkit.text import clean

from .deaths import Deaths
from .employee import Employee
from .loop import Loop, Timer
from .settings import Settings

SHORT: Final = 0.5
"""Seconds: those who want a plugin that is put off for less than that wait for it."""


class Client(Protocol):
    """A web worker, as far as a place needs to know it."""

    def send(self, message: Placed | Refused) -> None:
        """Tell it something."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """Somebody who waits for an answer."""

    client: Client
    id: int
    timer: Timer


class Post:
    """One spec. At most one worker fills it; it is refilled as long as somebody wants it."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        spec: Spec,
        hire: Callable[[Post], Employee],
        abandoned: Callable[[Post], object],
    ) -> None:
        """Make an empty one.

        Args:
            loop: for times.
            settings: of the application.
            spec: what is to be run.
            hire: starts a worker; raises PluginError or OSError.
            abandoned: called when nobody has wanted it for a while.

        """
        self.spec = spec
        self.state = "idle"
        self.since = time.monotonic()
        self.restarts = 0
        self.reason = ""
        self.wants: set[Client] = set()
        self.employee: Employee | None = None
        self._loop = loop
        self._settings = settings
        self._hire = hire
        self._abandoned = abandoned
        self._deaths = Deaths(settings.deaths, settings.window, settings.retry_after)
        self._waiting: list[Waiting] = []
        self._refusal = Refused(id=0, reason="")
        self._retry_at = 0.0
        self._timer: Timer | None = None
        self._linger: Timer | None = None

    # ---- who wants it ----------------------------------------------------------------------

    def want(self, client: Client, message: Want) -> None:
        """A web worker wants the plugin; it is answered when it runs or can't be run."""
        self.wants.add(client)
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if message.retry:
            self._deaths.clear()
            if self.state in ("waiting", "failed"):
                self._enter("idle")
        left = self._retry_at - time.monotonic()
        if self.state == "failed" and self._retry_at and left <= 0:
            self._enter("idle")
        if self.state == "running" and self.employee is not None and not self.employee.fate:
            client.send(self._placed(message.id, self.employee))
            return
        if self.state == "failed" or (self.state == "waiting" and left > SHORT):
            client.send(self._refused(message.id))
            return
        waiting = Waiting(
            client=client,
            id=message.id,
            timer=self._loop.later(max(message.seconds, 0.0), lambda: self._impatient(waiting)),
        )
        self._waiting.append(waiting)
        if self.state == "idle":
            self._start()

    def release(self, client: Client) -> None:
        """A web worker needs it no more, or is gone."""
        self.wants.discard(client)
        for waiting in [one for one in self._waiting if one.client is client]:
            waiting.timer.cancel()
            self._waiting.remove(waiting)
        if not self.wants and self._linger is None:
            self._linger = self._loop.later(
                self._settings.linger, lambda: None if self.wants else self._abandoned(self)
            )

    def close(self) -> None:
        """Fill it no more."""
        for timer in (self._timer, self._linger, *(one.timer for one in self._waiting)):
            if timer is not None:
                timer.cancel()
        self._enter("closed")

    # ---- who fills it ----------------------------------------------------------------------

    def born(self, employee: Employee) -> None:
        """The worker was forked: from now on it has time to be loaded."""
        seconds = self._settings.starting

        def hurry() -> None:
            if self.employee is employee and self.state == "starting":
                employee.kill(f"it wasn't loaded within {seconds:g} s")

        if self.employee is employee and self.state == "starting":
            self._timer = self._loop.later(seconds, hurry)

    def ready(self, employee: Employee) -> None:
        """The worker serves."""
        if employee is not self.employee or self.state != "starting":
            return
        self._enter("running")
        for waiting in self._answered():
            waiting.client.send(self._placed(waiting.id, employee))

    def gone(self, employee: Employee) -> None:
        """The worker ended."""
        if employee is not self.employee:
            return
        self.employee = None
        if self.state == "closed":
            return
        was_starting = self.state == "starting"
        self.restarts += 1
        if was_starting and (unfit := employee.unfit) is not None:
            # of the sandbox only what was said before the plugin's own code ran is believed
            is_sandbox = unfit.is_sandbox and employee.enclosed is None
            self._fail(
                Refused(
                    id=0,
                    reason=clean(unfit.reason, 4_000, multiline=True),
                    traceback=clean(unfit.traceback, 20_000, multiline=True),
                    is_sandbox=is_sandbox,
                )
            )
            return
        now = time.monotonic()
        self._deaths.add(now)
        delay = self._deaths.delay(now)
        what = "it couldn't be started: " if was_starting else ""
        refusal = Refused(id=0, reason=f"{what}{employee.fate}", traceback=employee.tail)
        if self._deaths.is_too_many(now):
            count, window = self._deaths.count(now), self._settings.window
            self._fail(
                Refused(
                    id=0,
                    reason=f"{refusal.reason}; that was death {count} within {window:g} s",
                    traceback=refusal.traceback,
                ),
                delay,
            )
            return
        self._put_off(refusal, delay, was_starting=was_starting)

    def _start(self) -> None:
        self._enter("starting")
        try:
            self.employee = self._hire(self)
        except (PluginError, OSError) as error:
            is_sandbox = isinstance(error, SandboxUnavailable)
            self._fail(Refused(id=0, reason=str(error), is_sandbox=is_sandbox))

    def _put_off(self, refusal: Refused, delay: float, *, was_starting: bool) -> None:
        self._refusal = refusal
        self.reason = refusal.reason
        self._retry_at = time.monotonic() + delay
        self._enter("waiting")
        if was_starting or delay > SHORT:
            self._refuse_all()
        if not delay and self.wants:
            self._start()
            return
        self._timer = self._loop.later(delay, self._again)

    def _again(self) -> None:
        if self.state in ("waiting", "failed"):
            self._enter("idle")
            if self.wants:
                self._start()

    def _fail(self, refusal: Refused, retry_after: float = 0.0) -> None:
        self._refusal = refusal
        self.reason = refusal.reason
        self._retry_at = time.monotonic() + retry_after if retry_after else 0.0
        self._enter("failed")
        self._refuse_all()
        if retry_after:
            self._timer = self._loop.later(retry_after, self._again)

    def _enter(self, state: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.state = state
        self.since = time.monotonic()

    # ---- answers ---------------------------------------------------------------------------

    def _answered(self) -> list[Waiting]:
        found, self._waiting = self._waiting, []
        for waiting in found:
            waiting.timer.cancel()
        return found

    def _refuse_all(self) -> None:
        for waiting in self._answered():
            waiting.client.send(self._refused(waiting.id))

    def _impatient(self, waiting: Waiting) -> None:
        self._waiting.remove(waiting)
        seconds = time.monotonic() - self.since
        reason = f"it is still being started, for {seconds:.1f} s by now"
        waiting.client.send(Refused(id=waiting.id, reason=reason, retry_after=1.0))

    def _placed(self, number: int, employee: Employee) -> Placed:
        assert employee.description is not None
        assert employee.enclosed is not None
        return Placed(
            id=number,
            incarnation=employee.number,
            socket=str(employee.path),
            description=employee.description,
            layers=employee.enclosed.layers,
            notes=employee.enclosed.notes,
        )

    def _refused(self, number: int) -> Refused:
        left = max(self._retry_at - time.monotonic(), 0.0) if self._retry_at else 0.0
        found = self._refusal
        return Refused(
            id=number,
            reason=found.reason,
            traceback=found.traceback,
            is_sandbox=found.is_sandbox,
            retry_after=left,
        )

    def info(self) -> WorkerInfo:
        """Return what a survey tells of it."""
        if self.employee is not None:
            return self.employee.info(self.state, self.restarts, self.reason)
        return WorkerInfo(
            plugin=self.spec.plugin,
            level=self.spec.level,
            digest=self.spec.digest,
            incarnation=0,
            pid=0,
            uid=0,
            state=self.state,
            since=time.monotonic() - self.since,
            restarts=self.restarts,
            reason=self.reason,
        )
