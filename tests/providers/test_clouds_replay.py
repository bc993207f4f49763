"""Recorded exchanges of the clouds' hosts, served over the loopback, through their rows and with their credentials."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any
from urllib.parse import urlsplit

import anthropic_recordings
import chat_recordings
import gemini_recordings
import pytest
from cloud_accounts import OWN, assert_signed
from conftest import Mode
from recordings import Recording, load
from replay_server import Answer, path_of, replaying

from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import APIStatusError, BadRequestError, ContentPolicyViolationError
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.amazon_event_stream import FrameDecoder
from antiphon.providers.dialects.anthropic_frames import InvokeFrames


def recorded(dialect: str) -> list[Recording]:
    """Return recordings; none in a checkout without them."""
    try:
        return load(dialect)
    except pytest.skip.Exception:
        return []


def named(recording: Recording) -> str:
    return recording.name


KEY = "canary-azure-key"
VERTEX = recorded("gemini-vertex")
MANTLE = recorded("responses-bedrock-mantle")
INVOKE = [each for each in recorded("bedrock-invoke") if "anthropic" in each.url]
AZURE = [*recorded("responses-azure"), *recorded("chat-azure")]
FAILED = [each for each in [*VERTEX, *AZURE] if each.status >= 400]
FILTERED = [each for each in AZURE if each.body.startswith(b'{ "error"') and each not in FAILED]


def test_there_is_something_to_replay() -> None:
    if not VERTEX:
        pytest.skip("no recordings here")
    assert (len(VERTEX), len(MANTLE), len(INVOKE), len(AZURE), len(FAILED)) == (11, 8, 4, 15, 4)


def streams(recording: Recording) -> bool:
    return recording.kind == "stream"


def call_of(recording: Recording, url: str) -> dict[str, Any]:
    """Return a call to the row, and the place, that a recording was made at."""
    parts = urlsplit(recording.url)
    host, path = parts.netloc, parts.path
    if "aiplatform" in host:
        _, version, _, project, _, location, *_, model = path.partition(":")[0].split("/")
        base = f"{url}/{version}/projects/{project}/locations/{location}/publishers/google"
        return {"model": f"vertex_ai/{model}", "api_base": base, "api_key": lambda: "ya29.canary-token"}
    if "mantle" in host:
        model = recording.request_body["model"]
        return {"model": f"bedrock_mantle/{model}", "api_base": url, "api_key": OWN, "aws_region_name": "us-east-1"}
    if "bedrock-runtime" in host:
        model = path.split("/")[2].replace("%3A", ":")
        signed = {"api_key": OWN, "aws_region_name": "us-east-1", "dialect": "anthropic"}
        return {"model": f"bedrock/{model}", "api_base": url, "max_output_tokens": 1000, **signed}
    if "/deployments/" in path:
        older = {"api_version": parts.query.removeprefix("api-version="), "dialect": "chat"}
        return {"model": f"azure/{path.split('/')[3]}", "api_base": url, "api_key": KEY, **older}
    return {"model": f"azure/{recording.request_body['model']}", "api_base": url, "api_key": KEY}


async def replies(mode: Mode, call: dict[str, Any], streamed: bool) -> Response:
    """Return the response of a call; of a stream when its events were whole."""
    reply = await mode.responses(input="Hi", num_retries=0, stream=streamed, **call)
    if streamed:
        assert check_grammar(await mode.events(reply)) == []
        return reply.response  # type: ignore[no-any-return]
    return reply  # type: ignore[no-any-return]


def replay(recording: Recording, mode: Mode, streamed: bool) -> tuple[Response, Any, int]:
    cuts = tuple(sorted(random.Random(recording.name).sample(range(1, len(recording.body)), 20)))
    answer = Answer.of(recording, cuts=cuts, chunked=streams(recording))
    with replaying(answer) as server:
        response = mode.run_calls(lambda: replies(mode, call_of(recording, server.url), streamed))
    (received,) = server.requests
    return response, received, server.port


def asked_for(recording: Recording) -> str:
    """Return the path that was asked for; a query of Google's client that changes the form of numbers is not ours."""
    parts = urlsplit(recording.url)
    return parts.path + (f"?{parts.query}" if parts.query and "alt=json" not in parts.query else "")


