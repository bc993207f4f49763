"""The assembler owns the stream grammar for whatever is not native: say what happened, it makes the events.

sequence_number   rises by one per event, from 0
output_index      position of the item; items open and close one after the other
item              output_item.added … output_item.done
message part      content_part.added, output_text.delta*, output_text.done, content_part.done
function call     function_call_arguments.delta*, function_call_arguments.done
reasoning         reasoning_summary_part.added, …_text.delta*, …_text.done, reasoning_summary_part.done
ends              with one response.completed / incomplete / failed that carries the whole response
"""

from __future__ import annotations

import re
import time
from typing import Any

from . import events as ev
from .items import FunctionCall, Message, Reasoning
from .parts import OutputText, Refusal
from .response import Response
from .wire import Raw, encode

_EMPTY = Raw(b"[]")


class Assembler:
    """Makes the events of one response. Every method returns the events to hand out, in order.

    Args:
        fields: of the response: at least `id` and `model`; "status" and "output" are the assembler's.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields: dict[str, Any] = {"object": "response", "created_at": int(time.time()), **fields}
        self._next = 0
        self._output: list[dict[str, Any]] = []

    def start(self) -> list[ev.Event]:
        """Open the response."""
        base = Raw(encode({**self._fields, "status": "in_progress", "output": []}))
        return [
            ev.ResponseCreated(response_json=base, sequence_number=self._number()),
            ev.ResponseInProgress(response_json=base, sequence_number=self._number()),
        ]

    def message(self, item: dict[str, Any], parts: list[tuple[dict[str, Any], list[str]]]) -> list[ev.Event]:
        """A whole message: its fields but content, and for each finished part the deltas that make it up."""
        item_id, index = item["id"], len(self._output)
        events = [self._added({**item, "status": "in_progress", "content": []})]
        for at, (part, deltas) in enumerate(parts):
            where: dict[str, Any] = {"item_id": item_id, "output_index": index, "content_index": at}
            events += self._part(where, part, deltas)
        events.append(self._done({**item, "content": [part for part, _ in parts]}))
        return events

    def _part(self, where: dict[str, Any], part: dict[str, Any], deltas: list[str]) -> list[ev.Event]:
        is_text = part["type"] == "output_text"
        empty = {**part, "text": "", "annotations": []} if is_text else {**part, "refusal": ""}
        events: list[ev.Event] = [
            _event(ev.ContentPartAdded, part_json=Raw(encode(empty)), sequence_number=self._number(), **where)
        ]
        for delta in deltas:
            number = self._number()
            events.append(
                _event(ev.OutputTextDelta, delta=delta, logprobs_json=_EMPTY, sequence_number=number, **where)
                if is_text
                else _event(ev.RefusalDelta, delta=delta, sequence_number=number, **where)
            )
        if is_text:
            for at, annotation in enumerate(part.get("annotations") or ()):
                events.append(
                    _event(
                        ev.OutputTextAnnotationAdded,
                        annotation_index=at,
                        annotation_json=Raw(encode(annotation)),
                        sequence_number=self._number(),
                        **where,
                    )
                )
            text = part["text"]
            events.append(
                _event(ev.OutputTextDone, text=text, logprobs_json=_EMPTY, sequence_number=self._number(), **where)
            )
        else:
            events.append(_event(ev.RefusalDone, refusal=part["refusal"], sequence_number=self._number(), **where))
        events.append(_event(ev.ContentPartDone, part_json=Raw(encode(part)), sequence_number=self._number(), **where))
        return events

    def function_call(self, item: dict[str, Any], deltas: list[str]) -> list[ev.Event]:
        """A whole function call: its fields, and the deltas that make up its arguments."""
        item_id, index = item["id"], len(self._output)
        events: list[ev.Event] = [self._added({**item, "status": "in_progress", "arguments": ""})]
        for delta in deltas:
            events.append(
                _event(
                    ev.FunctionCallArgumentsDelta,
                    delta=delta,
                    item_id=item_id,
                    output_index=index,
                    sequence_number=self._number(),
                )
            )
        events.append(
            _event(
                ev.FunctionCallArgumentsDone,
                arguments=item["arguments"],
                item_id=item_id,
                output_index=index,
                sequence_number=self._number(),
            )
        )
        events.append(self._done(item))
        return events

    def reasoning(self, item: dict[str, Any]) -> list[ev.Event]:
        """A whole reasoning item, with its summary parts as one delta each."""
        index = len(self._output)
        events: list[ev.Event] = [self._added({**item, "summary": []})]
        for at, part in enumerate(item.get("summary") or ()):
            where: dict[str, Any] = {"item_id": item["id"], "output_index": index, "summary_index": at}
            empty = Raw(encode({**part, "text": ""}))
            text = part.get("text", "")
            events += [
                _event(ev.ReasoningSummaryPartAdded, part_json=empty, sequence_number=self._number(), **where),
                _event(ev.ReasoningSummaryTextDelta, delta=text, sequence_number=self._number(), **where),
                _event(ev.ReasoningSummaryTextDone, text=text, sequence_number=self._number(), **where),
                _event(
                    ev.ReasoningSummaryPartDone, part_json=Raw(encode(part)), sequence_number=self._number(), **where
                ),
            ]
        events.append(self._done(item))
        return events

    def item(self, item: dict[str, Any]) -> list[ev.Event]:
        """A whole item of any other type."""
        return [self._added(item), self._done(item)]

    def end(self, **fields: Any) -> list[ev.Event]:
        """Close the response; `fields` are added to it, `status` decides which event it is."""
        whole = {**self._fields, "output": self._output, "status": "completed", **fields}
        return [self.end_with(Response.from_json(encode(whole)))]

    def end_with(self, response: Response) -> ev.Event:
        """Close the response with one that is there already; its status decides which event it is."""
        cls = _TERMINAL.get(response.status or "completed", ev.ResponseCompleted)
        return cls(response_json=Raw(response.raw), sequence_number=self._number())

    def _added(self, item: dict[str, Any]) -> ev.Event:
        return ev.OutputItemAdded(
            item_json=Raw(encode(item)), output_index=len(self._output), sequence_number=self._number()
        )

    def _done(self, item: dict[str, Any]) -> ev.Event:
        index = len(self._output)
        self._output.append(item)
        return ev.OutputItemDone(item_json=Raw(encode(item)), output_index=index, sequence_number=self._number())

    def _number(self) -> int:
        self._next += 1
        return self._next - 1


def _event(cls: type[ev.Event], **fields: Any) -> ev.Event:
    event = cls(**fields)
    # The encoder leaves out what equals the default; an empty text belongs on the wire all the same.
    empty = [name for name, value in fields.items() if value == ""]
    return event.replace(**dict.fromkeys(empty, "")) if empty else event


_TERMINAL = {
    "completed": ev.ResponseCompleted,
    "incomplete": ev.ResponseIncomplete,
    "failed": ev.ResponseFailed,
}


def replay(response: Response) -> list[ev.Event]:
    """Return a grammatical stream that tells a finished response: text by words, the terminal event with all of it."""
    assembler = Assembler({**response.to_dict(), "usage": None, "error": None, "incomplete_details": None})
    events = assembler.start()
    for item in response.output:
        fields = item.to_dict()
        if isinstance(item, Message) and item.role == "assistant" and not isinstance(item.content, str):
            known = [part for part in item.content if isinstance(part, OutputText | Refusal)]
            if len(known) == len(item.content):
                parts = [(part.to_dict(), _words(part)) for part in known]
                events += assembler.message({"id": "", **fields}, parts)
                continue
        if isinstance(item, FunctionCall):
            arguments = item.arguments
            events += assembler.function_call({"id": "", **fields}, [arguments] if arguments else [])
        elif isinstance(item, Reasoning):
            events += assembler.reasoning({"id": "", **fields})
        else:
            events += assembler.item(fields)
    return [*events, assembler.end_with(response)]


def _words(part: OutputText | Refusal) -> list[str]:
    text = part.text if isinstance(part, OutputText) else part.refusal
    return re.findall(r"\s*\S+\s*$|\s*\S+", text) if text.strip() else ([text] if text else [])
