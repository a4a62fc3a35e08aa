"""An environment of its own for Flask-PluginKit 3.12.1, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

OLD_VERSION: Final = "3.12.1"
SHARED: Final = (
    "flask",
    "werkzeug",
    "jinja2",
    "markupsafe",
    "click",
    "itsdangerous",
    "blinker",
    "semver",
)
"""Distributions that both environments must have in the same version."""


def shared_versions() -> dict[str, str]:
    """The versions of `SHARED` in this environment."""
    found: dict[str, str] = {}
    for name in SHARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def old_python(folder: Path) -> Path:
    """The interpreter of the environment with 3.12.1, which is made below `folder` if missing.

    Raises `subprocess.CalledProcessError` where pip can't install it.
    """
    pins = [f"{name}=={number}" for name, number in shared_versions().items()]
    wanted = "\n".join([sys.version, OLD_VERSION, *pins])
    place = folder / f"{OLD_VERSION}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = place / "complete"
    if complete.exists():
        return python
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="ascii")
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"Flask-PluginKit=={OLD_VERSION}", *pins], check=True)
    check = "import flask_pluginkit as f; print(f.__version__)"
    # isolated: neither the checkout nor PYTHONPATH may stand in for what was installed
    answer = subprocess.run(
        [str(python), "-I", "-c", check], check=True, capture_output=True, text=True
    )
    if answer.stdout.strip() != OLD_VERSION:
        raise RuntimeError(f"the environment of {OLD_VERSION} has {answer.stdout.strip()!r}")
    complete.touch()
    return python
