"""``flask plugins check``: what there is to say about plugins before anybody runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from flask_pluginkit.exceptions import ParamError

from .tables import aligned, say, terminal_width, wrapped

if TYPE_CHECKING:
    from flask_pluginkit.checks import Finding, Report

COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}

DOCUMENTATION: Final = "docs/checks"


def _show_codes(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print the table of codes and end."""
    if not wanted or context.resilient_parsing:
        return
    from flask_pluginkit.checks import CODES

    rows = [(code.code, code.severity.value, code.title) for code in CODES.values()]
    for line in aligned([("CODE", "SEVERITY", "WHAT IT SAYS"), *rows], terminal_width()):
        say(line)
    context.exit()


@click.command("check")
@click.argument("path", type=click.Path(exists=True), default=".", metavar="[PATH]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.option("--select", multiple=True, metavar="CODES", help="Only these: PK2,PK103.")
@click.option("--ignore", multiple=True, metavar="CODES", help="All but these.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    default="warning",
    show_default=True,
    help="Which findings make the exit code 1.",
)
@click.option("--isolated", is_flag=True, help="Tell what an isolated run would refuse.")
@click.option(
    "--run/--static",
    "run",
    default=None,
    help="Whether plugins are run, too; else those in folders are, those in archives aren't.",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="A folder to import from, such as that of the host's package.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    help="Seconds that running one plugin may take.",
)
@click.option(
    "--codes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_codes,
    help="List all codes.",
)
def check(
    path: str,
    as_json: bool,
    fail_on: str,
    **options: Any,
) -> None:
    """Look for mistakes in the plugins at PATH.

    PATH is a plugin's folder, a project, a folder of plugins, a wheel or an sdist; without it the
    current folder. No application is needed.

    Plugins are read, and then run: each is imported, in a process of its own with a time limit,
    and its register() is called. That is no sandbox. With --static none of their code is run: use
    it for code that you don't trust.

    Exit codes: 0 nothing found, 1 something found, 2 wrong usage. A comment suppresses a finding:
    "# pluginkit: ignore[PK201] the reason", in templates "{# ... #}".
    """
    from flask_pluginkit.checks import Severity
    from flask_pluginkit.checks import check as check_path

    try:
        report = check_path(path, **options)
    except ParamError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        for line in _lines(report, terminal_width()):
            say(line)
    if report.reaches(Severity(fail_on)):
        raise click.exceptions.Exit(1)


def _lines(report: Report, width: int) -> Iterator[str]:
    for finding in report.findings:
        yield from _finding(finding, width)
    yield _summary(report)


def _finding(finding: Finding, width: int) -> Iterator[str]:
    """Make the lines of one finding; the first has its place, as editors expect."""
    numbers = [str(number) for number in finding.place if number]
    kind = click.style(finding.severity.value, fg=COLOURS[finding.severity.value])
    yield f"{':'.join([finding.path, *numbers])}: {finding.code} {kind}"
    yield from (f"    {line}" for line in wrapped(finding.message, width - 4))


def _summary(report: Report) -> str:
    """Return one line about everything."""
    names = [plugin.name for plugin in report.plugins]
    counts = [f"{count} {_plural(kind, count)}" for kind, count in report.counts().items() if count]
    what = f"{len(names)} plugins" if len(names) != 1 else names[0]
    parts = [f"{what}: {', '.join(counts) or 'nothing found'}"]
    if report.suppressed:
        parts.append(f"{report.suppressed} suppressed")
    if counts:
        parts.append(f"codes are explained in {DOCUMENTATION}")
    not_run = sum(not plugin.was_run for plugin in report.plugins)
    if not_run:
        parts.append("not run" if len(names) == 1 else f"{not_run} not run")
    return "; ".join(parts)


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}s"
