"""Headers of isolated plugins: what a view sees, and what a browser gets."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Response
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_pluginkit.isolation.answers.fields import OPAQUE, content_type
from flask_pluginkit.isolation.answers.headers import (
    MOST,
    MOST_COOKIES,
    change,
    is_for_script,
    request_headers,
    response_headers,
    shown_headers,
)
from flask_pluginkit.isolation.answers.own import AnswerError, own_prefix
from flask_pluginkit.isolation.messages import (
    Answer,
    Page,
)

PAGE = Page(scheme="https", host="site.example", root_path="/app", path="/hello/here/page")


def sent(
    *headers: tuple[str, str],
    status: int = 200,
    permissions: Iterable[str] = (),
    level: str = "isolated",
    page: Page = PAGE,
    is_private: bool = False,
    plugin: str = "hello",
) -> dict[str, str]:
    """What the host sends, by names in lower case; of several equal ones the last."""
    kept = response_headers(
        status,
        headers,
        plugin=plugin,
        permissions=frozenset(permissions),
        level=level,
        page=page,
        is_private=is_private,
    )
    return {name.lower(): value for name, value in kept}


# ---- requests --------------------------------------------------------------------------------

ASKED = [
    ("Host", "site.example"),
    ("Accept", "text/html"),
    ("Accept-Encoding", "gzip"),
    ("Accept-Language", "de"),
    ("Authorization", "Bearer secret"),
    ("Connection", "close"),
    ("Content-Type", "text/plain"),
    ("Cookie", "session=secret; hello-theme=dark; hello2-x=1; hello-=; xhello-a=b"),
    ("Forwarded", "for=10.0.0.1"),
    ("HX-Current-URL", "https://site.example/reset/token"),
    ("HX-Request", "true"),
    ("If-None-Match", '"1"'),
    ("Proxy-Authorization", "Basic x"),
    ("Range", "bytes=0-1"),
    ("Referer", "https://site.example/reset/token"),
    ("User-Agent", "Browser"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Real-IP", "10.0.0.1"),
    ("X-Internal-User", "admin"),
]


def test_a_view_sees_an_allow_list() -> None:
    """Of a request, an isolated view gets what describes it, and no secrets of the site."""
    found = request_headers(ASKED, "hello", (), "isolated")
    assert [name for name, _ in found] == [
        "Accept",
        "Accept-Language",
        "Content-Type",
        "HX-Request",
        "If-None-Match",
        "User-Agent",
    ]


def test_a_view_sees_cookies_of_its_own_alone() -> None:
    """With the permission, those whose names begin with the plugin's."""
    found = dict(request_headers(ASKED, "hello", {"cookies"}, "isolated"))
    assert found["Cookie"] == "hello-theme=dark; hello-="


def test_a_view_without_cookies_of_its_own_gets_no_such_header() -> None:
    """None at all, where all are the site's."""
    found = request_headers([("Cookie", "session=secret")], "hello", {"cookies"}, "isolated")
    assert found == []


def test_a_process_sees_more_but_no_secrets() -> None:
    """The level ``process`` gets all headers but the connection's and the secret ones."""
    found = dict(request_headers(ASKED, "hello", (), "process"))
    assert {"Host", "Accept-Encoding", "Range", "Referer", "X-Internal-User"} <= found.keys()
    hidden = {"Authorization", "Connection", "Cookie", "Forwarded", "Proxy-Authorization"}
    assert not found.keys() & {*hidden, "X-Forwarded-For", "X-Real-IP"}


def test_a_very_long_header_is_left_out_of_a_request() -> None:
    """Nobody needs it, and frames are bounded."""
    assert request_headers([("User-Agent", "x" * 4097)], "hello", (), "isolated") == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"HX-Request": "true"}, True),
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}, False),
        ({}, False),
    ],
)
def test_requests_by_scripts_of_the_site_are_known(headers: dict[str, str], expected: bool) -> None:
    """Such a script may put HTML into a page that isn't sandboxed."""
    assert is_for_script(headers) is expected


