"""What is repeated, how often, and when."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from hand_made import Source, one_by_one, outcomes, streamed_body, streaming, text_events

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    RateLimitError,
    StageError,
    StreamInterrupted,
)
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.stages.retry import Retry
from antiphon.testing import ScriptedClient, scripted

QUICK = presets.responses.with_(retry={"base_delay_s": 0})
SLOW_DOWN = {"status": 429, "body": {"error": {"message": "slow down"}}}


def client_of(*answers: Any, **settings: Any) -> ScriptedClient:
    return scripted(*answers, chain=QUICK.with_(retry=settings))


def slow_down(**headers: str) -> dict[str, Any]:
    return {**SLOW_DOWN, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_passing_failures_are_repeated(mode: Mode, streamed: bool, status: int) -> None:
    async def body() -> None:
        client = client_of({"status": status, "body": {"error": {"message": "not now"}}}, "Hello.")

        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.output_text == "Hello."
        assert response.meta is not None
        assert [attempt.number for attempt in response.meta.attempts] == [1, 2]

    mode.run(body)


def test_connections_are_repeated(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = client_of(APIConnectionError("refused"), "Hello.")

        assert (await mode.response(client.chain, model="openai/m", streamed=streamed)).output_text == "Hello."

    mode.run(body)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_other_failures_are_not(mode: Mode, streamed: bool, status: int) -> None:
    async def body() -> None:
        client = client_of({"status": status, "body": {"error": {"message": "no"}}}, "Hello.")

        with pytest.raises(APIStatusError):
            await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert len(client.requests) == 1

    mode.run(body)


@pytest.mark.parametrize("error", [ZeroDivisionError("of a stage"), APIResponseError("no JSON")])
def test_what_no_repeat_would_change_is_not_repeated(mode: Mode, error: Exception) -> None:
    async def body() -> None:
        client = client_of(error, "Hello.")

        with pytest.raises(type(error)):
            await mode.call(client.chain, model="openai/m")

        assert len(client.requests) == 1

    mode.run(body)


def test_the_host_may_forbid_a_repeat(mode: Mode) -> None:
    async def body() -> None:
        client = client_of(slow_down(x_should_retry="false"), "Hello.")

        with pytest.raises(RateLimitError):
            await mode.call(client.chain, model="openai/m")

        assert len(client.requests) == 1

    mode.run(body)


def test_attempts_are_bounded_and_the_last_error_is_raised_unchanged(mode: Mode) -> None:
    async def body() -> None:
        errors = [InternalServerError("one"), RateLimitError("two"), InternalServerError("three")]
        client = client_of(*errors)

        with pytest.raises(InternalServerError) as caught:
            await mode.call(client.chain, model="openai/m")

        assert caught.value is errors[2]
        assert caught.value.attempts == 3
        assert caught.value.__cause__ is None

    mode.run(body)


def test_a_passing_failure_after_which_comes_another_kind_is_the_end(mode: Mode) -> None:
    async def body() -> None:
        client = client_of(SLOW_DOWN, {"status": 400, "body": {}}, "Hello.")

        with pytest.raises(BadRequestError) as caught:
            await mode.call(client.chain, model="openai/m")

        assert caught.value.attempts == 2

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "tries"), [({"num_retries": 0}, 1), ({"num_retries": 4}, 5), ({"max_retries": 1}, 2), ({}, 3)]
)
def test_the_call_may_say_how_often(mode: Mode, given: dict[str, int], tries: int) -> None:
    async def body() -> None:
        client = client_of(SLOW_DOWN)

        with pytest.raises(RateLimitError):
            await mode.call(client.chain, model="openai/m", **given)

        assert len(client.requests) == tries

    mode.run(body)


def test_it_works_inside_a_nested_chain(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        nested = Chain([*QUICK.stages[:3], Chain(QUICK.stages[3:], name="inner")])
        client = scripted(SLOW_DOWN, "Hello.", chain=nested)

        assert (await mode.response(client.chain, model="openai/m", streamed=streamed)).output_text == "Hello."
        assert len(client.requests) == 2

    mode.run(body)


def test_stages_inside_see_every_attempt_and_those_outside_the_call(mode: Mode, streamed: bool) -> None:
    seen: list[str] = []

    def counting(name: str) -> Any:
        @stage
        async def count(request: Request, call_next: Handler) -> Reply:
            seen.append(name)
            return await call_next(request)

        return count

    async def body() -> None:
        chain = QUICK.before("retry", counting("call")).after("retry", counting("attempt"))
        await mode.response(scripted(SLOW_DOWN, "Hello.", chain=chain).chain, model="openai/m", streamed=streamed)

        assert seen == ["call", "attempt", "attempt"]

    mode.run(body)


# --- waits ----------------------------------------------------------------------------------------------------------


def test_waits_double_within_their_bounds() -> None:
    retry = Retry(base_delay_s=1.0, max_delay_s=5.0)
    error = RateLimitError("x")

    for attempt, ceiling in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (10, 5.0), (5000, 5.0)]:
        waits = [retry.delay_s(attempt, error) for _ in range(50)]
        assert ceiling / 2 <= min(waits) <= max(waits) <= ceiling
        assert len(set(waits)) > 1


def test_the_hosts_wish_wins_over_the_computed_wait() -> None:
    retry = Retry(base_delay_s=1.0, max_delay_s=5.0)

    assert retry.delay_s(1, RateLimitError("x", retry_after_s=17.0)) == 17.0
    assert retry.delay_s(1, RateLimitError("x", retry_after_s=0.0)) <= 1.0


def test_the_hosts_wish_is_obeyed(mode: Mode) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = client_of(slow_down(retry_after_ms="3"), "Hello.", base_delay_s=60)

        await mode.call(client.chain, model="openai/m", hooks=[seen.append])

        assert [signal.delay_s for signal in seen if signal.name == "retry.scheduled"] == [0.003]

    mode.run(body)


def test_a_host_that_asks_for_too_much_is_not_asked_again(mode: Mode) -> None:
    async def body() -> None:
        client = client_of(slow_down(retry_after="61"), "Hello.")

        with pytest.raises(RateLimitError) as caught:
            await mode.call(client.chain, model="openai/m")

        assert caught.value.retry_after_s == 61
        assert len(client.requests) == 1

    mode.run(body)


def test_nothing_is_repeated_beyond_the_total_limit(mode: Mode) -> None:
    async def body() -> None:
        client = client_of(SLOW_DOWN, "Hello.", base_delay_s=50, max_delay_s=50)

        with pytest.raises(RateLimitError):
            await mode.call(client.chain, model="openai/m", timeout=20)

        assert len(client.requests) == 1

    mode.run(body)


@pytest.mark.parametrize("settings", [{"attempts": 0}, {"base_delay_s": -1}, {"attempts": 2.5}])
def test_senseless_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(StageError, match=f"stage Retry: {next(iter(settings))} is "):
        Retry(**settings)


# --- streams --------------------------------------------------------------------------------------------------------


def head(end: str | None = None) -> list[ev.Event]:
    assembler = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
    assembler.start()
    if end:
        assembler.end(status=end)
    return assembler.take()


def failed_head() -> dict[str, Any]:
    assembler = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
    said = {"code": "server_error", "message": "overloaded"}
    assembler.start()
    assembler.end(status="failed", error=said)
    return streamed_body(assembler.take())


ERROR_EVENT = (
    b'event: error\ndata: {"type":"error","code":"server_error","message":"overloaded","sequence_number":2}\n\n'
)


@pytest.mark.parametrize(
    "broken",
    [
        failed_head(),
        streamed_body(head(), ERROR_EVENT),
        streamed_body(head()),
        streamed_body([]),
    ],
    ids=["failed", "error event", "cut", "empty"],
)
def test_a_stream_that_fails_before_its_content_is_repeated_unseen(mode: Mode, broken: dict[str, Any]) -> None:
    async def body() -> None:
        client = client_of(broken, "Hello there.")
        stream = await mode.call(client.chain, model="openai/m", stream=True)

        events = await mode.events(stream)

        assert check_grammar(events) == []
        assert sum(isinstance(event, ev.ResponseCreated) for event in events) == 1
        assert [attempt.outcome for attempt in stream.meta.attempts] == ["failed", "completed"]

    mode.run(body)


def test_a_stream_is_not_repeated_after_its_first_content(mode: Mode) -> None:
    async def body() -> None:
        client = client_of(streamed_body(text_events("Hel", end=False)), "Hello there.")
        stream = await mode.call(client.chain, model="openai/m", stream=True)

        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)

        assert len(client.requests) == 1
        assert caught.value.response is not None
        assert caught.value.response.output_text == "Hel"

    mode.run(body)


def test_an_error_event_after_content_is_not_repeated(mode: Mode) -> None:
    async def body() -> None:
        client = client_of(streamed_body(text_events("Hel", end=False), ERROR_EVENT), "Hello there.")
        stream = await mode.call(client.chain, model="openai/m", stream=True)

        with pytest.raises(APIStatusError, match="overloaded"):
            await mode.events(stream)

        assert len(client.requests) == 1

    mode.run(body)


def test_leading_events_are_held_back_until_the_content(mode: Mode) -> None:
    async def body() -> None:
        events = text_events("a", "b")
        source = Source(*one_by_one(events))
        chain = Client(Chain([Retry(), streaming(lambda: source)])).chain

        stream = await mode.call(chain, stream=True)

        assert len(source.steps) == len(events) - 3
        assert await mode.events(stream) == events

    mode.run(body)


def test_a_background_response_is_committed_with_its_head(mode: Mode) -> None:
    async def body() -> None:
        events = text_events("a", "b")
        source = Source(*one_by_one(events))
        chain = Client(Chain([Retry(), streaming(lambda: source)])).chain

        stream = await mode.call(chain, stream=True, background=True)

        assert len(source.steps) == len(events) - 1
        assert await mode.events(stream) == events

    mode.run(body)


def test_each_attempt_settles_before_the_call_does(mode: Mode) -> None:
    seen: list[str] = []

    async def body() -> None:
        chain = QUICK.before("retry", outcomes(seen, "call")).after("retry", outcomes(seen, "attempt"))
        client = scripted(failed_head(), "Hello.", chain=chain)
        await mode.response(client.chain, model="openai/m", streamed=True)

        assert seen == ["attempt:failed", "attempt:completed", "call:completed"]

    mode.run(body)
