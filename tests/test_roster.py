"""What the workers of one host tell each other, with real processes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit import seats
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.reports import (
    Announcement,
    announcement_text,
    read_announcement,
    read_report,
    report_text,
)
from flask_pluginkit.roster import STALE, Roster
from flask_pluginkit.seats import is_held

# Python 3.12 warns of a fork beside threads, which a test before may have left to the process
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

posix = pytest.mark.skipif(
    os.name != "posix", reason="no record locks here: WORKERS DON'T SEE EACH OTHER"
)

JOIN = """
import sys
from pathlib import Path
from flask_pluginkit.roster import Roster

member = Roster(Path(sys.argv[1])).join({"generation": int(sys.argv[2])})
print(member.id, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    """The roster of a control folder that exists."""
    control = tmp_path / "control"
    control.mkdir(mode=0o700)
    return Roster(control)


class Other:
    """A worker in a process of its own."""

    def __init__(self, roster: Roster, generation: object = 1, script: str = JOIN) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(roster.control), str(generation)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.id = self.line()

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: int | None = None) -> None:
        """Kill it with a signal, or let it come to its end."""
        if self.process.poll() is None and number is not None:
            self.process.send_signal(number)
        self.process.communicate("\n" if number is None else None, timeout=60)


@pytest.fixture
def other(roster: Roster) -> Iterator[Callable[..., Other]]:
    """Start other workers; they are ended with the test."""
    started: list[Other] = []

    def start(generation: object = 1, script: str = JOIN) -> Other:
        started.append(Other(roster, generation, script))
        return started[-1]

    yield start
    for each in started:
        each.end(signal.SIGKILL)


def ids(roster: Roster) -> list[str]:
    return [report.id for report in roster.live()]


def names(roster: Roster) -> set[str]:
    return {path.name for path in roster.folder.iterdir()}


def in_child(work: Callable[[], bool]) -> bool:
    """What `work` returns in a forked child."""
    if (child := os.fork()) == 0:
        try:
            os._exit(0 if work() else 1)
        except BaseException:  # noqa: BLE001 - a copy of pytest must not go on from here
            sys.excepthook(*sys.exc_info())
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- one process --------------------------------------------------------------------------


def test_a_report_comes_back_as_it_was_told(roster: Roster) -> None:
    """Everything that a worker tells is in its report, with what is known about its process."""
    before = time.time()
    told = {
        "generation": 42,
        "plugins": {"hello": "active"},
        "errors": {"hello": 3},
        "loaded": ("hello", "shop"),
        "announcement": 7,
        "failures": {"shop": "no module named shop"},
    }
    member = roster.join(told)
    (report,) = roster.live()
    assert {name: getattr(report, name) for name in told} == told
    assert (report.id, report.pid) == (member.id, os.getpid())
    assert report.host
    assert before <= report.started <= report.written <= time.time()


@posix
def test_a_member_has_a_report_and_a_lock(roster: Roster) -> None:
    """Both are named after it, belong to the owner of the folder, and nothing else is left."""
    member = roster.join({})
    assert names(roster) == {f"{member.id}.json", f"{member.id}.lock"}
    assert {path.stat().st_mode & 0o777 for path in roster.folder.iterdir()} == {0o600}
    assert roster.folder.stat().st_mode & 0o777 == 0o700


@posix
def test_reporting_again_replaces_the_report(roster: Roster) -> None:
    """The last report counts, whole: what it leaves out is as by default."""
    member = roster.join({"generation": 1, "errors": {"hello": 1}})
    assert member.report({"generation": 2})
    (report,) = roster.live()
    assert (report.generation, report.errors) == (2, {})
    assert len(names(roster)) == 2


def test_leaving_removes_the_files(roster: Roster) -> None:
    """A worker that ended is gone at once; leaving twice and reporting later do nothing."""
    member = roster.join({})
    member.leave()
    member.leave()
    assert member.report({}) is False
    assert roster.live() == ()
    assert not member.is_mine
    assert member.id not in seats._SEATS
    assert os.name != "posix" or names(roster) == set()


@posix
def test_a_membership_ends_with_its_object(roster: Roster) -> None:
    """An application that is thrown away leaves neither files nor descriptors."""
    member = roster.join({})
    seat = member._seat
    del member
    gc.collect()
    assert names(roster) == set()
    # other threads of this process may use its number again
    assert seat.descriptor is None


