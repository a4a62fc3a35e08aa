"""What is known of a plugin before it is imported, and what the import adds."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.exceptions import ManifestError, Problem
from flask_pluginkit.manifest import KNOWN, Manifest, complete, parse_name, read_manifest
from flask_pluginkit.state.base import WantedState
from flask_pluginkit.versions import VersionRange

COMPLETE = """
__plugin_name__ = "Hello"
__version__ = "1.2.3"
__author__ = "Ada <ada@example.org>"
def register(): return {}
"""

Read = Callable[..., Manifest]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the manifest of a plugin in the folder `hello`, whose source is the texts given."""

    def read_source(*source: str, distribution: Distribution | None = None) -> Manifest:
        folder = tmp_path / "hello"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text("\n".join(source), "utf-8")
        return read_manifest(folder, "plugins.hello", distribution)

    return read_source


@pytest.fixture
def distribution(tmp_path: Path) -> Distribution:
    """A distribution that has metadata for everything that a manifest takes from it."""
    folder = tmp_path / "wheel_of_hello-2.0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: wheel-of-hello\nVersion: 2.0.0\nAuthor: Grace\n"
        "Summary: A summary\nHome-page: https://example.org\nLicense: MIT\n"
    )
    return Distribution.at(folder)


def imported(*source: str, **attributes: object) -> ModuleType:
    """Return a module that has run the texts given."""
    module = ModuleType("plugins.hello")
    exec("\n".join(source), module.__dict__)
    vars(module).update(attributes)
    return module


def only(problems: tuple[Problem, ...]) -> Problem:
    """Return the single problem."""
    [problem] = problems
    return problem


# ---- what is given ------------------------------------------------------------------------


def test_a_complete_manifest_has_no_problems(read: Read) -> None:
    """All dunders, as plugins of 3.x write them."""
    manifest = read(
        COMPLETE,
        "__description__ = 'Says hello'",
        "__url__ = 'https://example.org'",
        "__license__ = 'MIT'",
        "__license_file__ = 'LICENSE'",
        "__readme_file__ = 'README.md'",
        "__state__ = 'enabled'",
        "__appversion__ = '>=3.11.0'",
        "__requires__ = {'other': '>=1.2, <2', 'Another': '^1'}",
        "__optional__ = True",
    )
    assert manifest == Manifest(
        name=parse_name("Hello"),
        package="plugins.hello",
        folder=manifest.folder,
        version="1.2.3",
        author="Ada <ada@example.org>",
        description="Says hello",
        url="https://example.org",
        license="MIT",
        license_file="LICENSE",
        readme_file="README.md",
        state=WantedState.ENABLED,
        appversion=">=3.11.0",
        requires=manifest.requires,
        optional=True,
        computed=frozenset(),
        problems=(),
        warnings=(),
        distribution=None,
    )
    assert dict(manifest.requires) == {
        "Another": VersionRange.parse("^1"),
        "other": VersionRange.parse(">=1.2,<2"),
    }


def test_the_required_dunders_are_enough(read: Read) -> None:
    """Everything else is empty, and the state isn't decided."""
    manifest = read(COMPLETE)
    assert manifest.problems == ()
    assert (manifest.description, manifest.appversion, manifest.requires) == ("", "", ())
    assert manifest.state is None
    assert manifest.optional is False


def test_none_counts_as_not_given(read: Read) -> None:
    """3.x gave None for what was missing, so plugins may say so themselves."""
    optional = [name for name in KNOWN[3:] if name != "__state__"]
    manifest = read(COMPLETE, *[f"{name} = None" for name in optional])
    assert manifest.problems == ()
    assert manifest.warnings == ()


def test_requirements_are_sorted(read: Read) -> None:
    """Their order is the same however they are written."""
    manifest = read(COMPLETE, "__requires__ = {'b': '1.0', 'c': '*', 'a': ''}")
    assert [required.plugin for required in manifest.requires] == ["a", "b", "c"]


def test_a_manifest_can_be_pickled(read: Read) -> None:
    """It may be handed to another process."""
    manifest = read(COMPLETE, "__requires__ = {'other': '^1'}", "__verison__ = 1")
    assert pickle.loads(pickle.dumps(manifest)) == manifest


