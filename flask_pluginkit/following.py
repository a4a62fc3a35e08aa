"""Keeping one application of this process in step with the state that all workers share.

A request compares one number in memory; only where that has changed is the state read and a
new snapshot published, before the request begins. Everything else happens in the helper thread
of the process: noticing what was changed by hand, preparing what somebody is about to enable,
reporting to the other workers, taking out a plugin that fails too often and trying it again.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from contextlib import suppress
from threading import RLock
from time import monotonic, time
from typing import Any, Final

from .application import UNSEEN, Site
from .exceptions import StateError
from .frozen import replace
from .inventory import write_inventory
from .pulse import PULSE, TICK
from .residents import Resident
from .roster import Member, Roster
from .snapshot import Plugin
from .state.audit import Audit
from .state.base import Quarantine, State, WantedState

TICKS_PER_REPORT: Final = 5
"""How many seconds pass between two counts of faults that others are told of."""


class Follower:
    """One application in this process, as one of the workers that share a control folder."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.limits = site.limits
        self.roster = Roster(site.control, logger=site.logger)
        self.audit = Audit(site.control, strict=site.options.state_dir is not None)
        self.member: Member | None = None
        self.answered = 0
        """The number of the last announcement that this worker has prepared."""
        self.failures: dict[str, str] = {}
        self.local: dict[str, Quarantine] = {}
        """Plugins that were taken out here while the state couldn't be written."""
        self._behind: dict[str, int] = {}
        """Plugins that failed here while others' change was followed, and in which generation."""
        self._tripped: dict[str, Quarantine] = {}
        self._waiting: dict[tuple[str, float], float] = {}
        self._told: Mapping[str, Any] = {}
        self._told_of: tuple[Plugin, ...] = ()
        self._ticks = 0
        self._next_look = 0.0
        self._inventory: tuple[Plugin, ...] | None = None
        _FOLLOWERS.add(self)

    @property
    def is_serving(self) -> bool:
        """Whether this process is a worker that others see."""
        return self.member is not None and self.member.is_mine

    @property
    def is_live(self) -> bool:
        """Whether this application follows what other processes change."""
        live = self.site.options.live
        return not self.site.app.testing if live is None else live

    def renew(self) -> None:
        """In a forked child: it's another worker, which has told nobody of itself yet."""
        self.member = None
        self.site.lock = RLock()
        self.site.seen = UNSEEN

    # --- in a request --------------------------------------------------------------------

    def on_hint(self) -> None:
        """Bring the snapshot up to the store's hint; raises nothing."""
        site = self.site
        with site.lock:
            if self.is_live and not self.is_serving:
                self._serve()
            hint = site.store.hint
            if hint != site.seen:
                if self.is_live:
                    self._catch_up()
                site.seen = hint

    def on_context(self) -> None:
        """Follow outside of requests: workers as ever, jobs and commands by looking at files."""
        if self.is_serving:
            if self.site.store.hint != self.site.seen:
                self.on_hint()
        elif self.is_live and monotonic() >= self._next_look:
            self._next_look = monotonic() + TICK
            with suppress(StateError):  # told of by whoever needs the state
                if self._is_behind():
                    with self.site.lock:
                        self._catch_up()

    def _serve(self) -> None:
        """Become a worker that others see."""
        if not self.site.store.open():
            self.site.logger.warning(
                "plugins can't be switched live, as %s can't be written, and markers alone count: "
                "let the option state_dir name a folder that this process may write to",
                self.site.control,
            )
        self.member = self.roster.join(self._report())
        PULSE.add(self)

    def _catch_up(self) -> None:
        """Publish what the state says now, as far as that is possible."""
        site = self.site
        try:
            state = self.with_local(site.store.load())
            if state != site.state:
                self.apply(state)
        except Exception:
            # a request must not fail for it; the next change, or tick, tries again
            site.logger.exception("the state of plugins can't be followed")

    def _is_behind(self) -> bool:
        """Look at files. What somebody asked the store for meanwhile is no news to that."""
        store = self.site.store
        return store.notice() or self.with_local(store.load()) != self.site.state

    def with_local(self, state: State) -> State:
        """Return `state` with what was taken out here and nobody else knows of."""
        if not self.local:
            return state
        return replace(state, quarantined={**self.local, **state.quarantined})

    def apply(self, state: State) -> None:
        """Publish the snapshot of `state`. The caller holds the site's lock."""
        site = self.site
        failed = {loading.name for loading in site.startup.loadings if loading.own_fault}
        loadings = site.prepare(state, site.log)
        site.publish(site.draft(loadings, state, tolerant=True), state)
        for loading in loadings:
            if loading.own_fault and loading.name not in failed:
                self._behind[loading.name] = state.generation
        # the others are told at the next beat: at once would take time from the request that waits

    # --- in the helper thread --------------------------------------------------------------

    def beat(self) -> None:
        """Look at memory: is there something to prepare, to follow, or to take out?"""
        site = self.site
        if self._tripped:
            self._quarantine()
        if site.store.hint != site.seen:
            self.on_hint()
        if site.store.announced != self.answered:
            self._answer()
        if any(failed_in != site.state.generation for failed_in in self._behind.values()):
            self._try_again()
        if site.current.plugins is not self._told_of:
            self._tell()

    def tick(self) -> None:
        """Look at files: was something changed by hand, is somebody to be tried again?"""
        site = self.site
        if self._is_behind():
            with site.lock:
                hint = site.store.hint  # first: what comes while it is followed is seen later
                self._catch_up()
                site.seen = hint
        self._share()
        self._release()
        self._note_inventory()
        self._ticks += 1
        if self._ticks % TICKS_PER_REPORT == 0:
            for row in site.current.active.values():
                row.resident.breaker.observe(row.resident.calls)
            # also what isn't news: somebody may have removed the report
            self._tell(again=True)

    def _answer(self) -> None:
        """Prepare what somebody is about to enable, and tell whether that is possible."""
        site = self.site
        number = site.store.announced
        announcement = self.roster.current()
        if announcement is not None:
            wanted = {name: WantedState(each) for name, each in announcement.wanted.items()}
            with site.lock:
                self.failures = self.rehearse(wanted, announcement.names)
        self.answered = number
        self._tell()

    def _try_again(self) -> None:
        """Load what failed while it was being followed: the other workers may well have it.

        Once for each change of the state, and not in a request. What failed at the start, or
        when everybody was asked whether it can be enabled, waits for being enabled.
        """
        site = self.site
        with site.lock:
            names, self._behind = self._behind.keys(), {}
            for loading in site.startup.loadings:
                if loading.name in names and loading.own_fault:
                    loading.retry()
            site.forget_prepared()
            self.apply(site.state)

    def rehearse(self, wanted: Mapping[str, WantedState], names: tuple[str, ...]) -> dict[str, str]:
        """Load what `wanted` needs and return why plugins among `names` can't be active."""
        site = self.site
        if not site.startup.folders.keys() >= set(names):
            site.rescan()
        quarantined = {n: q for n, q in site.state.quarantined.items() if n not in names}
        state = replace(site.state, wanted=dict(wanted), quarantined=quarantined)
        for loading in site.startup.loadings:
            if loading.name in names and loading.has_failed:
                loading.retry()
        rows = {loading.name: loading for loading in site.prepare(state, _say_nothing)}
        return {
            name: rows[name].reason if name in rows else "no such plugin was found"
            for name in names
            if name not in rows or not rows[name].is_active
        }

    def _report(self) -> dict[str, Any]:
        snapshot = self.site.current
        return {
            "generation": snapshot.generation,
            "plugins": {row.name: row.status.value for row in snapshot.plugins},
            "errors": {
                row.name: errors
                for row in snapshot.plugins
                if row.resident is not None and (errors := row.resident.errors)
            },
            "loaded": sorted(
                loading.name
                for loading in self.site.startup.loadings
                if loading.is_registered and not loading.has_failed
            ),
            "announcement": self.answered,
            "failures": self.failures,
        }

    def _tell(self, *, again: bool = False) -> None:
        """Report to the others what is news to them, or all of it `again`."""
        if self.member is None or not self.member.is_mine:
            return
        self._told_of = self.site.current.plugins
        told = self._report()
        if (again or told != self._told) and self.member.report(told):
            self._told = told

    def _note_inventory(self) -> None:
        rows = self.site.current.plugins
        is_news = rows is not self._inventory and not self.site.startup.safe_mode
        if is_news and write_inventory(self.site.store, self.site.control, rows):
            self._inventory = rows

    # --- plugins that fail too often -------------------------------------------------------

    def trip(self, resident: Resident, point: str) -> None:
        """Take out a plugin that fails too often: here at once, in all workers soon."""
        row = self.site.current.active.get(resident.name)
        if row is None or row.resident is not resident:
            return
        limits = self.limits
        self._tripped[resident.name] = Quarantine(
            since=time(),
            reason=(
                f"at least {limits.faults} of its calls, and {limits.rate:.0%} of them, failed "
                f"within {limits.window:g} seconds, the last at {point}; enable it again when "
                "that is mended"
            ),
            traceback=resident.last_fault,
            by=f"pid {os.getpid()}",
            guards=row.guards,
        )
        if self.member is not None and PULSE.is_running:
            PULSE.wake()
        else:
            self._quarantine()

    def _quarantine(self) -> None:
        site = self.site
        found, self._tripped = self._tripped, {}
        for name, quarantine in found.items():
            site.logger.error(
                "plugin %r is quarantined: %s", name, quarantine.reason, extra={"plugin": name}
            )
        try:
            self._store("quarantine", found, ())
        except StateError as error:
            site.logger.warning("the quarantine holds in this worker only so far: %s", error)
            self.local |= found
            with site.lock:
                self.apply(self.with_local(site.state))

    def _share(self) -> None:
        """Try again to tell the others what was taken out here."""
        if self.local:
            with suppress(StateError):
                self._store("quarantine", self.local, ())
                self.local = {}

    def _store(
        self, action: str, found: Mapping[str, Quarantine], released: tuple[str, ...]
    ) -> None:
        """Change which plugins are quarantined, in all workers.

        Nobody is waited for: who holds the lock may be waiting for this worker's answer.
        """
        site = self.site
        with site.store.exclusive(0):
            state = site.store.load()
            kept = {n: q for n, q in state.quarantined.items() if n not in released}
            quarantined = {**kept, **found}
            if quarantined.keys() != state.quarantined.keys():
                with suppress(StateError):  # safety goes before the record of it
                    self.audit.write(
                        {
                            "action": action,
                            "plugins": [*found, *released],
                            "by": "the breaker",
                            "from": f"pid {os.getpid()}",
                            "result": "intent",
                        }
                    )
                new = replace(state, quarantined=quarantined)
                state = site.store.swap(state.generation, new)
            with site.lock:
                self.apply(self.with_local(state))
                site.seen = site.store.hint

    def _release(self) -> None:
        """Try quarantined plugins again after a while. Times are this process's own."""
        after = self.limits.retry_after
        found = self.site.state.quarantined
        keys = {(name, each.since) for name, each in found.items()}
        now = monotonic()
        self._waiting = {key: self._waiting.get(key, now) for key in keys}
        if after is None:
            return
        due = tuple(name for (name, _), since in self._waiting.items() if now - since >= after)
        if due:
            for name in due:
                self.local.pop(name, None)
            with suppress(StateError):
                self._store("try again", {}, due)
            with self.site.lock:
                self._catch_up()


def _say_nothing(loading: object) -> None:
    """Why a plugin can't be prepared is told to whoever asked for it."""


_FOLLOWERS: Final[weakref.WeakSet[Follower]] = weakref.WeakSet()


def _renew_all() -> None:
    for follower in list(_FOLLOWERS):
        follower.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
