"""Finding one's way in the HTML of others: markers and the end of the body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.develop.pages import end_of_body, with_comments, without_markers

BEGIN, END = b"<!--pluginkit:0123abcd:7-->", b"<!--pluginkit:0123abcd:7:end-->"
HTML = st.lists(
    st.sampled_from(
        [
            *("<p>", "</p>", "<p class='x", "'", '"', ">", "<", "<!--", "-->", "<script>"),
            *("</script>", "text", "<title>", "</title>", "</body>", "&lt;", "\\u003c", "\n"),
        ]
    ),
    max_size=12,
).map("".join)


def commented(page: bytes) -> bytes:
    """The page with short comments in the place of markers."""
    return with_comments(page, "0123abcd", lambda number, end: b"<!--%d%d-->" % (number, end))


def test_markers_in_the_text_become_comments() -> None:
    """Where they stand between elements, before and after what they mark."""
    assert commented(b"<p>%sa%s</p>" % (BEGIN, END)) == b"<p><!--70-->a<!--71--></p>"


@pytest.mark.parametrize(
    "around",
    [
        b'<p class="%s">x</p>',
        b"<p class='a > %s'>x</p>",
        b"<title>%s</title>",
        b"<script>f('%s')</script>",
        b"<style>%s</style>",
        b'<textarea rows="2">%s</textarea>',
        b"<!-- in a comment of the host: %s",
    ],
)
def test_markers_where_a_comment_is_none_go(around: bytes) -> None:
    """In attributes, titles, scripts and the like they would be seen, or do harm."""
    assert commented(around % (BEGIN + b"a" + END)) == around % b"a"


@pytest.mark.parametrize(
    ("less", "greater"), [(b"&lt;", b"&gt;"), (rb"\u003c", rb"\u003e")], ids=["HTML", "JSON"]
)
def test_escaped_markers_go(less: bytes, greater: bytes) -> None:
    """Where the host escaped a slot once more, or put it into a script as JSON."""
    escaped = (BEGIN + b"a" + END).replace(b"<", less).replace(b">", greater)
    assert commented(b"<p>%s</p>" % escaped) == b"<p>a</p>"


def test_markers_of_another_page_go() -> None:
    """A host may keep fragments in a cache: their numbers are those of the page before."""
    assert commented(b"<p>%sa</p>" % BEGIN.replace(b"0123", b"9999")) == b"<p>a</p>"


@given(before=HTML, after=HTML)
def test_no_marker_is_left_on_any_page(before: str, after: str) -> None:
    """Whatever stands around it, broken HTML too; and without comments the page is as it was."""
    page = before.encode() + BEGIN + after.encode() + END
    plain = without_markers(page)
    assert plain == before.encode() + after.encode()
    found = with_comments(page, "0123abcd", lambda _number, _end: b"")
    assert found == plain


@given(page=HTML)
def test_a_page_without_markers_stays_as_it_is(page: str) -> None:
    """Nothing else of it is touched."""
    assert commented(page.encode()) == page.encode()


@pytest.mark.parametrize(
    ("page", "place"),
    [
        (b"<body>x</body>", 7),
        (b"<BODY>x</BODY >\n</html>", 7),
        (b"<body><script>'</body>'</script></body>", 32),
        (b"<body>x</body><!-- </body> -->", 7),
        (b'<body><p title="</body>">x', -1),
        (b"<body></body>x</body>", 14),
        (b"<p>a fragment</p>", -1),
    ],
)
def test_the_end_of_the_body_is_found(page: bytes, place: int) -> None:
    """The last end tag that is one, -1 where the page has none."""
    assert end_of_body(page) == place
