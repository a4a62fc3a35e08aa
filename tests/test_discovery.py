"""Which plugins are found, in which order, and what becomes of what can't be one."""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import clean_imports, write, write_distribution, write_plugin

from flask_pluginkit.discovery import Candidate, Origin, discover
from flask_pluginkit.exceptions import Problem

__all__ = ["clean_imports"]

pytestmark = pytest.mark.usefixtures("clean_imports")

EXPLODES = "raise RuntimeError('a plugin was imported')"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The real path of an application's folder."""
    folder = (tmp_path / "application").resolve()
    folder.mkdir()
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on ``sys.path``."""
    folder = (tmp_path / "site").resolve()
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def modules(candidates: Sequence[Candidate]) -> list[str]:
    """The module names of those that can be used."""
    return [candidate.module for candidate in candidates if candidate.problem is None]


def problem_of(candidates: Sequence[Candidate]) -> Problem:
    """What is wrong with the only candidate."""
    (candidate,) = candidates
    assert candidate.problem is not None
    return candidate.problem


# ---- the plugins folder ----------------------------------------------------------------------


def test_an_application_without_a_plugins_folder_has_no_plugins(base: Path) -> None:
    """A missing plugins folder is no error and gives nothing."""
    assert discover(base=base) == ()


def test_a_file_called_like_the_plugins_folder_is_none(base: Path) -> None:
    """As in 3.x a file in the place of the plugins folder gives nothing."""
    write(base / "plugins")
    assert discover(base=base) == ()


def test_plugins_of_the_folder_are_sorted_by_name(base: Path) -> None:
    """The order is that of the names, not that of the file system."""
    for name in ("pear", "apple", "zebra", "mango"):
        write_plugin(base / "plugins", name)
    found = discover(base=base)
    assert [candidate.package for candidate in found] == ["apple", "mango", "pear", "zebra"]


def test_a_plugin_of_the_folder_has_its_name_and_module_of_3x(base: Path) -> None:
    """A row tells package, module, folder, origin and where it was found."""
    folder = write_plugin(base / "plugins", "hello", EXPLODES)
    assert discover(base=base) == (
        Candidate(
            package="hello",
            module="plugins.hello",
            folder=folder,
            origin=Origin.FOLDER,
            location=base / "plugins",
        ),
    )


@pytest.mark.parametrize(
    ("folder", "module"),
    [
        ("extensions", "extensions.hello"),
        ("var/plugins", "plugins.hello"),
        ("plugins.d", "plugins_d.hello"),
        ("", "application.hello"),
    ],
)
def test_the_folder_names_the_package_of_its_plugins(base: Path, folder: str, module: str) -> None:
    """The package is called like the plugins folder, without a dot that would divide it."""
    write_plugin(base / folder, "hello")
    assert modules(discover(base=base, folder=folder)) == [module]


def test_the_plugins_folder_may_be_absolute(base: Path, tmp_path: Path) -> None:
    """An absolute plugins folder doesn't count from the base."""
    folder = write_plugin(tmp_path / "elsewhere", "hello")
    (found,) = discover(base=base, folder=str(tmp_path / "elsewhere"))
    assert found.folder == folder


@pytest.mark.parametrize("name", [".git", ".hidden", "__pycache__", "__old__"])
def test_hidden_names_are_passed_over(base: Path, name: str) -> None:
    """Names that begin with a dot or two underscores are no plugins, whatever they hold."""
    write_plugin(base / "plugins", name)
    assert discover(base=base) == ()


@pytest.mark.parametrize("name", ["static", "templates", "node-modules", "2024"])
def test_folders_that_no_plugin_would_have_are_passed_over(base: Path, name: str) -> None:
    """Folders of the host and those with odd names aren't listed if they have no __init__.py."""
    write(base / "plugins" / name / "notes.py")
    assert discover(base=base) == ()


def test_a_file_is_passed_over(base: Path) -> None:
    """Files beside the plugins, __init__.py first of all, are no plugins."""
    write(base / "plugins" / "__init__.py")
    write(base / "plugins" / "helpers.py")
    assert discover(base=base) == ()


