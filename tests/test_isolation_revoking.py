"""Taking back what was approved of a plugin, and removing what is left of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from isolation_sites import Site, guest, sites
from trees import clean_imports

from flask_pluginkit import cli
from flask_pluginkit.exceptions import PluginError, StateError
from flask_pluginkit.isolation.approvals import Approvals
from flask_pluginkit.isolation.remains import remains_of, remove

__all__ = ["clean_imports", "sites"]

BODY = "def register():\n    return {'tep': {'nav': 'on'}}\n"


@pytest.fixture
def site(sites: Callable[..., Site], tmp_path: Path, clean_imports: None) -> Site:
    """A site with a plugin that was granted what it asks for."""
    guest(tmp_path, BODY, permissions=["requests", "storage"])
    made = sites(isolation="isolated", config={"PLUGINKIT_SANDBOX_LOWERED": True})
    made.manager.approve_plugin("guest")
    assert made.row().status == "active", made.row().reason
    return made


def audit(site: Site) -> list[tuple[str, str]]:
    """What the audit says, the last thing first."""
    return [(entry["action"], entry["result"]) for entry in site.manager.audit(20)]


def test_what_was_approved_is_taken_back(site: Site) -> None:
    """It waits again, as if it had just been installed, and comes back when it is approved."""
    assert site.render("{{ emit_tep('nav') }}") == "on"
    assert site.manager.revoke_plugin("guest") == ("requests", "storage")
    assert site.row().status == "failed"
    assert "approve" in site.row().reason
    assert site.render("{{ emit_tep('nav') }}") == ""
    assert [one for one in audit(site) if one[0] == "revoke"] == [
        ("revoke", "done"),
        ("revoke", "intent"),
    ]
    site.manager.approve_plugin("guest")
    assert site.render("{{ emit_tep('nav') }}") == "on"


def test_another_worker_follows_at_its_next_request(site: Site) -> None:
    """As it follows a switch."""
    other = Site(site.folder, isolation="isolated", config={"PLUGINKIT_SANDBOX_LOWERED": True})
    try:
        assert other.render("{{ emit_tep('nav') }}") == "on"
        site.manager.revoke_plugin("guest")
        assert other.render("{{ emit_tep('nav') }}") == ""
    finally:
        other.close()


def test_what_cannot_be_read_approves_nothing(site: Site) -> None:
    """Nobody knows what it says."""
    approvals = site.folder / "state" / "approvals.json"
    approvals.write_text("{")
    site.manager.rescan()
    assert site.row().status == "failed"


def test_a_plugin_that_never_was_is_refused(site: Site) -> None:
    """A typing mistake must not look like success."""
    with pytest.raises(PluginError, match="No plugin named guets"):
        site.manager.revoke_plugin("guets")


def test_a_plugin_that_is_gone_is_forgotten(site: Site) -> None:
    """With what it stored, and nothing of others."""
    store = site.folder / "state" / "sandbox-storage"
    for name in ("guest", "other"):
        (store / name / "storage").mkdir(parents=True)
        (store / name / "storage" / "x.json").write_text("{}")
    with pytest.raises(PluginError, match="active"):
        site.manager.revoke_plugin("guest", forget=True)
    shutil.rmtree(site.folder / "plugins" / "guest")
    site.manager.rescan()
    [left] = site.manager.left_of("guest")
    assert (left.what, left.files) == ("what it stored", 1)
    assert site.manager.revoke_plugin("guest", forget=True) == ("requests", "storage")
    assert [path.name for path in store.iterdir()] == ["other"]
    with pytest.raises(PluginError, match="No plugin"):
        site.manager.revoke_plugin("guest", forget=True)


@pytest.mark.parametrize("name", ["", ".", "..", "../state", "a/b"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Whoever may call this could remove anything else."""
    (tmp_path / "sandbox-storage" / "a" / "b").mkdir(parents=True)
    assert remains_of(tmp_path, None, name) == ()


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A plugin may have made one in its folder."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    homes = tmp_path / "homes"
    (homes / "guest").mkdir(parents=True)
    (homes / "guest" / "link").symlink_to(tmp_path / "precious")
    (homes / "linked").symlink_to(tmp_path / "precious")
    assert remains_of(tmp_path, homes, "linked") == ()
    remove(remains_of(tmp_path, homes, "guest"))
    assert not (homes / "guest").exists()
    assert (tmp_path / "precious" / "file").exists()


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file that is in the way."""
    (tmp_path / "sandbox-storage" / "guest").mkdir(parents=True)
    found = remains_of(tmp_path, None, "guest")

    def fail(folder: Path) -> None:
        raise PermissionError(1, "not permitted", str(folder / "x"))

    monkeypatch.setattr(shutil, "rmtree", fail)
    with pytest.raises(StateError, match="guest/x can't be removed: not permitted"):
        remove(found)


def test_an_approval_covers_what_it_is_of(tmp_path: Path) -> None:
    """That of the very code first, else the last one."""
    approvals = Approvals(tmp_path)
    assert not approvals.covers("guest", ["storage"], "1")
    assert approvals.covers("guest", [], "1")
    approvals.approve("guest", ["storage"], "1", version="1", by="somebody")
    approvals.approve("guest", ["requests"], "2", version="2", by="somebody")
    assert approvals.covers("guest", ["storage"], "1")
    assert not approvals.covers("guest", ["storage"], "2")
    assert approvals.covers("guest", ["requests"], "3")
    assert approvals.revoke("guest") == ("requests", "storage")
    assert approvals.revoke("guest") == ()


def run(site: Site, *args: str, **rest: Any) -> Result:
    """Run ``flask plugins revoke``."""
    return site.app.test_cli_runner().invoke(cli.plugins, ["revoke", *args], **rest)


def test_the_command_revokes(site: Site) -> None:
    """And says what."""
    done = run(site, "guest")
    assert (done.exit_code, done.output) == (0, "guest: revoked, requests, storage\n")
    assert run(site, "guest").output == "guest: nothing was granted\n"


def test_the_command_lists_what_it_removes_and_asks(site: Site) -> None:
    """It can't be brought back."""
    stored = site.folder / "state" / "sandbox-storage" / "guest"
    stored.mkdir(parents=True)
    site.manager.disable_plugin("guest")
    done = run(site, "guest", "--forget", input="n\n")
    assert done.exit_code == 1
    assert f"0 files in {stored}" in done.output
    assert stored.exists()
    assert run(site, "guest", "--forget", "--yes").exit_code == 0
    assert not stored.exists()
