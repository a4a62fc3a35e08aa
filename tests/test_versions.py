"""Semantic versions and ranges of them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from flask_pluginkit import versions
from flask_pluginkit.text import UnusableText
from flask_pluginkit.versions import (
    VersionRange,
    is_compatible_with_us,
    is_semantic,
    matches_release,
)

OPERATORS = ("<", "<=", ">", ">=", "==", "!=", "^", "~", "")

numbers = st.integers(0, 3)
prereleases = st.sampled_from(["", "", "-0", "-alpha", "-rc.1", "-rc.2"])
complete_versions = st.builds("{}.{}.{}{}".format, numbers, numbers, numbers, prereleases)
short_versions = st.builds("{}.{}".format, numbers, numbers) | numbers.map(str)
conditions = st.builds(
    "{}{}".format, st.sampled_from(OPERATORS), complete_versions | short_versions
)
ranges = st.lists(conditions, min_size=1, max_size=3).map(",".join)


def parse(text: str) -> VersionRange:
    """Read a range."""
    return VersionRange.parse(text)


@pytest.mark.parametrize(
    "text", ["1.0.0", "1.2.3-rc.1", "1.2.3+build.5", "10.20.30", "1.0.0-" + "a" * 250]
)
def test_a_semantic_version_is_known(text: str) -> None:
    """Three numbers, perhaps with a prerelease and build metadata."""
    assert is_semantic(text)


@pytest.mark.parametrize(
    "text",
    [
        *["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0rc1", " 1.0.0", "1.0.0\n", "01.0.0"],
        "1\N{ARABIC-INDIC DIGIT ONE}.0.0",
        "9" * 300 + ".0.0",
        "9" * 5000 + ".0.0",
        None,
        1,
    ],
)
def test_anything_else_is_not_semantic(text: object) -> None:
    """Short, prefixed, foreign and endless versions, and what is no text, are told apart."""
    assert not is_semantic(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("<2.0.0", "1.9.9", "2.0.0"),
        ("<=2.0.0", "2.0.0", "2.0.1"),
        (">2.0.0", "2.0.1", "2.0.0"),
        (">=2.0.0", "2.0.0", "1.9.9"),
        ("==2.0.0", "2.0.0", "2.0.1"),
        ("!=2.0.0", "2.0.1", "2.0.0"),
        ("2.0.0", "3.0.0", "1.9.9"),
        (">=1.2,<2", "1.9.0", "2.0.0"),
        (">=1.2,<2", "1.2.0", "1.1.9"),
        (">=1,!=1.5.0", "1.5.1", "1.5.0"),
    ],
)
def test_comparators_are_those_of_3x(text: str, inside: str, outside: str) -> None:
    """Each comparator, a bare version for >=, and several that must all hold."""
    assert inside in parse(text)
    assert outside not in parse(text)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [  # the tables of https://github.com/npm/node-semver#advanced-range-syntax
        ("^1.2.3", ">=1.2.3,<2.0.0-0"),
        ("^0.2.3", ">=0.2.3,<0.3.0-0"),
        ("^0.0.3", ">=0.0.3,<0.0.4-0"),
        ("^1.2.3-beta.2", ">=1.2.3-beta.2,<2.0.0-0"),
        ("^0.0.3-beta", ">=0.0.3-beta,<0.0.4-0"),
        ("^1.2", ">=1.2.0,<2.0.0-0"),
        ("^0.0", ">=0.0.0,<0.1.0-0"),
        ("^1", ">=1.0.0,<2.0.0-0"),
        ("^0", ">=0.0.0,<1.0.0-0"),
        ("~1.2.3", ">=1.2.3,<1.3.0-0"),
        ("~1.2", ">=1.2.0,<1.3.0-0"),
        ("~1", ">=1.0.0,<2.0.0-0"),
        ("~0.2.3", ">=0.2.3,<0.3.0-0"),
        ("~0.2", ">=0.2.0,<0.3.0-0"),
        ("~0", ">=0.0.0,<1.0.0-0"),
        ("~1.2.3-beta.2", ">=1.2.3-beta.2,<1.3.0-0"),
    ],
)
def test_caret_and_tilde_mean_what_they_mean_to_npm(text: str, expanded: str) -> None:
    """Both are two comparisons, as npm documents them."""
    assert parse(text) == parse(expanded)


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ("1", ">=1.0.0"),
        ("1.2", ">=1.2.0"),
        ("<2", "<2.0.0"),
        ("==1.2", "==1.2.0"),
        (">1", ">1.0.0"),
    ],
)
def test_a_short_version_is_filled_with_zeros(short: str, whole: str) -> None:
    """One or two numbers are enough."""
    assert parse(short) == parse(whole)


@pytest.mark.parametrize("text", ["", "   ", "*", " * "])
def test_no_condition_is_every_version(text: str) -> None:
    """Nothing, blanks and an asterisk allow everything, a prerelease too."""
    assert "0.0.1-alpha" in parse(text)
    assert str(parse(text)) == "*"


def test_blanks_may_stand_everywhere() -> None:
    """Around operators, versions and commas."""
    assert parse("  >=  1.2 ,\t< 2 ") == parse(">=1.2,<2")


def test_a_prerelease_is_below_its_release() -> None:
    """Plain comparators follow the order of semantic versioning."""
    assert "2.0.0-rc.1" in parse("<2")
    assert "2.0.0-rc.1" not in parse(">=2")


def test_the_upper_end_of_a_caret_leaves_out_prereleases_of_the_next_version() -> None:
    """2.0.0-rc.1 is as incompatible with 1.x as 2.0.0."""
    assert "2.0.0-rc.1" not in parse("^1.2")
    assert "1.3.0-0" not in parse("~1.2")


def test_build_metadata_plays_no_part() -> None:
    """Neither in the version nor in the range."""
    assert "1.2.3+a" in parse("==1.2.3+b")
    assert len({parse("==1.2.3+a"), parse("==1.2.3+b")}) == 1


@pytest.mark.parametrize("version", ["1.0", "latest", "", "1.0.0rc1"])
def test_a_version_that_is_not_semantic_is_in_no_range(version: str) -> None:
    """Not even in the one that holds every version."""
    assert version not in parse("*")


def test_what_is_no_text_is_in_no_range() -> None:
    """Asking for it is no error, as with other containers."""
    assert 1 not in parse("*")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (">=1.x", "'>=1.x' at character 1 of '>=1.x'"),
        (">=1.2, <two", "'<two' at character 7 of '>=1.2, <two'"),
        (">=1,,<2", "'' at character 5 of '>=1,,<2'"),
        (">=1,", "'' at character 5 of '>=1,'"),
        (">=1 <2", "'>=1 <2' at character 1 of '>=1 <2'"),
        ("=1.2.3", "'=1.2.3' at character 1 of '=1.2.3'"),
        ("> =1.2.3", "'> =1.2.3' at character 1 of '> =1.2.3'"),
        ("*,<2", "'*' at character 1 of '*,<2'"),
        ("1.2.3.4", "'1.2.3.4' at character 1 of '1.2.3.4'"),
    ],
)
def test_a_wrong_range_is_located(text: str, found: str) -> None:
    """The error says which condition is wrong, where it begins and what is expected."""
    with pytest.raises(UnusableText) as caught:
        parse(text)
    assert caught.value.found == found
    assert "such as '>=1.2,<2'" in caught.value.expected


@pytest.mark.parametrize("value", [None, 2, b">=1", ["1.0.0"]])
def test_a_range_that_is_no_text_is_named_by_its_type(value: object) -> None:
    """What stands there instead of a text is said."""
    with pytest.raises(UnusableText, match="expected versions such as"):
        VersionRange.parse(value)


@pytest.mark.parametrize("text", ["1," * 600 + "1", "^" + "9" * 300, "^" + "9" * 10_000])
def test_an_endless_range_is_refused_in_a_short_message(text: str) -> None:
    """Limits keep numbers convertible and messages readable."""
    with pytest.raises(UnusableText) as caught:
        parse(text)
    assert len(str(caught.value)) < 500


@given(st.text() | st.text("<>=!^~*,. 0123456789-rc+"))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    """Nothing else than `UnusableText` comes of a text of others, in printable characters."""
    message = ""
    try:
        parse(text)
    except UnusableText as error:
        message = str(error)
    assert message.isprintable()


@given(ranges)
def test_a_range_survives_being_written_and_pickled(text: str) -> None:
    """``str()`` and pickle give an equal range."""
    whole = parse(text)
    assert parse(str(whole)) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole
    assert str(whole) == text


@given(ranges, st.lists(st.sampled_from(["", " ", "\t", "  "]), min_size=12, max_size=12))
def test_blanks_change_nothing(text: str, blanks: list[str]) -> None:
    """Blanks between the words of a range don't change what it holds."""
    words: list[str] = []
    for condition in text.split(","):
        operator = condition.rstrip("0123456789.-abcdefghijklmnopqrstuvwxyz")
        words += [operator, condition.removeprefix(operator), ","]
    gaps = iter(blanks)
    spaced = "".join(next(gaps, "") + word for word in words[:-1]) + next(gaps, "")
    assert parse(spaced) == parse(text)


