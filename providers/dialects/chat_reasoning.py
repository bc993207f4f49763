"""Reasoning of earlier turns, handed back to the chat host that it came from.

Only the host that reasoned can use it, and many refuse or misread another's: an envelope tells whose it is. What is
another's, or a mere summary, is left out and reported. At hosts that never take reasoning back (`reasoning_field` "")
their own is left out without a report, on every turn, as the model loses nothing that it could have had; so is what a
host takes only in turns with calls.
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.request import Drop, Target
from ..rows import ChatFlags
from .blocks import Block
from .envelope import unseal
from .values import plain

_PLACEHOLDER: Final = " "
"""For hosts that refuse a call without reasoning: Moonshot and DeepSeek take no less (source of LiteLLM 1.109,
`fill_reasoning_content` of both, read 2026-11); a recording of DeepSeek has "" and was answered all the same."""


def signatures(block: Block, target: Target, drop: Drop) -> tuple[dict[str, Any], ...] | None:
    """Return what a reasoning item holds of Gemini's signatures, which are no reasoning but belong to what follows.

    Each is {"extra_content": {...}}, and has "call": True where it belongs to the call behind it. None for an item that
    is reasoning.
    """
    envelope = unseal(block.value.get("encrypted_content"))
    if envelope is None or envelope.provider != target.provider:
        return None
    if envelope.form == "extra_content":
        return envelope.blocks
    if envelope.dialect != "gemini":
        return None
    found = [_of_call(kept) for kept in envelope.blocks]
    if not all(found):
        drop(f"{block.where} (reasoning)", "signatures of calls are all that Google's chat completions take back")
    return tuple([each for each in found if each is not None])


def _of_call(kept: Any) -> dict[str, Any] | None:
    """Return the signature of a call that generateContent made, as chat completions have it; see `gemini_answer`."""
    match kept:
        case {"attach": "next", "thoughtSignature": str(signature)} if "length" not in kept:
            return {"extra_content": {"google": {"thought_signature": signature}}, "call": True}
        case _:
            return None


def add_reasoning(message: dict[str, Any], given: list[Block], target: Target, flags: ChatFlags, drop: Drop) -> None:
    """Put the reasoning items of a turn into the message that the turn became, in the host's form."""
    field = flags.reasoning_field
    texts: list[str] = []
    blocks: list[Any] = []
    for block in given:
        text, own = _restored(block, target, field, drop)
        if own:
            blocks.extend(own)
        elif text and field == "content":
            blocks.append({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
        elif text:
            texts.append(text)
    calls = "tool_calls" in message
    if not field or (flags.reasoning_replay == "calls" and not calls):
        return
    if blocks and field == "content":
        content = message["content"]
        message["content"] = [*blocks, {"type": "text", "text": content}] if content else blocks
    elif blocks:
        message["reasoning_details"] = blocks
    named = field if field in ("reasoning_content", "reasoning") else "reasoning"
    if texts and field == "think_tags":
        tagged = "".join([f"<think>\n{text}\n</think>\n\n" for text in texts])
        message["content"] = f"{tagged}{message['content'] or ''}"
    elif texts:
        message[named] = "\n\n".join(texts)
    elif calls and flags.reasoning_required and not blocks:
        message[named] = _PLACEHOLDER


def _restored(block: Block, target: Target, field: str, drop: Drop) -> tuple[str, tuple[Any, ...]]:
    """Return the text and the host's own blocks of a reasoning item; ("", ()) for what it cannot get back."""
    item = block.value
    sealed = item.get("encrypted_content")
    envelope = unseal(sealed)
    text = _text(item, block.where)
    if envelope is None:
        if sealed:
            reason = "only the host that encrypted it can read it"
        elif text and field:
            return text, ()
        elif text:
            reason = "the host takes no reasoning back"
        elif item.get("summary"):
            reason = "a summary is not what the model thought"
        else:
            return "", ()
    elif envelope.provider != target.provider:
        reason = f"it is from {envelope.provider}, and another host has no use for it"
    elif field == envelope.form == "reasoning_details" and envelope.model != target.model:
        reason = f"it is signed for {envelope.model}"
    elif envelope.dialect == "chat" and envelope.form == field and field in ("reasoning_details", "content"):
        return text, envelope.blocks
    elif envelope.dialect != "chat" and not text:
        reason = "chat completions cannot carry what the host made in another API format"
    else:
        return text or "".join([part for part in envelope.blocks if isinstance(part, str)]), ()
    drop(f"{block.where} (reasoning)", reason)
    return "", ()


def _text(item: dict[str, Any], where: str) -> str:
    """Return the reasoning itself, which is not its summary."""
    content = item.get("content")
    if not content:
        return ""
    if isinstance(content, str):
        return content
    parts = [plain(part, f"{where}.content") for part in content]
    return "".join([part["text"] for part in parts if isinstance(part.get("text"), str)])
