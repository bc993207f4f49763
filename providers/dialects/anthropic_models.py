"""What is particular in Claude models at their own host, by the beginning of the name.

Sampling and the largest answer stand in the profiles, as they hold at gateways too; here is what only the Messages API
asks about. Sources: `pydantic_ai/profiles/anthropic.py` of Pydantic AI 2.68 and the model map of LiteLLM 1.106, read
2026-11; a recorded error of claude-opus-4-6 names its levels of effort; mid-conversation system messages: Anthropic
documentation, What's new in Claude 4.8, as quoted by users of simonw/llm-anthropic.
"""

from __future__ import annotations

import functools
import re
from typing import Final, Literal

import msgspec

_FOUR: Final = ("low", "medium", "high", "max")
_FIVE: Final = ("low", "medium", "high", "xhigh", "max")


class Claude(msgspec.Struct, frozen=True, kw_only=True):
    """One family of models; the defaults are those of a Claude that is newer than this table.

    Args:
        thinking: "adaptive" decides by itself and takes an effort; "budget" takes a number of tokens; "" has none.
        efforts: levels of `output_config.effort` for adaptive thinking.
        can_rest: whether thinking can be switched off.
        structured: whether it takes `output_config.format` and strict tools.
        system_messages: whether a message of role "system" may stand after one of the user.
        forced_choice: whether it can be told to call a tool.
        code_execution: version of that tool.
    """

    thinking: Literal["", "adaptive", "budget"] = "adaptive"
    efforts: tuple[str, ...] = _FIVE
    can_rest: bool = True
    structured: bool = True
    system_messages: bool = False
    forced_choice: bool = True
    code_execution: str = "20250825"


_BUDGET: Final = Claude(thinking="budget", efforts=())
_OLD: Final = Claude(thinking="budget", efforts=(), structured=False)
_ANOTHER: Final = _OLD
"""For models of others behind the same API: thinking by budget is the form that most of them know (Anthropic-compatible
APIs of DeepSeek, Moonshot, Z.ai; from memory)."""
_NEW: Final = Claude(code_execution="20260120")
_MODELS: Final[dict[str, Claude]] = {
    "claude-opus-4-8": Claude(code_execution="20260120", system_messages=True),
    "claude-opus-5": Claude(code_execution="20260120", system_messages=True),
    "claude-opus-4-7": _NEW,
    "claude-sonnet-5": _NEW,
    "claude-fable-5": Claude(code_execution="20260120", can_rest=False),
    "claude-mythos": Claude(code_execution="20260120", can_rest=False),
    # Anthropic names these two as refusing a forced choice; claude-fable-5 takes it (Pydantic AI, as above).
    "claude-fable-5-1": Claude(code_execution="20260120", can_rest=False, forced_choice=False),
    "claude-mythos-5-1": Claude(code_execution="20260120", can_rest=False, forced_choice=False),
    "claude-opus-4-6": Claude(code_execution="20260120", efforts=_FOUR),
    "claude-sonnet-4-6": Claude(code_execution="20260120", efforts=_FOUR),
    "claude-opus-4-5": Claude(thinking="budget", efforts=(), code_execution="20260120"),
    "claude-sonnet-4-5": Claude(thinking="budget", efforts=(), code_execution="20260120"),
    "claude-haiku-4-5": _BUDGET,
    "claude-opus-4-1": _BUDGET,
    "claude-opus-4": _OLD,
    "claude-sonnet-4": _OLD,
    "claude-3-7-sonnet": _OLD,
    "claude-3": Claude(thinking="", efforts=(), structured=False),
}


@functools.lru_cache(maxsize=256)
def claude_of(model: str) -> Claude:
    """Return what is particular in a model."""
    name = model.rpartition("/")[2].lower().replace(".", "-")
    for length in range(len(name), 0, -1):
        if (found := _MODELS.get(name[:length])) is not None:
            return found
    return Claude() if "claude" in name else _ANOTHER


_VERSION: Final = re.compile(r"(?:[-@]\d{8}|-latest|-0)$")


def family_of(model: str) -> str:
    """Return a model's name without the mark of its version: dated names and their aliases are one model."""
    return _VERSION.sub("", model.rpartition("/")[2].lower())
