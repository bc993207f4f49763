"""The answer as the arguments of a function call, for models that call functions better than they keep to a format.

The model is made to call one function more, whose parameters are the answer's schema. On the way back that call becomes
the message it stands for, in the response and in the stream alike, so that nobody takes it for a call to be answered:

    output_item.added (function_call)      →  output_item.added (message), content_part.added
    function_call_arguments.delta          →  output_text.delta
    function_call_arguments.done           →  output_text.done, content_part.done
    output_item.done (function_call)       →  output_item.done (message)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

from .api import events as ev
from .api.items import AnyItem, FunctionCall
from .api.params import CreateParams
from .api.response import Response
from .api.wire import Raw
from .errors import InvalidParameter
from .json_schema import OutputType

_EMPTY = Raw(b"[]")


class AnswerTool(msgspec.Struct, frozen=True):
    """The function that takes the answer.

    Args:
        name: unlike that of every tool of the call.
        type: what the answer is.
    """

    name: str
    type: OutputType

    @classmethod
    def beside(cls, tools: list[Any] | None, type: OutputType) -> AnswerTool:
        """Make one whose name is not among the call's tools."""
        taken = {_name_of(tool) for tool in tools or ()}
        names = (type.name, *(f"{type.name[:60]}_{number}" for number in range(2, len(taken) + 3)))
        return cls(next(name for name in names if name not in taken), type)

    def params(self, params: CreateParams) -> dict[str, Any]:
        """Return the `tools` and `tool_choice` that make the model answer through it.

        Beside the caller's own tools some tool is required, so that they can be called first; a `tool_choice` of the
        caller's stays.

        Raises:
            InvalidParameter: `tool_choice="none"`, with which no answer could come.
        """
        choice: Any = params.tool_choice
        if choice == "none":
            raise InvalidParameter(
                'tool_choice is "none", and output_mode="tool" answers by a tool call',
                param="tool_choice",
                hint='leave one of them out, or take output_mode="prompt"',
            )
        tool = {
            "type": "function",
            "name": self.name,
            "description": "Gives the final answer. Call it once, when the answer is known.",
            "parameters": self.type.schema,
            "strict": self.type.strict,
        }
        if choice is None:
            choice = "required" if params.tools else {"type": "function", "name": self.name}
        return {"tools": [*(params.tools or ()), tool], "tool_choice": choice}

    def takes(self, item: AnyItem | None) -> TypeGuard[FunctionCall]:
        """Tell whether an item is a call of it."""
        return isinstance(item, FunctionCall) and item.name == self.name

    def read(self, response: Response) -> Response:
        """Return the response with the answer as a message."""
        if not any(self.takes(item) for item in response.output):
            return response
        output = [_message(item, item.arguments) if self.takes(item) else item for item in response.output]
        return response.replace(output=output)


class AnswerEvents:
    """Translates the events of one stream; renumbers them, since one may become two."""

    __slots__ = ("_next", "_open", "_tool")

    def __init__(self, tool: AnswerTool) -> None:
        self._tool = tool
        # output_index → the message's id and the arguments so far, while its part is open
        self._open: dict[int, tuple[str, list[str]]] = {}
        self._next = -1

    def translate(self, event: ev.Event) -> list[ev.Event]:
        """Return the events that stand for one of the host's."""
        if self._next < 0:
            self._next = max(event.sequence_number, 0)  # more than 0 in a stream that is taken up again
        return [self._numbered(made, event) for made in self._made(event)]

    def _numbered(self, made: ev.Event, of: ev.Event) -> ev.Event:
        number, self._next = self._next, self._next + 1
        if made is of and number == of.sequence_number:
            return of
        return made.renumbered(number, resume_after=of.resume_after, original=of.original)

    def _made(self, event: ev.Event) -> list[ev.Event]:
        if isinstance(event, ev.OutputItemAdded | ev.OutputItemDone):
            item = event.item
            if not self._tool.takes(item):
                return [event]
            if isinstance(event, ev.OutputItemAdded):
                return self._begin(event.output_index, item)
            ends = self._end(event.output_index, item.arguments)
            return [*ends, event.replace(item=_message(item, item.arguments))]
        if isinstance(event, ev.FunctionCallArgumentsDelta) and event.output_index in self._open:
            item_id, came = self._open[event.output_index]
            came.append(event.delta)
            return [_text_delta(event.output_index, item_id, event.delta)]
        if isinstance(event, ev.FunctionCallArgumentsDone) and event.output_index in self._open:
            return self._end(event.output_index, event.arguments)
        if isinstance(event, ev.LifecycleEvent):
            response = self._tool.read(event.response)
            return [event if response is event.response else event.replace(response=response)]
        return [event]

    def _begin(self, index: int, item: FunctionCall) -> list[ev.Event]:
        self._open[index] = _id(item), [item.arguments] if item.arguments else []
        message = {**_message(item, ""), "status": "in_progress", "content": []}
        events: list[ev.Event] = [
            ev.OutputItemAdded.new(item=message, output_index=index),
            ev.ContentPartAdded.new(part=_part(""), **_place(index, _id(item))),
        ]
        if item.arguments:  # a host that sends calls whole
            events.append(_text_delta(index, _id(item), item.arguments))
        return events

    def _end(self, index: int, arguments: str) -> list[ev.Event]:
        if index not in self._open:
            return []
        item_id, came = self._open.pop(index)
        events: list[ev.Event] = []
        if not came and arguments:
            events.append(_text_delta(index, item_id, arguments))
        text = arguments or "".join(came)
        place = _place(index, item_id)
        return [
            *events,
            ev.OutputTextDone.new(text=text, logprobs=[], **place),
            ev.ContentPartDone.new(part=_part(text), **place),
        ]


def _name_of(tool: object) -> object:
    if isinstance(tool, Mapping):
        return tool.get("name")
    return getattr(tool, "name", None) or getattr(tool, "__name__", None)


def _text_delta(index: int, item_id: str, delta: str) -> ev.Event:
    return ev.OutputTextDelta.new(delta=delta, logprobs=[], **_place(index, item_id))


def _place(index: int, item_id: str) -> dict[str, Any]:
    return {"item_id": item_id, "output_index": index, "content_index": 0}


def _id(item: FunctionCall) -> str:
    return item.id or item.call_id


def _message(item: FunctionCall, text: str) -> dict[str, Any]:
    status = item.status or "completed"
    return {"type": "message", "id": _id(item), "role": "assistant", "status": status, "content": [_part(text)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}