# ---- responses: what crosses -----------------------------------------------------------------


def test_a_response_has_an_allow_list() -> None:
    """Servers, proxies and browsers act on the others."""
    found = sent(
        ("Content-Type", "text/html; charset=utf-8"),
        ("ETag", 'W/"abc"'),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Vary", "Accept-Language"),
        ("Content-Language", "de"),
        ("Content-Disposition", 'attachment; filename="a.csv"'),
        ("Retry-After", "120"),
        ("Cache-Control", "public, max-age=60"),
        ("Content-Length", "7"),
        ("Set-Cookie", "hello-a=b"),
        ("X-Accel-Redirect", "/etc/passwd"),
        ("X-Sendfile", "/etc/passwd"),
        ("Refresh", "0;url=https://evil.example"),
        ("Clear-Site-Data", '"*"'),
        ("Service-Worker-Allowed", "/"),
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "max-age=0"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Security-Policy", "default-src *"),
        ("Link", "</x.js>; rel=preload"),
        ("WWW-Authenticate", "Basic"),
    )
    assert found.keys() == {
        *("content-type", "etag", "last-modified", "vary", "content-language"),
        *("content-disposition", "retry-after", "cache-control", "content-security-policy"),
        *("x-content-type-options", "referrer-policy", "cross-origin-resource-policy"),
        "permissions-policy",
    }


def test_every_isolated_response_is_sandboxed() -> None:
    """A page has an origin of its own, runs nothing and loads the plugin's own alone."""
    found = sent(("Content-Security-Policy", "script-src *"))
    policy = dict(part.partition(" ")[::2] for part in found["content-security-policy"].split("; "))
    own = "https://site.example/app/hello/ https://site.example/app/hello"
    files = "https://site.example/app/assets/hello/"
    assert "allow-same-origin" not in policy["sandbox"]
    assert "allow-scripts" not in policy["sandbox"]
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == f"{own} {files} data:"
    assert policy["form-action"] == own
    assert policy["frame-ancestors"] == "'self'"
    assert "script-src" not in policy
    assert found["x-content-type-options"] == "nosniff"
    assert found["cross-origin-resource-policy"] == "same-origin"


def test_no_opener_policy_is_sent() -> None:
    """With a sandbox it makes browsers refuse the page (HTML Living Standard, navigation)."""
    assert "cross-origin-opener-policy" not in sent()


def test_scripts_come_from_static_files_alone() -> None:
    """With ``assets:script`` a page runs the plugin's script files, and still has no origin."""
    policy = sent(permissions=["assets:script"])["content-security-policy"]
    assert "allow-scripts" in policy
    assert "script-src https://site.example/app/assets/hello/;" in policy
    assert "allow-same-origin" not in policy
    assert "worker-src 'none'" in policy


@pytest.mark.parametrize("host", ["a;script-src *", "a b", "", "a'b", "a,b", "a/b", "é.org"])
def test_an_odd_host_writes_nothing_into_the_policy(host: str) -> None:
    """Who asks chooses the ``Host``: then nothing at all may be loaded."""
    policy = sent(page=Page(host=host, path="/hello"))["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")


