"""What every test needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
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


@pytest.fixture(autouse=True)
def _helper_threads_rest() -> Iterator[None]:
    """Let no application of one test go on following its state during the next."""
    yield
    if (module := sys.modules.get("flask_pluginkit.pulse")) is not None:
        for entry in module.PULSE._crew().entries:
            if (member := entry.member()) is not None:
                module.PULSE.remove(member)


@pytest.fixture(autouse=True)
def _own_instance_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let applications without an instance folder of their own keep their state in the test's."""
    monkeypatch.setattr(Flask, "auto_find_instance_path", lambda _app: str(tmp_path / "instance"))


def pytest_report_header() -> str:
    """Say which copy of the package is being tested."""
    return f"flask_pluginkit {flask_pluginkit.__version__} from {package_folder()}"


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
