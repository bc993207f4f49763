"""Claude behind the clouds: the forms in which Vertex AI and Bedrock take the Messages API, and how Bedrock streams."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from amazon_frames import event, exception
from cloud_accounts import ask
from conftest import Mode
from replay_server import Answer, path_of, replaying

from antiphon import presets
from antiphon.pipeline.errors import (
    APIResponseError,
    AuthenticationError,
    OverloadedError,
    RateLimitError,
    UnsupportedParameter,
)

KEY = "canary-key-0123456789"
WHERE: dict[str, Any] = {"aws_region_name": "eu-central-1", "vertex_project": "pro-1", "api_key": KEY}
BEDROCK, VERTEX = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "vertex_ai/claude-sonnet-4-5@20250929"
MESSAGE = {"type": "message", "content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn", "usage": {}}
MEDIA_TYPE = "application/vnd.amazon.eventstream"


def sent(model: str, **call: Any) -> Any:
    """Return the request of a dry run."""
    own = {"dialect": "anthropic"} if model == BEDROCK else {}
    explained = presets.responses.explain(
        "Hi",
        model=model,
        **{**{name: value for name, value in WHERE.items() if value}, "max_output_tokens": 9, **own, **call},
    )
    assert explained.request is not None
    return explained.request


def chunk(said: dict[str, Any]) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(said).encode()).decode(), "p": "abc"})


START = chunk({"type": "message_start", "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 3}}})
TEXT = (
    chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    + chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}})
    + chunk({"type": "content_block_stop", "index": 0})
)
END = chunk({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}) + chunk(
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}}
)


def streaming(body: bytes, **settings: Any) -> Answer:
    return Answer(200, {"content-type": MEDIA_TYPE}, body, chunked=True, **settings)


# --- what goes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_the_address_says_model_and_stream(stream: bool) -> None:
    bedrock, vertex = (sent(model, stream=stream) for model in (BEDROCK, VERTEX))

    assert bedrock.url.endswith(
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke" + ("-with-response-stream" if stream else "")
    )
    assert vertex.url.endswith(
        "/publishers/anthropic/models/claude-sonnet-4-5@20250929" + (":streamRawPredict" if stream else ":rawPredict")
    )
    said = {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
    assert bedrock.body == {**said, "anthropic_version": "bedrock-2023-05-31"}
    assert vertex.body == {
        **said,
        "anthropic_version": "vertex-2023-10-16",
        **({"stream": True} if stream else {}),
    }
    assert bedrock.headers["accept"] == (MEDIA_TYPE if stream else "application/json")
    assert vertex.headers["accept"] == ("text/event-stream" if stream else "application/json")
    assert "anthropic-version" not in {**bedrock.headers, **vertex.headers}


def test_betas_are_in_the_body_at_bedrock_and_in_a_header_elsewhere() -> None:
    asked = {"extra_headers": {"Anthropic-Beta": "one, two"}}
    bedrock, vertex, own = (sent(model, **asked) for model in (BEDROCK, VERTEX, "anthropic/claude-sonnet-4-5"))

    assert bedrock.body["anthropic_beta"] == ["one", "two"]
    assert "anthropic-beta" not in bedrock.headers
    for request in (vertex, own):
        assert request.headers["anthropic-beta"] == "one,two"
        assert "anthropic_beta" not in request.body


def test_a_long_answer_is_asked_for_as_a_stream_there_too(mode: Mode) -> None:
    with replaying(streaming(START + TEXT + END)) as server:
        call: dict[str, Any] = {**WHERE, "dialect": "anthropic", "vertex_project": None}
        response = mode.run(lambda: ask(mode, server.url, BEDROCK, **call))

    assert path_of(server.requests[0]).endswith("/invoke-with-response-stream")
    assert response.output_text == "Hi."


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"type": "input_image", "image_url": "https://pictures.example/a.png"}, "fetches no images"),
        ({"type": "input_file", "file_url": "https://files.example/a.pdf"}, "fetches no files"),
    ],
)
def test_bedrock_fetches_nothing_and_says_so_before_anything_is_sent(part: dict[str, Any], what: str) -> None:
    given = [{"role": "user", "content": [part]}]

    with pytest.raises(UnsupportedParameter, match=what):
        presets.responses.explain(given, model=BEDROCK, dialect="anthropic", aws_region_name="r", api_key=KEY)
    explained = presets.responses.explain(given, model=VERTEX, vertex_project="p", api_key=KEY)
    assert explained.request is not None
    assert explained.request.body["messages"][0]["content"][0]["source"]["type"] == "url"


def test_bedrock_has_no_web_search() -> None:
    tools = [{"type": "web_search"}]

    with pytest.raises(UnsupportedParameter, match="does not have at this host"):
        sent(BEDROCK, tools=tools)
    assert sent(VERTEX, tools=tools).body["tools"][0]["type"] == "web_search_20250305"


# --- what comes back -------------------------------------------------------------------------------------------------

BEDROCK_CALL: dict[str, Any] = {"aws_region_name": "eu-central-1", "api_key": KEY, "dialect": "anthropic"}


@pytest.mark.parametrize("model", [BEDROCK, VERTEX])
def test_a_plain_answer_is_a_message(model: str, mode: Mode, streamed: bool) -> None:
    call = BEDROCK_CALL if model == BEDROCK else {"vertex_project": "pro-1", "api_key": KEY}
    body = json.dumps(MESSAGE).encode()

    with replaying(Answer.json(body)) as server:
        response = mode.run(
            lambda: ask(mode, server.url, model, streamed=streamed, max_output_tokens=9, num_retries=0, **call)
        )

    assert response.output_text == "Hi."
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_stream_may_be_cut_anywhere(mode: Mode) -> None:
    body = START + TEXT + END
    cuts = tuple(range(1, len(body), 7))
    with replaying(streaming(body, cuts=cuts)) as server:
        response = mode.run(
            lambda: ask(mode, server.url, BEDROCK, streamed=True, max_output_tokens=9, num_retries=0, **BEDROCK_CALL)
        )

    assert response.output_text == "Hi."
    assert response.usage.to_dict()["total_tokens"] == 5


def failing(mode: Mode, answer: Answer, kind: type[Exception], streamed: bool) -> Any:
    async def body() -> None:
        with pytest.raises(kind) as caught:
            await ask(mode, server.url, BEDROCK, streamed=streamed, max_output_tokens=9, num_retries=0, **BEDROCK_CALL)
        found.append(caught.value)

    found: list[Any] = []
    with replaying(answer) as server:
        mode.run(body)
    return found[0]


def test_an_exception_inside_the_stream_is_typed_and_keeps_what_was_said(mode: Mode) -> None:
    error = failing(
        mode, streaming(START + TEXT + exception("throttlingException", f"no {KEY}")), RateLimitError, streamed=True
    )

    assert (error.message, error.code) == ("no ***", "ThrottlingException")
    assert error.response.output_text == "Hi."


def test_an_error_event_of_anthropics_inside_the_stream_is_typed(mode: Mode) -> None:
    said = chunk({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})

    assert failing(mode, streaming(START + said), OverloadedError, streamed=True).message == "busy"


@pytest.mark.parametrize("payload", [{"bytes": "no base64!"}, {"bytes": 5}, ["bytes"]])
def test_a_chunk_that_holds_no_event_is_an_error(payload: Any, mode: Mode) -> None:
    error = failing(mode, streaming(START + event("chunk", payload)), APIResponseError, streamed=True)

    assert "holds no event in base64" in error.message


def test_an_event_of_a_newer_kind_is_passed_over(mode: Mode) -> None:
    body = START + event("initial-response", {}) + TEXT + END
    with replaying(streaming(body)) as server:
        response = mode.run(
            lambda: ask(mode, server.url, BEDROCK, streamed=True, max_output_tokens=9, num_retries=0, **BEDROCK_CALL)
        )

    assert response.output_text == "Hi."


def test_the_error_that_a_header_names_decides_the_class(mode: Mode, streamed: bool) -> None:
    headers = {"x-amzn-errortype": "UnrecognizedClientException:http://internal.amazon.com/coral/"}
    answer = Answer.json(b'{"message":"The security token included in the request is invalid."}', 403, headers)

    assert failing(mode, answer, AuthenticationError, streamed).code == "UnrecognizedClientException"
