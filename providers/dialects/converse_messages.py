"""The messages of a Converse request: turns, in Amazon's form.

Two roles alternate. Results stand in the user's message behind the calls, all those of one turn together. What a
result cannot hold follows there, behind a line that says whose it is, and then what the user says; where the model
takes nothing of that kind beside results, an assistant's "." stands between, and reported. Text that is blank is left
out, as the host refuses it; a message with documents has text.

Instructions and the first system messages are the `system` of the request. A later one is a message of role "system"
where the model takes that in this place, else it is put between `<system>` tags in the user's message.

Source: botocore 1.44, `Message` and the documentation in it; the sources of Pydantic AI and LiteLLM of August 2026 for
what models refuse; read 2026-11.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from .blocks import Block, ResultPart, Turn, arguments_of, string_of, unsupported
from .call_ids import CallIds
from .converse_citations import to_blocks
from .converse_media import Media
from .converse_models import Model
from .converse_reasoning import own_blocks, restored
from .named_tools import flat_name
from .turns import to_turns
from .values import plain, read_json

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NINE: Final = re.compile(r"[a-zA-Z0-9]{9}")
_TEXTS: Final = ("input_text", "output_text")
HOSTED: Final = frozenset({"code_interpreter_call", "web_search_call"})
"""Items that hold what a tool of Amazon's own did."""
_EMPTY: Final = "(empty)"  # for a result that says nothing

