"""Watching a call: one `call.start`, exactly one `call.end`, whatever happens in between.

Where a call can end: with a plain reply or an error (here), at a stream's last event, by closing it, by dropping it
without a word (the garbage collector closes it), by an exception of its reader, by Ctrl-C between any two steps, and by
cancellation at any wait. All but the first two are the stream's to notice; it tells `on_end` once.
"""

from __future__ import annotations

import traceback
from contextvars import copy_context

from .api.response import Response
from .context import CallContext, surrounding
from .reply import Outcome, Reply
from .request import Handler, Request
from .signals import CallEnded, CallStarted, ParameterDropped, Signal, Sink
from .streams.event_stream import EventStream


async def watch(
    request: Request,
    call_next: Handler,
    sinks: tuple[Sink, ...],
    *,
    ends_only: bool = False,
    is_whole: bool = False,
) -> Reply:
    """Run the rest of the chain and tell `sinks` of its start, of the signals inside it, and of its one end.

    After the end they get nothing more of this call, but for what a background response has still to say. They see the
    context variables of the caller, also when the stream is read, or dropped, somewhere else. Their errors are counted
    by the client and never reach the call, nor the other sinks.

    Args:
        ends_only: spare the making of all signals but the end, and what a background response has still to say.
        is_whole: the rest of the chain is all of it, so that a plain answer ends the call.
    """
    context = request.context
    if context.dry:
        return await call_next(request)
    seen = _Watch(context, request, sinks, is_whole)
    before = surrounding.get()
    surrounding.set(context.id)
    try:
        if not ends_only:
            seen.begin()
        reply = await call_next(request)
        if isinstance(reply, EventStream):
            caller = copy_context()
            reply.on_end(lambda outcome: caller.run(seen.end, outcome))
        else:
            seen.end(Outcome.of_response(reply) if isinstance(reply, Response) else _COMPLETED)
        return reply
    except BaseException as error:
        _let_go(error, context)
        seen.end(Outcome.of_error(error))
        raise
    finally:
        surrounding.set(before)  # no token: a task that is collected may be closed in another context


_COMPLETED = Outcome("completed")


def _let_go(error: BaseException, context: CallContext) -> None:
    """End the streams of this call that only the error keeps: those of stages that raised while they held one.

    A caught error's traceback keeps its frames, and these their streams, for as long as the caller looks at it.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, EventStream) and value.belongs_to(context):
                value.drop()


class _Watch:
    """What sinks are told of one call, or of the part of it that stands inside a stage."""

    __slots__ = ("_begun", "_context", "_is_whole", "_model", "_over", "_sinks", "_streamed")

    def __init__(self, context: CallContext, request: Request, sinks: tuple[Sink, ...], is_whole: bool) -> None:
        self._context = context
        self._is_whole = is_whole
        self._model = request.model
        self._streamed = request.streamed
        self._sinks = sinks
        self._begun = self._over = False

    def begin(self) -> None:
        self._begun = self._over = True  # a start that was not told has no end
        context = self._context
        context.subscribe(self._sinks)
        start = CallStarted(
            call_id=context.id,
            operation=context.operation,
            at_s=context.runtime.now(),
            model=self._model,
            streamed=self._streamed,
            parent_id=context.parent_id,
        )
        self._over = False
        self._tell(start)
        for dropped in context.dropped:  # by whoever stands outside
            self._tell(
                ParameterDropped(call_id=context.id, operation=context.operation, at_s=start.at_s, dropped=dropped)
            )

    def end(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        context = self._context
        meta = context.settle() if self._is_whole else context.meta()
        end = CallEnded(
            call_id=meta.call_id,
            operation=context.operation,
            at_s=context.started_at + meta.duration_s,
            outcome=outcome,
            meta=meta,
            model=self._model,
            streamed=self._streamed,
            parent_id=context.parent_id,
        )
        goes_on = outcome.kind == "accepted"
        if self._begun and not goes_on:
            context.unsubscribe(self._sinks)
        elif goes_on and not self._begun:
            context.subscribe(self._sinks)
        self._tell(end)

    def _tell(self, signal: Signal) -> None:
        interrupt: BaseException | None = None
        for sink in self._sinks:
            try:
                sink(signal)
            except Exception as error:
                self._context.owner.hook_failed(error)
            except BaseException as error:  # Ctrl-C in one of them keeps the signal from no other
                interrupt = error
        if interrupt is not None:
            raise interrupt
