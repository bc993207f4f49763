"""Hosts of chat completions that fail: what a caller gets, what is repeated, and what becomes of the connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import pytest
from conftest import Mode
from loopback import Connection, Server

from antiphon import Client, presets, providers
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    BadRequestError,
    InternalServerError,
    OverloadedError,
    RateLimitError,
    StreamInterrupted,
)
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.pipeline.streams.sse import MAX_EVENT_BYTES
from antiphon.pipeline.timeouts import Timeouts

KEY = "sk-canary-0123456789abcdef"
CALL = {"input": "Hi", "model": "openai_compatible/m", "dialect": "chat", "api_key": KEY}
QUICK = presets.responses.with_(retry={"base_delay_s": 0})

Step = Callable[[Connection], bool]
"""Answers one request; tells whether the connection stays open."""


def data(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", "choices": choices, **fields})


def call_piece(arguments: str, **fields: Any) -> bytes:
    return chunk({"tool_calls": [{"index": 0, **fields, "function": {"name": "look", "arguments": arguments}}]})


ROLE = chunk({"role": "assistant", "content": ""})
HELLO = chunk({"content": "Hel"}), chunk({"content": "lo"})
STOP = chunk(finish="stop")
USAGE = chunk(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
DONE = b"data: [DONE]\n\n"
GOOD = (ROLE, *HELLO, STOP, USAGE, DONE)
WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()


# --- steps of a server ------------------------------------------------------------------------------------------------


def streams(*chunks: bytes) -> Step:
    """Stream these, and end as HTTP does."""

    def end(connection: Connection) -> bool:
        connection.send_chunk(b"")
        return True

    return _stream(chunks, end)


def cuts(*chunks: bytes) -> Step:
    """Stream these, and close the connection in the middle of the body."""
    return _stream(chunks, lambda connection: False)


def resets(*chunks: bytes) -> Step:
    """Stream these, and reset the connection, which throws away what has not been read."""

    def end(connection: Connection) -> bool:
        connection.reset()
        return False

    return _stream(chunks, end)


def stalls(*chunks: bytes) -> Step:
    """Stream these, and then nothing until the client goes away."""

    def end(connection: Connection) -> bool:
        connection.wait_for_close()
        return False

    return _stream(chunks, end)


def noting(step: Step, began: threading.Event, ended: threading.Event) -> Step:
    """Say when a step begins, and when it ends, be it because the client is gone."""

    def noted(connection: Connection) -> bool:
        began.set()
        try:
            return step(connection)
        finally:
            ended.set()

    return noted


def _stream(chunks: Iterable[bytes], end: Callable[[Connection], bool]) -> Step:
    def step(connection: Connection) -> bool:
        connection.begin_stream()
        for each in chunks:
            connection.send_chunk(each)
        return end(connection)

    return step


def says(body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str) -> Step:
    """Answer plainly."""

    def step(connection: Connection) -> bool:
        connection.answer(body, status, content_type=kind, **headers)
        return True

    return step


def fails(status: str, **headers: str) -> Step:
    return says(b'{"error":{"message":"not now"}}', status, **headers)


def answers(streamed: bool) -> Step:
    return streams(*GOOD) if streamed else says(WHOLE)


def stepping(*steps: Step) -> Server:
    """Make a server that answers requests with these in turn, on whatever connection; the last one repeats."""
    lock, left = threading.Lock(), list(steps)

    def serve(connection: Connection) -> None:
        while connection.request() is not None:
            with lock:
                step = left.pop(0) if len(left) > 1 else left[0]
            if not step(connection):
                return

    return Server(serve)


# --- calls ------------------------------------------------------------------------------------------------------------


async def ask(mode: Mode, client: Client, server: Server, **more: Any) -> Any:
    call: dict[str, Any] = {**CALL, "api_base": f"{server.url}/v1", "num_retries": 0, **more}
    return await mode.either(lambda: client.responses(**call), lambda: client.aresponses(**call))


async def read(mode: Mode, client: Client, server: Server, *, streamed: bool, **more: Any) -> Any:
    """Return the final response of a call, plain or streamed; a stream's grammar is checked."""
    reply = await ask(mode, client, server, **more, **({"stream": True} if streamed else {}))
    if not streamed:
        return reply
    assert check_grammar(await mode.events(reply)) == []
    return reply.response


