"""What the operator approved, and the digests by which versions of code are told apart."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import write

from flask_pluginkit.exceptions import LoadError, ManifestError, StateError
from flask_pluginkit.isolation import digests
from flask_pluginkit.isolation.approvals import FILE, KEPT, Approvals
from flask_pluginkit.isolation.digests import digest_of
from flask_pluginkit.state.control import ControlFolder

WRONG = (
    b'{"format": 1, "approvals": {"hello": [{"digest": "d1", "permissions": %s, "version": "1", '
    b'"by": "ada", "at": 1.0}]}}'
)


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    """Those of an application of which nothing was approved yet."""
    return Approvals(tmp_path / "control")


def approve(approvals: Approvals, digest: str, *permissions: str, plugin: str = "hello") -> None:
    """The operator Ada approves."""
    approvals.approve(plugin, permissions, digest, version="1.0.0", by="ada")


def test_who_asks_for_nothing_needs_no_approval(approvals: Approvals, tmp_path: Path) -> None:
    """And no file is looked for or made."""
    assert approvals.granted("hello", (), "d1") == ()
    assert not (tmp_path / "control").exists()


def test_nothing_is_granted_before_it_is_approved(approvals: Approvals) -> None:
    """The plugin waits for all that it asks for, in words for people."""
    decision = approvals.decide("hello", ["storage", "net:a.org:80"], "d1")
    assert decision.granted is None
    assert decision.waiting == ("net:a.org:80", "storage")
    assert decision.words[0] == "may open connections to a.org, port 80"


def test_what_was_approved_is_granted(approvals: Approvals, tmp_path: Path) -> None:
    """In this process and in every other one."""
    approve(approvals, "d1", "storage")
    assert approvals.granted("hello", ["storage"], "d1") == ("storage",)
    assert Approvals(tmp_path / "control").granted("hello", ["storage"], "d1") == ("storage",)


def test_an_approval_is_of_one_plugin(approvals: Approvals) -> None:
    """Another one with the same code has to be approved on its own."""
    approve(approvals, "d1", "storage")
    assert approvals.decide("other", ["storage"], "d1").granted is None


def test_a_new_version_that_asks_for_no_more_needs_no_approval(approvals: Approvals) -> None:
    """It gets what it asks for: the same, or less."""
    approve(approvals, "d1", "storage", "files:16MB")
    assert approvals.granted("hello", ["files:8MB"], "d2") == ("files:8MB",)


def test_a_new_version_that_asks_for_more_waits(approvals: Approvals) -> None:
    """For what is new alone; and the old version keeps what it has."""
    approve(approvals, "d1", "storage")
    decision = approvals.decide("hello", ["storage", "cookies"], "d2")
    assert (decision.granted, decision.waiting) == (None, ("cookies",))
    assert approvals.granted("hello", ["storage"], "d1") == ("storage",)


def test_the_old_version_keeps_its_approval_when_the_new_one_is_approved(
    approvals: Approvals,
) -> None:
    """So that one can go back."""
    approve(approvals, "d1", "storage")
    approve(approvals, "d2", "cookies")
    assert approvals.granted("hello", ["storage"], "d1") == ("storage",)
    assert approvals.granted("hello", ["cookies"], "d2") == ("cookies",)
    assert approvals.decide("hello", ["storage"], "d3").waiting == ("storage",)


def test_less_than_was_asked_for_may_be_approved(approvals: Approvals) -> None:
    """The very code that the operator looked at runs with that; other code waits."""
    approve(approvals, "d1", "storage")
    assert approvals.granted("hello", ["storage", "cookies"], "d1") == ("storage",)
    assert approvals.decide("hello", ["storage", "cookies"], "d2").waiting == ("cookies",)


def test_more_than_is_asked_for_isnt_granted(approvals: Approvals) -> None:
    """Granted is what was asked for and approved."""
    approve(approvals, "d1", "storage", "cookies")
    assert approvals.granted("hello", ["storage"], "d1") == ("storage",)


def test_waiting_is_an_error_that_says_what_to_do(approvals: Approvals) -> None:
    """With what the plugin asks for beyond what was approved."""
    with pytest.raises(LoadError, match="flask plugins approve hello") as caught:
        approvals.granted("hello", ["storage"], "d1")
    (problem,) = caught.value.problems
    assert problem.found == "it may keep a few values on this machine"


def test_revoking_takes_all_of_a_plugins_approvals(approvals: Approvals) -> None:
    """And those of no other one."""
    approve(approvals, "d1", "storage")
    approve(approvals, "d1", "storage", plugin="other")
    approvals.revoke("hello")
    approvals.revoke("unknown")
    assert approvals.decide("hello", ["storage"], "d1").granted is None
    assert approvals.decide("other", ["storage"], "d1").granted is not None


def test_few_approvals_of_a_plugin_are_kept(approvals: Approvals) -> None:
    """The last ones; one that is given again counts as new."""
    for number in range(KEPT + 2):
        approve(approvals, f"d{number}", "storage")
    approve(approvals, "d3", "cookies")
    found = approvals.all()["hello"]
    assert [one.digest for one in found] == ["d2", "d4", "d5", "d6", "d3"]
    assert found[-1].permissions == ("cookies",)
    assert (found[-1].by, found[-1].version) == ("ada", "1.0.0")


def test_what_is_no_permission_cant_be_approved(approvals: Approvals, tmp_path: Path) -> None:
    """And nothing is written."""
    with pytest.raises(ManifestError):
        approve(approvals, "d1", "storage", "everything")
    assert not (tmp_path / "control" / FILE).exists()


def test_the_folder_of_the_state_takes_the_approvals(tmp_path: Path) -> None:
    """With the owner and the mode that the operator gave it."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o750)
    folder.chmod(0o750)
    approve(Approvals(ControlFolder(folder, is_state_dir=True)), "d1", "storage")
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format": 2, "approvals": {}}',
        b'{"format": 1, "approvals": []}',
        b'{"format": 1, "approvals": {}, "more": 1}',
        b'{"format": 1, "approvals": {"hello": {}}}',
        b'{"format": 1, "approvals": {"hello": [{}]}}',
        WRONG % b'["all"]',
        WRONG % b'"storage"',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_grants_nothing(
    approvals: Approvals, tmp_path: Path, content: bytes
) -> None:
    """It is an error that names the file, and it isn't written over."""
    path = tmp_path / "control" / FILE
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StateError, match=FILE):
        approvals.decide("hello", ["storage"], "d1")
    with pytest.raises(StateError, match=FILE):
        approve(approvals, "d1", "storage")
    assert path.read_bytes() == content


