"""One plugin as the rules see it: its manifest, its files, what it registers, its templates."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from flask_pluginkit.finding import NAMESPACE
from flask_pluginkit.kinds import FILE_SUFFIXES
from flask_pluginkit.manifest import Manifest, read_manifest
from flask_pluginkit.ordering import parse_code, parse_file
from flask_pluginkit.permissions import DUNDER, Permissions, parse

from .codes import ISOLATION, Severity
from .contributions import Contribution, Registered
from .declared import find_registered
from .modules import Module, Modules, place_of
from .places import Place
from .reports import Finding, make_finding
from .sources import Fault, TemplateFile, Tree, inside, names_below, parse_template, read_tree


class Subject:
    """Everything that is known of one plugin without running it."""

    def __init__(self, place: Place, *, isolated: bool = False) -> None:
        self.place = place
        self.folder: Final[Path] = place.folder
        self.package = package_of(place.folder)
        self.manifest: Final[Manifest] = read_manifest(place.folder, self.package)
        self.tree: Final[Tree] = read_tree(place.folder, place.shown)
        self.modules: Final = Modules(self.tree.python, (self.package, *_other_names(place.folder)))
        self.registered: Final[Registered] = find_registered(self.modules, place.folder.name)
        self.last_lines: dict[Finding, int] = {}
        """Where the code ends that a finding is about, for comments behind it."""
        says_so = self.modules.root is not None and DUNDER in self.modules.root.assigned
        self.is_for_isolation: Final = isolated or says_so

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.manifest.name

    @cached_property
    def permissions(self) -> Permissions:
        """What the manifest asks for."""
        return parse(list(self.manifest.permissions), "")[0]

    @cached_property
    def shown_init(self) -> str:
        """The file with the manifest, as it is shown."""
        return inside(self.place.shown, "__init__.py")

    # ---- findings ---------------------------------------------------------------------------

    def at(self, code: str, module: Module, node: ast.AST, message: str) -> Finding:
        """Return a finding about a node of a module."""
        place = place_of(node)
        found = self.in_file(code, module.file.path, message, place)
        self.last_lines[found] = getattr(node, "end_lineno", None) or place[0]
        return found

    def in_template(
        self, code: str, template: TemplateFile, line: int, message: str, word: str = ""
    ) -> Finding:
        """Return a finding about a line of a template."""
        return self.in_file(code, template.path, message, template.place(line, word))

    def in_file(
        self, code: str, path: str, message: str, place: tuple[int, int] = (0, 0)
    ) -> Finding:
        """Return a finding about a file."""
        severity = None
        if code.startswith(ISOLATION) and code != "PK412" and self.is_for_isolation:
            severity = Severity.WARNING
        return make_finding(
            code, message, path=path, plugin=self.name, place=place, severity=severity
        )

    def of_fault(self, fault: Fault) -> Finding:
        """Return the finding for something that can't be looked at."""
        return self.in_file(fault.code, fault.path, fault.message, (fault.line, 0))

    # ---- templates --------------------------------------------------------------------------

    @cached_property
    def code_faults(self) -> list[Fault]:
        """What is wrong with templates that stand in Python."""
        _ = self.templates
        return self._code_faults

    @cached_property
    def templates(self) -> list[TemplateFile]:
        """All templates: files, and the code of slots."""
        self._code_faults: list[Fault] = []
        codes = [self._of_slot(item) for item in self.registered.of("tep")]
        return [*self.tree.templates, *(code for code in codes if code is not None)]

    def slot_text(self, item: Contribution) -> str | None:
        """Return what a slot is filled with, if that stands in the source."""
        return self.modules.text(item.module, item.value)

    def slot_file(self, item: Contribution) -> str | None:
        """Return the template file that a slot is filled with, None if it is none."""
        text = self.slot_text(item)
        if text is None or not text.endswith(FILE_SUFFIXES):
            return None
        return parse_file(text, self.tree.template_names.__contains__)[1]

    def _of_slot(self, item: Contribution) -> TemplateFile | None:
        text = self.slot_text(item)
        if text is None or text.endswith(FILE_SUFFIXES):
            return None
        code = parse_code(text)[1]
        path = item.module.file.path
        parsed = parse_template(code, "")
        line = getattr(item.value, "lineno", item.place[0])
        if isinstance(parsed, tuple):
            message = f"code for the slot {item.name or '?'}: {parsed[0]}"
            self._code_faults.append(Fault(code="PK107", path=path, line=line, message=message))
            return None
        column = getattr(item.value, "col_offset", 0) + 1
        return TemplateFile(
            path=path, name="", text=code, tree=parsed, first_line=line, column=column
        )

    @cached_property
    def slot_templates(self) -> set[str]:
        """Names of the template files that are parts of the host's pages."""
        return {name for item in self.registered.of("tep") if (name := self.slot_file(item))}

    @cached_property
    def host_templates(self) -> frozenset[str] | None:
        """Names of the host's templates, if the plugin lies in a host's folder of plugins."""
        folder = self.folder.parent.parent / "templates"
        if self.folder.parent.name != "plugins" or not folder.is_dir():
            return None
        return names_below(folder)

    def has_template(self, name: str) -> bool:
        """Tell whether the plugin itself has a template of this name, bare or full."""
        return self.own_template_name(name) in self.tree.template_names

    def own_template_name(self, name: str) -> str:
        """Return a template's name without the plugin's own in front of it."""
        prefix = f"{self.name}:"
        return name[len(prefix) :].removeprefix(":") if name.startswith(prefix) else name

    # ---- code -------------------------------------------------------------------------------

    def requests_code(self) -> Iterator[Contribution]:
        """Yield what runs during requests and is a function that can be seen."""
        kinds = ("hep", "vep", "own hook", "context", "filter", "test", "dcp", "errhandler", "tep")
        return (item for item in self.registered.of(*kinds) if item.function is not None)


def package_of(folder: Path) -> str:
    """Return the name by which a plugin in `folder` is imported."""
    parent = folder.parent.name
    return f"{parent}.{folder.name}" if parent in {NAMESPACE, "plugins"} else folder.name


def _other_names(folder: Path) -> tuple[str, ...]:
    return (f"{folder.parent.name}.{folder.name}", f"plugins.{folder.name}")
