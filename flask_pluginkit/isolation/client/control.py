"""What a web worker asks of the supervisor, which is started by the first that needs it."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from flask_pluginkit.exceptions import RunError, SupervisorError
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.processes import launch, runtime
from flask_pluginkit.isolation.processes.settings import Settings
from flask_pluginkit.isolation.supervision import (
    Blame,
    Overview,
    Placed,
    Refused,
    Release,
    Survey,
    ToControl,
    Want,
)
from flask_pluginkit.isolation.wire import ClosedError, DeadlineError, WireError
from flask_pluginkit.version import __version__

from .forks import remember
from .link import Link

PATIENCE: Final = 15.0
"""Seconds that starting or joining a supervisor may take."""
PAUSE: Final = 0.02
"""Seconds between two attempts to join."""
SPARE: Final = 2.0
"""Seconds beyond those of a `Want` until the supervisor must have answered."""
SHORT: Final = 2.0
"""Seconds for what is answered at once."""


class Control:
    """A web worker's connection to the supervisor; its life is the web worker's.

    Safe for threads, any number of which may wait at the same time. Whatever was wanted is
    wanted again when the supervisor had to be replaced. After a fork the child begins anew,
    and wants nothing.
    """

    def __init__(self, settings: Settings) -> None:
        """Connect to nobody yet; the first `want` does."""
        self.settings = settings
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._wanted: dict[Spec, None] = {}
        remember(self)

    # ---- what can be asked -----------------------------------------------------------------

    def want(self, spec: Spec, seconds: float = 10.0, *, retry: bool = False) -> Placed | Refused:
        """Have a plugin run until `release`, and return where, or why it doesn't.

        To be called again whenever its worker is gone: the reply then is who follows.

        Args:
            spec: what to run.
            seconds: how long to wait for it.
            retry: whether to try at once what failed before, or is put off.

        Raises:
            SupervisorError: there is no supervisor, and none can be started; says why.
            SandboxUnavailable: likewise, as the runtime folder can't be used.

        """
        with self._lock:
            self._wanted[spec] = None
        deadline = time.monotonic() + seconds + SPARE

        def make(number: int) -> Want:
            left = max(deadline - SPARE - time.monotonic(), 0.0)
            return Want(id=number, spec=spec, seconds=left, retry=retry)

        reply = self._asked(make, deadline, spec)
        if isinstance(reply, Placed | Refused):
            return reply
        raise SupervisorError(f"the supervisor said {type(reply).__name__}")

    def release(self, spec: Spec) -> None:
        """Need a plugin no more. Never raises: a supervisor that is gone runs nothing."""
        with self._lock:
            self._wanted.pop(spec, None)
        self._told(lambda number: Release(id=number, spec=spec))

    def blame(self, plugin: str, incarnation: int, reason: str) -> None:
        """Have a worker ended that broke a rule, and another one started. Never raises."""
        self._told(
            lambda number: Blame(id=number, plugin=plugin, incarnation=incarnation, reason=reason)
        )

    def survey(self) -> Overview | None:
        """Return what is running; None if no supervisor runs, and none is started for it.

        Raises RunError if one runs and doesn't answer, or is another version's.
        """
        deadline = time.monotonic() + SHORT
        link = self._link
        is_own = link is None or link.failure is not None
        if link is None or link.failure is not None:
            folder = runtime.find(Path(self.settings.control), self.settings.runtime)
            try:
                link = None if folder is None else _joined(folder, deadline)
            except ClosedError:
                return None  # it is just ending
            except WireError as error:
                raise RunError(f"the supervisor can't be asked: {error}") from error
        if link is None:
            return None
        try:
            if link.version != __version__:
                raise RunError(f"{_other(link)}, and this is {__version__}")
            reply = link.ask(lambda number: Survey(id=number), deadline)
        except WireError as error:
            if not is_own and link.failure is not None:
                return self.survey()  # it has ended: another one may have taken its place
            raise RunError(f"the supervisor doesn't tell what runs: {error}") from error
        finally:
            if is_own:
                link.close()
        return reply if isinstance(reply, Overview) else None

    def close(self) -> None:
        """Want nothing any more. The next `want` connects anew."""
        with self._lock:
            link, self._link = self._link, None
            self._wanted.clear()
        if link is not None:
            link.close()

    def forget(self) -> None:
        """Begin anew in a forked process, whose copy of the connection is closed."""
        self._lock = threading.Lock()
        if self._link is not None:
            self._link.close()
        self._link = None
        self._wanted = {}

    # ---- the connection --------------------------------------------------------------------

    @property
    def link(self) -> Link | None:
        """The connection to the supervisor, None if there was none yet."""
        return self._link

    def _asked(self, make: Callable[[int], ToControl], deadline: float, spec: Spec) -> Any:
        while True:
            link = self._linked(max(deadline, time.monotonic() + PATIENCE), spec)
            try:
                return link.ask(make, max(deadline, time.monotonic() + SHORT))
            except DeadlineError as error:
                raise SupervisorError(f"the supervisor doesn't answer: {error}") from error
            except WireError as error:
                if time.monotonic() >= deadline:
                    raise SupervisorError(f"the supervisor went away: {error}") from error

    def _told(self, make: Callable[[int], ToControl]) -> None:
        link = self._link
        if link is not None:
            with suppress(WireError):
                link.ask(make, time.monotonic() + SHORT)

    def _linked(self, deadline: float, besides: Spec) -> Link:
        """Return a connection that works; what is wanted is wanted again on a new one."""
        with self._lock:
            if self._link is not None and self._link.failure is None:
                return self._link
            link = self._link = self._open(deadline)
            for spec in self._wanted:
                if spec != besides:
                    with suppress(WireError):
                        # the reply is nobody's: whoever calls it will ask
                        link.tell(partial(_wanting, spec), deadline)
            return link

    def _open(self, deadline: float) -> Link:
        """Join a supervisor of this version, or start one."""
        problem = "none answered"
        while time.monotonic() < deadline:
            folder = runtime.locate(Path(self.settings.control), self.settings.runtime)
            try:
                link = _joined(folder, deadline)
            except WireError as error:
                problem, link = str(error), None
            else:
                if link is None:
                    self._start(folder, deadline)
                    continue
                if link.version == __version__:
                    return link
                problem = f"{_other(link)} and serves others, and this is {__version__}"
            if link is not None:
                link.close()
            time.sleep(10 * PAUSE)
        raise SupervisorError(f"no supervisor of isolated plugins can be reached: {problem}")

    def _start(self, folder: Path, deadline: float) -> None:
        """Start a supervisor, unless somebody else is at it or was faster."""
        try:
            # before anything is made there, which its owner then couldn't use
            runtime.refuse_start(folder)
        except FileNotFoundError:
            return
        with _one_at_a_time(folder, deadline) as is_alone:
            if not is_alone:
                return
            if (link := _joined(folder, deadline)) is not None:
                link.close()
                return
            named = bool(self.settings.runtime)
            settings = msgspec.structs.replace(
                self.settings,
                runtime=str(folder),
                is_named=named,
                control=os.path.realpath(self.settings.control),
                paths=self.settings.paths or launch.dependency_folders(),
            )
            answer = launch.start_supervisor(settings, deadline)
        if launch.TAKEN in answer:  # by one that ends, or doesn't listen yet
            time.sleep(PAUSE)


def _joined(folder: Path, deadline: float) -> Link | None:
    """Return a connection to whoever listens, None if nobody does. Raises WireError."""
    try:
        return Link(folder / runtime.CONTROL, deadline)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise WireError(f"its socket can't be connected to: {error}") from error


@contextmanager
def _one_at_a_time(folder: Path, deadline: float) -> Iterator[bool]:
    """Whether this process may start a supervisor now; waits for others who do."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        lock = os.open(folder / runtime.STARTING, flags, 0o600)
    except FileNotFoundError:
        yield False  # the folder went with the last supervisor
        return
    except OSError as error:
        problem = f"no supervisor of isolated plugins can be started: {error}"
        raise SupervisorError(problem) from error
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(PAUSE)
            else:
                break
        yield True
    finally:
        os.close(lock)


def _wanting(spec: Spec, number: int) -> Want:
    return Want(id=number, spec=spec)


def _other(link: Link) -> str:
    return f"the one with process id {link.pid} is of version {link.version}"
