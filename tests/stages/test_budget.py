"""Calls that are refused when what may be used has been used."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import Mode
from hand_made import streamed_body, text_events

from antiphon import Budget, BudgetExceeded, Chain, Client, SetupError, StageError, Store, errors, open_store, presets
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.request import Request
from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.timeouts import Pace
from antiphon.providers.scripted import ScriptedHost, function_call
from antiphon.testing import check_stage, message, scripted

# Input and output of the scripted host are counted by words: "Hi" and "Hello there." are three.
USED = 3
ROWS = {"openai/m": {"input_cost_per_token": 1.0, "output_cost_per_token": 10.0}}


def chain_with(*, where: str = "retry", **settings: Any) -> Chain:
    return presets.responses.with_(retry={"base_delay_s": 0}).before(where, Budget(**settings))


async def refused(mode: Mode, chain: Chain, *, streamed: bool = False, **call: Any) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as caught:
        await mode.response(chain, "Hi", streamed=streamed, model="openai/m", **call)
    return caught.value


def test_a_call_is_refused_when_its_budget_is_used_up(mode: Mode, streamed: bool) -> None:
    client = scripted("Hello there.", chain=chain_with(tokens=5, per="metadata.user_id"))

    async def body() -> BudgetExceeded:
        for who in ("ann", "ann", "ben", None):
            metadata = {"user_id": who} if who else None
            await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m", metadata=metadata)
        await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m", metadata={"user_id": "ben"})
        return await refused(mode, client.chain, streamed=streamed, metadata={"user_id": "ann"})

    error = mode.run(body)

    assert (error.unit, error.limit, error.used, error.resets_at) == ("tokens", 5, 2 * USED, None)
    assert str(error).startswith('budget "budget" of 5 tokens per metadata.user_id: 6 are used; nothing was sent')
    assert "ann" not in str(error)
    assert len(client.requests) == 5


def test_rounds_and_attempts_count_wherever_it_stands(mode: Mode, streamed: bool) -> None:
    def look_up(word: str) -> str:
        """Look up a word."""
        return "found"

    failed = {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "broken"}, "output": []}
    calls = {"output": [function_call("look_up", {"word": "sea"}, "call_1")]}
    usage = {"input_tokens": 60, "output_tokens": 40, "total_tokens": 100}

    async def used(where: str) -> float:
        client = scripted(
            {**failed, "usage": usage},
            {**calls, "usage": usage},
            {"usage": usage},
            chain=chain_with(where=where, tokens=300),
        )
        call: dict[str, Any] = {"model": "openai/m", "tools": [look_up]}
        await mode.response(client.chain, "Look", streamed=streamed, **call)
        assert len(client.requests) == 3
        return (await refused(mode, client.chain, streamed=streamed)).used

    async def body() -> list[float]:
        return [await used(where) for where in ("validate", "retry", "transform")]

    assert mode.run(body) == [300, 300, 300]


def test_inside_tools_each_round_asks_for_its_own(mode: Mode) -> None:
    def look_up(word: str) -> str:
        """Look up a word."""
        return "found"

    calls = {"output": [function_call("look_up", {"word": "sea"})], "usage": {"input_tokens": 9, "output_tokens": 1}}
    client = scripted(calls, chain=chain_with(tokens=15, per="call"))

    async def body() -> None:
        for _ in range(2):  # a budget of its own for each call
            assert (await refused(mode, client.chain, tools=[look_up])).used == 20

    mode.run(body)

    assert len(client.requests) == 4


ENDLESS = streamed_body(text_events("x" * 400, "more", end=False))


@pytest.mark.parametrize("end", ["close", "drop", "break"])
def test_what_a_stream_used_that_has_no_end_is_estimated(mode: Mode, end: str) -> None:
    client = scripted(ENDLESS, chain=chain_with(tokens=100))

    async def body() -> float:
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True)
        for _ in range(5):
            await mode.next(stream)
        if end == "close":
            await mode.close(stream)
        elif end == "break":
            with pytest.raises(errors.StreamInterrupted):
                await mode.events(stream)
        del stream
        return (await refused(mode, client.chain)).used

    assert 100 < mode.run(body) < 140


class Stalled:
    """A host that sends all it has, and then nothing more, without closing."""

    def __init__(self, answer: Any) -> None:
        self._host = ScriptedHost([answer])

    async def open(self, request: HttpRequest, pace: Pace) -> Any:
        exchange = await self._host.open(request, pace)
        chunk = exchange.chunk

        async def chunk_or_silence() -> bytes:
            if not (data := await chunk()):
                await anyio.sleep_forever()
            return data

        exchange.chunk = chunk_or_silence  # type: ignore[method-assign]
        return exchange

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("mode", ["asyncio", "trio"], indirect=True)
def test_what_a_cancelled_stream_used_is_estimated(mode: Mode) -> None:
    chain = Client(chain_with(tokens=100), transport=Stalled(ENDLESS)).chain.bind(api_key="k")

    async def body() -> float:
        stream = await mode.call(chain, "Hi", model="openai/m", stream=True)
        with anyio.CancelScope() as scope:
            async for event in stream:
                if isinstance(event, ev.OutputTextDelta) and event.delta == "more":
                    scope.cancel()
        assert stream.outcome.kind == "cancelled"
        return (await refused(mode, chain)).used

    assert 100 < mode.run(body) < 140


def test_a_budget_comes_back_with_its_window(mode: Mode) -> None:
    short = scripted("Hello there.", chain=chain_with(tokens=1, window_s=1e-6))
    long = scripted("Hello there.", chain=chain_with(tokens=1, window_s=3e9))

    async def body() -> BudgetExceeded:
        for _ in range(3):
            await mode.call(short.chain, "Hi", model="openai/m")
        await mode.call(long.chain, "Hi", model="openai/m")
        return await refused(mode, long.chain)

    error = mode.run(body)

    assert error.resets_at == 3e9
    assert error.retry_after_s is not None
    assert error.hint is not None
    assert "whole again in" in error.hint


def test_dollars_are_counted_by_a_price_list_or_as_the_host_says(mode: Mode, streamed: bool) -> None:
    by_list = scripted("Hello there.", chain=chain_with(dollars=20.0, prices=ROWS))
    usage = {"input_tokens": 1, "output_tokens": 1, "cost": 0.75}
    by_host = scripted({"usage": usage}, chain=chain_with(dollars=0.5))

    async def body() -> list[float]:
        found = []
        for client in (by_list, by_host):
            await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m")
            found.append((await refused(mode, client.chain, streamed=streamed)).used)
        return found

    assert mode.run(body) == [21.0, 0.75]


def test_a_model_without_a_price_is_refused_unless_that_is_free(mode: Mode) -> None:
    listed = scripted("Hello there.", chain=chain_with(dollars=1.0, prices=ROWS))
    told = scripted("Hello there.", chain=chain_with(dollars=1.0))
    free = scripted("Hello there.", chain=chain_with(dollars=1.0, unpriced="free"))

    async def body() -> None:
        with pytest.raises(SetupError, match="nobody knows the price of openai/other"):
            await mode.call(listed.chain, "Hi", model="openai/other")
        await mode.call(told.chain, "Hi", model="openai/m")
        with pytest.raises(SetupError, match="nobody knows the price of openai/m"):
            await mode.call(told.chain, "Hi", model="openai/m")
        for _ in range(2):
            await mode.call(free.chain, "Hi", model="openai/m")

    mode.run(body)

    assert [len(client.requests) for client in (listed, told, free)] == [0, 1, 2]


def test_a_price_list_that_fails_lets_nothing_more_pass(mode: Mode, streamed: bool) -> None:
    def odd(provider: str, model: str, response: Response) -> Any:
        return "a lot"

    def fails_later(provider: str, model: str, response: Response) -> float:
        if response.output:
            raise KeyError(model)
        return 0.0

    async def body() -> None:
        client = scripted("Hello there.", chain=chain_with(dollars=1.0, prices=odd))
        with pytest.raises(SetupError, match="price list odd returned str; US dollars from 0 up, or None"):
            await mode.response(client.chain, "Hi", model="openai/m", streamed=streamed)
        assert client.requests == []

        client = scripted("Hello there.", chain=chain_with(dollars=1.0, tokens=100, prices=fails_later))
        await mode.response(client.chain, "Hi", model="openai/m", streamed=streamed)
        with pytest.raises(SetupError, match="nobody knows the price of openai/m"):
            await mode.response(client.chain, "Hi", model="openai/m", streamed=streamed)
        assert client.hook_errors == 1

    mode.run(body)


def test_a_function_names_whose_budget_it_is(mode: Mode) -> None:
    async def later(request: Request) -> str:
        return "ann"

    async def body() -> None:
        client = scripted("Hello there.", chain=chain_with(tokens=1, per=lambda request: 7))
        await mode.call(client.chain, "Hi", model="openai/m")
        await refused(mode, client.chain)

        client = scripted("Hello there.", chain=chain_with(tokens=1, per=later))
        with pytest.raises(StageError, match="budget function later returned coroutine; a name or None is expected"):
            await mode.call(client.chain, "Hi", model="openai/m")
        assert client.requests == []

    mode.run(body)


def test_what_is_reserved_cannot_be_used_twice_at_once(mode: Mode) -> None:
    client = scripted("Hello there.", chain=chain_with(tokens=50, reserve=True))
    call: dict[str, Any] = {"model": "openai/m", "max_output_tokens": 30}

    async def body() -> BudgetExceeded:
        stream = await mode.call(client.chain, "Hi", stream=True, **call)
        error = await refused(mode, client.chain, max_output_tokens=30)
        await mode.events(stream)
        await mode.call(client.chain, "Hi", **call)
        with pytest.raises(errors.InvalidParameter, match="has no max_output_tokens"):
            await mode.call(client.chain, "Hi", model="openai/m")
        return error

    error = mode.run(body)

    assert (error.used, error.held) == (0, 31)
    assert "31 are held back for calls that go on; the call may need 31" in str(error)


def test_many_processes_share_a_budget_in_a_store(mode: Mode, streamed: bool, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/budget.db"

    async def body() -> float:
        for _ in range(2):  # as two processes would
            client = scripted("Hello there.", chain=chain_with(tokens=100, state_store=url, reserve=True))
            for _ in range(2 if streamed else 1):
                await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m", max_output_tokens=4)
            await mode.close(client)
        with contextlib.closing(open_store(url)) as store:
            client = scripted("Never.", chain=chain_with(tokens=USED, state_store=store))
            return (await refused(mode, client.chain)).used

    assert mode.run(body) == (4 if streamed else 2) * USED


def test_calls_side_by_side_lose_nothing(mode: Mode, any_store: Store) -> None:
    client = scripted("Hello there.", chain=chain_with(tokens=10**6, state_store=any_store))

    async def body() -> float:
        keywords: dict[str, Any] = {"model": "openai/m", "concurrency": 8}
        if mode.is_async:
            await client.chain.abatch(["Hi"] * 16, **keywords)
        else:
            client.chain.batch(["Hi"] * 16, **keywords)
        return (await refused(mode, scripted("Never.", chain=chain_with(tokens=1, state_store=any_store)).chain)).used

    assert mode.run(body) == 16 * USED


def test_a_store_that_cannot_be_read_lets_nothing_pass(mode: Mode, tmp_path: Path) -> None:
    client = scripted("Never.", chain=chain_with(tokens=9, state_store=f"sqlite:///{tmp_path}"))

    async def body() -> None:
        with pytest.raises(errors.StoreError):
            await mode.call(client.chain, "Hi", model="openai/m")

    mode.run(body)

    assert client.requests == []


class Moody:
    """A store that fails every write while it is `down`."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self.read, self.append, self.delete = self._store.read, self._store.append, self._store.delete
        self.log, self.close = self._store.log, self._store.close
        self.down = False

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        if self.down:
            raise errors.StoreUnavailable("down")
        return self._store.write(key, value, ttl_s=ttl_s, expect=expect)