def run(mode: Mode, server: Server, body: Callable[[Client], Any], **settings: Any) -> Any:
    """Run a test's body with a client, while the server runs."""

    async def closing() -> Any:
        client = Client(QUICK, **settings)
        try:
            return await body(client)
        finally:
            await mode.close(client)

    with server:
        return mode.run(closing)


async def broken(
    mode: Mode, client: Client, server: Server, kind: type[APIError], **more: Any
) -> tuple[list[ev.Event], Any]:
    """Read a stream that breaks; return the events that came before, and the error."""
    events: list[ev.Event] = []

    async def reads() -> None:
        stream = await ask(mode, client, server, stream=True, **more)
        while True:
            events.append(await mode.next(stream))

    with pytest.raises(kind) as caught:
        await reads()
    return events, caught.value


async def happened(mode: Mode, event: threading.Event) -> bool:
    """Wait until a server says so; a loop goes on meanwhile."""
    return await anyio.to_thread.run_sync(event.wait, 10) if mode.is_async else event.wait(10)


def deltas(events: list[ev.Event]) -> str:
    return "".join([event.delta for event in events if isinstance(event, ev.OutputTextDelta)])


# --- streams that break -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [(), (b": keep-alive\n\n",), (ROLE,), (ROLE[:30],)], ids=len)
@pytest.mark.parametrize("breaks", [cuts, resets, streams])
def test_a_stream_that_breaks_before_its_content_is_repeated(mode: Mode, breaks: Any, shown: tuple[bytes, ...]) -> None:
    server = stepping(breaks(*shown), streams(*GOOD))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True, num_retries=1))

    assert response.output_text == "Hello"
    assert [attempt.outcome for attempt in response.meta.attempts] == ["failed", "completed"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("breaks", [cuts, streams])
def test_a_stream_that_breaks_after_content_is_not_repeated_and_says_what_had_come(mode: Mode, breaks: Any) -> None:
    server = stepping(
        breaks(
            ROLE,
            chunk({"reasoning_content": "Let me "}),
            chunk({"reasoning_content": "see."}),
            *HELLO,
            call_piece('{"at":', id="call_1"),
        ),
        streams(*GOOD),
    )

    events, error = run(mode, server, lambda client: broken(mode, client, server, StreamInterrupted, num_retries=2))

    assert len(server.requests) == 1
    assert deltas(events) == "Hello"
    thought, message, call = error.response.output
    assert thought.to_dict()["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert message.to_dict()["content"][0]["text"] == error.response.output_text == "Hello"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "look", '{"at":')
    assert error.response.status == "in_progress"
    assert (error.provider, error.model, error.attempts) == ("openai_compatible", "m", 1)


@pytest.mark.parametrize("breaks", [cuts, streams])
@pytest.mark.parametrize(
    "piece", [chunk({"content": "lost"})[:-20], chunk({"content": "lost"})[:20], b"da", b"data: \xc3"]
)
def test_a_chunk_that_is_cut_is_no_malformed_one(mode: Mode, breaks: Any, piece: bytes) -> None:
    server = stepping(breaks(ROLE, *HELLO, piece))

    events, error = run(mode, server, lambda client: broken(mode, client, server, StreamInterrupted))

    assert deltas(events) == error.response.output_text == "Hello"


@pytest.mark.parametrize(
    "garbage", [b'data: {"choices":[{"delta"\n\n', b"data: <html>\n\n", b'data: {"choices":7}\n\n', b"data: null\n\n"]
)
def test_garbage_in_the_middle_is_an_error_with_what_had_come(mode: Mode, garbage: bytes) -> None:
    server = stepping(streams(ROLE, *HELLO, garbage, *HELLO, STOP, DONE))

    events, error = run(mode, server, lambda client: broken(mode, client, server, APIResponseError, num_retries=2))

    assert "a chunk of the stream cannot be read" in error.message
    assert deltas(events) == error.response.output_text == "Hello"
    assert (error.retryable, len(server.requests)) == (False, 1)
    assert (error.status, error.provider, error.model) == (200, "openai_compatible", "m")


@pytest.mark.parametrize("shown", [(), (DONE,)], ids=["nothing", "nothing but the mark"])
def test_a_stream_of_nothing_is_repeated(mode: Mode, shown: tuple[bytes, ...]) -> None:
    server = stepping(streams(*shown), streams(*GOOD))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True, num_retries=1))

    assert response.output_text == "Hello"
    assert len(server.requests) == 2


