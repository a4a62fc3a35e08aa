"""What the checks take for a plugin, and what they can't look at."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from check_pages import DUNDERS, INIT, PROJECT, REGISTER, codes_of, told, write_project
from trees import write, write_plugin

from flask_pluginkit.checks import Report, check
from flask_pluginkit.checks.archives import MOST_BYTES, MOST_MEMBERS
from flask_pluginkit.exceptions import ParamError


def names(report: Report) -> list[str]:
    """The plugins that were checked."""
    return [plugin.name for plugin in report.plugins]


@pytest.mark.parametrize(
    "below", ["src/pluginkit_plugins", "pluginkit_plugins", "plugins", "src", "."]
)
def test_plugins_are_found_in_the_usual_folders(tmp_path: Path, below: str) -> None:
    """Of a project or an application: all plugins in the first folder that has any."""
    write_plugin(tmp_path / below, "one")
    write_plugin(tmp_path / below, "two")
    assert names(check(tmp_path, run=False)) == ["one", "two"]


def test_a_plugins_folder_is_checked_itself(tmp_path: Path) -> None:
    """Whatever lies beside it isn't."""
    folder = write_plugin(tmp_path / "plugins", "one")
    write_plugin(tmp_path / "plugins", "two")
    assert names(check(folder, run=False)) == ["one"]


def test_a_folder_of_projects_has_all_their_plugins(tmp_path: Path) -> None:
    """Each with the project that it belongs to."""
    write_project(tmp_path / "a", {})
    write_project(tmp_path / "b", {"LICENSE": None, "pyproject.toml": "[project]\nname = 'b'"})
    report = check(tmp_path, run=False, base=tmp_path)
    assert names(report) == ["hello", "hello"]
    assert [str(finding) for finding in report.findings if finding.code == "PK501"] == [
        "b/pyproject.toml PK501 there is no licence: without one nobody else may use the plugin"
    ]


def test_a_folder_without_plugins_is_told(tmp_path: Path) -> None:
    """With where they are looked for."""
    assert codes_of(check(tmp_path).findings) == ["PK007"]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is the caller's mistake."""
    with pytest.raises(ParamError, match="there is no"):
        check(tmp_path / "gone")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """With what would do."""
    with pytest.raises(ParamError, match="a wheel"):
        check(write(tmp_path / "notes.txt"))


def test_paths_of_findings_count_from_the_base(tmp_path: Path) -> None:
    """So that an editor that is open there finds them."""
    write_project(tmp_path / "deep" / "project", {"hello/__init__.py": DUNDERS})
    (finding,) = check(tmp_path / "deep" / "project", run=False, base=tmp_path / "deep").findings
    assert finding.path == f"project/{INIT}"


def test_a_plugin_in_the_current_folder_has_short_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its files were read or run."""
    folder = write_plugin(
        tmp_path / "plugins", "one", "from . import views\n", files={"views.py": "raise ValueError"}
    )
    write(folder / "wrong.py", "def")
    monkeypatch.chdir(folder)
    found = check(".", ignore=["PK002"], run=True)
    assert {one.path for one in found.findings} == {"wrong.py"}
    (folder / "wrong.py").unlink()
    write_plugin(tmp_path / "plugins", "one", "from . import views\n" + REGISTER)
    assert [one.path for one in check(".").findings] == ["views.py"]


def test_a_host_s_templates_are_known(tmp_path: Path) -> None:
    """A plugin in a host's folder of plugins may render them."""
    body = (
        "from flask import render_template\n\ndef show():\n"
        "    return render_template('base.html')\n"
    )
    write_plugin(tmp_path / "plugins", "one", body + REGISTER)
    write(tmp_path / "templates" / "base.html")
    assert codes_of(check(tmp_path, run=False).findings) == []


# ---- archives --------------------------------------------------------------------------------


