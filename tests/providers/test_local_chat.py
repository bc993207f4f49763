"""The real llama.cpp server over its three APIs by the same code, and what only its chat completions hold.

The model is tiny: what it says is looked at for its shape alone.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from conftest import Mode

from antiphon import Client, ContextWindowExceededError, check_grammar
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.providers.local_model import LocalModels

pytestmark = pytest.mark.local_model

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}


class Weather(msgspec.Struct):
    city: str
    warm: bool


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    models = LocalModels()
    try:
        yield models.url_for("smollm2")
    finally:
        models.close()


@pytest.fixture(params=["sync", "asyncio"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


@pytest.fixture(params=["chat", "responses"])
def dialect(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


async def answer(mode: Mode, client: Client, given: Any, *, streamed: bool, **call: Any) -> Response:
    """Return the answer to one call; of a stream, after a look at its grammar."""
    if not streamed:
        response: Response = await mode.call(client.chain, given, **call)
        return response
    stream = await mode.call(client.chain, given, stream=True, **call)
    assert check_grammar(await mode.events(stream)) == []
    return stream.response  # type: ignore[no-any-return]


def asking(address: str, **given: Any) -> dict[str, Any]:
    return {"model": "local/smollm2", "api_base": address, "temperature": 0, "max_output_tokens": 40, **given}


@pytest.mark.parametrize("dialect", ["chat", "responses", "anthropic"])
def test_a_conversation_with_a_tool_goes_round(mode: Mode, streamed: bool, dialect: str, address: str) -> None:
    async def body() -> None:
        client = Client()
        call = asking(address, dialect=dialect, tools=[TOOL])
        items: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]

        first = await answer(mode, client, items, streamed=streamed, **call)
        items += first.output
        items += [
            {"type": "function_call_output", "call_id": made.call_id, "output": "Sunny, 20 degrees."}
            for made in first.function_calls
        ]
        second = await answer(mode, client, items, streamed=streamed, **{**call, "tools": None})
        items += second.output
        items.append({"role": "user", "content": "Thank you. And in Rome?"})
        third = await answer(mode, client, items, streamed=streamed, **call)

        (made,) = first.function_calls
        assert (made.name, made.status) == ("get_weather", "completed")
        assert isinstance(json.loads(made.arguments)["city"], str)
        assert made.call_id
        assert second.output_text
        assert not second.function_calls
        assert third.output
        for response in (first, second, third):
            assert response.usage is not None
            assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
            assert response.meta is not None
            assert (response.meta.dialect, response.meta.dropped) == (dialect, ())
        await mode.close(client)

    mode.run(body)


def test_an_answer_that_is_cut_says_so(mode: Mode, streamed: bool, address: str) -> None:
    """In its Responses API the same server says that it is completed."""

    async def body() -> None:
        client = Client()
        call = asking(address, dialect="chat", max_output_tokens=5)

        response = await answer(mode, client, "Tell me a story.", streamed=streamed, **call)

        assert response.status == "incomplete"
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == "max_output_tokens"
        assert response.output[-1].to_dict()["status"] == "incomplete"
        assert response.usage is not None
        assert response.usage.output_tokens == 5
        await mode.close(client)

    mode.run(body)


def test_a_schema_is_held_to_without_saying_which_format(mode: Mode, streamed: bool, address: str) -> None:
    async def body() -> None:
        client = Client()
        call = asking(address, text={"format": FORMAT})

        response = await answer(mode, client, "How is the weather in Paris?", streamed=streamed, **call)

        found = json.loads(response.output_text)
        assert set(found) == {"city", "warm"}
        assert isinstance(found["warm"], bool)
        assert response.meta is not None
        assert response.meta.dialect == "chat"
        await mode.close(client)

    mode.run(body)


def test_a_typed_answer_is_an_object_of_the_type(mode: Mode, address: str) -> None:
    async def body() -> None:
        client = Client()
        call = asking(address, text_format=Weather, max_output_tokens=80)

        response = await mode.call(client.chain, "The weather in Paris, the city, in one word each.", **call)

        assert isinstance(response.output_parsed, Weather)
        await mode.close(client)

    mode.run(body)


def test_the_prompt_is_as_long_over_both_formats(mode: Mode, address: str) -> None:
    """So instructions and earlier turns reach the model alike, and a stream tells the usage."""

    async def body() -> None:
        client = Client()
        items = [
            {"role": "user", "content": "Hi"},
            {"type": "message", "role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "input_text", "text": "Say yes."}]},
        ]
        counted = []

        for dialect in ("chat", "responses"):
            for streamed in (False, True):
                call = asking(address, dialect=dialect, instructions="Be brief.", max_output_tokens=2)
                response = await answer(mode, client, items, streamed=streamed, **call)
                assert response.usage is not None
                counted.append(response.usage.input_tokens)

        assert len(set(counted)) == 1
        assert counted[0] > 0
        await mode.close(client)

    mode.run(body)


def test_a_chat_stream_that_is_let_go_stops_the_generation(mode: Mode, address: str) -> None:
    def busy() -> int:
        with urllib.request.urlopen(address.removesuffix("/v1") + "/slots") as found:
            return sum(slot["is_processing"] for slot in json.load(found))

    async def body() -> None:
        client = Client()
        call = asking(address, dialect="chat", max_output_tokens=1500)
        stream = await mode.call(client.chain, "Tell me a very long story.", stream=True, **call)
        while not isinstance(await mode.next(stream), ev.OutputTextDelta):
            pass
        await mode.close(stream)
        deadline = time.monotonic() + 20
        while busy() and time.monotonic() < deadline:
            await mode.either(lambda: client.engine.sleep(0.05), lambda: client.engine.asleep(0.05))

        assert stream.outcome.kind == "abandoned"
        assert busy() == 0
        await mode.close(client)

    mode.run(body)


def test_a_context_that_is_too_long_is_named(mode: Mode, streamed: bool, dialect: str, address: str) -> None:
    async def body() -> None:
        client = Client()

        with pytest.raises(ContextWindowExceededError) as caught:
            await answer(
                mode, client, "word " * 5000, streamed=streamed, **asking(address, dialect=dialect, num_retries=0)
            )

        assert caught.value.status == 400
        await mode.close(client)

    mode.run(body)


def test_messages_without_a_type_go_round(mode: Mode, dialect: str, address: str) -> None:
    async def body() -> None:
        client = Client()
        items = [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Who are you?"},
        ]
        response = await answer(mode, client, items, streamed=False, **asking(address, dialect=dialect))

        assert response.output_text
        await mode.close(client)

    mode.run(body)
