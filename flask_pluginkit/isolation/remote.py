"""One plugin that runs in a process of its own, as a web worker sees it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from flask import has_request_context, request
from markupsafe import Markup

from flask_pluginkit.exceptions import LoadError, PluginError, Problem, SandboxUnavailable
from flask_pluginkit.text import clean

from .answers.fragments import cleaner
from .budgets import Budget
from .client.exchange import Message, UnreachableError
from .client.pool import NUMBERS, Pool, Streamed, gather
from .faults import quoted, value_of
from .messages import (
    Batch,
    Call,
    Description,
    Greeting,
    Page,
    Record,
    Result,
    Results,
    Spec,
    Visit,
)
from .settings import Settings
from .supervision import (
    Placed,
    Refused,
)
from .wire import REQUEST_LIMIT, ClosedError, encode

if TYPE_CHECKING:
    from .client.control import Control

MEMO: Final = "flask_pluginkit.isolation.memo"
"""Where a request keeps what filters and tests returned, in its environ."""

LOGGED: Final = 100
"""Records of one reply that are logged, at most."""

DESERTED: Final = 0.1
"""Seconds after which a worker that can't be reached is blamed; one that died is replaced."""

LATE: Final = 0.2
"""The share of the deadline that must be left when an answer comes; with less it is a fault."""

GRACE: Final = 0.005
"""Seconds that the end of the supervisor may be noticed later than that of its workers."""

PAUSE: Final = 0.005
"""Seconds before the supervisor is asked again who serves the plugin."""

_NOBODY: Final[tuple[tuple[int, str], float]] = ((0, ""), 0.0)


