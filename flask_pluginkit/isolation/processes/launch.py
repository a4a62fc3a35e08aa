"""Starting fresh interpreters: clean environment, own session, nothing of the host on the path."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.exceptions import RunError
from flask_pluginkit.sandbox.limits import environment
from flask_pluginkit.text import clean

from .settings import Settings, written

DEPENDENCIES: Final = (
    "flask",
    "werkzeug",
    "jinja2",
    "markupsafe",
    "click",
    "blinker",
    "itsdangerous",
    "msgspec",
    "semver",
    "filelock",
)
"""What the interpreters need beside the standard library and this package."""

BOOT: Final = Path(__file__).with_name("boot.py")

TAKEN: Final = "taken"
"""What a supervisor answers that isn't needed, as there is one."""


def interpreter() -> str:
    """Return the path of the interpreter that runs this process.

    Raises RunError where a server embeds it and none can be found.
    """
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    beside = Path(sys.prefix, "bin")
    for candidate in (sys.executable, str(beside / name), str(beside / "python3")):
        # uWSGI and mod_wsgi name themselves, or nothing at all
        if (
            candidate
            and Path(candidate).name.startswith("python")
            and os.access(candidate, os.X_OK)
        ):
            return candidate
    if (found := shutil.which(name)) is not None:
        return found
    raise RunError("no Python interpreter is found to run isolated plugins: name one (python=...)")


def dependency_folders(forbidden: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the folders that this process imports the dependencies of this package from.

    Never the current folder, nor one of `forbidden`, such as those of plugins.
    """
    never = {os.path.realpath(path) for path in (os.getcwd(), *forbidden)}  # noqa: PTH109
    folders: dict[str, None] = {}
    for name in DEPENDENCIES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        folder = origin.parent.parent if origin.name == "__init__.py" else origin.parent
        if os.path.realpath(folder) not in never:
            folders[str(folder)] = None
    return tuple(folders)


def command(name: str, settings: Settings) -> list[str]:
    """Return the command that runs one of the programs of this folder.

    The runtime folder is in it for those who look at the list of processes.
    """
    python = settings.python or interpreter()
    return [python, "-I", str(BOOT), name, settings.runtime, *settings.paths]


def start_supervisor(settings: Settings, deadline: float) -> dict[str, Any]:
    """Start a supervisor that outlives this process, and return what it says of itself.

    That is ``{"ready": pid}``, or ``{"taken": True}`` if another one runs. `settings.runtime`
    is set. Raises RunError if it can't be started by `deadline` (`time.monotonic`).
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
            command("main", settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment(),
            close_fds=True,
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(str(error)) from error
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with process.stdin:
                process.stdin.write(written(settings))
            text = _read_all(process.stdout.fileno(), deadline)
        except (OSError, TimeoutError) as error:
            raise _failed(str(error)) from error
        finally:
            # it forks at once, so this one has ended or is stuck
            process.kill()
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        raise _failed(clean(text[-4000:], 4000, multiline=True) or "it said nothing") from None
    if "problem" in answer:
        raise _failed(str(answer["problem"]))
    return answer


def _read_all(descriptor: int, deadline: float) -> bytes:
    """Return what is written until the other side closes it. Raises TimeoutError."""
    poll = select.poll()  # select can't wait for descriptors above 1023
    poll.register(descriptor, select.POLLIN)
    parts: list[bytes] = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("it didn't answer in time")
        if not (part := os.read(descriptor, 1 << 16)):
            return b"".join(parts)
        parts.append(part)


def _failed(reason: str) -> RunError:
    return RunError(f"the supervisor of isolated plugins can't be started: {reason}")
