"""What name a plugin's module has, who else gets that module, and what a failure leaves."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from types import ModuleType

import pytest
from flask import Blueprint
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import clean_imports, write, write_plugin

from flask_pluginkit.discovery import Candidate, discover
from flask_pluginkit.exceptions import LoadError
from flask_pluginkit.importing import FINDER
from flask_pluginkit.loading import PRIVATE_PREFIX, announce, forget, load, module_name

__all__ = ["clean_imports"]

pytestmark = pytest.mark.usefixtures("clean_imports")

OWN_IMPORTS = """
import plugins.hello.sub
import plugins.hello.sub as renamed
from plugins import hello
from plugins.hello import sub
from plugins.hello.sub import VALUE, Thing
from . import sub as relative

def later():
    from plugins.hello.sub import VALUE
    return VALUE

def modules():
    return [plugins.hello.sub, renamed, hello.sub, sub, relative]
"""


def candidates(base: Path, *paths: Path, packages: tuple[str, ...] = ()) -> dict[str, Candidate]:
    """What is found for an application, by package name."""
    found = discover(base=base, paths=paths, packages=packages)
    return {candidate.package: candidate for candidate in found}


def hello_of(base: Path, value: str, body: str = OWN_IMPORTS) -> Candidate:
    """An application's plugin ``hello`` that imports itself in every way; it holds `value`."""
    sub = f"VALUE = {value!r}\nclass Thing:\n    value = VALUE\n"
    write_plugin(base / "plugins", "hello", body, files={"sub.py": sub})
    return candidates(base)["hello"]


def left_of(name: str) -> list[str]:
    """What is in sys.modules of a plugin."""
    return sorted(loaded for loaded in sys.modules if f"{loaded}.".startswith(f"{name}."))


# ---- the name of 3.x -------------------------------------------------------------------------


def test_a_plugin_of_the_folder_has_its_name_of_3x(tmp_path: Path) -> None:
    """The folder need not be importable, nor a package itself."""
    module = load(hello_of(tmp_path, "one"))
    assert (module.__name__, module.VALUE) == ("plugins.hello", "one")


def test_absolute_imports_of_anyone_give_the_loaded_module(tmp_path: Path) -> None:
    """The host, tests and other plugins get the very module that was loaded."""
    module = load(hello_of(tmp_path, "one"))
    sub = importlib.import_module("plugins.hello.sub")
    assert importlib.import_module("plugins.hello") is module
    assert all(found is sub for found in module.modules())


def test_the_module_is_an_attribute_of_its_package(tmp_path: Path) -> None:
    """``import plugins`` and then ``plugins.hello`` works."""
    module = load(hello_of(tmp_path, "one"))
    assert vars(sys.modules["plugins"])["hello"] is module


def test_asking_for_the_name_imports_nothing(tmp_path: Path) -> None:
    """A name can be told of a plugin that must not be imported."""
    assert module_name(hello_of(tmp_path, "one", "raise SystemExit")) == "plugins.hello"
    assert left_of("plugins") == []


def test_loading_twice_gives_the_same_module(tmp_path: Path) -> None:
    """A plugin is executed once, however often and by whomever it is loaded."""
    hello = hello_of(tmp_path, "one")
    assert load(hello) is load(hello)


def test_the_init_of_the_plugins_folder_is_executed_once(tmp_path: Path) -> None:
    """As in 3.x, ``plugins/__init__.py`` runs before the plugins, and they see its names."""
    write(tmp_path / "plugins" / "__init__.py", "SHARED = []")
    for name in ("a", "b"):
        write_plugin(tmp_path / "plugins", name, "from .. import SHARED\nSHARED.append(__name__)")
    for candidate in candidates(tmp_path).values():
        load(candidate)
    assert sys.modules["plugins"].SHARED == ["plugins.a", "plugins.b"]


def test_a_plugin_can_import_one_that_is_not_loaded_yet(tmp_path: Path) -> None:
    """Plugins of one folder import each other in any order, by both kinds of import."""
    write_plugin(tmp_path / "plugins", "a", "import plugins.b.sub\nfrom .. import b")
    write_plugin(tmp_path / "plugins", "b", files={"sub.py": ""})
    found = candidates(tmp_path)
    assert load(found["a"]).b is load(found["b"])


def test_a_linked_plugin_is_loaded_by_the_name_of_the_link(tmp_path: Path) -> None:
    """The real folder may be called differently and stand elsewhere."""
    real = write_plugin(tmp_path / "sources", "src-hello", "from plugins.linked import sub")
    write(real / "sub.py")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "linked").symlink_to(real)
    module = load(candidates(tmp_path)["linked"])
    assert (module.__name__, module.sub.__name__) == ("plugins.linked", "plugins.linked.sub")


