"""The tools of a call as formats see them that have functions only, without groups.

A namespace's tools become tools named `namespace__name`; a custom tool becomes a function with one string, `input`,
where the host knows functions only. `tool_names` gives the way back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop
from ..rows import ChatFlags
from .values import listed, plain

_NAME_LENGTH: Final = 64  # of a function (OpenAI API reference, Chat › Create, read 2026-11)


class ToolName(msgspec.Struct, frozen=True):
    """What the call has for a function's name in chat completions.

    Args:
        name, namespace: the tool's own name, and that of its group.
        custom: whether it is a custom tool, whose text is in the argument `input` if the host calls it as a function.
    """

    name: str
    namespace: str | None = None
    custom: bool = False


_NO_NAMES: Final[Mapping[str, ToolName]] = {}

FUNCTIONS_ONLY: Final = ChatFlags()
"""For `tool_names`, where custom tools go out as functions."""


def tool_names(tools: list[Any] | None, flags: ChatFlags) -> Mapping[str, ToolName]:
    """Return, by the name that the host uses, the tools that the call knows as something else than that function."""
    if not tools:
        return _NO_NAMES
    return {
        flat_name(name, namespace): ToolName(name, namespace, tool["type"] == "custom")
        for _, tool, namespace in each_tool(tools)
        if (namespace or (tool.get("type") == "custom" and not flags.custom_tools))
        and tool.get("type") in ("function", "custom")
        and isinstance(name := tool.get("name"), str)
    }


def flat_name(name: str, namespace: str | None) -> str:
    """Return the name of a tool in chat completions; a long one is cut, and made distinct by a digest."""
    if not namespace:
        return name
    flat = f"{namespace}__{name}"
    if len(flat) <= _NAME_LENGTH:
        return flat
    return f"{flat[: _NAME_LENGTH - 9]}_{hashlib.sha256(flat.encode()).hexdigest()[:8]}"


def each_tool(tools: list[Any]) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield each tool with its place in the call and the name of its namespace.

    Raises:
        InvalidParameter: one that is no object, or has no type.
    """
    for at, given in enumerate(tools):
        tool = _typed(given, f"tools[{at}]")
        if tool["type"] != "namespace":
            yield f"tools[{at}]", tool, None
            continue
        for index, member in enumerate(listed(tool.get("tools"), f"tools[{at}].tools")):
            where = f"tools[{at}].tools[{index}]"
            yield where, _typed(member, where), tool.get("name")


def _typed(given: Any, where: str) -> dict[str, Any]:
    tool = plain(given, where)
    if tool.get("type") is None:
        raise InvalidParameter(f"{where} has no type", param="tools", hint='a function has "type": "function"')
    return tool


def name_of(where: str, tool: dict[str, Any]) -> str:
    """Return the name of a function or a custom tool.

    Raises:
        InvalidParameter: it has none.
    """
    name = tool.get("name")
    if isinstance(name, str) and name:
        return name
    hint = "fields of a function stand beside its type" if "function" in tool else None
    raise InvalidParameter(f"{where} ({tool['type']}) has no name", param="tools", hint=hint)


def text_parameters(where: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    """Return the parameters of the function that stands for a custom tool: its text."""
    form = None if tool.get("format") is None else plain(tool["format"], f"{where}.format")
    if form is not None and form.get("type") != "text":
        drop(f"{where}.format", "the host takes functions only, and their text cannot be bound to a grammar")
    return {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
