"""What functions the decorators of `authoring.Plugin` take, for editors and type checkers.

Each type variable is one kind of function: a decorator gives back the very function that it got,
so what an editor knows of it stays. ``async`` ones are meant too, where Flask calls them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, Literal, Protocol, TypeAlias, TypeVar

from flask import Response
from flask.typing import ResponseReturnValue


class HasHTML(Protocol):
    """Something that knows how it looks on a page, as `markupsafe.Markup` does."""

    def __html__(self) -> str:
        """Return HTML, escaped where that was needed."""
        ...


PartResult: TypeAlias = "str | HasHTML | None"
"""What a function for a slot returns: text (escaped), `Markup` (as it is), None (nothing)."""

DcpResult: TypeAlias = "str | bytes | HasHTML | int | float | list[Any] | tuple[Any, ...] | None"
"""What a function at a dynamic connection point returns; it is joined as text."""

Position: TypeAlias = Literal["left", "right", "before", "after"]
"""Where a function at a dynamic connection point stands among others (`kinds.POSITIONS`)."""

Answer: TypeAlias = "ResponseReturnValue | None"

View = TypeVar("View", bound=Callable[..., "ResponseReturnValue | Awaitable[ResponseReturnValue]"])
Part = TypeVar("Part", bound=Callable[..., "PartResult | Awaitable[PartResult]"])
Before = TypeVar("Before", bound=Callable[[], "Answer | Awaitable[Answer]"])
After = TypeVar("After", bound=Callable[[Response], "Response | Awaitable[Response]"])
Teardown = TypeVar("Teardown", bound=Callable[["BaseException | None"], "Awaitable[None] | None"])
Filter = TypeVar("Filter", bound=Callable[Concatenate[Any, ...], Any])
Test = TypeVar("Test", bound=Callable[Concatenate[Any, ...], "bool | Awaitable[bool]"])
Global = TypeVar("Global", bound=Callable[..., Any])
Variables = TypeVar(
    "Variables", bound=Callable[[], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"]
)
Connection = TypeVar("Connection", bound=Callable[..., "DcpResult | Awaitable[DcpResult]"])
Receiver = TypeVar("Receiver", bound=Callable[..., Any])
Preprocessor = TypeVar("Preprocessor", bound=Callable[[Any], Any])
Error = TypeVar("Error", bound=Exception)
Handler = TypeVar(
    "Handler", bound=Callable[[Any], "ResponseReturnValue | Awaitable[ResponseReturnValue]"]
)
HandlerOf: TypeAlias = Callable[[Error], "ResponseReturnValue | Awaitable[ResponseReturnValue]"]
