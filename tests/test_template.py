"""The template of plugins: what is made of it, what is refused, and that it comes along."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import template_projects
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from trees import clean_imports

from flask_pluginkit import PluginManager
from flask_pluginkit.cli import generating
from flask_pluginkit.cli.generating import (
    completed,
    fault,
    generate,
    questions,
    template_folder,
)
from flask_pluginkit.cli.new import LICENSES, PARTS
from flask_pluginkit.exceptions import MissingExtraError, ParamError, RunError

__all__ = ["clean_imports"]  # a fixture, imported for its effect

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "plugin_template"
DEFAULTS = json.loads((SOURCE / "cookiecutter.json").read_text(encoding="utf-8"))
ALL = dict.fromkeys(PARTS, True)
NONE = dict.fromkeys(PARTS, False)


def files_of(folder: Path) -> dict[str, str]:
    """Every file below a folder with its text."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def plugin_in(project: Path, name: str = "hello") -> Path:
    """The folder of the plugin in its project."""
    return project / "src" / "pluginkit_plugins" / name


def rules(hook: str) -> dict[str, Any]:
    """What a hook of the template defines."""
    return generating._rules(hook)


# ---- what is made ----------------------------------------------------------------------------


def test_the_command_knows_what_the_template_asks() -> None:
    """The options are those of the template, with the same licenses, and each has a question."""
    asked = [key for key in DEFAULTS if not key.startswith("_")]
    assert list(questions()) == asked
    assert [key for key in asked if isinstance(DEFAULTS[key], bool)] == list(PARTS)
    assert tuple(DEFAULTS["license"]) == LICENSES


def test_in_the_set_that_is_built_any_two_answers_meet() -> None:
    """Each answer meets each answer to another question, in at most eight projects."""
    chosen = [*template_projects.pairwise()]
    values = {"license": LICENSES, **dict.fromkeys(PARTS, (True, False))}
    missing = [
        (one, a, other, b)
        for one, other in combinations(values, 2)
        for a in values[one]
        for b in values[other]
        if not any(each[one] == a and each[other] == b for each in chosen)
    ]
    assert missing == []
    assert len(chosen) == 8


def test_a_project_is_complete(tmp_path: Path) -> None:
    """By default it has what a distribution needs, and the namespace's folder has no module."""
    made = generate(template_projects.ONE, tmp_path)
    assert made == tmp_path / "flask-pluginkit-hello"
    assert {
        *(".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "demo.py"),
        *("noxfile.py", "pyproject.toml", ".github/workflows/tests.yml"),
        "src/pluginkit_plugins/hello/__init__.py",
        "src/pluginkit_plugins/hello/translations/README.md",
        "tests/test_conformance.py",
    } <= files_of(made).keys()
    assert [path.name for path in plugin_in(made).parent.iterdir()] == ["hello"]


def test_what_is_written_for_developers_is_no_part_of_the_wheel(tmp_path: Path) -> None:
    """How to translate the plugin is said in a file beside its translations."""
    made = generate(template_projects.ONE, tmp_path)
    project = tomllib.loads((made / "pyproject.toml").read_text(encoding="utf-8"))
    (pattern,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
    assert [path.relative_to(made).as_posix() for path in made.glob(pattern.lstrip("/"))] == [
        "src/pluginkit_plugins/hello/translations/README.md"
    ]


def test_a_project_describes_itself(tmp_path: Path) -> None:
    """Entry point, license and author stand in pyproject.toml and in the plugin."""
    answers = {"name": "opening_hours", "author": "Zoë Ångström", "license": "Apache-2.0"}
    made = generate(answers, tmp_path)
    project = tomllib.loads((made / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "flask-pluginkit-opening-hours"
    assert project["license"] == "Apache-2.0"
    assert project["authors"] == [{"name": "Zoë Ångström"}]
    points = project["entry-points"]["flask_pluginkit.plugins"]
    assert points == {"opening_hours": "pluginkit_plugins.opening_hours"}
    code = (plugin_in(made, "opening_hours") / "__init__.py").read_text(encoding="utf-8")
    assert '__author__ = "Zoë Ångström"' in code
    assert '__license__ = "Apache-2.0"' in code


@pytest.mark.parametrize("license_", LICENSES)
def test_each_license_has_its_text(tmp_path: Path, license_: str) -> None:
    """The file holds the license that was chosen, with year and holder where it names them."""
    answers = {"name": "hello", "license": license_, "author": "Ada", "year": "1843"}
    text = (generate(answers, tmp_path) / "LICENSE").read_text(encoding="utf-8")
    begins = {
        "MIT": "MIT License",
        "BSD-3-Clause": "BSD 3-Clause License",
        "Apache-2.0": "                                 Apache License",
        "Proprietary": "Copyright (c) 1843 Ada",
    }
    assert text.startswith(begins[license_])
    assert ("1843" in text and "Ada" in text) is (license_ != "Apache-2.0")


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ("views", "def index"),
        ("tep", "add_tep"),
        ("hooks", "after_request"),
        ("cli", "plugin.cli"),
    ],
)
def test_a_part_is_there_only_if_it_is_chosen(tmp_path: Path, part: str, word: str) -> None:
    """Its code is in the plugin with the option, and without it isn't."""
    codes = [
        (plugin_in(generate({"name": "hello", **answers}, tmp_path / place)) / "__init__.py")
        for place, answers in (("with", {**NONE, part: True}), ("without", {**ALL, part: False}))
    ]
    assert [word in code.read_text(encoding="utf-8") for code in codes] == [True, False]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (set(), set()),
        ({"views"}, {"templates/index.html"}),
        ({"tep"}, {"templates/nav.html"}),
        ({"static"}, {"static/icon.svg"}),
        ({"views", "static"}, {"templates/index.html", "static/icon.svg", "static/page.css"}),
    ],
)
def test_templates_and_static_files_are_those_in_use(
    tmp_path: Path, parts: set[str], expected: set[str]
) -> None:
    """A file that only another part would use isn't left behind, nor an empty folder."""
    chosen = {part: part in parts for part in PARTS}
    plugin = plugin_in(generate({"name": "hello", **chosen}, tmp_path))
    found = {name for name in files_of(plugin) if name.startswith(("templates", "static"))}
    assert found == expected
    assert [
        folder for folder in plugin.rglob("*") if folder.is_dir() and not any(folder.iterdir())
    ] == []


