"""Enabling and disabling plugins: in this process, in every worker, all or nothing.

One switch runs under the lock of the store: read the state, plan what is to change, build the
snapshot of it aside (what fails, fails here), let the other workers load what they haven't
loaded (all of them or none), write the audit, store the state, publish. Until the state is
stored nothing has changed for anybody; afterwards every request that begins sees it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from flask import has_request_context, request

from .application import Site
from .exceptions import PluginError, Problem, RequirementError, StateError, SwitchError
from .following import Follower
from .frozen import Frozen, replace
from .inventory import write_inventory
from .loadings import Loading
from .needs import dependants, required_by
from .records import unknown
from .reports import Report
from .snapshot import Snapshot, Status
from .state.base import State, WantedState

POLL: Final = 0.005
"""Seconds between two looks at what the other workers answer."""


class Change(Frozen):
    """What a switch has done."""

    changed: tuple[str, ...]
    """The plugins that were switched, sorted; none if all was as it was asked for."""
    generation: int
    """The number of the state that every request sees from now on."""
    silent: tuple[str, ...] = ()
    """Workers that didn't answer in time: they load what they need at their next request."""


class Order(Frozen):
    """What somebody asks for."""

    names: tuple[str, ...]
    wanted: WantedState
    cascade: bool
    by: str
    source: str

    def entry(self, result: str, **more: object) -> dict[str, object]:
        """Return the line of the audit with this result."""
        action = "enable" if self.wanted is WantedState.ENABLED else "disable"
        return {
            "action": action,
            "plugins": list(self.names),
            "cascade": self.cascade,
            "by": self.by,
            "from": self.source,
            "result": result,
            **more,
        }


def who() -> tuple[str, str]:
    """Return who is switching, and from where, as far as that can be known."""
    if has_request_context():
        user = request.remote_user or "anonymous"
        return user, f"{request.remote_addr} {request.method} {request.path}"
    import getpass  # not needed by the first request, which imports this module

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number without a name, usual in containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    program = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - a text
    return user, f"{program or 'python'}, pid {os.getpid()}"


