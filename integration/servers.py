"""Real servers on the loopback address, for the length of some tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """A port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def answers(port: int, question: bytes = b"", answer: bytes = b"") -> bool:
    """Tell whether a server accepts connections, and gives `answer` to `question`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(question)
            return not answer or connection.recv(len(answer)) == answer
    except OSError:
        return False


@contextmanager
def running(
    command: list[str],
    log: Path,
    ready: Callable[[], bool],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = 20,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a session of its own until the block ends; fail with its log."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, cwd=cwd, env=env, start_new_session=True
        ) as process,
    ):
        try:
            end = time.monotonic() + seconds
            while not ready():
                if time.monotonic() > end or process.poll() is not None:
                    pytest.fail(f"{command[0]} didn't start: {log.read_text(errors='replace')}")
                time.sleep(0.02)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The URL of a redis-server that belongs to these tests alone and keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server isn't installed: nothing is tested with the real Redis")
    port = free_port()
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "dir": str(folder)}
    command = [program, *(word for name in options for word in (f"--{name}", options[name]))]
    with running(command, folder / "log", lambda: answers(port, b"PING\r\n", b"+PONG\r\n")):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def gunicorn(
    folder: Path, target: str, *, workers: int = 2, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The address of a gunicorn that serves ``module:app`` of a folder."""
    port = free_port()
    with running_gunicorn(folder, target, port, ["--workers", str(workers)], env):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running_gunicorn(
    folder: Path,
    target: str,
    port: int,
    options: list[str],
    env: Mapping[str, str] | None = None,
    *,
    python: str = sys.executable,
    within: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A gunicorn with these options, at a port of the loopback address.

    `within` is a command that runs it, such as one that makes a namespace.
    """
    words = ["-m", "gunicorn", *options, "--bind", f"127.0.0.1:{port}", target]
    log = folder / "gunicorn.log"
    # gunicorn may put a socket below the home folder
    env = {**(os.environ if env is None else env), "HOME": str(folder)}
    command = [*within, python, "-P", *words]
    with running(command, log, lambda: answers(port), cwd=folder, env=env) as process:
        yield process
