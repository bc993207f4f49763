"""Python functions as tools: what a model is told of them, and how they are called with what it answers.

The schema comes from the signature, the words from the docstring: its first paragraphs for the function, its "Args:"
section (Google's style) or ":param name:" lines for the parameters.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, ParamSpec, TypeVar, get_args, get_origin, overload

import msgspec

from .errors import InvalidParameter
from .json_schema import can_be_strict, strict_schema
from .wire import Wire, encode, loads

if TYPE_CHECKING:
    from .context import CallContext
    from .runtime import Runtime

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
        told, words = _documentation(inspect.getdoc(_inner(fn)) or "")
        self._context_name, self._struct = _arguments(fn, self.name, words)
        schema = _schema(self._struct, self.name)
        strict = can_be_strict(schema) and _requires_all(schema)
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
            found = msgspec.json.decode(
                arguments.strip() or "{}", type=self._struct, strict=False, dec_hook=_validate_model
            )
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
        found = loads((arguments.strip() or "{}").encode("utf-8", "surrogatepass"))
    except msgspec.DecodeError as error:
        raise ToolError(f"the arguments are no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ToolError(f"the arguments are {type(found).__name__}; a JSON object is expected")
    return found


def _is_part(part: object) -> bool:
    if not isinstance(part, Mapping | Wire):
        return False
    kind = part.get("type") if isinstance(part, Mapping) else getattr(part, "type", None)
    return kind in ("input_text", "input_image", "input_file")


# --- the signature ----------------------------------------------------------------------------------------------------


def _arguments(fn: Callable[..., Any], name: str, words: Mapping[str, str]) -> tuple[str | None, type[msgspec.Struct]]:
    """Return the name of the parameter that takes the context, and the others as a struct."""
    try:
        parameters = inspect.signature(fn).parameters.values()
        hints = _hints(fn)
    except (TypeError, ValueError, NameError) as error:
        raise InvalidParameter(f"tool {name}: its signature cannot be read: {error}", param="tools") from error
    context: str | None = None
    required: list[Any] = []
    optional: list[Any] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidParameter(
                f"tool {name} takes {parameter}; a model can only fill in parameters by name",
                param="tools",
                hint="give each parameter a name of its own",
            )
        kind = hints.get(parameter.name, Any)
        if _is_context(kind):
            context = parameter.name
            continue
        kind = _described(kind, words.get(parameter.name))
        if parameter.default is parameter.empty:
            required.append((parameter.name, kind))
        else:
            optional.append((parameter.name, kind, _default(parameter.default)))
    struct = msgspec.defstruct(
        re.sub(r"\W", "_", name), [*required, *optional], forbid_unknown_fields=True, kw_only=True
    )
    return context, struct


def _inner(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    import typing

    inner = _inner(fn)
    if not inspect.isroutine(inner) and not inspect.isclass(inner):
        inner = type(inner).__call__  # an object that can be called
    return typing.get_type_hints(inner.__init__ if inspect.isclass(inner) else inner, include_extras=True)


def _is_context(kind: Any) -> bool:
    members = get_args(kind) if get_origin(kind) is not None else (kind,)
    return any(member is ToolContext for member in members)


def _described(kind: Any, words: str | None) -> Any:
    """Give a parameter's type its description: a string of its `Annotated`, else the docstring's words."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        said = [note for note in notes if isinstance(note, str)]
        if any(isinstance(note, msgspec.Meta) and note.description for note in notes):
            said, words = [], None
        kept = [note for note in notes if isinstance(note, msgspec.Meta)]
        text = " ".join(said) or words
        for note in (*kept, *([msgspec.Meta(description=text)] if text else [])):
            inner = Annotated[inner, note]
        return inner
    return Annotated[kind, msgspec.Meta(description=words)] if words else kind


