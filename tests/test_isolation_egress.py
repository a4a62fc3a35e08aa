"""The broker of connections: whom it connects with, and all whom it doesn't."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_pluginkit.isolation.services import Service
from flask_pluginkit.isolation.services.egress import (
    MOST,
    Broker,
    _of_fib_trie,
    _of_if_inet6,
    _of_name,
    is_foreign,
    own_addresses,
    unmapped,
)
from flask_pluginkit.permissions import Endpoint

PUBLIC = "93.184.215.14"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Listens on loopback, and answers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def broker_of(server: socket.socket, *addresses: str) -> Broker:
    """A broker for host.example at the server's port, who believes that these are its addresses."""
    return Broker(
        [Endpoint("host.example", server.getsockname()[1])],
        resolve=lambda _host, _port: list(addresses or ["127.0.0.1"]),
        is_allowed=lambda address: address.startswith("127."),
    )


def test_a_granted_connection_is_open_and_blocking(server: socket.socket) -> None:
    """The other process gets the same open file: a deadline of ours must not go along."""
    port = server.getsockname()[1]
    with broker_of(server).connect("host.example", port, 5.0) as connection:
        assert not fcntl.fcntl(connection, fcntl.F_GETFL) & os.O_NONBLOCK
        assert connection.gettimeout() is None
        other, _ = server.accept()
        with other:
            other.sendall(b"hello")
            assert connection.recv(5) == b"hello"


@pytest.mark.parametrize("host", ["HOST.example", "host.example."])
def test_a_host_has_several_spellings(server: socket.socket, host: str) -> None:
    """Case and the dot of the root make no other host."""
    broker_of(server).connect(host, server.getsockname()[1]).close()


@pytest.mark.parametrize(
    "host", ["other.example", "x.host.example", "127.0.0.1", "", "host.example\0", "*", "[::1]"]
)
def test_another_host_isnt_granted(server: socket.socket, host: str) -> None:
    """The permission is about the name, and not about where it leads."""
    with pytest.raises(PermissionError, match="permission 'net:"):
        broker_of(server).connect(host, server.getsockname()[1])


def test_another_port_isnt_granted(server: socket.socket) -> None:
    """Nor is its neighbour."""
    with pytest.raises(PermissionError):
        broker_of(server).connect("host.example", server.getsockname()[1] + 1)


def test_one_address_at_home_spoils_all(server: socket.socket) -> None:
    """A name with a foreign and an own address is what an attacker's server hands out."""
    with pytest.raises(PermissionError, match="isn't a host of the Internet"):
        broker_of(server, "127.0.0.1", "10.0.0.1").connect("host.example", server.getsockname()[1])


def test_a_name_is_looked_up_once(server: socket.socket) -> None:
    """The address that was checked is the one that is connected to."""
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    port = server.getsockname()[1]
    broker = Broker([Endpoint("a.org", port)], resolve=resolve, is_allowed=lambda _: True)
    broker.connect("a.org", port).close()
    assert asked == [("a.org", port)]


def test_the_next_address_is_tried(server: socket.socket) -> None:
    """Where the first one refuses, and only so many."""
    port = server.getsockname()[1]
    broker_of(server, "127.0.0.2", "127.0.0.1").connect("host.example", port).close()
    far = ["127.0.0.2"] * MOST + ["127.0.0.1"]
    with pytest.raises(ConnectionRefusedError):
        broker_of(server, *far).connect("host.example", port)


def test_a_name_without_addresses_cant_be_reached(server: socket.socket) -> None:
    """It is an error as of any other host."""
    broker = Broker([Endpoint("a.org", 80)], resolve=lambda *_: [])
    with pytest.raises(OSError, match="no address") as caught:
        broker.connect("a.org", 80)
    assert caught.value.errno == errno.EHOSTUNREACH


