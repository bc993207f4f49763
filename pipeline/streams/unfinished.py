"""What of a stream is open, so that it can be closed where it broke: what had come stays, and is told to be incomplete.

It follows the events and keeps, of open items only, their text in pieces. Closing makes the events that the grammar
wants: of each open part what was said and its end, of each item its end with status "incomplete".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..api import events as ev
from ..api.wire import Raw, encode, loads
from .assembler import Assembler


class _Part:
    """A part of an item's content or summary."""

    __slots__ = ("annotations", "done", "is_said", "part", "pieces")

    def __init__(self, part: Raw) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.annotations: list[Raw] = []
        self.is_said = False
        self.done: Raw | None = None


class _Item:
    """An open item: its parts by place, or what is written to a call."""

    __slots__ = ("id", "is_said", "item", "parts", "pieces", "said", "summary")

    def __init__(self, event: Any) -> None:
        self.item = Raw(event.item.raw)
        self.id: str = getattr(event.item, "id", None) or ""
        self.parts: dict[int, _Part] = {}
        self.summary: dict[int, _Part] = {}
        self.pieces: list[str] = []
        self.said: tuple[type[ev.Event], str] | None = None
        self.is_said = False


class Unfinished:
    """Follows one stream's events."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, _Item] = {}

    def follow(self, events: list[ev.Event]) -> None:
        """Take note of events."""
        for event in events:
            handle = _HANDLERS.get(event.__class__)
            if handle is not None:
                handle(self, event)

    def close(self, assembler: Assembler) -> None:
        """Close what is open by events of this assembler, which has the items' places."""
        for index, item in sorted(self._open.items()):
            where = {"item_id": item.id, "output_index": index}
            fields = loads(bytes(item.item))
            for name, place, parts in (
                ("content", "content_index", item.parts),
                ("summary", "summary_index", item.summary),
            ):
                if parts:
                    fields[name] = [
                        _closed(assembler, part, {**where, place: at}) for at, part in sorted(parts.items())
                    ]
            if item.said is not None:
                said, field = item.said
                fields[field] = "".join(item.pieces)
                if not item.is_said:
                    assembler.add_said(said, field, fields[field], **where)
            whole = Raw(encode({**fields, "status": "incomplete"}))
            assembler.add(ev.OutputItemDone, item_json=whole, output_index=index)
            assembler.keep(index, whole)
        self._open.clear()

    # --- events ---------------------------------------------------------------------------------------------------

    def _added(self, event: Any) -> None:
        if event.item is not None:
            self._open[event.output_index] = item = _Item(event)
            item.said = _WRITTEN.get(event.item.type)

    def _done(self, event: Any) -> None:
        self._open.pop(event.output_index, None)

    def _opened(self, event: Any) -> None:
        if (item := self._open.get(event.output_index)) is not None and event.part is not None:
            _list_of(item, event)[_at(event)] = _Part(Raw(event.part.raw))

    def _part(self, event: Any) -> _Part | None:
        item = self._open.get(event.output_index)
        return None if item is None else _list_of(item, event).get(_at(event))

    def _text(self, event: Any) -> None:
        if (part := self._part(event)) is not None:
            part.pieces.append(event.delta)

    def _annotated(self, event: Any) -> None:
        if (part := self._part(event)) is not None:
            part.annotations.append(Raw(bytes(event.annotation_json)))

    def _said(self, event: Any) -> None:
        if (part := self._part(event)) is not None:
            part.is_said = True

    def _closed(self, event: Any) -> None:
        if (part := self._part(event)) is not None and event.part is not None:
            part.done = Raw(event.part.raw)

    def _written(self, event: Any) -> None:
        if (item := self._open.get(event.output_index)) is not None:
            item.pieces.append(event.delta)

    def _all_written(self, event: Any) -> None:
        if (item := self._open.get(event.output_index)) is not None:
            item.is_said = True
            if item.said is not None:
                item.pieces = [getattr(event, item.said[1])]


def _list_of(item: _Item, event: Any) -> dict[int, _Part]:
    return item.summary if hasattr(event, "summary_index") else item.parts


def _at(event: Any) -> int:
    place: int = event.summary_index if hasattr(event, "summary_index") else event.content_index
    return place


def _closed(assembler: Assembler, part: _Part, where: dict[str, Any]) -> Raw:
    """Close a part, unless it is; return the whole of it."""
    if part.done is not None:
        return part.done
    fields = loads(bytes(part.part))
    kind = _SAID.get(fields.get("type"))
    if kind is not None:
        said, field = kind
        fields[field] = "".join(part.pieces)
        if not part.is_said:
            logprobs = {"logprobs_json": Raw(b"[]")} if said is ev.OutputTextDone else {}
            assembler.add_said(said, field, fields[field], **logprobs, **where)
    if part.annotations:
        fields["annotations"] = part.annotations
    whole = Raw(encode(fields))
    done = ev.ReasoningSummaryPartDone if "summary_index" in where else ev.ContentPartDone
    assembler.add(done, part_json=whole, **where)
    return whole


# By the type of a part, and of an item: the event that says the whole text, and its field.
_SAID: Final[dict[Any, tuple[type[ev.Event], str]]] = {
    "output_text": (ev.OutputTextDone, "text"),
    "refusal": (ev.RefusalDone, "refusal"),
    "reasoning_text": (ev.ReasoningTextDone, "text"),
    "summary_text": (ev.ReasoningSummaryTextDone, "text"),
}
_WRITTEN: Final[dict[Any, tuple[type[ev.Event], str]]] = {
    "function_call": (ev.FunctionCallArgumentsDone, "arguments"),
    "custom_tool_call": (ev.CustomToolCallInputDone, "input"),
    "mcp_call": (ev.McpCallArgumentsDone, "arguments"),
    "code_interpreter_call": (ev.CodeInterpreterCallCodeDone, "code"),
}
_HANDLERS: Final[dict[type[ev.Event], Callable[[Unfinished, Any], None]]] = {
    ev.OutputTextDelta: Unfinished._text,
    ev.RefusalDelta: Unfinished._text,
    ev.ReasoningTextDelta: Unfinished._text,
    ev.ReasoningSummaryTextDelta: Unfinished._text,
    ev.OutputTextAnnotationAdded: Unfinished._annotated,
    ev.OutputTextDone: Unfinished._said,
    ev.RefusalDone: Unfinished._said,
    ev.ReasoningTextDone: Unfinished._said,
    ev.ReasoningSummaryTextDone: Unfinished._said,
    ev.OutputItemAdded: Unfinished._added,
    ev.OutputItemDone: Unfinished._done,
    ev.ContentPartAdded: Unfinished._opened,
    ev.ContentPartDone: Unfinished._closed,
    ev.ReasoningSummaryPartAdded: Unfinished._opened,
    ev.ReasoningSummaryPartDone: Unfinished._closed,
    ev.FunctionCallArgumentsDelta: Unfinished._written,
    ev.CustomToolCallInputDelta: Unfinished._written,
    ev.McpCallArgumentsDelta: Unfinished._written,
    ev.CodeInterpreterCallCodeDelta: Unfinished._written,
    ev.FunctionCallArgumentsDone: Unfinished._all_written,
    ev.CustomToolCallInputDone: Unfinished._all_written,
    ev.McpCallArgumentsDone: Unfinished._all_written,
    ev.CodeInterpreterCallCodeDone: Unfinished._all_written,
}