def test_garbage_shows_no_key(mode: Mode) -> None:
    server = stepping(streams(ROLE, f"data: no such key: {KEY}\n\n".encode()))

    _, error = run(mode, server, lambda client: broken(mode, client, server, APIResponseError))

    assert KEY not in str(error)


def test_a_chunk_without_end_is_an_error_with_what_had_come(mode: Mode) -> None:
    piece = b"x" * (MAX_EVENT_BYTES // 8)

    def step(connection: Connection) -> bool:
        connection.begin_stream()
        for each in (ROLE, *HELLO, b'data: {"id":"', *[piece] * 9):
            connection.send_chunk(each)
        connection.wait_for_close()
        return False

    server = stepping(step)

    events, error = run(mode, server, lambda client: broken(mode, client, server, APIResponseError, num_retries=2))

    assert "longer than" in error.message
    assert deltas(events) == error.response.output_text == "Hello"


# --- errors inside a stream -------------------------------------------------------------------------------------------

OVERLOADED = {"error": {"message": "too busy", "type": "overloaded_error"}}


def test_an_error_before_content_is_repeated_if_it_may_pass(mode: Mode) -> None:
    server = stepping(streams(ROLE, data(OVERLOADED)), streams(data(OVERLOADED), DONE), streams(*GOOD))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True, num_retries=2))

    assert response.output_text == "Hello"
    assert [attempt.error for attempt in response.meta.attempts] == ["OverloadedError", "OverloadedError", None]


def test_an_error_after_content_is_told_and_not_repeated(mode: Mode) -> None:
    server = stepping(streams(ROLE, *HELLO, data(OVERLOADED)), streams(*GOOD))

    events, error = run(mode, server, lambda client: broken(mode, client, server, OverloadedError, num_retries=2))

    assert check_grammar(events) == []
    assert events[-1].type == "response.failed"
    assert error.message == "too busy"
    assert error.response.output_text == "Hello"
    assert (error.response.status, error.response.output[0].status) == ("failed", "incomplete")
    assert len(server.requests) == 1


REFUSED = {
    "error": {"message": "bad call", "type": "invalid_request_error", "code": "tool_use_failed", "param": "tools"}
}
"""Groq's form (recorded): the code is its own, and the type says that it will not pass."""


def test_an_error_that_does_not_pass_is_not_repeated(mode: Mode) -> None:
    server = stepping(streams(ROLE, data(REFUSED)), streams(*GOOD))

    _, error = run(mode, server, lambda client: broken(mode, client, server, BadRequestError, num_retries=2))

    assert (error.message, error.code, error.param) == ("bad call", "tool_use_failed", "tools")
    assert len(server.requests) == 1


@pytest.mark.parametrize("said", [REFUSED, OVERLOADED, {"error": {"message": "no", "code": 429}}, {"error": "no"}])
def test_an_error_is_the_same_in_a_stream_as_in_a_body(mode: Mode, said: dict[str, Any]) -> None:
    server = stepping(says(json.dumps(said).encode()), streams(data(said)))

    async def act(client: Client) -> list[APIError]:
        found = []
        for streamed in (False, True):
            with pytest.raises(APIError) as caught:
                await read(mode, client, server, streamed=streamed)
            found.append(caught.value)
        return found

    plain, streamed = run(mode, server, act)

    assert type(plain) is type(streamed)
    assert (plain.message, plain.param, plain.retryable) == (streamed.message, streamed.param, streamed.retryable)


def test_an_event_that_is_named_an_error_is_one(mode: Mode) -> None:
    said = b'event: error\ndata: {"message":"out of memory","code":500}\n\n'
    server = stepping(streams(ROLE, *HELLO, said))

    events, error = run(mode, server, lambda client: broken(mode, client, server, InternalServerError))

    assert error.message == "out of memory"
    assert deltas(events) == error.response.output_text == "Hello"


@pytest.mark.parametrize("place", ["choice", "answer"])
def test_an_error_beside_an_answer_is_told_in_the_hosts_words(mode: Mode, streamed: bool, place: str) -> None:
    """OpenRouter's types have both places."""
    told = {"error": {"code": 502, "message": "the upstream died"}}
    choice = {"index": 0, "delta" if streamed else "message": {"content": "Hello"}, "finish_reason": "error"}
    body = (
        {"id": "c", "choices": [{**choice, **told}]} if place == "choice" else {"id": "c", "choices": [choice], **told}
    )
    server = stepping(streams(ROLE, *HELLO, data(body)) if streamed else says(json.dumps(body).encode()))

    async def act(client: Client) -> InternalServerError:
        with pytest.raises(InternalServerError, match="the upstream died") as caught:
            await read(mode, client, server, streamed=streamed)
        return caught.value

    error = run(mode, server, act)

    assert error.code == "502"
    assert error.response is not None
    assert error.response.output_text.startswith("Hello")