class Remote:
    """Asks one plugin's worker, whichever that is now; safe for threads and forks."""

    def __init__(
        self,
        spec: Spec,
        control: Control,
        settings: Settings,
        greeting: Callable[[], Greeting],
        logger: logging.Logger,
        assets: str,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.hooks: dict[str, tuple[int, ...]] = {}
        """The references of its hooks by Flask's tables."""
        self.endpoints: frozenset[str] = frozenset()
        """Of its own views, around which its hooks run in its process."""
        self.layers: tuple[str, ...] = ()
        """What confines it; empty if nothing does."""
        self.notes: tuple[str, ...] = ()
        self.logger = logger
        self.assets = assets
        """The path of all plugins' static files."""
        self.permissions = frozenset(spec.permissions)
        self.user_fields = tuple(
            name.partition(":")[2] for name in spec.permissions if name.startswith("user:")
        )
        self.settings_frame: Callable[[], bytes] = _no_settings
        """Gives the frame with the plugin's settings as the request sees them."""
        self.note_late: Callable[[float], None] = _note_nothing
        """Called with the seconds that an answer took, if it came just in time."""
        self.is_retired = False
        self._is_last = False
        self._control = control
        self._greeting = greeting
        self._clean = cleaner(spec.plugin, self.permissions, spec.level, assets=assets)
        self._lock = threading.Lock()
        self._budget = Budget()
        self._deserted = _NOBODY
        self._pool: Pool | None = None

    @property
    def plugin(self) -> str:
        """The plugin's name."""
        return self.spec.plugin

    @property
    def level(self) -> str:
        """``process`` or ``isolated``."""
        return self.spec.level

    # ---- its worker ------------------------------------------------------------------------

    def start(self, *, retry: bool = False) -> Description:
        """Have the plugin run, and return what it adds.

        Raises:
            SandboxUnavailable: it can't be confined here.
            LoadError: it can't be loaded.

        """
        placed = self._place(self.settings.start, retry=retry)
        self.layers, self.notes = placed.layers, placed.notes
        return placed.description

    def _place(self, seconds: float, *, retry: bool = False) -> Placed:
        answer = self._control.want(self.spec, seconds, retry=retry)
        if self._is_last:
            self._control.release(self.spec)  # a request that began before: it lingers for that
        if isinstance(answer, Refused):
            raise _refusal(self.plugin, answer)
        link = self._control.link
        with self._lock:
            before, current = self._pool, answer.incarnation
            if before is not None and before.placed.incarnation == current:
                return answer
            self._pool = Pool(
                answer,
                self._greeting(),
                blamed=lambda reason: self._control.blame(self.plugin, current, reason),
                orphaned=lambda: link is not None and link.has_ended(GRACE),
                limit=self.settings.concurrency,
            )
        if before is not None:
            before.close()
        return answer

    def pool(self, deadline: float) -> Pool:
        """Return the connections to the worker, placing it anew if need be. Raises PluginError."""
        pool = self._pool
        if pool is None:
            self._place(max(deadline - time.monotonic(), 0.01))
            pool = self._pool
            assert pool is not None
        return pool

    def forget(self, pool: Pool) -> None:
        """Ask the supervisor who follows, the next time, as nobody serves this worker's socket.

        A worker may close it and live on. So one that the supervisor still takes for a running
        one a while later is blamed.
        """
        is_news = not pool.is_closed
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.close()
        if not is_news:
            return
        now, worker = time.monotonic(), (pool.placed.incarnation, pool.placed.socket)
        if self._deserted[0] != worker:
            self._deserted = worker, now
        elif now - self._deserted[1] > DESERTED:
            self._deserted = _NOBODY
            self._control.blame(self.plugin, worker[0], "it doesn't serve its socket")
        else:
            time.sleep(PAUSE)  # what has ended is noticed by then

    def regreet(self) -> None:
        """Let further connections begin with what the host now has to tell."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def retire(self, *, is_last: bool = True) -> None:
        """Begin nothing new with this plugin, and let go of its worker if this is the last.

        Requests that began with it may finish: the supervisor ends the worker a while later.
        """
        self.is_retired = True
        self._is_last = is_last
        self.regreet()
        if is_last:
            self._control.release(self.spec)

    # ---- asking it -------------------------------------------------------------------------

    def visit(self, page: Page, body: bytes) -> Streamed:
        """Send a request to the plugin's views. Raises PluginError."""
        deadline = time.monotonic() + self.settings.deadline
        message = Visit(id=next(NUMBERS), page=page, body=body)
        while True:
            pool = self.pool(deadline)
            try:
                answer = pool.stream(message, deadline, self.settings_frame())
            except UnreachableError:
                # it never got the message: whoever follows may have it
                self.forget(pool)
                if time.monotonic() >= deadline:
                    raise
            except ClosedError as error:
                raise pool.told(error) from error
            else:
                self._judge(answer)
                answer.allow(self.settings.deadline, self.settings.stream)
                return answer

    def ask(self, page: Page, calls: list[Call]) -> list[Result]:
        """Call some of the plugin's functions in one message. Raises PluginError."""
        [outcome] = ask_all([(self, page, calls)])
        if isinstance(outcome, PluginError):
            raise outcome
        return outcome

    def ask_memoised(self, page: Page, call: Call, point: str) -> Any:
        """Call a filter or test, once for the same values in one request. Raises PluginError."""
        memo: dict[Any, Any] = {}
        if has_request_context():
            memo = request.environ.setdefault(MEMO, {})
        key = (self, encode(call, REQUEST_LIMIT))
        if key not in memo:
            [result] = self.ask(page, [call])
            memo[key] = value_of(result, self.plugin, point)
        return memo[key]

    # ---- what it says ----------------------------------------------------------------------

    def fragment(self, html: object) -> Markup:
        """Return what a tep or dcp rendered, as HTML that may stand in the host's page."""
        return self._clean("" if html is None else str(html))

    def read(self, answer: Streamed) -> list[Result]:
        """Return the results of a `Batch`, and log what came with them."""
        self._judge(answer)
        assert isinstance(answer.reply, Results)
        self.log(answer.reply.records)
        return list(answer.reply.results)

    def _judge(self, answer: Streamed) -> None:
        """Tell of an answer that came just in time: nobody misses a deadline by it."""
        deadline = self.settings.deadline
        if answer.left < deadline * LATE:
            self.note_late(deadline - answer.left)

    def log(self, records: Iterable[Record]) -> None:
        """Log what the plugin logged, as its own."""
        for record in list(records)[:LOGGED]:
            if not self._budget.allows(len(record.text), self.logger, self.plugin):
                return
            level = min(max(record.level, logging.DEBUG), logging.CRITICAL)
            self.logger.log(
                level,
                "plugin %r: %s: %s",
                self.plugin,
                clean(record.name, 100),
                clean(record.text, 2000),
                extra={"plugin": self.plugin},
            )


Row = tuple[Remote, Page, list[Call]]
Outcome = list[Result] | PluginError


def ask_all(rows: Sequence[Row]) -> list[Outcome]:
    """Ask several plugins at the same time and return their results, or why there are none."""
    if not rows:
        return []
    deadline = time.monotonic() + rows[0][0].settings.deadline
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(rows):
        asked: list[tuple[int, Pool]] = []
        calls: list[tuple[Pool, Message]] = []
        settings: list[bytes] = []
        for place, (remote, page, wanted) in enumerate(rows):
            if place in outcomes:
                continue
            try:
                pool = remote.pool(deadline)
            except PluginError as error:
                outcomes[place] = error
                continue
            asked.append((place, pool))
            calls.append((pool, Batch(id=next(NUMBERS), page=page, calls=wanted)))
            settings.append(remote.settings_frame())
        for (place, pool), found in zip(asked, gather(calls, deadline, settings), strict=True):
            remote = rows[place][0]
            if isinstance(found, UnreachableError) and time.monotonic() < deadline:
                remote.forget(pool)  # it never got the message: whoever follows may have it
            else:
                outcomes[place] = (
                    pool.told(found) if isinstance(found, PluginError) else remote.read(found)
                )
    return [outcomes[place] for place in range(len(rows))]


def _note_nothing(_seconds: float) -> None:
    """Nobody counts it."""


def _no_settings() -> bytes:
    return b""


def _refusal(plugin: str, refused: Refused) -> PluginError:
    kind = SandboxUnavailable if refused.is_sandbox else LoadError
    error = kind(
        Problem(
            where=f"plugin {plugin}",
            what="its own process" if not refused.is_sandbox else "the sandbox",
            found=clean(refused.reason, 2000),
            expected="a plugin that can be loaded in a process of its own",
            advice=f"it is tried again in {refused.retry_after:.0f} s"
            if refused.retry_after
            else "mend it and enable it again",
        )
    )
    if refused.traceback:
        error.add_note(quoted(refused.traceback))
    return error
