"""The application's tables with plugins' entries behind its own: they read as one dict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.live.tables import LiveDict

entries = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3))


@given(entries, entries)
def test_a_live_dict_reads_as_the_merged_one(own: dict[str, int], live: dict[str, int]) -> None:
    """The application's entries come before those of plugins, whichever way one asks."""
    table = LiveDict("filter", own, lambda: live)
    merged = {**live, **own}
    assert dict(table) == dict(table.items()) == table.copy() == {**table} == merged
    assert (set(table), set(table.keys()), len(table)) == (set(merged), set(merged), len(merged))
    assert sorted(table.values()) == sorted(merged.values())
    assert bool(table) is bool(merged)
    for key in "abcdefg":
        assert (key in table) is (key in merged)
        assert table.get(key, -1) == merged.get(key, -1)
        assert table.own().get(key) == own.get(key)
        if key in merged:
            assert table[key] == merged[key]
        else:
            with pytest.raises(KeyError):
                table[key]


@given(entries, entries, entries)
def test_writing_to_a_live_dict_changes_the_applications_entries(
    own: dict[str, int], live: dict[str, int], written: dict[str, int]
) -> None:
    """What plugins have stays theirs."""
    table, before = LiveDict("filter", own, lambda: live), dict(live)
    table.update(written)
    for key in "abcdef":
        expected = {**live, **own, **written}
        assert table.setdefault(key, 9) == expected.get(key, 9)
    assert live == before
    assert {key: table.own()[key] for key in {**own, **written}} == {**own, **written}
