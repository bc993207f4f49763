"""The form that a call wants its answer in: a schema that the host holds the model to, or words.

Strict tools are held to their schemas in the same way.

Source: Anthropic documentation, Structured outputs › JSON Schema limitations, in the rules of Anthropic's Python
package 0.125 (`transform_schema`), read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.api.wire import embed
from ...pipeline.request import Drop
from .anthropic_models import Claude
from .text_format import in_words, read_format
from .values import json_text, plain

# What the host refuses in a schema; it goes into the description, where the model still reads it.
_REFUSED: Final = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "not"),
)
_BY_NAME: Final = ("properties", "$defs", "definitions", "patternProperties")
_LISTS: Final = ("anyOf", "allOf", "oneOf")


def add_format(body: dict[str, Any], given: object, claude: Claude, drop: Drop) -> None:
    """Ask for the form `text.format`; `body` has its `system` already."""
    form = read_format(given, "the Messages API does")
    if form is None:
        return
    if form["type"] == "json_schema" and claude.structured:
        schema = fitted(plain(form.get("schema") or {}, "text.format.schema"), "text.format.schema", drop)
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": embed(schema)}
        return
    drop("text.format", "sent in words: the host does not enforce it")
    body["system"] = [*body.get("system", ()), {"type": "text", "text": in_words(form)}]


def fitted(schema: dict[str, Any], where: str, drop: Drop) -> Any:
    """Return a schema that the host can hold the model to: objects closed, rules that it refuses in descriptions."""
    moved: set[str] = set()
    found = _fitted(schema, moved)
    if moved:
        drop(where, f"{', '.join(sorted(moved))}: sent in words, as the host does not enforce it")
    return found


def _fitted(schema: Any, moved: set[str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    rules: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _REFUSED and not (name == "minItems" and value in (0, 1)):
            rules[name] = value
        elif name in _BY_NAME and isinstance(value, dict):
            result[name] = {key: _fitted(member, moved) for key, member in value.items()}
        elif name in _LISTS and isinstance(value, list):
            result[name] = [_fitted(member, moved) for member in value]
        elif name == "items":
            result[name] = _fitted(value, moved)
        else:
            result[name] = value
    if result.get("type") == "object" or "properties" in result:
        result.setdefault("additionalProperties", False)
    if rules:
        moved.update(rules)
        said = result.get("description")
        result["description"] = f"{f'{said} ' if said else ''}{json_text(rules)}"
    return result
