"""The conformance suite passes good plugins, and each of its tests fails for what it forbids."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit_plugins import ALONE, BAD, DECORATED, DICT, FILES, IMPORT, VIEW, Bad
from kit_projects import COMPLETE, Run, run_pytest, write_project
from trees import write_plugin

from flask_pluginkit.testing import levels
from flask_pluginkit.testing.conformance import Conformance

TESTS = [name for name in vars(Conformance) if not name.startswith("_")]

SUITE = {"tests/test_it.py": "from flask_pluginkit.testing import conformance\n"}

TRUSTED = "trusted: what isolation allows isn't looked at here"


def write_bad(root: Path, name: str, bad: Bad) -> None:
    """Write one of the bad plugins into a project."""
    body = (VIEW + bad.body).replace("NAME", name)
    files = {path: text.replace("NAME", name) for path, text in bad.files.items()}
    place = root / "src" / "pluginkit_plugins"
    write_plugin(place, name, body, files=files, **{**COMPLETE, **bad.dunders})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The suite over good plugins, isolated as well where that is possible."""
    root = tmp_path_factory.mktemp("good")
    write_project(root, {}, SUITE, pluginkit_plugins="dictated decorated")
    for name, body in {"dictated": DICT, "decorated": DECORATED}.items():
        files = {path: text.replace("NAME", name) for path, text in FILES.items()}
        permissions = ["responses", "requests", "requests:answer", "routes:/dictated-more"]
        dunders = {"permissions": permissions} if body is DICT else {}
        place = root / "src" / "pluginkit_plugins"
        write_plugin(place, name, body, files=files, **{**COMPLETE, **dunders})
    return run_pytest(root)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The suite over all bad plugins, but for isolation."""
    root = tmp_path_factory.mktemp("bad")
    names = " ".join(BAD)
    write_project(root, {}, SUITE, pluginkit_plugins=names, pluginkit_isolation=TRUSTED)
    for name, one in BAD.items():
        write_bad(root, name, one)
    # each import takes a process of its own: those alone are looked at that do something there
    wanted = (
        f"tests/test_it.py::conformance::{test}[{name}]"
        for name, one in BAD.items()
        for test in TESTS
        if test != IMPORT or one.breaks == IMPORT
    )
    return run_pytest(root, *wanted)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The test of isolation over plugins that don't work isolated."""
    root = tmp_path_factory.mktemp("alone")
    write_project(root, {}, SUITE, pluginkit_plugins=" ".join(ALONE))
    for name, one in ALONE.items():
        write_bad(root, name, one)
    nodes = [f"tests/test_it.py::conformance::isolated[{name}]" for name in ALONE]
    return run_pytest(root, *nodes)


@pytest.mark.parametrize("plugin", ["dictated", "decorated"])
@pytest.mark.parametrize("test", [name for name in TESTS if name != "isolated"])
def test_a_good_plugin_passes(good: Run, plugin: str, test: str) -> None:
    """Every test of the suite passes for a good plugin, in both styles."""
    found = good.of(f"::conformance::{test}[{plugin}]")
    assert (found.result, found.why) == ("passed", "")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plugin_fails_in_one_test(bad: Run, name: str) -> None:
    """What a plugin does wrong is told by the test that is about it, and by no other."""
    wrong = {
        node.partition("conformance::")[2].partition("[")[0]: why
        for node, why in bad.failed().items()
        if node.endswith(f"[{name}]")
    }
    assert list(wrong) == [BAD[name].breaks], wrong
    assert BAD[name].says in wrong[BAD[name].breaks]


def test_every_test_of_the_suite_is_seen_to_fail() -> None:
    """No test of the suite is there that no plugin of these tables fails."""
    assert {one.breaks for one in (*BAD.values(), *ALONE.values())} == set(TESTS)


def test_a_plugin_says_why_it_is_trusted(bad: Run) -> None:
    """The test of isolation is an expected failure with the reason of the configuration."""
    found = bad.of("::conformance::isolated[counting]")
    assert found.result == "xfailed"
    assert "what isolation allows isn't looked at here" in found.why


LACKING = levels.obstacle("isolated")


@pytest.fixture
def _sandbox() -> None:
    """Expect a failure where plugins' users can't read what these tests run with."""
    if LACKING.startswith("tests run as root"):
        pytest.xfail(LACKING)
    if LACKING:
        pytest.skip(f"NOTHING WAS ISOLATED: {LACKING}")


needs_a_sandbox = pytest.mark.usefixtures("_sandbox")


@needs_a_sandbox
def test_a_plugin_that_is_fit_for_it_works_isolated(good: Run) -> None:
    """The plugin with decorators passes in a sandbox."""
    found = good.of("::conformance::isolated[decorated]")
    assert (found.result, found.why) == ("passed", "")


@needs_a_sandbox
def test_what_no_permission_brings_back_is_named(good: Run) -> None:
    """Commands and receivers of signals can't work from there, which no plugin can change."""
    found = good.of("::conformance::isolated[dictated]")
    assert found.result == "xfailed", found
    assert "cli greet" in found.why
    assert "signal got-request-exception" in found.why


@needs_a_sandbox
@pytest.mark.parametrize("name", ALONE)
def test_a_plugin_that_doesnt_work_isolated_is_told_what_it_lacks(alone: Run, name: str) -> None:
    """With the line to write, where one helps."""
    found = alone.of(f"::conformance::isolated[{name}]")
    assert found.result == "failed"
    assert ALONE[name].says in found.why