def test_unknown_dunders_are_the_plugins_own(read: Read) -> None:
    """Published plugins carry them."""
    manifest = read(COMPLETE, "__author_contact__ = 1", "__oauth2_name__ = f()", "__all__ = []")
    assert manifest.problems == manifest.warnings == ()
    assert manifest.computed == frozenset()


def test_texts_are_printable(read: Read) -> None:
    """They are shown in logs, terminals and pages; only a description may have lines."""
    manifest = read(
        COMPLETE,
        r"__author__ = 'A\nda\x1b[31m'",
        r"__description__ = 'one\ntwo\u202e'",
        "__url__ = 'x' * 1 if 0 else None",
        f"__license__ = {'x' * 1000!r}",
    )
    assert manifest.author == "A da"
    assert manifest.description == "one\ntwo"
    assert manifest.license == "x" * 499 + "…"


def test_nothing_is_imported(read: Read) -> None:
    """Neither the plugin nor what its source names."""
    before = set(sys.modules)
    read(COMPLETE, "import antigravity", "raise SystemExit")
    assert set(sys.modules) == before


# ---- what is wrong ------------------------------------------------------------------------


def test_all_problems_are_reported_together(read: Read) -> None:
    """Each with its file, the dunder, what was found and what was expected."""
    manifest = read(
        "__plugin_name__ = 'a/b'",
        "__version__ = '1.0'",
        "__url__ = 1",
        "__appversion__ = 'new'",
        "__requires__ = {'other': 'old'}",
        "__optional__ = 'yes'",
        "register = 'me'",
    )
    assert [problem.what for problem in manifest.problems] == [
        "__plugin_name__",
        "__version__",
        "__author__",
        "__url__",
        "__appversion__",
        "__requires__['other']",
        "__optional__",
        "register",
    ]
    assert {problem.where for problem in manifest.problems} == {"hello/__init__.py"}
    assert str(manifest.problems[1]) == (
        "hello/__init__.py: __version__: found '1.0', expected a semantic version, such as '1.0.0'"
    )


@pytest.mark.parametrize("missing", ["__plugin_name__", "__version__", "__author__", "register"])
def test_a_missing_required_part_is_a_problem(read: Read, missing: str) -> None:
    """Three dunders and the function register()."""
    problem = only(read(COMPLETE.replace(missing, "other")).problems)
    assert (problem.what, problem.found) == (missing, "nothing")


@pytest.mark.parametrize(
    ("dunder", "literal", "found"),
    [
        ("__plugin_name__", "1", "1"),
        ("__plugin_name__", "''", "'', which has 0 characters"),
        ("__plugin_name__", "'a/b'", "'a/b', which holds '/'"),
        ("__version__", "1", "1"),
        ("__version__", "b'1.0.0'", "a value of type bytes"),
        ("__version__", "''", "''"),
        ("__version__", r"'1.0.0\x1b[31m'", r"'1.0.0\x1b[31m'"),
        ("__author__", "['Ada', 'Grace']", "a value of type list"),
        ("__description__", "{}", "a value of type dict"),
        ("__url__", "True", "True"),
        ("__license__", "('MIT',)", "a value of type tuple"),
        ("__license_file__", "1", "1"),
        ("__readme_file__", "1", "1"),
        ("__appversion__", "4", "4"),
        ("__appversion__", "'new'", "'new' at character 1 of 'new'"),
        ("__optional__", "1", "1"),
        ("__requires__", "['other']", "a value of type list"),
    ],
)
def test_a_wrong_value_is_a_problem(read: Read, dunder: str, literal: str, found: str) -> None:
    """Wrong types and texts that can't be used are told as they were found."""
    problem = only(read(COMPLETE, f"{dunder} = {literal}").problems)
    assert (problem.what, problem.found) == (dunder, found)
    assert problem.expected


@pytest.mark.parametrize(
    ("requires", "what", "found"),
    [
        ("{'other': '>=x'}", "__requires__['other']", "'>=x' at character 1 of '>=x'"),
        ("{'other': 1}", "__requires__['other']", "1"),
        ("{'a/b': '1'}", "__requires__['a/b']", "the name 'a/b', which holds '/'"),
        ("{1: '1'}", "__requires__[1]", "the name 1"),
        ("{'Hello': '1'}", "__requires__['Hello']", "the plugin itself"),
    ],
)
def test_a_wrong_requirement_is_named(read: Read, requires: str, what: str, found: str) -> None:
    """The problem names the key, and the other requirements stay."""
    manifest = read(COMPLETE, f"__requires__ = {{'fine': '1', **{{}}}} or {requires}")
    assert manifest.problems == ()  # not a literal
    manifest = read(COMPLETE, f"__requires__ = {{'fine': '1', {requires.strip('{}')}}}")
    problem = only(manifest.problems)
    assert (problem.what, problem.found) == (what, found)
    assert [required.plugin for required in manifest.requires] == ["fine"]


