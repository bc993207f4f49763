"""Hooks as a stage."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.errors import StageError
from antiphon.pipeline.signals import Signal
from antiphon.stages.observe import Observe
from antiphon.testing import scripted

SLOW_DOWN = {"status": 429, "body": {"error": {"message": "slow down"}}}
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


def test_an_async_hook_is_refused_with_the_fix(mode: Mode) -> None:
    async def hook(signal: Signal) -> None:
        pass

    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.before(0, Observe(on_call_end=hook)))
        with pytest.raises(StageError, match="observe: hook is async; hooks are plain functions") as caught:
            await mode.call(client.chain, model="openai/m")

        assert "put what the hook sees into a queue" in str(caught.value)

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
