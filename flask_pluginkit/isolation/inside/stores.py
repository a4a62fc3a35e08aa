"""The storages of `flask_pluginkit.storage`, kept by the host: the same methods, other places.

A plugin's values are its own, whatever it calls its storages: `index` is a name among the plugin's
and never a file of the host's.
"""

from __future__ import annotations

import math
from os import PathLike, fspath
from typing import Any, ClassVar

from flask_pluginkit.exceptions import ParamError, RunError
from flask_pluginkit.storage.base import BaseStorage
from flask_pluginkit.storage.values import as_key, decode, encode
from flask_pluginkit.text import describe

from .services import NoServices, Services


class _Kept(BaseStorage):
    """What the storages have in common."""

    services: ClassVar[Services] = NoServices()
    permitted: ClassVar[bool] = False

    @property
    def list(self) -> dict[str, Any]:
        """All keys and values, as a dict of the caller's own."""
        return {key: decode(json) for key, json in self._ask("storage.list").items()}

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default` if there is none."""
        json = self._ask("storage.get", as_key(key))
        return default if json is None else decode(json)

    def setmany(self, /, **mapping: Any) -> Any:
        """Keep all of these values, or, if one of them can't be kept, none."""
        self._keep(mapping)

    def __len__(self) -> int:
        return int(self._ask("storage.count"))

    def _keep(self, values: dict[str, Any], seconds: float | None = None) -> None:
        if kept := {key: encode(key, value) for key, value in values.items()}:
            self._ask("storage.set", kept, seconds)

    def _forget(self, key: str) -> bool:
        return bool(self._ask("storage.remove", as_key(key)))

    def _ask(self, what: str, *args: Any) -> Any:
        if not self.permitted:
            raise PermissionError(
                f"{type(self).__name__}: this plugin has no storage; it has to ask for one with "
                "__permissions__ = ['storage'], and the operator has to approve"
            )
        try:
            return self.services.ask(what, str(self.index), *args)
        except PermissionError:
            raise
        except OSError as error:
            raise RunError(f"the storage {self.index}: {error.strerror or error}") from error


class LocalStorage(_Kept):
    """A few values, for all threads and processes of the plugin."""

    LOCK_TIMEOUT: float = 30.0

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        if path:
            self.COVERED_INDEX = str(fspath(path))

    def set(self, key: str, value: Any) -> None:
        """Keep `value` under `key`."""
        self._keep({as_key(key): value})

    def remove(self, key: str) -> None:
        """Forget `key`; raise KeyError if it isn't there."""
        if not self._forget(key):
            raise KeyError(as_key(key))


class ExpiredLocalStorage(LocalStorage):
    """A `LocalStorage` whose values may expire."""

    def set(self, key: str, value: Any, ttl: float = 0) -> None:
        """Keep `value` under `key` for `ttl` seconds, by default for ever."""
        key = as_key(key)
        if not key:
            raise ParamError("a key that expires can't be empty")
        if not _is_duration(ttl):
            raise ParamError(f"ttl {describe(ttl)}: expected seconds, 0 or more")
        self._keep({key: value}, float(ttl) or None)

    def remove(self, key: str) -> None:
        """Forget `key`, if it is there."""
        self._forget(key)


class RedisStorage(_Kept):
    """Values that the host keeps, in place of a hash of Redis that can't be reached."""

    def __init__(self, redis_url: str | None = None, redis_connection: Any = None) -> None:
        self.redis_url, self.redis_connection = redis_url, redis_connection

    @property
    def _db(self) -> Any:
        raise PermissionError(
            "RedisStorage: there is no connection to Redis in a process of the plugin's own; use "
            "the methods of the storage"
        )

    def set(self, key: str, value: Any) -> int:
        """Keep `value` under `key`; returns 1 for a new key, else 0."""
        name = _field(key)
        is_new = self._ask("storage.get", name) is None
        self._keep({name: value})
        return int(is_new)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default` if there is none."""
        return super().get(_field(key), default)

    def remove(self, key: str) -> int:
        """Forget `key`; returns how many there were, 0 or 1."""
        return int(self._forget(_field(key)))


def _is_duration(ttl: object) -> bool:
    return isinstance(ttl, int | float) and 0 <= ttl < math.inf


def _field(key: object) -> str:
    """Return `key` as text; Redis takes numbers for theirs."""
    return str(key) if type(key) in (int, float) else as_key(key)