def test_the_mark_of_the_end_may_be_followed_by_blanks(mode: Mode) -> None:
    server = stepping(streams(ROLE, *HELLO, STOP, b"data: [DONE] \n\n"))

    assert run(mode, server, lambda client: read(mode, client, server, streamed=True)).output_text == "Hello"


# --- answers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"", "application/json", "empty"),
        (b"  \n", "text/plain", "empty"),
        (b"<html><body>Login</body></html>", "text/html", "an HTML page"),
        (b"ok", "text/plain", "'ok'"),
        (b"{}", "application/json", "no choices"),
        (b'{"id":"c","choices":[]}', "application/json", "no choices; its keys: id, choices"),
        (b'{"id":"resp_1","output":[]}', "application/json", "no choices; its keys: id, output"),
        (WHOLE[:-30], "application/json", "no chat completion"),
    ],
)
def test_a_200_that_is_no_chat_completion_is_said_to_be_none(
    mode: Mode, streamed: bool, body: bytes, kind: str, said: str
) -> None:
    server = stepping(says(body, kind=kind))

    async def act(client: Client) -> APIResponseError:
        with pytest.raises(APIResponseError, match=said) as caught:
            await read(mode, client, server, streamed=streamed, num_retries=2)
        return caught.value

    error = run(mode, server, act)

    assert (error.status, error.provider, len(server.requests)) == (200, "openai_compatible", 1)


def test_a_page_of_a_gateway_is_repeated_by_its_status(mode: Mode, streamed: bool) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head></html>"
    server = stepping(says(page, "502 Bad Gateway", "text/html"), answers(streamed))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=streamed, num_retries=1))

    assert response.output_text == "Hello"
    assert [attempt.status for attempt in response.meta.attempts] == [502, 200]


def test_a_page_of_a_gateway_that_stays_is_named(mode: Mode, streamed: bool) -> None:
    server = stepping(says(b"<html>no</html>", "502 Bad Gateway", "text/html"))

    async def act(client: Client) -> None:
        with pytest.raises(InternalServerError, match="HTTP 502 with an HTML page instead of JSON"):
            await read(mode, client, server, streamed=streamed)

    run(mode, server, act)


def test_an_error_inside_a_200_is_the_error(mode: Mode, streamed: bool) -> None:
    said = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    server = stepping(says(json.dumps(said).encode()), answers(streamed))

    async def act(client: Client) -> Any:
        with pytest.raises(RateLimitError, match="slow down") as caught:
            await read(mode, client, server, streamed=streamed)
        assert caught.value.body == said
        assert caught.value.status == 200
        return await read(mode, client, server, streamed=streamed, num_retries=1)

    assert run(mode, server, act).output_text == "Hello"


def test_a_plain_body_that_is_cut_is_repeated(mode: Mode) -> None:
    def cut(connection: Connection) -> bool:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(WHOLE)}\r\n\r\n"
        connection.send(head.encode() + WHOLE[:-9])
        return False

    server = stepping(cut, cut, says(WHOLE))

    async def act(client: Client) -> Any:
        with pytest.raises(APIConnectionError):
            await read(mode, client, server, streamed=False)
        return await read(mode, client, server, streamed=False, num_retries=1)

    assert run(mode, server, act).output_text == "Hello"


# --- repeats ----------------------------------------------------------------------------------------------------------


def test_a_503_is_repeated(mode: Mode, streamed: bool) -> None:
    server = stepping(fails("503 Service Unavailable"), answers(streamed))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=streamed, num_retries=1))

    assert response.output_text == "Hello"
    assert [attempt.status for attempt in response.meta.attempts] == [503, 200]
    first, second = server.requests
    assert first.body == second.body


def test_a_host_that_asks_to_wait_is_waited_for(mode: Mode, streamed: bool) -> None:
    waits: list[float] = []

    def hook(signal: Any) -> None:
        if signal.name == "retry.scheduled":
            waits.append(signal.delay_s)

    server = stepping(fails("429 Too Many Requests", retry_after="0.05"), answers(streamed))

    response = run(
        mode, server, lambda client: read(mode, client, server, streamed=streamed, num_retries=1), hooks=[hook]
    )

    assert response.output_text == "Hello"
    assert waits == [0.05]


