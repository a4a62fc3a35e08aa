"""Which distributions can't be isolated, because something of them would run before."""

from __future__ import annotations

from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.exceptions import SandboxUnavailable
from flask_pluginkit.sandbox.distributions import (
    entry_point_problems,
    record_problems,
    require_confinable,
)

GOOD = """\
pluginkit_plugins/hello/__init__.py,sha256=abc,120
pluginkit_plugins/hello/templates/a.html,,
"pluginkit_plugins/hello/static/with, comma.css",,
pluginkit_plugins/hello/__pycache__/__init__.cpython-311.pyc,,
hello-1.0.dist-info/METADATA,sha256=abc,300
hello-1.0.dist-info/licenses/LICENSE,,
hello-1.0.dist-info/RECORD,,
"""


def found(record: str | None) -> str:
    """What is said about a RECORD."""
    return "\n".join(map(str, record_problems(record, "hello")))


def test_a_plugin_with_files_of_its_own_only_can_be_isolated() -> None:
    """Its modules, templates and metadata."""
    assert found(GOOD) == ""


@pytest.mark.parametrize(
    "name",
    [
        "hello.pth",
        "HELLO.PTH",
        "__editable__.hello-1.0.pth",
        "pluginkit_plugins/hello/x.pth",
        "hello.egg-link",
        "sitecustomize.py",
        "hello.py",
        "_hello.cpython-311-x86_64-linux-gnu.so",
        "flask/app.py",
        "flask/templates/planted.html",
        "pluginkit_plugins/__init__.py",
        "pluginkit_plugins/other/__init__.py",
        "pluginkit_plugins/hello.py",
        "pluginkit_plugins/hello/../other/__init__.py",
        "pluginkit_plugins/hellos/__init__.py",
        "Pluginkit_Plugins/hello/x.py",
        "../../../bin/hello",
        "/etc/cron.d/hello",
        "pluginkit_plugins\\hello\\x.py",
        "hello-1.0.dist-info/hidden.py",
        "hello-1.0.dist-info/../flask/x.html",
        "hello-1.0.dist-info",
        "hello-1.0.data/purelib/x.html",
    ],
)
def test_any_other_file_is_named(name: str) -> None:
    """With the reason, whatever else is in order."""
    text = found(GOOD + name + ",,\n")
    assert text.count("distribution of hello: RECORD: found") == 1
    assert repr(name) in text


def test_every_file_is_named_at_once() -> None:
    """One build, one answer."""
    assert found(GOOD + "a.pth,,\nb.py,,\n").count("RECORD: found") == 2


def test_a_distribution_without_a_record_is_refused() -> None:
    """Nobody knows then what was installed."""
    assert "no such file" in found(None)


def test_a_record_without_the_plugin_is_refused() -> None:
    """The plugin's files come from elsewhere, for example from an editable installation."""
    assert "no file of the plugin" in found("hello-1.0.dist-info/RECORD,,\n")


def test_a_broken_record_is_refused() -> None:
    """It isn't pip's."""
    assert "as pip writes them" in found('"a\n')


@given(st.text())
def test_any_text_for_a_record_is_answered(text: str) -> None:
    """It comes with the plugin."""
    assert all(str(problem).isprintable() for problem in record_problems(text, "hello"))


@given(st.lists(st.sampled_from(["..", "pluginkit_plugins", "hello", "x", ".", ""]), max_size=6))
def test_what_passes_lies_in_the_plugins_folder(parts: list[str]) -> None:
    """However the name is put together."""
    name = "/".join(parts)
    if not list(record_problems(f"{GOOD}{name},,\n", "hello")) and name:
        place = Path("/site", name).resolve()
        assert place.is_relative_to("/site/pluginkit_plugins/hello")


@pytest.mark.parametrize(
    ("group", "value", "expected"),
    [
        ("flask_pluginkit.plugins", "pluginkit_plugins.hello", None),
        ("flask_pluginkit.plugins", "pluginkit_plugins.hello.core:x", None),
        ("flask_pluginkit.plugins", "os:system", "one that names pluginkit_plugins.hello"),
        ("flask_pluginkit.plugins", "pluginkit_plugins.hellos", "one that names"),
        ("flask.commands", "pluginkit_plugins.hello:cli", "in the group 'flask.commands'"),
        ("pytest11", "pluginkit_plugins.hello.testing", "in the group 'pytest11'"),
        ("console_scripts", "pluginkit_plugins.hello:main", "in the group 'console_scripts'"),
    ],
)
def test_entry_points_of_others_are_named(group: str, value: str, expected: str | None) -> None:
    """``flask --help`` loads those of its commands, as whoever types it."""
    point = EntryPoint(name="hello", value=value, group=group)
    text = "\n".join(map(str, entry_point_problems([point], "hello")))
    assert text == "" if expected is None else expected in text


def test_an_installed_distribution_is_checked(tmp_path: Path) -> None:
    """Both its files at once."""
    metadata = tmp_path / "hello-1.0.dist-info"
    metadata.mkdir()
    (metadata / "RECORD").write_text(GOOD + "evil.pth,,\n", encoding="utf-8")
    text = "[flask.commands]\nhello = pluginkit_plugins.hello:cli\n"
    (metadata / "entry_points.txt").write_text(text, encoding="utf-8")
    with pytest.raises(SandboxUnavailable) as caught:
        require_confinable(PathDistribution(metadata), "hello")
    assert len(caught.value.problems) == 2


def test_an_ordinary_distribution_passes(tmp_path: Path) -> None:
    """With this package's own entry point."""
    metadata = tmp_path / "hello-1.0.dist-info"
    metadata.mkdir()
    (metadata / "RECORD").write_text(GOOD, encoding="utf-8")
    text = "[flask_pluginkit.plugins]\nhello = pluginkit_plugins.hello\n"
    (metadata / "entry_points.txt").write_text(text, encoding="utf-8")
    require_confinable(PathDistribution(metadata), "hello")
