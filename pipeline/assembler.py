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

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from . import events as ev
from .items import CustomToolCall, FunctionCall, Message, Reasoning
from .parts import OutputText, ReasoningText, Refusal, SummaryText
from .response import Response
from .wire import Raw, encode

EMPTY_LIST: Final = Raw(b"[]")
Fields: TypeAlias = Mapping[str, Any]


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
        _ItemWriter(self, dict(item), {}, status=None).close()

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


class _ItemWriter:
    """One open item."""

    __slots__ = ("_assembler", "fields", "id", "index")

    def __init__(
        self, assembler: Assembler, fields: dict[str, Any], empty: Fields, status: str | None = "in_progress"
    ) -> None:
        self._assembler = assembler
        self.fields = fields
        """What the finished item will have beside its content; may be added to until it is closed."""
        self.id: str = fields.get("id") or ""
        said = {**fields, "status": status} if status else fields
        self.index = assembler.open({**said, **empty})

    def close(self, **fields: Any) -> None:
        """Finish the item; `fields` are added to it."""
        self._assembler.close(self.index, {**self.fields, **self._content(), **fields})

    def _content(self) -> dict[str, Any]:
        return {}


class _Kind(msgspec.Struct, frozen=True):
    """One kind of part: how it is opened, written and closed."""

    part: dict[str, Any]
    text: str  # its field
    place: str  # the field of the events that numbers it
    added: type[ev.Event]
    delta: type[ev.Event]
    said: type[ev.Event]
    done: type[ev.Event]


_TEXT = _Kind(
    {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "text",
    "content_index",
    ev.ContentPartAdded,
    ev.OutputTextDelta,
    ev.OutputTextDone,
    ev.ContentPartDone,
)
_REFUSAL = _Kind(
    {"type": "refusal", "refusal": ""},
    "refusal",
    "content_index",
    ev.ContentPartAdded,
    ev.RefusalDelta,
    ev.RefusalDone,
    ev.ContentPartDone,
)
_RAW_REASONING = _Kind(
    {"type": "reasoning_text", "text": ""},
    "text",
    "content_index",
    ev.ContentPartAdded,
    ev.ReasoningTextDelta,
    ev.ReasoningTextDone,
    ev.ContentPartDone,
)
_SUMMARY = _Kind(
    {"type": "summary_text", "text": ""},
    "text",
    "summary_index",
    ev.ReasoningSummaryPartAdded,
    ev.ReasoningSummaryTextDelta,
    ev.ReasoningSummaryTextDone,
    ev.ReasoningSummaryPartDone,
)


class _PartsWriter(_ItemWriter):
    """An item that is made of parts, one open at a time."""

    __slots__ = ("_annotations", "_at", "_kind", "_lists", "_logprobs", "_pieces")

    def __init__(self, assembler: Assembler, fields: dict[str, Any], empty: dict[str, list[Any]]) -> None:
        super().__init__(assembler, fields, empty)
        self._lists: dict[str, list[Raw]] = {name: [] for name in empty}
        self._kind: _Kind | None = None
        self._at = 0
        self._pieces: list[str] = []
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []

    def _write(self, kind: _Kind, delta: str) -> None:
        if kind is not self._kind:
            self._open(kind)
        self._pieces.append(delta)
        self._assembler.add(kind.delta, delta=delta, **self._where(kind))

    def _open(self, kind: _Kind) -> None:
        self.close_part()
        self._kind = kind
        self._at = len(self._list(kind))
        self._assembler.add(kind.added, part_json=Raw(encode(kind.part)), **self._where(kind))

    def close_part(self, part: Fields | None = None) -> None:
        """Close the open part, if there is one; `part` is the whole of it, where it is known."""
        kind = self._kind
        if kind is None:
            return
        text = "".join(self._pieces)
        where, logprobs = self._where(kind), Raw(encode(self._logprobs)) if self._logprobs else EMPTY_LIST
        said = {"logprobs_json": logprobs} if kind is _TEXT else {}
        whole = dict(part) if part is not None else {**kind.part, kind.text: text}
        if part is None and kind is _TEXT:
            whole |= {"annotations": self._annotations, "logprobs": logprobs}
        self._assembler.add_said(kind.said, kind.text, text, **said, **where)
        done = Raw(encode(whole))
        self._assembler.add(kind.done, part_json=done, **where)
        self._list(kind).append(done)
        self._kind = None
        self._pieces, self._annotations, self._logprobs = [], [], []

    def _list(self, kind: _Kind) -> list[Raw]:
        return self._lists.setdefault("summary" if kind is _SUMMARY else "content", [])

    def _where(self, kind: _Kind) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, kind.place: self._at}

    def close(self, **fields: Any) -> None:
        self.close_part()
        super().close(**fields)

    def _content(self) -> dict[str, Any]:
        return self._lists


