"""p3: a plugin reworks what another one registers."""

from __future__ import annotations

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import PEPError, PluginError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

TARGET = """
def view():
    return "target"

def late(value):
    return f"[{value}]"

OPTIONS = {"rule": "/target", "view_func": view, "methods": ["GET"]}

def register():
    return {
        "tep": {"nav": "<i>nav</i>"},
        "vep": OPTIONS,
        "filter": {"late": late},
        "tcp": {"year": 2000},
    }
"""


def author(body: str, kind: str, target: str = "target") -> str:
    """A plugin that reworks one kind of another one by ``change(value)``."""
    return f"{body}\ndef register():\n    return {{'p3': {{{target!r}: {{{kind!r}: change}}}}}}\n"


def slot(host: Host, name: str = "nav") -> str:
    """What the slot renders as."""
    return host.render(f"{{{{ emit_tep({name!r}) }}}}")


def test_a_preprocessor_replaces_what_another_plugin_registered(host: Host) -> None:
    """It gets the normal form and returns another one."""
    host.plugin(
        "author",
        author("def change(teps):\n    return {'nav': {'cod': teps['nav']['cod'].upper()}}", "tep"),
    )
    host.plugin("target", TARGET)
    host.start()
    assert slot(host) == "<I>NAV</I>"


def test_preprocessors_are_applied_after_all_plugins_are_loaded(host: Host) -> None:
    """It doesn't matter which of the two is loaded first."""
    for name in ("aaa", "zzz"):
        host.plugin(name, author("def change(tcp):\n    return {'year': tcp['year'] + 1}", "tcp"))
    host.plugin("target", TARGET)
    host.start()
    assert host.row("target").shapes["tcp"] == {"year": 2002}


def test_several_preprocessors_of_one_kind_run_in_plugin_order(host: Host) -> None:
    """Each sees what the one before returned."""
    for name in ("b", "c", "a"):
        body = f"def change(filters):\n    return [*filters, ({name!r}, str)]"
        host.plugin(name, author(body, "filter"))
    host.plugin("target", TARGET)
    host.start()
    assert [name for name, _f in host.pm.get_enabled_filters] == ["late", "a", "b", "c"]


@pytest.mark.parametrize(
    ("kind", "change", "path"),
    [
        ("vep", "[('/moved', *row[1:]) for row in value]", "/moved"),
        ("vep", "[(r, v, e, {**o, 'methods': ['POST']}, b) for r, v, e, o, b in value]", ""),
    ],
)
def test_a_preprocessor_moves_another_plugins_routes(
    host: Host, kind: str, change: str, path: str
) -> None:
    """The rule that the target gave exists no more."""
    host.plugin("author", author(f"def change(value):\n    return {change}", kind))
    host.plugin("target", TARGET)
    host.start()
    assert host.open("/target").status_code in {404, 405}
    assert (host.get(path) if path else host.get("/target", method="POST")) == "target"


def test_records_and_lists_of_3x_show_what_became_of_it(host: Host) -> None:
    """`plugin_*` and `get_enabled_*` are what is live, and not what register() returned."""
    host.plugin("author", author("def change(tcp):\n    return {'month': 1}", "tcp"))
    host.plugin("target", TARGET)
    pm = host.start()
    assert pm.get_plugin_info("target").plugin_tcp == {"month": 1}
    assert pm.get_enabled_tcps == [{"month": 1}]
    assert list(pm.get_plugin_info("author").plugin_p3) == ["target"]


def test_a_preprocessor_may_take_everything_away(host: Host) -> None:
    """An empty normal form is one too."""
    for kind, empty in {"tep": "{}", "vep": "[]", "filter": "[]", "tcp": "{}", "bep": "{}"}.items():
        host.plugin(f"no_{kind}", author(f"def change(value):\n    return {empty}", kind))
    host.plugin("target", TARGET)
    host.start()
    assert slot(host) == ""
    assert host.open("/target").status_code == 404
    assert "late" not in host.app.jinja_env.filters


def test_a_preprocessor_of_a_kind_that_the_target_does_not_use_gets_its_empty_form(
    host: Host,
) -> None:
    """It may add something there, or hand it back."""
    host.plugin("a", author("def change(value):\n    return value", "bep"))
    host.plugin("b", author("def change(value):\n    return [*value, ('x', str)]", "filter"))
    host.plugin("target", "def register():\n    return {}\n")
    host.start()
    assert host.row("target").shapes["bep"] == {}
    assert host.pm.owner_of("filter", "x") == "target"


def test_a_preprocessor_may_put_a_file_and_code_into_one_slot(host: Host) -> None:
    """The file is the target's, as everything in its normal form is."""
    body = "def change(teps):\n    return {'nav': {'fil': 'nav.html', **teps['nav']}}"
    host.plugin("author", author(body, "tep"))
    host.plugin("target", TARGET, files={"templates/nav.html": "<b>file</b>"})
    host.start()
    assert slot(host) == "<b>file</b><i>nav</i>"
    assert host.pm.get_enabled_teps == {"nav": {"fil": ["nav.html"], "cod": ["<i>nav</i>"]}}


