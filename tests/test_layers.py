"""A module of the package imports only from lower layers, and imports never form a cycle.

Read from the source, so that imports inside functions and under TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import flask_pluginkit

# From the lowest layer to the highest. A folder stands for everything in it; its modules may
# import each other, without a cycle. Two entries of one layer may not: give one of them to
# another layer instead.
TABLE = (
    ("frozen",),
    (
        *("attribution", "durable", "exceptions", "finding", "ordering", "responses"),
        *("template_trees", "text", "version"),
    ),
    ("breaker", "contexts", "functions", "pulse", "reports", "sandbox", "settings"),
    (
        *("findings", "importing", "names", "permissions", "pip"),
        *("points", "source", "state", "storage", "versions"),
    ),
    ("bundles", "kinds", "metadata", "seats"),
    ("authoring", "manifest", "options", "roster"),
    ("discovery", "residents"),
    ("snapshot",),
    ("building", "loading", "requirements"),
    ("barrier",),
    ("isolation",),
    ("live",),
    ("checks", "deployment", "elsewhere", "inventory", "loadings", "owners", "records"),
    ("configured", "loading_errors", "placement"),
    ("needs", "preprocessing", "verdicts"),
    ("startup",),
    ("enlistment",),
    ("develop",),
    ("application",),
    ("following",),
    ("health", "switching"),
    ("rewriting",),
    ("reconfiguring", "relocating"),
    ("isolating",),
    ("configuring",),
    ("manager",),
    ("_compat", "cli", "metrics", "testing", "utils"),
    ("",),  # the package's own __init__, which only hands on names
)
LAYERS = {name: layer for layer, names in enumerate(TABLE) for name in names}

PACKAGE = "flask_pluginkit"
ROOT = Path(flask_pluginkit.__file__).parent


def modules_below(root: Path) -> dict[str, Path]:
    """Every module below `root` by its name without the package's: ``live.routes``."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        # the rest is data: the template of plugins, which a wheel has in the package's folder
        if all(part.isidentifier() for part in parts) and parts[0] != "plugin_template":
            modules[".".join(part for part in parts if part != "__init__")] = path
    return modules