@given(ranges, complete_versions)
def test_a_range_holds_what_all_of_its_conditions_hold(text: str, version: str) -> None:
    """A comma means *and*."""
    assert (version in parse(text)) == all(version in parse(one) for one in text.split(","))


@given(complete_versions, complete_versions)
def test_each_comparator_agrees_with_the_order_of_versions(bound: str, version: str) -> None:
    """The comparators divide all versions as their signs say."""
    order = Version.parse(version).compare(bound)
    assert (version in parse(f"<{bound}")) == (order < 0)
    assert (version in parse(f"<={bound}")) == (order <= 0)
    assert (version in parse(f"=={bound}")) == (order == 0)
    assert (version in parse(f"!={bound}")) == (order != 0)
    assert (version in parse(f">={bound}")) == (order >= 0)
    assert (version in parse(f">{bound}")) == (order > 0)


@given(complete_versions, complete_versions)
def test_a_tilde_is_never_wider_than_a_caret_above_zero(bound: str, version: str) -> None:
    """From 1.0.0 on, whatever ``~`` holds ``^`` holds too, and both begin at the bound."""
    if not bound.startswith("0."):
        assert version not in parse(f"~{bound}") or version in parse(f"^{bound}")
    assert bound in parse(f"~{bound},^{bound}")


