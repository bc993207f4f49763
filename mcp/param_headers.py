"""Request headers that repeat what is in the body, for gateways that route without reading it (revision 2026-07-28).

`Mcp-Method` and `Mcp-Name` go with every request; a tool's schema may also name arguments, by `x-mcp-header`, that go
into `Mcp-Param-<name>`. A tool that names them wrongly must not be used. Source: MCP specification 2026-07-28,
Transports › Streamable HTTP › Standard headers and custom headers, read 2026-08.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..pipeline.wording import quoted

Path = tuple[str, ...]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_ENCODED = re.compile(r"=\?base64\?.*\?=", re.IGNORECASE)
_TYPES = ("string", "integer", "boolean")
_LARGEST_INTEGER = 2**53 - 1
_DEEPEST = 64

# Methods whose header `Mcp-Name` is this parameter.
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class WrongHeaders(ValueError):
    """A tool's `x-mcp-header` breaks a rule, so the tool must not be used."""


def header_paths(schema: Mapping[str, Any]) -> dict[str, Path]:
    """Return which argument goes into which header: {"Region": ("address", "region")}.

    Args:
        schema: a tool's input schema.

    Raises:
        WrongHeaders: one of them breaks a rule; the text says which.
    """
    found: dict[str, Path] = {}
    taken: set[str] = set()
    reachable: set[int] = set()
    for path, node in _properties(schema, ()):
        reachable.add(id(node))
        if "x-mcp-header" not in node:
            continue
        name, where = node["x-mcp-header"], ".".join(path)
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise WrongHeaders(f"x-mcp-header of {where} is {quoted(name)}, which is no header name")
        if name.lower() in taken:
            raise WrongHeaders(f"x-mcp-header {quoted(name)} is there twice")
        if node.get("type") not in _TYPES:
            raise WrongHeaders(f"x-mcp-header of {where}, whose type is {quoted(node.get('type'))}")
        taken.add(name.lower())
        found[name] = path
    if any(id(node) not in reachable for node in _marked(schema, 0)):
        raise WrongHeaders("x-mcp-header at a place that properties alone do not lead to")
    return found


def param_headers(paths: Mapping[str, Path], arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the `Mcp-Param-*` headers for a call's arguments; none for what is absent or null.

    Raises:
        WrongHeaders: an integer that is too large to be carried.
    """
    headers: list[tuple[str, str]] = []
    for name, path in paths.items():
        value: Any = arguments
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            if abs(value) > _LARGEST_INTEGER:
                raise WrongHeaders(f"argument {'.'.join(path)} is {value}; beyond 2**53 it cannot go into a header")
            text = str(value)
        elif isinstance(value, str):
            text = value
        else:
            continue
        headers.append((f"Mcp-Param-{name}", encode_value(text)))
    return headers


def encode_value(text: str) -> str:
    """Return `text` as a header value: plain where that is safe, else as `=?base64?…?=`."""
    if _PLAIN.fullmatch(text) and text == text.strip() and not _ENCODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'surrogatepass')).decode()}?="


def _properties(schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the properties that can be reached by `properties` alone."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or len(path) > _DEEPEST:
        return
    for name, node in properties.items():
        if isinstance(node, Mapping):
            yield (*path, name), node
            yield from _properties(node, (*path, name))


def _marked(node: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield each subschema with an `x-mcp-header`, wherever it stands."""
    if depth > _DEEPEST:
        return
    if isinstance(node, Mapping):
        if "x-mcp-header" in node:
            yield node
        for name, inner in node.items():
            if name == "properties" and isinstance(inner, Mapping):  # a property may be called x-mcp-header
                for each in inner.values():
                    yield from _marked(each, depth + 1)
            elif name not in ("default", "const", "enum", "examples"):
                yield from _marked(inner, depth + 1)
    elif isinstance(node, list):
        for inner in node:
            yield from _marked(inner, depth + 1)
