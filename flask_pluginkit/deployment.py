"""What a deployment says beside the options: safe mode, and where what is remembered lies."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from flask import Flask

from .residents import Resident


def is_safe_mode(app: Flask) -> bool:
    """Tell whether the operator wants the application without its plugins."""
    value = app.config.get("PLUGINKIT_SAFE_MODE", os.environ.get("PLUGINKIT_SAFE_MODE", ""))
    return str(value).strip().lower() not in {"", "0", "false", "no", "off", "none"}


def control_folder(app: Flask, state_dir: Path | None, plugins: Path) -> Path:
    """Return `state_dir`, or what stands in for it: a folder of the application's own.

    Applications may share an instance folder, and have plugins of equal names.
    """
    if state_dir is not None:
        return state_dir
    digest = sha256(os.fsencode(plugins.absolute())).hexdigest()[:8]
    name = re.sub(r"\W", "_", app.name)[:40]
    return Path(app.instance_path) / "pluginkit" / f"{name}-{digest}"


class Follows(Protocol):
    """What keeps an application in step with the shared state (`following.Follower`)."""

    def on_hint(self) -> None:
        """Bring the snapshot up to the store's hint; raises nothing."""

    def on_context(self) -> None:
        """Do so in a process that serves no requests."""

    def trip(self, resident: Resident, point: str) -> None:
        """Take out a plugin that fails too often."""
