"""Static files of isolated plugins: which are served, as what, and what of them is refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_pluginkit.isolation.answers.files import (
    LARGEST,
    LARGEST_STYLE,
    StaticFile,
    content_type_of,
    file_headers,
    open_static,
)
from flask_pluginkit.isolation.answers.styles import is_harmless


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A plugin's folder for static files, beside a secret of the site."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "hello" / "static"
    (folder / "img").mkdir(parents=True)
    (folder / "img" / "a.png").write_bytes(b"picture")
    (folder / "a.js").write_bytes(b"script")
    (folder / "page.html").write_bytes(b"page")
    return folder


def content(found: StaticFile | None) -> bytes | None:
    """What is served, None for nothing."""
    if found is None:
        return None
    with found.file as file:
        data = file.read()
    assert len(data) == found.size
    return data


def test_a_picture_is_served_as_what_its_name_says(static: Path) -> None:
    """Its content has no say in it."""
    found = open_static(static, "img/a.png")
    assert content(found) == b"picture"
    assert found is not None
    assert found.content_type == "image/png"
    assert found.modified > 0


@pytest.mark.parametrize("name", ["a.js", "page.html", "a.js.", "img", "img/", "a.JS", "page"])
def test_pages_and_scripts_arent_served(static: Path, name: str) -> None:
    """From the site's own origin they would be the site's."""
    assert open_static(static, name) is None


def test_scripts_need_the_permission(static: Path) -> None:
    """With ``assets:script`` they are served, and pages still aren't."""
    assert content(open_static(static, "a.js", scripts=True)) == b"script"
    assert open_static(static, "page.html", scripts=True) is None


@pytest.mark.parametrize("name", ["x.svgz", "x.html", "x.xml", "x.json", "x.pdf", "x.swf", "x", ""])
def test_other_endings_have_no_type(name: str) -> None:
    """An allow-list: what isn't known isn't served."""
    assert content_type_of(name, scripts=True) is None


@pytest.mark.parametrize(
    "name",
    [
        "../../secret.png",
        "img/../../../secret.png",
        "/etc/passwd.png",
        "img//a.png",
        "./img/a.png",
        "img/./a.png",
        "..\\..\\secret.png",
        "img/a.png\0.png",
        "\udcff.png",
        "img/a.png/b.png",
        "a/" * 20 + "a.png",
        "missing.png",
        "x" * 300 + ".png",
    ],
)
def test_names_that_lead_elsewhere_find_nothing(static: Path, name: str) -> None:
    """Whatever way out they try."""
    assert open_static(static, name) is None


@pytest.mark.parametrize("target", ["../../secret.png", "img/a.png"])
def test_links_arent_followed(static: Path, target: str) -> None:
    """Not even those that stay inside: they may be turned at any moment."""
    (static / "link.png").symlink_to(target)
    assert open_static(static, "link.png") is None


def test_links_to_folders_arent_followed(static: Path) -> None:
    """On the way to a file neither."""
    (static / "out").symlink_to(static.parent.parent)
    assert open_static(static, "out/secret.png") is None


def test_a_pipe_holds_nobody_up(static: Path) -> None:
    """Opening one waits for its other end, if one lets it."""
    os.mkfifo(static / "pipe.png")
    assert open_static(static, "pipe.png") is None


