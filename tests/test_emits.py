"""Functions of templates that are given what can't be a name."""

from __future__ import annotations

import logging

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import ParamError

__all__ = ["clean_imports", "host"]

PLUGIN = "def register():\n    return {'tep': {'nav': 'x'}, 'dcp': {'visits': lambda: 'x'}}\n"
EMITS = [
    ("emit_tep", "the name of a slot"),
    ("emit_dcp", "the name of an event"),
    ("emit_config", "the name of a configuration value"),
]


@pytest.mark.parametrize(("name", "expected"), EMITS)
def test_strictly_the_error_says_what_was_expected(host: Host, name: str, expected: str) -> None:
    """Python's own would only say that a list has no hash."""
    host.plugin("a", PLUGIN)
    host.start(strict=True)
    with pytest.raises(
        ParamError, match=f"{name}: expected {expected}, as text, found a value of type list"
    ):
        host.render(f"{{{{ {name}(['nav']) }}}}")


@pytest.mark.parametrize(("name", "expected"), EMITS)
def test_else_the_page_shows_nothing_there(
    host: Host, caplog: pytest.LogCaptureFixture, name: str, expected: str
) -> None:
    """And the log says what was expected."""
    host.plugin("a", PLUGIN)
    host.start(strict=False)
    with caplog.at_level(logging.WARNING):
        shown = host.render(f"[{{{{ {name}(([],)) or '' }}}}]")
    assert shown == "[]"
    assert f"{name}: expected {expected}, as text, found a value of type tuple" in caplog.text
