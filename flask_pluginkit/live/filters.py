"""Jinja filters and tests of plugins, callable by templates and by Python alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any

from jinja2 import BytecodeCache, Environment, pass_context, tests
from jinja2.bccache import Bucket
from jinja2.runtime import Context

from flask_pluginkit.barrier import guard
from flask_pluginkit.residents import Resident

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


@pass_context
def _is_filter(context: Context, value: str) -> bool:
    return value in context.environment.filters


@pass_context
def _is_test(context: Context, value: str) -> bool:
    return value in context.environment.tests


def ask_anew(own_tests: dict[str, Any]) -> None:
    """Let ``is filter`` and ``is test`` ask at each rendering what there is.

    Jinja's own are computed when a template is compiled, as for it filters never go.
    """
    for name, function, live in (
        ("filter", tests.test_filter, _is_filter),
        ("test", tests.test_test, _is_test),
    ):
        if dict.get(own_tests, name) is function:
            dict.__setitem__(own_tests, name, live)


class NamedCache(BytecodeCache):
    """A bytecode cache whose entries count only while plugins offer the same filters and tests.

    Jinja bakes into bytecode in which form a filter is called. Bytecode outlives the process,
    and in the next one that filter can be the application's own.
    """

    def __init__(
        self, cache: BytecodeCache, offers: Callable[[], Mapping[tuple[str, str], str]]
    ) -> None:
        self.cache = cache
        self.offers = offers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cache, name)

    def get_bucket(
        self, environment: Environment, name: str, filename: str | None, source: str
    ) -> Bucket:
        """Return the bucket of a template; its checksum is that of the source and the names."""
        names = " ".join(sorted(name for _kind, name in self.offers()))
        return self.cache.get_bucket(
            environment, name, filename, f"{source}\0{names}" if names else source
        )

    def set_bucket(self, bucket: Bucket) -> None:
        """As for the cache behind it."""
        self.cache.set_bucket(bucket)

    def load_bytecode(self, bucket: Bucket) -> None:
        """As for the cache behind it."""
        self.cache.load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """As for the cache behind it."""
        self.cache.dump_bytecode(bucket)

    def clear(self) -> None:
        """As for the cache behind it."""
        self.cache.clear()
