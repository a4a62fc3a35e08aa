"""Template names and loaders: every plugin has its own, and nobody's shadows another's.

The full name of a plugin's template is ``plugin:page.html``. A bare name means the owner of
the template or code that uses it: inside a plugin the host's override, else the plugin's own
file, else the host's; inside a host template the host's. A bare name that nobody has by these
rules is served if exactly one active plugin offers it, as 3.x served it.

``plugin::page.html`` is the plugin's own file, past any override. A full name means that inside
of the template that has it: so an override can extend what it stands in the place of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

from flask import Flask
from jinja2 import (
    BaseLoader,
    BytecodeCache,
    DictLoader,
    Environment,
    FileSystemLoader,
    Template,
    TemplateNotFound,
)
from jinja2.environment import TemplateModule
from jinja2.exceptions import (
    TemplateAssertionError,
    TemplateRuntimeError,
    TemplatesNotFound,
    UndefinedError,
)
from jinja2.runtime import Context, Macro, Undefined

from flask_pluginkit.barrier import OWNER
from flask_pluginkit.snapshot import Plugin, Snapshot

from .filters import NamedCache
from .tables import COMPILING, HOST_REGISTERS

NAMES_LIMIT: Final = 10_000
"""How many names are remembered: sites render names that come out of URLs."""

LONGEST_NAME: Final = 1_000
"""Characters of a name that is remembered, as those of URLs have any length."""

_NOT_FOUND: Final = re.compile(r"No (filter|test) named '(.+)'(?: found)?\.")
"""What Jinja says, when it compiles a template and when it renders one."""

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


class LiveTemplate(Template):
    """A template whose macros, once imported, run as whoever imports them, and live.

    Jinja keeps the module of an imported template, and with it the context of whoever imported
    it first, and the filters of that moment: so pages of plugins share one module, and the
    host's pages another, and both are made anew for each snapshot.
    """

    _modules: Mapping[bool, tuple[int, TemplateModule]] = MappingProxyType({})

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        if ctx is not None and ctx.globals_keys - self.globals.keys():
            return super()._get_default_module(ctx)
        serial = cast("LiveEnvironment", self.environment).library.pin().serial
        is_plugins = OWNER.get() is not None
        known = self._modules.get(is_plugins)
        if known is not None and known[0] == serial:
            return known[1]
        module = self.make_module()
        self._modules = {**self._modules, is_plugins: (serial, module)}
        return module


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
    plain_context: type[Context]
    owned_context: type[Context]

    @property
    def context_class(self) -> type[Context]:
        """The class of new contexts, by who renders: the host's pages have the plain one."""
        return self.plain_context if OWNER.get() is None else self.owned_context

    @context_class.setter
    def context_class(self, kind: type[Context]) -> None:
        self.plain_context = kind
        self.owned_context = type(f"Owned{kind.__name__}", (OwnedContext, kind), {})

    @property
    def bytecode_cache(self) -> BytecodeCache | None:
        """The application's cache of bytecode, with regard to plugins' filters and tests."""
        cache: BytecodeCache | None = vars(self).get("bytecode_cache")
        return None if cache is None else NamedCache(cache, self.library.offers)

    @bytecode_cache.setter
    def bytecode_cache(self, cache: BytecodeCache | None) -> None:
        vars(self)["bytecode_cache"] = cache

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Compile as Jinja does; filters of plugins that are loaded and inactive are known too."""
        token = COMPILING.set(True)
        try:
            return super().compile(*args, **kwargs)
        finally:
            COMPILING.reset(token)

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise what went wrong; where a plugin's filter is missing, say whose it is."""
        try:
            super().handle_exception(source)
        except (TemplateRuntimeError, TemplateAssertionError) as error:
            if (match := _NOT_FOUND.fullmatch(error.message or "")) is not None:
                kind, name = match[1], match[2]
                if (owner := self.library.offers().get((kind, name))) is not None:
                    whose = f"it belongs to the plugin {owner!r}, which isn't active"
                    error.args = (f"No {kind} named {name!r} now: {whose}.",)
            raise

    def join_path(self, template: str, parent: str) -> str:
        """Return what the name `template` means inside the template `parent`."""
        if (found := self.library.split(parent)) is not None:
            if template == parent:
                # itself: in the host's override of a plugin's file, that file
                return f"{found[0].name}::{found[1].removeprefix(':')}"
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
        # Jinja's cache knows the full names of plugins that were active in other snapshots
        if ":" in name and self.library.split(name) is None and not self.library.has(self, name):
            raise TemplateNotFound(name)
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


def attach(
    app: Flask,
    pin: Callable[[], Snapshot],
    offers: Callable[[], Mapping[tuple[str, str], str]],
) -> Callable[[], None]:
    """Give the application's environment plugins' templates; return what undoes it.

    `offers` tells of each filter and test that a loaded plugin has, active or not, whose it is.
    """
    environment = app.jinja_env
    kind, before = type(environment), dict(vars(environment))
    loader = environment.loader
    context, template = environment.context_class, environment.template_class
    # the environment exists already and others hold it: so it changes its class
    environment.__class__ = type(f"Live{kind.__name__}", (LiveEnvironment, kind), {})
    library = Library(app, loader or DictLoader({}), pin, offers)
    cast("LiveEnvironment", environment).library = library
    environment.loader = library
    environment.context_class = context
    environment.template_class = type(f"Live{template.__name__}", (LiveTemplate, template), {})

    def detach() -> None:
        environment.__class__ = kind
        vars(environment).clear()
        vars(environment).update(before)

    return detach
