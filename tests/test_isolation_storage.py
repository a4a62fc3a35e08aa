"""What the supervisor keeps for a plugin: values within a quota, and a key for its sessions."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_pluginkit.isolation.services import Service
from flask_pluginkit.isolation.services import storage as storage_module
from flask_pluginkit.isolation.services.storage import (
    LONGEST_KEY,
    LONGEST_VALUE,
    MOST_BYTES,
    MOST_KEYS,
    Storage,
)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """The supervisor's services for the plugin hello, which may store."""
    return Service("hello", ["storage"], tmp_path)


def error_of(service: Service, what: str, args: list[Any]) -> int | None:
    """The errno that an operation fails with."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is what is looked at
        service.answer(what, args)
    return caught.value.errno


def test_what_was_stored_is_there(service: Service, tmp_path: Path) -> None:
    """For this service and for the next one, as the very text that was given."""
    service.answer("storage.set", ["main", {"a": "1", "b": '"x"'}, None])
    later = Service("hello", ["storage"], tmp_path)
    assert later.answer("storage.get", ["main", "a"]) == "1"
    assert later.answer("storage.get", ["main", "c"]) is None
    assert later.answer("storage.list", ["main"]) == {"a": "1", "b": '"x"'}
    assert later.answer("storage.count", ["main"]) == 2


def test_what_is_removed_is_gone(service: Service) -> None:
    """And whoever removes learns whether it was there."""
    service.answer("storage.set", ["main", {"a": "1"}, None])
    assert service.answer("storage.remove", ["main", "a"]) is True
    assert service.answer("storage.remove", ["main", "a"]) is False
    assert service.answer("storage.get", ["main", "a"]) is None


def test_storages_of_one_plugin_are_apart(service: Service) -> None:
    """Also those whose names begin alike."""
    service.answer("storage.set", ["a", {"k": "1"}, None])
    service.answer("storage.set", ["ab", {"k": "2"}, None])
    assert service.answer("storage.list", ["a"]) == {"k": "1"}
    assert service.answer("storage.list", [""]) == {}


def test_plugins_see_nothing_of_each_other(service: Service, tmp_path: Path) -> None:
    """Whatever their names, one keeps nothing in another's file."""
    service.answer("storage.set", ["main", {"a": "1"}, None])
    for name in ("Hello", "hello ", "../hello", "hello/x"):
        assert Service(name, ["storage"], tmp_path).answer("storage.list", ["main"]) == {}


def test_values_expire(tmp_path: Path) -> None:
    """Each at its time; others stay."""
    time = [1000.0]
    storage = Storage(tmp_path, "hello", now=lambda: time[0])
    storage.set("main", {"short": "1"}, 5)
    storage.set("main", {"long": "2"}, None)
    time[0] += 4.9
    assert storage.list("main") == {"short": "1", "long": "2"}
    time[0] += 0.2
    assert storage.list("main") == {"long": "2"}
    assert storage.remove("main", "short") is False


@pytest.mark.parametrize("what", ["storage.get", "storage.set", "storage.nothing"])
def test_storing_needs_the_permission(tmp_path: Path, what: str) -> None:
    """Without it nothing is read, written or made."""
    service = Service("hello", ["cookies"], tmp_path)
    with pytest.raises(PermissionError, match="'storage'"):
        service.answer(what, ["main", "a"])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("what", "args"),
    [
        ("", []),
        ("nothing", []),
        ("storage.nothing", ["main"]),
        ("storage.__init__", []),
        ("storage.get", ["main"]),
        ("storage.get", ["main", 1]),
        ("storage.get", ["main", "a", "b"]),
        ("storage.get", [["main"], "a"]),
        ("storage.set", ["main", {"a": 1}, None]),
        ("storage.set", ["main", {1: "a"}, None]),
        ("storage.set", ["main", ["a"], None]),
        ("storage.set", ["main", {"a": "1"}, "5"]),
        ("storage.set", ["main", {"a": "1"}, -1]),
        ("storage.set", ["main", {"a": "1"}, float("nan")]),
        ("storage.set", ["main", {"a": "1"}, float("inf")]),
        ("storage.set", ["main", {"a": "1"}, 10**18]),
        ("storage.set", ["a\0b", {"a": "1"}, None]),
        ("storage.set", ["main", {"a\0b": "1"}, None]),
        ("session.key", ["x"]),
        ("connect", ["a.org"]),
        ("connect", ["a.org", "80", None]),
    ],
)
def test_what_is_no_operation_is_refused(service: Service, what: str, args: list[Any]) -> None:
    """Whatever a plugin sends: an error that it can be told, and nothing is kept."""
    assert error_of(service, what, args) == errno.EINVAL
    assert service.answer("storage.list", ["main"]) == {}


def test_a_plugin_has_room_for_so_many_bytes(service: Service) -> None:
    """What doesn't fit isn't kept, what is there stays, and less is always possible."""
    part = "x" * (LONGEST_VALUE - 100)
    for key in "abcd":
        service.answer("storage.set", ["main", {key: part}, None])
    assert error_of(service, "storage.set", ["b", {"k": part}, None]) == errno.EDQUOT
    assert service.answer("storage.count", ["main"]) == 4
    assert service.answer("storage.remove", ["main", "a"]) is True
    service.answer("storage.set", ["b", {"k": "1"}, None])


