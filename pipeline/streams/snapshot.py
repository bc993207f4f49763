"""What a stream has shown so far, as a response: the partial answer of a stream that breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..api import events as ev
from ..api.response import Response
from ..api.wire import Raw, loads


class _Text:
    """Text that grows by pieces; many small ones are joined now and then, for each costs more than its letters."""

    __slots__ = ("_chunks", "pieces", "write")

    def __init__(self) -> None:
        self._chunks: list[str] = []
        self.pieces: list[str] = []
        self.write = self.pieces.append

    def settle(self) -> None:
        """Join what has come. Called when there are more than `_MANY` pieces."""
        self._chunks.append("".join(self.pieces))
        self.pieces.clear()

    def getvalue(self) -> str:
        return "".join((*self._chunks, *self.pieces))


_MANY = 4096


class Snapshot:
    """Follows the events of one stream. Keeps finished items as their bytes and open ones as their text so far.

    Memory is that of the answer itself, whatever the number of events.
    """

    __slots__ = ("_base", "_items", "_open", "_text", "_text_at", "_texts", "final")

    def __init__(self) -> None:
        self.final: Response | None = None
        self._base: Response | None = None
        self._items: dict[int, Raw] = {}
        self._open: dict[int, Raw] = {}
        self._texts: dict[int, dict[tuple[str, int], _Text]] = {}  # by item, then by kind and part
        self._close_text()

    def follow(self, events: list[Any]) -> int | None:  # list[ev.Event], whose class is looked at once
        """Take note of events; return the index of the one that ends the stream, if it is there. The rest is left."""
        # The hot loop: nearly every event is a piece of the same text.
        delta = ev.OutputTextDelta
        write = self._text.write
        output_index, content_index = self._text_at
        for index, event in enumerate(events):
            if event.__class__ is delta:
                if event.content_index != content_index or event.output_index != output_index:
                    output_index, content_index = event.output_index, event.content_index
                    write = self._open_text(output_index, content_index)
                write(event.delta)
            elif (handle := _HANDLERS.get(event.__class__)) is not None:
                handle(self, event)
                if event.__class__ in _ENDS:
                    return index
                write = self._text.write
                output_index, content_index = self._text_at
        if len(self._text.pieces) > _MANY:
            self._text.settle()
        return None

    def response(self) -> Response | None:
        """Return the final response, or a partial one; None when nothing has come."""
        if self.final is not None:
            return self.final
        if self._base is None and not self._items and not self._open:
            return None
        output: dict[int, Any] = {index: self._unfinished(index, item) for index, item in self._open.items()}
        output.update(self._items)
        members = [output[index] for index in sorted(output)]
        base = self._base or Response.from_json(b'{"id":"","object":"response","status":"in_progress"}')
        return base.replace(output=members) if members else base

    def _unfinished(self, index: int, item: Raw) -> dict[str, Any]:
        fields: dict[str, Any] = loads(bytes(item))
        lists: dict[str, dict[int, dict[str, Any]]] = {}
        for (kind, part), text in self._texts.get(index, {}).items():
            if kind in _SCALAR:
                fields[kind] = text.getvalue()
            else:
                field, build = _LISTS[kind]
                lists.setdefault(field, {})[part] = build(text.getvalue())
        for field, parts in lists.items():
            fields[field] = [parts[at] for at in sorted(parts)]
        return fields

    def _open_text(self, index: int, part: int) -> Callable[[str], None]:
        self._text_at = (index, part)
        self._text = self._text_of(index, "text", part)
        return self._text.write

    def _close_text(self) -> None:
        self._text_at = (-2, -2)
        self._text = _Text()  # never written to: no event has this place

    def _text_of(self, index: int, kind: str, part: int) -> _Text:
        texts = self._texts.setdefault(index, {})
        text = texts.get((kind, part))
        if text is None:
            text = texts[kind, part] = _Text()
        return text

    def _write(self, index: int, kind: str, part: int, delta: str) -> None:
        self._text_of(index, kind, part).write(delta)

    def _lifecycle(self, event: Any) -> None:
        self._base = event.response

    def _terminal(self, event: Any) -> None:
        self.final = event.response
        self._items.clear()
        self._open.clear()
        self._texts.clear()
        self._close_text()

    def _error(self, event: Any) -> None:
        """An error ends a stream; what has come stays."""

    def _added(self, event: Any) -> None:
        if event.item is not None:
            self._open[event.output_index] = Raw(event.item.raw)

    def _done(self, event: Any) -> None:
        if event.item is None:
            return
        self._items[event.output_index] = Raw(event.item.raw)
        self._open.pop(event.output_index, None)
        self._texts.pop(event.output_index, None)
        self._close_text()

    def _refusal(self, event: Any) -> None:
        self._write(event.output_index, "refusal", event.content_index, event.delta)

    def _reasoning(self, event: Any) -> None:
        self._write(event.output_index, "reasoning", event.content_index, event.delta)

    def _summary(self, event: Any) -> None:
        self._write(event.output_index, "summary", event.summary_index, event.delta)

    def _arguments(self, event: Any) -> None:
        self._write(event.output_index, "arguments", 0, event.delta)

    def _input(self, event: Any) -> None:
        self._write(event.output_index, "input", 0, event.delta)


_SCALAR = frozenset({"arguments", "input"})
_LISTS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "text": ("content", lambda text: {"type": "output_text", "text": text, "annotations": []}),
    "refusal": ("content", lambda text: {"type": "refusal", "refusal": text}),
    "reasoning": ("content", lambda text: {"type": "reasoning_text", "text": text}),
    "summary": ("summary", lambda text: {"type": "summary_text", "text": text}),
}
_ENDS = frozenset({*ev.TERMINAL, ev.ErrorEvent})
_HANDLERS: dict[type[ev.Event], Callable[[Snapshot, Any], None]] = {
    ev.ResponseCreated: Snapshot._lifecycle,
    ev.ResponseQueued: Snapshot._lifecycle,
    ev.ResponseInProgress: Snapshot._lifecycle,
    ev.ResponseCompleted: Snapshot._terminal,
    ev.ResponseIncomplete: Snapshot._terminal,
    ev.ResponseFailed: Snapshot._terminal,
    ev.ErrorEvent: Snapshot._error,
    ev.OutputItemAdded: Snapshot._added,
    ev.OutputItemDone: Snapshot._done,
    ev.RefusalDelta: Snapshot._refusal,
    ev.ReasoningTextDelta: Snapshot._reasoning,
    ev.ReasoningSummaryTextDelta: Snapshot._summary,
    ev.FunctionCallArgumentsDelta: Snapshot._arguments,
    ev.CustomToolCallInputDelta: Snapshot._input,
}
