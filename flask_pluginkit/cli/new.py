"""``flask plugins new``: a project for a new plugin, complete with tests."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from .generating import Answers, completed, fault, generate, questions
from .host import refusals

F = TypeVar("F", bound=Callable[..., Any])

PARTS: Final = {
    "views": "pages of its own",
    "tep": "something in the application's pages",
    "hooks": "a function that runs after each request",
    "static": "static files",
    "cli": "a command for the terminal",
    "isolated_ready": "tests in a sandbox, too",
}
"""What a plugin may begin with: the options that are yes or no."""

LICENSES: Final = ("MIT", "BSD-3-Clause", "Apache-2.0", "Proprietary")


def _part_options(function: F) -> F:
    """Add an option for each part; None is what the template takes."""
    for part, text in reversed(PARTS.items()):
        flag = part.replace("_", "-")
        named = f"--{flag}/--no-{flag}"
        function = click.option(named, part, default=None, help=f"With {text}, or not.")(function)
    return function


def _usable(
    _context: click.Context | None, parameter: click.Parameter, answer: str | None
) -> str | None:
    """Refuse what the template has no use for, as click refuses arguments."""
    with refusals():
        if answer is not None and (reason := fault(str(parameter.name), answer)):
            raise click.BadParameter(f"{reason}.")
    return answer


@click.command("new")
@click.argument("name", callback=_usable, required=False, metavar="NAME")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder in which the project's folder is made; else the current one.",
)
@click.option(
    "--project", callback=_usable, help="The distribution's name; else flask-pluginkit-NAME."
)
@click.option("--description", callback=_usable, help="What the plugin does, in one line.")
@click.option("--author", callback=_usable, help="Who wrote it.")
@click.option("--license", type=click.Choice(LICENSES), help="Under which terms; else MIT.")
@_part_options
@click.option("--ask", is_flag=True, help="Ask for everything that isn't given.")
def new(name: str | None, into: Path, ask: bool, **given: str | bool | None) -> None:
    """Make a project for a new plugin called NAME, complete with tests.

    NAME is what applications see, such as hello or opening_hours. Nothing is asked unless
    --ask says so; nothing outside of the new folder is touched.
    """
    answers = {key: answer for key, answer in given.items() if answer is not None}
    if name is not None:
        answers["name"] = name
    elif not ask:
        raise click.UsageError("Missing argument 'NAME', such as hello.")
    with refusals():
        complete = completed(_asked(answers) if ask else answers)
        made = generate(complete, into)
    click.echo(f"{complete['name']}: made in {made}. What to do next:\n")
    for line in _next_steps(complete, made):
        click.echo(f"    {line}")
    click.echo("\nThe last one serves a page with the plugin in it, until Ctrl-C. What it adds")
    click.echo(f"is in src/pluginkit_plugins/{complete['name']}/__init__.py")


def _asked(answers: dict[str, str | bool]) -> dict[str, str | bool]:
    """Return the answers, with those that were asked for."""
    found = dict(answers)
    for key, question in questions().items():
        if key not in found:
            found[key] = _answer(key, question, completed(found)[key])
    return found


def _answer(key: str, question: str, default: Any) -> str | bool:
    if key in PARTS:
        return click.confirm(question, default=default)
    if key == "license":
        chosen: str = click.prompt(question, default=default, type=click.Choice(LICENSES))
        return chosen
    while True:
        answer: str = click.prompt(question, default=default)
        if not (reason := fault(key, answer)):
            return answer
        click.echo(f"{reason}.", err=True)


def _next_steps(answers: Answers, made: Path) -> Iterator[str]:
    """Yield commands for a shell, of which each works after the one before it."""
    extra = " 'Flask-PluginKit[sandbox]'" if answers["isolated_ready"] else ""
    yield f"cd {shlex.quote(str(made))}"
    yield f"{_program('python')} -m pip install -e . pytest{extra}"
    yield f"{_program('python')} -m pytest"
    yield f"{_program('flask')} plugins check ."
    yield f"{_program('flask')} --app demo run --debug"


def _program(name: str) -> str:
    """Return how a shell finds a program of this very Python, which may not be the first."""
    own = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not own.exists() or (found is not None and Path(found) == own):
        return name
    return shlex.quote(str(own))
