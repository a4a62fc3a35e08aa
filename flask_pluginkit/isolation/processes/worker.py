"""The fork that becomes a plugin: confined and verified first, then it imports and serves it."""

from __future__ import annotations

import importlib
import io
import os
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, Final, NoReturn

from flask_pluginkit.exceptions import PluginError, SandboxUnavailable
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.supervision import (
    Enclosed,
    Ready,
    Unfit,
)
from flask_pluginkit.isolation.wire import WireError, receive
from flask_pluginkit.sandbox import identity, limits, places
from flask_pluginkit.sandbox.confine import confine
from flask_pluginkit.sandbox.policy import Policy
from flask_pluginkit.sandbox.verification import verify
from flask_pluginkit.text import clean

from .channel import Channel
from .orders import ASSIGNMENT, Assignment

LONGEST_REASON: Final = 4_000
LONGEST_TRACEBACK: Final = 20_000

MOST_DRAIN: Final = 3600.0
"""What runs is waited for that long; the supervisor names a shorter time with its `Stop`."""

_DESCRIPTORS: Final = 128
"""Open files and connections, and threads, beside those that run the plugin's code."""


def preload(inside: str) -> None:
    """Import what every worker needs, before any is forked."""
    for name in ("flask", "msgspec", "logging.config", "json", "uuid", "html", "secrets"):
        importlib.import_module(name)
    for name in ("plugin", "serving"):
        importlib.import_module(f"{inside}.{name}")
    prepare = getattr(importlib.import_module(f"{inside}.plugin"), "prepare", None)
    if prepare is not None:
        prepare()


def main(listener: int, channel: int, log: int) -> NoReturn:
    """Become the plugin that the supervisor names on the channel; never returns.

    Descriptor 0 is /dev/null already; the log takes 1 and 2.
    """
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout = _text(1)
    sys.stderr = _text(2)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    connection = socket.socket(fileno=channel)
    connection.setblocking(False)
    try:
        assignment = receive(connection, ASSIGNMENT, time.monotonic() + 10.0)
    except WireError:
        os._exit(0)  # the supervisor thought better of it
    status = _run(assignment, socket.socket(fileno=listener), Channel(connection))
    sys.stdout.flush()
    os._exit(status)


def _run(assignment: Assignment, listener: socket.socket, channel: Channel) -> int:
    """Run the plugin until it is told to stop; returns the exit status."""
    spec = assignment.spec
    stop = Stopping()
    try:
        inside = assignment.inside
        plugin = importlib.import_module(f"{inside}.plugin")
        if (look := getattr(plugin, "look", None)) is not None:
            look(spec)  # first: the plugin may not be able to read all of its folder
        channel.tell(_enclosed(assignment, {listener.fileno(), channel.fileno()}))
        # the first thread: Landlock confines what was there before it
        channel.listen(stop)
        inner = plugin.load(spec, channel)
        channel.tell(Ready(description=inner.description))
    except BaseException as error:  # noqa: BLE001 - exits of plugins are faults like any other
        channel.tell(_unfit(spec, error))
        return 1
    serve = importlib.import_module(f"{inside}.serving").serve
    serve(listener, inner, stop=stop, threads=spec.concurrency, seconds=MOST_DRAIN)
    return 0


class Stopping:
    """Is called when the worker is to finish, and gives it so many seconds."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self, seconds: float) -> None:
        """Let the worker end what runs; after `seconds` it ends whatever runs."""
        self._event.set()
        timer = threading.Timer(seconds, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def wait(self) -> None:
        """Return when the worker is to take nothing new and end."""
        self._event.wait()


def _enclosed(assignment: Assignment, kept: set[int]) -> Enclosed:
    """Confine this process as its level says. Raises SandboxUnavailable."""
    if assignment.spec.level == "process":
        _alone(assignment, kept)
        return Enclosed(notes=("not sandboxed: it can do whatever the application can",))
    if assignment.identity is not None:
        # while this is still the user that can tell what is in the way
        own = (*places.interpreter(), *assignment.paths)
        identity.require_readable(own, assignment.identity)
    report = verify(confine(_policy(assignment, kept))).report
    return Enclosed(layers=tuple(str(layer) for layer in report.layers), notes=report.notes)


def _policy(assignment: Assignment, kept: set[int]) -> Policy:
    spec = assignment.spec
    size = {"file_size": spec.files} if spec.files else {}
    return Policy(
        plugin=spec.plugin,
        code=spec.folder,
        parent=assignment.zygote,
        canaries=assignment.canaries,
        data=assignment.home,
        readable=(*assignment.paths, *spec.readable, *_certificates(spec)),
        identity=assignment.identity,
        descriptors=frozenset(kept),
        limits=limits.Limits(
            address_space=spec.address_space,
            data=spec.data,
            descriptors=_DESCRIPTORS + 2 * spec.concurrency,
            tasks=_DESCRIPTORS + 2 * spec.concurrency,
            **size,
        ),
        namespaces=assignment.namespaces,
    )


def _certificates(spec: Spec) -> tuple[str, ...]:
    """Return where systems keep whom they trust, which HTTPS to a granted host needs."""
    if not any(text.startswith("net:") for text in spec.permissions):
        return ()
    return places.existing(
        ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/ssl/cert.pem", "/usr/share/ca-certificates")
    )


def _alone(assignment: Assignment, kept: set[int]) -> None:
    """What a process of its own needs that isn't confined."""
    limits.clean_environment(assignment.home)
    edge = 3
    for descriptor in sorted(kept):
        os.closerange(edge, descriptor)
        edge = descriptor + 1
    os.closerange(edge, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    identity.end_with(assignment.zygote)


def _text(descriptor: int) -> Any:
    """Return a stream for what a plugin prints, line by line."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def _unfit(spec: Spec, error: BaseException) -> Unfit:
    """Return why the plugin can't be run, with everything that its operator needs to know."""
    if isinstance(error, SandboxUnavailable):
        return Unfit(reason=str(error)[:LONGEST_REASON], is_sandbox=True)
    text = clean(error, LONGEST_REASON, multiline=True)
    reason = text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
    frames = "".join(traceback.format_exception(error))
    return Unfit(
        reason=reason or f"{spec.plugin} can't be loaded",
        traceback=clean(frames[-LONGEST_TRACEBACK:], LONGEST_TRACEBACK, multiline=True),
    )
