"""The events of several responses as those of one: rounds of a conversation that the user sees as one answer.

One `created`, one end, and in between the items of all rounds under indexes and numbers that go on. The first round's
events reach the reader as they come, renumbered where something stands before them.
"""

from __future__ import annotations

from typing import Any

from ..api import events as ev
from ..api.response import Response
from ..api.wire import Raw
from .assembler import Assembler


class Splice:
    """Takes the events of each round, in turn, and gives those of the whole.

    Attributes:
        assembler: makes the events; what stands between the rounds is told to it directly.
        usage: that of all rounds so far; None when no host reported any.
    """

    __slots__ = ("_ids", "_places", "assembler", "usage")

    def __init__(self) -> None:
        self.assembler = Assembler({})
        self.usage: dict[str, Any] | None = None
        self._ids: dict[str, int] = {}  # taken, and how many had to be told from it
        self._places: dict[int, tuple[int, str | None]] = {}  # index at the host → here, and the id where it is another

    def next_round(self) -> None:
        """Begin a round: the host counts its items from 0 again."""
        self._places = {}

    def follow(self, event: Any) -> None:
        """Take an event of a round that is neither its beginning nor its end."""
        if isinstance(event, ev.OutputItemAdded):
            self._added(event)
            return
        index, new_id = self._places.get(getattr(event, "output_index", -1), (None, None))
        if index is None:
            self.assembler.forward(event)
        elif isinstance(event, ev.OutputTextDelta):
            self._text(event, index, new_id)
        else:
            self._forward(event, index, new_id)
            if isinstance(event, ev.OutputItemDone):
                self.assembler.keep(index, self.assembler.events[-1].item_json)  # type: ignore[attr-defined]

    def whole(self, item: Any) -> None:
        """Take an item of a round that is not streamed."""
        index = self.assembler.place()
        new_id = self._new_id(getattr(item, "id", None))
        self.assembler.keep(index, Raw((item.replace(id=new_id) if new_id else item).raw))

    def add_usage(self, response: Response) -> None:
        """Add what a round has used."""
        if response.usage is not None:
            self.usage = _sum(self.usage or {}, response.usage.to_dict())

    def _added(self, event: ev.OutputItemAdded) -> None:
        index = self.assembler.place()
        new_id = self._new_id(getattr(event.item, "id", None))
        self._places[event.output_index] = index, new_id
        self._forward(event, index, new_id)

    def _new_id(self, item_id: str | None) -> str | None:
        """Return another id for an item whose own is taken: hosts may count from the beginning in every response."""
        if not item_id:
            return None
        made, number = item_id, self._ids.get(item_id, 1)
        while made in self._ids:
            number += 1
            made = f"{item_id}_{number}"
        self._ids[item_id] = number
        self._ids.setdefault(made, 1)
        return made if made != item_id else None

    def _forward(self, event: Any, index: int, new_id: str | None) -> None:
        changes: dict[str, Any] = {} if index == event.output_index else {"output_index": index}
        if new_id is not None and hasattr(event, "item_id"):
            changes["item_id"] = new_id
        elif new_id is not None and event.item is not None:
            changes["item"] = event.item.replace(id=new_id)
        self.assembler.forward(event, **changes)

    def _text(self, event: ev.OutputTextDelta, index: int, new_id: str | None) -> None:
        # Most events of a stream. The random padding that some hosts add (`obfuscation`) stays behind.
        assembler = self.assembler
        if event.sequence_number != assembler.number or event.output_index != index or new_id is not None:
            event = ev.OutputTextDelta(
                delta=event.delta,
                logprobs_json=event.logprobs_json,
                item_id=new_id or event.item_id,
                output_index=index,
                content_index=event.content_index,
                sequence_number=assembler.number,
            )
        assembler.events.append(event)
        assembler.number += 1


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Add two usages, number by number; what is no number is the latter's."""
    total = dict(one)
    for name, value in other.items():
        before = total.get(name)
        if isinstance(value, dict):
            total[name] = _sum(before if isinstance(before, dict) else {}, value)
        elif _is_number(value):
            total[name] = value + before if _is_number(before) else value
        elif value is not None or name not in total:
            total[name] = value
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
