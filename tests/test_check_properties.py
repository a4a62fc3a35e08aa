"""Whatever a plugin's files hold, the checks end with a report."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from check_pages import PAGES, example, write_project
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_pluginkit.checks import CODES, check

SEEDS = [
    (path, text)
    for code in CODES
    for path, text in example(code, "An example").items()
    if text is not None and "/x/" not in path
]
"""The files of all pages' examples."""

PIECES = [
    *("(", ")", "[", "{", "}", "{{", "}}", "{%", "%}", "'", '"', '"""', "\\", "\n", "\n    ", "@"),
    *("def f():\n", "class A:\n", "lambda: ", "return ", "import ", "from . import ", "global x\n"),
    *("register", "hello", "None", "**{}", "*a", ":=", "=", "==", ",", ".", "10@", "|safe", "#}"),
    *("{#", "# pluginkit: ignore[PK201] x\n", "__version__ = ", "\x00", "\x1b[2J", "\u202e", "é"),
    *(
        "if a else ",
        "(" * 150,
        "-" * 500,
        "{{" * 100,
        "\t",
        "\x0c",
        "async ",
        "await ",
        "match a:\n",
    ),
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of an example in which pieces were cut out, put in, or moved."""
    path, text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        piece = draw(st.sampled_from(PIECES) | st.text(max_size=5) | st.just(text[start:end] * 2))
        text = text[:start] + piece + text[end:]
    data = text.encode("utf-8", "surrogatepass")
    return path, data + draw(st.binary(max_size=3) if draw(st.booleans()) else st.just(b""))


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(mutated(), min_size=1, max_size=4), st.booleans())
def test_mutated_plugins_are_checked_to_the_end(
    files: list[tuple[str, bytes]], isolated: bool
) -> None:
    """Never an exception, and nothing in the report that a terminal would obey."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_project(Path(folder), dict.fromkeys((path for path, _ in files), ""))
        for path, data in files:
            place = path
            if path.startswith(("hello/", "pluginkit_plugins/")):
                place = f"src/pluginkit_plugins/{path.removeprefix('pluginkit_plugins/')}"
            (root / place).write_bytes(data)
        report = check(root, run=False, isolated=isolated)
    assert all(str(finding).isprintable() for finding in report.findings)
    assert {finding.code for finding in report.findings} <= CODES.keys()
    json.dumps(report.as_dict())


@settings(max_examples=examples(40), deadline=None)
@given(
    st.recursive(
        st.sampled_from(["a.py", "b.html", "__init__.py"]),
        lambda inner: st.tuples(
            st.sampled_from(
                ["templates", "static", "plugins", "pluginkit_plugins", "src", "x-y", "é"]
            ),
            inner,
        ),
        max_leaves=6,
    ),
    st.binary(max_size=30),
)
def test_trees_of_any_shape_are_checked_to_the_end(tree: object, data: bytes) -> None:
    """Whatever the folders are called, and wherever files lie."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        while isinstance(tree, tuple):
            place, tree = place / tree[0], tree[1]
        place.mkdir(parents=True, exist_ok=True)
        (place / str(tree)).write_bytes(data)
        check(folder, run=False)


def test_the_seeds_are_the_examples_of_the_pages() -> None:
    """They are as many as there are pages, at least."""
    assert len(SEEDS) >= len(list(PAGES.glob("PK*.md"))) - 3


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.py"])
@pytest.mark.parametrize("data", [b"\xff\xfe", b"[project", b"x = " + b"[" * 9000, b"\x00"])
def test_project_files_of_any_content_are_no_problem(
    tmp_path: Path, name: str, data: bytes
) -> None:
    """What can't be read is a finding."""
    root = write_project(tmp_path, {})
    (root / name).write_bytes(data)
    assert {one.code for one in check(root, run=False).findings} <= {"PK001", "PK501", "PK605"}
