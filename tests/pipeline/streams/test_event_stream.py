"""Streams: reading them, their one end, and what is left when they break."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from conftest import Mode
from hand_made import Source, answer, host, one_by_one, open_stream, outcomes, streamed_body, streaming, text_events

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    InternalServerError,
    SetupError,
    StageError,
    StreamInterrupted,
)
from antiphon.pipeline.function_stages import FunctionStage, after, on_stream_event, stage
from antiphon.pipeline.reply import Outcome, Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.stage import Stage
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.event_stream import EventStream, finally_
from antiphon.stages.retry import Retry
from antiphon.testing import scripted

HELLO = ("Hello", " there", ".")


def failed_events() -> list[ev.Event]:
    assembler = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
    assembler.end(status="failed", error={"code": "server_error", "message": "out of luck"})
    return [*text_events("Hel", end=False), *assembler.take()]


def error_of(event: ev.Event) -> APIStatusError | None:
    return InternalServerError("out of luck") if isinstance(event, ev.ResponseFailed | ev.ErrorEvent) else None


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batched", [True, False], ids=["one batch", "one by one"])
def test_events_come_in_order_with_the_terminal_one_last(mode: Mode, batched: bool) -> None:
    async def body() -> None:
        events = text_events(*HELLO)
        stream = await open_stream(mode, Source(events[:]) if batched else Source(*one_by_one(events)))

        assert await mode.events(stream) == events

    mode.run(body)


def test_after_the_end_the_iteration_stays_at_its_end(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(text_events(*HELLO)))
        await mode.events(stream)

        assert [await mode.events(stream) for _ in range(3)] == [[], [], []]

    mode.run(body)


def test_what_a_host_sends_after_the_terminal_event_is_ignored(mode: Mode) -> None:
    async def body() -> None:
        events = text_events(*HELLO)
        stream = await open_stream(mode, Source([*events, *text_events("more")], text_events("even more")))

        assert await mode.events(stream) == events

    mode.run(body)


async def text_of(mode: Mode, stream: EventStream) -> list[str]:
    return [delta async for delta in stream.text] if mode.is_async else list(stream.text)


def test_text_yields_the_deltas(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(text_events(*HELLO)))

        assert await text_of(mode, stream) == list(HELLO)

    mode.run(body)


def cut_in_two() -> list[ev.Event]:
    """Return events of a host that cuts a character between its two UTF-16 halves."""
    halves = iter(["a\ud83d", "\ude00"])
    return [
        ev.OutputTextDelta.from_json(json.dumps({**event.to_dict(), "delta": next(halves)}).encode())
        if isinstance(event, ev.OutputTextDelta)
        else event
        for event in text_events("x", "y", end=False)
    ]


def test_text_joins_a_character_that_the_host_cut_in_two(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source([*cut_in_two(), *text_events("", end=True)[-1:]]))

        assert await text_of(mode, stream) == ["a", "😀"]

    mode.run(body)


def test_a_break_after_half_a_character_is_an_interruption_as_any_other(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(cut_in_two()))

        with pytest.raises(StreamInterrupted) as caught:
            await mode.until_done(stream)
        assert caught.value.response is not None
        assert caught.value.response.output_text == "a😀"

    mode.run(body)


def test_text_raises_what_broke_the_stream(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(text_events("Hel", end=False)))

        with pytest.raises(StreamInterrupted):
            await text_of(mode, stream)

    mode.run(body)


def test_response_grows_until_it_is_final(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(*one_by_one(text_events(*HELLO))))
        seen = [stream.response]
        texts = []
        for _ in range(len(text_events(*HELLO))):
            await mode.next(stream)
            response = stream.response
            assert response is not None
            seen.append(response)
            texts.append(response.output_text)

        assert seen[0] is None
        assert texts == ["", "", "", "", "Hello", "Hello there", *["Hello there."] * 5]
        assert seen[-2] is not None
        assert seen[-1] is not None
        assert [seen[-2].status, seen[-1].status] == ["in_progress", "completed"]

    mode.run(body)


def test_until_done_gives_the_final_response(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(*one_by_one(text_events(*HELLO))))

        response = await mode.until_done(stream)

        assert response.output_text == "Hello there."
        assert response.meta is stream.meta
        assert stream.response == response

    mode.run(body)


def test_until_done_after_reading_some_or_all_gives_it_too(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(*one_by_one(text_events(*HELLO))))
        await mode.next(stream)

        first = await mode.until_done(stream)
        again = await mode.until_done(stream)

        assert first == again
        assert first.output_text == "Hello there."

    mode.run(body)


def test_until_done_gives_no_response_where_there_is_no_final_one(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(text_events("Hel", end=False)))
        await mode.next(stream)
        await mode.close(stream)
        with pytest.raises(StreamInterrupted, match="no final response: it was abandoned before its end") as left:
            await mode.until_done(stream)
        assert left.value.response is not None
        assert left.value.response.status == "in_progress"

        stream = await open_stream(mode, Source(failed_events()), error_of=error_of)
        for _ in range(2):
            with pytest.raises(InternalServerError, match="out of luck"):
                await mode.until_done(stream)

    mode.run(body)


def test_meta_is_final_after_the_end(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello there.")
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        await mode.until_done(stream)

        assert stream.meta is stream.meta
        assert stream.meta.provider == "openai"
        assert [attempt.outcome for attempt in stream.meta.attempts] == ["completed"]
        assert stream.meta.first_event_s is not None

    mode.run(body)


def test_repr_tells_the_outcome(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(text_events(*HELLO)))
        assert repr(stream) == "EventStream(open)"

        await mode.until_done(stream)

        assert repr(stream) == "EventStream(completed)"

    mode.run(body)


# --- in the wrong mode ----------------------------------------------------------------------------------------------


def test_a_sync_stream_is_not_read_by_async_code() -> None:
    stream = scripted("Hello.").responses("Hi", "openai/m", stream=True)

    async def body() -> None:
        with pytest.raises(SetupError, match="came from a sync call; it would block the event loop") as caught:
            async for _ in stream:
                pass
        assert "stream.until_done()" in str(caught.value)
        with pytest.raises(SetupError, match="came from a sync call"):
            await stream.auntil_done()
        with pytest.raises(SetupError, match="came from a sync call"):
            async with stream:
                pass
        with pytest.raises(SetupError, match="came from a sync call"):
            await stream.aclose()
        with pytest.raises(SetupError, match="came from a sync call"):
            async for _ in stream.text:
                pass

    anyio.run(body)

    assert stream.until_done().output_text == "Hello."  # unharmed


def test_an_async_stream_is_not_read_by_sync_code() -> None:
    async def body() -> None:
        stream = await scripted("Hello.").aresponses("Hi", "openai/m", stream=True)
        with pytest.raises(SetupError, match="came from an async call; it cannot be read in sync code") as caught:
            list(stream)
        assert "await stream.auntil_done()" in str(caught.value)
        for use in (stream.until_done, stream.close, stream.__enter__, lambda: list(stream.text)):
            with pytest.raises(SetupError, match="came from an async call"):
                use()

        assert (await stream.auntil_done()).output_text == "Hello."  # unharmed

    anyio.run(body)


# --- failing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["failed", "error"])
def test_a_reported_failure_is_shown_and_then_raised(mode: Mode, last: str) -> None:
    async def body() -> None:
        events = failed_events()
        if last == "error":
            events[-1] = ev.ErrorEvent.new(code="server_error", message="out of luck", sequence_number=5)
        stream = await open_stream(mode, Source(events[:]), error_of=error_of)
        shown = [await mode.next(stream) for _ in events]

        with pytest.raises(InternalServerError, match="out of luck") as caught:
            await mode.next(stream)

        assert shown == events
        assert stream.outcome is not None
        assert stream.outcome.kind == "failed"
        assert stream.outcome.error is caught.value
        assert caught.value.meta is stream.meta
        assert caught.value.response is not None

    mode.run(body)


def test_after_a_failure_the_iteration_stays_at_its_end(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(failed_events()), error_of=error_of)
        with pytest.raises(InternalServerError):
            await mode.events(stream)

        assert await mode.events(stream) == []

    mode.run(body)


def test_until_done_raises_a_reported_failure(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(failed_events()), error_of=error_of)

        with pytest.raises(InternalServerError):
            await mode.until_done(stream)

    mode.run(body)


def test_an_incomplete_response_is_no_error(mode: Mode) -> None:
    async def body() -> None:
        assembler = Assembler({"id": "resp_1"})
        assembler.start()
        assembler.end(status="incomplete")
        events = assembler.take()
        stream = await open_stream(mode, Source(events))

        response = await mode.until_done(stream)

        assert response.status == "incomplete"
        assert stream.outcome is not None
        assert stream.outcome.kind == "incomplete"

    mode.run(body)


def test_a_stream_without_terminal_event_is_interrupted(mode: Mode) -> None:
    async def body() -> None:
        source = Source(text_events("Hello", " th", end=False))
        stream = await open_stream(mode, source)

        with pytest.raises(StreamInterrupted, match="the stream ended before its terminal event") as caught:
            await mode.events(stream)

        assert caught.value.response is not None
        assert caught.value.response.output_text == "Hello th"
        assert caught.value.response.status == "in_progress"
        assert caught.value.response_started
        assert source.closed == 1

    mode.run(body)


def test_a_broken_connection_is_named_an_interruption_with_its_cause(mode: Mode) -> None:
    async def body() -> None:
        broken = APIConnectionError("reset by peer")
        stream = await open_stream(mode, Source(text_events("Hel", end=False), broken))

        with pytest.raises(StreamInterrupted, match="reset by peer") as caught:
            await mode.events(stream)

        assert caught.value.__cause__ is broken
        assert caught.value.response is not None
        assert caught.value.response.output_text == "Hel"

    mode.run(body)


def test_a_time_limit_stays_one_and_carries_the_partial_response(mode: Mode) -> None:
    async def body() -> None:
        late = APITimeoutError("nothing for a second", limit="idle", limit_s=1.0)
        stream = await open_stream(mode, Source(text_events("Hel", end=False), late))

        with pytest.raises(APITimeoutError) as caught:
            await mode.events(stream)

        assert caught.value is late
        assert caught.value.response is not None
        assert caught.value.response.output_text == "Hel"

    mode.run(body)


def test_an_interruption_carries_arguments_and_reasoning_so_far(mode: Mode) -> None:
    async def body() -> None:
        assembler = Assembler({"id": "resp_1", "model": "m"})
        assembler.start()
        assembler.reasoning({"id": "rs_1"}).summary("I think")
        call = assembler.function_call({"id": "fc_1", "call_id": "c", "name": "f"})
        call.write('{"a"')
        call.write(":")
        stream = await open_stream(mode, Source(assembler.take()))

        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)

        assert caught.value.response is not None
        thinking, calls = [item.to_dict() for item in caught.value.response.output]
        assert thinking["summary"] == [{"type": "summary_text", "text": "I think"}]
        assert calls["arguments"] == '{"a":'
        assert calls["name"] == "f"

    mode.run(body)


def test_a_stream_cut_on_the_wire_names_its_target(mode: Mode) -> None:
    async def body() -> None:
        cut = streamed_body(text_events("Hello", " th", end=False), b"event: response.output_text.delta\ndata: {")
        client = scripted({**cut, "headers": {**cut["headers"], "x-request-id": "req_7"}})
        stream = await mode.call(client.chain, model="openai/m", stream=True)

        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)

        assert (caught.value.provider, caught.value.model, caught.value.request_id) == ("openai", "m", "req_7")
        assert caught.value.attempts == 1
        assert caught.value.response is not None
        assert caught.value.response.output_text == "Hello th"

    mode.run(body)


# --- mapping --------------------------------------------------------------------------------------------------------


def upper(event: ev.Event) -> ev.Event | None:
    return event.replace(delta=event.delta.upper()) if isinstance(event, ev.OutputTextDelta) else None


def exclaim(event: ev.Event) -> ev.Event | None:
    return event.replace(delta=event.delta + "!") if isinstance(event, ev.OutputTextDelta) else None


def committing(until: Any = "content") -> Stage:
    @stage
    async def commit(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        assert isinstance(reply, EventStream)
        await reply.commit(until)
        return reply

    return commit


@pytest.mark.parametrize("committed", [False, True], ids=["before commit", "after commit"])
@pytest.mark.parametrize("batched", [True, False], ids=["one batch", "one by one"])
def test_maps_run_innermost_first_on_every_event(mode: Mode, committed: bool, batched: bool) -> None:
    async def body() -> None:
        events = text_events("a", "b")
        source = Source(events) if batched else Source(*one_by_one(events))
        between = [committing()] if committed else []
        outer = [on_stream_event(exclaim), *between, on_stream_event(upper)]
        stream = await open_stream(mode, source, *outer)

        assert await text_of(mode, stream) == ["A!", "B!"]

    mode.run(body)


@pytest.mark.parametrize("batched", [True, False], ids=["one batch", "one by one"])
def test_a_partial_response_shows_what_a_map_after_commit_made(mode: Mode, batched: bool) -> None:
    async def body() -> None:
        events = text_events("a", "b", end=False)
        source = Source(events) if batched else Source(*one_by_one(events))
        stream = await open_stream(mode, source, on_stream_event(upper), committing())

        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)

        assert caught.value.response is not None
        assert caught.value.response.output_text == "AB"

    mode.run(body)


def test_a_terminal_event_held_back_by_commit_can_still_be_changed(mode: Mode) -> None:
    @after
    def sign(request: Request, response: Response) -> Response:
        return response.replace(metadata={"signed": "yes"})

    async def body() -> None:
        source = Source([*text_events("a"), *text_events("after the end")])
        stream = await open_stream(mode, source, sign, committing())

        response = await mode.until_done(stream)

        assert response.metadata == {"signed": "yes"}
        assert stream.outcome is not None
        assert stream.outcome.kind == "completed"

    mode.run(body)


def test_an_observer_of_events_that_returns_something_else_is_told(mode: Mode) -> None:
    @on_stream_event
    def text(event: Any) -> Any:
        return "text"

    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.before("retry", text))
        with pytest.raises(StageError, match="@on_stream_event text returned str; an event or None is expected"):
            await mode.response(client.chain, model="openai/m", streamed=True)

    mode.run(body)


def test_a_map_that_raises_fails_the_stream_once(mode: Mode) -> None:
    seen: list[str] = []

    def broken(event: Any) -> Any:
        if isinstance(event, ev.OutputTextDelta):
            raise ZeroDivisionError("of the stage's own")

    async def body() -> None:
        source = Source(*one_by_one(text_events("a")))
        stream = await open_stream(mode, source, outcomes(seen, "call"), on_stream_event(broken))

        with pytest.raises(ZeroDivisionError):
            await mode.events(stream)

        assert seen == ["call:failed"]
        assert source.closed == 1

    mode.run(body)


class Unfit(APIResponseError):
    """What a stage says of an answer that has come whole."""


def changes(request: Request, response: Response) -> Response:
    return response.replace(metadata={"changed": "yes"})


def finds_unfit(request: Request, response: Response) -> Response:
    raise Unfit("unfit")


def breaks(request: Request, response: Response) -> Response:
    raise ZeroDivisionError("of the stage's own")


@pytest.mark.parametrize("outer", [changes, finds_unfit, breaks])
@pytest.mark.parametrize("how", ["plain", "as it comes", "held back"])
def test_stages_further_in_see_the_end_as_it_was_there(mode: Mode, outer: Any, how: str) -> None:
    if outer is breaks and how == "held back":
        outer = finds_unfit  # of what breaks before it is handed out there is no stream
    seen: list[Any] = []

    def note(outcome: Outcome) -> None:
        assert outcome.response is not None
        seen.append((outcome.kind, outcome.response.metadata, outcome.error))

    @stage
    async def inner(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        if isinstance(reply, EventStream):

            async def before_end(outcome: Outcome) -> None:
                note(outcome)

            await reply.before_end(before_end)
        else:
            finally_(reply, note)
        finally_(reply, note)
        return reply

    async def body() -> None:
        events = text_events("a", "b")
        source = Source(events) if how == "held back" else Source(*one_by_one(events))
        ends: dict[str, list[Stage]] = {"plain": [host()], "as it comes": [streaming(lambda: source)]}
        ends["held back"] = [committing(), *ends["as it comes"]]
        chain = Chain([after(changes), after(outer), inner, *ends[how]])
        with pytest.raises((Unfit, ZeroDivisionError)) if outer is not changes else contextlib.nullcontext():
            await mode.response(Client(chain).chain, streamed=how != "plain")

        assert seen == [("completed", {}, None)] * 2

    mode.run(body)


def test_a_response_that_a_stage_has_refused_is_shown_to_none_further_out(mode: Mode, streamed: bool) -> None:
    seen: list[Response] = []

    async def body() -> None:
        see = after(lambda request, response: seen.append(response))
        with pytest.raises(Unfit):
            await mode.response(Client(Chain([see, after(finds_unfit), host()])).chain, streamed=streamed)

        assert seen == []

    mode.run(body)


# --- commit ---------------------------------------------------------------------------------------------------------


def test_commit_waits_for_content_and_loses_nothing(mode: Mode) -> None:
    async def body() -> None:
        events = text_events(*HELLO)
        source = Source(*one_by_one(events))
        stream = await open_stream(mode, source, committing())

        assert len(source.steps) == len(events) - 3  # created, in_progress, and the first that shows something
        assert await mode.events(stream) == events

    mode.run(body)


def test_commit_of_the_head_takes_the_first_event(mode: Mode) -> None:
    async def body() -> None:
        events = text_events(*HELLO)
        source = Source(*one_by_one(events))
        stream = await open_stream(mode, source, committing("head"))

        assert len(source.steps) == len(events) - 1
        assert await mode.events(stream) == events

    mode.run(body)


def test_commit_raises_a_failure_before_content(mode: Mode) -> None:
    async def body() -> None:
        assembler = Assembler({"id": "resp_1"})
        assembler.start()
        assembler.end(status="failed")
        source = Source(assembler.take())

        with pytest.raises(InternalServerError, match="out of luck"):
            await open_stream(mode, source, committing(), error_of=error_of)

        assert source.closed == 1

    mode.run(body)


def test_commit_leaves_a_failure_after_content_to_the_reader(mode: Mode) -> None:
    async def body() -> None:
        stream = await open_stream(mode, Source(failed_events()), committing(), error_of=error_of)

        with pytest.raises(InternalServerError, match="out of luck"):
            await mode.events(stream)

    mode.run(body)


def test_commit_raises_a_break_before_content(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(StreamInterrupted):
            await open_stream(mode, Source(text_events("a")[:2]), committing())

    mode.run(body)


def test_commit_of_a_stream_without_content_is_its_end(mode: Mode) -> None:
    async def body() -> None:
        assembler = Assembler({"id": "resp_1"})
        assembler.start()
        assembler.end()
        stream = await open_stream(mode, Source(assembler.take()), committing())

        assert len(await mode.events(stream)) == 3

    mode.run(body)


# --- the one end ----------------------------------------------------------------------------------------------------


async def ended(mode: Mode, seen: list[str], source: Source) -> EventStream:
    return await open_stream(mode, source, outcomes(seen, "outer"), outcomes(seen, "inner"), error_of=error_of)


def test_a_normal_end_is_told_once_inner_before_outer(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        source = Source(text_events("a"))
        stream = await ended(mode, seen, source)
        await mode.events(stream)
        await mode.events(stream)
        await mode.close(stream)

        assert seen == ["inner:completed", "outer:completed"]
        assert source.closed == 1

    mode.run(body)


def test_the_end_is_told_with_the_terminal_event(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        stream = await ended(mode, seen, Source(text_events("a")))
        while not isinstance(await mode.next(stream), ev.ResponseCompleted):
            assert seen == []

        assert seen == ["inner:completed", "outer:completed"]
        await mode.close(stream)

    mode.run(body)


def test_a_failure_is_told_once(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        with pytest.raises(InternalServerError):
            await mode.events(await ended(mode, seen, Source(failed_events())))

        assert seen == ["inner:failed", "outer:failed"]

    mode.run(body)


def test_a_break_is_told_once(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        with pytest.raises(StreamInterrupted):
            await mode.events(await ended(mode, seen, Source(text_events("a", end=False))))

        assert seen == ["inner:failed", "outer:failed"]

    mode.run(body)


def test_an_early_close_is_told_once(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        source = Source(*one_by_one(text_events("a")))
        stream = await ended(mode, seen, source)
        await mode.next(stream)
        await mode.close(stream)
        await mode.close(stream)

        assert seen == ["inner:abandoned", "outer:abandoned"]
        assert source.closed == 1
        assert await mode.events(stream) == []

    mode.run(body)


def test_leaving_the_context_manager_closes(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        stream = await ended(mode, seen, Source(*one_by_one(text_events("a"))))
        if mode.is_async:
            async with stream as same:
                await anext(same)
        else:
            with stream as same:
                next(same)

        assert seen == ["inner:abandoned", "outer:abandoned"]

    mode.run(body)


def test_an_exception_of_the_consumer_closes_and_passes(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        source = Source(*one_by_one(text_events("a")))
        stream = await ended(mode, seen, source)

        async def consume() -> None:
            if mode.is_async:
                async with stream:
                    raise ZeroDivisionError
            with stream:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await consume()

        assert seen == ["inner:abandoned", "outer:abandoned"]
        assert source.closed == 1

    mode.run(body)


def test_a_dropped_stream_is_abandoned_and_its_socket_freed_at_once(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        source = Source(*one_by_one(text_events("a")))
        stream = await ended(mode, seen, source)
        await mode.next(stream)
        del stream

        if not seen:
            gc.collect()  # for interpreters that do not count references
        assert seen == ["inner:abandoned", "outer:abandoned"]
        assert source.aborted == 1

    mode.run(body)


def test_a_stream_that_is_open_when_the_program_ends_is_abandoned_in_silence() -> None:
    program = """
