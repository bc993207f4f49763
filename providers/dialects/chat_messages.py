"""The messages of a chat body: turns, in the form of chat completions.

An assistant's turn is one message: its texts joined (two newlines between the API's messages, nothing between the
parts of one), its calls, its reasoning where the host takes that back. The content of an assistant, and of any message
with one text, is a string, which every host takes. What the model itself wrote beside its text has no place in chat
completions and is left out without a report, as that would be one for every turn: `annotations`, `logprobs`, `phase`,
and the ids and states of items.

Results are text only, so images and files in them follow in a user's message, each behind a line that says whose they
are. Where a host takes one system message only, the leading ones are joined, and later ones are put between `<system>`
tags in a user's message; nothing moves to the front.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from ..rows import ChatFlags
from .blocks import Block, ResultPart, Turn, string_of, unsupported, written
from .call_ids import CallIds
from .chat_reasoning import add_reasoning, signatures
from .named_tools import flat_name
from .turns import to_turns
from .values import plain

_NINE: Final = re.compile(r"[A-Za-z0-9]{9}")
_FORTY: Final = re.compile(r".{1,40}", re.DOTALL)
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TEXTS: Final = ("input_text", "output_text")

_SPOKEN: Final = frozenset({"type", "text", "annotations", "logprobs"})
_FIELDS: Final = {
    "input_text": _SPOKEN,
    "output_text": _SPOKEN,
    "refusal": frozenset({"type", "refusal"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail"}),
    "input_file": frozenset({"type", "file_id", "file_data", "file_url", "filename", "detail"}),
    "input_audio": frozenset({"type", "input_audio"}),
}
"""Fields of a part that have code below; others are a host's own (OpenRouter: `cache_control`), sent as they are."""


def to_messages(instructions: str | None, given: object, target: Target, flags: ChatFlags, drop: Drop) -> list[Any]:
    """Return the messages for instructions and input.

    Raises:
        InvalidParameter, UnsupportedParameter: as `to_turns`; parts that the host does not take, by their place.
    """
    writer = _Writer(target, flags, drop)
    if instructions:
        writer.system("developer", instructions)
    for turn in to_turns(given, drop, _CALL_IDS[flags.call_ids]()):
        writer.add(turn)
    return writer.messages


def tool_messages(
    blocks: list[Block], of_parts: Callable[[Block, str, Any, list[dict[str, Any]]], str | list[Any]]
) -> list[dict[str, Any]]:
    """Return the messages for results of calls, a tool's each, and behind them a user's for what has no place there.

    Args:
        of_parts: returns the content for a result of parts: (result, id of the call, its parts, what has no place); it
            adds to the last.

    Raises:
        InvalidParameter: a result that is neither text nor a list of parts.
    """
    messages: list[dict[str, Any]] = []
    media: list[dict[str, Any]] = []
    for block in blocks:
        call_id, output = block.value["call_id"], block.value.get("output")
        if isinstance(output, list | tuple):
            output = of_parts(block, call_id, output, media)
        elif not isinstance(output, str):
            raise InvalidParameter(
                f"{block.where}.output is {type(output).__name__}; text or a list of parts is expected", param="input"
            )
        messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
    return [*messages, {"role": "user", "content": media}] if media else messages


