"""The first code of a fresh interpreter: makes this package importable, and nothing beside it.

Run as a script with ``-I``: ``boot.py NAME RUNTIME FOLDER...``. The folder that this package lies
in may be the host's own, so it doesn't come onto the path: the package is put in place by itself.
"""

from __future__ import annotations

import importlib.util
import os.path
import sys

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))  # noqa: PTH100, PTH118, PTH120


def main(name: str, folders: list[str]) -> None:
    """Run one of the programs, with the dependencies in `folders` behind all others."""
    spec = importlib.util.spec_from_file_location(
        "flask_pluginkit",
        os.path.join(PACKAGE, "__init__.py"),  # noqa: PTH118
        submodule_search_locations=[PACKAGE],
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {PACKAGE}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["flask_pluginkit"] = package
    spec.loader.exec_module(package)
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    importlib.import_module(f"flask_pluginkit.isolation.processes.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3:])