@pytest.mark.parametrize("ours", ["4.0.0", "4.0.0rc1", "4.0.0-rc.1", "4.0.0.dev1", "4.0.0a2", "4"])
def test_our_prereleases_count_as_their_release(ours: str) -> None:
    """``<4`` excludes 4.0.0rc1, and ``>=4`` takes it."""
    assert not matches_release(parse("<4"), ours)
    assert matches_release(parse(">=4.0.0"), ours)
    assert matches_release(parse(">=3.11.0"), ours)


def test_a_version_without_numbers_has_no_release_part() -> None:
    """Asking for it is a mistake of the caller."""
    with pytest.raises(ValueError, match="found 'dev', expected a version such as"):
        matches_release(parse("*"), "dev")


@pytest.mark.parametrize("ours", ["4.0.0", "4.0.0rc1"])
def test_published_plugins_are_compatible_with_us(
    ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say ``>=3.11.0``, or nothing; one that says ``<4`` isn't compatible."""
    monkeypatch.setattr(versions, "__version__", ours)
    assert is_compatible_with_us(">=3.11.0")
    assert is_compatible_with_us("")
    assert not is_compatible_with_us("<4")
    assert not is_compatible_with_us(">=3.11.0, <4.0.0")


def test_an_unreadable_appversion_is_an_error() -> None:
    """Whether it is compatible can't be said."""
    with pytest.raises(ValueError, match="found 'new'"):
        is_compatible_with_us("new")