def _nine(text: str) -> str:
    """Return nine letters and digits, mostly different ones for different texts."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
    return "".join(_ALPHABET[number // 62**place % 62] for place in range(9))


def _forty(text: str) -> str:
    """Return at most 40 characters, mostly different ones for different texts."""
    return f"call_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


_CALL_IDS: Final[dict[str, Callable[[], CallIds]]] = {
    "any": CallIds,
    # OpenAI's error names this limit (many public reports, 2025 to 2026); in July 2026 it took longer ones once.
    "40": lambda: CallIds(_FORTY, _forty),
    "9": lambda: CallIds(_NINE, _nine),
}


class _Writer:
    __slots__ = ("_drop", "_flags", "_takes_marks", "_target", "messages")

    def __init__(self, target: Target, flags: ChatFlags, drop: Drop) -> None:
        self._target, self._flags, self._drop = target, flags, drop
        self._takes_marks = flags.openai_fields and "prompt_cache_options" not in flags.unsupported
        self.messages: list[dict[str, Any]] = []

    def add(self, turn: Turn) -> None:
        if turn.role == "user":
            self.messages.append({"role": "user", "content": self._content(turn.blocks)})
        elif turn.role == "assistant":
            self._assistant(turn.blocks)
        elif turn.role == "tool":
            self._results(turn.blocks)
        else:
            for block in turn.blocks:
                if block.value.get("type") not in _TEXTS:
                    raise unsupported(
                        self._target, block, f"takes only text in {turn.role} messages", "send it in a user message"
                    )
            self.system(turn.role, self._content(turn.blocks))

    def system(self, role: str, content: str | list[Any]) -> None:
        if role == "developer" and not self._flags.developer_role:
            role = "system"
        messages = self.messages
        if self._flags.one_system:
            if not isinstance(content, str):
                content = "\n\n".join([part["text"] for part in content])
            if len(messages) == 1 and messages[0]["role"] in ("system", "developer"):
                messages[0]["content"] += f"\n\n{content}"
                return
            if messages:
                role, content = "user", f"<system>{content}</system>"
        messages.append({"role": role, "content": content})

    def _content(self, blocks: list[Block]) -> str | list[Any]:
        if not blocks:
            return ""
        parts = [self._part(block) for block in blocks]
        if len(parts) == 1 and len(parts[0]) == 2 and parts[0]["type"] == "text":
            text: str = parts[0]["text"]
            return text
        return parts

    def _part(self, block: Block) -> dict[str, Any]:
        """Return a part of a user's or system's message."""
        part, kind = block.value, block.value.get("type")
        if kind in _TEXTS:
            sent: dict[str, Any] = {"type": "text", "text": string_of(block, "text")}
        elif kind == "input_image":
            sent = self._image(block)
        elif kind == "input_file":
            sent = self._file(block)
        elif kind == "input_audio":
            if not self._flags.audio:
                raise unsupported(self._target, block, "takes no audio", "send a transcript")
            sent = {"type": "input_audio", "input_audio": embed(part.get("input_audio"))}
        else:
            hint = "known: input_text, input_image, input_file, input_audio"
            raise unsupported(self._target, block, "takes no such part", hint)
        if len(part) > 2 and not part.keys() <= _FIELDS[kind]:
            self._add_own(sent, block, _FIELDS[kind])
        return sent

    def _add_own(self, sent: dict[str, Any], block: Block, known: frozenset[str]) -> None:
        """Add the fields of a part that are a host's own."""
        for name in sorted(block.value.keys() - known):
            if block.value[name] is None:
                continue
            if name == "prompt_cache_breakpoint" and not self._takes_marks:
                self._drop(f"{block.where}.{name}", "")
            else:
                sent[name] = embed(block.value[name])

    def _image(self, block: Block) -> dict[str, Any]:
        part, allowed = block.value, self._flags.images
        if not allowed:
            raise unsupported(self._target, block, "takes no images", "leave it out, or call a model that sees")
        if part.get("image_url") is None:
            raise unsupported(self._target, block, "has no uploaded images", "send the image as a data URL")
        url = string_of(block, "image_url")
        if allowed == "data" and not url.startswith("data:"):
            raise unsupported(self._target, block, "takes images as data URLs only", "fetch it and send its bytes so")
        image = {"url": url}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}

    def _file(self, block: Block) -> dict[str, Any]:
        part = block.value
        if not self._flags.files:
            raise unsupported(self._target, block, "takes no files", "send their text")
        sent = {name: part[name] for name in ("file_id", "file_data", "filename") if part.get(name) is not None}
        if "file_id" not in sent and "file_data" not in sent:
            raise unsupported(self._target, block, "takes no files by URL", "fetch it and send its bytes as file_data")
        if part.get("detail") is not None:
            self._drop(f"{block.where}.detail", "files have no detail in chat completions")
        return {"type": "file", "file": sent}

    def _assistant(self, blocks: list[Block]) -> None:
        texts: list[str] = []
        refusals: list[str] = []
        calls: list[dict[str, Any]] = []
        reasoning: list[Block] = []
        signed: dict[str, Any] = {}  # of the message, and for the next call
        said_in = -1
        for block in blocks:
            kind = block.value.get("type")
            if kind in _TEXTS or kind == "refusal":
                # A refusal has a field at OpenAI, which most others do not read.
                has_field = kind == "refusal" and self._flags.openai_fields
                text = string_of(block, "refusal" if kind == "refusal" else "text")
                if text:
                    into = refusals if has_field else texts
                    if into and said_in != block.item:
                        into.append("\n\n")
                    into.append(text)
                said_in = block.item
                for name in sorted(block.value.keys() - _FIELDS[kind]) if len(block.value) > 2 else ():
                    self._drop(f"{block.where}.{name}", "text of the assistant has no further fields here")
            elif kind == "reasoning":
                found = signatures(block, self._target, self._drop)
                if found is None:
                    reasoning.append(block)
                else:
                    signed.update(("call" if "call" in each else "message", each["extra_content"]) for each in found)
            elif kind in ("function_call", "custom_tool_call"):
                call = self._call(block)
                calls.append({**call, "extra_content": signed.pop("call")} if "call" in signed else call)
            else:
                raise unsupported(
                    self._target, block, "takes only text from the assistant", "send it in a user message"
                )
        content = "".join(texts)
        message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls or refusals else "")}
        if refusals:
            message["refusal"] = "".join(refusals)
        if calls:
            message["tool_calls"] = calls
        if "message" in signed:
            message["extra_content"] = signed["message"]
        if reasoning or (calls and self._flags.reasoning_required):
            add_reasoning(message, reasoning, self._target, self._flags, self._drop)
            if len(message) == 2 and not message["content"] and said_in < 0:
                return  # a turn of nothing but reasoning, which does not go back
        self.messages.append(message)

    def _call(self, block: Block) -> dict[str, Any]:
        item = block.value
        name = flat_name(string_of(block, "name"), item.get("namespace"))
        if item["type"] == "custom_tool_call" and self._flags.custom_tools:
            custom = {"name": name, "input": string_of(block, "input")}
            return {"id": item["call_id"], "type": "custom", "custom": custom}
        return {"id": item["call_id"], "type": "function", "function": {"name": name, "arguments": written(block)}}

    def _results(self, blocks: list[Block]) -> None:
        self.messages += tool_messages(blocks, self._result)

    def _result(self, block: Block, call_id: str, output: Any, media: list[dict[str, Any]]) -> str | list[Any]:
        """Return the text of a result, and add its other parts to `media`."""
        texts: list[dict[str, Any]] = []
        for at, given in enumerate(output):
            part = ResultPart(plain(given, f"{block.where}.output[{at}]"), block.item, at)
            sent = self._part(part)
            if sent["type"] != "text":
                media.append({"type": "text", "text": f"From the result of call {call_id}:"})
                media.append(sent)
                sent = {"type": "text", "text": f"[{part.value['type']}: see the next message of the user]"}
            texts.append(sent)
        if any(len(text) > 2 for text in texts):  # a mark of the prompt cache, or a host's own
            return texts
        return "\n".join([text["text"] for text in texts])
