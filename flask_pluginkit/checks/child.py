"""The process in which a plugin is run: it imports it, and tells what that shows.

It tells line by line, so that what was found before a crash isn't lost.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from flask_pluginkit.discovery import Candidate, Origin
from flask_pluginkit.exceptions import Problem, ProblemsError
from flask_pluginkit.finding import NAMESPACE
from flask_pluginkit.kinds import normalise
from flask_pluginkit.loading import announce, load, registered
from flask_pluginkit.manifest import complete, read_manifest
from flask_pluginkit.ordering import parse_code
from flask_pluginkit.source import SOURCE
from flask_pluginkit.text import clean, describe

from .sources import parse_template
from .watching import Watch

_LARGEST_FILE: Final = 64 * 1024 * 1024
_MOST_MEMORY: Final = 4 * 1024 * 1024 * 1024
"""Bytes that are written to; reserving more of them is no harm."""


def main(given: Mapping[str, Any]) -> NoReturn:
    """Run the plugin that `given` describes; never returns."""
    teller = Teller(given["answer"])
    _limit(given["seconds"])
    code = 0
    try:
        _Trial(given, teller).run()
        teller.stage("end")
    except BaseException as error:  # noqa: BLE001 - ours: a plugin's are told where they happen
        teller.tell("PK701", f"the check itself failed: {_said(error)}")
        code = 1
    finally:
        # threads and exit functions of the plugin have no say
        os._exit(code)


class Teller:
    """Writes what is found."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: PTH123, SIM115 - open to the end

    def stage(self, name: str) -> None:
        """Tell what comes now."""
        self._write({"stage": name})

    def tell(self, code: str, message: str, file: str = "", line: int = 0) -> None:
        """Tell one finding."""
        self._write({"code": code, "message": clean(message, 2000), "file": file, "line": line})

    def _write(self, row: Mapping[str, object]) -> None:
        self._file.write(json.dumps(row).encode("ascii") + b"\n")


