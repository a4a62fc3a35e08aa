"""Processes that confine themselves for real, as root with an own user and as a plain user."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confined import NOBODY, OWN, OWN_UID, PLAIN, USERS, Ground, ground

TASKS = """
import os, resource, sys, tempfile, threading, time

def told(it):
    report, verified = it["report"], it["verified"]
    return {
        "layers": [layer.name for layer in report.layers], "abi": report.landlock_abi,
        "uid": [os.getuid(), report.uid, os.getgid()], "groups": os.getgroups(),
        "namespaces": report.namespaces, "notes": report.notes, "needs": verified.needs,
        "probes": {outcome.probe: outcome.by for outcome in verified.outcomes},
    }

def surroundings(it):
    limits = {name: resource.getrlimit(getattr(resource, name))
              for name in ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_FSIZE",
                           "RLIMIT_CORE", "RLIMIT_NPROC")}
    return {"environment": dict(os.environ), "limits": limits, "folder": os.getcwd(),
            "umask": os.umask(0o077), "stack": threading.stack_size(),
            "temporary": tempfile.gettempdir() if it["data"] else None}

def write(it):
    with open(it["data"] + "/pid", "w") as file:
        file.write(str(os.getpid()))
    os.rename(it["data"] + "/pid", it["data"] + "/written")
    time.sleep(60)

def no_temporary_files(it):
    tempfile.gettempdir()

def dont_answer(it):
    time.sleep(60)

def ignore_signals(it):
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    time.sleep(60)

def fails_in_thread(it):
    found = []
    def run():
        try:
            os.fork()
        except OSError as error:
            found.append(error.errno)
        try:
            open(it["canaries"]["file"])
        except OSError as error:
            found.append(error.errno)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found
"""


@pytest.fixture(scope="module", params=USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Where to run confined processes, as one kind of user."""
    with ground(request.param, {"tasks": TASKS}) as found:
        yield found


@pytest.fixture(scope="module")
def told(place: Ground) -> dict[str, Any]:
    """What a confined process reports of itself."""
    (answer,) = place.run(["tasks:told"])
    found: dict[str, Any] = answer["worked"]
    return found


def refused(place: Ground, **orders: Any) -> str:
    """What is said where confining is refused."""
    (answer,) = place.run(["tasks:told"], **orders)
    return str(answer["unavailable"])


def test_every_layer_stands(place: Ground, told: dict[str, Any]) -> None:
    """In the one order that works."""
    own = ["IDENTITY"] if place.user == OWN else []
    assert told["layers"] == [
        "ENVIRONMENT",
        "DESCRIPTORS",
        *own,
        "CAPABILITIES",
        "NO_NEW_PRIVILEGES",
        "PARENT",
        "LIMITS",
        "LANDLOCK",
        "SECCOMP",
    ]


def test_it_runs_as_the_user_that_it_should(place: Ground, told: dict[str, Any]) -> None:
    """Root becomes an own user without groups, a plain user stays who it is, and that is noted."""
    plain = NOBODY if os.geteuid() == 0 else os.geteuid()
    uid = OWN_UID if place.user == OWN else plain
    assert told["uid"][:2] == [uid, uid]
    if place.user == OWN:
        assert (told["groups"], told["notes"]) == ([], [])
    else:
        assert f"it shares the user {uid} with the application" in told["notes"]


def test_files_are_landlocks_and_the_rest_the_filters(told: dict[str, Any]) -> None:
    """Each layer stops what it is there for."""
    assert told["probes"]["read a file"] == "EACCES"
    assert told["probes"]["TCP"] == told["probes"]["fork"] == "EPERM"
    assert told["probes"]["clone3"] == "ENOSYS"


def test_the_environment_and_the_limits_are_as_ordered(place: Ground) -> None:
    """Both soft and hard ones."""
    (answer,) = place.run(["tasks:surroundings"], limits={"address_space": 2**29})
    found = answer["worked"]
    assert found["environment"]["HOME"] == found["temporary"] == str(place.data)
    assert "PYTHONPATH" not in found["environment"]
    assert found["limits"]["RLIMIT_AS"] == [2**29, 2**29]
    assert found["limits"]["RLIMIT_CORE"] == [0, 0]
    assert found["limits"]["RLIMIT_NOFILE"] == [64, 64]
    assert (found["limits"]["RLIMIT_NPROC"] == [64, 64]) == (place.user == OWN)
    assert (found["folder"], found["umask"], found["stack"]) == ("/", 0o077, 512 * 1024)


