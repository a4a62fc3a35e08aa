"""The tasks of this project: ``nox -l`` lists them, ``nox -s NAME`` runs one.

They need Python and git on the machine and nothing else. What is tested, served and measured
is the wheel that the session `build` makes, installed into an environment of the session's
own. Environments are kept for the next run; ``nox -N`` makes them anew.
"""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"  # the first where sessions can require others
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
DIST = ROOT / "dist"
EXAMPLE_DIST = DIST / "examples"
BUILD = ["python", "-P", "-m", "build", "--no-isolation"]  # -P: a folder build/ isn't the tool

# PYTHONPATH could put the checkout, or anything else, before what a session has installed;
# tests/conftest.py stops a run with the second variable that imports from the checkout.
INSTALLED = {"PYTHONPATH": None, "PLUGINKIT_TEST_INSTALLED": "1"}


@nox.session(requires=["build"])
def tests(session: nox.Session) -> None:
    """The fast tests, on the installed wheel, with branch coverage; arguments go to pytest."""
    install(session, groups=["test"], extras=["async", "redis", "sandbox", "template"])
    session.run("coverage", "erase")
    # -P: without it the current folder, which is the checkout, would be imported from
    measured = ["python", "-P", "-m", "coverage", "run", "-m", "pytest"]
    if session.posargs:
        session.run(*measured, *session.posargs, env=INSTALLED)
    else:
        run_in_halves(session, measured)
    session.run("coverage", "combine", "--quiet")
    # a part of the tests can't reach the coverage of all
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


@nox.session(requires=["build"])
def demo(session: nox.Session) -> None:
    """Serve examples/bulletin with its plugins until Ctrl-C; arguments go to its run.py."""
    install(session, groups=["demo"], wheels=make_example_wheels(session))
    # whoever ends nox ends the server, also from a shell that hides SIGINT from its jobs
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    session.run(
        "python",
        "examples/bulletin/run.py",
        *session.posargs,
        env={"PYTHONPATH": None},
        # Ctrl-C reaches the server from the terminal. Where only nox got the signal, the
        # server is told to terminate after the first time, and must be gone after both.
        interrupt_timeout=2,
        terminate_timeout=20,
    )


@nox.session(requires=["build"])
def integration(session: nox.Session) -> None:
    """The real things: gunicorn, Chromium, Redis, published plugins, the README's demo."""
    # not the examples' plugins: every host in this environment would find them
    install(
        session, groups=["integration", "published", "uwsgi"], extras=["async", "redis", "sandbox"]
    )
    arguments = session.posargs or ["integration"]
    session.run("python", "-P", "-m", "pytest", *arguments, env=INSTALLED)


