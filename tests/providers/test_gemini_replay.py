"""The Gemini dialect from end to end: recorded answers, served over the loopback, through the public functions."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from conftest import Mode
from gemini_recordings import ERRORS, PLAIN, STREAMS, Said, assert_same, chunks_of, named
from recordings import Recording
from replay_server import Answer, path_of, replaying

from antiphon import presets
from antiphon.pipeline.errors import (
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    RateLimitError,
    StreamInterrupted,
)
from antiphon.pipeline.streams.grammar import check_grammar

KEY = "AIza-canary-0123456789abcdef"
CALL = {"input": "Hi", "model": "gemini/some-model", "num_retries": 0, "api_key": KEY}


async def ask(mode: Mode, url: str, **more: Any) -> Any:
    call: dict[str, Any] = {**CALL, "api_base": f"{url}/v1beta", **more}
    return await mode.responses(**call)


def test_there_is_something_to_replay() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert len(PLAIN) >= 22
    assert len(STREAMS) >= 10
    assert len(ERRORS) >= 4


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_says_the_same(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    (received,) = server.requests
    assert path_of(received) == "/v1beta/models/some-model:generateContent"
    assert received.headers["x-goog-api-key"] == KEY
    assert "authorization" not in received.headers
    assert json.loads(received.body) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert_same(response, Said(chunks_of(recording.body)))
    assert response.meta.dialect == "gemini"
    assert KEY not in repr(response.meta)


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_to_a_streamed_call_is_told_as_a_stream(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    with replaying(Answer.of(recording)) as server:
        events, response = mode.run_calls(body)

    assert check_grammar(events) == []
    assert_same(response, Said(chunks_of(recording.body)))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    cuts = tuple(sorted(random.Random(recording.name).sample(range(1, len(recording.body)), 20)))
    with replaying(Answer.of(recording, cuts=cuts)) as server:
        events, response = mode.run_calls(body)

    assert path_of(server.requests[0]) == "/v1beta/models/some-model:streamGenerateContent?alt=sse"
    assert check_grammar(events) == []
    assert_same(response, Said(chunks_of(recording.body)))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_nobody_asked_for_is_collected(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    assert_same(response, Said(chunks_of(recording.body)))


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
    assert error.status == recording.status
    assert error.body == found
    assert error.provider == "gemini"


def failing(mode: Mode, answer: Answer, kind: type[Exception], **more: Any) -> Any:
    async def body() -> None:
        reply = await ask(mode, server.url, **more)
        await mode.events(reply)

    with replaying(answer) as server, pytest.raises(kind) as caught:
        mode.run_calls(body)
    return caught.value


def test_a_wrong_key_is_an_authentication_error(mode: Mode) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [detail]}
    answer = Answer.json(json.dumps({"error": error}).encode(), 400)

    found = failing(mode, answer, AuthenticationError)
    assert found.status == 400
    assert not found.retryable


def test_a_host_says_in_the_details_how_long_to_wait(mode: Mode, streamed: bool) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41.5s"}
    error = {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    answer = Answer.json(json.dumps([{"error": error}]).encode(), 429)

    assert failing(mode, answer, RateLimitError, stream=streamed).retry_after_s == 41.5


def test_an_answer_that_failed_is_an_error_with_the_response(mode: Mode) -> None:
    candidate = {"content": {"parts": [{"text": "Hm"}]}, "finishReason": "MALFORMED_FUNCTION_CALL"}
    answer = Answer.json(json.dumps({"candidates": [candidate]}).encode())

    error = failing(mode, answer, APIStatusError)
    assert error.response.output_text == "Hm"
    assert "MALFORMED_FUNCTION_CALL" in error.message


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"candidates":[]}', b"<html>", b'{"choices":[]}'])
def test_an_answer_without_candidates_is_an_error(body: bytes, mode: Mode) -> None:
    failing(mode, Answer.json(body), APIResponseError)


def test_an_error_inside_the_stream_is_raised(mode: Mode) -> None:
    said = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}\n\n'
    error = b'data: {"error":{"code":503,"message":"Overloaded.","status":"UNAVAILABLE"}}\n\n'

    found = failing(mode, Answer.stream(said + error), APIStatusError, stream=True)
    assert found.message == "Overloaded."
    assert found.response.output_text == "Hi"


def test_a_stream_that_breaks_is_an_error(mode: Mode) -> None:
    said = b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}\n\n'

    failing(mode, Answer.stream(said), StreamInterrupted, stream=True)


def test_chat_completions_of_the_same_row_take_the_key_as_a_token() -> None:
    for base in ({}, {"api_base": "https://proxy.example/v1beta/openai"}):
        call = {"model": "gemini/m", "api_key": KEY, **base}
        native = presets.responses.explain("Hi", **call).request
        chat = presets.responses.explain("Hi", dialect="chat", **call).request

        assert native is not None
        assert chat is not None
        host = "https://proxy.example" if base else "https://generativelanguage.googleapis.com"
        assert native.url == f"{host}/v1beta/models/m:generateContent"
        assert chat.url == f"{host}/v1beta/openai/chat/completions"
        assert ("x-goog-api-key" in native.headers, "authorization" in native.headers) == (True, False)
        assert ("x-goog-api-key" in chat.headers, "authorization" in chat.headers) == (False, True)


def test_a_call_of_a_function_goes_round_with_its_signature(mode: Mode, streamed: bool) -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
    first = {"candidates": [{"content": {"parts": [{"text": "Hm", "thought": True}, call]}, "finishReason": "STOP"}]}
    second = {"candidates": [{"content": {"parts": [{"text": "Two."}]}, "finishReason": "STOP"}]}
    bodies = [json.dumps(each).encode() for each in (first, second)]
    answers = [Answer.stream(b"data: " + body + b"\n\n") if streamed else Answer.json(body) for body in bodies]

    async def reply(given: Any) -> Any:
        found = await ask(mode, server.url, input=given, stream=streamed)
        if streamed:
            await mode.events(found)
            return found.response
        return found

    async def body() -> Any:
        question = {"role": "user", "content": "1 + 1?"}
        asked = await reply([question])
        result = {"type": "function_call_output", "call_id": asked.output[-1].call_id, "output": '{"sum": 2}'}
        return asked, await reply([question, *asked.output, result])

    with replaying(*answers) as server:
        asked, response = mode.run_calls(body)

    sent = json.loads(server.requests[1].body)["contents"]
    call_id = asked.output[-1].call_id
    assert response.output_text == "Two."
    assert sent[1]["parts"] == [{**call, "functionCall": {**call["functionCall"], "id": call_id}}]  # type: ignore[dict-item]
    assert sent[2]["parts"] == [{"functionResponse": {"id": call_id, "name": "f", "response": {"sum": 2}}}]