def test_approvals_of_several_at_once_are_all_kept(tmp_path: Path) -> None:
    """Each writer waits for the other one."""

    def work(number: int) -> None:
        approve(Approvals(tmp_path), "d1", "storage", plugin=f"plugin{number}")

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Approvals(tmp_path).all()) == 6
    assert json.loads((tmp_path / FILE).read_text())["format"] == 1


# ---- digests ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin of a few files."""
    write(tmp_path / "hello" / "__init__.py", "x = 1\n")
    write(tmp_path / "hello" / "templates" / "a.html", "a")
    return tmp_path / "hello"


def test_equal_code_has_equal_digests(folder: Path, tmp_path: Path) -> None:
    """Wherever it lies, and whenever it was written."""
    write(tmp_path / "copy" / "templates" / "a.html", "a")
    write(tmp_path / "copy" / "__init__.py", "x = 1\n")
    os.utime(tmp_path / "copy" / "__init__.py", (1, 1))
    assert digest_of(folder) == digest_of(tmp_path / "copy")
    assert len(digest_of(folder)) == 64


@pytest.mark.parametrize("kind", ["content", "name", "new", "gone", "folder", "link", "moved"])
def test_other_code_has_another_digest(folder: Path, kind: str) -> None:
    """Whatever changes of what the plugin can read."""
    before = digest_of(folder)
    page = folder / "templates" / "a.html"
    match kind:
        case "content":
            page.write_text("b")
        case "name":
            page.rename(folder / "templates" / "b.html")
        case "new":
            write(folder / "new.py")
        case "gone":
            page.unlink()
        case "folder":
            (folder / "empty").mkdir()
        case "link":
            (folder / "link").symlink_to("/etc/passwd")
        case "moved":
            page.rename(folder / "a.html")
    assert digest_of(folder) != before


