"""The real llama.cpp server: sparse on the wire, grammatical at the user's side, stopped when its reader lets go."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Mode

from antiphon import Client, check_grammar
from antiphon.pipeline.api import events as ev
from antiphon.providers.local_model import LocalModels

pytestmark = pytest.mark.local_model

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    models = LocalModels()
    try:
        yield models.url_for("smollm2")
    finally:
        models.close()


def asking(address: str, **given: Any) -> dict[str, Any]:
    return {"model": "local/smollm2", "api_base": address, "temperature": 0, "max_output_tokens": 40, **given}


async def ended(mode: Mode, address: str, question: str, **given: Any) -> tuple[list[ev.Event], Any]:
    client = Client()
    try:
        stream = await mode.call(client.chain, question, stream=True, **asking(address, **given))
        return await mode.events(stream), stream
    finally:
        await mode.close(client)


def test_the_wire_is_sparse(address: str) -> None:
    """What the next tests find whole is not sent so: else they would show nothing."""
    body = {"model": "smollm2", "input": "Say hello.", "stream": True, "max_output_tokens": 5}
    asked = urllib.request.Request(
        f"{address}/responses", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:
        sent = [json.loads(line[6:]) for line in answer if line.startswith(b"data: {")]

    assert sent[-1]["type"] == "response.completed"
    assert not any("sequence_number" in event for event in sent)


def test_a_text_is_a_grammatical_stream(mode: Mode, address: str) -> None:
    async def body() -> None:
        events, stream = await ended(mode, address, "Say hello.")

        assert check_grammar(events) == []
        assert "".join(event.delta for event in events if isinstance(event, ev.OutputTextDelta))
        assert stream.outcome.kind == "completed"
        assert stream.response.usage.output_tokens > 0

    mode.run(body)


def test_a_tool_call_is_a_grammatical_stream(mode: Mode, address: str) -> None:
    async def body() -> None:
        events, stream = await ended(mode, address, "What is the weather in Paris?", tools=[TOOL])

        assert check_grammar(events) == []
        (call,) = stream.response.function_calls
        assert isinstance(json.loads(call.arguments), dict)

    mode.run(body)


def test_a_stream_that_is_let_go_stops_the_generation(mode: Mode, address: str) -> None:
    def busy() -> int:
        with urllib.request.urlopen(address.removesuffix("/v1") + "/slots") as answer:
            return sum(slot["is_processing"] for slot in json.load(answer))

    async def body() -> None:
        client = Client()
        call = asking(address, max_output_tokens=1500)
        stream = await mode.call(client.chain, "Tell me a very long story.", stream=True, **call)
        await mode.next(stream)
        await mode.close(stream)
        deadline = time.monotonic() + 20
        while busy() and time.monotonic() < deadline:
            await mode.either(lambda: client.engine.sleep(0.05), lambda: client.engine.asleep(0.05))

        assert stream.outcome.kind == "abandoned"
        assert busy() == 0
        await mode.close(client)

    mode.run(body)
