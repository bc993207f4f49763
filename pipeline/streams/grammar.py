"""The grammar of an event stream, as a checker: which rule did which event break?

rule          what must hold
created       the first event is `response.created` (not of a resumed stream)
sequence      `sequence_number` rises by one per event
lifecycle     created, queued, in_progress: each at most once, in this order, before any item
response      every lifecycle event carries the same response id
item          an item opens once, under an index of its own, with an id of its own; then its events; then it closes
item_id       an event's `item_id` is that of the item at its `output_index`
part          a content or summary part opens once, then its deltas; then it closes, before its item does
text          the finished text, arguments or input are what their deltas add up to
annotation    annotations of a part are numbered from 0
call          a tool's own events (in_progress, searching, completed …) stand inside its item
terminal      one event ends the stream, with every item closed (a failure may leave some open), and it is the last
output        the final response lists the items that were announced, in the order of their indexes
status        the final response's status is that of its event
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ..api import events as ev
from ..api.half_characters import joined_halves
from ..wording import quoted


class Violation(msgspec.Struct, frozen=True):
    """One broken rule.

    Args:
        index: position of the event in the stream, from 0; the number of events for what is missing at the end.
        event: the event's type, "" at the end.
        rule: its name in this module's table.
        message: what is wrong, with the values in it.
    """

    index: int
    event: str
    rule: str
    message: str


def check_grammar(events: Iterable[ev.Event], *, resumed: bool = False) -> list[Violation]:
    """Check a whole stream; return every broken rule in order, [] when it is grammatical.

    Args:
        events: all events of one stream.
        resumed: whether it is the rest of a stream that was resumed (`starting_after`), whose beginning is elsewhere.
    """
    checker = _Checker(resumed)
    for event in events:
        checker.check(event)
    checker.end()
    return checker.found


class _Part:
    __slots__ = ("annotations", "closed", "said", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.said: str | None = None  # by the …done event
        self.closed = False
        self.annotations = 0


class _Item:
    __slots__ = ("closed", "id", "parts", "raw", "texts", "type")

    def __init__(self, item_id: str, item_type: str) -> None:
        self.id = item_id
        self.type = item_type
        self.closed = False
        self.raw: dict[str, Any] = {}
        self.parts: dict[tuple[str, int], _Part] = {}
        self.texts: dict[str, _Part] = {}  # arguments, input, code: one of a kind


class _Checker:
    def __init__(self, resumed: bool) -> None:
        self.found: list[Violation] = []
        self._resumed = resumed
        self._count = 0
        self._number: int | None = None
        self._stage = -1  # of the lifecycle: index in _LIFECYCLE
        self._response_id: str | None = None
        self._items: dict[int, _Item] = {}
        self._ended = False
        self._event = ""

    def check(self, event: ev.Event) -> None:
        self._event = event.type
        if self._ended:
            self._break("terminal", "an event after the terminal one")
        if self._count == 0 and not self._resumed and not isinstance(event, ev.ResponseCreated | ev.ErrorEvent):
            self._break("created", f"the stream begins with {event.type}")
        if not (isinstance(event, ev.ErrorEvent) and event.sequence_number < 0):
            self._check_number(event.sequence_number)
        if isinstance(event, ev.LifecycleEvent):
            self._check_lifecycle(event)
        elif isinstance(event, ev.OutputItemAdded):
            self._open_item(event)
        elif isinstance(event, ev.OutputItemDone):
            self._close_item(event)
        elif hasattr(event, "output_index"):
            self._check_item_event(event)
        if isinstance(event, ev.ErrorEvent):
            self._ended = True
        self._count += 1

    def end(self) -> None:
        self._event = ""
        if not self._ended:
            self._break("terminal", "the stream ends without a terminal event")

    def _break(self, rule: str, message: str) -> None:
        self.found.append(Violation(self._count, self._event, rule, message))

    def _check_number(self, number: int) -> None:
        if self._number is not None and number != self._number + 1:
            self._break("sequence", f"sequence_number {number} follows {self._number}")
        elif self._number is None and number != 0 and not self._resumed:
            self._break("sequence", f"the first sequence_number is {number}")
        self._number = number

    def _check_lifecycle(self, event: ev.LifecycleEvent) -> None:
        response = event.response
        if self._response_id is None:
            self._response_id = response.id
        elif response.id != self._response_id:
            self._break("response", f"response id {quoted(response.id)} after {quoted(self._response_id)}")
        if type(event) in ev.TERMINAL:
            self._check_terminal(event)
            return
        stage = _LIFECYCLE.index(type(event))
        if stage <= self._stage:
            self._break("lifecycle", f"{event.type} after {_LIFECYCLE[self._stage].type}")
        elif self._items:
            self._break("lifecycle", f"{event.type} after an item")
        self._stage = max(self._stage, stage)

    def _check_terminal(self, event: ev.LifecycleEvent) -> None:
        self._ended = True
        response = event.response
        expected = event.type.removeprefix("response.")
        if response.status != expected:
            self._break("status", f"{event.type} carries a response with status {quoted(response.status)}")
        if not isinstance(event, ev.ResponseFailed):
            for index in [index for index, item in self._items.items() if not item.closed]:
                self._break("terminal", f"item {index} is still open")
        if self._resumed:
            return
        announced = [self._items[index].id for index in sorted(self._items)]
        listed = [str(item.to_dict().get("id") or "") for item in response.output]
        if listed != announced and not isinstance(event, ev.ResponseFailed):
            self._break("output", f"the final output is {listed}, announced were {announced}")

    def _open_item(self, event: ev.OutputItemAdded) -> None:
        raw = event.item.to_dict() if event.item is not None else {}
        item = _Item(str(raw.get("id") or ""), str(raw.get("type") or ""))
        if event.output_index < 0:
            self._break("item", f"output_index is {event.output_index}")
        elif event.output_index in self._items:
            self._break("item", f"item {event.output_index} opens a second time")
        if item.id and any(other.id == item.id for other in self._items.values()):
            self._break("item", f"item id {quoted(item.id)} is taken")
        self._items[event.output_index] = item

    def _close_item(self, event: ev.OutputItemDone) -> None:
        item = self._item_at(event.output_index)
        if item is None:
            return
        raw = event.item.to_dict() if event.item is not None else {}
        if str(raw.get("id") or "") != item.id:
            self._break(
                "item_id",
                f"item {event.output_index} opened as {quoted(item.id)} and closes as {quoted(raw.get('id'))}",
            )
        for (kind, index), part in item.parts.items():
            if not part.closed:
                self._break("part", f"{kind} part {index} is still open")
        for field, text in item.texts.items():
            if text.text and text.said is None:
                self._break("text", f"{field} was never said to be done")
            self._compare(field, text.said, raw.get(field))
        item.closed = True

    def _item_at(self, index: int) -> _Item | None:
        item = self._items.get(index)
        if item is None:
            if not self._resumed:
                self._break("item", f"there is no item {index}")
            return None
        if item.closed:
            self._break("item", f"item {index} is closed")
        return item

    def _check_item_event(self, event: Any) -> None:
        item = self._item_at(event.output_index)
        if item is None:
            return
        item_id = getattr(event, "item_id", None)
        if item_id is not None and item_id != item.id:
            self._break(
                "item_id", f"item_id {quoted(item_id)} at item {event.output_index}, whose id is {quoted(item.id)}"
            )
        kind = type(event)
        if kind in _PARTS:
            self._check_part(item, event, *_PARTS[kind])
        elif kind in _TEXTS:
            field, step = _TEXTS[kind]
            self._check_text(item.texts.setdefault(field, _Part()), event, field, step)
        elif isinstance(event, ev.OutputTextAnnotationAdded):
            self._check_annotation(item, event)

    def _check_part(self, item: _Item, event: Any, place: str, field: str, step: str) -> None:
        index = event.summary_index if place == "summary" else event.content_index
        part = item.parts.get((place, index))
        if step == "open":
            if index < 0:
                self._break("part", f"{place}_index is {index}")
            elif part is not None:
                self._break("part", f"{place} part {index} opens a second time")
            item.parts[place, index] = _Part()
            return
        if part is None:
            # Raw reasoning comes without part events at some hosts, and OpenAI's own does not need them.
            if field != "reasoning":
                self._break("part", f"there is no {place} part {index}")
            part = item.parts[place, index] = _Part()
            part.closed = field == "reasoning"
        elif part.closed and field != "reasoning":
            self._break("part", f"{place} part {index} is closed")
        if step == "close":
            whole = event.part.to_dict() if event.part is not None else {}
            text = next((whole[name] for name in ("text", "refusal") if name in whole), None)
            if part.text and part.said is None:
                self._break("text", f"{place} part {index} was never said to be done")
            self._compare(f"{place} part {index}", part.said, text)
            part.closed = True
        else:
            self._check_text(part, event, field, step)

    def _check_text(self, text: _Part, event: Any, field: str, step: str) -> None:
        if step == "delta":
            if text.said is not None:
                self._break("text", f"{field} goes on after it was done")
            text.text.append(event.delta)
            return
        if text.said is not None:
            self._break("text", f"{field} is said to be done a second time")
        said = next((getattr(event, name) for name in _SAID if hasattr(event, name)), None)
        self._compare(field, "".join(text.text) if text.text else None, said)
        text.said = said

    def _check_annotation(self, item: _Item, event: ev.OutputTextAnnotationAdded) -> None:
        part = item.parts.get(("content", event.content_index))
        if part is None:
            self._break("part", f"there is no content part {event.content_index}")
            return
        if event.annotation_index != part.annotations:
            self._break("annotation", f"annotation {event.annotation_index} where {part.annotations} is due")
        part.annotations += 1

    def _compare(self, field: str, expected: str | None, found: Any) -> None:
        if expected is None or found is None or expected == found:
            return
        if joined_halves(expected) != found:
            self._break("text", f"{field} is {_short(found)}, its pieces add up to {_short(expected)}")


_LIFECYCLE: tuple[type[ev.Event], ...] = (ev.ResponseCreated, ev.ResponseQueued, ev.ResponseInProgress)
_SAID = ("text", "refusal", "arguments", "input", "code")
# Event class -> (which list of parts, what is said there, step).
_PARTS: dict[type[ev.Event], tuple[str, str, str]] = {
    ev.ContentPartAdded: ("content", "part", "open"),
    ev.ContentPartDone: ("content", "part", "close"),
    ev.OutputTextDelta: ("content", "text", "delta"),
    ev.OutputTextDone: ("content", "text", "done"),
    ev.RefusalDelta: ("content", "refusal", "delta"),
    ev.RefusalDone: ("content", "refusal", "done"),
    ev.ReasoningTextDelta: ("content", "reasoning", "delta"),
    ev.ReasoningTextDone: ("content", "reasoning", "done"),
    ev.ReasoningSummaryPartAdded: ("summary", "part", "open"),
    ev.ReasoningSummaryPartDone: ("summary", "part", "close"),
    ev.ReasoningSummaryTextDelta: ("summary", "summary", "delta"),
    ev.ReasoningSummaryTextDone: ("summary", "summary", "done"),
}
_TEXTS: dict[type[ev.Event], tuple[str, str]] = {
    ev.FunctionCallArgumentsDelta: ("arguments", "delta"),
    ev.FunctionCallArgumentsDone: ("arguments", "done"),
    ev.McpCallArgumentsDelta: ("arguments", "delta"),
    ev.McpCallArgumentsDone: ("arguments", "done"),
    ev.CustomToolCallInputDelta: ("input", "delta"),
    ev.CustomToolCallInputDone: ("input", "done"),
    ev.CodeInterpreterCallCodeDelta: ("code", "delta"),
    ev.CodeInterpreterCallCodeDone: ("code", "done"),
}


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
