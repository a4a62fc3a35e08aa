"""Connections by TCP for isolated plugins, who can't make a socket: the supervisor makes them.

``socket.socket()`` gives a placeholder, one end of a pair of Unix sockets. When it is to be
connected, the supervisor is asked, and the connection that it hands over takes the placeholder's
descriptor. So everything that is built on sockets works: `http.client`, urllib3, `ssl`, asyncio.
Names aren't resolved here, as the supervisor connects to names and checks where they lead.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from typing import Any, Final
from weakref import WeakKeyDictionary

from .facade import Replacing
from .services import Services

PREFIX: Final = "net:"


class Network:
    """Connects by way of the services, as far as permissions go."""

    def __init__(self, services: Services, permissions: tuple[str, ...]) -> None:
        self.services = services
        self.is_permitted = any(name.startswith(PREFIX) for name in permissions)

    def open(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """Return a connection. Raises OSError; PermissionError says what to ask for."""
        advice = (
            f"{host}:{port}: this plugin may not connect to it; it has to ask for it with "
            f"__permissions__ = ['{PREFIX}{host}:{port}'], and the operator has to approve"
        )
        if not self.is_permitted:
            raise PermissionError(errno.EACCES, advice)
        try:
            return self.services.connect(host, port, timeout)
        except PermissionError as error:
            raise PermissionError(errno.EACCES, f"{advice} ({error})") from error


class _Sockets:
    """The methods of `socket.socket` that make and connect sockets."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.waiting: WeakKeyDictionary[socket.socket, list[tuple[Any, ...]]] = WeakKeyDictionary()
        """Placeholders, and the options that were set on them."""
        self.make = socket.socket.__init__
        self.connected = socket.socket.connect
        self.set_option = socket.socket.setsockopt

    def init(
        self,
        itself: socket.socket,
        family: int = -1,
        type: int = -1,  # noqa: A002 - socket's own names
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        """Make a socket, or for TCP a placeholder."""
        wanted = socket.AF_INET if family == -1 else family
        kind = socket.SOCK_STREAM if type == -1 else type
        is_tcp = wanted in (socket.AF_INET, socket.AF_INET6) and kind & 0xF == socket.SOCK_STREAM
        if fileno is not None or not is_tcp:
            self.make(itself, family, type, proto, fileno)
            return
        ours, other = socket.socketpair()
        other.close()
        self.make(itself, wanted, kind, max(proto, 0), ours.detach())
        self.waiting[itself] = []

    def connect(self, itself: socket.socket, address: Any) -> None:
        """Have the supervisor connect a placeholder; nothing else may be connected."""
        options = self.waiting.get(itself)
        if options is None:
            self.connected(itself, address)
            return
        host, port = address[0], address[1]
        timeout = itself.gettimeout()
        with self.network.open(str(host), int(port), timeout or None) as connection:
            os.dup2(connection.fileno(), itself.fileno(), inheritable=False)
        self.waiting.pop(itself, None)
        # the descriptor has the flags of the connection now
        itself.settimeout(timeout)
        for option in options:
            self.set_option(itself, *option)

    def connect_ex(self, itself: socket.socket, address: Any) -> int:
        """Connect, and return the number of the error in place of raising it."""
        try:
            self.connect(itself, address)
        except OSError as error:
            return error.errno or errno.EACCES
        return 0

    def setsockopt(self, itself: socket.socket, *args: Any) -> None:
        """Set an option, or remember it for when there is a connection."""
        options = self.waiting.get(itself)
        if options is None:
            self.set_option(itself, *args)
        else:
            options.append(args)


def install(services: Services, permissions: tuple[str, ...], undo: ExitStack) -> None:
    """Let `socket` connect by way of the services, until `undo` is run."""
    network = Network(services, permissions)
    sockets, replacing = _Sockets(network), Replacing(undo)

    def create_connection(
        address: tuple[str, int],
        timeout: Any = ...,
        source_address: Any = None,  # noqa: ARG001 - where it comes from isn't the plugin's choice
        *,
        all_errors: bool = False,  # noqa: ARG001
    ) -> socket.socket:
        is_given = timeout is None or isinstance(timeout, int | float)
        seconds = timeout if is_given else socket.getdefaulttimeout()
        connection = network.open(address[0], int(address[1]), seconds)
        connection.settimeout(seconds)
        return connection

    replacing.attribute(socket, "create_connection", create_connection)
    replacing.attribute(socket, "getaddrinfo", _unresolved)
    for name, method in (
        ("__init__", _bound(sockets.init)),
        ("connect", _bound(sockets.connect)),
        ("connect_ex", _bound(sockets.connect_ex)),
        ("setsockopt", _bound(sockets.setsockopt)),
    ):
        replacing.attribute(socket.socket, name, method)


def _bound(method: Any) -> Any:
    """Return a function that is a method of sockets, as `method` takes the socket first."""

    def call(itself: socket.socket, *args: Any, **kwargs: Any) -> Any:
        return method(itself, *args, **kwargs)

    return call


def _unresolved(
    host: Any,
    port: Any,
    family: int = 0,  # noqa: ARG001 - getaddrinfo's own
    type: int = 0,  # noqa: A002, ARG001
    proto: int = 0,  # noqa: ARG001
    flags: int = 0,  # noqa: ARG001
) -> list[tuple[Any, ...]]:
    """Give a name back as the address that it stands for: the supervisor resolves it."""
    name = host.decode("idna") if isinstance(host, bytes) else host
    try:
        number = int(port or 0)
    except ValueError:
        number = {"http": 80, "https": 443}.get(str(port), 0)
    if not name or not number:
        raise socket.gaierror(socket.EAI_NONAME, "expected a host and a port")
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (name, number))]