def test_tools_see_an_ordinary_module(tmp_path: Path) -> None:
    """Source, data, resources by Flask and running as a program work as for any module."""
    hello = hello_of(tmp_path, "one", "def register():\n    return {}\nNAME = __name__")
    module = load(hello)
    assert "return {}" in inspect.getsource(module.register)
    assert pkgutil.get_data("plugins.hello", "sub.py") == (hello.folder / "sub.py").read_bytes()
    assert Path(Blueprint("x", module.__name__).root_path) == hello.folder
    assert runpy.run_module("plugins.hello.sub")["VALUE"] == "one"
    assert module.__spec__ is not None
    assert type(module.__spec__.loader) is type(module.__loader__) is SourceFileLoader


def test_a_plugin_that_is_not_imported_can_be_looked_up(tmp_path: Path) -> None:
    """What finds a module for a tool answers its questions about the source."""
    hello = hello_of(tmp_path, "one", "X = 1")
    module_name(hello)
    spec = importlib.util.find_spec("plugins.hello")
    assert spec is not None
    assert spec.loader is not None
    assert "X = 1" in spec.loader.get_source("plugins.hello")  # type: ignore[attr-defined]


def test_objects_of_a_plugin_can_be_pickled(tmp_path: Path) -> None:
    """A pickled instance is one of the loaded class again."""
    module = load(hello_of(tmp_path, "one"))
    assert type(pickle.loads(pickle.dumps(module.Thing()))) is module.Thing


def test_a_plugin_can_be_reloaded(tmp_path: Path) -> None:
    """importlib.reload executes the same file in the same module."""
    hello = hello_of(tmp_path, "one", "COUNT = globals().get('COUNT', 0) + 1")
    module = load(hello)
    assert importlib.reload(module) is module
    assert module.COUNT == 2


def test_what_a_plugin_puts_in_its_own_place_is_its_module(tmp_path: Path) -> None:
    """A plugin may replace itself in sys.modules, as lazy modules do."""
    hello = hello_of(tmp_path, "one", "import sys\nsys.modules[__name__] = marker = object()")
    assert type(load(hello)) is object
    assert load(hello) is load(hello)


def test_a_candidate_with_a_problem_is_not_loaded(tmp_path: Path) -> None:
    """Its problem is what the exception says."""
    (tmp_path / "plugins" / "hello").mkdir(parents=True)
    with pytest.raises(LoadError, match=r"plugins/hello: __init__\.py: found no such file"):
        load(candidates(tmp_path)["hello"])


# ---- what the host has imported --------------------------------------------------------------


def test_a_plugin_that_the_host_imported_before_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``from plugins.hello import x`` above ``PluginManager(app)`` gives one module."""
    hello = hello_of(tmp_path, "one")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("plugins.hello")
    assert load(hello) is module


def test_a_plugin_that_was_imported_through_a_link_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applications are deployed behind links such as ``current``."""
    hello = hello_of(tmp_path / "releases" / "42", "one")
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "42")
    monkeypatch.syspath_prepend(tmp_path / "current")
    module = importlib.import_module("plugins.hello")
    assert load(hello) is module


def test_a_plugin_whose_folder_is_on_the_path_keeps_the_path_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that the import system finds stays its business, other portions included."""
    hello = hello_of(tmp_path, "one")
    write(tmp_path / "more" / "plugins" / "extra.py")
    monkeypatch.syspath_prepend(tmp_path / "more")
    monkeypatch.syspath_prepend(tmp_path)
    assert load(hello).__name__ == "plugins.hello"
    assert importlib.import_module("plugins.extra").__name__ == "plugins.extra"


def test_an_application_in_a_package_may_have_imported_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``from shop.plugins.hello import x`` before the manager: that module is the plugin."""
    write(tmp_path / "shop_of_test" / "__init__.py")
    hello = hello_of(tmp_path / "shop_of_test", "one", "from . import sub")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("shop_of_test.plugins.hello")
    assert load(hello) is module
    assert module_name(hello) == "shop_of_test.plugins.hello"


