"""The helpers of 3.x, under its import paths."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.test import create_environ

from flask_pluginkit import _compat, live, pip, storage, utils
from flask_pluginkit.utils import (
    Attribution,
    DcpManager,
    JsonResponse,
    allowed_uploaded_plugin_suffix,
    check_url,
    is_match_version_req,
    isValidPrefix,
    isValidSemver,
    sortedSemver,
)
from flask_pluginkit.version import __version__


def test_names_of_3x_are_those_of_their_homes() -> None:
    """What utils hands on is the very object, so that isinstance and patches work."""
    for name in ("BaseStorage", "LocalStorage", "ExpiredLocalStorage", "RedisStorage"):
        assert getattr(utils, name) is getattr(storage, name)
    for name in ("is_venv", "pip_install", "pip_list", "pip_show"):
        assert getattr(utils, name) is getattr(pip, name)
    assert DcpManager is live.dcp.DcpManager


@pytest.mark.parametrize("prefix", ["/abc", "/1", "/-", "/!@", "/=", "/#", "/a/b", "/é"])
def test_prefixes_that_a_blueprint_can_have(prefix: str) -> None:
    """A prefix begins with a slash and goes on."""
    assert isValidPrefix(prefix)


@pytest.mark.parametrize(
    "prefix", [None, 5, b"/a", "", "None", "1", "/", "//", "//a", "/1/", "/ ", " ", "/a b"]
)
def test_prefixes_that_a_blueprint_cant_have(prefix: Any) -> None:
    """No slash at the end, none doubled, no blank, no other type."""
    assert not isValidPrefix(prefix)


def test_no_prefix_is_right_where_it_is_allowed() -> None:
    """None passes with allow_none, and only None does so."""
    assert isValidPrefix(None, allow_none=True)
    assert isValidPrefix("/a", allow_none=True)
    assert not isValidPrefix("", allow_none=True)


@pytest.mark.parametrize("version", ["0.0.1", "1.1.1-beta", "1.1.1-beta+compile10"])
def test_semantic_versions_are_recognised(version: str) -> None:
    """Three numbers, with or without prerelease and build."""
    assert isValidSemver(version)


@pytest.mark.parametrize("version", ["", None, 1.0, "1.0", "1.0.1.0", "v2.19.10", "01.0.0"])
def test_other_versions_are_not(version: Any) -> None:
    """Short, long and prefixed ones aren't semantic."""
    assert not isValidSemver(version)


def test_versions_are_sorted_by_their_numbers() -> None:
    """10 comes after 2, a prerelease before its release; DESC turns that around."""
    versions = ["10.0.0", "2.0.0", "2.0.0-rc.1"]
    assert sortedSemver(versions) == ["2.0.0-rc.1", "2.0.0", "10.0.0"]
    assert sortedSemver(tuple(versions), "desc") == versions
    assert sortedSemver(["anything"]) == ["anything"]


@pytest.mark.parametrize("versions", ["1.0.0", [], None, {"1.0.0"}])
def test_what_isnt_a_list_of_versions_cant_be_sorted(versions: Any) -> None:
    """A text, nothing and other collections are a TypeError."""
    with pytest.raises(TypeError, match="list or tuple"):
        sortedSemver(versions)


def test_a_version_that_isnt_semantic_cant_be_sorted() -> None:
    """One wrong version among others is a ValueError."""
    with pytest.raises(ValueError, match="v0"):
        sortedSemver(["0.0.1", "v0.0.2"])


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (None, True),
        ("", True),
        (__version__, True),
        (f">={__version__}", True),
        (f">{__version__}", False),
        (f"<{__version__}", False),
        ("3.11.0", True),
        (">=3.11.0 , <5.0.0", True),
        (b">=3.11.0", True),
        (">=3.11.0,<4", False),
        ("!=4.0.0", False),
        ("5.0.0", False),
        ("nonsense", False),
        (b"\xff", False),
    ],
)
def test_the_version_of_this_package_is_compared(requirement: Any, expected: bool) -> None:
    """A bare version means at least; several conditions must all hold."""
    assert is_match_version_req(requirement) is expected


@pytest.mark.parametrize("name", ["1.tar.gz", "abc.tgz", "demo-1.0.0.zip", ".zip"])
def test_names_of_plugin_archives(name: str) -> None:
    """tar.gz, tgz and zip are what plugins come in."""
    assert allowed_uploaded_plugin_suffix(name)