# --- Gemini at Vertex AI ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", [each for each in VERTEX if each not in FAILED], ids=named)
def test_gemini_at_vertex_says_the_same(recording: Recording, mode: Mode, streamed: bool) -> None:
    response, received, _ = replay(recording, mode, streamed)

    gemini_recordings.assert_same(response, gemini_recordings.Said(gemini_recordings.chunks_of(recording.body)))
    assert received.headers["authorization"] == "Bearer ya29.canary-token"
    assert "x-goog-api-key" not in received.headers
    if streamed == streams(recording):
        given = urlsplit(asked_for(recording))
        assert path_of(received) == f"{given.path}{'?alt=sse' if streamed else ''}"
    assert response.meta is not None
    assert (response.meta.provider, response.meta.dialect) == ("vertex_ai", "gemini")


# --- Claude at Bedrock -----------------------------------------------------------------------------------------------


def message_in(recording: Recording) -> dict[str, Any]:
    """Return the message of a recording; of a stream after its frames are undone by the two decoders."""
    body = recording.body
    if streams(recording):
        body = b"".join(b"data: " + payload + b"\n\n" for _, payload in InvokeFrames().feed(body))
    message = anthropic_recordings.message_in(body)
    message["usage"] = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, **message["usage"]}
    return message


@pytest.mark.parametrize("recording", INVOKE, ids=named)
def test_claude_at_bedrock_says_the_same(recording: Recording, mode: Mode, streamed: bool) -> None:
    response, received, port = replay(recording, mode, streamed)

    message = message_in(recording)
    calls = [call.to_dict() for call in response.function_calls]
    text = [block["text"] for block in message["content"] if block["type"] == "text"]
    used = [block for block in message["content"] if block["type"] == "tool_use"]
    assert response.output_text == "".join(text)
    assert [(call["call_id"], call["name"], json.loads(call["arguments"])) for call in calls] == [
        (block["id"], block["name"], block["input"]) for block in used
    ]
    assert response.model == message["model"]
    anthropic_recordings.assert_usage(response, message["usage"])
    assert_signed(received, port, region="us-east-1")
    if streamed == streams(recording):
        assert path_of(received) == urlsplit(recording.url).path
    sent = json.loads(received.body)
    assert sent["anthropic_version"] == recording.request_body["anthropic_version"]
    assert {"model", "stream"}.isdisjoint(sent)


def test_every_chunk_of_the_recorded_streams_holds_an_event() -> None:
    for recording in INVOKE:
        if streams(recording):
            frames = list(FrameDecoder().feed(recording.body))
            assert {name for name, _ in frames} == {"chunk"}
            assert [json.loads(data)["type"] for _, data in InvokeFrames().feed(recording.body)][-1] == "message_stop"


@pytest.mark.parametrize("recording", [each for each in INVOKE if each.turn == 2], ids=named)
def test_a_recorded_conversation_with_claude_at_bedrock_goes_on_as_it_did(recording: Recording, mode: Mode) -> None:
    """What the first answer said goes back as the recorded client sent it."""
    (first,) = [each for each in INVOKE if each.group == recording.group and each.turn == 1]
    asked = first.request_body["messages"][0]["content"][0]["text"]
    results = {
        block["tool_use_id"]: block["content"]
        for message in recording.request_body["messages"]
        for block in message["content"]
        if block["type"] == "tool_result"
    }

    async def body() -> None:
        call = {**call_of(first, server.url), "num_retries": 0, "tools": [function_of(first)]}
        question = {"role": "user", "content": asked}
        response = await mode.responses(input=[question], **call)
        outputs = [
            {"type": "function_call_output", "call_id": made.call_id, "output": results[made.call_id]}
            for made in response.function_calls
        ]
        await mode.responses(input=[question, *response.output, *outputs], **call)

    with replaying(
        Answer.of(first, chunked=streams(first)), Answer.of(recording, chunked=streams(recording))
    ) as server:
        mode.run_calls(body)

    sent = json.loads(server.requests[1].body)["messages"]
    assert plainly(sent) == plainly(recording.request_body["messages"])


