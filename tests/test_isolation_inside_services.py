"""What a plugin asks of its host: a storage and connections, by the interfaces that it knows."""

from __future__ import annotations

import errno
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from inner import FakeServices, LoadInner, inside
from trees import clean_imports

from flask_pluginkit.exceptions import ParamError, RunError

__all__ = ["clean_imports", "inside"]

_STORES = """
from flask_pluginkit import ExpiredLocalStorage, LocalStorage, RedisStorage
from flask_pluginkit.utils import LocalStorage as again
from flask_pluginkit.storage.local import LocalStorage as deep
assert again is LocalStorage is deep

class Own(LocalStorage):
    COVERED_INDEX = "own"

def register(): return {}
"""


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
def stores(inside: LoadInner, services: FakeServices) -> object:
    """The module of a plugin that may store."""
    import sys

    inside(_STORES, "storage", services=services)
    return sys.modules["plugins.hello"]


def test_a_local_storage_is_kept_by_the_host(stores: object, services: FakeServices) -> None:
    """With the same methods, each value as JSON."""
    storage = stores.LocalStorage()  # type: ignore[attr-defined]
    storage.set("a", {"x": [1, 2]})
    storage["b"] = "text"
    storage.setmany(c=1, d=None)
    assert services.kept == {
        "flask_pluginkit_dat": {"a": '{"x": [1, 2]}', "b": '"text"', "c": "1", "d": "null"}
    }
    assert storage.get("a") == storage["a"] == {"x": [1, 2]}
    assert storage.get("nix", 5) == 5
    assert (len(storage), sorted(storage)) == (4, ["a", "b", "c", "d"])
    storage.remove("a")
    with pytest.raises(KeyError):
        storage.remove("a")
    with pytest.raises(ParamError, match="JSON can't hold"):
        storage.set("x", object())


def test_storages_are_told_apart_by_their_index(stores: object, services: FakeServices) -> None:
    """Of the class, the object or the constructor; none is a file."""
    stores.Own().set("a", 1)  # type: ignore[attr-defined]
    stores.LocalStorage("/tmp/file").set("a", 2)  # type: ignore[attr-defined]
    storage = stores.LocalStorage()  # type: ignore[attr-defined]
    storage.index = "third"
    storage.set("a", 3)
    assert {index: kept["a"] for index, kept in services.kept.items()} == {
        "own": "1",
        "/tmp/file": "2",
        "third": "3",
    }


def test_values_may_expire(stores: object, services: FakeServices) -> None:
    """The host is told after how many seconds."""
    storage = stores.ExpiredLocalStorage()  # type: ignore[attr-defined]
    storage.set("a", 1, 60)
    storage.set("b", 2)
    storage.remove("nix")
    assert [asked[3] for asked in services.asked if asked[0] == "storage.set"] == [60.0, None]
    for wrong in (-1, "soon", float("nan")):
        with pytest.raises(ParamError, match="ttl"):
            storage.set("a", 1, wrong)


def test_a_redis_storage_is_kept_by_the_host_too(stores: object, services: FakeServices) -> None:
    """With the results of Redis; its connection can't be had."""
    storage = stores.RedisStorage("redis://localhost")  # type: ignore[attr-defined]
    assert (storage.set("a", 1), storage.set("a", 2), storage.set(7, 3)) == (1, 0, 1)
    assert (storage.get("a"), storage.get(7)) == (2, 3)
    assert (storage.remove("a"), storage.remove("a")) == (1, 0)
    with pytest.raises(PermissionError, match="no connection to Redis"):
        storage._db.keys()


def test_a_storage_needs_its_permission(inside: LoadInner, services: FakeServices) -> None:
    """The error says what to ask for, and nobody is asked."""
    body = f"{_STORES}\ndef on_app_ready(app): LocalStorage().get('a')\n"
    with pytest.raises(PermissionError, match=r"__permissions__ = \['storage'\]"):
        inside(body, services=services)
    assert services.asked == []


def test_a_quota_that_is_used_up_is_the_storages_own_error(
    stores: object, services: FakeServices
) -> None:
    """As a full disk is in the host."""
    services.error = OSError(errno.EDQUOT, "more than 1 MiB")
    with pytest.raises(RunError, match="the storage flask_pluginkit_dat: more than 1 MiB"):
        stores.LocalStorage().set("a", 1)  # type: ignore[attr-defined]


