"""The transport against real sockets on the loopback, in the sync mode, on asyncio, on uvloop and on trio."""

from __future__ import annotations

import asyncio
import gc
import gzip
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import anyio
import pytest
from conftest import MODES, Mode
from loopback import (
    Connection,
    Server,
    authority,
    client_context,
    echo,
    open_descriptors,
    proxy_to,
    server_context,
    serving,
    socks_proxy_to,
)

from antiphon.pipeline.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    InvalidParameter,
    MissingExtra,
    SetupError,
)
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.network.address import is_exempt, parse_url
from antiphon.pipeline.network.slot_exchange import SlotExchange
from antiphon.pipeline.network.transport import AbortScope, SlotTransport
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.secret import Secret
from antiphon.pipeline.timeouts import Pace, Timeouts

T = TypeVar("T")
Run = Callable[[Callable[[], Coroutine[Any, Any, T]]], T]
Make = Callable[..., SlotTransport]
Serve = Callable[[Callable[[Connection], object]], AbstractContextManager[Server]]


@pytest.fixture(params=[*MODES, *(["uvloop"] if "asyncio" in MODES and sys.platform != "win32" else [])])
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


@pytest.fixture
def make(mode: Mode) -> Iterator[Make]:
    """Makes transports for the mode; closes the sync ones, while the others end with their loop."""
    made: list[SlotTransport] = []

    def make(**settings: Any) -> SlotTransport:
        made.append(SlotTransport(is_async=mode.is_async, **settings))
        return made[-1]

    yield make
    if not mode.is_async:
        for transport in made:
            drive(transport.close())


@pytest.fixture
def trusting(make: Make) -> Make:
    """Makes transports that trust the tests' authority."""
    return lambda **settings: make(verify=client_context(), **settings)


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Runs a server, without TLS and with it."""
    tls = server_context("127.0.0.1") if request.param == "tls" else None
    return lambda handler: serving(handler, tls=tls)


def pace_of(streamed: bool = False, **limits: float) -> Pace:
    timeouts = Timeouts(**{"total": 10.0, **limits})
    now = time.monotonic()
    return Pace(timeouts, ends_at=now + timeouts.total, now=now, streamed=streamed)


async def call(
    transport: SlotTransport,
    url: str,
    body: bytes | None = b"hi",
    *,
    headers: tuple[tuple[str, str | Secret], ...] = (),
    pace: Pace | None = None,
) -> bytes:
    exchange = await transport.open(HttpRequest("POST", url, headers, body), pace or pace_of())
    return await exchange.read()


async def open_stream(transport: SlotTransport, url: str, **limits: float) -> SlotExchange:
    return await transport.open(HttpRequest("POST", url, (), b"{}", streamed=True), pace_of(streamed=True, **limits))


def pool_of(transport: SlotTransport) -> Any:
    """The pool of the one loop or process that has used `transport`."""
    return transport._home().pool


def pass_time(seconds: float) -> None:
    """Let time pass for the server while the caller's loop, if any, sees nothing of it."""
    time.sleep(seconds)


def stall(connection: Connection) -> None:
    while connection.request() is not None:
        connection.wait_for_close()


def drip(connection: Connection) -> None:
    """Stream "data: n" every 20 ms, for ever."""
    while connection.request() is not None:
        connection.begin_stream()
        for index in range(10_000):
            connection.send_chunk(b"data: %d\n\n" % index)
            time.sleep(0.02)


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_connection_is_reused_and_the_first_call_tells_how_long_connecting_took(
    run: Run[Any], trusting: Make, serve: Serve
) -> None:
    async def body() -> list[float]:
        transport = trusting()
        times = []
        for _ in range(3):
            exchange = await transport.open(HttpRequest("POST", server.url, (), b"hi"), pace_of())
            times.append(exchange.connect_s)
            assert (exchange.status, await exchange.read()) == (200, b"hi")
        return times

    with serve(echo) as server:
        first, *others = run(body)

    assert server.accepted == 1
    assert first > 0.0
    assert others == [0.0, 0.0]


def test_two_origins_have_a_connection_each(run: Run[Any], make: Make) -> None:
    async def body() -> int:
        transport = make()
        for _ in range(5):
            await call(transport, one.url)
            await call(transport, other.url)
        idle: int = pool_of(transport).idle
        return idle

    with serving(echo) as one, serving(echo) as other:
        idle = run(body)

    assert (one.accepted, other.accepted, idle) == (1, 1, 2)


def test_at_the_limit_the_oldest_idle_connection_goes(run: Run[Any], make: Make) -> None:
    async def body() -> int:
        transport = make(max_connections=2)
        for server in (one, two, three, two, three):
            await call(transport, server.url)
        idle: int = pool_of(transport).idle
        return idle

    with serving(echo) as one, serving(echo) as two, serving(echo) as three:
        idle = run(body)

    assert idle == 2
    assert (one.accepted, two.accepted, three.accepted) == (1, 1, 1)


