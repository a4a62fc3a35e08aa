"""Template names and loaders: every plugin has its own, and nobody's shadows another's.

The full name of a plugin's template is ``plugin:page.html``. A bare name means the owner of
the template or code that uses it: inside a plugin the host's override, else the plugin's own
file, else the host's; inside a host template the host's. A bare name that nobody has by these
rules is served if exactly one active plugin offers it, as 3.x served it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, cast

from flask import Flask
from flask.templating import DispatchingJinjaLoader
from jinja2 import BaseLoader, Environment, FileSystemLoader, Template, TemplateNotFound
from jinja2.exceptions import TemplatesNotFound, UndefinedError
from jinja2.runtime import Context, Macro, Undefined

from flask_pluginkit.barrier import OWNER
from flask_pluginkit.snapshot import Plugin, Snapshot

from .tables import LiveDict

Source = tuple[str, str | None, Callable[[], bool] | None]


class HostLoader(DispatchingJinjaLoader):
    """Flask's loader over the application and its *own* blueprints."""

    def _iter_loaders(self, template: str) -> Iterator[tuple[Any, BaseLoader]]:  # noqa: ARG002
        if (loader := self.app.jinja_loader) is not None:
            yield self.app, loader
        for blueprint in cast("LiveDict", self.app.blueprints).own().values():
            if (loader := blueprint.jinja_loader) is not None:
                yield blueprint, loader


class Library(BaseLoader):
    """The loader of the environment: full names from plugins, all others from the host."""

    def __init__(self, app: Flask, host: BaseLoader, pin: Callable[[], Snapshot]) -> None:
        self.app = app
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
            return self.host.get_source(environment, template)
        for loader, name in self._places(*found):
            try:
                return loader.get_source(environment, name)
            except TemplateNotFound:
                continue
        raise TemplateNotFound(template)

    def _places(self, plugin: Plugin, name: str) -> Iterator[tuple[BaseLoader, str]]:
        """Yield where a plugin's template can be, the host's overrides first."""
        yield self.host, f"plugins/{plugin.name}/{name}"
        package = plugin.candidate.package.rpartition(".")[2]
        if name.partition("/")[0] in {plugin.name, package} and "/" in name:
            yield self.host, name
        yield from ((loader, name) for loader in self.own_loaders(plugin))

    def own_loaders(self, plugin: Plugin) -> Iterator[BaseLoader]:
        """Yield the loaders of a plugin: its ``templates`` folder, then its blueprints'."""
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
        names = set(self.host.list_templates())
        for plugin in self.pin().active.values():
            for loader in self.own_loaders(plugin):
                names.update(f"{plugin.name}:{name}" for name in loader.list_templates())
        return sorted(names)

    def has(self, environment: Environment, name: str) -> bool:
        """Tell whether a template of this name can be loaded."""
        try:
            self.get_source(environment, name)
        except TemplateNotFound:
            return False
        return True

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
        key = ("template", full)
        known: bool | None = None if environment.auto_reload else snapshot.memo.get(key)
        if known is None:
            known = snapshot.memo[key] = self.has(environment, full)
        return known

    def only_offer(self, environment: Environment, name: str) -> str | None:
        """Return the full name of a template that exactly one active plugin offers.

        Raises:
            TemplateNotFound: if several offer it, naming them.

        """
        snapshot = self.pin()
        key = ("offer", name)
        if not environment.auto_reload and key in snapshot.memo:
            offers = snapshot.memo[key]
        else:
            offers = [
                plugin.name
                for plugin in snapshot.active.values()
                if any(_loads(loader, environment, name) for loader in self.own_loaders(plugin))
            ]
            snapshot.memo[key] = offers
            if len(offers) == 1:
                self.app.logger.info(
                    "template %r is served from plugin %r; its full name is %r",
                    name,
                    offers[0],
                    f"{offers[0]}:{name}",
                )
        if len(offers) > 1:
            choices = ", ".join(f"{plugin}:{name}" for plugin in offers)
            raise TemplateNotFound(name, f"{name} is offered by several plugins: use {choices}")
        return f"{offers[0]}:{name}" if offers else None


def _loads(loader: BaseLoader, environment: Environment, name: str) -> bool:
    try:
        loader.get_source(environment, name)
    except TemplateNotFound:
        return False
    return True


class OwnedContext(Context):
    """The context of templates that render as a plugin.

    A function of the host that such a template calls, through the host's base page for
    example, runs as the host: the names it renders are the host's.
    """

    def call(self, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call `obj` as Jinja does, as its owner."""
        owner = OWNER.get()
        if owner is None or isinstance(obj, Macro) or owner.owns(obj):
            return super().call(obj, *args, **kwargs)
        token = OWNER.set(None)
        try:
            return super().call(obj, *args, **kwargs)
        finally:
            OWNER.reset(token)


class LiveEnvironment(Environment):
    """The application's environment, with template names that have owners.

    `attach` makes one from the environment that the application has.
    """

    library: Library

    @property
    def context_class(self) -> type[Context]:  # type: ignore[override]
        """The class of new contexts, by who renders."""
        return Context if OWNER.get() is None else OwnedContext

    def join_path(self, template: str, parent: str) -> str:
        """Return what the bare name `template` means inside the template `parent`."""
        if (found := self.library.split(parent)) is not None:
            return self.library.resolve(self, template, found[0].name)
        return super().join_path(template, parent)

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> Template:
        """Load a template by a bare or full name."""
        if isinstance(name, Template):
            return name
        if parent is not None:
            name = self.join_path(name, parent)
        elif (owner := OWNER.get()) is not None and owner.home is self.library.pin().site:
            name = self.library.resolve(self, name, owner.name)
        try:
            return super().get_template(name, None, globals)
        except TemplateNotFound as error:
            if error.name != name or (full := self.library.only_offer(self, name)) is None:
                raise
        return super().get_template(full, None, globals)

    def select_template(
        self,
        names: Iterable[str | Template],
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> Template:
        """Load the first template that exists, each name by the rules of `get_template`."""
        if isinstance(names, Undefined):
            names._fail_with_undefined_error()  # noqa: SLF001 - as Jinja itself does
        names = list(names)
        for name in names:
            try:
                return self.get_template(name, parent, globals)
            except (TemplateNotFound, UndefinedError):
                continue
        raise TemplatesNotFound([str(name) for name in names])


def attach(app: Flask, pin: Callable[[], Snapshot]) -> Callable[[], None]:
    """Give the application's environment plugins' templates; return what undoes it."""
    environment = app.jinja_env
    kind, loader = type(environment), environment.loader
    is_flasks = loader is None or type(loader) is DispatchingJinjaLoader
    host = HostLoader(app) if loader is None or is_flasks else loader
    # the environment exists already and others hold it: so it changes its class
    environment.__class__ = type(f"Live{kind.__name__}", (LiveEnvironment, kind), {})
    library = Library(app, host, pin)
    cast("LiveEnvironment", environment).library = library
    environment.loader = library

    def detach() -> None:
        environment.__class__ = kind
        environment.loader = loader

    return detach
