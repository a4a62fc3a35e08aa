"""Every exception of Flask-PluginKit, as one tree under :class:`PluginError`.

The first group has the names and the places in the tree that 3.x gave them, so that
``except`` clauses written for 3.x go on working. The second group says more: such an
exception holds *all* problems of an input, each with where it is, what was found, what was
expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

from .frozen import Frozen


class PluginError(Exception):
    """Base of every exception that this package raises on purpose."""


class ParamError(PluginError):
    """An argument of a storage or helper function can't be used."""


class RunError(PluginError):
    """Something outside of this process failed, for example pip."""


class SupervisorError(RunError):
    """Plugins' own processes can't be asked for now, which is the doing of none of them."""


class VersionError(PluginError):
    """A version isn't semantic, or doesn't match what was required."""


class PEPError(PluginError):
    """A plugin's extension points or metadata are wrong (PEP: plugin extension point)."""


class TemplateNotFound(PluginError):
    """A template file named by a plugin doesn't exist."""


class TarError(PluginError):
    """A tar archive can't be used as a plugin."""


class ZipError(PluginError):
    """A zip archive can't be used as a plugin."""


class InstallError(PluginError):
    """Installing a plugin failed."""


class NotCallableError(PluginError):
    """A function was expected."""


class NotImplementedError(PluginError):  # noqa: A001 - the name is 3.x's
    """A method that a subclass must override was called."""


class Problem(Frozen):
    """One thing that is wrong with an input that somebody else wrote."""

    where: str
    """The file, or the plugin and the call: ``hello/__init__.py``, ``hello: register()``."""
    what: str
    """The part of it: a dunder, a key, a path into a value such as ``vep[1]['rule']``."""
    found: str
    """What stands there, shortened and in printable characters."""
    expected: str
    """What would have been right, with an example."""
    advice: str = ""
    """What to do about it, where that isn't plain from `expected`."""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}: found {self.found}, expected {self.expected}"
        return f"{text}; {self.advice}" if self.advice else text


class ProblemsError(PluginError):
    """An exception that carries every problem of one input (`problems`)."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        # the single argument makes the exception picklable without further code
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class ManifestError(ProblemsError, PEPError, VersionError):
    """The metadata of a plugin can't be used.

    3.x raised `PEPError` for a missing dunder and `VersionError` for a version; as one
    manifest can have both problems, this is both.
    """


class RegistrationError(ProblemsError, PEPError):
    """What ``register()`` returned can't be used."""


class MissingTemplateError(RegistrationError, TemplateNotFound):
    """``register()`` names a template file that the plugin doesn't have."""


class RequirementError(ProblemsError, VersionError):
    """A plugin that is required is missing, disabled, failing, too old, or part of a cycle."""


class ConflictError(ProblemsError, PEPError):
    """Two owners want the same name or route."""


class LoadError(ProblemsError):
    """A plugin can't be imported; the exception of its code is the ``__cause__``."""


class StateError(PluginError):
    """The wanted state can't be read or written."""


class StateConflictError(StateError):
    """The state was changed by somebody else since it was loaded (`current`: its generation)."""

    def __init__(self, current: int) -> None:
        self.current = current
        # the single argument makes the exception picklable without further code
        super().__init__(current)

    def __str__(self) -> str:
        return (
            "the state of plugins was changed by somebody else meanwhile: it is at generation "
            f"{self.current}; load it and decide anew"
        )


class SwitchError(PluginError):
    """A plugin can't be enabled; nothing has changed.

    Args:
        plugin: its name.
        reason: why not.
        worker: the worker where it can't, empty if it is the process that was asked.

    """

    def __init__(self, plugin: str, reason: str, worker: str = "") -> None:
        super().__init__(plugin, reason, worker)
        self.plugin = plugin
        self.reason = reason
        self.worker = worker

    def __str__(self) -> str:
        where = f" in the worker {self.worker}" if self.worker else ""
        return f"plugin {self.plugin!r} can't be enabled{where}: {self.reason}; nothing has changed"


class SettingError(ProblemsError):
    """A setting of a plugin isn't set, or has a value that can't be used.

    `problems` has all that is wrong, `plugin`, `field`, `found`, `expected` and `advice` are of
    the first. What was found of a secret isn't told.

    Args:
        plugin: its name.
        field: the setting, or several of them if they don't fit together.
        found: what stands there, in words.
        expected: what would have been right.
        advice: what to do about it.
        more: further problems of the same plugin.

    """

    def __init__(
        self,
        plugin: str,
        field: str,
        found: str,
        expected: str,
        advice: str = "",
        more: tuple[Problem, ...] = (),
    ) -> None:
        where, what = f"plugin {plugin}", f"setting {field}"
        problem = Problem(where=where, what=what, found=found, expected=expected, advice=advice)
        super().__init__((problem, *more))
        self.args = (plugin, field, found, expected, advice, more)  # for pickle
        self.plugin, self.field, self.found = plugin, field, found
        self.expected, self.advice, self.more = expected, advice, more


class MissingExtraError(RunError):
    """An optional dependency is needed; the message names the extra to install."""


class SandboxUnavailable(ProblemsError):
    """A plugin can't be isolated here, so its code isn't run.

    `problems` says what of the sandbox is missing or doesn't hold, and what to do about it.
    """
