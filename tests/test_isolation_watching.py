"""What a supervisor looks after beside processes: logs, folders, users, deaths."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolation_parts import eventually

from flask_pluginkit.exceptions import RunError, SandboxUnavailable
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.processes import homes
from flask_pluginkit.isolation.processes.deaths import LONGEST, Deaths
from flask_pluginkit.isolation.processes.homes import Users, excess, make_home, measured
from flask_pluginkit.isolation.processes.logs import LogFile, Output
from flask_pluginkit.isolation.processes.loop import Loop
from flask_pluginkit.isolation.processes.settings import Settings, read, written
from flask_pluginkit.sandbox import identity
from flask_pluginkit.sandbox.identity import Identity

# ---- logs ------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that runs."""
    made = Loop()
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.soon(made.stop)
    thread.join(5)
    made.close()


def test_a_line_is_cleaned_and_named(tmp_path: Path) -> None:
    """Nothing of it can pass for a line of somebody else's, or steer a terminal."""
    file = LogFile(tmp_path, 1000)
    file.write("hello", "a\x1b[31m\r\nb\u202e")
    file.close()
    (line,) = file.path.read_text(encoding="utf-8").splitlines()
    assert line.endswith("[hello] a b")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_full_log_begins_anew(tmp_path: Path) -> None:
    """The one before is kept, and no more."""
    file = LogFile(tmp_path, 1000)
    for number in range(100):
        file.write("hello", f"line {number}")
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sandbox.log", "sandbox.log.1"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert "line 99" in file.path.read_text(encoding="utf-8")


def test_a_log_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    """Nor is a link followed."""
    target = tmp_path / "target"
    (tmp_path / "sandbox.log").symlink_to(target)
    LogFile(tmp_path, 1000).write("hello", "text")
    LogFile(tmp_path / "missing", 1000).write("hello", "text")
    assert not target.exists()


def test_who_writes_too_much_is_cut_short(loop: Loop, tmp_path: Path) -> None:
    """The rest is counted, what others write is kept, and the writer has to wait."""
    file = LogFile(tmp_path, 1 << 20)
    reading, writing = os.pipe()
    made: list[Output] = []
    loop.soon(lambda: made.append(Output(loop, reading, "flood", file, 100)))
    end = time.monotonic() + 0.5
    sent = 0
    os.set_blocking(writing, False)
    while time.monotonic() < end:
        try:
            sent += os.write(writing, b"x" * 99 + b"\n")
        except BlockingIOError:
            time.sleep(0.01)
    os.close(writing)
    loop.soon(made[0].close)
    assert eventually(lambda: "bytes dropped" in file.path.read_text(encoding="utf-8"), True)
    assert file.path.stat().st_size < 5_000
    assert sent < 2_000_000
    loop.soon(file.close)


def test_a_line_without_an_end_is_written_too(loop: Loop, tmp_path: Path) -> None:
    """When it is too long, or when its writer ends."""
    file = LogFile(tmp_path, 1 << 20)
    reading, writing = os.pipe()
    made: list[Output] = []
    os.write(writing, b"y" * 3_000)
    loop.soon(lambda: made.append(Output(loop, reading, "hello", file, 10_000)))
    assert eventually(file.path.exists, True)
    os.write(writing, b"last words")
    os.close(writing)
    loop.soon(made[0].close)
    assert eventually(lambda: "last words" in file.path.read_text(encoding="utf-8"), True)
    loop.soon(file.close)


# ---- folders ---------------------------------------------------------------------------------


def spec(**limits: int) -> Spec:
    """A plugin with a folder of its own."""
    given: dict[str, Any] = {"files": 1 << 20, "inodes": 50, **limits}
    return Spec(
        plugin="hello", level="isolated", folder="/x", module="plugins.hello", digest="1", **given
    )


def test_a_folder_within_its_limits_is_no_trouble(tmp_path: Path) -> None:
    """Whatever is in it; links aren't followed."""
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to("/")
    assert excess(str(tmp_path), spec()) == ""
    usage = measured(str(tmp_path), 100)
    assert usage.inodes == 3
    assert 100_000 <= usage.size < 200_000


def test_too_many_bytes_are_told(tmp_path: Path) -> None:
    """Those on the disk count: a file of holes is none, one with two names is one."""
    (tmp_path / "a").write_bytes(b"x" * 700_000)
    os.link(tmp_path / "a", tmp_path / "b")
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 30)
    assert excess(str(tmp_path), spec()) == ""
    (tmp_path / "c").write_bytes(b"x" * 700_000)
    assert "bytes, and may hold 1048576" in excess(str(tmp_path), spec())


