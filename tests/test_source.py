"""What a module's source says about its names, without running it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_pluginkit.exceptions import ManifestError, Problem
from flask_pluginkit.source import LARGEST_SOURCE, Bindings, read_bindings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the source under test is written."""
    return tmp_path / "__init__.py"


def bindings(file: Path, source: str | bytes) -> Bindings:
    """Read what `source` binds."""
    file.write_bytes(source.encode() if isinstance(source, str) else source)
    return read_bindings(file, "hello/__init__.py")


def problem(file: Path, source: str | bytes | None = None) -> Problem:
    """Return the one problem of `source`, or of what `file` is."""
    with pytest.raises(ManifestError) as caught:
        read_bindings(file, "hello/__init__.py") if source is None else bindings(file, source)
    [found] = caught.value.problems
    assert (found.where, found.what) == ("hello/__init__.py", "source")
    return found


# ---- what is known -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("__x__ = 'a'", "a"),
        ("__x__ = 'a' 'b'", "ab"),
        ("__x__ = 'a' + 'b' + 'c'", "abc"),
        ("__x__: str = 'a'", "a"),
        ("__y__ = __x__ = 'a'", "a"),
        ("V = 'a'; __x__ = V", "a"),
        ("V = 'a'; W = V; __x__ = W + '!'", "a!"),
        ("A = 1; __x__ = f'{A}.0.{0}'", "1.0.0"),
        ("__y__, __x__ = 'b', 'a'", "a"),
        ("__x__ = 'a'; __x__ += 'b'", "ab"),
        ("__x__ = None", None),
        ("__x__ = True", True),
        ("__x__ = b'a'", b"a"),
        ("__x__ = {'a': 'b'}", {"a": "b"}),
        ("V = 'b'; __x__ = {'a': V}", {"a": "b"}),
        ("__x__ = {}", {}),
        ("__x__ = ['a', ('b',), {'c'}]", ["a", ("b",), {"c"}]),
        ("__x__ = 'a'; __x__ = 'b'", "b"),
        ("if 1: __x__ = 'a'\n__x__ = 'b'", "b"),
        ("from b import __x__; __x__ = 'b'", "b"),
        ("__x__ = 'a'\ndef f():\n  __x__ = 'b'", "a"),
        ("__x__ = 'a'\nclass C:\n  __x__ = 'b'", "a"),
        ("__x__ = 'a'; f = lambda: (__x__ := 'b')", "a"),
        ("__x__ = 'a'; __x__: str", "a"),
        ("__x__ = 'a'; print(__x__.upper(), __x__)", "a"),
    ],
)
def test_a_literal_is_known(file: Path, source: str, value: object) -> None:
    """Literals, references to constants bound before, and texts put together of those."""
    found = bindings(file, source)
    assert found.values["__x__"] == value
    assert "__x__" not in found.computed


