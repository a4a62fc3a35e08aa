"""Changing what is stored about plugins, other than which are enabled: all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .exceptions import PluginError
from .frozen import replace
from .snapshot import Snapshot
from .state.base import State
from .switching import Change, Switchboard


def rewrite(
    board: Switchboard,
    entry: Mapping[str, Any],
    rehearse: Callable[[State], tuple[State, Snapshot]],
) -> Change:
    """Store what `rehearse` makes of the state, for every worker from its next request on.

    Args:
        board: what switches plugins in this application.
        entry: the line of the audit; `rehearse` may add to it.
        rehearse: is given the state, and returns the one that is wanted with what it looks like.
            Where it raises, nothing has changed.

    Raises:
        StateError: the state or the audit can't be written.
        PluginError: whatever `rehearse` raises.

    """
    board.refuse_while_loading()
    site, follower = board.site, board.follower
    with site.store.exclusive():
        state = follower.with_local(site.store.load())
        try:
            with site.lock:
                new, snapshot = rehearse(state)
            if new == state:
                with site.lock:
                    site.publish(snapshot, state)
                return Change(changed=(), generation=state.generation)
            follower.audit.write({**entry, "result": "intent"})
            stored = site.store.swap(new.generation, new)
        except PluginError as error:
            board.undo(entry, state, error)
            raise
        with site.lock:
            site.publish(replace(snapshot, generation=stored.generation), stored)
            site.seen = site.store.hint
        board.note({**entry, "result": "done", "generation": stored.generation})
    return Change(changed=tuple(sorted(entry["plugins"])), generation=stored.generation)
