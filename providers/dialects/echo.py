"""What a response repeats of its request: the API's answers do, and hosts of other formats do not."""

from __future__ import annotations

from typing import Any

from ...pipeline.api.params import CreateParams
from ...pipeline.api.tools import hide_credentials
from ...pipeline.api.wire import embed
from ...pipeline.request import Target
from .values import plain

# Source: the required fields of a response in the types of OpenAI's Python package 3.54, read 2026-11.
_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}
_REPEATED = (
    *_DEFAULTS,
    "max_output_tokens",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "text",
    "top_logprobs",
    "user",
)


def response_fields(params: CreateParams, target: Target) -> dict[str, Any]:
    """Return the fields of a response to this call that do not depend on the answer; nothing is stored there."""
    given = {name: embed(value) for name in _REPEATED if (value := getattr(params, name)) is not None}
    if params.tools:
        given["tools"] = [_repeated(tool, f"tools[{at}]") for at, tool in enumerate(params.tools)]
    return {
        "model": target.model,
        "error": None,
        "incomplete_details": None,
        **_DEFAULTS,
        **given,
        "background": False,
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
    }


def _repeated(tool: Any, where: str) -> Any:
    """Return a tool as a response shows it: the API does not repeat what an MCP server is called with either."""
    found = plain(tool, where)
    return hide_credentials(found) if found.get("type") == "mcp" else embed(tool)