@pytest.mark.parametrize(
    "source",
    [
        "__x__ = getenv('X')",
        "__x__ = '.'.join(['1', '0'])",
        "__x__ = -1",
        "__x__ = 1 + 2",
        "__x__ = 'a' * 2",
        "__x__ = 'a' + later; later = 'b'",
        "__x__ = later; later = 'b'",
        "__x__ = f'{1:02}'",
        "__x__ = f'{1!r}'",
        "__x__ = f'{True}'",
        f"N = 0x{'f' * 5000}; __x__ = f'{{N}}'",
        "__x__ = {**other}",
        "__x__ = {'a': f()}",
        "V = {}; __x__ = V",
        "__y__ = {}; __x__ = __y__",
        "__y__ = __x__ = {}",
        "__x__, *__y__ = 'ab'",
        "__y__ = 'a'; __y__, __x__ = 'b', __y__",
        "from .version import __x__",
        "from a import b as __x__",
        "import __x__.y",
        "import a as __x__",
        "def __x__(): pass",
        "async def __x__(): pass",
        "class __x__: pass",
        "__x__ = 'a'\nif 1: __x__ = 'b'",
        "if 1:\n  pass\nelse:\n  __x__ = 'a'",
        "try:\n  __x__ = 'a'\nexcept E: pass",
        "try: pass\nexcept E as __x__: pass",
        "for __x__ in 'ab': pass",
        "with a as __x__: pass",
        "while 1: __x__ = 'a'",
        "match 1:\n  case __x__: pass",
        "match 1:\n  case [*__x__]: pass",
        "match 1:\n  case {**__x__}: pass",
        "print(__x__ := 'a')",
        "y = [__x__ := 'a']",
        "y.z = (__x__ := 'a')",
        "__x__ = 'a'; del __x__",
        "__x__ = 'a'\ndef f():\n  global __x__\n  __x__ = 'b'",
        "__x__ = {}; __x__['a'] = 'b'",
        "__x__ = {}; __x__.update(a='b')",
        "__x__ = {}; change(__x__)",
        "__x__ = {}; y = change(__x__)",
        "__x__ = {}; __x__ |= {'a': 'b'}",
        "__x__ = {}; del __x__['a']",
    ],
)
def test_anything_else_is_computed(file: Path, source: str) -> None:
    """A value that isn't certain is bound, but not known."""
    found = bindings(file, source)
    assert "__x__" in found.computed
    assert "__x__" not in found.values


@pytest.mark.parametrize(
    "source", ["__x__: str", "def f():\n  __x__ = 1", "class C:\n  __x__ = 1", "x = __x__", ""]
)
def test_what_is_bound_elsewhere_or_not_at_all_is_not_bound(file: Path, source: str) -> None:
    """Names of functions and classes are their own."""
    assert "__x__" not in bindings(file, source)


@pytest.mark.parametrize(
    "source",
    [
        "from a import *",
        "try:\n  from a import *\nexcept E: pass",
        "globals()['__x__'] = 1",
        "def f():\n  globals().update(a=1)\nf()",
        "vars()['a'] = 1",
        "exec('a = 1')",
        "import sys\nsetattr(sys.modules[__name__], 'a', 1)",
        "from sys import modules",
        "def __getattr__(name): pass",
    ],
)
def test_a_module_that_may_bind_more_is_open_ended(file: Path, source: str) -> None:
    """Star imports and tricks bind names that the source doesn't show."""
    assert bindings(file, source).open_ended


@pytest.mark.parametrize(
    "source", ["'globals()'", "# exec", "x.globals", "a.modules", "class C: vals = 1"]
)
def test_talking_of_a_trick_is_none(file: Path, source: str) -> None:
    """Comments, texts and attributes of that name bind nothing."""
    assert not bindings(file, source).open_ended


def test_the_bound_names_can_be_listed(file: Path) -> None:
    """Known and computed ones, each once."""
    found = bindings(file, "a = 1; b = f(); c = 2; c = f()")
    assert sorted(found) == ["a", "b", "c"]


def test_texts_that_double_themselves_are_not_followed_for_long(file: Path) -> None:
    """40 short lines can't take a terabyte."""
    source = "A = 'x' * 1\nA = 'xx'\n" + "A = A + A\n" * 40 + "__x__ = f'{A}{A}'\n"
    assert "__x__" in bindings(file, source).computed


def test_a_long_sum_is_computed(file: Path) -> None:
    """An expression too deep to be followed is no fault of the module."""
    source = "__x__ = " + " + ".join(["'a'"] * 900)
    assert "__x__" in bindings(file, source)


# ---- statements put together at random, compared with running them -----------------------

