"""What holds for every snapshot: nothing is lost, nothing is left, and order decides little."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from values import built, named, plugin

from flask_pluginkit.snapshot import TABLE_KINDS, Plugin, Status

OWNERS = ["a", "b", "c"]
NAMES = ["x", "y"]
names = st.tuples(st.sampled_from(TABLE_KINDS), st.sampled_from(NAMES))
contributed = st.fixed_dictionaries(
    {owner: st.lists(names, unique=True, max_size=6) for owner in OWNERS}
)


def rows(contributed: dict[str, list[tuple[str, str]]]) -> list[Plugin]:
    """Plugins that contribute these names."""
    return [
        plugin(owner, *(named(owner, kind, name) for kind, name in found))
        for owner, found in contributed.items()
    ]


@given(contributed, st.lists(names, unique=True, max_size=3))
def test_each_name_is_live_once_or_refused_with_its_owner(
    contributed: dict[str, list[tuple[str, str]]], reserved: list[tuple[str, str]]
) -> None:
    """Nothing gets lost in silence, and nothing has two owners."""
    snapshot = built(*rows(contributed), reserved=reserved)
    live = {(kind, name) for kind, table in snapshot.tables.items() for name in table}
    refused = [(conflict.loser, (conflict.kind, conflict.name)) for conflict in snapshot.conflicts]
    assert live == set(snapshot.owners)
    assert not live & set(reserved)
    for owner, found in contributed.items():
        for claim in found:
            is_live = snapshot.owners.get(claim) == owner
            assert is_live is ((owner, claim) not in refused)
    assert len(live) + len(refused) == sum(len(found) for found in contributed.values())


@given(contributed, st.randoms(use_true_random=False))
def test_the_order_of_one_plugins_contributions_decides_nothing(
    contributed: dict[str, list[tuple[str, str]]], chance: random.Random
) -> None:
    """Only the order of plugins does."""
    shuffled = {owner: chance.sample(found, len(found)) for owner, found in contributed.items()}
    one, two = built(*rows(contributed)), built(*rows(shuffled))
    assert one.owners == two.owners
    assert one.tables == two.tables
    assert set(one.conflicts) == set(two.conflicts)


@given(
    st.lists(names, unique=True, max_size=6).flatmap(
        lambda found: st.lists(
            st.sampled_from(OWNERS), min_size=len(found), max_size=len(found)
        ).map(
            lambda owners: {
                owner: [n for n, o in zip(found, owners, strict=True) if o == owner]
                for owner in OWNERS
            }
        )
    ),
    st.permutations(OWNERS),
)
def test_without_equal_names_the_order_of_plugins_decides_nothing_either(
    contributed: dict[str, list[tuple[str, str]]], order: list[str]
) -> None:
    """Who comes first matters to conflicts only."""
    one = built(*rows(contributed))
    two = built(*rows({owner: contributed[owner] for owner in order}))
    assert (one.owners, one.tables, one.conflicts) == (two.owners, two.tables, ())


@given(contributed, st.sampled_from(OWNERS))
def test_a_plugin_that_is_switched_off_leaves_nothing(
    contributed: dict[str, list[tuple[str, str]]], off: str
) -> None:
    """The snapshot without it is the one in which it never was."""
    plugins = rows(contributed)
    without = [
        plugin(row.name, *row.contributions, status=Status.DISABLED) if row.name == off else row
        for row in plugins
    ]
    one, two = built(*without), built(*(row for row in plugins if row.name != off))
    assert (one.owners, one.tables, one.conflicts) == (two.owners, two.tables, two.conflicts)


@given(contributed)
def test_building_twice_gives_the_same(contributed: dict[str, list[tuple[str, str]]]) -> None:
    """Building edits nothing that it is given."""
    plugins = rows(contributed)
    one, two = built(*plugins), built(*plugins)
    assert (one.owners, one.tables, one.conflicts) == (two.owners, two.tables, two.conflicts)
