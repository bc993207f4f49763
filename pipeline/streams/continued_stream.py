"""A stream that goes on with another one where it breaks, told as one response.

What had come stays. The items that were open are closed as incomplete, an event of this library's own says what
happened, and the other stream's items follow:

    … response.output_text.delta "Shown, and"
    response.output_text.done, response.content_part.done, response.output_item.done (status "incomplete")
    antiphon.fallback {"failed": "openai/gpt-5", "next": "xai/grok-4", "error": "StreamInterrupted", "output_index": 1}
    response.output_item.added …

The response keeps the id that it began with. Its output has the items of both, its usage is that of both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from ..api import events as ev
from ..api.response import Response
from ..api.wire import encode
from ..errors import AntiphonError
from ..reply import Outcome
from .event_stream import EventStream
from .splice import Splice
from .unfinished import Unfinished

MARK: Final = "antiphon.fallback"
"""Type of the event that stands between two streams."""

_ENDS: Final = frozenset({*ev.TERMINAL, ev.ErrorEvent})

GoOn = Callable[[AntiphonError], Awaitable[tuple[EventStream, dict[str, Any]]]]
"""Takes why a stream ended; returns the one to go on with, and what the mark says. Raises what the reader shall see."""


class ContinuedStream:
    """A source of events: those of a stream, and where it breaks of another one.

    Args:
        stream: the first one.
        go_on: finds the next one.
    """

    __slots__ = ("_error", "_first", "_go_on", "_is_over", "_splice", "_stream", "_streams", "_unfinished")

    def __init__(self, stream: EventStream, go_on: GoOn) -> None:
        self._stream = stream
        self._go_on = go_on
        self._splice = Splice()
        self._unfinished = Unfinished()
        self._first: Response | None = None  # as the first stream began
        self._streams = 1
        self._is_over = False
        self._error: AntiphonError | None = None

    async def pull(self) -> list[ev.Event]:
        while not (events := self._splice.assembler.take()):
            if self._is_over:
                return []
            await self._read()
        return events

    async def close(self) -> None:
        await self._stream.release()

    def abort(self) -> None:
        self._stream.abort()

    def end_with(self, outcome: Outcome) -> None:
        """Tell the end of what is read now: whoever follows that is further in, so learns of it first."""
        is_its_own = self._streams == 1
        self._stream.end_with(outcome if is_its_own else Outcome(outcome.kind, None, outcome.error))

    def error_of(self, event: ev.Event) -> Any:
        """Return what the last event reports."""
        return self._error if event.__class__ in _ENDS else None

    async def _read(self) -> None:
        try:
            events = await self._stream.batch()
        except AntiphonError as error:
            await self._next(error)
            return
        assembler = self._splice.assembler
        last = events[-1] if events and events[-1].__class__ in _ENDS else None
        for event in events if last is None else events[:-1]:
            if not isinstance(event, ev.LifecycleEvent):
                self._splice.follow(event)
            elif self._streams == 1:
                self._first = self._first or event.response
                assembler.forward(event)
        self._unfinished.follow(assembler.events)
        if last is not None:
            await self._end(last)

    async def _end(self, event: Any) -> None:
        """Take a stream's last event, and the error that comes behind it."""
        try:
            await self._stream.batch()
        except AntiphonError as error:
            if isinstance(event, ev.ErrorEvent | ev.ResponseFailed):
                try:
                    await self._next(error)
                    return
                except AntiphonError as last:
                    error = last
            self._error = error
        self._is_over = True
        splice = self._splice
        if self._streams == 1 or isinstance(event, ev.ErrorEvent):
            splice.assembler.forward(event)
            return
        splice.add_usage(event.response)
        changes: dict[str, Any] = {"output": splice.assembler.output}
        if self._first is not None:
            changes["id"] = self._first.id
        if splice.usage is not None:
            changes["usage"] = splice.usage
        splice.assembler.forward(event, response=event.response.replace(**changes))

    async def _next(self, error: AntiphonError) -> None:
        """Go on with another stream. Raises what the reader shall see, without the response: it wants that of both."""
        try:
            stream, said = await self._go_on(error)
        except AntiphonError as last:
            last.response = None
            raise
        assembler = self._splice.assembler
        if (partial := error.response) is not None:
            self._splice.add_usage(partial)
        self._unfinished.close(assembler)
        at = len(assembler.output)
        mark = {"type": MARK, "sequence_number": assembler.number, **said, "output_index": at}
        assembler.forward(ev.decode_event(MARK, encode(mark)))
        self._splice.next_round()
        self._stream = stream
        self._streams += 1
