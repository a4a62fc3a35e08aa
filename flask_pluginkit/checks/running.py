"""Running a plugin in a process of its own, to see what its source doesn't tell.

The process has a time limit, an empty folder to be in, next to nothing in its environment, and
no way to write where the answer of another check is. That keeps accidents away, and is no
sandbox: whoever runs a plugin's code trusts it with their account.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.durable import open_regular
from flask_pluginkit.finding import NAMESPACE

from .codes import CODES
from .places import Place
from .remains import end_processes, remove
from .reports import Finding
from .sources import inside
from .subjects import Subject

_BOOT: Final = (
    "import json, sys; given = json.load(open(sys.argv[1], encoding='utf-8')); "
    "sys.path[:] = given['path']; from flask_pluginkit.checks.child import main; main(given)"
)

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes that are read of what the process writes."""

MOST_FINDINGS: Final = 100

_KEPT: Final = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TZ", "COVERAGE_PROCESS_START",
                "COVERAGE_PROCESS_CONFIG")  # fmt: skip
"""What of the environment the process gets."""

_STAGES: Final = {
    "start": "starting",
    "import": "importing the plugin",
    "register": "calling register()",
    "use": "looking at what register() returned",
}


def run(
    subject: Subject, places: Sequence[Place], paths: Sequence[Path], seconds: float
) -> tuple[list[Finding], bool]:
    """Return what running a plugin shows, and whether it could be run to the end.

    `places` are plugins that it may import, `paths` folders with other modules.
    """
    with _room() as room:
        answer = room / "answer"
        (room / "home").mkdir()
        given = {
            **_given(subject, places, paths),
            "answer": str(answer),
            "seconds": seconds,
        }
        (room / "given").write_text(json.dumps(given), encoding="utf-8")
        ended = _run(room, seconds)
        rows = list(_rows(answer))
    stage = next((row["stage"] for row in reversed(rows) if "stage" in row), "start")
    made = (_finding(subject, row) for row in rows)
    findings = [one for one in made if one is not None][:MOST_FINDINGS]
    doing = _STAGES.get(stage, "running")
    if ended is None:
        message = f"{doing} takes more than {seconds:g} seconds"
        findings.append(subject.in_file("PK703", subject.shown_init, message))
        return findings, False
    has_failed = any(one.code in {"PK701", "PK702"} for one in findings)
    if stage == "end" or has_failed:
        return findings, not has_failed
    message = f"{doing} ended the process ({_how(ended)})"
    findings.append(subject.in_file("PK701", subject.shown_init, message))
    return findings, False


@contextmanager
def _room() -> Iterator[Path]:
    """Make a folder, and remove it as far as the plugin left it in a state to be removed."""
    scratch = tempfile.TemporaryDirectory(prefix="pluginkit", ignore_cleanup_errors=True)
    try:
        yield Path(scratch.name)
    finally:
        remove(Path(scratch.name))
        with suppress(RecursionError):  # folders in folders, a thousand deep, that couldn't go
            scratch.cleanup()


def _given(subject: Subject, places: Sequence[Place], paths: Sequence[Path]) -> dict[str, Any]:
    """Return what the process is told."""
    every = [subject.place, *(place for place in places if place is not subject.place)]
    tops = [str(_top(place.folder)) for place in every]
    # one that is imported by its name alone must come before one that is installed; all else
    # comes last, so that no file beside a plugin stands in the place of a library
    first = tops[:1] if _is_by_name(subject.folder) else []
    search = [*first, *_own_path(), *tops, *map(str, paths), str(Path.cwd())]
    known = [item.name for item in subject.registered.of("tep") if subject.slot_text(item)]
    return {
        "path": list(dict.fromkeys(search)),
        "plugins": [_plugin(place.folder.resolve()) for place in every],
        "namespaces": [str(path / NAMESPACE) for path in paths if (path / NAMESPACE).is_dir()],
        "name": subject.name,
        "known_slots": known,
    }


def _is_by_name(folder: Path) -> bool:
    """Tell whether a plugin is a package that lies in no folder of plugins."""
    return folder.resolve().parent.name not in {NAMESPACE, "plugins"}


def _top(folder: Path) -> Path:
    """Return the folder from which a plugin is imported by its name."""
    parent = folder.resolve().parent
    return parent if _is_by_name(folder) else parent.parent


def _plugin(folder: Path) -> dict[str, str]:
    return {"folder": str(folder), "location": str(folder.parent)}


def _own_path() -> Iterator[str]:
    """Yield where this process imports from: not where it happens to stand."""
    for entry in sys.path:
        if entry and Path(entry).is_absolute():
            yield entry
    yield str(Path(__file__).resolve().parents[2])


def _run(room: Path, seconds: float) -> int | None:
    """Return how the process ended, None if it had to be ended."""
    home = str(room / "home")
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"HOME": home, "TMPDIR": home, "TEMP": home, "TMP": home}
    with (room / "output").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, with our own words
            [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, str(room / "given")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)
            end_processes(Path(home))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it started in its group."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _rows(answer: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of the answer; the plugin's code may have written there, too."""
    try:
        with open_regular(answer) as file:
            data = file.read(LARGEST_ANSWER)
    except OSError:
        return
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and all(type(value) in {str, int} for value in row.values()):
            yield row


def _finding(subject: Subject, row: dict[str, Any]) -> Finding | None:
    code, message = row.get("code"), row.get("message")
    if not isinstance(code, str) or code not in CODES or not isinstance(message, str):
        return None
    file, line = row.get("file"), row.get("line")
    path = subject.shown_init
    if isinstance(file, str) and file:
        folder = subject.folder.resolve()
        if Path(file).is_relative_to(folder):
            path = inside(subject.place.shown, Path(file).relative_to(folder).as_posix())
    place = (line, 0) if isinstance(line, int) and line <= LARGEST_ANSWER else (0, 0)
    return subject.in_file(code, path, message, place)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
