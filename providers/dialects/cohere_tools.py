"""Tools and tool choices of a call, in the form of Cohere's chat API.

They have the form of chat completions, but for three things: a tool cannot be named in a choice, so it is the only one
that is offered; all tools are bound to their schemas, or none; and how many calls may be made at once is not asked.

Source: types of Cohere's Python package 7.3 (`ToolV2`, `V2ChatRequestToolChoice`), read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...pipeline.api.params import CreateParams
from ...pipeline.request import Drop, Target
from ..rows import ChatFlags
from .chat_tools import add_tools as add_chat_tools
from .named_tools import each_tool
from .values import plain

FLAGS: Final = ChatFlags(tool_choices=frozenset({"auto", "none", "required"}))
_CHOICES: Final = {"none": "NONE", "required": "REQUIRED"}


def add_tools(body: dict[str, Any], params: CreateParams, target: Target, drop: Drop) -> None:
    """Set what the call says of tools.

    Raises:
        InvalidParameter: two tools of one name, or a choice of something that is no tool of the call.
    """
    strict = [bool(tool.get("strict")) for _, tool, _ in each_tool(params.tools or [])]
    are_strict = bool(strict) and all(strict)

    def report(name: str, reason: str) -> None:
        is_strict = name.endswith(".strict")
        drop(name, "the host binds all tools to their schemas, or none" if is_strict else reason)

    flags = msgspec.structs.replace(FLAGS, strict_tools=are_strict)
    add_chat_tools(body, _with_named_choice(params), target, flags, report)
    parallel = body.pop("parallel_tool_calls", params.parallel_tool_calls)
    if parallel is False:
        drop("parallel_tool_calls", "the model cannot be told to call one tool at a time")
    for tool in body.get("tools", ()):
        tool["function"].pop("strict", None)
    if are_strict and body.get("tools"):
        body["strict_tools"] = True
    choice = body.pop("tool_choice", None)
    if choice in _CHOICES:
        body["tool_choice"] = _CHOICES[choice]


def _with_named_choice(params: CreateParams) -> CreateParams:
    """Return the call with a choice of one tool as one that must be made among this tool only."""
    choice = params.tool_choice
    if choice is None or isinstance(choice, str):
        return params
    named = plain(choice, "tool_choice")
    if named.get("type") not in ("function", "custom"):
        return params
    only = {"type": "allowed_tools", "mode": "required", "tools": [named]}
    return msgspec.structs.replace(params, tool_choice=only)
