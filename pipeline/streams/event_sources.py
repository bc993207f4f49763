"""Where a stream's events come from: whatever can be pulled, closed and aborted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from ..api import events as ev
from ..errors import AntiphonError

if TYPE_CHECKING:
    from .event_stream import EventStream


class Source(Protocol):
    """Where a stream's events come from."""

    async def pull(self) -> list[ev.Event]:
        """Return the next events, at least one, in a list that is the caller's; [] at the end, every time.

        Raises what broke the stream.
        """
        ...

    async def close(self) -> None:
        """Let go of what is held. Idempotent. After the terminal event it may read on briefly to keep a connection."""
        ...

    def abort(self) -> None:
        """Let go at once, from any thread, without waiting. Idempotent."""
        ...


class Finished:
    """A source of events that are all there already."""

    __slots__ = ("_events",)

    def __init__(self, events: Iterable[ev.Event]) -> None:
        self._events = list(events)

    async def pull(self) -> list[ev.Event]:
        events, self._events = self._events, []
        return events

    async def close(self) -> None:
        self._events = []

    def abort(self) -> None:
        self._events = []


class Spliced:
    """A source that is an async generator of a stage's own; closed with the stream."""

    __slots__ = ("_generator",)

    def __init__(self, generator: AsyncIterator[ev.Event]) -> None:
        self._generator = generator

    async def pull(self) -> list[ev.Event]:
        try:
            return [await anext(self._generator)]
        except StopAsyncIteration:
            return []

    async def close(self) -> None:
        close = getattr(self._generator, "aclose", None)
        if close is not None:
            await close()

    def abort(self) -> None:
        """Nothing to do at once: the generator is closed when it is collected."""


class Translated:
    """A source that is another stream, with other events for its own."""

    __slots__ = ("_fn", "_stream")

    def __init__(self, stream: EventStream, fn: Callable[[ev.Event], list[ev.Event]]) -> None:
        self._stream = stream
        self._fn = fn

    async def pull(self) -> list[ev.Event]:
        while True:
            try:
                events = await self._stream.batch()
            except AntiphonError as error:
                error.response = None  # of that stream; the reader wants that of this one
                raise
            if not events:
                return []
            if translated := [new for event in events for new in self._fn(event)]:
                return translated

    async def close(self) -> None:
        await self._stream.release()

    def abort(self) -> None:
        self._stream.abort()
