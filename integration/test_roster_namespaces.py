"""Workers in two containers that share a control folder: process numbers mean nothing there."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flask_pluginkit.roster import Roster

WORKER = """
import sys
from pathlib import Path
from flask_pluginkit.roster import Roster

roster = Roster(Path(sys.argv[1]))
member = roster.join({"generation": 1})
print(member.id, flush=True)
for line in sys.stdin:
    print(*sorted(f"{report.id}:{report.pid}" for report in roster.live()), flush=True)
"""

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Only where this user may make process namespaces."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) isn't installed: NO NAMESPACE WAS TRIED")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no process namespace can be made: {tried.stderr.strip()}: NONE WAS TRIED")


class Worker:
    """A worker that is process 1 of a namespace of its own."""

    def __init__(self, control: Path) -> None:
        self.process = subprocess.Popen(
            [*UNSHARE, sys.executable, "-c", WORKER, str(control)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.id = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def sees(self) -> set[str]:
        """Who is alive, as it sees them: ``id:pid``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return set(self._line().split())

    def kill(self) -> None:
        """Kill the namespace with everything in it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)


def test_workers_with_equal_numbers_are_told_apart(tmp_path: Path) -> None:
    """Both are process 1; each sees both, and the one that is left sees the other's death."""
    roster = Roster(tmp_path)
    first, second = Worker(tmp_path), Worker(tmp_path)
    try:
        both = {f"{worker.id}:1" for worker in (first, second)}
        assert first.sees() == second.sees() == both
        assert {f"{report.id}:{report.pid}" for report in roster.live()} == both
        first.kill()
        # that its pipes are closed doesn't mean that the kernel has ended it altogether
        end = time.monotonic() + 30
        while second.sees() != {f"{second.id}:1"}:
            assert time.monotonic() < end, "the one that was killed is still listed"
        assert [report.id for report in roster.live()] == [second.id]
        assert {path.stem for path in roster.folder.iterdir()} == {second.id}
    finally:
        first.kill()
        second.kill()
