"""What `text_format` stands for: the JSON schema to ask for, and how to read the answer.

Strict schemas are a part of JSON Schema: every object closed, every property required, no defaults. The rules are those
of "Structured model outputs › Supported schemas" (OpenAI guide), and of what OpenAI's Python package 3.54 does to the
schema of a model class, both read 2026-11. An optional value is one that may be null.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from .api.half_characters import read_typed
from .api.wire import loads
from .errors import InvalidParameter

Schema = dict[str, Any]

_MAPS: Final = ("properties", "$defs", "definitions")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = ("items", "additionalProperties")
_NOTES: Final = {"title", "description"}
_NO_TYPE: Final = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
_WRAP: Final = "wrap it in a class with one field, e.g. class Answer(msgspec.Struct): items: list[int]"


class OutputType(msgspec.Struct, frozen=True, kw_only=True):
    """A `text_format` made ready.

    Args:
        name: for the format or tool; only `[A-Za-z0-9_-]`, 1 to 64 characters.
        schema: what to ask for, strict where it can be.
        strict: whether the host may hold the model to it.
        format: the API's `text.format`.
        decode: JSON text → the value. Raises ValueError for text that is no JSON or does not fit. Half characters are
            replaced where the type cannot hold them.
    """

    name: str
    schema: Schema
    strict: bool
    format: Schema
    decode: Callable[[str], Any]


def output_type(kind: Any) -> OutputType:
    """Return what to send and how to read the answer for a `text_format`. Types are looked at once.

    A type that strict mode cannot say (maps of any keys, values of any type) is asked for without it; the answer is
    checked all the same. A schema dict is sent as it is, as strict when it already keeps the rules.

    Raises:
        InvalidParameter: no type or schema of a JSON object.
    """
    if isinstance(kind, dict):
        return _of_dict(kind)
    try:
        return _of_type(kind)
    except TypeError:  # not hashable
        return _of_type.__wrapped__(kind)


def schema_of(kind: Any) -> tuple[str, Schema]:
    """Return name and JSON schema of a type, a pydantic model class, a schema dict, or a whole `text.format` dict.

    Types are whatever msgspec can describe: Structs, dataclasses, TypedDicts, … Schema dicts are returned as they are.

    Raises:
        InvalidParameter: it has no JSON schema, or the schema's root is no object.
    """
    if isinstance(kind, dict):
        name, schema = _name_and_schema(kind)
    else:
        try:
            found = kind.model_json_schema() if _is_model(kind) else msgspec.json.schema(kind)
        except (TypeError, NameError, RuntimeError, ValueError) as error:
            raise InvalidParameter(
                f"text_format is {kind!r}, which has no JSON schema: {error}",
                param="text_format",
                hint="pass a msgspec Struct, dataclass, TypedDict or pydantic model class, or a JSON schema as a dict",
            ) from error
        schema = _at_root(found)
        name = getattr(kind, "__name__", None) or schema.get("title")
    if not _is_object(schema) and "$ref" not in schema:
        what = schema.get("type") or next((key for key in _LISTS if key in schema), "no type")
        raise InvalidParameter(
            f"text_format describes {what} at its root; an object is expected", param="text_format", hint=_WRAP
        )
    return _clean(name), schema


def strict_schema(schema: Schema) -> Schema:
    """Return the schema by the rules of strict mode; the given one is not changed.

    Objects are closed and require all their properties, a single `allOf` is merged, `oneOf` becomes `anyOf`, defaults
    go, and a `$ref` with siblings is replaced by what it points to, except inside of itself.
    """
    strict: Schema = _strict(schema, schema, frozenset())
    return strict


def can_be_strict(schema: Schema) -> bool:
    """Tell whether the rules of strict mode keep the schema's meaning: no open objects, no values of any type."""
    if not _NO_TYPE & schema.keys() and "properties" not in schema:
        return False
    if _is_object(schema) and ("properties" not in schema or schema.get("additionalProperties", False) is not False):
        return False
    return all(isinstance(member, dict) and can_be_strict(member) for member in _members(schema))


# --- kinds ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _of_type(kind: Any) -> OutputType:
    name, schema = schema_of(kind)
    decode: Callable[[str], Any] = kind.model_validate_json if _is_model(kind) else msgspec.json.Decoder(kind).decode
    strict = can_be_strict(schema)
    return _made(name, strict_schema(schema) if strict else schema, strict, functools.partial(read_typed, decode))


def _of_dict(kind: Schema) -> OutputType:
    name, schema = schema_of(kind)
    if kind.get("type") in ("json_schema", "json_object"):
        return OutputType(name=name, schema=schema, strict=bool(kind.get("strict")), format=kind, decode=_plain_object)
    return _made(name, schema, can_be_strict(schema) and strict_schema(schema) == schema, _plain_object)