def test_odd_names_of_plugins_write_nothing_into_the_policy() -> None:
    """Names may have blanks and letters of any script."""
    policy = sent(page=Page(path="/a b ü"), plugin="a b ü")["content-security-policy"]
    assert "http://localhost/a%20b%20%C3%BC/" in policy


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("TEXT/HTML; charset=UTF-8; x=y", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/javascript", OPAQUE),
        ("application/javascript", OPAQUE),
        ("Application/X-JavaScript; charset=utf-8", OPAQUE),
        ("text/ecmascript", OPAQUE),
        ("application/wasm", OPAQUE),
        ("application/manifest+json", OPAQUE),
        ("text/cache-manifest", OPAQUE),
        ("multipart/x-mixed-replace; boundary=x", OPAQUE),
        ("application/importmap+json", OPAQUE),
        ("message/rfc822", OPAQUE),
        ("text/html, text/javascript", OPAQUE),
        ("text/html; charset=utf-7", OPAQUE),
        ("text/html; charset=iso-2022-jp", OPAQUE),
        ("*/*", OPAQUE),
        ("", OPAQUE),
    ],
)
def test_content_types_are_an_allow_list_without_scripts(given_type: str, kept: str) -> None:
    """A script from the site's own origin is the site's, once anybody makes a page name it."""
    assert sent(("Content-Type", given_type))["content-type"] == kept


@given(st.text(max_size=60))
@example("text/javascript")
@settings(max_examples=60)
def test_no_content_type_is_a_script(value: str) -> None:
    """Whatever a plugin says: a browser is told nothing that it would run."""
    kept = content_type(value)
    assert "script" not in kept
    assert not kept.startswith(("multipart/", "message/"))
    assert kept.isprintable()


def test_what_is_passive_may_be_embedded_by_sandboxed_pages() -> None:
    """To a browser, they are another site; what is about the user stays closed to them."""
    image = ("Content-Type", "image/png")
    assert sent(image)["cross-origin-resource-policy"] == "cross-origin"
    assert sent(image, is_private=True)["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("status", [204, 304])
def test_no_body_has_no_content_type(status: int) -> None:
    """RFC 9110, 15.3.5 and 15.4.5."""
    assert "content-type" not in sent(("Content-Type", "text/html"), status=status)


@pytest.mark.parametrize("status", [-1, 0, 100, 101, 199, 206, 600, 2**40])
def test_odd_statuses_are_faults(status: int) -> None:
    """Nothing that isn't the whole of a final response."""
    with pytest.raises(AnswerError):
        sent(status=status)


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "a\r\nSet-Cookie: session=1"),
        ("X-A", "a\nb"),
        ("X-A", "a\0b"),
        ("X-A", "a\tb"),
        ("X-A", "ключ"),
        ("X-A\r\nB", "a"),
        ("X A", "a"),
        ("", "a"),
        ("X-Ä", "a"),
        ("X-A:", "a"),
        ("Vary", "a" * 4097),
    ],
)
@pytest.mark.parametrize("level", ["isolated", "process"])
def test_headers_that_cant_be_sent_are_faults(header: tuple[str, str], level: str) -> None:
    """Also where the header wouldn't cross: who tries is broken, or worse."""
    with pytest.raises(AnswerError):
        sent(header, level=level)


def test_encoded_content_is_a_fault() -> None:
    """Nobody asked for it, and its header doesn't cross."""
    with pytest.raises(AnswerError):
        sent(("Content-Encoding", "gzip"))


def test_too_many_headers_are_a_fault() -> None:
    """Servers and proxies give up on them."""
    headers = [("Vary", "Accept")] * (MOST + 1)
    with pytest.raises(AnswerError):
        sent(*headers)


# ---- responses: caches -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        ("public, max-age=60", "private, max-age=60"),
        ("s-maxage=60, no-store", "private, no-store"),
        ("public, public=1, x=y, ;", "private"),
        ("", "private"),
    ],
)
def test_what_is_about_the_user_is_private(given_value: str, kept: str) -> None:
    """No shared cache may hand it to the next one."""
    assert sent(("Cache-Control", given_value), is_private=True)["cache-control"] == kept


def test_several_directives_of_one_header_go_together() -> None:
    """The first line counts as much as the last one."""
    found = sent(("Cache-Control", "private"), ("cache-control", "public, max-age=1"))
    assert found["cache-control"] == "private, max-age=1"


def test_what_isnt_at_its_own_path_is_never_stored() -> None:
    """A browser would go on showing it when the plugin is gone."""
    page = Page(path="/login")
    found = sent(("Cache-Control", "public, max-age=31536000"), ("ETag", '"1"'), page=page)
    assert found["cache-control"] == "no-store"
    assert "etag" not in found