def test_an_unusable_value_is_left_out(read: Read) -> None:
    """Nobody has to look at the problems to be safe from a wrong value."""
    manifest = read("__plugin_name__ = 'a/b'\n__version__ = '1.0'\n__appversion__ = 'new'")
    assert (manifest.name, manifest.version, manifest.appversion) == ("hello", "", "")


@pytest.mark.parametrize("literal", ["'off'", "'Enabled'", "''", "None", "True", "['enabled']"])
def test_any_other_state_is_disabled_with_a_warning(read: Read, literal: str) -> None:
    """3.x treated everything but "enabled" as not enabled."""
    manifest = read(COMPLETE, f"__state__ = {literal}")
    assert manifest.problems == ()
    assert manifest.state is WantedState.DISABLED
    assert only(manifest.warnings).what == "__state__"


def test_a_literal_register_is_no_function(read: Read) -> None:
    """It can't be called."""
    problem = only(read(COMPLETE, "register = 'me'").problems)
    assert (problem.what, problem.found) == ("register", "'me'")


@pytest.mark.parametrize(
    "source", ["from .views import register", "register = make()", "async def register(): pass"]
)
def test_register_may_come_in_any_way(read: Read, source: str) -> None:
    """Whether it is a function is known after the import."""
    assert read(COMPLETE.replace("register", "other"), source).problems == ()


def test_a_file_that_cannot_be_read_is_the_only_problem(read: Read) -> None:
    """Nothing is said to be missing, as nobody could see it; the folder gives the name."""
    manifest = read("def register(:")
    assert only(manifest.problems).what == "source"
    assert manifest.name == "hello"


def test_a_folder_without_a_module_is_listed_with_its_problem(tmp_path: Path) -> None:
    """Reading never raises."""
    problem = only(read_manifest(tmp_path / "gone", "plugins.gone").problems)
    assert problem.where == "gone/__init__.py"
    assert problem.found.startswith("no readable file")


def test_problems_become_an_exception_of_3x(read: Read) -> None:
    """In strict mode they are raised as they are."""
    assert "__version__" in str(ManifestError(read("").problems))


# ---- misspellings -------------------------------------------------------------------------


@pytest.mark.parametrize("slip", ["__licence__", "__requies__", "__sstate__", "__optinoal__"])
def test_a_dunder_one_slip_away_from_a_known_one_is_a_warning(read: Read, slip: str) -> None:
    """It is the plugin's own, but probably isn't meant to be."""
    manifest = read(COMPLETE, f"{slip} = 'x'")
    assert manifest.problems == ()
    warning = only(manifest.warnings)
    assert warning.found == repr(slip)
    assert warning.expected in KNOWN


def test_a_dunder_beside_its_twin_is_no_misspelling(read: Read) -> None:
    """Whoever has both means both."""
    assert read(COMPLETE, "__authors__ = ['Ada', 'Grace']").warnings == ()


@pytest.mark.parametrize(
    ("right", "slip"), [("__version__", "__verison__"), ("register", "regsiter")]
)
def test_a_missing_part_is_told_with_its_misspelling(read: Read, right: str, slip: str) -> None:
    """The problem says what to rename."""
    problem = only(read(COMPLETE.replace(right, slip)).problems)
    assert problem.advice == f"perhaps {slip} is meant to be it"


# ---- what only the import can tell --------------------------------------------------------


def test_computed_dunders_are_listed_and_no_problem(read: Read) -> None:
    """A published plugin computes its state from the environment."""
    manifest = read(COMPLETE, "__state__ = getenv('X')", "from .version import __version__")
    assert manifest.computed == {"__state__", "__version__"}
    assert (manifest.state, manifest.version) == (None, "")
    assert manifest.problems == ()


