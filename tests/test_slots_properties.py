"""A slot is what Flask gives when it renders each part by itself, whatever the parts are.

The parts of a slot share a context where that can't be noticed. So templates are made at random
of statements that set, define, import, include and override things with a handful of names, and
the slot is compared with Flask's own rendering of the same parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g, render_template, render_template_string
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import DictLoader
from markupsafe import Markup

from flask_pluginkit import PluginManager
from flask_pluginkit.application import Site
from flask_pluginkit.bundles import Slot
from flask_pluginkit.frozen import replace
from flask_pluginkit.live.slots import Slots, compile_code
from flask_pluginkit.points import TemplatePart
from flask_pluginkit.residents import Resident
from flask_pluginkit.snapshot import pinned

FILES = {
    "prints.html": "<{{ a }}{{ b }}{{ c }}{{ m is defined }}>",
    "sets.html": "{% set a = 'sets' %}{% set c = 'sets' %}{{ a }}",
    "macros.html": "{% set b = 'macros' %}"
    "{% macro m(x='-') %}({{ x }}{{ b }}{{ a }}){% endmacro %}",
    "layout.html": "{% set a = 'layout' %}[{% block one %}{{ a }}{% endblock %}"
    "{% block two %}{% include 'prints.html' %}{% endblock %}]",
    "unescaped.j2": "{{ a }}{{ b }}",
}
VARIABLES: dict[str, Any] = {"a": "<a>", "b": Markup("<b>"), "n": 3, "xs": [1, "<2>"]}

JOIN = "{{ [b, '<']|join }}"
"""Asks the context whether to escape, while most things know that when they are compiled."""

names = st.sampled_from("abcdm")
expressions = st.one_of(
    st.sampled_from(
        [
            "a", "b", "c", "d", "n", "xs", "1", "'<'", "a ~ b", "a|upper", "c|default('no')",
            "xs|length", "n + 1", "m is defined", "b|e", "a|safe", "loop is defined", "tcp()",
            "self is defined", "m('x') if m is defined and m is callable", "1 / 0", "d.missing",
            "[b, '<']|join",
        ]
    ),
    st.builds("{}|string ~ {}".format, names, names),
)  # fmt: skip
includes = st.builds(
    "{{% include '{}'{} %}}".format,
    st.sampled_from([*FILES, "nothing.html"]),
    st.sampled_from(["", " ignore missing", " without context", " ignore missing with context"]),
)
imports = st.sampled_from(
    [
        "{% import 'macros.html' as m %}{{ m.m(1) }}",
        "{% import 'macros.html' as c with context %}{{ c.m() }}",
        "{% from 'macros.html' import m %}{{ m() }}",
        "{% from 'macros.html' import m as a, b with context %}{{ a(b) }}",
    ]
)
leaves = st.one_of(
    st.sampled_from(["text ", "<i>", "\n"]),
    st.builds("{{{{ {} }}}}".format, expressions),
    st.builds("{{% set {} = {} %}}".format, names, expressions),
    st.builds("{{% set {}, {} = 1, {} %}}".format, names, names, expressions),
    includes,
    imports,
)


def nesting(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Statements that hold others."""
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, expressions, inner, inner),
        st.builds("{{% for {} in xs %}}{}{{% endfor %}}".format, names, inner),
        st.builds("{{% with {} = {} %}}{}{{% endwith %}}".format, names, expressions, inner),
        st.builds("{{% set {} %}}{}{{% endset %}}".format, names, inner),
        st.builds("{{% macro m(x=1) %}}{}{{{{ x }}}}{{% endmacro %}}{{{{ m() }}}}".format, inner),
        st.builds(
            "{{% macro {}(x=1) %}}{{{{ caller() }}}}{{% endmacro %}}"
            "{{% call {}() %}}{}{{% endcall %}}".format,
            st.just("m"),
            st.just("m"),
            inner,
        ),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, inner),
        st.builds("{{% autoescape {} %}}{}{{% endautoescape %}}".format, st.booleans(), inner),
        st.builds(
            "{{% set ns = namespace(v=1) %}}{{% set ns.v = {} %}}{{{{ ns.v }}}}{}".format,
            expressions,
            inner,
        ),
    )


