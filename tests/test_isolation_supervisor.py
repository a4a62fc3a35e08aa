"""The supervisor with real zygotes and workers: what web workers get, what becomes of plugins."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from isolation_parts import (
    EVALUATE,
    Place,
    ask,
    batch,
    eventually,
    place,
    pool_of,
    sharing,
    supervised,
)

from flask_pluginkit.isolation.client.control import Control
from flask_pluginkit.isolation.client.pool import UnreachableError
from flask_pluginkit.isolation.processes import employee, orphans, runtime
from flask_pluginkit.isolation.processes.supervisor import Supervisor
from flask_pluginkit.isolation.supervision import (
    Hello,
    Overview,
    Placed,
    Refused,
    Survey,
    Welcome,
)
from flask_pluginkit.isolation.wire import (
    CONTROL_LIMIT,
    FROM_CONTROL,
    ClosedError,
    WireError,
    encode,
    receive,
    send,
)
from flask_pluginkit.sandbox import system
from flask_pluginkit.version import __version__

OPTIONS: dict[str, Any] = {
    "deaths": 4,
    "window": 60.0,
    "retry_after": 5.0,
    "starting": 3.0,
    "scan": 0.1,
}


@pytest.fixture(scope="module")
def all_here() -> Iterator[Place]:
    """An application with a supervisor in this process, for most of these tests."""
    with place(**OPTIONS, grace=60.0) as made, supervised(made) as supervisor:
        yield made
        supervisor.loop.soon(supervisor.terminate)


@pytest.fixture
def here(all_here: Place) -> Iterator[Place]:
    """A part of it."""
    with sharing(all_here) as part:
        yield part


def survey(made: Place) -> Overview:
    """What is running."""
    found = Control(made.settings).survey()
    assert found is not None
    return found


def states(made: Place) -> dict[str, str]:
    """The states of the workers of this test's plugins."""
    return {
        info.plugin.removeprefix(made.mark): info.state
        for info in survey(made).workers
        if info.plugin.startswith(made.mark)
    }


def test_a_wanted_plugin_runs_in_a_process_of_its_own(here: Place) -> None:
    """It answers, with its description, from another process than this one."""
    placed = here.control().want(here.plugin(EVALUATE))
    assert isinstance(placed, Placed)
    assert placed.description.names == {"answer": 42}
    assert ask(placed, "return os.getpid()") not in (os.getpid(), 0)
    assert placed.layers == ()
    assert "not sandboxed" in placed.notes[0]


def test_the_same_spec_is_one_worker_for_all(here: Place) -> None:
    """Two web workers get the same incarnation."""
    spec = here.plugin()
    one, other = here.control().want(spec), here.control().want(spec)
    assert isinstance(one, Placed)
    assert isinstance(other, Placed)
    assert one.incarnation == other.incarnation


def test_an_import_that_fails_is_told_with_its_traceback(here: Place) -> None:
    """And it isn't tried again until somebody asks for that."""
    spec = here.plugin("raise RuntimeError('no luck')")
    refused = here.control().want(spec)
    assert isinstance(refused, Refused)
    assert refused.reason == "RuntimeError: no luck"
    assert "__init__.py" in refused.traceback
    assert (refused.is_sandbox, refused.retry_after) == (False, 0.0)
    here.plugin()
    assert isinstance(here.control().want(spec), Refused)
    assert isinstance(here.control().want(spec, retry=True), Placed)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(3)", "it ended by itself with exit status 3"),
        ("import os; os.abort()", "it was ended by SIGABRT"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import time; time.sleep(60)", "it wasn't loaded within 3 s"),
    ],
)
def test_a_death_at_import_is_told_with_its_reason(here: Place, body: str, said: str) -> None:
    """Whatever way it takes."""
    refused = here.control().want(here.plugin(body))
    assert isinstance(refused, Refused)
    assert said in refused.reason


def test_what_a_plugin_said_before_it_died_is_told(here: Place) -> None:
    """The last lines of its output stand where a traceback would."""
    body = "import os\nprint('nearly there')\nos._exit(1)"
    refused = here.control().want(here.plugin(body))
    assert isinstance(refused, Refused)
    assert "nearly there" in refused.traceback
    assert f"[{here.mark}hello] nearly there" in here.log()


def test_a_plugin_can_not_pretend_that_the_sandbox_failed(here: Place) -> None:
    """Only before its own code ran that is believed: it must not get itself lowered."""
    body = (
        "from flask_pluginkit.exceptions import Problem, SandboxUnavailable\n"
        "raise SandboxUnavailable(Problem(where='x', what='y', found='z', expected='w'))"
    )
    refused = here.control().want(here.plugin(body))
    assert isinstance(refused, Refused)
    assert not refused.is_sandbox


