"""Send the request and read the answer."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from msgspec.structs import replace

from ..pipeline.api.response import Response
from ..pipeline.context import CallContext
from ..pipeline.credential import Credential
from ..pipeline.errors import (
    AntiphonError,
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    AuthenticationError,
    SetupError,
    forget_frames,
)
from ..pipeline.http import Exchange, HttpRequest
from ..pipeline.reply import Attempt, Outcome, Reply
from ..pipeline.request import Dialect, Handler, Request, Target
from ..pipeline.signals import AttemptEnded, AttemptStarted
from ..pipeline.stage import Stage
from ..pipeline.streams.event_stream import EventStream, finally_
from ..pipeline.streams.http_events import HttpEvents
from ..pipeline.streams.replay import replay
from ..pipeline.timeouts import Pace

E = TypeVar("E", bound=BaseException | None)


class Dispatch(Stage, frozen=True):
    """Send the request over HTTP and decode the answer. Terminal: it ends a chain.

    Each time it runs is one attempt. A stream is returned as soon as the head of its answer is there. A key that is a
    function is asked for here, so that each attempt has one that holds; when the host refuses it (401), it is asked for
    once more, and if that gives another one, there is one more attempt, which Retry does not see.

    Raises:
        APIConnectionError, APITimeoutError: no whole answer.
        APIStatusError: the host said no, by its status or inside a 200.
        APIResponseError: an answer that is not what the API promises.
    """

    needs = ("target", "wire")
    sets = ()
    is_terminal = True

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        target, wire, context = request.target, request.wire, request.context
        if target is None or wire is None:
            missing = "target" if target is None else "wire request"
            raise SetupError(
                f"Dispatch got a request without a {missing}", hint="place Resolve and Transform before it"
            )
        if target.credential is None:
            return await _attempt(request, target, wire)
        proof = await _asked(target.credential, context)
        try:
            return await _proven(request, target, wire, proof)
        except AuthenticationError as refused:
            newer = await _asked(target.credential, context, renew=True)
            if newer == proof:
                raise
            forget_frames(refused)  # as Retry does
        return await _proven(request, target, wire, newer)


async def _asked(credential: Credential, context: CallContext, *, renew: bool = False) -> Any:
    """Ask for a proof within what is left of the call's time; a sync call waits for a function as long as it takes."""
    try:
        asking = context.runtime.within(context.time_left(), lambda: credential.ask(context.runtime, renew=renew))
        return await context.waiting(asking)
    except TimeoutError as error:
        if isinstance(error, AntiphonError) or context.time_left() > _CLOCKS_S:
            raise  # the function's own
        limit_s = context.timeouts.total
        raise APITimeoutError(
            f"the function that gives the key did not return within the call's {limit_s:g} s",
            limit_s=limit_s,
            hint="let it answer faster, or raise it with timeout=Timeouts(total=…)",
        ) from error


_CLOCKS_S = 0.01  # by which an event loop's clock may be ahead


async def _proven(request: Request, target: Target, wire: HttpRequest, proof: Any) -> Reply:
    """Make an attempt with a proof; in what comes back its secret is masked like any key."""
    assert target.credential is not None
    wire, secret = target.credential.attach(wire, proof, time.time())
    target = replace(target, api_key=secret)
    return await _attempt(request.replace(target=target, wire=wire), target, wire)


async def _attempt(request: Request, target: Target, wire: HttpRequest) -> Reply:
    context = request.context
    context.target = target
    if context.propagator is not None:
        wire = _traced(wire, context)
    attempt = _Attempt(request, target)
    try:
        if context.sinks:
            attempt.tell_start()
        reply = await _exchange(request, target, wire, attempt)
        finally_(reply, attempt.end)
    except BaseException as error:
        attempt.end(Outcome.of_error(error))
        if isinstance(error, AntiphonError):
            error.meta = None  # an unasked stream has set it before the attempt was over; the call's end sets it
        raise
    return reply if isinstance(reply, EventStream) else reply.stamp(context.facts)


async def _exchange(request: Request, target: Target, wire: HttpRequest, attempt: _Attempt) -> Reply:
    context, dialect = request.context, target.dialect
    pace = Pace(context.timeouts, ends_at=context.ends_at, now=attempt.started_at, streamed=wire.streamed)
    exchange = await context.waiting((target.transport or context.runtime).open(wire, pace))
    try:
        attempt.opened(exchange)
        if not 200 <= exchange.status < 300:
            raise await _refused(exchange, request, dialect)
        head, is_stream = b"", _is_event_stream(exchange)
        if wire.streamed and not is_stream:  # gateways made of a few lines hand a stream on under any type, or none
            head = await context.waiting(exchange.chunk())
            is_stream = head.lstrip().startswith(_FIELDS)
        if is_stream:
            stream = EventStream(
                HttpEvents(exchange, pace, dialect.stream_decoder(request), context.runtime.now, head),
                context,
                error_of=lambda event: _with_facts(dialect.event_error(event, request), request, target),
            )
            # Some servers stream unasked; whoever did not ask gets the plain reply.
            return stream if request.streamed else await stream.finish()
        reply = dialect.decode(head + await context.waiting(exchange.read()), request)
    except BaseException:
        await exchange.close()
        raise
    if request.streamed and isinstance(reply, Response):
        return EventStream.of(replay(reply), context)
    return reply


