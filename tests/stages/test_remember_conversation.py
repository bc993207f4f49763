"""One long conversation by previous_response_id: over every kind of store, with every kind of host, in every mode."""

from __future__ import annotations

from typing import Any, cast

import pytest
from conftest import Mode
from talking_hosts import CALLS, Kind, Said, TalkingHost, words

from antiphon import Client, NotFoundError, Response
from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.stores.store import Store

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


class Talk:
    """A conversation, what was said in it, and its last response."""

    def __init__(self, mode: Mode, client: Client, host: TalkingHost, call: dict[str, Any]) -> None:
        self.mode, self.client, self.host, self.call = mode, client, host, call
        self.said: list[Said] = []
        self.last: Response | None = None
        self.responses: list[Response] = []

    async def say(self, text: str, *, streamed: bool = False) -> Response:
        return await self._ask(text, ("user", text), streamed=streamed)

    async def answer(self, result: str) -> Response:
        """Answer the call in the last response."""
        assert self.last is not None
        (call,) = self.last.function_calls
        item = {"type": "function_call_output", "call_id": call.call_id, "output": result}
        return await self._ask([item], ("result", result))

    async def _ask(self, given: Any, said: Said, *, streamed: bool = False) -> Response:
        previous = None if self.last is None else self.last.id
        response = await self.mode.response(
            self.client.chain, given, streamed=streamed, tools=[TOOL], previous_response_id=previous, **self.call
        )
        self.said.append(said)
        assert self.heard() == self.said
        assert response.previous_response_id == previous
        self.said.extend(
            ("call", item.name) if item.type == "function_call" else ("assistant", item.text)
            for item in cast(Any, response.output)
            if item.type in ("function_call", "message")
        )
        self.last = response
        self.responses.append(response)
        return response

    def heard(self) -> list[Said]:
        """Return what the host was told of the conversation in the last call."""
        return words(self.host.seen[-1])

    def branch(self, at: int) -> Talk:
        """Return another conversation that goes on from an earlier response."""
        other = Talk(self.mode, self.client, self.host, self.call)
        other.last = self.responses[at]
        other.responses = self.responses[: at + 1]
        turns = [at for at, each in enumerate(self.said) if each[0] in ("user", "result")]
        other.said = self.said[: (*turns, len(self.said))[at + 1]]
        return other


@pytest.mark.parametrize("kind", CALLS)
def test_a_conversation_of_twenty_turns(mode: Mode, any_store: Store, kind: Kind) -> None:
    """With tools and reasoning, two branches, and a turn in its middle that is deleted in the end."""

    async def body() -> None:
        host = TalkingHost()
        client = Client(transport=host, state_store=any_store)
        talk = Talk(mode, client, host, CALLS[kind])

        for number in range(6):
            await talk.say(f"say {number}", streamed=number % 2 == 1)
            await talk.say("call f", streamed=number % 2 == 0)
            await talk.answer(f"r{number}")
        await talk.say("say nineteen")
        await talk.say("say twenty")
        assert len(talk.responses) == 20

        # Two ways on from the same turn, and from the end after that.
        early, late = talk.branch(4), talk.branch(4)
        await early.answer("another result")
        await late.answer("a third")
        await early.say("say early")
        await late.say("say late")
        await talk.say("say on")

        # Every model gets its own thoughts back. The stateful host has them in its own memory.
        thoughts = sum(each[0] == "thought" for each in host.seen[-1])
        assert thoughts == 20
        listed = await items(mode, client, talk.responses[-1].id)
        if kind != "stateful":
            assert len(listed) == len(talk.said) - 1 + thoughts

        # What was deleted is gone for those that go on from it, and for nobody else.
        gone = talk.responses[10].id
        key: Any = {"api_key": "k"} if kind == "stateful" else {}  # no key is needed for what is kept here
        await mode.either(lambda: client.delete_responses(gone, **key), lambda: client.adelete_responses(gone, **key))
        if kind != "stateful":
            with pytest.raises(NotFoundError, match=f"{gone}, which .* goes on from, is not kept"):
                await talk.say("say no")
        with pytest.raises(NotFoundError):
            await mode.either(lambda: client.get_responses(gone, **key), lambda: client.aget_responses(gone, **key))
        await early.say("say still here")
        await mode.close(client)

    mode.run(body)


async def items(mode: Mode, client: Client, response_id: str) -> list[Any]:
    """Return all input items of a response; () for a host that has no call for it."""
    if client.chain.stages and response_id.startswith("resp_ap1_"):
        return []
    if mode.is_async:
        return [item async for item in await client.alist_input_items(response_id, limit=7, order="asc")]
    return list(client.list_input_items(response_id, limit=7, order="asc"))


