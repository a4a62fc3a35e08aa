"""Which names plugins may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.names import LONGEST_NAME, NAME_RULE, name_of_package, parse_name
from flask_pluginkit.text import UnusableText

any_text = st.text(st.characters())  # surrogates included
likely_names = st.text("aZ0_-. é/\u0301", max_size=LONGEST_NAME + 2)


@pytest.mark.parametrize(
    "text",
    [
        *["hello", "AccessCount", "flask-pluginkit.demo", "my plugin", "_x", "2fa", "日本語"],
        *["हिन्दी", "é", "a" * LONGEST_NAME],
    ],
)
def test_a_name_of_letters_digits_and_a_few_signs_is_valid(text: str) -> None:
    """Letters of every script, and their marks."""
    assert parse_name(text) == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has 0 characters"),
        ("a" * 65, "has 65 characters"),
        ("a/b", "holds '/'"),
        ("..", "begins with '.'"),
        ("a\\b", "holds"),
        ("a:b", "holds ':'"),
        ("a@b", "holds '@'"),
        ("a'b", "holds"),
        ("a\nb", "holds '\\n'"),
        ("a\u202eb", "holds"),
        ("a\u00a0b", "holds"),
        ("a😀", "holds '😀'"),
        ("-a", "begins with '-'"),
        (" a", "begins with ' '"),
        (".a", "begins with '.'"),
        ("\u0301a", "begins with"),
        ("a ", "ends with ' '"),
        ("a.", "ends with '.'"),
        ("e\u0301", "isn't in Unicode's form NFC"),
    ],
)
def test_an_invalid_name_is_refused_with_its_fault(text: str, fault: str) -> None:
    """What can't be a segment of a path, a prefix and a command can't be a name."""
    with pytest.raises(UnusableText) as caught:
        parse_name(text)
    assert f", which {fault}" in caught.value.found
    assert caught.value.expected == NAME_RULE


@pytest.mark.parametrize("value", [None, 1, b"hello", ["hello"]])
def test_only_text_can_be_a_name(value: object) -> None:
    """Anything else is named by its type."""
    with pytest.raises(UnusableText, match=r"expected 1 to 64 letters"):
        parse_name(value)


@given(any_text | likely_names)
def test_a_valid_name_is_safe_in_paths_and_messages(text: str) -> None:
    """Whatever is accepted is one printable path segment that isn't the parent's."""
    try:
        name = parse_name(text)
    except UnusableText as error:
        shown = str(error)
    else:
        shown = name
        assert not set(name) & set("/\\:@'\"<>|?*\0%#")
        assert name == name.strip()
        assert name not in {".", ".."}
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("hello", "hello"),
        ("pluginkit_plugins.hello", "hello"),
        ("plugins.my-plugin", "my-plugin"),
        ("plugins.-odd?", "_-odd_"),
        ("", "_"),
        ("plugins.", "_"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("x" * 100, "x" * LONGEST_NAME),
    ],
)
def test_a_package_gives_a_name_to_its_plugin(package: str, name: str) -> None:
    """The last part of the package's name, made valid."""
    assert name_of_package(package) == name


@given(any_text | likely_names)
def test_every_package_gives_a_valid_name(package: str) -> None:
    """However a folder is called, its plugin can be listed."""
    assert parse_name(name_of_package(package))
