"""OpenAI's own package talks with a served chain, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pydantic
import pytest
from asgi import App

from antiphon import presets
from antiphon.serve import app
from antiphon.testing import function_call, http_error, scripted

Run = Callable[..., Any]
TOOL: Any = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}, "strict": False}


class City(pydantic.BaseModel):
    name: str
    people: int


def official(served_app: App) -> openai.AsyncOpenAI:
    """Return the official client, whose requests go to the app."""
    host = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=served_app))
    return openai.AsyncOpenAI(api_key="k", base_url="http://localhost/v1", http_client=host, max_retries=0)


async def answered(client: openai.AsyncOpenAI, *, streamed: bool, **call: Any) -> Any:
    """Return the final response."""
    if not streamed:
        return await client.responses.create(**call)
    async with client.responses.stream(**call) as stream:
        seen = [event.type async for event in stream]
        assert seen[0] == "response.created"
        return await stream.get_final_response()


def test_the_official_client_talks_with_a_chain(served: Run, streamed: bool) -> None:
    chain = scripted({"output": [function_call("add", {"a": 1})]}, "It is 3.", '{"name": "Rome", "people": 3}')

    async def body() -> None:
        async with official(app(chain, keys="k", models=["openai/m"])) as client:
            asked: Any = [{"role": "user", "content": "1 + 2?"}]
            first = await answered(client, streamed=streamed, model="openai/m", input=asked, tools=[TOOL])
            (call,) = first.output
            assert (call.name, call.arguments, call.call_id) == ("add", '{"a":1}', "call_scripted")
            result = {"type": "function_call_output", "call_id": "call_scripted", "output": "3"}
            goes_on: dict[str, Any] = {"model": "openai/m", "input": [result], "previous_response_id": first.id}
            second = await answered(client, streamed=streamed, **goes_on)
            assert second.output_text == "It is 3."
            if streamed:
                async with client.responses.stream(model="openai/m", input="A city.", text_format=City) as stream:
                    third = await stream.get_final_response()
            else:
                third = await client.responses.parse(model="openai/m", input="A city.", text_format=City)
            assert third.output_parsed == City(name="Rome", people=3)
            assert [model.id async for model in client.models.list()] == ["openai/m"]

    served(body)
    assert chain.requests[1]["previous_response_id"] == "resp_scripted_1"
    assert chain.requests[2]["text"]["format"]["type"] == "json_schema"


def test_the_official_clients_errors_are_its_own(served: Run) -> None:
    once = presets.responses.without("retry")
    chain = scripted(http_error(429, "slow down", code="rate_limit_exceeded", retry_after_s=9), chain=once)

    async def body() -> None:
        async with official(app(chain, keys="other")) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.responses.create(model="openai/m", input="Hi")
        async with official(app(chain, keys="k")) as client:
            with pytest.raises(openai.NotFoundError) as missing:
                await client.responses.create(model="m", input="Hi")
            with pytest.raises(openai.RateLimitError, match="slow down"):
                await client.responses.create(model="openai/m", input="Hi", extra_headers={"x-none": "1"})
            with pytest.raises(openai.BadRequestError, match='did you mean "temperature"'):
                await client.responses.create(model="openai/m", input="Hi", extra_body={"temprature": 1})
        assert missing.value.code == "model_not_found"
        assert missing.value.request_id

    served(body)


def test_the_official_client_looks_after_stored_responses(served: Run) -> None:
    async def body() -> None:
        served_app = app()
        async with official(served_app) as client:
            begun = await client.responses.create(model="scripted/echo", input="One two.", background=True)
            events = [event async for event in await client.responses.retrieve(begun.id, stream=True)]
            later = await client.responses.retrieve(begun.id, stream=True, starting_after=events[2].sequence_number)
            assert [event.type async for event in later] == [event.type for event in events[3:]]
            found = await client.responses.retrieve(begun.id, include=["reasoning.encrypted_content"])
            assert found.output_text == "One two."
            assert (await client.responses.cancel(begun.id)).status == "completed"
            items = [item async for item in client.responses.input_items.list(begun.id, limit=1, order="asc")]
            assert len(items) == 1
            await client.responses.delete(begun.id)
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(begun.id)
        await served_app.aclose()

    served(body)
