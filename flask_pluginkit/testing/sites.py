"""Applications with one plugin each, made for a test and gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from flask_pluginkit.application import Site
from flask_pluginkit.breaker import Limits
from flask_pluginkit.discovery import Candidate
from flask_pluginkit.frozen import replace as changed
from flask_pluginkit.isolation.levels import Isolation
from flask_pluginkit.loading import bar, forget, module_name
from flask_pluginkit.manager import PluginManager
from flask_pluginkit.options import Options
from flask_pluginkit.snapshot import Plugin, Status
from flask_pluginkit.state.base import WantedState

from . import levels
from .choosing import Chosen, required
from .hosts import HostFactory, Values, add_front_page, furnish

BY = "the test kit"
"""Who switches and approves, for the audit."""

KEY = "a secret key for tests, which is none"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an application for tests is to be like."""

    chosen: Chosen
    folder: Path
    """A folder of its own."""
    host: HostFactory
    level: str = "trusted"
    config: Mapping[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    is_enabled: bool = True
    """Whether the plugin is enabled from the start."""
    is_strict: bool = True
    """Whether faults are raised instead of being contained."""


class Running:
    """An application with a plugin, and what a test asks of it."""

    def __init__(self, plan: Plan, app: Flask, site: AloneSite) -> None:
        self.plan = plan
        self.app = app
        self.site = site
        self.manager: PluginManager = app.extensions["pluginkit"]

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.plan.chosen.name

    @property
    def row(self) -> Plugin:
        """What the manager knows of the plugin."""
        return next(row for row in self.manager.plugins if row.name == self.name)

    def client(self) -> FlaskClient:
        """Return a client without cookies yet."""
        return self.app.test_client()

    def enable(self) -> None:
        """Enable the plugin."""
        self.manager.enable_plugin(self.name, by=BY)

    def disable(self) -> None:
        """Disable the plugin."""
        self.manager.disable_plugin(self.name, by=BY)


class AloneSite(Site):
    """An application's plugins, reduced to the one that is tested and what that needs."""

    plan: Plan
    others: tuple[str, ...]
    """Names of further plugins that are to be there."""
    copied: Candidate | None
    """The copy of the plugin that is run, where it can't be run where it is."""

    def __init__(self, app: Flask, options: Options, base: Path, folder: str) -> None:
        plan = self.plan
        self.others = ()
        self.is_strict_now = plan.is_strict
        app.config.update(TESTING=True, **plan.config)
        if plan.level != "trusted":
            app.config.setdefault("PLUGINKIT_SANDBOX_UIDS", levels.UIDS)
            if self.copied is not None:  # others may not enter the folders of a test
                homes = self.copied.folder.parents[1] / "homes"
                app.config.setdefault("PLUGINKIT_SANDBOX_HOMES", str(homes))
        state = plan.folder / "state"
        super().__init__(app, changed(options, state_dir=state, live=False), base, folder)
        # what fails in a test is looked at one by one: nothing is to be taken out for it
        self.limits = Limits(faults=1 << 30, budget=None)
        if self._is_to_be_told():
            self._store()
        if plan.level != "trusted":
            self._prepare_elsewhere()

    def is_strict(self) -> bool:
        """Tell whether faults are raised where they could be contained."""
        return self.is_strict_now

    def find(self) -> tuple[Candidate, ...]:
        """Find the plugin, what it requires, and what the test asked for besides."""
        chosen = self.plan.chosen
        # looking for all that is installed takes longer than the rest of a start
        is_alone = not (self.others or chosen.manifest.requires)
        found = [chosen.candidate]
        if not is_alone:
            found = required(chosen, super().find(), self.others)
        copied = self.copied
        return tuple(copied if one is chosen.candidate and copied else one for one in found)

    def _is_to_be_told(self) -> bool:
        """Tell whether the plugin isn't live, trusted, by itself; writing takes most of a start."""
        manifest, levels_here = self.plan.chosen.manifest, self.elsewhere.levels
        is_live = self.plan.is_enabled and manifest.state in (None, WantedState.ENABLED)
        is_trusted = self.plan.level == "trusted" and not levels_here.is_used
        return not (is_live and is_trusted and "__state__" not in manifest.computed)

    def _store(self) -> None:
        """Store what an operator would have switched before."""
        name = self.plan.chosen.name
        wanted = WantedState.ENABLED if self.plan.is_enabled else WantedState.DISABLED
        before = self.store.load()
        new = changed(before, wanted={name: wanted}, isolation={name: self.plan.level})
        self.store.swap(before.generation, new)

    def _prepare_elsewhere(self) -> None:
        """Grant what the plugin asks for, and don't let processes linger after the test."""
        from flask_pluginkit.isolation.approvals import Approvals
        from flask_pluginkit.isolation.digests import digest_of

        chosen = self.plan.chosen
        folder = (self.copied or chosen.candidate).folder
        if self.plan.level == "isolated" and chosen.manifest.permissions:
            Approvals(self.control).approve(
                chosen.name,
                chosen.manifest.permissions,
                digest_of(folder),
                version=chosen.manifest.version,
                by=BY,
            )
        hosting: Any = self.hosting
        make = hosting._new_control  # noqa: SLF001 - the only place where that is decided

        def impatient() -> Any:
            from msgspec.structs import replace as altered

            control = make()
            control.settings = altered(
                control.settings, grace=0.05, linger=0.2, python=levels.python() or ""
            )
            return control

        hosting._new_control = impatient  # noqa: SLF001

    def close(self) -> None:
        """Let go of the plugin's process, if it has one."""
        hosting: Any = self.elsewhere._hosting  # noqa: SLF001 - asking would make it
        if hosting is not None and hosting._control is not None:  # noqa: SLF001
            hosting.keep(())
            hosting._control.close()  # noqa: SLF001


@contextmanager
def running(plan: Plan) -> Iterator[Running]:
    """Make the application of a plan; its processes are gone afterwards.

    Raises:
        PluginError: the plugin, or one that it requires, can't be active, if that is strict.
        SandboxUnavailable: it can't run at this level here.

    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    with _copied(plan) as copied:
        found = _started(plan, copied)
        try:
            yield found
        finally:
            found.site.close()


def _started(plan: Plan, copied: Candidate | None) -> Running:
    with _alone(plan, copied):
        app = _made(plan)
        manager = app.extensions.get("pluginkit")
        if manager is None:
            manager = PluginManager(app, plugins_base=plan.folder, stpl=True)
    site = manager._site()  # noqa: SLF001 - nothing public gives it
    assert isinstance(site, AloneSite), "`_alone` has had this one made"
    furnish(app, plan.values)
    if "base.html" in app.jinja_env.list_templates() and not _has_front_page(app):
        add_front_page(app, site.current)
    return Running(plan, app, site)


def _made(plan: Plan) -> Flask:
    app = plan.host(plan.folder)
    if not app.secret_key:
        app.secret_key = KEY
    return app


def _has_front_page(app: Flask) -> bool:
    return any(rule.rule == "/" for rule in app.url_map._rules)  # noqa: SLF001 - settles nothing


@contextmanager
def _alone(plan: Plan, copied: Candidate | None) -> Iterator[None]:
    """Have managers that are made meanwhile, by whomever, look for one plugin only."""
    kind: Any = PluginManager
    before = kind._site_class  # noqa: SLF001 - made for this
    names = {"plan": plan, "copied": copied}
    kind._site_class = type("AloneSite", (AloneSite,), names)  # noqa: SLF001
    try:
        yield
    finally:
        kind._site_class = before  # noqa: SLF001


@contextmanager
def _copied(plan: Plan) -> Iterator[Candidate | None]:
    """A copy of the plugin that its own user can read, where it is to have one.

    It also stands for the plugin as others install it: an editable installation isn't isolated.
    """
    candidate = plan.chosen.candidate
    if plan.level != Isolation.ISOLATED:
        yield None
        return
    module_name(candidate)  # the name of 3.x is the original's
    folder = Path(tempfile.mkdtemp(prefix="pluginkit-")).resolve()
    place = folder / candidate.folder.parent.name / candidate.folder.name
    copied = changed(candidate, folder=place, location=place.parent, distribution=None)
    try:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(candidate.folder, place, ignore=ignored)
        for one in (folder, *folder.rglob("*")):
            one.chmod(0o755 if one.is_dir() else 0o644)
        yield copied
    finally:
        bar(copied, is_barred=False)
        forget(module_name(copied))
        shutil.rmtree(folder, ignore_errors=True)


def inactive(found: Running) -> list[str]:
    """Return why the plugin isn't active, nothing if it is."""
    row = found.row
    return [] if row.status is Status.ACTIVE else [f"it is {row.status.value}: {row.reason}"]


def beside(plan: Plan, name: str, **changes: Any) -> Plan:
    """Return the plan of another application, in a folder beside."""
    return replace(plan, folder=plan.folder.with_name(f"{plan.folder.name}-{name}"), **changes)