def test_a_plugin_imported_by_another_name_is_also_known_by_that_of_3x(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other plugins import it as ever and get the same module, and the same inside of it."""
    write(tmp_path / "shop_of_test" / "__init__.py")
    hello = hello_of(tmp_path / "shop_of_test", "one", "from . import sub")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("shop_of_test.plugins.hello")
    load(hello)
    assert importlib.import_module("plugins.hello") is module
    assert importlib.import_module("plugins.hello.sub") is module.sub
    assert module.__spec__ is not None
    assert module.__spec__.name == "shop_of_test.plugins.hello"


def test_a_plugin_may_ask_for_itself_while_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that makes its manager while a plugin imports the host gets the plugin's module."""
    body = "import host_of_test\nVALUE = 1"
    hello = hello_of(tmp_path, "one", body)
    write(
        tmp_path / "host_of_test.py",
        "from pathlib import Path\n"
        "from flask_pluginkit.discovery import discover\n"
        "from flask_pluginkit.loading import load\n"
        "found = load(discover(base=Path(__file__).parent)[0])\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = load(hello)
    assert module.host_of_test.found is module


# ---- names that are taken --------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> tuple[Candidate, Candidate]:
    """The plugins ``hello`` of two applications in one process; the first is loaded."""
    first = hello_of(tmp_path / "first", "one")
    load(first)
    return first, hello_of(tmp_path / "second", "two")


def test_equal_names_of_two_applications_are_two_modules(two: tuple[Candidate, Candidate]) -> None:
    """Each application has its own plugin."""
    first, second = map(load, two)
    assert (first.VALUE, second.VALUE) == ("one", "two")


def test_the_second_gets_a_private_name_that_stays(two: tuple[Candidate, Candidate]) -> None:
    """The name depends on the place only, so that it is the same in every process."""
    name = module_name(two[1])
    assert name.startswith(PRIVATE_PREFIX)
    assert name.endswith(".hello")
    forget(name)
    assert load(two[1]).__name__ == name


def test_own_absolute_imports_of_the_second_mean_itself(two: tuple[Candidate, Candidate]) -> None:
    """Every form of import in a plugin with a private name gives its own modules."""
    second = load(two[1])
    assert all(found is second.sub for found in second.modules())
    assert second.later() == "two"


def test_absolute_imports_inside_of_the_second_mean_itself_too(
    two: tuple[Candidate, Candidate],
) -> None:
    """Modules inside of a plugin with a private name import as the plugin does."""
    write(two[1].folder / "views.py", "from plugins.hello.sub import VALUE")
    load(two[1])
    assert importlib.import_module(f"{module_name(two[1])}.views").VALUE == "two"


def test_plugins_of_the_second_import_each_other(two: tuple[Candidate, Candidate]) -> None:
    """A plugin imports the one beside it, not that of the other application."""
    folder = two[1].folder.parent
    write_plugin(folder, "other", "from plugins.hello.sub import VALUE\nfrom ..hello import Thing")
    found = candidates(folder.parent)
    other = load(found["other"])
    assert (other.VALUE, other.Thing) == ("two", load(two[1]).Thing)


def test_a_plugin_of_the_second_can_import_what_only_the_first_has(
    two: tuple[Candidate, Candidate],
) -> None:
    """What isn't beside the plugin is looked up as everywhere."""
    write(two[0].folder.parent / "shared.py", "NAME = __name__")
    write(two[1].folder / "__init__.py", "from plugins import shared\nfrom plugins.shared import *")
    assert load(two[1]).NAME == "plugins.shared"


def test_the_init_of_the_second_folder_is_executed_for_it(two: tuple[Candidate, Candidate]) -> None:
    """Each application's ``plugins/__init__.py`` belongs to its own plugins."""
    write(two[1].folder.parent / "__init__.py", "from plugins.shared import OWN")
    write(two[1].folder.parent / "shared.py", "OWN = 'second'")
    write(two[1].folder / "__init__.py", "from .. import OWN")
    assert load(two[1]).OWN == "second"


def test_objects_of_the_second_can_be_pickled(two: tuple[Candidate, Candidate]) -> None:
    """Pickles hold the private name and find the right class."""
    second = load(two[1])
    assert type(pickle.loads(pickle.dumps(second.Thing()))) is second.Thing


def test_the_name_of_3x_leads_to_a_plugin_that_only_the_second_has(
    two: tuple[Candidate, Candidate],
) -> None:
    """The second host imports its own plugin as ever where the first has none of that name."""
    folder = two[1].folder.parent
    write_plugin(folder, "extra", "from . import sub", files={"sub.py": ""})
    module = load(candidates(folder.parent)["extra"])
    assert importlib.import_module("plugins.extra") is module
    assert importlib.import_module("plugins.extra.sub") is module.sub
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("plugins.extra.missing")


def test_the_name_of_3x_stays_with_who_has_it(two: tuple[Candidate, Candidate]) -> None:
    """Loading a second plugin changes nothing for those that import the first."""
    first, _ = map(load, two)
    assert importlib.import_module("plugins.hello") is first


def test_forgetting_the_second_leaves_the_first(two: tuple[Candidate, Candidate]) -> None:
    """An alias that somebody else's name hides isn't forgotten in their place."""
    first, second = map(load, two)
    forget(second.__name__)
    assert sys.modules["plugins.hello"] is first
    assert left_of(second.__name__.partition(".")[0]) == []


def test_a_third_folder_behind_the_same_link_has_a_name_of_its_own(
    two: tuple[Candidate, Candidate], tmp_path: Path
) -> None:
    """A link that leads elsewhere from one load to the next never gives the module before."""
    link = tmp_path / "third" / "plugins" / "hello"
    link.parent.mkdir(parents=True)
    modules = []
    for value in ("three", "four"):
        link.unlink(missing_ok=True)
        link.symlink_to(write_plugin(tmp_path / value, "src", f"VALUE = {value!r}"))
        modules.append(load(candidates(tmp_path / "third")["hello"]))
    assert [module.VALUE for module in modules] == ["three", "four"]


@pytest.mark.parametrize("imported", [True, False])
@pytest.mark.parametrize("file", ["plugins/__init__.py", "plugins.py"])
def test_an_unrelated_package_of_the_host_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, imported: bool
) -> None:
    """A host's own ``plugins`` is neither executed nor added to."""
    write(tmp_path / "host" / file, "OWN = True")
    monkeypatch.syspath_prepend(tmp_path / "host")
    if imported:
        importlib.import_module("plugins")
    module = load(hello_of(tmp_path / "application", "one"))
    assert module.__name__.startswith(PRIVATE_PREFIX)
    assert module.VALUE == "one"
    assert ("plugins" in sys.modules) is imported


def test_a_module_that_took_the_plugins_name_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in sys.modules under the name of 3.x, it isn't replaced."""
    monkeypatch.setitem(sys.modules, "plugins.hello", ModuleType("plugins.hello"))
    assert load(hello_of(tmp_path, "one")).__name__.startswith(PRIVATE_PREFIX)


class Awkward(ModuleType):
    """A module that can't be asked for its path."""

    def __getattr__(self, name: str) -> object:
        """Fail."""
        raise RuntimeError("not yet")


def test_an_awkward_module_under_the_name_is_no_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of somebody else that raises when it is looked at isn't the plugin."""
    monkeypatch.setitem(sys.modules, "plugins.hello", Awkward("plugins.hello"))
    assert load(hello_of(tmp_path, "one")).VALUE == "one"


# ---- packages --------------------------------------------------------------------------------


def test_a_package_is_imported_with_the_packages_that_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dotted name of any depth is imported as a statement would."""
    write(tmp_path / "company_of_test" / "__init__.py", "NAME = 'company'")
    write_plugin(tmp_path / "company_of_test" / "web", "oidc", "from ... import NAME")
    monkeypatch.syspath_prepend(tmp_path)
    (candidate,) = discover(base=tmp_path / "application", packages=["company_of_test.web.oidc"])
    module = load(candidate)
    assert (module.__name__, module.NAME) == ("company_of_test.web.oidc", "company")


def test_a_package_whose_name_was_taken_meanwhile_gets_a_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was discovered is what is loaded."""
    write_plugin(tmp_path, "oidc_of_test", "VALUE = __name__")
    monkeypatch.syspath_prepend(tmp_path)
    (candidate,) = discover(base=tmp_path / "application", packages=["oidc_of_test"])
    monkeypatch.setitem(sys.modules, "oidc_of_test", ModuleType("oidc_of_test"))
    assert load(candidate).VALUE.startswith(PRIVATE_PREFIX)


class EditableFinder:
    """A finder like those of editable installations: it maps names to places."""

    def __init__(self, **specs: ModuleSpec) -> None:
        self.specs = specs

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a name that is mapped."""
        return self.specs.get(name)


def test_an_editable_package_is_loaded_by_its_own_finder(tmp_path: Path) -> None:
    """Where a finder names several folders, as for compiled parts, all of them stay."""
    folder = write_plugin(tmp_path / "sources", "editable_of_test", "from . import compiled")
    write(tmp_path / "build" / "compiled.py")
    spec = importlib.util.spec_from_file_location(
        "editable_of_test",
        folder / "__init__.py",
        submodule_search_locations=[str(folder), str(tmp_path / "build")],
    )
    assert spec is not None
    sys.meta_path.append(EditableFinder(editable_of_test=spec))
    (candidate,) = discover(base=tmp_path / "application", packages=["editable_of_test"])
    assert load(candidate).compiled


def test_a_plugin_of_the_namespace_may_be_known_to_a_finder_only(tmp_path: Path) -> None:
    """An editable installation may keep a plugin in a folder of any name."""
    folder = write_plugin(tmp_path / "sources", "src", "from pluginkit_plugins.hello import sub")
    write(folder / "sub.py")
    name = "pluginkit_plugins.hello"
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    namespace = ModuleSpec("pluginkit_plugins", None, is_package=True)
    namespace.submodule_search_locations = ["__editable__.hello.finder.__path_hook__"]
    assert spec is not None
    sys.meta_path.append(EditableFinder(**{name: spec, "pluginkit_plugins": namespace}))
    (candidate,) = discover(base=tmp_path / "application", packages=[name])
    assert load(candidate).sub.__name__ == "pluginkit_plugins.hello.sub"


# ---- the namespace ---------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The namespace's folder in an entry of sys.path."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site" / "pluginkit_plugins"


def test_a_plugin_of_the_namespace_has_its_name(tmp_path: Path, site: Path) -> None:
    """The namespace is the import system's, as for any other package in it."""
    write_plugin(site, "hello", "import pluginkit_plugins.hello.sub", files={"sub.py": ""})
    module = load(candidates(tmp_path / "application")["hello"])
    assert module is importlib.import_module("pluginkit_plugins.hello")
    assert type(sys.modules["pluginkit_plugins"].__path__).__name__ == "_NamespacePath"


@pytest.mark.parametrize("with_namespace", [True, False])
def test_a_plugin_outside_of_the_path_survives_an_invalidation(
    tmp_path: Path, site: Path, with_namespace: bool
) -> None:
    """Plugins of further paths are in the namespace, also after caches were invalidated."""
    if with_namespace:
        write_plugin(site, "other")
    paths = tmp_path / "paths"
    body = "def later():\n    from pluginkit_plugins.hello import sub\n    return sub"
    write_plugin(paths / "pluginkit_plugins", "hello", body, files={"sub.py": ""})
    module = load(candidates(tmp_path / "application", paths)["hello"])
    importlib.invalidate_caches()
    assert importlib.import_module("pluginkit_plugins.hello") is module
    assert module.later().__name__ == "pluginkit_plugins.hello.sub"


def test_announced_plugins_import_each_other_in_any_order(tmp_path: Path) -> None:
    """A plugin outside of the path can be imported by one that is loaded before it."""
    paths = [tmp_path / "one", tmp_path / "two"]
    write_plugin(paths[0] / "pluginkit_plugins", "a", "from pluginkit_plugins.b import VALUE")
    write_plugin(paths[1] / "pluginkit_plugins", "b", "VALUE = 1")
    found = candidates(tmp_path / "application", *paths)
    announce(found.values())
    assert load(found["a"]).VALUE == 1


def test_announcing_passes_over_what_cannot_be_used(tmp_path: Path) -> None:
    """A row with a problem has no module name."""
    (tmp_path / "plugins" / "hello").mkdir(parents=True)
    announce(discover(base=tmp_path))
    assert "plugins.hello" not in FINDER.folders


def test_the_first_announced_has_the_name(tmp_path: Path, site: Path) -> None:
    """Of two equal names in the namespace, the first on the path is the public one."""
    write_plugin(site, "hello", "VALUE = 1")
    write_plugin(tmp_path / "paths" / "pluginkit_plugins", "hello", "VALUE = 2")
    found = discover(base=tmp_path / "application", paths=[tmp_path / "paths"])
    announce(found)
    modules = [load(candidate) for candidate in found]
    assert [module.VALUE for module in modules] == [1, 2]
    assert importlib.import_module("pluginkit_plugins.hello") is modules[0]


def test_the_second_of_a_name_has_the_public_one_if_only_it_is_loaded(
    tmp_path: Path, site: Path
) -> None:
    """While the first on the path is disabled, the name leads to what the manager loaded."""
    write_plugin(site, "hello", "VALUE = 1")
    write_plugin(tmp_path / "paths" / "pluginkit_plugins", "hello", "VALUE = 2")
    _, second = discover(base=tmp_path / "application", paths=[tmp_path / "paths"])
    module = load(second)
    assert (module.__name__, module.VALUE) == ("pluginkit_plugins.hello", 2)


def test_modules_beside_a_plugin_outside_of_the_path_can_be_imported(tmp_path: Path) -> None:
    """What isn't a plugin is found in the locations of plugins that were loaded."""
    location = tmp_path / "paths" / "pluginkit_plugins"
    write_plugin(location, "hello", "from pluginkit_plugins import common")
    write(location / "common.py", "VALUE = 1")
    module = load(candidates(tmp_path / "application", tmp_path / "paths")["hello"])
    assert module.common.VALUE == 1


def test_a_plugin_with_a_private_name_imports_others_of_the_namespace(
    tmp_path: Path, site: Path
) -> None:
    """A private name doesn't cut a plugin off from the rest of the namespace."""
    write_plugin(site, "hello", "VALUE = 1")
    write_plugin(site, "other", "VALUE = 3")
    write_plugin(
        tmp_path / "paths" / "pluginkit_plugins",
        "hello",
        "from pluginkit_plugins import other\nfrom pluginkit_plugins.hello import sub",
        files={"sub.py": "VALUE = 2"},
    )
    found = discover(base=tmp_path / "application", paths=[tmp_path / "paths"])
    announce(found)
    second = load(found[1])
    assert (second.other.VALUE, second.sub.VALUE) == (3, 2)


def test_a_refused_init_of_the_namespace_is_never_executed(tmp_path: Path, site: Path) -> None:
    """Plugins of its location and of others are loaded by their names all the same."""
    write(site / "__init__.py", "raise RuntimeError('executed')")
    write_plugin(site, "beside", "import pluginkit_plugins.later")
    sys.path.append(str(tmp_path / "later"))
    write_plugin(tmp_path / "later" / "pluginkit_plugins", "later", "from . import sub")
    write(tmp_path / "later" / "pluginkit_plugins" / "later" / "sub.py")
    found = candidates(tmp_path / "application")
    modules = [load(found[name]) for name in ("beside", "later")]
    assert [module.__name__ for module in modules] == [
        "pluginkit_plugins.beside",
        "pluginkit_plugins.later",
    ]


def test_a_refused_init_is_not_executed_for_a_private_name(tmp_path: Path, site: Path) -> None:
    """The package of a second plugin of one name doesn't execute the file either."""
    write_plugin(site, "hello", "VALUE = 1")
    write_plugin(tmp_path / "paths" / "pluginkit_plugins", "hello", "VALUE = 2")
    write(tmp_path / "paths" / "pluginkit_plugins" / "__init__.py", "raise RuntimeError")
    found = discover(base=tmp_path / "application", paths=[tmp_path / "paths"])
    modules = [load(candidate) for candidate in found if candidate.problem is None]
    assert [module.VALUE for module in modules] == [1, 2]


def test_a_refused_init_is_not_executed_by_others_either(tmp_path: Path, site: Path) -> None:
    """Once a plugin was loaded, a host's import of the namespace doesn't execute the file."""
    write(site / "__init__.py", "raise RuntimeError('executed')")
    write_plugin(site, "hello", "VALUE = 1")
    load(hello_of(tmp_path / "application", "one", ""))
    assert importlib.import_module("pluginkit_plugins.hello").VALUE == 1
    importlib.invalidate_caches()
    assert getattr(sys.modules["pluginkit_plugins"], "__file__", None) is None


@pytest.mark.parametrize("file", ["pluginkit_plugins/__init__.py", "pluginkit_plugins.py"])
def test_a_namespace_that_was_hidden_before_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """If a host imported the refused file before us, plugins elsewhere are still loaded."""
    write(tmp_path / "bad" / file)
    monkeypatch.syspath_prepend(tmp_path / "bad")
    importlib.import_module("pluginkit_plugins")
    write_plugin(tmp_path / "paths" / "pluginkit_plugins", "hello", "VALUE = 1")
    assert load(candidates(tmp_path / "application", tmp_path / "paths")["hello"]).VALUE == 1


def test_a_plugins_folder_called_like_the_namespace_executes_no_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one more location of the namespace, whose name stays everybody's."""
    write(tmp_path / "pluginkit_plugins" / "__init__.py", "raise RuntimeError('executed')")
    write_plugin(tmp_path / "pluginkit_plugins", "hello")
    monkeypatch.syspath_prepend(tmp_path)
    (candidate,) = discover(base=tmp_path, folder="pluginkit_plugins")
    assert load(candidate).__name__ == "pluginkit_plugins.hello"


def test_a_second_folder_called_like_the_namespace_executes_no_init(tmp_path: Path) -> None:
    """That is so for a plugin with a private name, too."""
    for base in ("first", "second"):
        folder = tmp_path / base / "pluginkit_plugins"
        write(folder / "__init__.py", "raise RuntimeError('executed')")
        write_plugin(folder, "hello")
        (candidate,) = discover(base=tmp_path / base, folder="pluginkit_plugins")
        assert load(candidate).__name__.endswith(".hello")


def test_a_namespace_that_nobody_has_is_not_made_up(tmp_path: Path) -> None:
    """Without a plugin in it, importing the namespace fails as before."""
    load(hello_of(tmp_path, "one", ""))
    with pytest.raises(ModuleNotFoundError, match="pluginkit_plugins"):
        importlib.import_module("pluginkit_plugins")


# ---- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("raise SystemExit(3)", SystemExit),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
        ("raise BaseException('odd')", BaseException),
        ("1 / 0", ZeroDivisionError),
        ("import does_not_exist_of_test", ModuleNotFoundError),
        ("def (", SyntaxError),
        ("from .broken import x", SyntaxError),
    ],
)
def test_a_failure_propagates_and_leaves_nothing(
    tmp_path: Path, statement: str, error: type[BaseException]
) -> None:
    """What the plugin's code raises comes out unchanged; no module of the plugin stays."""
    hello = hello_of(tmp_path, "one", f"from . import sub\n{statement}")
    write(hello.folder / "broken.py", "def (")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the type is what is asked
        load(hello)
    assert caught.type is error
    assert left_of("plugins.hello") == []
    assert not hasattr(sys.modules["plugins"], "hello")


