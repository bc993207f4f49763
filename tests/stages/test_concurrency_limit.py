"""Only so many calls at once."""

from __future__ import annotations

import gc
import threading
from typing import Any

import anyio
import pytest
from conftest import Mode
from hand_made import answer, streaming, text_events

from antiphon import Chain, Client, ConcurrencyLimit, Handler, Reply, Request, presets
from antiphon.pipeline.errors import APITimeoutError
from antiphon.pipeline.function_stages import FunctionStage, stage
from antiphon.testing import scripted


class Crowd:
    """Counts who is inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.calls = 0
        self._lock = threading.Lock()

    def stage(self, seconds: float = 0.02, *, fails: bool = False) -> FunctionStage:
        @stage(terminal=True)
        async def host(request: Request, call_next: Handler) -> Reply:
            with self._lock:
                self.calls += 1
                self.inside += 1
                self.most = max(self.most, self.inside)
            try:
                await request.context.runtime.sleep(seconds)
                if fails:
                    raise ValueError("broken")
                return answer()
            finally:
                with self._lock:
                    self.inside -= 1

        return host


async def crowd_in(mode: Mode, chain: Chain, count: int) -> list[Any]:
    if mode.is_async:
        return await chain.abatch(["Hi"] * count, concurrency=count, on_error="return")
    return chain.batch(["Hi"] * count, concurrency=count, on_error="return")


@pytest.mark.parametrize("fails", [False, True])
def test_no_more_than_the_limit_go_on_at_once(mode: Mode, fails: bool) -> None:
    crowd = Crowd()
    chain = Client(Chain([ConcurrencyLimit(3), crowd.stage(fails=fails)])).chain

    results = mode.run(lambda: crowd_in(mode, chain, 12))

    assert (crowd.most, crowd.calls, crowd.inside) == (3, 12, 0)
    assert [isinstance(result, ValueError) for result in results] == [fails] * 12


def test_a_stream_keeps_its_place_until_it_ends(mode: Mode) -> None:
    chain = Client(Chain([ConcurrencyLimit(1), streaming(lambda: Once())])).chain

    async def body() -> None:
        first = await mode.call(chain, "Hi", stream=True)
        with pytest.raises(APITimeoutError, match="no place among 1"):
            await mode.call(chain, "Hi", stream=True, timeout=0.05)
        await mode.events(first)
        second = await mode.call(chain, "Hi", stream=True, timeout=5)
        await mode.next(second)
        await mode.close(second)
        third = await mode.call(chain, "Hi", stream=True, timeout=5)
        del third
        gc.collect()
        await mode.events(await mode.call(chain, "Hi", stream=True, timeout=5))

    mode.run(body)


class Once:
    """A source of one short answer."""

    def __init__(self) -> None:
        self._events: list[Any] = text_events("Hello")

    async def pull(self) -> list[Any]:
        events, self._events = self._events, []
        return events

    async def close(self) -> None:
        self._events = []

    def abort(self) -> None:
        self._events = []


def test_whoever_waits_is_woken_in_turn(mode: Mode) -> None:
    crowd = Crowd()
    chain = Client(Chain([ConcurrencyLimit(1), crowd.stage(0.01)])).chain

    results = mode.run(lambda: crowd_in(mode, chain, 8))

    assert (crowd.most, len(results)) == (1, 8)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_is_cancelled_while_waiting_leaves_the_queue(backend: str) -> None:
    crowd = Crowd()
    chain = Client(Chain([ConcurrencyLimit(1), crowd.stage(0.1)])).chain

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(chain.ainvoke, "Hi")
            await anyio.sleep(0.01)
            with anyio.move_on_after(0.02):
                await chain.ainvoke("Hi")
        with anyio.fail_after(5):
            await chain.ainvoke("Hi")

    anyio.run(body, backend=backend)

    assert (crowd.most, crowd.calls) == (1, 2)


def test_providers_and_models_may_be_counted_apart(mode: Mode) -> None:
    async def calls(per: Any, *models: str) -> int:
        chain = presets.responses.after("resolve", ConcurrencyLimit(1, per=per)).without("remember")
        client = scripted("Hello.", chain=chain)
        held = await mode.call(client.chain, "Hi", model=models[0], stream=True)
        passed = 0
        for model in models[1:]:
            try:
                await mode.call(client.chain, "Hi", model=model, timeout=0.05)
                passed += 1
            except APITimeoutError:
                pass
        await mode.close(held)
        return passed

    async def body() -> list[int]:
        models = ("openai/a", "openai/a", "openai/b", "xai/a")
        return [await calls(per, *models) for per in ("all", "provider", "model")]

    assert mode.run(body) == [0, 1, 2]