# ---- responses: redirects --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("/app/hello", "/app/hello"),
        ("/app/hello/x?next=//evil.example#y", "/app/hello/x?next=//evil.example#y"),
        ("next", "/app/hello/here/next"),
        ("../other", "/app/hello/other"),
        ("./", "/app/hello/here/"),
        ("", "/app/hello/here/page"),
        ("?page=2", "/app/hello/here/page?page=2"),
        ("https://site.example/app/hello/x", "/app/hello/x"),
        ("HTTPS://SITE.example/app/hello/x", "/app/hello/x"),
        ("/app/hello/a/../b", "/app/hello/b"),
        ("/app/x/../hello/b", "/app/hello/b"),
        ("/app/hello/100%25", "/app/hello/100%25"),
        ("/app/%68ello/x", "/app/%68ello/x"),
    ],
)
def test_redirects_lead_to_own_paths(value: str, kept: str) -> None:
    """Written in any form; what is sent is the path alone."""
    assert sent(("Location", value), status=302)["location"] == kept


@pytest.mark.parametrize(
    "value",
    [
        "/",
        "/app",
        "/app/hellox",
        "/app/admin",
        "/hello",
        "//evil.example",
        "///evil.example",
        "////evil.example/app/hello/",
        "https://evil.example/app/hello/",
        "https://site.example@evil.example/app/hello/",
        "https://site.example.evil.example/app/hello/",
        "https://site.example:81/app/hello/",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example/app/hello/",
        "http://site.example/app/hello/",
        "ftp://site.example/app/hello/",
        "javascript:alert(1)",
        "data:text/html,x",
        "hello:x",
        "\\\\evil.example",
        "/\\evil.example",
        "/app/hello\\..\\..\\admin",
        "/app/hello/../admin",
        "/app/hello/../../admin",
        "/app/hello/%2e%2e/admin",
        "/app/hello/.%2E/admin",
        "/app/hello/%2e%2e%2fadmin",
        "/app/hello/..%2fadmin",
        "/app/hello/..%5cadmin",
        "/app/hello/%252e%252e/admin",
        "/app/hello/x%00",
        "/app/hello/x%0d%0aSet-Cookie:a=b",
        "/app/hello/x%",
        "/app/hello/x%zz",
        "/app/hello/ x",
        "/app/hello/<x>",
        "../../..//evil.example",
        "../../../admin",
        "/app/hello/" + "x" * 2048,
    ],
)
def test_redirects_elsewhere_are_faults(value: str) -> None:
    """Other hosts, other paths, and what one reader may take for them."""
    with pytest.raises(AnswerError):
        sent(("Location", value), status=302)


def test_redirects_may_lead_to_granted_paths() -> None:
    """With ``routes:/blog`` that path is the plugin's own too."""
    found = sent(("Location", "/app/blog/1"), status=302, permissions=["routes:/blog"])
    assert found["location"] == "/app/blog/1"


def test_no_redirect_leaves_the_site_even_with_every_path() -> None:
    """``routes:/`` is about paths, and not about hosts."""
    page = Page(path="/")
    with pytest.raises(AnswerError):
        sent(("Location", "//evil.example"), status=302, permissions=["routes:/"], page=page)
    with pytest.raises(AnswerError):
        sent(("Location", ".//evil.example"), status=302, permissions=["routes:/"], page=page)