from antiphon.client import Client
from antiphon.testing import scripted
client = scripted("one two three", hooks=[lambda signal: print(signal.name)])
stream = client.responses("Hi", "openai/m", stream=True)
while next(stream).type != "response.output_text.delta":
    pass
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert (ended.stdout.split()[-1], ended.stderr) == ("call.end", "")


def test_a_stage_that_raises_after_the_stream_has_opened_abandons_it(mode: Mode) -> None:
    seen: list[str] = []

    @stage
    async def breaks(request: Request, call_next: Handler) -> Reply:
        await call_next(request)
        raise ZeroDivisionError

    async def body() -> None:
        source = Source(*one_by_one(text_events("a")))
        with pytest.raises(ZeroDivisionError):
            await open_stream(mode, source, breaks, outcomes(seen, "inner"))

        gc.collect()
        assert seen == ["inner:abandoned"]
        assert source.aborted == 1

    mode.run(body)


class Waiting(Source):
    """Hands out what it has, then waits for ever."""

    async def pull(self) -> list[ev.Event]:
        if not self.steps:
            await anyio.sleep_forever()
        return await super().pull()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_reader_is_told_once(backend: str) -> None:
    seen: list[str] = []
    source = Waiting(text_events("a", end=False))

    async def body() -> None:
        stream = await ended(Mode(backend), seen, source)  # type: ignore[arg-type]
        with anyio.move_on_after(0.01):
            async for _ in stream:
                pass
        assert stream.response is not None
        assert stream.response.output_text == "a"

    anyio.run(body, backend=backend)

    assert seen == ["inner:cancelled", "outer:cancelled"]
    assert source.closed == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_second_reader_is_refused_and_the_first_one_goes_on(backend: Any) -> None:
    mode, source = Mode(backend), Waiting(text_events("a", end=False))

    async def body() -> None:
        stream = await ended(mode, [], source)
        for _ in range(4):
            await anext(stream)
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as group:
                group.start_soon(stream.__anext__)
                await anyio.sleep(0.01)
                with pytest.raises(SetupError, match="is being read already"):
                    await anext(stream)
                assert stream.outcome is None
                group.cancel_scope.cancel()
        with pytest.raises(StopAsyncIteration):  # the one that was cancelled has ended it
            await anext(stream)

    mode.run(body)