def test_bytes_are_counted_and_not_characters(service: Service) -> None:
    """A character may have four of them, or eleven where UTF-8 has none for it."""
    text = "😀" * (LONGEST_VALUE // 4)
    service.answer("storage.set", ["main", {"k": text}, None])
    assert service.answer("storage.get", ["main", "k"]) == text
    longer = ["main", {"k": text + "x"}, None]
    assert error_of(service, "storage.set", longer) == errno.EFBIG


def test_a_plugin_has_so_many_keys(service: Service) -> None:
    """Empty ones take room, too."""
    many = {str(number): "" for number in range(MOST_KEYS)}
    service.answer("storage.set", ["main", many, None])
    for index in ("main", "other"):
        more = [index, {"more": ""}, None]
        assert error_of(service, "storage.set", more) == errno.EDQUOT
    assert service.answer("storage.count", ["main"]) == MOST_KEYS


def test_who_has_too_much_may_give_some_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update with a smaller quota, which must not hold a plugin fast."""
    service.answer("storage.set", ["main", {"a": "x" * 50, "b": "x" * 50}, None])
    monkeypatch.setattr(storage_module, "MOST_BYTES", 20)
    assert service.answer("storage.remove", ["main", "a"]) is True
    service.answer("storage.set", ["main", {"b": "x" * 40}, None])
    more = ["main", {"b": "x" * 41}, None]
    assert error_of(service, "storage.set", more) == errno.EDQUOT


def test_a_plugin_has_so_many_storages(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one, however little is in it."""
    monkeypatch.setattr(storage_module, "MOST_INDEXES", 2)
    for index in ("a", "b"):
        service.answer("storage.set", [index, {"": ""}, None])
    third = ["c", {"": ""}, None]
    assert error_of(service, "storage.set", third) == errno.EDQUOT


@pytest.mark.parametrize("key", ["x" * (LONGEST_KEY + 1), "é" * LONGEST_KEY])
def test_keys_are_short(service: Service, key: str) -> None:
    """And so are the names of storages."""
    for args in (["main", {key: "1"}, None], [key, {"k": "1"}, None]):
        assert error_of(service, "storage.set", args) == errno.ENAMETOOLONG


def test_all_of_several_values_are_kept_or_none(service: Service) -> None:
    """One that is too long keeps the others from being stored."""
    values = {"a": "1", "b": "x" * (LONGEST_VALUE + 1)}
    assert error_of(service, "storage.set", ["main", values, None]) == errno.EFBIG
    assert service.answer("storage.count", ["main"]) == 0


def test_a_damaged_file_is_an_error_without_its_path(service: Service, tmp_path: Path) -> None:
    """It isn't written over, and a plugin doesn't learn where the site keeps things."""
    service.answer("storage.set", ["main", {"a": "1"}, None])
    [file] = (tmp_path / "storage").glob("*.json")
    file.write_text("{damaged")
    with pytest.raises(OSError, match="damaged") as caught:
        service.answer("storage.set", ["main", {"a": "2"}, None])
    assert str(tmp_path) not in str(caught.value)
    assert file.read_text() == "{damaged"


def test_writers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """Several threads, and several services of one plugin."""

    def write(number: int) -> None:
        service = Service("hello", ["storage"], tmp_path)
        for key in range(5):
            service.answer("storage.set", ["main", {f"{number}-{key}": "1"}, None])

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Service("hello", ["storage"], tmp_path).answer("storage.count", ["main"]) == 20


def test_the_file_is_for_its_owner_alone(service: Service, tmp_path: Path) -> None:
    """Other users of the machine don't read what a plugin keeps."""
    service.answer("storage.set", ["main", {"a": "1"}, None])
    for path in (tmp_path / "storage").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "storage").stat().st_mode & 0o077 == 0


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
CHANGES = st.lists(
    st.tuples(st.just("set"), TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3))
    | st.tuples(st.just("remove"), TEXTS, TEXTS),
    max_size=8,
)


@given(changes=CHANGES)
@settings(max_examples=25, deadline=None)
def test_a_storage_is_a_dict_of_dicts(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, Any]]
) -> None:
    """Whatever is set and removed, under whatever names."""
    storage = Storage(tmp_path_factory.mktemp("home"), "hello")
    model: dict[str, dict[str, str]] = {}
    for what, index, value in changes:
        if what == "set":
            storage.set(index, value, None)
            model.setdefault(index, {}).update(value)
        else:
            expected = model.get(index, {}).pop(value, None)
            assert storage.remove(index, value) is (expected is not None)
    for index, values in model.items():
        assert storage.list(index) == values


# ---- keys for sessions -----------------------------------------------------------------------


def test_a_key_stays_the_same(tmp_path: Path) -> None:
    """For all workers of one plugin, and another for each other plugin."""
    key = Service("hello", ["cookies"], tmp_path).answer("session.key", [])
    assert len(key) == 32
    assert Service("hello", ["cookies"], tmp_path).answer("session.key", []) == key
    assert Service("other", ["cookies"], tmp_path).answer("session.key", []) != key


def test_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Who has it can write sessions."""
    Service("hello", ["cookies"], tmp_path).answer("session.key", [])
    for path in (tmp_path / "keys", *(tmp_path / "keys").iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_a_key_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    """Who made it was killed, or the disk was full."""
    key = Service("hello", ["cookies"], tmp_path).answer("session.key", [])
    [file] = (tmp_path / "keys").glob("*.key")
    file.write_bytes(key[:5])
    other = Service("hello", ["cookies"], tmp_path).answer("session.key", [])
    assert len(other) == 32
    assert other != key


def test_a_key_needs_the_permission(service: Service) -> None:
    """Sessions are cookies."""
    with pytest.raises(PermissionError, match="'cookies'"):
        service.answer("session.key", [])


def test_the_file_is_readable_by_people(service: Service, tmp_path: Path) -> None:
    """An operator can look into it with any editor."""
    service.answer("storage.set", ["main", {"a": "1"}, None])
    [file] = (tmp_path / "storage").glob("*.json")
    assert file.stat().st_size < MOST_BYTES
    assert json.loads(file.read_text())["entries"] == {"main\0a": {"value": "1"}}
