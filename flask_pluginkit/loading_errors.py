"""What to tell of plugins that can't be loaded, or can't rework others."""

from __future__ import annotations

from .exceptions import (
    ConflictError,
    LoadError,
    ManifestError,
    PEPError,
    PluginError,
    Problem,
    ProblemsError,
)
from .loadings import Loading
from .manifest import Manifest
from .text import clean, describe
from .version import __version__


def describe_error(error: BaseException) -> str:
    """Return the text of an exception of somebody else's, fit for one line of a log."""
    try:
        return clean(str(error), 300) or "no message"
    except Exception:  # noqa: BLE001 - its own __str__ may fail
        return "no readable message"


def not_imported(loading: Loading, error: BaseException) -> LoadError:
    """Return what to tell of a plugin whose module can't be imported."""
    problem = Problem(
        where=str(loading.candidate.folder),
        what=f"import of {loading.candidate.module}",
        found=f"{type(error).__name__}: {describe_error(error)}",
        expected="a module that can be imported",
        advice="see the traceback",
    )
    wrapped = LoadError(problem)
    wrapped.__cause__ = error
    return wrapped


def in_register(loading: Loading, error: BaseException) -> PluginError:
    """Return the error of ``register()`` as one of ours, with the plugin's own as its cause."""
    if isinstance(error, PluginError):
        return error
    wrapped = PEPError(
        f"{loading.name}: register() raised {type(error).__name__}: {describe_error(error)}"
    )
    wrapped.__cause__ = error
    return wrapped


def other_type(author: Loading, target: Loading, kind: str, after: object) -> PEPError:
    """Return what to tell of a ``p3`` function that returned another type than it was given."""
    return PEPError(
        f"plugin {author.name!r}: p3[{target.name!r}][{kind!r}] returned {describe(after)}, "
        f"expected a {type(target.shapes[kind]).__name__} as it was given"
    )


def equal_names(winner: Loading, loser: Loading) -> ConflictError:
    """Return what to tell of a plugin whose name another one has."""
    return ConflictError(
        Problem(
            where=str(loser.candidate.folder),
            what="__plugin_name__",
            found=f"{loser.name!r}, the name of the plugin in {winner.candidate.folder} too",
            expected="a name that no other plugin has",
            advice="rename or remove one of the two",
        )
    )


def wrong_version(manifest: Manifest) -> ProblemsError:
    """Return what to tell of a plugin made for other versions of Flask-PluginKit."""
    return ManifestError(
        Problem(
            where=f"{manifest.package}/__init__.py",
            what="__appversion__",
            found=manifest.appversion,
            expected=f"a range that has Flask-PluginKit {__version__}",
            advice="install a version of the plugin made for this one",
        )
    )
