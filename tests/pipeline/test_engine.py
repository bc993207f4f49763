"""Running calls: keywords, outcomes, signals, hooks, and closing."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import anyio
import pytest
from conftest import Mode
from hand_made import Source, host, one_by_one, streaming, text_events

from antiphon import NULL, presets
from antiphon.client import Client
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    APIStatusError,
    BadRequestError,
    CallError,
    InvalidParameter,
    RateLimitError,
    SetupError,
    UnknownKeyword,
)
from antiphon.pipeline.function_stages import before, stage
from antiphon.pipeline.reply import Meta, Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import AttemptEnded, AttemptStarted, CallEnded, CallStarted, RetryScheduled, Signal
from antiphon.pipeline.stage import Option, Scope, Stage
from antiphon.stages.observe import Observe
from antiphon.testing import scripted

SLOW_DOWN = {"status": 429, "body": {"error": {"message": "slow down"}}}
BAD = {"status": 400, "body": {"error": {"message": "no"}}}
QUICK = presets.responses.with_(retry={"base_delay_s": 0})


def look(seen: list[Request]) -> Any:
    return before(lambda request: seen.append(request))


# --- keywords -------------------------------------------------------------------------------------------------------


def test_an_unknown_keyword_gets_a_suggestion(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        with pytest.raises(UnknownKeyword) as caught:
            await mode.call(client.chain, model="openai/m", temprature=1)

        assert '"temprature" is neither a parameter of the API nor an option of a stage' in str(caught.value)
        assert 'did you mean "temperature"?' in str(caught.value)
        assert 'extra_body={"temprature": ...}' in str(caught.value)
        assert isinstance(caught.value, TypeError)
        assert client.requests == []

    mode.run(body)


def test_an_option_that_no_stage_reads_is_an_error(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.without("retry"))

        with pytest.raises(UnknownKeyword, match='"num_retries" is neither'):
            await mode.call(client.chain, model="openai/m", num_retries=2)

    mode.run(body)


def test_none_means_not_given(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        await mode.call(client.chain, model="openai/m", temperature=None, num_retries=None, timeout=None)

        assert client.requests == [{"model": "m", "input": "Hi"}]

    mode.run(body)


def test_none_for_an_unknown_keyword_is_still_an_error(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(UnknownKeyword):
            await mode.call(scripted("Hello.").chain, model="openai/m", temprature=None)

    mode.run(body)


def test_null_is_sent_as_null(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        await mode.call(client.chain, model="openai/m", temperature=NULL, extra_body={"top_k": 1})

        assert client.requests == [{"model": "m", "input": "Hi", "temperature": None, "top_k": 1}]

    mode.run(body)


def test_null_without_a_stage_that_sends_it_is_refused(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(CallError, match='NULL needs a chain whose stages read "extra_body"'):
            await mode.call(Client(Chain([host()])).chain, temperature=NULL)

    mode.run(body)


def test_an_option_of_the_wrong_type_is_refused(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match='option "num_retries" is str; int is expected'):
            await mode.call(scripted("Hello.").chain, model="openai/m", num_retries="3")

    mode.run(body)


def test_parameters_and_options_reach_the_stages_apart(mode: Mode) -> None:
    seen: list[Request] = []

    async def body() -> None:
        @stage(options=(Option("mood", (str,)),))
        async def moody(request: Request, call_next: Handler) -> Reply:
            return await call_next(request)

        chain = Client(Chain([look(seen), moody, host()])).chain
        await mode.call(chain, model="a/b", mood="merry")

        assert seen[0].model == "a/b"
        assert dict(seen[0].options) == {"mood": "merry"}
        assert repr(seen[0]).startswith("Request(create, model='a/b', ")

    mode.run(body)


# --- errors and replies carry the facts -----------------------------------------------------------------------------


def test_every_reply_carries_meta(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        response = await mode.response(scripted("Hello.").chain, model="openai/m", streamed=streamed)

        assert response.meta is not None
        assert (response.meta.provider, response.meta.model, response.meta.dialect) == ("openai", "m", "responses")
        assert response.meta.status == 200
        assert response.meta.duration_s > 0
        assert [attempt.number for attempt in response.meta.attempts] == [1]

    mode.run(body)


def test_what_a_stage_says_after_the_answer_is_in_the_meta(mode: Mode, streamed: bool) -> None:
    met: list[Meta] = []

    @stage
    async def late(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        met.append(reply.meta)
        request.context.note("Said late.")
        request.context.drop("user", "not of use")
        met.append(reply.meta)
        return reply

    async def body() -> None:
        ends: list[Any] = []
        client = scripted("Hello.", chain=presets.responses.before("retry", late), hooks=[ends.append])

        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert [(meta.provider, meta.notes) for meta in met] == [("openai", ()), ("openai", ("Said late.",))]
        assert response.meta.notes == ("Said late.",)
        assert [dropped.name for dropped in response.meta.dropped] == ["user"]
        assert response.meta == ends[-1].meta

    mode.run(body)


@pytest.mark.parametrize("is_broken", [False, True], ids=["a call that answers", "a call that fails afterwards"])
def test_a_reply_that_a_stage_has_kept_tells_the_whole_call_and_holds_none_of_it(mode: Mode, is_broken: bool) -> None:
    kept: list[Response] = []

    @stage
    async def keep(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        assert isinstance(reply, Response)
        kept.append(reply)
        request.context.note("Said late.")
        if is_broken:
            raise ZeroDivisionError
        return reply

    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.before("transform", keep))

        with pytest.raises(ZeroDivisionError) if is_broken else nullcontext():
            response = await mode.call(client.chain, model="openai/m")
            assert response.meta == kept[0].meta
            assert response.id != kept[0].id

        assert kept[0].meta.notes == ("Said late.",)
        assert kept[0].meta is kept[0].meta
        assert kept[0].facts is not None
        assert kept[0].facts.call is None

    mode.run(body)


def test_every_error_carries_meta(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        with pytest.raises(BadRequestError) as caught:
            await mode.call(scripted(BAD).chain, model="openai/m", stream=streamed)

        assert caught.value.meta is not None
        assert caught.value.meta.status == 400
        assert [attempt.error for attempt in caught.value.meta.attempts] == ["BadRequestError"]

    mode.run(body)


def test_an_error_of_a_stage_passes_unchanged(mode: Mode) -> None:
    own = ZeroDivisionError("mine")

    async def body() -> None:
        def fail(request: Request) -> None:
            raise own

        with pytest.raises(ZeroDivisionError) as caught:
            await mode.call(Client(Chain([before(fail), host()])).chain)

        assert caught.value is own

    mode.run(body)


# --- the one end of a call ------------------------------------------------------------------------------------------


def ends(signals: list[Any]) -> list[str]:
    return [signal.kind for signal in signals if isinstance(signal, CallEnded)]


def test_a_call_has_one_start_and_one_end(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = scripted("Hello there.", hooks=[seen.append])
        await mode.response(client.chain, model="openai/m", streamed=streamed)

        first, last = seen[0], seen[-1]
        assert (type(first), type(last)) == (CallStarted, CallEnded)
        assert len([signal for signal in seen if isinstance(signal, CallStarted | CallEnded)]) == 2
        assert (first.model, first.streamed, first.operation) == ("openai/m", streamed, "create")
        assert (last.kind, last.meta.provider, last.usage.total_tokens > 0) == ("completed", "openai", True)
        assert last.outcome.response.output_text == "Hello there."
        assert len({signal.call_id for signal in seen}) == 1

    mode.run(body)


def test_a_failed_call_ends_once(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = scripted(BAD, hooks=[seen.append])
        with pytest.raises(BadRequestError) as caught:
            await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert ends(seen) == ["failed"]
        assert seen[-1].outcome.error is caught.value

    mode.run(body)


def test_a_refused_call_ends_once(mode: Mode) -> None:
    async def body() -> None:
        seen: list[Any] = []
        with pytest.raises(InvalidParameter):
            await mode.call(scripted("Hello.", hooks=[seen.append]).chain, model="openai/m", temperature="hot")

        assert [type(signal) for signal in seen] == [CallStarted, CallEnded]
        assert ends(seen) == ["failed"]

    mode.run(body)


def test_an_incomplete_response_ends_incomplete(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = scripted({"status": "incomplete", "incomplete_details": {"reason": "x"}}, hooks=[seen.append])
        await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert ends(seen) == ["incomplete"]

    mode.run(body)


def test_a_failed_response_inside_a_200_fails(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Any] = []
        failed = {"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}}
        with pytest.raises(APIStatusError) as caught:
            await mode.response(
                scripted(failed, hooks=[seen.append]).chain, model="openai/m", num_retries=0, streamed=streamed
            )

        assert caught.value.response is not None
        assert caught.value.response.status == "failed"
        assert ends(seen) == ["failed"]

    mode.run(body)


def test_a_stream_left_early_ends_abandoned(mode: Mode) -> None:
    async def body() -> None:
        seen: list[Any] = []
        stream = await mode.call(scripted("Hello.", hooks=[seen.append]).chain, model="openai/m", stream=True)
        await mode.next(stream)
        assert ends(seen) == []
        await mode.close(stream)

        assert ends(seen) == ["abandoned"]
        assert [attempt.outcome for attempt in stream.meta.attempts] == ["abandoned"]

    mode.run(body)


def test_ctrl_c_in_a_stage_ends_cancelled() -> None:
    seen: list[Any] = []

    def interrupt(request: Request) -> None:
        raise KeyboardInterrupt

    client = Client(Chain([before(interrupt), host()]), hooks=[seen.append])
    with pytest.raises(KeyboardInterrupt):
        client.chain.invoke("Hi")

    assert ends(seen) == ["cancelled"]
    assert isinstance(seen[-1].outcome.error, KeyboardInterrupt)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_call_ends_cancelled(backend: str) -> None:
    seen: list[Any] = []

    @stage(terminal=True)
    async def never(request: Request, call_next: Handler) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    async def body() -> None:
        client = Client(Chain([never]), hooks=[seen.append])
        with anyio.move_on_after(0.01):
            await client.chain.ainvoke("Hi")

    anyio.run(body, backend=backend)

    assert ends(seen) == ["cancelled"]


# --- signals --------------------------------------------------------------------------------------------------------


def test_signals_come_in_order(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Signal] = []
        client = scripted(SLOW_DOWN, "Hello.", chain=QUICK, hooks=[seen.append])
        await mode.response(client.chain, model="openai/m", streamed=streamed)

        expected = [
            "call.start",
            "attempt.start",
            "attempt.end",
            "retry.scheduled",
            "attempt.start",
            *(["stream.first_event"] if streamed else []),
            "attempt.end",
            "call.end",
        ]
        assert [signal.name for signal in seen] == expected
        assert [signal.at_s for signal in seen] == sorted(signal.at_s for signal in seen)

    mode.run(body)


def test_attempts_are_numbered_and_tell_how_they_ended(mode: Mode) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = scripted(SLOW_DOWN, SLOW_DOWN, "Hello.", chain=QUICK, hooks=[seen.append])
        await mode.call(client.chain, model="openai/m")

        started = [signal.attempt for signal in seen if isinstance(signal, AttemptStarted)]
        ended = [signal.attempt for signal in seen if isinstance(signal, AttemptEnded)]
        assert [(attempt.number, attempt.outcome) for attempt in started] == [(1, "open"), (2, "open"), (3, "open")]
        assert [(attempt.number, attempt.outcome, attempt.error, attempt.status) for attempt in ended] == [
            (1, "failed", "RateLimitError", 429),
            (2, "failed", "RateLimitError", 429),
            (3, "completed", None, 200),
        ]
        retries = [(signal.attempt, signal.error) for signal in seen if isinstance(signal, RetryScheduled)]
        assert retries == [(1, "RateLimitError"), (2, "RateLimitError")]

    mode.run(body)


def test_hooks_of_a_call_get_that_calls_signals_only(mode: Mode) -> None:
    async def body() -> None:
        own: list[Any] = []
        every: list[Any] = []
        client = scripted("Hello.", hooks=[every.append])
        await mode.call(client.chain, model="openai/m", hooks=[own.append])
        await mode.call(client.chain, model="openai/m")

        assert len({signal.call_id for signal in own}) == 1
        assert len({signal.call_id for signal in every}) == 2
        assert [signal.name for signal in own] == ["call.start", "attempt.start", "attempt.end", "call.end"]

    mode.run(body)


def test_hooks_of_call_client_and_chain_are_told_once_each(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: dict[str, list[str]] = {"call": [], "client": [], "chain": []}
        chain = presets.responses.before(0, Observe(on_signal=lambda signal: seen["chain"].append(signal.name)))
        client = scripted("Hello.", chain=chain, hooks=[lambda signal: seen["client"].append(signal.name)])
        own = [lambda signal: seen["call"].append(signal.name), *client.engine.hooks]
        await mode.response(client.chain, model="openai/m", hooks=own, streamed=streamed)

        assert seen["call"] == seen["client"] == seen["chain"]
        assert seen["call"].count("call.end") == 1

    mode.run(body)


def test_a_hook_that_raises_never_reaches_the_call_and_is_counted(
    mode: Mode, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        seen: list[Any] = []

        def broken(signal: Signal) -> None:
            raise ZeroDivisionError("in a hook")

        client = scripted("Hello.", hooks=[broken, seen.append])
        with caplog.at_level(logging.WARNING, logger="antiphon"):
            response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.output_text == "Hello."
        assert client.hook_errors == len(seen)
        assert ends(seen) == ["completed"]  # the other hook missed nothing
        assert len(caplog.records) == 1
        assert "a hook failed: ZeroDivisionError('in a hook')" in caplog.text

    mode.run(body)


@pytest.mark.parametrize("at", ["call.start", "call.end"])
def test_ctrl_c_in_a_hook_keeps_no_other_from_the_start_or_the_end(mode: Mode, streamed: bool, at: str) -> None:
    async def body() -> None:
        seen: list[str] = []

        def interrupt(signal: Signal) -> None:
            if signal.name == at:
                raise KeyboardInterrupt

        client = scripted("Hello.", hooks=[interrupt, lambda signal: seen.append(signal.name)])
        with pytest.raises(KeyboardInterrupt):
            await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert (seen.count("call.start"), seen.count("call.end")) == (1, 1)

    mode.run(body)


def test_a_chain_and_those_bound_to_it_share_what_their_stages_keep(mode: Mode) -> None:
    made: list[str] = []

    class Counting(Stage, frozen=True):
        def setup(self, scope: Scope) -> object:
            made.append(scope.position)
            return made

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            assert request.context.state_of(self, list) is made
            return await call_next(request)

    async def body() -> None:
        chain = Chain([Counting(), host()])
        one, other = Client(chain), Client(chain)
        for bound in (one.chain, one.chain.bind(user="ann"), one.chain.bind(user="bob").bind(store=False)):
            await mode.call(bound)
        assert made == ["chain[0] counting"]
        await mode.call(other.chain)
        await mode.call(one.chain.named("other"))  # another chain, by another place
        assert made == ["chain[0] counting", "chain[0] counting", "other[0] counting"]

    mode.run(body)


@pytest.mark.parametrize(
    ("hook", "said"), [("print", "str"), (Observe, "the class Observe"), (Observe(), "Observe"), (None, "NoneType")]
)
def test_what_is_no_function_is_no_hook(mode: Mode, hook: Any, said: str) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match=f"hooks holds {said}; functions of one signal"):
            await mode.call(scripted("Hello.").chain, model="openai/m", hooks=[hook])
        with pytest.raises(InvalidParameter, match=f"hooks holds {said}"):
            Client(hooks=[hook])

    mode.run(body)


# --- the engine's own life ------------------------------------------------------------------------------------------


def test_a_closed_client_runs_no_further_call(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await mode.call(client.chain, model="openai/m")
        await mode.close(client)

        with pytest.raises(SetupError, match="this client is closed"):
            await mode.call(client.chain, model="openai/m")

    mode.run(body)


def test_an_unknown_way_of_blocking_is_refused() -> None:
    with pytest.raises(SetupError, match='blocking is "thread"; "step" or "portal" is expected'):
        Client(blocking="thread")  # type: ignore[arg-type]


def test_the_total_limit_of_a_call_ends_with_it(mode: Mode) -> None:
    seen: list[float] = []

    async def body() -> None:
        note = before(lambda request: seen.append(request.context.time_left()))
        chain = Client(Chain([note, host()])).chain
        await mode.call(chain, timeout=7)
        await mode.call(chain)

        assert 6 < seen[0] <= 7
        assert 599 < seen[1] <= 600

    mode.run(body)


def test_one_chain_object_runs_on_two_clients(mode: Mode) -> None:
    async def body() -> None:
        first, second = scripted("First."), scripted("Second.")

        assert (await mode.call(first.chain, model="openai/m")).output_text == "First."
        assert (await mode.call(second.chain, model="openai/m")).output_text == "Second."
        again = first.chain.bind(second.engine)
        assert (await mode.call(again, model="openai/m")).output_text == "Second."

    mode.run(body)


def test_a_dropped_stream_frees_its_socket_and_ends_its_call(mode: Mode) -> None:
    async def body() -> None:
        seen: list[Any] = []
        source = Source(*one_by_one(text_events("a", "b")))
        client = Client(Chain([streaming(lambda: source)]), hooks=[seen.append])
        stream = await mode.call(client.chain, stream=True)
        await mode.next(stream)
        del stream

        assert ends(seen) == ["abandoned"]
        assert source.aborted == 1

    mode.run(body)


def test_the_last_error_of_a_call_is_raised_unchanged(mode: Mode) -> None:
    async def body() -> None:
        errors = [RateLimitError("one"), RateLimitError("two"), RateLimitError("three")]
        client = scripted(*errors, chain=QUICK)

        with pytest.raises(RateLimitError) as caught:
            await mode.call(client.chain, model="openai/m")

        assert caught.value is errors[2]
        assert caught.value.attempts == 3

    mode.run(body)
