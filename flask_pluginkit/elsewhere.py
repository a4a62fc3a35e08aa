"""The plugins of one application that run elsewhere than in its own processes.

Few sites have any. So a start imports nothing of `isolation` but the levels, and what runs such
plugins (`isolation.hosting.Hosting`) is made when the first of them is to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from flask import Flask

from .discovery import Candidate
from .isolation.levels import Isolation, Levels, read_levels
from .options import Options
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .isolation.hosting import Hosting, Loaded
    from .isolation.remote import Remote
    from .isolation.supervision import WorkerInfo

OPTION: Final = "isolation"
CONFIGURATION: Final = "PLUGINKIT_ISOLATION"


class Elsewhere:
    """What says which plugins run elsewhere, and has what runs them."""

    def __init__(
        self, app: Flask, options: Options, control: Path, pin: Callable[[], Snapshot]
    ) -> None:
        self.app = app
        self.options = options
        self.control = control
        self.pin = pin
        self.levels = Levels(
            configured=read_levels(app.config.get(CONFIGURATION), CONFIGURATION),
            given=read_levels(options.isolation, OPTION),
        )
        self._lock = Lock()
        self._hosting: Hosting | None = None
        self._is_settled = False

    def level_of(self, candidate: Candidate, name: str, stored: Mapping[str, str]) -> Isolation:
        """Return where the plugin `name` is to run; see `Levels.of`."""
        levels = self.levels
        if not (stored or levels.configured or levels.given):
            return Isolation.TRUSTED  # each change asks for each plugin
        return levels.of(name, stored, folder=candidate.folder.name)

    @property
    def hosting(self) -> Hosting:
        """What runs them, made when it is first asked for."""
        if self._hosting is None:
            from .isolation.hosting import Hosting

            with self._lock:
                if self._hosting is None:
                    self._hosting = Hosting(
                        self.app,
                        self.control,
                        self.options.logger,
                        self._remotes,
                        self.options.static_url_path,
                        is_settled=self._is_settled,
                        settings_frame=self._settings_frame,
                    )
        return self._hosting

    def keep(self, snapshot: Snapshot) -> None:
        """Let go of every worker but those of the plugins that are active in `snapshot`."""
        if self._hosting is not None:
            self._hosting.keep(_hosted(snapshot))

    def tell_anew(self) -> None:
        """Let plugins know the routes of the host, now that it has registered them."""
        with self._lock:
            self._is_settled = True
        if self._hosting is not None:
            self._hosting.tell_anew()

    def processes(self) -> tuple[WorkerInfo, ...]:
        """Return the processes of plugins, as the supervisor sees them. Raises RunError."""
        return () if self._hosting is None else self._hosting.processes()

    def _settings_frame(self, plugin: str) -> bytes:
        """Return what tells a plugin its settings, as the request sees them."""
        row = self.pin().active.get(plugin)
        if row is None or row.hosted is None or row.settings is None:
            return b""  # nothing yet, or still what it has in this process
        frame: bytes = row.settings.made
        return frame

    def _remotes(self) -> list[Remote]:
        """Return what asks the plugins, as the request sees them."""
        return [hosted.remote for hosted in _hosted(self.pin())]


def _hosted(snapshot: Snapshot) -> list[Loaded]:
    """Return what runs each active plugin that runs elsewhere."""
    return [plugin.hosted for plugin in snapshot.active.values() if plugin.hosted is not None]
