"""Real sites with isolated plugins, as root and as a plain user.

The interpreter that runs the tests often lies where only its owner can read it. A plugin's own
user can't then, so these sites run in an environment of their own that everybody can read, made
of the system's interpreter and copies of the packages that are installed here.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import pytest
from servers import free_port, running_gunicorn

import flask_pluginkit

ROOT = "root"
PLAIN = "plain"
USERS = (ROOT, PLAIN)
"""Who the site runs as."""

UIDS = "30500-30699"

PACKAGES = [
    "flask",
    "jinja2",
    "werkzeug",
    "markupsafe",
    "click",
    "blinker",
    "itsdangerous",
    "semver",
    "filelock",
    "msgspec",
    "nh3",
    "gunicorn",
    "packaging",
]

HOST = """
import json, os, threading, time
from flask import Flask, render_template, render_template_string, request
from flask_pluginkit import PluginManager
from flask_pluginkit.live.gate import always_open

app = Flask(__name__)
app.secret_key = "the site's secret"
app.config.from_prefixed_env("SITE")
manager = PluginManager(app, stpl=True, **json.loads(os.environ["OPTIONS"]))

@app.route("/")
def index():
    return "the site"

@app.route("/page")
@app.route("/page1", endpoint="page1")
def page():
    return render_template_string(request.args.get("source", "{{ emit_tep('nav') }}"))

@app.route("/shown/one", endpoint="one")  # which slots a page shows is kept by endpoint
@app.route("/shown/five", endpoint="five")
def shown():
    return render_template(f"{request.endpoint}.html")

@app.route("/state")
@always_open
def state():
    return {
        "pid": os.getpid(),
        "plugins": {
            row.name: [row.status.value, row.reason, row.confinement] for row in manager.plugins
        },
        "faults": {row.name: row.last_fault for row in manager.plugins},
        "processes": [
            {"plugin": one.plugin, "pid": one.pid, "uid": one.uid, "state": one.state,
             "layers": one.layers, "restarts": one.restarts, "reason": one.reason,
             "memory": one.memory, "incarnation": one.incarnation}
            for one in manager.plugin_processes()
        ],
    }

@app.route("/do/<what>/<name>", methods=["POST"])
def do(what, name):
    try:
        if what == "rescan":
            return {"new": manager.rescan()}
        return {"done": repr(getattr(manager, f"{what}_plugin")(name, **request.args))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
"""


@functools.cache
def readable_python() -> str:
    """An interpreter with our packages that every user can read; made once."""
    folder = Path(tempfile.mkdtemp(prefix="pluginkit-readable-", dir="/tmp"))
    folder.chmod(0o755)
    found = shutil.which("python3", path="/usr/bin:/bin")
    assert found is not None, "no python3 of the system's"
    subprocess.run([found, "-m", "venv", "--without-pip", folder / "env"], check=True)
    [site] = (folder / "env/lib").glob("python3*/site-packages")
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert site.parent.name == here, f"{found} is {site.parent.name}, and this is {here}"
    ours = Path(flask_pluginkit.__file__).parent
    shutil.copytree(ours, site / ours.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PACKAGES:
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    _install_commands(site)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return str(folder / "env/bin/python")


def _install_commands(site: Path) -> None:
    """Make ``flask plugins`` known there, as an installed package does."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    info = site / "flask_pluginkit-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Flask-PluginKit\nVersion: 0\n")
    lines = []
    for group, entries in project["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def forget_environment() -> None:
    """Remove what `readable_python` made."""
    if readable_python.cache_info().currsize:
        shutil.rmtree(Path(readable_python()).parents[2], ignore_errors=True)
        readable_python.cache_clear()


@contextmanager
def site_folder(user: str) -> Iterator[Path]:
    """A folder that the site's user owns and that everybody can read, for one site."""
    if os.geteuid() != 0 and user == ROOT:
        pytest.skip("AS ROOT NOTHING WAS TRIED: this isn't root")
    folder = Path(tempfile.mkdtemp(prefix="pluginkit-site-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files of a site, and its host."""
    for name, text in {"site_host.py": HOST, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@contextmanager
def served(
    folder: Path,
    user: str,
    options: str,
    *,
    workers: int = 2,
    threads: int = 4,
    env: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The address of the site in a folder, behind gunicorn; leaves no process behind.

    Args:
        folder: of `site_folder`, with the files of `write`.
        user: `ROOT` or `PLAIN`.
        options: of the `PluginManager`, as JSON.
        workers: gunicorn's worker processes.
        threads: threads of each.
        env: further variables; those that begin with ``SITE_`` are its configuration.

    """
    port = free_port()
    words = ["--workers", str(workers), "--threads", str(threads), "--worker-class", "gthread"]
    with running_site(folder, user, options, port, words, env):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running_site(
    folder: Path,
    user: str,
    options: str,
    port: int,
    words: list[str],
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The gunicorn with these arguments that serves the site; the rest is as for `served`."""
    give_away(folder, user)
    with running_gunicorn(
        folder,
        "site_host:app",
        port,
        words,
        variables(user, options, env),
        python=readable_python(),
        within=as_user(user),
    ) as process:
        yield process


def variables(user: str, options: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a site and of its commands."""
    uids = {"SITE_PLUGINKIT_SANDBOX_UIDS": UIDS} if user == ROOT else {}
    return {
        "PATH": "/usr/bin:/bin",
        "OPTIONS": options,
        "PYTHONDONTWRITEBYTECODE": "1",
        **uids,
        **(env or {}),
    }


def as_user(user: str) -> list[str]:
    """The command that runs another one as a site's user."""
    if user == ROOT or os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def give_away(folder: Path, user: str) -> None:
    """Let a site's user own what is in its folder."""
    if as_user(user):
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
