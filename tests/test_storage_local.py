"""Storages in files: several writers, files that can't be used, expiry."""

from __future__ import annotations

import json
import os
import pickle
import shelve
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from storage_parts import json_values

from flask_pluginkit.exceptions import ParamError, RunError
from flask_pluginkit.storage import (
    ExpiredLocalStorage,
    LocalStorage,
    document,
)


@pytest.fixture(params=[LocalStorage, ExpiredLocalStorage])
def file_class(request: pytest.FixtureRequest) -> type[LocalStorage]:
    """Each class of storages in files."""
    found: type[LocalStorage] = request.param
    return found


class AgainstDict(RuleBasedStateMachine):
    """Any sequence of changes leaves a storage with what a dict would hold."""

    keys = st.sampled_from(["a", "b", "c", ""])

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model: dict[str, Any] = {}

    @property
    def storage(self) -> LocalStorage:
        """A storage of its own for each step, as if of another process."""
        return LocalStorage(Path(self.folder.name) / "data")

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(key=keys, value=json_values)
    def set(self, key: str, value: Any) -> None:
        self.storage.set(key, value)
        self.model[key] = value

    @rule(values=st.dictionaries(keys, json_values))
    def set_many(self, values: dict[str, Any]) -> None:
        self.storage.setmany(**values)
        self.model |= values

    @rule(key=keys)
    def remove(self, key: str) -> None:
        if key in self.model:
            del self.storage[key]
            del self.model[key]
        else:
            with pytest.raises(KeyError):
                self.storage.remove(key)

    @rule(key=keys)
    def refuse(self, key: str) -> None:
        with pytest.raises(ParamError):
            self.storage.set(key, {1})

    @invariant()
    def agree(self) -> None:
        assert self.storage.list == self.model
        assert len(self.storage) == len(self.model)
        for key in ("a", "b", "c", ""):
            assert self.storage.get(key, "default") == self.model.get(key, "default")


TestAgainstDict = AgainstDict.TestCase
TestAgainstDict.settings = settings(max_examples=15, stateful_step_count=15)


# ---- several writers -----------------------------------------------------------------------------

WRITER = (
    "import sys; from flask_pluginkit.storage import LocalStorage\n"
    "storage = LocalStorage(sys.argv[1])\n"
    "for number in range(50): storage.set(f'{sys.argv[2]}-{number}', number)\n"
)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Four processes set fifty keys each, and all two hundred are there."""
    file = tmp_path / "data"
    commands = [[sys.executable, "-c", WRITER, str(file), name] for name in "abcd"]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait() == 0
    expected = {f"{name}-{number}": number for name in "abcd" for number in range(50)}
    assert LocalStorage(file).list == expected


def test_threads_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Threads sharing one storage object lose no more than processes do."""
    from concurrent.futures import ThreadPoolExecutor

    storage = LocalStorage(tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: storage.set(str(number), number), range(80)))
    assert storage.list == {str(number): number for number in range(80)}


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """After SIGKILL in the midst of writing, the file is read and written as before."""
    storage = LocalStorage(tmp_path / "data")
    code = WRITER.replace("range(50)", "__import__('itertools').count()")
    for name in "ab":
        with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "data"), name]) as writer:
            while f"{name}-20" not in storage:
                time.sleep(0.005)
            writer.kill()
        written = [key for key in storage if key.startswith(name)]
        assert written == [f"{name}-{number}" for number in range(len(written))]


def test_a_writer_that_holds_the_lock_too_long_is_named(tmp_path: Path) -> None:
    """Who can't get the lock in time is told which one and how long it took."""
    storage = LocalStorage(tmp_path / "data")
    storage.LOCK_TIMEOUT = 0.05
    with (
        document.lock(tmp_path / "data", 1),
        pytest.raises(RunError, match=r"data\.lock for 0\.05 seconds"),
    ):
        storage.set("key", 1)


# ---- files that can't be used --------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe\xfa",
        b'{"key": "of another program"}',
        b'{"flask_pluginkit_storage": 2, "entries": {}}',
        b'{"flask_pluginkit_storage": 1, "entries": []}',
        b'{"flask_pluginkit_storage": 1, "entries": {"key": 1}}',
        b'{"flask_pluginkit_storage": 1, "entries": {"key": {"value": 1, "expires": "soon"}}}',
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_file_that_isnt_a_storage_is_named_and_kept(
    tmp_path: Path, content: bytes, file_class: type[LocalStorage]
) -> None:
    """Neither reading nor writing touches a damaged file or one of another program."""
    (tmp_path / "data").write_bytes(content)
    storage = file_class(tmp_path / "data")
    with pytest.raises(RunError, match=r"data can't be read.*nothing was changed"):
        storage.get("key")
    with pytest.raises(RunError, match=r"data can't be read"):
        storage.set("key", 1)
    assert (tmp_path / "data").read_bytes() == content


@settings(max_examples=60)
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_content_of_a_file_is_more_than_an_error(content: bytes) -> None:
    """Whatever stands in the file, reading gives a dict or raises RunError."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data"
        file.write_bytes(content)
        if content:
            with pytest.raises(RunError):
                LocalStorage(file).get("key")
        else:
            assert LocalStorage(file).list == {}


def test_an_empty_file_is_an_empty_storage(tmp_path: Path) -> None:
    """A file that was made in advance, by tempfile for example, can be used."""
    (tmp_path / "data").touch()
    storage = LocalStorage(tmp_path / "data")
    assert storage.list == {}
    storage.set("key", 1)
    assert storage.list == {"key": 1}


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    """A pickle in place of the file is named as such, and its code doesn't run."""
    content = pickle.dumps(Bomb(tmp_path / "exploded"))
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(RunError, match=r"data .*it is a pickle.*move the file away"):
        LocalStorage(tmp_path / "data").set("key", 1)
    assert (tmp_path / "data").read_bytes() == content
    assert not (tmp_path / "exploded").exists()


