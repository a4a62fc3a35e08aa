"""The processes that are measured, as their parent sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic_ns
from typing import Any, cast

from contenders import Kind
from rows import Lane, Start
from work import Answer, Work

HERE = Path(__file__).parent


class ContenderError(Exception):
    """A contender failed; the message is its traceback."""


class Setting:
    """Where interpreters and plugin trees are."""

    def __init__(self, old_python: Path, trees: Path) -> None:
        self._old_python = old_python
        self._trees = trees

    def tree(self, count: int, *, hooks: bool) -> Path:
        """The folder with `count` plugins."""
        return self._trees / f"{count}-{'with' if hooks else 'without'}-hooks"

    def command(self, script: str, lane: Lane, count: int) -> list[str]:
        """The command that runs `script` for `lane`."""
        python = str(self._old_python) if lane.kind is Kind.OLD else sys.executable
        tree = str(self.tree(count, hooks=lane.hooks))
        return [python, str(HERE / script), lane.kind, tree, str(count)]

    @staticmethod
    def environment(lane: Lane) -> dict[str, str]:
        """The environment variables for `lane`: none that changes how Python or Flask work.

        PYTHONDONTWRITEBYTECODE, for one, would have modules compiled at each start, but only
        those that pip didn't compile when it installed them.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "FLASK_", "PLUGINKIT_"))
        }
        path = os.environ.get("PYTHONPATH")
        return kept if path is None or lane.kind is Kind.OLD else {**kept, "PYTHONPATH": path}


class Worker:
    """A process that holds one application, and does work when told so."""

    def __init__(self, setting: Setting, lane: Lane, count: int) -> None:
        self.lane = lane
        self._process = subprocess.Popen(
            setting.command("worker.py", lane, count),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=setting.environment(lane),
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Return when its application is built; raise `ContenderError` if it can't be."""
        self._read()

    def answer(self, work: Work) -> Answer:
        """What its application answers."""
        return Answer(*self._ask("answer", work))

    def run(self, work: Work, times: int) -> int:
        """Nanoseconds for doing `work` so many times."""
        return cast("int", self._ask("run", work, times))

    def stop(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, *command: object) -> Any:
        stream = self._process.stdin
        assert stream is not None
        try:
            stream.write(json.dumps(command) + "\n")
            stream.flush()
        except BrokenPipeError:
            raise ContenderError(f"{self.lane.label} has ended") from None
        return self._read()

    def _read(self) -> Any:
        stream = self._process.stdout
        assert stream is not None
        line = stream.readline()
        if not line:
            raise ContenderError(f"{self.lane.label} has ended")
        message = json.loads(line)
        if "error" in message:
            raise ContenderError(message["error"])
        return message["value"]


def start_once(
    setting: Setting, lane: Lane, count: int
) -> tuple[Mapping[Start, float], list[object]]:
    """Start `lane` in a fresh process: nanoseconds and bytes, and what its views answered."""
    command = [*setting.command("start.py", lane, count), str(monotonic_ns())]
    done = subprocess.run(
        command, env=setting.environment(lane), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ContenderError(done.stderr)
    figures = json.loads(done.stdout.splitlines()[-1])
    return {start: float(figures[start]) for start in Start}, figures["answers"]