def test_a_worker_that_died_is_replaced_at_once(here: Place) -> None:
    """The next one has another number and another socket."""
    control, spec = here.control(), here.plugin(EVALUATE)
    first = control.want(spec)
    with pytest.raises(WireError):
        ask(first, "os._exit(1)")
    assert isinstance(first, Placed)
    assert eventually(lambda: Path(first.socket).exists(), False) is False
    second = control.want(spec)
    assert isinstance(second, Placed)
    assert second.incarnation > first.incarnation
    assert second.socket != first.socket
    assert ask(second, "return 1") == 1


def test_who_is_blamed_is_ended_and_followed(here: Place) -> None:
    """Whoever asks afterwards gets the next one, never the one that is about to end."""
    control, spec = here.control(), here.plugin()
    first = control.want(spec)
    assert isinstance(first, Placed)
    control.blame(spec.plugin, first.incarnation, "it lied\x1b[31m")
    second = control.want(spec)
    assert isinstance(second, Placed)
    assert second.incarnation != first.incarnation
    assert "(its worker is gone: it lied)" in here.log()


def test_blame_of_a_worker_that_is_gone_hits_nobody(here: Place) -> None:
    """Nor does a number with another plugin's name."""
    control, spec = here.control(), here.plugin()
    first = control.want(spec)
    assert isinstance(first, Placed)
    control.blame(spec.plugin, first.incarnation + 7, "late")
    control.blame("nobody", first.incarnation, "mistaken")
    again = control.want(spec)
    assert isinstance(again, Placed)
    assert again.incarnation == first.incarnation


def test_a_plugin_that_dies_again_and_again_is_put_off(here: Place) -> None:
    """With the reason and the time; it is tried at once only for whoever asks for that."""
    control, spec = here.control(), here.plugin("import os; os._exit(1)")
    replies = []
    for _ in range(10):
        replies.append(control.want(spec, 3.0))
        time.sleep(0.15)
    last = replies[-1]
    assert isinstance(last, Refused)
    assert "that was death 4 within 60 s" in last.reason
    assert 0 < last.retry_after <= 5.0
    here.plugin()
    assert isinstance(control.want(spec), Refused)
    assert isinstance(control.want(spec, retry=True), Placed)


def test_who_has_no_patience_is_told_that_it_is_being_started(here: Place) -> None:
    """The plugin goes on being started."""
    control, spec = here.control(), here.plugin("import time; time.sleep(0.7)\n" + EVALUATE)
    refused = control.want(spec, 0.1)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("it is still being started")
    assert isinstance(control.want(spec), Placed)


def test_a_slow_start_keeps_nobody_else_waiting(here: Place) -> None:
    """Another thread of the same web worker gets its plugin meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    control = here.control()
    slow = here.plugin("import time; time.sleep(1)\n" + EVALUATE, name="slow")
    quick = here.plugin(name="quick")
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(control.want, slow)
        time.sleep(0.1)
        assert isinstance(control.want(quick), Placed)
        assert not waiting.done()
        assert isinstance(waiting.result(), Placed)


def test_a_released_plugin_ends_after_what_it_began(here: Place) -> None:
    """What runs is finished, nothing new is taken, and the process is gone."""
    from concurrent.futures import ThreadPoolExecutor

    control, spec = here.control(), here.plugin(EVALUATE)
    placed = control.want(spec)
    assert isinstance(placed, Placed)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(ask, placed, "time.sleep(0.8); return 'done'")
        time.sleep(0.1)
        control.release(spec)
        assert eventually(lambda: states(here), {"hello": "draining"}) == {"hello": "draining"}
        with pytest.raises(UnreachableError):
            ask(placed, "return 1")
        assert running.result() == "done"
    assert eventually(lambda: states(here), {}) == {}


def test_what_does_not_end_when_told_to_is_killed(here: Place) -> None:
    """After the time that the settings name."""
    control, spec = here.control(), here.plugin(EVALUATE)
    placed = control.want(spec)
    pool = pool_of(placed)
    connection = pool.begin(batch("time.sleep(60)"), time.monotonic() + 10)
    control.release(spec)
    with pytest.raises(WireError):
        connection.answer(time.monotonic() + 10)
    pool.fail(connection)
    assert eventually(lambda: states(here), {}) == {}


def test_a_new_digest_is_a_worker_beside_the_old_one(here: Place) -> None:
    """Both answer until the old one is released."""
    control = here.control()
    old = control.want(here.plugin("def main(services): return lambda: 'old'"))
    spec = here.plugin("def main(services): return lambda: 'new'", digest="2")
    new = control.want(spec)
    assert (ask(old), ask(new)) == ("old", "new")


def test_wanted_by_nobody_who_lives_a_plugin_ends(here: Place) -> None:
    """A web worker's life is its connection."""
    stays, goes = here.control(), here.control()
    stays.want(here.plugin(name="other"))
    goes.want(here.plugin())
    goes.close()
    wanted = {"other": "running"}
    assert eventually(lambda: states(here), wanted) == wanted


