"""What the supervisor does for one plugin: the operations that its worker may ask for.

`Service.answer` blocks (disks, names, connections), so the supervisor calls it in a thread.
Whatever an operation gets is what an attacker chose: each argument is of an exact type, or the
plugin is told so.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.durable import Ownership, create, make_folder, sync_folder, take_lock
from flask_pluginkit.permissions import permissions_of
from flask_pluginkit.text import describe

from .egress import Broker, Resolve
from .storage import MOST_KEYS, Storage

KEY_BYTES: Final = 32

_LOCK_SECONDS: Final = 10.0


class Service:
    """Answers one plugin; any thread may call it at any time."""

    def __init__(
        self,
        plugin: str,
        permissions: Iterable[str],
        home: Path,
        *,
        resolve: Resolve | None = None,
        is_allowed: Callable[[str], bool] | None = None,
    ) -> None:
        """Serve `plugin` with what it was granted, keeping files of its own below `home`.

        `resolve` and `is_allowed` are for tests alone: see `Broker`.

        Raises:
            ManifestError: a permission is none.

        """
        granted = permissions_of(permissions)
        self._home = home
        self._plugin = plugin
        self._broker = Broker(granted.endpoints, resolve=resolve, is_allowed=is_allowed)
        self._storage = Storage(home / "storage", plugin) if "storage" in granted else None
        self._may_have_key = "cookies" in granted

    def answer(self, what: str, args: list[Any]) -> Any:
        """Do one operation, and return a plain value or, for ``connect``, a `socket.socket`.

        The socket is the caller's, who closes it when it is handed over.

        Raises:
            OSError: it can't be done; PermissionError: it wasn't granted. The text is for the
                plugin's author.

        """
        match what, args:
            case "connect", [str(host), int(port), None | int() | float() as timeout]:
                return self._broker.connect(host, port, timeout)
            case "session.key", []:
                return self._key()
        if what.startswith("storage."):
            if self._storage is None:
                raise _denied(what, "storage")
            return _stored(self._storage, what, args)
        raise _unknown(what)

    def connect(self, host: str, port: int, timeout: float | None = None) -> socket.socket:
        """Return a connection that the plugin may have; see `Broker.connect`."""
        return self._broker.connect(host, port, timeout)

    def _key(self) -> bytes:
        """Return the plugin's own key for its sessions; the first one who asks makes it."""
        if not self._may_have_key:
            raise _denied("session.key", "cookies")
        name = hashlib.sha256(self._plugin.encode()).hexdigest()[:32]
        path = self._home / "keys" / f"{name}.key"
        try:
            make_folder(path.parent)
            owner = Ownership.private(path.parent.stat())
            with take_lock(path.with_suffix(".lock"), timeout=_LOCK_SECONDS, owner=owner):
                return _read_key(path) or _made_key(path, owner)
        except OSError as error:
            number = error.errno or errno.EIO
            raise OSError(number, f"session.key: {os.strerror(number)}") from error


def _stored(storage: Storage, what: str, args: list[Any]) -> Any:
    match what, args:
        case "storage.get", [str(index), str(key)]:
            return storage.get(index, key)
        case "storage.list", [str(index)]:
            return storage.list(index)
        case "storage.count", [str(index)]:
            return storage.count(index)
        case "storage.remove", [str(index), str(key)]:
            return storage.remove(index, key)
        case "storage.set", [str(index), dict(values), None | int() | float() as seconds]:
            texts = [text for pair in values.items() for text in pair]
            if len(values) <= MOST_KEYS and all(type(text) is str for text in texts):
                return storage.set(index, values, seconds)
    raise _unknown(what)


def _read_key(path: Path) -> bytes | None:
    """Return the key, None if there is none, or one that was never written to its end."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == KEY_BYTES else None


def _made_key(path: Path, owner: Ownership) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    path.unlink(missing_ok=True)
    with os.fdopen(create(path, owner), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return key


def _unknown(what: str) -> OSError:
    return OSError(errno.EINVAL, f"{describe(what)}: no operation, or not with these arguments")


def _denied(what: str, permission: str) -> PermissionError:
    return PermissionError(
        errno.EACCES, f"{what}: this plugin hasn't got the permission {permission!r}"
    )