class MessageWriter(_PartsWriter):
    """An open message."""

    __slots__ = ()

    def text(self, delta: str, logprobs: list[Any] | None = None) -> None:
        """More text, with the API's log probabilities of its tokens."""
        if self._kind is not _TEXT:
            self._open(_TEXT)
        self._pieces.append(delta)
        if logprobs:
            self._logprobs += logprobs
        # The hot path of every stream that is not native.
        assembler = self._assembler
        assembler.events.append(
            ev.OutputTextDelta(
                delta=delta,
                logprobs_json=Raw(encode(logprobs)) if logprobs else EMPTY_LIST,
                item_id=self.id,
                output_index=self.index,
                content_index=self._at,
                sequence_number=assembler.number,
            )
        )
        assembler.number += 1

    def annotation(self, annotation: Any) -> None:
        """An annotation of the text so far."""
        if self._kind is not _TEXT:
            self._open(_TEXT)
        self._assembler.add(
            ev.OutputTextAnnotationAdded,
            annotation_index=len(self._annotations),
            annotation_json=Raw(encode(annotation)),
            **self._where(_TEXT),
        )
        self._annotations.append(annotation)

    def refusal(self, delta: str) -> None:
        """More of a refusal."""
        self._write(_REFUSAL, delta)

    def empty_text(self) -> None:
        """A part without any text, where the host says so."""
        self._open(_TEXT)

    def part(self, part: Fields) -> None:
        """A whole part of any other type."""
        self.close_part()
        parts = self._lists["content"]
        where = {"item_id": self.id, "output_index": self.index, "content_index": len(parts)}
        whole = Raw(encode(part))
        self._assembler.add(ev.ContentPartAdded, part_json=whole, **where)
        self._assembler.add(ev.ContentPartDone, part_json=whole, **where)
        parts.append(whole)


class ReasoningWriter(_PartsWriter):
    """An open reasoning item."""

    __slots__ = ()

    def text(self, delta: str) -> None:
        """More raw reasoning."""
        self._write(_RAW_REASONING, delta)

    def summary(self, delta: str) -> None:
        """More of the current part of the summary; `close_part` begins another one."""
        self._write(_SUMMARY, delta)


class CallWriter(_ItemWriter):
    """An open call: a function's JSON arguments, or a custom tool's input."""

    __slots__ = ("_field", "_pieces")

    def __init__(self, assembler: Assembler, fields: dict[str, Any], empty: dict[str, str]) -> None:
        super().__init__(assembler, fields, empty)
        self._field = next(iter(empty))
        self._pieces: list[str] = []

    @property
    def so_far(self) -> str:
        """What was written."""
        return "".join(self._pieces)

    @property
    def is_custom(self) -> bool:
        """Whether it is a custom tool's."""
        return self._field == "input"

    def write(self, delta: str) -> None:
        """More of the arguments or the input."""
        self._pieces.append(delta)
        delta_event = ev.FunctionCallArgumentsDelta if self._field == "arguments" else ev.CustomToolCallInputDelta
        self._assembler.add(delta_event, delta=delta, item_id=self.id, output_index=self.index)

    def close(self, *, said: str | None = None, **fields: Any) -> None:
        """Finish the call; `said` is the whole text where nothing of it was written."""
        text = self.so_far if said is None else said
        where: dict[str, Any] = {"item_id": self.id, "output_index": self.index}
        if self._field == "arguments":
            name = self.fields.get("name")
            self._assembler.add_said(ev.FunctionCallArgumentsDone, "arguments", text, name=name, **where)
        else:
            self._assembler.add_said(ev.CustomToolCallInputDone, "input", text, **where)
        super().close(**{self._field: text}, **fields)