@pytest.mark.parametrize("marker", ["DISABLED", "ENABLED", "__pycache__/old.pyc"])
def test_what_uninstalling_leaves_behind_is_passed_over(base: Path, marker: str) -> None:
    """A folder with nothing but a bytecode cache and markers of state is no plugin."""
    write(base / "plugins" / "gone" / "__pycache__" / "__init__.cpython-311.pyc")
    write(base / "plugins" / "gone" / marker)
    assert discover(base=base) == ()


@pytest.mark.parametrize("files", [[], ["plugin.py"], ["_init_.py"], ["__init__.py/x"]])
def test_a_folder_without_init_is_listed_with_the_reason(base: Path, files: list[str]) -> None:
    """A folder that could be a plugin but has no __init__.py file says so."""
    (base / "plugins" / "hello").mkdir(parents=True)
    for file in files:
        write(base / "plugins" / "hello" / file)
    problem = problem_of(discover(base=base))
    assert (problem.where, problem.what) == (str(base / "plugins" / "hello"), "__init__.py")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("my-plugin", "my_plugin"), ("2fa", "plugin_1"), ("a b", "a_b"), ("café bar", "caf__bar")],
)
def test_a_name_that_cannot_be_imported_is_a_problem_with_advice(
    base: Path, name: str, advice: str
) -> None:
    """A plugin whose folder isn't an identifier is listed, and a better name is suggested."""
    write_plugin(base / "plugins", name)
    problem = problem_of(discover(base=base))
    assert advice in problem.advice


def test_a_linked_plugin_has_the_name_of_the_link_and_the_real_folder(
    base: Path, tmp_path: Path
) -> None:
    """A symbolic link to a plugin counts under the link's name."""
    real = write_plugin(tmp_path / "sources", "flask-pluginkit-hello")
    (base / "plugins").mkdir()
    (base / "plugins" / "hello").symlink_to(real)
    (found,) = discover(base=base)
    assert (found.module, found.folder, found.location) == (
        "plugins.hello",
        real.resolve(),
        base / "plugins",
    )


def test_two_links_to_one_plugin_are_one(base: Path) -> None:
    """The same real folder is found once, by the first of its names."""
    write_plugin(base / "plugins", "hello")
    (base / "plugins" / "again").symlink_to("hello")
    assert modules(discover(base=base)) == ["plugins.again"]


def test_a_loop_of_links_is_a_row(base: Path) -> None:
    """A link that leads to itself is listed with the system's reason."""
    write_plugin(base / "plugins", "good")
    (base / "plugins" / "loop").symlink_to("loop")
    good, loop = discover(base=base)
    assert good.problem is None
    assert loop.problem is not None
    assert "symbolic links" in loop.problem.found


def test_a_plugins_folder_that_is_a_loop_is_a_row(base: Path) -> None:
    """The plugins folder may be a loop itself, and the application hears of it."""
    (base / "plugins").symlink_to("plugins")
    assert problem_of(discover(base=base)).where == str(base / "plugins")


def test_a_folder_that_contains_itself_is_a_plugin(base: Path) -> None:
    """A plugin with a link to its own folder does no harm."""
    folder = write_plugin(base / "plugins", "hello")
    (folder / "me").symlink_to(folder)
    assert modules(discover(base=base)) == ["plugins.hello"]


def test_a_link_that_leads_nowhere_is_a_row(base: Path) -> None:
    """A dangling link that may have been a plugin is listed."""
    (base / "plugins").mkdir()
    (base / "plugins" / "hello").symlink_to(base / "gone")
    problem = problem_of(discover(base=base))
    assert "doesn't exist" in problem.found


def test_a_link_to_a_missing_file_is_passed_over(base: Path) -> None:
    """A dangling link that can't have been a plugin isn't listed."""
    (base / "plugins").mkdir()
    (base / "plugins" / "notes.txt").symlink_to(base / "gone")
    assert discover(base=base) == ()


def test_an_undecodable_name_is_a_row_in_printable_characters(base: Path) -> None:
    """A folder whose name isn't text is listed, and the row can be shown."""
    (base / "plugins").mkdir()
    folder = os.fsencode(base / "plugins") + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    write(Path(os.fsdecode(folder)) / "__init__.py")
    (found,) = discover(base=base)
    assert found.problem is not None
    assert all(text.isprintable() for text in (found.package, found.module, str(found.problem)))


