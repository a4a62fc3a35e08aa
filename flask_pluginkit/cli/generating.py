"""Making the project of a new plugin out of the template that comes with this package."""

from __future__ import annotations

import json
import os
import runpy
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.exceptions import MissingExtraError, ParamError, RunError
from flask_pluginkit.text import clean

PACKAGE: Final = Path(__file__).resolve().parent.parent

Answers = Mapping[str, str | bool]
"""What to make: a value for each name in the template's ``cookiecutter.json``, or for some."""


def template_folder() -> Path:
    """Return the template's folder: in the package that was installed, or in the checkout.

    Raises `RunError` where it is in neither.
    """
    places = (PACKAGE / "plugin_template", PACKAGE.parent / "plugin_template")
    for place in places:
        if (place / "cookiecutter.json").is_file():
            return place
    raise RunError(f"there is no template in {places[0]}: install Flask-PluginKit anew")


def questions() -> dict[str, str]:
    """Return what may be answered, each with its question, in the order to ask."""
    prompts: dict[str, str] = _defaults()["__prompts__"]
    return prompts


def completed(answers: Answers) -> dict[str, Any]:
    """Return `answers`, and for what isn't answered what the template takes.

    Raises `MissingExtraError` without cookiecutter.
    """
    make_environment = _cookiecutter("utils").create_env_with_context
    defaults = _defaults()
    environment = make_environment({"cookiecutter": defaults})
    found: dict[str, Any] = {}
    for key, default in defaults.items():
        if key in answers:
            found[key] = answers[key]
        elif isinstance(default, str):  # which may name the answers before it
            found[key] = environment.from_string(default).render(cookiecutter=found)
        elif isinstance(default, list):
            found[key] = default[0]
        else:
            found[key] = default
    return found


def fault(key: str, answer: str) -> str:
    """Return why an answer can't be used, and what to do about it; "" if it can."""
    reason: str = _rules("pre_gen_project")["fault"](key, answer)
    return f"{clean(repr(answer), 100)} {reason}" if reason else ""


def generate(answers: Answers, into: Path) -> Path:
    """Make the project and return its folder, which is new and lies in `into`.

    What isn't answered is as the template has it. Either all of it is there in the end, or
    nothing. Neither hooks nor git nor the network are used, and the user's settings for
    cookiecutter aren't read.

    Raises:
        MissingExtraError: cookiecutter isn't installed.
        ParamError: an answer can't be used.
        RunError: there is something of that name already, or the folder can't be written.

    """
    complete = completed(answers)
    if wrong := [*_rules("pre_gen_project")["faults"](complete)]:
        raise ParamError(clean("\n".join(wrong), 2000, multiline=True))
    target = into / str(complete["project"])
    if os.path.lexists(target):
        raise RunError(f"{target} is there already: take another folder with --into, or remove it")
    make = _cookiecutter("generate").generate_files
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-plugin-", dir=into) as place:
            made = Path(
                make(template_folder(), {"cookiecutter": complete}, place, accept_hooks=False)
            )
            chosen = {key for key, answer in complete.items() if answer is True}
            _rules("post_gen_project")["tidy"](made, chosen)
            made.rename(target)
    except OSError as error:
        raise RunError(f"{target} can't be made: {clean(error.strerror or error)}") from error
    return target


# ---- the template ----------------------------------------------------------------------------


def _defaults() -> dict[str, Any]:
    text = (template_folder() / "cookiecutter.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _rules(hook: str) -> dict[str, Any]:
    """Return what a hook of the template defines, which plain cookiecutter runs."""
    path = template_folder() / "hooks" / f"{hook}.py"
    found: dict[str, Any] = runpy.run_path(str(path), run_name="rules")
    return found


def _cookiecutter(module: str) -> Any:
    try:
        return import_module(f"cookiecutter.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "new plugins are made with an extra: pip install 'Flask-PluginKit[template]'"
        ) from error
