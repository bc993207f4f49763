"""What a server may ask of its client: to ask the user or a model, to name folders. Functions of the user's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .callbacks import called
from .server import McpServer

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime

_FIELDS = {"elicitation/create": "elicit", "sampling/createMessage": "sample", "roots/list": "roots"}


def handled(server: McpServer) -> frozenset[str]:
    """Return the methods that have a handler."""
    return frozenset(method for method, field in _FIELDS.items() if getattr(server, field) is not None)


def capabilities(server: McpServer) -> dict[str, Any]:
    """Return what we say we can do: {} unless there are handlers, for undeclared things must not be asked."""
    found: dict[str, Any] = {}
    if server.elicit is not None:
        found["elicitation"] = {}  # forms only; a URL to be visited is not what a function can answer
    if server.sample is not None:
        found["sampling"] = {}
    if server.roots is not None:
        found["roots"] = {}
    return found


async def answer(server: McpServer, runtime: Runtime, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Have the user's handler answer a request.

    Raises:
        ValueError: it returned something else than a mapping.
        Exception: what the handler raises.
    """
    handler: Any = getattr(server, _FIELDS[method])
    if method == "roots/list" and not callable(handler):
        return {"roots": [{"uri": uri} for uri in handler]}
    found = await called(runtime, handler, params)
    if method == "elicitation/create":
        if found is None:
            return {"action": "decline"}
        if isinstance(found, Mapping) and found.get("action") == "accept":
            return {**found, "content": with_defaults(params.get("requestedSchema"), found.get("content") or {})}
    if not isinstance(found, Mapping):
        raise ValueError(f"the handler of {method} returned {type(found).__name__}; a mapping is expected")
    return dict(found)


def with_defaults(schema: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form's content, with the schema's defaults where it says nothing.

    Source: MCP specification 2025-11-25, Elicitation › Requested schema, read 2026-08.
    """
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    defaults = {
        name: field["default"]
        for name, field in (properties.items() if isinstance(properties, Mapping) else ())
        if isinstance(field, Mapping) and "default" in field
    }
    return {**defaults, **content}