class HostedWriter(_ItemWriter):
    """An open call of a tool that runs at the host."""

    __slots__ = ()

    def tell(self, step: type[ev.ItemEvent], **fields: Any) -> None:
        """Say how far it is, by the event of that step and its own fields."""
        self._assembler.add(step, item_id=self.id, output_index=self.index, **fields)


_TERMINAL = {
    "completed": ev.ResponseCompleted,
    "incomplete": ev.ResponseIncomplete,
    "failed": ev.ResponseFailed,
}


# --- a finished response, told as a stream --------------------------------------------------------------------------


def replay(response: Response) -> list[ev.Event]:
    """Return a grammatical stream that tells a finished response: text by words, the terminal event with all of it."""
    assembler = Assembler({**response.to_dict(), "usage": None, "error": None, "incomplete_details": None})
    assembler.start()
    for item in response.output:
        _TELLERS.get(type(item), _tell_whole)(assembler, item)
    assembler.end_with(response)
    return assembler.events


def _tell_message(assembler: Assembler, item: Any) -> None:
    if item.role != "assistant" or isinstance(item.content, str):
        _tell_whole(assembler, item)
        return
    writer = assembler.message(_without(item, "content"))
    for part in item.content:
        fields = part.to_dict()
        if isinstance(part, OutputText):
            _tell_text(writer, fields)
        elif isinstance(part, Refusal):
            for word in _words(part.refusal):
                writer.refusal(word)
            writer.close_part(fields)
        else:
            writer.part(fields)
    writer.close()


def _tell_text(writer: MessageWriter, fields: dict[str, Any]) -> None:
    words = _words(fields.get("text", ""))
    if not words:
        writer.empty_text()
    for word in words:
        writer.text(word)
    for annotation in fields.get("annotations") or ():
        writer.annotation(annotation)
    writer.close_part(fields)


def _tell_reasoning(assembler: Assembler, item: Any) -> None:
    writer = assembler.reasoning(_without(item, "summary", "content"))
    parts: tuple[tuple[Any, type[Any], Callable[[str], None]], ...] = (
        (item.summary, SummaryText, writer.summary),
        (item.content or (), ReasoningText, writer.text),
    )
    for members, known, write in parts:
        for part in members:
            if isinstance(part, known) and part.text:
                write(part.text)
                writer.close_part(part.to_dict())
    writer.close(**{name: value for name, value in item.to_dict().items() if name in ("summary", "content")})


def _tell_call(assembler: Assembler, item: Any) -> None:
    field = "arguments" if isinstance(item, FunctionCall) else "input"
    open_call = assembler.function_call if isinstance(item, FunctionCall) else assembler.custom_tool_call
    writer = open_call(_without(item, field))
    if text := getattr(item, field):
        writer.write(text)
    writer.close()


def _tell_whole(assembler: Assembler, item: Any) -> None:
    assembler.item(item.to_dict())


_TELLERS: dict[type[Any], Callable[[Assembler, Any], None]] = {
    Message: _tell_message,
    Reasoning: _tell_reasoning,
    FunctionCall: _tell_call,
    CustomToolCall: _tell_call,
}


def _without(item: Any, *names: str) -> dict[str, Any]:
    return {"id": "", **{name: value for name, value in item.to_dict().items() if name not in names}}


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*$|\s*\S+", text) if text.strip() else ([text] if text else [])
