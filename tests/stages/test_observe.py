"""Hooks as a stage."""

from __future__ import annotations

import contextvars
import gc
from typing import Any

import anyio
import pytest
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.errors import StageError
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import (
    CacheMissed,
    FallbackScheduled,
    ResponseSettled,
    Signal,
    ToolEnded,
    ToolStarted,
)
from antiphon.stages.observe import Observe
from antiphon.testing import scripted

SLOW_DOWN = {"status": 429, "body": {"error": {"message": "slow down"}}}
USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
QUICK = presets.responses.with_(retry={"base_delay_s": 0})


def test_each_hook_gets_the_signals_of_its_name(mode: Mode) -> None:
    seen: dict[str, list[str]] = {}

    def hook(name: str) -> Any:
        return lambda signal: seen.setdefault(name, []).append(signal.name)

    async def body() -> None:
        names = ["call_start", "call_end", "attempt_start", "attempt_end", "stream_first_event", "retry", "signal"]
        observe = Observe(**{f"on_{name}": hook(name) for name in names})
        client = scripted(SLOW_DOWN, "Hello.", chain=QUICK.before(0, observe))
        await mode.response(client.chain, model="openai/m", streamed=True)

        every = seen.pop("signal")
        assert seen == {
            "call_start": ["call.start"],
            "call_end": ["call.end"],
            "attempt_start": ["attempt.start"] * 2,
            "attempt_end": ["attempt.end"] * 2,
            "stream_first_event": ["stream.first_event"],
            "retry": ["retry.scheduled"],
        }
        assert sorted(every) == sorted(name for names in seen.values() for name in names)

    mode.run(body)


