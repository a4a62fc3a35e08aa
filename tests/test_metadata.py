"""What a distribution's metadata tells of the plugin that it brought."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.metadata import read_metadata


class Fake(Distribution):
    """A distribution that has nothing but this METADATA."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise AssertionError("no file of the distribution is looked for")


def of(*fields: str) -> dict[str, str]:
    """Read metadata that has these fields."""
    return read_metadata(Fake("\n".join(["Metadata-Version: 2.1", *fields, "", "A body."])))


def test_without_a_distribution_there_is_nothing() -> None:
    """A plugin in a folder was brought by nobody."""
    assert read_metadata(None) == {}


def test_the_fields_are_told_in_our_terms() -> None:
    """Name, version, author, summary, home page and license."""
    assert of(
        "Name: hello",
        "Version: 1.2.3",
        "Author: Ada",
        "Summary: Says hello",
        "Home-page: https://example.org",
        "License: MIT",
    ) == {
        "Name": "hello",
        "__version__": "1.2.3",
        "__author__": "Ada",
        "__description__": "Says hello",
        "__url__": "https://example.org",
        "__license__": "MIT",
    }


def test_a_version_that_is_not_semantic_is_left_out() -> None:
    """A plugin needs a semantic one, and it isn't ours to make one up."""
    assert "__version__" not in of("Name: hello", "Version: 1.0rc1")


@pytest.mark.parametrize("field", ["Author-email", "Maintainer", "Maintainer-email"])
def test_other_fields_name_the_author_too(field: str) -> None:
    """Builders of today write name and address into Author-email."""
    assert of(f"{field}: Ada <ada@example.org>")["__author__"] == "Ada <ada@example.org>"


def test_the_license_expression_is_preferred() -> None:
    """It says in a few words what the older field may say in pages."""
    assert of("License: text", "License-Expression: MIT")["__license__"] == "MIT"


def test_the_link_labelled_home_page_is_the_url() -> None:
    """However the label is written."""
    links = "Project-URL: Docs, https://d.example", "Project-URL: Home Page, https://h.example"
    assert of(*links)["__url__"] == "https://h.example"


def test_without_a_home_page_the_first_link_is_the_url() -> None:
    """Any link is better than none."""
    links = "Project-URL: Docs, https://d.example", "Project-URL: Source, https://s.example"
    assert of(*links)["__url__"] == "https://d.example"


def test_placeholders_count_as_not_given() -> None:
    """UNKNOWN and nothing at all are what builders write for want of a value."""
    assert of("Author: UNKNOWN", "Summary: ", "Home-page: UNKNOWN") == {}


def test_the_texts_are_printable() -> None:
    """Metadata is written by others as well."""
    assert of("Summary: \x1b[31mred\u202e")["__description__"] == "red"


def test_missing_metadata_is_no_error() -> None:
    """A damaged installation gives nothing."""
    assert read_metadata(Fake(None)) == {}


def test_unreadable_metadata_is_no_error() -> None:
    """Nor does one that can't be read."""

    class Unreadable(Fake):
        def read_text(self, filename: str) -> str | None:
            raise PermissionError(filename)

    assert read_metadata(Unreadable(None)) == {}


@given(st.text())
def test_no_metadata_raises(text: str) -> None:
    """Whatever the file holds, only printable texts come of it."""
    assert "".join(read_metadata(Fake(text)).values()).isprintable()
