"""Who requires whom: the order of loading, and who can't be loaded for want of another."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hosts import Host, clean_imports, host
from hypothesis import given
from hypothesis import strategies as st
from values import manifest

from flask_pluginkit.exceptions import ManifestError, PEPError, RequirementError, VersionError
from flask_pluginkit.requirements import Refusal, cycle_refusal, order, refusal
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

NOTHING = """
def register():
    return {}
"""
FAILING = """
raise RuntimeError("no database")
def register():
    return {}
"""
MISSING_PARENT = """
from flask import Blueprint
blueprint = Blueprint("b", __name__)
def register():
    return {"bep": {"blueprint": blueprint, "prefix": None, "parent": "x"}}
"""


def ordered(**requires: str) -> tuple[list[str], dict[str, list[str]]]:
    """The order of plugins, each given with the names that it requires, parted by blanks."""
    return order({name: manifest(name, others.split()) for name, others in requires.items()})


# ---- the order -------------------------------------------------------------------------------


def test_without_requirements_the_order_is_by_name() -> None:
    """It never depends on how a folder is listed."""
    assert ordered(b="", c="", a="") == (["a", "b", "c"], {})


def test_what_is_required_comes_first() -> None:
    """Requirements count more than names do."""
    assert ordered(a="c", b="", c="")[0] == ["b", "c", "a"]


def test_names_decide_among_those_that_are_ready() -> None:
    """A plugin comes as early by name as its requirements allow."""
    assert ordered(a="z", b="", c="a", z="")[0] == ["b", "z", "a", "c"]


def test_a_requirement_that_nobody_has_does_not_count_for_the_order() -> None:
    """It is told of later, with a status and a reason."""
    assert ordered(a="missing", b="")[0] == ["a", "b"]


def test_a_cycle_is_shown_as_a_path_from_each_of_its_members() -> None:
    """Whoever reads it sees which requirement to remove."""
    names, cycles = ordered(a="b", b="c", c="a", d="")
    assert names == ["d", "a", "b", "c"]
    assert cycles == {
        "a": ["a", "b", "c", "a"],
        "b": ["b", "c", "a", "b"],
        "c": ["c", "a", "b", "c"],
    }


def test_a_plugin_that_requires_itself_is_a_cycle() -> None:
    """The shortest one that there is."""
    assert ordered(a="a")[1] == {"a": ["a", "a"]}


def test_one_that_requires_a_member_of_a_cycle_is_no_member() -> None:
    """It can't be loaded either, but its reason is another one."""
    names, cycles = ordered(a="b", b="c", c="b")
    assert (names, sorted(cycles)) == (["a", "b", "c"], ["b", "c"])


def test_the_shortest_of_several_cycles_is_shown() -> None:
    """A short path is easier to mend."""
    assert ordered(a="b c", b="c", c="a")[1]["a"] == ["a", "c", "a"]


