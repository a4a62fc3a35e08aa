"""What a developer is told of each request, in debug mode."""

from __future__ import annotations

import re

import pytest
from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

SLOW = """
import time
def wait():
    time.sleep(0.005)
def register():
    return {"hep": {"before_request": wait}}
"""


@pytest.mark.parametrize("debug", [True, False])
def test_the_generation_is_in_a_header_in_debug_mode_only(host: Host, debug: bool) -> None:
    """It tells which state the page was made from."""
    host.plugin("a", "def register():\n    return {}\n")
    host.start()
    host.app.debug = debug
    first = host.open("/").headers.get("X-Pluginkit-Generation")
    host.pm.disable_plugin("a")
    second = host.open("/").headers.get("X-Pluginkit-Generation")
    assert (first, second) == (("0", "1") if debug else (None, None))


def test_the_times_of_plugins_are_in_a_header(host: Host) -> None:
    """In milliseconds, and only of those that took any."""
    host.plugin("idle", "def register():\n    return {}\n")
    host.plugin("slow", SLOW)
    host.start()
    host.app.debug = True
    for _ in range(2):  # times of earlier requests don't add up
        timing = host.open("/").headers["Server-Timing"]
        match = re.fullmatch(r"slow;dur=([\d.]+)", timing)
        assert match is not None
        assert 5 <= float(match[1]) < 1000
