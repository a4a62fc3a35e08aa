"""What `Plugin` makes of an author's functions, where a kind takes another form.

A slot takes text, so a function for one is called by a line of template code. Each request hook
takes one function of a plugin, so several of them become one.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any, Final

from flask import current_app
from jinja2 import Undefined
from markupsafe import Markup, escape
from werkzeug.wrappers import Response

from flask_pluginkit.exceptions import MissingExtraError, PluginError
from flask_pluginkit.functions import private_name

_NOTHING: Final = Markup("")
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SPECIAL: Final = frozenset({"true", "false", "none", "self", "super"})
"""Names that Python knows nothing of, and that are no variables in Jinja."""


class SlotFunction:
    """A function that makes a plugin's part of a slot, as its template code calls it.

    It isn't a function, so that a fault in it is the slot's: counted there, and shown in the
    slot's place while debugging.
    """

    def __init__(self, plugin: str, slot: str, function: Callable[..., Any]) -> None:
        self.plugin = plugin
        self.slot = slot
        self.function = function
        self.parameters = tuple(inspect.signature(function).parameters.values())
        self.is_async = inspect.iscoroutinefunction(function)

    def __repr__(self) -> str:
        return f"<function {_name(self.function)} for the slot {self.slot!r}>"

    def __call__(self, **found: Any) -> Markup | Awaitable[Markup]:
        """Return HTML: text is escaped, Markup isn't, and None is nothing.

        An async function is run to its end, unless the environment is async and does so itself.
        `found` has the variables of the template's context that the parameters name; those that
        it hasn't are undefined there.

        Raises:
            PluginError: a variable isn't there, and the parameter has no default.

        """
        positional, named = [], {}
        for parameter in self.parameters:
            value = found[parameter.name]
            if isinstance(value, Undefined):
                value = self._default(parameter)
            if parameter.kind is parameter.KEYWORD_ONLY:
                named[parameter.name] = value
            else:
                positional.append(value)
        if not self.is_async:
            return _html(self.function(*positional, **named))
        if current_app.jinja_env.is_async:
            return self._later(positional, named)
        return _html(current_app.ensure_sync(self.function)(*positional, **named))

    async def _later(self, positional: list[Any], named: dict[str, Any]) -> Markup:
        return _html(await self.function(*positional, **named))

    def _default(self, parameter: inspect.Parameter) -> Any:
        if parameter.default is not parameter.empty:
            return parameter.default
        name = parameter.name
        raise PluginError(
            f"{self.plugin}: the function {_name(self.function)}() for the slot {self.slot!r} "
            f"needs the variable {name!r}, and this page has none: give the parameter a default, "
            f"or have the page hand it over: {{{{ emit_tep({self.slot!r}, {name}=...) }}}}"
        )

    def name(self, import_name: str) -> str:
        """Return a name for this among the globals, which no other part of a slot has."""
        return private_name(_name(self.function), f"{import_name}\0{self.slot}".encode())

    def code(self, name: str) -> str:
        """Return the template code that calls this by its `name` among the globals."""
        given = ", ".join(f"{parameter.name}={parameter.name}" for parameter in self.parameters)
        return f"{{{{ {name}({given}) }}}}"


def _html(result: Any) -> Markup:
    return _NOTHING if result is None else escape(result)


def unusable_parameter(function: Callable[..., Any]) -> str | None:
    """Return the first parameter that no variable of a template can be handed to, None if all can.

    Raises ValueError or TypeError for what has no signature.
    """
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _VARIABLE:
            return str(parameter)
        if parameter.name in _SPECIAL:
            return parameter.name
    return None


def refuses_arguments(function: Callable[..., Any], count: int) -> bool:
    """Tell whether a function can't be called with `count` arguments; a builtin may not tell."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return True
    except ValueError:
        return False
    return False


# ---- several hooks as one --------------------------------------------------------------------


def chained(hook: str, functions: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """Return one function for a request hook that calls all of `functions` as Flask would.

    A single one is given back as it is. The name of what is made has the names of all, and says
    where they are from, as reports of faults and refusals name it.
    """
    if len(functions) == 1:
        return functions[0]
    calls = tuple(functions)
    made = _CHAINS[hook](calls)
    first = calls[0]
    made.__name__ = "_and_".join(_name(function) for function in calls)
    made.__qualname__ = made.__name__
    made.__module__ = getattr(first, "__module__", made.__module__)
    made.__doc__ = f"Call, as {hook}: " + ", ".join(_name(function) for function in calls) + "."
    return made


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _before(functions: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """In order, until one answers."""

    def before_request() -> Any:
        for function in functions:
            answer = current_app.ensure_sync(function)()
            if answer is not None:
                return answer
        return None

    return before_request


def _after(functions: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """The last one first, each with the response of the one before."""

    def after_request(response: Response) -> Response:
        for function in reversed(functions):
            answer = current_app.ensure_sync(function)(response)
            if isinstance(answer, Response):
                response = answer
        return response

    return after_request


def _teardown(functions: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """The last one first, and all of them, whichever fails: each may have something to close."""

    def teardown_request(error: BaseException | None = None) -> None:
        with ExitStack() as stack:
            for function in functions:
                stack.callback(current_app.ensure_sync(function), error)

    return teardown_request


_CHAINS: Final = {
    "before_request": _before,
    "after_request": _after,
    "teardown_request": _teardown,
}


def require_async(plugin: str, functions: Iterable[object]) -> None:
    """Check that async functions can be called, where these are called by others of this module.

    Raises:
        MissingExtraError: one is async, and what calls those isn't installed.

    """
    if any(map(inspect.iscoroutinefunction, functions)) and find_spec("asgiref") is None:
        raise MissingExtraError(
            f"plugin {plugin}: it has async functions, which need an extra: "
            "pip install 'Flask-PluginKit[async]'"
        )


def all_of(chains: Iterable[Sequence[Callable[..., Any]]]) -> Iterator[Callable[..., Any]]:
    """Yield the functions of all chains that have several."""
    for functions in chains:
        if len(functions) > 1:
            yield from functions