@pytest.mark.parametrize("answers", [*template_projects.pairwise()], ids=lambda each: each["name"])
def test_nothing_of_the_template_is_left(tmp_path: Path, answers: dict[str, str | bool]) -> None:
    """Neither its variables nor trailing blanks; each file ends with one line end."""
    for name, text in files_of(generate(answers, tmp_path)).items():
        assert "cookiecutter" not in name + text
        assert not any(line != line.rstrip() for line in text.splitlines()), name
        assert text == "" or text.rstrip("\n") + "\n" == text, name


@pytest.mark.usefixtures("clean_imports")
@pytest.mark.parametrize("parts", [ALL, NONE], ids=["all", "none"])
def test_the_plugin_runs(tmp_path: Path, parts: dict[str, bool]) -> None:
    """An application finds it, loads it, and has what the chosen parts add."""
    made = generate({"name": "hello", **parts}, tmp_path)
    app = Flask("host", root_path=str(tmp_path))
    app.testing = True
    manager = PluginManager(app, plugin_paths=[made / "src"])
    (row,) = [row for row in manager.plugins if row.name == "hello"]
    assert (row.status.value, row.reason, row.conflicts) == ("active", "", ())
    client = app.test_client()
    answer = client.get("/hello/?name=%3CAda%3E")
    assert (answer.status_code == 200) is parts["views"]
    assert ("Hello, &lt;Ada&gt;!" in answer.text) is parts["views"]
    assert ("X-Plugin-Hello-Version" in answer.headers) is parts["hooks"]
    with app.test_request_context():
        assert ("/hello/" in manager.emit_tep("nav")) is parts["tep"]


def test_the_longest_answers_fit_in_a_line(tmp_path: Path) -> None:
    """With the longest name and texts that are allowed no line of code passes 100 characters."""
    limits = rules("pre_gen_project")
    texts = {key: "x" * count for key, count in limits["LONGEST_TEXT"].items()}
    made = generate({"name": "n" * limits["LONGEST"], **texts, **ALL}, tmp_path)
    code = [text for name, text in files_of(made).items() if name.endswith(".py")]
    assert max(len(line) for text in code for line in text.splitlines()) <= 100


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Hello", "hello"),
        ("hello-world", "hello_world"),
        ("hello world!", "hello_world"),
        ("OpeningHours", "opening_hours"),
        ("class", "my_class"),
        ("match", "my_match"),
        ("run", "my_run"),
        ("static", "my_static"),
        ("1st", "my_1st"),
        ("flask-pluginkit-search", "search"),
        ("a__b", "a_b"),
        ("x" * 31, "x" * 30),
        ("x" * 29 + "_y", "x" * 29),
    ],
)
def test_a_name_that_cant_be_used_is_refused_with_a_better_one(name: str, better: str) -> None:
    """The message says why, and a name that would do."""
    assert fault("name", name).endswith(f"; try {better!r}")
    assert fault("name", better) == ""


def test_a_name_of_nothing_usable_is_refused_with_examples() -> None:
    """Where no name comes to mind, two that are right are shown."""
    assert fault("name", "!").endswith("; try one such as 'hello' or 'opening_hours'")


@given(st.text(max_size=60))
def test_whatever_is_suggested_can_be_used(name: str) -> None:
    """A suggestion is never refused in turn."""
    suggestion = rules("pre_gen_project")["suggestion"](name)
    assert suggestion == "" or fault("name", suggestion) == ""


