"""The Converse dialect from end to end: recorded answers, served over the loopback, through the public functions."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from amazon_frames import error, event, exception
from conftest import Mode
from converse_recordings import ALL, ERRORS, PLAIN, STREAMS, answer_in, assert_same, named
from recordings import Recording
from replay_server import Answer, path_of, replaying

from antiphon.pipeline.errors import (
    APIError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    StreamInterrupted,
)
from antiphon.pipeline.streams.grammar import check_grammar

KEY = "bedrock-api-key-canary-0123456789abcdef"
MODEL = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
PATH = "/model/us.anthropic.claude-3-7-sonnet-20250219-v1%3A0/converse"
CALL = {"input": "Hi", "model": f"bedrock/{MODEL}", "num_retries": 0, "api_key": KEY}
MEDIA_TYPE = "application/vnd.amazon.eventstream"


async def ask(mode: Mode, url: str, **more: Any) -> Any:
    call: dict[str, Any] = {**CALL, "api_base": url, **more}
    return await mode.responses(**call)


def streaming(body: bytes, **settings: Any) -> Answer:
    return Answer(200, {"content-type": MEDIA_TYPE}, body, chunked=True, **settings)


def test_there_is_something_to_replay() -> None:
    if not ALL:
        pytest.skip("no recordings here")
    assert (len(PLAIN), len(STREAMS), len(ERRORS)) == (20, 5, 4)


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_says_the_same(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    (received,) = server.requests
    assert path_of(received) == PATH
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["accept"] == "application/json"
    assert json.loads(received.body) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    assert_same(response, answer_in(recording))
    assert response.meta is not None
    assert response.meta.dialect == "converse"
    assert response.meta.request_id == recording.headers.get("x-amzn-requestid")
    assert response.model == MODEL
    assert KEY not in repr(response.meta)


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_to_a_streamed_call_is_told_as_a_stream(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    with replaying(Answer.of(recording)) as server:
        events, response = mode.run_calls(body)

    assert check_grammar(events) == []
    assert_same(response, answer_in(recording))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    cuts = tuple(sorted(random.Random(recording.name).sample(range(1, len(recording.body)), 20)))
    with replaying(Answer.of(recording, cuts=cuts, chunked=True)) as server:
        events, response = mode.run_calls(body)

    (received,) = server.requests
    assert path_of(received) == f"{PATH}-stream"
    assert received.headers["accept"] == MEDIA_TYPE
    assert check_grammar(events) == []
    assert_same(response, answer_in(recording))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_nobody_asked_for_is_collected(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording, chunked=True)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    assert_same(response, answer_in(recording))


@pytest.mark.parametrize("recording", ERRORS, ids=named)
def test_an_error_says_what_the_host_said(recording: Recording, mode: Mode, streamed: bool) -> None:
    with replaying(Answer.of(recording)) as server:
        error = failing(mode, server.url, BadRequestError, stream=streamed)

    found = json.loads(recording.body)
    assert error.message == found["message"]
    assert error.body == found
    assert error.provider == "bedrock"


def failing(mode: Mode, url: str, kind: type[APIError] = APIStatusError, **more: Any) -> Any:
    """Return the error of a call, read to its end."""

    async def body() -> APIError:
        with pytest.raises(kind) as caught:
            await mode.events(await ask(mode, url, **more))
        return caught.value

    return mode.run_calls(body)


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "retryable"),
    [
        (403, "AccessDeniedException:http://internal.amazon.com/coral/", "no access", PermissionDeniedError, False),
        (403, "UnrecognizedClientException", "bad token", AuthenticationError, False),
        (429, "ThrottlingException", "slow down", RateLimitError, True),
        (429, "ModelNotReadyException", "not ready", OverloadedError, True),
        (404, "ResourceNotFoundException", "no model", NotFoundError, False),
        (408, "ModelTimeoutException", "too slow", APIStatusError, True),
        (424, "ModelErrorException", "broke", InternalServerError, True),
        (500, "InternalServerException", "oops", InternalServerError, True),
        (503, "ServiceUnavailableException", "busy", OverloadedError, True),
        (400, "ValidationException", "Malformed input request", BadRequestError, False),
        (400, "ValidationException", "Input is too long for requested model.", ContextWindowExceededError, False),
        (400, "ValidationException", "prompt is too long: 3 tokens > 2 maximum", ContextWindowExceededError, False),
    ],
)
@pytest.mark.parametrize("in_header", [True, False])
def test_the_name_of_an_error_decides_its_class(
    status: int, kind: str, message: str, expected: type[APIError], retryable: bool, in_header: bool
) -> None:
    headers = {"x-amzn-errortype": kind} if in_header else {}
    body = {"message": message} if in_header else {"message": message, "__type": f"com.amazon.coral.service#{kind}"}

    with replaying(Answer.json(json.dumps(body).encode(), status, headers)) as server:
        found = failing(Mode("sync"), server.url)

    assert type(found) is expected
    assert (found.message, found.code, found.status) == (message, kind.partition(":")[0], status)
    assert found.retryable is retryable


START = event("messageStart", {"role": "assistant"}) + event(
    "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Half"}}
)


@pytest.mark.parametrize(
    ("name", "expected", "retryable"),
    [
        ("throttlingException", RateLimitError, True),
        ("serviceUnavailableException", OverloadedError, True),
        ("internalServerException", InternalServerError, True),
        ("modelStreamErrorException", InternalServerError, True),
        ("validationException", BadRequestError, False),
    ],
)
def test_an_exception_inside_a_stream_keeps_what_was_said(
    name: str, expected: type[APIError], retryable: bool, mode: Mode, streamed: bool
) -> None:
    with replaying(streaming(START + exception(name, f"no {KEY}", originalStatusCode=500))) as server:
        found = failing(mode, server.url, stream=streamed)

    assert type(found) is expected
    assert (found.message, found.code) == ("no ***", f"{name[0].upper()}{name[1:]}")
    assert found.retryable is retryable
    assert found.response is not None
    assert found.response.output_text == "Half"


def test_an_error_inside_a_stream_is_the_hosts_failure(mode: Mode) -> None:
    with replaying(streaming(START + error("InternalError", "oops"))) as server:
        found = failing(mode, server.url, stream=True)

    assert type(found) is InternalServerError
    assert (found.message, found.code) == ("oops", "InternalError")


def test_overload_before_the_first_content_is_repeated(mode: Mode) -> None:
    busy = event("messageStart", {"role": "assistant"}) + exception("throttlingException", "slow down")
    whole = START + event("messageStop", {"stopReason": "end_turn"}) + event("metadata", {"usage": {}})

    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True, num_retries=1)
        return await mode.events(stream), stream.response

    with replaying(streaming(busy), streaming(whole)) as server:
        events, response = mode.run_calls(body)

    assert check_grammar(events) == []
    assert response.output_text == "Half"
    assert len(server.requests) == 2


def test_a_stream_that_breaks_is_an_error(mode: Mode) -> None:
    with replaying(streaming(START)) as server:
        found = failing(mode, server.url, StreamInterrupted, stream=True)

    assert found.response.output_text == "Half"


def test_damaged_bytes_are_an_error_behind_what_came_before_them(mode: Mode) -> None:
    broken = bytearray(event("contentBlockStop", {"contentBlockIndex": 0}))
    broken[-1] ^= 1

    async def body() -> tuple[list[str], APIResponseError]:
        stream = await ask(mode, server.url, stream=True)
        seen = [(await mode.next(stream)).type for _ in range(5)]
        with pytest.raises(APIResponseError, match="its checksum is wrong") as caught:
            await mode.next(stream)
        return seen, caught.value

    with replaying(streaming(START + bytes(broken))) as server:
        seen, found = mode.run_calls(body)

    assert seen[-1] == "response.output_text.delta"
    assert found.provider == "bedrock"


def test_a_chunk_that_is_no_json_is_an_error(mode: Mode) -> None:
    with replaying(streaming(START + event("metadata", 1))) as server:
        found = failing(mode, server.url, APIResponseError, stream=True)

    assert "cannot be read" in found.message


@pytest.mark.parametrize(
    ("body", "expected", "words"),
    [
        (b'{"output":{}}', APIResponseError, "no message"),
        (b"<html>", APIResponseError, "none of Converse but an HTML page"),
        (b'{"__type":"x#UnknownOperationException","message":"no"}', APIStatusError, "no"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_that_says_so(
    body: bytes, expected: type[APIError], words: str, mode: Mode
) -> None:
    async def call() -> APIError:
        with pytest.raises(expected, match=words) as caught:
            await ask(mode, server.url)
        return caught.value

    with replaying(Answer.json(body)) as server:
        mode.run_calls(call)


def test_a_model_that_talks_nonsense_has_failed(mode: Mode, streamed: bool) -> None:
    whole = {"output": {"message": {"content": [{"text": "Half"}]}}, "stopReason": "malformed_tool_use", "usage": {}}
    stop = event("messageStop", {"stopReason": "malformed_tool_use"})
    answer = streaming(START + stop) if streamed else Answer.json(json.dumps(whole).encode())

    async def body() -> InternalServerError:
        with pytest.raises(InternalServerError, match="malformed_tool_use") as caught:
            await mode.events(await ask(mode, server.url, stream=streamed))
        return caught.value

    with replaying(answer) as server:
        found = mode.run_calls(body)

    assert found.response is not None
    assert found.response.output_text == "Half"
