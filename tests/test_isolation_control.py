"""Web workers start, join and survive supervisors, which are real processes here."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from isolation_parts import (
    EVALUATE,
    Place,
    ask,
    eventually,
    place,
    processes_with,
    public_interpreter,
)

from flask_pluginkit.exceptions import RunError, SandboxUnavailable
from flask_pluginkit.isolation import wire
from flask_pluginkit.isolation.client import control as control_module
from flask_pluginkit.isolation.processes import launch, runtime
from flask_pluginkit.isolation.supervision import (
    Done,
    Placed,
    Refused,
    Welcome,
)
from flask_pluginkit.sandbox.limits import NAMES
from flask_pluginkit.version import __version__


@pytest.fixture
def here() -> Iterator[Place]:
    """An application without a supervisor."""
    with place() as made:
        yield made


def supervisor_of(made: Place) -> int:
    """The process id of the supervisor that runs, 0 if none does."""
    found = [
        pid
        for pid in processes_with(str(made.folder))
        if b"\0main\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(found) <= 1
    return found[0] if found else 0


def test_the_first_that_wants_a_plugin_starts_the_supervisor(here: Place) -> None:
    """The others join it; when the last has gone nothing is left."""
    spec = here.plugin(EVALUATE)
    one, other = here.control(), here.control()
    first = one.want(spec)
    supervisor = supervisor_of(here)
    second = other.want(spec)
    assert isinstance(first, Placed)
    assert isinstance(second, Placed)
    assert first.socket == second.socket
    assert supervisor_of(here) == supervisor != 0
    one.close()
    time.sleep(0.5)
    assert ask(second, "return 1") == 1
    other.close()
    assert eventually(lambda: processes_with(str(here.folder)), []) == []


def test_many_at_once_start_one(here: Place) -> None:
    """Whoever is faster; nobody is refused."""
    spec = here.plugin()
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(here.control().want(spec))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(each) for each in found] == [Placed] * 6
    assert len({each.socket for each in found}) == 1
    assert supervisor_of(here)


def test_the_supervisor_belongs_to_no_web_worker(here: Place) -> None:
    """Another session, no descriptor of ours, a clean environment, no folder of the host."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.set_inheritable(True)
        placed = here.control().want(here.plugin(EVALUATE))
        port = server.getsockname()[1]
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))  # nobody keeps it busy
    for pid in processes_with(str(here.folder)):
        assert os.getsid(pid) != os.getsid(0)
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        names = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {entry.partition(b"=")[0].decode() for entry in names if entry} <= NAMES
    path = ask(placed, "return sys.path")
    assert not {str(Path.cwd()), str(Path(__file__).parent), ""} & set(path)
    assert ask(placed, "import flask_pluginkit\nreturn flask_pluginkit.__name__")


def test_a_supervisor_that_is_killed_is_followed_by_another(here: Place) -> None:
    """Its zygote and workers end by themselves, and what it left is swept."""
    control, spec = here.control(), here.plugin(EVALUATE)
    other = here.plugin(EVALUATE, name="other")
    first = control.want(spec)
    control.want(other)
    before = set(processes_with(str(here.folder)))
    assert len(before) == 4
    os.kill(supervisor_of(here), signal.SIGKILL)
    second = control.want(spec)
    assert eventually(lambda: before & set(processes_with(str(here.folder))), set()) == set()
    assert ask(second, "return 1") == 1
    assert isinstance(first, Placed)

    # what else was wanted is wanted again, without being asked for
    def names() -> list[str]:
        found = control.survey()
        assert found is not None
        return sorted(info.plugin for info in found.workers if info.state == "running")

    assert eventually(names, ["hello", "other"]) == ["hello", "other"]


def test_a_zygote_that_is_killed_is_replaced(here: Place) -> None:
    """Its workers die with it, and come again."""
    control, spec = here.control(), here.plugin(EVALUATE)
    placed = control.want(spec)
    zygote = ask(placed, "return os.getppid()")
    os.kill(zygote, signal.SIGKILL)
    assert eventually(lambda: Path(f"/proc/{zygote}").exists(), False) is False
    assert ask(control.want(spec), "return 1") == 1