bodies = st.recursive(leaves, nesting, max_leaves=6)
sources = st.one_of(
    bodies,
    st.builds("{}{{% block one %}}{}{{% endblock %}}{}".format, bodies, bodies, bodies),
    st.builds("{{% block one scoped %}}{}{{% endblock %}}{{{{ self.one() }}}}".format, bodies),
    st.builds(
        "{{% extends 'layout.html' %}}{}"
        "{{% block one %}}{}{{{{ super() }}}}{{% endblock %}}".format,
        bodies,
        bodies,
    ),
)
parts = st.lists(
    st.tuples(sources, st.sampled_from(["code", "x.html", "x.j2"])), min_size=1, max_size=4
)


def without_addresses(text: str) -> str:
    """The text with nothing in it of where in memory an object was."""
    return re.sub("0x[0-9a-f]+", "", text, flags=re.IGNORECASE)


class Bench:
    """An application whose slots are made by hand, without the files of plugins."""

    def __init__(self, folder: Path) -> None:
        self.app = Flask("host", root_path=str(folder), instance_path=str(folder / "instance"))
        self.templates = dict(FILES)
        self.app.jinja_loader = DictLoader(self.templates)
        manager = PluginManager(self.app, strict=False)
        self.app.context_processor(
            lambda: {"d": SimpleNamespace(v="<d>"), "tcp": lambda: g.setdefault("tcp", "<tcp>")}
        )
        self.site: Site = manager._site()
        self.numbers = count()

    def part(self, resident: Resident, source: str, kind: str) -> tuple[TemplatePart, str]:
        """One part of the slot ``s``, and how Flask is asked for the same."""
        number = next(self.numbers)
        name = f"{number}{kind}"
        environment = self.app.jinja_env
        if is_file := kind != "code":
            self.templates[name] = source
        part = TemplatePart(
            owner=resident.name,
            slot="s",
            order=None,
            is_file=is_file,
            text=source,
            template=(lambda: environment.get_template(name))
            if is_file
            else (lambda: compile_code(self.app, resident.name, "s", source)),
            meter=resident.meter("tep s"),
            resident=resident,
        )
        return part, name if is_file else ""

    def emit(self, found: tuple[TemplatePart, ...], **context: Any) -> str:
        """Render these parts as one slot."""
        slot = Slot("s", found, found, found)
        snapshot = replace(pinned(self.site), slots={"s": slot})
        emitted = Slots(self.app, lambda: snapshot, lambda: False).emit("s", **context)
        return without_addresses(emitted)

    def alone(self, source: str, name: str, **context: Any) -> str:
        """Let Flask render one part; one that fails is nothing."""
        try:
            if name:
                return without_addresses(render_template(name, **context))
            return without_addresses(render_template_string(source, **context))
        except Exception:  # noqa: BLE001 - templates made at random raise anything
            return ""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One application for all examples."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    bench.site.logger.disabled = True
    yield bench
    bench.site.logger.disabled = False


@given(parts)
@example([("{% set a = 1 %}{{ a }}", "code"), ("{{ a }}", "code")])
@example([("{% autoescape false %}{{ d.v.w.x }}{% endautoescape %}", "code"), (JOIN, "code")])
@example([("{{ a }}", "x.html"), (JOIN, "x.j2"), (JOIN, "code")])
def test_a_slot_equals_its_parts_rendered_one_by_one(
    bench: Bench, found: list[tuple[str, str]]
) -> None:
    """The text is the same, and a part that fails leaves the others alone."""
    resident = Resident(bench.site, "hello", Path())
    rows = [(source, *bench.part(resident, source, kind)) for source, kind in found]
    with bench.app.test_request_context():
        expected = [bench.alone(source, name, **VARIABLES) for source, _part, name in rows]
        emitted = bench.emit(tuple(part for _source, part, _name in rows), **VARIABLES)
    assert emitted == "".join(expected)
    assert resident.meter("tep s").calls == len(found)


@given(parts)
def test_a_slot_equals_its_parts_in_any_order(bench: Bench, found: list[tuple[str, str]]) -> None:
    """No part depends on what stands before it."""
    resident = Resident(bench.site, "hello", Path())
    rows = [bench.part(resident, source, kind)[0] for source, kind in found]
    with bench.app.test_request_context():
        each = [bench.emit((row,), **VARIABLES) for row in rows]
        assert bench.emit(tuple(rows), **VARIABLES) == "".join(each)
        assert bench.emit(tuple(reversed(rows)), **VARIABLES) == "".join(reversed(each))
