"""What can be asked for: policies, limits, users, environments, canaries. Nothing is confined."""

from __future__ import annotations

import os
import re
import socket
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.exceptions import SandboxUnavailable
from flask_pluginkit.sandbox import identity, limits, places, system
from flask_pluginkit.sandbox.canaries import TEXT, Canaries, planted, require_reachable
from flask_pluginkit.sandbox.identity import Identity, choose, obstacle, parse_uids
from flask_pluginkit.sandbox.limits import Limits
from flask_pluginkit.sandbox.policy import Policy

CANARIES = Canaries(folder="/srv/c", file="/srv/c/file", socket="/srv/c/socket")


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder that every user can reach, with a short path; that of a test is neither."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def policy(**fields: Any) -> Policy:
    """A policy with these fields."""
    base: dict[str, Any] = {"plugin": "hello", "code": "/srv/hello", "parent": 1}
    return Policy(**{**base, "canaries": CANARIES, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"code": "hello"}, "'hello', expected an absolute path"),
        ({"code": "/"}, "'/', expected an absolute path other than /"),
        ({"code": "/srv/.."}, "expected an absolute path other than /"),
        ({"readable": ("lib",)}, "'lib', expected an absolute path"),
        ({"data": "/srv/hello"}, "two folders, none inside the other"),
        ({"data": "/srv/hello/data"}, "two folders, none inside the other"),
        ({"data": "/srv"}, "two folders, none inside the other"),
        ({"code": "/srv/c/plugin/.."}, "canaries outside of what is allowed"),
        ({"readable": ("/srv",)}, "canaries outside of what is allowed"),
    ],
)
def test_a_policy_that_would_not_confine_is_refused(fields: dict[str, Any], message: str) -> None:
    """A plugin that writes its own code would wait for the day it runs trusted."""
    with pytest.raises(SandboxUnavailable, match=re.escape(message)):
        policy(**fields)


def test_neighbours_with_similar_names_are_two_folders() -> None:
    """``/srv/hello-data`` isn't in ``/srv/hello``."""
    assert policy(data="/srv/hello-data").data == "/srv/hello-data"


def test_the_interpreter_needs_the_standard_library_and_this_package() -> None:
    """And the folder of its prefix is not among them, where an application may keep secrets."""
    found = places.interpreter()
    assert sysconfig.get_paths()["stdlib"] in found
    assert places.PACKAGE in found
    assert not any(Path(path).samefile(sysconfig.get_config_var("prefix")) for path in found)


def test_nothing_below_etc_proc_tmp_or_home_is_readable() -> None:
    """As far as the interpreter isn't installed there."""
    for path in places.machine():
        assert not path.startswith(("/etc", "/proc", "/tmp", "/home", "/root", "/var"))


def test_links_are_readable_where_they_lead_to(tmp_path: Path) -> None:
    """A rule is for a place; each way to it counts where the root is a new one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    found = places.existing([str(tmp_path / "link"), str(tmp_path / "missing")])
    assert found == (str(tmp_path / "link"), str(tmp_path / "real"))


def test_a_folder_in_another_one_is_mounted_once() -> None:
    """What lies below comes with it."""
    assert places.outermost(["/usr/lib", "/usr/lib/x", "/usr/lib64"]) == ("/usr/lib", "/usr/lib64")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"address_space": 0}, "address_space is 0"),
        ({"descriptors": -1}, "descriptors is -1"),
        ({"thread_stack": 4096}, "thread_stack is 4096"),
        ({"thread_stack": 40_000}, "thread_stack is 40000"),
    ],
)
def test_a_limit_that_cant_be_is_refused(fields: dict[str, int], message: str) -> None:
    """When it is written down, not in the worker."""
    with pytest.raises(ValueError, match=message):
        Limits(**fields)


def test_the_environment_holds_nothing_of_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """But the time zone."""
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    found = limits.environment("/srv/data")
    assert found.keys() <= limits.NAMES
    assert found["TZ"] == "Europe/Berlin"
    assert found["TMPDIR"] == found["HOME"] == "/srv/data"
    assert found["MALLOC_ARENA_MAX"] == "2"


def test_without_a_folder_there_is_no_place_for_temporary_files() -> None:
    """`tempfile` then says so."""
    assert "TMPDIR" not in limits.environment()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not two numbers"),
        ("30000", "not two numbers"),
        ("-1-5", "not two numbers"),
        ("٣-٤", "not two numbers"),
        ("30099-30000", "empty"),
        ("0-10", "holds 0"),
        ("65000-66000", "65534"),
        ("1-4294967295", "2147483647"),
    ],
)
def test_a_range_of_users_that_cant_be_is_refused(text: str, message: str) -> None:
    """With an example of one that can."""
    with pytest.raises(SandboxUnavailable, match=message) as caught:
        parse_uids(text)
    assert identity.LINE in str(caught.value)


def test_a_range_with_somebodys_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files would be the plugin's."""
    monkeypatch.setattr(identity, "_accounts", lambda: [("alice", 30001)])
    with pytest.raises(SandboxUnavailable, match="used by alice"):
        parse_uids("30000-30099")