NAMES = ("__x__", "__y__", "A", "B")
names = st.sampled_from(NAMES)
expressions = st.sampled_from(
    [
        *["'a'", "'b' 'c'", "1", "None", "f'{1}'", "{'k': 'v'}", "str(1)", "A + B", "f'{A}-{B}'"],
        *["[1, 2]", "(1, 'a')", "(B := 'w')", "{'k': A}", "{**{}}", "-1", "{}", *NAMES],
    ]
)
simple_statements = (
    st.builds("{} = {}".format, names, expressions)
    | st.builds("{} = {} = {}".format, names, names, expressions)
    | st.builds("{}: object = {}".format, names, expressions)
    | st.builds("{}, {} = {}, {}".format, names, names, expressions, expressions)
    | st.builds("{} += {}".format, names, expressions)
    | st.builds("del {}".format, names)
    | st.builds("import os as {}".format, names)
    | st.builds("from os import sep as {}".format, names)
    | st.builds("def {}(): A = 'local'".format, names)
    | st.builds("class {}: A = 'local'".format, names)
    | st.builds("{}['k2'] = 'v2'".format, names)
    | st.builds("{}.update(k2='v2')".format, names)
    | st.builds("str([{} for {} in 'xy'])".format, expressions, names)
)
compound_statements = st.builds(
    "{}:\n  {}".format,
    st.sampled_from(["if 1", "if 0", "for A in 'xy'", "with open(__file__) as B", "while B != 0"]),
    simple_statements.map(lambda statement: statement + "\n  if 1: B = 0"),
) | st.builds("def f():\n  global {}\n  {}\nf()".format, names, simple_statements)
programs = st.lists(
    (simple_statements | compound_statements).map("try:\n  pass\nfinally:\n  pass\n{}".format)
    | simple_statements
    | compound_statements,
    max_size=8,
).map(lambda statements: ["A = 'a'; B = 'b'", *statements])


def run(statements: list[str]) -> dict[str, Any]:
    """Return what a module has whose source is those of the statements that can be run."""
    module: dict[str, Any] = {"__file__": __file__}
    for statement in statements:
        exec(statement, module)
    return module


