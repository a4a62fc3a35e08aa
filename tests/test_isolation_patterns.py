"""Rules that would hold up the host, and how much of what plugins log is logged."""

from __future__ import annotations

import logging

import pytest

from flask_pluginkit.isolation.budgets import BURST, OVERHEAD, RATE, Budget
from flask_pluginkit.isolation.patterns import MOST_EXPRESSIONS, Patterns

LOGGER = logging.getLogger("test")


@pytest.mark.parametrize(
    "rule",
    [
        "/p/<path:a>/<path:b>/<path:c>",
        "/p/<a>-<b>-<c>",
        "/p/<path:a>/<b>-<c>",
        "/p/<path:a>.<b>.<c>",
        "/p/<path:a>/<any(x,x):b>",
        "/p/<string(length=99999999):a>",
        "/p/<string(minlength=1,maxlength=100000):a>",
    ],
)
def test_a_rule_that_takes_for_ever_is_refused(rule: str) -> None:
    """Python's expressions try every way to share a text among the arguments."""
    assert Patterns().objection(rule) is not None


@pytest.mark.parametrize(
    "rule",
    [
        "/p/",
        "/p/<a>",
        "/p/<int:a>-<int:b>/<c>/<d>/<e>/<f>",
        "/p/<any(x,y):a>/<path:b>",
        "/p/<path:a>/<path:b>/end",
        "/p/<path:a>/<b>/<int:c>/edit",
        "/p/<string(length=2):a>",
    ],
)
def test_a_rule_as_plugins_have_them_is_not(rule: str) -> None:
    """Each of their arguments has a place of its own."""
    assert Patterns().objection(rule) is None


def test_a_plugin_has_so_many_expressions() -> None:
    """More of them would be compiled anew for each request; equal ones count once."""
    patterns = Patterns()
    for number in range(MOST_EXPRESSIONS):
        assert patterns.objection(f"/p/{number}-<a>") is None
    assert patterns.objection("/p/0-<other>/edit") is None
    assert patterns.objection("/p/one-<more>") is not None


def test_a_flood_of_records_is_cut_off_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """What is left out is told with the next record that may be logged."""
    budget = Budget()
    most = RATE * BURST // (1000 + OVERHEAD)
    logged = sum(budget.allows(1000, LOGGER, "flood") for _ in range(2 * most))
    assert most <= logged < 2 * most
    budget._left = 10_000.0
    with caplog.at_level(logging.WARNING):
        assert budget.allows(1000, LOGGER, "flood")
    assert "records were left out" in caplog.text
