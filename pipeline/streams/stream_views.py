"""Views of a stream, iterable in its own mode: its text as it comes, and its typed answer as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from ..api import events as ev
from ..api.half_characters import joined_halves
from ..api.items import Message
from ..partial_json import PartialJSON

if TYPE_CHECKING:
    from .event_stream import EventStream


class WholeText:
    """Deltas as text: half a character (UTF-16), as hosts cut them, waits for the other half."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def of(self, delta: str) -> str:
        """Return what can be shown after one more delta."""
        if self._half:
            delta = joined_halves(self._half + delta)
            self._half = ""
        if "\ud800" <= delta[-1:] < "\udc00":
            delta, self._half = delta[:-1], delta[-1]
        return delta


class TextDeltas:
    """The text deltas of a stream; iterable in the stream's own mode."""

    __slots__ = ("_stream", "_whole")

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._whole = WholeText()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stream!r})"

    def __iter__(self) -> Iterator[str]:
        for event in self._stream:
            if isinstance(event, ev.OutputTextDelta):
                yield self._whole.of(event.delta)

    def __aiter__(self) -> Self:
        self._stream.__aiter__()
        return self

    async def __anext__(self) -> str:
        while True:
            event = await self._stream.__anext__()
            if isinstance(event, ev.OutputTextDelta):
                return self._whole.of(event.delta)


class Partials:
    """The growing object of a stream's answer; iterable in the stream's own mode. See `EventStream.partials`."""

    __slots__ = ("_json", "_skipped", "_stream", "_text_at", "_whole")

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._whole = WholeText()
        self._json = PartialJSON()
        self._text_at = -2  # the item whose text is being read
        self._skipped: set[int] = set()  # items that are not the answer

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stream!r})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for event in self._stream:
            if self._take(event):
                yield self._json.value

    def __aiter__(self) -> Self:
        self._stream.__aiter__()
        return self

    async def __anext__(self) -> dict[str, Any]:
        while True:
            if self._take(await self._stream.__anext__()):
                value: dict[str, Any] = self._json.value
                return value

    def _take(self, event: ev.Event) -> bool:
        if isinstance(event, ev.OutputTextDelta):
            index, text = event.output_index, self._whole.of(event.delta)
            if index in self._skipped:
                return False
            if index != self._text_at:
                self._text_at, self._json = index, PartialJSON()
            if not self._json.has_value:  # the answer is an object; a code fence or a word may come before it
                text = text[start:] if (start := text.find("{")) >= 0 else ""
            return self._json.feed(text)
        if isinstance(event, ev.OutputItemAdded):
            item = event.item
            if isinstance(item, Message) and item.phase == "commentary":
                self._skipped.add(event.output_index)
        return False