@pytest.mark.parametrize(
    "name", ["hello.tar.bz2", "test.png", "zip", "a.zip/master", "a.ZIP", None, b"a.zip"]
)
def test_names_of_other_files(name: Any) -> None:
    """Other endings, and a suffix within, aren't."""
    assert not allowed_uploaded_plugin_suffix(name)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://localhost:5000",
        "https://abc.com",
        "HTTPS://ABC.com:8443/",
        "https://a.b-c.example./path/é?x=1#y",
        "http://abc.com?x",
    ],
)
def test_urls_that_are_recognised(url: str) -> None:
    """Web addresses of hosts with a dot, of localhost and of IPv4."""
    assert check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://192.168.1.2",
        "192.168.1.2",
        "example.com",
        "localhost",
        "127.0.0.1:8000",
        "://127.0.0.1/hello-world",
        "http://",
        "http://host",
        "http://user:secret@abc.com",
        "http://-abc.com",
        "http://abc.com:port",
        "http://abc.com/a b",
        "http://abc.com/\u2003",
        "http://abc.com\n",
        "http://abc.com:٣",
        "http://a\N{LATIN SMALL LETTER LONG S}b.com",
        "",
        None,
        b"http://abc.com",
    ],
)
def test_urls_that_are_not(url: Any) -> None:
    """Other schemes, bare hosts, user names, blanks, letters of other scripts."""
    assert not check_url(url)


@given(st.text(max_size=50).map(lambda text: "http://" + text))
def test_no_url_that_is_recognised_holds_blanks_or_a_user(url: str) -> None:
    """Whatever passes can be handed to a program as one argument."""
    if check_url(url):
        assert len(url.split()) == 1
        assert "@" not in url.split("/")[2].split("?", maxsplit=1)[0]


def test_an_attribution_is_a_dict_with_attributes() -> None:
    """Values are read both ways; what is missing is an AttributeError or a KeyError."""
    record = Attribution(a=1, items=2)
    assert isinstance(record, dict)
    assert (record.a, record["items"]) == (1, 2)
    with pytest.raises(AttributeError, match="missing"):
        _ = record.missing
    assert not hasattr(record, "missing")


def test_an_attribution_is_copied_and_pickled_like_a_dict() -> None:
    """Reading by attribute doesn't get in the way of Python's own protocols."""
    record = Attribution(a=[1])
    assert copy.deepcopy(record) == record == pickle.loads(pickle.dumps(record))
    assert copy.copy(record).a is record.a


@pytest.mark.parametrize("data", [{"a": 1}, [1, 2], {}, []])
def test_a_json_response_makes_json_of_plain_data(data: Any) -> None:
    """Dicts and lists become a JSON response of this class."""
    with Flask("app").app_context():
        response = JsonResponse.force_type(data)
    assert isinstance(response, JsonResponse)
    assert response.mimetype == "application/json"
    assert response.get_json() == data


def test_a_json_response_takes_responses_and_applications_as_usual() -> None:
    """Other values go the way of Flask's own class."""
    plain = Flask.response_class("text", status=201)
    assert JsonResponse.force_type(plain).status_code == 201
    environ = create_environ()
    called = JsonResponse.force_type(Flask.response_class("application"), environ)
    assert called.get_data(as_text=True) == "application"


def test_an_application_with_json_responses_answers_views_and_errors() -> None:
    """As response_class of an application it serves views that return any kind."""

    class App(Flask):
        response_class = JsonResponse

    app = App("app")
    app.add_url_rule("/dict", view_func=lambda: {"a": 1}, endpoint="dict")
    app.add_url_rule("/text", view_func=lambda: "text", endpoint="text")
    app.register_error_handler(404, lambda error: ({"error": "missing"}, 404))
    client = app.test_client()
    assert client.get("/dict").get_json() == {"a": 1}
    assert client.get("/text").get_data() == b"text"
    assert client.get("/missing").get_json() == {"error": "missing"}


def test_a_dcp_manager_works_by_itself() -> None:
    """As in 3.x, it pushes, emits and removes without any application."""
    dcp = DcpManager()

    def callback() -> str:
        return "<b>text</b>"

    dcp.push("event", callback)
    assert dcp.emit("event") == Markup("<b>text</b>")
    assert dcp.remove("event", callback)
    assert dcp.emit("event") == Markup("")


def test_names_for_both_pythons_exist() -> None:
    """Code that was written for Python 2 and 3 takes the way of 3."""
    assert not _compat.PY2
    assert isinstance("text", _compat.string_types)
    assert isinstance(1, _compat.integer_types)
    assert _compat.text_type is str
    items = _compat.iteritems({"a": 1})
    assert next(items) == ("a", 1)
    assert list(items) == []
