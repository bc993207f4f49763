"""Any chain as the Responses API: each call of it, plain and streamed, as the chain answers."""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from asgi import ask, live
from hand_made import host

import antiphon
from antiphon import Chain, Client, Defaults, Rename, SetupError, check_grammar, presets
from antiphon.pipeline.api.events import decode_event
from antiphon.serve import app
from antiphon.testing import function_call, scripted

Run = Callable[..., Any]

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}


def test_a_call_is_answered_as_the_chain_answers(served: Run, streamed: bool) -> None:
    client = scripted({"output": [function_call("f", {"a": [1, "ü"]})]})
    call: dict[str, Any] = {
        "model": "openai/m",
        "input": [{"role": "user", "content": "Hi ü"}],
        "tools": [TOOL],
        "temperature": None,
    }

    async def body() -> Any:
        alone = await client.aresponses(**call)
        return alone, await ask(app(client), "POST", "/v1/responses", {**call, "stream": streamed})

    alone, answered = served(body)
    assert answered.status == 200
    assert answered.headers["x-request-id"].startswith("call_")
    if streamed:
        assert answered.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = answered.events
        check_grammar([decode_event(event["type"], json.dumps(event).encode()) for event in events])
        response = events[-1]["response"]
    else:
        assert answered.headers["content-length"] == str(len(answered.body))
        response = answered.json
    assert response["output"] == [item.to_dict() for item in alone.output]
    assert response["id"].startswith("resp_ap1_")
    assert client.requests[1] == {**client.requests[0], **({"stream": True} if streamed else {"stream": False})}


def test_stored_responses_are_served(served: Run) -> None:
    served_app = app()

    async def body() -> list[Any]:
        call: dict[str, Any] = {"model": "scripted/echo", "input": "One two three.", "background": True, "stream": True}
        begun = await ask(served_app, "POST", "/v1/responses", call)
        path = f"/v1/responses/{begun.events[0]['response']['id']}"
        found = [
            begun,
            await ask(served_app, "GET", f"{path}?stream=true&starting_after=3"),
            await ask(served_app, "GET", f"{path}?include[]=reasoning.encrypted_content"),
            await ask(served_app, "GET", f"{path}/input_items?limit=1&order=asc&include=message.input_image.image_url"),
            await ask(served_app, "POST", f"{path}/cancel"),
            await ask(served_app, "DELETE", path),
            await ask(served_app, "GET", path),
        ]
        await served_app.aclose()
        return found

    begun, rest, whole, items, cancelled, deleted, gone = served(body)
    assert rest.events == begun.events[4:]
    assert whole.json == begun.events[-1]["response"]
    assert items.json["data"][0]["content"] == [{"type": "input_text", "text": "One two three."}]
    assert cancelled.json["status"] == "completed"
    assert deleted.json == {"object": "response.deleted", "id": whole.json["id"], "deleted": True}
    assert (gone.status, gone.error["param"], gone.error["type"]) == (404, "response_id", "invalid_request_error")


def test_compact_and_count_are_served(served: Run) -> None:
    client = scripted({"object": "response.input_tokens", "input_tokens": 7})

    async def body() -> Any:
        call: dict[str, Any] = {"model": "openai/m", "input": "Hi"}
        return (
            await ask(app(client), "POST", "/v1/responses/input_tokens", call),
            await ask(app(), "POST", "/v1/responses/compact", {**call, "model": "scripted/echo"}),
        )

    counted, compacted = served(body)
    assert counted.json["input_tokens"] == 7
    assert compacted.json["object"] == "response.compaction"


def test_models_are_listed_and_no_other_is_served(served: Run) -> None:
    chain = presets.responses.before("resolve", Rename({"fast": "scripted/echo"}))
    served_app = app(chain, models=["fast", "openai/gpt-5"])

    async def body() -> list[Any]:
        return [
            await ask(served_app, "GET", "/v1/models"),
            await ask(served_app, "GET", "/v1/models/openai/gpt-5"),
            await ask(served_app, "GET", "/v1/models/scripted/echo"),
            await ask(served_app, "POST", "/v1/responses", {"model": "fast", "input": "Hi"}),
            await ask(served_app, "POST", "/v1/responses", {"model": "scripted/echo", "input": "Hi"}),
            await ask(app(), "POST", "/v1/responses", {"model": "local/../some.gguf", "input": "Hi"}),
        ]

    listed, one, none, fast, other, file = served(body)
    assert [model["id"] for model in listed.json["data"]] == ["fast", "openai/gpt-5"]
    assert one.json == {"id": "openai/gpt-5", "object": "model", "created": 0, "owned_by": "openai"}
    assert fast.json["output"][0]["content"][0]["text"] == "Hi"
    assert [(found.status, found.error["code"]) for found in (none, other, file)] == [(404, "model_not_found")] * 3


def test_the_chain_decides_what_a_call_may_leave_out(served: Run) -> None:
    client = scripted("Hello.", chain=presets.responses.before("resolve", Defaults({"model": "openai/m"})))

    async def body() -> Any:
        return await ask(app(client), "POST", "/v1/responses", {"input": "Hi", "model": None})

    assert served(body).status == 200
    assert client.requests[0]["model"] == "m"