def test_a_429_that_stays_is_a_rate_limit_error(mode: Mode, streamed: bool) -> None:
    server = stepping(fails("429 Too Many Requests", retry_after="0.01"))

    async def act(client: Client) -> None:
        with pytest.raises(RateLimitError, match="not now") as caught:
            await read(mode, client, server, streamed=streamed, num_retries=2)
        assert (caught.value.retry_after_s, caught.value.attempts) == (0.01, 3)

    run(mode, server, act)
    assert len(server.requests) == 3


# --- ends, and the connection after them ------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("tail", [(STOP,), (STOP, USAGE)], ids=["finish", "usage"])
def test_a_host_that_never_says_done_is_done_when_it_closes(mode: Mode, framing: str, tail: tuple[bytes, ...]) -> None:
    def closes(connection: Connection) -> bool:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        connection.send(head + b"".join([ROLE, *HELLO, *tail]))
        return False

    server = stepping(streams(ROLE, *HELLO, *tail) if framing == "chunked" else closes)

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True))

    assert (response.status, response.output_text) == ("completed", "Hello")
    assert (response.usage is not None) == (USAGE in tail)


@pytest.mark.parametrize("breaks", [cuts, stalls])
@pytest.mark.parametrize("tail", [(STOP,), (STOP, USAGE), (STOP, USAGE[:20])], ids=["finish", "usage", "half"])
def test_a_break_after_the_finish_reason_costs_at_most_the_usage(mode: Mode, breaks: Any, tail: Any) -> None:
    server = stepping(breaks(ROLE, *HELLO, *tail))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True, timeout=Timeouts(idle=0.2)))

    assert (response.status, response.output_text) == ("completed", "Hello")
    assert (response.usage is not None) == (USAGE in tail)
    assert response.meta.attempts[0].outcome == "completed"


def test_the_connection_serves_the_next_call(mode: Mode) -> None:
    server = stepping(streams(*GOOD), streams(*GOOD), says(WHOLE), says(b"<html>", "502 Bad", "text/html"), says(WHOLE))

    async def act(client: Client) -> None:
        await read(mode, client, server, streamed=True)
        await read(mode, client, server, streamed=True)
        await read(mode, client, server, streamed=False)
        await read(mode, client, server, streamed=False, num_retries=1)

    run(mode, server, act)

    assert (len(server.requests), server.accepted) == (5, 1)


def test_a_host_that_keeps_the_stream_open_after_its_end_holds_nobody_up(mode: Mode) -> None:
    server = stepping(stalls(*GOOD), streams(*GOOD))

    async def act(client: Client) -> None:
        for _ in range(2):
            response = await read(mode, client, server, streamed=True, timeout=Timeouts(idle=20))
            assert response.output_text == "Hello"

    run(mode, server, act)

    assert server.accepted == 2  # what is not over cannot be used again


# --- time limits ------------------------------------------------------------------------------------------------------


def test_comments_are_no_first_event(mode: Mode) -> None:
    server = stepping(stalls(b": ping\n\n", b": OPENROUTER PROCESSING\n\n"), streams(*GOOD))

    async def act(client: Client) -> Any:
        events, error = await broken(mode, client, server, APITimeoutError, timeout=Timeouts(first_event=0.2))
        assert events == []
        assert error.limit == "first_event"
        return await read(mode, client, server, streamed=True, timeout=Timeouts(first_event=20))

    assert run(mode, server, act).output_text == "Hello"


def test_silence_after_content_runs_into_the_idle_limit(mode: Mode) -> None:
    server = stepping(stalls(ROLE + b"".join(HELLO)), streams(*GOOD))

    events, error = run(
        mode,
        server,
        lambda client: broken(mode, client, server, APITimeoutError, num_retries=2, timeout=Timeouts(idle=0.2)),
    )

    assert error.limit == "idle"
    assert deltas(events) == error.response.output_text == "Hello"
    assert len(server.requests) == 1


# --- letting go -------------------------------------------------------------------------------------------------------