def test_a_survey_tells_what_runs(here: Place) -> None:
    """State, process, user, memory, restarts."""
    control = here.control()
    control.want(here.plugin())
    control.want(here.plugin("1/0", name="broken"))
    found = {info.plugin.removeprefix(here.mark): info for info in survey(here).workers}
    hello, broken = found["hello"], found["broken"]
    assert (hello.state, hello.level, hello.uid) == ("running", "process", os.geteuid())
    assert hello.pid > 0
    assert 0 < hello.memory < 100 << 20
    assert (broken.state, broken.reason) == ("failed", "ZeroDivisionError: division by zero")
    assert survey(here).clients >= 2


def test_children_of_a_plugin_end_with_it(here: Place) -> None:
    """Also those that an unconfined one started in its group."""
    control, spec = here.control(), here.plugin(EVALUATE)
    placed = control.want(spec)
    child = ask(placed, "import subprocess\nreturn subprocess.Popen(['sleep', '60']).pid")
    assert isinstance(placed, Placed)
    control.blame(spec.plugin, placed.incarnation, "test")
    assert eventually(lambda: Path(f"/proc/{child}").exists(), False) is False


def test_all_is_gone_when_the_last_web_worker_is() -> None:
    """Processes, sockets, canaries, and the folder too unless the operator named it."""
    with place() as made, supervised(made):
        placed = made.control().want(made.plugin(EVALUATE))
        pid = ask(placed, "return os.getpid()")
    assert not Path(f"/proc/{pid}").exists()
    assert not made.runtime.exists()  # with everything else of the test


def test_sigterm_gives_web_workers_time_to_go() -> None:
    """Their plugins run on meanwhile; that it is repeated changes nothing."""
    with place(terminate=30.0) as made, supervised(made) as supervisor:
        control = made.control()
        placed = control.want(made.plugin())
        for _ in range(3):
            supervisor.loop.soon(supervisor.terminate)
        time.sleep(0.1)
        assert ask(placed, 1) == [1]


def test_sigterm_ends_it_in_any_case() -> None:
    """After the time in the settings, whoever is still connected."""
    with place(terminate=0.2) as made, supervised(made) as supervisor:
        control = made.control()
        control.want(made.plugin())
        supervisor.loop.soon(supervisor.terminate)
        path = made.runtime / "control.sock"
        assert eventually(path.exists, False) is False


# ---- the control socket ----------------------------------------------------------------------


def connected(made: Place) -> socket.socket:
    """A connection that says nothing yet."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(made.runtime / "control.sock"))
    connection.setblocking(False)
    return connection


def said(connection: socket.socket, message: Any) -> Any:
    """The reply to a message."""
    deadline = time.monotonic() + 5
    send(connection, encode(message, CONTROL_LIMIT), deadline)
    return receive(connection, FROM_CONTROL, deadline)


def test_who_does_not_say_hello_first_is_not_listened_to(here: Place) -> None:
    """The connection is closed."""
    with connected(here) as connection, pytest.raises(ClosedError):
        said(connection, Survey(id=1))


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\0\0\0\x01\xc1", b"\0\0\0\0"])
def test_garbage_closes_the_connection_and_nothing_else(here: Place, garbage: bytes) -> None:
    """Others are served as before."""
    with connected(here) as connection:
        connection.send(garbage)
        assert eventually(lambda: is_closed(connection), True)
    assert isinstance(here.control().want(here.plugin()), Placed)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side closed it."""
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_another_version_is_told_ours_and_waits_while_ours_is_used(here: Place) -> None:
    """Web workers of the old version keep their plugins."""
    control = here.control()
    placed = control.want(here.plugin())
    with connected(here) as connection:
        reply = said(connection, Hello(version="99.0", pid=1))
        assert isinstance(reply, Welcome)
        assert reply.version == __version__
    assert ask(placed, 1) == [1]


def test_another_version_makes_it_end_when_nobody_else_is_there() -> None:
    """So that its own supervisor can be elected."""
    with place(grace=60.0) as made, supervised(made), connected(made) as connection:
        said(connection, Hello(version="99.0", pid=1))
        assert eventually(lambda: is_closed(connection), True)


