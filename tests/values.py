"""Values of the engine as a test needs them: manifests, plugins and what they contribute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flask_pluginkit.building import build
from flask_pluginkit.bundles import bundle
from flask_pluginkit.discovery import Candidate, Origin
from flask_pluginkit.manifest import Manifest, PluginName, Requirement
from flask_pluginkit.points import Contribution, Named
from flask_pluginkit.snapshot import APPLICATION, Plugin, Snapshot, Status
from flask_pluginkit.state.base import WantedState
from flask_pluginkit.versions import VersionRange


def manifest(name: str, requires: Mapping[str, str] | Iterable[str] = ()) -> Manifest:
    """What a plugin of this name says of itself, as far as it matters here."""
    ranges = requires if isinstance(requires, Mapping) else dict.fromkeys(requires, ">=0.0.0")
    return Manifest(
        name=PluginName(name),
        package=name,
        folder=Path("/nowhere") / name,
        version="1.0.0",
        author="Somebody",
        description="",
        url="",
        license="",
        license_file="",
        readme_file="",
        state=None,
        appversion="",
        requires=tuple(
            Requirement(PluginName(other), VersionRange.parse(ranges[other]))
            for other in sorted(ranges)
        ),
        optional=False,
        computed=frozenset(),
        problems=(),
        warnings=(),
        distribution=None,
    )


def plugin(
    name: str, *contributions: Contribution, status: Status = Status.ACTIVE, **rest: Any
) -> Plugin:
    """A plugin of this name that contributes these."""
    folder = Path("/nowhere") / name
    candidate = Candidate(
        package=name, module=f"plugins.{name}", folder=folder, origin=Origin.FOLDER
    )
    return Plugin(
        candidate=candidate,
        manifest=manifest(name),
        wanted=WantedState.ENABLED,
        status=status,
        bundle=bundle(contributions),
        **rest,
    )


def built(*plugins: Plugin, reserved: Any = (), sorting: str = "") -> Snapshot:
    """The snapshot of these plugins, where the application has the `reserved` names."""
    return build("site", 1, plugins, dict.fromkeys(reserved, APPLICATION), sorting)


def named(owner: str, kind: str, name: str, **rest: Any) -> Named:
    """A contribution with a name; its value tells whose it is."""
    return Named(owner=owner, kind=kind, name=name, value=f"{owner}'s", **rest)
