"""What importing a plugin does beside defining things.

Python tells its audit hooks (PEP 578) of files, sockets, processes and threads. What counts is
done by the plugin's own lines: what a library does while it is imported is the library's concern.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from flask_pluginkit.text import clean

_BOOTSTRAP: Final = "<frozen importlib._bootstrap>"

_WRITE: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_SAID: Final = {
    "os.mkdir": "makes a folder",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.rmdir": "removes a folder",
    "os.chdir": "changes the current folder",
    "os.putenv": "changes the environment",
    "os.unsetenv": "changes the environment",
    "os.system": "starts a process",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "subprocess.Popen": "starts a process",
    "socket.connect": "opens a connection",
    "socket.bind": "opens a socket",
    "socket.getaddrinfo": "looks up a host",
    "socket.sendto": "sends something over the network",
    "_thread.start_new_thread": "starts a thread",
    "sys.settrace": "traces the process",
    "signal.pthread_kill": "sends a signal",
}

MOST: Final = 50


@dataclass(slots=True)
class Watch:
    """Remembers what the lines below one folder do, while it is `active`."""

    folder: str
    active: bool = False
    doing: str = "importing it"
    seen: dict[tuple[str, str, int], str] = field(default_factory=dict)
    """What is done, where, in words."""
    path: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def install(self) -> None:
        """Begin to listen: for the rest of the process, as hooks can't be taken away."""
        prefix = self.folder + os.sep

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if self.active and (said := _words(event, arguments)) is not None:
                self._found(said, sys._getframe(1), prefix)  # noqa: SLF001

        # or nothing that a hook does can be measured by the tests
        hook.__cantrace__ = True  # type: ignore[attr-defined]

        def start(thread: threading.Thread) -> None:
            if self.active:  # Python tells of threads since 3.12 only
                self._found("starts a thread", sys._getframe(1), prefix)  # noqa: SLF001
            begin(thread)

        begin = threading.Thread.start
        threading.Thread.start = start  # type: ignore[method-assign, assignment]
        sys.addaudithook(hook)

    def _found(self, said: str, frame: FrameType, prefix: str) -> None:
        """Remember what is done, if it is the plugin that does it."""
        self.active = False  # what is done from here on is ours
        try:
            if len(self.seen) < MOST and (place := _place(frame, prefix)) is not None:
                self.note(said, *place)
        finally:
            self.active = True

    def note(self, said: str, file: str = "", line: int = 0) -> None:
        """Remember something."""
        self.seen.setdefault((said, file, line), f"{self.doing} {said}")

    def begin(self, doing: str) -> None:
        """Watch from here on."""
        self.doing = doing
        self.path = list(sys.path)
        self.threads = {id(each) for each in threading.enumerate()}
        self.active = True

    def end(self) -> None:
        """Stop watching, and note what changed meanwhile."""
        self.active = False
        if sys.path != self.path:
            self.note("changes sys.path")
        told = any("thread" in said for said, _file, _line in self.seen)
        new = [each for each in threading.enumerate() if id(each) not in self.threads]
        if new and not told:
            self.note(f"starts a thread ({clean(new[0].name, 50)})")


def _words(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what an event is about in words, None if it is of no interest."""
    if event == "open":
        path, mode, flags = (*arguments, None, None, None)[:3]
        writes = set(mode) & set("wax+") if isinstance(mode, str) else False
        if not writes and not (isinstance(flags, int) and mode is None and flags & _WRITE):
            return None
        text = clean(path, 200)
        return None if text in {os.devnull, "nul"} else f"opens the file {text!r} for writing"
    if event == "sqlite3.connect":
        text = clean(arguments[0], 200)
        return None if text in {":memory:", ""} else f"opens the database {text!r}"
    return _SAID.get(event)


def _place(frame: FrameType | None, prefix: str) -> tuple[str, int] | None:
    """Return the line of the plugin that an event comes from, None if it isn't its doing."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(prefix):
            return file, frame.f_lineno
        if file == _BOOTSTRAP:
            return None  # another module is being imported
        frame = frame.f_back
    return None
