"""Python functions as tools: what a model is told of them, and how they are called with what it answers.

The schema comes from the signature, the words from the docstring.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

import msgspec

from .api.half_characters import read_typed
from .api.wire import Wire, encode, loads
from .docstring import read_docstring
from .errors import InvalidParameter
from .json_schema import can_be_strict, strict_schema
from .tool_signature import arguments_of, read_model, requires_all, schema_of, unwrapped
from .wording import quoted

if TYPE_CHECKING:
    from .context import CallContext
    from .runtimes.runtime import Runtime

P = ParamSpec("P")
R = TypeVar("R")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a tool's name may be at every host. Source: OpenAI API reference, Responses › Create › tools, read 2026-11."""


class ToolError(Exception):
    """Raised by a tool to tell the model, in its message, that it failed: what is wrong, and what to do instead."""


class ToolContext:
    """What a tool may know of the call that it runs in. A parameter annotated with it is filled in; no model sees it.

    Attributes:
        tool_call_id: the model's id of this use of the tool.
        model: whom the call asks, "provider/model".
        metadata: the call's `metadata`.
    """

    __slots__ = ("_context", "metadata", "model", "tool_call_id")

    def __init__(
        self, context: CallContext, tool_call_id: str, model: str = "", metadata: Mapping[str, Any] | None = None
    ) -> None:
        self._context = context
        self.tool_call_id = tool_call_id
        self.model = model
        self.metadata: Mapping[str, Any] = metadata or {}

    @property
    def call_id(self) -> str:
        """This library's id of the call, as logs and signals show it."""
        return self._context.id

    @property
    def runtime(self) -> Runtime:
        """What async tools may wait with, in sync and async calls alike."""
        return self._context.runtime

    def time_left(self) -> float:
        """Return the seconds until the call's total limit; never below 0."""
        return self._context.time_left()


