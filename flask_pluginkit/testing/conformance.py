"""The conformance suite: what every plugin is to keep, whatever it does.

One line in a test module brings it, and pytest reports a test for each thing that is looked at::

    from flask_pluginkit.testing import conformance

The tests use the fixtures of `plugin`, so what a module or a ``conftest.py`` overrides
(`plugin_name`, `plugin_host`, `plugin_values`, `plugin_config`) counts here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from flask_pluginkit.exceptions import PluginError, SandboxUnavailable

from . import clean_starts, escaping, exercising, permitting
from .kits import Kit
from .sites import Running, inactive

__all__ = ["Conformance"]

Look = Callable[[Running], Iterable[str]]
"""Looks at one thing in an application and yields what is wrong, in words."""


class Conformance:
    """The tests of the suite, for the plugin that the fixtures choose."""

    def manifest(self, pluginkit: Kit) -> None:
        """The manifest is valid, and says all that others want to know."""
        manifest = pluginkit.chosen.manifest
        found = [str(problem) for problem in (*manifest.problems, *manifest.warnings)]
        for dunder, value in (
            ("__description__", manifest.description),
            ("__license__", manifest.license),
        ):
            if not value and dunder not in manifest.computed:
                found.append(f"{manifest.folder.name}/__init__.py: {dunder} isn't there")
        _none(found, "the manifest isn't complete")

    def comes_and_goes(self, pluginkit: Kit) -> None:
        """Disabled, it leaves the application and the process as they were before it came."""
        # the first test that runs it: what it does once a process hasn't happened yet
        _none(
            clean_starts.left_behind(pluginkit.running),
            "after it was disabled, something of it is still there",
        )

    def import_without_side_effects(self, pluginkit: Kit) -> None:
        """Importing it starts nothing, opens nothing, writes nothing and changes nothing."""
        from .watching import side_effects

        _none(
            side_effects(pluginkit.chosen),
            "importing the plugin does more than define things; do it in on_app_ready(), in a "
            "hook, or when it is first needed",
        )

    def names(self, pluginkit: Kit) -> None:
        """It is active, and nothing that it adds is refused because somebody else has the name."""
        with pluginkit.running(is_strict=False) as running:
            running.app.url_map.update()
            found = inactive(running) or [str(conflict) for conflict in running.row.conflicts]
            _none(found, "not all that it adds is there")

    def routes(self, pluginkit: Kit) -> None:
        """Every page answers, and the host's pages do with its hooks around them."""
        self._exercise(pluginkit, exercising.routes, exercising.host_pages)

    def slots(self, pluginkit: Kit) -> None:
        """Every part of a page renders."""
        self._exercise(pluginkit, exercising.slots)

    def connections(self, pluginkit: Kit) -> None:
        """Every function at a dynamic connection point returns what can be shown."""
        self._exercise(pluginkit, exercising.connections)

    def functions(self, pluginkit: Kit) -> None:
        """Every filter, test and function of templates can be called."""
        self._exercise(pluginkit, exercising.functions)

    def commands(self, pluginkit: Kit) -> None:
        """Every command tells how it is used."""
        self._exercise(pluginkit, exercising.commands)

    def error_handlers(self, pluginkit: Kit) -> None:
        """Every error handler answers."""
        self._exercise(pluginkit, exercising.error_handlers)

    def templates(self, pluginkit: Kit) -> None:
        """Every template compiles, and so does what it extends, includes and imports."""
        self._exercise(pluginkit, escaping.uncompiled)

    def escaping(self, pluginkit: Kit) -> None:
        """A script in a value shows as text, in pages and in parts of pages."""
        self._exercise(
            pluginkit,
            escaping.unescaped_templates,
            escaping.unescaped_slots,
            escaping.unescaped_functions,
            escaping.unescaped_pages,
            header=escaping.ADVICE,
        )

    def static_files(self, pluginkit: Kit) -> None:
        """Every static file is served, and every one that a template names is there."""
        self._exercise(pluginkit, escaping.missing_assets, clean_starts.unserved)

    def two_applications(self, pluginkit: Kit) -> None:
        """Two applications of one process have it at once, and don't notice each other."""
        _none(clean_starts.disturbances(pluginkit.running), "a second application disturbs it")

    def no_global_state(self, pluginkit: Kit) -> None:
        """A second application begins as the first one did."""
        _none(
            clean_starts.remembered(pluginkit.running),
            "a second application of the process doesn't begin anew: keep what changes in "
            "app.extensions, in a storage or in a database, not in the module",
        )

    def isolated(self, pluginkit: Kit, plugin_trusted_because: str) -> None:
        """It works in a process and a sandbox of its own, with the permissions it asks for."""
        if plugin_trusted_because:
            pytest.xfail(f"it runs trusted only: {plugin_trusted_because}")
        pluginkit.require("isolated")
        try:
            with pluginkit.running("isolated", is_strict=False) as running:
                failed: list[str] = []
                if not inactive(running):
                    running.site.is_strict_now = True
                    failed = [*exercising.routes(running), *exercising.slots(running)]
                _none(permitting.lacking(running.row, failed), "it doesn't work isolated")
                without = permitting.impossible(running.row)
        except SandboxUnavailable as error:
            pytest.skip(f"NOTHING WAS ISOLATED: {error}")
        if without:
            pytest.xfail(f"it works isolated, without: {'; '.join(without)}")

    def _exercise(
        self, pluginkit: Kit, *looks: Look, header: str = "not everything that it adds works"
    ) -> None:
        with _active(pluginkit) as running:
            _none([line for look in looks for line in look(running)], header)


@contextmanager
def _active(pluginkit: Kit) -> Iterator[Running]:
    """Make an application, or fail with the reason why the plugin isn't active there."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(pluginkit.running())
        except PluginError as error:
            _none(str(error).splitlines(), "the plugin can't be active")
        yield running


def _none(found: Iterable[str], header: str) -> None:
    """Fail with what was found, if anything was."""
    lines = list(dict.fromkeys(found))
    if lines:
        listed = "\n".join(f"- {line}" for line in lines)
        pytest.fail(f"{header}:\n{listed}", pytrace=False)