def test_a_conversation_wanders_from_host_to_host(mode: Mode) -> None:
    """Each of them gets all that was said, and no thoughts but its own."""

    async def body() -> None:
        host = TalkingHost()
        client = Client(transport=host)
        talk = Talk(mode, client, host, {})

        order: list[Kind] = ["stateful", "anthropic", "chat", "stateless", "stateful", "stateless", "anthropic", "chat"]
        for number, kind in enumerate(order):
            talk.call = CALLS[kind]
            await talk.say(f"say {number}", streamed=number % 2 == 0)
            await talk.say("call f")
            await talk.answer(f"r{number}")

        await mode.close(client)

    mode.run(body)


def test_the_stateful_host_is_sent_new_turns_only(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        host = TalkingHost()
        client = Client(transport=host)
        talk = Talk(mode, client, host, CALLS["stateful"])

        await talk.say("say A", streamed=streamed)
        await talk.say("say B", streamed=streamed)

        assert host.bodies[1]["input"] == "say B"
        assert host.bodies[1]["previous_response_id"] == "resp_1"
        await mode.close(client)

    mode.run(body)


def test_a_branch_that_leaves_a_named_conversation_has_its_turns_before_it(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        host = TalkingHost()
        client = Client(transport=host)
        talk = Talk(mode, client, host, CALLS["chat"])
        for letter in "AB":
            call = {**CALLS["chat"], "conversation": "c"}
            talk.last = await mode.response(client.chain, f"say {letter}", streamed=streamed, **call)
            talk.said += [("user", f"say {letter}"), ("assistant", letter)]

        for letter in "CDE":  # each looks at what the host was told
            await talk.say(f"say {letter}", streamed=streamed)

        listed = await items(mode, client, talk.responses[-1].id)
        assert [item.text for item in listed if item.type == "message"] == [
            "say A",
            "A",
            "say B",
            "B",
            "say C",
            "C",
            "say D",
            "D",
            "say E",
        ]
        await mode.close(client)

    mode.run(body)


class Counted(MemoryStore):
    """A store in memory that counts round trips and bytes."""

    def __init__(self) -> None:
        super().__init__(total_bytes=10**9)
        self.trips = self.bytes = 0

    def read(self, keys: Any) -> Any:
        found = super().read(keys)
        self._count(*(entry.value for entry in found if entry))
        return found

    def write(self, key: str, value: bytes, **settings: Any) -> int:
        self._count(value)
        return super().write(key, value, **settings)

    def append(self, key: str, values: Any, **settings: Any) -> int:
        self._count(*values)
        return super().append(key, values, **settings)

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        found = super().log(key, start, limit)
        self._count(*found)
        return found

    def _count(self, *values: bytes) -> None:
        self.trips += 1
        self.bytes += sum(map(len, values))


def test_a_thousand_turns_cost_a_thousand_times_one() -> None:
    """A turn makes as many round trips at the end as in the beginning, and reads no more than what was said."""
    host, store = TalkingHost(), Counted()
    client = Client(transport=host, state_store=store)
    previous: str | None = None
    kept: list[tuple[int, int]] = []
    whole: dict[int, tuple[int, int]] = {}

    def counted(kind: Kind) -> tuple[tuple[int, int], str]:
        trips, bytes_ = store.trips, store.bytes
        response = client.responses("say X", previous_response_id=previous, **CALLS[kind])
        return (store.trips - trips, store.bytes - bytes_), response.id

    for turn in range(1001):
        if turn in (10, 100, 1000):  # another host goes on from here, and needs it all
            whole[turn], _ = counted("chat")
            assert len(words(host.seen[-1])) == 2 * turn + 1
        cost, previous = counted("stateful")
        kept.append(cost)

    straight = [cost for turn, cost in enumerate(kept) if turn > 1 and turn not in whole]
    assert {trips for trips, _ in straight} == {3}  # the record before it, its place, its own record
    assert max(size for _, size in straight) < 4000
    assert {trips for trips, _ in whole.values()} == {5}  # and two to read all before it
    assert {kept[turn][0] for turn in whole} == {5}  # and two more to begin a branch
    by_turn = {turn: size / turn for turn, (_, size) in whole.items()}
    assert by_turn[1000] < by_turn[100] < by_turn[10]
    assert store.used_bytes < 1000 * 4000
