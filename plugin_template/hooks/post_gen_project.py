"""After the project was made: take away what nobody asked for.

`flask plugins new` calls `tidy` itself; plain cookiecutter runs this file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

NEEDS = {
    "src/pluginkit_plugins/*/templates/index.html": {"views"},
    "src/pluginkit_plugins/*/templates/nav.html": {"tep"},
    "src/pluginkit_plugins/*/static/page.css": {"static", "views"},
    "src/pluginkit_plugins/*/static": {"static"},
}
"""Patterns of files and folders, each with the options that it needs all of."""


def tidy(project: Path, chosen: Collection[str]) -> None:
    """Remove from the folder `project` what needs an option that isn't `chosen`."""
    unwanted = [pattern for pattern, needed in NEEDS.items() if not needed.issubset(chosen)]
    # bytecode, which pip makes of whatever is Python in a wheel, was copied, too
    for path in [*matching(project, unwanted), *project.rglob("__pycache__")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for folder in matching(project, ["src/pluginkit_plugins/*/templates"]):
        if not any(folder.iterdir()):
            folder.rmdir()


def matching(project: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the paths below `project` that match any of the patterns."""
    return [path for pattern in patterns for path in project.glob(pattern)]


if __name__ == "__main__":
    answers = json.loads({{cookiecutter | tojson | tojson}})
    tidy(Path.cwd(), {option for option, answer in answers.items() if answer is True})
