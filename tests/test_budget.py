"""Hooks and teps that take longer than their budget are reported by name."""

from __future__ import annotations

import pytest
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

SLOW = """
def register():
    return {
        "hep": {"before_request": lambda: None, "after_request": lambda response: response},
        "tep": {"nav": "nav"},
        "filter": {"loud": lambda value: value},
        "vep": {"rule": "/x", "view_func": lambda: "x"},
    }
"""


def told(host: Host, caplog: pytest.LogCaptureFixture, budget: float | None) -> list[str]:
    """What is logged of a request, and of a page with a slot, under this budget."""
    host.app.config["PLUGINKIT_BREAKER"] = {"budget": budget}
    host.plugin("slow", SLOW)
    host.start()
    assert host.get("/x") == "x"
    assert host.render("{{ emit_tep('nav') }}{{ 'a'|loud }}") == "nava"
    records = [record for record in caplog.records if "budget" in record.message]
    assert {vars(record)["plugin"] for record in records} <= {"slow"}
    return [record.message.split(":")[1].split(" took")[0].strip() for record in records]


def test_what_exceeds_its_budget_is_told_with_plugin_and_point(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Each point by itself; views may take the time they need."""
    assert told(host, caplog, 1e-9) == ["before_request", "after_request", "tep nav", "filter loud"]


@pytest.mark.parametrize("budget", [60.0, None])
def test_what_keeps_to_it_is_not_told(
    host: Host, caplog: pytest.LogCaptureFixture, budget: float | None
) -> None:
    """None is any time."""
    assert told(host, caplog, budget) == []
