"""What is done by hand or by other users, and processes in other containers, beside gunicorn."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live import Site, Switcher, flask_plugins, places_of_packages, served, wait_until
from servers import free_port, running_gunicorn
from sites import write_site

NOBODY = 65534


@pytest.fixture(params=["beside the code", "state_dir"])
def marked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """The site, and where a marker of its plugin is made by hand."""
    folder = write_site(tmp_path / "site")
    state_dir = str(tmp_path / "state") if request.param == "state_dir" else None
    with served(folder, state_dir=state_dir) as site:
        site.states()
        place = folder / "plugins" / "live"
        if state_dir:
            site.switch("disable")
            site.switch("enable")
            place = tmp_path / "state" / "markers" / "live"
            (place / "ENABLED").unlink()
        yield site, place


def test_markers_made_by_hand_are_noticed(
    marked: tuple[Site, Path], tell: Callable[[str], None]
) -> None:
    """By all workers, within about a second, and the same when they are removed."""
    site, place = marked
    (place / "DISABLED").touch()
    gone = wait_until(lambda: site.is_everywhere("live", "disabled"))
    assert site.get("/live")[0] == 404
    (place / "DISABLED").unlink()
    back = wait_until(lambda: site.is_everywhere("live", "active"))
    assert site.get("/live") == (200, "on")
    tell(f"seen by all after {gone:.2f} s, its removal after {back:.2f} s")


def test_a_restored_backup_is_noticed(tmp_path: Path) -> None:
    """Though its generation is an old one; the next switch goes on from there."""
    state = tmp_path / "state"
    with served(write_site(tmp_path / "site"), state_dir=str(state)) as site:
        site.states()
        site.switch("disable")
        backup = (state / "state.json").read_bytes()
        site.switch("enable")
        assert site.is_everywhere("live", "active")
        (state / "state.json.new").write_bytes(backup)
        (state / "state.json.new").rename(state / "state.json")
        wait_until(lambda: site.is_everywhere("live", "disabled"))
        assert "error" not in site.switch("enable")
        assert site.is_everywhere("live", "active")


def removed(folder: Path) -> bool:
    """Remove a folder in which workers may be writing their reports; True if that is done."""
    try:
        shutil.rmtree(folder)
    except OSError:
        return False
    return True


def test_a_control_folder_that_is_removed_is_made_again(tmp_path: Path) -> None:
    """Workers go on, and follow the next switch."""
    state = tmp_path / "state"
    with served(write_site(tmp_path / "site"), state_dir=str(state)) as site:
        site.states()
        site.switch("disable")
        wait_until(lambda: removed(state))
        assert site.get("/page")[0] == 200
        with Switcher(site.folder, site.env) as switcher:
            switcher("enable")
            switcher("disable")
            wait_until(lambda: site.is_everywhere("live", "disabled"))
            switcher("enable")
            wait_until(lambda: site.is_everywhere("live", "active"))


# ---- users -----------------------------------------------------------------------------------


def python_of_nobody() -> tuple[str, dict[str, str]]:
    """A Python that the user nobody can run with what this one has installed."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a server of another user: NO OTHER USER WAS TRIED")
    path = os.pathsep.join(places_of_packages())
    env = {**os.environ, "PYTHONPATH": path, "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
    for program in (sys.executable, shutil.which("python3", path=os.defpath)):
        code = "import sys, flask_pluginkit, gunicorn.app.wsgiapp; print(sys.version_info[:2])"
        try:
            tried = subprocess.run(
                [program or "", "-c", code],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                env=env,
                cwd="/",
                text=True,
                check=False,
            )
        except OSError:
            continue
        if tried.stdout.strip() == str(sys.version_info[:2]):
            return str(program), env
    pytest.skip("the user nobody can't run this Python: NO OTHER USER WAS TRIED")


@pytest.fixture
def of_nobody() -> Iterator[Site]:
    """The site, served by workers that run as nobody, with a state_dir of theirs."""
    program, env = python_of_nobody()
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base.chmod(0o755)
        folder = write_site(base / "site")
        state = base / "state"
        state.mkdir(mode=0o755)
        os.chown(state, NOBODY, NOBODY)
        env |= {"OPTIONS": f'{{"state_dir": "{state}"}}'}
        port = free_port()
        words = ["--workers", "4", "--threads", "4", "--user", str(NOBODY), "--group", str(NOBODY)]
        server = stack.enter_context(
            running_gunicorn(folder, "site_of_live:app", port, words, env, python=program)
        )
        yield Site(folder, port, env, server)


def test_root_switches_what_nobody_serves(of_nobody: Site) -> None:
    """Everything in state_dir stays the server's: it can be switched by workers afterwards."""
    site = of_nobody
    state = site.folder.parent / "state"
    assert os.geteuid() == 0
    done = flask_plugins(site, "disable", "live")
    assert done.returncode == 0, done.stderr
    assert site.is_everywhere("live", "disabled")
    told = site.switch("enable")
    assert "error" not in told, told
    assert site.is_everywhere("live", "active")
    assert flask_plugins(site, "disable", "live").returncode == 0
    wait_until(lambda: site.state()["workers"].startswith("4 of 4 workers"))
    for path in [state, *state.rglob("*")]:
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (NOBODY, NOBODY), path
        mode = stat.S_IMODE(found.st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644), f"{path}: {mode:o}"


def test_a_stranger_is_refused(of_nobody: Site) -> None:
    """The message says whose it is, and nothing has changed."""
    site = of_nobody
    site.states()
    command = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", python_of_nobody()[0]]
    with Switcher(site.folder, site.env, command) as switcher:
        error = switcher.ask("disable")["error"]
    assert error.startswith("StateError"), error
    assert site.is_everywhere("live", "active")


# ---- containers ------------------------------------------------------------------------------

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def test_two_process_namespaces_follow_each_other(tmp_path: Path) -> None:
    """Two servers whose workers have the same process numbers share a state_dir."""
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no process namespace can be made: {tried.stderr}: NONE WAS TRIED")
    state = str(tmp_path / "state")
    with (
        served(write_site(tmp_path / "a"), workers=2, within=UNSHARE, state_dir=state) as first,
        served(write_site(tmp_path / "b"), workers=2, within=UNSHARE, state_dir=state) as second,
    ):
        numbers = [sorted(site.states(2)) for site in (first, second)]
        assert numbers[0] == numbers[1], "the numbers of processes are the same"
        for one, other in ((first, second), (second, first)):
            for what, status in (("disable", "disabled"), ("enable", "active")):
                assert "error" not in one.switch(what)
                for site in (one, other):
                    assert site.is_everywhere("live", status, 2)
        wait_until(lambda: first.state()["workers"].startswith("4 of 4 workers"))
        assert sorted(first.state()["pids"]) == sorted(numbers[0] * 2)
        second.server.kill()  # the namespace with all that is in it
        wait_until(lambda: first.state()["workers"].startswith("2 of 2 workers"))
        assert "error" not in first.switch("disable")
        first.server.kill()  # to whom a gentler signal isn't handed on