def test_a_failure_in_another_module_leaves_other_plugins(tmp_path: Path) -> None:
    """Plugins that a failing one had imported stay loaded."""
    write_plugin(tmp_path / "plugins", "a", "import plugins.b\nraise RuntimeError")
    write_plugin(tmp_path / "plugins", "b")
    found = candidates(tmp_path)
    with pytest.raises(RuntimeError):
        load(found["a"])
    assert left_of("plugins.b") == ["plugins.b"]


def test_a_failure_by_an_import_statement_leaves_nothing(tmp_path: Path) -> None:
    """It doesn't matter who imports the failing plugin."""
    hello = hello_of(tmp_path, "one", "from . import sub\nraise RuntimeError")
    announce([hello])
    with pytest.raises(RuntimeError):
        importlib.import_module("plugins.hello")
    assert left_of("plugins.hello") == []


def test_a_plugin_can_be_loaded_after_a_failure(tmp_path: Path) -> None:
    """The second attempt starts from nothing, with what the files say by then."""
    hello = hello_of(tmp_path, "one", "from . import sub\nraise RuntimeError")
    with pytest.raises(RuntimeError):
        load(hello)
    hello = hello_of(tmp_path, "another", "from .sub import VALUE")
    assert load(hello).VALUE == "another"


def test_a_failing_reload_keeps_what_was_loaded_before(tmp_path: Path) -> None:
    """Only what the failing attempt had added goes."""
    body = "from . import sub\nif 'seen' in globals():\n    from . import new\n    1 / 0\nseen = 1"
    hello = hello_of(tmp_path, "one", body)
    write(hello.folder / "new.py")
    module = load(hello)
    with pytest.raises(ZeroDivisionError):
        importlib.reload(module)
    assert left_of("plugins.hello") == ["plugins.hello", "plugins.hello.sub"]