def function_of(recording: Recording) -> dict[str, Any]:
    (tool,) = recording.request_body["tools"]
    return {"type": "function", "name": tool["name"], "parameters": tool["input_schema"]}


def plainly(messages: list[dict[str, Any]]) -> list[Any]:
    """Return what messages say; a result's text may be a block."""

    def of_block(block: dict[str, Any]) -> Any:
        content = block.get("content")
        if isinstance(content, list):
            return {**block, "content": "".join(part["text"] for part in content)}
        return block

    return [(message["role"], [of_block(block) for block in message["content"]]) for message in messages]


# --- OpenAI's models at Bedrock Mantle -------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", MANTLE, ids=named)
def test_a_response_of_mantle_has_calls_of_its_own_name(recording: Recording, mode: Mode, streamed: bool) -> None:
    response, received, port = replay(recording, mode, streamed)

    found = final(recording)
    theirs = [item.get("call_id") for item in found["output"] if item["type"] == "function_call"]
    assert [call.call_id for call in response.function_calls] == [f"{found['id']}:{call_id}" for call_id in theirs]
    assert response.status == "completed"
    assert path_of(received) == urlsplit(recording.url).path
    assert_signed(received, port, region="us-east-1", service="bedrock-mantle")


def final(recording: Recording) -> dict[str, Any]:
    if not streams(recording):
        found: dict[str, Any] = json.loads(recording.body)
        return found
    events = anthropic_recordings.events_in(recording.body)
    (end,) = [event["response"] for event in events if event["type"] == "response.completed"]
    return end  # type: ignore[no-any-return]


@pytest.mark.parametrize("recording", [each for each in MANTLE if each.turn > 1], ids=named)
def test_a_recorded_conversation_with_mantle_goes_on_as_it_did(
    recording: Recording, mode: Mode, streamed: bool
) -> None:
    """What the answers said goes back, with the names that the recorded client gave the calls."""
    before = [each for each in MANTLE if each.group == recording.group and each.turn < recording.turn]

    async def body() -> list[str]:
        names: list[str] = []
        for each, server in zip(before, servers, strict=True):
            response = await replies(mode, call_of(each, server.url), streamed)
            names += [call.call_id for call in response.function_calls]
        return names

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(replaying(Answer.of(each, chunked=streams(each)))) for each in before]
        names = mode.run_calls(body)

    sent = [item["call_id"] for item in recording.request_body["input"] if item.get("type") == "function_call"]
    assert names == sent


# --- Azure -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", [each for each in AZURE if each not in [*FAILED, *FILTERED]], ids=named)
def test_azure_is_asked_at_the_recorded_address(recording: Recording, mode: Mode, streamed: bool) -> None:
    response, received, _ = replay(recording, mode, streamed)

    assert path_of(received) == asked_for(recording)
    assert received.headers["api-key"] == KEY
    if recording.dialect.startswith("chat") or "chat" in recording.name:
        said = chat_recordings.Said(
            chat_recordings.chunks_of(recording.body) if streams(recording) else [json.loads(recording.body)]
        )
        chat_recordings.assert_same(response, said)
    else:
        assert response.to_dict()["output"] == json.loads(recording.body)["output"]


@pytest.mark.parametrize("recording", FILTERED, ids=named)
def test_azure_may_say_no_inside_an_answer(recording: Recording, mode: Mode, streamed: bool) -> None:
    with pytest.raises(ContentPolicyViolationError, match="management policy"):
        replay(recording, mode, streamed)


@pytest.mark.parametrize("recording", FAILED, ids=named)
def test_an_error_of_a_cloud_is_typed(recording: Recording, mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        with pytest.raises(BadRequestError if recording.status == 400 else APIStatusError) as caught:
            await mode.responses(input="Hi", num_retries=0, stream=streamed, **call_of(recording, server.url))
        assert caught.value.status == recording.status
        assert "canary" not in str(caught.value)

    with replaying(Answer.of(recording)) as server:
        mode.run_calls(body)

    assert path_of(server.requests[0]).partition(":")[0] == asked_for(recording).partition(":")[0]