class Switchboard:
    """Switches the plugins of one application."""

    def __init__(self, site: Site, follower: Follower, timeout: float) -> None:
        self.site = site
        self.follower = follower
        self.timeout = timeout

    def switch(self, order: Order) -> Change:
        """Carry out `order`, in every worker of this host, or change nothing.

        Raises:
            RequirementError: others need a plugin that is to be disabled, or one that is to be
                enabled needs others, and `order` doesn't take them along.
            SwitchError: a plugin can't be active, here or in another worker.
            StateError: the state or the audit can't be written.
            PluginError: there is no such plugin.

        """
        site = self.site
        self.refuse_while_loading()
        with site.store.exclusive():
            state = self.follower.with_local(site.store.load())
            if state == site.state:
                state = site.state  # what is prepared already
            try:
                with site.lock:
                    new, changed, snapshot = self._rehearse(order, state)
                if not changed:
                    with site.lock:
                        site.publish(snapshot, state)
                    return Change(changed=(), generation=state.generation)
                silent: tuple[str, ...] = ()
                if order.wanted is WantedState.ENABLED:
                    silent = self._others(order.by, new, changed)
                confirm = self.follower.audit.begin(order.entry("intent", changed=sorted(changed)))
            except PluginError as error:
                self.undo(order.entry(""), state, error)
                raise
            stored = self._store(order, state, new, confirm)
            with site.lock:
                site.publish(replace(snapshot, generation=stored.generation), stored)
                site.seen = site.store.hint
            self.note(order.entry("done", changed=sorted(changed), generation=stored.generation))
        return Change(changed=tuple(sorted(changed)), generation=stored.generation, silent=silent)

    def refuse_while_loading(self) -> None:
        """Raise PluginError if this very thread is loading plugins."""
        if self.site.is_preparing:
            raise PluginError(
                "plugins can't be switched by one that is just being loaded: do it later, in a "
                "request, command or job"
            )

    def _store(self, order: Order, state: State, new: State, confirm: Callable[[], None]) -> State:
        """Store `new`, once the intent is on the disk: `confirm` waits for that."""
        try:
            stored = self.site.store.swap(new.generation, new, confirm)
        except StateError as error:
            self.undo(order.entry(""), state, error)
            raise
        self.follower.local = {}  # stored now, or released
        return stored

    def undo(self, entry: Mapping[str, Any], state: State, error: PluginError) -> None:
        """Bring the process back to what is stored: what was tried left only loaded code."""
        with self.site.lock, suppress(PluginError):
            self.site.prepare(state, lambda _loading: None)
        self.note({**entry, "result": f"refused: {error}"})

    def note(self, entry: Mapping[str, Any]) -> None:
        """Add to the audit what came of a switch that was announced there."""
        try:
            self.follower.audit.write(entry, durable=False)
        except StateError as error:
            self.site.logger.warning("the audit can't be continued: %s", error)

    def rescan(self, by: str, source: str) -> tuple[str, ...]:
        """Look for plugins anew, in every worker, and return the names of those that are new.

        Raises `StateError` if the state, or the audit, can't be written.
        """
        site = self.site
        self.refuse_while_loading()
        before = {row.name for row in site.current.plugins}
        with site.store.exclusive():
            with site.lock:
                new = self._scanned(site.store.load())
                loadings = site.prepare(new, site.log)
                snapshot = site.draft(loadings, new, tolerant=True)
            names = [row.name for row in snapshot.plugins if row.name not in before]
            active = {name for name in names if name in snapshot.active}
            with suppress(SwitchError):  # a plugin that can't run somewhere is listed so there
                self._others(by, new, active)
            entry = {"action": "rescan", "plugins": names, "by": by, "from": source}
            self.follower.audit.write({**entry, "result": "intent"})
            stored = site.store.swap(new.generation, new)
            with site.lock:
                site.publish(replace(snapshot, generation=stored.generation), stored)
                site.seen = site.store.hint
            # now, and not in a second: whoever guards the site is to be known from here on
            write_inventory(site.store, site.control, snapshot.plugins)
        return tuple(names)

    # --- this process -----------------------------------------------------------------------

    def _rehearse(self, order: Order, state: State) -> tuple[State, set[str], Snapshot]:
        """Load what `order` needs and return the state, what changes, and the snapshot."""
        rows = self._rows(state)
        is_enabling = order.wanted is WantedState.ENABLED
        if _missing(order.names, rows) or (is_enabling and _are_unread(order.names, rows)):
            # they may have come, or become others, since somebody looked
            state = self._scanned(state)
            rows = self._rows(state)
        for name in _missing(order.names, rows):
            if is_enabling or name not in rows:
                raise unknown(name, rows)
        if is_enabling:
            return self._rehearse_enabling(order, state, rows)
        return self._rehearse_disabling(order, state, rows)

    def _scanned(self, state: State) -> State:
        """Look for plugins anew and return the state that lets every worker do so.

        What the markers of new ones say is in it. The caller is within the store's `exclusive`.
        """
        site = self.site
        site.rescan()
        site.store.notice()
        found = self.follower.with_local(site.store.load())
        added = found.wanted.keys() - {row.name for row in site.current.plugins}
        wanted = {name: each for name, each in found.wanted.items() if name not in added}
        if replace(site.state, generation=found.generation) == replace(found, wanted=wanted):
            # nothing else is new: so no request has to wait until all is prepared
            site.publish(replace(site.current, generation=found.generation), found)
            site.seen = site.store.hint
        site.scanned = state.scan + 1
        return replace(found, scan=site.scanned)

    def _rows(self, state: State) -> dict[str, Loading]:
        loadings = self.site.prepare(state, lambda _loading: None)
        return {loading.name: loading for loading in loadings}

    def _rehearse_disabling(
        self, order: Order, state: State, rows: Mapping[str, Loading]
    ) -> tuple[State, set[str], Snapshot]:
        others = dependants(order.names, rows)
        if others and not order.cascade:
            raise RequirementError(
                Problem(
                    where=", ".join(order.names),
                    what="disable",
                    found=f"others that need it: {', '.join(sorted(others))}",
                    expected="a plugin that nobody needs",
                    advice="disable those first, or take them along (cascade)",
                )
            )
        changed = {
            name
            for name in {*order.names, *others}
            if rows[name].wanted is not WantedState.DISABLED or name in state.quarantined
        }
        return self._draft(state, changed, WantedState.DISABLED)

    def _rehearse_enabling(
        self, order: Order, state: State, rows: Mapping[str, Loading]
    ) -> tuple[State, set[str], Snapshot]:
        names = _concerned(order, rows)
        changed = {name for name in names if not rows[name].is_active}
        reports = self._reports()
        if any(not names <= report.plugins.keys() for report in reports):
            # it has just been installed, or has just gone here
            state = self._scanned(state)
            rows = self._rows(state)
            changed |= (names := _concerned(order, rows))
            changed &= rows.keys()
        changed |= {name for name in names - changed if _is_out(name, reports, state)}
        for name in changed:
            if rows[name].has_failed:
                rows[name].retry()
        made = self._draft(state, changed, WantedState.ENABLED)
        for row in made[2].plugins:
            if row.name in names and row.status is not Status.ACTIVE:
                raise _not_active(rows[row.name], order)
        return made

    def _draft(
        self, state: State, changed: set[str], wanted: WantedState
    ) -> tuple[State, set[str], Snapshot]:
        new = replace(
            state,
            wanted={**state.wanted, **dict.fromkeys(changed, wanted)},
            quarantined={n: q for n, q in state.quarantined.items() if n not in changed},
        )
        site = self.site
        return new, changed, site.draft(site.prepare(new, lambda _loading: None), new)

    # --- the other workers --------------------------------------------------------------------

    def _reports(self) -> list[Report]:
        """Return the reports of the other workers."""
        own = self.follower.member
        reports = self.follower.roster.live()
        return [report for report in reports if own is None or report.id != own.id]

    def _others(self, by: str, new: State, names: set[str]) -> tuple[str, ...]:
        """Let the other workers load what they haven't of `names`; return who was silent.

        Raises `SwitchError` as soon as one says that it can't.
        """
        roster, store = self.follower.roster, self.site.store
        waiting = [report for report in self._reports() if not names <= set(report.loaded)]
        if not waiting:
            return ()
        number = store.announced + 1
        roster.announce(
            {
                "number": number,
                "names": sorted(names),
                "wanted": {name: each.value for name, each in new.wanted.items()},
                "by": by,
                "deadline_seconds": self.timeout,
            }
        )
        store.announce_number()
        try:
            return self._wait({report.id: report for report in waiting}, number)
        finally:
            roster.withdraw()

    def _wait(self, waiting: dict[str, Report], number: int) -> tuple[str, ...]:
        deadline = time.monotonic() + self.timeout
        while waiting and time.monotonic() < deadline:
            answers = {report.id: report for report in self.follower.roster.live()}
            for worker in list(waiting):
                answer = answers.get(worker)
                if answer is None:  # it has ended
                    del waiting[worker]
                elif answer.announcement == number:
                    del waiting[worker]
                    if answer.failures:
                        name, reason = next(iter(answer.failures.items()))
                        raise SwitchError(name, reason, worker=describe_worker(answer))
            time.sleep(POLL)
        return tuple(sorted(describe_worker(report) for report in waiting.values()))


