"""Calls that have been answered before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Mode

from antiphon import Cache, Chain, Client, check_grammar, presets
from antiphon.pipeline.errors import InvalidParameter
from antiphon.pipeline.signals import CacheHit, CacheMissed, CacheStored
from antiphon.testing import function_call, scripted

CHAIN = presets.responses.with_(retry={"attempts": 1}).before("retry", Cache())


async def ask(mode: Mode, chain: Chain, given: Any = "Hi", *, streamed: bool = False, **call: Any) -> Any:
    return await mode.response(chain, given, streamed=streamed, **{"model": "openai/m", **call})


@pytest.mark.parametrize("again_streamed", [False, True])
def test_a_call_is_answered_again(mode: Mode, streamed: bool, again_streamed: bool) -> None:
    client = scripted("One.", "Two.", chain=CHAIN)
    seen: list[Any] = []

    async def body() -> tuple[Any, Any]:
        first = await ask(mode, client.chain, streamed=streamed, hooks=[seen.append])
        again = await ask(mode, client.chain, streamed=again_streamed, hooks=[seen.append])
        return first, again

    first, again = mode.run(body)

    assert (first.output_text, again.output_text) == ("One.", "One.")
    assert (first.meta.notes, again.meta.notes) == ((), ("answered from the cache",))
    assert (len(first.meta.attempts), len(again.meta.attempts)) == (1, 0)
    told = [signal for signal in seen if isinstance(signal, CacheHit | CacheMissed | CacheStored)]
    assert [type(signal) for signal in told] == [CacheMissed, CacheStored, CacheHit]
    assert len({signal.key for signal in told}) == 1
    assert len(client.requests) == 1


def test_a_kept_answer_streams_in_the_grammar(mode: Mode) -> None:
    client = scripted({"output": [function_call("f", {"a": 1})]}, chain=CHAIN)

    async def body() -> list[Any]:
        await ask(mode, client.chain)
        return await mode.events(await mode.call(client.chain, "Hi", model="openai/m", stream=True))

    events = mode.run(body)

    assert check_grammar(events) == []
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"given": "Hello"},
        {"model": "openai/n"},
        {"model": "xai/m"},
        {"temperature": 0.5},
        {"extra_body": {"seed": 1}},
        {"extra_headers": {"x-beta": "1"}},
        {"api_base": "https://elsewhere.example/v1"},
    ],
    ids=str,
)
def test_what_changes_the_answer_is_asked_anew(mode: Mode, other: dict[str, Any]) -> None:
    client = scripted("One.", "Two.", chain=CHAIN)

    async def body() -> str:
        await ask(mode, client.chain)
        return str((await ask(mode, client.chain, **other)).output_text)

    assert mode.run(body) == "Two."


def test_what_changes_nothing_is_not_looked_at(mode: Mode) -> None:
    client = scripted("One.", "Two.", chain=CHAIN)

    async def body() -> str:
        await ask(mode, client.chain, metadata={"run": "1"}, user="a")
        return str((await ask(mode, client.chain, metadata={"run": "2"}, user="b")).output_text)

    assert mode.run(body) == "One."


def test_a_call_may_pass_by_or_ask_anew(mode: Mode) -> None:
    client = scripted("One.", "Two.", "Three.", chain=CHAIN)

    async def body() -> list[str]:
        found = [(await ask(mode, client.chain)).output_text]
        found += [(await ask(mode, client.chain, use_cache=use)).output_text for use in (False, "refresh", True)]
        with pytest.raises(InvalidParameter, match='use_cache is "yes"'):
            await ask(mode, client.chain, use_cache="yes")
        return found

    assert mode.run(body) == ["One.", "Two.", "Three.", "Three."]


def test_only_whole_answers_are_kept(mode: Mode, streamed: bool) -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    client = scripted(cut, "Whole.", "Never.", chain=CHAIN)

    async def body() -> list[str]:
        found: list[str] = []
        for _ in range(3):
            found.append((await ask(mode, client.chain, streamed=streamed)).output_text)
        stream = await mode.call(client.chain, "Left", model="openai/m", stream=True)
        await mode.next(stream)
        await mode.close(stream)
        return found

    assert mode.run(body) == ["", "Whole.", "Whole."]
    assert len(client.requests) == 3


def test_answers_are_kept_apart_for_tenants_and_outlive_their_client(mode: Mode, tmp_path: Path) -> None:
    chain = presets.responses.before("retry", Cache(f"sqlite:///{tmp_path}/cache.db"))

    async def body() -> list[str]:
        found: list[str] = []
        for tenant, said in (("a", "A."), ("b", "B."), ("a", "Never.")):
            client = scripted(said, chain=chain, tenant=tenant)
            found.append((await ask(mode, client.chain)).output_text)
            await mode.close(client)
        return found

    assert mode.run(body) == ["A.", "B.", "A."]


def test_a_store_that_fails_is_as_good_as_an_empty_one(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_bytes(b"this is no database, and nobody will make one of it" * 100)
    client = scripted("One.", "Two.", chain=presets.responses.before("retry", Cache(f"sqlite:///{path}")))

    async def body() -> list[Any]:
        return [await ask(mode, client.chain) for _ in range(2)]

    responses = mode.run(body)

    assert [response.output_text for response in responses] == ["One.", "Two."]
    assert responses[0].meta.notes == (
        "the cache could not be read: StoreUnreadable",
        "the answer could not be cached: StoreUnreadable",
    )


def test_an_answer_is_forgotten_in_time(mode: Mode) -> None:
    client = scripted("One.", "Two.", chain=presets.responses.before("retry", Cache(ttl_s=1e-9)))

    async def body() -> list[str]:
        return [(await ask(mode, client.chain)).output_text for _ in range(2)]

    assert mode.run(body) == ["One.", "Two."]


def test_a_turn_of_a_conversation_with_tools_is_answered_again(mode: Mode) -> None:
    ran: list[int] = []

    def add(a: int) -> int:
        """Add."""
        ran.append(a)
        return a

    client = scripted({"output": [function_call("add", {"a": 1})]}, "One.", "Never.", chain=CHAIN)

    async def body() -> list[str]:
        return [(await ask(mode, client.chain, tools=[add])).output_text for _ in range(2)]

    assert mode.run(body) == ["One.", "One."]
    assert ran == [1, 1]  # the model's turns come from the cache, the tools run
    assert len(client.requests) == 2


def test_what_cannot_be_compared_passes_by(mode: Mode) -> None:
    def add(a: int) -> int:
        """Add."""
        return a

    client = scripted("One.", "Two.", chain=presets.responses.before("tools", Cache()))

    async def body() -> list[Any]:
        return [await ask(mode, client.chain, tools=[add]) for _ in range(2)]

    responses = mode.run(body)

    assert [response.output_text for response in responses] == ["One.", "Two."]
    assert "not cached" in responses[1].meta.notes[0]


def test_a_dry_run_looks_at_nothing() -> None:
    client = Client(CHAIN)

    assert client.chain.explain("Hi", model="scripted/echo").request is not None


def test_a_password_is_never_shown() -> None:
    assert "canary" not in repr(Cache("redis://me:canary@host/0"))
