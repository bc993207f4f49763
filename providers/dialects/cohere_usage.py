"""Usage and ends of Cohere's chat API, in the terms of the Responses API."""

from __future__ import annotations

from typing import Any, Final

from .chat_usage import End, count

_COMPLETED: Final = End("completed")

# Source: types of Cohere's Python package 7.3 (`ChatFinishReason`), read 2026-11.
_ENDS: Final[dict[str, End]] = {
    "COMPLETE": _COMPLETED,
    "STOP_SEQUENCE": _COMPLETED,
    "TOOL_CALL": _COMPLETED,
    "MAX_TOKENS": End("incomplete", "max_output_tokens"),
    "ERROR": End("failed"),
    "TIMEOUT": End("failed"),
}


def end_of(finish_reason: str | None) -> End:
    """Return what a finish reason means; an unknown one, or none, is an end like any other."""
    return _ENDS.get((finish_reason or "COMPLETE").upper(), _COMPLETED)


def usage_of(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return an answer's usage as the API's; None when the host sent none. A host's own fields are kept.

    `tokens` counts what the model read and wrote, `billed_units` what is paid for: the former are the API's. Cached
    ones are among those read. How much of the output is reasoning is not said.
    """
    if not found:
        return None
    tokens = found.get("tokens")
    tokens = tokens if isinstance(tokens, dict) else {}
    given, said = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    return {
        **{name: value for name, value in found.items() if name not in ("tokens", "cached_tokens") and value},
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": count(found.get("cached_tokens")), "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + said,
    }