def test_an_expired_connection_is_not_used(run: Run[Any], trusting: Make, serve: Serve) -> None:
    async def body() -> None:
        transport = trusting(keepalive_s=0.05)
        await call(transport, server.url)
        pass_time(0.1)
        await call(transport, server.url)
        assert pool_of(transport).idle == 1

    with serve(echo) as server:
        run(body)

    assert server.accepted == 2


def test_a_connection_that_the_server_closed_while_idle_is_not_used(
    run: Run[Any], trusting: Make, serve: Serve
) -> None:
    def once(connection: Connection) -> None:
        connection.request()
        connection.answer(b"bye")

    async def body() -> None:
        transport = trusting()
        for _ in range(3):
            assert await call(transport, server.url) == b"bye"
            pass_time(0.05)

    with serve(once) as server:
        run(body)

    assert server.accepted == 3


def test_an_answer_that_says_close_is_obeyed(run: Run[Any], trusting: Make, serve: Serve) -> None:
    def closing(connection: Connection) -> None:
        while connection.request() is not None:
            connection.answer(b"x", connection="close")

    async def body() -> int:
        transport = trusting()
        await call(transport, server.url)
        idle: int = pool_of(transport).idle
        return idle

    with serve(closing) as server:
        assert run(body) == 0


def test_a_stream_closed_early_closes_its_connection(run: Run[Any], trusting: Make, serve: Serve) -> None:
    async def body() -> None:
        transport = trusting(max_connections=1)
        for _ in range(3):
            exchange = await open_stream(transport, server.url)
            await exchange.chunk()
            await exchange.close()
            await exchange.close()
            with pytest.raises(APIConnectionError, match="closed before its end"):
                await exchange.chunk()
        assert (pool_of(transport).free, pool_of(transport).idle, len(pool_of(transport).live)) == (1, 0, 0)

    with serve(drip) as server:
        run(body)


def test_a_stream_whose_end_is_already_here_keeps_its_connection_when_closed(
    run: Run[Any], trusting: Make, serve: Serve
) -> None:
    def burst(connection: Connection) -> None:
        while connection.request() is not None:
            connection.send(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n4\r\ndone\r\n0\r\n\r\n"
            )

    async def body() -> None:
        transport = trusting()
        for _ in range(3):
            exchange = await open_stream(transport, server.url)
            assert (await exchange.chunk()).startswith(b"event")
            await exchange.close()

    with serve(burst) as server:
        run(body)

    assert server.accepted == 1


def test_the_end_is_told_every_time(run: Run[Any], trusting: Make, serve: Serve) -> None:
    async def body() -> None:
        exchange = await trusting().open(HttpRequest("POST", server.url, (), b"hi"), pace_of())
        assert [await exchange.chunk() for _ in range(3)] == [b"hi", b"", b""]
        await exchange.close()
        assert await exchange.read() == b""

    with serve(echo) as server:
        run(body)


def test_a_large_upload_arrives(run: Run[Any], trusting: Make, serve: Serve) -> None:
    sent = os.urandom(1 << 20) * 3

    async def body() -> bytes:
        return await call(trusting(), server.url, sent)

    with serve(echo) as server:
        assert run(body) == sent


def test_a_slow_upload_without_limits_arrives(run: Run[Any], trusting: Make, serve: Serve) -> None:
    never = math.inf
    sent = os.urandom(1 << 20) * 9

    def slow(connection: Connection) -> None:
        time.sleep(0.2)
        received = connection.request()
        connection.answer(b"%d" % len(received.body if received else b""))

    async def body() -> None:
        assert await call(trusting(), server.url, sent, pace=pace_of(total=never, idle=never)) == b"%d" % len(sent)

    with serve(slow) as server:
        run(body)


