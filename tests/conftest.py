"""What every test needs."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from installed import read_once
from reach import reaches_flask
from skips import pytest_make_collect_report, pytest_runtest_makereport

import flask_pluginkit

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# The same examples in every run of CI; elsewhere hypothesis goes on looking for new ones.
# No deadline: machines that run several jobs at once stall for longer than any of ours.
settings.register_profile("here", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "here")
# The matrix runs the tests seven times more: there, what differs between versions is looked for.
if examples := os.environ.get("PLUGINKIT_TEST_EXAMPLES"):
    settings.register_profile("matrix", settings.default, max_examples=int(examples))
    settings.load_profile("matrix")

FOLDERS = itertools.count()
"""The numbers of the tests' folders."""


@pytest.fixture(autouse=True, scope="session")
def _installed_is_read_once() -> Iterator[None]:
    """Read what is installed once for all tests; see `installed`."""
    with read_once():
        yield


@pytest.fixture(autouse=True)
def _helper_threads_rest() -> Iterator[None]:
    """Let no application of one test go on following its state during the next."""
    yield
    if (module := sys.modules.get("flask_pluginkit.pulse")) is not None:
        for entry in module.PULSE._crew().entries:
            if (member := entry.member()) is not None:
                module.PULSE.remove(member)


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't wait for the disk: what a kill leaves is the same, and no test cuts the power."""
    monkeypatch.setattr(os, "fsync", os.fstat)  # which fails as well where nothing is open


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own; pytest looks through all the others for a free number first."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    return tmp_path_factory.mktemp(f"{name}_{next(FOLDERS)}", numbered=False)


@pytest.fixture(autouse=True)
def _own_instance_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let applications without an instance folder of their own keep their state in the test's."""

    def instance_path(_app: Flask) -> str:
        # asked for only now, as most tests need no folder
        folder: Path = request.getfixturevalue("tmp_path")
        return str(folder / "instance")

    monkeypatch.setattr(Flask, "auto_find_instance_path", instance_path)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which copy of the package is being tested, and what is left to other runs."""
    lines = [f"flask_pluginkit {flask_pluginkit.__version__} from {package_folder()}"]
    if chosen := config.getoption("markexpr"):
        lines.append(
            f"ONLY TESTS THAT ARE: {chosen}; the others run elsewhere (see pyproject.toml)"
        )
    lines.append(f"hypothesis: {settings().max_examples} examples of a test (effort.py)")
    return lines


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is the same with every version of Flask, and what others than us decide."""
    if not reaches_flask(item.path):
        item.add_marker("flaskless")
    if item.path.name.startswith("test_sandbox"):
        item.add_marker("kernel")
    if item.path.name.startswith(("test_check_", "test_conformance", "test_testing")):
        item.add_marker("tooling")
    if item.path.name == "test_authoring_types.py":
        item.add_marker("typed")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop a run that was meant for the installed package and would test the checkout."""
    wants_installed = os.environ.get("PLUGINKIT_TEST_INSTALLED")
    if wants_installed and package_folder().parent == session.config.rootpath:
        raise pytest.UsageError(
            f"the package is imported from the checkout ({package_folder()}) and not as it is "
            "installed: start python with -P, without PYTHONPATH"
        )


def package_folder() -> Path:
    """The folder that `flask_pluginkit` is imported from."""
    return Path(flask_pluginkit.__file__).resolve().parent
