"""One per application: runs the plugins that web workers want, as long as there are any."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from flask_pluginkit.durable import make_folder
from flask_pluginkit.exceptions import PluginError, RunError
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.isolation.remains import FILES, STORAGE
from flask_pluginkit.isolation.supervision import (
    Blame,
    Overview,
    Release,
    Want,
)
from flask_pluginkit.sandbox import canaries, identity
from flask_pluginkit.sandbox.identity import Identity
from flask_pluginkit.text import clean
from flask_pluginkit.version import __version__

from . import orphans, runtime
from .asking import Desk, open_service
from .clients import Reception, WebWorker
from .employee import Employee
from .homes import Users, excess, make_home
from .logs import LogFile, Output
from .loop import Loop, Timer
from .nursery import Birth, Nursery
from .orders import Assignment
from .post import Post
from .quotas import Quotas
from .settings import Settings

LAST: Final = 1.0
"""Seconds that workers get when everything ends."""


class Supervisor:
    """Everything that one application's plugins need; `run` returns when nobody needs it.

    `settings.runtime` is set, and the election is won.
    """

    def __init__(self, settings: Settings) -> None:
        """Clear what was left behind, and listen. Raises PluginError, OSError."""
        self.settings = settings
        self.loop = Loop()
        self._runtime = Path(settings.runtime)
        self._control = Path(settings.control)
        self._posts: dict[Spec, Post] = {}
        self._employees: set[Employee] = set()
        self._desks: dict[tuple[str, tuple[str, ...]], Desk] = {}
        # Not from 1: a web worker that doesn't know yet that the supervisor before this one was
        # killed would take the socket of one plugin for that of another.
        self._numbers = itertools.count(time.time_ns() // 1_000_000 % (1 << 32))
        self._farewell: Timer | None = None
        self._is_terminating = False
        self._is_ending = False
        make_folder(self._control)
        runtime.sweep(self._runtime, self._control)
        uids = identity.parse_uids(settings.sandbox_uids) if settings.sandbox_uids else None
        self._users = Users(self._control, uids)
        self._file = LogFile(self._control, settings.log_size)
        with ExitStack() as stack:
            perch = stack.enter_context(runtime.perch(self._control))
            self._canaries = stack.enter_context(canaries.planted(perch))
            self._nursery = Nursery(self.loop, settings, self._canaries, _sample(uids), self._file)
            self._quotas = Quotas(self.loop, settings.scan, lambda: self._employees)
            self._reception = Reception(self.loop, self._runtime / runtime.CONTROL, self)
            self._stack = stack.pop_all()

    def run(self) -> None:
        """Serve until nobody needs it, and leave nothing behind."""
        self._await_clients()
        try:
            self.loop.run()
        finally:
            self._clean_up()

    # ---- the end ---------------------------------------------------------------------------

    def terminate(self) -> None:
        """End as soon as the web workers are gone, but soon in any case; once is enough."""
        if self._is_terminating:
            return
        self._is_terminating = True
        self.loop.later(self.settings.terminate, self._end)
        self._await_clients()

    def _await_clients(self) -> None:
        """Begin to wait for web workers, if there are none."""
        if self._reception.clients:
            return
        if self._is_terminating:
            self._end()
        elif self._farewell is None:
            self._farewell = self.loop.later(self.settings.grace, self._end)

    def _end(self) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        # from now on web workers start another one
        self._reception.close()
        for post in self._posts.values():
            post.close()
        for employee in self._employees:
            employee.drain(0.0 if not employee.description else LAST)
        self.loop.later(LAST, self.loop.stop)
        self._stop_if_empty()

    def _stop_if_empty(self) -> None:
        if self._is_ending and not self._employees:
            self.loop.stop()

    def _clean_up(self) -> None:
        self._reception.close()
        for employee in list(self._employees):
            employee.kill("the application ended")
        self._nursery.close()
        for employee in list(self._employees):
            employee.ended(0)
        orphans.end()
        for desk in self._desks.values():
            desk.close()
        self._quotas.close()
        self._stack.close()
        runtime.leave(self._runtime, self._control, is_named=self.settings.is_named)
        self._file.close()
        self.loop.close()

    # ---- what web workers ask for ----------------------------------------------------------

    def welcome(self, client: WebWorker, version: str) -> bool:
        """Whether it may stay; another version's makes way once this one's are gone."""
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        if version == __version__:
            return True
        if not any(other.is_known for other in self._reception.clients if other is not client):
            self._end()
        return False

    def want(self, client: WebWorker, message: Want) -> None:
        """Have a plugin run, and tell when it does."""
        post = self._posts.get(message.spec)
        if post is None:
            post = self._posts[message.spec] = Post(
                self.loop, self.settings, message.spec, self._hire, self._abandoned
            )
        post.want(client, message)

    def release(self, client: WebWorker, message: Release) -> None:
        """It needs a plugin no more."""
        if (post := self._posts.get(message.spec)) is not None:
            post.release(client)

    def blame(self, message: Blame) -> None:
        """A plugin's worker broke a rule, so it ends."""
        for employee in self._employees:
            if (employee.number, employee.spec.plugin) == (message.incarnation, message.plugin):
                employee.kill(clean(message.reason) or "it broke a rule")

    def survey(self, number: int) -> Overview:
        """What is running."""
        infos = [post.info() for post in self._posts.values()]
        filled = {post.employee for post in self._posts.values()}
        infos += [one.info("draining", 0, "") for one in self._employees if one not in filled]
        known = sum(client.is_known for client in self._reception.clients)
        return Overview(id=number, workers=tuple(infos), clients=known)

    def left(self, client: WebWorker) -> None:
        """It is gone, and wants nothing any more."""
        for post in self._posts.values():
            if client in post.wants:
                post.release(client)
        if not self._is_ending:
            self._await_clients()

    # ---- workers ---------------------------------------------------------------------------

    def _hire(self, post: Post) -> Employee:
        spec = post.spec
        user = self._user(spec)
        home = self._home(spec, user)
        number = next(self._numbers)
        path = self._runtime / f"worker-{number}.sock"
        employee = Employee(self.loop, number, spec, _Both(self, post), path)
        descriptors = employee.furnish(
            lambda: self._assignment(spec, user, home), self._desk(spec), self._output(spec)
        )
        employee.home = home
        self._employees.add(employee)
        birth = Birth(
            number=number, descriptors=descriptors, born=employee.born, ended=employee.ended
        )
        try:
            self._nursery.bear(birth)
        except (PluginError, OSError) as error:
            employee.ended(1, str(error))
            raise
        return employee

    def gone(self, employee: Employee) -> None:
        """A worker has ended."""
        self._employees.discard(employee)
        if not employee.is_draining:
            self._file.write(employee.spec.plugin, f"(its worker is gone: {employee.fate})")
        orphans.reap(self._nursery.pid)
        self._stop_if_empty()

    def _abandoned(self, post: Post) -> None:
        """Nobody wants it any more."""
        if self._posts.get(post.spec) is post:
            del self._posts[post.spec]
        post.close()
        if (employee := post.employee) is not None:
            seconds = self.settings.drain
            employee.drain(seconds)
            self.loop.later(seconds + LAST, lambda: employee.kill("it didn't end when told to"))

    def _user(self, spec: Spec) -> Identity | None:
        if spec.level != "isolated":
            return None
        return self._users.of(spec.plugin)

    def _home(self, spec: Spec, user: Identity | None) -> str | None:
        if not spec.files:
            return None
        folder = Path(self.settings.homes) if self.settings.homes else self._control / FILES
        home = make_home(folder, spec.plugin, user)
        if reason := excess(home, spec):
            raise RunError(f"{reason}: remove some of it")
        return home

    def _assignment(self, spec: Spec, user: Identity | None, home: str | None) -> Assignment:
        prepared = self._nursery.prepared
        return Assignment(
            spec=spec,
            canaries=self._canaries,
            zygote=self._nursery.pid,
            identity=user,
            home=home,
            paths=self.settings.paths,
            namespaces=prepared is not None and prepared.namespaces,
            inside=self.settings.inside,
        )

    def _desk(self, spec: Spec) -> Desk:
        key = spec.plugin, spec.permissions
        if key not in self._desks:
            home = self._control / STORAGE / spec.plugin
            self._desks[key] = Desk(
                self.loop, lambda: open_service(spec.plugin, spec.permissions, home)
            )
        return self._desks[key]

    def _output(self, spec: Spec) -> Callable[[int], Output]:
        def make(descriptor: int) -> Output:
            rate = self.settings.log_rate
            return Output(self.loop, descriptor, spec.plugin, self._file, rate)

        return make


def _sample(uids: range | None) -> Identity | None:
    """Return a user such as plugins get, None if they keep the application's."""
    if uids is None or not identity.can_become_another():
        return None
    return Identity(uid=uids[0], gid=uids[0])


class _Both:
    """Tells a worker's post, and then its supervisor."""

    def __init__(self, supervisor: Supervisor, post: Post) -> None:
        self._supervisor = supervisor
        self._post = post

    def born(self, employee: Employee) -> None:
        self._post.born(employee)

    def ready(self, employee: Employee) -> None:
        self._post.ready(employee)

    def gone(self, employee: Employee) -> None:
        self._supervisor.gone(employee)
        self._post.gone(employee)