def test_a_shelve_file_of_this_python_is_never_read(tmp_path: Path) -> None:
    """What shelve makes here, under whichever names, is named and stays as it is."""
    with shelve.open(str(tmp_path / "data")) as old:
        old["key"] = Bomb(tmp_path / "exploded")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    storage = LocalStorage(tmp_path / "data")
    for use in (len, lambda storage: storage.set("key", 1)):
        with pytest.raises(RunError, match=r"data.*shelve.*can run code"):
            use(storage)
    after = {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".lock"}
    assert after == before


@pytest.mark.parametrize(
    "files",
    [
        {"data": b"\xce\x9a\x57\x13" + b"\0" * 20},
        {"data": b"\xcf\x9a\x57\x13" + b"\0" * 20},
        {"data": b"SQLite format 3\0" + b"\0" * 20},
        {"data.db": b"\0" * 12 + b"\x61\x15\x06\0"},
        {"data.dir": b"", "data.dat": b""},
        {"data.dir": b"", "data.pag": b""},
    ],
)
def test_a_shelve_file_of_another_python_is_never_read(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    """The files of all the databases that shelve may have used are known."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=r"data.*shelve"):
        LocalStorage(tmp_path / "data").set("key", 1)
    assert {name: (tmp_path / name).read_bytes() for name in files} == files


def test_a_neighbour_with_the_ending_of_a_database_is_no_obstacle(tmp_path: Path) -> None:
    """A file of another kind beside the storage doesn't matter."""
    (tmp_path / "data.db").write_text("something else")
    (tmp_path / "data.dir").touch()
    storage = LocalStorage(tmp_path / "data")
    storage.set("key", 1)
    assert storage.list == {"key": 1}


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    """A path that is a folder gives the reason."""
    with pytest.raises(RunError, match="Is a directory"):
        LocalStorage(tmp_path).get("key")


def test_a_place_that_cant_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, the reason and what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"folder/data can't be written.*Not a dir.*the path of"):
        LocalStorage(tmp_path / "file" / "folder" / "data").set("key", 1)


def test_a_write_that_fails_keeps_the_old_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the storage stays as it was."""
    storage = LocalStorage(tmp_path / "data")
    storage.set("key", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"data can't be written.*No space left"):
            storage.set("key", "new")
    assert storage.list == {"key": "old"}


def test_removing_what_isnt_there_is_a_key_error(tmp_path: Path) -> None:
    """As in 3.x, LocalStorage raises KeyError and ExpiredLocalStorage doesn't."""
    with pytest.raises(KeyError):
        LocalStorage(tmp_path / "data").remove("missing")
    ExpiredLocalStorage(tmp_path / "data").remove("missing")


# ---- values that expire --------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that storages see: a list of one number, to be changed."""
    now = [1_000_000.0]
    monkeypatch.setattr("flask_pluginkit.storage.local.time.time", lambda: now[0])
    return now


def test_an_expired_value_is_gone_for_every_reader(tmp_path: Path, clock: list[float]) -> None:
    """At its end a value vanishes from get, list, len and in; others stay."""
    storage = ExpiredLocalStorage(tmp_path / "data")
    storage.set("short", 1, ttl=10)
    storage.set("long", 2, 10.5)
    storage["endless"] = 3
    clock[0] += 9.9
    assert len(storage) == 3
    clock[0] += 0.1
    assert storage.get("short", "gone") == "gone"
    assert storage.list == {"long": 2, "endless": 3}
    assert len(storage) == 2
    clock[0] += 1e9
    assert list(storage) == ["endless"]


def test_an_expired_value_leaves_the_file_with_the_next_change(
    tmp_path: Path, clock: list[float]
) -> None:
    """What expired isn't kept on the disk for ever."""
    storage = ExpiredLocalStorage(tmp_path / "data")
    storage.set("short", "old-secret", ttl=10)
    clock[0] += 10
    storage.set("other", 1)
    assert "old-secret" not in (tmp_path / "data").read_text()


def test_setting_again_sets_the_time_again(tmp_path: Path, clock: list[float]) -> None:
    """The last set decides how long a value stays."""
    storage = ExpiredLocalStorage(tmp_path / "data")
    storage.set("key", 1, ttl=10)
    storage.set("key", 2)
    clock[0] += 100
    assert storage.get("key") == 2


def test_both_local_storages_read_the_same_file(tmp_path: Path, clock: list[float]) -> None:
    """Sharing the default file, they agree on values and on what has expired."""
    expired, local = ExpiredLocalStorage(tmp_path / "data"), LocalStorage(tmp_path / "data")
    expired.set("short", 1, ttl=10)
    local.set("endless", 2)
    assert local.list == expired.list == {"short": 1, "endless": 2}
    clock[0] += 10
    assert local.list == expired.list == {"endless": 2}


@pytest.mark.parametrize(
    "ttl", [-1, -0.5, float("nan"), float("inf"), pytest.param(10**400, id="10**400"), "10", None]
)
def test_a_ttl_that_is_no_duration_is_refused(tmp_path: Path, ttl: Any) -> None:
    """Negative, endless and other times are a ParamError, and nothing is stored."""
    storage = ExpiredLocalStorage(tmp_path / "data")
    with pytest.raises(ParamError, match="ttl"):
        storage.set("key", 1, ttl)
    assert len(storage) == 0


def test_an_empty_key_cant_expire(tmp_path: Path) -> None:
    """As in 3.x, an empty key is a ParamError."""
    with pytest.raises(ParamError, match="key"):
        ExpiredLocalStorage(tmp_path / "data").set("", 1)