def test_inside_retry_every_attempt_is_a_call_of_its_own(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        outside: list[Signal] = []
        inside: list[Any] = []
        chain = QUICK.before("retry", Observe(on_signal=outside.append)).after(
            "retry", Observe(on_call_start=inside.append, on_call_end=inside.append)
        )
        client = scripted(SLOW_DOWN, "Hello.", chain=chain)
        await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert [signal.name for signal in inside] == ["call.start", "call.end"] * 2
        assert [signal.kind for signal in inside if signal.name == "call.end"] == ["failed", "completed"]
        assert [signal.name for signal in outside if signal.name.startswith("call")] == ["call.start", "call.end"]
        assert [signal.name for signal in outside].count("attempt.end") == 2

    mode.run(body)


def test_an_async_hook_runs_beside_the_call(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[str] = []

        async def hook(signal: Signal) -> None:
            await anyio.sleep(0.001)  # a real wait, in sync calls too
            seen.append(signal.name)

        client = scripted("Hello.", chain=presets.responses.before(0, Observe(on_call_start=hook, on_call_end=hook)))
        await mode.response(client.chain, model="openai/m", streamed=streamed)
        await mode.either(client.flush, client.aflush)

        assert seen == ["call.start", "call.end"]
        await mode.close(client)

    mode.run(body)


def test_only_and_when_choose_the_signals(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []
        failures: list[str] = []
        observe = Observe(
            on_signal=lambda signal: seen.append(signal.name),
            on_retry=lambda signal: seen.append("never"),
            only=("attempt.*", "call.end"),
        )
        failed = Observe(lambda signal: failures.append(signal.name), when=lambda signal: hasattr(signal, "kind"))
        client = scripted(SLOW_DOWN, "Hello.", chain=QUICK.before(0, observe, failed))
        await mode.call(client.chain, model="openai/m")

        assert seen == ["attempt.start", "attempt.end"] * 2 + ["call.end"]
        assert failures == ["call.end"]

    mode.run(body)


def test_a_signal_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    client = scripted("Hello.", chain=presets.responses.before(0, Observe(print, only=("call.ended",))))

    with pytest.raises(StageError, match=r'no signal is called "call.ended"; did you mean "call.end"\?'):
        client.chain.invoke("Hi", model="openai/m")


def test_every_signal_reaches_the_hook_of_its_name(mode: Mode) -> None:
    """Signals of stages that are not in the stock chain, sent by a stage of the test."""

    async def body() -> None:
        seen: list[str] = []
        sent: list[Signal] = []

        @stage
        async def sends(request: Request, call_next: Handler) -> Reply:
            context = request.context
            facts: dict[str, Any] = {"call_id": context.id, "operation": "create", "at_s": context.runtime.now()}
            tool: dict[str, Any] = {"tool": "add", "tool_call_id": "call_1"}
            context.drop("temperature", "it is a test")
            for signal in (
                FallbackScheduled(failed="a/m", next="b/m", error="RateLimitError", **facts),
                CacheMissed(key="k", **facts),
                ToolStarted(**tool, **facts),
                ToolEnded(**tool, duration_s=0.1, outcome="completed", **facts),
                ResponseSettled(response_id="resp_1", outcome="completed", **facts),
            ):
                sent.append(signal)
                context.emit(signal)
            return await call_next(request)

        names = ["fallback", "cache", "dropped", "tool_start", "tool_end", "response_settled"]
        hooks: dict[str, Any] = {
            f"on_{name}": lambda signal, name=name: seen.append(f"{name} {signal.name}") for name in names
        }
        client = scripted("Hello.", chain=presets.responses.before(0, Observe(**hooks), sends))
        await mode.call(client.chain, model="openai/m")

        assert seen == [
            "dropped dropped",
            "fallback fallback.scheduled",
            "cache cache.miss",
            "tool_start tool.start",
            "tool_end tool.end",
            "response_settled response.settled",
        ]

    mode.run(body)


def test_after_its_end_a_stage_hears_no_more_of_the_call(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []
        chain = QUICK.after("retry", Observe(lambda signal: seen.append(signal.name)))
        await mode.call(scripted(SLOW_DOWN, "Hello.", chain=chain).chain, model="openai/m")

        assert seen == ["call.start", "attempt.start", "attempt.end", "call.end"] * 2  # and no retry.scheduled

    mode.run(body)


def test_what_was_dropped_before_it_is_told_after_the_start(mode: Mode) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = scripted("Hello.", hooks=[seen.append])
        await mode.either(
            lambda: client.responses("Hi", "openai/m", litellm_call_id="x"),  # type: ignore[call-overload]
            lambda: client.aresponses("Hi", "openai/m", litellm_call_id="x"),  # type: ignore[call-overload]
        )

        assert [signal.name for signal in seen][:2] == ["call.start", "dropped"]
        assert seen[1].dropped.name == "litellm_call_id"

    mode.run(body)


def test_a_call_inside_a_call_names_its_parent(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Any] = []
        helper = scripted("Inside.", hooks=[seen.append])

        @stage
        async def asks(request: Request, call_next: Handler) -> Reply:
            await mode.call(helper.chain, model="openai/small")
            return await call_next(request)

        client = scripted("Hello.", chain=presets.responses.before("retry", asks), hooks=[seen.append])
        await mode.response(client.chain, model="openai/m", streamed=streamed)
        await mode.call(helper.chain, model="openai/small")

        starts = [signal for signal in seen if signal.name == "call.start"]
        assert [start.parent_id for start in starts] == [None, starts[0].call_id, None]
        ends = [signal for signal in seen if signal.name == "call.end"]
        assert [end.parent_id for end in ends] == [starts[0].call_id, None, None]

    mode.run(body)


def test_hooks_see_the_callers_context_variables(mode: Mode) -> None:
    """Of a stream that is dropped elsewhere, too: its end is told in the context in which it was asked for."""

    async def body() -> None:
        seen: list[tuple[str, str]] = []
        client = scripted("Hello.", hooks=[lambda signal: seen.append((signal.name, USER.get()))])
        token = USER.set("ann")
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        USER.reset(token)
        assert stream.outcome is None
        del stream
        gc.collect()

        assert seen[0] == ("call.start", "ann")
        assert seen[-1] == ("call.end", "ann")

    mode.run(body)


def test_a_hook_that_raises_is_counted_and_hides_nothing(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        seen: list[Any] = []

        def broken(signal: Signal) -> None:
            raise ZeroDivisionError

        observe = Observe(on_call_start=broken, on_call_end=seen.append)
        client = scripted("Hello.", chain=presets.responses.before(0, observe))
        response = await mode.call(client.chain, model="openai/m")

        assert response.output_text == "Hello."
        assert client.hook_errors == 1
        assert [signal.kind for signal in seen] == ["completed"]

    mode.run(body)