def test_a_range_of_users_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends belong to it."""
    monkeypatch.setattr(identity, "_accounts", lambda: [("alice", 1000)])
    assert parse_uids(" 30000 - 30099 ") == range(30000, 30100)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide as root does."""
    monkeypatch.setattr(identity, "can_become_another", lambda: True)


def test_a_plain_user_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As does root without CAP_SETUID."""
    monkeypatch.setattr(identity, "can_become_another", lambda: False)
    assert choose("hello", {}, range(5, 9)) is None


@pytest.mark.usefixtures("as_root")
def test_root_without_users_to_give_is_refused_with_the_line_to_add() -> None:
    """Running as root would leave nothing but two layers."""
    with pytest.raises(SandboxUnavailable, match=re.escape(identity.LINE)):
        choose("hello", {}, None)


@pytest.mark.usefixtures("as_root")
def test_each_plugin_has_a_user_of_its_own_and_keeps_it() -> None:
    """Files of the one aren't the other's."""
    users = range(30000, 30003)
    assert choose("a", {"b": 30000, "a": 30002}, users) == Identity(uid=30002, gid=30002)
    assert choose("c", {"b": 30000, "a": 30002}, users) == Identity(uid=30001, gid=30001)


@pytest.mark.usefixtures("as_root")
def test_a_user_outside_of_the_range_is_not_kept() -> None:
    """The operator changed the range."""
    assert choose("a", {"a": 7}, range(30000, 30001)) == Identity(uid=30000, gid=30000)


@pytest.mark.usefixtures("as_root")
def test_too_few_users_are_said() -> None:
    """Two plugins never share one."""
    with pytest.raises(SandboxUnavailable, match="all 1 users of sandbox_uids are taken"):
        choose("b", {"a": 30000}, range(30000, 30001))


@pytest.mark.parametrize(
    ("status", "user", "expected"),
    [("ffffffff", 0, True), ("40", 0, False), ("80", 0, False), ("c0", 0, True), ("c0", 5, False)],
)
def test_root_needs_two_capabilities(
    status: str, user: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP_SETUID and CAP_SETGID; without them it counts as a plain user."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(system, "status", lambda: {"CapEff": status})
    assert identity.can_become_another() is expected


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "readable"),
    [(0o755, 1, 1, True), (0o750, 1, 1, False), (0o050, 1, 7, True), (0o705, 1, 7, False)],
)
def test_reading_depends_on_who_it_is(
    mode: int, uid: int, gid: int, readable: bool, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group's bits count for its members even if others may do more."""
    folder = world / "prefix"
    folder.mkdir()
    folder.chmod(mode)
    original = os.stat

    def owned(path: Any) -> os.stat_result:
        found = original(path)
        values = list(found)
        values[4:6] = [0, 7 if Path(path) == folder else 0]
        return os.stat_result(values)

    monkeypatch.setattr(os, "stat", owned)
    found = obstacle(str(folder), Identity(uid=uid, gid=gid))
    assert found == (None if readable else str(folder))
    folder.chmod(0o700)


def test_an_interpreter_below_a_closed_folder_is_refused_before_forking(world: Path) -> None:
    """The message names the folder in the way and the user."""
    closed = world / "closed"
    (closed / "python" / "lib").mkdir(parents=True)
    closed.chmod(0o700)
    other = Identity(uid=os.getuid() + 30000, gid=os.getgid() + 30000)
    with pytest.raises(SandboxUnavailable, match=f"{closed} can't be read by uid {other.uid}"):
        identity.require_readable([str(closed / "python" / "lib")], other)


def test_a_link_through_a_closed_folder_is_an_obstacle(world: Path) -> None:
    """It has to be followed by the user too."""
    closed = world / "closed"
    (closed / "lib").mkdir(parents=True)
    (world / "link").symlink_to(closed / "lib")
    closed.chmod(0o700)
    assert obstacle(str(world / "link"), Identity(uid=2**20, gid=2**20)) == str(closed)


def test_canaries_can_be_reached_by_everybody_and_are_gone_afterwards(world: Path) -> None:
    """Otherwise they would prove nothing about the confinement."""
    with planted(world) as canaries:
        require_reachable(canaries)
        assert Path(canaries.file).read_text(encoding="utf-8") == TEXT
        assert Path(canaries.folder).stat().st_mode & 0o777 == 0o755
        assert Path(canaries.file).stat().st_mode & 0o777 == 0o666
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(canaries.socket)
    assert list(world.iterdir()) == []


def test_canaries_out_of_reach_are_refused() -> None:
    """A probe that fails for another reason than confinement is worth nothing."""
    with pytest.raises(SandboxUnavailable, match="/srv/c, which isn't"):
        require_reachable(CANARIES)


def test_canaries_with_too_long_a_path_are_refused(world: Path) -> None:
    """A socket's path has 107 bytes."""
    folder = world / ("x" * 90)
    folder.mkdir()
    with pytest.raises(SandboxUnavailable, match="at most 107 bytes"), planted(folder):
        pass


@given(st.text())
def test_any_text_for_a_range_is_read_or_refused(text: str) -> None:
    """It comes from a configuration file."""
    try:
        assert parse_uids(text)
    except SandboxUnavailable as error:
        assert error.problems  # noqa: PT017 - both ends are fine
