"""A function's signature as what a model fills in: a struct of its parameters, and the JSON schema of that."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from .errors import InvalidParameter


def arguments_of(
    fn: Callable[..., Any], name: str, words: Mapping[str, str], context_type: type
) -> tuple[str | None, type[msgspec.Struct]]:
    """Return the name of the parameter that takes the call's context, and the others as a struct.

    Args:
        name: the tool's, for errors.
        words: what is said of each parameter.
        context_type: by which that parameter is known.

    Raises:
        InvalidParameter: a signature that cannot be read, or a parameter that has no name for the model.
    """
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
        if _is(context_type, kind):
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


def unwrapped(fn: Any) -> Any:
    """Return the function inside of partial ones."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    import typing

    inner = unwrapped(fn)
    if not inspect.isroutine(inner) and not inspect.isclass(inner):
        inner = type(inner).__call__  # an object that can be called
    return typing.get_type_hints(inner.__init__ if inspect.isclass(inner) else inner, include_extras=True)


def _is(wanted: type, kind: Any) -> bool:
    members = get_args(kind) if get_origin(kind) is not None else (kind,)
    return any(member is wanted for member in members)


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


def schema_of(struct: type[msgspec.Struct], name: str) -> dict[str, Any]:
    """Return the JSON schema of the struct of a tool's parameters; its definitions are at its root.

    Raises:
        InvalidParameter: there is none.
    """
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


def read_model(kind: Any, value: Any) -> Any:
    """Return a pydantic model made of JSON values: msgspec's `dec_hook`."""
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    raise NotImplementedError(f"{kind!r} cannot be read from JSON")


def requires_all(schema: Any) -> bool:
    """Tell whether every property must be given: what strict mode makes of one with a default would be another tool."""
    if isinstance(schema, list):
        return all(requires_all(member) for member in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(properties) != set(schema.get("required", ())):
        return False
    return all(requires_all(member) for member in schema.values())
