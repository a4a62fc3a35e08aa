"""The recipes of docs/recipes.md: each example is run, and shown there as it is."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask
from sqlalchemy import inspect
from trees import clean_imports

from flask_pluginkit import PluginManager, RequirementError

__all__ = ["clean_imports"]

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "examples" / "recipes"
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")

Make = Callable[..., Flask]


@pytest.fixture
def make(tmp_path: Path, clean_imports: None) -> Iterator[Make]:
    """Make the application of a recipe, out of a copy in which it may write."""
    packages: set[str] = set()

    def made(recipe: str, **settings: object) -> Flask:
        if recipe not in packages:
            skipped = shutil.ignore_patterns("__pycache__", "instance", "*.mo")
            shutil.copytree(RECIPES / recipe, tmp_path / recipe, ignore=skipped)
            packages.add(recipe)
            sys.path.insert(0, str(tmp_path))
        module: ModuleType = importlib.import_module(f"{recipe}.app")
        app: Flask = module.create_app(**settings)
        return app

    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


def manager_of(app: Flask) -> PluginManager:
    """The manager of an application."""
    found: PluginManager = app.extensions["pluginkit"]
    return found


def run(app: Flask, *words: str) -> str:
    """Run a command of the application, which has to succeed, and return what it says."""
    result = app.test_cli_runner().invoke(args=words)
    assert result.exit_code == 0, result.output
    return result.output


# ---- models ------------------------------------------------------------------------------------


@pytest.fixture
def models(make: Make, tmp_path: Path) -> Iterator[Flask]:
    """The recipe with a database that is up to date."""
    app = make("with_models", SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'db.sqlite3'}")
    run(app, "db", "upgrade")
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


def tables_of(app: Flask) -> set[str]:
    """The tables that the database of an application has."""
    with app.app_context():
        return set(inspect(app.extensions["sqlalchemy"].engine).get_table_names())


def write(app: Flask, text: str) -> None:
    """Write into the guest book."""
    form = {"name": "Ada", "place": "London", "text": text}
    assert app.test_client().post("/guestbook/", data=form).status_code == 302


def test_all_tables_are_made_by_one_command(models: Flask) -> None:
    """Those of the host and those of its plugins."""
    assert tables_of(models) == {"alembic_version", "guestbook_entry", "member"}


def test_the_plugin_keeps_what_guests_write(models: Flask) -> None:
    """Escaped, on its own page, and counted on the host's."""
    write(models, "<hello>")
    client = models.test_client()
    assert "<b>Ada</b> from London: &lt;hello&gt;" in client.get("/guestbook/").text
    assert "Guest book (1)</a>" in client.get("/").text


def test_the_models_are_what_the_migrations_make(models: Flask) -> None:
    """Alembic would find nothing to do in the plugin's tables."""
    base = sys.modules["plugins.guestbook.models"].Base
    with models.app_context(), models.extensions["sqlalchemy"].engine.connect() as connection:
        own = {
            "include_name": lambda name, kind, _: kind != "table" or name in base.metadata.tables
        }
        context = MigrationContext.configure(connection, opts=own)
        assert compare_metadata(context, base.metadata) == []


def test_a_disabled_plugin_keeps_its_data(models: Flask) -> None:
    """Its pages are gone; the tables aren't, and migrations go on working."""
    write(models, "still there")
    manager_of(models).disable_plugin("guestbook")
    client = models.test_client()
    assert client.get("/guestbook/").status_code == 404
    assert "Guest book" not in client.get("/").text
    run(models, "db", "upgrade")
    manager_of(models).enable_plugin("guestbook")
    assert "still there" in client.get("/guestbook/").text


def test_a_disabled_plugin_can_be_upgraded_and_downgraded(models: Flask) -> None:
    """Nothing of it is imported for that but its revisions."""
    manager_of(models).disable_plugin("guestbook")
    run(models, "db", "downgrade", "guestbook@base")
    assert "guestbook_entry" not in tables_of(models)
    run(models, "db", "upgrade", "guestbook@head")
    assert "guestbook_entry" in tables_of(models)


def test_branches_are_moved_one_by_one(models: Flask) -> None:
    """The host's stays where it is, and entries survive a step down and up."""
    write(models, "kept")
    run(models, "db", "downgrade", "guestbook@-1")
    with models.app_context():
        columns = inspect(models.extensions["sqlalchemy"].engine).get_columns("guestbook_entry")
    assert {column["name"] for column in columns} == {"id", "name", "text"}
    run(models, "db", "upgrade")
    assert "<b>Ada</b>: kept" in models.test_client().get("/guestbook/").text
    run(models, "db", "downgrade", "guestbook@base")
    assert tables_of(models) == {"alembic_version", "member"}


# ---- translations ------------------------------------------------------------------------------


@pytest.fixture
def translated(make: Make, tmp_path: Path) -> Flask:
    """The recipe with its texts compiled."""
    app = make("with_translations")
    for source in (tmp_path / "with_translations").rglob("*.po"):
        with source.open("rb") as texts, source.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, read_po(texts))
    return app


