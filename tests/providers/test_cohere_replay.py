"""The Cohere dialect from end to end: recorded answers, served over the loopback, through the public functions."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from cohere_recordings import ALL, PLAIN, STREAMS, answer_in, assert_same, named
from conftest import Mode
from recordings import Recording
from replay_server import Answer, path_of, replaying

from antiphon.pipeline.errors import (
    APIError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RateLimitError,
    StreamInterrupted,
    UnprocessableEntityError,
)
from antiphon.pipeline.streams.grammar import check_grammar

KEY = "cohere-key-canary-0123456789abcdef"
CALL = {"input": "Hi", "model": "cohere/command-a-reasoning-08-2025", "num_retries": 0, "api_key": KEY}


async def ask(mode: Mode, url: str, **more: Any) -> Any:
    call: dict[str, Any] = {**CALL, "api_base": url, **more}
    return await mode.responses(**call)


def failing(mode: Mode, url: str, kind: type[APIError] = APIStatusError, **more: Any) -> Any:
    """Return the error of a call, read to its end."""

    async def body() -> APIError:
        with pytest.raises(kind) as caught:
            await mode.events(await ask(mode, url, **more))
        return caught.value

    return mode.run_calls(body)


def test_there_is_something_to_replay() -> None:
    if not ALL:
        pytest.skip("no recordings here")
    assert (len(PLAIN), len(STREAMS)) == (6, 2)


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_says_the_same(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    (received,) = server.requests
    assert path_of(received) == "/v2/chat"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(received.body) == {
        "model": "command-a-reasoning-08-2025",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert_same(response, answer_in(recording))
    assert response.meta is not None
    assert response.meta.dialect == "cohere"
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
    with replaying(Answer.of(recording, cuts=cuts)) as server:
        events, response = mode.run_calls(body)

    assert json.loads(server.requests[0].body)["stream"] is True
    assert check_grammar(events) == []
    assert_same(response, answer_in(recording))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_nobody_asked_for_is_collected(recording: Recording, mode: Mode) -> None:
    with replaying(Answer.of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    assert_same(response, answer_in(recording))


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (404, NotFoundError, False),
        (422, UnprocessableEntityError, False),
        (429, RateLimitError, True),
        (498, AuthenticationError, False),
        (499, APIStatusError, False),
        (500, InternalServerError, True),
        (503, OverloadedError, True),
    ],
)
def test_an_error_says_what_the_host_said(status: int, expected: type[APIError], retryable: bool) -> None:
    body = {"id": "e-1", "message": f"invalid request: {KEY}"}

    with replaying(Answer.json(json.dumps(body).encode(), status)) as server:
        error = failing(Mode("sync"), server.url)

    assert type(error) is expected
    assert (error.message, error.status, error.retryable) == ("invalid request: ***", status, retryable)


START = (
    b'data: {"type":"message-start","id":"c","delta":{"message":{"role":"assistant","content":[]}}}\n\n'
    b'data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":"Half"}}}}\n\n'
)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            b'data: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"gpu on fire"}}\n\n',
            "the model stopped: ERROR (gpu on fire)",
        ),
        (b'data: {"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}\n\n', "the model stopped: TIMEOUT"),
        (b'data: {"message":"internal server error"}\n\n', "internal server error"),
        (b'event: error\ndata: {"message":"internal server error"}\n\n', "internal server error"),
    ],
)
def test_an_error_inside_a_stream_keeps_what_was_said(end: bytes, message: str, mode: Mode, streamed: bool) -> None:
    with replaying(Answer.stream(START + end)) as server:
        error = failing(mode, server.url, stream=streamed)

    assert type(error) is InternalServerError
    assert error.message == message
    assert error.response is not None
    assert error.response.output_text == "Half"


def test_a_whole_answer_that_failed_is_an_error(mode: Mode) -> None:
    body = b'{"id":"c","message":{"content":[{"type":"text","text":"Half"}]},"finish_reason":"TIMEOUT"}'

    with replaying(Answer.json(body)) as server:
        error = failing(mode, server.url)

    assert error.response.output_text == "Half"


def test_a_stream_that_breaks_is_an_error(mode: Mode) -> None:
    with replaying(Answer.stream(START)) as server:
        failing(mode, server.url, StreamInterrupted, stream=True)


@pytest.mark.parametrize("chunk", [b"data: {\n\n", b"data: 1\n\n", b'data: {"type":"content-delta","index":"x"}\n\n'])
def test_a_chunk_that_cannot_be_read_is_an_error(chunk: bytes, mode: Mode) -> None:
    with replaying(Answer.stream(START + chunk)) as server:
        error = failing(mode, server.url, APIResponseError, stream=True)

    assert "cannot be read" in error.message


@pytest.mark.parametrize(
    ("body", "expected", "words"),
    [
        (b'{"choices":[]}', APIResponseError, 'pass dialect="chat"'),
        (b"<html>", APIResponseError, "an HTML page"),
        (b'{"message":"no such model"}', APIStatusError, "no such model"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_that_says_so(
    body: bytes, expected: type[APIError], words: str, mode: Mode
) -> None:
    with replaying(Answer.json(body)) as server:
        error = failing(mode, server.url, expected)

    assert words in str(error)
