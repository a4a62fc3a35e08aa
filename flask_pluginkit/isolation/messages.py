"""What processes say to each other about isolated plugins: one frozen value a frame.

A web worker talks to the worker of a plugin over the latter's socket: `Greeting` first, then one
exchange after the other (`Visit` or `Batch`, and its reply). `supervision` has what both say to
the supervisor.

Whatever comes from a plugin's worker is what an attacker chose. The types are checked while a
frame is decoded; what a value means is checked by whoever uses it.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Headers = list[tuple[str, str]]
Level = Literal["process", "isolated"]

# ---- what to run -----------------------------------------------------------------------------


class Spec(Struct, frozen=True, kw_only=True):
    """One plugin to be run in a worker. Equal specs mean one and the same worker."""

    plugin: str
    level: Level
    folder: str
    """The plugin's package; absolute, without links."""
    module: str
    """Its name of 3.x, such as ``pluginkit_plugins.hello``."""
    digest: str
    """Of the code: another one is another version, and gets a worker of its own."""
    application: str = "app"
    """The import name of the host, for `flask.current_app`."""
    readable: tuple[str, ...] = ()
    """Folders with the plugin's own dependencies, which nobody else searches."""
    permissions: tuple[str, ...] = ()
    """Asked for and approved, sorted."""
    overrides: tuple[tuple[str, str], ...] = ()
    """The host's own versions of the plugin's templates: name and source, sorted."""
    debug: bool = False
    address_space: int = 512 << 20
    data: int = 256 << 20
    """Bytes of private memory."""
    files: int = 0
    """Bytes of the plugin's own folder, 0 for none."""
    inodes: int = 0
    """Files and folders in it, at most."""
    concurrency: int = 16
    """Threads that run the plugin's code."""


class RouteInfo(Struct, frozen=True, kw_only=True):
    """A rule of the plugin's application, as `werkzeug.routing.Rule` has it."""

    rule: str
    endpoint: str
    methods: tuple[str, ...]
    defaults: dict[str, Any] = {}
    strict_slashes: bool | None = None
    subdomain: str | None = None


class TepInfo(Struct, frozen=True, kw_only=True):
    """A part of a template slot."""

    slot: str
    given: str
    """The name of a template file, or code, with its ``order@``."""
    is_file: bool
    reference: int


class HookInfo(Struct, frozen=True, kw_only=True):
    """A function in one of Flask's tables, such as ``before_request_funcs``."""

    table: str
    scope: str | None
    """The plugin's blueprint that it is limited to: then it runs in the worker, unasked."""
    reference: int


class FunctionInfo(Struct, frozen=True, kw_only=True):
    """A filter, a test, or a dynamic connection point."""

    kind: Literal["filter", "test", "dcp"]
    name: str
    reference: int
    position: str = ""
    """Of a dcp only."""


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """A handler of an HTTP error of the whole application."""

    code: int
    reference: int


class RefusedInfo(Struct, frozen=True, kw_only=True):
    """A contribution that can't work from another process."""

    kind: str
    name: str
    reason: str
    is_fatal: bool = False
    """Whether the plugin can't be active without it: a guard that doesn't guard."""


SettingValue = bool | int | float | str | tuple[str, ...] | None


class SettingInfo(Struct, frozen=True, kw_only=True):
    """A field of the plugin's settings (`settings.fields.Field`)."""

    name: str
    kind: Literal["bool", "int", "float", "text", "texts", "choice"]
    is_optional: bool = False
    least: float | None = None
    most: float | None = None
    words: str = ""
    """What each text must be, for people; only the plugin's worker can check that."""
    choices: tuple[str | int, ...] = ()
    is_secret: bool = False
    is_required: bool = True
    default: SettingValue = None
    description: str = ""