def test_a_fork_wants_nothing_and_holds_nothing(here: Place) -> None:
    """The child's end isn't the parent's, nor is its connection."""
    control, spec = here.control(), here.plugin()
    placed = control.want(spec)
    if not (child := os.fork()):
        os._exit(0 if control._link is None and not control._wanted else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask(placed, 1) == [1]
    assert control.want(spec) == placed or isinstance(control.want(spec), Placed)


def test_a_survey_starts_nothing(here: Place) -> None:
    """There is nothing to tell."""
    assert here.control().survey() is None
    assert not here.runtime.exists()


def test_sigterm_twice_ends_it_once_and_properly(here: Place) -> None:
    """It leaves no socket, and the web worker's next wish starts another."""
    control, spec = here.control(terminate=0.1), here.plugin()
    control.want(spec)
    first = supervisor_of(here)
    os.kill(first, signal.SIGTERM)
    os.kill(first, signal.SIGTERM)
    assert eventually(lambda: Path(f"/proc/{first}").exists(), False) is False
    assert isinstance(control.want(spec), Placed)
    assert supervisor_of(here) != first


def test_a_supervisor_that_can_not_be_started_says_why(here: Place) -> None:
    """With what its interpreter said."""
    with pytest.raises(RunError, match="No module named 'msgspec'"):
        here.control(paths=("/nowhere",), python="/usr/bin/python3").want(here.plugin())
    with pytest.raises(RunError, match=r"can't be started: .*no-such-python"):
        here.control(python=str(here.folder / "no-such-python")).want(here.plugin())


def test_settings_that_can_not_be_used_are_told(here: Place) -> None:
    """By the supervisor, which ends."""
    with pytest.raises(RunError, match="sandbox_uids 'all'"):
        here.control(sandbox_uids="all").want(here.plugin())


def test_another_version_s_supervisor_is_waited_for(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as its own web workers are there, and no longer."""
    control, spec = here.control(), here.plugin()
    control.want(spec)
    first = supervisor_of(here)
    monkeypatch.setattr("flask_pluginkit.isolation.client.link.__version__", "99.0")
    monkeypatch.setattr("flask_pluginkit.isolation.client.control.__version__", "99.0")
    monkeypatch.setattr("flask_pluginkit.isolation.client.control.PATIENCE", 0.5)
    with pytest.raises(RunError, match=r"is of version .* and serves others, and this is 99\.0"):
        here.control().want(spec, 0.0)
    with pytest.raises(RunError, match=r"and this is 99\.0"):
        here.control().survey()
    assert supervisor_of(here) == first


def test_a_folder_that_is_not_private_is_refused(here: Place) -> None:
    """Before anything is started."""
    here.runtime.mkdir(mode=0o755)
    with pytest.raises(SandboxUnavailable, match="has the mode 755"):
        here.control().want(here.plugin())


def test_after_close_the_next_wish_connects_anew(here: Place) -> None:
    """A control that was closed can be used again."""
    control, spec = here.control(), here.plugin()
    control.want(spec)
    control.close()
    assert isinstance(control.want(spec), Placed)


def test_release_and_blame_of_nobody_are_nothing(here: Place) -> None:
    """Where no supervisor was ever needed."""
    control = here.control()
    control.release(here.plugin())
    control.blame("hello", 1, "reason")
    assert supervisor_of(here) == 0


def test_without_a_named_folder_one_is_found_and_removed(here: Place) -> None:
    """All web workers find the same, whatever their environments say."""
    control = here.control(runtime="")
    placed = control.want(here.plugin())
    assert isinstance(placed, Placed)
    folder = Path(placed.socket).parent
    assert runtime.find(Path(here.settings.control)) == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    control.close()
    assert eventually(folder.exists, False) is False
    assert runtime.find(Path(here.settings.control)) is None


# ---- as others -------------------------------------------------------------------------------

SCRIPT = """
import json, sys
settings, folder, paths, package = json.loads(sys.argv[1])
sys.path[:0] = [package, *paths]
from flask_pluginkit.isolation.client.control import Control
from flask_pluginkit.isolation.processes.settings import Settings
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.supervision import (
    Placed,
)
spec = Spec(plugin="hello", level="isolated", folder=folder, module="plugins.hello", digest="1",
            files=1 << 20)
reply = Control(Settings(**settings)).want(spec, 20)
print(json.dumps([isinstance(reply, Placed), getattr(reply, "reason", ""), list(reply.layers)]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TRIED AS ANOTHER USER: only root can be one")
def test_a_plain_user_s_plugins_are_confined_without_users_of_their_own() -> None:
    """From the start by the web worker to the verified worker."""
    with place() as made:
        made.plugin()
        for name in ("control", "run"):
            folder = made.folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, 65534, 65534)
        settings = {
            "control": str(made.folder / "control"),
            "runtime": str(made.folder / "run"),
            "inside": "inner_of_tests",
            "paths": made.settings.paths,
            "grace": 0.2,
        }
        package = str(Path(launch.__file__).parents[3])
        orders = [settings, str(made.folder / "plugins" / "hello"), made.settings.paths, package]
        done = subprocess.run(
            [public_interpreter()["python"], "-I", "-B", "-c", SCRIPT, json.dumps(orders)],
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        is_placed, reason, layers = json.loads(done.stdout)
        assert is_placed, reason
        assert {"Landlock", "seccomp"} <= set(layers)
        assert "own user" not in layers


def test_the_interpreter_is_found_where_a_server_embeds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such servers name themselves as the executable."""
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
    assert Path(launch.interpreter()).name.startswith("python")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="no Python interpreter is found"):
        launch.interpreter()


def test_dependencies_are_never_taken_from_folders_of_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The current folder and those of plugins."""
    folders = launch.dependency_folders()
    assert folders
    assert launch.dependency_folders(forbidden=folders) == ()
    monkeypatch.chdir(folders[0])
    assert folders[0] not in launch.dependency_folders()


# ---- supervisors that misbehave --------------------------------------------------------------


@contextmanager
def supervisor(made: Place, *replies: Any) -> Iterator[None]:
    """What stands for one: answers a connection's messages with these, then with silence."""
    folder = runtime.private(made.runtime)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / runtime.CONTROL))
        listener.listen()

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.setblocking(False)
                with suppress(wire.WireError):
                    for reply in replies:
                        message = wire.receive(connection, wire.TO_CONTROL, soon())
                        if reply == "end":
                            return
                        number = getattr(message, "id", 0)
                        said = reply(number) if callable(reply) else reply
                        wire.send(connection, wire.encode(said, wire.CONTROL_LIMIT), soon())
                    while True:
                        wire.receive(connection, wire.TO_CONTROL, soon(60))

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        for control in made.controls:
            control.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        assert not thread.is_alive()
    (folder / runtime.CONTROL).unlink()


def soon(seconds: float = 5.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


WELCOME = Welcome(version=__version__, pid=1)


def test_a_supervisor_that_does_not_answer_is_not_waited_for_for_ever(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The web worker goes on without the plugin."""
    monkeypatch.setattr(control_module, "SPARE", 0.1)
    monkeypatch.setattr(control_module, "SHORT", 0.1)
    with supervisor(here, WELCOME), pytest.raises(RunError, match="doesn't answer"):
        here.control().want(here.plugin(), 0.1)
    with supervisor(here, WELCOME), pytest.raises(RunError, match="doesn't tell what runs"):
        here.control().survey()


def test_a_reply_of_another_kind_is_an_error(here: Place) -> None:
    """It is no plugin."""
    with (
        supervisor(here, WELCOME, lambda number: Done(id=number)),
        pytest.raises(RunError, match="the supervisor said Done"),
    ):
        here.control().want(here.plugin())
    with (
        supervisor(here, Done(id=0)),
        pytest.raises(RunError, match="said Done to hello"),
    ):
        here.control().survey()


def test_a_reply_that_nobody_waits_for_is_nobody_s(here: Place) -> None:
    """As that to a wish whose thread lost patience."""
    replies = [WELCOME, lambda _: Done(id=999), lambda number: Refused(id=number, reason="no")]
    with supervisor(here, *replies):
        control = here.control()
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(control.want, here.plugin(name="one"), 0.1)
            time.sleep(0.1)
            second = control.want(here.plugin(name="two"))
            assert isinstance(second, Refused)
            with pytest.raises(RunError):
                first.result()


def test_garbage_of_a_supervisor_ends_the_connection(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another one is looked for as long as there is time."""
    monkeypatch.setattr(control_module, "PATIENCE", 0.2)
    monkeypatch.setattr(control_module, "SPARE", 0.0)
    with (
        supervisor(here, WELCOME, {"type": "unknown"}),
        pytest.raises(RunError, match=r"can't be understood|can be reached"),
    ):
        here.control().want(here.plugin(), 0.2)


def test_a_socket_of_another_kind_is_told(here: Place) -> None:
    """Somebody put it in its place."""
    path = runtime.private(here.runtime) / runtime.CONTROL
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(RunError, match=r"can't be asked.*can't be connected to"):
            here.control().survey()
    path.unlink()


def test_who_waits_for_another_s_start_waits_no_longer_than_it_may(here: Place) -> None:
    """Another process holds the lock, and doesn't come to an end."""
    folder = runtime.private(here.runtime)
    lock = os.open(folder / runtime.STARTING, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with control_module._one_at_a_time(folder, soon(0.1)) as is_alone:
        assert not is_alone
    os.close(lock)
    with control_module._one_at_a_time(folder / "gone", soon()) as is_alone:
        assert not is_alone


def test_a_lock_that_can_not_be_opened_is_told(here: Place) -> None:
    """As when it is a folder."""
    folder = runtime.private(here.runtime)
    (folder / runtime.STARTING).mkdir()
    with pytest.raises(RunError, match="Is a directory"):
        here.control().want(here.plugin())


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TRIED AS ROOT: it takes root")
def test_root_starts_no_supervisor_for_another_user(here: Place) -> None:
    """Nor does it leave anything that this one couldn't use."""
    folder = runtime.private(here.runtime)
    os.chown(folder, 65534, 65534)
    with pytest.raises(RunError, match="only a process of that user can start one"):
        here.control().want(here.plugin())
    assert list(folder.iterdir()) == []


def test_an_interpreter_that_says_nothing_is_not_waited_for_for_ever(here: Place) -> None:
    """The one that was started is ended."""
    import msgspec

    script = here.folder / "python-that-sleeps"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    settings = msgspec.structs.replace(here.settings, python=str(script))
    with pytest.raises(RunError, match="it didn't answer in time"):
        launch.start_supervisor(settings, soon(0.3))
