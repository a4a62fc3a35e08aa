"""Connections that plugins were granted: opened here, checked here, and handed over connected.

A plugin names a host and a port that it has the permission ``net:`` for. The name is looked up
once, every address that it stands for has to be one of the Internet, and the connection goes
to an address that was checked: a name that stands for another one the next time gains nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from flask_pluginkit.permissions import Endpoint, bracketed, host_of
from flask_pluginkit.text import UnusableText, describe

SECONDS: Final = 10.0
"""For looking up and connecting, at most."""

MOST: Final = 8
"""Addresses of one host that are tried."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_REFUSED: Final = tuple(
    ipaddress.ip_network(text)
    # not global for us, whatever the tables of this Python say
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.88.99.0/24",
        "fec0::/10",
        "5f00::/16",
        "2001::/23",
    )
)


class Broker:
    """Opens the connections of one plugin; safe for threads."""

    def __init__(
        self,
        endpoints: Collection[Endpoint],
        *,
        resolve: Resolve | None = None,
        is_allowed: Callable[[str], bool] | None = None,
    ) -> None:
        """Allow `endpoints`.

        For tests alone, as code and never as configuration: `resolve` looks names up, and
        `is_allowed` says of an address whether connections may go there.
        """
        self._endpoints = frozenset(endpoints)
        self._resolve = resolve or _resolved
        self._is_allowed = is_allowed

    def connect(self, host: str, port: int, timeout: float | None = None) -> socket.socket:
        """Return a connection to a host that the plugin may reach, in blocking mode.

        Args:
            host: as in the permission: a DNS name or an IP address.
            port: of TCP.
            timeout: seconds, at most `SECONDS`.

        Raises:
            PermissionError: it wasn't granted, or leads into this machine or its networks.
            OSError: it can't be reached.

        """
        named = f"{describe(host)}, port {describe(port)}"
        try:
            endpoint = Endpoint(host_of(host.removesuffix(".")), port)
        except UnusableText:
            endpoint = None
        if endpoint is None or endpoint not in self._endpoints:
            raise PermissionError(
                errno.EACCES,
                f"no connection to {named}: this plugin hasn't got the permission "
                f"'net:{bracketed(endpoint.host) if endpoint else '<host>'}:{port}'",
            )
        is_short = timeout is not None and timeout < SECONDS  # no comparison holds for NaN
        deadline = time.monotonic() + (max(timeout or 0.0, 0.0) if is_short else SECONDS)
        addresses = self._resolve(*endpoint)[:MOST]
        is_allowed = self._is_allowed or partial(is_foreign, own=own_addresses())
        # one that isn't foreign makes all suspect: names are turned by whoever owns them
        if not all(map(is_allowed, addresses)):
            raise PermissionError(
                errno.EACCES, f"no connection to {named}: it isn't a host of the Internet"
            )
        return _first(addresses, endpoint.port, deadline, named)


def is_foreign(text: str, *, own: Collection[Address]) -> bool:
    """Tell whether an IP address is one of the Internet, and none of this machine's (`own`)."""
    try:
        address = unmapped(text)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address not in own and not _is_local(address)


def unmapped(text: str) -> Address:
    """Return the address that packets to `text` end at: what an IPv6 address may stand for.

    Raises ValueError for what is no address, or stands for two.
    """
    address = ipaddress.ip_address(text)
    for _ in range(3):
        if address.version == 4:
            return address
        inner = _embedded(address)
        if inner is None:
            return address
        address = inner
    return address


def _embedded(address: ipaddress.IPv6Address) -> Address | None:
    if address.scope_id is not None:
        raise ValueError(f"{address} is of one link")
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        raise ValueError(f"{address} is a tunnel through two addresses")
    number = int(address)
    if address in _NAT64[1]:
        raise ValueError(f"{address} is translated by rules of the local network")
    if address in _NAT64[0] or (address in _COMPATIBLE and number > 1):
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if (number >> 32) & 0xFFFFFFFF in {0x5EFE, 0x02005EFE}:
        raise ValueError(f"{address} is a tunnel of the local network")  # RFC 5214, 6.1
    return None


def own_addresses() -> frozenset[Address]:
    """Return the addresses of this machine, as far as the kernel and its name tell them."""
    texts = [*_of_fib_trie(), *_of_if_inet6()]
    found: set[Address] = set()
    for text in texts or _of_name():  # looking the name up may take seconds
        with suppress(ValueError):
            found.add(unmapped(text.partition("%")[0]))
    return frozenset(found)


def _of_fib_trie(path: Path = Path("/proc/net/fib_trie")) -> Iterator[str]:
    """Yield the addresses that the kernel's routing table calls local."""
    last = ""
    with suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            words = line.split()
            if words[:1] == ["|--"]:
                last = words[1]
            elif words[:2] == ["/32", "host"] and "LOCAL" in words:
                yield last


def _of_if_inet6(path: Path = Path("/proc/net/if_inet6")) -> Iterator[str]:
    with suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            digits = line.split()[0] if line.strip() else ""
            if len(digits) == 32:
                yield ":".join(digits[start : start + 4] for start in range(0, 32, 4))


def _of_name() -> Iterator[str]:
    with suppress(OSError, UnicodeError):
        for *_, address in socket.getaddrinfo(socket.gethostname(), None):
            yield str(address[0])


def _is_local(address: Address) -> bool:
    """Tell whether packets to an address leave from the very same one: it is this machine's."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))  # sends nothing: it only asks for a route
        return ipaddress.ip_address(probe.getsockname()[0]) == address
    return False


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _first(addresses: list[str], port: int, deadline: float, named: str) -> socket.socket:
    """Return a connection to the first address that answers by `deadline`. Raises OSError."""
    fault = OSError(errno.EHOSTUNREACH, f"no connection to {named}: it has no address")
    for address in addresses:
        try:
            return _connected(address, port, deadline)
        except OSError as error:
            number = error.errno or errno.EHOSTUNREACH
            fault = OSError(number, f"no connection to {named}: {os.strerror(number)}")
            if time.monotonic() >= deadline:
                break
    raise fault


def _connected(address: str, port: int, deadline: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        number = connection.connect_ex((address, port))
        if number == errno.EINPROGRESS:
            number = _outcome(connection, deadline)
        if not number:
            # the plugin gets the same open file: O_NONBLOCK would go with it
            connection.setblocking(True)
    except BaseException:
        connection.close()
        raise
    if number:
        connection.close()
        raise OSError(number, os.strerror(number))
    return connection


def _outcome(connection: socket.socket, deadline: float) -> int:
    """Wait until a connection is there, or isn't: return 0 or an errno."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    if not poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
        return errno.ETIMEDOUT
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
