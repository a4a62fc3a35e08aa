"""Untrusted text made safe, and guesses at what a misspelt name was meant to be."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.text import (
    UnusableText,
    as_text,
    clean,
    describe,
    edit_distance_is_one,
    nearest,
    shorten,
)

any_text = st.text(st.characters())  # surrogates included
nasty_text = st.lists(
    st.sampled_from(["\x1b[31m", "\x1b]0;", "\x9d", "\x07", "\u202e", "\ud800", "\r\n", "a", " "])
).map("".join)


class ProxyOfText:
    """What lazy translations do: `isinstance` takes it for a str."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return str

    def __str__(self) -> str:
        return "lazy"


class Shouting(str):
    """A text whose conversion isn't what it holds."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Broken:
    """An object that can't be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;https://example.org\x1b\\link", "link"),
        ("\x90q\x9cimage", "image"),
        ("\x1bcreset", "reset"),
        ("\x1b(Bcharset", "charset"),
    ],
)
def test_an_escape_sequence_leaves_nothing(text: str, expected: str) -> None:
    """Sequences that colour, retitle or reset a terminal are removed whole."""
    assert clean(text) == expected


def test_an_unfinished_control_string_hides_no_other_line() -> None:
    """The text after an opening without an end stays readable."""
    assert clean("\x1b]0;oops\nroot logged in", multiline=True) == "0;oops\nroot logged in"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_every_line_end_becomes_one_blank(end: str) -> None:
    """No text can forge a second log line."""
    assert clean(f"one{end}two") == "one two"


def test_line_ends_are_newlines_where_lines_are_allowed() -> None:
    """With `multiline`, the lines stay, with one kind of end."""
    assert clean("one\r\ntwo\u2028three", multiline=True) == "one\ntwo\nthree"


def test_bidirectional_and_invisible_characters_are_removed() -> None:
    """A text can't be made to read as another one."""
    assert clean("user\u202e gpj\u200b.exe\u2066") == "user gpj.exe"


def test_what_is_no_character_is_shown_as_such() -> None:
    """Surrogates and unassigned code points become replacement characters."""
    assert clean("a\ud800b\uffffc") == "a\ufffdb\ufffdc"


def test_tabs_and_odd_blanks_become_blanks() -> None:
    """The words on both sides stay apart."""
    assert clean("a\tb\u00a0c\u3000d\x1fe") == "a b c d e"


def test_a_long_text_ends_with_an_ellipsis() -> None:
    """The limit includes the ellipsis, and a text of exactly that length is whole."""
    assert clean("abcdef", 5) == "abcd…"
    assert clean("abcde", 5) == "abcde"


@pytest.mark.parametrize(("limit", "expected"), [(1, "…"), (0, ""), (-3, "")])
def test_a_tiny_limit_is_kept(limit: int, expected: str) -> None:
    """Even a limit that leaves no room for text is one."""
    assert shorten("abc", limit) == expected


def test_anything_else_than_text_is_converted() -> None:
    """Exceptions, bytes and numbers can be handed over as they are."""
    assert clean(ValueError("no\nway")) == "no way"
    assert clean(b"caf\xc3\xa9 \xff") == "café \ufffd"
    assert clean(7) == "7"


def test_an_object_that_cannot_be_shown_is_shown_as_its_type() -> None:
    """Reporting a fault never makes another one."""
    assert clean(Broken()) == "<Broken>"


def test_a_subclass_of_text_is_taken_for_what_it_holds() -> None:
    """Its own conversion isn't called, and the result is an ordinary str."""
    assert clean(Shouting("quiet")) == "quiet"
    assert type(as_text(Shouting("quiet"))) is str


def test_a_lazy_proxy_is_no_text_but_can_be_shown() -> None:
    """An object that only pretends to be a str doesn't break anything."""
    assert as_text(ProxyOfText()) is None
    assert clean(ProxyOfText()) == "lazy"


@given(any_text | nasty_text, st.integers(0, 30))
def test_a_clean_text_is_printable_and_within_its_limit(text: str, limit: int) -> None:
    """Whatever goes in, only printable characters come out, and few enough."""
    cleaned = clean(text, limit)
    assert cleaned.isprintable()
    assert len(cleaned) <= limit


