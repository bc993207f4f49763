"""Watching a call: one `call.start`, exactly one `call.end`, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterable

from .context import CallContext
from .event_stream import finally_
from .reply import Outcome, Reply
from .request import Handler, Request
from .signals import CallEnded, CallStarted, Signal, Sink


async def watch(request: Request, call_next: Handler, sink: Sink) -> Reply:
    """Run the rest of the chain and tell `sink` of its start, of the signals inside it, and of its one end.

    Plain or streamed, failed, cancelled, left early or dropped: the end comes exactly once. The sink's errors are
    counted by the client and never reach the call.
    """
    context = request.context
    if context.dry:
        return await call_next(request)
    if sink not in context.sinks:
        context.subscribe(sink)
    began = context.runtime.now()
    model = request.model
    start = CallStarted(
        call_id=context.id, operation=context.operation, at_s=began, model=model, streamed=request.streamed
    )
    _tell(context, sink, start)

    def ended(outcome: Outcome) -> None:
        usage = outcome.response.usage if outcome.response is not None else None
        end = CallEnded(
            call_id=context.id,
            operation=context.operation,
            at_s=context.runtime.now(),
            outcome=outcome,
            meta=context.meta(),
            usage=usage,
            model=model,
            streamed=request.streamed,
        )
        _tell(context, sink, end)

    try:
        reply = await call_next(request)
    except BaseException as error:
        ended(Outcome.of_error(error))
        raise
    finally_(reply, ended)
    return reply


def fan_out(sinks: Iterable[Sink]) -> Sink:
    """Return one sink that tells many; the error of one does not keep a signal from the others."""
    sinks = tuple(sinks)
    if len(sinks) == 1:
        return sinks[0]

    def tell(signal: Signal) -> None:
        errors: list[Exception] = []
        for sink in sinks:
            try:
                sink(signal)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    return tell


def _tell(context: CallContext, sink: Sink, signal: Signal) -> None:
    try:
        sink(signal)
    except Exception as error:
        context.owner.hook_failed(error)