def test_without_a_folder_there_are_no_temporary_files(place: Ground) -> None:
    """And what would need one isn't a need."""
    told, tried = place.run(["tasks:told", "tasks:no_temporary_files"], data=None)
    assert "start a thread" in told["worked"]["needs"]
    assert "a database in the own folder" not in told["worked"]["needs"]
    assert tried["stopped"] == "ENOENT"


def test_threads_that_start_later_are_confined_too(place: Ground) -> None:
    """Landlock and the filter are handed down."""
    (answer,) = place.run(["tasks:fails_in_thread"])
    assert answer["worked"] == [1, 13]


@pytest.mark.parametrize("abi", [0, 1, 2])
def test_an_older_landlock_is_refused(abi: int, place: Ground) -> None:
    """Before anything else is done."""
    found = f"ABI {abi}" if abi else "none"
    assert f"Landlock: found {found}, expected ABI 3" in refused(place, kernel={"landlock": abi})


def test_a_kernel_without_filters_is_refused(place: Ground) -> None:
    """Landlock alone lets through what a host can't bear."""
    assert "seccomp: found no filters" in refused(place, kernel={"seccomp": False})


@pytest.mark.parametrize("abi", [3, 4, 5])
def test_the_oldest_landlock_that_will_do_passes_all_probes(abi: int, place: Ground) -> None:
    """As on Linux 6.2; the filter stands where it has no rights for the network."""
    (answer,) = place.run(["tasks:told"], kernel={"landlock": abi})
    assert answer["worked"]["abi"] == abi


def test_a_second_thread_is_refused(place: Ground) -> None:
    """It would stay unconfined."""
    assert "threads: found 2 of them run already" in refused(place, threads=1)


def test_an_environment_of_the_hosts_is_refused(place: Ground) -> None:
    """It stays in memory, whatever becomes of the variables."""
    with place.start(["tasks:told"], extra={"SECRET_KEY": "s3cret"}) as host:
        out, _ = host.communicate(timeout=60)
    found = json.loads(out)["unavailable"]
    assert "environment: found started with SECRET_KEY" in found
    assert "s3cret" not in found


def test_a_limit_that_is_too_low_is_refused_and_not_left_to_the_first_request(
    place: Ground,
) -> None:
    """The needs find out; where it is too low for even them, Python says so."""
    (answer,) = place.run(["tasks:told"], limits={"descriptors": 5})
    assert "limits that are too low" in answer["unavailable"]


def test_in_namespaces_the_hosts_paths_are_gone(place: Ground) -> None:
    """Where the system permits them; never required."""
    (trial,) = place.run(["host:namespaces"])
    if not trial["permitted"]:
        pytest.skip("IN NAMESPACES NOTHING WAS TRIED: this machine refuses them")
    (answer,) = place.run(["tasks:told"], namespaces=True)
    found = answer["worked"]
    assert found["namespaces"] == ["user", "mount", "net", "ipc"]
    assert found["probes"]["look at a file"] == "ENOENT"
    assert "NAMESPACES" in found["layers"]


@pytest.mark.parametrize("task", ["tasks:dont_answer", "tasks:ignore_signals"])
def test_a_process_that_never_answers_ends_by_its_handle(task: str, place: Ground) -> None:
    """Blocking every signal doesn't help."""
    (answer,) = place.run([task], deadline=1.0)
    assert answer["late"]
    assert answer["signal"] == "SIGKILL"


def test_it_ends_with_its_parent(place: Ground) -> None:
    """Killed outright, a parent can't end its children itself."""
    written = place.data / "written"
    with place.start(["tasks:write"], deadline=50) as host:
        try:
            deadline = time.monotonic() + 20
            while not written.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            handle = os.pidfd_open(int(written.read_text(encoding="ascii")))
        finally:
            host.kill()
            written.unlink(missing_ok=True)
    with closing(os.fdopen(handle, "rb", buffering=0)):
        gone = bool(select.select([handle], [], [], 5)[0])
        if not gone:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    assert gone


def test_how_long_it_takes(place: Ground, record_property: Callable[[str, object], None]) -> None:
    """A figure for the record; the bound is one that only a stalled machine misses."""
    answers = place.run(["tasks:told"] * 9)
    times = sorted(sum(answer["figures"].values()) for answer in answers)
    record_property("confine and verify, median of 9, ms", round(times[4] * 1000, 2))
    assert times[4] < 2


def test_as_a_plain_user_the_folder_is_the_users_own() -> None:
    """Then nothing but Landlock keeps it from changing its own code."""
    with ground(PLAIN, {"tasks": TASKS}) as found:
        owner = Path(found.code).stat().st_uid
    assert owner == (NOBODY if os.geteuid() == 0 else os.geteuid())
