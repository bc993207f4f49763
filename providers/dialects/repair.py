"""Repair of native streams: what hosts leave out is filled in, so that a consumer always sees one grammar.

Seen (recorded or observed, 2026-10 to 2026-11):
- llama.cpp sends no numbers, no indexes, and no `function_call_arguments.done`;
- Ollama sends reasoning summaries without the events of their parts (read in its source);
- OpenAI leaves items of MCP listings open;
- OpenRouter gives reasoning another id in the final response than before;
- ChatGPT's backend for Codex ends with an empty `output` (many public reports, April to August 2026).
An event that needs nothing passes as it is; after the first one that is filled in, the rest is numbered anew.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline import events as ev
from ...pipeline.wire import Wire

ENDS = frozenset({*ev.TERMINAL, ev.ErrorEvent})
WATCHED = frozenset(
    {
        *ENDS,
        ev.OutputItemAdded,
        ev.OutputItemDone,
        ev.ReasoningSummaryPartAdded,
        ev.ReasoningSummaryPartDone,
        ev.ReasoningSummaryTextDelta,
        ev.ReasoningSummaryTextDone,
    }
)
"""Events that a repair must see also in a stream that is whole so far; text deltas are not among them."""


class _Kind(msgspec.Struct, frozen=True):
    """How one kind of part is opened and closed."""

    field: str
    part: dict[str, Any]
    added: type[ev.Event]
    text_done: type[ev.Event]
    done: type[ev.Event]


_TEXT = _Kind(
    "content_index",
    {"type": "output_text", "text": "", "annotations": []},
    ev.ContentPartAdded,
    ev.OutputTextDone,
    ev.ContentPartDone,
)
_SUMMARY = _Kind(
    "summary_index",
    {"type": "summary_text", "text": ""},
    ev.ReasoningSummaryPartAdded,
    ev.ReasoningSummaryTextDone,
    ev.ReasoningSummaryPartDone,
)
_DELTAS: dict[type[ev.Event], _Kind] = {ev.OutputTextDelta: _TEXT, ev.ReasoningSummaryTextDelta: _SUMMARY}
_TEXT_DONES: dict[type[ev.Event], _Kind] = {ev.OutputTextDone: _TEXT, ev.ReasoningSummaryTextDone: _SUMMARY}
_OPENS: dict[type[ev.Event], _Kind] = {ev.ContentPartAdded: _TEXT, ev.ReasoningSummaryPartAdded: _SUMMARY}


class _Part:
    """A part of an item; `ours` when the host did not open it itself."""

    __slots__ = ("kind", "ours", "said", "text")

    def __init__(self, kind: _Kind, ours: bool) -> None:
        self.kind = kind
        self.ours = ours
        self.said = False
        self.text: list[str] = []


class _Item:
    __slots__ = ("arguments", "closed", "done", "id", "parts")

    def __init__(self, item_id: str) -> None:
        self.id = item_id
        self.closed = False
        self.done: Wire | None = None  # as the host closed it
        self.parts: dict[tuple[str, int], _Part] = {}
        self.arguments: list[str] | None = None  # of a call whose arguments have not been said to be done


class Repair:
    """Follows a stream. Every event of `WATCHED` must pass; once `busy`, every event.

    Args:
        resumed: whether it is the rest of a stream, whose items may have been opened before.

    Attributes:
        busy: whether something has been filled in.
    """

    __slots__ = ("_host_last", "_ids", "_items", "_newest", "_resumed", "busy")

    def __init__(self, resumed: bool = False) -> None:
        self.busy = False
        self._host_last = -1  # the host's number of the last event, once `busy`
        self._resumed = resumed
        self._items: dict[int, _Item] = {}
        self._ids: dict[str, int] = {}
        self._newest = -1  # output index of the item that opened last

    def follow(self, event: ev.Event, last: int) -> list[ev.Event]:
        """Return the event as it should be, with those before it that the host left out.

        Args:
            event: the next one.
            last: the number of the event before it, -1 at the beginning.
        """
        sent, number, was_busy = event, event.sequence_number, self.busy
        event = self._placed(event)
        if isinstance(event, ev.ResponseCompleted | ev.ResponseIncomplete | ev.ResponseFailed):
            event = self._filled(event)
        missing = self._missing(event)
        if missing or number < 0:
            self.busy = True
        if isinstance(event, ev.ResponseCompleted | ev.ResponseIncomplete):
            event = self._renamed(event)
        if not self.busy:
            return [event]
        if not was_busy:
            self._host_last = last  # up to here the numbers are the host's
        events: list[ev.Event] = []
        for at, each in enumerate((*missing, event), last + 1):
            is_sent = each is event
            if is_sent:
                self._host_last = max(number, self._host_last)
            known = self._host_last if number >= 0 else at
            events.append(each.renumbered(at, resume_after=known, original=sent if is_sent else None))
        return events

    # --- indexes -----------------------------------------------------------------------------------------------------

    def _placed(self, event: ev.Event) -> ev.Event:
        """Return the event with the indexes that it lacks, and keep account of its item."""
        fields: Any = event
        changes: dict[str, int] = {}
        if not hasattr(event, "output_index"):
            return event
        if isinstance(event, ev.OutputItemAdded):
            index = event.output_index if event.output_index >= 0 else self._newest + 1
            self._open_item(index, _id_of(event.item))
        else:
            item_id = _id_of(event.item) if isinstance(event, ev.OutputItemDone) else getattr(event, "item_id", "")
            index = fields.output_index
            if index < 0:
                index = self._ids.get(item_id, max(self._newest, 0))
        if index != fields.output_index:
            changes["output_index"] = index
        if getattr(event, "content_index", 0) < 0:
            changes["content_index"] = self._content_index(event, index)
        return event.replace(**changes) if changes else event

    def _open_item(self, index: int, item_id: str) -> None:
        self._items[index] = _Item(item_id)
        self._ids[item_id] = index
        self._newest = index

    def _content_index(self, event: ev.Event, index: int) -> int:
        parts = self._items[index].parts if index in self._items else {}
        known = [at for field, at in parts if field == "content_index"]
        newest = max(known, default=-1)
        return newest + 1 if isinstance(event, ev.ContentPartAdded) else max(newest, 0)

    # --- events that are missing before this one ---------------------------------------------------------------------

    def _missing(self, event: ev.Event) -> list[ev.Event]:
        fields: Any = event
        kind = type(event)
        if isinstance(event, ev.ResponseCompleted | ev.ResponseIncomplete):
            return self._unclosed(event)
        if not hasattr(event, "output_index"):
            return []
        item = self._items.get(fields.output_index)
        if isinstance(event, ev.OutputItemDone):
            return self._before_item_done(event, item)
        if item is None:
            return []
        if kind in _OPENS:
            self._part(item, _OPENS[kind], fields, ours=False)
        elif kind in _DELTAS:
            return self._before_delta(item, _DELTAS[kind], fields)
        elif kind in _TEXT_DONES:
            self._part(item, _TEXT_DONES[kind], fields, ours=False).said = True
        elif isinstance(event, ev.FunctionCallArgumentsDelta):
            if item.arguments is None:
                item.arguments = []
            item.arguments.append(event.delta)
        elif isinstance(event, ev.FunctionCallArgumentsDone):
            item.arguments = None
        return []

    def _part(self, item: _Item, kind: _Kind, event: Any, *, ours: bool) -> _Part:
        key = (kind.field, getattr(event, kind.field))
        if key not in item.parts:
            item.parts[key] = _Part(kind, ours)
        return item.parts[key]

    def _before_delta(self, item: _Item, kind: _Kind, event: Any) -> list[ev.Event]:
        index = getattr(event, kind.field)
        is_new = (kind.field, index) not in item.parts
        part = self._part(item, kind, event, ours=True)
        if part.ours:
            part.text.append(event.delta)
        if not is_new:
            return []
        where = {"item_id": item.id, "output_index": event.output_index, kind.field: index}
        return [kind.added.new(part=kind.part, **where)]

    def _before_item_done(self, event: ev.OutputItemDone, item: _Item | None) -> list[ev.Event]:
        if item is None:  # it was never opened
            self._open_item(event.output_index, _id_of(event.item))
            self._items[event.output_index].closed = True
            self._items[event.output_index].done = event.item
            if self._resumed:
                return []
            return [ev.OutputItemAdded.new(output_index=event.output_index, item=event.item)]
        item.closed, item.done = True, event.item
        where: dict[str, Any] = {"item_id": item.id, "output_index": event.output_index}
        missing: list[ev.Event] = []
        if item.arguments is not None:
            whole = event.item.to_dict().get("arguments") if event.item is not None else None
            said = whole if isinstance(whole, str) else "".join(item.arguments)
            missing.append(ev.FunctionCallArgumentsDone.new(arguments=said, **where))
        for (field, index), part in item.parts.items():
            if part.ours:
                text = "".join(part.text)
                if not part.said:
                    missing.append(part.kind.text_done.new(text=text, **{**where, field: index}))
                missing.append(part.kind.done.new(part={**part.kind.part, "text": text}, **{**where, field: index}))
        return missing

    # --- the end -----------------------------------------------------------------------------------------------------

    def _unclosed(self, event: ev.ResponseCompleted | ev.ResponseIncomplete) -> list[ev.Event]:
        items = self._listed(event)
        return [
            ev.OutputItemDone.new(output_index=index, item=items[index])
            for index in sorted(items)
            if not self._items[index].closed
        ]

    def _filled(
        self, event: ev.ResponseCompleted | ev.ResponseIncomplete | ev.ResponseFailed
    ) -> ev.ResponseCompleted | ev.ResponseIncomplete | ev.ResponseFailed:
        """Return the event with the items that were closed, where it has none."""
        done = [item.done for _, item in sorted(self._items.items()) if item.done is not None]
        if not done or self._resumed or event.response.output:
            return event
        return event.replace(response=event.response.replace(output=done))

    def _renamed(self, event: ev.ResponseCompleted | ev.ResponseIncomplete) -> ev.Event:
        """Return the event with its items called as they were announced."""
        items = self._listed(event)
        renamed = [items[index] for index in sorted(items)]
        if [_id_of(item) for item in renamed] == [_id_of(item) for item in event.response.output] or not renamed:
            return event
        return event.replace(response=event.response.replace(output=renamed))

    def _listed(self, event: ev.ResponseCompleted | ev.ResponseIncomplete) -> dict[int, Wire]:
        """Return the final items by their output index, with their announced ids; {} when they cannot be told apart."""
        announced, output = sorted(self._items), event.response.output
        if len(announced) != len(output):
            return {}
        return {
            index: item if _id_of(item) == self._items[index].id else item.replace(id=self._items[index].id)
            for index, item in zip(announced, output, strict=True)
        }


def _id_of(item: Wire | None) -> str:
    return "" if item is None else str(item.to_dict().get("id") or "")
