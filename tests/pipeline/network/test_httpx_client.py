"""The caller's own httpx or httpx2 client as a transport."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

import pytest
from loopback import Connection, client_context, echo, server_context, serving

from antiphon.pipeline.errors import APIConnectionError, APIResponseError, APITimeoutError, InvalidParameter, SetupError
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.network.httpx_client import HttpxTransport
from antiphon.pipeline.secret import Secret
from antiphon.pipeline.timeouts import Pace, Timeouts

Body = Callable[[HttpxTransport], Coroutine[Any, Any, Any]]


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = pytest.importorskip(request.param)
    return module


@pytest.fixture
def use(mode: Any, run: Any, library: ModuleType) -> Callable[..., Any]:
    """Runs a body with a transport over a fresh client of the mode, which stays the test's to close."""

    def use(body: Body, *, max_body_bytes: int = 1 << 20, **settings: Any) -> Any:
        async def whole() -> Any:
            client = library.AsyncClient(**settings) if mode.is_async else library.Client(**settings)
            try:
                transport = HttpxTransport(client, is_async=mode.is_async, max_body_bytes=max_body_bytes)
                result = await body(transport)
                await transport.close()
                assert not client.is_closed
                return result
            finally:
                if mode.is_async:
                    await client.aclose()
                else:
                    client.close()

        return run(whole)

    return use


def pace_of(streamed: bool = False, **limits: float) -> Pace:
    timeouts = Timeouts(**{"total": 10.0, **limits})
    now = time.monotonic()
    return Pace(timeouts, ends_at=now + timeouts.total, now=now, streamed=streamed)


def test_calls_go_through_the_client(use: Any) -> None:
    async def body(transport: HttpxTransport) -> None:
        for turn in range(3):
            request = HttpRequest("POST", server.url + "/v1", (("authorization", Secret("Bearer k\n")),), b"hi")
            exchange = await transport.open(request, pace_of())
            assert (exchange.status, await exchange.read(), await exchange.chunk()) == (200, b"hi", b"")
            assert (exchange.connect_s > 0) is (turn == 0)

    with serving(echo) as server:
        use(body, headers={"x-own": "yes"})

    assert server.accepted == 1
    assert server.requests[0].headers["x-own"] == "yes"
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_an_answer_that_the_client_has_read_already(use: Any, library: ModuleType, mode: Any) -> None:
    """By a hook of the caller's, or since it never was a stream, as `MockTransport` answers in users' tests."""
    packed = gzip.compress(b"hello")
    seen: list[bytes] = []

    def answer(request: Any) -> Any:
        return library.Response(200, headers={"content-encoding": "gzip", "x-request-id": "r1"}, content=packed)

    def read(response: Any) -> None:
        seen.append(response.read())

    async def aread(response: Any) -> None:
        seen.append(await response.aread())

    async def body(transport: HttpxTransport) -> None:
        exchange = await transport.open(HttpRequest("POST", "http://host.example/v1", (), b"hi"), pace_of())
        assert (exchange.status, exchange.headers["x-request-id"]) == (200, "r1")
        assert (await exchange.read(), await exchange.chunk()) == (b"hello", b"")

    use(body, transport=library.MockTransport(answer))
    use(body, transport=library.MockTransport(answer), event_hooks={"response": [aread if mode.is_async else read]})
    assert seen == [b"hello"]

    async def too_long(transport: HttpxTransport) -> None:
        exchange = await transport.open(HttpRequest("GET", "http://host.example/v1"), pace_of())
        with pytest.raises(APIResponseError, match="longer than 4 bytes"):
            await exchange.read()

    use(too_long, transport=library.MockTransport(answer), max_body_bytes=4)


def test_the_clients_trust_is_used(use: Any) -> None:
    async def body(transport: HttpxTransport) -> bytes:
        return await (await transport.open(HttpRequest("POST", server.url, (), b"hi"), pace_of())).read()

    with serving(echo, tls=server_context("127.0.0.1")) as server:
        assert use(body, verify=client_context()) == b"hi"
        with pytest.raises(APIConnectionError, match="the certificate is not accepted"):
            use(body)


def test_refused(use: Any) -> None:
    async def body(transport: HttpxTransport) -> None:
        await transport.open(HttpRequest("GET", "http://127.0.0.1:9/?key=hunter2"), pace_of())

    with pytest.raises(APIConnectionError, match=r"cannot connect to 127\.0\.0\.1:9: connection refused") as caught:
        use(body)

    assert "hunter2" not in str(caught.value)