def write_wheel(path: Path, files: dict[str, str]) -> Path:
    """Write a wheel with these files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_wheel_is_checked_and_not_run(tmp_path: Path) -> None:
    """Paths in findings lead into it."""
    body = DUNDERS + "raise SystemExit\n" + REGISTER + "x = __import__('flask').ext\n"
    text = "from flask import Markup\n" + body
    wheel = write_wheel(tmp_path / "a.whl", {"pluginkit_plugins/hello/__init__.py": text})
    report = check(wheel, base=tmp_path)
    assert [plugin.was_run for plugin in report.plugins] == [False]
    places = {(finding.path, finding.code) for finding in report.findings}
    assert places == {
        ("a.whl/pluginkit_plugins/hello/__init__.py", "PK501"),
        ("a.whl/pluginkit_plugins/hello/__init__.py", "PK601"),
    }


def test_an_sdist_is_checked_as_the_project_that_it_is(tmp_path: Path) -> None:
    """Its one folder is the project."""
    with tarfile.open(tmp_path / "hello-1.0.0.tar.gz", "w:gz") as archive:
        for name, text in {**PROJECT, "LICENSE": "MIT"}.items():
            member = tarfile.TarInfo(f"hello-1.0.0/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    report = check(tmp_path / "hello-1.0.0.tar.gz")
    assert (names(report), codes_of(report.findings)) == (["hello"], [])


@pytest.mark.parametrize("name", ["../outside.py", "/etc/outside.py", "a/../../outside.py"])
def test_nothing_leaves_the_folder_of_an_archive(tmp_path: Path, name: str) -> None:
    """A member with such a name is a finding, and isn't written."""
    wheel = write_wheel(tmp_path / "a.whl", {name: "x = 1"})
    assert "PK001" in codes_of(check(wheel).findings)
    assert list(tmp_path.rglob("outside.py")) == []


def test_a_damaged_archive_is_a_finding(tmp_path: Path) -> None:
    """Not an exception."""
    for name in ("a.whl", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 no archive")
        assert "PK001" in codes_of(check(tmp_path / name).findings)


def test_an_archive_that_becomes_too_large_is_given_up(tmp_path: Path) -> None:
    """Before it is unpacked to the end."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("a/zeros")
        member.size = MOST_BYTES + 1
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    found = check(tmp_path / "a.tar.gz").findings
    assert any("becomes more than" in finding.message for finding in found)


def header(name: str, kind: bytes, size: int = 0) -> bytes:
    """One block of a tar file that says what comes."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def test_a_name_in_an_archive_that_is_too_long_is_given_up(tmp_path: Path) -> None:
    """Names have no end either, and are read into memory as a whole."""
    size = 4 * MOST_BYTES
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(header("././@LongLink", tarfile.GNUTYPE_LONGNAME, size))
        for _ in range(4):
            file.write(bytes(MOST_BYTES))
    tracemalloc.start()
    try:
        found = check(tmp_path / "a.tar.gz").findings
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST_BYTES
    finally:
        tracemalloc.stop()
    assert any("becomes more than" in finding.message for finding in found)


def test_an_archive_of_nothing_but_folders_is_given_up(tmp_path: Path) -> None:
    """Millions of them take no room in it, and for ever to be looked at."""
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        file.write(header("a/b", tarfile.DIRTYPE) * (MOST_MEMBERS + 1) + bytes(1024))
    found = check(tmp_path / "a.tar.gz").findings
    assert any("entries" in finding.message for finding in found)


def test_a_wheel_whose_compressed_data_is_damaged_is_a_finding(tmp_path: Path) -> None:
    """With each way to compress; LZMA has errors of its own."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / "a.whl"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("pluginkit_plugins/hello/__init__.py", DUNDERS * 20)
        data = bytearray(path.read_bytes())
        data[85:100] = b"\xff" * 15
        path.write_bytes(data)
        assert "PK001" in codes_of(check(path).findings)


# ---- files that can't be looked at -----------------------------------------------------------


def test_a_large_source_is_a_finding(tmp_path: Path) -> None:
    """It isn't parsed."""
    assert told(tmp_path, "", {"hello/large.py": "x = 1\n" * 2_000_000}) == ["PK001"]


def test_large_sources_are_not_all_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand of the largest would take hours, and all memory that there is."""
    monkeypatch.setattr("flask_pluginkit.checks.sources.MOST_TEXT", 2000)
    files: dict[str, str | None] = {
        "hello/a.py": "x = 1\n" * 200,
        "hello/b.py": "x = 1\n" * 200,
        "hello/templates/a.html": "{{ x|safe }}" * 100,
    }
    assert told(tmp_path, "", files) == ["PK008"]


def test_a_large_template_is_a_finding(tmp_path: Path) -> None:
    """It isn't parsed either."""
    assert told(tmp_path, "", {"hello/templates/a.html": "x" * 600_000}) == ["PK001"]


def test_bytes_that_are_no_text_are_findings(tmp_path: Path) -> None:
    """In sources and in templates."""
    project = write_project(tmp_path, {})
    folder = (project / INIT).parent
    (folder / "odd.py").write_bytes(b"x = '\xff\xfe'")
    (folder / "templates").mkdir()
    (folder / "templates" / "odd.html").write_bytes(b"\xff\xfe")
    assert codes_of(check(project, run=False).findings) == ["PK001", "PK001"]


def test_links_that_lead_in_a_circle_are_passed_over(tmp_path: Path) -> None:
    """A link to the folder itself, and links to each other."""
    project = write_project(tmp_path, {})
    folder = (project / INIT).parent
    (folder / "again").symlink_to(folder)
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    assert set(codes_of(check(project, run=False).findings)) == {"PK008"}


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 300 + ")" * 300,
        "x = " + "-" * 20_000 + "1",
        "x = " + "a." * 20_000 + "b",
        "x = " + "+".join(["a"] * 20_000),
        "x = " + "1 if a else " * 3_000 + "2",
        "def f():\n    return " + "not " * 5000 + "a",
        "\n".join(" " * depth + "if a:" for depth in range(99)) + "\n" + " " * 99 + "pass",
    ],
    ids=lambda source: source[:12],
)
def test_deep_nesting_is_no_exception(tmp_path: Path, source: str) -> None:
    """At most it is told that something wasn't looked at."""
    init = f"from markupsafe import Markup\n{source}\n\ny = Markup(x)\n"
    assert set(told(tmp_path, init)) <= {"PK001", "PK008", "PK201"}