def test_too_many_files_are_told(tmp_path: Path) -> None:
    """Empty ones too, which no quota of bytes sees."""
    for number in range(60):
        (tmp_path / str(number)).touch()
    assert "more than 50 files and folders" in excess(str(tmp_path), spec())
    assert excess(str(tmp_path), spec(inodes=0)) == ""


def test_folders_that_hide_in_folders_are_told(tmp_path: Path) -> None:
    """A path can be made longer than any that can be looked at."""
    (tmp_path / "/".join("d" * (homes.DEEPEST + 1))).mkdir(parents=True)
    assert "folders in folders" in excess(str(tmp_path), spec(inodes=1000))


def test_removed_files_that_are_open_count(tmp_path: Path) -> None:
    """Where the process can be looked into."""
    with (tmp_path / "a").open("wb") as file:
        file.write(b"x" * 2_000_000)
        file.flush()
        (tmp_path / "a").unlink()
        assert "bytes, and may hold" in excess(str(tmp_path), spec(), os.getpid())
    assert measured(str(tmp_path), 10, 2**22 - 1).size == 0


def test_a_plugin_s_folder_is_private(tmp_path: Path) -> None:
    """Made once, and kept."""
    home = make_home(tmp_path / "files", "hello", None)
    assert stat.S_IMODE(Path(home).stat().st_mode) == 0o700
    assert make_home(tmp_path / "files", "hello", None) == home
    (tmp_path / "files" / "link").symlink_to("/")
    with pytest.raises(NotADirectoryError):
        make_home(tmp_path / "files", "link", None)


# ---- users -----------------------------------------------------------------------------------


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like root, as far as choosing users goes."""
    monkeypatch.setattr(identity, "can_become_another", lambda: True)
    monkeypatch.setattr(os, "chown", lambda *_, **__: None)


@pytest.mark.usefixtures("as_root")
def test_a_plugin_keeps_its_user(tmp_path: Path) -> None:
    """In the next supervisor too, as its files belong to it."""
    users = Users(tmp_path, range(30000, 30002))
    first, second = users.of("one"), users.of("two")
    assert first != second
    again = Users(tmp_path, range(30000, 30002))
    assert again.of("two") == second
    with pytest.raises(SandboxUnavailable, match="all 2 users"):
        again.of("three")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_list_of_users_is_not_replaced(tmp_path: Path, content: str) -> None:
    """A plugin might get the files of another one."""
    (tmp_path / homes.USERS).write_text(content)
    with pytest.raises(RunError, match="is damaged"):
        Users(tmp_path, range(30000, 30002)).of("one")
    assert (tmp_path / homes.USERS).read_text() == content


@pytest.mark.usefixtures("as_root")
def test_a_folder_that_its_user_can_not_reach_is_told(tmp_path: Path) -> None:
    """With the folder in the way, and the option that helps."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    user = Identity(uid=30000, gid=30000)
    with pytest.raises(
        SandboxUnavailable, match=r"can't be entered by uid 30000.*PLUGINKIT_SANDBOX_HOMES"
    ):
        make_home(closed / "files", "hello", user)


def test_a_plain_user_s_plugins_keep_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is written down."""
    monkeypatch.setattr(identity, "can_become_another", lambda: False)
    assert Users(tmp_path, None).of("hello") is None
    assert list(tmp_path.iterdir()) == []


# ---- deaths, and settings --------------------------------------------------------------------


def test_the_first_death_costs_no_time_and_the_next_ones_more_and_more() -> None:
    """Up to a bound, and until there were too many."""
    deaths = Deaths(limit=4, window=60.0, retry_after=30.0)
    delays = []
    for now in (0.0, 1.0, 2.0, 3.0):
        deaths.add(now)
        delays.append(deaths.delay(now))
    assert delays == [0.0, 0.1, 0.2, 30.0]
    assert deaths.is_too_many(3.0)
    assert not deaths.is_too_many(61.0)
    deaths.clear()
    assert deaths.count(3.0) == 0


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60))
def test_a_delay_never_exceeds_the_longest(pauses: list[float]) -> None:
    """However often a plugin dies."""
    deaths = Deaths(limit=1000, window=100.0, retry_after=1.0)
    now = 0.0
    for pause in pauses:
        now += pause
        deaths.add(now)
        assert 0.0 <= deaths.delay(now) <= LONGEST


def test_settings_travel_as_text() -> None:
    """To the supervisor's standard input, and no other value is taken for them."""
    settings = Settings(control="/srv/control", sandbox_uids="30000-30099", grace=1.5)
    assert read(written(settings)) == settings
    with pytest.raises(ValueError, match="control"):
        read(b"{}")


def test_what_a_callback_raises_ends_no_loop(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the others are called."""
    done = threading.Event()
    loop.soon(lambda: 1 / 0)
    loop.soon(done.set)
    assert done.wait(5)
    assert "a fault of the supervisor itself" in caplog.text
