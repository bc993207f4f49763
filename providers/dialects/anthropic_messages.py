"""The messages of a message request: turns, in the form of the Messages API.

Two roles alternate. Results stand in the user's message behind the calls, before everything else that the user says
there; the blocks of an assistant's turn keep their order, among them what the host itself made: thinking, and the
blocks of its tools. Text that is empty is left out, as the host refuses it.

Instructions and the first system messages are the `system` of the request. A later one is a message of role "system"
where the model takes that in this place (behind the user, before the assistant or at the end), else it is put between
`<system>` tags in the user's message; nothing moves to the front.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from . import anthropic_hosted as hosted
from .anthropic_citations import to_blocks
from .anthropic_media import document, image
from .anthropic_models import Claude
from .anthropic_thinking import is_own, own_blocks, restored
from .blocks import Block, ResultPart, Turn, arguments_of, string_of, unsupported
from .call_ids import CallIds
from .named_tools import flat_name
from .turns import to_turns
from .values import plain

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TEXTS: Final = ("input_text", "output_text")
_HOSTED: Final = frozenset({*hosted.PREFIXES, hosted.OTHER, "compaction"})
FILES_BETA: Final = "files-api-2025-04-14"

_FIELDS: Final = {
    "text": frozenset({"type", "text", "annotations", "logprobs"}),
    "image": frozenset({"type", "image_url", "file_id", "detail"}),
    "document": frozenset({"type", "file_id", "file_data", "file_url", "filename", "detail"}),
}
"""Fields of a part that have code below, by the block that it becomes; others are the host's own, e.g.
`cache_control`, and sent as they are."""


def _made_id(text: str) -> str:
    return f"call_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


class Messages:
    """Writes turns as messages.

    Args:
        inline_only: whether the host takes images and files in the request only, none by their address.

    Attributes:
        system: text blocks.
        messages: roles alternate.
        betas: features that the messages need.
    """

    def __init__(self, target: Target, claude: Claude, drop: Drop, *, inline_only: bool = False) -> None:
        self._target, self._claude, self._drop = target, claude, drop
        self._inline_only = inline_only
        self.system: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.betas: set[str] = set()

    def write(self, instructions: str | None, given: object) -> None:
        """Add instructions and input.

        Raises:
            InvalidParameter, UnsupportedParameter: as `to_turns`; parts that the host does not take, by their place.
        """
        if instructions:
            self.system.append({"type": "text", "text": instructions})
        turns = to_turns(given, self._drop, CallIds(_ID, _made_id), self._is_own_item)
        for at, turn in enumerate(turns):
            if turn.role in ("system", "developer"):
                after = next((each.role for each in turns[at + 1 :] if each.role not in ("system", "developer")), None)
                self._system(turn, after)
            elif turn.role == "assistant":
                self._push("assistant", [sent for block in turn.blocks for sent in self._said(block)])
            elif turn.role == "tool":
                self._push("user", [self._result(block) for block in turn.blocks])
            else:
                self._push("user", self._parts(turn.blocks))
        self._trim_end()

    def _is_own_item(self, item: dict[str, Any]) -> bool:
        return item.get("type") in _HOSTED and is_own(item, self._target)

    def _push(self, role: str, blocks: list[dict[str, Any]]) -> None:
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == role:
            last["content"].extend(blocks)
        else:
            self.messages.append({"role": role, "content": blocks})

    def _system(self, turn: Turn, after: str | None) -> None:
        """Add a system message; `after` is who speaks next."""
        for block in turn.blocks:
            if block.value.get("type") not in _TEXTS:
                raise unsupported(
                    self._target, block, f"takes only text in {turn.role} messages", "send it in a user message"
                )
        blocks = self._parts(turn.blocks)
        if not self.messages:
            self.system.extend(blocks)
        elif (
            self._claude.system_messages
            and self.messages[-1]["role"] in ("user", "system")
            and after in (None, "assistant")
        ):
            self._push("system", blocks)
        elif blocks:
            text = "".join(block["text"] for block in blocks)
            self._push("user", [{"type": "text", "text": f"<system>{text}</system>"}])

    def _trim_end(self) -> None:
        """Take white space from the end of an answer that the model is to go on with: the host refuses it."""
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != "assistant" or last["content"][-1].get("type") != "text":
            return
        block = last["content"][-1]
        trimmed = block["text"].rstrip()
        if trimmed == block["text"]:
            return
        self._drop("input", "the white space at its end, as the host takes none where its answer goes on")
        if trimmed:
            last["content"][-1] = {**block, "text": trimmed}
        else:
            last["content"].pop()
            if not last["content"]:
                self.messages.pop()

    # Of the user

    def _parts(self, blocks: list[Block]) -> list[dict[str, Any]]:
        return [sent for block in blocks if (sent := self._part(block)) is not None]

    def _part(self, block: Block) -> dict[str, Any] | None:
        """Return a part of a message or a result as a block; None for text that is empty."""
        part, kind = block.value, block.value.get("type")
        if kind in _TEXTS:
            text = string_of(block, "text")
            if not text:
                return None
            sent: dict[str, Any] = {"type": "text", "text": text}
        elif kind == "input_image":
            sent = image(block, self._target, self._inline_only)
            if part.get("detail") not in (None, "auto"):
                self._drop(f"{block.where}.detail", "images have no detail in the Messages API")
        elif kind == "input_file":
            sent = document(block, self._target, self._inline_only)
            if part.get("detail") is not None:
                self._drop(f"{block.where}.detail", "files have no detail in the Messages API")
        elif kind == "input_audio":
            raise unsupported(self._target, block, "takes no audio", "send a transcript")
        else:
            raise unsupported(self._target, block, "takes no such part", "known: input_text, input_image, input_file")
        if sent.get("source", {}).get("type") == "file":
            self.betas.add(FILES_BETA)
        for name in sorted(part.keys() - _FIELDS[sent["type"]]) if len(part) > 2 else ():
            if part[name] is None:
                continue
            if name == "prompt_cache_breakpoint":
                sent["cache_control"] = {"type": "ephemeral"}
            else:
                sent[name] = embed(part[name])
        return sent

    def _result(self, block: Block) -> dict[str, Any]:
        item, output = block.value, block.value.get("output")
        if isinstance(output, list | tuple):
            parts = [
                ResultPart(plain(each, f"{block.where}.output[{at}]"), block.item, at) for at, each in enumerate(output)
            ]
            output = self._parts(list(parts))
        elif not isinstance(output, str):
            raise InvalidParameter(
                f"{block.where}.output is {type(output).__name__}; text or a list of parts is expected", param="input"
            )
        sent = {"type": "tool_result", "tool_use_id": item["call_id"], "content": output}
        return {**sent, "is_error": True} if item.get("is_error") is True else sent

    # Of the assistant

    def _said(self, block: Block) -> list[Any]:
        """Return what a block of an assistant's turn becomes."""
        item, kind = block.value, block.value.get("type")
        if kind in _TEXTS:
            for name in sorted(item.keys() - _FIELDS["text"]) if len(item) > 2 else ():
                if name != "cache_control":
                    self._drop(f"{block.where}.{name}", "text of the assistant has no further fields here")
            blocks = to_blocks(string_of(block, "text"), item.get("annotations"), self._target.provider)
            if blocks and item.get("cache_control") is not None:
                blocks[-1]["cache_control"] = embed(item["cache_control"])
            return blocks
        if kind == "refusal":
            text = string_of(block, "refusal")
            return [{"type": "text", "text": text}] if text else []
        if kind == "reasoning":
            return restored(block, self._target, self._drop)
        if kind in ("function_call", "custom_tool_call"):
            return [self._call(block)]
        if kind in _HOSTED:
            return own_blocks(item, self._target)
        raise unsupported(self._target, block, "takes only text from the assistant", "send it in a user message")

    def _call(self, block: Block) -> dict[str, Any]:
        item = block.value
        if item["type"] == "custom_tool_call":
            given: Any = {"input": string_of(block, "input")}
        else:
            given = arguments_of(block)
        name = flat_name(string_of(block, "name"), item.get("namespace"))
        call = {"type": "tool_use", "id": item["call_id"], "name": name, "input": given}
        caller = item.get("caller")
        if isinstance(caller, dict) and str(caller.get("type")).startswith("code_execution"):
            call["caller"] = caller
        return call
