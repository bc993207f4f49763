"""Bad input, hosts and networks, through the public functions: the right error, with its facts and without the key."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from conftest import Mode
from loopback import Connection, Server, serving

import antiphon
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import APIConnectionError, APIError, APIResponseError, APITimeoutError, StreamInterrupted
from antiphon.pipeline.timeouts import Timeouts

KEY = "canary0123456789abcdef"  # of no vendor's shape: only knowing it helps
T = TypeVar("T", bound=antiphon.AntiphonError)
Fail = Callable[..., Any]


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
WHERE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress"}}
BEGUN = sse(
    CREATED,
    {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": ITEM},
    {"type": "response.output_text.delta", "sequence_number": 2, "delta": "Half a th", **WHERE},
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nx-request-id: req_1\r\n%b\r\n"
STREAM_HEAD = HEAD % (b"text/event-stream", b"transfer-encoding: chunked\r\n")


@pytest.fixture
def fail(mode: Mode) -> Fail:
    """Makes a call and reads its stream; returns the error that must come, after looking for the key in it."""

    def fail(url: str | None = None, *, reading: list[Any] | None = None, **call: Any) -> Any:
        keywords: dict[str, Any] = {"input": "Hi", "model": "openai_compatible/m", "api_key": KEY, "num_retries": 0}
        keywords |= {"timeout": 10} if url is None else {"timeout": 10, "api_base": f"{url}/v1"}
        keywords |= call

        async def body() -> None:
            try:
                reply = await mode.either(
                    lambda: antiphon.responses(**keywords), lambda: antiphon.aresponses(**keywords)
                )
                if keywords.get("stream"):
                    seen = [] if reading is None else reading
                    with contextlib.suppress(StopIteration, StopAsyncIteration):
                        while True:
                            seen.append(await mode.next(reply))
            finally:
                await mode.either(antiphon.close, antiphon.aclose)

        with pytest.raises(antiphon.AntiphonError) as caught:
            mode.run(body)
        error = caught.value
        shown = [str(error), repr(error), repr(error.meta), *traceback.format_exception(error)]
        cause: BaseException | None = error
        while cause is not None:
            shown += [str(cause), repr(cause), repr(cause.args)]
            cause = cause.__cause__ or cause.__context__
        assert KEY not in "".join(shown)
        return error

    return fail


def partial(error: APIError) -> Response:
    """Return the response that an error carries."""
    assert error.response is not None
    return error.response


def assert_facts(
    error: Any, *, status: int | None = None, answered: int | None = None, request_id: str | None = None
) -> None:
    """Assert whom the error is about: `status` is what the host said with it, `answered` what its answer began with."""
    assert error.provider == "openai_compatible"
    assert error.model == "m"
    assert error.status == status
    assert error.request_id == request_id
    assert error.meta is not None
    assert error.meta.provider == "openai_compatible"
    assert error.meta.status == (answered or status)
    assert [attempt.outcome for attempt in error.meta.attempts] == ["failed"]
    assert error.attempts == 1


def answering(*pieces: bytes | float, then: str = "close") -> Any:
    """Run a server that sends these pieces for every request; a number is a pause in seconds."""

    def serve(connection: Connection) -> None:
        if connection.request() is None:
            return
        for piece in pieces:
            if isinstance(piece, bytes):
                connection.send(piece)
            else:
                time.sleep(piece)
        if then == "reset":
            connection.reset()
        elif then == "hang":
            connection.wait_for_close()

    return serving(serve)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# --- nothing is sent -------------------------------------------------------------------------------------------------


@pytest.fixture
def idle_server() -> Iterator[Server]:
    """A server that nobody may talk to."""
    with answering(b"") as server:
        yield server
        assert server.accepted == 0


def test_a_missing_key_is_said_before_anything_is_sent(fail: Fail, streamed: bool) -> None:
    error = fail(model="openai/gpt-5", api_key=None, stream=streamed)

    assert type(error) is antiphon.MissingKey
    assert error.provider == "openai"
    assert "OPENAI_API_KEY" in (error.hint or "")
    assert not error.retryable
    assert error.attempts == 0


def test_an_unknown_provider_gets_suggestions(fail: Fail, streamed: bool) -> None:
    error = fail(model="opanai/gpt-5", stream=streamed)

    assert type(error) is antiphon.UnknownProvider
    assert isinstance(error, ValueError)
    assert 'did you mean "openai"?' in str(error)
    assert "docs/providers.md" in (error.hint or "")


@pytest.mark.parametrize(
    "model", ["", "   ", "gpt5", "/", "openai/", " openai/gpt-5", 5, ["openai/gpt-5"], b"openai/m"]
)
def test_a_malformed_model_is_refused(fail: Fail, model: Any) -> None:
    error = fail(model=model)

    assert isinstance(error, antiphon.InvalidModel | antiphon.InvalidParameter | antiphon.UnknownProvider)
    assert isinstance(error, ValueError)
    assert error.param == "model" or "provider" in str(error)


def test_input_and_model_in_each_others_place_are_told(fail: Fail) -> None:
    error = fail(input="openai/gpt-5", model="Hello there, you all.")

    assert isinstance(error, antiphon.InvalidModel)
    assert error.hint == "the input comes first: responses(input, model)"


WRONG: list[tuple[str, Any]] = [
    ("input", 5),
    ("input", {"role": "user", "content": "Hi"}),
    ("input", [5]),
    ("input", ["Hi"]),
    ("input", None),
    ("instructions", 5),
    ("temperature", "hot"),
    ("temperature", "0.5"),
    ("temperature", True),
    ("top_p", [1]),
    ("top_logprobs", 0.5),
    ("max_output_tokens", "16"),
    ("max_output_tokens", 0),
    ("max_output_tokens", -1),
    ("max_output_tokens", 1.5),
    ("max_tool_calls", "1"),
    ("stream", "yes"),
    ("stream", 1),
    ("stream_options", {"include_obfuscation": False}),
    ("store", "false"),
    ("background", "no"),
    ("parallel_tool_calls", "yes"),
    ("tools", {"type": "function"}),
    ("tools", "web_search"),
    ("tool_choice", 5),
    ("include", "reasoning.encrypted_content"),
    ("include", [5]),
    ("text", "json"),
    ("reasoning", "high"),
    ("metadata", [1]),
    ("prompt", "pmpt_1"),
    ("truncation", True),
    ("service_tier", 1),
    ("previous_response_id", 5),
    ("conversation", 5),
    ("user", 5),
    ("prompt_cache_key", 5),
    ("context_management", {}),
    ("extra_headers", [("a", "b")]),
    ("extra_query", "a=b"),
    ("extra_body", "{}"),
    ("timeout", "10"),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", float("nan")),
    ("timeout", True),
    ("num_retries", "2"),
    ("num_retries", 1.5),
    ("api_key", 5),
    ("api_base", 5),
    ("api_base", "not an address"),
    ("custom_llm_provider", 5),
    ("dialect", "morse"),
    ("hooks", 5),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value!r}" for name, value in WRONG])
def test_a_parameter_of_the_wrong_type_is_named(fail: Fail, idle_server: Server, name: str, value: Any) -> None:
    error = fail(idle_server.url, **{name: value})

    assert isinstance(error, antiphon.InvalidParameter)
    assert isinstance(error, ValueError)
    assert error.param == name
    assert name in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    "headers", [{"a": "b\r\nx: y"}, {"a\n": "b"}, {"a": "b\0"}, {"": "b"}, {"a b": "c"}, {"a:": "c"}]
)
def test_a_header_that_would_split_the_request_is_refused(
    fail: Fail, idle_server: Server, headers: dict[str, str]
) -> None:
    error = fail(idle_server.url, extra_headers=headers)

    assert isinstance(error, antiphon.InvalidParameter)


@pytest.mark.parametrize("value", [object(), 1j, print], ids=["object", "complex", "function"])
def test_what_has_no_json_form_is_refused(fail: Fail, idle_server: Server, value: Any) -> None:
    error = fail(idle_server.url, metadata={"x": value})

    assert isinstance(error, antiphon.InvalidParameter)
    assert "cannot be encoded" in str(error)


@pytest.mark.parametrize("name", ["temperatur", "max_token", "api_keys", "tool"])
def test_an_unknown_keyword_gets_suggestions(fail: Fail, name: str) -> None:
    error = fail(**{name: "x"})

    assert type(error) is antiphon.UnknownKeyword
    assert isinstance(error, TypeError)
    assert error.param == name
    assert f'extra_body={{"{name}"' in (error.hint or "")


# --- nobody there ----------------------------------------------------------------------------------------------------


def test_a_closed_port_is_a_connection_error(fail: Fail, streamed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = fail(f"http://127.0.0.1:{port}", stream=streamed)

    assert type(error) is APIConnectionError
    assert error.retryable
    assert f"127.0.0.1:{port}" in error.message
    assert error.__cause__ is not None
    assert_facts(error)


def test_an_unknown_host_is_a_connection_error(fail: Fail) -> None:
    error = fail("http://no-such-host.invalid")

    assert type(error) is APIConnectionError
    assert "no-such-host.invalid" in error.message
    assert_facts(error)


def test_a_host_that_hangs_up_at_once_is_a_connection_error(fail: Fail, streamed: bool) -> None:
    with answering() as server:
        error = fail(server.url, stream=streamed)

    assert isinstance(error, APIConnectionError)
    assert not isinstance(error, APITimeoutError)
    assert error.retryable
    assert_facts(error)


def test_what_is_no_http_is_a_connection_error(fail: Fail, streamed: bool) -> None:
    with answering(b"SSH-2.0-OpenSSH_9.9\r\n") as server:
        error = fail(server.url, stream=streamed)

    assert isinstance(error, APIConnectionError)
    assert_facts(error)


def test_connection_errors_are_repeated_as_often_as_asked(fail: Fail, mode: Mode) -> None:
    with answering() as server:
        error = fail(server.url, num_retries=1)

    assert error.attempts == 2
    assert len(server.requests) == 2


# --- answers that are none -------------------------------------------------------------------------------------------


def plain(body: bytes, content_type: bytes = b"application/json", status: bytes = b"200 OK", missing: int = 0) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\nx-request-id: req_1\r\ncontent-length: %d\r\n\r\n"
    return head % (status, content_type, len(body) + missing) + body


PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>"


def test_a_gateways_page_is_an_error_of_its_status(fail: Fail, streamed: bool) -> None:
    with answering(plain(PAGE, b"text/html", status=b"502 Bad Gateway")) as server:
        error = fail(server.url, stream=streamed)

    assert type(error) is antiphon.InternalServerError
    assert error.message == "HTTP 502 with an HTML page instead of JSON"
    assert error.retryable
    assert_facts(error, status=502, request_id="req_1")


@pytest.mark.parametrize("body", [PAGE, b"", b'{"id": "resp_1", "outp', b"oops", b"[]", b"{}"])
def test_a_200_without_a_response_is_an_error(fail: Fail, streamed: bool, body: bytes) -> None:
    with answering(plain(body)) as server:
        error = fail(server.url, stream=streamed)

    assert type(error) is APIResponseError
    assert not error.retryable
    assert_facts(error, status=200, request_id="req_1")


def test_a_truncated_body_is_a_connection_error(fail: Fail, streamed: bool) -> None:
    with answering(plain(b'{"id": "resp_1", "status": "completed"', missing=100)) as server:
        error = fail(server.url, stream=streamed)

    assert type(error) is APIConnectionError
    assert error.response_started
    assert error.retryable
    assert_facts(error, answered=200, request_id="req_1")


def encoded(coding: bytes, body: bytes, status: bytes) -> bytes:
    return plain(body, b"application/json\r\ncontent-encoding: " + coding, status)


@pytest.mark.parametrize(
    ("sent", "kind", "why"),
    [
        (plain(b'{"error": {"mess', status=b"400 Cut", missing=100), antiphon.BadRequestError, "cut or malformed"),
        (plain(b"", status=b"429 Cut", missing=100), antiphon.RateLimitError, "cut or malformed"),
        (plain(b'{"error": {"mess', status=b"500 Cut", missing=100), antiphon.InternalServerError, "cut or malformed"),
        (encoded(b"br", b"\x0b\x02\x80", b"401 No"), antiphon.AuthenticationError, '"br", which was not asked for'),
        (encoded(b"gzip", b"no gzip", b"404 No"), antiphon.NotFoundError, "not valid gzip"),
    ],
)
def test_an_error_whose_body_cannot_be_read_is_one_of_its_status(
    fail: Fail, streamed: bool, sent: bytes, kind: type[APIError], why: str
) -> None:
    status = int(sent.split()[1])
    with answering(sent) as server:
        error = fail(server.url, stream=streamed)

    assert type(error) is kind
    assert error.message.startswith(f"HTTP {status}, and the answer ")
    assert why in error.message
    assert_facts(error, status=status, request_id="req_1")


def test_a_body_of_an_error_that_does_not_end_runs_into_the_limit(fail: Fail, streamed: bool) -> None:
    endless = plain(b'{"error": ', status=b"503 Slow", missing=100)
    with answering(endless, 30.0) as server:
        error = fail(server.url, stream=streamed, timeout=0.3)

    assert type(error) is APITimeoutError


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_head_that_stops_in_the_middle_is_a_connection_error(fail: Fail, streamed: bool, then: str) -> None:
    with answering(b"HTTP/1.1 200 OK\r\ncontent-ty", 0.05, then=then) as server:
        error = fail(server.url, stream=streamed)

    assert type(error) is APIConnectionError
    assert_facts(error)


# --- streams that break ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_broken_stream_keeps_what_had_come(fail: Fail, then: str) -> None:
    seen: list[Any] = []

    with answering(STREAM_HEAD, chunk(BEGUN), b"40\r\ndata: {", 0.05, then=then) as server:
        error = fail(server.url, stream=True, reading=seen)

    assert type(error) is StreamInterrupted
    assert len(seen) == 3
    assert partial(error).output_text == "Half a th"
    assert partial(error).id.startswith("resp_")
    assert error.response_started
    assert error.__cause__ is not None
    assert_facts(error, answered=200, request_id="req_1")


def test_a_stream_that_just_ends_keeps_what_had_come(fail: Fail) -> None:
    seen: list[Any] = []

    with answering(STREAM_HEAD, chunk(BEGUN), chunk(b"")) as server:
        error = fail(server.url, stream=True, reading=seen)

    assert type(error) is StreamInterrupted
    assert len(seen) == 3
    assert partial(error).output_text == "Half a th"
    assert_facts(error, answered=200, request_id="req_1")


def test_a_stream_that_breaks_before_its_content_fails_the_call(fail: Fail) -> None:
    seen: list[Any] = []

    with answering(STREAM_HEAD, chunk(sse(CREATED)), 0.05, then="reset") as server:
        error = fail(server.url, stream=True, reading=seen)

    assert type(error) is StreamInterrupted
    assert seen == []
    assert error.retryable
    assert_facts(error, answered=200, request_id="req_1")


def test_a_broken_stream_is_not_repeated_after_its_content(fail: Fail) -> None:
    with answering(STREAM_HEAD, chunk(BEGUN), 0.05, then="reset") as server:
        error = fail(server.url, stream=True, num_retries=3)

    assert type(error) is StreamInterrupted
    assert error.attempts == 1
    assert len(server.requests) == 1


# --- time limits -----------------------------------------------------------------------------------------------------


def test_a_stalled_stream_runs_into_the_idle_limit(fail: Fail) -> None:
    seen: list[Any] = []

    with answering(STREAM_HEAD, chunk(BEGUN), then="hang") as server:
        error = fail(server.url, stream=True, reading=seen, timeout=Timeouts(idle=0.2))

    assert type(error) is APITimeoutError
    assert isinstance(error, TimeoutError)
    assert (error.limit, error.limit_s) == ("idle", 0.2)
    assert len(seen) == 3
    assert partial(error).output_text == "Half a th"
    assert "Timeouts(idle=" in (error.hint or "")
    assert_facts(error, answered=200, request_id="req_1")


@pytest.mark.parametrize(
    "sent", [b"", *(STREAM_HEAD + more for more in (b"", chunk(b": hi\n\n"), chunk(b"event: x\n\n")))]
)
def test_a_slow_first_event_runs_into_its_limit(fail: Fail, sent: bytes) -> None:
    with answering(sent, then="hang") as server:
        error = fail(server.url, stream=True, timeout=Timeouts(first_event=0.2))

    assert type(error) is APITimeoutError
    assert (error.limit, error.limit_s) == ("first_event", 0.2)
    assert error.response is None
    assert error.retryable
    assert "Timeouts(first_event=" in (error.hint or "")
    assert_facts(error, answered=200 if sent else None, request_id="req_1" if sent else None)


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\n", HEAD % (b"application/json", b"content-length: 99\r\n") + b'{"id']
)
def test_a_plain_call_runs_into_the_total_limit(fail: Fail, sent: bytes) -> None:
    answered = sent.endswith(b"id")
    began = time.monotonic()

    with answering(sent, then="hang") as server:
        error = fail(server.url, timeout=Timeouts(total=0.2))

    assert type(error) is APITimeoutError
    assert (error.limit, error.limit_s) == ("total", 0.2)
    assert time.monotonic() - began < 2
    assert_facts(error, answered=200 if answered else None, request_id="req_1" if answered else None)


def test_a_stream_that_never_falls_silent_runs_into_the_total_limit(fail: Fail) -> None:
    delta = chunk(sse({"type": "response.output_text.delta", "sequence_number": 3, "delta": "!", **WHERE}))
    pieces = [each for _ in range(100) for each in (0.02, delta)]
    seen: list[Any] = []

    with answering(STREAM_HEAD, chunk(BEGUN), *pieces, then="hang") as server:
        error = fail(server.url, stream=True, reading=seen, timeout=0.3)

    assert type(error) is APITimeoutError
    assert (error.limit, error.limit_s) == ("total", 0.3)
    assert len(seen) > 3
    assert partial(error).output_text.startswith("Half a th!")
    assert_facts(error, answered=200, request_id="req_1")


def test_the_total_limit_holds_for_all_attempts_together(fail: Fail) -> None:
    began = time.monotonic()

    with answering(0.05) as server:
        error = fail(server.url, num_retries=1000, timeout=0.4)

    assert isinstance(error, APIConnectionError)
    assert error.attempts < 10
    assert time.monotonic() - began < 2


def test_a_host_that_nobody_answers_for_runs_into_the_connect_limit(fail: Fail) -> None:
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # fill the backlog, so that the next connection is never answered
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        error = fail(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=Timeouts(connect=0.2))

    assert type(error) is APITimeoutError
    assert (error.limit, error.limit_s) == ("connect", 0.2)
    assert "Timeouts(connect=" in (error.hint or "")
    assert_facts(error)
