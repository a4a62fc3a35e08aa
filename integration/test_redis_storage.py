"""RedisStorage against a real server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from flask_pluginkit.storage import RedisStorage

WRITER = (
    "import sys; from flask_pluginkit import RedisStorage\n"
    "storage = RedisStorage(sys.argv[1])\n"
    "for number in range(50): storage.set(f'{sys.argv[2]}-{number}', number)\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that belongs to these tests alone and keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        message = "redis-server isn't installed: RedisStorage isn't tested with the real thing"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("redis")
    port = free_port()
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "dir": str(folder)}
    command = [program, *(word for name in options for word in (f"--{name}", options[name]))]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log) as process:
        try:
            wait_for(port, process, folder / "log")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def free_port() -> int:
    """A port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers; fail with its log when it doesn't within ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(7) == b"+PONG\r\n":
                    return
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"redis-server didn't start: {log.read_text()}")


@pytest.fixture(params=[False, True], ids=["bytes", "text"])
def connection(request: pytest.FixtureRequest, server: str) -> Iterator[Any]:
    """A connection to an empty database that answers in bytes or in text."""
    with redis.Redis.from_url(server, decode_responses=request.param) as made:
        made.flushall()
        yield made


def test_values_come_back_from_a_real_server(connection: Any) -> None:
    """All methods agree, with either kind of answers, for false values and any script."""
    storage = RedisStorage(redis_connection=connection)
    values = {"zero": 0, "empty": "", "no": False, "none": None, "ключ é": {"a": [1.5, "ü"]}}
    storage.setmany(**values)
    assert storage.list == values
    assert len(storage) == len(values)
    assert {key: storage.get(key, "default") for key in values} == values
    del storage["zero"]
    assert storage.get("zero", "default") == "default"
    assert sorted(storage) == sorted(set(values) - {"zero"})


def test_an_index_is_a_hash_of_its_own(connection: Any) -> None:
    """Storages with different indexes don't see each other's values."""
    first, second = RedisStorage(None, connection), RedisStorage(None, connection)
    second.index = "other"
    first.set("key", 1)
    second.set("key", 2)
    assert (first["key"], second["key"]) == (1, 2)
    assert connection.hlen("other") == connection.hlen("flask_pluginkit_dat") == 1


def test_a_url_makes_the_connection(server: str, connection: Any) -> None:
    """A storage with a URL sees what another connection wrote, in the form of 3.x."""
    connection.hset("flask_pluginkit_dat", "key", '{"a": 1}')
    storage = RedisStorage(server)
    assert storage.list == {"key": {"a": 1}}
    assert storage._db.pipeline().hget("flask_pluginkit_dat", "key").execute() == [b'{"a": 1}']
    storage._db.close()


def test_the_results_of_redis_are_handed_on(connection: Any) -> None:
    """A new key counts 1, a known or missing one 0."""
    storage = RedisStorage(None, connection)
    assert (storage.set("a", 1), storage.set("a", 2)) == (1, 0)
    assert storage.setmany(a=1, b=2) == 1
    assert (storage.remove("a"), storage.remove("a")) == (1, 0)


def test_processes_that_write_at_once_lose_nothing(server: str, connection: Any) -> None:
    """Four processes set fifty keys each, and all two hundred are there."""
    commands = [[sys.executable, "-c", WRITER, server, name] for name in "abcd"]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait() == 0
    expected = {f"{name}-{number}": number for name in "abcd" for number in range(50)}
    assert RedisStorage(None, connection).list == expected