@given(st.text(max_size=40))
def test_a_name_that_is_accepted_is_an_identifier(name: str) -> None:
    """Only names of a package get through."""
    assert fault("name", name) or (name.isidentifier() and name.isascii())


@pytest.mark.parametrize("text", ["", "  ", 'a "b"', "a\\b", "a\nb", "a { b", "a } b", "x" * 81])
def test_a_text_that_would_break_a_file_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing is made of an author that can't stand in Python and TOML."""
    with pytest.raises(ParamError, match="The author"):
        generate({"name": "hello", "author": text}, tmp_path)
    assert [*tmp_path.iterdir()] == []


@given(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=72).filter(
        lambda text: not fault("description", text)
    )
)
def test_any_text_that_is_accepted_can_stand_in_python_and_toml(text: str) -> None:
    """What isn't refused is the same after it was read back."""
    assert ast.literal_eval(f'"{text}"') == text
    assert tomllib.loads(f'key = "{text}"') == {"key": text}


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Name, project and description are refused together."""
    answers = {"name": "Hello", "project": "-", "description": ""}
    with pytest.raises(ParamError) as caught:
        generate(answers, tmp_path)
    assert [line.split()[1] for line in str(caught.value).splitlines()] == [
        "name",
        "project",
        "description",
    ]


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    """Whatever has the project's name stays as it is."""
    (tmp_path / "flask-pluginkit-hello").mkdir()
    with pytest.raises(RunError, match="is there already"):
        generate(template_projects.ONE, tmp_path)
    assert files_of(tmp_path) == {}


def test_a_folder_that_cant_be_written_is_named(tmp_path: Path) -> None:
    """A file in the place of the folder is told, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"flask-pluginkit-hello can't be made: "):
        generate(template_projects.ONE, tmp_path / "file")


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project is there whole, or not at all."""

    def fail(*_args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(RunError, match="no space left"):
        generate(template_projects.ONE, tmp_path)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("call", [generate, lambda answers, _into: completed(answers)])
def test_without_cookiecutter_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., object]
) -> None:
    """The message holds the line for pip."""
    for module in ("cookiecutter", "cookiecutter.utils", "cookiecutter.generate"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'Flask-PluginKit\[template\]'"):
        call(template_projects.ONE, tmp_path)


# ---- how it comes along ----------------------------------------------------------------------


def test_the_template_that_is_used_is_the_one_of_the_checkout() -> None:
    """What was installed with the package, if anything, has the same files."""
    assert files_of(template_folder()) == files_of(SOURCE)


def test_a_package_without_template_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation that lost it is told from a fault in the answers."""
    monkeypatch.setattr(generating, "PACKAGE", tmp_path / "package")
    with pytest.raises(RunError, match="there is no template"):
        template_folder()


def test_wheel_and_sdist_are_told_to_have_the_template() -> None:
    """It is data in the package's folder; `nox -s build` looks into what comes of it."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = targets["tool"]["hatch"]["build"]["targets"]
    assert built["wheel"]["force-include"]["plugin_template"] == "flask_pluginkit/plugin_template"
    assert "/plugin_template" in built["sdist"]["include"]


def test_bytecode_of_the_template_is_left_behind(tmp_path: Path) -> None:
    """Pip compiles what is Python in a wheel: that isn't part of anybody's project."""
    for place in ("tests", "src/pluginkit_plugins/hello"):
        (tmp_path / place / "__pycache__").mkdir(parents=True)
        (tmp_path / place / "__pycache__" / "x.pyc").touch()
    rules("post_gen_project")["tidy"](tmp_path, set(PARTS))
    assert files_of(tmp_path) == {}
    assert not [*tmp_path.rglob("__pycache__")]


def plain_cookiecutter(home: Path, **answers: str) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter itself, with hooks, below a folder that also is the user's home."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(home)),
            *(str(template_folder()), *(f"{key}={value}" for key, value in answers.items())),
        ],
        env={"HOME": str(home), "USERPROFILE": str(home), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_cookiecutter_makes_the_same(tmp_path: Path) -> None:
    """The hooks do what the command does by itself."""
    done = plain_cookiecutter(tmp_path, name="hello", views="no", cli="yes")
    assert done.returncode == 0, done.stderr
    ours = generate({"name": "hello", "views": False, "cli": True}, tmp_path / "ours")
    assert files_of(tmp_path / "flask-pluginkit-hello") == files_of(ours)


def test_plain_cookiecutter_refuses_the_same(tmp_path: Path) -> None:
    """A bad name ends it with our message, and nothing is left."""
    done = plain_cookiecutter(tmp_path, name="Hello")
    assert done.returncode != 0
    assert "try 'hello'" in done.stderr
    assert not (tmp_path / "flask-pluginkit-Hello").exists()