@pytest.mark.parametrize("timeout", [0.0, 0.05, -1.0])
def test_a_connection_has_a_deadline(timeout: float) -> None:
    """A host that doesn't answer holds nobody up."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):  # its queue is full now
            broker = Broker(
                [Endpoint("a.org", full.getsockname()[1])],
                resolve=lambda *_: ["127.0.0.1"] * 3,
                is_allowed=lambda _: True,
            )
            with pytest.raises(TimeoutError):
                broker.connect("a.org", full.getsockname()[1], timeout)


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 1e300, None])
def test_an_odd_deadline_is_the_usual_one(server: socket.socket, timeout: float | None) -> None:
    """What a plugin sends as a number may be none."""
    port = server.getsockname()[1]
    broker_of(server).connect("host.example", port, timeout).close()


def test_failures_leave_no_descriptors(server: socket.socket) -> None:
    """A plugin that tries again and again doesn't use up the supervisor's."""
    port = server.getsockname()[1]
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(5):
        with pytest.raises(ConnectionRefusedError):
            broker_of(server, "127.0.0.2").connect("host.example", port)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_many_connect_at_the_same_time(server: socket.socket) -> None:
    """Any thread may ask at any time."""
    found: list[socket.socket] = []
    broker, port = broker_of(server), server.getsockname()[1]
    threads = [
        threading.Thread(target=lambda: found.append(broker.connect("host.example", port)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for connection in found:
        connection.close()


# ---- which addresses are foreign -------------------------------------------------------------

AT_HOME = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd12::1"),
    *("ff02::1", "2001:db8::1", "100::1", "2001::1", "2001:10::1", "2001:20::1", "5f00::1"),
    # what packets to an IPv6 address end at
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "::10.0.0.1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"),
    *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2001:0:808:808::1"),
    *("fe80::5efe:808:808", "2001:4860::5efe:10.0.0.1", "2001:4860::200:5efe:808:808"),
    *("2002:7f00:1::7f00:1", "64:ff9b::ffff:1", "localhost", "", "1.2.3", "01.1.1.1"),
]


@pytest.mark.parametrize("address", AT_HOME)
def test_addresses_of_this_machine_and_its_networks_are_not_foreign(address: str) -> None:
    """Nor is what isn't an address at all."""
    assert not is_foreign(address, own=())


@pytest.mark.parametrize(
    "address",
    [PUBLIC, "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"],
)
def test_addresses_of_the_internet_are_foreign(address: str) -> None:
    """Translated ones too, where what they stand for is."""
    assert is_foreign(address, own=())


@pytest.mark.parametrize("address", [PUBLIC, f"::ffff:{PUBLIC}", f"64:ff9b::{PUBLIC}"])
def test_a_public_address_of_this_machine_is_not_foreign(address: str) -> None:
    """The site's own services listen there too."""
    assert not is_foreign(address, own={ipaddress.ip_address(PUBLIC)})


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_no_translation_makes_an_address_foreign(number: int) -> None:
    """In whatever form an IPv4 address stands in an IPv6 one, it is what it is alone."""
    address = ipaddress.IPv4Address(number)
    alone = is_foreign(str(address), own=())
    for form in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_foreign(str(ipaddress.IPv6Address(form)), own=()) <= alone


@given(st.integers(0, 2**128 - 1))
@settings(max_examples=100)
def test_foreign_addresses_are_global_unicast(number: int) -> None:
    """RFC 4291: 2000::/3 is what has been given out; of the rest only translated ones count."""
    text = str(ipaddress.IPv6Address(number))
    if is_foreign(text, own=()):
        address = unmapped(text)
        assert address.is_global
        assert address.version == 4 or address in ipaddress.ip_network("2000::/3")


def test_this_machines_addresses_are_known() -> None:
    """At least that of its loopback interface."""
    assert ipaddress.ip_address("127.0.0.1") in own_addresses()


def test_the_kernels_tables_are_read(tmp_path: Path) -> None:
    """Addresses that the routing table calls local, and those of interfaces."""
    trie = tmp_path / "fib_trie"
    trie.write_text(
        "Main:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 203.0.113.7\n        /32 host LOCAL\n"
        "     |-- 203.0.113.0\n        /24 link UNICAST\n     |-- 203.0.113.255\n"
        "        /32 link BROADCAST\n"
    )
    inet6 = tmp_path / "if_inet6"
    inet6.write_text("20010db8000000000000000000000007 02 40 00 80     eth0\n\nodd\n")
    assert [*_of_fib_trie(trie)] == ["203.0.113.7"]
    assert [*_of_if_inet6(inet6)] == ["2001:0db8:0000:0000:0000:0000:0000:0007"]
    assert [*_of_fib_trie(tmp_path / "missing"), *_of_if_inet6(tmp_path / "missing")] == []


def test_without_the_kernels_tables_the_name_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is what this machine is called."""
    monkeypatch.setattr(socket, "gethostname", lambda: "127.0.0.1")
    assert next(_of_name()) == "127.0.0.1"


# ---- as a service ----------------------------------------------------------------------------


def test_a_service_connects_where_it_was_granted(tmp_path: Path, server: socket.socket) -> None:
    """By the operation ``connect``."""
    port = server.getsockname()[1]
    service = Service(
        "hello",
        [f"net:127.0.0.1:{port}"],
        tmp_path,
        resolve=lambda host, _port: [host],
        is_allowed=lambda _address: True,
    )
    found = service.answer("connect", ["127.0.0.1", port, None])
    assert isinstance(found, socket.socket)
    found.close()


def test_a_permission_for_this_machine_opens_nothing(tmp_path: Path, server: socket.socket) -> None:
    """Nobody can approve it, by accident or otherwise."""
    port = server.getsockname()[1]
    service = Service("hello", [f"net:127.0.0.1:{port}", f"net:localhost:{port}"], tmp_path)
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(PermissionError, match="isn't a host of the Internet"):
            service.answer("connect", [host, port, 1.0])
