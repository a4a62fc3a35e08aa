"""One helper thread per process, for what must not happen inside a request.

Looking at files, adopting changes of other processes, writing reports: the members of the
pulse get a `beat` every 50 milliseconds, which looks at memory, and a `tick` every second,
which may look at files. The thread starts with the first member, never in a process that only
forks workers, and ends after the last one. Members are held weakly.

A server that runs Python without threads (uWSGI without ``enable-threads``) gives it no time.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from typing import Final, Protocol

BEAT: Final = 0.05
"""Seconds between two beats of a member."""

TICK: Final = 1.0
"""Seconds between two ticks of a member."""

_PATIENCE: Final = 1.0
"""Seconds that the end of the process waits for a member that is at work."""

_LOGGER: Final = logging.getLogger("flask_pluginkit")


class Beating(Protocol):
    """A member of the pulse. Whatever its methods raise is logged once per kind and forgotten."""

    def beat(self) -> None:
        """Look at memory: this is called twenty times a second."""

    def tick(self) -> None:
        """Look at files: this is called once a second."""


class _Entry:
    """One member, and when it wants to tick next (monotonic seconds)."""

    __slots__ = ("due", "member", "told")

    def __init__(self, member: Beating) -> None:
        self.member = weakref.ref(member)
        self.due = time.monotonic() + TICK
        self.told: set[tuple[str, type[BaseException]]] = set()

    def call(self, what: str) -> bool:
        """Call the method `what` of the member; False if the member is gone."""
        member = self.member()
        if member is None:
            return False
        try:
            getattr(member, what)()
        except BaseException as error:  # nothing may end the thread of the others
            kind = (what, type(error))
            if kind not in self.told:
                self.told.add(kind)
                _LOGGER.exception(
                    "%s() of %s failed; it goes on, and what fails likewise isn't told again",
                    what,
                    type(member).__name__,
                )
        return True


class _Crew:
    """The members in one process, and the thread that serves them."""

    __slots__ = ("entries", "guard", "over", "thread", "waker")

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.waker = threading.Event()
        self.entries: list[_Entry] = []
        self.thread: threading.Thread | None = None
        self.over = threading.Event()

    def add(self, member: Beating) -> None:
        with self.guard:
            if all(entry.member() is not member for entry in self.entries):
                self.entries = [*self.entries, _Entry(member)]
            if self.thread is not None or self.over.is_set():
                return
            self.thread = threading.Thread(target=self.run, name="flask-pluginkit", daemon=True)
            try:
                self.thread.start()
            except RuntimeError as error:
                self.thread = None
                _LOGGER.warning("the helper thread of Flask-PluginKit can't start: %s", error)

    def stop(self) -> None:
        self.over.set()
        self.waker.set()
        if (thread := self.thread) is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def run(self) -> None:
        pause = BEAT
        while not self.over.is_set():
            self.waker.wait(pause)
            self.waker.clear()
            for entry in self.entries:
                if not self.over.is_set() and not entry.call("beat"):
                    self.drop(entry)
            if self.ends():
                return
            pause = self.tick_one()
        self.thread = None

    def tick_one(self) -> float:
        """Tick the member that waits longest, and return for how long nothing is due.

        One at a time: between two slow ticks everybody gets a beat.
        """
        now = time.monotonic()
        due = sorted((e for e in self.entries if e.due <= now), key=lambda entry: entry.due)
        if not due or self.over.is_set():
            return BEAT
        due[0].call("tick")
        due[0].due = time.monotonic() + TICK
        return 0.0 if len(due) > 1 else BEAT

    def drop(self, gone: _Entry) -> None:
        with self.guard:
            self.entries = [entry for entry in self.entries if entry is not gone]

    def ends(self) -> bool:
        """End the thread if no members are left; in one step, so that a new one isn't missed."""
        with self.guard:
            if self.entries:
                return False
            self.thread = None
            return True


class Pulse:
    """The thread and its members; a process has one, `PULSE`."""

    def __init__(self) -> None:
        self._crews = {os.getpid(): _Crew()}
        _PULSES.add(self)

    def _crew(self) -> _Crew:
        """Return the crew of this process: some servers fork without telling Python."""
        process = os.getpid()
        crew = self._crews.get(process)
        return crew if crew is not None else self._crews.setdefault(process, _Crew())

    def add(self, member: Beating) -> None:
        """Let `member` take part, from now until it is removed or nobody else holds it.

        After a fork the child has no members: those that live on there are added again.
        Raises nothing; a process that can't start threads any more (it ends, or has too many)
        is logged, and the next `add` tries again.
        """
        self._crew().add(member)

    def remove(self, member: Beating) -> None:
        """Let `member` no longer take part; a call that is on its way may still reach it."""
        crew = self._crew()
        for entry in crew.entries:
            if entry.member() is member:
                crew.drop(entry)

    def wake(self) -> None:
        """Let the next beat of all members come at once."""
        self._crew().waker.set()

    def stop(self) -> None:
        """End the thread for good, and wait up to a second for a member that is at work."""
        self._crew().stop()

    @property
    def is_running(self) -> bool:
        """Tell whether the thread of this process is at work."""
        thread = self._crew().thread
        return thread is not None and thread.is_alive()

    def _renew(self) -> None:
        self._crews = {os.getpid(): _Crew()}


_PULSES: Final[weakref.WeakSet[Pulse]] = weakref.WeakSet()


def _renew_all() -> None:
    """In a forked child: the thread stayed with the parent."""
    for pulse in list(_PULSES):
        pulse._renew()  # noqa: SLF001 - of this very module


def _stop_all() -> None:
    """At the end of the process: no member is to be at work while modules go away."""
    for pulse in list(_PULSES):
        pulse.stop()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

PULSE: Final = Pulse()
"""The helper thread of this process."""
