"""Signatures of earlier turns, handed back on the parts that they came with.

`gemini_answer` tells how they are kept. They go to the host that made them, and to models of the same generation only.
The third generation refuses a step whose first call has none: for calls that it did not make, Google documents a dummy
("skip_thought_signature_validator": Gemini API documentation, Thought signatures, read 2026-11). Thoughts themselves
are summaries and never go back.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from ...pipeline.request import Drop, Target
from .blocks import Block
from .envelope import Envelope, unseal
from .gemini_models import NEWEST, generation
from .values import item_of

FORM: Final = "parts"
DUMMY: Final = "skip_thought_signature_validator"
_STEPS: Final = frozenset({"code_interpreter_call", "web_search_call", "file_search_call"})


class Kept(msgspec.Struct, frozen=True, rename={"signature": "thoughtSignature"}):
    """A block of an envelope: a whole part, or a signature and what it belongs to.

    Args:
        part: the part; None for a signature.
        signature: as it came.
        attach: "next" for the item that follows, "previous" for the text before.
        start, length: which characters of a text; `length` is None where it belongs to a call or an image.
    """

    part: dict[str, Any] | None = None
    signature: str = ""
    attach: Literal["", "next", "previous"] = ""
    start: int = 0
    length: int | None = None


def own_blocks(item: dict[str, Any], target: Target) -> tuple[Kept, ...] | None:
    """Return what a reasoning item keeps for this host and model, () for nothing; None when it is not theirs."""
    envelope = unseal(item.get("encrypted_content"))
    if envelope is None or envelope.provider != target.provider or not _is_kin(envelope.model, target.model):
        return None
    if envelope.dialect != "gemini" or envelope.form != FORM:
        return _from_chat(envelope)
    try:
        return msgspec.convert(envelope.blocks, tuple[Kept, ...])
    except msgspec.ValidationError:  # nobody signs envelopes, so one may hold anything
        return None


def _from_chat(envelope: Envelope) -> tuple[Kept, ...] | None:
    """Return the signatures of calls that were made through Google's chat completions."""
    if envelope.form != "extra_content":
        return None
    found: list[Kept] = []
    for block in envelope.blocks:
        match block:
            case {"call": True, "extra_content": {"google": {"thought_signature": str(signature)}}}:
                found.append(Kept(signature=signature, attach="next"))
            case _:
                pass  # of a message, which there is no knowing where it belongs
    return tuple(found)


def _is_kin(one: str, other: str) -> bool:
    """Tell whether two models are of one generation, as far as their names say."""
    first, second = generation(one), generation(other)
    return NEWEST in (first, second) or first[0] == second[0]


def why_not(item: dict[str, Any]) -> str:
    """Return why a reasoning item cannot go back; "" for one that says nothing."""
    envelope = unseal(item.get("encrypted_content"))
    if envelope is not None:
        return f"it is from {envelope.provider}/{envelope.model}, and another model has no use for it"
    if item.get("encrypted_content"):
        return "only the host that encrypted it can read it"
    if item.get("summary"):
        return "a summary is not what the model thought"
    return "Gemini takes no reasoning of others" if item.get("content") else ""


def restore_items(given: object, target: Target) -> object:
    """Return the input without the items that stand for parts which a reasoning item before them keeps whole.

    Such an item becomes a message of the assistant, empty or with an image as the host's own part, so that all others
    keep their places.
    """
    if not isinstance(given, list | tuple):
        return given
    items: list[Any] = []
    steps, image = False, False
    for at, found in enumerate(given):
        item = item_of(found, at)
        kind = item.get("type")
        if kind == "reasoning":
            blocks = own_blocks(item, target) or ()
            steps = any("text" not in block.part for block in blocks if block.part is not None)
            image = any(block.attach == "next" and block.length is None for block in blocks)
        elif kind in _STEPS and steps:
            item = _produced()
        elif kind == "image_generation_call" and image and item.get("result"):
            mime = f"image/{item.get('output_format') or 'png'}"
            item = _produced({"type": "inline_data", "mime": mime, "data": item["result"]})
            image = False
        else:
            steps = image = False
        items.append(item)
    return items


def _produced(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(parts)}


class Signer:
    """Puts signatures on the parts of one turn of the model, while it is written."""

    __slots__ = ("_drop", "_next", "_said", "_signed", "_target", "parts")

    def __init__(self, target: Target, drop: Drop) -> None:
        self._target, self._drop = target, drop
        self._next: Kept | None = None
        self._said: tuple[int, str] | None = None  # the last text, and where its parts begin
        self._signed: list[Kept] = []  # what is signed of it
        self.parts: list[dict[str, Any]] = []

    def reasoning(self, block: Block) -> None:
        """Take a reasoning item of the turn."""
        blocks = own_blocks(block.value, self._target)
        if blocks is None:
            if reason := why_not(block.value):
                self._drop(f"{block.where} (reasoning)", reason)
            return
        for kept in blocks:
            if kept.part is not None:
                self._add(kept.part)
            elif kept.attach == "previous":
                self._sign(kept)
            elif kept.attach == "next":
                self._next = kept

    def text(self, text: str) -> None:
        """Add a text."""
        kept, self._next = self._next, None
        self._said, self._signed = (len(self.parts), text), []
        self.parts.append({"text": text})
        if kept is not None and kept.length is not None:
            self._sign(kept)

    def other(self, part: dict[str, Any]) -> None:
        """Add a call or an image."""
        kept, self._next = self._next, None
        if kept is not None and kept.length is None:
            part = {**part, "thoughtSignature": kept.signature}
        self._add(part)

    def finish(self) -> list[dict[str, Any]]:
        """Return the parts; the first call has a signature where the model refuses it without."""
        call = next((part for part in self.parts if "functionCall" in part), None)
        if call is not None and "thoughtSignature" not in call and generation(self._target.model) >= (3,):
            call["thoughtSignature"] = DUMMY
        return self.parts

    def _add(self, part: dict[str, Any]) -> None:
        self._said = None
        self.parts.append(part)

    def _sign(self, kept: Kept) -> None:
        """Divide the last text, so that the piece that is signed is a part of its own again."""
        if self._said is None:
            return
        at, text = self._said
        self._signed.append(kept)
        pieces: list[dict[str, Any]] = []
        done = 0
        for one in self._signed:
            start, end = max(one.start, done), max(one.start, done) + (one.length or 0)
            pieces += [{"text": text[done:start]}, {"text": text[start:end], "thoughtSignature": one.signature}]
            done = end
        self.parts[at:] = [piece for piece in (*pieces, {"text": text[done:]}) if piece["text"]]
