"""The messages of a Cohere request: turns, in the form of its chat API.

Roles are system, user, assistant and tool, in any order. What the assistant's turn says is one message: its thoughts
and texts are the content, in their order; its calls stand beside it, and so does the plan that the model made for them,
a message of the phase "commentary". Results are text and documents; images in them follow in a user's message, behind a
line that says whose they are. Files of the user are documents of the whole call, which has no place for them elsewhere.

Source: types of Cohere's Python package 7.3 (`ChatMessageV2` and what it is made of), read 2026-11, and recordings.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from typing import Any, Final

from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from .blocks import Block, ResultPart, Turn, string_of, unsupported, written
from .chat_messages import tool_messages
from .cohere_citations import DIALECT
from .cohere_citations import restored as citations_of
from .envelope import unseal
from .named_tools import flat_name
from .turns import to_turns
from .values import plain

_TEXTS: Final = ("input_text", "output_text")
_SILENT: Final = ("command-r", "command-a-03", "command-a-vision", "command-a-translate", "command-light", "c4ai-aya")
"""Beginnings of the names of models that do not reason; it is on by default where a model can (Cohere documentation,
Reasoning, read 2026-11)."""
_FIELDS: Final = {
    "input_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "input_image": frozenset({"type", "image_url", "detail"}),
    "input_file": frozenset({"type", "file_data", "filename"}),
}
"""Fields of a part that have code below; others are reported."""


def reasons(model: str) -> bool:
    """Tell whether a model can reason; one that nobody knows can."""
    return not model.rpartition("/")[2].startswith(_SILENT)


class Messages:
    """Writes turns as messages.

    Attributes:
        messages: in the order of the turns.
        documents: of the whole call.
    """

    def __init__(self, target: Target, drop: Drop) -> None:
        self._target, self._drop = target, drop
        self.messages: list[dict[str, Any]] = []
        self.documents: list[dict[str, Any]] = []

    def write(self, instructions: str | None, given: object) -> None:
        """Add instructions and input.

        Raises:
            InvalidParameter, UnsupportedParameter: as `to_turns`; parts that the host does not take, by their place.
        """
        if instructions:
            self.messages.append({"role": "system", "content": instructions})
        plans = _commentaries(given)
        for turn in to_turns(given, self._drop):
            if turn.role == "assistant":
                self._assistant(turn.blocks, plans)
            elif turn.role == "tool":
                self._results(turn.blocks)
            elif turn.role == "user":
                self._user(turn)
            else:
                self._system(turn)

    def _system(self, turn: Turn) -> None:
        for block in turn.blocks:
            if block.value.get("type") not in _TEXTS:
                raise unsupported(
                    self._target, block, f"takes only text in {turn.role} messages", "send it in a user message"
                )
        self.messages.append({"role": "system", "content": _content([self._text(block) for block in turn.blocks])})

    def _user(self, turn: Turn) -> None:
        content: list[dict[str, Any]] = []
        for block in turn.blocks:
            sent = self._part(block)
            if sent["type"] != "document":
                content.append(sent)
                continue
            self.documents.append(sent["document"])
        if content or not turn.blocks:
            self.messages.append({"role": "user", "content": _content(content)})
        else:
            raise unsupported(
                self._target, turn.blocks[0], "wants a text beside files", "say in words what to do with them"
            )

    # Parts of the user and of results

    def _part(self, block: Block) -> dict[str, Any]:
        kind = str(block.value.get("type"))
        if kind in _TEXTS:
            return self._text(block)
        if kind == "input_image":
            self._report(block, kind)
            if block.value.get("image_url") is None:
                raise unsupported(self._target, block, "keeps no files", "send the image as a data URL")
            image = {"url": string_of(block, "image_url")}
            if block.value.get("detail") is not None:
                image["detail"] = block.value["detail"]
            return {"type": "image_url", "image_url": image}
        if kind == "input_file":
            self._report(block, kind)
            return self._document(block)
        raise unsupported(self._target, block, "takes no such part", "known: input_text, input_image, input_file")

    def _text(self, block: Block) -> dict[str, Any]:
        self._report(block, str(block.value.get("type")))
        return {"type": "text", "text": string_of(block, "text")}

    def _report(self, block: Block, kind: str) -> None:
        for name in sorted(block.value.keys() - _FIELDS[kind]) if len(block.value) > 2 else ():
            if block.value[name] is not None:
                self._drop(f"{block.where}.{name}", "Cohere has no such field of a part")

    def _document(self, block: Block) -> dict[str, Any]:
        if block.value.get("file_data") is None:
            raise unsupported(self._target, block, "fetches and keeps no files", "send the file's text in file_data")
        given, name = string_of(block, "file_data"), block.value.get("filename")
        head, comma, data = given[5:].partition(",") if given.startswith("data:") else ("", "", given)
        kind = head.partition(";")[0] if comma else mimetypes.guess_type(name)[0] if isinstance(name, str) else None
        if kind and not (kind.startswith("text/") or kind in ("application/json", "application/xml")):
            raise unsupported(self._target, block, f"takes no files of type {kind}", "send their text")
        try:
            text = base64.b64decode(data, validate=False).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidParameter(f"{block.where}.file_data is no text in base64: {error}", param="input") from None
        known = name if isinstance(name, str) and name else f"document {block.item + 1}.{block.part + 1}"
        return {"type": "document", "document": {"id": known, "data": {"title": known, "text": text}}}

    def _results(self, blocks: list[Block]) -> None:
        self.messages += tool_messages(blocks, self._result)

    def _result(self, block: Block, call_id: str, output: Any, media: list[dict[str, Any]]) -> str | list[Any]:
        """Return the texts and documents of a result, and add its other parts to `media`."""
        content: list[dict[str, Any]] = []
        for at, given in enumerate(output):
            part = ResultPart(plain(given, f"{block.where}.output[{at}]"), block.item, at)
            sent = self._part(part)
            if sent["type"] == "image_url":
                media += [{"type": "text", "text": f"From the result of call {call_id}:"}, sent]
                sent = {"type": "text", "text": f"[{part.value['type']}: see the next message of the user]"}
            content.append(sent)
        return _content(content)

    # Of the assistant

    def _assistant(self, blocks: list[Block], plans: frozenset[int]) -> None:
        content: list[dict[str, Any]] = []
        citations: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        plan: list[str] = []
        has_calls = any(block.value.get("type") in ("function_call", "custom_tool_call") for block in blocks)
        for block in blocks:
            kind = block.value.get("type")
            if kind in _TEXTS or kind == "refusal":
                text = string_of(block, "refusal" if kind == "refusal" else "text")
                if kind != "refusal":
                    self._report(block, str(kind))
                if not text:
                    continue
                is_plan = has_calls and block.item in plans
                at = None if is_plan else len(content)
                if not plan or not is_plan:  # in a longer plan its spans would be others
                    citations += citations_of(text, block.value.get("annotations"), self._target.provider, at)
                if is_plan:
                    plan.append(text)
                else:
                    content.append({"type": "text", "text": text})
            elif kind == "reasoning":
                content += self._thought(block)
            elif kind in ("function_call", "custom_tool_call"):
                calls.append(self._call(block))
            else:
                raise unsupported(
                    self._target, block, "takes only text from the assistant", "send it in a user message"
                )
        message: dict[str, Any] = {"role": "assistant"}
        if content:
            message["content"] = _content(content)
        if plan:
            message["tool_plan"] = "".join(plan)
        if calls:
            message["tool_calls"] = calls
        if citations:
            message["citations"] = citations
        if len(message) > 1:
            self.messages.append(message)

    def _thought(self, block: Block) -> list[dict[str, Any]]:
        sealed = block.value.get("encrypted_content")
        envelope = unseal(sealed)
        if envelope is not None:
            if (envelope.provider, envelope.dialect) != (self._target.provider, DIALECT):
                reason = f"it is from {envelope.provider} in another API format, and no other host has a use for it"
            elif not reasons(self._target.model):
                reason = "the model does not reason"
            else:
                return list(envelope.blocks)
        elif sealed:
            reason = "only the host that encrypted it can read it"
        elif block.value.get("content") or block.value.get("summary"):
            reason = "only the host that reasoned has a use for it"
        else:
            return []
        self._drop(f"{block.where} (reasoning)", reason)
        return []

    def _call(self, block: Block) -> dict[str, Any]:
        item = block.value
        name = flat_name(string_of(block, "name"), item.get("namespace"))
        return {"id": item["call_id"], "type": "function", "function": {"name": name, "arguments": written(block)}}


def _content(parts: list[dict[str, Any]]) -> str | list[Any]:
    """Return the content of a message; one text is sent as such."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _commentaries(given: object) -> frozenset[int]:
    """Return the places of messages that say what the model is about to do."""
    if not isinstance(given, list | tuple):
        return frozenset()
    phases = (item.get("phase") if isinstance(item, dict) else getattr(item, "phase", None) for item in given)
    return frozenset(at for at, phase in enumerate(phases) if phase == "commentary")