@given(st.text(st.sampled_from("/\\.%2eEfF5cC:@?#aht\tps\r\n "), max_size=30))
@settings(max_examples=300)
def test_any_redirect_ends_below_the_own_path(value: str) -> None:
    """However it is written: it is refused, or Python's and a browser's reading stay below."""
    for start in ("", "/app/hello/", "https://site.example/app/hello/"):
        try:
            place = sent(("Location", start + value), status=302)["location"]
        except AnswerError:
            continue
        assert place.startswith("/app/hello")
        # as browsers do: a backslash is a slash, and encoded dots are dots
        read = place.replace("\\", "/").replace("%2e", ".").replace("%2E", ".")
        found = urlsplit(urljoin("https://site.example/app/hello/here/page", read))
        assert found.netloc == "site.example"
        assert found.path == "/app/hello" or found.path.startswith("/app/hello/")


# ---- cookies ---------------------------------------------------------------------------------


def test_cookies_need_the_permission() -> None:
    """Without it none is sent, whatever its name."""
    assert "set-cookie" not in sent(("Set-Cookie", "hello-a=b"))


def test_an_own_cookie_is_bound_to_own_pages() -> None:
    """Its path, and who may read it, isn't the plugin's to say."""
    value = "hello-a=b; Domain=example; Path=/; SameSite=None; Max-Age=60; Partitioned"
    found = sent(("Set-Cookie", value), permissions=["cookies"])
    assert found["set-cookie"] == (
        "hello-a=b; Max-Age=60; Path=/app/hello; HttpOnly; SameSite=Lax; Secure"
    )
    assert found["cache-control"] == "private"


def test_a_cookie_of_a_site_without_encryption_isnt_secure() -> None:
    """It would never come back."""
    page = Page(path="/hello/")
    found = sent(("Set-Cookie", "hello-a=b"), permissions=["cookies"], page=page)
    assert found["set-cookie"] == "hello-a=b; Path=/hello; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    "value",
    [
        "session=1",
        "hello-=1",
        "hello=1",
        "Hello-a=1",
        " session=1; hello-a=1",
        "=hello-a=1",
        "hello-a",
        "hello-ä=1",
        "__Host-hello-a=1",
        "hello-a =1",
    ],
)
@pytest.mark.parametrize("level", ["isolated", "process"])
def test_other_cookies_arent_sent(value: str, level: str) -> None:
    """The site's own ones can't be replaced, at no level."""
    assert "set-cookie" not in sent(("Set-Cookie", value), permissions=["cookies"], level=level)


def test_a_response_has_few_cookies() -> None:
    """Browsers forget the site's own ones when there are too many."""
    many = [("Set-Cookie", f"hello-{number}=1") for number in range(20)]
    kept = response_headers(
        *(200, many),
        plugin="hello",
        permissions={"cookies"},
        level="isolated",
        page=PAGE,
        is_private=False,
    )
    assert sum(name == "Set-Cookie" for name, _ in kept) == MOST_COOKIES


def test_a_cookie_may_end() -> None:
    """By its age, or at a date."""
    value = "hello-a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=x; Expires=never"
    found = sent(("Set-Cookie", value), permissions=["cookies"])
    assert found["set-cookie"].startswith("hello-a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
@settings(max_examples=80)
def test_any_cookie_has_its_path_once(value: str) -> None:
    """Nothing in a cookie's value begins an attribute of its own."""
    try:
        cookie = sent(("Set-Cookie", f"hello-a={value}"), permissions=["cookies"]).get("set-cookie")
    except AnswerError:
        return
    if cookie is not None:
        names = [part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]]
        assert names.count("path") == 1
        assert "domain" not in names


def test_names_of_a_plugin_begin_with_its_own() -> None:
    """In the characters that cookies, classes and ids may have."""
    assert own_prefix("a b.ü-1") == "a_b__-1-"


# ---- the level process -----------------------------------------------------------------------


def test_a_process_is_trusted_with_its_headers() -> None:
    """They pass, but for the connection's; no policy is added."""
    found = sent(
        ("Content-Type", "text/javascript"),
        ("Location", "https://login.example/"),
        ("X-Own", "1"),
        ("Connection", "close"),
        ("Content-Length", "1"),
        status=302,
        level="process",
    )
    assert found == {
        "content-type": "text/javascript",
        "location": "https://login.example/",
        "x-own": "1",
    }


