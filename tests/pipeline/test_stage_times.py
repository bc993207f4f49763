"""A traced call tells the stages' own work from the wait for the host."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode

from antiphon import APITimeoutError, Cache, ConcurrencyLimit, presets
from antiphon.testing import scripted


def slow(body: dict[str, Any]) -> str:
    time.sleep(0.1)
    return "at last"


def test_the_wait_for_the_host_is_no_stages_own_work(mode: Mode, streamed: bool) -> None:
    client = scripted(slow)

    async def body() -> None:
        response = await mode.response(client.chain, model="openai/gpt-5", streamed=streamed, trace=True)

        assert response.meta is not None
        times = {stage.name: stage for stage in response.meta.stages}
        assert list(times) == [stage.name for stage in client.chain.flat()]
        assert times["dispatch"].waited_s >= 0.1
        assert max(stage.own_s for stage in times.values()) < 0.1
        waiting = {name for name, stage in times.items() if stage.waited_s > 0}
        assert waiting == ({"retry", "dispatch"} if streamed else {"dispatch"})
        await mode.close(client)

    mode.run(body)


def test_the_wait_for_a_key_is_no_stages_own_work(mode: Mode, streamed: bool) -> None:
    def key() -> str:
        time.sleep(0.1)
        return "sk-given"

    client = scripted("at last")

    async def body() -> None:
        response = await mode.response(client.chain, model="openai/gpt-5", streamed=streamed, trace=True, api_key=key)

        times = {stage.name: stage for stage in response.meta.stages}
        assert times["dispatch"].waited_s >= 0.1
        assert max(stage.own_s for stage in times.values()) < 0.1
        await mode.close(client)

    mode.run(body)


def test_the_time_until_the_next_attempt_is_waited_for(mode: Mode, streamed: bool) -> None:
    busy = {"status": 503, "headers": {"retry-after-ms": "20"}, "body": {"error": {"message": "busy"}}}
    client = scripted(busy, busy, "at last")

    async def body() -> None:
        response = await mode.response(client.chain, model="openai/gpt-5", streamed=streamed, trace=True)

        assert response.meta is not None
        assert {stage.name: stage for stage in response.meta.stages}["retry"].waited_s >= 0.04
        await mode.close(client)

    mode.run(body)


def test_the_wait_for_a_place_is_told_apart(mode: Mode) -> None:
    client = scripted("one", "two", chain=presets.responses.before("retry", ConcurrencyLimit(1)))

    async def body() -> None:
        holds_it = await mode.call(client.chain, model="openai/gpt-5", stream=True)
        with pytest.raises(APITimeoutError) as caught:
            await mode.call(client.chain, model="openai/gpt-5", trace=True, timeout=0.02)

        assert caught.value.meta is not None
        times = {stage.name: stage for stage in caught.value.meta.stages}
        assert times["concurrency_limit"].waited_s > 0
        assert times["validate"].waited_s == 0
        await mode.close(holds_it)
        await mode.close(client)

    mode.run(body)


def test_the_wait_for_a_store_outside_of_this_process_is_told_apart(mode: Mode, streamed: bool, tmp_path: Path) -> None:
    cached = Cache(state_store=f"sqlite:///{tmp_path / 'answers.db'}")
    client = scripted("one", chain=presets.responses.before("retry", cached))

    async def body() -> None:
        response = await mode.response(client.chain, model="openai/gpt-5", streamed=streamed, trace=True)

        assert response.meta is not None
        times = {stage.name: stage for stage in response.meta.stages}
        assert times["cache"].waited_s > 0
        assert times["remember"].waited_s == 0
        await mode.close(client)

    mode.run(body)
