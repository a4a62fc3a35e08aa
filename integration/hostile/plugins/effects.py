"""Views that take what there is to take, or end in the worst way."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from flask import current_app, request, session

KEPT: list[Any] = []


def loop() -> NoReturn:
    """Use a processor for ever."""
    while True:
        pass


def loop_in_thread() -> str:
    """Answer, and go on using a processor."""
    for _ in range(8):
        threading.Thread(target=loop, daemon=True).start()
    return "begun"


def catastrophe() -> str:
    """Hold the interpreter's lock in a regular expression."""
    return str(re.match(r"(a+)+$", "a" * 64 + "b"))


def power() -> str:
    """Hold the interpreter's lock in C."""
    return str(9 ** (9**9) % 7)


def memory_fast() -> str:
    """Take a lot at once."""
    KEPT.append(bytearray(2 << 30))
    return "taken"


def memory_slow() -> str:
    """Take a little at a time, until there is no more."""
    while True:
        KEPT.append(b"x" * (1 << 20))


def threads() -> str:
    """Start threads until there are no more."""
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def own_folder() -> Path:
    """The plugin's own folder."""
    return Path(os.environ.get("TMPDIR") or current_app.instance_path)


def disk() -> NoReturn:
    """Fill the own folder with bytes, in many files."""
    number = 0
    while True:
        number += 1
        with (own_folder() / f"fill{number}").open("wb") as file:
            file.write(b"x" * (512 << 10))


def disk_hidden() -> NoReturn:
    """Fill files that have no name any more."""
    while True:
        path = own_folder() / "hidden"
        file = path.open("wb")
        path.unlink()
        KEPT.append(file)
        file.write(b"x" * (512 << 10))
        file.flush()


def inodes() -> NoReturn:
    """Fill the own folder with nothing."""
    number = 0
    while True:
        number += 1
        (own_folder() / f"empty{number}").touch()


def flood() -> NoReturn:
    """Write to standard output and error."""
    while True:
        os.write(1, b"\x1b[31mflood " * 100 + b"\n")
        os.write(2, b"y" * 4096)


def log_flood() -> str:
    """Log more than anybody reads."""
    for _ in range(20_000):
        logging.getLogger("flood").warning("\x1b[31m%s", "x" * 500)
        current_app.logger.error("\r\nINJECTED: line")
    return "logged"


def descriptors() -> str:
    """Open files until there are no more, and keep them."""
    while True:
        KEPT.append(os.open(os.devnull, os.O_RDONLY))


def stubborn() -> NoReturn:
    """Hear no signal, and never end."""
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    while True:
        time.sleep(1)


def stops() -> str:
    """Stop this process, as a debugger does."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return "continued"


def recursion() -> str:
    """Call oneself."""
    return recursion() + "x"


def deep() -> str:
    """Call oneself with no limit."""
    sys.setrecursionlimit(1 << 30)
    found: Any = None
    for _ in range(2_000_000):
        found = [found]
    return repr(found)


def null() -> str:
    """Read where nothing is."""
    return str(ctypes.string_at(0))


def killed() -> str:
    """End by one's own hand."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def leaves() -> NoReturn:
    """Leave, as if nothing was."""
    sys.exit(3)


class Odd(BaseException):
    """What nobody catches, and can't be shown."""

    def __str__(self) -> str:
        raise Odd

    __repr__ = __str__


def odd() -> NoReturn:
    """Raise it."""
    raise Odd


def lingering() -> Any:
    """Stream, and end in the middle."""
    yield b"begun"
    os._exit(4)


def spoil() -> str:
    """Change what everybody uses, for whoever comes next."""
    import builtins

    vars(builtins)["len"] = lambda _value: 7
    vars(builtins)["isinstance"] = lambda *_args: True
    return "spoilt"


