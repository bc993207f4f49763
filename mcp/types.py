"""What a server offers, and what a tool gives back: MCP's objects as this library hands them around."""

from __future__ import annotations

from typing import Any

import msgspec


class ToolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its server describes it. All of it is the server's word, and not to be trusted.

    Args:
        name: unique at its server only; case counts.
        title: for people.
        description: for the model.
        input_schema: JSON Schema of the arguments, an object; unknown keywords are kept.
        output_schema: JSON Schema of `ToolResult.structured`.
        annotations: hints, e.g. {"readOnlyHint": true, "idempotentHint": false}.
        raw: the whole definition as it came.
    """

    name: str
    title: str | None = None
    description: str = ""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] = {}
    raw: dict[str, Any] = {}

    @classmethod
    def of(cls, raw: dict[str, Any]) -> ToolInfo:
        """Read a tool's definition as `tools/list` gives it.

        Raises:
            ValueError: it has no name.
        """
        name = raw.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("a tool without a name")
        return cls(
            name=name,
            title=_text(raw.get("title")),
            description=_text(raw.get("description")) or "",
            input_schema=_object(raw.get("inputSchema")) or {"type": "object"},
            output_schema=_object(raw.get("outputSchema")),
            annotations=_object(raw.get("annotations")) or {},
            raw=raw,
        )


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave back. A tool that failed gives a result too, with `is_error`: it is for the model to read.

    Args:
        content: blocks as on the wire, e.g. ({"type": "text", "text": "42"},); types that are not known are kept.
        structured: `structuredContent`, any JSON value; None where the server sent none.
        is_error: whether the tool says that it failed.
        meta: the result's `_meta`.
    """

    content: tuple[dict[str, Any], ...] = ()
    structured: Any = None
    is_error: bool = False
    meta: dict[str, Any] = {}

    @classmethod
    def of(cls, raw: dict[str, Any]) -> ToolResult:
        """Read the result of `tools/call`.

        Raises:
            ValueError: its content is not a list of objects.
        """
        content = raw.get("content")
        if content is None:  # also the empty list of a server in Go
            content = []
        if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
            raise ValueError("a tool's result whose content is no list of objects")
        return cls(
            content=tuple(content),
            structured=raw.get("structuredContent"),
            is_error=raw.get("isError") is True,
            meta=_object(raw.get("_meta")) or {},
        )

    @property
    def text(self) -> str:
        """The text blocks, joined by line ends; "" when there are none."""
        return "\n".join(
            block["text"]
            for block in self.content
            if block.get("type") == "text" and isinstance(block.get("text"), str)
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
