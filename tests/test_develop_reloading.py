"""What a development server starts anew for: which changes count, and how it is ended."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hosts import Host, clean_imports, host
from trees import REGISTER, write, write_distribution, write_plugin

from flask_pluginkit.develop import reloading
from flask_pluginkit.develop.reloading import Watcher, excluded, is_reloading
from flask_pluginkit.frozen import replace

__all__ = ["clean_imports", "host"]

Look = Callable[[], str]

FILES = {
    "views.py": "",
    "templates/page.html": "old",
    "static/page.css": "old",
    "translations/de/LC_MESSAGES/messages.mo": "old",
    "notes.txt": "old",
}


@pytest.fixture
def plugin(host: Host) -> Path:
    """A plugin of the host, with files of all sorts."""
    return host.plugin("hello", REGISTER, files=FILES)


@pytest.fixture
def look(host: Host, plugin: Path, clean_imports: None, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Look for changes since the test began, as under Werkzeug's reloader."""
    monkeypatch.setattr(reloading, "is_reloading", lambda: True)
    monkeypatch.setattr(reloading, "QUIET", 0)
    return looking(host)


def looking(host: Host, *, starts: bool = True, **options: object) -> Look:
    """What looks for changes of a host's plugins from now on."""
    if starts:
        host.start(strict=False, **options)
    watcher = Watcher(lambda _path: None)
    watcher.see(host.pm._site())
    return watcher.look


def rewrite(path: Path, text: str = "new") -> None:
    """Write to a file as an editor does, at a later time."""
    write(path, text)
    later = path.stat().st_mtime_ns + 10_000_000
    os.utime(path, ns=(later, later))


def test_nothing_changes_by_itself(look: Look) -> None:
    """Neither at the first look nor later."""
    assert [look(), look()] == ["", ""]


@pytest.mark.parametrize("name", ["views.py", "translations/de/LC_MESSAGES/messages.mo"])
def test_what_is_read_once_counts_when_it_changes(look: Look, plugin: Path, name: str) -> None:
    """Code, whether it was imported or not, and translations."""
    rewrite(plugin / name)
    assert look() == str(plugin / name)


@pytest.mark.parametrize("name", ["templates/other.html", "templates/sub/a.txt", "new.py"])
def test_a_new_file_counts(look: Look, plugin: Path, name: str) -> None:
    """Templates and modules, also in a folder of their own."""
    write(plugin / name)
    assert look() == str(plugin / name)


@pytest.mark.parametrize("name", ["templates/page.html", "views.py"])
def test_a_file_that_is_gone_counts(look: Look, plugin: Path, name: str) -> None:
    """Templates and modules."""
    (plugin / name).unlink()
    assert look() == str(plugin / name)


def test_a_template_that_is_renamed_counts(look: Look, plugin: Path) -> None:
    """As one that is gone, and one that is new."""
    (plugin / "templates/page.html").rename(plugin / "templates/renamed.html")
    assert look().startswith(str(plugin / "templates"))


@pytest.mark.parametrize("name", ["templates/page.html", "static/page.css", "notes.txt"])
def test_what_is_read_each_time_does_not_count_when_it_changes(
    look: Look, plugin: Path, name: str
) -> None:
    """Jinja and Flask see that themselves."""
    rewrite(plugin / name)
    assert look() == ""


@pytest.mark.parametrize(
    "name",
    [
        *("DISABLED", "ENABLED", "__pycache__/views.cpython-311.pyc", "static/new.css", "data.db"),
        *(".views.py.swp", "views.py~", "#views.py#", ".#views.py", "templates/4913"),
        *("templates/.page.html.swp", "templates/page.html~", "templates/page.html.tmp"),
        *(
            ".git/hooks/x.py",
            "node_modules/x/x.py",
            "templates/page.html___jb_tmp___",
            "templates/#page.html#",
        ),
    ],
)
def test_what_means_nothing_does_not_count(look: Look, plugin: Path, name: str) -> None:
    """Markers of state, bytecode, what editors leave beside a file, data of the plugin."""
    write(plugin / name)
    assert look() == ""


