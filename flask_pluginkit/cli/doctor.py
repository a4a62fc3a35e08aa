"""``flask plugins doctor``: why a plugin isn't found, or isn't active, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from flask import current_app
from flask.cli import NoAppException

from flask_pluginkit.text import clean

from .host import HostFailed, NoManagerError, complete_names, enter_host, find_manager, hush
from .tables import coloured, heading, paragraph, say, terminal_width

if TYPE_CHECKING:
    from flask_pluginkit.snapshot import Plugin

    from .missing import Hint
    from .overlooked import Seen
    from .places import Place, Search

QUIET: Final = frozenset({"active", "found", "found already"})
"""What is told in one line for all."""

HARMLESS: Final = frozenset({*QUIET, "passed over", "disabled"})

MANY: Final = 300
"""From so many folders on, a terminal shows how far looking into them is."""


class Host(NamedTuple):
    """What is known of the application."""

    name: str
    search: Search
    rows: tuple[Plugin, ...]
    fault: str = ""
    """Why it can't be started, or asked."""


@click.command("doctor")
@click.argument("name", required=False, shell_complete=complete_names)
@click.pass_context
def doctor(context: click.Context, name: str | None) -> None:
    """Tell why a plugin isn't found, or isn't active.

    Shows every place where plugins are looked for, in order, what was seen there, and what to
    do. The exit code is 1 if something is wrong, and with NAME, if that plugin isn't active.
    Works without an application, too.
    """
    from .places import survey

    host = _host(context)
    places = survey(host.search, host.rows)
    width = terminal_width()
    for line in _overview(host, places, width):
        say(line)
    findings = [*_general(host, places)]
    is_wrong = bool(findings)
    if name is not None:
        findings, is_wrong = _about(_name_of(name, host), host, places)
    for line in _verdict(findings, width):
        say(line)
    if is_wrong:
        context.exit(1)


# --- the application --------------------------------------------------------------------------


def _host(context: click.Context) -> Host:
    from .places import Search

    here = Search(Path.cwd(), "plugins", (), ())
    hush()
    try:
        enter_host(context)
    except (HostFailed, NoAppException) as error:
        site = _site_in(error)
        fault = clean(error.message, 1000, multiline=True)
        return Host("", here if site is None else _search_of(site), (), fault)
    try:
        manager = find_manager()
    except NoManagerError as error:
        name = clean(current_app.name, 100)
        search = here._replace(base=Path(current_app.root_path))
        return Host(name, search, (), clean(error.format_message(), 1000))
    manager.conflicts  # noqa: B018 - asking settles names: a plugin may fail at that
    site = manager._site()  # noqa: SLF001 - of our own package
    return Host(clean(current_app.name, 100), _search_of(site), manager.plugins)


def _search_of(site: Any) -> Search:
    from .places import Search

    options = site.options
    return Search(site.base, site.folder, options.plugin_packages, options.plugin_paths)


def _site_in(error: BaseException) -> Any:
    """Return the site that was being started when `error` was raised, None if there is none."""
    from flask_pluginkit.application import Site

    cause: BaseException | None = error
    while cause is not None:
        step = cause.__traceback__
        while step is not None:
            found = step.tb_frame.f_locals.get("self")
            if isinstance(found, Site):
                return found
            step = step.tb_next
        cause = cause.__cause__ or cause.__context__
    return None


def _name_of(text: str, host: Host) -> str:
    """Return the name of a plugin whose folder is given, else the text itself."""
    folder = Path(text)
    if not (folder.is_dir() and ("/" in text or "\\" in text)):
        return text
    for row in host.rows:
        if row.candidate.folder == folder.resolve():
            return row.name
    return folder.resolve().name


# --- what is wrong ----------------------------------------------------------------------------


