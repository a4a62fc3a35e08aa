"""Checking a path: every plugin there, by every rule, and by running it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Final

from flask_pluginkit.exceptions import ParamError
from flask_pluginkit.text import clean, describe

from .archives import is_archive, unpack
from .codes import ISOLATION, parse_codes
from .places import Found, Names, Place, find_places
from .reports import Checked, Finding, Report, in_order, make_finding
from .rules.files import check_files
from .rules.hooks import check_hooks
from .rules.isolated import check_isolated
from .rules.manifest import check_manifest
from .rules.modern import check_modern
from .rules.names import check_names
from .rules.output import check_output
from .rules.permitted import check_permitted
from .rules.project import check_project
from .rules.references import check_references
from .rules.registered import check_registered
from .rules.shared import check_shared
from .running import run
from .sources import Fault
from .subjects import Subject
from .suppressions import suppress

SECONDS: Final = 20.0
"""For how long importing one plugin and calling its ``register()`` may take."""

MOST_FINDINGS: Final = 500
"""What one rule finds in one plugin: nobody reads more, and finding it all may take for ever."""

RULES: Final[Sequence[Callable[[Subject], Iterator[Finding]]]] = (
    check_files,
    check_manifest,
    check_registered,
    check_references,
    check_names,
    check_output,
    check_hooks,
    check_shared,
    check_permitted,
    check_isolated,
    check_project,
    check_modern,
)
"""Everything that is looked at without running anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a check was asked for."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    isolated: bool = False
    runs: bool = True
    seconds: float = SECONDS
    paths: tuple[Path, ...] = ()

    def wants(self, code: str) -> bool:
        """Tell whether a code is selected; the longer one of two that name it decides."""
        selected = max((len(each) for each in self.select if code.startswith(each)), default=0)
        ignored = max((len(each) for each in self.ignore if code.startswith(each)), default=0)
        return selected > ignored or not (self.select or ignored)

    def wants_of(self, code: str, subject: Subject) -> bool:
        """Tell the same for one plugin: what isolation needs counts where it is meant."""
        if code.startswith(ISOLATION) and not subject.is_for_isolation:
            return self.wants(code) and any(each.startswith(ISOLATION) for each in self.select)
        return self.wants(code)


def check(
    path: str | PathLike[str],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    isolated: bool = False,
    run: bool | None = None,
    timeout: float = SECONDS,
    paths: Sequence[str | PathLike[str]] = (),
    base: Path | None = None,
) -> Report:
    """Return what there is to say about the plugins at `path`.

    Args:
        path: a plugin's folder, a project, a folder of plugins, a wheel, or an sdist.
        select: codes, or beginnings of some, that are looked for; nothing is all of them.
        ignore: codes, or beginnings of some, that aren't; the longer one of two decides.
        isolated: whether the plugins are meant to run isolated, also where they don't say so
            by ``__permissions__``.
        run: whether plugins are imported, each in a process of its own; None: those that aren't
            in an archive are.
        timeout: seconds that running one plugin may take.
        paths: folders to import from, such as that of the host's package.
        base: the folder from which paths in findings count; by default the current one.

    Raises:
        ParamError: there is no such path, or no such code.

    """
    try:
        selected, ignored = parse_codes(select), parse_codes(ignore)
    except ValueError as error:
        raise ParamError(str(error)) from error
    start = Path(path)
    if not start.exists():
        raise ParamError(f"there is no {describe(str(path), 300)}")
    is_packed = start.is_file()
    options = Options(
        select=selected,
        ignore=ignored,
        isolated=isolated,
        runs=(not is_packed if run is None else run),
        seconds=timeout,
        # a host's package may lie beside its plugins
        paths=tuple(Path(each).resolve() for each in (*paths, *(() if is_packed else (path,)))),
    )
    names = Names((base or Path.cwd()).absolute())
    with ExitStack() as stack:
        if is_packed:
            found = _found_in_archive(start, names, stack)
        else:
            found = find_places(start.absolute(), names)
        return _checked(found, options)


def _found_in_archive(archive: Path, names: Names, stack: ExitStack) -> Found:
    """Return the plugins of an archive, which is unpacked until `stack` is closed.

    Raises `ParamError` for a file that isn't an archive.
    """
    if not is_archive(archive):
        message = "expected a folder, a wheel (.whl) or an sdist (.tar.gz)"
        raise ParamError(f"{describe(archive.name)} can't be checked: {message}")
    shown = names.shown(archive.absolute())
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pluginkit"))).resolve()
    faults = unpack(archive, folder, shown)
    inside = Names(folder, (folder, shown))
    found = find_places(folder, inside, is_installed=archive.suffix == ".whl")
    return Found(places=found.places, faults=(*faults, *found.faults))


def _checked(found: Found, options: Options) -> Report:
    findings = [_of_fault(fault) for fault in found.faults if options.wants(fault.code)]
    plugins = []
    suppressed = 0
    for place in found.places:
        subject = Subject(place, isolated=options.isolated)
        some, was_run = _findings(subject, found.places, options)
        wanted = _Wanted(options, subject, was_run=was_run)
        kept, count = suppress(subject, filter(wanted.finding, some), wanted.is_judged)
        findings += filter(wanted.finding, kept)
        suppressed += count
        plugins.append(
            Checked(name=clean(subject.name, 100), path=clean(place.shown, 300), was_run=was_run)
        )
    return Report(plugins=tuple(plugins), findings=in_order(findings), suppressed=suppressed)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which codes count for one plugin."""

    options: Options
    subject: Subject
    _: KW_ONLY
    was_run: bool

    def finding(self, finding: Finding) -> bool:
        """Tell whether a finding is one of those."""
        return self.options.wants_of(finding.code, self.subject)

    def is_judged(self, code: str) -> bool:
        """Tell whether a code was looked for, so that its absence means something."""
        is_looked_for = self.was_run or not code.startswith("PK7")
        return is_looked_for and self.options.wants_of(code, self.subject)


def _findings(
    subject: Subject, places: Sequence[Place], options: Options
) -> tuple[list[Finding], bool]:
    """Return everything that is found in one plugin, and whether it was run."""
    findings: list[Finding] = []
    for rule in RULES:
        try:
            found = [*islice(rule(subject), MOST_FINDINGS + 1)]
        except RecursionError:
            message = f"not looked at by {rule.__name__}: something is nested too deep"
            findings.append(subject.in_file("PK008", subject.shown_init, message))
            continue
        findings += found[:MOST_FINDINGS]
        if len(found) > MOST_FINDINGS:
            message = f"not looked at to the end by {rule.__name__}: it finds too much"
            findings.append(subject.in_file("PK008", subject.shown_init, message))
    is_sound = not any(
        one.code in {"PK001", "PK002", "PK003", "PK006"} and one.severity == "error"
        for one in findings
    )
    if not (options.runs and is_sound):
        return findings, False
    ran, was_run = run(subject, places, options.paths, options.seconds)
    known = {(one.code, one.path) for one in findings}
    # what the source told already is told where it stands
    findings += [one for one in ran if (one.code, one.path) not in known]
    return findings, was_run


def _of_fault(fault: Fault) -> Finding:
    return make_finding(fault.code, fault.message, path=fault.path, place=(fault.line, 0))
