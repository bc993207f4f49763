"""The assembler owns the stream grammar for whatever is not native: say what happened, it makes the events.

sequence_number   rises by one per event, from 0
output_index      position of the item in `output`; an item gets it when it opens
item              output_item.added … output_item.done
message part      content_part.added, its deltas, its done, content_part.done
function call     function_call_arguments.delta*, function_call_arguments.done
custom call       custom_tool_call_input.delta*, custom_tool_call_input.done
reasoning         parts of the summary, or raw parts of the content, each opened and closed like a message's
ends              with one response.completed / incomplete / failed that carries the whole response

Parts open and close by themselves: a message that gets a refusal after text closes its text. Items do not, since calls
may be written side by side.
"""

from __future__ import annotations

import time
from typing import Any

from ..api import events as ev
from ..api.response import Response
from ..api.wire import Raw, encode
from .item_writers import CallWriter, Fields, HostedWriter, ItemWriter, MessageWriter, ReasoningWriter


class Assembler:
    """Makes the events of one response, in the order in which it is told what happens.

    Args:
        fields: of the response: at least `id` and `model`; "status" and "output" are the assembler's.

    Attributes:
        events: those that were made and not taken yet.
    """

    __slots__ = ("_fields", "_output", "events", "number")

    def __init__(self, fields: Fields) -> None:
        self._fields: dict[str, Any] = {"object": "response", "created_at": int(time.time()), **fields}
        self._output: list[Raw | None] = []  # None while the item is open
        self.events: list[ev.Event] = []
        self.number = 0  # of the next event

    def take(self) -> list[ev.Event]:
        """Return the events made since the last time."""
        events, self.events = self.events, []
        return events

    def start(self) -> None:
        """Open the response."""
        base = Raw(encode({**self._fields, "status": "in_progress", "output": []}))
        self.add(ev.ResponseCreated, response_json=base)
        self.add(ev.ResponseInProgress, response_json=base)

    def message(self, fields: Fields) -> MessageWriter:
        """Open a message: its fields but `content`; at least `id`."""
        return MessageWriter(self, {"type": "message", "role": "assistant", **fields}, {"content": []})

    def reasoning(self, fields: Fields) -> ReasoningWriter:
        """Open a reasoning item: its fields but `summary` and `content`; at least `id`."""
        return ReasoningWriter(self, {"type": "reasoning", **fields}, {"summary": []})

    def function_call(self, fields: Fields) -> CallWriter:
        """Open a function call: its fields but `arguments`; at least `id`, `call_id` and `name`."""
        return CallWriter(self, {"type": "function_call", **fields}, {"arguments": ""})

    def custom_tool_call(self, fields: Fields) -> CallWriter:
        """Open a custom tool call: its fields but `input`; at least `id`, `call_id` and `name`."""
        return CallWriter(self, {"type": "custom_tool_call", **fields}, {"input": ""})

    def hosted(self, fields: Fields) -> HostedWriter:
        """Open a call of a host's own tool: its fields but `status`; at least `id` and `type`."""
        return HostedWriter(self, dict(fields), {})

    def item(self, item: Fields) -> None:
        """A whole item of any type."""
        ItemWriter(self, dict(item), {}, status=None).close()

    def end(self, **fields: Any) -> None:
        """Close the response; `fields` are added to it, `status` decides which event it is. Items must be closed."""
        whole = {**self._fields, "status": "completed", "output": self._output, **fields}
        self.end_with(Response.from_json(encode(whole)))

    def end_with(self, response: Response) -> None:
        """Close the response with one that is there already; its status decides which event it is."""
        self.add(_TERMINAL.get(response.status or "completed", ev.ResponseCompleted), response_json=Raw(response.raw))

    def add(self, cls: type[ev.Event], **fields: Any) -> None:
        """Make one event of this class; its number is set here."""
        self.events.append(cls(sequence_number=self.number, **fields))
        self.number += 1

    def add_said(self, cls: type[ev.Event], field: str, text: str, **fields: Any) -> None:
        """Make the event that says a finished text."""
        event = cls(sequence_number=self.number, **{field: text}, **fields)
        self.number += 1
        # The encoder leaves out what equals the default; an empty text belongs on the wire all the same.
        self.events.append(event if text else event.replace(**{field: text}))

    def place(self) -> int:
        """Return the index of an item whose events come from elsewhere; `keep` closes it."""
        self._output.append(None)
        return len(self._output) - 1

    def keep(self, index: int, item: Raw) -> None:
        """Take an item that its own events have closed into the output."""
        self._output[index] = item

    def forward(self, event: ev.Event, **fields: Any) -> None:
        """Make an event of another stream one of this: its number, and these fields, are set here."""
        number, self.number = self.number, self.number + 1
        if number != event.sequence_number:
            fields["sequence_number"] = number
        self.events.append(event.replace(**fields) if fields else event)

    @property
    def output(self) -> list[Raw]:
        """The items that are closed, in order."""
        return [item for item in self._output if item is not None]

    def open(self, item: dict[str, Any]) -> int:
        """Open an item as it stands, return its index. For the writers."""
        index = len(self._output)
        self._output.append(None)
        self.add(ev.OutputItemAdded, item_json=Raw(encode(item)), output_index=index)
        return index

    def close(self, index: int, item: dict[str, Any]) -> None:
        """Close an item. For the writers."""
        whole = self._output[index] = Raw(encode(item))  # once: the terminal event carries it too
        self.add(ev.OutputItemDone, item_json=whole, output_index=index)


_TERMINAL = {
    "completed": ev.ResponseCompleted,
    "incomplete": ev.ResponseIncomplete,
    "failed": ev.ResponseFailed,
}