def test_a_socket_and_a_folder_are_no_files(static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only regular files are served."""
    monkeypatch.chdir(static)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        (static / "folder.png").mkdir()
        assert open_static(static, "socket.png") is None
        assert open_static(static, "folder.png") is None


def test_a_file_that_is_too_large_isnt_served(static: Path) -> None:
    """A worker of the site would be busy with it for long."""
    with (static / "large.png").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert open_static(static, "large.png") is None


def test_every_file_is_closed_again(static: Path) -> None:
    """Whether it is served or not."""
    (static / "evil.css").write_text("@import '//evil.example'")
    before = len([*Path("/proc/self/fd").iterdir()])
    for name in ("img/a.png", "evil.css", "missing.png", "img", "../x.png"):
        content(open_static(static, name))
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/javascript; charset=utf-8", "font/woff2"])
def test_a_file_that_is_opened_as_a_page_can_do_nothing(kind: str) -> None:
    """A picture may be a document with scripts in it (SVG)."""
    headers = dict(file_headers(kind))
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == kind


def test_fonts_and_scripts_may_be_loaded_by_sandboxed_pages() -> None:
    """Browsers load them for another site only where that is allowed; pictures always."""
    assert dict(file_headers("font/woff2"))["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in dict(file_headers("image/png"))
    assert dict(file_headers("image/png"))["Cross-Origin-Resource-Policy"] == "cross-origin"


# ---- style sheets ----------------------------------------------------------------------------

HARMLESS = [
    "",
    "\ufeffp{color:red}",
    '@charset "utf-8"; p { color: red }',
    "/* see https://example.org/license and url(//x) */ p{}",
    "p{background:url(img/a.png) url('img/b.png?v=1.2') url( \"./c.png\" )}",
    "p{background:url(#gradient)}",
    "@font-face{font-family:x;src:url(../fonts/x.eot?#iefix) format('eot'),url(../f.woff2)}",
    "@import 'base.css'; @import url(base.css) screen;",
    "p{background:url(data:image/png;base64,AAAA)}",
    "p{background:url(\"data:image/svg+xml;charset=utf8,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\")}",
    'p::before{content:\'\\201C // http://x\'} a::after{content:" \\""}',
    ".md\\:flex, .w-1\\/2 { width: calc(100% / 2) }",
    "@media (min-width: 10px) { a:hover > b ~ c + d[href^='https://'] { --x: 1 } }",
    "p{content:attr(data-x)}",
    'a{content:"\\"} b{background:url(//evil.example)} c{content:"}',
    "p{width:1px}\n\t/**/\r\nq{}",
    "ü{content:'é'}",
]

HARMFUL = [
    "@import '//evil.example/x';",
    '@import "https://evil.example/x";',
    "@import url(//evil.example);",
    "@IMPORT URL(//evil.example);",
    "@import/**/'//evil.example';",
    "@import/**/url(//evil.example);",
    "@imp\\6frt '//evil.example';",
    "@import '\\2f\\2f evil.example';",
    "@import url(data:text/css,p{});",
    "@import 'x.css'; p{background:url(data:image/png,x)}",
    "p{background:url(//evil.example)}",
    "p{background:url( //evil.example )}",
    "p{background:url(https:evil.example)}",
    "p{background:url('https://evil.example')}",
    'p{background:url("\\68ttps://evil.example")}',
    "p{background:ur\\6c(//evil.example)}",
    "p{background:\\75rl(//evil.example)}",
    "p{background:u\\rl(//evil.example)}",
    "p{background:url(/\\\n/evil.example)}",
    "p{background:url(\\2f\\2f evil.example)}",
    "p{background:url(/logout)}",
    "p{background:url(../../logout)}",
    "p{background:url(img/../../../logout)}",
    "p{background:url(img/%2e%2e/x)}",
    "p{background:url(?logout)}",
    "p{background:url(a b)}",
    "p{background:url(a'b)}",
    "p{background:url(}",
    "p{background:url('x}",
    "p{background:url('x\n')}",
    "p{background:url(var(--x))}",
    "p{background:url()}",
    "p{--x:'//evil.example';background:image-set(var(--x) 1x)}",
    "p{background:image-set('//evil.example' 1x)}",
    "p{background:-webkit-image-set(url(//evil.example) 1x)}",
    "p{background:image('//evil.example')}",
    "p{background:cross-fade('//evil.example', red)}",
    "p{background:src('//evil.example')}",
    "p{background:url(data:text/html,x)}",
    "p{background:url(javascript:x)}",
    "p{width:expression(alert(1))}",
    "p{behavior:url(x.htc)}",
    "p{-moz-binding:url(x.xml)}",
    "a{content:'/*'} b{background:url(//evil.example)} c{content:'*/'}",
    "/* unclosed url(//evil.example)",
    "/*/ url(a) /**/ p{background:url(//evil.example)}",
    "'unclosed",
    "p{}\0",
    "p{}\x0c",
    "p{}\\",
    "p{background:url(\u202e//evil.example)}",
]


@pytest.mark.parametrize("style", HARMLESS)
def test_a_style_sheet_of_its_own_is_served(style: str) -> None:
    """It names nothing, or files below its folder; here it lies one folder deep."""
    assert is_harmless(style.encode(), 1)


@pytest.mark.parametrize("style", HARMFUL)
def test_a_style_sheet_that_names_others_isnt_served(style: str) -> None:
    """Which picture is loaded tells somebody what is in the page."""
    assert not is_harmless(style.encode(), 1)


def test_a_style_sheet_in_another_encoding_isnt_served() -> None:
    """It may be read as something else."""
    assert not is_harmless("p{content:'é'}".encode("latin-1"), 0)
    assert not is_harmless("p{}".encode("utf-16"), 0)


@given(
    st.lists(
        st.sampled_from(
            ["url(", ")", "'", '"', "/*", "*/", "\\", "@import ", "image-set(", " ", "\n", "x", ";"]
        ),
        max_size=10,
    ),
    st.integers(0, 10),
)
@settings(max_examples=300)
def test_no_arrangement_hides_a_foreign_name(pieces: list[str], place: int) -> None:
    """Where it is served, the name of another host stands in a comment or a text alone."""
    pieces.insert(min(place, len(pieces)), "url(//evil.example)")
    style = "".join(pieces)
    if is_harmless(style.encode(), 0):
        position = style.index("url(//evil")
        before = style[:position]
        in_comment = before.rfind("/*") > before.rfind("*/", 0, max(before.rfind("/*"), 0) + 1)
        assert in_comment or before.count("'") + before.count('"') > 0


def test_a_style_sheet_is_read_before_it_is_served(static: Path) -> None:
    """Also for the second time, when the verdict is known."""
    (static / "evil.css").write_text("p{background:url(//evil.example)}")
    (static / "img" / "good.css").write_text("p{background:url(../a.png)}")
    (static / "good.css").write_text("p{background:url(../a.png)}")
    for _ in range(2):
        assert open_static(static, "evil.css") is None
        assert content(open_static(static, "img/good.css")) is not None
        assert open_static(static, "good.css") is None


def test_a_style_sheet_that_is_too_long_isnt_served(static: Path) -> None:
    """Reading it would hold up the site."""
    (static / "large.css").write_bytes(b"x" * (LARGEST_STYLE + 1))
    assert open_static(static, "large.css") is None
