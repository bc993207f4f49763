"""Usage and ends of generateContent, in the terms of the Responses API."""

from __future__ import annotations

from typing import Any, Final

from .chat_usage import End, count

_COMPLETED: Final = End("completed")
_FILTERED: Final = End("incomplete", "content_filter")
_FAILED: Final = End("failed")

# Source: Gemini API reference, FinishReason, and the types of google-genai 3.4, read 2026-11. STOP also ends an answer
# that calls functions.
ENDS: Final[dict[str, End]] = {
    "FINISH_REASON_UNSPECIFIED": _COMPLETED,
    "STOP": _COMPLETED,
    "MAX_TOKENS": End("incomplete", "max_output_tokens"),
    "SAFETY": _FILTERED,
    "RECITATION": _FILTERED,
    "OTHER": _FAILED,
    "BLOCKLIST": _FILTERED,
    "PROHIBITED_CONTENT": _FILTERED,
    "SPII": _FILTERED,
    "MALFORMED_FUNCTION_CALL": _FAILED,
    "MODEL_ARMOR": _FILTERED,
    "IMAGE_SAFETY": _FILTERED,
    "IMAGE_PROHIBITED_CONTENT": _FILTERED,
    "IMAGE_RECITATION": _FILTERED,
    "IMAGE_OTHER": _FILTERED,
    "LANGUAGE": _FAILED,
    "NO_IMAGE": _FAILED,
    "UNEXPECTED_TOOL_CALL": _FAILED,
    "TOO_MANY_TOOL_CALLS": _FAILED,
    "MISSING_THOUGHT_SIGNATURE": _FAILED,
    "MALFORMED_RESPONSE": _FAILED,
}
# The numbers of the first ten, which answers with `enum-encoding=int` have instead (recorded: 1 and 2).
_NUMBERED: Final = tuple(ENDS)[:10]

_TIERS: Final = {"standard": "default", "flex": "flex", "priority": "priority"}


def reason_of(found: str | int) -> str:
    """Return a finish reason by its name."""
    if isinstance(found, str):
        return found
    return _NUMBERED[found] if 0 <= found < len(_NUMBERED) else str(found)


def end_of(reason: str | None) -> End:
    """Return what a finish reason means; an unknown one, or none, is an end like any other."""
    return ENDS.get(reason or "STOP", _COMPLETED)


def tier_of(found: dict[str, Any] | None) -> str | None:
    """Return the service tier that usage speaks of, by the API's name."""
    tier = (found or {}).get("serviceTier")
    return _TIERS.get(tier.lower(), tier) if isinstance(tier, str) else None


def usage_of(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return usage metadata as the API's usage; None when the host sent none. The host's own fields are kept.

    Input is the prompt, cached tokens included, and what tools added to it. Thoughts are mostly beside the candidates'
    tokens; some backends count them in (source of LiteLLM 1.106), which shows when the total has no place for them.
    """
    if not found:
        return None
    given = count(found.get("promptTokenCount")) + count(found.get("toolUsePromptTokenCount"))
    said, thought = count(found.get("candidatesTokenCount")), count(found.get("thoughtsTokenCount"))
    total = count(found.get("totalTokenCount"))
    output = said if thought and thought <= said and given + said == total else said + thought
    return {
        **{name: value for name, value in found.items() if name not in _MAPPED and value is not None},
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": count(found.get("cachedContentTokenCount")), "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": total or given + output,
    }


_MAPPED: Final = frozenset(
    {
        "promptTokenCount",
        "toolUsePromptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "cachedContentTokenCount",
        "totalTokenCount",
        "serviceTier",
    }
)