async def _refused(exchange: Exchange, request: Request, dialect: Dialect) -> APIError:
    """Return what an answer with an error status means; the status tells, also where the body cannot be read."""
    body = b""
    unread: APIError | None = None
    try:
        body = await request.context.waiting(exchange.read())
    except APIResponseError as error:
        unread = error
    except APIConnectionError as error:
        if isinstance(error, APITimeoutError) or not error.retryable:  # the call is over, or was let go of
            raise
        unread = error
    refusal = dialect.error(exchange.status, exchange.headers, body, request)
    if unread is not None:
        refusal.message = f"HTTP {exchange.status}, and {unread.message}"
        refusal.args = (refusal.message,)
        refusal.__cause__ = unread
    return refusal


def _traced(wire: HttpRequest, context: CallContext) -> HttpRequest:
    """Return the request with the headers that carry the call's trace on, but for those that it brings itself."""
    there = {name.lower() for name, _ in wire.headers}
    more = tuple((name, value) for name, value in context.trace_headers().items() if name.lower() not in there)
    return replace(wire, headers=(*wire.headers, *more))


def _is_event_stream(exchange: Exchange) -> bool:
    content_type: str = exchange.headers.get("content-type", "")
    return content_type != "application/json" and content_type.lstrip().lower().startswith(_STREAMS)


_STREAMS = ("text/event-stream", "application/vnd.amazon.eventstream")

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\xef\xbb\xbf")  # what an event stream begins with


def _with_facts(error: E, request: Request, target: Target) -> E:
    """Say in an error whom it is about, and which answer; hide what the caller's own headers gave away."""
    if isinstance(error, AntiphonError):
        context = request.context
        error.provider = error.provider or target.provider
        error.model = error.model or target.model
        if isinstance(error, APIError):
            error.request_id = error.request_id or context.request_id
            if isinstance(error, APIResponseError):
                error.status = error.status or context.status
        if "extra_headers" in request.options:  # the dialects know the target's key, and not these
            error.hide(request.secrets())
    return error


class _Attempt:
    """Keeps the record of one attempt in the context, and tells observers of its start and its one end."""

    __slots__ = ("_context", "_record", "_request", "_target", "started_at")

    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._context = context = request.context
        self._target = target
        self.started_at = context.runtime.now()
        context.status = context.request_id = context.headers = context.first_event_s = None
        with context.lock:
            number = len(context.attempts) + 1
            self._record = Attempt(number=number, provider=target.provider, model=target.model)
            context.attempts.append(self._record)

    def tell_start(self) -> None:
        context = self._context
        context.emit(
            AttemptStarted(call_id=context.id, operation=context.operation, at_s=self.started_at, attempt=self._record)
        )

    def opened(self, exchange: Exchange) -> None:
        context, headers = self._context, exchange.headers
        context.status, context.headers = exchange.status, headers
        for name in _REQUEST_IDS:
            if (request_id := headers.get(name)) is not None:
                context.request_id = request_id
                break
        self._note(
            replace(
                self._record,
                status=exchange.status,
                request_id=context.request_id,
                queued_s=exchange.queued_s,
                connect_s=exchange.connect_s,
            )
        )

    def end(self, outcome: Outcome) -> None:
        context = self._context
        if self._record.outcome != "open":
            return
        error, first_s, now = outcome.error, context.first_event_s, context.runtime.now()
        if error is not None:
            _with_facts(error, self._request, self._target)  # one that broke a stream has met none of them yet
        self._note(
            replace(
                self._record,
                outcome=outcome.kind,
                error=None if error is None else type(error).__name__,
                duration_s=now - self.started_at,
                first_event_s=None if first_s is None else first_s + context.started_at - self.started_at,
            )
        )
        if context.sinks:
            context.emit(
                AttemptEnded(
                    call_id=context.id,
                    operation=context.operation,
                    at_s=now,
                    attempt=self._record,
                    outcome=outcome,
                )
            )

    def _note(self, record: Attempt) -> None:
        """Put a record in the place of the former one."""
        self._record = record
        self._context.attempts[record.number - 1] = record


# OpenAI and most; Anthropic; AWS; Azure. Source: provider references, read 2026-11.
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