def test_a_preprocessor_of_a_plugin_that_is_not_there_does_nothing(host: Host) -> None:
    """The author stays active: 3.x passed over it too."""
    host.plugin("author", author("def change(value):\n    raise RuntimeError", "tep", "nobody"))
    host.plugin("off", TARGET, state="disabled")
    host.plugin("other", author("def change(value):\n    raise RuntimeError", "tep", "off"))
    host.start()
    assert list(host.pm.snapshot.active) == ["author", "other"]


# ---- a failing one ---------------------------------------------------------------------------

FAILING = [
    ("def change(value):\n    raise RuntimeError('no reason')", "RuntimeError: no reason"),
    ("def change(value):\n    raise SystemExit(3)", "SystemExit: 3"),
    ("def change(value):\n    return None", "found"),
    ("def change(value):\n    return tuple(value.items())", "expected a dict as it was given"),
    ("def change(value):\n    return {'nav': {'cod': 1}}", "tep['nav']: found 1"),
    ("def change(value):\n    return {'nav': {'fil': 'x.html'}}", "no template file 'x.html'"),
    ("def change(value):\n    value.clear()\n    return value['nav']", "KeyError"),
    ("def change(value, other):\n    return value", "TypeError"),
]


@pytest.mark.parametrize(("body", "_reason"), FAILING)
def test_a_failing_preprocessor_leaves_its_target_alone(
    host: Host, body: str, _reason: str
) -> None:
    """It works on a copy."""
    host.plugin("author", author(body, "tep"))
    host.plugin("target", TARGET)
    host.start(strict=False)
    assert host.row("target").status is Status.ACTIVE
    assert slot(host) == "<i>nav</i>"


@pytest.mark.parametrize(("body", "reason"), [row for row in FAILING if row[1] != "found"])
def test_a_failing_preprocessor_fails_its_author(host: Host, body: str, reason: str) -> None:
    """The reason says what it did."""
    host.plugin("author", author(body, "tep"))
    host.plugin("target", TARGET)
    host.start(strict=False)
    assert host.row("author").status is Status.FAILED
    assert reason in host.row("author").reason
    assert "author" in host.row("author").reason


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("tep", "value['nav']['cod'] = 'changed'"),
        ("vep", "value[0][3]['methods'] = ['POST']"),
        ("vep", "value.clear()"),
        ("filter", "value.append(('x', str))"),
        ("tcp", "value['year'] = 1"),
    ],
)
def test_a_preprocessor_that_edits_and_then_fails_changes_nothing(
    host: Host, kind: str, edit: str
) -> None:
    """A normal form is copied down to where the plugin's own values begin."""
    host.plugin("author", author(f"def change(value):\n    {edit}\n    raise RuntimeError", kind))
    host.plugin("target", TARGET)
    host.start(strict=False)
    assert slot(host) == "<i>nav</i>"
    assert host.get("/target") == "target"
    assert host.open("/target", "POST").status_code == 405
    assert host.row("target").shapes["tcp"] == {"year": 2000}
    assert "x" not in host.app.jinja_env.filters


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("vep", "[42]"),
        ("vep", "[('/x',)]"),
        ("vep", "[('x', print, None, {}, None)]"),
        ("cvep", "[(int, {})]"),
        ("errhandler", "[(404, 'handler')]"),
        ("dcp", "[('visits', 'callback', 'right')]"),
        ("cli", "['command']"),
        ("signal", "[(1, 2)]"),
        ("hep", "{'before_request': 1}"),
    ],
)
def test_a_broken_normal_form_fails_the_one_who_returned_it(
    host: Host, kind: str, change: str
) -> None:
    """The target did nothing wrong, and stays active."""
    host.plugin("author", author(f"def change(value):\n    return {change}", kind))
    host.plugin("target", TARGET)
    host.start(strict=False)
    statuses = {plugin.name: plugin.status.value for plugin in host.pm.plugins}
    assert statuses == {"author": "failed", "target": "active"}
    assert f"{kind}" in host.row("author").reason


def test_those_that_require_a_failing_author_fail_too(host: Host) -> None:
    """A failure in the last step of loading is one like every other."""
    host.plugin("author", author("def change(value):\n    raise RuntimeError", "tep"))
    host.plugin("target", TARGET)
    host.plugin("user", "def register():\n    return {}\n", requires={"author": ">=1"})
    host.start(strict=False)
    assert list(host.pm.snapshot.active) == ["target"]


@pytest.mark.parametrize(("body", "_reason"), FAILING)
def test_in_strict_mode_a_failing_preprocessor_is_raised(
    host: Host, body: str, _reason: str
) -> None:
    """It was a PEPError in 3.x."""
    host.plugin("author", author(body, "tep"))
    host.plugin("target", TARGET)
    with pytest.raises(PEPError):
        host.start(strict=True)
    assert issubclass(PEPError, PluginError)


def test_a_preprocessor_runs_once_for_each_application(host: Host) -> None:
    """The second application gets what the first one got: nothing piles up."""
    host.plugin(
        "author", author("def change(tcp):\n    return {**tcp, 'year': tcp['year'] + 1}", "tcp")
    )
    host.plugin("target", TARGET)
    host.start()
    twin = host.twin()
    twin.start()
    assert host.row("target").shapes["tcp"] == twin.row("target").shapes["tcp"] == {"year": 2001}
    assert host.module("target").OPTIONS["methods"] == ["GET"]
