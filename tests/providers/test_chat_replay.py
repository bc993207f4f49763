"""The chat dialect from end to end: recorded answers, served over the loopback, through the public functions."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from chat_recordings import ERRORS, PLAIN, STREAMS, Said, assert_same, chunks_of, named
from conftest import Mode
from recordings import Recording
from replay_server import Answer, path_of, replaying

from antiphon.pipeline.errors import APIStatusError
from antiphon.pipeline.streams.grammar import check_grammar

KEY = "sk-canary-0123456789abcdef"
CALL = {"input": "Hi", "model": "openai_compatible/some-model", "dialect": "chat", "num_retries": 0, "api_key": KEY}


async def ask(mode: Mode, url: str, **more: Any) -> Any:
    call: dict[str, Any] = {**CALL, "api_base": f"{url}/v1", **more}
    return await mode.responses(**call)


def answer_of(recording: Recording, **settings: Any) -> Answer:
    return Answer.of(recording, **settings)


def test_there_is_something_to_replay() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert len(PLAIN) >= 75
    assert len(STREAMS) >= 25
    assert len(ERRORS) >= 5


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_says_the_same(recording: Recording, mode: Mode) -> None:
    with replaying(answer_of(recording)) as server:
        response = mode.run_calls(lambda: ask(mode, server.url))

    (received,) = server.requests
    assert path_of(received) == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(received.body)["messages"] == [{"role": "user", "content": "Hi"}]
    assert_same(response, Said([json.loads(recording.body)]))
    assert response.meta is not None
    assert response.meta.dialect == "chat"
    assert KEY not in repr(response.meta)


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_whole_answer_to_a_streamed_call_is_told_as_a_stream(recording: Recording, mode: Mode) -> None:
    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        return await mode.events(stream), stream.response

    with replaying(answer_of(recording)) as server:
        events, response = mode.run_calls(body)

    assert check_grammar(events) == []
    assert_same(response, Said([json.loads(recording.body)]))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording, mode: Mode) -> None:
    said = Said(chunks_of(recording.body))

    async def body() -> Any:
        stream = await ask(mode, server.url, stream=True)
        events = []
        if said.is_error:
            with pytest.raises(APIStatusError) as caught:
                events += await mode.events(stream)
            return events, caught.value.response
        return await mode.events(stream), stream.response

    cuts = tuple(sorted(random.Random(recording.name).sample(range(1, len(recording.body)), 20)))
    with replaying(answer_of(recording, cuts=cuts)) as server:
        events, response = mode.run_calls(body)

    assert json.loads(server.requests[0].body)["stream"] is True
    if not said.is_error:
        assert check_grammar(events) == []
    assert_same(response, said)


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_nobody_asked_for_is_collected(recording: Recording, mode: Mode) -> None:
    said = Said(chunks_of(recording.body))

    async def body() -> Any:
        if said.is_error:
            with pytest.raises(APIStatusError) as caught:
                await ask(mode, server.url)
            return caught.value.response
        return await ask(mode, server.url)

    with replaying(answer_of(recording)) as server:
        response = mode.run_calls(body)

    assert_same(response, said)


@pytest.mark.parametrize("recording", ERRORS, ids=named)
def test_an_error_says_what_the_host_said(recording: Recording, mode: Mode, streamed: bool) -> None:
    async def body() -> APIStatusError:
        with pytest.raises(APIStatusError) as caught:
            await ask(mode, server.url, stream=streamed)
        return caught.value

    with replaying(answer_of(recording)) as server:
        error = mode.run_calls(body)

    found = json.loads(recording.body)
    said = found["error"] if isinstance(found.get("error"), dict) else found
    assert error.message == said["message"]
    assert error.status == recording.status
    assert error.body == found
    assert error.provider == "openai_compatible"
