"""A program for OpenAI's own package runs unchanged but for its import."""

from __future__ import annotations

import asyncio
import io
import json
import textwrap
from contextlib import redirect_stdout
from typing import Any

import openai
import pytest
from hand_made import answer, sse
from loopback import Connection, Server

import antiphon
from antiphon import AsyncOpenAI, OpenAI, presets
from antiphon.pipeline.streams.replay import replay
from antiphon.providers.scripted import ScriptedHost, function_call, message

PROGRAM = """
from PACKAGE import OpenAI, RateLimitError
from pydantic import BaseModel

class Cat(BaseModel):
    name: str

client = OpenAI(api_key="k", base_url=URL, max_retries=0, default_headers={"x-shop": "1"})
print(client.responses.create(model="gpt-5", input="Hi", temperature=0.5).output_text)

for event in client.responses.create(model="gpt-5", input="Hi", stream=True):
    if event.type == "response.output_text.delta":
        print(event.delta, end="|")
print()

with client.responses.stream(model="gpt-5", input="Hi") as stream:
    kinds = [event.type for event in stream]
    print(kinds[0], kinds[-1], stream.get_final_response().output_text)

print(client.responses.parse(model="gpt-5", input="A cat", text_format=Cat).output_parsed.name)
print(client.responses.retrieve("resp_1").status)
client.responses.delete("resp_1")
print([item.id for item in client.responses.input_items.list("resp_1", limit=2)])
print(client.responses.input_tokens.count(model="gpt-5", input="Hi").input_tokens)
print(client.responses.cancel("resp_1").status)
print(client.with_options(timeout=5).responses.create(model="gpt-5", input="Again").output_text)
try:
    client.responses.create(model="gpt-5", input="too many")
except RateLimitError as error:
    print("limit", error.code)
client.close()
"""

ASYNC_PROGRAM = """
import asyncio
from PACKAGE import AsyncOpenAI

async def main():
    async with AsyncOpenAI(api_key="k", base_url=URL, max_retries=0) as client:
        print((await client.responses.create(model="gpt-5", input="Hi")).output_text)
        async for event in await client.responses.create(model="gpt-5", input="Hi", stream=True):
            if event.type == "response.output_text.delta":
                print(event.delta, end="|")
        print()
        async with client.responses.stream(model="gpt-5", input="Hi") as stream:
            async for event in stream:
                pass
            print((await stream.get_final_response()).output_text)
        print((await client.responses.retrieve("resp_1")).status)
        print([item.id async for item in client.responses.input_items.list("resp_1", limit=2)])
        print((await client.responses.input_items.list("resp_1", limit=2)).data[0].id)
        print((await client.responses.input_tokens.count(model="gpt-5", input="Hi")).input_tokens)
        print((await client.responses.cancel("resp_1")).status)

asyncio.run(main())
"""


def items(*names: str, more: bool) -> bytes:
    data = [{**message("x"), "id": name} for name in names]
    page = {"object": "list", "data": data, "first_id": names[0], "last_id": names[-1], "has_more": more}
    return json.dumps(page).encode()


def serve(connection: Connection) -> None:
    """Answer the calls of the Responses API."""
    kind = {"content_type": "application/json"}
    while received := connection.request():
        method, target, _ = received.line.split()
        path, _, query = target.partition("?")
        body: dict[str, Any] = json.loads(received.body or b"{}")
        if path.endswith("/input_items"):
            first = "after=" not in query
            connection.answer(items(*(("a", "b") if first else ("c",)), more=first), **kind)
        elif path.endswith("/input_tokens"):
            connection.answer(b'{"object": "response.input_tokens", "input_tokens": 7}', **kind)
        elif method == "DELETE":
            connection.answer(b'{"id": "resp_1", "object": "response", "deleted": true}', **kind)
        elif body.get("input") == "too many":
            connection.answer(b'{"error": {"message": "slow down", "code": "busy"}}', "429 Too Many Requests", **kind)
        elif body.get("stream"):
            connection.begin_stream()
            connection.send_chunk(sse(replay(answer("One two."))))
            connection.send_chunk(b"")
        else:
            text = '{"name": "Tom"}' if body.get("input") == "A cat" else "One two."
            status = "cancelled" if path.endswith("/cancel") else "completed"
            connection.answer(answer(text, status=status).raw, **kind)