def test_a_computed_name_is_that_of_the_package_for_now(read: Read) -> None:
    """Something must be shown until it is known."""
    assert read(COMPLETE, "__plugin_name__ = f()").name == "hello"


@pytest.mark.parametrize(
    "source", ["from .metadata import *", "globals().update(data)", "def __getattr__(name): ..."]
)
def test_what_may_come_with_the_import_is_not_missed(read: Read, source: str) -> None:
    """Star imports and tricks may bring the rest."""
    assert read(source).problems == ()


def test_the_import_fills_in_what_was_computed(read: Read) -> None:
    """Every kind of value."""
    source = (
        COMPLETE,
        "f = lambda value: value",
        "__plugin_name__ = f('Other')",
        "__version__ = f('3.2.1')",
        "__state__ = f('disabled')",
        "__requires__ = dict(needed='~1.2')",
        "__appversion__ = f('<4')",
        "__optional__ = f(True)",
    )
    before = read(*source)
    after = complete(before, imported(*source))
    assert (before.name, after.name) == ("hello", "Other")
    assert after.version == "3.2.1"
    assert after.state is WantedState.DISABLED
    assert after.requires == (("needed", VersionRange.parse("~1.2")),)
    assert after.appversion == "<4"
    assert after.optional is True
    assert after.computed == frozenset()
    assert after.problems == ()


def test_the_import_finds_new_problems(read: Read) -> None:
    """What was computed is checked as what was written."""
    source = COMPLETE, "__version__ = str(1)", "__requires__ = dict(Hello='1')"
    before = read(*source)
    after = complete(before, imported(*source))
    assert before.problems == ()
    assert [problem.what for problem in after.problems] == [
        "__version__",
        "__requires__['Hello']",
    ]


def test_the_import_resolves_problems(read: Read) -> None:
    """What the source didn't show may be there all the same."""
    before = read("import other")
    after = complete(before, imported(COMPLETE))
    assert len(before.problems) == 4
    assert after.problems == ()


def test_what_the_import_does_not_bring_is_missing(read: Read) -> None:
    """A star import that brings nothing."""
    before = read("from other import *")
    after = complete(before, imported())
    assert before.problems == ()
    assert [problem.what for problem in after.problems] == [
        "__plugin_name__",
        "__version__",
        "__author__",
        "register",
    ]


def test_a_register_that_is_no_function_is_found_after_the_import(read: Read) -> None:
    """An imported name may be anything."""
    after = complete(read(COMPLETE), imported(COMPLETE, register=7))
    assert only(after.problems).what == "register"


def test_a_problem_of_the_file_stays(read: Read) -> None:
    """Importing doesn't make a file smaller."""
    after = complete(read("("), imported(COMPLETE))
    assert [problem.what for problem in after.problems] == ["source"]


def test_completing_a_known_manifest_changes_nothing(read: Read) -> None:
    """A module that has what its source says."""
    source = COMPLETE, "__requires__ = {'other': '1'}", "__state__ = 'enabled'"
    manifest = read(*source)
    assert complete(manifest, imported(*source)) == manifest


def test_attributes_that_a_module_makes_on_demand_are_found(read: Read) -> None:
    """3.x read attributes, so ``__getattr__`` of PEP 562 may give them."""
    source = "def __getattr__(name):", "  return {'__version__': '9.8.7'}[name]"
    after = complete(read(COMPLETE, *source), imported(COMPLETE, "del __version__", *source))
    assert after.version == "9.8.7"


def test_an_attribute_that_fails_is_not_there(read: Read) -> None:
    """The code of the plugin can't make reading its manifest fail."""
    source = "def __getattr__(name):", "  raise RuntimeError"
    after = complete(read(*source), imported(*source))
    assert len(after.problems) == 4


def test_an_object_in_place_of_a_module_is_read(read: Read) -> None:
    """A package may have put anything into ``sys.modules``."""

    class Lazy(ModuleType):
        __slots__ = ()
        __plugin_name__ = "Hello"
        __version__ = "1.2.3"
        __author__ = "Ada"

        def register(self) -> dict[str, object]:
            return {}

    assert complete(read(COMPLETE), Lazy("plugins.hello")).problems == ()