def test_what_does_not_reach_the_host_is_named(served: Run, streamed: bool) -> None:
    chain = presets.responses.bind(api_key="k")
    call: dict[str, Any] = {
        "model": "groq/m",
        "input": "Hi",
        "safety_identifier": "x",
        "store": True,
        "stream": streamed,
    }

    async def body() -> Any:
        return await ask(app(scripted("Hello.", chain=chain)), "POST", "/v1/responses", call)

    assert "safety_identifier" in served(body).headers["antiphon-dropped"].split(", ")


def test_options_are_taken_where_they_are_opened(served: Run) -> None:
    client = scripted("Hello.")
    call: dict[str, Any] = {"model": "openai/m", "input": "Hi"}

    async def body() -> list[Any]:
        opened = app(client, options=("extra_body",), unknown="extra_body")
        return [
            await ask(app(client), "POST", "/v1/responses", {**call, "extra_body": {"a": 1}}),
            await ask(app(client), "POST", "/v1/responses", {**call, "api_base": "https://evil.example"}),
            await ask(app(client), "POST", "/v1/responses", {**call, "newer": 1, "tempreature": 1}),
            await ask(app(client), "POST", "/v1/responses", {**call, "response_id": "x"}),
            await ask(opened, "POST", "/v1/responses", {**call, "extra_body": {"a": 1}, "newer": 2}),
            await ask(opened, "POST", "/v1/responses", {**call, "api_key": "k"}),
        ]

    closed, base, newer, of_path, opened, key = served(body)
    refused = [closed, base, newer, of_path, key]
    assert [(found.status, found.error["code"]) for found in refused] == [(400, "unknown_parameter")] * 5
    assert [found.error["param"] for found in refused] == ["extra_body", "api_base", "newer", "response_id", "api_key"]
    assert opened.status == 200
    assert [(sent["a"], sent["newer"]) for sent in client.requests] == [(1, 2)]


def test_a_mount_and_the_lifespan_of_a_server(served: Run) -> None:
    served_app, own = app(), Client()
    call: dict[str, Any] = {"model": "scripted/echo", "input": "Hi"}

    async def body() -> None:
        assert await live(served_app, "startup", "shutdown") == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        mounted = await ask(served_app, "POST", "/llm/v1/responses", call, root_path="/llm")
        assert mounted.status == 200
        await live(served_app, "startup", "shutdown")
        await live(app(own), "startup", "shutdown")
        assert (await own.aresponses(**call)).status == "completed"
        await live(app(own, closes=True), "startup", "shutdown")
        with pytest.raises(SetupError, match="closed"):
            await own.aresponses(**call)

    served(body)


def test_a_websocket_is_refused(served: Run) -> None:
    said: list[Any] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message["type"])

    async def body() -> None:
        await app()({"type": "websocket"}, receive, send)

    served(body)
    assert said == ["websocket.close"]


def test_what_is_neither_a_request_nor_the_servers_life_is_an_error(served: Run) -> None:
    async def body() -> None:
        with pytest.raises(SetupError, match='"raw"'):
            await app()({"type": "raw"}, None, None)  # type: ignore[arg-type]

    served(body)


def test_the_callers_trace_is_the_parent(served: Run) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    chain = presets.responses.before(0, antiphon.OpenTelemetry(tracer_provider=provider))
    parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    async def body() -> Any:
        return await ask(app(scripted("Hi.", chain=chain)), "POST", "/v1/responses", CALL, headers=[parent])

    answered = served(body)
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert span.parent is not None
    assert span.parent.span_id == 0xB7AD6B7169203331
    assert answered.headers["x-request-id"] in (span.attributes or {}).values()


CALL: dict[str, Any] = {"model": "openai/m", "input": "Hi"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"options": ("timeuot",)}, 'reads "timeuot"; did you mean "timeout"?'),
        ({"unknown": "drop"}, "unknown is 'drop'"),
        ({"keepalive_s": 0}, "keepalive_s 0; both have to be over 0"),
        ({"max_body_bytes": 0}, "max_body_bytes is 0"),
        ({"keys": ["a", "b"]}, "does not say whose data each key may see"),
        ({"keys": {}}, "nobody could call"),
        ({"keys": {"": "a"}}, "a tenant that is no text"),
        ({"keys": {"a": []}}, "nobody could call"),
        ({"keys": ""}, "keys is empty"),
        ({"keys": {"a": "same", "b": "same"}}, "two of the keys are the same"),
        ({"keys": "k", "authorize": lambda headers: "a"}, "both given"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_server_that_cannot_be_meant_is_refused_when_it_is_made(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError) as caught:
        app(**settings)

    assert said in str(caught.value)


def test_something_else_than_a_chain_is_refused() -> None:
    with pytest.raises(SetupError, match=r"got a str"):
        app("responses")  # type: ignore[arg-type]
    with pytest.raises(SetupError, match="extra_body"):
        app(Chain([host()]), unknown="extra_body")
