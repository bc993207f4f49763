"""Reasoning in the Messages API: how it is asked for, and how that of earlier turns is handed back.

Only the model that thought can check its signatures, so an envelope tells whose it is; what is another's is left out
and reported. LiteLLM keeps the same blocks as a bare JSON list (read 2026-11), which is taken as it is.
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.request import Drop, Target
from .anthropic_models import Claude, family_of
from .blocks import Block
from .chat_request import nearest_effort
from .envelope import Envelope, unseal
from .values import read_json

BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 10_000, "high": 16_384, "xhigh": 32_768, "max": 63_999}
"""Tokens of thinking for models that take no effort (Pydantic AI's and LiteLLM's tables, read 2026-11; "max" is the
most that leaves an answer in 64,000)."""
_LEAST: Final = 1024  # of a budget (Anthropic API reference, Messages › thinking, from memory)
_KINDS: Final = ("thinking", "redacted_thinking")


def add_reasoning(body: dict[str, Any], given: dict[str, Any], claude: Claude, forced: bool, drop: Drop) -> None:
    """Set thinking and effort; `body` has its `max_tokens` already.

    Args:
        forced: whether a tool must be called, which a budget of thinking excludes.
    """
    effort = given.get("effort")
    summary = given.get("summary") or given.get("generate_summary")
    for name, value in given.items():
        if name not in ("effort", "summary", "generate_summary") and value is not None:
            drop(f"reasoning.{name}", "the Messages API has no such parameter")
    if effort is None and summary is None:
        return
    if not claude.thinking:
        if effort != "none":
            drop("reasoning", "the model does not reason")
    elif effort == "none":
        if claude.can_rest:
            body["thinking"] = {"type": "disabled"}
        else:
            drop("reasoning.effort", "the model always reasons")
    elif claude.thinking == "adaptive":
        body["thinking"] = {"type": "adaptive", "display": "summarized" if summary else "omitted"}
        if effort is not None:
            _add_effort(body, effort, claude, drop)
    elif effort is None:
        drop("reasoning.summary", "the model reasons only when an effort is asked for")
    elif forced:
        drop("reasoning.effort", "the model does not reason where a tool must be called")
    else:
        _add_budget(body, effort, drop)


def _add_effort(body: dict[str, Any], asked: str, claude: Claude, drop: Drop) -> None:
    level = nearest_effort(asked, claude.efforts)
    if asked == "xhigh" and "xhigh" not in claude.efforts:
        level = "max"  # not less than what was asked for
    if level != asked:
        drop("reasoning.effort", f"{asked} is sent as {level}: known here are {', '.join(claude.efforts)}")
    body.setdefault("output_config", {})["effort"] = level


def _add_budget(body: dict[str, Any], asked: str, drop: Drop) -> None:
    most = body["max_tokens"] - 1 if isinstance(body["max_tokens"], int) else 0
    if most < _LEAST:
        drop("reasoning.effort", f"max_output_tokens leaves no room: the model needs {_LEAST} tokens to reason")
        return
    budget = BUDGETS.get(asked, BUDGETS["medium"])
    if asked not in BUDGETS:
        drop("reasoning.effort", f"{asked} is sent as a budget of {budget} tokens")
    elif budget > most and asked != "max":
        drop("reasoning.effort", f"{asked} is sent as {most} tokens, as max_output_tokens includes them")
    body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, most)}


def is_own(item: dict[str, Any], target: Target) -> bool:
    """Tell whether an item holds blocks that this host made."""
    return _own(unseal(item.get("encrypted_content")), target) is not None


def own_blocks(item: dict[str, Any], target: Target) -> list[Any]:
    """Return the blocks that this host made; [] for none."""
    return list(_own(unseal(item.get("encrypted_content")), target) or ())


def _own(envelope: Envelope | None, target: Target) -> tuple[Any, ...] | None:
    if envelope is None or (envelope.provider, envelope.dialect) != (target.provider, "anthropic"):
        return None
    return envelope.blocks


def restored(block: Block, target: Target, drop: Drop) -> list[Any]:
    """Return the thinking blocks of a reasoning item, [] for what the host cannot get back."""
    sealed = block.value.get("encrypted_content")
    envelope = unseal(sealed)
    if envelope is not None:
        own = _own(envelope, target)
        if own is None:
            reason = f"it is from {envelope.provider} in another API format, and no other host has a use for it"
        elif family_of(envelope.model) != family_of(target.model):
            reason = f"it is signed for {envelope.model}"
        else:
            return list(own)
    elif sealed:
        found = read_json(sealed) if isinstance(sealed, str) and sealed.startswith("[") else None
        if isinstance(found, list) and found and all(isinstance(e, dict) and e.get("type") in _KINDS for e in found):
            return found
        reason = "only the host that encrypted it can read it"
    elif block.value.get("content") or block.value.get("summary"):
        reason = "the host takes only reasoning that it has signed"
    else:
        return []
    drop(f"{block.where} (reasoning)", reason)
    return []
