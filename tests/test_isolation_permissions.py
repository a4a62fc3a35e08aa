"""Permissions: what texts ask for, what covers what, and that only literals ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import REGISTER, write_plugin

from flask_pluginkit.exceptions import ManifestError
from flask_pluginkit.manifest import read_manifest
from flask_pluginkit.permissions import (
    FLAGS,
    MOST,
    Endpoint,
    canonical,
    common,
    host_of,
    is_below,
    missing,
    parse,
    permissions_of,
    words,
)
from flask_pluginkit.text import UnusableText

HOSTS = st.sampled_from(["a.org", "b.a.org", "localhost", "192.0.2.1", "[2001:db8::1]"])
PATHS = st.sampled_from(["/", "/a", "/a/b", "/ab", "/b"])
TEXTS = (
    st.sampled_from([*FLAGS])
    | st.builds("net:{}:{}".format, HOSTS, st.integers(1, 65535))
    | PATHS.map("routes:{}".format)
    | st.sampled_from(["user:id", "user:email"])
)


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("storage", "storage"),
        ("net:API.Example.org:0443", "net:api.example.org:443"),
        ("net:192.0.2.1:80", "net:192.0.2.1:80"),
        ("net:[2001:DB8:0:0::1]:80", "net:[2001:db8::1]:80"),
        ("net:localhost:1", "net:localhost:1"),
        ("files:2048KB", "files:2MB"),
        ("files:3KB", "files:3KB"),
        ("files:1024MB", "files:1024MB"),
        ("routes:/", "routes:/"),
        ("routes:/blog/", "routes:/blog"),
        ("user:email", "user:email"),
    ],
)
def test_a_permission_has_one_form(given_text: str, kept: str) -> None:
    """Equal permissions are equal texts, however they were written."""
    assert canonical(given_text) == kept


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (7, "a text"),
        ("", "one of"),
        ("storages", "perhaps 'storage'"),
        ("request:answer", "perhaps 'requests:answer'"),
        ("file:1MB", "perhaps files:<size>"),
        ("nett:a.org:1", "perhaps net:<host>:<port>"),
        ("net", "net:<host>:<port>"),
        ("net:a.org", "net:<host>:<port>"),
        ("net:a.org:", "a port from 1 to 65535"),
        ("net:a.org:0", "a port from 1 to 65535"),
        ("net:a.org:65536", "a port from 1 to 65535"),
        ("net:a.org:44300000", "a port from 1 to 65535"),
        ("net:a.org:٤٤٣", "a port from 1 to 65535"),
        ("net:*.a.org:1", "the name or address of a host"),
        ("net:a_b.org:1", "the name or address of a host"),
        ("net:a..org:1", "the name or address of a host"),
        ("net:-a.org:1", "the name or address of a host"),
        ("net:127.1:1", "the name or address of a host"),
        ("net:010.0.0.1:1", "the name or address of a host"),
        ("net:0x7f.0x1:1", "the name or address of a host"),
        ("net:2130706433:1", "the name or address of a host"),
        ("net:[a.org]:1", "the name or address of a host"),
        ("net:[fe80::1%eth0]:1", "the name or address of a host"),
        ("net:[::ffff:1.2.3.4]:1", "the name or address of a host"),
        ("net:user@a.org:1", "the name or address of a host"),
        ("net:müller.example:1", "xn--"),
        ("net:2001:db8::1:80", "in brackets"),
        ("routes:blog", "such as 'routes:/blog'"),
        ("routes://", "such as 'routes:/blog'"),
        ("routes:/a//b", "such as 'routes:/blog'"),
        ("routes:/a/../b", "such as 'routes:/blog'"),
        ("routes:/<x>", "such as 'routes:/blog'"),
        ("routes:/a%2fb", "such as 'routes:/blog'"),
        ("files:16", "in KB or MB"),
        ("files:0MB", "in KB or MB"),
        ("files:1025MB", "up to 1024MB"),
        ("files:1GB", "in KB or MB"),
        ("files:-1MB", "in KB or MB"),
        ("user:", "user:<name>"),
        ("user:E-Mail", "user:<name>"),
        ("storage\n", "perhaps 'storage'"),
        ("x" * 301, "a text"),
    ],
)
def test_what_is_no_permission_says_what_would_be(wrong: object, expected: str) -> None:
    """Each fault names what would have been right, and the nearest known one."""
    with pytest.raises(UnusableText) as caught:
        canonical(wrong)
    assert expected in caught.value.expected


def test_every_problem_is_reported_with_its_place() -> None:
    """All wrong entries are named, each by its index, and nothing is asked for then."""
    permissions, problems = parse(["storage", "net:x:0", 5], "hello/__init__.py")
    assert [problem.what for problem in problems] == ["__permissions__[1]", "__permissions__[2]"]
    assert {problem.where for problem in problems} == {"hello/__init__.py"}
    assert permissions.texts == ()


@pytest.mark.parametrize("value", ["storage", {"storage"}, {"storage": 1}, 1, b"storage"])
def test_what_is_no_list_is_a_problem(value: object) -> None:
    """A text alone isn't read letter by letter."""
    (problem,) = parse(value, "x")[1]
    assert problem.what == "__permissions__"


def test_too_many_permissions_are_a_problem() -> None:
    """Nobody can judge what nobody reads."""
    (problem,) = parse([f"user:a{number}" for number in range(MOST + 1)], "x")[1]
    assert problem.found == f"{MOST + 1} permissions"


