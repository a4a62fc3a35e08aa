"""One plugin, loaded in a process of its own: what it adds, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.isolation.messages import (
    Batch,
    Configured,
    Description,
    FromPlugin,
    Greeting,
    Result,
    Results,
    Spec,
    Visit,
)
from flask_pluginkit.kinds import normalise

from . import facade, namespace, network, records, sessions, visits
from .application import InnerFlask
from .calls import Calls, failure
from .configuring import Given, InnerSettings
from .connections import Connections
from .describing import Describer, Pristine
from .emits import Stand
from .environ import ASIDE, environ_of
from .links import Links
from .preparing import know_types, prepare
from .recording import record
from .services import Services

__all__ = ["Inner", "load", "look", "prepare"]


class Inner:
    """A plugin that is loaded; any thread may ask it."""

    def __init__(
        self,
        app: InnerFlask,
        calls: Calls,
        links: Links,
        settings: InnerSettings,
        description: Description,
        undo: ExitStack,
    ) -> None:
        self.app = app
        self._settings = settings
        self.description = description
        self._calls = calls
        self._links = links
        self._undo = undo
        self._cookies = "cookies" in app.spec.permissions

    def greet(self, greeting: Greeting) -> None:
        """Learn what the host tells at the beginning of a connection."""
        self._links.learn(greeting.public)

    def configure(self, message: Configured) -> Given:
        """Learn the values of the plugin's settings; `configuring.seen` lets it see them."""
        return self._settings.learn(message)

    def visit(self, visit: Visit) -> Iterator[FromPlugin]:
        """Yield the reply to a request for one of the plugin's views; never raises.

        Whoever doesn't want all of it closes the iterator, in the thread that began it.
        """
        return visits.visit(self.app, visit, cookies=self._cookies)

    def batch(self, batch: Batch) -> Results:
        """Return the results of some calls, which see one and the same request; never raises."""
        with records.collecting() as collected:
            results: list[Result] = []
            try:
                environ = environ_of(batch.page, cookies=self._cookies)
                environ[ASIDE] = True
                with self.app.request_context(environ):
                    results = [*self._calls.run(batch.calls)]
            except BaseException as error:  # plugins raise anything, at the end too
                if len(results) != len(batch.calls):
                    results = [failure(error) for _call in batch.calls]
                self.app.logger.exception("at the end of a request")
            return Results(id=batch.id, results=results, records=collected.take())

    def close(self) -> None:
        """Make the process forget the plugin, as far as it can. For tests."""
        self._undo.close()


def look(spec: Spec) -> None:
    """Make sure that an isolated plugin's files are those that were approved.

    To be called before the process is confined. Raises LoadError.
    """
    if spec.level == "isolated":
        namespace.APPROVED[spec.folder] = namespace.Approved(spec)


def load(spec: Spec, services: Services) -> Inner:
    """Import a plugin and return what runs it; to be called once in a process.

    Raises what the plugin's code raises; LoadError for an import that can't work in another
    process; RegistrationError and others for what ``register()`` returns.
    """
    with ExitStack() as undo:
        know_types()
        records.install(undo, debug=spec.debug)
        facade.install(spec, services, undo)
        if spec.level == "isolated":
            network.install(services, spec.permissions, undo)
        module = namespace.import_plugin(spec, undo)
        register = getattr(module, "register", None)
        if not callable(register):
            raise PEPError(f"plugin {spec.plugin}: it has no function register()")
        shapes = normalise(spec.plugin, Path(spec.folder), register())
        settings = InnerSettings(spec.plugin, shapes["settings"])
        app, links, connections = InnerFlask(spec), Links(), Connections()
        links.install(app)
        sessions.install(app, spec.plugin, services, permitted="cookies" in spec.permissions)
        stand = Stand(app, connections, links)
        stand.install()
        pristine, calls = Pristine(app), Calls(app)
        stand.recorded = recorded = record(app, module, shapes, connections)
        describer = Describer(
            app,
            calls,
            recorded,
            frozenset(spec.permissions),
            is_optional=getattr(module, "__optional__", False) is True,
        )
        description = describer.describe(pristine, connections)
        if shapes["settings"]:
            checker = calls.add(settings.checker())
            description = replace(description, settings=settings.infos, checker=checker)
        return Inner(app, calls, links, settings, description, undo.pop_all())