def test_a_dead_reused_connection_is_named(use: Any) -> None:
    def once(connection: Connection) -> None:
        connection.request()
        connection.answer(b"first")
        connection.request()

    async def body(transport: HttpxTransport) -> None:
        await (await transport.open(HttpRequest("POST", server.url, (), b"1"), pace_of())).read()
        with pytest.raises(APIConnectionError) as caught:
            await transport.open(HttpRequest("POST", server.url, (), b"2"), pace_of())
        assert (caught.value.reused_connection, caught.value.response_started) == (True, False)

    with serving(once) as server:
        use(body)


@pytest.mark.parametrize(
    ("limits", "streamed", "limit"), [({"total": 0.1}, False, "total"), ({"first_event": 0.1}, True, "first_event")]
)
def test_a_silent_server_meets_the_right_limit(use: Any, limits: dict[str, float], streamed: bool, limit: str) -> None:
    async def body(transport: HttpxTransport) -> None:
        with pytest.raises(APITimeoutError) as caught:
            await transport.open(
                HttpRequest("POST", server.url, (), b"{}", streamed=streamed), pace_of(streamed=streamed, **limits)
            )
        assert (caught.value.limit, caught.value.limit_s) == (limit, 0.1)

    with serving(lambda connection: connection.wait_for_close()) as server:
        use(body)


@pytest.mark.parametrize("limits", [{"total": 0.2}, {"connect": 0.2}], ids=str)
def test_a_host_that_nobody_answers_for_meets_the_limit_that_ran_out(use: Any, limits: dict[str, float]) -> None:
    async def body(transport: HttpxTransport) -> None:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(APITimeoutError) as caught:
            await transport.open(HttpRequest("POST", url, (), b"{}"), pace_of(streamed=False, **limits))
        assert {caught.value.limit: caught.value.limit_s} == limits

    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # fill the backlog, so that the next connection is never answered
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        use(body)


def test_a_plain_answer_that_falls_silent_meets_idle(use: Any) -> None:
    def half(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        connection.wait_for_close()

    async def body(transport: HttpxTransport) -> None:
        exchange = await transport.open(HttpRequest("POST", server.url, (), b"{}"), pace_of(idle=0.1))
        with pytest.raises(APITimeoutError) as caught:
            await exchange.read()
        assert (caught.value.limit, caught.value.response_started) == ("idle", True)

    with serving(half) as server:
        use(body)


def test_a_dripping_stream_meets_total(use: Any) -> None:
    def drip(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        for _ in range(100):
            connection.send_chunk(b"data: {}\n\n")
            time.sleep(0.02)

    async def body(transport: HttpxTransport) -> None:
        pace = pace_of(streamed=True, total=0.2)
        exchange = await transport.open(HttpRequest("POST", server.url, (), b"{}", streamed=True), pace)
        with pytest.raises(APITimeoutError) as caught:
            await exchange.read()
        assert caught.value.limit == "total"

    with serving(drip) as server:
        use(body)


def test_abort_from_another_thread(use: Any) -> None:
    def one_event(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        connection.send_chunk(b"data: 1\n\n")
        connection.wait_for_close()

    async def body(transport: HttpxTransport) -> None:
        exchange = await transport.open(HttpRequest("POST", server.url, (), b"{}", streamed=True), pace_of())
        await exchange.chunk()
        timer = threading.Timer(0.1, exchange.abort)
        timer.start()
        with pytest.raises(APIConnectionError, match="was aborted"):
            await exchange.chunk()
        timer.join()

    with serving(one_event) as server:
        use(body)


def test_bombs_are_stopped(use: Any) -> None:
    bomb = gzip.compress(bytes(50_000_000))

    def send(connection: Connection) -> None:
        connection.request()
        connection.answer(bomb, content_encoding="gzip")

    async def body(transport: HttpxTransport) -> None:
        exchange = await transport.open(HttpRequest("POST", server.url, (), b"{}"), pace_of())
        await exchange.read()

    with serving(send) as server, pytest.raises(APIResponseError, match="max_body_bytes"):
        use(body)


def test_control_characters_are_refused(use: Any) -> None:
    async def body(transport: HttpxTransport) -> None:
        await transport.open(HttpRequest("GET", "http://127.0.0.1:9/", (("x", "a\r\nb: c"),)), pace_of())

    with pytest.raises(InvalidParameter):
        use(body)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_client_of_the_other_mode_is_refused(is_async: bool) -> None:
    httpx = importlib.import_module("httpx")
    client = httpx.Client() if is_async else httpx.AsyncClient()

    with pytest.raises(SetupError, match="cannot serve"):
        HttpxTransport(client, is_async=is_async)
    with pytest.raises(SetupError, match="an httpx or httpx2 client is expected"):
        HttpxTransport(object(), is_async=is_async)  # type: ignore[arg-type]
