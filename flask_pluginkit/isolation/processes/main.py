"""The program that is the supervisor: settings on standard input, one answer on output."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

from flask_pluginkit.exceptions import PluginError

from . import runtime
from .launch import TAKEN
from .logs import LogFile
from .settings import Settings, read
from .supervisor import Supervisor

_PR_SET_CHILD_SUBREAPER: Final = 36

_log = logging.getLogger(__name__)


def main() -> NoReturn:
    """Detach, win the election, serve; never returns."""
    settings = read(sys.stdin.buffer.read())
    if os.fork():
        os._exit(0)  # what started us waits for no one else
    os.umask(0o022)  # what is private is made so
    office = None
    try:
        office = runtime.elect(Path(settings.runtime))
        if office is None:
            _answer({TAKEN: True})
            os._exit(0)
        _subreap()
        _raise_limit()
        supervisor = Supervisor(settings)
    except (PluginError, OSError, ValueError) as error:
        if office is not None:
            folder, control = Path(settings.runtime), Path(settings.control)
            runtime.leave(folder, control, is_named=settings.is_named)
        _answer({"problem": f"{type(error).__name__}: {error}"})
        os._exit(1)
    _log_to(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.loop.soon(supervisor.terminate))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _answer({"ready": os.getpid()})
    _detach()
    status = 0
    try:
        supervisor.run()
    except BaseException:  # noqa: BLE001 - nobody else would tell of it
        _log.exception("the supervisor failed")
        status = 1
    finally:
        # threads that wait for slow hosts are nobody's concern any more
        os._exit(status)


def _answer(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def _detach() -> None:
    """Give back what the one that started us reads from."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _subreap() -> None:
    """Be the parent of what unconfined plugins leave behind, so that it can be ended."""
    from flask_pluginkit.sandbox import system

    system.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _raise_limit() -> None:
    """Take as many descriptors as there may be: each worker needs four."""
    import resource  # only Unix has it

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _log_to(settings: Settings) -> None:
    """Let what goes wrong here stand in the same file as what plugins write."""
    file = LogFile(Path(settings.control), settings.log_size)

    class ToFile(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for line in self.format(record).splitlines():
                file.write("supervisor", line)

    logging.getLogger("flask_pluginkit").addHandler(ToFile())
