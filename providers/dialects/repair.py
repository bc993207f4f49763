"""Repair of native streams: what hosts leave out is filled in, so that a consumer always sees one grammar.

Seen (recorded or observed, 2026-10 to 2026-11):
- llama.cpp sends no numbers, no indexes, and no `function_call_arguments.done`;
- Ollama sends reasoning summaries without the events of their parts (read in its source);
- OpenAI leaves items of MCP listings open;
- OpenRouter gives reasoning another id in the final response than before;
- ChatGPT's backend for Codex ends with an empty `output` (many public reports, April to August 2026);
- gateways leave out the beginning of items, or all their events, and tell them in the last event only (issue 22102 of
  LiteLLM, 2026-02; pull request 7727 of Onyx about Azure, 2026-01);
- Lemonade numbers its events, and has no indexes (its issue 3607, 2026-09).
An event that needs nothing passes as it is; after the first one that is filled in, the rest is numbered anew.
"""

from __future__ import annotations

from typing import Any

from ...pipeline.api import events as ev
from ...pipeline.api.parts import OutputText, Refusal
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Wire
from ...pipeline.streams.replay import replay
from .announced_items import DELTAS, OPENS, PART_DONES, TEXT_DONES, Item, Kind, Part

ENDS = frozenset({*ev.TERMINAL, ev.ErrorEvent})
WATCHED = frozenset(
    {
        *ENDS,
        ev.OutputItemAdded,
        ev.OutputItemDone,
        ev.ContentPartAdded,
        ev.ReasoningSummaryPartAdded,
        ev.ReasoningSummaryPartDone,
        ev.ReasoningSummaryTextDelta,
        ev.ReasoningSummaryTextDone,
    }
)
"""Events that a repair must see also in a stream that is whole so far; text deltas are not among them."""


class Repair:
    """Follows a stream. Every event of `WATCHED` must pass; when `sees_all`, every event.

    Args:
        resumed: whether it is the rest of a stream, whose items may have been opened before.

    Attributes:
        sees_all: whether something has been filled in, or no item has begun yet.
    """

    __slots__ = ("_busy", "_host_last", "_ids", "_items", "_newest", "_orphans", "_resumed", "sees_all")

    def __init__(self, resumed: bool = False) -> None:
        self._busy = False  # something has been filled in
        self.sees_all = not resumed
        self._host_last = -1  # the host's number of the last event, once that is so
        self._resumed = resumed
        self._items: dict[int, Item] = {}
        self._ids: dict[str, int] = {}
        self._newest = -1  # output index of the item that opened last
        self._orphans: set[int] = set()  # output indexes of items that were told of, and not opened

    def follow(self, event: ev.Event, last: int) -> list[ev.Event]:
        """Return the event as it should be, with those before it that the host left out.

        Args:
            event: the next one.
            last: the number of the event before it, -1 at the beginning.
        """
        sent, number, was_busy = event, event.sequence_number, self._busy
        event = self._placed(event)
        is_placed = event is not sent
        if isinstance(event, ev.ResponseCompleted | ev.ResponseIncomplete | ev.ResponseFailed):
            event = self._filled(event)
        missing = self._missing(event)
        self._busy = self._busy or is_placed or bool(missing) or number < 0
        self.sees_all = self._busy or not (self._items or self._resumed)
        if isinstance(event, ev.ResponseCompleted | ev.ResponseIncomplete):
            event = self._renamed(event)
        if not self._busy:
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
        self._items[index] = Item(item_id)
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
        missing: list[ev.Event] = []
        if item is None:
            if self._resumed or not _is_of_message(event):
                self._orphans.add(fields.output_index)
                return []
            missing.append(self._message(fields.output_index, fields.item_id))  # a text whose message was not opened
            item = self._items[fields.output_index]
        if kind in OPENS:
            self._part(item, OPENS[kind], fields, ours=False)
        elif kind in DELTAS:
            missing += self._before_delta(item, DELTAS[kind], fields)
        elif kind in TEXT_DONES:
            self._part(item, TEXT_DONES[kind], fields, ours=False).said = True
        elif kind in PART_DONES:
            self._part(item, PART_DONES[kind], fields, ours=False).ours = False  # the host has closed it itself
        elif isinstance(event, ev.FunctionCallArgumentsDelta):
            if item.arguments is None:
                item.arguments = []
            item.arguments.append(event.delta)
        elif isinstance(event, ev.FunctionCallArgumentsDone):
            item.arguments = None
        return missing

    def _message(self, index: int, item_id: str) -> ev.Event:
        self._open_item(index, item_id)
        item = {"type": "message", "id": item_id, "role": "assistant", "status": "in_progress", "content": []}
        return ev.OutputItemAdded.new(output_index=index, item=item)

    def _part(self, item: Item, kind: Kind, event: Any, *, ours: bool) -> Part:
        key = (kind.field, getattr(event, kind.field))
        if key not in item.parts:
            item.parts[key] = Part(kind, ours)
        return item.parts[key]

    def _before_delta(self, item: Item, kind: Kind, event: Any) -> list[ev.Event]:
        index = getattr(event, kind.field)
        is_new = (kind.field, index) not in item.parts
        part = self._part(item, kind, event, ours=True)
        if part.ours:
            part.text.append(event.delta)
        if not is_new:
            return []
        where = {"item_id": item.id, "output_index": event.output_index, kind.field: index}
        return [kind.added.new(part=kind.part, **where)]

    def _before_item_done(self, event: ev.OutputItemDone, item: Item | None) -> list[ev.Event]:
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
        """Return what closes the items that are open, and tells of those that nothing has told of."""
        missing: list[ev.Event] = []
        listed = self._listed(event)
        for index in sorted(listed):
            known = self._items.get(index)
            if known is None:
                whole = replay(Response.new(id="", output=[listed[index]]))[2:-1]  # without those of the response
                whole = [whole[0], whole[-1]] if index in self._orphans else whole
                missing += [each.replace(output_index=index) for each in whole]
            elif not known.closed:
                done = ev.OutputItemDone.new(output_index=index, item=listed[index])
                missing += [*self._before_item_done(done, known), done]
        return missing

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
        if len(announced) < len(output) and not self._resumed:
            return self._with_unannounced(output)
        if len(announced) != len(output):
            return {}
        return {
            index: item if _id_of(item) == self._items[index].id else item.replace(id=self._items[index].id)
            for index, item in zip(announced, output, strict=True)
        }

    def _with_unannounced(self, output: tuple[Wire, ...]) -> dict[int, Wire]:
        """Return the final items where some were not announced: those that were have the ids that they had."""
        indexes = {item.id: index for index, item in self._items.items()}
        listed = {indexes.get(_id_of(item), at): item for at, item in enumerate(output)}
        found = {index for index, item in listed.items() if indexes.get(_id_of(item)) == index}
        return listed if len(listed) == len(output) and found == self._items.keys() else {}


def _is_of_message(event: ev.Event) -> bool:
    """Tell whether an event can only be of a message."""
    if isinstance(event, ev.ContentPartAdded):
        return isinstance(event.part, OutputText | Refusal)
    return isinstance(event, ev.OutputTextDelta)


def _id_of(item: Wire | None) -> str:
    return "" if item is None else str(item.to_dict().get("id") or "")
