"""Which calls of MCP tools need somebody's approval.

Source: OpenAI API reference, Responses › Create › tools › MCP, `require_approval` and `allowed_tools`; a tool
that says nothing asks for every call (OpenAI guide, "MCP and Connectors › Approvals"), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ...mcp.types import ToolInfo
from ...pipeline.errors import InvalidParameter
from ...pipeline.wording import quoted


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for an approval, as an `approve` function gets it.

    Args:
        server_label: as the call's tool has it.
        name: the tool's name at its server.
        arguments: what the model wants to pass.
        tool: the tool as its server describes it; the server's word, not to be trusted.
    """

    server_label: str
    name: str
    arguments: dict[str, Any]
    tool: ToolInfo


Approve: TypeAlias = Callable[[ApprovalRequest], Any]
"""Returns whether the call may be made; plain or async."""


def needs_approval(require: Any, tool: ToolInfo, where: str) -> bool:
    """Tell whether a call of this tool has to be approved; where the filters do not say so clearly, it has.

    Args:
        require: the tool definition's `require_approval`: "always", "never", {"always": FILTER, "never": FILTER}, None.
        where: the definition's place in the call, for the error.

    Raises:
        InvalidParameter: something else.
    """
    if require is None or require == "always":
        return True
    if require == "never":
        return False
    if not isinstance(require, Mapping) or not require.keys() <= {"always", "never"}:
        raise InvalidParameter(
            f'{where}.require_approval is {quoted(require)}; "always", "never" or filters for them are expected',
            param="tools",
        )
    always, never = require.get("always"), require.get("never")
    is_free = never is not None and matches(never, tool, f"{where}.require_approval.never")
    return not is_free or (always is not None and matches(always, tool, f"{where}.require_approval.always"))


def is_allowed(allowed: Any, tool: ToolInfo, where: str) -> bool:
    """Tell whether a definition's `allowed_tools` (names, a filter, or None) lets the model have this tool."""
    if allowed is None:
        return True
    if isinstance(allowed, list | tuple):
        return tool.name in allowed
    return not allowed or matches(allowed, tool, f"{where}.allowed_tools")


def named(allowed: Any) -> list[str]:
    """Return the names that an `allowed_tools` has."""
    names = allowed.get("tool_names") if isinstance(allowed, Mapping) else allowed
    return list(names) if isinstance(names, list | tuple) else []


def matches(given: Any, tool: ToolInfo, where: str) -> bool:
    """Tell whether a filter, {"tool_names": [...], "read_only": bool}, fits a tool; an empty one fits none."""
    if not isinstance(given, Mapping) or not given.keys() <= {"tool_names", "read_only"}:
        raise InvalidParameter(
            f"{where} is {quoted(given)}; a filter with tool_names and read_only is expected", param="tools"
        )
    names, read_only = given.get("tool_names"), given.get("read_only")
    if names is None and read_only is None:
        return False
    fits_name = names is None or tool.name in names
    return fits_name and (read_only is None or (tool.annotations.get("readOnlyHint") is True) is read_only)
