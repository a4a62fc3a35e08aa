"""`PluginManager`: what a host application makes, and what its operator asks."""

from __future__ import annotations

import importlib
import os
from os import PathLike
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from flask import Flask, current_app, has_app_context
from markupsafe import Markup

from . import owners
from .application import Site
from .configuring import Configuring
from .exceptions import PluginError
from .isolating import Isolating, board_of
from .live.dcp import DcpManager
from .options import read_folder, read_install_packages, read_options
from .points import Conflict
from .records import FormerLists
from .snapshot import Plugin, Snapshot
from .state.base import WantedState

if TYPE_CHECKING:
    from .health import Health, Workers
    from .switching import Change


class PluginManager(Isolating, Configuring, FormerLists):
    """Loads plugins into Flask applications.

    Args:
        app: the application; without it, call `init_app` later, once for each application.
        plugins_base: the folder that holds `plugins_folder`; default: the application's
            ``root_path``.
        plugins_folder: the name of the folder of local plugins. It need not exist.
        logger: where faults and refusals are logged; default: this module's logger.
        stpl: the order of the parts of one tep. ``"asc"`` (or True) and ``"desc"`` go by the
            ``order@`` of files and code together; False (default) is plugin order, files
            before code.
        stpl_reverse: of 3.2: with ``stpl=True``, whether the order is descending.
        plugin_packages: dotted names of packages that are plugins.
        plugin_paths: folders in which ``pluginkit_plugins`` is looked for, beside those of
            ``sys.path``.
        install_packages: ``{"pkgs": [...], "target_dir", "index", "upgrade", "quiet"}``: what
            to install by pip before looking for plugins; an entry ``...#egg=NAME`` that is
            installed is passed over.
        static_endpoint: the endpoint of plugins' static files.
        static_url_path: the URL prefix of plugins' static files.
        pluginkit_config: values for ``{{ emit_config("name") }}``.
        strict: True raises what could be contained, at start and at run time; False never;
            None (default) does while the application is in debug or testing mode.
        state_dir: the folder for what is to be remembered (which plugins are disabled);
            default: beside the code of each plugin.
        live: whether this process follows what other workers, the command line or a hand
            switch while it runs; None (default) does unless the application is in testing mode.
        isolation: where plugins run: ``"trusted"`` (default), ``"process"`` or ``"isolated"``, or
            one of these by name, such as ``{"hello": "isolated", "*": "trusted"}``.
        enable_timeout: for how many seconds the other workers are waited for when a plugin is
            enabled that they haven't loaded; default: 10.
        host: the host of plugins' rules, for applications with host matching.

    Raises:
        TypeError: for an option that doesn't exist.
        PluginError: for a value that can't be used; in strict mode for the first plugin
            that can't be loaded.

    """

    _site_class: type[Site] = Site
    """What holds the plugins of one application; the test kit has another one."""

    def __init__(
        self,
        app: Flask | None = None,
        plugins_base: str | PathLike[str] | None = None,
        plugins_folder: str = "plugins",
        **options: Any,
    ) -> None:
        self._install = read_install_packages(options.pop("install_packages", None))
        self.options = read_options(options)
        self.logger = self.options.logger
        self.stpl = bool(self.options.sorting)
        self.stpl_reverse = self.options.sorting == "desc"
        self.plugin_packages = list(self.options.plugin_packages)
        self.static_endpoint = self.options.static_endpoint
        self.static_url_path = self.options.static_url_path
        self.pluginkit_config = self.options.pluginkit_config
        # a site lives as long as its application, which holds it in many places
        self._sites: WeakKeyDictionary[Flask, ref[Site]] = WeakKeyDictionary()
        self._latest: Site | None = None
        if app is not None:
            self.init_app(app, plugins_base, plugins_folder)

    def init_app(
        self,
        app: Flask,
        plugins_base: str | PathLike[str] | None = None,
        plugins_folder: str = "plugins",
    ) -> None:
        """Load the plugins of `app`.

        Either this completes, or it raises and the application is as it was.

        Raises:
            PluginError: the application has a manager already, or, in strict mode, a plugin
                can't be loaded.

        """
        if "pluginkit" in app.extensions:
            raise PluginError(f"{app!r} has a PluginManager already: init_app() is called once")
        base = read_folder("plugins_base", plugins_base or app.root_path)
        if plugins_folder != "":  # as in 3.x that is the base itself
            read_folder("plugins_folder", plugins_folder)
        self.plugins_folder = plugins_folder
        self.plugins_abspath = str(base / plugins_folder)
        self._install_packages(app)
        site = self._site_class(app, self.options, base, plugins_folder)
        site.follower = lambda: board_of(site).follower
        latest, self._latest = self._latest, site
        self._sites[app] = ref(site)
        app.extensions["pluginkit"] = self
        if "WERKZEUG_RUN_MAIN" in os.environ:  # as in no process but those of a reloading server
            from .develop.reloading import watch

            watch(site)  # first: a plugin that can't be loaded is about to be mended
        try:
            site.start()
        except BaseException:
            del app.extensions["pluginkit"], self._sites[app]
            self._latest = latest
            raise

    def _install_packages(self, app: Flask) -> None:
        packages, settings = self._install
        if not packages:
            return
        # only who installs pays for importing what that needs
        from .pip import egg_name, is_installed, pip_install

        if target := app.config.get("PLUGINKIT_PIP_TARGET_DIR"):
            settings = {**settings, "target_dir": target}
        for package in packages:
            name = egg_name(package)
            if name is None or not is_installed(name):
                pip_install(package, **settings)
        importlib.invalidate_caches()

    def _site(self) -> Site:
        """Return the site of the current application, else that of the last one."""
        if has_app_context():
            app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
            if (found := self._sites.get(app)) is not None and (site := found()) is not None:
                return site
        if self._latest is None:
            raise PluginError("this PluginManager has no application yet: call init_app(app)")
        return self._latest

    @property
    def snapshot(self) -> Snapshot:
        """Everything that is live in the current application, as one immutable value."""
        return self._site().pin()

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every plugin that was found: name, version, status, reason, traceback, counts, times."""
        return self._site().current.plugins

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The contributions that were refused because somebody else has their name or route.

        Asking settles names and routes, as the first request does.
        """
        site = self._site()
        site.app.url_map.update()
        return site.current.conflicts

    def owner_of(self, kind: str, name: str) -> str | None:
        """Return the plugin that provides something, None if no plugin does.

        Asking settles names and routes, as the first request does.

        Args:
            kind: ``route`` (a rule or a path), ``endpoint``, ``blueprint``, ``filter``,
                ``test``, ``global``, ``context``, ``command`` or ``template``.
            name: such as ``/shop/<int:item>``, ``/shop/7``, ``shop.item``, ``money``.

        Raises:
            PluginError: `kind` is none of these.

        """
        app = self._site().app
        app.url_map.update()
        return owners.owner_of(app, self.snapshot, kind, name)

    def owners_of(self, kind: str, name: object) -> tuple[str, ...]:
        """Return the plugins that take part in something, in the order in which they do.

        Args:
            kind: ``tep``, ``hep``, ``errhandler`` or ``dcp``.
            name: the slot, the hook (``before_request``), the code or exception class, or
                the event.

        Raises:
            PluginError: `kind` is none of these.

        """
        return owners.owners_of(self._site().dcp, self.snapshot, kind, name)

    # --- switching --------------------------------------------------------------------

    def enable_plugin(
        self, plugin_name: str, *others: str, cascade: bool = False, by: str | None = None
    ) -> Change:
        """Enable a plugin: when this returns, every request that begins has it, in every worker.

        What a worker hasn't loaded yet is loaded there first: by all of them, or nothing
        changes. A plugin that failed or is quarantined is tried anew.

        Args:
            plugin_name: its name.
            others: further ones, all of them or none.
            cascade: whether to enable what it requires, too.
            by: who asks for it, for the audit; default: the user of the request or process.

        Raises:
            RequirementError: it requires what isn't enabled.
            SwitchError: it can't be active, here or in another worker; says why.
            StateError: the state, or the audit, can't be written.
            PluginError: there is no such plugin.

        """
        return self._switch((plugin_name, *others), WantedState.ENABLED, cascade, by)

    def disable_plugin(
        self, plugin_name: str, *others: str, cascade: bool = False, by: str | None = None
    ) -> Change:
        """Disable a plugin: when this returns, no request that begins has it, in any worker.

        Args:
            plugin_name: its name.
            others: further ones, all of them or none.
            cascade: whether to disable what requires it, too.
            by: as for `enable_plugin`.

        Raises:
            RequirementError: others require it.
            StateError: the state, or the audit, can't be written.
            PluginError: there is no such plugin.

        """
        return self._switch((plugin_name, *others), WantedState.DISABLED, cascade, by)

    def _switch(
        self, names: tuple[str, ...], wanted: WantedState, cascade: bool, by: str | None
    ) -> Change:
        from .switching import Order, who

        user, source = who()
        order = Order(names=names, wanted=wanted, cascade=cascade, by=by or user, source=source)
        return board_of(self._site()).switch(order)

    def rescan(self) -> tuple[str, ...]:
        """Look for plugins anew, in every worker; return the names of those that are new.

        The code of a plugin that is loaded stays what it is: a new version of it needs new
        processes.

        Raises:
            StateError: the state, or the audit, can't be written.

        """
        from .switching import who

        return board_of(self._site()).rescan(*who())

    def workers(self) -> Workers:
        """Return how the workers of this host are: ``3 of 4 workers on generation 42``.

        Raises `StateError` if the state can't be read.
        """
        from . import health

        return health.workers(board_of(self._site()).follower)

    def health(self) -> Health:
        """Return whether this process serves, with the state that is stored; raises nothing."""
        from . import health

        return health.health(board_of(self._site()).follower)

    def reload_workers(self) -> None:
        """Ask the server for new workers, which load plugins' code as it is on the disk now.

        Only when ``PLUGINKIT_RELOAD`` says how: ``gunicorn:<pid file>`` or
        ``uwsgi:<master FIFO>``. With gunicorn's ``preload_app`` new workers have old code.

        Raises:
            PluginError: that isn't configured.
            RunError: the server can't be asked.

        """
        from . import health

        health.reload_workers(self._site().app.config)

    def audit(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the last switches: who, what, when, from where and with which result.

        Args:
            limit: how many entries at most, the newest first.

        """
        return list(board_of(self._site()).follower.audit.read(limit))

    # --- what templates use -----------------------------------------------------------

    def emit_tep(self, tep: str, typ: str = "all", **context: Any) -> Markup:
        """Render the template slot `tep`; see `live.slots.Slots.emit`."""
        return self._site().slots.emit(tep, typ, **context)

    def emit_assets(
        self,
        plugin_name: str,
        filename: str,
        _raw: bool = False,
        _external: bool = False,
        **attributes: Any,
    ) -> Markup:
        """Return tag or URL of a plugin's static file; see `live.assets.Assets.emit`."""
        return self._site().assets.emit(plugin_name, filename, _raw, _external, **attributes)

    def emit_config(self, conf_name: str) -> Any:
        """Return a configuration value for templates, never a secret."""
        return self._site().emit_config(conf_name)

    @property
    def _dcp_manager(self) -> DcpManager:
        """The dynamic connection points of the current application (name of 3.x)."""
        return self._site().dcp
