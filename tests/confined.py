"""Starting processes that confine themselves, as root with a user of its own and as a plain user.

The interpreter that runs the tests often lies where only its owner can read it. Then another
one is taken that everybody can read, which is how it is to be deployed too.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flask_pluginkit
from flask_pluginkit.sandbox import identity, kernel
from flask_pluginkit.sandbox.limits import environment

OWN = "root, dropped to an own uid"
PLAIN = "a plain user"
USERS = (OWN, PLAIN)

NOBODY = 65534
OWN_UID = 30077

_CHECK = "import sqlite3, asyncio, sys; sys.exit(sys.version_info < (3, 11))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A world-readable folder with everything that a confined process needs."""

    python: str
    user: str
    folder: Path

    @property
    def code(self) -> Path:
        return self.folder / "code"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, tasks: Sequence[str], **orders: Any) -> list[dict[str, Any]]:
        """Run tasks (``module:function`` of the code folder), each in a confined process.

        `orders` are those of confined_host.py.
        """
        with self.start(tasks, **orders) as host:
            try:
                out, errors = host.communicate(timeout=120)
            finally:
                host.kill()
        assert host.returncode == 0, errors
        answers = [json.loads(line) for line in out.splitlines()]
        assert len(answers) == len(tasks), errors
        return answers

    def start(
        self, tasks: Sequence[str], *, extra: Mapping[str, str] | None = None, **orders: Any
    ) -> subprocess.Popen[str]:
        """Start the host of confined processes; `extra` goes into its environment."""
        uid = OWN_UID if self.user == OWN else None
        asked = {
            "package": str(self.folder / "package"),
            "canaries": str(self.folder / "canaries"),
            "code": str(self.code),
            "data": str(self.data),
            "uid": uid,
            "tasks": list(tasks),
            **orders,
        }
        host = subprocess.Popen(
            [self.python, "-I", "-B", str(self.folder / "confined_host.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), **(extra or {})},
            cwd="/",
            **_as(self.user),
        )
        assert host.stdin is not None
        host.stdin.write(json.dumps(asked))
        host.stdin.close()
        host.stdin = None
        return host


def require_kernel() -> None:
    """Skip where the kernel can't isolate."""
    if missing := kernel.lacks(kernel.detect()):
        pytest.skip(f"NOTHING WAS CONFINED: {'; '.join(map(str, missing))}")


@contextmanager
def ground(user: str, modules: Mapping[str, str]) -> Iterator[Ground]:
    """A place to run confined processes with these modules as the plugin's code."""
    require_kernel()
    if user == OWN and not identity.can_become_another():
        pytest.skip(f"AS ROOT NOTHING WAS TRIED: uid {os.geteuid()} can't become another user")
    python = _interpreter(os.geteuid() == 0)
    if python is None:
        pytest.skip("NOTHING WAS CONFINED: no interpreter that every user can read")
    with tempfile.TemporaryDirectory(prefix="pk-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _furnish(folder, modules)
        owner = {OWN: OWN_UID, PLAIN: NOBODY}[user]
        if os.geteuid() == 0:
            os.chown(folder / "data", owner, owner)
        if os.geteuid() == 0 and user == PLAIN:
            for place in (folder / "canaries", folder / "code", *(folder / "code").iterdir()):
                os.chown(place, NOBODY, NOBODY)
        yield Ground(python=python, user=user, folder=folder)


def _furnish(folder: Path, modules: Mapping[str, str]) -> None:
    package = Path(flask_pluginkit.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, folder / "package" / package.name, ignore=ignored)
    shutil.copy(Path(__file__).with_name("confined_host.py"), folder)
    for name in ("canaries", "code", "data"):
        (folder / name).mkdir()
    (folder / "data").chmod(0o700)
    for name, text in modules.items():
        (folder / "code" / f"{name}.py").write_text(text, encoding="utf-8")
    for place in folder.rglob("*"):
        if place != folder / "data":
            place.chmod(0o755 if place.is_dir() else 0o644)


@functools.cache
def _interpreter(root: bool) -> str | None:
    """An interpreter that the users of these tests can read."""
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")):
        try:
            done = subprocess.run(
                [python, "-I", "-c", _CHECK],
                check=False,
                env=environment(),
                cwd="/",
                stderr=subprocess.DEVNULL,
                **(_as(PLAIN) if root else {}),
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None


def _as(user: str) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    if user == OWN:
        return {"extra_groups": [0, NOBODY]}  # which are to be gone afterwards
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}
