"""The contents of a generateContent body: turns, in Google's form.

The system's texts go into `systemInstruction` as long as nothing else was said; later ones are put between `<system>`
tags in a user's content, and nothing moves to the front. The model's turn keeps its parts and their order. Results
stand alone in a content, in the order of their calls; a part that a result cannot hold follows in another one, behind a
line that says whose it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from .blocks import Block, ResultPart, Turn, string_of, unsupported, written
from .gemini_models import generation
from .gemini_parts import TEXTS, Parts
from .gemini_signatures import Signer, restore_items
from .named_tools import flat_name
from .turns import to_turns
from .values import plain, read_json

# What the parts of a result may be (Gemini API documentation, Function calling › Multimodal responses, read 2026-11).
_RESULT_MEDIA: Final = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


class Contents(msgspec.Struct):
    """What was said, in Google's form; `system` are the parts of `systemInstruction`."""

    contents: list[dict[str, Any]]
    system: list[dict[str, Any]]


def to_contents(instructions: str | None, given: object, target: Target, drop: Drop) -> Contents:
    """Return the contents for instructions and input.

    Raises:
        InvalidParameter, UnsupportedParameter: as `to_turns`; parts that have no form, by their place.
    """
    writer = _Writer(target, drop)
    if instructions:
        writer.system([{"text": instructions}])
    for turn in to_turns(restore_items(given, target), drop):
        writer.add(turn)
    return Contents(writer.contents, writer.system_parts)


class _Writer:
    __slots__ = ("_calls", "_drop", "_parts", "_target", "contents", "system_parts")

    def __init__(self, target: Target, drop: Drop) -> None:
        self._target, self._drop = target, drop
        self._parts = Parts(target, drop)
        self._calls: dict[str, str] = {}  # names by id, in their order
        self.contents: list[dict[str, Any]] = []
        self.system_parts: list[dict[str, Any]] = []

    def add(self, turn: Turn) -> None:
        if turn.role == "user":
            self._user([self._parts.part(block) for block in turn.blocks])
        elif turn.role == "assistant":
            self._model(turn.blocks)
        elif turn.role == "tool":
            self._results(turn.blocks)
        else:
            for block in turn.blocks:
                if block.value.get("type") not in TEXTS:
                    what = f"takes only text in {turn.role} messages"
                    raise unsupported(self._target, block, what, "send it in a user message")
            self.system([self._parts.part(block) for block in turn.blocks])

    def system(self, parts: list[dict[str, Any]]) -> None:
        if self.contents:
            text = "\n\n".join([part["text"] for part in parts])
            self._user([{"text": f"<system>{text}</system>"}])
        else:
            self.system_parts += parts

    def _user(self, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        last = self.contents[-1] if self.contents else None
        if last is not None and last["role"] == "user" and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        else:
            self.contents.append({"role": "user", "parts": parts})

    def _model(self, blocks: list[Block]) -> None:
        signer = Signer(self._target, self._drop)
        for block in blocks:
            kind = block.value.get("type")
            if kind in TEXTS or kind == "refusal":
                if text := string_of(block, "refusal" if kind == "refusal" else "text"):
                    signer.text(text)
            elif kind == "reasoning":
                signer.reasoning(block)
            elif kind in ("function_call", "custom_tool_call"):
                signer.other({"functionCall": self._call(block)})
            elif kind == "inline_data":
                signer.other({"inlineData": {"mimeType": block.value["mime"], "data": block.value["data"]}})
            else:
                raise unsupported(
                    self._target, block, "takes only text from the assistant", "send it in a user message"
                )
        if parts := signer.finish():
            self.contents.append({"role": "model", "parts": parts})

    def _call(self, block: Block) -> dict[str, Any]:
        item = block.value
        name = flat_name(string_of(block, "name"), item.get("namespace"))
        self._calls[item["call_id"]] = name
        args = read_json(written(block))
        if not isinstance(args, dict):
            raise InvalidParameter(
                f"{block.where}.arguments is no JSON object, and Gemini takes nothing else",
                param="input",
                hint="send the arguments as the model gave them, or leave the call and its output out",
            )
        return {"id": item["call_id"], "name": name, "args": args}

    def _results(self, blocks: list[Block]) -> None:
        order = {call_id: at for at, call_id in enumerate(self._calls)}
        more: list[dict[str, Any]] = []
        parts: list[dict[str, Any]] = []
        for block in sorted(blocks, key=lambda block: order[block.value["call_id"]]):
            call_id, output = block.value["call_id"], block.value.get("output")
            result: dict[str, Any] = {"id": call_id, "name": self._calls[call_id]}
            if isinstance(output, list | tuple):
                media: list[dict[str, Any]] = []
                text = self._texts(block, output, media, more)
                result["response"] = _response(text) if text or not media else {}
                if media:
                    result["parts"] = media
            elif isinstance(output, str):
                result["response"] = _response(output)
            else:
                raise InvalidParameter(
                    f"{block.where}.output is {type(output).__name__}; text or a list of parts is expected",
                    param="input",
                )
            parts.append({"functionResponse": result})
        self.contents.append({"role": "user", "parts": parts})
        if more:
            self.contents.append({"role": "user", "parts": more})

    def _texts(self, block: Block, output: Any, media: list[dict[str, Any]], more: list[dict[str, Any]]) -> str:
        """Return the text of a result; add to `media` what it can hold beside that, to `more` what it cannot."""
        texts: list[str] = []
        for at, given in enumerate(output):
            sent = self._parts.part(ResultPart(plain(given, f"{block.where}.output[{at}]"), block.item, at))
            if "text" in sent:
                texts.append(sent["text"])
            elif self._holds(sent):
                media.append(sent)
            else:
                more += [{"text": f"From the result of call {block.value['call_id']}:"}, sent]
                texts.append("[see the next message of the user]")
        return "\n".join(texts)

    def _holds(self, sent: dict[str, Any]) -> bool:
        mime = sent.get("inlineData", {}).get("mimeType")
        return generation(self._target.model) >= (3,) and mime in _RESULT_MEDIA


def _response(text: str) -> dict[str, Any]:
    """Return a result as the object that it must be."""
    found = read_json(text) if text.lstrip().startswith("{") else None
    return found if isinstance(found, dict) else {"result": text}