def printed_by(program: str, package: str, server: Server) -> str:
    source = textwrap.dedent(program).replace("PACKAGE", package).replace("URL", repr(f"{server.url}/v1"))
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(source, f"{package} program", "exec"), {"__name__": "program"})
    return out.getvalue()


def asked(server: Server) -> list[tuple[str, str, list[str], str | None]]:
    """Return method, path, query and a header of each request."""
    found: list[tuple[str, str, list[str], str | None]] = []
    for received in server.requests:
        method, target, _ = received.line.split()
        path, _, query = target.partition("?")
        found.append((method, path, sorted(query.split("&")), received.headers.get("x-shop")))
    return found


@pytest.mark.parametrize("program", [PROGRAM, ASYNC_PROGRAM], ids=["sync", "async"])
def test_a_program_changes_one_import(program: str) -> None:
    with Server(serve) as server:
        official = printed_by(program, "openai", server)
        asked_by_official = asked(server)
        server.requests.clear()
        ours = printed_by(program, "antiphon", server)
        asked_by_ours = asked(server)

    assert ours == official
    assert "One two." in ours
    assert asked_by_ours == asked_by_official


def test_its_settings_reach_every_call() -> None:
    host = ScriptedHost([{"status": 503, "headers": {"retry-after-ms": "1"}, "body": {}}, "Hello."])
    client = OpenAI(
        api_key="k",
        organization="org",
        project="proj",
        base_url="https://shop.example/v1",
        timeout=9,
        max_retries=1,
        default_query={"q": 1},
        http_client=host,
    )

    assert client.responses.create(model="gpt-5", input="Hi").output_text == "Hello."

    sent = host.requests[1]
    headers = {name.lower(): value for name, value in sent.headers}
    assert sent.url == "https://shop.example/v1/responses?q=1"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "proj")
    assert "k" not in repr(client)


def test_marks_for_what_is_not_given_are_not_sent() -> None:
    host = ScriptedHost(["Hello."])
    client = OpenAI(api_key="k", http_client=host)

    client.responses.create(model="gpt-5", input="Hi", temperature=openai.omit, timeout=openai.NOT_GIVEN)

    assert json.loads(host.requests[0].body or b"") == {"model": "gpt-5", "input": "Hi"}


def test_other_providers_go_by_their_prefix_and_any_chain() -> None:
    with OpenAI(chain=presets.responses.without("log")) as client:
        assert client.responses.create(model="scripted/echo", input="Hi").output_text == "Hi"


def test_what_it_does_not_have_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="OpenAI has no 'chat' here; it has: responses"):
        _ = OpenAI().chat


def test_names_of_the_official_objects_say_what_to_write_here() -> None:
    client = OpenAI(http_client=ScriptedHost([function_call("f", {}), "Hello."]), api_key="k")
    call, said = (client.responses.create(model="gpt-5", input="Hi") for _ in range(2))
    message: Any = said.output[0]

    for obj, name, move in (
        (said, "_request_id", "meta.request_id"),
        (message.content[0], "parsed", "output_parsed"),
        (call.output[0], "parsed_arguments", "json.loads"),
        (client.responses, "with_raw_response", "meta.headers"),
        (AsyncOpenAI().responses, "with_streaming_response", "meta.headers"),
    ):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'\n  hint: .*{move}"):
            getattr(obj, name)


def test_a_stream_must_be_entered() -> None:
    with pytest.raises(RuntimeError, match=r"with client\.responses\.stream"):
        list(OpenAI().responses.stream(model="scripted/echo", input="Hi"))

    async def body() -> None:
        with pytest.raises(RuntimeError, match=r"async with client\.responses\.stream"):
            await AsyncOpenAI().responses.stream(model="scripted/echo", input="Hi").get_final_response()

    asyncio.run(body())


def test_errors_have_the_official_names() -> None:
    ours = {name for name in antiphon.__all__ if name.endswith("Error") and name in vars(openai)}

    assert {"APIConnectionError", "APIStatusError", "BadRequestError", "NotFoundError", "RateLimitError"} <= ours
