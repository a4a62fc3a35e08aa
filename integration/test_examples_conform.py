"""The plugins of the examples pass the conformance suite, in the host that they are for."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit_projects import Run, run_pytest, write_project

BULLETIN = Path(__file__).parents[1] / "examples" / "bulletin"

PLUGINS = {path.name: path for path in sorted(BULLETIN.glob("plugins/*/src/pluginkit_plugins/*"))}
PLUGINS["welcome"] = BULLETIN / "bulletin" / "plugins" / "welcome"

HOST = """
import os
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest


@pytest.fixture
def plugin_host():
    def make(folder):
        from bulletin import create_app

        with patch.dict(os.environ, BULLETIN_INSTANCE=str(folder / "instance")):
            return create_app(TESTING=True)

    return make


@pytest.fixture
def plugin_values():
    from bulletin.posts import Category, Post

    post = Post(
        id=1, author_id=1, author="demo", title="Bread", body="Fresh.", category=Category.NEWS,
        created=datetime(2026, 1, 1, tzinfo=UTC), updated=None, is_pinned=False,
    )
    return {
        **dict.fromkeys(("card_meta", "post_meta", "post_body", "below_post"), {"post": post}),
    }


@pytest.fixture
def plugin_trusted_because(plugin_name):
    return REASONS.get(Path(plugin_name).name, "")


REASONS = {
    "comments": "it keeps its replies in the database of its host",
    "feeds": "it reads the notices of its host",
    "maintenance": "it asks its host who is signed in",
    "search": "it keeps its index in the database of its host",
    "visitors": "it opens its database as its host does",
    "welcome": "it greets who is signed in, whom its host knows",
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The suite over all plugins of the examples."""
    names = [name for name in PLUGINS if name != "welcome"]
    roots = [BULLETIN, *(PLUGINS[name].parents[1] for name in names)]
    root = write_project(
        tmp_path_factory.mktemp("examples"),
        {},
        {"test_it.py": "from flask_pluginkit.testing import conformance\n"},
        pluginkit_plugins=" ".join([*names, str(PLUGINS["welcome"])]),
        pythonpath=" ".join(map(str, roots)),
    )
    report = (root / "conftest.py").read_text(encoding="utf-8")
    (root / "conftest.py").write_text(report + HOST, encoding="utf-8")
    return run_pytest(root)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_of_the_examples_conforms(run: Run, name: str) -> None:
    """Nothing fails; what can't work isolated is expected, and says why."""
    mine = {node: row for node, row in run.outcomes.items() if node.endswith(f"{name}]")}
    assert mine, run.output
    assert {node: row for node, row in mine.items() if row.result in {"failed", "error"}} == {}