@pytest.mark.parametrize(
    "code",
    [
        "{{ " + "(" * 2000,
        "{{ a" + "|b" * 5000 + " }}",
        "{{ a" + ".b" * 5000 + " }}",
        "{% if a %}" * 3000,
        "{{ " + "-" * 5000 + "1 }}",
    ],
    ids=lambda code: code[:12],
)
def test_deep_templates_are_no_exception(tmp_path: Path, code: str) -> None:
    """They can't be compiled, or nothing is said."""
    assert set(told(tmp_path, "", {"hello/templates/a.html": code})) <= {"PK107", "PK008"}


def test_names_that_double_each_other_take_no_time(tmp_path: Path) -> None:
    """What a text is joined of is looked at once."""
    lines = ["a0 = ''", *(f"a{n} = a{n - 1} + a{n - 1}" for n in range(1, 49))]
    body = "\n".join(lines) + "\n\ndef register():\n    return {'tep': {'nav': a48}}\n"
    assert told(tmp_path, body) == []


def test_terminals_get_no_escape_sequences(tmp_path: Path) -> None:
    """Whatever a plugin calls its things."""
    init = "def register():\n    return {'tep': {'\\x1b[2J': '\\x1b]0;x\\x07.html'}}\n"
    (finding,) = checked_findings(tmp_path, init)
    assert str(finding).isprintable()


def checked_findings(root: Path, init: str) -> tuple[object, ...]:
    """What is found in the plugin hello with this ``__init__.py``."""
    return check(write_project(root, {"hello/__init__.py": init}), run=False).findings


def test_a_folder_in_the_namespace_without_an_init_is_told(tmp_path: Path) -> None:
    """An application would list it as failed; what can't be meant as a plugin is passed over."""
    project = write_project(tmp_path, {})
    place = project / "src" / "pluginkit_plugins"
    write(place / "empty" / "notes.txt")
    write(place / ".hidden" / "notes.txt")
    write(place / "static" / "a.css")
    found = check(project, run=False, base=project).findings
    assert [(one.code, one.path) for one in found] == [("PK007", "src/pluginkit_plugins/empty")]