def _default(value: Any) -> Any:
    """Return a field's default. One that may change, or has no JSON form, is the function's own and in no schema."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return msgspec.field(default_factory=lambda: value)


def _schema(struct: type[msgspec.Struct], name: str) -> dict[str, Any]:
    try:
        (schema,), found = msgspec.json.schema_components(
            [struct], schema_hook=_model_schema, ref_template="#/$defs/{name}"
        )
    except (TypeError, NameError, RuntimeError, ValueError) as error:
        raise InvalidParameter(
            f"tool {name}: its parameters have no JSON schema: {error}",
            param="tools",
            hint="annotate them with types of JSON: str, int, list[...], a Struct, dataclass or pydantic model",
        ) from error
    components: dict[str, Any] = dict(found)
    root: dict[str, Any] = components.pop(schema["$ref"].rpartition("/")[2])
    _lift_definitions([root, *components.values()], components)
    root.pop("title", None)
    return {**root, "$defs": components} if components else root


def _lift_definitions(nodes: list[Any], components: dict[str, Any]) -> None:
    """Move the definitions that a pydantic model's schema brings to the root, where its references point."""
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            inner = node.pop("$defs", None)
            if isinstance(inner, dict):
                components.update(inner)
                nodes.extend(inner.values())
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)


def _model_schema(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "model_json_schema"):
        schema: dict[str, Any] = kind.model_json_schema()
        return schema
    raise NotImplementedError(f"{kind!r} has none")


def _validate_model(kind: Any, value: Any) -> Any:
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    raise NotImplementedError(f"{kind!r} cannot be read from JSON")


def _requires_all(schema: Any) -> bool:
    """Tell whether every property must be given: what strict mode makes of one with a default would be another tool."""
    if isinstance(schema, list):
        return all(_requires_all(member) for member in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(properties) != set(schema.get("required", ())):
        return False
    return all(_requires_all(member) for member in schema.values())


# --- words ------------------------------------------------------------------------------------------------------------

_SECTION = re.compile(r"^(args|arguments|parameters|params|returns?|raises|yields?|examples?|notes?)\s*:\s*$", re.I)
_FIELD = re.compile(r"^:param(?:\s+[^:]+?)??\s+(\w+)\s*:\s*(.*)$")
_ENTRY = re.compile(r"^(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def _documentation(text: str) -> tuple[str, dict[str, str]]:
    """Split a docstring into what it says of the function, and of its parameters."""
    told: list[str] = []
    words: dict[str, list[str]] = {}
    section, indent, current = "", 0, None
    for line in text.splitlines():
        stripped = line.strip()
        if (head := _SECTION.match(line)) is not None:
            section, indent, current = head[1].lower(), 0, None
        elif stripped.startswith(":"):
            section, current = "fields", None
            if (field := _FIELD.match(stripped)) is not None:
                current = words.setdefault(field[1], [field[2]])
        elif section == "":
            told.append(line)
        elif section == "fields":
            if current is not None and stripped:
                current.append(stripped)
        elif section[:3] in ("arg", "par") and stripped:
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            entry = _ENTRY.match(stripped) if depth <= indent else None
            if entry is not None:
                current = words.setdefault(entry[1], [entry[2]])
            elif current is not None:
                current.append(stripped)
    return "\n".join(told).strip(), {name: " ".join(" ".join(said).split()) for name, said in words.items()}


def _checked_name(name: str | None, fn: object) -> str:
    if name is None or not NAME.fullmatch(name):
        what = repr(name) if name else f"{type(fn).__name__} without a name"
        raise InvalidParameter(
            f"a tool is called {what}; 1 to 64 letters, digits, _ or - are expected",
            param="tools",
            hint='name it: antiphon.tool(fn, name="...")',
        )
    return name


def _checked_limit(timeout_s: float | None, name: str) -> float | None:
    if timeout_s is not None and not timeout_s > 0:
        raise InvalidParameter(
            f"tool {name}: timeout_s is {timeout_s!r}; seconds above zero are expected", param="tools"
        )
    return timeout_s
