"""What all storages have in common, and those in Redis."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_parts import FakeRedis, json_values

from flask_pluginkit import exceptions
from flask_pluginkit.exceptions import MissingExtraError, ParamError, RunError
from flask_pluginkit.storage import (
    BaseStorage,
    ExpiredLocalStorage,
    LocalStorage,
    RedisStorage,
)
from flask_pluginkit.storage.values import DEEPEST

MAKERS: dict[str, Callable[[Path], Any]] = {
    "local": lambda folder: LocalStorage(folder / "data"),
    "expired": lambda folder: ExpiredLocalStorage(folder / "data"),
    "redis in bytes": lambda folder: RedisStorage(None, FakeRedis()),
    "redis in text": lambda folder: RedisStorage(redis_connection=FakeRedis(decode_responses=True)),
}


@pytest.fixture(params=MAKERS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An empty storage of each kind."""
    return MAKERS[request.param](tmp_path)


@settings(max_examples=60)
@given(st.sampled_from(sorted(MAKERS)), st.text(min_size=1), json_values)
def test_every_json_value_comes_back_as_it_was(kind: str, key: str, value: Any) -> None:
    """A value that JSON can hold is read back equal and of the same type, false ones too."""
    with tempfile.TemporaryDirectory() as folder:
        storage = MAKERS[kind](Path(folder))
        storage.set(key, value)
        assert repr(storage.get(key, "default")) == repr(value)
        assert storage.list == {key: value}


@pytest.mark.parametrize("value", [0, "", False, None, [], {}])
def test_false_values_are_kept(storage: Any, value: object) -> None:
    """A value that counts as false is stored like any other, unlike in 3.x."""
    storage.set("key", value)
    assert storage.get("key", "default") == value
    assert len(storage) == 1


def test_a_storage_is_used_like_a_dict(storage: Any) -> None:
    """Square brackets, del, len, in and iteration work; what isn't there reads as None."""
    storage["a"] = 1
    storage["b"] = {"c": [2]}
    assert (storage["a"], storage["b"], storage["missing"]) == (1, {"c": [2]}, None)
    assert len(storage) == 2
    assert sorted(storage) == ["a", "b"]
    assert "a" in storage
    del storage["a"]
    assert "a" not in storage
    assert storage.list == {"b": {"c": [2]}}


def test_a_missing_key_gives_the_default(storage: Any) -> None:
    """The second argument of get stands in for what isn't there."""
    assert storage.get("missing") is None
    assert storage.get("missing", 1) == 1


def test_many_values_are_set_at_once(storage: Any) -> None:
    """All keyword arguments of setmany are kept, and none is no error."""
    storage.setmany()
    storage.setmany(a=1, self=None)
    assert storage.list == {"a": 1, "self": None}


def test_a_value_among_many_that_cant_be_kept_stops_all(storage: Any) -> None:
    """When setmany refuses one value, none of the others is set."""
    with pytest.raises(ParamError):
        storage.setmany(a=1, b=object())
    assert storage.list == {}


def test_bytes_are_taken_for_a_key(storage: Any) -> None:
    """A key in bytes is the key in text, for all methods."""
    storage.set(b"caf\xc3\xa9", 1)
    assert storage.get(b"caf\xc3\xa9") == storage.get("café") == 1
    assert list(storage.list) == ["café"]
    storage.remove(b"caf\xc3\xa9")
    assert storage.list == {}


@pytest.mark.parametrize("key", [None, b"\xff", ("a",), True])
def test_other_keys_are_refused_with_their_type(storage: Any, key: Any) -> None:
    """What isn't text can't be a key."""
    with pytest.raises(ParamError, match="key"):
        storage.set(key, 1)


def circle() -> list[object]:
    made: list[object] = []
    made.append(made)
    return made


def nested(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels - 1):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({1, 2}, "'secret-key'.* of type set"),
        ([{"when": dt.date(2000, 1, 1)}], r"of type list: a value of type datetime\.date"),
        (b"bytes", "of type bytes"),
        (Decimal(1), r"of type decimal\.Decimal"),
        (float("nan"), "of type float"),
        ([float("inf")], "of type list"),
        ({(1, 2): 3}, "tuple"),
        pytest.param(10**5000, "of type int", id="10**5000"),
        (circle(), "Circular"),
        (nested(DEEPEST + 1), "more than 100 deep"),
        (nested(100_000), "too deep"),
    ],
)
def test_a_value_that_json_cant_hold_is_named(storage: Any, value: object, told: str) -> None:
    """The error names the key and the type, and nothing is stored."""
    with pytest.raises(ParamError, match=told):
        storage.set("secret-key", value)
    assert len(storage) == 0


def test_what_json_holds_in_another_type_comes_back_in_that(storage: Any) -> None:
    """Tuples become lists and keys of dicts text, as documented."""
    storage.set("key", {1: (2, 3)})
    assert storage.get("key") == {"1": [2, 3]}


def test_the_deepest_value_is_read_by_callers_deep_in_calls(storage: Any) -> None:
    """What one caller could store, a caller with little stack left can read."""
    storage.set("key", nested(DEEPEST))

    def read(levels: int) -> Any:
        return read(levels - 1) if levels else storage.get("key")

    assert read(600) == nested(DEEPEST)


