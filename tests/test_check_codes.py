"""Each code of the checks has a page: its bad example has the code, its mended one nothing."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from check_pages import PAGES, codes_of, example, found_in, page, section, write_project

from flask_pluginkit.checks import CODES

INDEX = (PAGES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", CODES)
def test_the_bad_example_of_a_page_has_its_code(code: str, tmp_path: Path) -> None:
    """What the page shows as wrong is found, with the code of the page and nothing else."""
    found = found_in(write_project(tmp_path, example(code, "An example")), code)
    assert set(codes_of(found)) == {code}


@pytest.mark.parametrize("code", CODES)
def test_the_mended_example_of_a_page_has_no_finding(code: str, tmp_path: Path) -> None:
    """What the page shows as right is right: nothing at all is found."""
    found = found_in(write_project(tmp_path, example(code, "Mended")), code)
    assert [str(finding) for finding in found] == []


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_a_page_with_all_parts(code: str) -> None:
    """Title, severity, what it says, why it matters, examples, how to suppress it."""
    text = page(code)
    entry = CODES[code]
    assert text.startswith(f"# {code}: {entry.title}\n\nSeverity: {entry.severity}.\n")
    for title in ("Why it matters", "An example", "Mended", "Suppressing it"):
        assert section(text, title).strip()


def test_each_code_is_in_the_index() -> None:
    """The index links every page, with the severity and the title of the table."""
    rows = re.findall(r"^\| \[(PK\d+)\]\(\1\.md\) \| (\w+) \| (.+) \|$", INDEX, re.MULTILINE)
    assert rows == [(code, entry.severity, entry.title) for code, entry in CODES.items()]


def test_there_is_no_page_without_a_code() -> None:
    """Pages of codes that are gone are gone, too."""
    assert {path.stem for path in PAGES.glob("PK*.md")} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_raised_by_the_part_that_the_table_names(code: str) -> None:
    """The module exists, and it or the files that it speaks for name the code."""
    name = f"flask_pluginkit.checks.{CODES[code].raised_by}"
    module = Path(str(import_module(name).__file__))
    beside = [module.parent / "sources.py", module.parent / "child.py"]
    beside += [module.parent.parent / each for each in ("sources.py", "places.py", "subjects.py")]
    sources = [path.read_text(encoding="utf-8") for path in (module, *beside) if path.exists()]
    assert any(f'"{code}"' in source for source in sources)
