"""Comments that suppress findings, and options that choose codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from check_pages import checked, told

from flask_pluginkit.checks import Severity, check
from flask_pluginkit.exceptions import ParamError

BOLD = "from markupsafe import Markup\n\n\ndef bold(word):\n"


@pytest.mark.parametrize(
    "body",
    [
        "    return Markup(word)  # pluginkit: ignore[PK201] our own words",
        "    return Markup(word)  # noqa: S704  # pluginkit: ignore[PK201] our own words",
        "    # pluginkit: ignore[PK201] our own words\n    return Markup(word)",
        "    # pluginkit: ignore[PK201] our own words\n    # and more\n\n    return Markup(word)",
        "    return Markup(\n        word\n    )  # pluginkit: ignore[PK201] our own words",
        "    return Markup(word)  # pluginkit: ignore[PK202, PK201] our own words",
    ],
)
def test_a_comment_suppresses_what_it_stands_at(tmp_path: Path, body: str) -> None:
    """Behind the code, alone above it, behind its last line; several codes in one."""
    report = checked(tmp_path, f"{BOLD}{body}\n", ignore=["PK902"])
    assert (report.findings, report.suppressed) == ((), 1)


@pytest.mark.parametrize(
    "template",
    [
        "{{ word|safe }}{# pluginkit: ignore[PK202] our own words #}",
        "{# pluginkit: ignore[PK202] our own words #}\n{{ word|safe }}",
        "<p>\n{#- pluginkit: ignore[PK202] our own\n  words -#}\n{{ word|safe }}",
    ],
)
def test_a_comment_in_a_template_suppresses(tmp_path: Path, template: str) -> None:
    """Behind it, or alone above it."""
    report = checked(tmp_path, "", {"hello/templates/a.html": template})
    assert (report.findings, report.suppressed) == ((), 1)


def test_code_of_a_slot_is_suppressed_in_python(tmp_path: Path) -> None:
    """A comment of Python's stands at the text."""
    init = (
        "def register():\n    return {'tep': {\n"
        "        # pluginkit: ignore[PK202] our own words\n        'nav': '{{ a|safe }}'}}\n"
    )
    assert checked(tmp_path, init).suppressed == 1


def test_a_comment_elsewhere_suppresses_nothing(tmp_path: Path) -> None:
    """The finding stays, and the comment is one more."""
    init = f"# pluginkit: ignore[PK201] our own words\nx = 1\n{BOLD}    return Markup(word)\n"
    assert sorted(told(tmp_path, init)) == ["PK201", "PK902"]


@pytest.mark.parametrize("reason", ["", " ", " .", " ok", " -- 1"])
def test_a_comment_without_a_reason_is_a_finding(tmp_path: Path, reason: str) -> None:
    """It suppresses all the same, so that only the reason is asked for."""
    init = f"{BOLD}    return Markup(word)  # pluginkit: ignore[PK201]{reason}\n"
    assert told(tmp_path, init) == ["PK901"]


@pytest.mark.parametrize("codes", ["", "[]", "[PK1]", "[all]", "[PK201 PK202]"])
def test_a_comment_that_names_no_code_is_a_finding(tmp_path: Path, codes: str) -> None:
    """Nothing is suppressed by a beginning, or by a comment for everything."""
    init = f"{BOLD}    return Markup(word)  # pluginkit: ignore{codes} our own words\n"
    assert sorted(told(tmp_path, init)) == ["PK201", "PK902"]


def test_a_comment_for_what_was_not_looked_for_is_no_finding(tmp_path: Path) -> None:
    """Nobody can tell whether it is needed: not run, not selected, not meant for isolation."""
    init = (
        "import threading\n"
        "threading.Thread()  # pluginkit: ignore[PK704] it is never started\n"
        "from urllib.request import urlopen\n"
        "urlopen('http://a.example')  # pluginkit: ignore[PK401] only where it is trusted\n"
    )
    assert told(tmp_path, init) == []


def test_a_text_that_looks_like_a_comment_is_none(tmp_path: Path) -> None:
    """Only comments of the language are read."""
    init = f"{BOLD}    return Markup(word + '# pluginkit: ignore[PK201] our own words')\n"
    assert told(tmp_path, init) == ["PK201"]


# ---- options ---------------------------------------------------------------------------------

TWO = f"{BOLD}    return Markup(word)\n\n\ndef register():\n    return {{'filters': bold}}\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["PK101", "PK201"]),
        ({"select": ["PK2"]}, ["PK201"]),
        ({"select": ["pk101,PK3"]}, ["PK101"]),
        ({"ignore": ["PK1"]}, ["PK201"]),
        ({"ignore": ["PK"]}, []),
        ({"select": ["PK201"], "ignore": ["PK2"]}, ["PK201"]),
        ({"select": ["PK2"], "ignore": ["PK201"]}, []),
        ({"select": ["PK1", "PK2"], "ignore": ["PK1"]}, ["PK201"]),
    ],
)
def test_codes_are_chosen_by_their_beginnings(
    tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    """The longer one of two that name a code decides; of equals, ignoring wins."""
    assert sorted(told(tmp_path, TWO, **options)) == expected


def test_a_code_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """With the nearest one."""
    with pytest.raises(ParamError, match="no code is or begins with 'PK209'; did you mean PK"):
        check(tmp_path, select=["PK209"])


CONNECTS = "from urllib.request import urlopen\n\n\ndef look():\n    urlopen('http://a.example')\n"


def test_what_isolation_needs_is_told_where_it_is_meant(tmp_path: Path) -> None:
    """By the plugin, by an option, or, as a note, if it is selected."""
    assert told(tmp_path / "a", CONNECTS) == []
    asked = checked(tmp_path / "b", CONNECTS, isolated=True)
    says = checked(tmp_path / "c", f"__permissions__ = ['storage']\n{CONNECTS}")
    chosen = checked(tmp_path / "d", CONNECTS, select=["PK4"])
    found = [(each.code, each.severity) for each in asked.findings]
    assert found == [("PK401", Severity.WARNING)]
    assert ("PK401", Severity.WARNING) in [(e.code, e.severity) for e in says.findings]
    assert [(e.code, e.severity) for e in chosen.findings] == [("PK401", Severity.NOTE)]
