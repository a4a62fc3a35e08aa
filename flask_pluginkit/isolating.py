"""What an operator asks about plugins that run elsewhere than in the application's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from .application import Site

if TYPE_CHECKING:
    from .isolation.remains import Remains
    from .isolation.supervision import WorkerInfo
    from .snapshot import Plugin
    from .switching import Change, Switchboard


class Isolating:
    """The part of `PluginManager` that says where plugins run, and what they may do there."""

    if TYPE_CHECKING:  # what it works on; the manager has these

        def _site(self) -> Site:
            """Return the site of the current application."""

        def _plugin(self, plugin_name: str) -> Plugin:
            """Return one plugin, or raise `PluginError`."""

    def isolate_plugin(
        self, plugin_name: str, *others: str, level: str | None, by: str | None = None
    ) -> Change:
        """Let a plugin run elsewhere, in every worker, from its next request on.

        Args:
            plugin_name: its name.
            others: further ones, all of them or none.
            level: ``trusted``, ``process`` or ``isolated``; None is what ``isolation=`` and
                ``PLUGINKIT_ISOLATION`` say.
            by: as for `enable_plugin`.

        Raises:
            SwitchError: it is active, and can't be so there.
            StateError: the state, or the audit, can't be written.
            PluginError: there is no such plugin, or no such level.

        """
        from .relocating import isolate
        from .switching import who

        user, source = who()
        board = board_of(self._site())
        return isolate(board, (plugin_name, *others), level, by or user, source)

    def approve_plugin(self, plugin_name: str, *, by: str | None = None) -> tuple[str, ...]:
        """Grant an isolated plugin what it asks for, and have every worker load it so.

        The approval is for the code as it is now, and for later versions that ask for no more.
        Returns what was granted (see `permissions`), sorted.

        Raises:
            StateError: the approvals, the state, or the audit can't be written.
            PluginError: there is no such plugin.

        """
        from .relocating import approve
        from .switching import who

        user, source = who()
        return approve(board_of(self._site()), self._plugin(plugin_name), by or user, source)

    def revoke_plugin(
        self, plugin_name: str, *, forget: bool = False, by: str | None = None
    ) -> tuple[str, ...]:
        """Take back what was approved of a plugin, in every worker from its next request on.

        An isolated plugin that asks for permissions then waits for approval, as if it had just
        been installed. The plugin may be gone. Returns what had been approved, sorted.

        Args:
            plugin_name: its name.
            forget: whether to remove what it stored, and its folder (`left_of`), too.
            by: as for `enable_plugin`.

        Raises:
            StateError: the approvals, the state, or the audit can't be written.
            PluginError: there neither is nor was such a plugin, or it is to be forgotten and is
                active.

        """
        from .relocating import revoke
        from .switching import who

        user, source = who()
        return revoke(board_of(self._site()), plugin_name, by or user, source, forget=forget)

    def left_of(self, plugin_name: str) -> tuple[Remains, ...]:
        """Return what a plugin that ran isolated has left on the disk, be it gone or not."""
        from .relocating import left_of

        return left_of(board_of(self._site()), plugin_name)

    def asked_of(self, plugin_name: str) -> tuple[str, ...]:
        """Return the permissions that a plugin's code on the disk asks for (see `permissions`).

        Raises `PluginError` if there is no such plugin.
        """
        from .manifest import read_manifest

        candidate = self._plugin(plugin_name).candidate
        return read_manifest(candidate.folder, candidate.package).permissions

    def plugin_processes(self) -> tuple[WorkerInfo, ...]:
        """Return the processes of plugins that aren't trusted, as their supervisor sees them.

        Raises `RunError` if it doesn't answer.
        """
        return self._site().elsewhere.processes()


def board_of(site: Site) -> Switchboard:
    """Return what follows the shared state and switches plugins in this application.

    It is imported when it is first needed, by the first request: a start is a third faster.
    """
    if site.board is None:
        from .following import Follower
        from .switching import Switchboard

        with site.lock:
            if site.board is None:
                site.board = Switchboard(site, Follower(site), site.options.enable_timeout)
    return cast("Switchboard", site.board)
