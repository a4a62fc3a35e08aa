"""The tasks of this project: ``nox -l`` lists them, ``nox`` runs all but the last."""

from __future__ import annotations

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PLUGIN = "src/pluginkit_plugins/{{ cookiecutter.name }}"

nox.options.sessions = ["lint", "types", "tests", "check"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's checks and its formatting."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.install(".", *group("types"))
    session.run("mypy", "src", "tests", "demo.py")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; arguments go to pytest. ``tox`` runs them with every Python and Flask."""
    session.install(".", *group("test"))
    session.run("pytest", *session.posargs)


@nox.session
def check(session: nox.Session) -> None:
    """Flask-PluginKit's own checks of plugins."""
    session.install(".", *group("test"))
    session.run("flask", "plugins", "check", ".")


@nox.session
def build(session: nox.Session) -> None:
    """Make a wheel and an sdist in dist/."""
    session.install("build")
    session.run("python", "-m", "build")