# ---- changes to the site's responses ---------------------------------------------------------


def changed(
    *headers: tuple[str, str], status: int = 200, body: bytes = b"", **given_: str
) -> Response:
    """The site's response after a hook of the plugin accel."""
    response = Response("page", headers={name.replace("_", "-"): v for name, v in given_.items()})
    answer = Answer(status=status, headers=list(headers), body=body)
    change(response, answer, "accel", may_change_body=bool(body))
    return response


def test_a_hook_adds_to_a_response() -> None:
    """Caches are told more, readers are told more, and headers of its own are the plugin's."""
    response = changed(
        ("Cache-Control", "no-store"),
        ("Vary", "Accept-Language, Cookie"),
        ("X-Plugin-Accel-Time", "5"),
        ("Referrer-Policy", "no-referrer"),
        Cache_Control="private",
        Vary="Cookie",
    )
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["Vary"] == "Cookie, Accept-Language"
    assert response.headers["X-Plugin-Accel-Time"] == "5"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_a_hook_takes_nothing_away() -> None:
    """No protection, no redirect, no cookie, and no X-Accel-Redirect by a plugin named so."""
    response = changed(
        ("Cache-Control", "public, max-age=60"),
        ("Referrer-Policy", "unsafe-url"),
        ("X-Frame-Options", "ALLOWALL"),
        ("Content-Security-Policy", "default-src *"),
        ("Set-Cookie", "session=1"),
        ("Location", "//evil.example"),
        ("X-Accel-Redirect", "/etc/passwd"),
        ("Content-Type", "text/html"),
        status=302,
        Cache_Control="private",
        Referrer_Policy="same-origin",
        Content_Security_Policy="default-src 'self'",
        Content_Type="text/plain",
    )
    assert response.status_code == 200
    assert response.get_data() == b"page"
    headers = {name: value for name, value in response.headers if name != "Content-Length"}
    assert headers == {
        "Cache-Control": "private",
        "Referrer-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'self'",
        "Content-Type": "text/plain",
    }


def test_a_hook_leaves_the_sites_own_protection() -> None:
    """It adds where there is none of its kind, and replaces nothing."""
    response = changed(("Referrer-Policy", "strict-origin"), Referrer_Policy="no-referrer")
    assert response.headers.getlist("Referrer-Policy") == ["no-referrer"]


def test_a_hook_says_more_about_a_response() -> None:
    """Its language, and when to try again; not what is no such value."""
    response = changed(("Content-Language", "de"), ("Retry-After", "soon"), Retry_After="5")
    assert response.headers["Content-Language"] == "de"
    assert response.headers["Retry-After"] == "5"


def test_a_hook_makes_a_response_private() -> None:
    """What was public is so no more."""
    response = changed(("Cache-Control", "private"), Cache_Control="public, max-age=60")
    assert response.headers["Cache-Control"] == "max-age=60, private"


def test_a_hook_with_raw_html_replaces_the_body() -> None:
    """And what described the old one is dropped."""
    response = changed(status=404, body=b"other", ETag='"1"')
    assert (response.status_code, response.get_data()) == (404, b"other")
    assert "ETag" not in response.headers
    assert response.content_length == 5


@pytest.mark.parametrize("header", [("Vary", "a\r\nb"), ("Vary", "x" * 1025), ("Vary", "é")])
def test_a_hook_with_odd_headers_changes_nothing(header: tuple[str, str]) -> None:
    """It is a fault of the plugin."""
    with pytest.raises(AnswerError):
        changed(header)


def test_a_hook_sees_no_secrets_of_a_response() -> None:
    """Session cookies are in it, and redirects with tokens."""
    given_ = [("Set-Cookie", "session=1"), ("Location", "/reset/1"), ("Content-Type", "text/html")]
    assert shown_headers(given_) == [("Content-Type", "text/html")]
