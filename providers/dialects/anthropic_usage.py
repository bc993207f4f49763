"""Usage and ends of the Messages API, in the terms of the Responses API."""

from __future__ import annotations

from typing import Any, Final

from .chat_usage import End, count

_COMPLETED: Final = End("completed")
_CUT: Final = End("incomplete", "max_output_tokens")

# Source: types of Anthropic's Python package 0.125, `StopReason` and its beta, read 2026-11. The host goes on with a
# paused turn when the output is sent back as input; "pause_turn" is not among OpenAI's own reasons, of which none is
# true here.
_ENDS: Final[dict[str, End]] = {
    "end_turn": _COMPLETED,
    "tool_use": _COMPLETED,
    "stop_sequence": _COMPLETED,
    "compaction": _COMPLETED,
    "max_tokens": _CUT,
    "model_context_window_exceeded": _CUT,
    "refusal": End("incomplete", "content_filter"),
    "pause_turn": End("incomplete", "pause_turn"),
}


def end_of(stop_reason: str | None) -> End:
    """Return what a stop reason means; an unknown one, or none, is an end like any other."""
    return _ENDS.get(stop_reason or "end_turn", _COMPLETED)


def usage_of(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return a message's usage as the API's; None when the host sent none. A host's own fields are kept.

    `input_tokens` leaves out what was read from the cache or written to it, so the three are added up. `output_tokens`
    includes thinking.
    """
    if not found:
        return None
    read, written = count(found.get("cache_read_input_tokens")), count(found.get("cache_creation_input_tokens"))
    given = count(found.get("input_tokens")) + read + written
    said = count(found.get("output_tokens"))
    details = found.get("output_tokens_details")
    details = details if isinstance(details, dict) else {}
    return {
        **{name: value for name, value in found.items() if name not in _MAPPED and value is not None},
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": said,
        "output_tokens_details": {**details, "reasoning_tokens": count(details.get("thinking_tokens"))},
        "total_tokens": given + said,
    }


_MAPPED: Final = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "output_tokens_details",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    }
)
