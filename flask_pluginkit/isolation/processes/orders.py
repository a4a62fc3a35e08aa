"""What supervisor, zygote and new workers say to each other, before any code of a plugin runs."""

from __future__ import annotations

import array
import os
import socket
from typing import Final

from msgspec import Struct

from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.wire import CONTROL_LIMIT, Reader
from flask_pluginkit.sandbox.canaries import Canaries
from flask_pluginkit.sandbox.identity import Identity

MOST_DESCRIPTORS: Final = 8
ORDER_LIMIT: Final = 1 << 14
"""Bytes of an order; what is longer goes to the worker itself."""


class Preparation(Struct, frozen=True, kw_only=True):
    """The first order to a zygote, answered by `Prepared`."""

    canaries: Canaries
    namespaces: bool
    """Whether to find out if they are permitted."""
    identity: Identity | None
    """A user that plugins get, None if they keep the application's."""
    inside: str
    """The package that runs plugins in workers."""


class Prepared(Struct, frozen=True, kw_only=True, tag="prepared"):
    """The zygote has everything in memory that workers share."""

    namespaces: bool
    """Whether workers may have some of their own."""


class Spawn(Struct, frozen=True, kw_only=True, tag="spawn"):
    """Fork a worker; with three descriptors: its listener, its channel, its log."""

    number: int


class Spawned(Struct, frozen=True, kw_only=True, tag="spawned"):
    """The worker is there; with a pidfd."""

    number: int
    pid: int


class Exited(Struct, frozen=True, kw_only=True, tag="exited"):
    """A worker has ended; `code` as `os.waitstatus_to_exitcode` has it."""

    number: int
    code: int


FromZygote = Prepared | Spawned | Exited


class Assignment(Struct, frozen=True, kw_only=True):
    """The first frame on the channel of a new worker: what it is to become."""

    spec: Spec
    canaries: Canaries
    zygote: int
    """The process id of what forked it."""
    identity: Identity | None = None
    home: str | None = None
    """The plugin's own folder, if it was granted one."""
    paths: tuple[str, ...] = ()
    """Folders with this package's dependencies beside those of the interpreter."""
    namespaces: bool = False
    """Whether to enter some of its own."""
    inside: str


ASSIGNMENT: Final[Reader[Assignment]] = Reader(Assignment, 2 * CONTROL_LIMIT)
PREPARATION: Final[Reader[Preparation]] = Reader(Preparation, ORDER_LIMIT)
SPAWN: Final[Reader[Spawn]] = Reader(Spawn, ORDER_LIMIT)
FROM_ZYGOTE: Final[Reader[FromZygote]] = Reader(FromZygote, ORDER_LIMIT)


def send_with(connection: socket.socket, data: bytes | memoryview, descriptors: list[int]) -> int:
    """Send bytes and descriptors, and return how many of the bytes. Raises OSError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    return connection.sendmsg([data], rights if descriptors else [])


def receive_with(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Receive bytes and the descriptors that came with them, closed at exec. Raises OSError."""
    found = array.array("i")
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * found.itemsize)
    data, ancillary, flags, _ = connection.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    if flags & socket.MSG_CTRUNC:
        for descriptor in found:
            os.close(descriptor)
        raise OSError("more descriptors than were expected")
    return data, list(found)