def test_a_value_read_is_a_copy(storage: Any) -> None:
    """Changing what was stored or read doesn't change the storage."""
    value = [1]
    storage.set("key", value)
    value.append(2)
    storage.get("key").append(3)
    storage.list["key"].append(4)
    assert storage.get("key") == [1]


def test_the_index_is_the_one_set_last(storage: Any) -> None:
    """Index is DEFAULT_INDEX, unless a subclass or an assignment says otherwise."""

    class Covered(type(storage)):  # type: ignore[misc] # the class under test is a parameter
        COVERED_INDEX = "covered"

    assert Covered().index == "covered"
    assert RedisStorage().index == "flask_pluginkit_dat"
    storage.index = "other"
    assert storage.index == "other"
    assert "index is other" in repr(storage)


@pytest.mark.parametrize("use", [len, list, lambda s: s["a"], lambda s: s.set("a", 1)])
def test_a_method_that_a_subclass_forgot_is_named(use: Callable[[Any], Any]) -> None:
    """A storage of one's own without its methods raises the error of 3.x."""

    class Mine(BaseStorage):
        def __len__(self) -> int:
            return len(self.list)

    with pytest.raises(exceptions.NotImplementedError, match="Mine must override"):
        use(Mine())


def test_a_subclass_needs_no_more_than_get_and_set() -> None:
    """A storage of 3.x with two methods of its own works in square brackets."""

    class Mine(BaseStorage):
        def get(self, key: str, default: Any = None) -> Any:
            return f"{key} of {self.index}"

        def set(self, key: str, value: Any) -> None:
            self.index = value

    mine = Mine()
    mine["key"] = "there"
    assert mine["key"] == "key of there"
    with pytest.raises(exceptions.NotImplementedError):
        del mine["key"]


# ---- what only Redis has --------------------------------------------------------------------


def test_a_redis_storage_without_a_connection_says_so_at_first_use() -> None:
    """It can be made, as in 3.x; using it names the two arguments."""
    storage = RedisStorage()
    with pytest.raises(ParamError, match=r"redis_url.*redis_connection"):
        storage.get("key")


def test_the_connection_of_a_redis_storage_can_be_used_and_replaced() -> None:
    """Plugins of 3.x use `_db`, and subclasses set it."""
    first, second = FakeRedis(), FakeRedis()
    storage = RedisStorage(None, first)
    assert storage._db is first
    storage._db = second
    storage.set("key", 1)
    assert second.fields == {b"key": b"1"}


def test_a_url_without_the_package_redis_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a URL needs the package, and the error says how to install it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    RedisStorage(None, FakeRedis()).set("key", 1)
    with pytest.raises(MissingExtraError, match=r"Flask-PluginKit\[redis\]"):
        RedisStorage("redis://localhost")


def test_importing_the_storages_doesnt_import_redis() -> None:
    """An application without Redis neither needs nor loads the package."""
    code = "import sys, flask_pluginkit.storage; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_redis_takes_numbers_for_keys() -> None:
    """As in 3.x, a number names the field of its text."""
    storage = RedisStorage(None, FakeRedis())
    storage.set(5, "five")  # type: ignore[arg-type] # 3.x users do so
    assert storage.list == {"5": "five"}


def test_redis_refuses_half_characters_in_keys() -> None:
    """A lone surrogate, which UTF-8 can't hold, is a ParamError."""
    with pytest.raises(ParamError, match="half a character"):
        RedisStorage(None, FakeRedis()).get("\ud800")


@pytest.mark.parametrize(
    "found", [b"not JSON", b"", b"\xff", pytest.param(b"[" * 100_000, id="deep")]
)
def test_a_field_of_redis_that_isnt_json_is_named(found: bytes) -> None:
    """What another program left in the hash gives the key and the hash."""
    connection = FakeRedis()
    connection.fields[b"odd"] = found
    storage = RedisStorage(None, connection)
    with pytest.raises(RunError, match=r"'odd'.*'flask_pluginkit_dat'"):
        storage.get("odd")
    with pytest.raises(RunError, match=r"'odd'.*'flask_pluginkit_dat'"):
        _ = storage.list


def test_redis_values_of_3x_are_read() -> None:
    """What json.dumps of 3.x wrote comes back, NaN included."""
    connection = FakeRedis()
    connection.fields = {b"a": b'{"1": [1, null]}', b"b": b"NaN", b"\xff": b"1"}
    found = RedisStorage(None, connection).list
    assert found["a"] == {"1": [1, None]}
    assert found["b"] != found["b"]
    assert found["\\xff"] == 1


def test_redis_says_what_it_did() -> None:
    """The results of Redis are handed on: 1 for a new key, 0 for a known or missing one."""
    storage = RedisStorage(None, FakeRedis())
    assert (storage.set("a", 1), storage.set("a", 2)) == (1, 0)
    assert storage.setmany(a=1, b=2) == 1
    assert (storage.remove("a"), storage.remove("a")) == (1, 0)
