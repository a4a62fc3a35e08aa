"""``flask plugins tep``: slots that templates emit, and who fills them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from commands import invoke
from hosts import Host, clean_imports, host, views
from jinja2 import DictLoader, Environment, FunctionLoader
from trees import write

from flask_pluginkit.cli.emitted import find_emissions

__all__ = ["clean_imports", "host"]


@pytest.fixture
def site(host: Host) -> Host:
    """A host with slots and an event, and two plugins that fill some."""
    host.template(
        "page.html", "{{ emit_tep('nav') }}\n{% if x %}\n{{ emit_tep('foot', 'fil') }}{% endif %}"
    )
    host.template("part/row.html", '{{- emit_tep(tep="nav") }}{{ emit_dcp("count", 1) }}')
    host.plugin("one", views("[]", tep="{'nav': '20@<b>1</b>', 'lost': 'x'}"))
    host.plugin("two", views("[]", tep="{'nav': '10@<i>2</i>'}", dcp="{'other': hello}"))
    host.start(strict=False, live=False, stpl=True)
    return host


def slots_of(host: Host, *arguments: str) -> dict[str, Any]:
    """What is told of the slots as JSON, by name."""
    result = invoke(host.app, "tep", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return {slot["name"]: slot for slot in json.loads(result.stdout)}


def test_places_and_order_are_told(site: Host) -> None:
    """Those who fill a slot stand there in the order in which they are rendered."""
    assert slots_of(site)["nav"] == {
        "kind": "slot",
        "name": "nav",
        "emitted": ["page.html:1", "part/row.html:1"],
        "filled": [
            {"plugin": "two", "order": "10", "what": "code <i>2</i>"},
            {"plugin": "one", "order": "20", "what": "code <b>1</b>"},
        ],
    }
    text = invoke(site.app, "tep", "nav").stdout
    assert text.splitlines() == [
        "slot nav",
        "  emitted in page.html:1, part/row.html:1",
        "  1.  two  code <i>2</i>, order 10",
        "  2.  one  code <b>1</b>, order 20",
    ]


def test_what_nobody_emits_and_what_nobody_fills_is_marked(site: Host) -> None:
    """A misspelt name is one of each."""
    lines = invoke(site.app, "tep").stdout.splitlines()
    assert lines[lines.index("slot lost") + 1] == "  ! no template file emits it"
    assert lines[lines.index("slot foot") + 1 :][:2] == [
        "  emitted in page.html:3 (files only)",
        "  - nobody fills it",
    ]


def test_events_are_told_too(site: Host) -> None:
    """Those that a template emits, and those to which a plugin pushed."""
    slots = slots_of(site)
    assert (slots["count"]["kind"], slots["count"]["filled"]) == ("event", [])
    assert slots["count"]["emitted"] == ["part/row.html:1"]
    assert [part["plugin"] for part in slots["other"]["filled"]] == ["two"]


def test_slots_of_plugins_templates_are_found(host: Host) -> None:
    """By the full name of the template."""
    host.plugin("shop", views("[]"), files={"templates/shop.html": "{{ emit_tep('cart') }}"})
    host.start(strict=False, live=False)
    assert slots_of(host)["cart"]["emitted"] == ["shop:shop.html:1"]


def test_nothing_is_rendered(host: Host) -> None:
    """Templates are read only, whatever they would do."""
    host.template("page.html", "{{ 1 / 0 }}{% include nowhere %}{{ emit_tep('nav') }}")
    host.start(live=False)
    assert slots_of(host).keys() == {"nav"}


def test_what_cannot_be_read_is_told(site: Host) -> None:
    """A broken template hides no other, nor does a picture; computed names are told."""
    site.template("broken.html", "{% if %}{{ emit_tep('x') }}")
    site.template("computed.html", "\n{{ emit_tep(name) }}")
    (site.folder / "templates" / "logo.png").write_bytes(b"\x89PNG\xff emit_tep")
    result = invoke(site.app, "tep")
    assert "slot nav" in result.stdout
    assert "broken.html can't be read: TemplateSyntaxError" in result.stderr
    assert "aren't known here: computed.html:2" in result.stderr
    assert "logo.png" not in result.output


def test_an_unknown_slot_is_refused(site: Host) -> None:
    """With the nearest name."""
    result = invoke(site.app, "tep", "nva")
    assert result.exit_code == 1
    assert "did you mean 'nav'" in result.stderr


def test_a_loader_that_cannot_list_hides_only_the_hosts_slots(host: Host) -> None:
    """What plugins fill is told all the same."""
    host.plugin("one", views("[]", tep="{'nav': 'x'}"))
    host.app.jinja_loader = FunctionLoader(lambda name: None)
    host.start(strict=False, live=False)
    result = invoke(host.app, "tep")
    assert result.exit_code == 0
    assert "slot nav" in result.stdout


def test_names_of_others_are_made_printable(host: Host) -> None:
    """A template's name may hold anything, and so may a slot's."""
    write(host.folder / "templates" / "a\u202eb.html", "{{ emit_tep('x\\x1b[31my') }}")
    host.start(live=False)
    text = invoke(host.app, "tep").stdout
    assert "slot xy" in text
    assert "emitted in ab.html:1" in text


def test_calls_are_found_wherever_they_stand() -> None:
    """In blocks, loops, macros, arguments and filters; not in comments and raw text."""
    environment = Environment(
        loader=DictLoader(
            {
                "a": "{% macro m() %}{{ emit_tep('macro') }}{% endmacro %}"
                "{% block b %}{% for x in y %}{{ emit_tep('loop')|safe }}{% endfor %}{% endblock %}"
                "{% set v = other(emit_tep('argument', typ='cod')) %}"
                "{# emit_tep('comment') #}{% raw %}{{ emit_tep('raw') }}{% endraw %}"
                "{{ emit_tep(5) }}{{ emit_tep() }}{{ my.emit_tep('attribute') }}"
            }
        )
    )
    found = find_emissions(environment, ["a"]).found
    assert {each.name for each in found} == {"macro", "loop", "argument", None}
    assert {each.only for each in found if each.name == "argument"} == {"code only"}


def test_an_application_without_slots_is_told_so(host: Host) -> None:
    """Rather than shown nothing."""
    host.start(strict=False, live=False)
    assert invoke(host.app, "tep").output.startswith("no slots: no template file emits one")
