"""What the tests of isolated plugins' processes share: a small inner runtime, and real processes.

The inner runtime stands in for `flask_pluginkit.isolation.inside`, so that these tests are
about processes and not about Flask: a plugin is a module with ``main(services)``, which returns
the function that answers each call.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import confined
import msgspec
import pytest

import flask_pluginkit
from flask_pluginkit.isolation.client.control import Control
from flask_pluginkit.isolation.client.pool import NUMBERS, Pool
from flask_pluginkit.isolation.messages import (
    Batch,
    Call,
    Greeting,
    Page,
    Results,
    Spec,
    Value,
)
from flask_pluginkit.isolation.processes import launch, runtime
from flask_pluginkit.isolation.processes.settings import Settings
from flask_pluginkit.isolation.processes.supervisor import Supervisor
from flask_pluginkit.isolation.supervision import (
    Placed,
    Refused,
)
from flask_pluginkit.sandbox import identity

MARKS = itertools.count()

PLUGIN = """
import importlib.util
from flask_pluginkit.isolation.messages import (
    Description,
    Result,
    Results,
    Value,
    Failure,
)

class Inner:
    description = Description(names={"answer": 42})
    def __init__(self, call):
        self.call = call
    def batch(self, batch):
        results = []
        for call in batch.calls:
            try:
                results.append(Value(value=self.call(*call.args)))
            except Exception as error:
                results.append(Failure(error=f"{type(error).__name__}: {error}"))
        return Results(id=batch.id, results=results)

