"""Hand-made hosts, sources and answers for tests of the engine: what a chain ends in when no wire is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from conftest import Mode

from antiphon.client import Client
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import APIError
from antiphon.pipeline.function_stages import FunctionStage, stage
from antiphon.pipeline.reply import Outcome, Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.stage import StageLike
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.pipeline.streams.replay import replay
from antiphon.providers.scripted import message


def answer(text: str = "Hello there.", **fields: Any) -> Response:
    """Return a finished response that says `text`."""
    return Response.new(
        **{"id": "resp_1", "created_at": 1, "model": "m", "status": "completed", "output": [message(text)], **fields}
    )


def host(text: str = "Hello there.", **fields: Any) -> FunctionStage:
    """Return a terminal stage that answers every call, plain or streamed."""

    @stage(terminal=True)
    async def host(request: Request, call_next: Handler) -> Reply:
        response = answer(text, **fields)
        return EventStream.of(replay(response), request.context) if request.streamed else response

    return host


def end_of(events: list[ev.Event]) -> Response:
    """Return the response of a stream's terminal event."""
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return last.response


def given(request: Request) -> CreateParams:
    """Return the parameters of a create call."""
    assert isinstance(request.params, CreateParams)
    return request.params


class Source:
    """Events by a script: each step is a batch to hand out, an exception to raise, or a function of no arguments.

    Attributes:
        closed, aborted: how often that was asked for.
    """

    def __init__(self, *steps: list[ev.Event] | BaseException) -> None:
        self.steps = list(steps)
        self.closed = 0
        self.aborted = 0

    async def pull(self) -> list[ev.Event]:
        if not self.steps:
            return []
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    async def close(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


def one_by_one(events: Iterable[ev.Event]) -> list[list[ev.Event]]:
    """Return each event as a batch of its own."""
    return [[event] for event in events]


def streaming(
    source: Callable[[], Any], *, error_of: Callable[[ev.Event], APIError | None] = lambda event: None
) -> FunctionStage:
    """Return a terminal stage that streams from a fresh source for each call."""

    @stage(terminal=True)
    async def host(request: Request, call_next: Handler) -> Reply:
        return EventStream(source(), request.context, error_of=error_of)

    return host


async def open_stream(
    mode: Mode,
    source: Any,
    *outer: StageLike,
    error_of: Callable[[ev.Event], APIError | None] = lambda event: None,
) -> EventStream:
    """Return the stream that a call gets whose host streams from this source."""
    client = Client(Chain([*outer, streaming(lambda: source, error_of=error_of)]))
    stream: EventStream = await mode.call(client.chain, "Hi", stream=True)
    return stream


def text_events(*deltas: str, end: bool = True) -> list[ev.Event]:
    """Return the events of one message that comes in these deltas; without `end`, up to the last delta."""
    assembler = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
    assembler.start()
    message = assembler.message({"id": "msg_1"})
    for delta in deltas:
        message.text(delta)
    message.close(status="completed")
    assembler.end()
    events = assembler.take()
    if end:
        return events
    last = max(at for at, event in enumerate(events) if isinstance(event, ev.OutputTextDelta))
    return events[: last + 1]


def sse(events: Sequence[ev.Event]) -> bytes:
    """Return events as the bytes of a stream."""
    return b"".join(b"event: %s\ndata: %s\n\n" % (event.type.encode(), event.raw) for event in events)


def streamed_body(events: Sequence[ev.Event], tail: bytes = b"") -> dict[str, Any]:
    """Return a scripted HTTP answer that streams these events, and then ends."""
    return {"headers": {"content-type": "text/event-stream"}, "body": sse(events) + tail}


def outcomes(seen: list[str], label: str) -> FunctionStage:
    """Return a stage that notes every outcome of the reply that passes it, as "label:kind"."""

    @stage
    async def note(request: Request, call_next: Handler) -> Reply:
        def ended(outcome: Outcome) -> None:
            seen.append(f"{label}:{outcome.kind}")

        reply = await call_next(request)
        if isinstance(reply, EventStream):
            reply.on_end(ended)
        elif isinstance(reply, Response):
            ended(Outcome.of_response(reply))
        return reply

    return note
