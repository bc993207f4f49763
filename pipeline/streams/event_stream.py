"""A streamed reply: events to iterate, one end that everybody learns of exactly once."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import ref

from ..api import events as ev
from ..api.response import Response
from ..context import CallContext
from ..errors import AntiphonError, APIConnectionError, APIError, APITimeoutError, SetupError, StreamInterrupted
from ..reply import Meta, Outcome, Reply
from ..signals import StreamFirstEvent
from .event_sources import Finished, Source, Spliced, Translated
from .snapshot import Snapshot
from .stream_views import Partials, TextDeltas

if TYPE_CHECKING:
    from ..request import Request

OnEnd = Callable[[Outcome], None]
BeforeEnd = Callable[[Outcome], Awaitable[None]]
Map = Callable[[ev.Event], "ev.Event | None"]

_EVERY: frozenset[type[ev.Event]] = frozenset({*ev.EVENTS.values(), ev.UnknownEvent})
_CONCLUDED: frozenset[type[ev.Event]] = frozenset({ev.ResponseCompleted, ev.ResponseIncomplete})
_ENDS: frozenset[type[ev.Event]] = frozenset({*ev.TERMINAL, ev.ErrorEvent})
# Events that show the user nothing: a repeat of the attempt behind them would go unnoticed.
_PREAMBLE = frozenset({ev.ResponseCreated, ev.ResponseQueued, ev.ResponseInProgress})


_ABANDONED = Outcome("abandoned")


class EventStream:
    """A streamed reply. Iterate it with `for` after a sync call, with `async for` after an async one.

    The last event is a terminal one that carries the whole response. After `response.failed` or `error` the iteration
    goes on to raise the typed error; a stream that breaks raises `StreamInterrupted`; both carry the response so far.
    Iterating to the end releases the connection; else close the stream, or use it as a context manager.

        >>> import antiphon
        >>> stream = antiphon.responses("One two.", model="scripted/echo", stream=True)
        >>> next(stream).type, stream.outcome
        ('response.created', None)
        >>> stream.until_done().output_text, stream.outcome.kind
        ('One two.', 'completed')

    Attributes:
        response: what has arrived so far: the final response, before that a partial one, or None.
        meta: facts of the call so far; final after the end.
        outcome: how it ended; None while it is open.
    """

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_before_end",
        "_callbacks",
        "_closed",
        "_content_seen",
        "_context",
        "_ended",
        "_error",
        "_error_of",
        "_for_sync",
        "_is_read",
        "_last",
        "_maps",
        "_meta",
        "_passed",
        "_raised_at",
        "_ready",
        "_snapshot",
        "_source",
        "outcome",
    )

    def __init__(
        self,
        source: Source,
        context: CallContext,
        *,
        error_of: Callable[[ev.Event], APIError | None] = lambda event: None,
    ) -> None:
        self.outcome: Outcome | None = None
        self._source = source
        self._context = context
        self._error_of = error_of
        self._ready: deque[Any] = deque()  # of ev.AnyEvent
        self._arrived = 0
        self._maps: tuple[tuple[Map, Container[type[ev.Event]]], ...] = ()
        # Who is told of the end, each with the number of maps that stand further in: the end is told as it was there.
        self._callbacks: list[tuple[int, OnEnd]] = []
        self._before_end: list[tuple[int, BeforeEnd]] = []
        self._passed: list[tuple[int, Any]] = []  # the terminal event as it came to the maps that changed it
        self._raised_at: list[int] = []  # the map that has made a failure of the end
        self._snapshot = Snapshot()
        self._last: ev.Event | None = None  # the terminal event, from its arrival on
        self._error: AntiphonError | None = None  # what it reports, raised after it
        self._ended = False  # nothing more will come from the source
        self._closed = False
        self._content_seen = False
        self._is_read = False  # right now
        self._for_sync: bool | None = None  # how its consumer may read it; None inside the chain: both ways
        self._meta: Meta | None = None
        context.streams.append(ref(self))

    @classmethod
    def of(cls, events: AsyncIterator[ev.Event] | Iterable[ev.Event], context: CallContext) -> Self:
        """Make a stream of a stage's own events: an async generator, or events that are all there.

        The events must keep the stream grammar and end with a terminal one.
        """
        return cls(Spliced(events) if isinstance(events, AsyncIterator) else Finished(events), context)

    # --- for consumers ---------------------------------------------------------------------------------------------

    def __iter__(self) -> Self:
        self._read_as(sync=True)
        return self

    def __next__(self) -> ev.AnyEvent:
        ready = self._ready
        if not ready:
            if self._for_sync is False:
                self._read_as(sync=True)  # raises
            self._context.drive(self._end() if self._ended else self._advance())
            if not ready:
                raise StopIteration
        event: ev.AnyEvent = ready.popleft()
        if event is self._last:
            self._settle_last()
        return event

    def __aiter__(self) -> Self:
        self._read_as(sync=False)
        return self

    async def __anext__(self) -> ev.AnyEvent:
        ready = self._ready
        if not ready:
            if self._for_sync is True:
                self._read_as(sync=False)  # raises
            await (self._end() if self._ended else self._advance())
            if not ready:
                raise StopAsyncIteration
        event: ev.AnyEvent = ready.popleft()
        if event is self._last:
            self._settle_last()
        return event

    @property
    def text(self) -> TextDeltas:
        """The text as it comes: iterate it (sync or async) for the deltas of all `output_text` parts."""
        return TextDeltas(self)

    def partials(self) -> Partials:
        """The answer's JSON object as it grows: iterate it (sync or async) for the object after each change of it.

        Plain values, unchecked: strings as far as they have come, numbers and literals once they are whole. It is the
        same object every time, so copy it to keep it.
        """
        return Partials(self)

    @property
    def response(self) -> Response | None:
        """What has arrived so far: the final response, before that a partial one, or None."""
        response = self._snapshot.response()
        return response.with_meta(self.meta) if response is not None else None

    @property
    def meta(self) -> Meta:
        """Facts of the call so far; final after the end."""
        return self._meta or self._context.meta()

    def until_done(self) -> Response:
        """Read to the end and return the final response (sync).

        Raises:
            APIError: the response failed, or the stream broke or was closed before its end.
        """
        self._read_as(sync=True)
        response: Response = self._context.drive(self.finish())
        return response

    async def auntil_done(self) -> Response:
        """Read to the end and return the final response (async). Raises as `until_done`."""
        self._read_as(sync=False)
        return await self.finish()

    def close(self) -> None:
        """Let go of the stream (sync). Idempotent. Before the end this stops the generation at most hosts."""
        self._read_as(sync=True)
        self._context.drive(self.release())

    async def aclose(self) -> None:
        """Let go of the stream (async). Idempotent. Before the end this stops the generation at most hosts."""
        self._read_as(sync=False)
        await self.release()

    def __enter__(self) -> Self:
        self._read_as(sync=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._read_as(sync=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.release()

    def __repr__(self) -> str:
        return f"EventStream({self.outcome.kind if self.outcome else 'open'})"

    # --- for stages ------------------------------------------------------------------------------------------------

    def map(self, fn: Map, only: Container[type[ev.Event]] = _EVERY) -> Self:
        """Run every event through `fn`, which returns a changed copy, or None to leave it. Returns this stream.

        Stages call it before the stream is iterated; the innermost stage's function runs first.

        Args:
            fn: takes an event.
            only: the event classes that it wants to see, every one when not given.
        """
        self._maps = (*self._maps, (fn, only))
        ready = [(fn(event) or event) if event.__class__ in only else event for event in self._ready]
        if self._last is not None and ready and ready[-1] is not self._last:
            self._passed.append((len(self._maps) - 1, self._last))
            last: ev.Event = ready[-1]
            self._last = last
            if self._error is not None:  # it carries the response of the event
                self._error = self._error_of(last) or self._error
        if len(ready) == self._arrived:  # held back by `commit`, not seen yet: the snapshot shows what the user will
            self._snapshot = Snapshot()
            self._snapshot.follow(ready)
        self._ready = deque(ready)
        return self

    def conclude(self, fn: Callable[[Response], Response]) -> Self:
        """Run the final response, completed or incomplete, through `fn`, which may return a changed copy.

        An APIError that it raises ends the stream as its failure, after the terminal event; functions of stages further
        out are not called then. Returns this stream. Stages call it before the stream is iterated.
        """
        raised: list[APIError] = []
        error_of, level, raised_at = self._error_of, len(self._maps), self._raised_at  # nothing here knows the stream

        def at_end(event: Any) -> Any:
            if error_of(event) is not None:
                return None
            try:
                changed = fn(event.response)
            except APIError as error:
                raised.append(error)
                raised_at.append(level)
                return None
            return None if changed is event.response else event.replace(response=changed)

        def concluded(event: ev.Event) -> APIError | None:
            return error_of(event) or (raised[0] if raised else None)

        self.map(at_end, _CONCLUDED)
        self._error_of = concluded
        if self._last is not None and self._error is None:  # it has come already, held back by `commit`
            self._error = concluded(self._last)
        return self

    def translated(self, fn: Callable[[ev.Event], list[ev.Event]]) -> EventStream:
        """Return a stream of other events: `fn` returns those that stand for an event, in order.

        They must keep the stream grammar and end with a terminal one. Whoever takes it leaves this stream alone.
        """
        stream = type(self)(Translated(self, fn), self._context, error_of=self._error_of)
        stream.on_end(self.end_with)  # who follows this one is further in, so learns of the end first
        return stream

    def end_with(self, outcome: Outcome) -> None:
        """Tell the end of the stream that was made of this one as this one's too, unless it has ended."""
        if self.outcome is None:
            self._settle(Outcome(outcome.kind, self._snapshot.response() or outcome.response, outcome.error))

    def on_end(self, fn: OnEnd) -> None:
        """Call `fn` once with the outcome when the stream ends, however it ends; stages further in come first.

        It is the outcome as it is where the calling stage stands: what stages further out make of the final response,
        by `map` or `conclude`, is not in it, as it is not in a plain reply.
        """
        if self.outcome is not None:
            fn(self.outcome)
        else:
            self._callbacks.append((len(self._maps), fn))

    async def before_end(self, fn: BeforeEnd) -> None:
        """Have `fn` awaited once before the reader sees the end, with the outcome as for `on_end`; now if it is here.

        For what has to be done and waited for by then, such as a write. It must not raise. A stream that is cancelled
        or dropped has no time for it.
        """
        if self.outcome is None:
            self._before_end.append((len(self._maps), fn))
            if self._ended:
                await self._prepare_end()

    async def commit(self, until: Literal["content", "head"] = "content") -> None:
        """Wait until the stream shows content, so that whoever may repeat the attempt knows whether to.

        Args:
            until: "content" holds the leading lifecycle events back; "head" is content with the first event.

        Raises:
            APIError: the stream failed or broke before that; nothing was shown.
        """
        while not self._ended and not (self._content_seen or (until == "head" and self._ready)):
            await self._advance()
        if self._error is not None and not self._content_seen:
            error = self._interrupted(self._error)
            await self._fail(error)
            raise error

    async def finish(self) -> Response:
        """Read to the end and return the final response; in either mode. Raises as `until_done`."""
        while True:
            self._ready.clear()
            if self._last is not None:
                self._settle_last()
            if self._ended:
                await self._end()
                break
            await self._advance()
        outcome, response = self.outcome, self.response
        if outcome is not None and isinstance(outcome.error, Exception):
            raise outcome.error  # once more
        if response is None or self._snapshot.final is None:
            how = "ended" if outcome is None else f"was {outcome.kind}"
            raise StreamInterrupted(
                f"the stream has no final response: it {how} before its end",
                response_started=True,
                response=response,
                hint="read it to its end; stream.response is what had come",
            )
        return response

    async def batch(self) -> list[Any]:
        """Return the next events, at least one, in either mode; [] at the end, every time.

        For a stage whose own source reads this stream. Raises as iterating does.
        """
        if not self._ready:
            await (self._end() if self._ended else self._advance())
        events = list(self._ready)
        self._ready.clear()
        if events and events[-1] is self._last:
            self._settle_last()
        return events

    async def release(self) -> None:
        """Let go of the stream; in either mode. What has not ended counts as abandoned."""
        self._ended = True
        self._ready.clear()
        try:
            # One that has an outcome was told of it by the stream that was made of it.
            outcome = self.outcome or Outcome("abandoned", self._snapshot.response())
            if self._before_end and outcome.kind != "cancelled":
                await self._prepare_end(outcome)
        finally:
            self._settle(Outcome("abandoned", self._snapshot.response()))
            await self._close()

    def abort(self) -> None:
        """Let go of the connection at once, from any thread, without waiting and without an outcome."""
        self._source.abort()

    def drop(self) -> None:
        """Let go of the stream at once, where nothing can be awaited: its socket is shut, its end is told."""
        further_in = self._further_in()
        if not self._closed:
            self._closed = self._ended = True
            self._source.abort()
        if self.outcome is None:
            self._ready.clear()
            self._settle(Outcome("abandoned", self._snapshot.response()))
        for stream in further_in:
            stream.drop()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.drop()

    def leave(self, *, sync: bool) -> None:
        """Say that the stream leaves the chain, and in which mode its consumer made the call."""
        self._for_sync = sync
        if self.outcome is not None:
            self._context.settle()

    def belongs_to(self, context: CallContext) -> bool:
        """Tell whether it is a stream of this call."""
        return self._context is context

    # --- inside ----------------------------------------------------------------------------------------------------

    def _read_as(self, *, sync: bool) -> None:
        if self._for_sync is None or self._for_sync is sync:
            return
        if sync:
            hint = "use `async for`, `async with`, `await stream.auntil_done()`, `await stream.aclose()`"
            raise SetupError("this stream came from an async call; it cannot be read in sync code", hint=hint)
        hint = "use `for`, `with`, `stream.until_done()`, `stream.close()`, or make the call with its async twin"
        raise SetupError("this stream came from a sync call; it would block the event loop", hint=hint)

    async def _end(self) -> None:
        """Let go of the source; after a reported failure, raise it. For a stream whose events have all been shown."""
        error, self._error = self._error, None
        await self._close()
        if error is not None:
            raise error

    async def _advance(self) -> None:
        """Make at least one event ready, of a stream that has not ended."""
        if self._is_read:
            raise SetupError(
                "this stream is being read already, by another task or thread",
                hint="read it in one place, and hand its events on from there",
            )
        self._is_read = True
        try:
            batch = await self._context.waiting(self._source.pull())
            if batch:
                self._take(batch)
            else:
                raise StreamInterrupted("the stream ended before its terminal event", response_started=True)
        except BaseException as error:
            raised = self._interrupted(error)
            await self._fail(raised)
            if raised is error:
                raise
            raise raised from error
        finally:
            self._is_read = False
        if self._ended and self._before_end:
            await self._prepare_end()

    async def _prepare_end(self, outcome: Outcome | None = None) -> None:
        waiting, self._before_end = self._before_end, []
        for level, fn in waiting:
            await fn(self._as_seen(level, outcome or self._outcome()))

    def _take(self, batch: list[ev.Event]) -> None:
        if self._context.first_event_s is None:
            self._note_first_event()
        if self._maps:
            self._map(batch)
        ended_at = self._snapshot.follow(batch)
        if ended_at is not None:
            # Whatever a host sends after its terminal event is not part of the response.
            del batch[ended_at + 1 :]
            self._last, self._ended = batch[-1], True
            self._error = self._error_of(batch[-1])
        self._arrived += len(batch)
        self._ready.extend(batch)
        if not self._content_seen:
            shown = batch if self._error is None else batch[:-1]
            self._content_seen = any(event.__class__ not in _PREAMBLE for event in shown)

    def _map(self, batch: list[ev.Event]) -> None:
        level = at = 0
        try:
            for level, (fn, only) in enumerate(self._maps):
                for at, event in enumerate(batch):
                    if event.__class__ in only and (changed := fn(event)) is not None:
                        batch[at] = changed
                        if event.__class__ in _ENDS:
                            self._passed.append((level, event))
        except BaseException:
            if batch[at].__class__ in _ENDS:
                self._passed.append((level, batch[at]))
                self._raised_at.append(level)
            raise

    def _note_first_event(self) -> None:
        context = self._context
        now = context.runtime.now()
        context.first_event_s = now - context.started_at
        if context.sinks:
            context.emit(
                StreamFirstEvent(
                    call_id=context.id, operation=context.operation, at_s=now, after_s=context.first_event_s
                )
            )

    def _interrupted(self, error: BaseException) -> BaseException:
        """Return the error as the consumer should see it: with the partial response, a break named as one."""
        if not isinstance(error, AntiphonError):
            return error
        partial = error.response or self._snapshot.response()
        if isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError | StreamInterrupted):
            error_before, error = error, StreamInterrupted(error.message, response_started=True, hint=error.hint)
            error.__cause__ = error_before
        if isinstance(error, StreamInterrupted) and error.hint is None:
            error.hint = "error.response holds what had come; call again"
        error.response = partial
        if (target := self._context.target) is not None:
            error.provider, error.model = error.provider or target.provider, error.model or target.model
        error.request_id = error.request_id or self._context.request_id
        return error

    async def _fail(self, error: BaseException) -> None:
        self._ended, self._error = True, None
        self._ready.clear()
        outcome = Outcome.of_error(error)
        if outcome.response is None:  # an exception of the reader's, such as a cancellation, carries none
            outcome = Outcome(outcome.kind, self._snapshot.response(), error)
        try:
            if self._before_end and outcome.kind == "failed":
                await self._prepare_end(outcome)
        finally:
            self._settle(outcome)
            # The first step of closing is synchronous down to the socket, so it works under cancellation too.
            with contextlib.suppress(AntiphonError):
                await self._close()

    async def _close(self) -> None:
        if not self._closed:
            further_in = self._further_in()
            self._closed = True
            try:
                await self._source.close()
            finally:
                for stream in reversed(further_in):
                    await stream._close()

    def _outcome(self) -> Outcome:
        """Return how a stream ends whose terminal event has come."""
        response = self._snapshot.final
        if self._error is not None:
            self._error.response = self._error.response or self._snapshot.response()
            return Outcome("failed", self._error.response, self._error)
        return Outcome.of_response(response) if response is not None else Outcome("failed")

    def _as_seen(self, level: int, outcome: Outcome) -> Outcome:
        """Return an outcome as it was behind so many maps, where the end has come that far."""
        if not self._passed and not self._raised_at:
            return outcome
        event = next((event for at, event in self._passed if at >= level), self._last)
        if not isinstance(event, ev.LifecycleEvent):
            return outcome
        if outcome.kind == "failed" and self._raised_at and self._raised_at[0] >= level:
            return Outcome.of_response(event.response)
        return outcome if event is self._last else Outcome(outcome.kind, event.response, outcome.error)

    def _settle_last(self) -> None:
        self._settle(self._outcome())
        self._last = None

    def _further_in(self) -> list[EventStream]:
        """Return the call's other open streams, innermost first, when this is the one that has left the chain.

        A stage whose own generator reads one has it in its hands only, and does not always get to its end.
        """
        if self._for_sync is None:
            return []
        known = [known() for known in self._context.streams]
        return [stream for stream in known if stream is not None and stream is not self and not stream._closed]

    def _settle(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        self.outcome = outcome
        callbacks, self._callbacks = self._callbacks, []
        interrupt: BaseException | None = None
        for stream in self._further_in():
            try:
                stream.end_with(outcome if outcome.kind == "cancelled" else _ABANDONED)
            except BaseException as error:
                interrupt = error
        for level, fn in callbacks:
            try:
                fn(self._as_seen(level, outcome))
            except Exception as error:
                self._context.owner.hook_failed(error)
            except BaseException as error:  # Ctrl-C in one of them keeps the end from no other
                interrupt = error
        self._meta = self._context.meta() if self._for_sync is None else self._context.settle()
        if isinstance(outcome.error, AntiphonError) and outcome.error.meta is None:
            outcome.error.meta = self._meta
        if interrupt is not None:
            raise interrupt


async def committed(reply: Reply, request: Request) -> Reply:
    """Return the reply when it will not be repeated any more: a stream at its first content, others as they are.

    Raises:
        APIError: the stream failed or broke before that; nothing was shown.
    """
    if isinstance(reply, EventStream):
        await reply.commit("head" if request.param("background") else "content")
    return reply


def finally_(reply: Reply, fn: OnEnd) -> None:
    """Call `fn` once with the reply's outcome: now for a plain reply, at its end for a stream.

    So a stage has one body for both:

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            reply = await call_next(request)
            finally_(reply, lambda outcome: print(outcome.kind))
            return reply
    """
    if isinstance(reply, Response):
        fn(Outcome.of_response(reply))
    elif isinstance(reply, EventStream):
        reply.on_end(fn)
    else:
        fn(Outcome("completed"))