def seen() -> Any:
    """Tell everything that can be read from here: it is looked through for secrets."""
    found = [repr(dict(os.environ)), repr(dict(current_app.config)), repr(dict(session))]
    found += [
        repr(dict(request.headers)),
        repr(dict(request.environ)),
        repr(sys.argv),
        repr(sys.path),
    ]
    places = ["/proc/self/environ", "/proc/self/mem", "/proc/1/environ", "/etc/shadow"]
    for place in [*places, *request.args.getlist("place")]:
        try:
            found.append(f"READ {place}: {Path(place).read_bytes()[:4096]!r}")
        except OSError as error:
            found.append(f"{place}: {type(error).__name__}")
        try:
            found.append(f"LISTED {place}: {sorted(map(str, Path(place).iterdir()))}")
        except OSError as error:
            found.append(f"{place}: {type(error).__name__}")
    for one in gc.get_objects():
        if isinstance(one, dict):
            found.extend(value for value in list(one.values()) if isinstance(value, str))
    return "\n".join(found).encode("utf-8", "replace")[: 1 << 20]


def opened(path: str) -> str:
    """Read a file's beginning."""
    with Path(path).open(encoding="latin-1") as file:
        return file.read(10)


def planted(path: str) -> None:
    """Write a file where others find it."""
    Path(path, "planted").write_text("planted", encoding="utf-8")


def stolen(path: str) -> Path:
    """Move what is another's into the own folder."""
    return Path(path).rename(own_folder() / "stolen")


def linked(path: str) -> None:
    """Make a link to what is another's."""
    (own_folder() / "link").symlink_to(path)


def connected(path: str) -> None:
    """Connect to a socket of others."""
    socket.socket(socket.AF_UNIX).connect(path)


def listed(path: str) -> list[Path]:
    """List a folder."""
    return list(Path(path).iterdir())


def reach() -> str:
    """Try what only the kernel keeps from us; each line tells what came of it."""
    pids = [int(one) for one in request.args.getlist("pid")]
    tries: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    for pid in pids:
        tries += [(opened, (f"/proc/{pid}/{name}",)) for name in ("environ", "mem", "maps")]
        tries += [(listed, (f"/proc/{pid}/{name}/",)) for name in ("fd", "root", "cwd", "task")]
        tries += [(os.kill, (pid, signal.SIGTERM)), (os.pidfd_open, (pid,))]
    for path in request.args.getlist("socket"):
        tries += [(connected, (path,)), (os.unlink, (path,))]
    for path in request.args.getlist("folder"):
        tries += [(attempt, (path,)) for attempt in (listed, planted, stolen, linked)]
    lines = []
    for attempt, given in tries:
        try:
            lines.append(f"GOT {attempt.__name__} {given}: {attempt(*given)!r}")
        except OSError as error:
            lines.append(f"{attempt.__name__} {given}: {type(error).__name__}")
    return "\n".join(lines)


def others_values() -> Any:
    """Ask for the values of others, by every name that could lead there."""
    from flask_pluginkit import LocalStorage

    found = []
    for index in ("flask_pluginkit_dat", "neighbour", "../neighbour", "", "\0", "/etc/passwd"):
        for key in ("treasure", "neighbour:treasure", "../neighbour", "a\0b", "*"):
            try:
                storage = LocalStorage(index or None)
                found.append(f"{index!r} {key!r}: {storage.get(key)!r} {storage.list!r}")
            except Exception as error:  # noqa: BLE001 - whatever it is
                found.append(f"{index!r} {key!r}: {type(error).__name__}")
    return "\n".join(found)


VIEWS: dict[str, Callable[[], Any]] = {
    "loop": loop,
    "loopthread": loop_in_thread,
    "catastrophe": catastrophe,
    "power": power,
    "memoryfast": memory_fast,
    "memoryslow": memory_slow,
    "threads": threads,
    "disk": disk,
    "diskhidden": disk_hidden,
    "inodes": inodes,
    "flood": flood,
    "logflood": log_flood,
    "descriptors": descriptors,
    "stubborn": stubborn,
    "stops": stops,
    "recursion": recursion,
    "deep": deep,
    "null": null,
    "abort": os.abort,
    "exit": lambda: os._exit(0),
    "sysexit": leaves,
    "killed": killed,
    "odd": odd,
    "lingering": lingering,
    "spoil": spoil,
    "seen": seen,
    "reach": reach,
    "othersvalues": others_values,
}