_MARKS: Final = ("cachePoint", "cache_control", "prompt_cache_breakpoint")
_FIELDS: Final = {
    "input_text": frozenset({"type", "text", "annotations", "logprobs", "guardContent", *_MARKS}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs", "guardContent", *_MARKS}),
    "input_image": frozenset({"type", "image_url", *_MARKS}),
    "input_file": frozenset({"type", "file_data", "file_url", "filename", "citations", "context", *_MARKS}),
    "input_audio": frozenset({"type", "input_audio", *_MARKS}),
}
"""Fields of a part that have code below; others are reported."""


def _made_id(text: str) -> str:
    return f"call_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def _made_nine(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def _dot(role: str) -> dict[str, Any]:
    """Return a message that says nothing, since blank ones are refused."""
    return {"role": role, "content": [{"text": "."}]}


def cache_point(marked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the block that marks the end of what is cached; None where an object has no such mark."""
    if isinstance(own := marked.get("cachePoint"), dict):
        return {"cachePoint": {"type": "default", **own}}
    mark = marked.get("cache_control") or marked.get("prompt_cache_breakpoint")
    if not mark:
        return None
    ttl = mark.get("ttl") if isinstance(mark, dict) else None
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl else {})}}


class Messages:
    """Writes turns as messages.

    Attributes:
        system: text blocks.
        messages: roles alternate.
        called: names of the functions that were called, each once, in their order.
    """

    def __init__(self, target: Target, model: Model, drop: Drop) -> None:
        self._target, self._model, self._drop = target, model, drop
        self._media = Media(target)
        self.system: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.called: dict[str, None] = {}

    def write(self, instructions: str | None, given: object) -> None:
        """Add instructions and input.

        Raises:
            InvalidParameter, UnsupportedParameter: as `to_turns`; parts that the host does not take, by their place.
        """
        if instructions:
            self.system.append({"text": instructions})
        ids = CallIds(_NINE, _made_nine) if self._model.nine_ids else CallIds(_ID, _made_id)
        turns = to_turns(given, self._drop, ids, self._is_own_item)
        for at, turn in enumerate(turns):
            if turn.role in ("system", "developer"):
                after = next((each.role for each in turns[at + 1 :] if each.role not in ("system", "developer")), None)
                self._system(turn, after)
            elif turn.role == "assistant":
                self._push("assistant", [sent for block in turn.blocks for sent in self._said(block)])
            elif turn.role == "tool":
                self._results(turn.blocks)
            else:
                self._push("user", self._parts(turn.blocks))
        if self.messages and self.messages[0]["role"] == "assistant" and not self._model.may_begin:
            self._drop("input", 'a user\'s "." is put before it, as the model does not let the assistant begin')
            self.messages.insert(0, _dot("user"))
        self._add_words()
        self._trim_end()

    def _is_own_item(self, item: dict[str, Any]) -> bool:
        return item.get("type") in HOSTED and own_blocks(item, self._target) is not None

    def _push(self, role: str, blocks: list[dict[str, Any]]) -> None:
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != role:
            self.messages.append({"role": role, "content": blocks})
        elif role == "user" and not self._go_together(last["content"], blocks):
            self._drop(
                "input", 'an assistant\'s "." is put behind results: the model takes nothing of this kind beside'
            )
            self.messages += [_dot("assistant"), {"role": role, "content": blocks}]
        else:
            last["content"].extend(blocks)

    def _go_together(self, results: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
        taken = self._model.beside_results
        if taken is None or not any("toolResult" in block for block in results):
            return True
        return all(taken.union(("toolResult", "cachePoint")).issuperset(block) for block in others)

    def _system(self, turn: Turn, after: str | None) -> None:
        """Add a system message; `after` is who speaks next."""
        for block in turn.blocks:
            if block.value.get("type") not in _TEXTS:
                raise unsupported(
                    self._target, block, f"takes only text in {turn.role} messages", "send it in a user message"
                )
        blocks = self._parts(turn.blocks)
        if not self.messages:
            self.system += blocks
            return
        claude = self._model.claude
        before = self.messages[-1]["role"]
        if claude and claude.system_messages and before in ("user", "system") and after in (None, "assistant"):
            self._push("system", blocks)
        elif text := "".join(string_of(block, "text") for block in turn.blocks if block.value["text"].strip()):
            self._push("user", [{"text": f"<system>{text}</system>"}])

    def _add_words(self) -> None:
        """Give messages that hold documents, and no text, the text that the host wants there."""
        for message in self.messages:
            content = message["content"]
            if any("document" in block for block in content) and not any("text" in block for block in content):
                content.append({"text": "The documents are attached."})

    def _trim_end(self) -> None:
        """Take white space from the end of an answer that the model is to go on with: the host refuses it."""
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != "assistant" or "text" not in last["content"][-1]:
            return
        text = last["content"][-1]["text"]
        if text != text.rstrip():
            self._drop("input", "the white space at its end, as the host takes none where its answer goes on")
            last["content"][-1] = {"text": text.rstrip()}

    # Of the user

    def _parts(self, blocks: list[Block]) -> list[dict[str, Any]]:
        return [sent for block in blocks for sent in self._part(block)]

    def _part(self, block: Block) -> list[dict[str, Any]]:
        """Return a part of a message or a result as blocks: itself, and a mark of the cache behind it."""
        part, kind = block.value, str(block.value.get("type"))
        if kind not in _FIELDS:
            raise unsupported(
                self._target, block, "takes no such part", "known: input_text, input_image, input_file, input_audio"
            )
        if kind in _TEXTS:
            text = self._text(block)
            if text is None:
                return []
            sent: dict[str, Any] = {"text": text}
            if part.get("guardContent") is not None:
                guard = plain(part["guardContent"], f"{block.where}.guardContent")
                sent = {"guardContent": {"text": {"text": text, **embed(guard)}}}
        elif kind == "input_image":
            sent = self._media.image(block)
        elif kind == "input_file":
            sent = self._media.file(block)
        else:
            sent = self._media.audio(block)
        for name in sorted(part.keys() - _FIELDS[kind]) if len(part) > 2 else ():
            if part[name] is not None and (name, part[name]) != ("detail", "auto"):
                self._drop(f"{block.where}.{name}", "Converse has no such field of a part")
        mark = cache_point(part)
        return [sent] if mark is None else [sent, mark]

    def _text(self, block: Block) -> str | None:
        """Return a text; None for one that is blank."""
        text = string_of(block, "text")
        if text.strip():
            return text
        if text:
            self._drop(block.where, "the host takes no blank text")
        return None

    def _results(self, blocks: list[Block]) -> None:
        results: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for block in blocks:
            content, marks, beside = self._result(block)
            result: dict[str, Any] = {"toolUseId": block.value["call_id"], "content": content or [{"text": _EMPTY}]}
            if block.value.get("is_error") is True:
                if self._model.status:
                    result["status"] = "error"
                else:
                    self._drop(f"{block.where}.is_error", "the model is not told whether a result is an error")
            results += [{"toolResult": result}, *marks]
            if beside:
                others += [{"text": f"From the result of call {block.value['call_id']}:"}, *beside]
        self._push("user", results)
        self._push("user", others)

    def _result(self, block: Block) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what a result holds, marks of the cache behind it, and what it cannot hold."""
        output = block.value.get("output")
        if isinstance(output, str):
            return [self._outcome(output)] if output.strip() else [], [], []
        if not isinstance(output, list | tuple):
            raise InvalidParameter(
                f"{block.where}.output is {type(output).__name__}; text or a list of parts is expected", param="input"
            )
        content: list[dict[str, Any]] = []
        marks: list[dict[str, Any]] = []
        beside: list[dict[str, Any]] = []
        taken = self._model.in_results.union(("text", "json"))
        for at, each in enumerate(output):
            for sent in self._part(ResultPart(plain(each, f"{block.where}.output[{at}]"), block.item, at)):
                (marks if "cachePoint" in sent else content if taken.issuperset(sent) else beside).append(sent)
        if self._model.json_results:
            content = [self._outcome(sent["text"]) if "text" in sent else sent for sent in content]
        return content, marks, beside

    def _outcome(self, output: str) -> dict[str, Any]:
        if not self._model.json_results:
            return {"text": output}
        found = read_json(output)
        return {"json": found if isinstance(found, dict) else {"result": output}}

    # Of the assistant

    def _said(self, block: Block) -> list[Any]:
        """Return what a block of an assistant's turn becomes."""
        item, kind = block.value, block.value.get("type")
        if kind in _TEXTS:
            text = self._text(block)
            if text is None:
                return []
            mark = cache_point(item)
            blocks = to_blocks(text, item.get("annotations"), self._target.provider)
            return blocks if mark is None else [*blocks, mark]
        if kind == "refusal":
            text = string_of(block, "refusal")
            return [{"text": text}] if text.strip() else []
        if kind == "reasoning":
            return restored(block, self._target, self._model, self._drop)
        if kind in ("function_call", "custom_tool_call"):
            return [self._call(block)]
        if kind in HOSTED:
            return list(own_blocks(item, self._target) or ())
        raise unsupported(self._target, block, "takes only text from the assistant", "send it in a user message")

    def _call(self, block: Block) -> dict[str, Any]:
        item = block.value
        given = {"input": string_of(block, "input")} if item["type"] == "custom_tool_call" else arguments_of(block)
        name = flat_name(string_of(block, "name"), item.get("namespace"))
        self.called[name] = None
        return {"toolUse": {"toolUseId": item["call_id"], "name": name, "input": given}}
