"""Calls that somebody has to answer before the model can go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from .api import items

_CALLS: Final = (
    items.FunctionCall,
    items.CustomToolCall,
    items.ComputerCall,
    items.LocalShellCall,
    items.ShellCall,
    items.ApplyPatchCall,
    items.McpApprovalRequest,
)
_ANSWERS: Final = (
    items.FunctionCallOutput,
    items.CustomToolCallOutput,
    items.ComputerCallOutput,
    items.LocalShellCallOutput,
    items.ShellCallOutput,
    items.ApplyPatchCallOutput,
    items.McpApprovalResponse,
)


def open_calls(output: Iterable[items.AnyItem]) -> list[items.AnyItem]:
    """Return the calls, and questions for an approval, that no item among these answers."""
    found = list(output)
    answered = {_call_id(item) for item in found if isinstance(item, _ANSWERS)}
    return [item for item in found if isinstance(item, _CALLS) and _call_id(item) not in answered]


def _call_id(item: Any) -> str | None:
    found: str | None = getattr(item, "call_id", None) or getattr(item, "approval_request_id", None)
    return found or getattr(item, "id", None)