def test_a_failing_init_of_the_plugins_folder_leaves_nothing(tmp_path: Path) -> None:
    """Each plugin fails with the exception of ``plugins/__init__.py``."""
    write(tmp_path / "plugins" / "__init__.py", "import plugins.helper\nraise RuntimeError('init')")
    write(tmp_path / "plugins" / "helper.py")
    with pytest.raises(RuntimeError, match="init"):
        load(hello_of(tmp_path, "one"))
    assert left_of("plugins") == []


# ---- threads ---------------------------------------------------------------------------------


def test_two_threads_that_load_one_plugin_get_one_module(tmp_path: Path) -> None:
    """The plugin is executed once, and nobody gets it half loaded."""
    body = "import time\ntime.sleep(0.05)\nDONE = True"
    hello = hello_of(tmp_path, "one", body)
    start = Barrier(8)

    def work(number: int) -> ModuleType:
        start.wait()
        module = importlib.import_module("plugins.hello") if number % 2 else load(hello)
        assert module.DONE
        return module

    announce([hello])
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(work, range(8)))) == 1


def test_threads_that_load_plugins_that_import_each_other_come_to_an_end(tmp_path: Path) -> None:
    """Circular imports in several threads are the import system's business, and it can."""
    names = "abcd"
    for name in names:
        others = "\n".join(f"import plugins.{other}" for other in names if other != name)
        write_plugin(tmp_path / "plugins", name, f"import time\ntime.sleep(0.01)\n{others}")
    found = candidates(tmp_path)
    start = Barrier(len(names))

    def work(name: str) -> str:
        start.wait()
        return load(found[name]).__name__

    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(work, names)) == [f"plugins.{name}" for name in names]