def test_a_new_plugin_counts_once_it_is_one(look: Look, host: Host) -> None:
    """An empty folder isn't."""
    (host.folder / "plugins/later").mkdir()
    assert look() == ""
    new = host.plugin("later", REGISTER)
    assert look() == str(new / "__init__.py")


def test_a_plugin_that_is_gone_counts(look: Look, plugin: Path) -> None:
    """With its whole folder."""
    shutil.rmtree(plugin)
    assert look().startswith(str(plugin))


def test_a_plugin_behind_a_link_counts(look: Look, host: Host, tmp_path: Path) -> None:
    """A new link does, and then what it leads to."""
    elsewhere = write_plugin(tmp_path / "elsewhere", "linked")
    (host.folder / "plugins/linked").symlink_to(elsewhere)
    assert look() == str(elsewhere / "__init__.py")


def test_a_plugin_outside_of_the_path_counts(host: Host, look: Look, tmp_path: Path) -> None:
    """A folder of `plugin_paths`, also where there was none at the start."""
    twin = host.twin()
    twin.start(strict=False, plugin_paths=[tmp_path / "more"])
    look = looking(twin, starts=False)
    assert look() == ""
    new = write_plugin(tmp_path / "more/pluginkit_plugins", "outside")
    assert look() == str(new / "__init__.py")


