"""The items that a native stream has announced, as far as a repair must know them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.wire import Wire


class Kind(msgspec.Struct, frozen=True):
    """How one kind of part is opened and closed."""

    field: str
    part: dict[str, Any]
    added: type[ev.Event]
    text_done: type[ev.Event]
    done: type[ev.Event]


_TEXT = Kind(
    "content_index",
    {"type": "output_text", "text": "", "annotations": []},
    ev.ContentPartAdded,
    ev.OutputTextDone,
    ev.ContentPartDone,
)
_SUMMARY = Kind(
    "summary_index",
    {"type": "summary_text", "text": ""},
    ev.ReasoningSummaryPartAdded,
    ev.ReasoningSummaryTextDone,
    ev.ReasoningSummaryPartDone,
)
DELTAS: Final[dict[type[ev.Event], Kind]] = {ev.OutputTextDelta: _TEXT, ev.ReasoningSummaryTextDelta: _SUMMARY}
TEXT_DONES: Final[dict[type[ev.Event], Kind]] = {ev.OutputTextDone: _TEXT, ev.ReasoningSummaryTextDone: _SUMMARY}
PART_DONES: Final[dict[type[ev.Event], Kind]] = {ev.ContentPartDone: _TEXT, ev.ReasoningSummaryPartDone: _SUMMARY}
OPENS: Final[dict[type[ev.Event], Kind]] = {ev.ContentPartAdded: _TEXT, ev.ReasoningSummaryPartAdded: _SUMMARY}


class Part:
    """A part of an item; `ours` when the host did not open it itself."""

    __slots__ = ("kind", "ours", "said", "text")

    def __init__(self, kind: Kind, ours: bool) -> None:
        self.kind = kind
        self.ours = ours
        self.said = False
        self.text: list[str] = []


class Item:
    """An item that a stream has opened."""

    __slots__ = ("arguments", "closed", "done", "id", "parts")

    def __init__(self, item_id: str) -> None:
        self.id = item_id
        self.closed = False
        self.done: Wire | None = None  # as the host closed it
        self.parts: dict[tuple[str, int], Part] = {}
        self.arguments: list[str] | None = None  # of a call whose arguments have not been said to be done