class ToolFunction(Generic[P, R]):
    """A function made a tool; it can still be called as it is.

    Attributes:
        name: what the model calls it.
        definition: the API's function tool.
        timeout_s: how long one run may take, seconds; None: as the call's `Timeouts.tool`.
        is_async: whether it is a coroutine function.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.fn = fn
        self._description = description
        self.name = _checked_name(name or getattr(fn, "__name__", None), fn)
        self.timeout_s = _checked_limit(timeout_s, self.name)
        self.is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
        functools.update_wrapper(self, fn, updated=())
        told, words = read_docstring(inspect.getdoc(unwrapped(fn)) or "")
        self._context_name, self._struct = arguments_of(fn, self.name, words, ToolContext)
        schema = schema_of(self._struct, self.name)
        strict = can_be_strict(schema) and requires_all(schema)
        self.definition: dict[str, Any] = {
            "type": "function",
            "name": self.name,
            "description": told if description is None else description,
            "parameters": strict_schema(schema) if strict else schema,
            "strict": strict,
        }

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    def __get__(self, obj: object, owner: type | None = None) -> ToolFunction[..., Any]:
        if obj is None:
            return self
        bound = self.fn.__get__(obj, owner)
        return ToolFunction(bound, name=self.name, description=self._description, timeout_s=self.timeout_s)

    def __repr__(self) -> str:
        return f"ToolFunction({self.name})"

    def bind(self, arguments: str, context: ToolContext) -> Callable[[], R]:
        """Return the call that a model asked for.

        Args:
            arguments: JSON text as the model wrote it; "" is no arguments.

        Raises:
            ToolError: the arguments do not fit; its message is for the model.
        """
        try:
            decode = functools.partial(msgspec.json.decode, type=self._struct, strict=False, dec_hook=read_model)
            found: Any = read_typed(decode, arguments.strip() or "{}")
        except (ValueError, RecursionError) as error:
            raise ToolError(f"the arguments do not fit: {error}") from None
        given = {name: getattr(found, name) for name in self._struct.__struct_fields__}
        if self._context_name is not None:
            given[self._context_name] = context
        return functools.partial(self.fn, **given)


@overload
def tool(fn: Callable[P, R], /) -> ToolFunction[P, R]: ...
@overload
def tool(
    fn: Callable[P, R], /, *, name: str | None = None, description: str | None = None, timeout_s: float | None = None
) -> ToolFunction[P, R]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, timeout_s: float | None = None
) -> Callable[[Callable[P, R]], ToolFunction[P, R]]: ...
def tool(fn: Any = None, /, **settings: Any) -> Any:
    """Make a tool of a function where its own name, docstring or the usual time limit will not do.

    A plain function may stand in `tools=[...]` as it is.

        >>> import antiphon
        >>> @antiphon.tool(name="weather", timeout_s=5)
        ... def look_out(city: str) -> str:
        ...     return f"It is sunny in {city}."
        >>> look_out.definition["parameters"]["required"], look_out("Rome")
        (['city'], 'It is sunny in Rome.')

    Args:
        name: what the model calls it; 1 to 64 of letters, digits, "_" and "-".
        description: what the model is told of it.
        timeout_s: how long one run may take, seconds.

    Raises:
        InvalidParameter: it has no name, or parameters that no JSON schema can say.
    """
    return (lambda function: ToolFunction(function, **settings)) if fn is None else ToolFunction(fn, **settings)


def tool_function(fn: Callable[..., Any]) -> ToolFunction[..., Any]:
    """Return the tool of a function that stands in `tools`; plain functions are looked at once."""
    if isinstance(fn, ToolFunction):
        return fn
    try:
        return _of_function(fn)
    except TypeError:  # not hashable
        return ToolFunction(fn)


@functools.lru_cache(maxsize=256)
def _of_function(fn: Callable[..., Any]) -> ToolFunction[..., Any]:
    return ToolFunction(fn)


def result_output(result: object) -> str | list[Any]:
    """Return a function's result as the output that a model gets: text as it is, anything else as JSON.

    A list of the API's input parts (`{"type": "input_image", ...}`) is handed on as such.

    Raises:
        ToolError: it has no JSON form.
    """
    if isinstance(result, str):
        return result
    if isinstance(result, list) and result and all(_is_part(part) for part in result):
        return result
    try:
        return encode(result).decode()
    except (TypeError, ValueError) as error:
        raise ToolError(f"it returned what has no JSON form: {error}") from error


def object_of(arguments: str) -> dict[str, Any]:
    """Return a call's arguments, JSON text as the model wrote it, as an object.

    Raises:
        ToolError: they are none; its message is for the model.
    """
    try:
        found = loads(arguments.strip() or "{}")
    except msgspec.DecodeError as error:
        raise ToolError(f"the arguments are no JSON: {error}") from None
    if found in (None, ""):  # what some hosts say where there are none
        return {}
    if not isinstance(found, dict):
        raise ToolError(f"the arguments are {type(found).__name__}; a JSON object is expected")
    return found


def _is_part(part: object) -> bool:
    if not isinstance(part, Mapping | Wire):
        return False
    kind = part.get("type") if isinstance(part, Mapping) else getattr(part, "type", None)
    return kind in ("input_text", "input_image", "input_file")


def _checked_name(name: str | None, fn: object) -> str:
    if name is None or not NAME.fullmatch(name):
        what = quoted(name) if name else f"{type(fn).__name__} without a name"
        raise InvalidParameter(
            f"a tool is called {what}; 1 to 64 letters, digits, _ or - are expected",
            param="tools",
            hint='name it: antiphon.tool(fn, name="...")',
        )
    return name


def _checked_limit(timeout_s: float | None, name: str) -> float | None:
    if timeout_s is not None and not timeout_s > 0:
        raise InvalidParameter(
            f"tool {name}: timeout_s is {quoted(timeout_s)}; seconds above zero are expected", param="tools"
        )
    return timeout_s
