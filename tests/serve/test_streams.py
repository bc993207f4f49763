"""Streams as they are sent: slow readers, clients that leave, silence, and failures in the middle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from asgi import Visit, ask
from hand_made import Source, answer, one_by_one, outcomes, sse, streaming, text_events
from loopback import Connection, Server

from antiphon import APIConnectionError, Chain, Client, presets, stage
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.events import decode_event
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.serve import app
from antiphon.serve.event_answer import frame

Run = Callable[..., Any]
CALL: dict[str, Any] = {"input": "Hi", "stream": True}


class Waiting(Source):
    """A source that waits for `go` before each step after the first ones."""

    def __init__(self, *steps: Any, first: int = 1) -> None:
        super().__init__(*steps)
        self.go = anyio.Event()
        self.pulled = 0
        self._first = first

    async def pull(self) -> list[ev.Event]:
        if self.pulled >= self._first:
            await self.go.wait()
        self.pulled += 1
        return await super().pull()


def chain_of(source: Source, seen: list[str]) -> Chain:
    return Chain([outcomes(seen, "call"), streaming(lambda: source)])


async def visited(served_app: Any, visit: Visit) -> Visit:
    with anyio.fail_after(5):  # a hang would be a failure, not a wait
        await served_app(visit.scope, visit.receive, visit.send)
    return visit


def test_a_client_that_stops_reading_and_leaves_ends_the_call(served: Run) -> None:
    seen: list[str] = []

    async def body() -> Source:
        source = Waiting(*one_by_one(text_events("One", " two")), first=1000)

        async def leave(visit: Visit, part: bytes) -> None:
            visit.leave()
            await anyio.sleep_forever()

        await visited(app(Client(chain_of(source, seen))), Visit("POST", "/v1/responses", CALL, on_part=leave))
        return source

    source = served(body)
    assert seen == ["call:abandoned"]
    assert (source.closed, source.pulled) == (1, 1)


def test_a_client_that_leaves_while_the_model_thinks_cancels_the_call(served: Run, streamed: bool) -> None:
    seen: list[str] = []

    async def body() -> Visit:
        visit: Visit

        @stage(terminal=True)
        async def thinking(request: Request, call_next: Handler) -> Reply:
            visit.leave()
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                seen.append(type(error).__name__)
                raise
            raise AssertionError

        visit = Visit("POST", "/v1/responses", {**CALL, "stream": streamed})
        return await visited(app(Client(Chain([thinking]))), visit)

    assert served(body).answer.status == 0
    assert seen in (["CancelledError"], ["Cancelled"])


def test_a_client_that_leaves_between_two_events_cancels_the_stream(served: Run) -> None:
    seen: list[str] = []

    async def body() -> Source:
        source = Waiting(*one_by_one(text_events("One", " two")), first=5)

        def leave(visit: Visit, part: bytes) -> None:
            if b"output_text.delta" in part:
                visit.leave()

        await visited(app(Client(chain_of(source, seen))), Visit("POST", "/v1/responses", CALL, on_part=leave))
        return source

    source = served(body)
    assert seen == ["call:cancelled"]
    assert source.closed == 1


def test_a_slow_reader_slows_the_host(served: Run) -> None:
    seen: list[str] = []

    async def body() -> tuple[int, Visit]:
        source = Waiting(*one_by_one(text_events(*["x"] * 50)), first=1000)
        reading, pulled = anyio.Event(), []

        async def slow(visit: Visit, part: bytes) -> None:
            if not reading.is_set():
                for _ in range(50):
                    await anyio.lowlevel.checkpoint()
                pulled.append(source.pulled)
                reading.set()

        visit = await visited(app(Client(chain_of(source, seen))), Visit("POST", "/v1/responses", CALL, on_part=slow))
        return pulled[0], visit

    pulled, visit = served(body)
    assert pulled == 1
    assert len(visit.answer.events) == len(text_events(*["x"] * 50))
    assert seen == ["call:completed"]


def test_silence_is_broken_by_comments(served: Run) -> None:
    seen: list[str] = []

    async def body() -> Visit:
        source = Waiting(*one_by_one(text_events("One", " two")), first=5)

        def count(visit: Visit, part: bytes) -> None:
            if visit.answer.parts.count(b": keep-alive\n\n") == 2:
                source.go.set()

        return await visited(
            app(Client(chain_of(source, seen)), keepalive_s=0.005), Visit("POST", "/v1/responses", CALL, on_part=count)
        )

    visit = served(body)
    assert visit.answer.events[-1]["type"] == "response.completed"
    assert visit.answer.parts.count(b": keep-alive\n\n") >= 2
    assert seen == ["call:completed"]


@pytest.mark.parametrize("slow", [b": keep-alive", b"event: response.created"], ids=["comment", "event"])
def test_a_comment_and_an_event_are_never_sent_at_once(served: Run, slow: bytes) -> None:
    seen: list[str] = []

    async def body() -> Visit:
        source = Waiting(*one_by_one(text_events("One", " two")), first=3)

        async def read(visit: Visit, part: bytes) -> None:
            if part.startswith(slow):
                source.go.set()
                await anyio.sleep(0.005)  # many times as long as the next event or comment takes to be due

        return await visited(
            app(Client(chain_of(source, seen)), keepalive_s=0.0005), Visit("POST", "/v1/responses", CALL, on_part=read)
        )

    assert served(body).answer.events[-1]["type"] == "response.completed"
    assert seen == ["call:completed"]


def test_a_model_that_thinks_long_gets_its_head_early_and_may_still_fail(served: Run) -> None:
    async def body() -> Visit:
        heard = anyio.Event()

        @stage(terminal=True)
        async def thinking(request: Request, call_next: Handler) -> Reply:
            await heard.wait()
            raise APIConnectionError("10.0.0.5 refused")

        visit = Visit("POST", "/v1/responses", CALL, on_part=lambda visit, part: heard.set())
        return await visited(app(Client(Chain([thinking])), keepalive_s=0.005), visit)

    answer = served(body).answer
    assert (answer.status, answer.parts[0]) == (200, b": keep-alive\n\n")
    assert answer.events == [
        {
            "type": "error",
            "code": "server_error",
            "message": "the model's host could not be reached, or broke off",
            "param": None,
            "sequence_number": 0,
        }
    ]


@pytest.mark.parametrize("is_early", [False, True], ids=["in time", "too late"])
def test_a_chain_that_does_not_stream_is_answered_as_long_as_that_is_possible(served: Run, is_early: bool) -> None:
    async def body() -> Visit:
        heard = anyio.Event()

        @stage(terminal=True)
        async def plain(request: Request, call_next: Handler) -> Reply:
            if is_early:
                await heard.wait()
            return answer("Hello.")

        visit = Visit("POST", "/v1/responses", CALL, on_part=lambda visit, part: heard.set())
        return await visited(app(Client(Chain([plain])), keepalive_s=0.005 if is_early else None), visit)

    got = served(body).answer
    if is_early:
        assert [event["type"] for event in got.events] == ["error"]
    else:
        assert got.json["output"][0]["content"][0]["text"] == "Hello."


@pytest.mark.parametrize(
    ("broken", "code"), [(APIConnectionError("cut"), "server_error"), (ValueError("secret"), "server_error")], ids=type
)
def test_a_stream_that_breaks_ends_with_an_event(served: Run, broken: Exception, code: str) -> None:
    begun = text_events("One", " two", end=False)

    async def body() -> Any:
        source = Source(*one_by_one(begun), broken)
        return await ask(app(Client(Chain([streaming(lambda: source)]))), "POST", "/v1/responses", CALL)

    events = served(body).events
    assert [event["type"] for event in events[:-1]] == [event.type for event in begun]
    assert events[-1]["sequence_number"] == len(begun)
    if isinstance(broken, APIConnectionError):
        assert events[-1]["type"] == "response.failed"
        failed = events[-1]["response"]
        assert (failed["status"], failed["error"]["code"]) == ("failed", code)
        assert failed["output"][0]["content"][0]["text"] == "One two"
    else:
        assert (events[-1]["type"], events[-1]["code"]) == ("error", code)


@pytest.mark.parametrize("kind", ["response.failed", "error"])
def test_a_failure_that_the_host_has_told_is_not_told_twice(served: Run, kind: str) -> None:
    begun = text_events("One", end=False)
    number = len(begun)
    said = {
        "response.failed": b'{"type":"response.failed","sequence_number":%d,"response":{"id":"resp_1",'
        b'"status":"failed","error":{"code":"server_error","message":"no"}}}' % number,
        "error": b'{"type":"error","sequence_number":%d,"code":"server_error","message":"no"}' % number,
    }[kind]

    def error_of(event: ev.Event) -> Any:
        return APIConnectionError("no") if event.type == kind else None

    async def body() -> Any:
        source = Source([*begun, decode_event(kind, said)])
        chain = Chain([streaming(lambda: source, error_of=error_of)])
        return await ask(app(Client(chain)), "POST", "/v1/responses", CALL)

    assert [event["type"] for event in served(body).events] == [*(event.type for event in begun), kind]


def test_a_frame_is_the_events_own_bytes() -> None:
    name = "response.output_text.delta"
    spread = decode_event("", b'{"type":"response.output_text.delta",\n\r\n"delta":"a"}')

    assert frame(text_events("x")[0]).startswith(b'event: response.created\ndata: {"type":"response.created",')
    assert frame(spread).decode() == f'event: {name}\ndata: {{"type":"{name}",\ndata: \ndata: "delta":"a"}}\n\n'
    assert frame(decode_event("", b'{"type":"a\\nevent: b"}')).startswith(b"event: a event: b\n")


def test_a_connection_that_fails_while_it_is_written_to_is_nobodys_error(
    served: Run, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def body() -> None:
        source = Source(*one_by_one(text_events("One")))

        def broken(visit: Visit, part: bytes) -> None:
            visit.leave()
            raise OSError("broken pipe")

        await visited(app(Client(chain_of(source, seen))), Visit("POST", "/v1/responses", CALL, on_part=broken))

    served(body)
    assert len(seen) == 1
    assert caplog.messages == []


def test_the_hosts_connection_is_closed_when_the_client_leaves(served: Run) -> None:
    seen: list[str] = []
    left: list[bool] = []

    def slow(connection: Connection) -> None:
        assert connection.request() is not None
        connection.begin_stream()
        connection.send_chunk(sse(text_events("One", end=False)))
        connection.wait_for_close()
        left.append(True)

    def leave(visit: Visit, part: bytes) -> None:
        if b"output_text.delta" in part:
            visit.leave()

    async def body(url: str) -> None:
        chain = presets.responses.before(0, outcomes(seen, "call")).bind(api_base=url, api_key="k", model="openai/m")
        async with Client(chain, proxy=None) as client:
            await visited(app(client), Visit("POST", "/v1/responses", CALL, on_part=leave))
            assert not client.engine.runtime(is_async=True).tasks.running()  # type: ignore[attr-defined]

    with Server(slow) as server:
        served(partial(body, server.url))

    assert (seen, left) == (["call:cancelled"], [True])