def test_what_a_store_does_not_take_is_written_by_the_next_call(mode: Mode, streamed: bool) -> None:
    store = Moody()
    client = scripted("Hello there.", chain=chain_with(tokens=5, state_store=store))

    async def body() -> tuple[Any, float]:
        await mode.response(client.chain, "Hi", streamed=False, model="openai/m")
        store.down = True
        response = await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m")
        with pytest.raises(errors.StoreUnavailable):
            await mode.call(client.chain, "Hi", model="openai/m")
        store.down = False
        return response, (await refused(mode, client.chain)).used

    response, used = mode.run(body)

    assert used == 2 * USED
    if not streamed:
        assert response.meta.notes == ("what was used could not be written yet: StoreUnavailable",)


def test_calls_on_stored_responses_pass(mode: Mode) -> None:
    client = scripted({"id": "resp_5", "usage": {"input_tokens": 9, "output_tokens": 9}}, chain=chain_with(tokens=1))

    async def body() -> None:
        for _ in range(2):
            await mode.either(
                lambda: client.get_responses("resp_5", custom_llm_provider="openai"),
                lambda: client.aget_responses("resp_5", custom_llm_provider="openai"),
            )

    mode.run(body)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "has no limit"),
        ({"tokens": 5, "per": "metdata.user"}, 'did you mean "metadata"'),
    ],
)
def test_wrong_settings_are_refused_when_the_chain_is_built(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StageError, match=said):
        Client(chain_with(**settings)).responses("Hi", "scripted/echo")