# ---- the network ----------------------------------------------------------------------------


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, int]]:
    """A web server, and its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield "127.0.0.1", server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


_CLIENTS = {
    "urllib": "urllib.request.urlopen('http://example.org:81/', timeout=5).read()",
    "requests": "requests.get('http://example.org:81/', timeout=5).content",
    "http.client": "by_hand()",
    "asyncio": "asyncio.run(by_loop())",
    "create_connection": "talk(socket.create_connection(('example.org', 81)))",
    "socket": "talk(connected())",
}

_NETWORK = """
import asyncio, http.client, socket, urllib.request
import requests

def talk(connection):
    with connection:
        connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return b"".join(iter(lambda: connection.recv(100), b"")).rpartition(b"\\n")[2]

def connected():
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert made.connect_ex(("example.org", 81)) == 0
    assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    return made

def by_hand():
    connection = http.client.HTTPConnection("example.org", 81)
    connection.request("GET", "/")
    found = connection.getresponse().read()
    connection.close()
    return found

async def by_loop():
    reader, writer = await asyncio.open_connection("example.org", 81)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found.rpartition(b"\\n")[2]

def register(): return {"tcp": {"got": %s}}
"""


@pytest.mark.parametrize("client", _CLIENTS)
def test_clients_of_every_kind_connect_by_way_of_the_host(
    inside: LoadInner, services: FakeServices, site: tuple[str, int], client: str
) -> None:
    """By name: nothing is resolved in the plugin's process."""
    services.address = site
    inner = inside(
        _NETWORK % _CLIENTS[client],
        "net:example.org:81",
        services=services,
        level="isolated",
    )
    assert inner.description.context == {"got": b"hello"}
    assert [asked[1:3] for asked in services.asked] == [("example.org", 81)]


@pytest.mark.parametrize("permissions", [(), ("net:example.com:81",)])
def test_a_connection_needs_its_permission(
    inside: LoadInner, services: FakeServices, permissions: tuple[str, ...]
) -> None:
    """The error says what to ask for."""
    body = "import socket\nsocket.create_connection(('example.org', 81))\n"
    with pytest.raises(PermissionError, match=r"__permissions__ = \['net:example.org:81'\]"):
        inside(body, *permissions, services=services, level="isolated")


def test_a_connection_waits_no_longer_than_its_socket(
    inside: LoadInner, services: FakeServices, site: tuple[str, int]
) -> None:
    """Whatever its descriptor was set to before it came."""
    body = """
    import os, socket
    def register():
        with socket.socket() as made:
            made.setblocking(False)
            made.connect(("example.org", 81))
            return {"tcp": {"blocks": os.get_blocking(made.fileno())}}
    """
    services.address = site
    inner = inside(body, "net:example.org:81", services=services, level="isolated")
    assert inner.description.context == {"blocks": False}


def test_the_error_of_a_connection_has_its_number(inside: LoadInner) -> None:
    """For those who ask for it instead of an exception."""
    body = """
    import socket
    def register():
        with socket.socket() as one: return {"tcp": {"n": one.connect_ex(("example.org", 81))}}
    """
    assert inside(body, level="isolated").description.context == {"n": errno.EACCES}


def test_a_name_without_a_port_leads_nowhere(inside: LoadInner) -> None:
    """As a resolver would say."""
    with pytest.raises(socket.gaierror):
        inside("import socket\nsocket.getaddrinfo('example.org', None)\n", level="isolated")


def test_other_sockets_are_as_they_were(inside: LoadInner) -> None:
    """Pairs, and those of others; the sandbox forbids what is to be forbidden."""
    body = """
    import socket
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        got = other.recv(1)
    def register(): return {"tcp": {"got": got}}
    """
    assert inside(body, level="isolated").description.context == {"got": b"x"}


def test_a_process_that_is_not_confined_has_its_own_network(
    inside: LoadInner, services: FakeServices, site: tuple[str, int]
) -> None:
    """Nobody is asked."""
    body = f"import socket\nsocket.create_connection({site!r}).close()\ndef register(): return {{}}"
    inside(body, services=services)
    assert services.asked == []