@nox.session(requires=["build"])
def soak(session: nox.Session) -> None:
    """Switch plugins live as often as is promised, and print what was measured (ten minutes)."""
    install(session, groups=["integration", "uwsgi"])
    files = sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "integration").glob("test_live*")
    )
    command = ["python", "-P", "-m", "pytest", *(session.posargs or files)]
    session.run(*command, env={**INSTALLED, "PLUGINKIT_SOAK": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's checks and its formatting."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over everything that is Python."""
    project = PROJECT["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    session.install(*project["dependencies"], *extras, *group("types"))
    session.run("mypy", "flask_pluginkit", "noxfile.py")
    for folder in ("tests", "integration", "benchmarks"):
        if any((ROOT / folder).rglob("*.py")):
            session.run("mypy", folder)
    for example in sorted((ROOT / "examples").glob("*/")):
        # each plugin is a source tree of its own that adds to one namespace
        roots = [example, *(path.parent for path in example.rglob("pluginkit_plugins"))]
        path = {"MYPYPATH": os.pathsep.join(map(str, roots))}
        session.run("mypy", "--explicit-package-bases", str(example), env=path)


@nox.session
def tox(session: nox.Session) -> None:
    """The fast tests with every supported Python and Flask, and with the oldest versions."""
    session.install(*group("tox"))
    # In CI a missing interpreter is a failure, elsewhere tox lists it as skipped.
    missing = f"--skip-missing-interpreters={'false' if os.environ.get('CI') else 'true'}"
    # tests wait for a third of their time: for a deadline, or a process that is to end
    at_once = str((os.cpu_count() or 1) + 1)
    parallel = ["run-parallel", "--parallel", at_once, "--parallel-no-spinner"]
    session.run("tox", *parallel, missing, *session.posargs, env={"PYTHONPATH": None})


@nox.session(requires=["build"])
def template(session: nox.Session) -> None:
    """A plugin from the template, built and tested; with ``all``, every combination of options.

    Of all combinations code and formatting are looked at. Those that are built, installed
    beside our wheel, type-checked and tested are eight, in which any two answers meet.
    """
    install(session, groups=["template"], extras=["sandbox", "template"])
    with tempfile.TemporaryDirectory(prefix="pluginkit-template-") as folder:
        make = ["python", "-P", "tests/template_projects.py", folder, *session.posargs]
        session.run(*make, env=INSTALLED)
        session.run("python", "-m", "compileall", "-q", folder)
        session.run("ruff", "check", "--no-cache", folder)
        session.run("ruff", "format", "--no-cache", "--check", folder)
        projects = sorted(Path(folder, "built").iterdir())
        for project in projects:
            session.run(*BUILD, "--wheel", "--outdir", folder, str(project), silent=True)
        wheels = sorted(Path(folder).glob("*.whl"))
        session.install("--no-deps", "--force-reinstall", *map(str, wheels))
        for project in projects:
            try_plugin(session, project, cache=Path(folder, "mypy"))
        # the next run's plugins may be others
        session.run("pip", "uninstall", "-qy", *(project.name for project in projects))


@nox.session(requires=["build"])
def bench(session: nox.Session) -> None:
    """Measure against Flask-PluginKit 3.12.1 and plain Flask; arguments go to run.py."""
    install(session)
    # makes the environment of the former release itself
    session.run("python", "benchmarks/run.py", *session.posargs, env=INSTALLED)


@nox.session(name="bench-isolation", requires=["build"])
def bench_isolation(session: nox.Session) -> None:
    """Measure plugins in processes of their own; as root, on a quiet Linux machine."""
    install(session, groups=["integration"], extras=["sandbox"])
    session.run("python", "-P", "benchmarks/isolation.py", *session.posargs, env=INSTALLED)


@nox.session
def build(session: nox.Session) -> None:
    """Make sdist and wheel in dist/, and check what is in them."""
    session.install(*group("build"))
    shutil.rmtree(DIST, ignore_errors=True)
    session.run(*BUILD, "--outdir", str(DIST), silent=True)
    check_sdist(session)
    check_wheel(session)


# ---- what the sessions share ---------------------------------------------------------------


def group(*names: str) -> list[str]:
    """The requirements of dependency groups (``pip install --group`` needs a newer pip)."""
    return list(nox.project.dependency_groups(PROJECT, *names))


def install(
    session: nox.Session,
    *,
    groups: list[str] | None = None,
    extras: list[str] | None = None,
    wheels: list[Path] | None = None,
) -> None:
    """Install our wheel with `extras`, `wheels`, and the requirements of `groups`."""
    ours = str(our_wheel())
    others = [str(wheel) for wheel in wheels or []]
    # a kept environment holds the same version with yesterday's code
    session.install("--force-reinstall", "--no-deps", ours, *others)
    wanted = f"{ours}[{','.join(extras)}]" if extras else ours
    session.install(wanted, *others, *group(*groups or []))


def run_in_halves(session: nox.Session, command: list[str]) -> None:
    """Run all tests in two processes; what the second one says is printed when both are done."""
    # it would write into the first one's cache of what failed
    apart = ["-m", "flaskless or tooling", "-p", "no:cacheprovider"]
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(session.run, *command, *apart, env=INSTALLED, silent=True)
        session.run(*command, "-m", "not flaskless and not tooling", env=INSTALLED)
    print(second.result())


def our_wheel() -> Path:
    """The wheel that the session `build` made."""
    (wheel,) = DIST.glob("flask_pluginkit-*.whl")
    return wheel


def make_example_wheels(session: nox.Session) -> list[Path]:
    """Make the wheels of the examples' plugins in dist/examples/, with the tools of `build`."""
    python = session.env_dir.parent / "build" / Path(session.bin).name / "python"
    make = [str(python), *BUILD[1:], "--wheel", "--outdir", str(EXAMPLE_DIST)]
    for project in sorted((ROOT / "examples").glob("*/plugins/*/pyproject.toml")):
        session.run(*make, str(project.parent), external=True, silent=True)
    return sorted(EXAMPLE_DIST.glob("*.whl"))


def try_plugin(session: nox.Session, project: Path, cache: Path) -> None:
    """Check the types of a project with an installed plugin, run its tests, and our checks."""
    with session.chdir(project):
        session.run("mypy", "src", "tests", "demo.py", env={"MYPY_CACHE_DIR": str(cache)})
        session.run("python", "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", env=INSTALLED)
        session.run("flask", "plugins", "check", ".", env=INSTALLED)


def check_wheel(session: nox.Session) -> None:
    """The wheel has every file of package and template, license, type marker, and no more."""
    with zipfile.ZipFile(our_wheel()) as wheel:
        inside = {name for name in wheel.namelist() if not name.endswith("/")}
    wanted = {
        *(path.relative_to(ROOT).as_posix() for path in files_below("flask_pluginkit")),
        *(
            f"flask_pluginkit/{path.relative_to(ROOT).as_posix()}"
            for path in files_below("plugin_template")
        ),
    }
    package = {name for name in inside if name.startswith("flask_pluginkit/")}
    rest = {name for name in inside - package if ".dist-info/" not in name}
    if differing := (package ^ wanted) | rest:
        session.error(f"the wheel differs from the package in {sorted(differing)}")
    if "flask_pluginkit/py.typed" not in package:
        session.error("the wheel lacks py.typed")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in inside):
        session.error("the wheel lacks the license")


def files_below(folder: str) -> Iterator[Path]:
    """The files in a folder of the checkout, without bytecode."""
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def check_sdist(session: nox.Session) -> None:
    """The sdist has what is needed to build and test it."""
    (path,) = DIST.glob("flask_pluginkit-*.tar.gz")
    with tarfile.open(path) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {
        *("LICENSE", "README.md", "pyproject.toml", "noxfile.py", "tests/conftest.py"),
        *(path.relative_to(ROOT).as_posix() for path in files_below("plugin_template")),
    }
    if lacking := wanted - inside:
        session.error(f"the sdist lacks {sorted(lacking)}")
