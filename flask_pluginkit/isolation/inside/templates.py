"""Templates inside: by the names that they have in the host, and from the plugin alone.

The full name of a template is ``plugin:page.html``. A bare name means the same, as everything
here is the plugin's: the host's override if there is one, else the plugin's own file, else one of
its blueprints'. ``plugin::page.html`` is the plugin's own, past any override; inside of the
template that has it, the full name means that too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask
from flask.templating import Environment
from jinja2 import BaseLoader, FileSystemLoader, Template, TemplateError, TemplateNotFound, meta

from flask_pluginkit.text import clean, describe

if TYPE_CHECKING:
    import jinja2

CHECKED: Final = 200
"""Templates that are looked through for names that can't be found, at most."""

_REFERS: Final = re.compile(r"\{%[-+]?\s*(?:extends|include|import|from)\b")

Source = tuple[str, str | None, Callable[[], bool] | None]


class OwnTemplates(BaseLoader):
    """Finds the templates of the plugin, and what the host has in their place."""

    def __init__(self, app: Flask, plugin: str, folder: Path, overrides: Mapping[str, str]) -> None:
        self.app = app
        self.prefix = f"{plugin}:"
        self.overrides = overrides
        self._own = FileSystemLoader(folder / "templates")

    def full(self, name: str) -> str:
        """Return the full name of a template."""
        return name if name.startswith(self.prefix) else self.prefix + name

    def get_source(self, environment: jinja2.Environment, template: str) -> Source:
        """Return source, file name and up-to-date check, as Jinja asks for them."""
        name = template.removeprefix(self.prefix)
        own = name.removeprefix(":")
        if own == name and own in self.overrides:
            return self.overrides[own], None, lambda: True
        for loader in self._loaders():
            try:
                return loader.get_source(environment, own)
            except TemplateNotFound:
                continue
        raise TemplateNotFound(template)

    def _loaders(self) -> Iterator[BaseLoader]:
        yield self._own
        for blueprint in self.app.blueprints.values():
            if (loader := blueprint.jinja_loader) is not None:
                yield loader

    def list_templates(self) -> list[str]:
        """Return the full names of all templates."""
        names = set(self.overrides)
        for loader in self._loaders():
            names.update(loader.list_templates())
        return sorted(map(self.full, names))


class OwnEnvironment(Environment):
    """Jinja's environment with the plugin's templates."""

    @property
    def own(self) -> OwnTemplates:
        """The loader, if nobody put another one in its place."""
        return cast("OwnTemplates", self.loader)

    def join_path(self, template: str, parent: str) -> str:
        """Return the name that `template` means inside of `parent`."""
        if not isinstance(self.loader, OwnTemplates):
            return super().join_path(template, parent)
        full = self.own.full(template)
        if template == full and full == self.own.full(parent):
            return full.replace(":", "::", 1)  # an override extends what it stands in the place of
        return full

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: Any = None,  # noqa: A002 - Jinja's name
    ) -> Template:
        """Load a template by its full name, so that each is compiled once."""
        if isinstance(name, str) and parent is None and isinstance(self.loader, OwnTemplates):
            name = self.own.full(name)
        return super().get_template(name, parent, globals)


def unfound(environment: jinja2.Environment, loader: OwnTemplates) -> Iterator[str]:
    """Yield a warning for each template whose extended or included ones aren't here.

    Names that are only known when a template is rendered can't be checked.
    """
    for name in loader.list_templates()[:CHECKED]:
        try:
            source, _file, _fresh = loader.get_source(environment, name)
            if not _REFERS.search(source):
                continue
            referred = set(meta.find_referenced_templates(environment.parse(source, name)))
        except TemplateError as error:
            yield f"template {describe(name)} can't be used: {clean(error)}"
            continue
        except (OSError, UnicodeDecodeError) as error:
            yield f"template {describe(name)} can't be read: {clean(error)}"
            continue
        for wanted in sorted(referred - {None}, key=str):
            if wanted is not None and not _is_found(environment, loader, wanted, name):
                yield (
                    f"template {describe(name)} uses {describe(wanted)}, which isn't among the "
                    "plugin's own templates: those of the host can't be read from another process; "
                    "give the plugin its own, or use slots (tep) to be part of the host's pages"
                )


def _is_found(
    environment: jinja2.Environment, loader: OwnTemplates, wanted: str, parent: str
) -> bool:
    try:
        loader.get_source(environment, environment.join_path(wanted, parent))
    except TemplateNotFound:
        return False
    return True
