"""Usage and ends of chat completions, in the terms of the Responses API."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec


class End(msgspec.Struct, frozen=True):
    """What a finish reason means.

    Args:
        status: of the response.
        reason: why it is incomplete.
    """

    status: str
    reason: str | None = None


_COMPLETED = End("completed")
_CUT = End("incomplete", "max_output_tokens")
_FILTERED = End("incomplete", "content_filter")
# Sources, 2026-11: OpenAI API reference, Chat › finish_reason; Mistral's types (`model_length`); recorded (`eos`).
ENDS: Final[dict[str, End]] = {
    "stop": _COMPLETED,
    "tool_calls": _COMPLETED,
    "function_call": _COMPLETED,
    "eos": _COMPLETED,
    "end_turn": _COMPLETED,
    "length": _CUT,
    "max_tokens": _CUT,
    "model_length": _CUT,
    "content_filter": _FILTERED,
    "error": End("failed"),
}


def end_of(finish_reason: str | None) -> End:
    """Return what a finish reason means; an unknown one, or none, is an end like any other."""
    return ENDS.get(finish_reason or "stop", _COMPLETED)


def usage_of(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a chat completion's usage as the API's; None when the host sent none. A host's own fields are kept.

    `input_tokens` includes cached ones, `output_tokens` includes reasoning. Some hosts (Gemini's compatible surface,
    recorded; xAI in former times) leave reasoning out of `completion_tokens`: then the total tells.
    """
    if not found:
        return None
    given, said = _dict(found.get("prompt_tokens_details")), _dict(found.get("completion_tokens_details"))
    prompt, completion = count(found.get("prompt_tokens")), count(found.get("completion_tokens"))
    total = count(found.get("total_tokens")) or prompt + completion
    hidden = max(0, total - prompt - completion)
    reasoning = _first(said, "reasoning_tokens") or _first(found, "reasoning_tokens") or hidden
    cached = _first(given, "cached_tokens") or _first(
        found, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens"
    )
    return {
        **{name: value for name, value in found.items() if name not in _MAPPED and value is not None},
        "input_tokens": prompt,
        "input_tokens_details": {
            **given,
            "cached_tokens": cached,
            "cache_write_tokens": _first(given, "cache_write_tokens"),
        },
        "output_tokens": completion + hidden,
        "output_tokens_details": {**said, "reasoning_tokens": reasoning},
        "total_tokens": total,
    }


_MAPPED = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
)


def _dict(value: object) -> dict[str, Any]:
    return {name: member for name, member in value.items() if member is not None} if isinstance(value, dict) else {}


def _first(values: dict[str, Any], *names: str) -> int:
    return next((found for name in names if (found := count(values.get(name)))), 0)


def count(value: object) -> int:
    """Return a number of tokens; 0 for what is none, or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 < value < math.inf else 0
