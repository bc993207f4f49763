"""The stream of a response that is kept here: events as they come, or those of a finished one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ...pipeline.api import events as ev
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Raw
from ...pipeline.errors import APITimeoutError
from ...pipeline.runtimes.runtime import Runtime
from ...pipeline.streams.replay import replay
from .background import is_abandoned
from .records import Record
from .shelf import Found, Shelf, not_kept

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.02, 0.5


class EventLog:
    """The events of a background response, as a source of a stream: those that are there, then those that come.

    Args:
        start: number of the first event to show.
        end_at: when to stop waiting, on the runtime's clock.
        abandoned: awaited when the lease has run out; returns the record as it is then.
    """

    __slots__ = ("_abandoned", "_at", "_end_at", "_is_over", "_ref", "_runtime", "_shelf")

    def __init__(
        self,
        shelf: Shelf,
        ref: str,
        runtime: Runtime,
        *,
        start: int,
        end_at: float,
        abandoned: Callable[[Found], Awaitable[Record]],
    ) -> None:
        self._shelf, self._ref, self._runtime = shelf, ref, runtime
        self._at = start
        self._end_at = end_at
        self._abandoned = abandoned
        self._is_over = False

    async def pull(self) -> list[ev.Event]:
        look_s = _FIRST_LOOK_S
        while not self._is_over:
            if events := await self._next():
                return events
            found = await self._shelf.find(self._ref)
            if found is None:
                raise not_kept(self._ref)
            record = found.record
            if is_abandoned(record):
                record = await self._abandoned(found)
            if record.is_settled:
                if events := await self._next():  # written between the two looks
                    return events
                self._is_over = True
                return [self._last(record)]
            if self._runtime.now() >= self._end_at:
                raise APITimeoutError(
                    "the call's time is over, and the background response goes on",
                    limit="total",
                    hint="ask for it again by get_responses(id), or give that call more time: timeout=",
                )
            await self._runtime.sleep(look_s)
            look_s = min(look_s * 1.5, _LONGEST_LOOK_S)
        return []

    async def _next(self) -> list[ev.Event]:
        values = await self._shelf.events(self._ref, self._at)
        self._at += len(values)
        return [ev.decode_event("", value) for value in values]

    def _last(self, record: Record) -> ev.Event:
        # There is no event for a response that was cancelled; it is one that was cut short.
        kind = _LAST.get(record.status, ev.ResponseIncomplete)
        return kind(sequence_number=self._at, response_json=Raw(record.reply().raw))

    async def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        self._is_over = True


_LAST: Final[dict[str, type[ev.LifecycleEvent]]] = {
    "completed": ev.ResponseCompleted,
    "failed": ev.ResponseFailed,
}


def replayed(response: Response, start: int) -> list[ev.Event]:
    """Return the events that tell a finished response, from a number on; the last one in any case."""
    events = replay(response)
    return [event for event in events[:-1] if event.sequence_number >= start] + events[-1:]
