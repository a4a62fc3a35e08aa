"""The audit: who changed what."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_parts import fail

from flask_pluginkit.durable import Ownership
from flask_pluginkit.exceptions import StateError
from flask_pluginkit.state.audit import LONGEST_TEXT, Audit


def without_time(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "time"}


def written(audit: Audit, *entries: Mapping[str, object]) -> list[dict[str, Any]]:
    for entry in entries:
        audit.write(entry)
    return [without_time(entry) for entry in audit.read(100)]


def test_entries_are_read_back_newest_first(tmp_path: Path) -> None:
    """By another process too, and up to a limit."""
    entries: list[dict[str, Any]] = [
        {"who": "ann", "changed": ["hello", "news"], "generation": 4},
        {"who": "bob", "cascade": True, "took": 0.5, "from": None, "more": {"a": {"b": 1}}},
    ]
    assert written(Audit(tmp_path), *entries) == entries[::-1]
    assert [without_time(entry) for entry in Audit(tmp_path).read(1)] == entries[1:]
    assert list(Audit(tmp_path).read(0)) == []


def test_without_a_file_there_are_no_entries(tmp_path: Path) -> None:
    """Nobody has changed anything yet; reading creates nothing."""
    assert list(Audit(tmp_path / "nothing").read(10)) == []
    assert list(tmp_path.iterdir()) == []


def test_each_entry_is_one_line_of_json_with_the_time(tmp_path: Path) -> None:
    """In UTC, whatever the entry itself says of the time."""
    before = datetime.now(UTC)
    Audit(tmp_path).write({"who": "änn", "time": "yesterday"})
    (line,) = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    time = datetime.fromisoformat(json.loads(line)["time"])
    assert abs((time - before).total_seconds()) < 60
    assert time.utcoffset() == before.utcoffset()
    assert "änn" in line


def test_what_could_forge_or_turn_a_line_is_removed(tmp_path: Path) -> None:
    """Neither keys nor values, at any depth, bring control characters to a terminal."""
    entry = {"a\x1b[31m": "x\n{}", "b": ["\u202e", {"c": "\x9b2J"}], "d": Path("/a\nb")}
    assert written(Audit(tmp_path), entry) == [{"a": "x {}", "b": ["", {"c": ""}], "d": "/a b"}]


class Odd:
    """Something that isn't made for being told."""

    def __str__(self) -> str:
        raise RuntimeError


def test_anything_can_be_an_entry(tmp_path: Path) -> None:
    """What JSON has no word for becomes a text, and what is endless is cut."""
    deep: list[object] = []
    deep.append(deep)
    entry = {"nan": float("nan"), "odd": Odd(), "deep": deep, "long": "x" * 10**6, "set": {1}}
    (found,) = written(Audit(tmp_path), entry)
    assert found["nan"] == "nan"
    assert found["odd"] == "<Odd>"
    assert found["set"] == [1]
    assert len(found["long"]) == LONGEST_TEXT


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), values))
def test_no_entry_takes_more_than_its_line(
    tmp_path_factory: pytest.TempPathFactory, entry: dict[str, object]
) -> None:
    """Every entry is read back as one, with nothing in it that isn't printable."""
    folder = tmp_path_factory.mktemp("audit")
    Audit(folder).write({"who": "before"})
    Audit(folder).write(entry)
    text = (folder / "audit.jsonl").read_text(encoding="utf-8")
    assert text.count("\n") == 2
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(list(Audit(folder).read(10))) == 2


def test_a_line_that_is_torn_is_passed_over_and_spoils_no_other(tmp_path: Path) -> None:
    """A writer that was killed in its line leaves that; the next begins a new one."""
    audit = Audit(tmp_path)
    audit.write({"number": 1})
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "ti')
    assert written(audit, {"number": 3}) == [{"number": 3}, {"number": 1}]
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b"\xff\n[]\n" + b"[" * 100_000)
    assert [entry["number"] for entry in audit.read(10)] == [3, 1]