def test_texts_of_an_imported_module_become_ordinary_ones(read: Read) -> None:
    """A subclass of str may do anything when it is shown."""

    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError

    module = imported(
        COMPLETE,
        **dict.fromkeys(["__plugin_name__", "__author__"], Loud("Eve")),
        __version__=Loud("1.0.0"),
        __state__=Loud("enabled"),
        __requires__={Loud("other"): Loud("^1")},
    )
    after = complete(read(COMPLETE), module)
    assert after.problems == ()
    assert {type(after.name), type(after.author), type(after.version)} == {str}
    assert type(after.requires[0].plugin) is str


# ---- what the distribution tells ----------------------------------------------------------


def test_the_distribution_completes_what_is_missing(read: Read, distribution: Distribution) -> None:
    """Everything but the plugin's name."""
    manifest = read("__plugin_name__ = 'Hello'; import register", distribution=distribution)
    assert manifest.problems == ()
    assert manifest.version == "2.0.0"
    assert manifest.author == "Grace"
    assert manifest.description == "A summary"
    assert manifest.url == "https://example.org"
    assert manifest.license == "MIT"
    assert manifest.distribution == "wheel-of-hello"


def test_the_name_is_never_taken_from_the_distribution(
    read: Read, distribution: Distribution
) -> None:
    """One distribution may bring several plugins."""
    problem = only(read("import register", distribution=distribution).problems)
    assert problem.what == "__plugin_name__"


def test_a_dunder_wins_over_the_distribution(read: Read, distribution: Distribution) -> None:
    """Even if it is empty, wrong or not known yet."""
    assert read(COMPLETE, distribution=distribution).version == "1.2.3"
    assert read(COMPLETE, "__url__ = ''", distribution=distribution).url == ""
    assert read(COMPLETE, "__version__ = f()", distribution=distribution).version == ""
    assert read(COMPLETE, "__version__ = '1'", distribution=distribution).version == ""


def test_what_the_distribution_told_stays_after_the_import(
    read: Read, distribution: Distribution
) -> None:
    """The module still has no such dunder."""
    source = "__plugin_name__ = 'Hello'; register = dict"
    before = read(source, distribution=distribution)
    assert complete(before, imported(source)) == before


def test_the_module_wins_over_the_distribution_after_the_import(
    read: Read, distribution: Distribution
) -> None:
    """A star import may have brought the dunder."""
    before = read("from .all import *", distribution=distribution)
    after = complete(before, imported(COMPLETE))
    assert (before.version, after.version) == ("2.0.0", "1.2.3")


def test_a_broken_source_is_still_listed_with_its_version(
    read: Read, distribution: Distribution
) -> None:
    """An operator sees which release is broken."""
    manifest = read("(", distribution=distribution)
    assert manifest.version == "2.0.0"
    assert only(manifest.problems).what == "source"


# ---- whatever others write ----------------------------------------------------------------

dunders = st.sampled_from([*KNOWN, "__verison__"])
literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=0)
    | st.text()
    | st.binary(max_size=5)
    | st.sampled_from(["1.0.0", "enabled", "disabled", "Hello", ">=1.2,<2", "^1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["other", "Hello"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@given(st.lists(st.tuples(dunders, literals), max_size=15))
def test_any_literals_make_a_manifest(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, object]]
) -> None:
    """Reading never raises, what it returns is printable, and the import says the same."""
    folder = tmp_path_factory.getbasetemp() / "random_plugin"
    folder.mkdir(exist_ok=True)
    source = "\n".join(f"{dunder} = {value!r}" for dunder, value in pairs)
    (folder / "__init__.py").write_text(source, "utf-8")
    manifest = read_manifest(folder, "plugins.random_plugin")
    assert parse_name(manifest.name) == manifest.name
    for shown in (manifest.version, manifest.author, manifest.url, *map(str, manifest.problems)):
        assert shown.isprintable()
    assert complete(manifest, imported(source)) == manifest


@given(st.dictionaries(dunders | st.just("register"), st.from_type(object)))
def test_any_attributes_make_a_manifest(
    tmp_path_factory: pytest.TempPathFactory, attributes: dict[str, object]
) -> None:
    """Completing never raises either, whatever a module holds."""
    manifest = read_manifest(tmp_path_factory.getbasetemp(), "plugins.random_plugin")
    after = complete(manifest, imported(**attributes))
    assert "\n".join(map(str, after.problems)).replace("\n", "").isprintable()
