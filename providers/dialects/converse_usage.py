"""Usage and ends of Converse, in the terms of the Responses API."""

from __future__ import annotations

from typing import Any, Final

from .chat_usage import End, count

_COMPLETED: Final = End("completed")
_CUT: Final = End("incomplete", "max_output_tokens")
_FILTERED: Final = End("incomplete", "content_filter")
_FAILED: Final = End("failed")

# Source: botocore 1.44, `StopReason`, read 2026-11.
_ENDS: Final[dict[str, End]] = {
    "end_turn": _COMPLETED,
    "tool_use": _COMPLETED,
    "stop_sequence": _COMPLETED,
    "max_tokens": _CUT,
    "model_context_window_exceeded": _CUT,
    "guardrail_intervened": _FILTERED,
    "content_filtered": _FILTERED,
    "malformed_model_output": _FAILED,
    "malformed_tool_use": _FAILED,
}


def end_of(stop_reason: str | None) -> End:
    """Return what a stop reason means; an unknown one, or none, is an end like any other."""
    return _ENDS.get(stop_reason or "end_turn", _COMPLETED)


def usage_of(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the usage of an answer as the API's; None when the host sent none. A host's own fields are kept.

    `inputTokens` leaves out what was read from the cache or written to it, so the three are added up; where the total
    says that they are in it already, they are not. How much of the output is reasoning is not said.
    """
    if not found:
        return None
    given, said = count(found.get("inputTokens")), count(found.get("outputTokens"))
    read, written = count(found.get("cacheReadInputTokens")), count(found.get("cacheWriteInputTokens"))
    if count(found.get("totalTokens")) != given + said:
        given += read + written
    return {
        **{name: value for name, value in found.items() if name not in _MAPPED and value not in (None, {}, [])},
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + said,
    }


# The last two say once more what those before them say.
_MAPPED: Final = frozenset(
    {
        *("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
        *("cacheReadInputTokenCount", "cacheWriteInputTokenCount"),
    }
)