def test_threads_that_load_equal_names_get_their_own(tmp_path: Path) -> None:
    """Several applications starting at once never share a module."""
    found = [hello_of(tmp_path / str(number), str(number)) for number in range(8)]
    start = Barrier(8)

    def work(candidate: Candidate) -> str:
        start.wait()
        value: str = load(candidate).later()
        return value

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, found)) == [str(number) for number in range(8)]


# ---- forgetting ------------------------------------------------------------------------------


def test_a_forgotten_plugin_is_gone(tmp_path: Path) -> None:
    """Its modules, the attribute on its package and, as it was the last, the package go."""
    load(hello_of(tmp_path, "one"))
    forget("plugins.hello")
    assert left_of("plugins") == []
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("plugins")


def test_a_forgotten_plugin_leaves_its_neighbours(tmp_path: Path) -> None:
    """The package of a plugin stays while another plugin is in it."""
    for name in ("a", "b"):
        write_plugin(tmp_path / "plugins", name)
    for candidate in candidates(tmp_path).values():
        load(candidate)
    forget("plugins.a")
    assert left_of("plugins") == ["plugins", "plugins.b"]
    assert not hasattr(sys.modules["plugins"], "a")


def test_a_forgotten_name_is_free_for_another_folder(tmp_path: Path) -> None:
    """The next plugin of that name has the name of 3.x again."""
    load(hello_of(tmp_path / "first", "one"))
    forget("plugins.hello")
    second = load(hello_of(tmp_path / "second", "two"))
    assert (second.__name__, second.VALUE) == ("plugins.hello", "two")


