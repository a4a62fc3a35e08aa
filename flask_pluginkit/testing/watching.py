"""What importing a plugin does beside defining things: run as a program of its own.

Python reports files, sockets, processes, threads and environment variables to audit hooks
(PEP 578). What the import of somebody else's package does isn't the plugin's: the frames of such
an import stand between the plugin's and what is reported. The rest is compared afterwards.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from types import FrameType
from typing import Any, Final

from .choosing import Chosen

_SEEN: Final = {
    "threading.Thread.start": "starts a thread",
    "socket.__new__": "makes a socket",
    "socket.connect": "opens a connection",
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "os.system": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.mkdir": "makes a folder",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.rmdir": "removes a folder",
    "os.truncate": "changes a file",
    "os.chmod": "changes a file",
    "os.symlink": "makes a link",
    "os.chdir": "changes the working folder",
    "os.putenv": "changes the environment variable",
    "os.unsetenv": "changes the environment variable",
    "sqlite3.connect": "opens a database",
}

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def side_effects(chosen: Chosen) -> list[str]:
    """Import a plugin in a fresh process and return in words what that did.

    An import that fails is among it.
    """
    candidate = chosen.candidate
    asked = {
        "module": candidate.module,
        "folder": str(candidate.folder),
        "location": str(candidate.location or candidate.folder.parent),
    }
    path = [place for place in map(str, sys.path) if place]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603 - the interpreter that runs this
            [sys.executable, "-B", "-m", __name__, json.dumps(asked)],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            timeout=120,
        )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return [f"it can't be imported: {(done.stderr or 'no answer').strip()[-2000:]}"]
    found: list[str] = json.loads(lines[-1])
    return found


class Watch:
    """Notes what the code in a folder does, while it is on."""

    def __init__(self, folder: str) -> None:
        self.folder = folder + os.sep
        self.is_on = False
        self.found: dict[str, None] = {}
        sys.addaudithook(self.hear)
        start = threading.Thread.start

        def heard(self_: threading.Thread) -> None:
            self.hear("threading.Thread.start", ())
            start(self_)

        # of threads, not every release of Python tells
        threading.Thread.start = heard  # type: ignore[method-assign,assignment]

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Note an event, if it is one that the plugin is behind."""
        if not self.is_on:
            return
        what = _SEEN.get(event)
        if what is None and event == "open" and _is_writing(args):
            what = "writes the file"
        if what is None:
            return
        self.is_on = False
        try:
            if (place := self._place()) is not None:
                about = f" {_text(args[0])}" if args and isinstance(args[0], str | bytes) else ""
                self.found[f"{what}{about} ({place})"] = None
        finally:
            self.is_on = True

    def _place(self) -> str | None:
        """Return the plugin's line that is behind what happens, None if it is an import's."""
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - who called the hook
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(self.folder):
                return f"{path.removeprefix(self.folder)}, line {frame.f_lineno}"
            if frame.f_code.co_name == "<module>" and "importlib" not in path:
                return None
            frame = frame.f_back
        return None


def _text(given: str | bytes) -> str:
    return given.decode(errors="replace") if isinstance(given, bytes) else given


def _is_writing(args: tuple[Any, ...]) -> bool:
    _path, mode, flags = (*args, None, None, None)[:3]
    if isinstance(mode, str) and set(mode) & set("wax+"):
        return True
    return mode is None and isinstance(flags, int) and bool(flags & _WRITING)


def _main(asked: dict[str, str]) -> list[str]:
    import importlib

    import flask  # noqa: F401 - what is there in every application

    import flask_pluginkit.authoring  # noqa: F401 - likewise
    from flask_pluginkit.importing import FINDER

    from .fingerprints import difference, of_process

    FINDER.install()
    FINDER.folders[asked["module"]] = asked["folder"]
    FINDER.names[asked["folder"]] = asked["module"]
    FINDER.locations.setdefault(asked["location"])
    logging.captureWarnings(False)
    before = of_process()
    watch = Watch(asked["folder"])
    watch.is_on = True
    try:
        importlib.import_module(asked["module"])
    finally:
        watch.is_on = False
    heard = list(watch.found)
    said = " ".join(heard)
    changed = difference(before, of_process())
    return [
        *heard,
        *(
            line
            for line in changed
            if not (line.startswith("threads") and "thread" in said)
            and not (line.startswith("environment") and "environment" in said)
            and not (line.startswith("the working") and "working" in said)
        ),
    ]


if __name__ == "__main__":
    answer = _main(json.loads(sys.argv[1]))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)
