"""What the page about settings says works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.settings.resolving import Origin

__all__ = ["clean_imports", "host"]

PAGE = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.fixture
def greeter(host: Host) -> Host:
    """A site with the plugin of the page."""
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    host.plugin("greeter", block)
    return host


def test_the_plugin_of_the_page_works(greeter: Host) -> None:
    """It is active, and its page shows what is set."""
    greeter.start()
    assert greeter.get("/greetings") == "10 short"
    greeter.pm.configure_plugin("greeter", limit=25, style="long")
    assert greeter.get("/greetings") == "25 long"


def test_the_keys_of_the_page_are_those(greeter: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment and in the configuration."""
    monkeypatch.setenv("PLUGINKIT_GREETER_STYLE", "long")
    greeter.app.config["PLUGINKIT_GREETER_LIMIT"] = 25
    greeter.start()
    assert greeter.get("/greetings") == "25 long"
    origins = {row.field: row.origin for row in greeter.pm.settings_of("greeter")}
    assert (origins["limit"], origins["style"]) == ("configuration", "environment")


@pytest.mark.parametrize("origin", [each for each in Origin if each is not Origin.UNSET])
def test_every_origin_of_a_value_is_on_the_page(origin: Origin) -> None:
    """An operator who sees it in a list finds what it means."""
    assert f"| `{origin.value}` |" in PAGE
