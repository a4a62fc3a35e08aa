"""``flask plugins graph``: what plugins require and contribute."""

from __future__ import annotations

import re

import pytest
from commands import invoke
from hosts import Host, clean_imports, host, views

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"


@pytest.fixture
def site(host: Host) -> Host:
    """Three plugins: one requires another and one that isn't there, one reworks another."""
    host.plugin("base", views("[{'rule': '/a', 'view_func': hello}]", tep="{'nav': 'x'}"))
    host.plugin(
        "top",
        views("[]", tep="{'nav': 'y', 'say \"hi\\\\\\\\\" [x]': 'z'}"),
        requires={"base": ">=1,<2"},
    )
    host.plugin("off", NOTHING, requires={"ghost": ""}, state="disabled")
    host.plugin("p", views("[]", p3="{'base': {'tep': lambda tep: tep}}"))
    host.start(strict=False, live=False)
    return host


def drawn(host: Host, *arguments: str) -> str:
    """The graph."""
    result = invoke(host.app, "graph", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_as_text_each_plugin_has_a_part(site: Host) -> None:
    """With what it requires, reworks and contributes."""
    parts = dict(part.split("\n", 1) for part in drawn(site).strip().split("\n\n") if "\n" in part)
    assert "--> requires base 1.0.0 (>=1,<2)" in parts["top 1.0.0 (active)"]
    assert "--> requires ghost (any version)" in parts["off 1.0.0 (disabled)"]
    assert "--> reworks base 1.0.0" in parts["p 1.0.0 (active)"]
    assert parts["base 1.0.0 (active)"].split() == ["route", "/a", "slot", "nav"]


def test_contributions_may_be_left_out(site: Host) -> None:
    """In each format."""
    for form in ("text", "dot", "mermaid"):
        assert "nav" in drawn(site, "--format", form)
        assert "nav" not in drawn(site, "--requirements", "--format", form)


def test_dot_is_well_formed(site: Host) -> None:
    """Every name is quoted; one slot of two plugins is one node."""
    first, *lines, last = drawn(site, "--format", "dot").splitlines()
    assert (first, last) == ("digraph plugins {", "}")
    text = r'"(?:[^"\\]|\\.)*"'
    node = rf"  n\d+ \[label={text}, shape=(box, color=\w+|ellipse)\];"
    edge = rf"  n\d+ -> n\d+ \[label={text}(, style=\w+(, arrowhead=none)?)?\];"
    assert all(re.fullmatch(f"{node}|{edge}|  rankdir=LR;", line) for line in lines)
    (nav,) = [line.split()[0] for line in lines if '"slot nav"' in line]
    assert sum(f"-> {nav} " in line for line in lines) == 2
    assert any(r'"slot say \"hi\\\\\" [x]"' in line for line in lines)


def test_mermaid_is_well_formed(site: Host) -> None:
    """No character of a name can mean something to it."""
    first, *lines = drawn(site, "--format", "mermaid").splitlines()
    assert first == "flowchart LR"
    text = r'"[\w .,:/#;-]*"'
    node = rf"  n\d+(\[{text}\]|\(\[{text}\]\))"
    edge = rf"  n\d+ (-->|==>|-\.-)(\|{text}\|)? n\d+"
    assert all(re.fullmatch(f"{node}|{edge}", line) for line in lines)
    assert any("off 1.0.0 #40;disabled#41;" in line for line in lines)


def test_an_unknown_format_is_a_fault_of_the_call(site: Host) -> None:
    """With those that there are."""
    result = invoke(site.app, "graph", "--format", "svg")
    assert result.exit_code == 2
    assert "mermaid" in result.stderr
