"""The isolated plugins of one application: what each is to run as, and what came of it.

Nothing of such a plugin is imported here. What the host reads is its manifest, which is
literals, the list of files that its distribution installed, and the bytes of its files, for a
digest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flask import Flask

from flask_pluginkit.discovery import Candidate
from flask_pluginkit.exceptions import PEPError, Problem, SandboxUnavailable, StateError
from flask_pluginkit.frozen import Frozen
from flask_pluginkit.manifest import Manifest
from flask_pluginkit.permissions import FLAGS, permissions_of
from flask_pluginkit.points import Conflict
from flask_pluginkit.residents import Resident

from .conditions import require_extra, require_literal
from .levels import Isolation
from .settings import Settings, read_settings

if TYPE_CHECKING:
    from .bridge import Hooks, Shapes
    from .client.control import Control
    from .messages import (
        Greeting,
        PublicRoute,
        Spec,
    )
    from .remote import Remote
    from .stages import Stages
    from .supervision import WorkerInfo

PUBLIC: Final = "PLUGINKIT_PUBLIC_ENDPOINTS"
SHARED: Final = "PLUGINKIT_SHARED_TEMPLATES"
"""Names of the host's templates that isolated plugins get the source of, such as a layout."""

EVERYTHING: Final = (*FLAGS, "routes:/")
"""What a plugin that is only to survive may do without asking, as one that is trusted."""

INODES: Final = 2000
"""Files and folders that a plugin with a folder of its own may have in it."""

OVERRIDES: Final = 1 << 20
"""Characters of the host's own versions of a plugin's templates, all together."""


class Loaded(Frozen, eq=False):
    """An isolated plugin that runs."""

    remote: Remote
    shapes: Shapes
    hooks: Hooks
    conflicts: tuple[Conflict, ...]
    """What it has and can't do from another process."""
    warnings: tuple[str, ...]
    needs_approval: bool
    """Whether what it may do is up to the operator."""