@pytest.mark.parametrize("function", ["scandir", "stat", "listdir"])
def test_what_must_not_be_read_is_a_row(
    base: Path, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal by the system at any step is the reason of a row."""
    (base / "plugins" / "hello").mkdir(parents=True)
    refuse(monkeypatch, function, base / "plugins")
    assert problem_of(discover(base=base)).found == "Permission denied"


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, below: Path) -> None:
    """Let the system refuse one function below a folder; root would be refused nothing."""
    real: Callable[..., Any] = getattr(os, function)

    def refusing(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str | Path) and Path(path).is_relative_to(below):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, function, refusing)


# ---- packages --------------------------------------------------------------------------------


def test_packages_are_found_without_importing(base: Path, site: Path) -> None:
    """Neither a package nor the packages that it is in are executed."""
    write(site / "shop_of_test" / "__init__.py", EXPLODES)
    folder = write_plugin(site / "shop_of_test", "oidc", EXPLODES)
    assert discover(base=base, packages=["shop_of_test.oidc"]) == (
        Candidate(
            package="shop_of_test.oidc",
            module="shop_of_test.oidc",
            folder=folder,
            origin=Origin.PACKAGE,
        ),
    )


def test_a_package_in_a_namespace_package_is_found(base: Path, site: Path) -> None:
    """Packages without __init__.py on the way are no obstacle, however deep they are."""
    folder = write_plugin(site / "company_of_test" / "web", "oidc", EXPLODES)
    (found,) = discover(base=base, packages=["company_of_test.web.oidc"])
    assert (found.folder, found.problem) == (folder, None)


def test_a_package_that_is_imported_already_is_found_where_it_came_from(
    base: Path, site: Path, tmp_path: Path
) -> None:
    """What is in sys.modules counts, even if its folder has left the path."""
    folder = write_plugin(tmp_path / "other", "imported_of_test")
    sys.path.insert(0, str(tmp_path / "other"))
    importlib.import_module("imported_of_test")
    sys.path.remove(str(tmp_path / "other"))
    (found,) = discover(base=base, packages=["imported_of_test"])
    assert found.folder == folder


def test_a_module_without_a_spec_in_the_way_is_no_exception(
    base: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules that others made by hand have no spec; then the finders are asked."""
    folder = write_plugin(site, "by_hand_of_test")
    monkeypatch.setitem(sys.modules, "by_hand_of_test", type(sys)("by_hand_of_test"))
    (found,) = discover(base=base, packages=["by_hand_of_test"])
    assert found.folder == folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("non_ppk", "No module named 'non_ppk'"),
        ("non_ppk.oidc", "No module named 'non_ppk'"),
        ("json.non_ppk", "No module named 'json.non_ppk'"),
        (
            "json.decoder.oidc",
            "No module named 'json.decoder.oidc'; 'json.decoder' is not a package",
        ),
        (
            "single_of_test.x",
            "No module named 'single_of_test.x'; 'single_of_test' is not a package",
        ),
        ("pluginkit_plugins.non_ppk", "No module named 'pluginkit_plugins'"),
        ("my-plugin", "No module named 'my-plugin'"),
        ("", "No module named ''"),
    ],
)
def test_a_package_that_is_not_found_has_the_text_of_3x(
    base: Path, site: Path, name: str, text: str
) -> None:
    """The problem says what importing would have said, which 3.x raised."""
    write(site / "single_of_test.py", EXPLODES)
    (found,) = discover(base=base, packages=[name])
    assert found.problem is not None
    assert (found.problem.found, found.origin) == (text, Origin.PACKAGE)


@pytest.mark.parametrize("name", ["../../etc", "/etc", "", ".", "x" * 5000, "a\0b"])
def test_the_folder_of_what_is_not_found_is_a_harmless_one(base: Path, name: str) -> None:
    """A name that can't be found gives a row with a path directly below the base."""
    (found,) = discover(base=base, packages=[name])
    assert found.folder.parent == base
    assert not found.folder.exists()