def _general(host: Host, places: Iterable[Place]) -> Iterator[Hint]:
    from .missing import Hint

    if host.fault:
        yield Hint("there is no application with plugins that can be started", "mend that first")
    known = set()
    for place in places:
        for seen in place.seen:
            known.add(seen.plugin)
            if seen.verdict not in HARMLESS:
                yield Hint(f"{seen.label} is {seen.verdict}", _advice(seen))
    for row in host.rows:
        if row.name not in known:
            yield Hint(f"{clean(row.name, 100)} is {row.status.value}: {row.reason}", "")


def _advice(seen: Seen) -> str:
    name = clean(seen.plugin, 100)
    return seen.advice or {
        "disabled": f"flask plugins enable {name}",
        "quarantined": f"mend it, then: flask plugins enable {name}",
    }.get(seen.verdict, f"see what it says above; more: flask plugins show {name}")


def _found(name: str, place: Place, seen: Seen) -> Hint:
    from .missing import Hint

    where = f"in {place.path}" if place.path else f"among {place.title}"
    match seen.verdict:
        case "active":
            return Hint(f"{name}, found {where}, is active", "")
        case "found":
            text = f"{name} was found {where}; more is known once the application starts"
            return Hint(text, "mend that first")
    return Hint(f"{name} was found {where}, and is {seen.verdict}: {seen.remark}", _advice(seen))


def _about(name: str, host: Host, places: list[Place]) -> tuple[list[Hint], bool]:
    """Return what to say of one plugin, and whether something is wrong with it."""
    from .missing import Hint, folders_near, hints, how_to_bring_it, lies_elsewhere

    shown = clean(name, 100)
    known = [
        (place, seen)
        for place in places
        for seen in place.seen
        if seen.plugin == name and seen.verdict != "found already"
    ]
    if known:
        told = [_found(shown, place, seen) for place, seen in known]
        return told, all(seen.verdict != "active" for _place, seen in known)
    found = [*hints(name, places)]
    folders = folders_near(host.search, places)
    if len(folders) >= MANY and sys.stderr.isatty():
        with click.progressbar(folders, label="looking elsewhere", file=sys.stderr) as bar:
            found += lies_elsewhere(name, host.search, bar)
    else:
        found += lies_elsewhere(name, host.search, folders)
    if not found:
        found = [Hint(way, "") for way in how_to_bring_it(name, host.search)]
    return [Hint(f"no plugin called {shown!r} was found in these places", ""), *found], True


# --- what is shown ----------------------------------------------------------------------------


def _overview(host: Host, places: Iterable[Place], width: int) -> Iterator[str]:
    yield from paragraph(f"Python {sys.executable}", width)
    if host.name:
        yield f"Application {host.name}"
    if host.fault:
        yield from paragraph(click.style(host.fault, fg="red"), width)
    for number, place in enumerate(places, 1):
        yield ""
        yield from paragraph(place.title, width, indent=4, first=f"{number}. ")
        if place.path:
            yield from paragraph(place.path, width, indent=4)
        if place.remark or not place.seen:
            yield from paragraph(place.remark or "nothing", width, indent=4)
        yield from _seen(place.seen, width)


def _seen(all_seen: Iterable[Seen], width: int) -> Iterator[str]:
    together: dict[str, list[str]] = {}
    for seen in all_seen:
        if seen.verdict in QUIET and not seen.remark:
            together.setdefault(seen.verdict, []).append(seen.label)
    for verdict, labels in together.items():
        text = ", ".join(labels)
        yield from paragraph(f"{coloured(verdict)}: {text}", width, indent=4)
    for seen in all_seen:
        if seen.verdict not in QUIET or seen.remark:
            text = f"{seen.label}: {coloured(seen.verdict)}"
            text += f": {seen.remark}" if seen.remark else ""
            yield from paragraph(text, width, indent=6, first="- ")


def _verdict(findings: list[Hint], width: int) -> Iterator[str]:
    yield ""
    if not findings:
        yield "Nothing is wrong."
        return
    yield heading("What to do" if any(one.advice for one in findings) else "Result")
    for text, advice in findings:
        yield from paragraph(text, width, indent=4, first="- ")
        if advice:
            yield from paragraph(advice, width, indent=7, first="-> ")
