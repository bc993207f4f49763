"""The input of a call as turns, the form from which every codec but the native one starts.

The Responses API has a flat list of items; other formats have turns, and rules about them. What the model produced
without interruption (text, reasoning, calls) is one assistant turn, its order kept; every message of the others is a
turn of its own; results are one tool turn directly behind the turn with their calls. Hosts refuse broken pairs, so:

- a result that comes late moves up behind its call's turn, and what stood between them follows;
- a call without a result, a result without a call, and an id that two open calls share are errors;
- an id that is used again once its call is answered (hosts that restart at `call_0`) is told apart by a suffix.

Calls of a host's own tools become pairs of `function_call` and `function_call_output` where the item holds both sides
or the other side is an item too; what the host kept around them (environment, safety checks, the calling program) is
left out, as no model saw it. The blocks of a turn are otherwise the API's own objects, unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ...pipeline.errors import InvalidParameter, UnsupportedParameter
from ...pipeline.request import Drop
from ...pipeline.wording import quoted
from .blocks import Block, Turn
from .call_ids import CallIds
from .values import item_of, json_text, plain


def to_turns(
    given: object,
    drop: Drop,
    call_ids: CallIds | None = None,
    is_own: Callable[[dict[str, Any]], bool] | None = None,
) -> list[Turn]:
    """Return the turns of an input: text, or a list of items as dicts, wire objects or pydantic models.

    Args:
        drop: is told of items that say nothing to another host.
        call_ids: makes the ids of calls and results; by default they are as given.
        is_own: tells of an item whether it is the host's own and goes back as it is, in the assistant's turn.

    Raises:
        InvalidParameter: something that is no item, or breaks the rules above.
        UnsupportedParameter: an item without which the conversation would be another one.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [Turn("user", [Block({"type": "input_text", "text": given})])]
    reader = _Reader(drop, call_ids or CallIds())
    for at, each in enumerate(given if isinstance(given, list | tuple) else [given]):
        item = item_of(each, at)
        if is_own is not None and is_own(item):
            reader.own(at, item)
        else:
            reader.add(at, item)
    return reader.finish()


class _Call(msgspec.Struct):
    turn: int
    item: int
    id: str
    name: str
    is_answered: bool = False