def test_two_sizes_are_a_problem() -> None:
    """Only one can be meant."""
    (problem,) = parse(["files:1MB", "files:2MB"], "x")[1]
    assert "'files:1MB' and 'files:2MB'" in problem.found


def test_answering_requests_brings_seeing_them() -> None:
    """Who may answer a request has to see it."""
    assert permissions_of(["requests:answer"]).texts == ("requests", "requests:answer")


def test_the_parts_of_permissions_are_at_hand() -> None:
    """Endpoints, paths, room and what of the user, as those need them who enforce them."""
    found = permissions_of(["net:[::1]:5", "net:a.org:6", "routes:/b", "files:1MB", "user:id"])
    assert found.endpoints == {Endpoint("::1", 5), Endpoint("a.org", 6)}
    assert (found.paths, found.files) == (("/b",), 1 << 20)
    assert found.user == {"id"}


def test_wrong_texts_raise_all_their_problems() -> None:
    """What was stored or sent in a wrong form isn't taken for less."""
    with pytest.raises(ManifestError) as caught:
        permissions_of(["a", "b"])
    assert len(caught.value.problems) == 2


@given(st.lists(TEXTS, max_size=8))
def test_canonical_texts_stay_as_they_are(texts: list[str]) -> None:
    """Reading what was read gives the same, in any order and any number."""
    once = permissions_of(texts)
    assert permissions_of([*reversed(once.texts), *once.texts]) == once


@given(st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=8))
def test_what_is_missing_and_what_is_common_is_all(left: list[str], right: list[str]) -> None:
    """Each permission that is asked for is either covered or missing, never both."""
    asked, granted = permissions_of(left), permissions_of(right)
    lacking = missing(asked, granted)
    shared = common(asked, granted)
    assert missing(shared, granted) == ()
    # seeing requests comes along with answering them
    assert {*lacking, *shared.texts} >= set(asked.texts)
    assert set(shared.texts) <= set(asked.texts)


@pytest.mark.parametrize(
    ("asked", "granted", "lacking"),
    [
        (["files:8MB"], ["files:16MB"], ()),
        (["files:16MB"], ["files:8MB"], ("files:16MB",)),
        (["routes:/a/b"], ["routes:/a"], ()),
        (["routes:/ab"], ["routes:/a"], ("routes:/ab",)),
        (["routes:/a"], ["routes:/"], ()),
        (["net:a.org:80"], ["net:a.org:443"], ("net:a.org:80",)),
        (["requests"], ["requests:answer"], ()),
        (["requests:answer"], ["requests"], ("requests:answer",)),
    ],
)
def test_more_covers_less(asked: list[str], granted: list[str], lacking: tuple[str, ...]) -> None:
    """Room and paths are compared by what they mean, all else is equal or not."""
    assert missing(permissions_of(asked), permissions_of(granted)) == lacking


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands there: it has a canonical form and words, or is `UnusableText`."""
    try:
        kept = canonical(text)
    except UnusableText:
        return
    assert canonical(kept) == kept
    assert words(kept).startswith("may ")


@given(st.text(st.sampled_from("0123456789abcdefx.:[]%-*@"), max_size=24))
def test_any_host_is_read_or_refused(text: str) -> None:
    """A host that is accepted stays as it is, and has nothing that a resolver reads further."""
    try:
        host = host_of(text)
    except UnusableText:
        return
    assert host_of(host) == host
    assert not set(host) & set("[]%*@")


def test_permissions_are_told_in_sentences() -> None:
    """What the operator reads says what the plugin may do."""
    assert words("net:api.example.org:443") == ("may open connections to api.example.org, port 443")
    assert words("net:[2001:db8::1]:80").endswith("[2001:db8::1], port 80")
    assert words("files:16MB") == "may keep files of 16 MB in a folder of its own"
    assert words("routes:/") == "may have pages anywhere in the site"
    assert words("user:full_name") == "may know the full name of who looks at a page"


def test_a_path_below_begins_a_segment() -> None:
    """Equal beginnings aren't enough."""
    assert is_below("/a", "/a")
    assert is_below("/a/b", "/a")
    assert not is_below("/ab", "/a")


# ---- in manifests ----------------------------------------------------------------------------


def test_a_manifest_tells_its_permissions(tmp_path: Path) -> None:
    """They are read from the source, sorted and in their canonical form."""
    folder = write_plugin(tmp_path, "hello", permissions=["storage", "net:A.org:443"])
    manifest = read_manifest(folder, "hello")
    assert manifest.permissions == ("net:a.org:443", "storage")
    assert manifest.problems == ()


def test_a_manifest_without_permissions_asks_for_none(tmp_path: Path) -> None:
    """The default is nothing."""
    assert read_manifest(write_plugin(tmp_path, "hello"), "hello").permissions == ()


def test_a_wrong_permission_is_a_problem_of_the_manifest(tmp_path: Path) -> None:
    """The plugin can't be loaded, and the problem names the file."""
    folder = write_plugin(tmp_path, "hello", permissions=["strage"])
    (problem,) = read_manifest(folder, "hello").problems
    assert (problem.where, problem.what) == ("hello/__init__.py", "__permissions__[0]")


def test_computed_permissions_are_a_problem_of_the_manifest(tmp_path: Path) -> None:
    """What a plugin is granted is decided before any of its code runs."""
    folder = write_plugin(tmp_path, "hello", f"__permissions__ = sorted(['storage'])\n{REGISTER}")
    (problem,) = read_manifest(folder, "hello").problems
    assert problem.what == "__permissions__"
    assert "only running the module" in problem.found