def test_a_plugin_with_a_name_that_can_not_be_imported_is_told(tmp_path: Path) -> None:
    """Also where its own folder is named."""
    folder = write_plugin(tmp_path / "plugins", "not-importable")
    assert codes_of(check(folder).findings) == ["PK007"]
    assert codes_of(check(tmp_path).findings) == ["PK007"]


def test_a_plugin_in_the_namespace_is_checked_with_its_project(tmp_path: Path) -> None:
    """Also if its own folder is named: the file above it, the licence of the project."""
    project = write_project(
        tmp_path,
        {"pluginkit_plugins/__init__.py": "", "LICENSE": None, "pyproject.toml": "[project]"},
    )
    folder = (project / INIT).parent
    assert sorted(codes_of(check(folder, run=False).findings)) == ["PK006", "PK501"]


def test_too_many_plugins_are_not_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said."""
    monkeypatch.setattr("flask_pluginkit.checks.places.MOST_PLUGINS", 2)
    for name in ("one", "two", "three"):
        write_plugin(tmp_path / "plugins", name)
    report = check(tmp_path, run=False)
    assert (len(report.plugins), codes_of(report.findings)) == (2, ["PK008"])


def test_too_many_files_are_not_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What isn't found may then be among the others."""
    monkeypatch.setattr("flask_pluginkit.checks.sources.MOST_FILES", 2)
    init = "def register():\n    return {'tep': {'nav': 'nav.html'}}\n"
    files: dict[str, str | None] = {f"hello/z{n}.txt": "" for n in range(4)}
    assert told(tmp_path, init, files) == ["PK008"]


def test_too_many_files_of_an_archive_are_not_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said, too."""
    monkeypatch.setattr("flask_pluginkit.checks.archives.MOST_FILES", 2)
    files = {f"pluginkit_plugins/hello/{n}.txt": "" for n in range(4)}
    assert "PK008" in codes_of(check(write_wheel(tmp_path / "a.whl", files)).findings)


def test_a_template_that_is_no_file_is_a_finding(tmp_path: Path) -> None:
    """Opening it could wait for ever."""
    project = write_project(tmp_path, {"hello/templates/a.html": ""})
    os.mkfifo((project / INIT).parent / "templates" / "b.html")
    assert codes_of(check(project, run=False).findings) == ["PK001"]


def test_a_project_file_that_is_no_toml_is_a_finding(tmp_path: Path) -> None:
    """The rest is looked at all the same."""
    assert told(tmp_path, "x = __import__('flask')\n", {"pyproject.toml": "[project"}) == ["PK001"]


INCLUDES = "".join(f"{{% include 'hello:{number}.html' %}}\n" for number in range(9000))

GREAT = {
    "references": ("", {"hello/templates/a.html": INCLUDES}),
    "comments": ("# pluginkit: ignore[PK201] our own words\n" * 20_000, {}),
    "lines": ("# pluginkit:\n" + "#\n" * 150_000, {}),
    "beginnings": (
        "",
        {"hello/templates/a.html": "{% raw %}" + "{# pluginkit:" * 39_000 + "{% endraw %}"},
    ),
    "hooks": (
        "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n"
        "register = plugin.register\n\n\ndef f():\n"
        + "    g()\n" * 5000
        + "\n\n"
        + "plugin.before_request(f)\n" * 5000,
        {},
    ),
    "blueprints": (
        "from flask import Blueprint\n"
        + "".join(f"b{n} = Blueprint('b{n}', 'x')\nuse(b{n})\n" for n in range(5000)),
        {},
    ),
    "findings": ("from markupsafe import Markup\nx = Markup(input)\n" * 9000, {}),
}


@pytest.mark.parametrize("name", GREAT)
def test_great_numbers_of_anything_come_to_an_end(tmp_path: Path, name: str) -> None:
    """What takes too long is left out, and that is said."""
    init, files = GREAT[name]
    found = told(tmp_path, init, files)
    assert set(found) <= {"PK008", "PK104", "PK201", "PK902"}
    assert len(found) <= 1100