def _made(name: str, schema: Schema, strict: bool, decode: Callable[[str], Any]) -> OutputType:
    form = {"type": "json_schema", "name": name, "schema": schema, "strict": strict}
    return OutputType(name=name, schema=schema, strict=strict, format=form, decode=decode)


def _name_and_schema(kind: Schema) -> tuple[str | None, Schema]:
    if kind.get("type") == "json_object":
        return None, {"type": "object"}
    if kind.get("type") != "json_schema":
        return kind.get("title"), kind
    schema = kind.get("schema")
    if not isinstance(schema, dict):
        raise InvalidParameter(
            "text_format is a json_schema format without a schema",
            param="text_format",
            hint='the Responses API\'s form is flat: {"type": "json_schema", "name": ..., "schema": {...}}',
        )
    return kind.get("name"), schema


def _is_model(kind: Any) -> bool:
    """Tell a pydantic model class, without importing pydantic."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")


def _plain_object(text: str) -> Any:
    found = loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"a JSON object is expected, not {type(found).__name__}")
    return found


def _clean(name: object) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", str(name or "")).strip("_")[:64] or "response"


# --- schemas --------------------------------------------------------------------------------------------------------


def _at_root(schema: Schema) -> Schema:
    """Put a definition that is the whole schema in its place; it stays a definition where it also stands further in."""
    found = _lookup(schema, schema.get("$ref"))
    if found is None:
        return schema
    ref = schema["$ref"]
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    root = {**found, **rest}
    others: Schema = {
        key: {name: sub for name, sub in rest[key].items() if sub is not found} for key in _MAPS if key in rest
    }
    if not any(_points_to(ref, sub) for sub in (found, *(sub for key in others for sub in others[key].values()))):
        root = {name: value for name, value in {**root, **others}.items() if value or name not in others}
    return root


def _points_to(ref: str, schema: Any) -> bool:
    return isinstance(schema, dict) and (
        schema.get("$ref") == ref or any(_points_to(ref, member) for member in _members(schema))
    )


def _strict(node: Any, root: Schema, inside: frozenset[str]) -> Any:
    if not isinstance(node, dict):
        return node
    node, inside = _flat(node, root, inside)
    for key in _MAPS:
        if isinstance(node.get(key), dict):
            names = node[key]
            within = {name: inside if key == "properties" else inside | {f"#/{key}/{name}"} for name in names}
            node[key] = {name: _strict(member, root, within[name]) for name, member in names.items()}
    if "oneOf" in node and "anyOf" not in node:
        node["anyOf"] = node.pop("oneOf")
        node.pop("discriminator", None)
    for key in _LISTS:
        if isinstance(node.get(key), list):
            node[key] = [_strict(member, root, inside) for member in node[key]]
    node.pop("discriminator", None)  # of msgspec and pydantic; strict mode knows no such key
    if "items" in node:
        node["items"] = _strict(node["items"], root, inside)
    if _is_object(node):
        node["additionalProperties"] = False
        if "properties" in node:
            node["required"] = list(node["properties"])
    return node


def _flat(node: Schema, root: Schema, inside: frozenset[str]) -> tuple[Schema, frozenset[str]]:
    """Return a copy without default, single allOf, and $ref with siblings; and the refs that we are now inside of."""
    node = {name: value for name, value in node.items() if name != "default"}
    while True:
        rest = {name: value for name, value in node.items() if name not in ("allOf", "$ref")}
        members, ref = node.get("allOf"), node.get("$ref")
        if isinstance(members, list) and len(members) == 1 and isinstance(members[0], dict):
            if members[0].keys() & (node.keys() - _NOTES - {"allOf"}):
                return node, inside  # both say something of the same thing
            node = {**members[0], **{name: value for name, value in node.items() if name != "allOf"}}
        elif ref is not None and rest and "allOf" not in node:
            found = _lookup(root, ref)
            if found is None:
                return node, inside
            if ref in inside:
                return {"$ref": ref}, inside
            inside |= {ref}
            node = {**found, **rest}
        else:
            return node, inside
        node.pop("default", None)


def _lookup(root: Schema, ref: object) -> Schema | None:
    """Return what a `#/…` reference points to."""
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return None
    found: Any = root
    for step in ref[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found if isinstance(found, dict) else None


def _is_object(node: Schema) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or (kind is None and "properties" in node)


def _members(node: Schema) -> Iterator[Any]:
    for key in _MAPS:
        yield from (node.get(key) or {}).values()
    for key in _LISTS:
        yield from node.get(key) or ()
    for key in _SINGLE:
        if key in node and node[key] is not False:
            yield node[key]