def test_a_package_counts_that_is_not_imported(
    host: Host, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the host names and that is disabled."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    package = write_plugin(tmp_path / "site", "packaged", state="disabled")
    twin = host.twin()
    twin.start(strict=False, plugin_packages=["packaged"])
    assert "packaged" not in sys.modules
    look = looking(twin, starts=False)
    rewrite(package / "__init__.py")
    assert look() == str(package / "__init__.py")


def test_an_installed_distribution_counts(
    host: Host, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metadata comes last, when its plugins are there."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    look = looking(host, starts=False)
    assert look() == ""
    info = write_distribution(tmp_path / "site", "some-plugin")
    assert look() == str(info)


def test_what_pip_is_about_to_remove_does_not_count(
    host: Host, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it updates a distribution, it keeps the old one under such a name."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "site").mkdir()
    look = looking(host, starts=False)
    (tmp_path / "site/~ome_plugin-1.0.0.dist-info").mkdir()
    assert look() == ""


def test_of_a_plugin_that_runs_elsewhere_everything_counts(
    host: Host, look: Look, plugin: Path
) -> None:
    """Its process has read the templates, and other files are other code to who approves it."""
    site = host.pm._site()
    rows = [replace(row, isolation="process") for row in site.current.plugins]
    site.current = replace(site.current, plugins=tuple(rows))
    rewrite(plugin / "templates/page.html")
    assert look() == str(plugin / "templates/page.html")


def test_a_module_that_werkzeug_looks_at_is_left_to_it(
    look: Look, plugin: Path, host: Host
) -> None:
    """An imported one that was written to: only if Werkzeug misses it, it counts at last."""
    rewrite(plugin / "__init__.py")
    assert str(plugin / "__init__.py") == host.module("hello").__file__
    assert look() == ""
    assert look() == str(plugin / "__init__.py")


def test_a_module_that_has_become_older_counts(look: Look, plugin: Path) -> None:
    """One that comes out of a backup: Werkzeug looks for newer ones alone."""
    os.utime(plugin / "__init__.py", ns=(1, 1))
    assert look() == str(plugin / "__init__.py")


def test_a_broken_plugin_counts_when_it_is_mended(host: Host, look: Look) -> None:
    """It isn't imported, and the application may not even have started."""
    broken = host.plugin("broken", "((")
    look = looking(host, starts=False)
    rewrite(broken / "__init__.py", "")
    assert look() == str(broken / "__init__.py")


def test_a_folder_is_waited_for_until_all_of_it_is_there(
    look: Look, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is being copied, the server goes on."""
    new = host.plugin("copied", REGISTER)
    monkeypatch.setattr(time, "sleep", lambda _seconds: write(new / "templates/a.html"))
    assert look() == ""
    monkeypatch.undo()
    monkeypatch.setattr(reloading, "is_reloading", lambda: True)
    assert look() == str(new / "__init__.py")


def test_a_change_waits_until_the_reloader_runs(
    look: Look, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the application is being loaded nothing is ended; nor ever in another process."""
    monkeypatch.setattr(reloading, "is_reloading", lambda: False)
    rewrite(plugin / "views.py")
    assert look() == ""
    monkeypatch.setattr(reloading, "is_reloading", lambda: True)
    assert look() == str(plugin / "views.py")


def test_this_process_is_not_under_the_reloader() -> None:
    """The variable alone doesn't make it so."""
    assert not is_reloading()


def test_the_reloader_is_known_by_where_the_main_thread_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a function of that module, however deep."""
    monkeypatch.setattr(reloading, "RELOADER", __name__)
    assert is_reloading()


def test_patterns_that_flask_was_given_hold_here_too(host: Host, look: Look, plugin: Path) -> None:
    """By ``flask run --exclude-patterns``, in whose command the application is loaded."""

    @click.command()
    @click.option("--exclude-patterns", type=click.Path(), multiple=True)
    def run(exclude_patterns: tuple[str, ...]) -> str:
        found = looking(host, starts=False)
        write(plugin / "generated.py")
        return f"{[*excluded()]} {found()}"

    said = run.main(["--exclude-patterns", "*/generated.py"], standalone_mode=False)
    assert said == "['*/generated.py'] "


def test_a_folder_that_cannot_be_looked_at_does_not_end_it(
    host: Host, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and looked at again; what changes then ends the server."""
    looks: list[int] = []

    def look() -> str:
        looks.append(len(looks))
        if len(looks) == 1:
            raise PermissionError("no")
        return "changed"

    class EndError(Exception):
        """Stands for the end of the process."""

    def end(path: str) -> None:
        raise EndError(path)

    watcher = Watcher(end)
    monkeypatch.setattr(watcher, "look", look)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with caplog.at_level(logging.ERROR), pytest.raises(EndError, match="changed"):
        watcher._run()
    assert "can't be looked at" in caplog.text


@pytest.mark.parametrize("setup", ["", "import logging; logging.basicConfig(level=logging.INFO)"])
def test_the_child_ends_in_werkzeugs_way(setup: str) -> None:
    """With what it says, its exit code, and after what was left for the end."""
    program = (
        f"import atexit, threading; {setup or 'pass'}\n"
        "from flask_pluginkit.develop.reloading import end_child\n"
        "atexit.register(print, 'left for the end')\n"
        "threading.Thread(target=end_child, args=('/a/b.py',)).start()\n"
        "threading.Event().wait(30)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert " * Detected change in '/a/b.py', reloading\n" in done.stderr
    assert done.stdout == "left for the end\n"


def test_nothing_looks_outside_of_the_reloader(host: Host, plugin: Path) -> None:
    """Not even in debug mode."""
    host.app.debug = True
    host.start()
    assert reloading.WATCHER._thread is None


def test_the_reloader_is_told_of_plugins_before_they_are_loaded(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can't be loaded is what is about to be mended; one thread looks at all."""
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    watcher = Watcher(lambda _path: None)
    monkeypatch.setattr(reloading, "WATCHER", watcher)
    started: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread.name))
    host.plugin("broken", "((")
    for app in (host, host.twin()):
        with pytest.raises(Exception, match="broken"):
            app.start(strict=True)
    assert len(watcher._cameras) == 2
    assert started == ["pluginkit-reloader"]
