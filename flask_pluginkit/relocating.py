"""Changing where plugins run, and what they may do there.

``flask plugins isolate``, ``approve`` and ``revoke``.

In every worker, at its next request.
"""

from __future__ import annotations

from .exceptions import PluginError, SwitchError
from .frozen import replace
from .isolation.approvals import Approvals
from .isolation.digests import digest_of
from .isolation.levels import read_level
from .isolation.remains import Remains, remains_of, remove
from .manifest import read_manifest
from .records import unknown
from .rewriting import rewrite
from .snapshot import Plugin, Snapshot
from .state.base import State
from .switching import Change, Switchboard


def isolate(
    board: Switchboard, names: tuple[str, ...], chosen: str | None, by: str, source: str
) -> Change:
    """Let plugins run elsewhere from the next request on, or change nothing.

    Args:
        board: what switches plugins in this application.
        names: the plugins.
        chosen: where they are to run; None is what the configuration says.
        by: who asks for it.
        source: from where.

    Raises:
        SwitchError: one that is active can't be so there.
        StateError: the state or the audit can't be written.
        PluginError: there is no such plugin, or no such level.

    """
    level = None if chosen is None else read_level(chosen, "level")
    site = board.site
    entry = {
        "action": "isolate",
        "plugins": list(names),
        "level": None if level is None else level.value,
        "by": by,
        "from": source,
    }

    def rehearse(state: State) -> tuple[State, Snapshot]:
        rows = {row.name: row for row in site.prepare(state, lambda _loading: None)}
        if missing := [name for name in names if name not in rows]:
            raise unknown(missing[0], rows)
        were_active = [name for name in names if rows[name].is_active]
        kept = {name: each for name, each in state.isolation.items() if name not in names}
        if level is not None:
            kept |= dict.fromkeys(names, level.value)
        new = replace(state, isolation=kept)
        rows = {row.name: row for row in site.prepare(new, lambda _loading: None)}
        for name in were_active:
            if not rows[name].is_active:
                raise SwitchError(name, rows[name].reason) from rows[name].error
        return new, site.draft(rows.values(), new)

    return rewrite(board, entry, rehearse)


def approve(board: Switchboard, plugin: Plugin, by: str, source: str) -> tuple[str, ...]:
    """Grant a plugin what its code on the disk asks for, and have every worker load it.

    Raises:
        StateError: the approvals, the state, or the audit can't be written.
        ManifestError: it asks for what there isn't.

    """
    folder = plugin.candidate.folder
    manifest = read_manifest(folder, plugin.candidate.package)
    entry = {
        "action": "approve",
        "plugins": [plugin.name],
        "permissions": list(manifest.permissions),
        "by": by,
        "from": source,
    }
    with board.site.store.exclusive():
        board.follower.audit.write({**entry, "result": "intent"})
    granted = Approvals(board.site.control).approve(
        plugin.name, manifest.permissions, digest_of(folder), version=manifest.version, by=by
    )
    board.note({**entry, "result": "done"})
    board.rescan(by, source)
    return granted.permissions


def revoke(
    board: Switchboard, name: str, by: str, source: str, *, forget: bool = False
) -> tuple[str, ...]:
    """Take back what was approved of a plugin, which may be gone, and have every worker know.

    Args:
        board: what switches plugins in this application.
        name: the plugin.
        by: who takes it back.
        source: from where.
        forget: whether to remove what it stored, too.

    Raises:
        StateError: the approvals, the state, or the audit can't be written, or what is left of
            it can't be removed.
        PluginError: there neither is nor was such a plugin, or it is to be forgotten and is
            active.

    """
    site = board.site
    board.refuse_while_loading()
    approvals = Approvals(site.control)
    left = left_of(board, name) if forget else ()
    if forget and name in site.current.active:
        raise PluginError(f"plugin {name!r} is active, and may be storing something: disable it")
    if name not in approvals.all() and not left and not _is_known(board, name):
        raise unknown(name, [row.name for row in site.current.plugins])
    entry = {"action": "revoke", "plugins": [name], "forget": forget, "by": by, "from": source}
    with site.store.exclusive():
        board.follower.audit.write({**entry, "result": "intent"})
    try:
        gone = approvals.revoke(name)
        remove(left)
    except PluginError as error:
        board.note({**entry, "result": f"refused: {error}"})
        raise
    finally:
        board.rescan(by, source)
    board.note({**entry, "result": "done", "permissions": list(gone)})
    return gone


def left_of(board: Switchboard, name: str) -> tuple[Remains, ...]:
    """Return what is left of a plugin. Raises PluginError if the configuration is wrong."""
    site = board.site
    return remains_of(site.control, site.hosting.settings.homes, name)


def _is_known(board: Switchboard, name: str) -> bool:
    return any(row.name == name for row in board.site.current.plugins)