@posix
def test_several_members_of_one_process_dont_take_each_others_locks(
    roster: Roster, other: Callable[..., Other]
) -> None:
    """Asking who is alive opens no lock of the own process, which would drop it."""
    members = [roster.join({}), Roster(roster.control).join({})]
    alias = roster.control.parent / "alias"
    alias.symlink_to(roster.control)
    assert set(ids(Roster(alias))) == set(ids(roster)) == {member.id for member in members}
    script = """
    import sys
    from pathlib import Path
    from flask_pluginkit.roster import Roster
    print(len(Roster(Path(sys.argv[1])).live()))
    """
    assert other(script=script).id == "2"


def test_the_oldest_worker_comes_first(roster: Roster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are listed in the order in which they joined, whatever their ids."""
    members = []
    for moment in range(10, 0, -1):
        monkeypatch.setattr(time, "time", lambda moment=moment: float(moment))
        members.append(roster.join({}))
    assert ids(roster) == [member.id for member in reversed(members)]


@pytest.mark.parametrize(
    "told",
    [
        {"genration": 1},
        {"generation": "1"},
        {"generation": True},
        {"plugins": {"hello": 1}},
        {"errors": ["hello"]},
        {"loaded": "hello"},
        {"failures": {"hello": object()}},
    ],
)
def test_a_report_of_another_shape_is_refused_and_logged(
    roster: Roster, caplog: pytest.LogCaptureFixture, told: dict[str, object]
) -> None:
    """It raises nothing, and the report before it stays."""
    member = roster.join({"generation": 5})
    assert member.report(told) is False
    assert [report.generation for report in roster.live()] == [5]
    assert "can't report" in caplog.text


# --- places that can't be written, and files of others ---------------------------------------


def test_a_worker_that_cant_write_knows_itself_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing fails; when the place becomes writable, the next report is seen by all."""
    (tmp_path / "control").write_text("in the way")
    roster = Roster(tmp_path / "control")
    member = roster.join({"generation": 1})
    assert member.report({"generation": 2}) is False
    assert [report.generation for report in roster.live()] == [2]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    (tmp_path / "control").unlink()
    assert member.report({"generation": 3}) is (os.name == "posix")
    assert [report.generation for report in roster.live()] == [3]


@posix
def test_a_full_disk_keeps_the_report_before(
    roster: Roster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be written leaves no half of it, and is logged once until it works again."""
    member = roster.join({"generation": 1})
    with monkeypatch.context() as patch:

        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(Path, "replace", full)
        assert [member.report({"generation": 2}) for _ in range(3)] == [False] * 3
    assert len(names(roster)) == 2
    assert caplog.text.count("No space left") == 1
    assert member.report({"generation": 3}) is True
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert member.report({"generation": 4}) is False
    assert caplog.text.count("No space left") == 2


@posix
@pytest.mark.parametrize("pattern", ["*", "*.lock", "*.json"])
def test_a_worker_whose_files_were_removed_comes_back(roster: Roster, pattern: str) -> None:
    """With its next report; without its lock under an id that isn't taken for the one before."""
    member = roster.join({"generation": 1})
    before = member.id
    for path in roster.folder.glob(pattern):
        path.unlink()
    assert member.report({"generation": 2})
    assert (member.id != before) is (pattern != "*.json")
    assert names(roster) == {f"{member.id}.json", f"{member.id}.lock"}
    assert ids(roster) == [member.id]


@posix
def test_what_isnt_a_report_is_passed_over(roster: Roster, other: Callable[..., Other]) -> None:
    """Torn, huge and foreign files, links and pipes, beside a lock that is held or not."""
    mine, stranger = roster.join({}), other()
    report = roster.folder / f"{stranger.id}.json"
    for content in (b"", b'{"format": 1, "pid"', b"[]", b'{"format": 2}', b"[" * 100_000):
        report.write_bytes(content)
        assert ids(roster) == [mine.id], content
    report.unlink()
    os.mkfifo(report)
    assert ids(roster) == [mine.id]
    report.unlink()
    report.symlink_to(roster.folder / f"{mine.id}.json")
    assert ids(roster) == [mine.id]
    for name in ("notes.txt", "x.lock", f"{'0' * 32}.json", f"{'A' * 32}.lock"):
        (roster.folder / name).write_text("{}")
    (roster.folder / f"{'1' * 32}.lock").symlink_to(mine.id)
    os.mkfifo(roster.folder / f"{'2' * 32}.lock")
    assert ids(roster) == [mine.id]


@posix
def test_a_lock_that_was_never_finished_is_removed_in_the_end(roster: Roster) -> None:
    """A process that is killed while it joins leaves one; a fresh one may be somebody's."""
    member = roster.join({})
    fresh, old = (roster.folder / f"{digit * 32}.lock.tmp" for digit in "12")
    for path, age in ((fresh, 0.0), (old, STALE + 10)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    assert ids(roster) == [member.id]
    assert fresh.exists()
    assert not old.exists()


@posix
def test_a_folder_that_cant_be_written_is_read_all_the_same(
    roster: Roster, other: Callable[..., Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may only read sees those who live, and leaves the files of the dead to others."""
    alive, dead = other(), other()
    dead.end(signal.SIGKILL)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert ids(roster) == [alive.id]
    assert f"{dead.id}.lock" in names(roster)


@posix
def test_a_lock_that_cant_be_looked_at_may_be_held(
    roster: Roster, other: Callable[..., Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who isn't allowed to ask removes nothing."""
    worker = other()

    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert roster.live() == ()
    assert ids(roster) == [worker.id]


def test_a_roster_without_a_folder_is_empty(tmp_path: Path) -> None:
    """Asking makes nothing."""
    roster = Roster(tmp_path / "nowhere")
    assert roster.live() == ()
    assert roster.current() is None
    roster.withdraw()
    assert not (tmp_path / "nowhere").exists()


# --- several processes -----------------------------------------------------------------------


@posix
def test_workers_of_other_processes_are_seen(roster: Roster, other: Callable[..., Other]) -> None:
    """Each with its own process number and what it told."""
    others = [other(generation) for generation in (7, 8)]
    found = {report.id: (report.pid, report.generation) for report in roster.live()}
    assert found == {
        each.id: (each.process.pid, number) for each, number in zip(others, (7, 8), strict=True)
    }


@posix
def test_a_killed_worker_disappears_with_its_files(
    roster: Roster, other: Callable[..., Other]
) -> None:
    """SIGKILL leaves it no time for anything: whoever looks next tidies up."""
    victim, survivor = other(), other()
    assert set(ids(roster)) == {victim.id, survivor.id}
    victim.end(signal.SIGKILL)
    assert ids(roster) == [survivor.id]
    assert names(roster) == {f"{survivor.id}.json", f"{survivor.id}.lock"}


@posix
def test_a_stopped_worker_is_alive(roster: Roster, other: Callable[..., Other]) -> None:
    """One that doesn't run for a while isn't taken for dead."""
    stopped = other()
    stopped.process.send_signal(signal.SIGSTOP)
    assert ids(roster) == [stopped.id]


@posix
def test_a_worker_that_ends_takes_its_files_along(
    roster: Roster, other: Callable[..., Other]
) -> None:
    """At an ordinary end nobody needs to tidy up."""
    worker = other()
    worker.end()
    assert names(roster) == set()


@posix
def test_a_forked_child_isnt_its_parent(roster: Roster) -> None:
    """It sees the parent from outside, can't report as it, and its end changes nothing."""
    parent = roster.join({"generation": 1})

    def child() -> bool:
        reported = parent.report({"generation": 99})
        parent.leave()
        seen = [report.generation for report in roster.live()]
        holds = parent._seat.descriptor
        return (parent.is_mine, reported, seen, holds) == (False, False, [1], None)

    assert in_child(child)
    assert [report.generation for report in roster.live()] == [1]
    assert len(names(roster)) == 2


@posix
def test_a_forked_child_joins_by_itself(roster: Roster) -> None:
    """The child of a worker becomes another one, and asking drops no lock of its own."""
    parent = roster.join({})

    def child() -> bool:
        own = roster.join({})
        both = {parent.id, own.id}
        return set(ids(roster)) == both and in_child(lambda: set(ids(roster)) == both)

    assert in_child(child)
    assert ids(roster) == [parent.id]


@posix
def test_a_child_doesnt_keep_a_dead_parent_alive(
    roster: Roster, other: Callable[..., Other]
) -> None:
    """A forked process that lives on holds nothing of the one that was killed."""
    script = """
    import os, sys, time
    from pathlib import Path
    from flask_pluginkit.roster import Roster
    member = Roster(Path(sys.argv[1])).join({})
    print(member.id, flush=True)
    if (child := os.fork()) == 0:
        sys.stdin.read()
        os._exit(0)
    print(child, flush=True)
    time.sleep(60)
    """
    parent = other(script=script)
    child = int(parent.line())
    assert ids(roster) == [parent.id]
    parent.process.kill()
    parent.process.wait()
    os.kill(child, 0)
    assert ids(roster) == []


@posix
def test_a_fork_that_python_doesnt_notice_is_no_membership_either(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers written in C may fork without telling: then the number of the process tells."""
    parent = roster.join({})
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        seen = [parent.is_mine, parent.report({})]
        parent.leave()
    assert [*seen, parent.is_mine] == [False, False, True]
    assert len(names(roster)) == 2


@posix
def test_those_who_ask_at_once_dont_take_each_other_for_the_worker(
    roster: Roster, other: Callable[..., Other]
) -> None:
    """While one process asks whether a lock is held, another one finds it free all the same."""
    dead = other()
    dead.end(signal.SIGKILL)
    lock = roster.folder / f"{dead.id}.lock"
    script = """
    import fcntl, os, sys
    descriptor = os.open(sys.argv[1] + "/workers/" + sys.argv[2] + ".lock", os.O_RDONLY)
    fcntl.lockf(descriptor, fcntl.LOCK_SH)
    print("asks", flush=True)
    sys.stdin.readline()
    """
    assert other(dead.id, script).id == "asks"
    assert not is_held(lock)


# --- announcements -----------------------------------------------------------------------------

ENTRY = {
    "number": 3,
    "names": ("hello", "shop"),
    "wanted": {"hello": "enabled", "shop": "enabled", "old": "disabled"},
    "by": "cli",
    "deadline_seconds": 10.0,
}


def test_an_announcement_is_read_by_others(roster: Roster) -> None:
    """As it was made, until another one takes its place or it is withdrawn."""
    roster.announce(ENTRY)
    assert Roster(roster.control).current() == Announcement(**ENTRY)  # type: ignore[arg-type]
    roster.announce({**ENTRY, "number": 4})
    current = roster.current()
    assert current is not None
    assert current.number == 4
    roster.withdraw()
    roster.withdraw()
    assert roster.current() is None
    assert list(roster.control.iterdir()) == []


@pytest.mark.parametrize(
    "entry", [{**ENTRY, "number": "3"}, {**ENTRY, "nams": ()}, {**ENTRY, "wanted": {"hello": 1}}]
)
def test_what_nobody_could_read_isnt_announced(roster: Roster, entry: dict[str, object]) -> None:
    """A wrong field is an error of the program, and told at once."""
    with pytest.raises((ValueError, TypeError)):
        roster.announce(entry)
    assert roster.current() is None


def test_an_announcement_that_cant_be_written_is_refused(tmp_path: Path) -> None:
    """The error names the option that helps."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"can't be announced.*state_dir"):
        Roster(tmp_path / "file" / "control").announce(ENTRY)


# --- what is read --------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary())
def test_no_content_makes_reading_fail(content: bytes) -> None:
    """Whatever a file holds, it is a value or nothing."""
    assert read_report("id", content) is None
    assert read_announcement(content) is None


@given(
    st.dictionaries(
        st.sampled_from(["generation", "plugins", "errors", "loaded", "announcement", "failures"]),
        JSON,
    )
)
def test_what_can_be_written_can_be_read(told: dict[str, object]) -> None:
    """A report of the wrong shape is refused by who writes it, and not by who reads it."""
    try:
        content, report = report_text(told, pid=1, host="here", started=1.0)
    except (ValueError, TypeError):
        return
    assert read_report("", content) == report


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format": 1', b'"format": 2'),
        (b'"format": 1', b'"fromat": 1'),
        (b'"started": 1.0', b'"started": NaN'),
        (b'"started": 1.0', b'"started": Infinity'),
        (b'"started": 1.0', b'"started": "1"'),
        (b'"pid": 1', b'"pid": 1.5'),
        (b'"pid": 1', b'"pid": true'),
    ],
)
def test_a_report_of_another_format_is_none(old: bytes, new: bytes) -> None:
    """What a later release writes, or somebody else, isn't taken for what it looks like."""
    content, _ = report_text({}, pid=1, host="here", started=1.0)
    assert old in content
    assert read_report("id", content) is not None
    assert read_report("id", content.replace(old, new)) is None


def test_text_of_others_is_printable() -> None:
    """A report can't bring escape sequences to a terminal, in reasons, names or hosts."""
    content, _ = report_text(
        {"failures": {"a\x1b[2J": "b\nc\x1b[31m"}}, pid=1, host="h\x07", started=1.0
    )
    report = read_report("id", content)
    assert report is not None
    assert report.failures == {"a": "b c"}
    assert report.host == "h"


def test_an_announcement_needs_its_fields() -> None:
    """Nothing is read out of half of one."""
    content = announcement_text(ENTRY)
    for name in ("number", "names", "wanted"):
        assert read_announcement(content.replace(name.encode(), b"other")) is None