def test_a_full_file_makes_room_for_a_new_one(tmp_path: Path) -> None:
    """So many old ones are kept, and entries are read over all of them."""
    audit = Audit(tmp_path, max_bytes=300, keep=2)
    numbers = [entry["number"] for entry in written(audit, *({"number": n} for n in range(40)))]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit.jsonl",
        "audit.jsonl.1",
        "audit.jsonl.2",
    ]
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())
    assert numbers == list(range(39, 39 - len(numbers), -1))
    assert len(numbers) > 10


def test_without_old_files_only_the_newest_is_kept(tmp_path: Path) -> None:
    """Somebody who keeps nothing gets that."""
    audit = Audit(tmp_path, max_bytes=100, keep=0)
    assert written(audit, {"number": 1}, {"number": 2}, {"number": 3})[0] == {"number": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["audit.jsonl"]


def test_an_entry_that_is_larger_than_a_file_gets_one_of_its_own(tmp_path: Path) -> None:
    """It isn't refused, nor does it make a file that is empty."""
    audit = Audit(tmp_path, max_bytes=100)
    assert len(written(audit, {"a": "x" * 500}, {"b": "y" * 500})) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_reader_that_is_overtaken_by_a_rotation_reads_nothing_twice(tmp_path: Path) -> None:
    """Files that move on while they are read are known again, and none is missed."""
    audit = Audit(tmp_path, max_bytes=150)
    for number in range(6):
        audit.write({"number": number})
    reading = audit.read(100)
    found = [next(reading)["number"]]
    audit.write({"number": 6})
    audit.write({"number": 7})
    found += [entry["number"] for entry in reading]
    assert found == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_what_cant_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It names the file, and the disk's room or the option."""
    audit = Audit(tmp_path)
    audit.write({"number": 1})
    monkeypatch.setattr(os, "open", fail("open", tmp_path / "audit.jsonl", number))
    with pytest.raises(StateError, match=r"audit\.jsonl.*(make room|option state_dir)"):
        audit.write({"number": 2})


def test_a_line_that_finds_no_room_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full in the middle of a line, its beginning goes too."""
    audit = Audit(tmp_path)
    audit.write({"number": 1})
    before = (tmp_path / "audit.jsonl").read_bytes()
    real = os.write

    def nearly_full(descriptor: int, data: bytes) -> int:
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:-10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        with pytest.raises(StateError, match="No space"):
            audit.write({"number": 2})
    assert (tmp_path / "audit.jsonl").read_bytes() == before


@pytest.mark.parametrize("durable", [True, False])
def test_only_what_must_not_be_lost_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """An intent is on the disk before anything happens; a result may follow."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    Audit(tmp_path).write({}, durable=durable)
    assert len(synced) == (2 if durable else 0)  # the new file and its folder
    Audit(tmp_path).write({}, durable=durable)
    assert len(synced) == (3 if durable else 0)


def test_a_link_in_place_of_the_file_isnt_written_through(tmp_path: Path) -> None:
    """A planted link doesn't make root's lines land elsewhere."""
    (tmp_path / "elsewhere").touch()
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="symbolic links"):
        Audit(tmp_path).write({"number": 1})
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_the_file_is_as_private_as_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes owner and mode of the folder; where that is demanded, or it isn't made."""
    tmp_path.chmod(0o750)
    Audit(tmp_path).write({})
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o640
    (tmp_path / "audit.jsonl").unlink()
    theirs = Ownership(user=54321, group=54321, file_mode=0o600, strict=True)
    monkeypatch.setattr(Ownership, "of_folder", lambda found, strict=False: theirs)

    def refuse(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(StateError, match="belongs to user 54321"):
        Audit(tmp_path, strict=True).write({})


def test_a_file_that_cant_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit that nobody may read isn't shown as an empty one."""
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(StateError, match=r"audit can't be read: .*audit\.jsonl"):
        list(Audit(tmp_path).read(10))


def test_a_pipe_in_place_of_the_audit_isnt_waited_for(tmp_path: Path) -> None:
    """Who asks for the audit is told what is wrong."""
    os.mkfifo(tmp_path / "audit.jsonl")
    with pytest.raises(StateError, match="no regular file"):
        list(Audit(tmp_path).read(1))