def test_a_link_counts_as_where_it_leads_to(folder: Path, tmp_path: Path) -> None:
    """It isn't followed: what lies there isn't the plugin's."""
    outside = write(tmp_path / "outside", "1")
    (folder / "link").symlink_to(outside)
    before = digest_of(folder)
    outside.write_text("2")
    assert digest_of(folder) == before
    (folder / "link").unlink()
    (folder / "link").symlink_to("elsewhere")
    assert digest_of(folder) != before


@pytest.mark.parametrize("name", ["ENABLED", "DISABLED", "__pycache__/x.pyc", "a/__pycache__/x"])
def test_what_comes_and_goes_doesnt_count(folder: Path, name: str) -> None:
    """Markers of the state beside the code, and what Python makes of it."""
    (folder / "a").mkdir()
    before = digest_of(folder)
    write(folder / name)
    assert digest_of(folder) == before


def test_a_marker_elsewhere_counts(folder: Path) -> None:
    """Only beside the code it is one."""
    before = digest_of(folder)
    write(folder / "templates" / "ENABLED")
    assert digest_of(folder) != before


def test_a_change_with_a_forged_time_is_found(folder: Path) -> None:
    """The time of change can't be set, other than the one of modification."""
    page = folder / "templates" / "a.html"
    before, found = digest_of(folder), page.stat()
    page.write_text("b")
    os.utime(page, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert digest_of(folder) != before


def test_files_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nothing was written, a look at their times is enough."""
    before = digest_of(folder)
    monkeypatch.setattr(digests, "_computed", lambda *_: pytest.fail("read again"))
    assert digest_of(folder) == before


def test_pipes_and_sockets_hold_nobody_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count by their kind."""
    before = digest_of(folder)
    os.mkfifo(folder / "pipe")
    with_pipe = digest_of(folder)
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert len({before, with_pipe, digest_of(folder)}) == 3


def test_names_that_are_no_text_count(folder: Path) -> None:
    """A file system may hold any bytes."""
    before = digest_of(folder)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text("x")
    assert digest_of(folder) != before


@pytest.mark.parametrize(
    ("limit", "most", "what"),
    [("MOST_FILES", 2, "files"), ("MOST_BYTES", 5, "MB"), ("DEEPEST", 1, "deep")],
)
def test_a_folder_that_is_too_large_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, what: str
) -> None:
    """Reading it would hold up a start; the error says what to do with data."""
    monkeypatch.setattr(digests, limit, most)
    with pytest.raises(LoadError, match=what) as caught:
        digest_of(folder)
    assert "permission 'files'" in caught.value.problems[0].advice


def test_a_folder_that_isnt_there_is_an_error(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(LoadError, match="missing"):
        digest_of(tmp_path / "missing")


TREES = st.dictionaries(
    st.sampled_from(["a", "b", "c/a", "c/b", "ab", "d/ENABLED"]), st.sampled_from(["", "a", "1 a"])
)


@given(left=TREES, right=TREES)
@settings(max_examples=40, deadline=None)
def test_digests_are_equal_where_trees_are(
    tmp_path_factory: pytest.TempPathFactory, left: dict[str, str], right: dict[str, str]
) -> None:
    """No two different trees are taken for each other."""
    found = []
    for tree in (left, right):
        top = tmp_path_factory.mktemp("tree")
        for name, text in tree.items():
            write(top / name, text)
        found.append(digest_of(top))
    assert (found[0] == found[1]) is (left == right)