def imports_of(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """The modules of the package that one module imports, each with the line of the import."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == PACKAGE:
                    yield alias.name.partition(".")[2], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((target, node.lineno) for target in targets_of(node, package, known))


def targets_of(node: ast.ImportFrom, package: str, known: Mapping[str, Path]) -> list[str]:
    """The modules behind ``from x import y, z``: a y that isn't a module comes from x."""
    if (source := source_of(node, package)) is None:
        return []
    named = [f"{source}.{alias.name}".lstrip(".") for alias in node.names]
    return [name if name in known else source for name in named]


def source_of(node: ast.ImportFrom, package: str) -> str | None:
    """What stands between ``from`` and ``import``, as a module of the package, if it is one."""
    named = node.module or ""
    if not node.level:
        first, _, rest = named.partition(".")
        return rest if first == PACKAGE else None
    above = package.split(".") if package else []
    return ".".join([*above[: len(above) + 1 - node.level], *filter(None, [named])])


def entry_of(name: str, layers: Mapping[str, int]) -> str | None:
    """The entry of the table that a module falls under: its own or the one of its folder."""
    while name and name not in layers:
        name = name.rpartition(".")[0]
        if not name:
            return None
    return name


def complaints(root: Path, layers: Mapping[str, int]) -> list[str]:
    """Everything below `root` that breaks the rules, one line each."""
    modules = modules_below(root)
    entries = {name: entry_of(name, layers) for name in modules}
    found = [
        f"{modules[name].relative_to(root)} has no layer: enter {name.partition('.')[0]!r} in "
        "TABLE, one above the highest layer that it imports from"
        for name, entry in entries.items()
        if entry is None
    ]
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for target, line in imports_of(name, path, modules):
            graph[name].add(target)
            ours, theirs = entries[name], entries.get(target)
            if ours is not None and theirs not in {None, ours} and layers[theirs] >= layers[ours]:
                found.append(
                    f"{path.relative_to(root)}:{line} (layer {layers[ours]}) imports "
                    f"{target or PACKAGE} (layer {layers[theirs]}), which isn't lower"
                )
    return [*found, *cycle_in(graph)]


def cycle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """One line that shows a cycle as a path, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["a cycle of imports: " + " <- ".join(error.args[1])]
    return []


def test_every_module_imports_only_from_lower_layers() -> None:
    """The package keeps to the table, and no imports of it form a cycle."""
    assert complaints(ROOT, LAYERS) == []


def test_the_table_names_no_module_that_is_gone() -> None:
    """Each entry of the table is a module or a folder of the package."""
    known = {name.partition(".")[0] for name in modules_below(ROOT)}
    assert sorted(LAYERS.keys() - known) == []


def test_the_package_itself_is_what_is_read() -> None:
    """The rules are applied to real modules, not to an empty folder."""
    assert {"", "exceptions", "version"} <= modules_below(ROOT).keys()


# ---- the rules themselves, on trees made for the purpose -----------------------------------

TREE_LAYERS = {"low": 0, "peer": 0, "folder": 1, "high": 2, "": 9}


def complaints_about(root: Path, **sources: str) -> list[str]:
    """What is said of a package with these modules; ``folder__a`` is the module folder.a."""
    for name, source in {"__init__": "", **sources}.items():
        path = root.joinpath(*name.split("__")) if not name.startswith("__") else root / name
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".py").write_text(source)
    return complaints(root, TREE_LAYERS)


@pytest.mark.parametrize(
    "source",
    [
        "from .high import x",
        "from . import high",
        "from flask_pluginkit.high import x",
        "from flask_pluginkit import high",
        "import flask_pluginkit.high",
        "import flask_pluginkit.high as alias",
        "def f():\n    from .high import x",
        "if TYPE_CHECKING:\n    from .high import x",
    ],
)
def test_an_import_of_a_higher_layer_is_reported(tmp_path: Path, source: str) -> None:
    """Whatever form it has and wherever it stands, with its line and both layers."""
    (complaint,) = complaints_about(tmp_path, low=source, high="")
    line = source.count("\n") + 1
    assert complaint.startswith(f"low.py:{line} (layer 0) imports high (layer 2)")


def test_an_import_within_a_layer_is_reported(tmp_path: Path) -> None:
    """Two entries of equal layer don't know each other."""
    (complaint,) = complaints_about(tmp_path, low="from .peer import x", peer="")
    assert "imports peer (layer 0)" in complaint


def test_an_import_of_the_package_itself_is_reported(tmp_path: Path) -> None:
    """The public names are for others: inside, a name is imported from its home."""
    (complaint,) = complaints_about(tmp_path, low="from flask_pluginkit import PluginManager")
    assert "imports flask_pluginkit (layer 9)" in complaint


def test_a_folder_is_held_to_its_layer(tmp_path: Path) -> None:
    """A module in a folder has the folder's layer, and relative imports climb out of it."""
    (complaint,) = complaints_about(tmp_path, folder__a="from ..high import x", high="")
    assert complaint.startswith(f"{Path('folder', 'a.py')}:1 (layer 1) imports high (layer 2)")


def test_what_the_rules_allow_is_not_reported(tmp_path: Path) -> None:
    """Lower layers, siblings in a folder, and what isn't part of the package."""
    found = complaints_about(
        tmp_path,
        low="import flask\nfrom flask import high",
        folder__a="from .b import x\nfrom . import b\nfrom ..low import x",
        folder__b="from flask_pluginkit import low",
        high="from .folder.a import x\nfrom .folder import b",
    )
    assert found == []


def test_a_cycle_in_a_folder_is_reported(tmp_path: Path) -> None:
    """Siblings may import each other in one direction only."""
    (complaint,) = complaints_about(
        tmp_path, folder__a="from .b import x", folder__b="def f():\n    from .a import x"
    )
    assert complaint.startswith("a cycle of imports: folder.")


def test_a_module_without_a_layer_is_reported(tmp_path: Path) -> None:
    """With the advice to enter it in the table."""
    (complaint,) = complaints_about(tmp_path, unheard_of="from .high import x", high="")
    assert complaint.startswith("unheard_of.py has no layer: enter 'unheard_of' in TABLE")