def test_a_cancelled_task_of_asyncio_is_told_once() -> None:
    seen: list[str] = []
    source = Waiting(text_events("a", end=False))

    async def body() -> None:
        stream = await ended(Mode("asyncio"), seen, source)
        task = asyncio.create_task(stream.auntil_done())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())

    assert seen == ["inner:cancelled", "outer:cancelled"]


def test_ctrl_c_while_reading_is_told_once() -> None:
    seen: list[str] = []
    source = Source(text_events("a", end=False), KeyboardInterrupt())

    async def body() -> None:
        stream = await ended(Mode("sync"), seen, source)
        with pytest.raises(KeyboardInterrupt):
            list(stream)

    Mode("sync").run(body)

    assert seen == ["inner:cancelled", "outer:cancelled"]
    assert source.closed == 1


def test_who_asks_after_the_end_is_told_at_once(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        stream = await open_stream(mode, Source(text_events("a")))
        await mode.until_done(stream)
        stream.on_end(lambda outcome: seen.append(outcome.kind))

        assert seen == ["completed"]

    mode.run(body)


def test_an_observer_that_raises_neither_reaches_the_reader_nor_the_next_observer(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        client = Client(Chain([streaming(lambda: Source(text_events("a")))]))
        stream = await mode.call(client.chain, stream=True)
        stream.on_end(lambda outcome: 1 / 0)
        stream.on_end(lambda outcome: seen.append(outcome.kind))

        response = await mode.until_done(stream)

        assert response.output_text == "a"
        assert seen == ["completed"]
        assert client.hook_errors == 1

    mode.run(body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("completed", "completed"), ("incomplete", "incomplete"), ("queued", "accepted"), ("in_progress", "accepted")],
)
def test_a_plain_reply_settles_at_once_by_its_status(mode: Mode, status: str, kind: str) -> None:
    seen: list[str] = []

    async def body() -> None:
        chain = [outcomes(seen, "outer"), outcomes(seen, "inner"), host(status=status)]
        await mode.call(Client(Chain(chain)).chain)

        assert seen == [f"inner:{kind}", f"outer:{kind}"]

    mode.run(body)


# --- splicing -------------------------------------------------------------------------------------------------------


def test_a_spliced_generator_is_closed_with_its_stream(mode: Mode) -> None:
    seen: list[str] = []

    @stage
    async def spliced(request: Request, call_next: Handler) -> Reply:
        async def events() -> AsyncIterator[Any]:
            try:
                for event in text_events("a"):
                    yield event
            finally:
                await request.context.runtime.sleep(0)
                seen.append("closed")

        return EventStream.of(events(), request.context)

    async def body() -> None:
        stream = await mode.call(Client(Chain([spliced, host()])).chain, stream=True)
        await mode.next(stream)
        await mode.close(stream)

        assert seen == ["closed"]

    mode.run(body)


TRIO_WARNS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of dropped generators


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("how", ["read", pytest.param("dropped", marks=TRIO_WARNS), "closed", "ended early", "raised"])
def test_a_stream_that_a_generator_reads_ends_before_the_one_that_is_made_of_it(
    mode: Mode, how: str, stages: int
) -> None:
    seen: list[str] = []

    @stage
    async def read_through(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        assert isinstance(reply, EventStream)

        async def events() -> AsyncIterator[Any]:
            while batch := await reply.batch():
                for event in batch:
                    yield event
                    if how == "raised":
                        raise ValueError("of the stage")
                    if how == "ended early":
                        yield text_events("a")[-1]

        return EventStream.of(events(), request.context)

    def note(signal: Any) -> None:
        if signal.name in ("attempt.end", "call.end"):
            seen.append(f"{signal.name}:{signal.outcome.kind}")

    async def body() -> None:
        client = Client(Chain([read_through] * stages + [presets.responses]), hooks=[note], transport=scripted("a b c"))
        stream = await mode.call(client.chain, model="scripted/echo", stream=True)
        await mode.next(stream)
        if how == "closed":
            await mode.close(stream)
        elif how == "raised":
            with pytest.raises(ValueError, match="of the stage"):
                await mode.events(stream)
        elif how != "dropped":
            await mode.events(stream)
        del stream
        gc.collect()

    mode.run(body)

    inner = "completed" if how == "read" else "abandoned"
    outer = {"read": "completed", "ended early": "completed", "raised": "failed"}.get(how, "abandoned")
    assert seen == [f"attempt.end:{inner}", f"call.end:{outer}"]


def test_events_that_are_all_there_make_a_stream(mode: Mode) -> None:
    async def body() -> None:
        stream = await mode.call(Client(Chain([host("Hi you.")])).chain, stream=True)

        assert (await mode.until_done(stream)).output_text == answer("Hi you.").output_text

    mode.run(body)


# --- what is waited for before the end ------------------------------------------------------------------------------


def awaited(seen: list[str]) -> FunctionStage:
    """Return a stage that notes that it was waited for, and with which outcome."""

    @stage
    async def wait(request: Request, call_next: Handler) -> Reply:
        async def before_end(outcome: Outcome) -> None:
            await request.context.runtime.sleep(0.001)
            seen.append(f"before:{outcome.kind}")

        reply = await call_next(request)
        assert isinstance(reply, EventStream)
        await reply.before_end(before_end)
        return reply

    return wait


def test_what_has_to_be_done_before_the_end_is_done_when_the_reader_sees_it(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []
        stream = await open_stream(
            mode, Source(*one_by_one(text_events("Hel", "lo"))), outcomes(seen, "outer"), awaited(seen)
        )
        while not isinstance(await mode.next(stream), ev.ResponseCompleted):
            assert seen == []
        assert seen == ["before:completed", "outer:completed"]
        await mode.events(stream)
        assert len(seen) == 2

    mode.run(body)


def test_it_is_done_at_once_for_a_stream_whose_end_has_come(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []
        stream = await open_stream(mode, Source(text_events("Hello")), awaited(seen), Retry())

        assert seen == ["before:completed"]
        await mode.events(stream)
        assert seen == ["before:completed"]

    mode.run(body)


def test_it_is_done_for_a_stream_that_breaks_or_is_let_go(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []
        broken = Source(text_events("Hel", end=False), APIConnectionError("reset"))
        stream = await open_stream(mode, broken, outcomes(seen, "outer"), awaited(seen))
        with pytest.raises(StreamInterrupted):
            await mode.events(stream)
        assert seen == ["before:failed", "outer:failed"]

        left = Source(text_events("Hel", end=False))
        stream = await open_stream(mode, left, outcomes(seen, "outer"), awaited(seen))
        await mode.next(stream)
        await mode.close(stream)
        assert seen[2:] == ["before:abandoned", "outer:abandoned"]
        assert (broken.closed, left.closed) == (1, 1)

    mode.run(body)


def test_it_is_done_for_a_stream_of_which_another_was_made(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []
        source = Source(text_events("Hel", end=False))
        stream = await open_stream(mode, source, respun, outcomes(seen, "inner"), awaited(seen))
        await mode.next(stream)
        await mode.close(stream)
        assert sorted(seen) == ["before:abandoned", "inner:abandoned"]
        assert source.closed == 1

    mode.run(body)


@stage
async def respun(request: Request, call_next: Handler) -> Reply:
    reply = await call_next(request)
    assert isinstance(reply, EventStream)
    return reply.translated(lambda event: [event])


@pytest.mark.parametrize("outer", [[], [respun]], ids=["itself", "in another one"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_there_is_no_time_for_it_in_a_cancelled_stream(backend: Any, outer: list[FunctionStage]) -> None:
    async def body() -> None:
        seen: list[str] = []
        stream = await open_stream(Mode(backend), Waiting(), *outer, outcomes(seen, "outer"), awaited(seen))
        with anyio.move_on_after(0.02):
            await anext(stream)
        assert seen == ["outer:cancelled"]

    anyio.run(body, backend=backend)
