"""Template names and loaders: every plugin has its own, and nobody's shadows another's.

The full name of a plugin's template is ``plugin:page.html``. A bare name means the owner of
the template or code that uses it: inside a plugin the host's override, else the plugin's own
file, else the host's; inside a host template the host's. A bare name that nobody has by these
rules is served if exactly one active plugin offers it, as 3.x served it.

``plugin::page.html`` is the plugin's own file, past any override. A full name means that inside
of the template that has it: so an override can extend what it stands in the place of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from flask import Flask
from jinja2 import BaseLoader, Environment, FileSystemLoader, Template, TemplateNotFound

from flask_pluginkit.snapshot import Plugin, Snapshot

from .tables import HOST_REGISTERS

NAMES_LIMIT: Final = 10_000
"""How many names are remembered: sites render names that come out of URLs."""

LONGEST_NAME: Final = 1_000
"""Characters of a name that is remembered, as those of URLs have any length."""

Source = tuple[str, str | None, Callable[[], bool] | None]
Place = tuple[BaseLoader, str]


class Library(BaseLoader):
    """The loader of the environment: full names from plugins, all others from the host."""

    def __init__(
        self,
        app: Flask,
        host: BaseLoader,
        pin: Callable[[], Snapshot],
        offers: Callable[[], Mapping[tuple[str, str], str]],
    ) -> None:
        self.app = app
        self.offers = offers
        self.host = host
        self.pin = pin
        self._loaders: dict[Path, FileSystemLoader] = {}

    def split(self, name: str) -> tuple[Plugin, str] | None:
        """Return the active plugin and the file of a full name, None for other names."""
        prefix, colon, rest = name.partition(":")
        if not colon or (plugin := self.pin().active.get(prefix)) is None:
            return None
        return plugin, rest

    def get_source(self, environment: Environment, template: str) -> Source:
        """Return source, file name and up-to-date check, as Jinja asks for them."""
        if (found := self.split(template)) is None:
            with _hosts_own():
                return self.host.get_source(environment, template)
        earlier = []
        for place in self._places(*found):
            try:
                with _hosts_own():
                    text, filename, is_fresh = place[0].get_source(environment, place[1])
            except (TemplateNotFound, RuntimeError):  # a host's precompiled files have no source
                earlier.append(place)
                continue
            if environment.auto_reload:
                is_fresh = _unless_overridden(environment, is_fresh, earlier)
            return text, filename, is_fresh
        raise TemplateNotFound(template)

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> Template:
        """Load a template; the host's by its own loader, which may have no sources."""
        if self.split(name) is not None:
            return super().load(environment, name, globals)
        with _hosts_own():
            return self.host.load(environment, name, globals)

    def _places(self, plugin: Plugin, name: str) -> Iterator[Place]:
        """Yield where a plugin's template can be, the host's overrides first.

        A name with a colon before it is that of the plugin's own file. Last comes a file of
        the host that has the full name as its own.
        """
        own = name.removeprefix(":")
        if own == name:
            yield self.host, f"plugins/{plugin.name}/{name}"
            package = plugin.candidate.package.rpartition(".")[2]
            if name.partition("/")[0] in {plugin.name, package} and "/" in name:
                yield self.host, name
        yield from ((loader, own) for loader in self.own_loaders(plugin))
        yield self.host, f"{plugin.name}:{own}"

    def own_loaders(self, plugin: Plugin) -> Iterator[BaseLoader]:
        """Yield the loaders of a plugin: its ``templates`` folder, then its blueprints'."""
        if plugin.hosted is not None:
            return  # rendered where it runs: a template is code
        folder = plugin.candidate.folder / "templates"
        if folder not in self._loaders:
            self._loaders[folder] = FileSystemLoader(folder)
        yield self._loaders[folder]
        for item in plugin.contributions:
            if getattr(item, "kind", "") == "blueprint":
                loader = cast("Any", item).value.jinja_loader
                if loader is not None:
                    yield loader

    def list_templates(self) -> list[str]:
        """Return every name: the host's, and the full names of the plugins'."""
        with _hosts_own():
            names = set(self.host.list_templates())
        for plugin in self.pin().active.values():
            for loader in self.own_loaders(plugin):
                names.update(f"{plugin.name}:{name}" for name in loader.list_templates())
        return sorted(names)

    def has(self, environment: Environment, name: str) -> bool:
        """Tell whether a template of this name can be loaded from `environment`."""
        return _loads(environment.loader or self, environment, name)

    def resolve(self, environment: Environment, name: str, owner: str) -> str:
        """Return what the bare `name` means in code or templates of the plugin `owner`."""
        snapshot = self.pin()
        if owner not in snapshot.active or self.split(name) is not None:
            return name
        full = f"{owner}:{name}"
        return full if self._remember(environment, snapshot, full) else name

    def _remember(self, environment: Environment, snapshot: Snapshot, full: str) -> bool:
        """Tell whether `full` exists, asking the file system once per snapshot.

        With auto reload, files may come and go: then it is asked each time.
        """
        if environment.auto_reload or environment.loader is not self:
            return self.has(environment, full)
        known: bool | None = snapshot.names.get(full)
        if known is None:
            known = self.has(environment, full)
            _keep(snapshot, full, full, known)
        return known

    def only_offer(self, environment: Environment, name: str) -> str | None:
        """Return the full name of a template that exactly one active plugin offers.

        Raises:
            TemplateNotFound: if several offer it, naming them.

        """
        snapshot = self.pin()
        key = ("offer", name)
        offers: list[str] | None = None if environment.auto_reload else snapshot.names.get(key)
        if offers is None:
            offers = [
                f"{plugin.name}:{name}"
                for plugin in snapshot.active.values()
                if any(_loads(loader, environment, name) for loader in self.own_loaders(plugin))
            ]
            if len(offers) == 1 and snapshot.names.get(key) != offers:
                self.app.logger.info(
                    "template %r is served from plugin %r; its full name is %r",
                    name,
                    offers[0].partition(":")[0],
                    offers[0],
                )
            _keep(snapshot, name, key, offers)
        # an overlay of the environment may have a loader that knows no plugins
        if not offers or not self.has(environment, offers[0]):
            return None
        if len(offers) > 1:
            choices = ", ".join(offers)
            raise TemplateNotFound(name, f"{name} is offered by several plugins: use {choices}")
        return offers[0]


def _keep(snapshot: Snapshot, name: str, key: Any, value: Any) -> None:
    """Remember what a name means, and forget all of them when there are too many."""
    if len(name) > LONGEST_NAME:
        return
    if len(snapshot.names) >= NAMES_LIMIT:
        snapshot.names.clear()
    snapshot.names[key] = value


@contextmanager
def _hosts_own() -> Iterator[None]:
    """Hide the plugins' blueprints from the host's loader, which asks for all blueprints."""
    token = HOST_REGISTERS.set(True)
    try:
        yield
    finally:
        HOST_REGISTERS.reset(token)


def _unless_overridden(
    environment: Environment, is_fresh: Callable[[], bool] | None, earlier: list[Place]
) -> Callable[[], bool]:
    """Return an up-to-date check that looks for new overrides too."""

    def check() -> bool:
        if is_fresh is not None and not is_fresh():
            return False
        with _hosts_own():
            return not any(_loads(loader, environment, name) for loader, name in earlier)

    return check


def _loads(loader: BaseLoader, environment: Environment, name: str) -> bool:
    try:
        loader.get_source(environment, name)
    except (TemplateNotFound, RuntimeError):
        return False
    return True
