"""The Anthropic dialect from end to end: recorded answers, served over the loopback, through the public functions."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from anthropic_recordings import ERRORS, PLAIN, STREAMS, assert_same, message_in, named
from conftest import Mode
from recordings import Recording
from replay_server import Answer, path_of, replaying

from antiphon.pipeline.errors import (
    APIResponseError,
    APIStatusError,
    BadRequestError,
    BillingError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    StreamInterrupted,
)
from antiphon.pipeline.streams.grammar import check_grammar

KEY = "sk-ant-canary-0123456789abcdef"
CALL = {"input": "Hi", "model": "anthropic/claude-opus-4-8", "num_retries": 0, "api_key": KEY}


async def ask(mode: Mode, url: str, **more: Any) -> Any:
    call: dict[str, Any] = {**CALL, "api_base": url, **more}
    return await mode.responses(**call)


def test_there_is_something_to_replay() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert len(PLAIN) >= 14
    assert len(STREAMS) >= 11
    assert len(ERRORS) == 2


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_says_the_same(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url, max_output_tokens=1000))

    (received,) = server.requests
    assert path_of(received) == "/v1/messages"
    assert received.headers["x-api-key"] == KEY
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in received.headers
    assert "anthropic-beta" not in received.headers
    assert json.loads(received.body) == {
        "model": "claude-opus-4-8",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert_same(response, message_in(recording.body))
    assert response.meta is not None
    assert response.meta.dialect == "anthropic"
    assert KEY not in repr(response.meta)


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_to_a_streamed_call_is_told_as_a_stream(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    with replaying(Answer.of(recording)) as server:
        events, response = mode.run_calls(body)

    assert check_grammar(events) == []
    assert_same(response, message_in(recording.body))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    cuts = tuple(sorted(random.Random(recording.name).sample(range(1, len(recording.body)), 20)))
    with replaying(Answer.of(recording, cuts=cuts)) as server:
        events, response = mode.run_calls(body)

    assert json.loads(server.requests[0].body)["stream"] is True
    assert check_grammar(events) == []
    assert_same(response, message_in(recording.body))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_long_answer_is_asked_for_as_a_stream_and_collected(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    sent = json.loads(server.requests[0].body)
    assert (sent["stream"], sent["max_tokens"]) == (True, 128_000)
    assert_same(response, message_in(recording.body))


@pytest.mark.parametrize("recording", ERRORS, ids=named)
def test_an_error_says_what_the_host_said(recording: Recording, mode: Mode, streamed: bool) -> None:
    async def body() -> APIStatusError:
        with pytest.raises(APIStatusError) as caught:
            await ask(mode, server.url, stream=streamed)
        return caught.value

    with replaying(Answer.of(recording)) as server:
        error = mode.run_calls(body)

    found = json.loads(recording.body)
    assert error.message == found["error"]["message"]
    assert type(error) is {400: BadRequestError, 404: NotFoundError}[recording.status]
    assert error.body == found
    assert error.provider == "anthropic"


OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}'
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"content":[],"model":"m","usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":"Half"}}\n\n'
)


def test_an_overloaded_host_is_an_error_of_that_class(mode: Mode, streamed: bool) -> None:
    async def body() -> OverloadedError:
        with pytest.raises(OverloadedError) as caught:
            await ask(mode, server.url, stream=streamed)
        return caught.value

    with replaying(Answer.json(OVERLOADED, 529, {"request-id": "req_1"})) as server:
        error = mode.run_calls(body)

    assert (error.status, error.message, error.request_id, error.retryable) == (529, "Overloaded", "req_1", True)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("prompt is too long: 213462 tokens > 200000 maximum", ContextWindowExceededError),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", ContextWindowExceededError),
        ("Your credit balance is too low to access the Anthropic API.", BillingError),
        ("max_tokens: Field required", BadRequestError),
    ],
)
def test_what_the_host_calls_an_invalid_request_is_told_apart(
    message: str, expected: type[APIStatusError], mode: Mode
) -> None:
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}

    async def body() -> APIStatusError:
        with pytest.raises(APIStatusError) as caught:
            await ask(mode, server.url)
        return caught.value

    with replaying(Answer.json(json.dumps(said).encode(), 400)) as server:
        error = mode.run_calls(body)

    assert type(error) is expected


def test_an_error_inside_a_stream_keeps_what_was_said(mode: Mode, streamed: bool) -> None:
    async def body() -> OverloadedError:
        with pytest.raises(OverloadedError) as caught:
            await mode.events(await ask(mode, server.url, stream=streamed))
        return caught.value

    with replaying(Answer.stream(START + b"event: error\ndata: " + OVERLOADED + b"\n\n")) as server:
        error = mode.run_calls(body)

    assert error.response is not None
    assert error.response.output_text == "Half"


def test_a_stream_that_breaks_is_an_error(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(StreamInterrupted):
            await mode.events(await ask(mode, server.url, stream=True))

    with replaying(Answer.stream(START)) as server:
        mode.run_calls(body)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'{"id":"x","choices":[]}', 'pass dialect="chat"'),
        (b'{"id":"x","output":[]}', 'pass dialect="responses"'),
        (b"<html>", "ends in /v1"),
    ],
)
def test_an_answer_of_another_format_is_an_error_that_says_so(body: bytes, hint: str, mode: Mode) -> None:
    async def call() -> APIResponseError:
        with pytest.raises(APIResponseError) as caught:
            await ask(mode, server.url, max_output_tokens=1)
        return caught.value

    with replaying(Answer.json(body)) as server:
        error = mode.run_calls(call)

    assert hint in (error.hint or "")


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/messages", "/anthropic", "/anthropic/v1"])
def test_an_address_may_end_in_its_version_or_not(path: str, mode: Mode) -> None:
    with replaying(Answer.json(b'{"content":[]}')) as server:
        mode.run_calls(lambda: ask(mode, server.url + path, max_output_tokens=1))

    expected = "/anthropic/v1/messages" if "anthropic" in path else "/v1/messages"
    assert path_of(server.requests[0]) == expected


def test_a_token_is_sent_as_a_bearer(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    with replaying(Answer.json(b'{"content":[]}')) as server:
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        call: dict[str, Any] = {
            "input": "Hi",
            "model": "claude/claude-opus-4-8",
            "max_output_tokens": 1,
            "num_retries": 0,
        }

        async def body() -> Any:
            return await mode.responses(**call)

        mode.run_calls(body)

    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in headers


def test_betas_of_the_call_and_of_its_features_are_sent_together(mode: Mode) -> None:
    tool = {"type": "mcp", "server_label": "d", "server_url": "https://mcp.example", "require_approval": "never"}
    with replaying(Answer.json(b'{"content":[]}')) as server:
        extra = {"Anthropic-Beta": "context-1m-2025-08-07", "anthropic-version": "2024-01-01"}
        call = {"max_output_tokens": 1, "tools": [tool], "mcp_execute": "native", "extra_headers": extra}
        mode.run_calls(lambda: ask(mode, server.url, **call))

    headers = server.requests[0].headers
    assert headers["anthropic-beta"] == "context-1m-2025-08-07,mcp-client-2025-04-04"
    assert headers["anthropic-version"] == "2024-01-01"


def test_an_answer_goes_back_as_input(mode: Mode) -> None:
    """Thinking, the host's own tools, and a call: the output of one call is part of the input of the next."""
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "abc"},
        {"type": "text", "text": "Let me look."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]},
        {"type": "thinking", "thinking": "So", "signature": "sig2"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1, "a": 2}},
    ]
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-8", "content": blocks}
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]

    async def body() -> Any:
        first = await ask(mode, server.url, tools=tools)
        result = {"type": "function_call_output", "call_id": "toolu_1", "output": "done"}
        given = [{"role": "user", "content": "Hi"}, *first.output, result]
        return await ask(mode, server.url, tools=tools, input=given)

    with replaying(Answer.json(json.dumps({**answer, "stop_reason": "tool_use"}).encode())) as server:
        response = mode.run_calls(body)

    assert json.loads(server.requests[1].body)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}]},
    ]
    assert not response.meta.dropped