def test_another_user_is_not_let_in(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who connects, and only the same user and root may."""
    monkeypatch.setattr("flask_pluginkit.isolation.processes.clients.is_ours", lambda _: False)
    with connected(here) as connection:
        assert eventually(lambda: is_closed(connection), True)


# ---- isolated --------------------------------------------------------------------------------


def test_as_a_plain_user_an_isolated_plugin_is_confined_and_verified(here: Place) -> None:
    """With the layers in the reply; as root this takes users of their own."""
    placed = here.control().want(here.plugin(EVALUATE, level="isolated"))
    if os.geteuid() == 0:
        assert isinstance(placed, Refused)
        assert placed.is_sandbox
        assert "sandbox_uids" in placed.reason
        return
    assert isinstance(placed, Placed)
    assert {"Landlock", "seccomp"} <= set(placed.layers)


@pytest.fixture(scope="module")
def all_confined() -> Iterator[Place]:
    """An application that runs as root, with users for its plugins."""
    with place(own_uids=True, scan=0.1, grace=60.0) as made, supervised(made) as supervisor:
        yield made
        supervisor.loop.soon(supervisor.terminate)


@pytest.fixture
def confined_here(all_confined: Place) -> Iterator[Place]:
    """A part of it."""
    with sharing(all_confined) as part:
        yield part


def test_isolated_plugins_have_users_of_their_own(confined_here: Place) -> None:
    """Which they keep, and which are written down."""
    control = confined_here.control()
    one = control.want(confined_here.plugin(EVALUATE))
    other = control.want(confined_here.plugin(EVALUATE, name="other"))
    assert isinstance(one, Placed)
    assert {"Landlock", "seccomp", "own user"} <= set(one.layers)
    uids = {ask(one, "return os.getuid()"), ask(other, "return os.getuid()")}
    assert len(uids) == 2
    assert uids < set(range(30100, 30110))
    written = json.loads((confined_here.folder / "control" / "sandbox-users.json").read_text())
    assert {written[f"{confined_here.mark}{name}"] for name in ("hello", "other")} == uids


def test_a_plugin_s_folder_is_its_own_and_limited(confined_here: Place) -> None:
    """It may fill it up to its quota, by bytes and by number; then it is ended, and refused."""
    control = confined_here.control()
    spec = confined_here.plugin(EVALUATE, files=1 << 20, inodes=20)
    placed = control.want(spec)
    fill = "for i in range(40):\n  open(os.environ['HOME'] + f'/{i}', 'w').close()\ntime.sleep(9)"
    with pytest.raises(WireError):
        ask(placed, fill, seconds=9)
    refused = control.want(spec)
    assert isinstance(refused, Refused)
    assert "holds more than 20 files and folders" in refused.reason
    home = confined_here.folder / "homes" / spec.plugin
    assert home.stat().st_uid in range(30100, 30110)
    for file in home.iterdir():
        file.unlink()
    assert isinstance(control.want(spec, retry=True), Placed)


def test_removed_files_that_are_still_open_count(confined_here: Place) -> None:
    """Where the supervisor can look into the process, as root can."""
    control = confined_here.control()
    spec = confined_here.plugin(EVALUATE, files=1 << 20, inodes=20)
    hide = (
        "kept = []\nfor i in range(3):\n  path = os.environ['HOME'] + '/x'\n"
        "  kept.append(open(path, 'wb'))\n  kept[-1].write(b'x' * 600_000)\n"
        "  kept[-1].flush()\n  os.unlink(path)\ntime.sleep(9)"
    )
    with pytest.raises(WireError):
        ask(control.want(spec), hide, seconds=9)
    said = "bytes, and may hold 1048576"
    assert eventually(lambda: said in confined_here.log(), True)


def test_signals_of_the_parent_reach_no_isolated_worker_s_end(confined_here: Place) -> None:
    """A worker that blocks every signal still ends at once when it is blamed."""
    control, spec = confined_here.control(), confined_here.plugin(EVALUATE)
    placed = control.want(spec)
    assert isinstance(placed, Placed)
    block = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nreturn 1"
    assert ask(placed, block) == 1
    control.blame(spec.plugin, placed.incarnation, "test")
    follower = control.want(spec)
    assert isinstance(follower, Placed)
    assert follower.incarnation > placed.incarnation


# ---- plugins that misuse their channel -------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("os.write(services.fileno(), b'\\xff' * 8)", "a frame of 4294967295 bytes"),
        ("services.tell(supervision.Enclosed())", "it said Enclosed at the wrong time"),
    ],
)
def test_who_misuses_its_channel_is_ended(here: Place, act: str, said: str) -> None:
    """And the reason is told."""
    body = (
        "import os, time\nfrom flask_pluginkit.isolation import messages, supervision\n"
        f"def main(services):\n    {act}\n    time.sleep(60)"
    )
    refused = here.control().want(here.plugin(body))
    assert isinstance(refused, Refused)
    assert said in refused.reason


def test_a_flood_of_questions_hurts_nobody_else(here: Place) -> None:
    """Its asker waits, and others are answered as before."""
    body = (
        "from flask_pluginkit.isolation import messages, supervision\n"
        "import threading\n"
        "def flood(services):\n"
        "    for number in range(10**9):\n"
        "        services.tell(supervision.Ask(id=number, what='storage.get', args=['x' * 9000]))\n"
        "def main(services):\n"
        "    threading.Thread(target=flood, args=(services,), daemon=True).start()\n"
        "    return lambda: 1"
    )
    control = here.control()
    flooding = control.want(here.plugin(body, name="flood"))
    other = control.want(here.plugin())
    assert (ask(flooding), ask(other, 2)) == (1, [2])
    assert control.survey() is not None


def test_a_plugin_without_permissions_is_told_so(here: Place) -> None:
    """What it asks of its host is answered by the services."""
    placed = here.control().want(here.plugin(EVALUATE))
    code = (
        "try:\n  services.ask('storage.get', '', 'key')\n"
        "except PermissionError as error:\n  return str(error)"
    )
    assert "storage" in ask(placed, code)


# ---- what can't be started -------------------------------------------------------------------


def test_an_interpreter_that_is_missing_is_told_to_whoever_wants_a_plugin() -> None:
    """The supervisor itself goes on."""
    with place(python="/nowhere/python3") as made, supervised(made):
        refused = made.control().want(made.plugin())
        assert isinstance(refused, Refused)
        assert "/nowhere/python3" in refused.reason
        assert states(made) == {"hello": "failed"}


def test_a_folder_for_files_that_can_not_be_made_is_told(here: Place) -> None:
    """With the path."""
    spec = here.plugin(files=1 << 20)
    (here.folder / "homes").mkdir(exist_ok=True)
    (here.folder / "homes" / spec.plugin).touch()
    refused = here.control().want(spec)
    assert isinstance(refused, Refused)
    assert spec.plugin in refused.reason
    assert "is a link or a file" in refused.reason


def test_what_detached_itself_ends_with_the_supervisor() -> None:
    """A subreaper is the parent of what outlived its parents, and ends it."""
    if not (child := os.fork()):
        status = 1
        try:
            system.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
            detached = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo $!"], stdout=-1)
            assert detached.stdout is not None
            grandchild = int(detached.stdout.readline())
            detached.wait()
            orphans.reap(0)
            was_there = grandchild in orphans.children()
            orphans.end()
            status = 0 if was_there and not orphans.children() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_plugin_that_was_put_off_is_tried_again_by_itself() -> None:
    """After the time that it was put off for, as long as somebody wants it."""
    with place(deaths=1, retry_after=0.3) as made, supervised(made):
        control, spec = made.control(), made.plugin("import os; os._exit(1)")
        refused = control.want(spec)
        assert isinstance(refused, Refused)
        assert 0 < refused.retry_after <= 0.3
        made.plugin()
        assert eventually(lambda: states(made), {"hello": "running"}) == {"hello": "running"}


def test_a_full_system_lets_web_workers_in_when_there_is_room_again() -> None:
    """Without running in circles meanwhile."""
    with place(grace=60.0) as made, supervised(made) as supervisor:
        reception = supervisor._reception
        real = reception._listener

        class Full:
            """A listener without descriptors to give."""

            def accept(self) -> Any:
                reception._listener = real
                raise OSError(24, "Too many open files")

            def fileno(self) -> int:
                return real.fileno()

        reception._listener = Full()  # type: ignore[assignment]
        control = made.control()
        assert isinstance(control.want(made.plugin()), Placed)
        supervisor.loop.soon(supervisor.terminate)


def test_a_supervisor_that_can_not_listen_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even its canaries."""
    with place() as made:
        (runtime.private(made.runtime) / runtime.CONTROL).mkdir()
        with pytest.raises(OSError, match="in use"):
            Supervisor(made.settings).loop.close()
        (made.runtime / runtime.CONTROL).rmdir()


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    """A survey may come between its end and our hearing of it."""
    assert (employee._memory(2**22 - 1), employee._user(2**22 - 1)) == (0, -1)
    assert employee._memory(0) == 0