def runnable(statements: list[str]) -> list[str]:
    """Return the statements up to the first that fails."""
    for count in range(len(statements), -1, -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(statements[:count])
        except Exception:  # noqa: BLE001 - unbound names, wrong types
            continue
        return statements[:count]
    return []


def test_what_a_function_may_bind_is_not_used_for_other_values(file: Path) -> None:
    """Neither after the function's call nor before it: it may be called in between."""
    source = "A = 'a'\ndef f():\n    global A\n    A = 'b'\nf()\n__version__ = A + '.0'"
    found = bindings(file, source)
    assert "__version__" not in found.values
    assert {"A", "__version__"} <= found.computed


@given(programs.map(runnable))
def test_what_is_known_is_what_running_the_module_gives(
    tmp_path_factory: pytest.TempPathFactory, statements: list[str]
) -> None:
    """No value is claimed that the module doesn't have, and no name of it is missed."""
    file = tmp_path_factory.getbasetemp() / "random_module.py"
    found = bindings(file, "\n".join(statements))
    module = run(statements)
    for name in NAMES:
        if name in found.values:
            assert module[name] == found.values[name]
        if name in module:
            assert name in found


# ---- files that are no source -------------------------------------------------------------


def test_a_missing_file_is_a_problem(file: Path) -> None:
    """A folder without ``__init__.py`` is no plugin."""
    assert problem(file).found == "no readable file (No such file or directory)"


def test_a_folder_is_no_source(file: Path) -> None:
    """Nor is anything else that isn't a regular file."""
    file.mkdir()
    assert problem(file).found == "something that isn't a regular file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(file: Path) -> None:
    """Opening one would wait until somebody writes."""
    os.mkfifo(file)
    assert problem(file).found == "something that isn't a regular file"


def test_a_loop_of_links_is_a_problem(file: Path) -> None:
    """It leads nowhere."""
    file.symlink_to(file)
    assert problem(file).found.startswith("no readable file (")


def test_a_path_that_no_system_has_is_a_problem(tmp_path: Path) -> None:
    """NUL can't be part of a path."""
    assert problem(tmp_path / "a\0b").found.startswith("no readable file (")


def test_a_file_that_may_not_be_read_is_a_problem(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operating system's reason is told."""

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    file.touch()
    monkeypatch.setattr(os, "open", refuse)
    assert problem(file).found == "no readable file (Permission denied)"


def test_a_huge_source_is_not_parsed(file: Path) -> None:
    """Ten megabytes would take a gigabyte as a tree."""
    found = problem(file, b"#" * 10_000_000)
    assert found.found == "10000000 bytes"
    assert found.expected == f"at most {LARGEST_SOURCE} bytes"


def test_the_largest_source_is_read(file: Path) -> None:
    """The limit itself is allowed."""
    assert "a" in bindings(file, b"a = 1 #".ljust(LARGEST_SOURCE, b"#"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (b"a = '\xff'", "invalid or missing encoding declaration"),
        (b"a = 1\nb = 2\nc = '\xff'", "can't decode byte 0xff"),
        (b"# coding: klingon\na = 1", "unknown encoding: klingon"),
        (b"# coding: hex\na = 1", "not a text encoding"),
        (b"# coding: punycode\na = 1", "the encoding punycode"),
        (b"\xef\xbb\xbf# coding: latin-1\na = 1", "encoding problem"),
    ],
)
def test_undecodable_bytes_are_a_problem(file: Path, source: bytes, found: str) -> None:
    """The reason tells the byte or the encoding."""
    assert found in problem(file, source).found


def test_a_declared_encoding_is_followed(file: Path) -> None:
    """As Python does when it imports the module."""
    source = "# coding: latin-1\n__x__ = 'é'".encode("latin-1")
    assert bindings(file, source).values["__x__"] == "é"


def test_a_byte_order_mark_is_no_problem(file: Path) -> None:
    """Editors of some systems write one."""
    assert bindings(file, b"\xef\xbb\xbf__x__ = 'a'").values["__x__"] == "a"


def test_a_syntax_error_is_told_with_its_line(file: Path) -> None:
    """What Python says of it, and where."""
    found = problem(file, "a = 1\nb = (\n")
    assert found.found == "a syntax error in line 2: '(' was never closed"
    assert found.expected == "valid Python source"


@pytest.mark.parametrize("source", [b"a = 1\0", b"a = '\0'", b"# coding: utf-7\n+2AA-"])
def test_characters_that_no_source_has_are_a_syntax_error(file: Path, source: bytes) -> None:
    """NUL and surrogates."""
    assert problem(file, source).found.startswith("a syntax error")


@pytest.mark.parametrize(
    "source", ["(" * 100_000, "a = " + "-" * 100_000 + "1", "a = " + "(" * 150 + ")" * 150]
)
def test_deep_nesting_is_a_problem_and_no_crash(file: Path, source: str) -> None:
    """The parser's limits are reported as such."""
    if len(source) > 1000:
        assert "source" in problem(file, source).what
    else:
        assert "a" in bindings(file, source)


def test_warnings_of_the_parser_do_not_leak(file: Path) -> None:
    """An invalid escape sequence warns its author when the module is imported, not us."""
    assert bindings(file, r"__x__ = '\d'").values["__x__"] == r"\d"


def test_messages_of_the_parser_are_printable(file: Path) -> None:
    """They quote what the author wrote."""
    assert problem(file, "a = \u202e1").found.isprintable()


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_do_anything_else(tmp_path_factory: pytest.TempPathFactory, source: bytes) -> None:
    """Whatever a file holds is read, or is one problem in printable words."""
    file = tmp_path_factory.getbasetemp() / "random_bytes.py"
    shown = ""
    try:
        bindings(file, source)
    except ManifestError as error:
        [found] = error.problems
        shown = str(found)
    assert shown.isprintable()