def test_forgetting_an_alias_removes_both_names(
    tmp_path: Path, two: tuple[Candidate, Candidate]
) -> None:
    """A plugin that was imported by two names is gone by both."""
    folder = two[1].folder.parent
    write_plugin(folder, "extra", files={"sub.py": ""})
    module = load(candidates(folder.parent)["extra"])
    importlib.import_module("plugins.extra.sub")
    forget(module.__name__)
    assert left_of("plugins.extra") == []
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("plugins.extra")


def test_a_namespace_of_our_making_is_forgotten_with_its_last_plugin(tmp_path: Path) -> None:
    """What stood in for the namespace doesn't hide the real one later."""
    write_plugin(tmp_path / "paths" / "pluginkit_plugins", "hello")
    load(candidates(tmp_path / "application", tmp_path / "paths")["hello"])
    forget("pluginkit_plugins.hello")
    assert left_of("pluginkit_plugins") == []


def test_a_forgotten_location_is_not_searched_again(tmp_path: Path) -> None:
    """The namespace of the next application knows nothing of the one before."""
    for name in ("first", "second"):
        write_plugin(tmp_path / name / "pluginkit_plugins", name)
    load(candidates(tmp_path / "application", tmp_path / "first")["first"])
    forget("pluginkit_plugins.first")
    load(candidates(tmp_path / "application", tmp_path / "second")["second"])
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("pluginkit_plugins.first")