def test_compacting_counts_whoever_does_it(mode: Mode) -> None:
    usage = {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
    by_host = {"body": {"id": "cmp_1", "object": "response.compaction", "output": [], "usage": usage}}
    by_model = {"output": [message("They said hello.")], "usage": usage}

    async def used(model: str, answer: Any, where: str) -> float:
        client = scripted(answer, chain=chain_with(tokens=10, where=where))
        await mode.either(
            lambda: client.compact_responses(input="Hi", model=model),
            lambda: client.acompact_responses(input="Hi", model=model),
        )
        return (await refused(mode, client.chain)).used

    async def body() -> list[float]:
        answers: dict[str, Any] = {"openai/m": by_host, "groq/m": by_model}
        return [await used(model, said, where) for model, said in answers.items() for where in ("retry", "remember")]

    assert mode.run(body) == [10, 10, 10, 10]


def test_dollars_want_to_know_the_target(mode: Mode) -> None:
    client = scripted("Never.", chain=chain_with(dollars=1.0, where="validate"))

    async def body() -> None:
        with pytest.raises(SetupError, match="where no target is known"):
            await mode.call(client.chain, "Hi", model="openai/m")

    mode.run(body)


def test_it_keeps_the_contract_of_stages(tmp_path: Path) -> None:
    shared = f"sqlite:///{tmp_path}/budget.db"

    assert check_stage(Budget(tokens=10**6)) == []
    assert check_stage(Budget(tokens=10**6, reserve=True, state_store=shared), max_output_tokens=9) == []
