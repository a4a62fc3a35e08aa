"""Starting a development server anew when plugins change that Werkzeug doesn't look at.

``flask run --debug`` runs the application in a child process, which ends with exit code 3 where
another one is to take its place: Werkzeug's own way. This does the same, in the same words, for
what `pictures` tells. Only who runs under that reloader imports this module.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import click

from .pictures import Camera, Picture, Watched

INTERVAL: Final = 1.0
"""Seconds between two looks, as Werkzeug's."""

QUIET: Final = 0.2
"""Seconds in which what has changed must stay as it is: a folder is copied file by file."""

MOST_TIME: Final = 0.05
"""The share of time, at most, that looking may take; a large tree is looked at less often."""

RELOADER: Final = "werkzeug._reloader"
EXIT_CODE: Final = 3
"""What tells Werkzeug's first process to start the child anew."""


class Watcher:
    """Looks at the plugins of this process, in a thread of its own, until something changes."""

    def __init__(self, end: Callable[[str], None]) -> None:
        self.end = end
        """Called with the path of what has changed."""
        self._left: Picture = {}
        """Changes that Werkzeug should have seen by the next look."""
        self._cameras: list[tuple[Camera, Picture]] = []
        self._thread: threading.Thread | None = None

    def see(self, site: Watched) -> None:
        """Look at the plugins of one more application from now on."""
        camera = Camera(site, excluded())
        self._cameras.append((camera, camera.picture()))

    def start(self) -> None:
        """Begin to look, if that hasn't begun."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="pluginkit-reloader", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        pause = INTERVAL
        while True:
            time.sleep(pause)
            started = time.monotonic()
            try:
                changed = self.look()
            except Exception:  # a file that comes and goes must not end it
                logging.getLogger(__name__).exception("the folders of plugins can't be looked at")
                changed = ""
            pause = max(INTERVAL, (time.monotonic() - started) / MOST_TIME)
            if changed:
                self.end(changed)

    def look(self) -> str:
        """Return the path of something that has changed, empty if nothing has.

        What Werkzeug should see by itself is left to it until the next look. Everything is as
        long as its loop doesn't run: the application is still being loaded, or this isn't its
        process at all but one that was started by it.
        """
        for place, (camera, before) in enumerate(self._cameras):
            after = camera.picture()
            changes = camera.changes(before, after)
            if not changes:
                self._cameras[place] = camera, after
                continue
            path = self._first(changes, before) if is_reloading() else ""
            if path and _is_quiet(camera, after):
                return path
        return ""

    def _first(self, changes: Picture, before: Picture) -> str:
        """Return the first path that Werkzeug doesn't see by itself, or hasn't since the last look.

        ``watchdog`` isn't told of changes in many a shared or mounted folder, and Werkzeug looks
        at nothing where Python itself is installed.
        """
        modules = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        for path, now in changes.items():
            is_newer = path in before and now[0] > before[path][0]  # all that Werkzeug looks for
            if not (is_newer and path in modules) or self._left.get(path) == now:
                return path
        self._left = changes
        return ""


def _is_quiet(camera: Camera, picture: Picture) -> bool:
    """Tell whether all is written."""
    time.sleep(QUIET)
    return not camera.changes(picture, camera.picture())


def is_reloading() -> bool:
    """Tell whether the main thread of this process is in the loop of Werkzeug's reloader.

    The variable that Werkzeug sets isn't enough: processes that the server starts have it too.
    """
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main or 0)  # noqa: SLF001 - documented, despite its name
    while frame is not None:
        if frame.f_globals.get("__name__") == RELOADER:
            return True
        frame = frame.f_back
    return False


def excluded() -> Iterable[str]:
    """Return the patterns that ``flask run --exclude-patterns`` was given."""
    context = click.get_current_context(silent=True)
    found = context.params.get("exclude_patterns") if context is not None else None
    return found if isinstance(found, list | tuple) else ()


def end_child(path: str) -> None:
    """Say what has changed, and end this process so that Werkzeug starts another one."""
    logger = logging.getLogger("werkzeug")
    text = f" * Detected change in {path!r}, reloading"
    if logger.hasHandlers() and logger.isEnabledFor(logging.INFO):
        logger.info("%s", text)
    else:  # Werkzeug sets its logger up when it is first used
        sys.stderr.write(f"{text}\n")
    # sys.exit() would end this thread alone; the main thread would run what was left for the end
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other way
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(EXIT_CODE)


WATCHER: Final = Watcher(end_child)
"""The one of this process."""


def watch(site: Watched) -> None:
    """Start the server anew when something changes in a plugin of this application."""
    WATCHER.see(site)
    WATCHER.start()
