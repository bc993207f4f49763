"""The client: one chain, and what its calls share."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from hand_made import host

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import InvalidParameter, SetupError
from antiphon.pipeline.function_stages import before
from antiphon.pipeline.timeouts import Timeouts
from antiphon.testing import ScriptedHost, scripted


async def ask(mode: Mode, client: Client, *args: Any, **keywords: Any) -> Any:
    return await mode.either(lambda: client.responses(*args, **keywords), lambda: client.aresponses(*args, **keywords))


def test_a_call_gives_a_response(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        response = await ask(mode, client, "Hi", "openai/m", temperature=0.5)

        assert response.output_text == "Hello."
        assert client.requests == [{"model": "m", "input": "Hi", "temperature": 0.5}]

    mode.run(body)


def test_a_streamed_call_gives_a_stream(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        stream = await ask(mode, client, "Hi", "openai/m", stream=True)

        assert (await mode.until_done(stream)).output_text == "Hello."
        assert client.requests[0]["stream"] is True

    mode.run(body)


def test_what_is_bound_to_the_chain_is_this_clients_default(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.bind(model="openai/bound", temperature=0.1))
        await ask(mode, client, "Hi")
        await ask(mode, client, "Hi", "openai/given", temperature=0.9)
        await ask(mode, client, "Hi", temperature=None)

        assert [(sent["model"], sent["temperature"]) for sent in client.requests] == [
            ("bound", 0.1),
            ("given", 0.9),
            ("bound", 0.1),
        ]

    mode.run(body)


def test_a_clients_limits_are_those_of_its_calls(mode: Mode) -> None:
    seen: list[Timeouts] = []

    async def body() -> None:
        note = before(lambda request: seen.append(request.context.timeouts))
        client = Client(Chain([note, host()]), timeouts=Timeouts(total=9, idle=3))
        await ask(mode, client, "Hi")
        await ask(mode, client, "Hi", timeout=5)

        assert seen == [Timeouts(total=9, idle=3), Timeouts(total=5)]

    mode.run(body)


def test_senseless_limits_are_refused_at_once() -> None:
    with pytest.raises(InvalidParameter, match="timeout idle is 0; seconds above zero are expected"):
        Client(timeouts=Timeouts(idle=0))


def test_a_client_is_a_context_manager(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        if mode.is_async:
            async with client as same:
                await ask(mode, same, "Hi", "openai/m")
        else:
            with client as same:
                await ask(mode, same, "Hi", "openai/m")

        with pytest.raises(SetupError, match="this client is closed"):
            await ask(mode, client, "Hi", "openai/m")

    mode.run(body)


def test_a_transport_of_the_users_is_not_closed(mode: Mode) -> None:
    closed: list[str] = []

    class Watched(ScriptedHost):
        async def close(self) -> None:
            closed.append("closed")

    async def body() -> None:
        client = Client(transport=Watched(["Hello."]))
        await ask(mode, client, "Hi", "openai/m", api_key="k")
        await mode.close(client)

        assert closed == []

    mode.run(body)


def test_repr_shows_the_chain_and_no_setting() -> None:
    client = Client(Chain([host()]), proxy="http://me:canary@proxy.example:8080", tenant="t")

    assert repr(client) == "Client(Chain([host], name='chain'))"


def test_many_clients_have_hooks_of_their_own(mode: Mode) -> None:
    async def body() -> None:
        first: list[Any] = []
        second: list[Any] = []
        await ask(mode, scripted("Hello.", hooks=[first.append]), "Hi", "openai/m")
        await ask(mode, scripted("Hello.", hooks=[second.append]), "Hi", "openai/m")

        assert len(first) == len(second) == 4
        assert {signal.call_id for signal in first}.isdisjoint(signal.call_id for signal in second)

    mode.run(body)


def test_polling_asks_plainly_though_a_stream_is_bound(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"status": "completed"}, chain=presets.responses.bind(stream=True))

        polled = await mode.either(
            lambda: client.poll_responses("resp_1", custom_llm_provider="openai"),
            lambda: client.apoll_responses("resp_1", custom_llm_provider="openai"),
        )

        assert polled.status == "completed"
        assert "stream" not in client.host.requests[0].url

    mode.run(body)
