"""Our own examples pass the checks; plugins from the package index have no false alarms."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from flask_pluginkit.checks import Report, Severity, check

EXAMPLES = Path(__file__).parent.parent / "examples"

RECIPES = sorted(path for path in (EXAMPLES / "recipes").iterdir() if path.is_dir())


def lines(report: Report) -> list[str]:
    """What is found, as it is printed."""
    return [str(finding) for finding in report.findings]


def test_the_bulletin_s_plugins_pass_the_checks() -> None:
    """All of them are read and run, and there is nothing to say."""
    report = check(EXAMPLES / "bulletin", timeout=60.0)
    assert (len(report.plugins), lines(report)) == (7, [])
    assert [plugin.name for plugin in report.plugins if not plugin.was_run] == []


def test_the_bulletin_s_own_plugin_passes_the_checks() -> None:
    """The one in the folder of the application."""
    assert lines(check(EXAMPLES / "bulletin" / "bulletin", timeout=60.0)) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_the_recipes_pass_the_checks(recipe: Path) -> None:
    """Read, not run: what they need is installed for their own tests alone."""
    assert lines(check(recipe, run=False)) == []


@pytest.mark.parametrize("package", ["flask_pluginkit_accesscount", "flask_pluginkit_oidc"])
def test_published_plugins_have_no_errors(package: str) -> None:
    """They run, so whatever is an error here would be a false alarm."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    report = check(Path(spec.origin).parent, run=False)
    assert not report.reaches(Severity.ERROR)