def test_the_paths_of_one_application_are_nothing_to_another(tmp_path: Path) -> None:
    """Discovery doesn't find what only the finder of this package knows."""
    write_plugin(tmp_path / "paths" / "pluginkit_plugins", "hello")
    load(candidates(tmp_path / "first", tmp_path / "paths")["hello"])
    assert candidates(tmp_path / "second") == {}


def test_the_import_systems_namespace_is_not_forgotten(tmp_path: Path, site: Path) -> None:
    """Others may have something in it."""
    write_plugin(site, "hello")
    load(candidates(tmp_path / "application")["hello"])
    forget("pluginkit_plugins.hello")
    assert left_of("pluginkit_plugins") == ["pluginkit_plugins"]


def test_forgetting_what_is_unknown_is_no_error() -> None:
    """There is nothing to do."""
    forget("nobody_of_test.hello")


# ---- a process of its own --------------------------------------------------------------------


def test_the_finder_is_put_back_if_somebody_removed_it(tmp_path: Path) -> None:
    """A host that replaces sys.meta_path doesn't cut us off."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not FINDER]
    hello = hello_of(tmp_path, "one")
    assert load(hello) is load(hello)
    assert sys.meta_path.count(FINDER) == 1


PROCESS = """
import sys
from pathlib import Path
from flask_pluginkit.discovery import discover
from flask_pluginkit.loading import load
for base in sys.argv[1:]:
    for candidate in discover(base=Path(base)):
        print(load(candidate).__name__)
"""


def test_private_names_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Pickles and caches of one worker are understood by the next."""
    for base in ("first", "second"):
        hello_of(tmp_path / base, base)
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "first"), str(tmp_path / "second")]
    outputs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].splitlines()[0] == "plugins.hello"


@settings(max_examples=25)
@given(order=st.lists(st.tuples(st.sampled_from("12"), st.sampled_from("abc")), max_size=8))
def test_any_order_of_loading_gives_everyone_their_own(order: list[tuple[str, str]]) -> None:
    """However two applications load equal and different plugins, nobody gets another's."""
    with TemporaryDirectory() as folder:
        body = "from {0}.{1}.sub import VALUE\nfrom .sub import VALUE as RELATIVE"
        for base in "12":
            for name in "abc"[int(base) - 1 :]:
                files = {"sub.py": f"VALUE = {base + name!r}"}
                write_plugin(
                    Path(folder, base, "shared"), name, body.format("shared", name), files=files
                )
        found = {base: discover(base=Path(folder, base), folder="shared") for base in "12"}
        rows = {(base, row.package): row for base in "12" for row in found[base]}
        wanted = [key for key in order if key in rows]
        modules = {key: load(rows[key]) for key in wanted}
        for key in wanted:
            assert load(rows[key]) is modules[key]
            assert modules[key].VALUE == modules[key].RELATIVE == "".join(key)
        for module in modules.values():
            forget(module.__name__)
