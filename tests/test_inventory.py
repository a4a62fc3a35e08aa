"""What is written down of the plugins, for when none of them runs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.inventory import load_inventory, read_inventory, write_inventory

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"
GUARD = "def register():\n    return {'hep': {'before_request': lambda: None}}\n"


def note(host: Host) -> Path:
    """Write the inventory of a host, and return where it is."""
    site = host.pm._site()
    site.control.mkdir(parents=True, exist_ok=True)
    assert write_inventory(site.store, site.control, site.current.plugins)
    return site.control / "inventory.json"


def in_safe_mode(host: Host) -> Host:
    """The same application, started without its plugins."""
    twin = host.twin()
    twin.app.config["PLUGINKIT_SAFE_MODE"] = "1"
    twin.app.add_url_rule("/page", "page", lambda: "page")
    twin.start(strict=False, live=False)
    return twin


def test_it_tells_of_each_plugin_what_became_of_it(host: Host) -> None:
    """And whether it guards, as far as that is known."""
    host.plugin("guard", GUARD, version="1.2.3")
    host.plugin("plain", NOTHING)
    host.plugin("off", GUARD, state="disabled")
    host.plugin("bad", NOTHING + "raise RuntimeError('broken')")
    host.plugin("easy", GUARD, optional=True, state="disabled")
    host.start(strict=False)
    found: dict[str, Any] = json.loads(note(host).read_text())["plugins"]
    assert {name: (row["status"], row["guards"]) for name, row in found.items()} == {
        "guard": ("active", True),
        "plain": ("active", False),
        "off": ("disabled", None),
        "bad": ("failed", None),
        "easy": ("disabled", False),
    }
    assert found["guard"]["version"] == "1.2.3"
    assert "broken" in found["bad"]["reason"]


def test_what_stands_there_already_isnt_written_again(host: Host) -> None:
    """The file stays the very same."""
    host.plugin("a", NOTHING)
    host.start()
    place = note(host)
    before = place.stat().st_ino, place.read_bytes()
    note(host)
    assert (place.stat().st_ino, place.read_bytes()) == before


def test_it_says_when_it_was_last_right(host: Host) -> None:
    """A start that finds it to be so makes it young again."""
    host.plugin("a", NOTHING)
    host.start()
    place = note(host)
    os.utime(place, (1_000_000, 1_000_000))
    found = load_inventory(place.parent)
    assert found is not None
    assert found.seen == 1_000_000
    note(host)
    assert time.time() - place.stat().st_mtime < 1000


def test_where_there_is_no_folder_none_is_made(host: Host) -> None:
    """Nothing is written before something is switched."""
    host.start()
    site = host.pm._site()
    assert not write_inventory(site.store, host.folder / "nowhere", site.current.plugins) or (
        read_inventory(host.folder / "nowhere") == {}
    )
    assert not (host.folder / "nowhere").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"plugins": []}', '{"plugins": {"a": 5}}', "\0", "[" * 100_000],
)
def test_a_damaged_one_tells_nothing(host: Host, text: str) -> None:
    """Then anything may be a guard: pages are shut in safe mode, and nothing is raised."""
    host.plugin("a", NOTHING)
    host.start()
    place = note(host)
    assert in_safe_mode(host).get("/page") == "page"
    place.write_text(text)
    assert read_inventory(place.parent) == {}
    assert in_safe_mode(host).open("/page").status_code == 503
    place.unlink()
    assert in_safe_mode(host).open("/page").status_code == 503


def test_safe_mode_opens_what_nothing_guards(host: Host) -> None:
    """By what the last worker knew."""
    host.plugin("a", NOTHING)
    host.plugin("guard", GUARD)
    host.start()
    note(host)
    twin = in_safe_mode(host)
    answer = twin.open("/page")
    assert answer.status_code == 503
    assert "guard" in answer.text
    assert "by a" not in answer.text
    twin.pm.disable_plugin("guard")
    assert twin.get("/page") == "page"


def test_a_guard_that_never_ran_here_shuts_the_pages_too(host: Host) -> None:
    """It was disabled when the inventory was written, and is enabled by hand."""
    folder = host.plugin("guard", GUARD, state="disabled")
    host.start()
    note(host)
    assert in_safe_mode(host).get("/page") == "page"
    (folder / "ENABLED").touch()
    assert in_safe_mode(host).open("/page").status_code == 503


def test_an_optional_plugin_shuts_nothing_though_nobody_knows_it(host: Host) -> None:
    """It says so itself."""
    host.plugin("easy", GUARD, optional=True)
    assert in_safe_mode(host).get("/page") == "page"


def restarted(host: Host) -> Host:
    """The same application, started anew."""
    twin = host.twin()
    twin.app.add_url_rule("/page", "page", lambda: "page")
    twin.start(strict=False, live=False)
    return twin


def test_a_guard_that_can_no_longer_be_loaded_opens_no_door(host: Host) -> None:
    """It guarded the site when it ran last; disabling it is what opens the pages."""
    host.plugin("guard", GUARD)
    host.start(strict=False)
    place = note(host)
    host.plugin("guard", GUARD, version="2.0.0", appversion=">=99")
    twin = restarted(host)
    assert twin.open("/page").status_code == 503
    assert "mend it, or disable it" in twin.open("/page").text
    write_inventory(twin.pm._site().store, place.parent, twin.pm._site().current.plugins)
    assert read_inventory(place.parent)["guard"]["guards"] is True
    twin.pm.disable_plugin("guard")
    assert twin.open("/page").status_code == 200


def test_one_that_guarded_nothing_shuts_nothing_when_it_fails(host: Host) -> None:
    """As before."""
    host.plugin("plain", NOTHING)
    host.start(strict=False)
    note(host)
    host.plugin("plain", NOTHING, version="2.0.0", appversion=">=99")
    assert restarted(host).open("/page").status_code == 200


def test_what_is_no_regular_file_is_no_inventory(tmp_path: Path) -> None:
    """A pipe isn't waited for, a device that never ends not read: neither start nor command."""
    os.mkfifo(tmp_path / "inventory.json")
    assert load_inventory(tmp_path) is None
    (tmp_path / "inventory.json").unlink()
    (tmp_path / "inventory.json").symlink_to("/dev/zero")
    assert load_inventory(tmp_path) is None


def test_an_inventory_without_end_isnt_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the folder may have written gigabytes."""
    (tmp_path / "inventory.json").write_text('{"plugins": {"hello": {}}}')
    assert read_inventory(tmp_path) == {"hello": {}}
    monkeypatch.setattr("flask_pluginkit.inventory.LARGEST", 10)
    assert read_inventory(tmp_path) == {}