graphs = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.sets(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size
    ).map(lambda rows: {f"p{i}": {f"p{other}" for other in row} for i, row in enumerate(rows)})
)


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Everything that `start` needs, directly or by way of others."""
    found: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


@given(graphs)
def test_the_order_is_topological_as_far_as_there_is_one(graph: dict[str, set[str]]) -> None:
    """All plugins are in it once, each after what it requires, unless a cycle forbids that."""
    names, cycles = order({name: manifest(name, others) for name, others in graph.items()})
    assert sorted(names) == sorted(graph)
    assert set(cycles) == {name for name in graph if name in reachable(graph, name)}
    place = {name: index for index, name in enumerate(names)}
    sound = [name for name in graph if not (reachable(graph, name) | {name}) & set(cycles)]
    assert all(place[other] < place[name] for name in sound for other in graph[name])
    assert names[: len(sound)] == [name for name in names if name in sound]


@given(graphs, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_the_input(
    graph: dict[str, set[str]], chance: random.Random
) -> None:
    """Neither does it depend on the hashes of names."""
    given_order = {name: manifest(name, others) for name, others in graph.items()}
    shuffled = list(given_order)
    chance.shuffle(shuffled)
    assert order({name: given_order[name] for name in shuffled}) == order(given_order)


@given(graphs)
def test_every_path_of_a_cycle_is_one(graph: dict[str, set[str]]) -> None:
    """Each name on it requires the next, and it ends where it begins."""
    _names, cycles = order({name: manifest(name, others) for name, others in graph.items()})
    for name, path in cycles.items():
        assert path[0] == path[-1] == name
        assert all(after in graph[before] for before, after in pairwise(path))
        assert len(set(path)) == len(path) - 1


# ---- refusals --------------------------------------------------------------------------------


def refused(
    range_text: str,
    versions: Mapping[str, str],
    not_active: Mapping[str, tuple[Status, str]] | None = None,
) -> Refusal | None:
    """Whether a plugin that requires ``other`` in that range is refused."""
    return refusal(manifest("hello", {"other": range_text}), versions, not_active or {})


@pytest.mark.parametrize("range_text", [">=1.2,<2", "^1.2", "~1.2.0", " >= 1.2 , < 2 ", "1.0"])
def test_a_plugin_whose_requirements_are_met_is_not_refused(range_text: str) -> None:
    """Ranges are those of 3.x, and ^ and ~."""
    assert refused(range_text, {"other": "1.2.3"}) is None


@pytest.mark.parametrize(
    ("versions", "not_active", "status", "found", "advice"),
    [
        ({}, {}, Status.INCOMPATIBLE, "no such plugin", "install 'other'"),
        (
            {"other": "1.2.3"},
            {"other": (Status.DISABLED, "disabled by a marker")},
            Status.INCOMPATIBLE,
            "'other' is disabled",
            "enable 'other'",
        ),
        (
            {"other": "1.1.0"},
            {},
            Status.INCOMPATIBLE,
            "version 1.1.0",
            "install a version of 'other' that fits",
        ),
        (
            {"other": "1.2.3"},
            {"other": (Status.FAILED, "no database")},
            Status.FAILED,
            "'other' is failed: no database",
            "mend 'other' first",
        ),
        (
            {"other": "1.2.3"},
            {"other": (Status.INCOMPATIBLE, "for another release")},
            Status.FAILED,
            "'other' is incompatible: for another release",
            "mend 'other' first",
        ),
    ],
)
def test_an_unmet_requirement_is_told_with_what_to_do(
    versions: Mapping[str, str],
    not_active: Mapping[str, tuple[Status, str]],
    status: Status,
    found: str,
    advice: str,
) -> None:
    """The reason says what was required, what is there and how to mend it."""
    answer = refused(">=1.2,<2", versions, not_active)
    assert answer is not None
    assert answer.status is status
    assert (answer.problem.where, answer.problem.what) == (
        "hello/__init__.py",
        "__requires__['other']",
    )
    assert (answer.problem.found, answer.problem.advice) == (found, advice)
    assert answer.problem.expected == "an active plugin 'other' >=1.2,<2"


def test_a_cycle_is_a_failure_that_shows_the_path() -> None:
    """Nobody can guess which of the requirements is the wrong one."""
    answer = cycle_refusal(manifest("a", ["b"]), ["a", "b", "a"])
    assert answer.status is Status.FAILED
    assert answer.problem.found == "a cycle: a -> b -> a"


# ---- in an application -----------------------------------------------------------------------


def statuses(host: Host) -> dict[str, str]:
    """The status of each plugin."""
    return {plugin.name: plugin.status.value for plugin in host.pm.plugins}


def test_plugins_are_loaded_after_what_they_require(host: Host) -> None:
    """A plugin may use another one while it is imported."""
    host.plugin("a", "from plugins.z import VALUE\n" + NOTHING, requires={"z": ">=1"})
    host.plugin("z", "VALUE = 7\n" + NOTHING)
    host.start()
    assert [plugin.name for plugin in host.pm.plugins] == ["z", "a"]
    assert host.module("a").VALUE == 7


def test_a_missing_requirement_makes_a_plugin_incompatible(host: Host) -> None:
    """The application starts, and says what to install."""
    host.plugin("a", NOTHING, requires={"z": ">=1"})
    host.start(strict=False)
    assert host.row("a").status is Status.INCOMPATIBLE
    assert "found no such plugin, expected an active plugin 'z' >=1" in host.row("a").reason
    assert host.row("a").reason.endswith("install 'z'")
    assert host.row("a").module is None


def test_a_disabled_requirement_makes_a_plugin_incompatible(host: Host) -> None:
    """Neither of the two is imported."""
    host.plugin("a", FAILING, requires={"z": ">=1"})
    host.plugin("z", FAILING, state="disabled")
    host.start(strict=False)
    assert statuses(host) == {"z": "disabled", "a": "incompatible"}
    assert "'z' is disabled" in host.row("a").reason


def test_a_requirement_that_is_too_old_makes_a_plugin_incompatible(host: Host) -> None:
    """The version that was found is named."""
    host.plugin("a", NOTHING, requires={"z": "^2"})
    host.plugin("z", NOTHING)
    host.start(strict=False)
    assert statuses(host) == {"z": "active", "a": "incompatible"}
    assert "found version 1.0.0, expected an active plugin 'z' ^2" in host.row("a").reason


def test_a_failing_requirement_makes_its_dependants_fail_one_after_the_other(host: Host) -> None:
    """And nobody else; each reason leads to the one that is to be mended."""
    host.plugin("a", NOTHING, requires={"b": ">=1"})
    host.plugin("b", NOTHING, requires={"c": ">=1"})
    host.plugin("c", FAILING)
    host.plugin("d", NOTHING)
    host.start(strict=False)
    assert statuses(host) == {"c": "failed", "b": "failed", "a": "failed", "d": "active"}
    assert "no database" in host.row("a").reason


@pytest.mark.parametrize(
    "body",
    [
        "def register():\n    raise RuntimeError('no database')\n",
        "def register():\n    return {'veps': []}\n",
        "def on_app_ready(app):\n    raise RuntimeError('no database')\n" + NOTHING,
        MISSING_PARENT,
    ],
)
def test_a_requirement_may_fail_at_any_step(host: Host, body: str) -> None:
    """In register(), in what that returns, while registering, when the application is ready."""
    host.plugin("a", "def register():\n    return {'filter': {'f': str}}\n", requires={"z": ">=1"})
    host.plugin("z", body)
    host.start(strict=False)
    assert statuses(host) == {"z": "failed", "a": "failed"}
    assert "'z' is failed" in host.row("a").reason
    assert "f" not in host.app.jinja_env.filters


def test_members_of_a_cycle_fail_and_show_it(host: Host) -> None:
    """So do those that require them, and nobody is imported."""
    host.plugin("a", FAILING, requires={"b": ">=1"})
    host.plugin("b", FAILING, requires={"a": ">=1"})
    host.plugin("c", FAILING, requires={"b": ">=1"})
    host.plugin("d", NOTHING)
    host.start(strict=False)
    assert statuses(host) == {"a": "failed", "b": "failed", "c": "failed", "d": "active"}
    assert "a cycle: a -> b -> a" in host.row("a").reason
    assert "a cycle: b -> a -> b" in host.row("b").reason
    assert "'b' is failed" in host.row("c").reason


def test_every_requirement_counts(host: Host) -> None:
    """One that is met doesn't make up for one that isn't."""
    host.plugin("a", NOTHING, requires={"b": ">=1", "c": ">=1"})
    host.plugin("b", NOTHING)
    host.start(strict=False)
    assert host.row("a").status is Status.INCOMPATIBLE


def test_a_requirement_that_is_no_range_is_a_fault_of_the_manifest(host: Host) -> None:
    """It is told before anything is imported."""
    host.plugin("a", FAILING, requires={"z": "newest"})
    host.start(strict=False)
    assert host.row("a").status is Status.FAILED
    assert "__requires__" in host.row("a").reason
    assert "no database" not in host.row("a").reason


@pytest.mark.parametrize(
    ("requires", "error"),
    [
        ({"z": ">=1"}, RequirementError),
        ({"a": ">=1"}, ManifestError),
        ({"z": "?"}, ManifestError),
    ],
)
def test_in_strict_mode_an_unmet_requirement_is_raised(
    host: Host, requires: dict[str, str], error: type[Exception]
) -> None:
    """As 3.x raised for a version that it couldn't use."""
    host.plugin("a", NOTHING, requires=requires)
    with pytest.raises(error) as caught:
        host.start(strict=True)
    assert isinstance(caught.value, VersionError | PEPError)
    assert "pluginkit" not in host.app.extensions


def test_the_order_follows_a_manifest_that_has_changed(host: Host) -> None:
    """What was found out once holds only as long as nobody requires something else."""
    folder = host.plugin("a", NOTHING, state="disabled")
    host.plugin("b", NOTHING)
    host.start()
    assert [row.name for row in host.pm.plugins] == ["a", "b"]
    shutil.rmtree(folder)
    host.plugin("a", NOTHING, state="disabled", requires={"b": ">=1"})
    host.pm.rescan()
    assert [row.name for row in host.pm.plugins] == ["b", "a"]
