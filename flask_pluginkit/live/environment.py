"""The application's Jinja environment, in which names have owners and functions come and go.

It exists already when plugins are loaded, and others hold it: so it changes its class.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

from flask import Flask
from jinja2 import BytecodeCache, DictLoader, Environment, Template, TemplateNotFound
from jinja2.environment import TemplateModule
from jinja2.exceptions import (
    TemplateAssertionError,
    TemplateRuntimeError,
    TemplatesNotFound,
    UndefinedError,
)
from jinja2.runtime import Context, Macro, Undefined
from jinja2.utils import missing

from flask_pluginkit.residents import OWNER
from flask_pluginkit.snapshot import Snapshot

from .filters import NamedCache
from .tables import COMPILING
from .templates import Library

_NOT_FOUND: Final = r"No (filter|test) named '(.+)'(?: found)?\."
"""What Jinja says, when it compiles a template and when it renders one; few sites ever hear it."""


class LiveTemplate(Template):
    """A template whose macros, once imported, run as whoever imports them, and live.

    Jinja keeps the module of an imported template, and with it the context of whoever imported
    it first, and the filters of that moment: so pages of plugins share one module, and the
    host's pages another, and both are made anew for each snapshot.
    """

    _modules: Mapping[bool, tuple[int, TemplateModule]] = MappingProxyType({})

    def new_context(
        self,
        vars: dict[str, Any] | None = None,  # noqa: A002 - Jinja's name
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - likewise
    ) -> Context:
        """Return a context as Jinja does.

        Plugins may have thousands of variables: they are copied as one, with the globals put
        behind them, where Jinja would add one after the other to the globals.
        """
        if shared or locals or not vars or not isinstance(self.globals, ChainMap):
            return super().new_context(vars, shared, locals)
        environment, names = self.environment, dict(vars)
        known: dict[str, Any] = {}
        for layer in reversed(self.globals.maps):
            known.update(layer)
        for name, value in known.items():
            names.setdefault(name, value)
        return environment.context_class(environment, names, self.name, self.blocks, known)

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


class Layers:
    """The variables of the parts of one slot: their own, over a dict that all slots share.

    They are merged only for who asks for all of them: there may be thousands.
    """

    __slots__ = ("_merged", "common", "variables")

    def __init__(self, common: dict[str, Any], variables: dict[str, Any]) -> None:
        self.common = common
        self.variables = variables
        self._merged: dict[str, Any] | None = None

    def merged(self) -> dict[str, Any]:
        """Return all in one, always the same."""
        if self._merged is None:
            self._merged = self.common.copy()
            self._merged.update(self.variables)
        return self._merged


class LayeredContext(OwnedContext):
    """The context of one part of a slot, which looks names up in one layer after the other."""

    def __init__(
        self, environment: Environment, layers: Layers, name: str | None, blocks: dict[str, Any]
    ) -> None:
        super().__init__(environment, {}, name, blocks)
        del self.parent
        self.layers = layers

    def __getattr__(self, name: str) -> Any:
        if name != "parent":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.parent = self.layers.merged()
        return self.parent

    def resolve_or_missing(self, key: str) -> Any:
        """Look up a variable as Jinja does."""
        if key in self.vars:
            return self.vars[key]
        layers = self.layers
        if key in layers.variables:
            return layers.variables[key]
        return layers.common.get(key, missing)


def layered_context(
    environment: Environment, layers: Layers, name: str | None, blocks: dict[str, Any]
) -> Context:
    """Return a new context for a part; the application's class of contexts has its own ways."""
    if getattr(environment, "plain_context", None) is Context:
        return LayeredContext(environment, layers, name, blocks)
    return environment.context_class(environment, layers.merged(), name, blocks)


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

    def _load_template(self, name: str, globals: MutableMapping[str, Any] | None) -> Template:  # noqa: A002 - Jinja's name
        """Load a template as Jinja does, once more if filters came while it was compiled.

        Jinja keeps it after what had been kept before was forgotten.
        """
        offers = self.library.offers
        while True:
            before = offers()
            template = super()._load_template(name, globals)
            if offers() is before:
                return template
            if self.cache is not None:
                self.cache.clear()

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise what went wrong; where a plugin's filter is missing, say whose it is."""
        try:
            super().handle_exception(source)
        except (TemplateRuntimeError, TemplateAssertionError) as error:
            if (match := re.fullmatch(_NOT_FOUND, error.message or "")) is not None:
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