class Hosting:
    """Runs the isolated plugins of one application; made when the first is to run."""

    def __init__(
        self,
        app: Flask,
        control_folder: Path,
        logger: logging.Logger,
        active: Callable[[], Iterable[Remote]],
        assets: str,
        *,
        is_settled: bool = False,
        settings_frame: Callable[[str], bytes] = lambda _plugin: b"",
    ) -> None:
        self.app = app
        self.control_folder = control_folder
        self.logger = logger
        self._active = active
        self._assets = assets
        self._settings_frame = settings_frame
        """Gives the values of a plugin's settings, as the request sees them."""
        self._lock = threading.Lock()
        self._running: set[Remote] = set()
        self._is_settled = is_settled
        """Whether the host has registered its routes."""
        self._settings: Settings | None = None
        self._control: Control | None = None
        self._stages: Stages | None = None

    @property
    def settings(self) -> Settings:
        """What ``PLUGINKIT_SANDBOX_...`` says. Raises PluginError."""
        if self._settings is None:
            self._settings = read_settings(self.app.config)
        return self._settings

    @property
    def control(self) -> Control:
        """The connection to the supervisor, made when it is first used."""
        if self._control is None:
            with self._lock:
                if self._control is None:
                    self._control = self._new_control()
        return self._control

    @property
    def stages(self) -> Stages:
        """What asks plugins at the stages of a page."""
        if self._stages is None:
            from .stages import Stages

            self._stages = Stages(self._active)
        return self._stages

    def load(
        self,
        candidate: Candidate,
        manifest: Manifest,
        level: Isolation,
        resident: Resident,
        *,
        retry: bool = False,
    ) -> Loaded:
        """Have a plugin run in a process of its own, and return what it adds.

        Raises:
            SandboxUnavailable: it can't be isolated here, or as it was installed.
            LoadError: it can't be loaded.
            PEPError: it has what it can't be active without, and can't have in another process.
            MissingExtraError: the extra ``sandbox`` isn't installed.

        """
        require_extra()
        require_literal(manifest)
        if level is Isolation.ISOLATED and (brought_by := distribution_of(candidate)) is not None:
            from flask_pluginkit.sandbox.distributions import require_confinable

            require_confinable(brought_by, candidate.folder.name)
        spec = self._spec(candidate, manifest, level)
        needs_approval = level is Isolation.ISOLATED
        try:
            return self._start(spec, resident, retry, needs_approval)
        except SandboxUnavailable as error:
            if not self.settings.lowered:
                raise
            self.logger.warning(
                "plugin %r runs WITHOUT a sandbox, as PLUGINKIT_SANDBOX_LOWERED says: %s",
                manifest.name,
                error,
                extra={"plugin": manifest.name},
            )
            return self._start(lowered(spec), resident, retry, needs_approval)

    def is_current(self, loaded: Loaded) -> bool:
        """Tell whether a plugin's code is still what its worker runs, or may run."""
        from .digests import digest_of

        spec = loaded.remote.spec
        if loaded.remote.is_retired or digest_of(Path(spec.folder)) != spec.digest:
            return False
        return self._is_approved(loaded)

    def _is_approved(self, loaded: Loaded) -> bool:
        """Tell whether a plugin that runs may still have what it was granted."""
        spec = loaded.remote.spec
        if not loaded.needs_approval or not spec.permissions:
            return True
        from .approvals import Approvals

        try:
            return Approvals(self.control_folder).covers(spec.plugin, spec.permissions, spec.digest)
        except StateError:
            return False  # whoever loads it tells of that

    def must_wait(self, loaded: Loaded, manifest: Manifest) -> bool:
        """Tell whether a new version asks for more than was approved: then the old one goes on.

        Only as long as that one's worker lives, whose code is in no file any more.
        """
        from .approvals import Approvals
        from .digests import digest_of

        spec = loaded.remote.spec
        if spec.level != "isolated" or loaded.remote.is_retired or not self._is_approved(loaded):
            return False
        decision = Approvals(self.control_folder).decide(
            manifest.name, manifest.permissions, digest_of(Path(spec.folder))
        )
        if decision.granted is not None:
            return False
        self.logger.warning(
            "plugin %r: version %s waits for approval, as it %s; the version that runs goes on "
            "until then: flask plugins approve %s",
            manifest.name,
            manifest.version,
            "; ".join(decision.words),
            manifest.name,
            extra={"plugin": manifest.name},
        )
        return True

    def processes(self) -> tuple[WorkerInfo, ...]:
        """Return the processes of plugins, as the supervisor sees them. Raises RunError."""
        if self._control is None:
            return ()
        overview = self._control.survey()
        return () if overview is None else overview.workers

    def keep(self, active: Sequence[Loaded]) -> None:
        """Let go of every worker but those of the plugins that are active now."""
        if not self._running and not active:
            return
        kept = {loaded.remote for loaded in active}
        specs = {remote.spec for remote in kept}
        with self._lock:
            gone, self._running = self._running - kept, kept
        for remote in gone:
            remote.retire(is_last=remote.spec not in specs)

    def _start(self, spec: Spec, resident: Resident, retry: bool, needs_approval: bool) -> Loaded:
        from .bridge import conflicts_of, shapes_of
        from .checking import checked, fatal
        from .faults import count_late
        from .remote import Remote

        remote = Remote(spec, self.control, self.settings, self.greeting, self.logger, self._assets)
        remote.note_late = partial(count_late, resident)
        description = checked(remote.start(retry=retry), spec)
        with self._lock:
            self._running.add(remote)
        if missing := fatal(description.refused):
            raise PEPError("; ".join(f"{one.kind} {one.name}: {one.reason}" for one in missing))
        shapes, hooks = shapes_of(description, remote, resident, self.stages)
        if description.settings:
            from .configuring import remote_settings

            shapes["settings"] = [remote_settings(description, remote, self._settings_frame)]
        return Loaded(
            remote=remote,
            shapes=shapes,
            hooks=hooks,
            conflicts=conflicts_of(description, spec.plugin),
            warnings=description.warnings,
            needs_approval=needs_approval,
        )

    def _spec(self, candidate: Candidate, manifest: Manifest, level: Isolation) -> Spec:
        from .approvals import Approvals
        from .digests import digest_of
        from .messages import Spec

        digest = digest_of(candidate.folder)
        asked = manifest.permissions
        if level is Isolation.ISOLATED:
            granted = Approvals(self.control_folder).granted(manifest.name, asked, digest)
        else:
            # it could take all of this anyway: nothing confines it
            granted = permissions_of({*asked, *EVERYTHING}).texts
        return Spec(
            plugin=manifest.name,
            level="isolated" if level is Isolation.ISOLATED else "process",
            folder=str(candidate.folder),
            module=candidate.module,
            digest=digest,
            application=self.app.import_name,
            permissions=granted,
            overrides=self._overrides(candidate, manifest),
            debug=bool(self.app.debug),
            address_space=max(512 << 20, 2 * self.settings.memory),
            data=self.settings.memory,
            files=permissions_of(granted).files,
            inodes=INODES,
            concurrency=self.settings.concurrency,
        )

    def _overrides(self, candidate: Candidate, manifest: Manifest) -> tuple[tuple[str, str], ...]:
        """Return the host's own versions of a plugin's templates: name and source."""
        folder = self.app.template_folder
        if folder is None:
            return ()
        root = Path(self.app.root_path) / folder
        found: dict[str, str] = {}
        for name in dict.fromkeys((candidate.folder.name, str(manifest.name))):
            for place, prefix in ((root / name, f"{name}/"), (root / "plugins" / name, "")):
                for path in sorted(place.rglob("*")) if place.is_dir() else ():
                    if path.is_file():
                        key = prefix + path.relative_to(place).as_posix()
                        found[key] = path.read_text(encoding="utf-8", errors="replace")
        for name in self.app.config.get(SHARED) or ():
            if not (candidate.folder / "templates" / name).exists():
                loader = self.app.jinja_loader
                source = loader.get_source(self.app.jinja_env, name)[0] if loader else ""
                found.setdefault(name, source)
        if sum(map(len, found.values())) > OVERRIDES:
            raise SandboxUnavailable(
                Problem(
                    where=str(root),
                    what=f"templates that override those of plugin {manifest.name}",
                    found=f"more than {OVERRIDES} characters",
                    expected="fewer, as its process gets a copy of them",
                )
            )
        return tuple(sorted(found.items()))

    def _new_control(self) -> Control:
        from .client.control import Control
        from .processes.settings import Settings as Running

        chosen = self.settings
        return Control(
            Running(
                control=str(self.control_folder.absolute()),
                runtime=str(chosen.runtime_dir or ""),
                is_named=chosen.runtime_dir is not None,
                homes=str(chosen.homes or ""),
                sandbox_uids=chosen.uids or "",
                starting=chosen.start,
            )
        )

    # ---- what plugins are told of the host -------------------------------------------------

    def tell_anew(self) -> None:
        """Let plugins know the routes of the host, now that it has registered them."""
        self._is_settled = True
        for remote in self._running:
            remote.regreet()

    def greeting(self) -> Greeting:
        """Return what each connection to a plugin's worker begins with."""
        from .messages import Greeting

        # whoever looks at the routes earlier would settle them too early
        return Greeting(public=tuple(self._public()) if self._is_settled else ())

    def _public(self) -> Iterable[PublicRoute]:
        """Yield the host's routes that plugins may build URLs of."""
        from .messages import PublicRoute

        named = self.app.config.get(PUBLIC)
        for rule in self.app.url_map.iter_rules():
            is_public = rule.rule.startswith(f"{self._assets}/") or (
                rule.endpoint in named
                if named is not None
                else rule.rule == "/" or rule.endpoint == "static"
            )
            if is_public and rule.subdomain in (None, ""):
                yield PublicRoute(
                    rule=rule.rule, endpoint=rule.endpoint, defaults=dict(rule.defaults or {})
                )


def distribution_of(candidate: Candidate) -> Distribution | None:
    """Return the distribution that installed a plugin, None if none did."""
    if candidate.distribution is not None:
        return distribution(candidate.distribution)
    folder = candidate.folder
    name = f"{folder.parent.name}/{folder.name}/__init__.py"
    for found in distributions():
        if name in (found.read_text("RECORD") or "") and (
            Path(str(found.locate_file(name))).resolve() == folder / "__init__.py"
        ):
            return found
    return None


def lowered(spec: Spec) -> Spec:
    """Return the same without a sandbox."""
    from msgspec.structs import replace as changed

    return changed(spec, level="process")