def test_closing_a_stream_early_closes_its_connection(mode: Mode) -> None:
    gone = threading.Event()
    server = stepping(noting(stalls(ROLE, *HELLO), threading.Event(), gone), streams(*GOOD))

    async def act(client: Client) -> None:
        stream = await ask(mode, client, server, stream=True)
        await mode.next(stream)
        await mode.close(stream)

        assert await happened(mode, gone)
        assert stream.outcome.kind == "abandoned"
        assert (await read(mode, client, server, streamed=True)).output_text == "Hello"

    run(mode, server, act, max_connections=1)


@pytest.mark.parametrize("mode", ["asyncio", "trio"], indirect=True)
@pytest.mark.parametrize("shown", [(), (ROLE,), (ROLE, *HELLO)], ids=["nothing", "role", "content"])
def test_cancelling_closes_the_connection(mode: Mode, shown: tuple[bytes, ...]) -> None:
    arrived, gone = threading.Event(), threading.Event()
    server = stepping(noting(stalls(*shown), arrived, gone), streams(*GOOD))

    async def act(client: Client) -> None:
        has_all = anyio.Event()

        async def reads() -> None:
            text = ""
            stream = await ask(mode, client, server, stream=True, num_retries=2)
            async for event in stream:
                text += deltas([event])
                if text == "Hello":
                    has_all.set()

        async with anyio.create_task_group() as group:
            group.start_soon(reads)
            assert await happened(mode, arrived)
            if HELLO[-1] in shown:
                await has_all.wait()
            group.cancel_scope.cancel()

        assert await happened(mode, gone)
        assert (await read(mode, client, server, streamed=True)).output_text == "Hello"

    run(mode, server, act, max_connections=1)


# --- hosts that can only stream, or only not --------------------------------------------------------------------------


def registered(server: Server, streaming: str) -> dict[str, Any]:
    """Register a row for the server; return what a call names it by."""
    row = {
        "name": "acme",
        "base_url": f"{server.url}/v1",
        "key_required": False,
        "dialects": ["chat"],
        "chat": {"streaming": streaming},
    }
    providers.register(row, replace=True)
    return {"model": "acme/m", "api_base": None, "dialect": None, "api_key": None}


def rich(name: str) -> bytes:
    said = {
        "role": "assistant",
        "reasoning_content": "Hm.",
        "content": "Hello",
        "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    answer = {"id": "chatcmpl-1", "model": "m-1", "choices": [{"index": 0, name: said, "finish_reason": "tool_calls"}]}
    return json.dumps(answer).encode()


TYPES = ["reasoning", "message", "function_call"]


@pytest.mark.usefixtures("own_catalogue")
def test_a_host_that_cannot_stream_is_not_asked_to_and_the_stream_is_made_here(mode: Mode, streamed: bool) -> None:
    server = stepping(says(rich("message")))

    async def act(client: Client) -> Any:
        return await read(mode, client, server, streamed=streamed, **registered(server, "never"))

    response = run(mode, server, act)

    body = json.loads(server.requests[0].body)
    assert "stream" not in body
    assert "stream_options" not in body
    assert [item.type for item in response.output] == TYPES
    assert (response.output_text, response.function_calls[0].arguments) == ("Hello", "{}")


@pytest.mark.usefixtures("own_catalogue")
def test_a_host_that_only_streams_is_asked_to_and_the_answer_is_collected(mode: Mode, streamed: bool) -> None:
    server = stepping(streams(b"data: " + rich("delta") + b"\n\n", USAGE, DONE))

    async def act(client: Client) -> Any:
        return await read(mode, client, server, streamed=streamed, **registered(server, "always"))

    response = run(mode, server, act)

    body = json.loads(server.requests[0].body)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert [item.type for item in response.output] == TYPES
    assert response.usage.total_tokens == 5


@pytest.mark.usefixtures("own_catalogue")
def test_an_unasked_stream_that_breaks_is_repeated_as_nobody_saw_it(mode: Mode) -> None:
    server = stepping(cuts(ROLE, *HELLO), cuts(ROLE, *HELLO), streams(*GOOD))

    async def act(client: Client) -> Any:
        call = registered(server, "always")
        with pytest.raises(StreamInterrupted) as caught:
            await read(mode, client, server, streamed=False, **call)
        assert caught.value.response is not None
        assert caught.value.response.output_text == "Hello"
        return await read(mode, client, server, streamed=False, num_retries=1, **call)

    response = run(mode, server, act)

    assert response.output_text == "Hello"
    assert len(response.meta.attempts) == 2


# --- odd chunks -------------------------------------------------------------------------------------------------------


def test_an_answer_inside_a_list_is_the_answer(mode: Mode, streamed: bool) -> None:
    wrapped = b"data: [" + chunk({"content": "Hello"}, "stop").removeprefix(b"data: ").strip() + b"]\n\n"
    server = stepping(streams(wrapped, DONE) if streamed else says(b"[" + WHOLE + b"]"))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=streamed))

    assert (response.status, response.output_text) == ("completed", "Hello")


