"""Jinja filters and tests of plugins, callable by templates and by Python alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from flask_pluginkit.barrier import Resident, guard

_ARGUMENT_OF: dict[str, Callable[[Context], Any]] = {
    "context": lambda context: context,
    "eval_context": lambda context: context.eval_ctx,
    "environment": lambda context: context.environment,
}


def jinja_callable(
    function: Callable[..., Any], resident: Resident, point: str, fallback: Any
) -> Callable[..., Any]:
    """Wrap a plugin's filter or test.

    Jinja computes a filter of constants when it compiles a template, and bakes in which
    first argument it wants: both would outlive a toggle. A filter that takes the context is
    never computed early, so all are given that form here. Python code that takes one out of
    ``jinja_env.filters`` calls it without a context, as it always did.
    """
    call = guard(function, resident, point, fallback)
    wanted = getattr(getattr(function, "jinja_pass_arg", None), "name", None)
    argument_of = _ARGUMENT_OF.get(wanted) if wanted else None

    def with_context(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Context):
            context, *rest = args
            if argument_of is None:
                return call(*rest, **kwargs)
            return call(argument_of(context), *rest, **kwargs)
        return call(*args, **kwargs)

    update_wrapper(with_context, function, assigned=("__name__", "__qualname__", "__doc__"))
    return pass_context(with_context)
