"""Reasoning in Converse: how each maker's models are asked for it, and how that of earlier turns is handed back.

Converse has no parameter for it: it travels in `additionalModelRequestFields`, in the terms of the model's maker; for a
Claude those of Anthropic's Messages API. Only the model that thought takes its reasoning back, and some take none, so
an envelope tells whose it is. LiteLLM keeps the thoughts of a Claude as a bare JSON list (read 2026-11), which is taken
as well.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from ...pipeline.request import Drop, Target
from .anthropic_thinking import add_reasoning
from .blocks import Block
from .chat_request import nearest_effort
from .converse_models import Model, family_of
from .envelope import unseal
from .values import read_json

DIALECT: Final = "converse"

_ROOM: Final = 8192
"""Tokens for the answer of a Claude beside its budget of thinking, where nobody says how long it may be."""


def add_effort(
    fields: dict[str, Any],
    given: dict[str, Any],
    model: Model,
    said: int | None,
    most: int | None,
    forced: bool,
    drop: Drop,
) -> int | None:
    """Set what asks for reasoning.

    Args:
        fields: `additionalModelRequestFields`.
        given: the parameter `reasoning`.
        said: tokens that the call lets the answer have.
        most: tokens that the model can write, where that is known.
        forced: whether a tool must be called.

    Returns:
        How many tokens the answer must be allowed to have beside a budget of thinking, where the call does not say it.
    """
    if model.claude is not None:
        # `display` is taken here too (tried on Opus 4.7 by the authors of llmgateway, June 2026).
        asked: dict[str, Any] = {"max_tokens": said or most or 64_000}
        add_reasoning(asked, given, model.claude, forced, drop)
        del asked["max_tokens"]
        fields |= asked
        budget = asked.get("thinking", {}).get("budget_tokens")
        return most or budget + _ROOM if budget and said is None else None
    for name, value in given.items():
        if name != "effort" and value is not None:
            drop(f"reasoning.{name}", "Converse has no such parameter")
    effort = given.get("effort")
    if effort is None:
        return None
    if not model.effort:
        drop("reasoning.effort", "how this model is asked for it is not known: pass additionalModelRequestFields")
        return None
    level = nearest_effort(effort, model.efforts)
    if level not in model.efforts:
        drop("reasoning.effort", f"the model does not know {effort}; known: {', '.join(model.efforts)}")
        return None
    if level != effort:
        drop("reasoning.effort", f"{effort} is sent as {level}: known here are {', '.join(model.efforts)}")
    if model.effort != "reasoningConfig":
        fields[model.effort] = level
    elif level == "none":
        fields["reasoningConfig"] = {"type": "disabled"}
    else:
        fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": level}
    return None


def own_blocks(item: dict[str, Any], target: Target) -> tuple[Any, ...] | None:
    """Return the blocks of an item that this host made; None where it made none."""
    envelope = unseal(item.get("encrypted_content"))
    if envelope is None or (envelope.provider, envelope.dialect) != (target.provider, DIALECT):
        return None
    return envelope.blocks


def restored(block: Block, target: Target, model: Model, drop: Drop) -> list[Any]:
    """Return the reasoning blocks of a reasoning item, [] for what the model cannot get back."""
    sealed = block.value.get("encrypted_content")
    envelope = unseal(sealed)
    if envelope is not None:
        own = own_blocks(block.value, target)
        if own is None:
            reason = f"it is from {envelope.provider} in another API format, and no other host has a use for it"
        elif not model.replays:
            reason = "the model takes no reasoning back"
        elif family_of(envelope.model) != family_of(target.model):
            reason = f"it is of {envelope.model}"
        else:
            return list(own)
    elif sealed:
        found = _of_list(sealed) if model.claude is not None else None
        if found is not None:
            return found
        reason = "only the host that encrypted it can read it"
    elif block.value.get("content") or block.value.get("summary"):
        reason = "the host takes only reasoning that it has made"
    else:
        return []
    drop(f"{block.where} (reasoning)", reason)
    return []


def _of_list(sealed: object) -> list[Any] | None:
    """Return blocks of Anthropic's Messages API, in a JSON list, as blocks of Converse."""
    found = read_json(sealed) if isinstance(sealed, str) and sealed.startswith("[") else None
    if not isinstance(found, list) or not found:
        return None
    blocks: list[Any] = []
    for each in found:
        match each:
            case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
                blocks.append({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
            case {"type": "redacted_thinking", "data": str(data)}:
                # Bytes here, text there: the same text in base64 (a recording of claude-3-7-sonnet).
                redacted = base64.b64encode(data.encode()).decode()
                blocks.append({"reasoningContent": {"redactedContent": redacted}})
            case _:
                return None
    return blocks