class _Reader:
    """Reads items one by one. Results are kept by the position of their calls' turn, and put behind it at the end."""

    __slots__ = ("_answers", "_assistant", "_call_ids", "_calls", "_drop", "_turns")

    def __init__(self, drop: Drop, call_ids: CallIds) -> None:
        self._drop, self._call_ids = drop, call_ids
        self._turns: list[Turn] = []
        self._assistant = -1  # position of the assistant's turn that what it produces next still belongs to
        self._answers: dict[int, Turn] = {}
        self._calls: dict[str, _Call] = {}  # by the id in the input: the latest call that has it

    def add(self, at: int, item: dict[str, Any]) -> None:
        kind = item.get("type") or _untyped(item)
        read = _READERS.get(kind)
        if read is not None:
            read(self, at, item)
        elif kind in _DROPPED:
            self._drop(f"input[{at}] ({kind})", _DROPPED[kind])
        else:
            what = f"input[{at}] has type {quoted(kind)}" if kind else f"input[{at}] has no type and is no message"
            hint = _REFUSED.get(kind, "leave it out, or call a host that serves the Responses API itself")
            raise UnsupportedParameter(f"{what}, which cannot be sent in this format", param="input", hint=hint)

    def finish(self) -> list[Turn]:
        for call_id, call in self._calls.items():
            if not call.is_answered:
                raise InvalidParameter(
                    f"input[{call.item}] calls {call.name} ({call_id}), and no item answers it",
                    param="input",
                    hint="add the item with its output, or leave the call out: a model cannot go on without",
                )
        if not self._answers:
            return self._turns
        turns: list[Turn] = []
        for at, turn in enumerate(self._turns):
            turns.append(turn)
            if at in self._answers:
                turns.append(self._answers[at])
        return turns

    def message(self, at: int, item: dict[str, Any]) -> None:
        role, content = item.get("role"), item.get("content")
        if role == "assistant":
            blocks = self._produced()
        elif role in ("user", "system", "developer"):
            self._assistant = -1
            blocks = []
            self._turns.append(Turn(role, blocks))
        else:
            raise InvalidParameter(
                f"input[{at}].role is {quoted(role)}", param="input", hint="known: user, assistant, system, developer"
            )
        if isinstance(content, str):
            kind = "output_text" if role == "assistant" else "input_text"
            blocks.append(Block({"type": kind, "text": content}, at))
        elif isinstance(content, list | tuple):
            for index, part in enumerate(content):
                found = part if type(part) is dict else plain(part, f"input[{at}].content[{index}]")
                blocks.append(Block(found, at, index))
        else:
            found_type = "missing" if content is None else type(content).__name__
            raise InvalidParameter(
                f"input[{at}].content is {found_type}; text or a list of parts is expected", param="input"
            )

    def reasoning(self, at: int, item: dict[str, Any]) -> None:
        self._produced().append(Block(item, at))

    def own(self, at: int, item: dict[str, Any]) -> None:
        self._produced().append(Block(item, at))

    def call(self, at: int, item: dict[str, Any]) -> None:
        call_id = item.get("call_id")
        if not isinstance(call_id, str) or not call_id:
            raise InvalidParameter(f"input[{at}] ({item['type']}) has no call_id", param="input")
        known = self._calls.get(call_id)
        if known is not None and not known.is_answered:
            raise InvalidParameter(
                f"input[{at}] and input[{known.item}] are calls with the same call_id {quoted(call_id)}",
                param="input",
                hint="an id may be used again once its call is answered",
            )
        blocks = self._produced()
        made = self._call_ids.new(call_id)
        self._calls[call_id] = _Call(self._assistant, at, made, str(item.get("name")))
        blocks.append(Block(item if made == call_id else {**item, "call_id": made}, at))

    def output(self, at: int, item: dict[str, Any]) -> None:
        call_id = item.get("call_id")
        call = self._calls.get(call_id) if isinstance(call_id, str) else None
        if call is None:
            raise InvalidParameter(
                f"input[{at}] ({item['type']}) answers {quoted(call_id)}, and no item before it makes that call",
                param="input",
                hint="send the item with the call too, as the model gave it",
            )
        if call.is_answered:
            raise InvalidParameter(f"input[{at}] answers {quoted(call_id)} a second time", param="input")
        call.is_answered = True
        self._assistant = -1
        answers = self._answers.get(call.turn)
        if answers is None:
            answers = self._answers[call.turn] = Turn("tool", [])
        answers.blocks.append(Block(item if call.id == call_id else {**item, "call_id": call.id}, at))

    def mcp_call(self, at: int, item: dict[str, Any]) -> None:
        call_id, found = item.get("id") or f"mcp_{at}", item.get("output")
        has_failed = found is None and item.get("error") is not None
        if has_failed:
            found = item["error"]
        elif found is None:
            found = ""
        self._call(at, call_id, item.get("name"), item.get("arguments") or "")
        fields = {"is_error": True} if has_failed else {}
        self._output(at, call_id, found if isinstance(found, str) else json_text(found), **fields)

    def computer_call(self, at: int, item: dict[str, Any]) -> None:
        given = {name: item[name] for name in ("action", "actions") if item.get(name) is not None}
        self._call(at, item.get("call_id"), "computer", json_text(given))

    def computer_output(self, at: int, item: dict[str, Any]) -> None:
        screen = plain(item.get("output"), f"input[{at}].output")
        image = {name: screen[name] for name in ("image_url", "file_id", "detail") if screen.get(name) is not None}
        self._output(at, item.get("call_id"), [{"type": "input_image", **image}])

    def local_shell_call(self, at: int, item: dict[str, Any]) -> None:
        self._call(at, item.get("call_id"), "local_shell", json_text(item.get("action") or {}))
        if item.get("id"):
            # Its output names the call by `id` (types of OpenAI's Python package 3.54, read 2026-11).
            self._calls.setdefault(item["id"], self._calls[item["call_id"]])

    def local_shell_output(self, at: int, item: dict[str, Any]) -> None:
        self._output(at, item.get("call_id") or item.get("id"), item.get("output") or "")

    def shell_call(self, at: int, item: dict[str, Any]) -> None:
        self._call(at, item.get("call_id"), "shell", json_text(item.get("action") or {}))

    def shell_output(self, at: int, item: dict[str, Any]) -> None:
        found = item.get("output")
        self._output(at, item.get("call_id"), found if isinstance(found, str) else json_text(found or []))

    def patch_call(self, at: int, item: dict[str, Any]) -> None:
        self._call(at, item.get("call_id"), "apply_patch", json_text(item.get("operation") or {}))

    def patch_output(self, at: int, item: dict[str, Any]) -> None:
        found = {name: item[name] for name in ("status", "output") if item.get(name) is not None}
        self._output(at, item.get("call_id"), json_text(found))

    def image(self, at: int, item: dict[str, Any]) -> None:
        if not item.get("result"):
            self._drop(f"input[{at}] (image_generation_call)", "it holds no image")
            return
        # No assistant can say an image, so the user shows it. The assistant's turn stays open: its text mostly follows.
        url = f"data:image/{item.get('output_format') or 'png'};base64,{item['result']}"
        parts = [
            {"type": "input_text", "text": "The image that the image_generation tool made:"},
            {"type": "input_image", "image_url": url},
        ]
        self._turns.append(Turn("user", [Block(part, at) for part in parts]))

    def _call(self, at: int, call_id: object, name: object, arguments: str) -> None:
        self.call(at, {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})

    def _output(self, at: int, call_id: object, output: object, **fields: object) -> None:
        self.output(at, {"type": "function_call_output", "call_id": call_id, "output": output, **fields})

    def _produced(self) -> list[Block]:
        """Return the blocks of the assistant's open turn."""
        if self._assistant < 0:
            self._assistant = len(self._turns)
            self._turns.append(Turn("assistant", []))
        return self._turns[self._assistant].blocks