def odd(name: str, fields: str) -> bytes:
    """Return an answer that says "Hello" in a delta or a message, with further fields as they are written."""
    said = '{"role":"assistant","content":"Hello"}'
    return f'{{"id":"c","choices":[{{"index":0,"{name}":{said},"finish_reason":"stop"}}],{fields}}}'.encode()


def odd_server(streamed: bool, fields: str) -> Server:
    if streamed:
        return stepping(streams(b"data: " + odd("delta", fields) + b"\n\n", DONE))
    return stepping(says(odd("message", fields)))


def test_half_a_character_in_a_field_of_the_hosts_own_is_replaced(mode: Mode, streamed: bool) -> None:
    server = odd_server(streamed, r'"citations":["\ud83d"]')

    response = run(mode, server, lambda client: read(mode, client, server, streamed=streamed))

    assert response.output_text == "Hello"
    assert response.to_dict()["citations"] == ["\N{REPLACEMENT CHARACTER}"]


def test_half_a_character_in_an_error_is_replaced(mode: Mode) -> None:
    server = stepping(streams(ROLE, *HELLO, rb'data: {"error":{"message":"no \ud83d","code":"\ud83d"}}' + b"\n\n"))

    events, error = run(mode, server, lambda client: broken(mode, client, server, InternalServerError))

    assert error.message == "no \N{REPLACEMENT CHARACTER}"
    assert deltas(events) == error.response.output_text == "Hello"


@pytest.mark.parametrize("fields", ['"created":1e999', '"created":NaN', '"usage":{"prompt_tokens":1e999}'])
def test_a_number_that_is_none_breaks_nothing(mode: Mode, streamed: bool, fields: str) -> None:
    server = odd_server(streamed, fields)

    response = run(mode, server, lambda client: read(mode, client, server, streamed=streamed))

    assert (response.status, response.output_text) == ("completed", "Hello")


def test_a_part_that_is_null_is_no_text(mode: Mode) -> None:
    server = stepping(streams(ROLE, chunk({"content": ["Hel", None, {"type": "text", "text": "lo"}]}), STOP, DONE))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True))

    assert response.output_text == "Hello"


def test_an_annotation_of_no_known_shape_breaks_nothing(mode: Mode) -> None:
    note = {"type": ["x"]}
    server = stepping(streams(ROLE, *HELLO, chunk({"annotations": [note]}), STOP, DONE))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True))

    assert response.output_text == "Hello"
    assert response.to_dict()["output"][0]["content"][0]["annotations"] == [note]


def test_a_call_without_arguments_is_all_there_is(mode: Mode) -> None:
    part = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look"}}
    server = stepping(streams(ROLE, chunk({"tool_calls": [part]}), chunk(finish="tool_calls"), DONE))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True))

    (call,) = response.output
    assert (call.type, call.name, call.arguments) == ("function_call", "look", "{}")


@pytest.mark.parametrize(
    "last", [{"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]}, {"audio": {"data": "AA=="}}]
)
def test_what_is_told_at_the_end_closes_no_call_twice(mode: Mode, last: dict[str, Any]) -> None:
    server = stepping(streams(ROLE, call_piece("{}", id="call_1"), chunk(last), chunk(finish="tool_calls"), DONE))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True))

    assert [item.type for item in response.output] == ["function_call", "message"]
    assert response.function_calls[0].arguments == "{}"


@pytest.mark.parametrize("found", [{"content": "no"}, {"content": 1}, {"content": None}, {}])
def test_logprobs_of_no_known_shape_break_nothing(mode: Mode, found: dict[str, Any]) -> None:
    body = {
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": "lo"}, "logprobs": found, "finish_reason": "stop"}],
    }
    server = stepping(streams(ROLE, HELLO[0], data(body), DONE))

    response = run(mode, server, lambda client: read(mode, client, server, streamed=True))

    assert response.output_text == "Hello"
    assert response.to_dict()["output"][0]["content"][0]["logprobs"] == []