def load(spec, services):
    found = importlib.util.spec_from_file_location("plugin", spec.folder + "/__init__.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return Inner(module.main(services))
"""

SERVING = """
import threading, time
from flask_pluginkit.isolation import wire

def serve(listener, inner, *, stop, threads, seconds):
    listener.setblocking(True)
    threading.Thread(target=accept, args=(listener, inner), daemon=True).start()
    stop.wait()
    end = time.monotonic() + seconds
    while running and time.monotonic() < end:
        time.sleep(0.01)

running = []

def accept(listener, inner):
    while True:
        connection, _ = listener.accept()
        connection.setblocking(False)
        threading.Thread(target=converse, args=(connection, inner), daemon=True).start()

def converse(connection, inner):
    forever = time.monotonic() + 1e6
    wire.receive(connection, wire.TO_PLUGIN, forever)
    while True:
        batch = wire.receive(connection, wire.TO_PLUGIN, forever)
        running.append(1)
        wire.send(connection, wire.encode(inner.batch(batch), wire.REPLY_LIMIT), forever)
        running.pop()
"""

ECHO = """
def main(services):
    return lambda *args: list(args)
"""

EVALUATE = """
import os, sys, time, socket, threading, signal
def main(services):
    def call(code, *args):
        names = {"services": services, "args": args, "os": os, "sys": sys, "time": time}
        exec("def run():\\n " + code.replace("\\n", "\\n "), names)
        return names["run"]()
    return call
"""
"""A plugin that does what it is told, such as ``return os.getpid()``."""


@dataclass(kw_only=True)
class Place:
    """Everything of one application: its folders, settings and connections."""

    folder: Path
    settings: Settings
    level: str = "process"
    mark: str = ""
    """Begins the names of its plugins, where several tests share a supervisor."""
    controls: list[Control] = field(default_factory=list)

    def plugin(self, body: str = ECHO, name: str = "hello", **options: Any) -> Spec:
        """A plugin with this code."""
        name = self.mark + name
        folder = self.folder / "plugins" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(body, encoding="utf-8")
        for place in (folder, folder / "__init__.py"):
            place.chmod(0o755)
        given = {"level": self.level, "digest": "1", **options}
        return Spec(plugin=name, folder=str(folder), module=f"plugins.{name}", **given)

    def control(self, **changes: Any) -> Control:
        """A web worker's connection, which starts a supervisor if it needs one."""
        import msgspec

        control = Control(msgspec.structs.replace(self.settings, **changes))
        self.controls.append(control)
        return control

    @property
    def runtime(self) -> Path:
        return Path(self.settings.runtime)

    def log(self) -> str:
        path = self.folder / "control" / "sandbox.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@contextmanager
def place(*, own_uids: bool = False, **options: Any) -> Iterator[Place]:
    """Folders for an application; at the end nothing of it may run or lie about."""
    if own_uids and not identity.can_become_another():
        pytest.skip(f"AS ROOT NOTHING WAS TRIED: uid {os.geteuid()} can't become another user")
    with tempfile.TemporaryDirectory(prefix="pk-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        inside = folder / "paths" / "inner_of_tests"
        inside.mkdir(parents=True)
        for module, text in {"__init__": "", "plugin": PLUGIN, "serving": SERVING}.items():
            (inside / f"{module}.py").write_text(text, encoding="utf-8")
        (folder / "plugins").mkdir()
        for each in folder.rglob("*"):
            each.chmod(0o755 if each.is_dir() else 0o644)
        (folder / "control").mkdir()
        given = {
            "control": str(folder / "control"),
            "runtime": str(folder / "run"),
            "paths": (*launch.dependency_folders(), str(folder / "paths")),
            "inside": "inner_of_tests",
            "grace": 0.3,
            "linger": 0.2,
            "drain": 2.0,
            "homes": str(folder / "homes"),
            **(public_interpreter() if own_uids else {}),
            **options,
        }
        given["is_named"] = bool(given["runtime"])
        level = "isolated" if own_uids else "process"
        place = Place(folder=folder, settings=Settings(**given), level=level)
        try:
            yield place
        finally:
            for control in place.controls:
                control.close()
        left = eventually(lambda: processes_with(str(folder)), [])
        for pid in left:
            os.kill(pid, 9)
        assert left == []
        assert not list(folder.glob("run/*.sock"))
        assert not list(
            runtime.public_folder().glob(f"pluginkit-{runtime.mark(folder / 'control')}-*")
        )


def _require_shared(python: str) -> None:
    """Expect a failure where a plugin's user can't run what is installed for these tests.

    It is refused there, as it should be; integration/test_isolated.py brings copies along.
    """
    asked = [python, "-I", "-c", "import sys; print(sys.version_info[:2])"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    if version != str(sys.version_info[:2]):
        pytest.xfail(f"{python} is of version {version}: packages are those of another one")
    user = identity.Identity(uid=30100, gid=30100)
    for module in (flask_pluginkit, msgspec):
        place = str(Path(str(module.__file__)).parent)
        if (found := identity.obstacle(place, user)) is not None:
            pytest.xfail(f"{found} can't be read by the users of plugins")


def public_interpreter() -> dict[str, str]:
    """The settings for an interpreter that every user can read, and users for plugins."""
    python = confined._interpreter(True)
    if python is None:
        pytest.skip("NOTHING WAS CONFINED: no interpreter that every user can read")
    _require_shared(python)
    return {"python": python, "sandbox_uids": "30100-30109"}


def processes_with(text: str) -> list[int]:
    """The processes that have this text in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            is_zombie = "\nState:\tZ" in (folder / "status").read_text(encoding="utf-8")
        except OSError:
            continue
        if os.fsencode(text) in line and b"boot.py" in line and not is_zombie:
            found.append(int(folder.name))
    return found


def eventually(look: Callable[[], Any], wanted: Any, seconds: float = 8.0) -> Any:
    """What is seen in the end: `wanted` as soon as that is so, or what is there after a while."""
    end = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return seen


@contextmanager
def sharing(whole: Place) -> Iterator[Place]:
    """A part of an application that others use too: its plugins have names of their own."""
    part = replace(whole, mark=f"t{next(MARKS)}-", controls=[])
    try:
        yield part
    finally:
        for control in part.controls:
            control.close()


@contextmanager
def supervised(place: Place) -> Iterator[Supervisor]:
    """A supervisor in a thread of this process, so that what it runs is measured."""
    folder = runtime.private(place.runtime)
    office = runtime.elect(folder)
    assert office is not None
    supervisor = Supervisor(place.settings)
    thread = threading.Thread(target=supervisor.run, name="supervisor")
    thread.start()
    try:
        yield supervisor
    finally:
        for control in place.controls:
            control.close()
        thread.join(10)
        os.close(office)
        assert not thread.is_alive()


def pool_of(placed: Placed | Refused, **options: Any) -> Pool:
    """Connections to a worker that was placed."""
    assert isinstance(placed, Placed), placed
    return Pool(placed, Greeting(), **{"blamed": lambda _: None, **options})


def ask(placed: Placed | Refused, *args: Any, seconds: float = 5.0) -> Any:
    """What a plugin's function returns."""
    pool = pool_of(placed)
    try:
        reply = pool.call(batch(*args), time.monotonic() + seconds)
    finally:
        pool.close()
    assert isinstance(reply, Results)
    (result,) = reply.results
    assert isinstance(result, Value), result
    return result.value


def batch(*args: Any) -> Batch:
    """A message with one call."""
    return Batch(id=next(NUMBERS), page=Page(), calls=[Call(reference=0, args=list(args))])


@contextmanager
def worker(*replies: Callable[[socket.socket], None]) -> Iterator[Placed]:
    """A socket that stands for a worker; each connection is served by the next function."""
    from flask_pluginkit.isolation.messages import (
        Description,
    )

    with tempfile.TemporaryDirectory(prefix="pk-", dir="/tmp") as folder:
        path = f"{folder}/w.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(16)
            threads: list[threading.Thread] = []

            def accept() -> None:
                for reply in replies:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    thread = threading.Thread(target=serve, args=(connection, reply))
                    thread.start()
                    threads.append(thread)

            def serve(connection: socket.socket, reply: Callable[[socket.socket], None]) -> None:
                with connection:
                    connection.setblocking(False)
                    with suppress(Exception):  # the other side broke off, as most do in the end
                        reply(connection)

            acceptor = threading.Thread(target=accept)
            acceptor.start()
            try:
                yield Placed(id=1, incarnation=1, socket=path, description=Description())
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                acceptor.join(5)
                for thread in threads:
                    thread.join(5)
                assert not any(thread.is_alive() for thread in (acceptor, *threads))


def remove(folder: Path) -> None:
    """Remove a folder with everything in it."""
    shutil.rmtree(folder, ignore_errors=True)