def _untyped(item: dict[str, Any]) -> str:
    """Return what an item without `type` is, "" when nobody can tell."""
    if "role" in item and "content" in item:
        return "message"
    return "item_reference" if item.keys() - {"type"} == {"id"} else ""


_READERS: Final[dict[str, Callable[[_Reader, int, dict[str, Any]], None]]] = {
    "message": _Reader.message,
    "reasoning": _Reader.reasoning,
    "function_call": _Reader.call,
    "function_call_output": _Reader.output,
    "custom_tool_call": _Reader.call,
    "custom_tool_call_output": _Reader.output,
    "mcp_call": _Reader.mcp_call,
    "computer_call": _Reader.computer_call,
    "computer_call_output": _Reader.computer_output,
    "local_shell_call": _Reader.local_shell_call,
    "local_shell_call_output": _Reader.local_shell_output,
    "shell_call": _Reader.shell_call,
    "shell_call_output": _Reader.shell_output,
    "apply_patch_call": _Reader.patch_call,
    "apply_patch_call_output": _Reader.patch_output,
    "image_generation_call": _Reader.image,
}

_STEP: Final = "a step of another host's own tool; what came of it is in the messages"
_TOOLS: Final = "tools are offered in `tools` only; put them there"
_DROPPED: Final = {
    "web_search_call": _STEP,
    "file_search_call": _STEP,
    "code_interpreter_call": _STEP,
    "program": _STEP,
    "program_output": _STEP,
    "anthropic_blocks": _STEP,
    "mcp_list_tools": "another host's list of its tools",
    "mcp_approval_request": "a question of another host about its own tool",
    "mcp_approval_response": "an answer to another host about its own tool",
    "tool_search_call": _STEP,
    "tool_search_output": _TOOLS,
    "additional_tools": _TOOLS,
    "configuration_update": "settings are parameters of the call only; give them there",
}
_REFUSED: Final = {
    "compaction": "only the host that made it can read it: send the items that it stands for, or call that host",
    "compaction_trigger": "leave it out, and shorten the input by other means",
    "item_reference": "send the item itself; another host does not have it",
}
