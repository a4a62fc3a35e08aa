"""A process that stands in for what forks workers: it forks, confines, and watches each fork.

Run as a script by the interpreter that is to be confined, with its orders as JSON on standard
input; prints what became of each task as a line of JSON. The package must be importable from
the folder that the orders name. Imports nothing of the package before that.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

LONGEST_ANSWER = 1_000_000


def main() -> None:
    """Run every task of the orders."""
    orders = {**json.load(sys.stdin), "parent": os.getpid()}
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    sys.path.insert(0, orders["package"])
    from flask_pluginkit.sandbox import canaries, confine, verification  # noqa: F401

    confine.prepare()

    with ExitStack() as stack:
        planted = stack.enter_context(canaries.planted(Path(orders["canaries"])))
        bait = stack.enter_context(baited(planted.file))
        stack.enter_context(linked(Path(orders["code"], "link"), planted.file))
        for task in orders["tasks"]:
            run = trial if task == "host:namespaces" else watched
            sys.stdout.write(json.dumps(run(orders, task, planted, bait)) + "\n")
            sys.stdout.flush()


def policy_for(orders: dict[str, Any], planted: Any, kept: int) -> Any:
    """The policy that the orders describe."""
    from flask_pluginkit.sandbox.identity import Identity
    from flask_pluginkit.sandbox.limits import Limits
    from flask_pluginkit.sandbox.policy import Policy

    uid = orders.get("uid")
    return Policy(
        plugin="hostile",
        code=orders["code"],
        data=orders.get("data"),
        parent=orders["parent"],
        canaries=planted,
        identity=None if uid is None else Identity(uid=uid, gid=uid),
        descriptors=frozenset({kept}),
        limits=Limits(**orders.get("limits", {})),
        namespaces=orders.get("namespaces", False),
    )


def trial(orders: dict[str, Any], _task: str, planted: Any, _bait: object) -> Any:
    """Whether this machine permits namespaces."""
    from flask_pluginkit.sandbox.confine import namespaces_permitted

    return {"permitted": namespaces_permitted(policy_for(orders, planted, 0))}


def watched(orders: dict[str, Any], task: str, planted: Any, bait: dict[str, Any]) -> Any:
    """Run one task in a confined fork and tell what became of it and of ourselves."""
    before = own_state(planted)
    reading, writing = os.pipe()
    start = time.perf_counter()
    if not (child := os.fork()):
        os.close(reading)
        confined(orders, task, planted, bait, writing)
    os.close(writing)
    with closing(os.fdopen(reading, "rb")) as answer:
        ended = followed(child, reading, orders.get("deadline", 10.0))
        text = answer.read(LONGEST_ANSWER) if ended["readable"] else b""
    seen = {**ended, "seconds": time.perf_counter() - start, "task": task}
    after = own_state(planted)
    seen["host"] = [key for key in before if before[key] != after[key]] + bait["arrived"]()
    return {**seen, **(json.loads(text) if text else {})}


def followed(child: int, reading: int, deadline: float) -> dict[str, Any]:
    """Wait for the end of a child, and end it by its handle when it takes too long."""
    handle = os.pidfd_open(child)
    try:
        late = not select.select([handle], [], [], deadline)[0]
        if late:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(handle)
    readable = bool(select.select([reading], [], [], 0)[0])
    code = os.waitstatus_to_exitcode(status)
    by = signal.Signals(-code).name if code < 0 else None
    return {"late": late, "signal": by, "code": code, "readable": readable}


def confined(
    orders: dict[str, Any], task: str, planted: Any, bait: dict[str, Any], writing: int
) -> None:
    """Confine this process, verify, run the task, and never return."""
    status = 1
    try:
        answer = attempt(orders, task, planted, bait, writing)
        os.write(writing, json.dumps(answer).encode()[:60_000])
        status = 0
    except BaseException:  # noqa: BLE001 - it ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(status)


def attempt(
    orders: dict[str, Any], task: str, planted: Any, bait: dict[str, Any], writing: int
) -> dict[str, Any]:
    """What the task returned or raised, with figures."""
    from flask_pluginkit.exceptions import SandboxUnavailable
    from flask_pluginkit.sandbox.confine import confine
    from flask_pluginkit.sandbox.kernel import Kernel, detect
    from flask_pluginkit.sandbox.verification import verify

    offered = dataclasses.replace(detect(), **orders.get("kernel", {}))
    start = time.perf_counter()
    try:
        if orders.get("threads"):
            import threading

            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        assert isinstance(offered, Kernel)
        report = confine(policy_for(orders, planted, writing), kernel=offered)
        middle = time.perf_counter()
        verified = verify(report)
    except SandboxUnavailable as error:
        return {"unavailable": str(error)}
    figures = {"confine": middle - start, "verify": time.perf_counter() - middle}
    sys.path.insert(0, orders["code"])
    module, _, name = task.partition(":")
    facts = {key: value for key, value in bait.items() if not callable(value)}
    context = {"canaries": dataclasses.asdict(planted), "data": orders.get("data"), **facts}
    context["report"], context["verified"] = report, verified
    context["code"] = orders["code"]
    # only now: its code is the plugin's
    function = getattr(importlib.import_module(module), name)
    try:
        return {"figures": figures, "worked": function(context)}
    except OSError as error:
        by = errno.errorcode.get(error.errno or 0, type(error).__name__)
        return {"figures": figures, "stopped": by}
    except BaseException as error:  # noqa: BLE001 - whatever stopped it is the answer
        return {"figures": figures, "stopped": type(error).__name__, "detail": str(error)[:200]}


def own_state(planted: Any) -> dict[str, Any]:
    """What an attack could change about us and ours."""
    import resource

    file = Path(planted.file)
    found = file.stat()
    return {
        "canary": file.read_text(),
        "canary's inode": (found.st_mode, found.st_uid, found.st_mtime_ns, found.st_nlink),
        "canaries' folder": sorted(map(str, Path(planted.folder).iterdir())),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "affinity": sorted(os.sched_getaffinity(0)),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        "signals": SIGNALS.copy(),
        "session": (os.getsid(0), os.getpgid(0)),
    }


SIGNALS: list[int] = []


@contextmanager
def baited(canary: str) -> Iterator[dict[str, Any]]:
    """Sockets to reach, descriptors left open, a handler for signals: what attacks aim at."""
    for number in (signal.SIGUSR1, signal.SIGIO, signal.SIGTERM):
        signal.signal(number, lambda got, _frame: SIGNALS.append(got))
    abstract = f"\0pluginkit-bait-{os.getpid()}"
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for kind in (1, 2)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        listeners[0].listen()
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(abstract)
        named.listen()
        sockets = [*listeners, named]
        left = [stack.enter_context(open(canary, encoding="utf-8")).fileno()]  # noqa: PTH123
        left.append(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
        stack.callback(os.close, left[1])

        def arrived() -> list[str]:
            ready = select.select(sockets, [], [], 0)[0]
            return [f"something arrived at {one.getsockname()!r}" for one in ready]

        yield {
            "tcp": listeners[0].getsockname()[1],
            "udp": listeners[1].getsockname()[1],
            "abstract": abstract,
            "left": left,
            "arrived": arrived,
        }


@contextmanager
def linked(link: Path, target: str) -> Iterator[None]:
    """A link in the plugin's code that leads out of it, as an archive can bring one."""
    link.unlink(missing_ok=True)  # of a host that was killed
    link.symlink_to(target)
    yield
    link.unlink()


if __name__ == "__main__":
    main()