def test_a_host_is_not_read_ahead_of_its_reader(run: Run[Any], mode: Mode, trusting: Make, serve: Serve) -> None:
    sent: list[int] = []

    def flood(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        for _ in range(2000):
            connection.send_chunk(bytes(64 * 1024))
            sent.append(64 * 1024)

    async def body() -> None:
        exchange = await open_stream(trusting(), server.url)
        assert await exchange.chunk()
        await mode.either(lambda: time.sleep(0.5), lambda: anyio.sleep(0.5))
        assert sum(sent) < 32_000_000  # what the system's buffers hold
        while sum(sent) < 64_000_000:
            assert await exchange.chunk()
        await exchange.close()

    with serve(flood) as server:
        run(body)


def test_close_leaves_no_descriptor(run: Run[Any], trusting: Make, serve: Serve) -> None:
    async def body() -> None:
        transport = trusting()
        for _ in range(2):  # it may be used again
            await call(transport, one.url)
            await call(transport, two.url)
            stream = await open_stream(transport, three.url)
            await stream.chunk()
            await transport.close()
            with pytest.raises(APIConnectionError):
                await stream.read()

    async def warm_up() -> None:
        transport = trusting()
        await call(transport, one.url)
        await transport.close()

    with serve(echo) as one, serve(echo) as two, serve(drip) as three:
        run(warm_up)
        before = settled_descriptors(one, two, three)
        run(body)
        assert settled_descriptors(one, two, three) == before


def settled_descriptors(*servers: Any) -> int:
    """Count descriptors once the servers have noticed what was closed."""
    for _ in range(200):
        if not any(server.open_connections for server in servers):
            break
        time.sleep(0.01)
    gc.collect()
    return open_descriptors()


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_host_length_and_identity_are_added_and_keys_lose_their_line_break(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        headers = (("Authorization", Secret("Bearer key\n")), ("X-Text", "  grün\t"), ("Content-Length", "99"))
        await call(make(), f"{server.url}/v1/x?a=1", b"hello", headers=headers)

    with serving(echo) as server:
        run(body)

    (received,) = server.requests
    assert received.line == "POST /v1/x?a=1 HTTP/1.1"
    assert received.body == b"hello"
    assert received.headers == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": "Bearer key",
        "x-text": "grün",
        "accept-encoding": "identity",
        "content-length": "5",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "one\r\nx-b: two"),
        ("x-a", "one\ntwo"),
        ("x-a", "nul\0"),
        ("x-a", "dash — dash"),
        ("x-a", Secret("sk-one\r\nx-b: two")),
        ("x-a\r\nx-b", "v"),
        ("x a", "v"),
        ("", "v"),
        ("ключ", "v"),
        ("transfer-encoding", "chunked"),
    ],
)
def test_headers_that_would_change_the_message_are_refused_unseen(name: str, value: str | Secret) -> None:
    transport = SlotTransport(is_async=False)

    with pytest.raises(InvalidParameter) as caught:
        drive(call(transport, "http://127.0.0.1:9/", headers=((name, value),)))

    text = value.reveal() if isinstance(value, Secret) else value
    assert len(text) == 1 or text not in str(caught.value)
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "//host/x",
        "http:///x",
        "http://user:hunter2@host/",
        "http://host/a b",
        "http://host/\r\nx: y",
        "http://host:99999/",
        "http://[::1/",
        "http://a..b/",
        f"http://{'a' * 64}.test/",
    ],
)
def test_urls_that_cannot_be_called_are_refused_unseen(url: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        drive(call(SlotTransport(is_async=False), url))

    assert "hunter2" not in str(caught.value)


def test_addresses_are_taken_apart() -> None:
    plain = parse_url("http://Example.COM/a%20b/ü?q=ä&r=1#frag")
    numeric = parse_url("https://[::1]:8443")

    assert (plain.host, plain.port, plain.authority, plain.where) == (
        "example.com",
        80,
        b"example.com",
        "example.com:80",
    )
    assert plain.target == b"/a%20b/%C3%BC?q=%C3%A4&r=1"
    assert (numeric.host, numeric.port, numeric.authority, numeric.where) == ("::1", 8443, b"[::1]:8443", "[::1]:8443")
    assert numeric.target == b"/"


# --- failures ---------------------------------------------------------------------------------------------------------


def test_refused(run: Run[Any], make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def body() -> None:
        transport = make()
        with pytest.raises(APIConnectionError) as caught:
            await call(transport, f"http://127.0.0.1:{port}/v1?key=hunter2", headers=(("a", Secret("hunter3")),))
        assert caught.value.message == f"cannot connect to 127.0.0.1:{port}: connection refused"
        assert caught.value.hint
        assert (caught.value.reused_connection, caught.value.response_started) == (False, False)
        assert "hunter" not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"
        assert (pool_of(transport).free, len(pool_of(transport).live)) == (1000, 0)

    run(body)


def test_an_unknown_name(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        with pytest.raises(APIConnectionError, match=r"cannot connect to nowhere\.invalid:80: the name is not known"):
            await call(make(), "http://nowhere.invalid/")

    run(body)


def test_a_truncated_body(run: Run[Any], trusting: Make, serve: Serve) -> None:
    def cut(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")

    async def body() -> None:
        transport = trusting()
        exchange = await transport.open(HttpRequest("POST", server.url, (), b"hi"), pace_of())
        assert await exchange.chunk() == b"half"
        with pytest.raises(APIConnectionError, match="cut or malformed") as caught:
            await exchange.chunk()
        assert caught.value.response_started
        assert pool_of(transport).idle == 0
        assert pool_of(transport).free == 1000

    with serve(cut) as server:
        run(body)


def test_a_reset_in_the_middle_of_a_body(run: Run[Any], trusting: Make, serve: Serve) -> None:
    def reset(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        connection.send_chunk(b"one")
        time.sleep(0.1)
        connection.reset()

    async def body() -> None:
        exchange = await open_stream(trusting(), server.url)
        assert await exchange.chunk() == b"one"
        # Below a blocking read, Python's TLS takes a reset for an end.
        with pytest.raises(APIConnectionError, match=r"broke: connection reset by peer|ended in the middle") as caught:
            await exchange.chunk()
        assert caught.value.response_started

    with serve(reset) as server:
        run(body)


def test_a_reused_connection_that_dies_is_named_and_nothing_is_sent_twice(
    run: Run[Any], trusting: Make, serve: Serve
) -> None:
    def once_then_nothing(connection: Connection) -> None:
        connection.request()
        connection.answer(b"first")
        connection.request()

    async def body() -> None:
        transport = trusting()
        await call(transport, server.url)
        with pytest.raises(APIConnectionError, match="closed the connection without an answer") as caught:
            await call(transport, server.url)
        assert (caught.value.reused_connection, caught.value.response_started) == (True, False)

    with serve(once_then_nothing) as server:
        run(body)

    assert len(server.requests) == 2


def test_what_is_not_http_is_told(run: Run[Any], make: Make) -> None:
    def ssh(connection: Connection) -> None:
        connection.request()
        connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    async def body() -> None:
        with pytest.raises(APIConnectionError, match="malformed"):
            await call(make(), server.url)

    with serving(ssh) as server:
        run(body)


def test_an_early_refusal_of_a_large_upload_is_read(run: Run[Any], trusting: Make, serve: Serve) -> None:
    def refuse(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.answer(b"too large", "413 Content Too Large", connection="close")
        connection.wait_for_close()

    async def body() -> int:
        exchange = await trusting().open(HttpRequest("POST", server.url, (), bytes(200_000)), pace_of())
        await exchange.close()
        return exchange.status

    with serve(refuse) as server:
        assert run(body) == 413


# --- time limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "streamed", "limit"),
    [
        ({"total": 0.1}, False, "total"),
        ({"total": 0.1}, True, "total"),
        ({"first_event": 0.1}, True, "first_event"),
    ],
)
def test_a_silent_server_meets_the_right_limit(
    run: Run[Any], trusting: Make, serve: Serve, limits: dict[str, float], streamed: bool, limit: str
) -> None:
    async def body() -> None:
        transport = trusting()
        began = time.monotonic()
        with pytest.raises(APITimeoutError) as caught:
            await transport.open(
                HttpRequest("POST", server.url, (), b"{}", streamed=streamed), pace_of(streamed=streamed, **limits)
            )
        assert 0.09 < time.monotonic() - began < 2.0
        assert (caught.value.limit, caught.value.limit_s) == (limit, 0.1)
        assert not caught.value.response_started
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert pool_of(transport).free == 1000

    with serve(stall) as server:
        run(body)


def test_an_answer_that_falls_silent_meets_idle(run: Run[Any], trusting: Make, serve: Serve) -> None:
    def half(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        connection.wait_for_close()

    async def body() -> None:
        exchange = await trusting().open(HttpRequest("POST", server.url, (), b"{}"), pace_of(idle=0.1))
        with pytest.raises(APITimeoutError) as caught:
            await exchange.read()
        assert (caught.value.limit, caught.value.limit_s, caught.value.response_started) == ("idle", 0.1, True)

    with serve(half) as server:
        run(body)


def test_a_stream_has_first_event_until_it_started_and_idle_from_then_on(
    run: Run[Any], trusting: Make, serve: Serve
) -> None:
    def one_event(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        connection.send_chunk(b"data: 1\n\n")
        connection.wait_for_close()

    async def body() -> None:
        transport = trusting()
        pace = pace_of(streamed=True, first_event=5.0, idle=0.1)
        exchange = await transport.open(HttpRequest("POST", server.url, (), b"{}", streamed=True), pace)
        await exchange.chunk()
        pace.started()
        with pytest.raises(APITimeoutError) as caught:
            await exchange.chunk()
        assert caught.value.limit == "idle"

        exchange = await open_stream(transport, server.url, first_event=0.1, idle=5.0)
        await exchange.chunk()
        with pytest.raises(APITimeoutError) as caught:
            await exchange.chunk()
        assert caught.value.limit == "first_event"

    with serve(one_event) as server:
        run(body)


def test_a_dripping_answer_meets_total(run: Run[Any], trusting: Make, serve: Serve) -> None:
    async def body() -> None:
        exchange = await open_stream(trusting(), server.url, total=0.2)
        with pytest.raises(APITimeoutError) as caught:
            await exchange.read()
        assert caught.value.limit == "total"

    with serve(drip) as server:
        run(body)


def test_a_stalled_upload_meets_its_limit(run: Run[Any], trusting: Make, serve: Serve) -> None:
    def deaf(connection: Connection) -> None:
        time.sleep(1.0)

    async def body() -> None:
        began = time.monotonic()
        with pytest.raises(APITimeoutError) as caught:
            await call(trusting(), server.url, bytes(30_000_000), pace=pace_of(total=0.3))
        assert caught.value.limit == "total"
        assert time.monotonic() - began < 0.9

    with serve(deaf) as server:
        run(body)


def test_a_stalled_handshake_meets_connect(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport = make(verify=client_context())
        with pytest.raises(APITimeoutError) as caught:
            await call(transport, server.url.replace("http:", "https:"), pace=pace_of(connect=0.1))
        assert (caught.value.limit, caught.value.limit_s) == ("connect", 0.1)

    with serving(lambda connection: connection.wait_for_close()) as server:
        run(body)


def test_waiting_for_a_free_connection_has_a_limit(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport = make(max_connections=1)
        stream = await open_stream(transport, server.url)
        await stream.chunk()
        with pytest.raises(APITimeoutError, match="all 1 are in use") as caught:
            await call(transport, server.url, pace=pace_of(total=0.1))
        assert caught.value.limit == "pool"
        assert not caught.value.reused_connection
        assert pool_of(transport).waiting == 0
        await stream.close()
        assert pool_of(transport).free == 1

    with serving(drip) as server:
        run(body)


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("identity", bytes),
    ],
)
def test_encoded_answers_are_decoded(coding: str, encode: Callable[[bytes], bytes]) -> None:
    text = b"".join(b"line %d\n" % index for index in range(200_000))

    def encoded(connection: Connection) -> None:
        while connection.request() is not None:
            connection.answer(encode(text), content_encoding=coding)

    transport = SlotTransport(is_async=False)
    with serving(encoded) as server:
        assert drive(call(transport, server.url)) == text
        assert drive(call(transport, server.url)) == text
        drive(transport.close())

    assert server.accepted == 1


def test_a_small_bomb_does_not_fill_the_memory(run: Run[Any], make: Make) -> None:
    bomb = gzip.compress(bytes(200_000_000))

    def send_bomb(connection: Connection) -> None:
        connection.request()
        connection.answer(bomb, content_encoding="gzip")

    async def body() -> None:
        transport = make(max_body_bytes=1_000_000)
        exchange = await transport.open(HttpRequest("POST", server.url, (), b""), pace_of())
        for _ in range(3):
            assert len(await exchange.chunk()) <= 256 * 1024
        with pytest.raises(APIResponseError, match="max_body_bytes"):
            await exchange.chunk()
        assert (pool_of(transport).idle, pool_of(transport).free) == (0, 1000)

    with serving(send_bomb) as server:
        run(body)


@pytest.mark.parametrize(
    ("coding", "sent", "text"),
    [
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:-9], "cut"),
        ("gzip", b"not gzip at all", "not valid gzip"),
        ("br", b"x", '"br", which was not asked for'),
    ],
)
def test_answers_that_cannot_be_decoded(coding: str, sent: bytes, text: str) -> None:
    def answer(connection: Connection) -> None:
        connection.request()
        connection.answer(sent, content_encoding=coding)

    transport = SlotTransport(is_async=False)
    with serving(answer) as server, pytest.raises(APIResponseError, match=text):
        drive(call(transport, server.url))

    assert pool_of(transport).free == 1000
    drive(transport.close())


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_not_read(run: Run[Any], trusting: Make, serve: Serve, announced: bool) -> None:
    def large(connection: Connection) -> None:
        connection.request()
        if announced:
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n")
            connection.wait_for_close()
        connection.begin_stream()
        for _ in range(1000):
            connection.send_chunk(bytes(5000))

    async def body() -> None:
        transport = trusting(max_body_bytes=1_000_000)
        with pytest.raises(APIResponseError, match="longer than 1000000 bytes"):
            await call(transport, server.url)
        assert pool_of(transport).free == 1000

    with serve(large) as server:
        run(body)


# --- TLS and proxies --------------------------------------------------------------------------------------------------


def test_tls_with_a_ca_of_our_own(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport = make(verify=client_context())
        for _ in range(3):
            assert await call(transport, server.url) == b"hi"

    with serving(echo, tls=server_context("127.0.0.1")) as server:
        run(body)

    assert server.accepted == 1


def test_tls_with_an_unknown_ca_says_so_and_leaves_nothing(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport, before = make(), 0
        for number in range(4):
            with pytest.raises(APIConnectionError, match=r"the certificate is not accepted") as caught:
                await call(transport, server.url)
            assert "verify=" in str(caught.value.hint)
            if transport.is_async:
                await anyio.sleep(0.05)
            if number == 0:  # what a loop opens for itself counts as there
                before = open_descriptors()
        assert pool_of(transport).free == 1000
        assert client_descriptors(before) <= 0

    def client_descriptors(before: int) -> int:
        settled_descriptors(server)
        return open_descriptors() - before

    with serving(echo, tls=server_context("127.0.0.1")) as server:
        run(body)


def test_tls_can_be_left_unchecked(run: Run[Any], make: Make) -> None:
    async def body() -> bytes:
        return await call(make(verify=False), server.url)

    with serving(echo, tls=server_context("elsewhere.test")) as server:
        assert run(body) == b"hi"


def test_a_ca_file_is_read_and_a_missing_one_refused_early(tmp_path: Any, run: Run[Any], make: Make) -> None:
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def body() -> bytes:
        return await call(make(verify=str(tmp_path / "ca.pem")), server.url)

    with serving(echo, tls=server_context("127.0.0.1")) as server:
        assert run(body) == b"hi"
    with pytest.raises(SetupError, match=r"missing\.pem"):
        make(verify=str(tmp_path / "missing.pem"))


def test_the_environment_may_name_the_ca_file(
    tmp_path: Any, run: Run[Any], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def body() -> bytes:
        return await call(make(), server.url)

    with serving(echo, tls=server_context("127.0.0.1")) as server:
        assert run(body) == b"hi"


def test_a_plain_server_behind_https_is_told(run: Run[Any], make: Make) -> None:
    def plain(connection: Connection) -> None:
        connection.sock.recv(10)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def body() -> None:
        with pytest.raises(APIConnectionError, match="cannot set up TLS with"):
            await call(make(), server.url.replace("http:", "https:"))

    with serving(plain) as server:
        run(body)


def test_an_http_proxy_from_the_environment_forwards(
    run: Run[Any], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> bytes:
        transport = make()
        await call(transport, "http://far.test/v1")
        return await call(transport, "http://far.test/v1")

    with serving(echo) as server, serving(proxy_to(server.port)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hunter2@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("http_proxy", f"http://user:hunter2@127.0.0.1:{proxy.port}")
        assert run(body) == b"ok"

    assert proxy.accepted == 1
    assert proxy.requests[0].line == "POST http://far.test/v1 HTTP/1.1"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpodW50ZXIy"


def test_a_connect_proxy_from_the_environment_tunnels(
    run: Run[Any], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        transport = make(verify=client_context())
        for _ in range(4):
            assert await call(transport, "https://far.test/v1") == b"hi"

    with serving(echo, tls=server_context("far.test")) as server, serving(proxy_to(server.port)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        run(body)

    assert [received.line for received in proxy.requests] == ["CONNECT far.test:443 HTTP/1.1"]
    assert len(server.requests) == 4


def test_a_tunnel_through_a_proxy_that_speaks_tls_itself(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport = make(verify=client_context(), proxy=f"https://127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert await call(transport, "https://far.test/v1") == b"hi"

    with (
        serving(echo, tls=server_context("far.test")) as server,
        serving(proxy_to(server.port), tls=server_context("127.0.0.1")) as proxy,
    ):
        run(body)

    assert [received.line for received in proxy.requests] == ["CONNECT far.test:443 HTTP/1.1"]
    assert len(server.requests) == 2


def test_a_proxy_that_refuses_is_told_without_its_credentials(run: Run[Any], make: Make) -> None:
    def refuse(connection: Connection) -> None:
        connection.request()
        connection.answer(b"", "407 Proxy Authentication Required")

    async def body() -> None:
        transport = make(proxy=f"http://user:hunter2@127.0.0.1:{proxy.port}")
        with pytest.raises(APIConnectionError, match="407 Proxy Authentication Required") as caught:
            await call(transport, "https://far.test/v1")
        assert f"127.0.0.1:{proxy.port}" in str(caught.value)
        assert "hunter2" not in f"{caught.value}{transport!r}{transport._fixed_proxy!r}"

    with serving(refuse) as proxy:
        run(body)


def test_a_proxy_that_does_not_answer_meets_connect(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        with pytest.raises(APITimeoutError) as caught:
            await call(make(proxy=proxy.url), "https://far.test/v1", pace=pace_of(connect=0.1))
        assert caught.value.limit == "connect"

    with serving(stall) as proxy:
        run(body)


def test_this_machine_is_not_proxied_unless_asked(run: Run[Any], make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        assert await call(make(), server.url) == b"hi"
        assert await call(make(proxy=proxy.url), server.url) == b"ok"

    with serving(echo) as server, serving(proxy_to(server.port)) as proxy:
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        run(body)

    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("url", "no_proxy", "exempt"),
    [
        ("http://api.corp.test/", "corp.test", True),
        ("http://api.corp.test/", ".corp.test", True),
        ("http://api.corp.test/", "*.corp.test", True),
        ("http://corp.test/", ".corp.test", True),
        ("http://notcorp.test/", "corp.test", False),
        ("http://corp.test:8080/", "other, corp.test:8080", True),
        ("http://corp.test/", "corp.test:8080", False),
        ("http://10.1.2.3/", "10.0.0.0/8", True),
        ("http://11.1.2.3/", "10.0.0.0/8", False),
        ("http://[fd00::1]/", "fd00::/8", True),
        ("http://[fd00::1]/", "[fd00::1]", True),
        ("http://x.test/", "*", True),
        ("http://x.test/", "", False),
    ],
)
def test_no_proxy(url: str, no_proxy: str, exempt: bool) -> None:
    assert is_exempt(parse_url(url), no_proxy) is exempt


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("user", [b"", b"me"], ids=["open", "with a password"])
def test_a_socks_proxy_tunnels(run: Run[Any], make: Make, scheme: str, tls: bool, user: bytes) -> None:
    pytest.importorskip("socksio", reason="the extra of httpcore for SOCKS proxies is not here")
    who = "me:hunter2@" if user else ""

    async def body() -> list[bytes]:
        transport = make(verify=client_context(), proxy=f"{scheme}://{who}127.0.0.1:{proxy.port}")
        return [
            await call(transport, f"{'https' if tls else 'http'}://far.test/v1", text) for text in (b"a", b"b" * 9000)
        ]

    with (
        serving(echo, tls=server_context("far.test") if tls else None) as server,
        serving(socks_proxy_to(server.port, user, b"hunter2")) as proxy,
    ):
        assert run(body) == [b"a", b"b" * 9000]
        assert proxy.accepted == 1


def test_a_socks_proxy_that_refuses_is_told_without_its_credentials(run: Run[Any], make: Make) -> None:
    pytest.importorskip("socksio", reason="the extra of httpcore for SOCKS proxies is not here")

    async def body() -> None:
        with pytest.raises(APIConnectionError, match="prox") as caught:
            await call(make(proxy=f"socks5://me:hunter2@127.0.0.1:{proxy.port}"), "http://far.test/v1")
        assert "hunter2" not in str(caught.value)

    with serving(socks_proxy_to(9, b"me", b"another")) as proxy:
        run(body)


def test_a_socks_proxy_needs_a_package_and_says_which(
    run: Run[Any], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "httpcore._sync.socks_proxy", raising=False)
    monkeypatch.delitem(sys.modules, "httpcore._async.socks_proxy", raising=False)

    async def body() -> None:
        with pytest.raises(MissingExtra, match="socksio") as caught:
            await call(make(proxy="socks5://127.0.0.1:9"), "http://far.test/v1")
        assert caught.value.hint == "pip install 'httpcore[socks]'"

    run(body)


@pytest.mark.parametrize("proxy", ["gopher://x", "http://", "http://a b", "http://x:y:z"])
def test_a_proxy_that_cannot_be_read_is_refused_early(proxy: str) -> None:
    with pytest.raises(SetupError, match="proxy"):
        SlotTransport(is_async=False, proxy=proxy)


# --- ends from outside ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_abort_from_another_thread_ends_a_blocked_read(run: Run[Any], make: Make, tls: bool) -> None:
    def one_event(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        connection.send_chunk(b"data: 1\n\n")
        connection.wait_for_close()

    async def body() -> None:
        transport = make(verify=client_context())
        exchange = await open_stream(transport, server.url)
        await exchange.chunk()
        timer = threading.Timer(0.1, exchange.abort)
        timer.start()
        began = time.monotonic()
        with pytest.raises(APIConnectionError, match="was aborted") as caught:
            await exchange.chunk()
        assert time.monotonic() - began < 3.0
        assert not caught.value.retryable
        timer.join()
        exchange.abort()
        assert (pool_of(transport).free, len(pool_of(transport).live)) == (1000, 0)

    with serving(one_event, tls=server_context("127.0.0.1") if tls else None) as server:
        run(body)


def test_an_exchange_that_somebody_closes_while_it_is_read_ends(
    run: Run[Any], mode: Mode, trusting: Make, serve: Serve
) -> None:
    def one_chunk(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        connection.send_chunk(b"one")
        connection.wait_for_close()

    async def body() -> None:
        transport = trusting()
        exchange = await open_stream(transport, server.url)
        assert await exchange.chunk() == b"one"

        async def read() -> None:
            with pytest.raises(APIConnectionError, match="was closed before its end") as caught:
                await exchange.chunk()
            assert not caught.value.retryable

        async def read_and_close() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await anyio.sleep(0.05)
                await exchange.close()

        def close_from_a_thread() -> None:
            with ThreadPoolExecutor(1) as pool:
                reading = pool.submit(drive, read())
                time.sleep(0.05)
                drive(exchange.close())
                reading.result(5)

        await mode.either(close_from_a_thread, read_and_close)
        assert (pool_of(transport).free, len(pool_of(transport).live)) == (1000, 0)

    with serve(one_chunk) as server:
        run(body)


def test_an_abort_scope_ends_what_is_open_queued_and_yet_to_open(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport = make(max_connections=1)
        stream = await open_stream(transport, server.url)
        with AbortScope() as scope:
            timer = threading.Timer(0.1, scope.abort)
            timer.start()
            with pytest.raises(APIConnectionError, match="was aborted"):  # queued
                await call(transport, server.url)
            timer.join()
            with pytest.raises(APIConnectionError, match="was aborted"):  # yet to open
                await call(transport, server.url)
        await stream.chunk()  # opened outside
        await stream.close()
        with AbortScope(), AbortScope() as inner:
            stream = await open_stream(transport, server.url)
            inner.abort()
            with pytest.raises(APIConnectionError, match="was aborted"):
                await stream.read()
        assert (pool_of(transport).free, pool_of(transport).waiting) == (1, 0)

    with serving(drip) as server:
        run(body)


def test_an_outer_scope_aborts_what_an_inner_one_opened(run: Run[Any], make: Make) -> None:
    async def body() -> None:
        transport = make()
        with AbortScope() as outer:
            with AbortScope():
                stream = await open_stream(transport, server.url)
            outer.abort()
            with pytest.raises(APIConnectionError, match="was aborted"):
                await stream.read()

    with serving(drip) as server:
        run(body)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what a dropped stream deserves; trio says so
def test_an_exchange_that_is_dropped_gives_its_connection_back(run: Run[Any], trusting: Make, serve: Serve) -> None:
    async def body() -> None:
        transport = trusting(max_connections=2)
        for _ in range(10):
            exchange = await open_stream(transport, server.url)
            await exchange.chunk()
            del exchange
        assert len(pool_of(transport).live) <= 2

    with serve(drip) as server:
        run(body)


def test_a_transport_that_is_dropped_closes_its_connections() -> None:
    with serving(echo) as server:
        before = settled_descriptors(server)
        drive(call(SlotTransport(is_async=False), server.url))
        assert settled_descriptors(server) == before


def test_64_threads_share_a_transport() -> None:
    transport = SlotTransport(is_async=False, max_connections=8)
    failures: list[object] = []

    def work(number: int) -> None:
        for index in range(20):
            body = b"%d %d" % (number, index)
            try:
                if drive(call(transport, server.url, body)) != body:
                    failures.append(body)
            except Exception as error:
                failures.append(error)

    with serving(echo) as server:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert pool_of(transport).free == 8
        assert server.accepted <= 8
        drive(transport.close())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_does_not_use_its_parents_connections() -> None:
    transport = SlotTransport(is_async=False, verify=client_context())
    with serving(echo, tls=server_context("127.0.0.1")) as server:
        drive(call(transport, server.url))
        child = os.fork()
        if child == 0:  # nothing of pytest may run here
            signal.alarm(10)
            try:
                good = all(drive(call(transport, server.url, b"child")) == b"child" for _ in range(3))
                os._exit(0 if good else 1)
            except BaseException:
                os._exit(2)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert drive(call(transport, server.url, b"parent")) == b"parent"
        assert server.accepted == 2
        drive(transport.close())


def test_100_event_loops_one_after_another() -> None:
    transport = SlotTransport(is_async=True)

    async def body() -> None:
        assert await asyncio.gather(*(call(transport, server.url) for _ in range(3))) == [b"hi"] * 3

    with serving(echo) as server:
        asyncio.run(body())
        before = settled_descriptors(server)
        for _ in range(100):
            asyncio.run(body())
        assert settled_descriptors(server) == before
        assert len(transport._homes) == 0


def test_loops_in_threads_share_a_transport() -> None:
    transport = SlotTransport(is_async=True)
    results: list[bytes] = []

    async def body() -> None:
        results.extend(await asyncio.gather(*(call(transport, server.url) for _ in range(20))))

    with serving(echo) as server:
        threads = [threading.Thread(target=asyncio.run, args=(body(),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert results == [b"hi"] * 120


def test_an_async_transport_needs_a_loop() -> None:
    with pytest.raises(SetupError, match="outside of an event loop"):
        drive(call(SlotTransport(is_async=True), "http://127.0.0.1:9/"))


def test_the_queue_is_first_come_first_served() -> None:
    transport = SlotTransport(is_async=True, max_connections=1)
    order: list[int] = []

    async def one(number: int) -> None:
        await call(transport, server.url)
        order.append(number)

    async def body() -> None:
        tasks = []
        for number in range(10):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    with serving(echo) as server:
        asyncio.run(body())

    assert order == list(range(10))


def test_importing_the_transport_is_cheap() -> None:
    watched = "('httpcore', 'anyio', 'ssl')"
    code = f"import sys, antiphon.pipeline.network.transport; print([m for m in {watched} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)

    assert done.stdout.strip() == "[]"