class _Trial:
    """One plugin's run."""

    def __init__(self, given: Mapping[str, Any], teller: Teller) -> None:
        self.given = given
        self.teller = teller
        self.candidates = [_candidate(plugin) for plugin in given["plugins"]]
        self.candidate = self.candidates[0]
        self.folder = self.candidate.folder
        self.watch = Watch(str(self.folder))

    def run(self) -> None:
        """Import the plugin, call its ``register()``, and look at what that returns."""
        announce([*self.candidates, *self._further()])
        self.watch.install()
        module = self._guarded("import", "importing it", lambda: load(self.candidate))
        if module is None:
            return
        self._manifest(module)
        value = self._guarded("register", "register()", lambda: (registered(module),))
        self._side_effects()
        if value is None:
            return
        self.teller.stage("use")
        try:
            shapes = normalise(self.given["name"], self.folder, value[0])
        except ProblemsError as error:
            self._problems("PK705", error.problems)
            return
        self._register(shapes)
        self._templates(shapes)

    def _further(self) -> list[Candidate]:
        """Return plugins below folders of the path that were named."""
        return [
            _candidate({"folder": str(folder), "location": location})
            for location in self.given["namespaces"]
            for folder in sorted(Path(location).iterdir())
            if folder.name.isidentifier() and (folder / "__init__.py").is_file()
        ]

    def _guarded(self, stage: str, doing: str, function: Any) -> Any:
        """Return what a function of the plugin returns; None, and a finding, if it raises."""
        self.teller.stage(stage)
        before = _printed()
        self.watch.begin(doing)
        try:
            return function()
        except BaseException as error:  # noqa: BLE001 - SystemExit, too, is the plugin's
            self.watch.active = False
            self._failed(error, doing)
            return None
        finally:
            self.watch.end()
            if _printed() > before:
                self.watch.note("prints")

    def _failed(self, error: BaseException, doing: str) -> None:
        file, line = self._line_of(error)
        if isinstance(error, ModuleNotFoundError) and not self._is_own(error.name):
            message = (
                f"{doing} needs the module {describe(error.name)}, which isn't installed here: "
                "install it, or name the folder that it is in by --path"
            )
            self.teller.tell("PK702", message, file, line)
            return
        self.teller.tell("PK701", f"{doing} raises {_said(error)}", file, line)

    def _is_own(self, name: str | None) -> bool:
        own = self.candidate.module
        return name is not None and (name == own or name.startswith(f"{own}."))

    def _line_of(self, error: BaseException) -> tuple[str, int]:
        """Return the innermost line of the plugin that an error came through."""
        found = ("", 0)
        prefix = str(self.folder) + os.sep
        trace = error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file.startswith(prefix):
                found = (file, trace.tb_lineno)
            trace = trace.tb_next
        return found

    def _side_effects(self) -> None:
        for (_said, file, line), message in self.watch.seen.items():
            advice = "do it in on_app_ready(), or when it is needed first"
            self.teller.tell("PK704", f"{message}: {advice}", file, line)

    def _manifest(self, module: ModuleType) -> None:
        before = read_manifest(self.folder, self.candidate.package)
        known = {(problem.what, problem.found) for problem in before.problems}
        problems = [
            problem
            for problem in complete(before, module).problems
            if problem.what != SOURCE and (problem.what, problem.found) not in known
        ]
        for problem in problems:
            code = "PK002" if problem.found == "nothing" else "PK003"
            self.teller.tell(code, _text(problem))

    def _problems(self, code: str, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            if problem.found.startswith("no template file"):
                self.teller.tell("PK103", _text(problem))
            elif problem.found.startswith("the unknown name"):
                self.teller.tell("PK101", _text(problem))
            else:
                self.teller.tell(code, _text(problem))

    def _register(self, shapes: Mapping[str, Any]) -> None:
        """Give routes to an application, as Werkzeug and Flask say what is wrong with them."""
        from flask import Flask

        app = Flask("pluginkit_check", root_path=str(self.folder), static_folder=None)
        bep = shapes["bep"]
        try:
            if bep and bep.get("parent") is None:
                app.register_blueprint(bep["blueprint"], url_prefix=bep["prefix"])
            for rule, view, endpoint, options, blueprint in shapes["vep"]:
                if not blueprint:
                    app.add_url_rule(rule, endpoint, view, **options)
        except (TypeError, ValueError, AssertionError, LookupError) as error:
            file, line = self._line_of(error)
            message = f"Flask refuses what register() returns: {_said(error)}"
            self.teller.tell("PK705", message, file, line)

    def _templates(self, shapes: Mapping[str, Any]) -> None:
        """Compile the code of slots that the source doesn't show."""
        for slot, parts in shapes["tep"].items():
            if slot in self.given["known_slots"] or "cod" not in parts:
                continue
            found = parse_template(parse_code(parts["cod"])[1], "")
            if isinstance(found, tuple):
                message = f"code for the slot {describe(slot)}: {found[0]}"
                self.teller.tell("PK107", message)


def _candidate(plugin: Mapping[str, str]) -> Candidate:
    folder, location = Path(plugin["folder"]), Path(plugin["location"])
    origin = {NAMESPACE: Origin.NAMESPACE, "plugins": Origin.FOLDER}.get(location.name)
    if origin is None:
        return Candidate(
            package=folder.name, module=folder.name, folder=folder, origin=Origin.PACKAGE
        )
    return Candidate(
        package=folder.name,
        module=f"{location.name}.{folder.name}",
        folder=folder,
        origin=origin,
        location=location,
    )


def _printed() -> int:
    """Return how much was printed so far."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    try:
        return max(os.fstat(number).st_size for number in (1, 2))
    except OSError:
        return 0


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {clean(error, 400)}"


def _text(problem: Problem) -> str:
    text = f"{problem.what}: found {problem.found}, expected {problem.expected}"
    return f"{text}; {problem.advice}" if problem.advice else text


def _limit(seconds: float) -> None:
    """Bound what an accident can use up, where the system can."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_FSIZE: _LARGEST_FILE,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(seconds) + 5,
        resource.RLIMIT_DATA: _MOST_MEMORY,
    }
    for kind, limit in limits.items():
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):
            continue
