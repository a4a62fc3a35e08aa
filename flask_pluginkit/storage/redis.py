"""A storage in Redis, for several machines."""

from __future__ import annotations

from typing import Any

from flask_pluginkit.exceptions import MissingExtraError, ParamError, RunError
from flask_pluginkit.text import describe

from .base import BaseStorage
from .values import as_key, decode, encode


class RedisStorage(BaseStorage):
    """Values in one hash of Redis, whose key is `index`, as JSON.

    Give either a URL, which needs the package redis (``Flask-PluginKit[redis]``), or a
    connection that there is already, with or without `decode_responses`. Without both, the
    storage raises `ParamError` when it is first used.

    Values are what JSON can hold; tuples come back as lists and the keys of dicts as text.
    """

    def __init__(self, redis_url: str | None = None, redis_connection: Any = None) -> None:
        self._connection = self._open(redis_url) if redis_url else redis_connection

    @property
    def _db(self) -> Any:
        """The connection, which plugins of 3.x use for commands that a storage doesn't have."""
        if self._connection is None:
            raise ParamError(f"{self!r} has neither a redis_url nor a redis_connection")
        return self._connection

    @_db.setter
    def _db(self, connection: Any) -> None:
        self._connection = connection

    def _open(self, redis_url: str) -> Any:
        """Return a connection, which is made when it is first used."""
        try:
            from redis import from_url
        except ImportError as error:
            raise MissingExtraError(
                "a RedisStorage with a URL needs the package redis: install Flask-PluginKit[redis]"
            ) from error
        return from_url(redis_url)

    @property
    def list(self) -> dict[str, Any]:
        """All keys, as text, and values."""
        found = self._db.hgetall(self.index)
        return {(name := _as_text(key)): self._value(name, json) for key, json in found.items()}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default` if there is none."""
        name = _field(key)
        json = self._db.hget(self.index, name)
        return default if json is None else self._value(name, json)

    def set(self, key: str, value: Any) -> Any:
        """Keep `value` under `key`; returns what Redis says, 1 for a new key."""
        name = _field(key)
        return self._db.hset(self.index, name, encode(name, value))

    def setmany(self, /, **mapping: Any) -> Any:
        """Keep all of these values in one step, or, if one of them can't be kept, none."""
        if not mapping:
            return None
        fields = {_field(key): encode(key, value) for key, value in mapping.items()}
        return self._db.hset(self.index, mapping=fields)

    def remove(self, key: str) -> Any:
        """Forget `key`; returns how many there were, 0 or 1."""
        return self._db.hdel(self.index, _field(key))

    def __len__(self) -> int:
        return int(self._db.hlen(self.index))

    def _value(self, name: str, json: str | bytes) -> Any:
        try:
            return decode(json)
        except ValueError as error:
            raise RunError(
                f"the value of {describe(name)} in the hash {self.index!r} of Redis isn't JSON: "
                f"{error}"
            ) from error


def _field(key: object) -> str:
    """Return `key` as the name of a field; Redis takes numbers for their text."""
    if isinstance(key, int | float) and not isinstance(key, bool):
        return str(key)
    name = as_key(key)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ParamError(f"key {describe(name)}: it holds half a character") from None
    return name


def _as_text(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.decode(errors="backslashreplace")