def _concerned(order: Order, rows: Mapping[str, Loading]) -> set[str]:
    """Return the plugins that are to be enabled. Raises PluginError for one that isn't there."""
    for name in _missing(order.names, rows):
        raise unknown(name, rows)
    return {*order.names, *(required_by(order.names, rows) if order.cascade else ())}


def _not_active(row: Loading, order: Order) -> PluginError:
    """Return why a plugin that was to be enabled can't be active."""
    if isinstance(row.error, RequirementError) and not order.cascade:
        advice = "enable that one first, or take it along (cascade); nothing has changed"
        return RequirementError(replace(problem, advice=advice) for problem in row.error.problems)
    reason = row.reason
    if row.module is not None and row.has_failed:
        reason += "; what was imported of it stays: a mended version needs new processes"
    error = SwitchError(row.name, reason)
    error.__cause__ = row.error
    return error


def _missing(names: Iterable[str], rows: Mapping[str, Loading]) -> list[str]:
    """Return those of `names` that nobody knows."""
    return [name for name in names if name not in rows or rows[name].status is Status.MISSING]


def _are_unread(names: Iterable[str], rows: Mapping[str, Loading]) -> bool:
    """Tell whether what is known of some of `names` is older than what enabling would import."""
    needed = {*names, *required_by(names, rows)}
    return any(rows[name].module is None and rows[name].hosted is None for name in needed)


def _is_out(name: str, reports: Iterable[Report], state: State) -> bool:
    """Tell whether a worker that is up to date doesn't have what is to be active."""
    return any(
        report.generation == state.generation and report.plugins.get(name) != Status.ACTIVE
        for report in reports
    )


def describe_worker(report: Report) -> str:
    """Return how a worker is named to people."""
    return f"pid {report.pid} on {report.host}"
