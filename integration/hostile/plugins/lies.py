"""What a worker may say that its plugin adds, and shouldn't be believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_pluginkit.isolation.messages import (
    Description,
    ErrorInfo,
    FunctionInfo,
    HookInfo,
    RefusedInfo,
    RouteInfo,
    TepInfo,
)

ODD = "\x1b]0;owned\x07\r\nINJECTED: line\u202e"

TAKEN = [
    "request",
    "session",
    "g",
    "config",
    "url_for",
    "get_flashed_messages",
    "current_user",
    "late_user",
    "emit_tep",
    "emit_assets",
    "emit_dcp",
    "range",
    "dict",
    "cycler",
    "self",
    "loop",
    "caller",
    "super",
    "varargs",
    "kwargs",
]
BUILTIN = [
    "e",
    "escape",
    "safe",
    "tojson",
    "default",
    "d",
    "join",
    "length",
    "upper",
    "urlencode",
    "striptags",
]


def route(rule: str, endpoint: str = "lie") -> RouteInfo:
    """A route that isn't there."""
    return RouteInfo(rule=rule, endpoint=endpoint, methods=("GET",))


def rules(*given: str) -> Callable[[], Description]:
    """Say that there are routes."""
    name = given[-1].split("/")[1]
    routes = tuple(route(rule, f"{name}{number}") for number, rule in enumerate(given))
    return lambda: Description(routes=routes)


PATHS = "/".join(f"<path:p{number}>" for number in range(40))
DASHES = "-".join(f"<d{number}>" for number in range(45))
ANY = "".join(f"<any(a,a,a,a):n{number}>" for number in range(18))

LIES: dict[str, Callable[[], Description]] = {
    "lieprefix": rules(
        "/",
        "/page",
        "/state",
        "/<path:everything>",
        "/<word>",
        "/lieprefixed",
        "/lieprefix<x>",
        "/lieprefix/../page",
        "//lieprefix/x",
        "/neighbour/<path:x>",
        "/static/<path:x>",
        "/lieprefix/ok",
    ),
    "lieconverter": rules(
        "/lieconverter/<evil:x>",
        "/lieconverter/<regex('(a+)+'):x>",
        "/lieconverter/<string(length=99999999999):x>",
        "/lieconverter/<string(minlength=99999999999):x>",
        "/lieconverter/<int(fixed_digits='x'):x>",
        "/lieconverter/<any():x>",
        "/lieconverter/<any(__import__('os')):x>",
        "/lieconverter/<x>/<x>",
        "/lieconverter/ok",
    ),
    "lietwo": rules("/lietwo/<path:a>/<path:b>/end"),
    "lieargument": rules("/lieargument/<string(nothing=1):x>", "/lieargument/ok"),
    "liepaths": rules(f"/liepaths/{PATHS}/end"),
    "liedashes": rules(f"/liedashes/{DASHES}z"),
    "lieany": rules(f"/lieany/<path:p>/{ANY}z"),
    "liemany": lambda: Description(
        routes=tuple(
            route(
                f"/liemany/<string(maxlength={9 + number}):x>/<string(maxlength={number + 5}):y>/z",
                f"liemany{number}",
            )
            for number in range(900)
        )
    ),
    "lieteps": lambda: Description(
        teps=tuple(
            TepInfo(slot=f"s{number}", given="x", is_file=False, reference=number)
            for number in range(20_000)
        )
    ),
    "liereferences": lambda: Description(
        teps=(TepInfo(slot="lies", given="x", is_file=False, reference=-(1 << 62)),),
        functions=(FunctionInfo(kind="filter", name="liefilter", reference=1 << 62),),
        hooks=(HookInfo(table="template_context_processors", scope=None, reference=-1),),
    ),
    "liehuge": lambda: Description(
        teps=(TepInfo(slot="x" * 1_000_000, given="x" * 1_000_000, is_file=True, reference=0),),
        functions=(FunctionInfo(kind="dcp", name="y" * 500_000, reference=0, position=ODD),),
        context={"big": "x" * 500_000},
    ),
    "lieodd": lambda: Description(
        refused=(RefusedInfo(kind=ODD, name=ODD, reason=ODD * 50),) * 500,
        warnings=(ODD * 1000,) * 5,
        teps=(TepInfo(slot=ODD, given=ODD, is_file=False, reference=0),),
        functions=(FunctionInfo(kind="dcp", name=ODD, reference=0),),
        routes=(route(f"/lieodd/{ODD}"), route("/lieodd/ok", ODD)),
        context={ODD: ODD},
    ),
    "liefatal": lambda: Description(
        refused=(RefusedInfo(kind=ODD, name=ODD, reason=ODD * 50, is_fatal=True),) * 500
    ),
    "lienames": lambda: Description(
        functions=tuple(FunctionInfo(kind="filter", name=name, reference=0) for name in BUILTIN),
        context=dict.fromkeys(TAKEN, "OWNED"),
        names=dict.fromkeys(TAKEN, "OWNED"),
    ),
    "liehooks": lambda: Description(
        hooks=tuple(
            HookInfo(table=table, scope=None, reference=0)
            for table in (
                "before_request_funcs",
                "after_request_funcs",
                "teardown_request_funcs",
                "url_value_preprocessors",
                "__class__",
                "view_functions",
            )
        ),
        errors=tuple(ErrorInfo(code=code, reference=0) for code in (404, 500, 0, -1, 1 << 40)),
    ),
}


def tell(lie: Callable[[], Description]) -> None:
    """Have the worker say it in the place of what is so."""
    from flask_pluginkit.isolation.processes import worker
    from flask_pluginkit.isolation.supervision import (
        Ready,
    )

    def ready(description: Any) -> Ready:
        return Ready(description=lie())

    vars(worker)["Ready"] = ready