def test_a_single_file_is_no_plugin(base: Path, site: Path) -> None:
    """A module that isn't a package is listed with that reason."""
    write(site / "single_of_test.py", EXPLODES)
    assert "single file" in problem_of(discover(base=base, packages=["single_of_test"])).found


def test_a_package_without_init_is_no_plugin(base: Path, site: Path) -> None:
    """A namespace package named as a plugin is listed with that reason."""
    write(site / "bare_of_test" / "notes.py")
    problem = problem_of(discover(base=base, packages=["bare_of_test"]))
    assert problem.found == f"no __init__.py in {site / 'bare_of_test'}"


def test_the_namespace_itself_is_no_plugin(base: Path, site: Path) -> None:
    """Naming pluginkit_plugins as a package doesn't smuggle its refused file in."""
    write(site / "pluginkit_plugins" / "__init__.py", EXPLODES)
    assert modules(discover(base=base, packages=["pluginkit_plugins"])) == []


def test_a_package_in_an_archive_is_no_plugin(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plugins are folders; what is in a zip file is listed with a reason."""
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_of_test/__init__.py", EXPLODES)
    monkeypatch.syspath_prepend(archive)
    assert problem_of(discover(base=base, packages=["zipped_of_test"])).where


def test_a_package_that_must_not_be_read_is_a_row(
    base: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal by the system is the reason, also where a finder still found the package."""
    folder = write_plugin(site, "secret_of_test")
    spec = ModuleSpec("secret_of_test", None, origin=str(folder / "__init__.py"), is_package=True)
    sys.meta_path.insert(0, EditableFinder({"secret_of_test": spec}))
    refuse(monkeypatch, "stat", folder)
    assert problem_of(discover(base=base, packages=["secret_of_test"])).found == "Permission denied"


# ---- finders of others -----------------------------------------------------------------------


class EditableFinder:
    """A finder like those of editable installations: it maps names to places."""

    def __init__(self, specs: dict[str, ModuleSpec]) -> None:
        self.specs = specs

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a name that is mapped."""
        return self.specs.get(name)


def spec_for(name: str, folder: Path) -> ModuleSpec:
    """What a finder says of a package."""
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    return spec


def test_a_package_that_only_a_finder_knows_is_found(base: Path, tmp_path: Path) -> None:
    """Editable installations are asked, at the top level and below."""
    folder = write_plugin(tmp_path / "sources", "src", EXPLODES)
    sys.meta_path.append(EditableFinder({"editable_of_test": spec_for("editable_of_test", folder)}))
    (found,) = discover(base=base, packages=["editable_of_test"])
    assert (found.folder, found.module) == (folder, "editable_of_test")


def test_a_namespace_that_only_a_finder_knows_is_searched(base: Path, tmp_path: Path) -> None:
    """An editable installation's part of the namespace counts like the others."""
    write_plugin(tmp_path / "sources" / "pluginkit_plugins", "hello", EXPLODES)
    spec = ModuleSpec("pluginkit_plugins", None, is_package=True)
    spec.submodule_search_locations = [
        str(tmp_path / "sources" / "pluginkit_plugins"),
        "__editable__.hello.finder.__path_hook__",
    ]
    sys.meta_path.append(EditableFinder({"pluginkit_plugins": spec}))
    assert modules(discover(base=base)) == ["pluginkit_plugins.hello"]


def test_a_finder_that_fails_has_found_nothing(base: Path, site: Path) -> None:
    """A broken finder of somebody else is logged and stops nothing."""

    class Broken:
        def find_spec(self, *arguments: object) -> None:
            raise RuntimeError("broken finder")

    write_plugin(site, "fine_of_test")
    sys.meta_path.insert(0, Broken())
    assert modules(discover(base=base, packages=["fine_of_test"])) == ["fine_of_test"]


def test_an_old_finder_without_find_spec_is_passed_over(base: Path, site: Path) -> None:
    """What stands in sys.meta_path need not have find_spec."""
    write_plugin(site, "fine_of_test")
    sys.meta_path.insert(0, object())  # type: ignore[arg-type]
    assert modules(discover(base=base, packages=["fine_of_test"])) == ["fine_of_test"]


# ---- the namespace ---------------------------------------------------------------------------


def test_plugins_of_every_location_of_the_namespace_are_found(
    base: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry of the path may have a part of the namespace; the result is sorted by name."""
    write_plugin(site / "pluginkit_plugins", "pear", EXPLODES)
    monkeypatch.syspath_prepend(tmp_path / "more")
    write_plugin(tmp_path / "more" / "pluginkit_plugins", "apple", EXPLODES)
    assert modules(discover(base=base)) == ["pluginkit_plugins.apple", "pluginkit_plugins.pear"]


def test_equal_names_in_the_namespace_stay_in_the_order_of_the_path(
    base: Path, site: Path, tmp_path: Path
) -> None:
    """Which of two is refused is decided later; the first on the path comes first."""
    first = write_plugin(site / "pluginkit_plugins", "hello")
    second = write_plugin(tmp_path / "more" / "pluginkit_plugins", "hello")
    found = discover(base=base, paths=[tmp_path / "more"])
    assert [candidate.folder for candidate in found] == [first, second]


@pytest.mark.parametrize("path", ["more", "more/pluginkit_plugins"])
def test_further_paths_are_searched_like_entries_of_the_path(base: Path, path: str) -> None:
    """An entry of paths holds pluginkit_plugins or is it; a relative one counts from the base."""
    folder = write_plugin(base / "more" / "pluginkit_plugins", "hello", EXPLODES)
    (found,) = discover(base=base, paths=[path])
    assert (found.module, found.folder) == ("pluginkit_plugins.hello", folder)


def test_a_path_without_plugins_gives_nothing(base: Path) -> None:
    """A further path may be missing or empty until something is installed there."""
    (base / "empty").mkdir()
    assert discover(base=base, paths=["empty", base / "missing"]) == ()


def test_the_current_folder_counts_where_the_path_says_so(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty entry of sys.path is the current folder."""
    folder = write_plugin(base / "pluginkit_plugins", "hello")
    monkeypatch.chdir(base)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    (found,) = discover(base=base / "unused")
    assert found.folder == folder


def test_odd_entries_of_the_path_are_passed_over(
    base: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that are files, missing, or no text don't hide the others."""
    write_plugin(site / "pluginkit_plugins", "hello")
    write(tmp_path / "file")
    odd = [str(tmp_path / "file"), str(tmp_path / "missing"), site, b"bytes", None]
    monkeypatch.setattr(sys, "path", [*odd, *sys.path])
    assert modules(discover(base=base)) == ["pluginkit_plugins.hello"]


def test_plugins_in_an_archive_are_heard_of(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the namespace inside of a zip file is a row with a reason."""
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("pluginkit_plugins/", "")
        file.writestr("pluginkit_plugins/hello/__init__.py", EXPLODES)
    monkeypatch.syspath_prepend(archive)
    assert str(archive) in problem_of(discover(base=base)).where


def test_an_init_of_the_namespace_is_refused_and_named(base: Path, site: Path) -> None:
    """The file is a row of its own, and the plugins beside it are still found."""
    file = write(site / "pluginkit_plugins" / "__init__.py", EXPLODES)
    write_plugin(site / "pluginkit_plugins", "hello")
    hello, refused = discover(base=base)
    assert hello.problem is None
    assert refused.problem is not None
    assert (refused.module, refused.problem.where) == ("pluginkit_plugins", str(file))


def test_a_refused_init_hides_no_other_location(base: Path, site: Path, tmp_path: Path) -> None:
    """Plugins of the namespace are found in locations that Python itself would not search."""
    write(site / "pluginkit_plugins" / "__init__.py", EXPLODES)
    sys.path.append(str(tmp_path / "later"))
    write_plugin(tmp_path / "later" / "pluginkit_plugins", "hello")
    assert modules(discover(base=base)) == ["pluginkit_plugins.hello"]


def test_a_module_called_like_the_namespace_is_refused(base: Path, site: Path) -> None:
    """A file pluginkit_plugins.py hides the namespace just as well."""
    file = write(site / "pluginkit_plugins.py", EXPLODES)
    assert problem_of(discover(base=base)).where == str(file)


def test_every_file_that_hides_the_namespace_is_named(
    base: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refused file is a row of its own."""
    monkeypatch.syspath_prepend(tmp_path / "more")
    files = [
        write(site / "pluginkit_plugins" / "__init__.py", EXPLODES),
        write(site / "pluginkit_plugins.py", EXPLODES),
        write(tmp_path / "more" / "pluginkit_plugins" / "__init__.py", EXPLODES),
    ]
    found = [row.problem.where for row in discover(base=base) if row.problem]
    assert sorted(found) == sorted(map(str, files))


def test_the_own_folder_of_an_application_may_be_called_like_the_namespace(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.x demanded an __init__.py in the plugins folder, so there it is no fault."""
    write(base / "pluginkit_plugins" / "__init__.py")
    write_plugin(base / "pluginkit_plugins", "hello")
    monkeypatch.syspath_prepend(base)
    (found,) = discover(base=base, folder="pluginkit_plugins")
    assert (found.origin, found.module) == (Origin.FOLDER, "pluginkit_plugins.hello")


def test_a_folder_that_is_found_twice_is_one_candidate(base: Path, site: Path) -> None:
    """The first source wins for a folder that several lead to."""
    real = write_plugin(site / "pluginkit_plugins", "hello")
    (base / "plugins").mkdir()
    (base / "plugins" / "mine").symlink_to(real)
    found = discover(base=base, packages=["pluginkit_plugins.hello"], paths=[site])
    assert [candidate.module for candidate in found] == ["plugins.mine"]


# ---- entry points ----------------------------------------------------------------------------


def test_an_entry_point_gives_plugin_and_distribution(base: Path, site: Path) -> None:
    """The group flask_pluginkit.plugins is read without importing."""
    folder = write_plugin(site, "oidc_of_test", EXPLODES)
    write_distribution(site, "Flask-PluginKit-OIDC", "oidc_of_test")
    assert discover(base=base) == (
        Candidate(
            package="oidc_of_test",
            module="oidc_of_test",
            folder=folder,
            origin=Origin.ENTRY_POINT,
            distribution="Flask-PluginKit-OIDC",
        ),
    )


def test_an_entry_point_adds_the_distribution_to_what_was_found_before(
    base: Path, site: Path
) -> None:
    """A plugin of the namespace with an entry point is one candidate that has both."""
    write_plugin(site / "pluginkit_plugins", "hello")
    write_distribution(site, "hello-of-test", "pluginkit_plugins.hello")
    (found,) = discover(base=base)
    assert (found.origin, found.distribution) == (Origin.NAMESPACE, "hello-of-test")


def test_an_entry_point_into_a_refused_namespace_is_found(
    base: Path, site: Path, tmp_path: Path
) -> None:
    """The refused file isn't asked where its sub-packages are."""
    write(site / "pluginkit_plugins" / "__init__.py", EXPLODES)
    sys.path.append(str(tmp_path / "later"))
    write_plugin(tmp_path / "later" / "pluginkit_plugins", "hello")
    write_distribution(tmp_path / "later", "hello-of-test", "pluginkit_plugins.hello")
    hello, _ = discover(base=base)
    assert (hello.package, hello.distribution) == ("hello", "hello-of-test")


def test_a_plugin_that_an_editable_distribution_keeps_elsewhere_has_its_short_name(
    base: Path, tmp_path: Path
) -> None:
    """A finder may map one plugin of the namespace to a folder of any name."""
    folder = write_plugin(tmp_path / "sources", "src")
    name = "pluginkit_plugins.hello"
    namespace = ModuleSpec("pluginkit_plugins", None, is_package=True)
    namespace.submodule_search_locations = ["__editable__.hello.finder.__path_hook__"]
    specs = {"pluginkit_plugins": namespace, name: spec_for(name, folder)}
    sys.meta_path.append(EditableFinder(specs))
    sys.path.append(str(tmp_path / "site"))
    write_distribution(tmp_path / "site", "hello-of-test", name)
    (found,) = discover(base=base)
    assert (found.package, found.module, found.folder) == ("hello", name, folder)


def test_of_two_distributions_with_one_plugin_the_first_by_name_is_told(
    base: Path, site: Path
) -> None:
    """The order of folders in the file system decides nothing."""
    write_plugin(site, "oidc_of_test")
    for name in ("c-of-test", "a-of-test", "b-of-test"):
        write_distribution(site, name, "oidc_of_test")
    (found,) = discover(base=base)
    assert found.distribution == "a-of-test"


@pytest.mark.parametrize(
    "value", ["oidc_of_test:register", "oidc_of_test [extra]", "oidc_of_test:"]
)
def test_only_the_module_of_an_entry_point_counts(base: Path, site: Path, value: str) -> None:
    """What stands behind the module's name in an entry point is ignored."""
    write_plugin(site, "oidc_of_test")
    write_distribution(site, "oidc-of-test", value)
    assert modules(discover(base=base)) == ["oidc_of_test"]


def test_an_entry_point_to_nothing_is_a_row_that_names_the_distribution(
    base: Path, site: Path
) -> None:
    """An entry point that leads nowhere says which distribution has it."""
    write_distribution(site, "oidc-of-test", "not a module")
    problem = problem_of(discover(base=base))
    assert problem.where == "entry points of oidc-of-test"


def test_a_distribution_with_broken_metadata_hides_no_other(base: Path, site: Path) -> None:
    """Entry points that can't be decoded are logged, and the others are read."""
    broken = write_distribution(site, "broken-of-test", "x")
    (broken / "entry_points.txt").write_bytes(b"[flask_pluginkit.plugins]\nx = \xff\xfe")
    write_plugin(site, "fine_of_test")
    write_distribution(site, "fine-of-test", "fine_of_test")
    assert modules(discover(base=base)) == ["fine_of_test"]


# ---- all of them -----------------------------------------------------------------------------


def test_sources_come_in_order_of_precedence(base: Path, site: Path) -> None:
    """Folder, packages, namespace, entry points; by name within each."""
    write_plugin(site, "a_point_of_test")
    write_distribution(site, "point-of-test", "a_point_of_test")
    write_plugin(site / "pluginkit_plugins", "b_namespaced")
    write_plugin(site, "d_package_of_test")
    write_plugin(site, "c_package_of_test")
    write_plugin(base / "plugins", "z_folder")
    found = discover(base=base, packages=["d_package_of_test", "c_package_of_test"])
    assert modules(found) == [
        "plugins.z_folder",
        "c_package_of_test",
        "d_package_of_test",
        "pluginkit_plugins.b_namespaced",
        "a_point_of_test",
    ]


def test_what_was_installed_a_moment_ago_is_found(base: Path, site: Path) -> None:
    """A second search sees new plugins, also where the clock of the file system is too coarse."""
    before = site.stat()
    assert discover(base=base, packages=["fine_of_test"])[0].problem is not None
    write_plugin(site, "fine_of_test")
    os.utime(site, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert modules(discover(base=base, packages=["fine_of_test"])) == ["fine_of_test"]


file_names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 250)


@given(names=st.lists(file_names, max_size=5, unique=True), with_init=st.booleans())
def test_any_folder_names_give_printable_rows_in_order(names: list[str], with_init: bool) -> None:
    """Whatever folders are called, each is a row that can be shown or passed over."""
    with TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / "plugins" / name).mkdir(parents=True, exist_ok=True)
            if with_init:
                write(Path(folder) / "plugins" / name / "__init__.py")
        found = discover(base=Path(folder))
    assert all(row.package.isprintable() and str(row.problem).isprintable() for row in found)
    assert [row.package for row in found] == sorted(row.package for row in found)
    assert {row.package for row in found if row.problem is None} <= set(names)


@given(names=st.lists(st.text(max_size=30), max_size=5))
def test_any_package_names_give_rows(names: list[str]) -> None:
    """Whatever stands in plugin_packages, each different name is one row."""
    found = discover(base=Path("/nowhere"), packages=names)
    assert all(str(row.problem).isprintable() for row in found)
