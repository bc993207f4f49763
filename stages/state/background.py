"""Background responses of hosts that have none: work that goes on beside its call, and can be followed elsewhere.

    queued → in_progress → completed | incomplete | failed | cancelled

Two things are in the store. The log of the response holds its events, in batches as they come, without the last one:
an event's number is its position. The record holds the response, and as long as that is not settled a lease: who works
on it, and until when others have to believe that. Whoever writes the end, writes it over the version that he has read:
the worker, who cancels it, or who finds the lease run out. One of them wins, and that is the end; the last event of the
stream is made of it. So there is one end, and it is told once, over all processes.

A worker that cannot go on, since its client is closed, its event loop ends or the interpreter exits, says so in the
record at once. One that is killed says nothing, and its lease runs out.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Raw
from ...pipeline.errors import AntiphonError, StoreConflict, StoreError, StreamInterrupted
from ...pipeline.reply import Reply
from ...pipeline.runtimes.runtime import Runtime
from ...pipeline.runtimes.tasks import Task
from ...pipeline.streams.event_stream import EventStream
from ...pipeline.streams.replay import replay
from .records import Record
from .shelf import Found, Shelf

_TICK_S: Final = 0.05  # between two batches of events
_RETRIES_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # for the last write, when the store fails


def failed(response: Response, message: str, code: str = "server_error", output: object = None) -> Response:
    """Return a response as one that failed for this reason."""
    fields = {} if output is None else {"output": output}
    return response.replace(status="failed", error={"code": code, "message": message}, **fields)


def settled(record: Record, response: Response) -> Record:
    """Return the record with its response at its end."""
    return msgspec.structs.replace(
        record, status=response.status or "completed", response=Raw(response.raw), changes={}, run=None
    )


def is_abandoned(record: Record) -> bool:
    """Tell whether somebody should be working on it, and nobody does."""
    return record.run is not None and not record.is_settled and record.run.until < time.time()


def first_events(response: Response) -> list[bytes]:
    """Return the events with which the stream of a queued response begins."""
    body = Raw(response.raw)
    return [
        ev.ResponseCreated(sequence_number=0, response_json=body).raw,
        ev.ResponseQueued(sequence_number=1, response_json=body).raw,
    ]


class Worker:
    """Makes one background response: reads its stream, keeps its events, holds its lease, writes its end.

    Args:
        shelf, ref, found: where its record is, and as what.
        answer: makes the call; its stream is read here.
        change: what a response of the host is to the caller.
        lease_s: how long others must believe that this worker lives, seconds.
        tell: awaited with the record when this worker has written the end; its sync part `told` before that.
        logs: whether events are kept.
    """

    def __init__(
        self,
        shelf: Shelf,
        ref: str,
        found: Found,
        runtime: Runtime,
        *,
        answer: Callable[[], Awaitable[Reply]],
        change: Callable[[Response], Response],
        lease_s: float,
        told: Callable[[Record], object],
        tell: Callable[[Record], Awaitable[object]],
        logs: bool = True,
    ) -> None:
        self._shelf = shelf
        self._ref = ref
        self._record, self._version = found.record, found.version
        self._runtime = runtime
        self._answer, self._change = answer, change
        self._lease_s = lease_s
        self._told, self._tell = told, tell
        self._logs = logs
        self._base = found.record.reply()
        self._pending: list[bytes] = []
        self._length = 2  # of the log: the first events are there
        self._number = 2
        self._renew_at = time.time() + lease_s / 3
        self._lock = threading.Lock()
        self._done = self._lost = False
        self.task: Task | None = None

    async def run(self) -> None:
        """Work to the end. For `runtime.spawn`."""
        keeper: Task | None = None
        try:
            keeper = self._runtime.spawn(self._keep, "background-keeper")
            final = await self._final()
            self._done = True
            await keeper.wait()
        except BaseException:
            self._done = True
            if keeper is not None:
                keeper.cancel()
            self._give_up()
            raise
        await self._settle(final)

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _final(self) -> Response:
        stream: EventStream | None = None
        try:
            reply = await self._answer()
            if not isinstance(reply, EventStream):  # a stage's own answer
                assert isinstance(reply, Response)
                for event in replay(reply)[:-1]:
                    self._take(event)
                return self._change(reply)
            stream = reply
            return await self._read(stream)
        except Exception as error:
            await self._runtime.sleep(0)  # raises when this worker is being stopped: the error comes of that
            response = getattr(error, "response", None)
            output = list(response.output) if isinstance(response, Response) and response.output else None
            message = error.message if isinstance(error, AntiphonError) else f"{type(error).__name__}: {error}"
            return failed(self._base, message, getattr(error, "code", None) or "server_error", output)
        finally:
            if stream is not None:
                await stream.release()

    async def _read(self, stream: EventStream) -> Response:
        while True:
            try:
                event: ev.Event = await stream.__anext__()
            except StopAsyncIteration:
                raise StreamInterrupted("the stream ended before its terminal event", response_started=True) from None
            if self._lost:
                raise StreamInterrupted(
                    "another worker has written the end of this background response", response_started=True
                )
            if isinstance(event, (ev.ResponseCompleted, ev.ResponseIncomplete)):
                return self._change(event.response)
            self._take(event)  # after `response.failed` and `error` the next step raises

    def _take(self, event: ev.Event) -> None:
        if self._record.status == "queued":
            self._base = self._base.with_scalars(status="in_progress")
            with self._lock:
                self._record = msgspec.structs.replace(
                    self._record, status="in_progress", response=Raw(self._base.raw), changes={}
                )
                self._renew_at = 0.0  # so that who looks sees it soon
        if not self._logs or isinstance(event, _NOT_LOGGED):
            return
        if isinstance(event, ev.LifecycleEvent):
            event = event.replace(response=self._change(event.response), sequence_number=self._number)
        elif event.sequence_number != self._number:
            event = event.replace(sequence_number=self._number)
        self._number += 1
        self._pending.append(event.raw)

    # --- keeping ---------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Write events as they come, and renew the lease, until the answer is read or belongs to somebody else."""
        while not (self._done or self._lost):
            await self._runtime.sleep(_TICK_S)
            with contextlib.suppress(StoreError):  # the next round tries again
                await self._shelf.do(self._write_events)
                if time.time() >= self._renew_at:
                    await self._shelf.do(self._renew)
        if self._lost and self.task is not None:
            self.task.cancel()

    def _write_events(self) -> None:
        with self._lock:
            count = len(self._pending)
            if not count or self._lost:
                return
            try:
                self._shelf.write_events(self._ref, self._pending[:count], self._length)
            except StoreConflict as error:
                # A former try whose answer was lost may have been done; else the response has been deleted.
                if error.found != self._length + count:
                    self._lost = True
                    return
            self._length += count
            del self._pending[:count]

    def _renew(self) -> None:
        with self._lock:
            run = self._record.run
            assert run is not None
            until = time.time() + self._lease_s
            self._record = msgspec.structs.replace(self._record, run=msgspec.structs.replace(run, until=until))
            self._write_over(self._record)
            self._renew_at = time.time() + self._lease_s / 3

    def _write_over(self, record: Record) -> bool:
        """Write a record over what this worker has written last; say whether it was still there."""
        for _ in range(3):
            try:
                self._version = self._shelf.write(self._ref, record, self._version)
            except StoreConflict:
                found = self._shelf.find_now(self._ref)
                if found is None or not self._is_mine(found.record):
                    self._lost = True
                    return False
                self._version = found.version  # a write of this worker whose answer was lost
            else:
                return True
        return False

    def _is_mine(self, record: Record) -> bool:
        mine = self._record.run
        return record.run is not None and mine is not None and record.run.owner == mine.owner

    # --- ending ----------------------------------------------------------------------------------------------------

    async def _settle(self, final: Response) -> None:
        record = settled(self._record, final)
        try:
            is_first = await self._write_end(record)
        except BaseException as error:
            if not isinstance(error, StoreError):  # stopped in the middle of it: once more, without waiting
                with contextlib.suppress(StoreError):
                    if not self._lost and self._write_over(record):
                        self._told(record)
            raise  # of the store: into the log; the lease runs out, and whoever looks then learns that it failed
        if is_first:
            self._told(record)
            await self._tell(record)

    async def _write_end(self, record: Record) -> bool:
        """Write the last events and the end; say whether it was the first one."""
        for delay_s in (*_RETRIES_S, None):
            try:
                await self._shelf.do(self._write_events)
                return not self._lost and await self._shelf.do(self._write_over, record)
            except StoreError:
                if delay_s is None:
                    raise
                await self._runtime.sleep(delay_s)
        raise AssertionError("the loop returns or raises")

    def _give_up(self) -> None:
        """Say that this worker is being stopped: blocking, since nothing can be waited for any more."""
        run = self._record.run
        assert run is not None
        with contextlib.suppress(StoreError):
            self._write_events()
            if self._lost:
                return
            if bytes(run.call) != b"null":  # it may be run again: let go of it
                self._write_over(msgspec.structs.replace(self._record, run=msgspec.structs.replace(run, until=0.0)))
                return
            record = settled(self._record, failed(self._base, _STOPPED))
            if self._write_over(record):
                self._told(record)


_STOPPED: Final = "its worker was stopped: the client was closed, the event loop ended, or the interpreter exited"
_NOT_LOGGED = (ev.ResponseCreated, ev.ResponseQueued, ev.ResponseFailed, ev.ErrorEvent)
