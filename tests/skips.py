"""Under CI a skipped test is a failed one: a conftest imports the hooks below."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What became of one phase of one test."""
    report = yield
    return unskipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """What became of collecting one module: `importorskip` ends here."""
    report = yield
    return unskipped(report)


def unskipped(report: Report) -> Report:
    """The report, as a failure with the same reason where CI is set and it was a skip."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI skips no test, and this one wants to: {reason}"
    return report