@given(any_text | nasty_text, st.booleans())
def test_cleaning_twice_changes_nothing(text: str, multiline: bool) -> None:
    """What cleaning leaves over can't form a new sequence."""
    once = clean(text, multiline=multiline)
    assert clean(once, multiline=multiline) == once


@given(any_text.filter(str.isprintable))
def test_a_printable_text_stays_as_it_is(text: str) -> None:
    """Cleaning doesn't touch what is clean."""
    assert clean(text, len(text)) == text


@given(st.text(st.sampled_from("ab\n")))
def test_several_lines_stay_as_they_are_where_they_are_allowed(text: str) -> None:
    """A text of printable lines isn't touched with `multiline`."""
    assert clean(text, len(text), multiline=True) == text


def test_megabytes_of_unfinished_sequences_are_cleaned_in_no_time() -> None:
    """Searching for the ends of sequences takes time in proportion to the text's length."""
    for opening in ("\x9d", "\x1b[", "\x1b]a", "\x1b ", "\x9b0"):
        clean(opening * 300_000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.0", "'1.0'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        (None, "None"),
        (True, "True"),
        (-7, "-7"),
        (1.5, "1.5"),
        (10**50, "a value of type int"),
        ([1, 2], "a value of type list"),
        (b"1", "a value of type bytes"),
        (Broken(), "a value of type Broken"),
    ],
)
def test_a_found_value_is_described_without_running_its_code(value: object, expected: str) -> None:
    """Texts and short numbers are quoted, everything else is named by its type."""
    assert describe(value) == expected


@given(any_text)
def test_a_described_text_is_printable_and_short(text: str) -> None:
    """A message stays on one line, whatever was found."""
    described = describe(text, 40)
    assert described.isprintable()
    assert len(described) <= 40


def test_the_nearest_known_name_is_suggested() -> None:
    """A misspelt name finds what it was meant to be; a different one finds nothing."""
    assert nearest("errorhandler", ["errhandler", "filter", "tep"]) == "errhandler"
    assert nearest("banana", ["errhandler", "filter", "tep"]) is None


def test_no_guess_is_made_for_endless_names() -> None:
    """Comparing would take the square of the length."""
    assert nearest("a" * 1_000_000, ["a" * 1_000_000]) is None


@pytest.mark.parametrize(
    "slip", ["versio", "vversion", "verson", "versionn", "vexsion", "verison", "ersion", "versiom"]
)
def test_one_slip_is_an_edit_distance_of_one(slip: str) -> None:
    """One character missing, doubled or wrong, or two swapped."""
    assert edit_distance_is_one(slip, "version")
    assert edit_distance_is_one("version", slip)


@pytest.mark.parametrize("other", ["version", "vers", "versXXn", "evrsoin", "nversio", "", "v"])
def test_no_slip_or_more_than_one_is_another_distance(other: str) -> None:
    """Equal texts and those that differ in two places."""
    assert not edit_distance_is_one(other, "version")
    assert not edit_distance_is_one("version", other)


def one_slip(text: str, alphabet: str) -> set[str]:
    """Everything that one slip makes of `text`."""
    places = range(len(text) + 1)
    added = {text[:i] + c + text[i:] for i in places for c in alphabet}
    dropped = {text[:i] + text[i + 1 :] for i in places}
    wrong = {text[:i] + c + text[i + 1 :] for i in range(len(text)) for c in alphabet}
    swapped = {
        text[:i] + text[i + 1] + text[i] + text[i + 2 :] for i in range(max(len(text) - 1, 0))
    }
    return (added | dropped | wrong | swapped) - {text}


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_the_distance_is_one_exactly_if_one_slip_leads_there(a: str, b: str) -> None:
    """The comparison agrees with trying out all slips."""
    assert edit_distance_is_one(a, b) == (b in one_slip(a, "ab"))


def test_an_unusable_text_says_what_was_found_and_expected() -> None:
    """It is a ValueError, with both as attributes, also in another process."""
    error = UnusableText("'x'", "a number")
    assert isinstance(error, ValueError)
    assert (error.found, error.expected) == ("'x'", "a number")
    assert str(error) == "found 'x', expected a number"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