@pytest.mark.parametrize(
    ("asked", "greeting", "unread"),
    [
        ({"headers": {"Accept-Language": "en-GB"}}, "Good to see you!", "You have 1 message."),
        ({"headers": {"Accept-Language": "zh"}}, "很高兴见到你。", "你有 1 条消息。"),
        ({"headers": {"Accept-Language": "fr"}}, "Good to see you!", "You have 1 message."),
    ],
)
def test_the_plugin_speaks_the_language_of_the_page(
    translated: Flask, asked: dict[str, dict[str, str]], greeting: str, unread: str
) -> None:
    """As the host chooses it, and the plugin's own words where it has no translation."""
    text = translated.test_client().get("/?unread=1", **asked).text
    assert f"<h1>{greeting}</h1>" in text
    assert f"<p>{unread}</p>" in text


def test_languages_change_from_page_to_page(translated: Flask) -> None:
    """With plural forms of each."""
    client = translated.test_client()
    assert '<html lang="zh">' in client.get("/?lang=zh&unread=2").text
    assert "你有 2 条消息。" in client.get("/?lang=zh&unread=2").text
    assert "You have 2 messages." in client.get("/?lang=en&unread=2").text


def test_every_text_of_the_plugin_is_translated() -> None:
    """What Babel finds in its templates is what the file has."""
    from babel.messages.extract import extract_from_dir

    folder = RECIPES / "with_translations" / "plugins" / "greeter"
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
    found = {row[2] for row in extract_from_dir(folder, methods)}
    for source in folder.rglob("*.po"):
        with source.open("rb") as texts:
            known = {message.id: message.string for message in read_po(texts) if message.id}
        assert set(known) == found
        assert all(known.values())


# ---- requirements ------------------------------------------------------------------------------


def test_a_plugin_uses_what_it_requires(make: Make) -> None:
    """And what it doesn't require, as long as that is active."""
    app = make("with_requirements")
    client = app.test_client()
    assert client.get("/basket/lamp").json == {"lamp": 40}
    assert client.get("/basket/chair").json == {"chair": 60}
    manager_of(app).disable_plugin("offers")
    assert client.get("/basket/chair").json == {"chair": 75}
    assert client.get("/basket/boat").status_code == 404


def test_what_is_required_is_not_disabled_alone(make: Make) -> None:
    """The error names who requires it, and nothing has changed."""
    app = make("with_requirements")
    with pytest.raises(RequirementError, match="basket"):
        manager_of(app).disable_plugin("catalogue")
    assert app.test_client().get("/basket/lamp").status_code == 200


def test_what_is_required_goes_and_comes_with_a_cascade(make: Make) -> None:
    """In one step for all requests."""
    app = make("with_requirements")
    client, manager = app.test_client(), manager_of(app)
    manager.disable_plugin("catalogue", cascade=True)
    assert client.get("/basket/lamp").status_code == 404
    assert "lamp" not in client.get("/").text
    manager.enable_plugin("basket", cascade=True)
    assert client.get("/basket/lamp").json == {"lamp": 40}
    assert "lamp" in client.get("/").text


def test_a_version_that_does_not_fit_stops_who_requires_it(make: Make, tmp_path: Path) -> None:
    """With the reason; the rest of the site runs."""
    make("with_requirements")
    del sys.modules["with_requirements.app"]
    for name in [name for name in sys.modules if name.startswith("pluginkit_plugins")]:
        del sys.modules[name]
    file = tmp_path / "with_requirements/pluginkit_plugins/catalogue/__init__.py"
    file.write_text(file.read_text().replace('"1.2.0"', '"2.0.0"'))
    app = make("with_requirements")
    rows = {row.name: row for row in manager_of(app).plugins}
    assert rows["basket"].status == "incompatible"
    assert "catalogue" in rows["basket"].reason
    assert app.test_client().get("/").status_code == 200


# ---- the page ----------------------------------------------------------------------------------


def shown() -> list[tuple[str, str]]:
    """The files that the page shows: path and content, a comment before each block names it."""
    return re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("path", "text"), shown(), ids=[path for path, _text in shown()])
def test_the_page_shows_files_as_they_are(path: str, text: str) -> None:
    """Whole, or from one line to another where it leaves out the rest."""
    whole = (RECIPES / path).read_text(encoding="utf-8")
    for piece in re.split(r"^# \.\.\.\n", text, flags=re.MULTILINE):
        assert piece.strip("\n") in whole


@pytest.mark.parametrize(
    "recipe", [folder.name for folder in sorted(RECIPES.iterdir()) if (folder / "app.py").is_file()]
)
def test_each_recipe_is_on_the_page(recipe: str) -> None:
    """With the code of each of its plugins."""
    files = {path for path, _text in shown()}
    for plugin in (RECIPES / recipe).glob("*/*/__init__.py"):
        assert plugin.relative_to(RECIPES).as_posix() in files
