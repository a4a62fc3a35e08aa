"""What is installed, and pip as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit import pip
from flask_pluginkit.exceptions import ParamError, RunError
from flask_pluginkit.pip import egg_name, is_installed, is_venv, pip_install, pip_list, pip_show

INDEX = "https://packages.example/simple"


class Pip:
    """Stands in for `subprocess.run` and remembers the commands."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.code = 0
        self.output = "[]"

    def __call__(
        self, command: list[str], *, check: bool = False, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        assert "shell" not in options
        self.commands.append(command)
        if check and self.code:
            raise subprocess.CalledProcessError(self.code, command, stderr="\x1b[31mbad\x1b[0m")
        return subprocess.CompletedProcess(command, self.code, stdout=self.output)

    @property
    def arguments(self) -> list[str]:
        """What the last pip was given."""
        assert self.commands[-1][:3] == [sys.executable, "-m", "pip"]
        return self.commands[-1][3:]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """No process is started."""
    made = Pip()
    monkeypatch.setattr(subprocess, "run", made)
    return made


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """Write the smallest wheel that pip installs."""
    info = f"{name}-{version}.dist-info"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/RECORD,,\n")
    return wheel


def test_a_wheel_is_really_installed_and_found(tmp_path: Path) -> None:
    """A package goes to its folder, where pip_list, pip_show and is_installed find it."""
    wheel = make_wheel(tmp_path, "pluginkit_probe", "1.2.3")
    target = tmp_path / "target"
    assert pip_install(str(wheel), target_dir=str(target), quiet=True)
    listed = pip_list(str(target))
    assert {name.replace("_", "-") for name in listed} >= {"pluginkit-probe", "pytest"}
    assert pip_show("Pluginkit.Probe", str(target)) == "1.2.3"
    assert is_installed("Pluginkit.Probe", str(target))
    assert not is_installed("pluginkit-probe")


def test_a_package_that_pip_doesnt_find_is_not_installed(tmp_path: Path) -> None:
    """When pip fails, the answer is False."""
    assert not pip_install(str(tmp_path / "missing.whl"), quiet=True)


def test_options_become_arguments_of_their_own(fake: Pip, tmp_path: Path) -> None:
    """All options reach pip, and the package stands behind the end of options."""
    assert pip_install("flask >= 3", str(tmp_path), INDEX, upgrade=True, quiet=True)
    given_options, requirement = fake.arguments[:-2], fake.arguments[-2:]
    assert requirement == ["--", "flask >= 3"]
    assert given_options[0] == "install"
    assert {f"--target={tmp_path}", f"--index-url={INDEX}", "--upgrade", "--quiet"} <= set(
        given_options
    )


@pytest.mark.parametrize(("venv", "user"), [(True, False), (False, True)])
def test_outside_of_virtual_environments_the_user_gets_the_package(
    fake: Pip, monkeypatch: pytest.MonkeyPatch, venv: bool, user: bool
) -> None:
    """The system's Python isn't changed, as in 3.x."""
    monkeypatch.setattr(pip, "is_venv", lambda: venv)
    pip_install("flask")
    assert ("--user" in fake.arguments) is user


@pytest.mark.parametrize(
    "text",
    [
        "--index-url=https://evil.example",
        "-r/etc/passwd",
        " -e .",
        "flask --index-url=https://evil.example",
        "flask\t--pre",
        "flask\n--pre",
        "flask\x00",
        "flask\u2003--pre",
        "",
        "  ",
        None,
        5,
        b"flask",
    ],
)
def test_a_package_that_pip_could_take_for_options_is_refused(fake: Pip, text: Any) -> None:
    """Neither options nor what isn't a text ever reaches pip."""
    with pytest.raises(ParamError, match="package"):
        pip_install(text)
    with pytest.raises(ParamError, match="package"):
        pip_show(text)
    assert fake.commands == []


@pytest.mark.parametrize(
    "text",
    [
        "flask",
        "flask >= 3, < 4",
        "Flask-PluginKit[redis]==4.0.0",
        "flask ; python_version < '3.12'",
        "name @ https://host.example/name-1.0-py3-none-any.whl",
        "git+https://host.example/name.git@main#egg=name",
        "./some-folder/name.tar.gz",
    ],
)
def test_every_form_of_a_requirement_is_accepted(fake: Pip, text: str) -> None:
    """What people install isn't hindered by the check."""
    assert pip_install(text)
    assert fake.arguments[-1] == text


@given(st.text(max_size=20))
def test_no_accepted_text_has_a_word_that_begins_with_a_dash(text: str) -> None:
    """Whatever is accepted has no part that a parser of options could see as one."""
    try:
        accepted = pip._requirement(text)
    except ParamError:
        return
    assert accepted == text
    assert not any(word.startswith("-") for word in text.split())


@pytest.mark.parametrize("index", ["packages.example/simple", "-x", "ftp://host", "https://a b", 5])
def test_an_index_that_isnt_a_url_is_refused(fake: Pip, index: Any) -> None:
    """It isn't left out silently: the public index could have another package of that name."""
    with pytest.raises(ParamError):
        pip_install("flask", index=index)
    assert fake.commands == []


def test_a_folder_with_control_characters_is_refused(fake: Pip) -> None:
    """Neither function hands such a text to a process."""
    with pytest.raises(ParamError, match="folder"):
        pip_install("flask", target_dir="a\nb")
    assert fake.commands == []


def test_pip_that_fails_to_install_is_false(fake: Pip) -> None:
    """The exit code of pip decides."""
    fake.code = 1
    assert not pip_install("flask")


def test_a_python_that_cant_be_started_is_a_run_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application server may have no Python to start."""

    def missing(*args: object, **options: object) -> None:
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(RunError, match="No such file"):
        pip_install("flask")
    with pytest.raises(RunError, match="No such file"):
        pip_list()


def test_what_pip_lists_is_returned_by_name(fake: Pip) -> None:
    """Names as pip writes them, with versions; without a folder pip runs once."""
    fake.output = json.dumps([{"name": "Flask", "version": "3.0.0"}])
    assert pip_list() == {"Flask": "3.0.0"}
    assert pip_list("/nowhere") == {"Flask": "3.0.0"}
    assert len(fake.commands) == 2
    assert pip_show("flask") == "3.0.0"
    assert pip_show("missing") is None


@pytest.mark.parametrize("output", ["", "{}}", "[1]", '[{"name": "x"}]', "5"])
def test_a_list_that_cant_be_read_is_a_run_error(fake: Pip, output: str) -> None:
    """Whatever pip prints instead of its list is no crash."""
    fake.output = output
    with pytest.raises(RunError, match="pip list failed"):
        pip_list()


def test_what_pip_complains_about_is_told_in_printable_characters(fake: Pip) -> None:
    """The end of pip's own message is in the error, without its colours."""
    fake.code = 1
    with pytest.raises(RunError, match=r"pip list failed: bad$"):
        pip_list()


def test_installed_packages_are_found_without_pip(fake: Pip) -> None:
    """However the name is spelt; a name that can't be one isn't installed."""
    assert is_installed("pytest")
    assert is_installed("PyTest")
    assert is_installed("flask.pluginkit") == is_installed("Flask-PluginKit")
    assert not is_installed("no-such-distribution")
    assert not is_installed("")
    assert fake.commands == []


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("git+https://host.example/r.git#egg=Some_Name-1.x", "Some_Name-1.x"),
        ("https://host.example/a.zip#sha256=0f&egg=name[extra]", "name"),
        ("https://host.example/a.zip#egg=name&subdirectory=x", "name"),
        ("flask>=3", None),
        ("https://host.example/?negg=name", None),
        ("https://host.example/#egg=", None),
        ("", None),
    ],
)
def test_the_name_of_an_egg_is_found(requirement: str, name: str | None) -> None:
    """The fragment of a URL tells which package is there."""
    assert egg_name(requirement) == name


@pytest.mark.parametrize(("base", "expected"), [("/usr", True), ("/venv", False)])
def test_a_virtual_environment_has_a_prefix_of_its_own(
    monkeypatch: pytest.MonkeyPatch, base: str, expected: bool
) -> None:
    """A Python whose prefix isn't its base is in a virtual environment."""
    monkeypatch.setattr(sys, "prefix", "/venv")
    monkeypatch.setattr(sys, "base_prefix", base)
    assert is_venv() is expected
