"""An isolated plugin's process imports what was approved, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_pluginkit.exceptions import LoadError
from flask_pluginkit.isolation.digests import contents_of, digest_of
from flask_pluginkit.isolation.inside import namespace
from flask_pluginkit.isolation.inside.namespace import Approved, OnlyPlugin, SourceLoader
from flask_pluginkit.isolation.inside.plugin import look
from flask_pluginkit.isolation.messages import Spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin of two modules."""
    (tmp_path / "__init__.py").write_text("one = 1\n")
    (tmp_path / "late.py").write_text("two = 2\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    namespace.APPROVED.clear()


def spec_of(folder: Path, level: str = "isolated") -> Spec:
    """What is to run, as it is on the disk now."""
    return Spec(
        plugin="guest",
        level="isolated" if level == "isolated" else "process",
        folder=str(folder),
        module="plugins.guest",
        digest=digest_of(folder),
    )


def test_the_digest_is_of_the_contents(folder: Path) -> None:
    """Both are of one reading."""
    contents = contents_of(folder)
    assert contents.digest == digest_of(folder)
    assert {Path(path).name for path in contents.files} == {"__init__.py", "late.py"}


def test_files_that_were_replaced_before_the_start_are_refused(folder: Path) -> None:
    """Between what the application looked at and the start of the process."""
    spec = spec_of(folder)
    (folder / "late.py").write_text("two = 3\n")
    with pytest.raises(LoadError, match="something else than what was approved"):
        look(spec)


def test_files_that_are_as_they_were_are_imported(folder: Path) -> None:
    """They are most often."""
    look(spec_of(folder))
    path = str(folder / "late.py")
    approved = namespace.APPROVED[str(folder)]
    assert SourceLoader("plugins.guest.late", path, approved).get_data(path) == b"two = 2\n"


def test_a_module_that_was_replaced_later_is_refused(folder: Path) -> None:
    """It may be imported at the first request only."""
    approved = Approved(spec_of(folder))
    path = folder / "late.py"
    path.write_text("two = 3\n")
    with pytest.raises(LoadError, match=r"late\.py"):
        SourceLoader("plugins.guest.late", str(path), approved).get_data(str(path))


def test_a_link_is_no_approved_code(folder: Path) -> None:
    """Where it leads to isn't in the digest."""
    other = folder.parent / f"{folder.name}_other.py"
    other.write_text("three = 3\n")
    path = folder / "linked.py"
    path.symlink_to(other)
    approved = Approved(spec_of(folder))
    with pytest.raises(LoadError, match=r"linked\.py"):
        SourceLoader("plugins.guest.linked", str(path), approved).get_data(str(path))


def test_a_library_is_looked_at_too(folder: Path) -> None:
    """The system's linker reads it, and no loader of ours."""
    from importlib.machinery import EXTENSION_SUFFIXES

    library = folder / f"fast{EXTENSION_SUFFIXES[0]}"
    library.write_bytes(b"approved")
    finder = OnlyPlugin("plugins.guest", folder, Approved(spec_of(folder)))
    assert finder.find_spec("plugins.guest.fast", [str(folder)]) is not None
    library.write_bytes(b"replaced")
    with pytest.raises(LoadError, match="fast"):
        finder.find_spec("plugins.guest.fast", [str(folder)])


def test_a_process_that_confines_nobody_imports_what_there_is(folder: Path) -> None:
    """Nobody approved anything for it."""
    spec = spec_of(folder, "process")
    (folder / "late.py").write_text("two = 3\n")
    look(spec)
    assert namespace.APPROVED == {}