class Description(Struct, frozen=True, kw_only=True):
    """What the plugin adds, as its worker read it."""

    routes: tuple[RouteInfo, ...] = ()
    blueprints: tuple[str, ...] = ()
    teps: tuple[TepInfo, ...] = ()
    hooks: tuple[HookInfo, ...] = ()
    functions: tuple[FunctionInfo, ...] = ()
    errors: tuple[ErrorInfo, ...] = ()
    context: dict[str, Any] = {}
    """Template context: plain data by name."""
    names: dict[str, Any] = {}
    """Jinja globals: plain data by name."""
    refused: tuple[RefusedInfo, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: tuple[SettingInfo, ...] = ()
    checker: int = -1
    """The reference of what checks values of the settings, if there are any."""


# ---- web worker and plugin's worker ----------------------------------------------------------


class PublicRoute(Struct, frozen=True, kw_only=True):
    """A route of the host that plugins may build URLs of."""

    rule: str
    endpoint: str
    defaults: dict[str, Any] = {}


class Greeting(Struct, frozen=True, kw_only=True, tag="greeting"):
    """The first frame of a connection; it isn't answered."""

    public: tuple[PublicRoute, ...] = ()


class Configured(Struct, frozen=True, kw_only=True, tag="configured"):
    """The values of the plugin's settings, for what comes next on this connection; no reply."""

    values: dict[str, SettingValue]

    def __repr__(self) -> str:
        return f"Configured({', '.join(self.values)})"  # some may be secrets


class Page(Struct, frozen=True, kw_only=True):
    """What a plugin may know of the request that is being answered."""

    method: str = "GET"
    scheme: str = "http"
    host: str = "localhost"
    root_path: str = ""
    path: str = "/"
    query: str = ""
    headers: Headers = []
    user: dict[str, Any] = {}
    """What the host's callback hands out, by permission."""
    remote_addr: str | None = None


class Call(Struct, frozen=True, kw_only=True):
    """One call of a function that `Description` names."""

    reference: int
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Visit(Struct, frozen=True, kw_only=True, tag="visit"):
    """A request for a view of the plugin."""

    id: int
    page: Page
    body: bytes = b""


class Batch(Struct, frozen=True, kw_only=True, tag="batch"):
    """Everything that one stage of a page wants of one plugin."""

    id: int
    page: Page
    calls: list[Call]


ToPlugin = Greeting | Configured | Visit | Batch


class Record(Struct, frozen=True, kw_only=True):
    """A log record that the plugin made."""

    level: int
    name: str
    text: str


class Failure(Struct, frozen=True, kw_only=True, tag="failure"):
    """An exception of the plugin."""

    error: str
    """Its type and message."""
    traceback: str = ""


class Value(Struct, frozen=True, kw_only=True, tag="value"):
    """What a function returned: plain data."""

    value: Any = None


class Answer(Struct, frozen=True, kw_only=True, tag="answer"):
    """A response in place of a value: what a hook or an error handler answers with."""

    status: int
    headers: Headers = []
    body: bytes = b""


Result = Value | Answer | Failure


class Results(Struct, frozen=True, kw_only=True, tag="results"):
    """The reply to a `Batch`: one result a call, in their order."""

    id: int
    results: list[Result]
    records: list[Record] = []


class Head(Struct, frozen=True, kw_only=True, tag="head"):
    """The reply to a `Visit`, or its beginning if there is `more`."""

    id: int
    status: int
    headers: Headers = []
    body: bytes = b""
    more: bool = False
    records: list[Record] = []


class Chunk(Struct, frozen=True, kw_only=True, tag="chunk"):
    """More of the body of a `Head`."""

    id: int
    data: bytes = b""
    last: bool = False
    failure: Failure | None = None
    """Why it ends here, if it shouldn't."""
    records: list[Record] = []


class Aborted(Struct, frozen=True, kw_only=True, tag="aborted"):
    """The view raised an HTTP error that nothing in the plugin handles: the host answers."""

    id: int
    code: int
    description: str | None = None
    records: list[Record] = []


class Broken(Struct, frozen=True, kw_only=True, tag="broken"):
    """The view raised an exception that nothing in the plugin handles."""

    id: int
    failure: Failure
    records: list[Record] = []


FromPlugin = Results | Head | Chunk | Aborted | Broken
